// Options and suppressions of the sanitizers, built in so that they hold however a binary is started.
// Which of these functions is called depends on the sanitizer that the binary is linked with.

#define SANITIZER_HOOK extern "C" __attribute__((visibility("default"), used)) const char*

SANITIZER_HOOK __asan_default_options() { return "detect_stack_use_after_return=1:strict_string_checks=1"; }

// After damaged metadata libhdf5 forgets some of its own memory.
SANITIZER_HOOK __lsan_default_suppressions() { return "leak:libhdf5\n"; }

SANITIZER_HOOK __ubsan_default_options() { return "print_stacktrace=1"; }

SANITIZER_HOOK __tsan_default_options() {
  // oneDNN, HDF5 and libgomp are not instrumented: what they synchronise with is invisible.
  return "ignore_noninstrumented_modules=1:second_deadlock_stack=1";
}

// The barriers of libgomp are invisible too, so a parallel region seems to race with the code around it. GCC
// names the body of a region function._omp_fn.N.
SANITIZER_HOOK __tsan_default_suppressions() { return "race:_omp_fn\n"; }
