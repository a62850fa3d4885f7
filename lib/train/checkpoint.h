// Checkpoint: the whole training state as a safetensors file, so that any tool can look into it.
//
//   metadata  format, schema, sha256, method, every option, networks, digests of frozen networks, step, phase, batch
//   tensors   "student/conv1.weight", "aux/fitnet.conv.weight", "state/...", "optimizer/main/student/.../momentum"
//
// sha256 is the digest of all bytes after the header's length, with its own 64 digits as zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "lib/io/safetensors.h"

namespace distil {

inline constexpr char kCheckpointSchema[] = "1";

// Digest of a checkpoint's bytes; `at`: where its digits stand.
std::string CheckpointDigest(std::span<const uint8_t> header, const std::vector<std::span<const uint8_t>>& data,
                             size_t at);

// Parses, and verifies format, schema and digest. Messages do not name the file.
Status ParseCheckpoint(const uint8_t* bytes, size_t count, Safetensors* out);

}  // namespace distil
