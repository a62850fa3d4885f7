// Checkpoints with a right digest and anything else wrong: refused, or loaded and fit to train on.
#include <cstdlib>
#include <cstring>

#include "lib/train/checkpoint.h"
#include "tests/fuzz/tiny_trainer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace distil;
  std::vector<uint8_t> bytes(data, data + size);
  // A fuzzer does not guess digests: give the file the one that it should have.
  Safetensors file;
  if (ParseSafetensors(bytes.data(), bytes.size(), &file).ok()) {
    const std::string_view prefix = "\"sha256\":\"";
    const size_t found = file.header.find(prefix);
    const size_t at = found + prefix.size();
    if (found != file.header.npos && at + 64 <= file.header.size()) {
      const std::string digest = CheckpointDigest({bytes.data() + 8, file.header.size()}, {file.data}, at);
      std::memcpy(bytes.data() + 8 + at, digest.data(), 64);
    }
  }
  std::unique_ptr<Trainer> trainer = TinyTrainer();
  const bool loaded = trainer->LoadBytes(bytes).ok();
  const int64_t step = trainer->step();
  if (!loaded && step != 0) std::abort();
  const float images[16] = {0, 1, 2, 3, 4, 5, 6, 7};
  const int32_t labels[2] = {0, 1};
  const Status s = trainer->Step({2, false, images, labels, nullptr}, nullptr);
  // What was loaded may hold infinite numbers, or be at the end of its run.
  if (!s.ok() && s.code() != Code::kNonFinite && s.code() != Code::kFailedPrecondition) std::abort();
  return 0;
}
