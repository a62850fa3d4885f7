#include "lib/backend/cuda/work.h"

#include <bit>
#include <limits>

namespace distil::cuda {
namespace {

using kernels::Error;
using kernels::Stream;

template <class T>
const T* In(const KernelArgs& a, int i) {
  return static_cast<const T*>(a.in[i]);
}
float* Out(const KernelArgs& a) { return static_cast<float*>(a.out[0]); }

void AddRun(std::function<Error(const KernelArgs&, Stream)> run, Work* work) {
  work->steps.push_back({nullptr, std::move(run)});
}

// ---- Ops that are bodies of one instruction

FusedBody::Instr Load(int i) { return {FusedBody::kLoad, Op::kInput, {i, 0, 0}, 0}; }

Status AddPointwise(const Graph& g, const Node& n, Work* work) {
  FusedBody body;
  std::vector<Operand> in;
  FusedBody::Instr op{FusedBody::kOp, n.op, {0, 0, 0}, 0};
  for (size_t i = 0; i < n.in.size(); ++i) {
    op.arg[i] = static_cast<int32_t>(i);
    body.code.push_back(Load(static_cast<int>(i)));
    in.push_back(OperandFor(g.value(n.in[i])));
  }
  body.code.push_back(op);
  const Value& y = g.value(n.out[0]);
  body.space = y.shape;
  body.outs = {{static_cast<int32_t>(n.in.size()), FusedBody::kStore, y.shape}};
  return AddBody(body, in, {OperandFor(y)}, work);
}

Status AddReduction(const Value& x, const Value& y, FusedBody::Reduce reduce, Work* work) {
  FusedBody body;
  body.space = x.shape;
  body.code = {Load(0)};
  body.outs = {{0, reduce, y.shape}};
  return AddBody(body, {OperandFor(x)}, {OperandFor(y)}, work);
}

Status AddConstant(double value, const Value& y, Work* work) {
  FusedBody body;
  body.space = y.shape;
  body.code = {{FusedBody::kConst, Op::kConstant, {0, 0, 0}, value}};
  body.outs = {{0, FusedBody::kStore, y.shape}};
  return AddBody(body, {}, {OperandFor(y)}, work);
}

// ---- Ops with kernels of their own

// `x` as f32 at the start of the workspace, when it is an index tensor; returns where the f32 numbers will be.
Status AddNumbers(const Value& x, Work* work, bool* in_workspace) {
  *in_workspace = x.index;
  if (!x.index) return {};
  FusedBody body;
  body.space = x.shape;
  body.code = {Load(0)};
  body.outs = {{0, FusedBody::kStore, x.shape}};
  Operand to = OperandFor(x);
  to.dtype = DType::kF32;
  FusedPlan plan;
  DISTIL_RETURN_IF_ERROR(PlanFused(body, {OperandFor(x)}, {to}, &plan));
  for (Memory& m : plan.passes[0].memory)
    if (m.where == Memory::kOut) m.where = Memory::kWorkspace;
  work->steps.push_back({std::make_shared<Pass>(plan.passes[0]), nullptr});
  work->workspace = static_cast<size_t>(x.shape.elements()) * sizeof(float);
  return {};
}

Status AddRank(const Value& x, Work* work) {
  const int64_t n = x.shape[x.shape.rank() - 1], rows = x.shape.elements() / n;
  bool copied;
  DISTIL_RETURN_IF_ERROR(AddNumbers(x, work, &copied));
  AddRun(
      [=](const KernelArgs& a, Stream s) {
        return kernels::Rank(copied ? static_cast<const float*>(a.workspace) : In<float>(a, 0), Out(a), rows, n, s);
      },
      work);
  return {};
}

void AddGather(const Value& table, const Value& index, Work* work) {
  const int64_t rows = table.shape[0], n = index.shape[0];
  const int64_t bytes = table.shape.elements() / rows * static_cast<int64_t>(sizeof(float));  // int32 has as many
  const uint32_t none = table.index ? ~0u : std::bit_cast<uint32_t>(std::numeric_limits<float>::quiet_NaN());
  AddRun([=](const KernelArgs& a,
             Stream s) { return kernels::Gather(a.in[0], In<int32_t>(a, 1), a.out[0], rows, n, bytes, none, s); },
         work);
}

void AddScatterAdd(const Value& x, const Value& table, Work* work) {
  const int64_t n = x.shape[0], rows = table.shape[0], width = x.shape.elements() / n;
  work->workspace = kernels::ScatterAddWorkspace(n);
  AddRun(
      [=](const KernelArgs& a, Stream s) {
        return kernels::ScatterAdd(In<float>(a, 0), In<int32_t>(a, 1), Out(a), rows, n, width, a.workspace, s);
      },
      work);
}

void AddRandom(const Node& n, const Value& y, Work* work) {
  const int64_t rows = y.shape[0], width = y.shape.elements() / rows;
  const auto slot = static_cast<uint32_t>(n.ints[0]);
  AddRun([=](const KernelArgs& a,
             Stream s) { return kernels::Random(In<int32_t>(a, 0), In<int32_t>(a, 1), slot, Out(a), rows, width, s); },
         work);
}

Status AddData(const Node& n, Work* work) {
  const std::vector<float> numbers(n.reals.begin(), n.reals.end());
  const size_t bytes = numbers.size() * sizeof(float);
  const std::shared_ptr<const void> copy = kernels::HostCopy(numbers.data(), bytes);
  if (!copy)
    return {Code::kOutOfMemory, "there is no pinned memory left for a table of " + std::to_string(bytes) + " bytes"};
  AddRun([=](const KernelArgs& a, Stream s) { return kernels::Copy(a.out[0], copy.get(), bytes, s); }, work);
  return {};
}

// ---- Pooling

kernels::Pool PoolOf(const Node& n, const Value& x, const Value& y) {
  const PoolAttrs a = PoolAttrs::Unpack(n.ints);
  kernels::Pool p;
  p.n = x.shape[0], p.c = x.shape[1];
  for (int i = 0; i < 2; ++i) {
    p.in[i] = x.shape[2 + i], p.out[i] = y.shape[2 + i];
    p.kernel[i] = a.kernel[i], p.stride[i] = a.stride[i], p.pad[i] = a.pad[i];
  }
  p.count_include_pad = a.count_include_pad, p.adaptive = a.adaptive;
  p.channels_last = x.layout == Layout::kNhwc || y.layout == Layout::kNhwc;
  p.bf16 = x.dtype == DType::kBF16;
  return p;
}

bool IsPool(Op op) {
  return op == Op::kMaxPool || op == Op::kMaxPoolScatter || op == Op::kAvgPool || op == Op::kAvgPoolGrad;
}

// Images of [n,c,1,1] lie alike in both layouts.
Status CheckPool(const Graph& g, const Node& n, const kernels::Pool& p) {
  std::vector<ValueId> values = n.in;
  values.push_back(n.out[0]);
  for (ValueId v : values) {
    const Value& x = g.value(v);
    const bool flat = x.shape[2] * x.shape[3] == 1 || x.shape[1] == 1;
    if ((x.dtype == DType::kBF16) != p.bf16 || (!flat && (x.layout == Layout::kNhwc) != p.channels_last))
      return Internal("the operands of " + Describe(g, n) + " differ in layout or number format");
  }
  return {};
}

Status AddPool(const Graph& g, const Node& n, Work* work) {
  const bool grad = n.op == Op::kAvgPoolGrad;
  const Value& x = g.value(grad ? n.out[0] : n.in[0]);
  const Value& y = g.value(grad ? n.in[0] : n.op == Op::kMaxPoolScatter ? n.in[1] : n.out[0]);
  const kernels::Pool p = PoolOf(n, x, y);
  DISTIL_RETURN_IF_ERROR(CheckPool(g, n, p));
  const Op op = n.op;
  AddRun(
      [p, op](const KernelArgs& a, Stream s) {
        switch (op) {
          case Op::kMaxPool: return kernels::MaxPool(p, a.in[0], a.in[1], a.out[0], s);
          case Op::kMaxPoolScatter: return kernels::MaxPoolScatter(p, a.in[0], a.in[1], a.out[0], s);
          case Op::kAvgPool: return kernels::AvgPool(p, a.in[0], a.out[0], s);
          default: return kernels::AvgPoolGrad(p, a.in[0], a.out[0], s);
        }
      },
      work);
  return {};
}

// Kernels that compute read and write row-major f32 and int32.
Status CheckPlain(const Graph& g, const Node& n) {
  std::vector<ValueId> values = n.in;
  values.insert(values.end(), n.out.begin(), n.out.end());
  for (ValueId v : values) {
    const Value& x = g.value(v);
    const bool plain = x.layout == Layout::kPlain || (x.layout == Layout::kNhwc && x.shape[2] * x.shape[3] == 1);
    if (!plain || (!x.index && x.dtype != DType::kF32))
      return Internal("an operand of " + Describe(g, n) + " is not row-major f32");
  }
  return {};
}

}  // namespace

Operand OperandFor(const Value& v) {
  Operand o = OperandOf(v);
  if (v.index) o.dtype = DType::kI32;
  return o;
}

Status AddBody(const FusedBody& body, const std::vector<Operand>& in, const std::vector<Operand>& out, Work* work) {
  FusedPlan plan;
  DISTIL_RETURN_IF_ERROR(PlanFused(body, in, out, &plan));
  work->workspace = plan.workspace;
  for (Pass& p : plan.passes) work->steps.push_back({std::make_shared<Pass>(std::move(p)), nullptr});
  for (size_t o = 0; o < out.size(); ++o)
    for (size_t i = 0; i < in.size(); ++i)
      if (MayShare(body, in[i], out[o], body.outs[o].reduce))
        work->aliases.emplace_back(static_cast<int>(i), static_cast<int>(o));
  return {};
}

Status MakeWork(const Graph& g, const Node& n, Work* work) {
  *work = {};
  auto in = [&](size_t i) -> const Value& { return g.value(n.in[i]); };
  if (n.op == Op::kFused) {
    std::vector<Operand> from, to;
    for (ValueId v : n.in) from.push_back(OperandFor(g.value(v)));
    for (ValueId v : n.out) to.push_back(OperandFor(g.value(v)));
    return AddBody(*n.fused, from, to, work);
  }
  if (IsPointwise(n.op)) return AddPointwise(g, n, work);
  if (IsPool(n.op)) return AddPool(g, n, work);
  DISTIL_RETURN_IF_ERROR(MakeMove(g, n, work));
  if (!work->steps.empty() || n.out.empty()) return {};
  const Value& y = g.value(n.out[0]);
  switch (n.op) {
    case Op::kSum: return AddReduction(in(0), y, FusedBody::kSum, work);
    case Op::kMaxReduce: return AddReduction(in(0), y, FusedBody::kMax, work);
    case Op::kConstant: return AddConstant(n.reals[0], y, work);
    case Op::kGather: AddGather(in(0), in(1), work); break;
    case Op::kRank: DISTIL_RETURN_IF_ERROR(AddRank(in(0), work)); break;
    case Op::kScatterAdd: AddScatterAdd(in(0), y, work); break;
    case Op::kRandom: AddRandom(n, y, work); break;
    case Op::kData: DISTIL_RETURN_IF_ERROR(AddData(n, work)); break;
    case Op::kIota: {
      const int64_t elements = y.shape.elements(), row = y.shape.rank() ? y.shape[y.shape.rank() - 1] : 1;
      AddRun([=](const KernelArgs& a, Stream s) { return kernels::Iota(Out(a), elements, row, s); }, work);
      break;
    }
    default: return {};
  }
  return CheckPlain(g, n);
}

}  // namespace distil::cuda
