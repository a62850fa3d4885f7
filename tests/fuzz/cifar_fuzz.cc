// The CIFAR record parser. The first byte chooses between CIFAR-10, CIFAR-100 and the list of class names.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "data/importers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace distil::data;
  if (size == 0) return 0;
  Split split;
  std::vector<std::string> names;
  const distil::Status status = bytes[0] % 3 == 0   ? ParseCifar(CifarKind::kCifar10, bytes + 1, size - 1, "f", &split)
                                : bytes[0] % 3 == 1 ? ParseCifar(CifarKind::kCifar100, bytes + 1, size - 1, "f", &split)
                                                    : ParseNames(bytes + 1, size - 1, "f", &names);
  if (status.ok() && split.images.size() != split.labels.size() * 3072) std::abort();
  if (!status.ok() && status.message().rfind("f: ", 0) != 0) std::abort();
  return 0;
}
