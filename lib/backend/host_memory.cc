#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "lib/backend/backend.h"

namespace distil {
namespace {

constexpr size_t kAlignment = 64;

void* Take(const HostOptions& options, size_t bytes) {
  if (options.allocate) return options.allocate(bytes);
  if (bytes > PTRDIFF_MAX - kAlignment) return nullptr;
  return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
}

}  // namespace

Status AllocateHost(const HostOptions& options, size_t bytes, Buffer* out) {
  *out = Buffer();
  if (bytes == 0) return {};
  void* p = Take(options, bytes);
  if (p == nullptr) return {Code::kOutOfMemory, "cannot allocate " + std::to_string(bytes) + " bytes"};
  out->data = p;
  out->bytes = bytes;
  if (options.allocate) {
    out->release = options.release;
  } else {
    out->release = [](void* data, size_t) { std::free(data); };
  }
  if (reinterpret_cast<uintptr_t>(p) % kAlignment) {
    *out = Buffer();
    return InvalidArgument("the allocator returned memory that is not aligned to 64 bytes");
  }
  std::memset(p, 0, bytes);
  return {};
}

}  // namespace distil
