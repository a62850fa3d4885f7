// The GPU's way for images into programs: sets that fit are kept in device memory and steps send ids only; other batches
// are sent as bytes through two pinned blocks and a stream of their own, while the step before still computes.
#pragma once

#include <memory>

#include "lib/backend/backend.h"
#include "lib/backend/cuda/context.h"

namespace distil::cuda {

Status MakeImageFeed(std::shared_ptr<Context> context, const ImageChange& change, std::unique_ptr<ImageFeed>* out);

}  // namespace distil::cuda
