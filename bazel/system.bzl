"""Libraries of the operating system as Bazel repositories.

Each repository looks for the header and the library files when a target first needs them, and fails with one sentence
that names the Debian package. Compilers search the usual folders by themselves, so a target is mostly link options.
"""

_MULTIARCH = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
_INCLUDE = ["/usr/local/include", "/usr/include"] + ["/usr/include/" + m for m in _MULTIARCH]
_LIB = ["/usr/local/lib", "/usr/lib", "/usr/lib64"] + ["/usr/lib/" + m for m in _MULTIARCH]

def _find_library(ctx, names):
    for name in names.split("|"):
        for folder in _LIB:
            for suffix in [".so", ".a"]:
                if ctx.path("%s/lib%s%s" % (folder, name, suffix)).exists:
                    return name
    return None

def _unless_cross(ctx, here, cross):
    if not ctx.attr.cross:
        return here
    return "select({\"@distil//bazel:cross\": %s, \"//conditions:default\": %s})" % (cross, here)

def _system_library_impl(ctx):
    missing = "distil needs %s: apt-get install %s" % (ctx.attr.title, ctx.attr.package)

    # Folders below the usual ones come first: Debian's serial HDF5 has one of its own.
    below = ["%s/%s" % (usual, folder) for folder in ctx.attr.folders for usual in _INCLUDE]
    include = None
    for folder in below + _INCLUDE:
        if ctx.path(folder + "/" + ctx.attr.header).exists:
            include = folder
            break
    if not include:
        fail(missing)

    lines = ["package(default_visibility = [\"//visibility:public\"])"]
    own_include = include in below
    if own_include:
        ctx.symlink(include, "include")
    for target, libraries in ctx.attr.targets.items():
        options = []
        for names in libraries:
            found = _find_library(ctx, names)
            if not found:
                fail(missing)
            options.append("-l" + found)
        lines += ["", "cc_library(", "    name = %s," % repr(target)]
        if own_include:
            lines += ["    hdrs = glob([\"include/**/*\"]),", "    includes = [\"include\"],"]
        if options:
            lines.append("    linkopts = %s," % _unless_cross(ctx, repr(options + ctx.attr.linkopts), "[]"))
        if target in ctx.attr.cross:
            lines.append("    deps = %s," % _unless_cross(ctx, "[]", repr([ctx.attr.cross[target]])))
        lines.append(")")
    ctx.file("BUILD", "\n".join(lines) + "\n")

system_library = repository_rule(
    implementation = _system_library_impl,
    attrs = {
        "cross": attr.string_dict(doc = "Target name to what it is instead when building for another machine"),
        "folders": attr.string_list(doc = "Folders below the usual include folders where the header may be"),
        "header": attr.string(mandatory = True),
        "linkopts": attr.string_list(doc = "Added to every target that links something"),
        "package": attr.string(mandatory = True, doc = "The Debian package"),
        "targets": attr.string_list_dict(doc = "Target name to library names; \"a|b\" takes the first that exists"),
        "title": attr.string(mandatory = True),
    },
    local = True,
)

def system_libraries():
    """Declares every library that distil takes from the system."""
    system_library(
        name = "onednn",
        title = "oneDNN",
        package = "libdnnl-dev",
        header = "oneapi/dnnl/dnnl.h",
        targets = {"onednn": ["dnnl"]},
    )
    system_library(
        name = "hdf5",
        title = "HDF5",
        package = "libhdf5-dev",
        folders = ["hdf5/serial"],
        header = "hdf5.h",
        targets = {"hdf5": ["hdf5_serial|hdf5"]},
    )
    system_library(
        name = "random123",
        title = "Random123",
        package = "librandom123-dev",
        header = "Random123/philox.h",
        targets = {"random123": []},
    )
    system_library(
        name = "cli11",
        title = "CLI11",
        package = "libcli11-dev",
        header = "CLI/CLI.hpp",
        targets = {"cli11": []},
    )
    system_library(
        name = "nlohmann_json",
        title = "nlohmann's JSON",
        package = "nlohmann-json3-dev",
        header = "nlohmann/json.hpp",
        targets = {"nlohmann_json": []},
    )
    system_library(
        name = "tomlplusplus",
        title = "toml++",
        package = "libtomlplusplus-dev",
        header = "toml++/toml.h",
        targets = {"tomlplusplus": []},
    )
    system_library(
        name = "libarchive",
        title = "libarchive",
        package = "libarchive-dev",
        header = "archive.h",
        targets = {"libarchive": ["archive"]},
    )
    system_library(
        name = "libjpeg",
        title = "libjpeg",
        package = "libjpeg-dev",
        header = "jpeglib.h",
        targets = {"libjpeg": ["jpeg"]},
    )
    system_library(
        name = "libpng",
        title = "libpng",
        package = "libpng-dev",
        header = "png.h",
        targets = {"libpng": ["png|png16"]},
    )
    system_library(
        name = "openssl",
        title = "OpenSSL",
        package = "libssl-dev",
        header = "openssl/evp.h",
        targets = {"crypto": ["crypto"]},
    )
    system_library(
        name = "googletest",
        title = "GoogleTest",
        package = "libgtest-dev",
        header = "gtest/gtest.h",
        linkopts = ["-pthread"],
        targets = {
            "gtest": ["gtest"],
            "gtest_main": ["gtest_main", "gtest"],
        },
        cross = {
            "gtest": "@googletest_sources//:gtest",
            "gtest_main": "@googletest_sources//:gtest_main",
        },
    )
    native.new_local_repository(
        name = "googletest_sources",
        path = "/usr/src/googletest/googletest",
        build_file = "//bazel:googletest.BUILD",
    )
    system_library(
        name = "benchmark",
        title = "Google Benchmark",
        package = "libbenchmark-dev",
        header = "benchmark/benchmark.h",
        linkopts = ["-pthread"],
        targets = {
            "benchmark": ["benchmark"],
            "benchmark_main": ["benchmark_main", "benchmark"],
        },
    )
