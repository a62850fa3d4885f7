#include "lib/backend/cuda/readback.h"

#include <utility>
#include <vector>

namespace distil::cuda {
namespace {

class Ring : public Readback {
 public:
  Ring(std::shared_ptr<Context> context, size_t bytes, size_t slots)
      : context_(std::move(context)), bytes_(bytes), events_(slots) {}
  ~Ring() override {
    const Scope scope(*context_);
    for (cudaEvent_t e : events_)
      if (e) cudaEventSynchronize(e), cudaEventDestroy(e);
    if (memory_) cudaFreeHost(memory_);
  }

  Status Open() {
    const Scope scope(*context_);
    DISTIL_CUDA(cudaHostAlloc(&memory_, bytes_ * events_.size(), cudaHostAllocDefault));
    for (cudaEvent_t& e : events_) DISTIL_CUDA(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
    return {};
  }

  Status Start(size_t slot, const void* device) override {
    const Scope scope(*context_);
    DISTIL_CUDA(cudaMemcpyAsync(At(slot), device, bytes_, cudaMemcpyDeviceToHost, context_->stream()));
    DISTIL_CUDA(cudaEventRecord(events_[slot], context_->stream()));
    return {};
  }

  Status Poll(size_t slot, bool wait, bool* there) override {
    const Scope scope(*context_);
    const cudaError_t e = wait ? cudaEventSynchronize(events_[slot]) : cudaEventQuery(events_[slot]);
    *there = e == cudaSuccess;
    if (e != cudaErrorNotReady) return ToStatus(e, "reading a step's results");
    cudaGetLastError();  // or the next look for errors would find it
    return {};
  }

  const void* data(size_t slot) const override { return At(slot); }

 private:
  char* At(size_t slot) const { return static_cast<char*>(memory_) + slot * bytes_; }

  std::shared_ptr<Context> context_;
  size_t bytes_;
  void* memory_ = nullptr;
  std::vector<cudaEvent_t> events_;
};

}  // namespace

Status MakeReadback(std::shared_ptr<Context> context, size_t bytes, size_t slots, std::unique_ptr<Readback>* out) {
  auto ring = std::make_unique<Ring>(std::move(context), bytes, slots);
  DISTIL_RETURN_IF_ERROR(ring->Open());
  *out = std::move(ring);
  return {};
}

}  // namespace distil::cuda
