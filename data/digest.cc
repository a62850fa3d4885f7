// SHA-256 through OpenSSL's EVP interface.
#include "data/digest.h"

#include <openssl/evp.h>

#include <cstring>

namespace distil::data {

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (context_) EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_), EVP_sha256(), nullptr);
}

Sha256::~Sha256() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

void Sha256::Update(const void* bytes, size_t size) {
  if (context_ && size > 0) EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes, size);
}

std::string Sha256::Hex() {
  unsigned char digest[EVP_MAX_MD_SIZE] = {};
  unsigned length = 32;
  if (context_) EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), digest, &length);
  static const char* kHex = "0123456789abcdef";
  std::string hex;
  for (unsigned i = 0; i < length; ++i) {
    hex += kHex[digest[i] >> 4];
    hex += kHex[digest[i] & 15];
  }
  return hex;
}

namespace {

template <typename T>
void UpdateLittleEndian(Sha256* hash, T value) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));  // hosts are little-endian: x86-64 and AArch64
  hash->Update(&bits, sizeof(T));
}

}  // namespace

ContentDigest::ContentDigest(const Dataset& shape) {
  static const char kMagic[] = "distil-dataset-1\n";
  hash_.Update(kMagic, sizeof(kMagic) - 1);
  for (int v : {shape.height, shape.width, shape.channels, shape.num_classes}) {
    UpdateLittleEndian(&hash_, static_cast<uint32_t>(v));
  }
}

void ContentDigest::BeginSplit(SplitKind kind, const std::vector<int32_t>& labels) {
  const std::string name = std::string(SplitName(kind)) + "\n";
  hash_.Update(name.data(), name.size());
  UpdateLittleEndian(&hash_, static_cast<uint64_t>(labels.size()));
  hash_.Update(labels.data(), labels.size() * sizeof(int32_t));
}

void ContentDigest::Images(const uint8_t* bytes, size_t size) { hash_.Update(bytes, size); }

std::string ContentDigest::Finish(const Dataset& dataset) {
  UpdateLittleEndian(&hash_, static_cast<uint32_t>(dataset.class_names.size()));
  for (const auto& name : dataset.class_names) hash_.Update(name.c_str(), name.size() + 1);
  for (double v : dataset.mean) UpdateLittleEndian(&hash_, v);
  for (double v : dataset.std) UpdateLittleEndian(&hash_, v);
  return hash_.Hex();
}

std::string DigestOf(const Dataset& dataset) {
  ContentDigest digest(dataset);
  for (SplitKind kind : kAllSplits) {
    const Split& split = dataset.split(kind);
    if (split.size() == 0) continue;
    digest.BeginSplit(kind, split.labels);
    digest.Images(split.images.data(), split.images.size());
  }
  return digest.Finish(dataset);
}

}  // namespace distil::data
