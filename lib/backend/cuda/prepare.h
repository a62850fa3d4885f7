// Prepare: the kernel that turns uint8 images into a program's inputs, as functions of block and thread that run on the
// GPU (kernels/prepare.cu) and, for tests, on the host. A block has kThreads threads and prepares one image.
//
// A batch reaches the device in one piece: ids, labels, images, each at a multiple of kAlignment; of a kept set, only ids.
#pragma once

#include <cstring>

#include "lib/backend/backend.h"
#include "lib/backend/images.h"

namespace distil::cuda {

struct Prepare {
  static constexpr int kThreads = 256, kLanes = 32;  // a row of an image is written by kLanes neighbouring threads

  ImageChange change;  // its addresses are those of the device, as all below
  ImageFeed::Target to;
  const uint8_t* images;
  const int32_t* labels;
  const uint32_t* ids;
  uint32_t epoch;
  bool by_id;

  DISTIL_HOST_DEVICE const uint8_t* Image(int64_t block) const {
    return images +
           (by_id ? ids[block] : block) * (static_cast<int64_t>(change.height) * change.width * change.channels);
  }

  // Contrast first needs the sum of what this gives over all threads of the block; nothing else does.
  DISTIL_HOST_DEVICE bool NeedsGrey() const { return change.strength[1] > 0; }
  DISTIL_HOST_DEVICE int64_t Grey(int64_t block, int thread) const {
    return GreySum(change, DrawImage(change, epoch, ids[block]), Image(block), thread, kThreads);
  }

  DISTIL_HOST_DEVICE void Write(int64_t block, int thread, int64_t grey) const {
    const uint32_t id = ids[block];
    if (thread == 0 && to.labels) to.labels[block] = labels[by_id ? id : block];
    if (thread == 0 && to.ids) to.ids[block] = static_cast<int32_t>(id);
    if (!to.images) return;
    const ImageDraw d = DrawImage(change, epoch, id);
    const float mean = NeedsGrey() ? GreyMean(change, grey) : 0.0f;
    float* out = to.images + block * (static_cast<int64_t>(change.height) * change.width * change.channels);
    for (int y = thread / kLanes; y < change.height; y += kThreads / kLanes)
      WriteRow(change, d, mean, Image(block), y, thread % kLanes, kLanes, out);
  }
};

// Puts the kernel for `count` images into a stream, a cudaStream_t; nullptr, or why it was not.
const char* LaunchPrepare(const Prepare& prepare, int64_t count, void* stream);

// Where the parts of a batch are in its one piece.
struct Packing {
  static constexpr size_t kAlignment = 256;
  size_t labels = 0, images = 0, bytes = 0;  // offsets, and all of it; ids are at 0

  // `each`: bytes of an image. A batch of a kept set has neither images nor labels.
  Packing(int64_t count, bool with_labels, bool with_images, size_t each) {
    auto after = [](size_t at, size_t n) { return (at + n + kAlignment - 1) / kAlignment * kAlignment; };
    const auto n = static_cast<size_t>(count);
    labels = after(0, n * sizeof(uint32_t));
    images = after(labels, with_labels ? n * sizeof(int32_t) : 0);
    bytes = after(images, with_images ? n * each : 0);
  }
};

inline Packing PackingOf(const ImageFeed::Batch& b, size_t each) {
  return {b.count, b.labels != nullptr, b.images != nullptr, each};
}

// Writes a batch as PackingOf says.
inline void Pack(const ImageFeed::Batch& b, size_t each, char* to) {
  const Packing p = PackingOf(b, each);
  const auto n = static_cast<size_t>(b.count);
  std::memcpy(to, b.ids, n * sizeof(uint32_t));
  if (b.images && !b.by_id) std::memcpy(to + p.images, b.images, n * each);
  for (size_t i = 0; i < n; ++i) {
    const size_t from = b.by_id ? b.ids[i] : i;
    if (b.labels) std::memcpy(to + p.labels + i * sizeof(int32_t), b.labels + from, sizeof(int32_t));
    if (b.images && b.by_id) std::memcpy(to + p.images + i * each, b.images + from * each, each);
  }
}

}  // namespace distil::cuda
