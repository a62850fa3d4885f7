// SHA-256 (FIPS 180-4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace distil {

class Sha256 {
 public:
  Sha256();
  void Update(const void* data, size_t bytes);
  // 64 lower-case hex digits. Ends the digest: nothing may be added afterwards.
  std::string Hex();

 private:
  void Block(const uint8_t* p);
  std::array<uint32_t, 8> h_;
  std::array<uint8_t, 64> rest_{};
  size_t pending_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace distil
