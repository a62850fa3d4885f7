// SHA-256 against the examples of FIPS 180-4 and of NIST's validation suite.
#include "lib/base/sha256.h"

#include <gtest/gtest.h>

#include <string>

namespace distil {
namespace {

std::string Digest(const std::string& s) {
  Sha256 h;
  h.Update(s.data(), s.size());
  return h.Hex();
}

TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(Digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Digest("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                   "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"),
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(Digest(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// Padding changes its shape around 55, 56, 63 and 64 bytes; how the bytes come in must not matter.
TEST(Sha256, PiecesGiveTheSameDigest) {
  for (size_t n = 0; n < 200; ++n) {
    std::string s;
    for (size_t i = 0; i < n; ++i) s += static_cast<char>(i * 37 + n);
    for (size_t piece : {1, 7, 63, 64, 65}) {
      Sha256 h;
      for (size_t at = 0; at < n; at += piece) h.Update(s.data() + at, std::min(piece, n - at));
      EXPECT_EQ(h.Hex(), Digest(s)) << n << " bytes in pieces of " << piece;
    }
  }
}

}  // namespace
}  // namespace distil
