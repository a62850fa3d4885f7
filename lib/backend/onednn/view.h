// View: how a value's logical elements lie in memory. Any layout this backend uses is a strided view once channels are
// split into blocks of 16, so one engine runs over all of them.
#pragma once

#include <array>
#include <cstdint>

#include "lib/graph/graph.h"

namespace distil::onednn {

// Dimensions of a value with channels (axis 1 of rank 4) split into (blocks, 16) when `split`.
struct View {
  int rank = 0;
  std::array<int64_t, kMaxRank + 1> size{}, stride{};
};

inline bool IsImage(const Shape& s) { return s.rank() == 4; }

// Strides by logical axis, of a layout without blocks. Channels last are all axes between the first and the last two:
// a channel shuffle has two of them.
inline std::array<int64_t, kMaxRank> Strides(const Shape& s, Layout layout) {
  std::array<int64_t, kMaxRank> strides{};
  const int rank = s.rank();
  const bool last = layout == Layout::kNhwc && rank >= 4;
  int64_t run = 1;
  auto pass = [&](int end, int begin) {  // axes end-1 to begin
    for (int i = end - 1; i >= begin; --i) {
      strides[i] = run;
      run *= s[i];
    }
  };
  if (last)
    pass(rank - 2, 1), pass(rank, rank - 2), pass(1, 0);
  else
    pass(rank, 0);
  return strides;
}

// Row-major strides of the layout, extents of 1 getting stride 0 so that they broadcast.
inline View MakeView(const Shape& s, Layout layout, bool split) {
  View v;
  const bool image = IsImage(s);
  const std::array<int64_t, kMaxRank> strides = Strides(s, layout);
  auto push = [&](int64_t size, int64_t stride) {
    v.size[v.rank] = size;
    v.stride[v.rank++] = size == 1 ? 0 : stride;
  };
  for (int i = 0; i < s.rank(); ++i) {
    int64_t stride = strides[i];
    int64_t block = 0;  // stride between blocks of 16 channels
    if (image) {
      const int64_t c = s[1], h = s[2], w = s[3];
      if (layout == Layout::kBlocked16) stride = i == 0 ? c * h * w : i == 1 ? 1 : i == 2 ? w * 16 : 16;
      block = layout == Layout::kBlocked16 ? h * w * 16 : stride * 16;
    }
    if (image && i == 1 && split) {
      if (s[1] == 1) {
        push(1, 0), push(1, 0);
      } else {
        push(s[1] / 16, block), push(16, stride);
      }
    } else {
      push(s[i], stride);
    }
  }
  return v;
}

}  // namespace distil::onednn
