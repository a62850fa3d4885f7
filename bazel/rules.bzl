"""Where Bazel's own rule sets come from.

Debian's Bazel (4.2.3, whose version reads as empty) comes with them as packages under /usr/share/bazel, and with
these repositories nothing is downloaded. An upstream Bazel has its own matching ones, so only rules_cc and skylib are
pinned for it here.
"""

_DEBIAN_RULES = "/usr/share/bazel/rules/"
_DEBIAN_TOOLS = "/usr/share/bazel/tools/"

# rules_cc as Debian packages it is newer than Debian's Bazel in one point: it asks for `use_cpp_toolchain`.
_RULES_CC_PATCHED = [
    "cc/private/rules_impl/cc_flags_supplier.bzl",
    "cc/private/rules_impl/compiler_flag.bzl",
]

def _rule_set_impl(ctx):
    folder = ctx.path(ctx.attr.folder)
    if not folder.exists:
        if not ctx.attr.urls:
            fail("distil needs %s: apt-get install %s" % (ctx.attr.folder, ctx.attr.package))
        got = ctx.download_and_extract(
            ctx.attr.urls,
            sha256 = ctx.attr.sha256,
            stripPrefix = ctx.attr.strip_prefix,
            allow_fail = True,
        )
        if not got.success:
            fail("distil needs Bazel's rule set %s: apt-get install %s, or allow the download of %s" %
                 (ctx.name, ctx.attr.package, ctx.attr.urls[0]))
        return
    copied = ctx.execute(["cp", "-rL", str(folder) + "/.", "."])
    if copied.return_code:
        fail("cannot copy %s: %s" % (folder, copied.stderr))
    for file in ctx.attr.patched:
        if not ctx.path(file).exists:
            continue
        text = ctx.read(file)
        text = text.replace(", \"use_cpp_toolchain\"", "")
        text = text.replace("use_cpp_toolchain()", "[\"@bazel_tools//tools/cpp:toolchain_type\"]")
        ctx.delete(file)
        ctx.file(file, text, executable = False)

_rule_set = repository_rule(
    implementation = _rule_set_impl,
    attrs = {
        "folder": attr.string(doc = "Where Debian puts it"),
        "package": attr.string(doc = "The Debian package that brings the folder"),
        "patched": attr.string_list(),
        "sha256": attr.string(),
        "strip_prefix": attr.string(),
        "urls": attr.string_list(),
    },
)

def _coverage_impl(ctx):
    ctx.file("BUILD", """
filegroup(
    name = "coverage_report_generator",
    visibility = ["//visibility:public"],
)
""")

# Every cc_test names this tool, which otherwise would be a download.
_no_coverage = repository_rule(implementation = _coverage_impl)

def rule_repositories():
    """Declares rules_cc and, for Debian's Bazel, all that it would otherwise download."""
    _rule_set(
        name = "rules_cc",
        folder = _DEBIAN_RULES + "cc",
        package = "bazel-rules-cc",
        patched = _RULES_CC_PATCHED,
        sha256 = "2037875b9a4456dce4a79d112a8ae885bbc4aad968e6587dca6e64f3a0900cdf",
        strip_prefix = "rules_cc-0.0.9",
        urls = ["https://github.com/bazelbuild/rules_cc/releases/download/0.0.9/rules_cc-0.0.9.tar.gz"],
    )
    if native.bazel_version:  # an upstream Bazel: its own rule sets fit it better than Debian's
        return
    _rule_set(
        name = "rules_java",
        folder = _DEBIAN_RULES + "java",
        package = "bazel-rules-java",
    )
    _rule_set(
        name = "bazel_skylib",
        folder = _DEBIAN_TOOLS + "skylib",
        package = "bazel-skylib",
    )
    _rule_set(
        name = "platforms",
        folder = _DEBIAN_TOOLS + "platforms",
        package = "bazel-platforms",
    )
    _no_coverage(name = "remote_coverage_tools")
