// The GPU's way for images into programs: sets that fit are kept in device memory and steps send ids only; other batches
// are sent as bytes through two pinned blocks and a stream of their own, while the step before still computes.
#pragma once

#include <memory>

#include "lib/backend/cuda/context.h"
#include "lib/backend/cuda/prepare.h"

namespace distil::cuda {

Status MakeImageFeed(std::shared_ptr<Context> context, const ImageChange& change, std::unique_ptr<ImageFeed>* out);

// Puts the kernel for `count` images into the stream.
Status LaunchPrepare(const Prepare& prepare, int64_t count, cudaStream_t stream);

}  // namespace distil::cuda
