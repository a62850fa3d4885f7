#include "lib/backend/cuda/image_feed.h"

#include <utility>

#include "lib/backend/cuda/prepare.h"

namespace distil::cuda {
namespace {

constexpr size_t kShare = 4;  // a kept set takes at most this part of the device's memory

class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory() { cudaFree(data_); }  // waits for what uses it
  Status Take(size_t bytes) {
    cudaFree(std::exchange(data_, nullptr));
    const cudaError_t e = cudaMalloc(&data_, bytes);
    if (e == cudaErrorMemoryAllocation) cudaGetLastError();  // it is no lasting error
    return ToStatus(e, "cudaMalloc");
  }
  template <class T>
  T* at(size_t offset) const {
    return reinterpret_cast<T*>(static_cast<char*>(data_) + offset);
  }

 private:
  void* data_ = nullptr;
};

// A batch on its way.
struct Slot {
  void* host = nullptr;  // pinned
  DeviceMemory device;
  size_t bytes = 0;
  cudaEvent_t sent = nullptr, used = nullptr;

  Status Open() {
    DISTIL_CUDA(cudaEventCreateWithFlags(&sent, cudaEventDisableTiming));
    DISTIL_CUDA(cudaEventCreateWithFlags(&used, cudaEventDisableTiming));
    return {};
  }
  // After what was sent from here has gone.
  Status Grow(size_t need) {
    if (need <= bytes) return {};
    bytes = 0;
    if (host) DISTIL_CUDA(cudaFreeHost(std::exchange(host, nullptr)));
    DISTIL_CUDA(cudaHostAlloc(&host, need, cudaHostAllocDefault));
    DISTIL_RETURN_IF_ERROR(device.Take(need));
    bytes = need;
    return {};
  }
  ~Slot() {
    if (sent) cudaEventSynchronize(sent), cudaEventDestroy(sent);
    if (used) cudaEventSynchronize(used), cudaEventDestroy(used);
    if (host) cudaFreeHost(host);
  }
};

class Feed : public ImageFeed {
 public:
  Feed(std::shared_ptr<Context> context, const ImageChange& change) : context_(std::move(context)), change_(change) {}
  ~Feed() override {
    const Scope scope(*context_);
    parts_.reset();
  }

  Status Open() {
    const Scope scope(*context_);
    parts_ = std::make_unique<Parts>();
    DISTIL_CUDA(cudaStreamCreateWithFlags(&parts_->stream, cudaStreamNonBlocking));
    for (Slot& s : parts_->slots) DISTIL_RETURN_IF_ERROR(s.Open());
    const auto c = static_cast<size_t>(change_.channels);
    DISTIL_RETURN_IF_ERROR(parts_->numbers.Take(c * 258 * sizeof(float)));
    size_t at = 0;
    for (const auto& [numbers, count] :
         {std::pair(&change_.table, c * 256), {&change_.scale, c}, {&change_.shift, c}}) {
      auto* to = parts_->numbers.at<float>(at);
      DISTIL_RETURN_IF_ERROR(context_->transfer().Upload(to, *numbers, count * sizeof(float)));
      *numbers = to, at += count * sizeof(float);
    }
    return {};
  }

  Status Keep(const uint8_t* images, const int32_t* labels, int64_t count, bool* kept) override {
    const Scope scope(*context_);
    *kept = false;
    const Packing p(count, labels != nullptr, true, each());
    size_t free = 0, total = 0;
    DISTIL_CUDA(cudaMemGetInfo(&free, &total));
    if (p.bytes > total / kShare || p.bytes > free) return {};
    const Status s = parts_->set.Take(p.bytes);
    if (s.code() == Code::kOutOfMemory) return {};
    DISTIL_RETURN_IF_ERROR(s);
    const auto n = static_cast<size_t>(count);
    Transfer& transfer = context_->transfer();
    if (labels) {
      set_labels_ = parts_->set.at<int32_t>(p.labels);
      DISTIL_RETURN_IF_ERROR(transfer.Upload(parts_->set.at<int32_t>(p.labels), labels, n * sizeof(int32_t)));
    }
    set_images_ = parts_->set.at<uint8_t>(p.images);
    DISTIL_RETURN_IF_ERROR(transfer.Upload(parts_->set.at<uint8_t>(p.images), images, n * each()));
    set_bytes_ = p.bytes;
    *kept = true;
    return {};
  }

  Status Fill(const Batch& batch, const Target& target) override {
    const Scope scope(*context_);
    Slot& s = parts_->slots[next_++ % kSlots];
    const Packing p = PackingOf(batch, each());
    DISTIL_CUDA(cudaEventSynchronize(s.sent));  // of the batch before the last
    DISTIL_RETURN_IF_ERROR(s.Grow(p.bytes));
    Pack(batch, each(), static_cast<char*>(s.host));
    DISTIL_CUDA(cudaStreamWaitEvent(parts_->stream, s.used, 0));
    DISTIL_CUDA(cudaMemcpyAsync(s.device.at<char>(0), s.host, p.bytes, cudaMemcpyHostToDevice, parts_->stream));
    DISTIL_CUDA(cudaEventRecord(s.sent, parts_->stream));
    DISTIL_CUDA(cudaStreamWaitEvent(context_->stream(), s.sent, 0));
    Prepare prepare{change_, target, set_images_, set_labels_, s.device.at<uint32_t>(0), batch.epoch, true};
    if (batch.images) {
      prepare.images = s.device.at<uint8_t>(p.images), prepare.labels = s.device.at<int32_t>(p.labels);
      prepare.by_id = false;
    }
    if (const char* e = LaunchPrepare(prepare, batch.count, context_->stream()))
      return Internal(std::string("preparing images: ") + e);
    DISTIL_CUDA(cudaEventRecord(s.used, context_->stream()));
    return {};
  }

  size_t bytes(int64_t batch) const override {
    return set_bytes_ + kSlots * Packing(batch, true, set_bytes_ == 0, each()).bytes;
  }

 private:
  static constexpr size_t kSlots = 2;
  struct Parts {
    cudaStream_t stream = nullptr;  // where batches are sent
    DeviceMemory numbers, set;
    Slot slots[kSlots];
    ~Parts() {
      if (stream) cudaStreamSynchronize(stream), cudaStreamDestroy(stream);
    }
  };

  size_t each() const {
    return static_cast<size_t>(change_.height) * static_cast<size_t>(change_.width) *
           static_cast<size_t>(change_.channels);
  }

  std::shared_ptr<Context> context_;
  ImageChange change_;
  std::unique_ptr<Parts> parts_;
  const uint8_t* set_images_ = nullptr;
  const int32_t* set_labels_ = nullptr;
  size_t set_bytes_ = 0, next_ = 0;
};

}  // namespace

Status MakeImageFeed(std::shared_ptr<Context> context, const ImageChange& change, std::unique_ptr<ImageFeed>* out) {
  auto feed = std::make_unique<Feed>(std::move(context), change);
  DISTIL_RETURN_IF_ERROR(feed->Open());
  *out = std::move(feed);
  return {};
}

}  // namespace distil::cuda
