// Pointwise ops, from the formulas of pointwise.def, and bodies of Fused nodes, interpreted scalar by scalar.
#include <algorithm>
#include <cmath>
#include <limits>

#include "lib/backend/reference/kernels.h"

namespace distil::reference {
namespace {

// r = f(x, y, z) at every point; a missing operand is the first one again.
template <class T, class F>
KernelPtr Map(const Ctx& c, F f) {
  const Shape space = c.out();
  const int iy = c.arity() > 1 ? 1 : 0, iz = c.arity() > 2 ? 2 : 0;
  const std::array<Strides, 4> strides = {StridesOf(space), StridesOf(c.in(0)), StridesOf(c.in(iy)),
                                          StridesOf(c.in(iz))};
  Aliases aliases;
  for (int i = 0; i < c.arity(); ++i)
    if (c.in(i) == space) aliases.emplace_back(i, 0);
  return MakeLoop(
      [=](const KernelArgs& a) {
        const T *x = In<T>(a, 0), *y = In<T>(a, iy), *z = In<T>(a, iz);
        T* r = Out<T>(a);
        Walk(space, strides, [&](const auto& at) { r[at[0]] = f(x[at[1]], y[at[2]], z[at[3]]); });
      },
      0, std::move(aliases));
}

}  // namespace

// Calls use(f) with the scalar function of a pointwise op.
template <class T, class Use>
auto WithScalar(Op op, Use use) {
  using namespace std;  // exp(float) is float's own
  switch (op) {
#define POINTWISE(name, arity, value, ...) \
  case Op::k##name:                        \
    return use([]([[maybe_unused]] T x, [[maybe_unused]] T y, [[maybe_unused]] T z) { return T(value); });
#include "lib/graph/pointwise.def"
#undef POINTWISE
    default: return use([](T x, T, T) { return x; });
  }
}

template <class T>
KernelPtr MakePointwise(const Ctx& c) {
  return WithScalar<T>(c.n.op, [&](auto f) { return Map<T>(c, f); });
}

// A reducing output accumulates in the workspace, in double, and is written at the end.
template <class T>
KernelPtr MakeFused(const Ctx& c) {
  using Scalar = T (*)(T, T, T);
  struct Step {
    FusedBody::Instr instr;
    Scalar f;
    Strides strides;  // of the operand that kLoad reads
  };
  const std::shared_ptr<const FusedBody> body = c.n.fused;
  const Shape space = body->space;
  std::vector<Step> steps;
  for (const FusedBody::Instr& i : body->code) {
    Step s{i, nullptr, {}};
    if (i.kind == FusedBody::kOp) s.f = WithScalar<T>(i.op, [](auto f) { return static_cast<Scalar>(f); });
    if (i.kind == FusedBody::kLoad) s.strides = StridesOf(c.in(i.arg[0]));
    steps.push_back(s);
  }
  size_t sums = 0;
  Aliases aliases;
  for (size_t o = 0; o < body->outs.size(); ++o) {
    if (body->outs[o].reduce != FusedBody::kStore) sums += static_cast<size_t>(body->outs[o].shape.elements());
    // At each point every load comes before every store.
    for (int i = 0; i < c.arity() && body->outs[o].reduce == FusedBody::kStore; ++i)
      if (c.in(i) == space) aliases.emplace_back(i, static_cast<int>(o));
  }
  const size_t workspace = sums * sizeof(double) + steps.size() * sizeof(T);

  return MakeLoop(
      [=](const KernelArgs& a) {
        double* accumulators = static_cast<double*>(a.workspace);
        T* v = reinterpret_cast<T*>(accumulators + sums);  // results of the instructions at one point

        for (double* s = accumulators; const FusedBody::Out& out : body->outs) {
          if (out.reduce == FusedBody::kStore) continue;
          const double start = out.reduce == FusedBody::kMax ? -std::numeric_limits<double>::infinity() : 0.0;
          std::fill_n(s, out.shape.elements(), start);
          s += out.shape.elements();
        }
        Strides at{};  // the point
        const std::array<Strides, 1> linear = {StridesOf(space)};
        auto offset = [&](const Strides& strides) {
          int64_t o = 0;
          for (int d = 0; d < space.rank(); ++d) o += at[d] * strides[d];
          return o;
        };
        Walk(space, linear, [&](const auto& point) {
          for (size_t i = 0; i < steps.size(); ++i) {
            const FusedBody::Instr& instr = steps[i].instr;
            switch (instr.kind) {
              case FusedBody::kLoad: v[i] = In<T>(a, instr.arg[0])[offset(steps[i].strides)]; break;
              case FusedBody::kConst: v[i] = static_cast<T>(instr.value); break;
              case FusedBody::kOp: v[i] = steps[i].f(v[instr.arg[0]], v[instr.arg[1]], v[instr.arg[2]]); break;
            }
          }
          double* s = accumulators;
          for (size_t o = 0; o < body->outs.size(); ++o) {
            const FusedBody::Out& out = body->outs[o];
            const T value = v[out.instr];
            if (out.reduce == FusedBody::kStore) {
              Out<T>(a, static_cast<int>(o))[point[0]] = value;
              continue;
            }
            double& sum = s[offset(StridesOf(out.shape))];
            if (out.reduce == FusedBody::kSum)
              sum += value;
            else if (value > sum || value != value)
              sum = value;  // NaN stays
            s += out.shape.elements();
          }
          for (int d = space.rank() - 1; d >= 0 && ++at[d] == space[d]; --d) at[d] = 0;
        });
        const double* s = accumulators;
        for (size_t o = 0; o < body->outs.size(); ++o) {
          if (body->outs[o].reduce == FusedBody::kStore) continue;
          const int64_t n = body->outs[o].shape.elements();
          for (int64_t i = 0; i < n; ++i) Out<T>(a, static_cast<int>(o))[i] = static_cast<T>(s[i]);
          s += n;
        }
      },
      workspace, std::move(aliases));
}

template KernelPtr MakePointwise<float>(const Ctx&);
template KernelPtr MakePointwise<double>(const Ctx&);
REFERENCE_MAKER(Fused)

}  // namespace distil::reference
