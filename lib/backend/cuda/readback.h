// Readback on a GPU: a ring in pinned memory, with an event for each slot.
#pragma once

#include <memory>

#include "lib/backend/backend.h"
#include "lib/backend/cuda/context.h"

namespace distil::cuda {

Status MakeReadback(std::shared_ptr<Context> context, size_t bytes, size_t slots, std::unique_ptr<Readback>* out);

}  // namespace distil::cuda
