#include "lib/backend/cuda/kernels/emulate.h"

#include <ucontext.h>

#include <cstdlib>
#include <memory>
#include <vector>

namespace distil::cuda::emulation {
namespace {

// The threads of a block as fibers: each runs to the next barrier, or to its end, before the following one does.
class Fibers {
 public:
  static Fibers* current;

  void Run(unsigned count, const std::function<void()>& kernel) {
    kernel_ = &kernel;
    current = this;
    fibers_.resize(count);
    for (unsigned t = 0; t < count; ++t) {
      Fiber& f = fibers_[t];
      if (!f.stack) f.stack = std::make_unique<char[]>(kStack);
      f.done = false;
      getcontext(&f.context);
      f.context.uc_stack.ss_sp = f.stack.get();
      f.context.uc_stack.ss_size = kStack;
      f.context.uc_link = &scheduler_;
      makecontext(&f.context, &Fibers::Enter, 0);
    }
    for (unsigned running = count; running;) {
      unsigned met = 0;
      for (unsigned i = 0; i < count; ++i) {
        running_ = backwards ? count - 1 - i : i;
        if (fibers_[running_].done) continue;
        thread.x = running_;
        swapcontext(&scheduler_, &fibers_[running_].context);
        if (fibers_[running_].done)
          --running;
        else
          ++met;
      }
      if (met && met != running) std::abort();  // some threads left without meeting the others
    }
  }
  void Yield() { swapcontext(&fibers_[running_].context, &scheduler_); }

 private:
  static constexpr size_t kStack = 1 << 16;
  struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    bool done;
  };
  static void Enter() {
    (*current->kernel_)();
    current->fibers_[current->running_].done = true;
  }

  const std::function<void()>* kernel_ = nullptr;
  std::vector<Fiber> fibers_;
  ucontext_t scheduler_;
  unsigned running_ = 0;
};
Fibers* Fibers::current = nullptr;

}  // namespace

void Run(int64_t blocks, unsigned count, bool together, const std::function<void()>& kernel) {
  Fibers fibers;
  threads.x = count;
  for (int64_t b = 0; b < blocks; ++b) {
    block.x = static_cast<unsigned>(backwards ? blocks - 1 - b : b);
    if (together) {
      fibers.Run(count, kernel);
      continue;
    }
    for (unsigned t = 0; t < count; ++t) {
      thread.x = backwards ? count - 1 - t : t;
      kernel();
    }
  }
}

void Meet() { Fibers::current->Yield(); }

}  // namespace distil::cuda::emulation
