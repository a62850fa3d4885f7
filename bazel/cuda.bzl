"""Libraries that use CUDA, and what stands for them where there is no toolkit (//bazel:cuda_repository.bzl)."""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")
load("@cuda//:defs.bzl", "CUDA_ARCHS", "CUDA_AVAILABLE", "CUDA_VERSION", "NVCC")

def if_cuda(there, missing = []):
    return there if CUDA_AVAILABLE else missing

# -fmad=false as -ffp-contract=off on the CPU: a kernel that wants a fused multiply-add calls fmaf.
_FLAGS = [
    "-std=c++20",
    "-O3",
    "-fmad=false",
    "-ccbin=g++",
    "-Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wextra,-ffp-contract=off",
    "-Xcudafe=--display_error_number",
]

def _cuda_objects_impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(ctx = ctx, cc_toolchain = toolchain)
    compilation = cc_common.merge_cc_infos(cc_infos = [d[CcInfo] for d in ctx.attr.deps]).compilation_context
    flags = list(_FLAGS)
    for arch in ctx.attr.archs:
        flags.append("-gencode=arch=compute_%s,code=sm_%s" % (arch, arch))
    flags.append("-gencode=arch=compute_%s,code=compute_%s" % (ctx.attr.archs[-1], ctx.attr.archs[-1]))
    objects = []
    for source in ctx.files.srcs:
        if source.extension != "cu":
            continue
        out = ctx.actions.declare_file("_objs/%s/%s.pic.o" % (ctx.label.name, source.basename[:-3]))
        arguments = ctx.actions.args()
        arguments.add_all(flags)
        arguments.add_all(ctx.attr.copts)
        arguments.add_all(compilation.defines, before_each = "-D")
        arguments.add_all(compilation.quote_includes, before_each = "-I")
        arguments.add_all(compilation.includes, before_each = "-I")
        arguments.add_all(compilation.system_includes, before_each = "-isystem")
        arguments.add("-c", source)
        arguments.add("-o", out)
        ctx.actions.run(
            mnemonic = "CudaCompile",
            executable = ctx.attr.nvcc,
            arguments = [arguments],
            # The version makes the action another one when the toolkit at that path is.
            env = {"DISTIL_NVCC_VERSION": ctx.attr.version, "PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": "/tmp"},
            inputs = depset(ctx.files.srcs, transitive = [compilation.headers]),
            outputs = [out],
            progress_message = "Compiling %s for sm_%s" % (source.short_path, ", sm_".join(ctx.attr.archs)),
        )
        objects.append(out)
    linking, _ = cc_common.create_linking_context_from_compilation_outputs(
        actions = ctx.actions,
        name = ctx.label.name,
        feature_configuration = features,
        cc_toolchain = toolchain,
        compilation_outputs = cc_common.create_compilation_outputs(
            objects = depset(objects),
            pic_objects = depset(objects),
        ),
        disallow_dynamic_library = True,
    )
    return [
        DefaultInfo(files = depset(objects)),
        CcInfo(linking_context = linking),
    ]

_cuda_objects = rule(
    implementation = _cuda_objects_impl,
    attrs = {
        "archs": attr.string_list(mandatory = True),
        "copts": attr.string_list(),
        "deps": attr.label_list(providers = [CcInfo]),
        "nvcc": attr.string(mandatory = True),
        "srcs": attr.label_list(allow_files = [".cu", ".cuh", ".h", ".def", ".inc"], mandatory = True),
        "version": attr.string(mandatory = True),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)

def cuda_library(name, srcs = [], hdrs = [], deps = [], nvcc_copts = [], **kwargs):
    """A cc_library that may include CUDA's headers and have .cu files; an empty one without a toolkit.

    Args:
      name: name of the target.
      srcs: .cu files, which nvcc compiles; .cc files, which the C++ compiler does; .cuh, .h, .def and .inc files.
      hdrs: public headers.
      deps: cc_library targets that sources and headers include.
      nvcc_copts: further flags of nvcc.
      **kwargs: further attributes of the cc_library.
    """
    if not CUDA_AVAILABLE:
        native.cc_library(name = name, **kwargs)
        return
    deps = deps + ["@cuda//:cudart"]
    objects = []
    if [s for s in srcs if s.endswith(".cu")]:
        objects = [":" + name + "_objects"]
        _cuda_objects(
            name = name + "_objects",
            srcs = [s for s in srcs if not s.endswith(".cc")] + hdrs,
            archs = CUDA_ARCHS,
            copts = nvcc_copts,
            nvcc = NVCC,
            version = str(CUDA_VERSION),
            visibility = ["//visibility:private"],
            deps = deps,
        )
    native.cc_library(
        name = name,
        srcs = [s for s in srcs if s.endswith(".cc") or s.endswith(".h")],
        hdrs = hdrs,
        textual_hdrs = [s for s in srcs if s.endswith(".def") or s.endswith(".inc")],
        deps = deps + objects,
        **kwargs
    )

def cuda_test(name, **kwargs):
    """A cc_test that includes CUDA's headers; without a toolkit there is none."""
    if CUDA_AVAILABLE:
        native.cc_test(name = name, **kwargs)
