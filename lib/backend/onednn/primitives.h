// The oneDNN primitives that distil uses, as kernels. primitives.cc is the only file that includes oneDNN's headers,
// and the only one that knows the difference between its 2.x and 3.x interfaces.
#pragma once

#include <memory>
#include <string>

#include "lib/backend/backend.h"
#include "lib/backend/convolution.h"
#include "lib/graph/graph.h"

namespace distil::onednn {

// ConvAttrs::algorithm: oneDNN's direct one; winograd.h, with transformed weights or (inside) with row-major ones; by
// input at stride 1, oneDNN's forward one with the kernel turned by 180 degrees and its channels exchanged; or, of 1x1
// kernels over channels-last images, products of matrices, one for each group; or rows.h.
inline constexpr int64_t kDirect = 0, kWinograd = 1, kTurned = 2, kWinogradInside = 3, kProduct = 4, kByRows = 5;

// OpaqueLayout::form of weights: oneDNN's, turned or not, or transformed for Winograd's convolution forward or by input.
inline constexpr int64_t kLibraryForm = 0, kTurnedForm = 1, kWinogradForm = 2, kWinogradInputForm = 3;

// Whether a convolution by input can be computed as a turned one, and the forward convolution that it then is.
bool CanTurn(const ConvSpec& s);
ConvSpec Turned(const ConvSpec& s);

// A 1x1 convolution as products. Its weight is row-major f32. The images are channels-last f32, nothing is fused.
bool CanMultiply(const ConvSpec& s);
std::unique_ptr<Kernel> MakeProduct(const ConvSpec& s);

class Library {
 public:
  Library();
  ~Library();

  std::string version() const;  // "2.6.3"
  std::string isa() const;      // the instruction set that oneDNN chose: "avx512_core_bf16"
  bool bf16_fast() const;       // bf16 arithmetic is in hardware
  bool wide() const;            // vectors have 16 lanes: code for blocks of 16 channels, and for bf16 at all

  // The layout in which the convolution wants (or gives) its weight; as a Graph::opaque() entry. `slow`, if not null:
  // whether oneDNN has only its reference code for this convolution.
  Status WeightLayout(const ConvSpec& spec, OpaqueLayout* out, bool* slow = nullptr) const;
  Status Conv(const ConvSpec& spec, std::unique_ptr<Kernel>* out) const;
  // f32 in [o / 16, c / 16, h, w, 16 of c, 16 of o]; both are multiples of 16.
  OpaqueLayout BlockedWeight(const Shape& w) const;
  // From one weight layout to another; nullptr stands for row-major f32. `w` as in ConvSpec.
  Status ReorderWeight(const Shape& w, int64_t groups, const OpaqueLayout* from, const OpaqueLayout* to,
                       std::unique_ptr<Kernel>* out) const;
  // Row-major f32 matrices, rank 2 or 3.
  Status MatMul(const Shape& a, const Shape& b, const Shape& y, bool transpose_a, bool transpose_b,
                std::unique_ptr<Kernel>* out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace distil::onednn
