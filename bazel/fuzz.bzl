"""Fuzz tests: ordinary tests that replay a corpus, and libFuzzer targets under --config=fuzz."""

load("@rules_cc//cc:defs.bzl", "cc_test")

def distil_fuzz_test(name, srcs, corpus, deps, **kwargs):
    """A test of `extern "C" int LLVMFuzzerTestOneInput(const uint8_t*, size_t)`.

    Args:
      name: name of the test.
      srcs: the file that defines LLVMFuzzerTestOneInput.
      corpus: folder of this package with one file for each input; every input that once failed belongs there.
      deps: what the target calls.
      **kwargs: further attributes of cc_test.
    """
    cc_test(
        name = name,
        size = "small",
        srcs = srcs,
        args = [native.package_name() + "/" + corpus],
        data = native.glob([corpus + "/**"]),
        tags = ["fuzz"] + kwargs.pop("tags", []),
        deps = deps + ["//bazel:fuzz_main"],
        **kwargs
    )
