"""The distribution: one tar archive with header, static library, pkg-config file and CMake package."""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")
load("@cuda//:defs.bzl", "CUDA_AVAILABLE", "CUDA_LIB")
load(":version.bzl", "VERSION")

# What a program that links libdistil.a needs besides. With the CUDA backend that is the runtime of the toolkit it was
# built with, whose folder no compiler searches by itself; cuDNN and cuBLASLt are loaded when a GPU is opened.
_CUDA_LIBRARIES = ["cudart_static", "rt", "pthread", "dl"] if CUDA_AVAILABLE else []
_PRIVATE_LIBRARIES = select({
    "//bazel:without_onednn": _CUDA_LIBRARIES + ["stdc++", "m"],
    "//conditions:default": ["dnnl"] + _CUDA_LIBRARIES + ["stdc++", "gomp", "pthread", "dl", "m"],
})
_PRIVATE_FOLDERS = [CUDA_LIB] if CUDA_AVAILABLE else []

def _own_objects(dep):
    """Object files of the targets of this workspace below dep; what the system brings is not distil's to ship."""
    objects = []
    for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
        if linker_input.owner.workspace_name == "":
            for library in linker_input.libraries:
                objects += library.pic_objects or library.objects or []
    return objects

def _archive_impl(ctx):
    # Members are named by their path, because base names repeat, and sorted, because link order means nothing inside
    # an archive.
    members = {}
    for dep in ctx.attr.deps:
        for object in _own_objects(dep):
            path = object.short_path.replace("_objs/", "").replace(".pic.o", ".o")
            members[path.replace("/", "_")] = object
    if not members:
        fail("no object files below %s" % [str(dep.label) for dep in ctx.attr.deps])

    arguments = ctx.actions.args()
    arguments.use_param_file("%s", use_always = True)
    arguments.set_param_file_format("multiline")
    for name in sorted(members):
        arguments.add(name)
        arguments.add(members[name])
    ctx.actions.run_shell(
        mnemonic = "DistilArchive",
        inputs = members.values(),
        tools = find_cpp_toolchain(ctx).all_files,
        outputs = [ctx.outputs.out],
        arguments = [find_cpp_toolchain(ctx).ar_executable, ctx.outputs.out.path, arguments],
        command = """
set -eu
members=$(mktemp -d)
trap 'rm -rf "$members"' EXIT
while read -r name && read -r object; do cp "$object" "$members/$name"; done < "$3"
rm -f "$2"
"$1" qcsD "$2" "$members"/*
""",
    )
    return [DefaultInfo(files = depset([ctx.outputs.out]))]

_archive = rule(
    implementation = _archive_impl,
    attrs = {
        "deps": attr.label_list(providers = [CcInfo]),
        "out": attr.output(mandatory = True),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)

def _substituted_impl(ctx):
    ctx.actions.expand_template(
        template = ctx.file.template,
        output = ctx.outputs.out,
        substitutions = {
            "@CMAKE_LIBRARIES@": ";".join(["-L" + folder for folder in _PRIVATE_FOLDERS] + ctx.attr.libraries),
            "@PC_LIBRARIES@": " ".join(
                ["-L" + folder for folder in _PRIVATE_FOLDERS] + ["-l" + library for library in ctx.attr.libraries],
            ),
            "@VERSION@": VERSION,
        },
    )
    return [DefaultInfo(files = depset([ctx.outputs.out]))]

_substituted = rule(
    implementation = _substituted_impl,
    attrs = {
        "libraries": attr.string_list(),
        "out": attr.output(mandatory = True),
        "template": attr.label(allow_single_file = True, mandatory = True),
    },
)

def distil_dist(name, library, headers, **kwargs):
    """Makes <name>: distil-<version>.tar.gz, the same bytes for the same objects.

    Args:
      name: name of the target.
      library: the cc_library whose objects, with those of all it depends on in this workspace, make libdistil.a.
      headers: public headers, whose paths in this package begin with include/.
      **kwargs: further attributes of the target.
    """
    root = "distil-%s" % VERSION
    files = {header: header for header in headers + ["LICENSE"]}
    files[name + "/libdistil.a"] = "lib/libdistil.a"
    _archive(
        name = name + "_archive",
        out = name + "/libdistil.a",
        deps = [library],
    )
    for template, folder in [
        ("distil.pc", "lib/pkgconfig"),
        ("distil-config.cmake", "lib/cmake/distil"),
        ("distil-config-version.cmake", "lib/cmake/distil"),
    ]:
        out = "%s/%s" % (name, template)
        _substituted(
            name = "%s_%s" % (name, template),
            libraries = _PRIVATE_LIBRARIES,
            out = out,
            template = "//bazel/dist:%s.in" % template,
        )
        files[out] = "%s/%s" % (folder, template)

    install = "\n".join([
        "install -D -m 644 $(location %s) $$stage/%s/%s" % (source, root, target)
        for source, target in sorted(files.items())
    ])
    native.genrule(
        name = name,
        srcs = sorted(files),
        outs = [root + ".tar.gz"],
        cmd = """
set -eu
stage=$$(mktemp -d)
trap 'rm -rf "$$stage"' EXIT
%s
tar -C "$$stage" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
    --format=ustar -cf - %s | gzip -9 -n > $@
""" % (install, root),
        message = "Packing",
        **kwargs
    )
