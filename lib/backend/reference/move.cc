// Ops that move elements without changing them, and ops that make tensors from nothing.
#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "lib/backend/reference/kernels.h"
#include "lib/base/random.h"

namespace distil::reference {
namespace {

// What moves: an int32 for index tensors, a T otherwise.
template <class T, class F>
KernelPtr WithElement(const Ctx& c, F make) {
  if (c.index(0)) return make(int32_t());
  return make(T());
}

// out[to + i * out_strides] = in[from + i * in_strides] for i in space, on zeros if the space does not cover
// the output.
struct Copy {
  Shape space;
  int64_t from, to;
  std::array<Strides, 2> strides;  // in, out
};

template <class E>
void Run(const Copy& copy, const E* in, E* out) {
  in += copy.from, out += copy.to;
  Walk(copy.space, copy.strides, [=](const auto& at) { out[at[1]] = in[at[0]]; });
}

template <class T>
KernelPtr MakeCopy(const Ctx& c, const Copy& copy, bool zero_first = false) {
  const int64_t n = c.out().elements();
  return WithElement<T>(c, [&](auto e) {
    using E = decltype(e);
    return MakeLoop([=](const KernelArgs& a) {
      if (zero_first) std::fill_n(Out<E>(a), n, E(0));
      Run(copy, In<E>(a, 0), Out<E>(a));
    });
  });
}

// All elements in their order.
template <class T>
KernelPtr MakeFlatCopy(const Ctx& c) {
  const auto n = static_cast<size_t>(c.out().elements());
  return WithElement<T>(c, [&](auto e) {
    using E = decltype(e);
    return MakeLoop([=](const KernelArgs& a) { std::memmove(a.out[0], a.in[0], n * sizeof(E)); }, 0, {{0, 0}});
  });
}

// Slice's view of the larger tensor `big`.
void View(const Ctx& c, const Shape& big, int64_t* base, Strides* strides) {
  const SliceAttrs s = SliceAttrs::Unpack(c.n.ints);
  *strides = StridesOf(big);
  *base = 0;
  for (int i = 0; i < big.rank(); ++i) {
    *base += s.begin[i] * (*strides)[i];
    (*strides)[i] *= s.step[i];
  }
}

}  // namespace

template <class T>
KernelPtr MakeReshape(const Ctx& c) {
  return MakeFlatCopy<T>(c);
}
template <class T>
KernelPtr MakeStopGradient(const Ctx& c) {
  return MakeFlatCopy<T>(c);
}

// Between int32 and T, in either direction, and plain copies.
template <class T>
KernelPtr MakeReorder(const Ctx& c) {
  const int64_t n = c.out().elements();
  const DType real = std::is_same_v<T, double> ? DType::kF64 : DType::kF32;
  const Value &from = c.g.value(c.n.in[0]), &to = c.g.value(c.n.out[0]);
  const bool known = from.layout == Layout::kPlain && to.layout == Layout::kPlain &&
                     (from.dtype == real || from.dtype == DType::kI32) && (to.dtype == real || to.dtype == DType::kI32);
  if (!known) return nullptr;
  if (from.dtype == to.dtype) return MakeFlatCopy<T>(c);
  auto convert = [n](auto out, auto in) {
    return MakeLoop([n](const KernelArgs& a) {
      using From = decltype(in);
      using To = decltype(out);
      for (int64_t i = 0; i < n; ++i) Out<To>(a)[i] = static_cast<To>(In<From>(a, 0)[i]);
    });
  };
  if (to.dtype == DType::kI32) return convert(int32_t(), T());
  return convert(T(), int32_t());
}

template <class T>
KernelPtr MakeTranspose(const Ctx& c) {
  const Strides in = StridesOf(c.in(0));
  Copy copy{c.out(), 0, 0, {in, StridesOf(c.out())}};
  for (int i = 0; i < c.out().rank(); ++i) copy.strides[0][i] = in[c.n.ints[i]];
  return MakeCopy<T>(c, copy);
}

template <class T>
KernelPtr MakeSlice(const Ctx& c) {
  Copy copy{c.out(), 0, 0, {Strides{}, StridesOf(c.out())}};
  View(c, c.in(0), &copy.from, &copy.strides[0]);
  return MakeCopy<T>(c, copy);
}

template <class T>
KernelPtr MakePad(const Ctx& c) {
  Copy copy{c.in(0), 0, 0, {StridesOf(c.in(0)), Strides{}}};
  View(c, c.out(), &copy.to, &copy.strides[1]);
  return MakeCopy<T>(c, copy, /*zero_first=*/true);
}

template <class T>
KernelPtr MakeBroadcast(const Ctx& c) {
  return MakeCopy<T>(c, {c.out(), 0, 0, {StridesOf(c.in(0)), StridesOf(c.out())}});
}

template <class T>
KernelPtr MakeConcat(const Ctx& c) {
  const auto axis = static_cast<int>(c.n.ints[0]);
  const Strides out = StridesOf(c.out());
  std::vector<Copy> copies;
  int64_t begin = 0;
  for (int i = 0; i < c.arity(); ++i) {
    copies.push_back({c.in(i), 0, begin * out[axis], {StridesOf(c.in(i)), out}});
    begin += c.in(i)[axis];
  }
  return WithElement<T>(c, [&](auto e) {
    using E = decltype(e);
    return MakeLoop([copies](const KernelArgs& a) {
      for (size_t i = 0; i < copies.size(); ++i) Run(copies[i], In<E>(a, static_cast<int>(i)), Out<E>(a));
    });
  });
}

// y[i,:] = table[indices[i],:]. A row that is not in the table reads as NaN (-1 in an index table).
template <class T>
KernelPtr MakeGather(const Ctx& c) {
  const int64_t rows = c.in(0)[0], n = c.in(1)[0], width = c.in(0).elements() / rows;
  return WithElement<T>(c, [&](auto e) {
    using E = decltype(e);
    const E none = c.index(0) ? E(-1) : static_cast<E>(std::numeric_limits<E>::quiet_NaN());
    return MakeLoop([=](const KernelArgs& a) {
      const int32_t* index = In<int32_t>(a, 1);
      for (int64_t i = 0; i < n; ++i) {
        const bool inside = index[i] >= 0 && index[i] < rows;
        for (int64_t j = 0; j < width; ++j)
          Out<E>(a)[i * width + j] = inside ? In<E>(a, 0)[index[i] * width + j] : none;
      }
    });
  });
}

// table[indices[i],:] += rows[i,:], from zeros. A row that is not in the table is dropped.
template <class T>
KernelPtr MakeScatterAdd(const Ctx& c) {
  const int64_t rows = c.out()[0], n = c.in(0)[0], width = c.in(0).elements() / n, size = rows * width;
  return MakeLoop(
      [=](const KernelArgs& a) {
        const int32_t* index = In<int32_t>(a, 1);
        double* sum = static_cast<double*>(a.workspace);
        std::fill_n(sum, size, 0.0);
        for (int64_t i = 0; i < n; ++i) {
          if (index[i] < 0 || index[i] >= rows) continue;
          for (int64_t j = 0; j < width; ++j) sum[index[i] * width + j] += In<T>(a, 0)[i * width + j];
        }
        for (int64_t i = 0; i < size; ++i) Out<T>(a)[i] = static_cast<T>(sum[i]);
      },
      static_cast<size_t>(size) * sizeof(double));
}

// Their storage is bound, not computed.
template <class T>
KernelPtr MakeInput(const Ctx&) {
  return nullptr;
}
template <class T>
KernelPtr MakeVariable(const Ctx&) {
  return nullptr;
}

template <class T>
KernelPtr MakeConstant(const Ctx& c) {
  const T value = static_cast<T>(c.n.reals[0]);
  return MakeLoop([value](const KernelArgs& a) { *Out<T>(a) = value; });
}

template <class T>
KernelPtr MakeData(const Ctx& c) {
  const std::vector<T> values(c.n.reals.begin(), c.n.reals.end());
  return MakeLoop([values](const KernelArgs& a) { std::copy(values.begin(), values.end(), Out<T>(a)); });
}

template <class T>
KernelPtr MakeIota(const Ctx& c) {
  const int64_t n = c.out().elements(), row = c.out().rank() ? c.out()[c.out().rank() - 1] : 1;
  return MakeLoop([=](const KernelArgs& a) {
    for (int64_t i = 0; i < n; ++i) Out<T>(a)[i] = static_cast<T>(i % row);
  });
}

template <class T>
KernelPtr MakeRandom(const Ctx& c) {
  const int64_t rows = c.out()[0], width = c.out().elements() / rows;
  const auto slot = static_cast<uint32_t>(c.n.ints[0]);
  return MakeLoop([=](const KernelArgs& a) {
    const int32_t *key = In<int32_t>(a, 0), *ids = In<int32_t>(a, 1);
    for (int64_t i = 0; i < rows; ++i) {
      std::array<float, 4> u{};
      for (int64_t j = 0; j < width; ++j) {
        if (j % 4 == 0) u = DropoutUniform(key, ids[i], slot, static_cast<uint32_t>(j / 4));
        Out<T>(a)[i * width + j] = u[j % 4];
      }
    }
  });
}

REFERENCE_MAKER(Reshape)
REFERENCE_MAKER(StopGradient)
REFERENCE_MAKER(Reorder)
REFERENCE_MAKER(Transpose)
REFERENCE_MAKER(Slice)
REFERENCE_MAKER(Pad)
REFERENCE_MAKER(Broadcast)
REFERENCE_MAKER(Concat)
REFERENCE_MAKER(Gather)
REFERENCE_MAKER(ScatterAdd)
REFERENCE_MAKER(Input)
REFERENCE_MAKER(Variable)
REFERENCE_MAKER(Constant)
REFERENCE_MAKER(Data)
REFERENCE_MAKER(Iota)
REFERENCE_MAKER(Random)

}  // namespace distil::reference
