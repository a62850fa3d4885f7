// Ops that move elements: strided copies from parts of tensors to parts of tensors, through tiles where the two sides
// run along different axes.
#include "lib/backend/cuda/work.h"

namespace distil::cuda {
namespace {

// The tensor that a SliceAttrs cuts a part of: where the part's elements lie in it.
Operand PartOf(const Value& whole, const SliceAttrs& a) {
  Operand o = OperandFor(whole);
  for (size_t d = 0; d < o.stride.size(); ++d) {
    o.offset += a.begin[d] * o.stride[d];
    o.stride[d] *= a.step[d];
  }
  return o;
}

bool ElementOf(DType from, DType to, kernels::Element* element) {
  if (from == to)
    *element = DTypeSize(to) == 2 ? kernels::Element::kHalf : kernels::Element::kWord;
  else if (from == DType::kF32 && to == DType::kBF16)
    *element = kernels::Element::kFloatToBf16;
  else if (from == DType::kBF16 && to == DType::kF32)
    *element = kernels::Element::kBf16ToFloat;
  else
    return false;
  return true;
}

// A copy whose sides are contiguous along different axes, both long enough for tiles.
bool FitsTiles(const Pass& p, kernels::Tiles* t) {
  constexpr int64_t kLeast = 8;
  const Axis& last = p.axes.back();
  if (last.stride[1] != 1 || last.stride[0] <= 1 || last.size < kLeast) return false;
  t->a = last.size, t->x_a = last.stride[0];
  bool found = false;
  for (size_t d = 0; d + 1 < p.axes.size(); ++d) {
    const Axis& axis = p.axes[d];
    if (!found && axis.stride[0] == 1 && axis.size >= kLeast) {
      t->b = axis.size, t->y_b = axis.stride[1];
      found = true;
    } else {
      t->size[t->outer] = axis.size;
      t->x_stride[t->outer] = axis.stride[0];
      t->y_stride[t->outer++] = axis.stride[1];
    }
  }
  return found;
}

// out = in over `space`, element by element. Bits are kept where the formats are the same.
Status AddCopy(const Shape& space, Operand from, Operand to, int in, Work* work) {
  kernels::Element element = kernels::Element::kWord;
  const bool tiles = ElementOf(from.dtype, to.dtype, &element);
  const auto from_bytes = from.offset * static_cast<int64_t>(DTypeSize(from.dtype));
  const auto to_bytes = to.offset * static_cast<int64_t>(DTypeSize(to.dtype));
  if (from.dtype == DType::kI32 && to.dtype == DType::kI32) from.dtype = to.dtype = DType::kF32;
  FusedBody body;
  body.space = space;
  body.code = {{FusedBody::kLoad, Op::kInput, {0, 0, 0}, 0}};
  body.outs = {{0, FusedBody::kStore, space}};
  FusedPlan plan;
  DISTIL_RETURN_IF_ERROR(PlanFused(body, {from}, {to}, &plan));
  Pass& pass = plan.passes[0];
  kernels::Tiles t;
  if (tiles && FitsTiles(pass, &t)) {
    work->steps.push_back({nullptr, [=](const KernelArgs& a, kernels::Stream stream) {
                             return kernels::Transpose(t, element, static_cast<const char*>(a.in[in]) + from_bytes,
                                                       static_cast<char*>(a.out[0]) + to_bytes, stream);
                           }});
    return {};
  }
  for (Memory& m : pass.memory)
    if (m.where == Memory::kIn) m.index = in;
  work->steps.push_back({std::make_shared<Pass>(std::move(pass)), nullptr});
  return {};
}

// All bytes in their order; nothing where the planner gave both the same memory.
void AddFlatCopy(size_t bytes, Work* work) {
  work->aliases.emplace_back(0, 0);
  work->steps.push_back({nullptr, [bytes](const KernelArgs& a, kernels::Stream stream) -> kernels::Error {
                           return a.in[0] == a.out[0] ? nullptr : kernels::Copy(a.out[0], a.in[0], bytes, stream);
                         }});
}

// Many small tensors, one behind the other: such as the squares of all gradients.
bool AddParts(const Graph& g, const Node& n, size_t axis, Work* work) {
  constexpr int64_t kSmall = 4096;  // elements, which one block copies
  const Value& y = g.value(n.out[0]);
  for (size_t d = 0; d < axis; ++d)
    if (y.shape[static_cast<int>(d)] != 1) return false;
  if (n.in.size() < 2 || y.layout != Layout::kPlain || (!y.index && y.dtype != DType::kF32)) return false;
  std::vector<int64_t> words;
  for (ValueId v : n.in) {
    const Value& x = g.value(v);
    if (x.layout != y.layout || x.dtype != y.dtype || x.shape.elements() > kSmall) return false;
    words.push_back(x.shape.elements());
  }
  work->steps.push_back({nullptr, [words](const KernelArgs& a, kernels::Stream stream) -> kernels::Error {
                           auto* to = static_cast<uint32_t*>(a.out[0]);
                           for (size_t i = 0; i < words.size();) {
                             kernels::Parts parts;
                             int count = 0;
                             for (; i < words.size() && count < kernels::Parts::kMost; to += words[i++])
                               parts.part[count++] = {static_cast<const uint32_t*>(a.in[i]), to, words[i]};
                             if (const kernels::Error e = kernels::CopyParts(parts, count, stream)) return e;
                           }
                           return nullptr;
                         }});
  return true;
}

}  // namespace

Status MakeMove(const Graph& g, const Node& n, Work* work) {
  if (n.in.empty()) return {};
  const Value &x = g.value(n.in[0]), &y = g.value(n.out[0]);
  const Operand from = OperandFor(x), to = OperandFor(y);
  const size_t bytes = static_cast<size_t>(y.shape.elements()) * DTypeSize(to.dtype);
  switch (n.op) {
    case Op::kReshape:
    case Op::kStopGradient:
      if (x.layout != y.layout) return Internal(Describe(g, n) + " changes the layout");
      if (from.dtype != to.dtype) return Internal(Describe(g, n) + " changes the number format");
      AddFlatCopy(bytes, work);
      return {};
    case Op::kReorder:
      if (x.layout == Layout::kOpaque || y.layout == Layout::kOpaque) return {};
      if (from.dtype == to.dtype && from.stride == to.stride) {
        AddFlatCopy(bytes, work);
        return {};
      }
      return AddCopy(y.shape, from, to, 0, work);
    case Op::kTranspose: {
      Operand permuted = from;
      for (size_t d = 0; d < n.ints.size(); ++d) permuted.stride[d] = from.stride[static_cast<size_t>(n.ints[d])];
      return AddCopy(y.shape, permuted, to, 0, work);
    }
    case Op::kBroadcast: return AddCopy(y.shape, from, to, 0, work);
    case Op::kSlice: return AddCopy(y.shape, PartOf(x, SliceAttrs::Unpack(n.ints)), to, 0, work);
    case Op::kPad:
      work->steps.push_back({nullptr, [bytes](const KernelArgs& a, kernels::Stream stream) {
                               return kernels::Clear(a.out[0], bytes, stream);
                             }});
      return AddCopy(x.shape, from, PartOf(y, SliceAttrs::Unpack(n.ints)), 0, work);
    case Op::kConcat: {
      const auto axis = static_cast<size_t>(n.ints[0]);
      if (AddParts(g, n, axis, work)) return {};
      Operand part = to;
      for (size_t i = 0; i < n.in.size(); ++i) {
        const Value& v = g.value(n.in[i]);
        DISTIL_RETURN_IF_ERROR(AddCopy(v.shape, OperandFor(v), part, static_cast<int>(i), work));
        // Strides are 0 only where the result's extent is 1, and then there is but one operand.
        part.offset += v.shape[static_cast<int>(axis)] * to.stride[axis];
      }
      return {};
    }
    default: return {};
  }
}

}  // namespace distil::cuda
