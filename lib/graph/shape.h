// Shape: the extents of a dense tensor, at most kMaxRank of them, row-major in meaning (not in memory: only a backend
// knows a memory layout). Rank 0 is a scalar.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace distil {

inline constexpr int kMaxRank = 8;
// No value of a graph has more elements, so that byte counts and index arithmetic never overflow.
inline constexpr int64_t kMaxElements = int64_t{1} << 40;

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) { Assign({dims.begin(), dims.size()}); }
  explicit Shape(std::span<const int64_t> dims) { Assign(dims); }
  static Shape Ones(int rank) {
    Shape s;
    for (int i = 0; i < rank; ++i) s.Append(1);
    return s;
  }

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return d_[i]; }
  int64_t& operator[](int i) { return d_[i]; }
  int64_t elements() const {  // INT64_MAX when the product is larger
    int64_t n = 1;
    for (int i = 0; i < rank_; ++i)
      if (__builtin_mul_overflow(n, d_[i], &n)) return INT64_MAX;
    return n;
  }
  // One axis too many turns all extents into 0, which no graph accepts.
  void Append(int64_t d) {
    if (rank_ < kMaxRank)
      d_[rank_++] = d;
    else
      d_.fill(0);
  }
  std::span<const int64_t> dims() const { return {d_.data(), static_cast<size_t>(rank_)}; }
  std::string ToString() const {  // "[64,3,32,32]"
    std::string s = "[";
    for (int i = 0; i < rank_; ++i) s += (i ? "," : "") + std::to_string(d_[i]);
    return s + "]";
  }
  bool operator==(const Shape& o) const {
    if (rank_ != o.rank_) return false;
    for (int i = 0; i < rank_; ++i)
      if (d_[i] != o.d_[i]) return false;
    return true;
  }

 private:
  void Assign(std::span<const int64_t> dims) {
    for (int64_t d : dims) Append(d);
  }
  int rank_ = 0;
  std::array<int64_t, kMaxRank> d_{};
};

}  // namespace distil
