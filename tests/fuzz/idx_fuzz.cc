// The IDX parser.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "data/importers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  distil::data::IdxArray array;
  const distil::Status status = distil::data::ParseIdx(bytes, size, "f", &array);
  if (!status.ok()) {
    if (status.message().rfind("f: ", 0) != 0) std::abort();
    return 0;
  }
  uint64_t count = 1;
  for (uint32_t n : array.shape) count *= n;
  if (count != array.values.size()) std::abort();
  return 0;
}
