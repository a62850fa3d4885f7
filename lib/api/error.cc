// Status, messages, and what every call checks.

#include <algorithm>
#include <cstring>

#include "lib/api/internal.h"

namespace distil::api {
namespace {

// A fixed place: keeping a message must not need memory.
thread_local char message_of_thread[4096] = "";

}  // namespace

distil_status Fail(Code code, const char* message) noexcept {
  const size_t n = std::min(std::strlen(message), sizeof message_of_thread - 1);
  std::memcpy(message_of_thread, message, n);
  message_of_thread[n] = '\0';
  return static_cast<distil_status>(code);
}

static_assert(static_cast<int>(Code::kInvalidArgument) == DISTIL_INVALID_ARGUMENT);
static_assert(static_cast<int>(Code::kNotFound) == DISTIL_NOT_FOUND);
static_assert(static_cast<int>(Code::kCorrupt) == DISTIL_CORRUPT);
static_assert(static_cast<int>(Code::kUnsupported) == DISTIL_UNSUPPORTED);
static_assert(static_cast<int>(Code::kIo) == DISTIL_IO);
static_assert(static_cast<int>(Code::kOutOfMemory) == DISTIL_OUT_OF_MEMORY);
static_assert(static_cast<int>(Code::kNonFinite) == DISTIL_NON_FINITE);
static_assert(static_cast<int>(Code::kFailedPrecondition) == DISTIL_FAILED_PRECONDITION);
static_assert(static_cast<int>(Code::kInternal) == DISTIL_INTERNAL);
static_assert(static_cast<int>(Code::kDeviceLost) == DISTIL_DEVICE_LOST);

Status Options(const char* text, TextOptions* out) { return SplitOptions(text ? text : "", out); }

Status ToBatch(const distil_batch* batch, Batch* out) {
  DISTIL_RETURN_IF_ERROR(NeedStruct(batch, "batch", "DISTIL_BATCH_INIT"));
  const int pixels = Number(batch->pixels);
  if (pixels != DISTIL_F32_NCHW && pixels != DISTIL_U8_NHWC)
    return InvalidArgument("batch->pixels is " + std::to_string(pixels) +
                           ", neither DISTIL_F32_NCHW nor DISTIL_U8_NHWC");
  out->count = batch->count;
  out->bytes = pixels == DISTIL_U8_NHWC;
  out->images = batch->images;
  out->labels = batch->labels;
  out->ids = batch->ids;
  return {};
}

void ToMemory(const MemoryInfo& m, distil_memory* out) {
  out->arena = m.arena;
  out->constants = m.constants;
  out->io = m.io;
  out->variables = m.variables;
  out->total = m.total();
}

}  // namespace distil::api

const char* distil_last_error(void) { return distil::api::message_of_thread; }

const char* distil_status_name(distil_status status) {
  switch (distil::api::Number(status)) {
    case DISTIL_OK: return "ok";
    case DISTIL_INVALID_ARGUMENT: return "invalid argument";
    case DISTIL_NOT_FOUND: return "not found";
    case DISTIL_CORRUPT: return "corrupt";
    case DISTIL_UNSUPPORTED: return "unsupported";
    case DISTIL_IO: return "input or output failed";
    case DISTIL_OUT_OF_MEMORY: return "out of memory";
    case DISTIL_NON_FINITE: return "not finite";
    case DISTIL_FAILED_PRECONDITION: return "failed precondition";
    case DISTIL_INTERNAL: return "internal error";
    case DISTIL_DEVICE_LOST: return "device lost";
  }
  return "unknown status";
}
