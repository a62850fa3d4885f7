"""The repository @cuda: the CUDA toolkit and cuDNN's headers, where they are.

`@cuda//:defs.bzl` says what was found; nothing fails where there is no toolkit (//bazel:cuda.bzl builds something else
then). These environment variables steer it, also as --repo_env=NAME=VALUE:

  DISTIL_CUDA=0            build without CUDA although a toolkit is there
  DISTIL_CUDA_ARCHS=80,90  compute capabilities to compile for; machine code for each, PTX for the last
  CUDA_HOME, CUDNN_HOME    folders with bin/nvcc and include/cudnn.h; else /usr/local/cuda, then nvcc on PATH
"""

_OLDEST_TOOLKIT = 12030  # cudaStreamBeginCaptureToGraph
_OLDEST_CUDNN = 9008  # a device can be described to it

def _existing(ctx, folders, file):
    for folder in folders:
        if ctx.path(folder + "/" + file).exists:
            return folder
    return None

def _number(text, macro):
    """The number in `#define macro number`, or 0."""
    for line in text.split("\n"):
        words = [w for w in line.replace("\t", " ").split(" ") if w]
        if len(words) >= 3 and words[0] == "#define" and words[1] == macro and words[2].isdigit():
            return int(words[2])
    return 0

def _find_toolkit(ctx):
    """A struct with folders and versions, or a sentence that says what is missing."""
    environ = ctx.os.environ
    if environ.get("DISTIL_CUDA", "") == "0":
        return "it was built with DISTIL_CUDA=0"
    if environ.get("CUDA_HOME"):
        roots = [environ["CUDA_HOME"]]
    else:
        roots = ["/usr/local/cuda"]
        on_path = ctx.which("nvcc")
        if on_path:
            roots.append(str(on_path.realpath.dirname.dirname))
            roots.append(str(on_path.dirname.dirname))
    root = _existing(ctx, roots, "bin/nvcc")
    if not root:
        return "no CUDA toolkit was found when it was built (no bin/nvcc in %s)" % ", ".join(roots)
    include = _existing(ctx, [root + "/include", root + "/targets/x86_64-linux/include"], "cuda_runtime.h")
    if not include:
        return "the CUDA toolkit in %s had no include/cuda_runtime.h when it was built" % root
    libs = [root + "/" + l for l in ["lib64", "lib", "targets/x86_64-linux/lib", "lib/x86_64-linux-gnu"]]
    lib = _existing(ctx, libs, "libcudart_static.a")
    if not lib:
        return "the CUDA toolkit in %s had no libcudart_static.a when it was built" % root
    if not ctx.path(include + "/cublasLt.h").exists:
        return "the CUDA toolkit in %s had no include/cublasLt.h when it was built" % root
    version = _number(ctx.read(include + "/cuda_runtime_api.h"), "CUDART_VERSION")
    if version < _OLDEST_TOOLKIT:
        return "the CUDA toolkit in %s was older than 12.3 when it was built" % root
    folders = [include, "/usr/include", "/usr/include/x86_64-linux-gnu"]
    if environ.get("CUDNN_HOME"):
        folders = [environ["CUDNN_HOME"] + "/include"]
    cudnn = _existing(ctx, folders, "cudnn_version.h")
    if not cudnn:
        return "cuDNN's headers were not found when it was built (no cudnn_version.h in %s)" % ", ".join(folders)
    text = ctx.read(cudnn + "/cudnn_version.h")
    cudnn_version = _number(text, "CUDNN_MAJOR") * 1000 + _number(text, "CUDNN_MINOR")
    if cudnn_version < _OLDEST_CUDNN:
        return "cuDNN in %s was older than %d.%d when it was built" % (cudnn, _OLDEST_CUDNN // 1000, _OLDEST_CUDNN % 1000)
    return struct(root = root, include = include, lib = lib, version = version, cudnn = cudnn)

_DEFS = """
CUDA_AVAILABLE = {available}
CUDA_MISSING = {missing}  # why not
CUDA_VERSION = {version}
CUDA_ARCHS = {archs}
NVCC = {nvcc}
CUDA_LIB = {lib}  # the folder of libcudart_static.a
"""

_BUILD = """
package(default_visibility = ["//visibility:public"])

cc_library(
    name = "headers",
    hdrs = glob(["include/*.h", "include/*.hpp", "include/crt/**", "cudnn/cudnn*.h"]),
    includes = ["include", "cudnn"],
)

# Loads the driver when it is first called, so that programs start without one.
cc_library(
    name = "cudart",
    linkopts = ["{lib}/libcudart_static.a", "-ldl", "-lrt", "-lpthread"],
    deps = [":headers"],
)
"""

_BUILD_MISSING = """
cc_library(
    name = "missing",
    hdrs = ["missing/distil_cuda_missing.h"],
    includes = ["missing"],
    visibility = ["//visibility:public"],
)
"""

def _quoted(text):
    return "\"%s\"" % text.replace("\\", "\\\\").replace("\"", "\\\"")

def _cuda_repository_impl(ctx):
    found = _find_toolkit(ctx)
    archs = ctx.os.environ.get("DISTIL_CUDA_ARCHS", "80,90").split(",")
    for arch in archs:
        if not arch.isdigit():
            fail("DISTIL_CUDA_ARCHS is '%s', not compute capabilities such as 80,90" % ",".join(archs))
    available = type(found) != type("")
    ctx.file("defs.bzl", _DEFS.format(
        available = available,
        missing = repr("" if available else found),
        version = found.version if available else 0,
        archs = repr(archs),
        nvcc = repr(found.root + "/bin/nvcc" if available else ""),
        lib = repr(found.lib if available else ""),
    ))
    if available:
        ctx.symlink(found.include, "include")
        ctx.file("cudnn/.keep", "")
        if found.cudnn != found.include:
            for header in ctx.path(found.cudnn).readdir():
                if header.basename.startswith("cudnn"):
                    ctx.symlink(header, "cudnn/" + header.basename)
        ctx.file("BUILD", _BUILD.format(lib = found.lib))
    else:
        ctx.file("missing/distil_cuda_missing.h", "#define DISTIL_CUDA_MISSING %s\n" % _quoted(found))
        ctx.file("BUILD", _BUILD_MISSING)

cuda_repository = repository_rule(
    implementation = _cuda_repository_impl,
    environ = ["CUDA_HOME", "CUDNN_HOME", "DISTIL_CUDA", "DISTIL_CUDA_ARCHS", "PATH"],
    local = True,
)
