// What the reference kernels share. The reference is the oracle that other backends are compared with: plain
// loops over row-major tensors, in f32 and in f64, sums always in double. It is written to be read, in loop
// orders that let tiny networks train.
//
// There is one maker per op, Make<Op><T>: it reads shapes and attributes once and returns the loops that run
// every step. Index operands of ops that compute arrive as numbers of type T (see reference.cc).
#pragma once

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "lib/backend/backend.h"
#include "lib/graph/graph.h"

namespace distil::reference {

// A node as its maker sees it.
struct Ctx {
  const Graph& g;
  const Node& n;
  const Shape& in(int i) const { return g.value(n.in[i]).shape; }
  const Shape& out(int i = 0) const { return g.value(n.out[i]).shape; }
  bool index(int i) const { return g.value(n.in[i]).index; }
  int arity() const { return static_cast<int>(n.in.size()); }
};

using KernelPtr = std::unique_ptr<Kernel>;
using Aliases = std::vector<std::pair<int, int>>;  // (in, out) that may share memory

template <class F>
class Loop : public Kernel {
 public:
  Loop(F run, size_t workspace, Aliases aliases)
      : run_(std::move(run)), workspace_(workspace), aliases_(std::move(aliases)) {}
  void Run(const KernelArgs& args) override { run_(args); }
  size_t workspace() const override { return workspace_; }
  bool MayAlias(int in, int out) const override {
    for (auto [i, o] : aliases_)
      if (i == in && o == out) return true;
    return false;
  }

 private:
  F run_;
  size_t workspace_;
  Aliases aliases_;
};

template <class F>
KernelPtr MakeLoop(F run, size_t workspace = 0, Aliases aliases = {}) {
  return std::make_unique<Loop<F>>(std::move(run), workspace, std::move(aliases));
}

template <class T>
const T* In(const KernelArgs& a, int i) {
  return static_cast<const T*>(a.in[i]);
}
template <class T>
T* Out(const KernelArgs& a, int i = 0) {
  return static_cast<T*>(a.out[i]);
}

// ---- Walking several tensors at once

using Strides = std::array<int64_t, kMaxRank>;

// Row-major strides of `s`; 0 on axes of extent 1, which therefore broadcast.
inline Strides StridesOf(const Shape& s) {
  Strides strides{};
  int64_t n = 1;
  for (int i = s.rank(); i-- > 0; n *= s[i]) strides[i] = s[i] == 1 ? 0 : n;
  return strides;
}

// Calls f(offsets) at every point of `space` in row-major order, with one offset per set of strides.
template <size_t K, class F>
void Walk(const Shape& space, const std::array<Strides, K>& strides, F f) {
  std::array<int64_t, K> at{};
  if (space.rank() == 0) return f(at);
  const int last = space.rank() - 1;
  Strides i{};
  while (true) {
    std::array<int64_t, K> o = at;
    for (int64_t j = 0; j < space[last]; ++j) {
      f(o);
      for (size_t k = 0; k < K; ++k) o[k] += strides[k][last];
    }
    int axis = last - 1;
    for (; axis >= 0; --axis) {
      for (size_t k = 0; k < K; ++k) at[k] += strides[k][axis];
      if (++i[axis] < space[axis]) break;
      for (size_t k = 0; k < K; ++k) at[k] -= strides[k][axis] * space[axis];
      i[axis] = 0;
    }
    if (axis < 0) return;
  }
}

// ---- Makers

// y = op(x, y, z), operands broadcast.
template <class T>
KernelPtr MakePointwise(const Ctx& c);

#define OP(name, ...) \
  template <class T>  \
  KernelPtr Make##name(const Ctx& c);
#include "lib/graph/ops.def"
#undef OP

// Each .cc file ends with these lines for its makers: REFERENCE_MAKER(Sum)
#define REFERENCE_MAKER(name)                       \
  template KernelPtr Make##name<float>(const Ctx&); \
  template KernelPtr Make##name<double>(const Ctx&);

}  // namespace distil::reference
