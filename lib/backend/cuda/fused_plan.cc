#include "lib/backend/cuda/fused_plan.h"

#include <algorithm>
#include <bit>
#include <map>

namespace distil::cuda {
namespace {

constexpr int64_t kMaxBlocks = (int64_t{1} << 31) - 1;
// Blocks that fill a large GPU, and how many partial results a second pass should have to read.
constexpr int64_t kFillingBlocks = 512, kMaxSplits = 512, kMaxPartials = 1 << 16;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
int PowerOfTwo(int64_t n, int most) {
  return static_cast<int>(std::bit_ceil(static_cast<uint64_t>(std::clamp<int64_t>(n, 1, most))));
}

// ---- Axes

// The space's axes in the order of the leader's memory.
std::vector<Axis> Arrange(const Shape& space, const std::vector<const Operand*>& operands, int leader,
                          const std::vector<bool>& reduced) {
  std::vector<size_t> order;
  for (int d = 0; d < space.rank(); ++d)
    if (space[d] > 1) order.push_back(static_cast<size_t>(d));
  if (leader >= 0) {
    const std::vector<int64_t>& stride = operands[static_cast<size_t>(leader)]->stride;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return stride[a] > stride[b]; });
  }
  std::vector<Axis> axes;
  for (size_t d : order) {
    axes.push_back({space[static_cast<int>(d)], reduced[d], {}});
    for (const Operand* o : operands) axes.back().stride.push_back(o->stride[d]);
  }
  if (axes.empty()) axes.push_back({1, false, std::vector<int64_t>(operands.size(), 0)});
  return axes;
}

// Makes one axis of two that lie behind one another in every memory.
void Merge(std::vector<Axis>* axes) {
  std::vector<Axis> merged;
  for (const Axis& inner : *axes) {
    bool same = !merged.empty() && merged.back().reduced == inner.reduced;
    for (size_t k = 0; same && k < inner.stride.size(); ++k)
      same = merged.back().stride[k] == inner.stride[k] * inner.size;
    if (!same) {
      merged.push_back(inner);
      continue;
    }
    merged.back().size *= inner.size;
    merged.back().stride = inner.stride;
  }
  *axes = std::move(merged);
}

// The first operand that covers the space, results before operands: its order is that of the axes.
int Leader(const Shape& space, const std::vector<const Operand*>& operands, size_t inputs,
           const std::vector<FusedBody::Reduce>& reduce) {
  auto covers = [&](const Operand& o) {
    for (int d = 0; d < space.rank(); ++d)
      if (space[d] > 1 && o.stride[static_cast<size_t>(d)] == 0) return false;
    return true;
  };
  for (size_t k = inputs; k < operands.size(); ++k)
    if (reduce[k - inputs] == FusedBody::kStore) return static_cast<int>(k);
  for (size_t k = 0; k < inputs; ++k)
    if (covers(*operands[k])) return static_cast<int>(k);
  return -1;
}

// ---- One pass

// Keeps only the instructions and memories that the sinks need.
void Trim(Pass* p) {
  std::vector<bool> needed(p->code.size(), false);
  for (const Sink& s : p->sinks) needed[static_cast<size_t>(s.instr)] = true;
  for (size_t i = p->code.size(); i-- > 0;)
    if (needed[i] && p->code[i].kind == FusedBody::kOp)
      for (int k = 0; k < Arity(p->code[i].op); ++k) needed[static_cast<size_t>(p->code[i].arg[k])] = true;

  std::vector<int32_t> instr(p->code.size(), -1);
  std::map<int, int> memory;  // old to new
  std::vector<int> kept;
  auto move = [&](int old) {
    const auto [it, fresh] = memory.try_emplace(old, static_cast<int>(kept.size()));
    if (fresh) kept.push_back(old);
    return it->second;
  };
  std::vector<FusedBody::Instr> code;
  for (size_t i = 0; i < p->code.size(); ++i) {
    if (!needed[i]) continue;
    FusedBody::Instr c = p->code[i];
    if (c.kind == FusedBody::kLoad) c.arg[0] = move(c.arg[0]);
    if (c.kind == FusedBody::kOp)
      for (int k = 0; k < Arity(c.op); ++k) c.arg[k] = instr[static_cast<size_t>(c.arg[k])];
    instr[i] = static_cast<int32_t>(code.size());
    code.push_back(c);
  }
  p->code = std::move(code);
  for (Sink& s : p->sinks) s = {instr[static_cast<size_t>(s.instr)], s.reduce, move(s.memory)};
  std::vector<Memory> memories;
  for (int k : kept) memories.push_back(p->memory[static_cast<size_t>(k)]);
  p->memory = std::move(memories);
  for (Axis& a : p->axes) {
    std::vector<int64_t> stride;
    for (int k : kept) stride.push_back(a.stride[static_cast<size_t>(k)]);
    a.stride = std::move(stride);
  }
}

// The most values that are alive at once when all loads come first.
int64_t Live(const Pass& p) {
  std::vector<size_t> last(p.code.size(), 0);
  int64_t live = 0, most = 0;
  for (size_t i = 0; i < p.code.size(); ++i) {
    if (p.code[i].kind == FusedBody::kLoad) ++live;
    if (p.code[i].kind == FusedBody::kOp)
      for (int k = 0; k < Arity(p.code[i].op); ++k) last[static_cast<size_t>(p.code[i].arg[k])] = i;
  }
  for (const Sink& s : p.sinks) last[static_cast<size_t>(s.instr)] = p.code.size();
  most = live;
  for (size_t i = 0; i < p.code.size(); ++i) {
    if (p.code[i].kind != FusedBody::kOp) continue;
    most = std::max(most, ++live);
    for (size_t k = 0; k < i; ++k) live -= last[k] == i;
  }
  return most;
}

bool IsFlat(const Pass& p) {
  if (p.reduces() || p.axes.size() != 1) return false;
  return std::all_of(p.axes[0].stride.begin(), p.axes[0].stride.end(), [](int64_t s) { return s == 0 || s == 1; });
}

// Lanes: 16 bytes of the narrowest operand that lies along the last axis; as few as registers and the extent ask for.
void ChooseLanes(Pass* p) {
  const int64_t live = Live(*p), addresses = 2 * static_cast<int64_t>(p->memory.size());
  int most = 1;
  bool narrow = false;
  for (size_t k = 0; k < p->memory.size(); ++k) {
    const Sink* sink = nullptr;
    for (const Sink& s : p->sinks)
      if (s.memory == static_cast<int>(k)) sink = &s;
    if (p->axes.back().stride[k] != 1 || (sink && sink->reduce != FusedBody::kStore)) continue;
    most = 4;
    narrow = narrow || p->memory[k].dtype == DType::kBF16;
  }
  if (narrow) most = 8;
  while (most > 1 && (most * live + addresses > 160 || (!p->flat && p->axes.back().size % most))) most /= 2;
  p->lanes = most;
  int64_t bytes = 0;  // that a thread has on the way
  for (const FusedBody::Instr& c : p->code)
    if (c.kind == FusedBody::kLoad && p->axes.back().stride[static_cast<size_t>(c.arg[0])])
      bytes += p->lanes * static_cast<int64_t>(DTypeSize(p->memory[static_cast<size_t>(c.arg[0])].dtype));
  while (p->unroll < 4 && bytes * p->unroll < 32 && 2 * p->unroll * p->lanes * live + addresses <= 96) p->unroll *= 2;
}

void ChooseThreads(Pass* p) {
  const int64_t kept = p->Groups(false), reduced = p->Groups(true);
  if (!p->reduces()) {
    p->blocks = CeilDiv(kept, int64_t{kThreads} * p->unroll);
    return;
  }
  if (p->last_reduced()) {  // rows: a warp each when there are many, else a block
    p->reduced_threads = PowerOfTwo(reduced, 32);
    if (reduced > 32 && (kept < 4096 || reduced > 1024)) p->reduced_threads = PowerOfTwo(reduced, kThreads);
    p->kept_threads = kThreads / p->reduced_threads;
  } else {  // columns: 32 groups of them side by side
    p->kept_threads = PowerOfTwo(kept, 32);
    p->reduced_threads = PowerOfTwo(reduced, kThreads / p->kept_threads);
    p->kept_threads = kThreads / p->reduced_threads;
  }
  p->blocks = CeilDiv(kept, p->kept_threads);
  p->chunk = reduced;
  const int64_t step = int64_t{p->reduced_threads} * p->unroll;
  const int64_t useful =
      std::min({kFillingBlocks / p->blocks, CeilDiv(reduced, 4 * step), kMaxSplits, kMaxPartials / p->Count(false)});
  if (useful < 2) return;
  p->chunk = CeilDiv(CeilDiv(reduced, useful), step) * step;
  p->splits = CeilDiv(reduced, p->chunk);
}

Status ChooseWidth(Pass* p) {
  // Indices run up to a whole block past the end.
  int64_t most = p->Count(false) + 2 * kThreads * p->unroll * p->lanes;
  most = std::max(most, p->Count(true) + 2 * kThreads * p->unroll * p->lanes);
  for (size_t k = 0; k < p->memory.size(); ++k) {
    int64_t end = 0;
    for (const Axis& a : p->axes) end += (a.size - 1) * a.stride[k];
    most = std::max(most, end);
  }
  p->wide = most >= int64_t{1} << 31;
  if (p->blocks > kMaxBlocks) return Unsupported("a fused node has more elements than a kernel can have threads for");
  return {};
}

Status Finish(Pass p, FusedPlan* plan) {
  Trim(&p);
  Merge(&p.axes);
  p.flat = IsFlat(p);
  ChooseLanes(&p);
  ChooseThreads(&p);
  DISTIL_RETURN_IF_ERROR(ChooseWidth(&p));
  plan->passes.push_back(std::move(p));
  return {};
}

// ---- Reductions over several blocks

// The pass that combines what the splits of `p` leave, which go to the workspace instead.
Pass Combine(Pass* p, FusedPlan* plan) {
  Pass second;
  const int64_t kept = p->Count(false);
  std::vector<std::pair<int, int>> slots;  // of the second pass's memories: partial, result
  second.axes.push_back({p->splits, true, {}});
  for (const Axis& a : p->axes)
    if (!a.reduced) second.axes.push_back({a.size, false, {}});
  std::vector<int64_t> row(second.axes.size(), 0);  // strides of a row of partial results
  int64_t run = 1;
  for (size_t d = second.axes.size(); d-- > 1; run *= second.axes[d].size) row[d] = run;
  row[0] = kept;

  for (Sink& s : p->sinks) {
    if (s.reduce == FusedBody::kStore) continue;
    const auto from = static_cast<int32_t>(second.memory.size());
    const Memory partial{Memory::kWorkspace, 0, static_cast<int64_t>(plan->workspace / sizeof(float)), DType::kF32};
    plan->workspace += static_cast<size_t>((p->splits * kept + 63) / 64 * 64) * sizeof(float);
    second.memory.push_back(partial);
    second.memory.push_back(p->memory[static_cast<size_t>(s.memory)]);
    second.sinks.push_back({static_cast<int32_t>(second.code.size()), s.reduce, from + 1});
    second.code.push_back({FusedBody::kLoad, Op::kInput, {from, 0, 0}, 0});
    size_t d = 1;
    second.axes[0].stride.insert(second.axes[0].stride.end(), {row[0], 0});
    for (Axis& a : p->axes) {
      int64_t& result = a.stride[static_cast<size_t>(s.memory)];
      if (a.reduced) continue;
      second.axes[d].stride.insert(second.axes[d].stride.end(), {row[d], result});
      result = row[d++];
    }
    p->memory[static_cast<size_t>(s.memory)] = partial;
  }
  return second;
}

}  // namespace

Operand OperandOf(const Value& v) {
  const Shape& s = v.shape;
  Operand o{v.dtype, std::vector<int64_t>(static_cast<size_t>(s.rank()), 0), 0};
  std::vector<int> order;  // axes from the fastest
  for (int d = s.rank() - 1; d >= 0; --d) order.push_back(d);
  // Channels last are all axes between the first and the last two: a channel shuffle has two of them.
  if (v.layout == Layout::kNhwc && s.rank() >= 4) std::rotate(order.begin(), order.begin() + 2, order.end() - 1);
  int64_t run = 1;
  for (int d : order) {
    o.stride[static_cast<size_t>(d)] = s[d] == 1 ? 0 : run;
    run *= s[d];
  }
  return o;
}

bool Pass::reduces() const {
  return std::any_of(sinks.begin(), sinks.end(), [](const Sink& s) { return s.reduce != FusedBody::kStore; });
}

int64_t Pass::Count(bool reduced) const {
  int64_t n = 1;
  for (const Axis& a : axes)
    if (a.reduced == reduced) n *= a.size;
  return n;
}

int64_t Pass::Groups(bool reduced) const {
  return last_reduced() == reduced ? CeilDiv(Count(reduced), lanes) : Count(reduced);
}

bool Pass::Vector(int k) const {
  const auto m = static_cast<size_t>(k);
  if (lanes == 1 || axes.back().stride[m] != 1 || memory[m].offset % lanes) return false;
  for (size_t d = 0; d + 1 < axes.size(); ++d)
    if (axes[d].stride[m] % lanes) return false;
  return true;
}

Status PlanFused(const FusedBody& body, const std::vector<Operand>& in, const std::vector<Operand>& out,
                 FusedPlan* plan) {
  std::vector<const Operand*> operands;
  std::vector<Memory> memory;
  std::vector<FusedBody::Reduce> reduce;
  for (size_t i = 0; i < in.size(); ++i) {
    operands.push_back(&in[i]);
    memory.push_back({Memory::kIn, static_cast<int>(i), in[i].offset, in[i].dtype});
  }
  for (size_t o = 0; o < out.size(); ++o) {
    operands.push_back(&out[o]);
    memory.push_back({Memory::kOut, static_cast<int>(o), out[o].offset, out[o].dtype});
    reduce.push_back(body.outs[o].reduce);
  }
  const int leader = Leader(body.space, operands, in.size(), reduce);

  // Sinks by the axes that they reduce. A reduction over nothing is a store.
  using Axes = std::vector<bool>;
  std::map<Axes, std::vector<Sink>> passes;
  std::vector<Sink> stores;
  for (size_t o = 0; o < out.size(); ++o) {
    const FusedBody::Out& b = body.outs[o];
    Axes axes;
    for (int d = 0; d < body.space.rank(); ++d)
      axes.push_back(b.reduce != FusedBody::kStore && body.space[d] > 1 && b.shape[d] == 1);
    const bool any = std::find(axes.begin(), axes.end(), true) != axes.end();
    const Sink sink{b.instr, any ? b.reduce : FusedBody::kStore, static_cast<int>(in.size() + o)};
    (any ? passes[axes] : stores).push_back(sink);
  }
  if (passes.empty()) passes[Axes(static_cast<size_t>(body.space.rank()), false)] = {};
  for (auto& [axes, sinks] : passes) {
    if (axes == passes.rbegin()->first) sinks.insert(sinks.end(), stores.begin(), stores.end());
    Pass p;
    p.code = body.code;
    p.memory = memory;
    p.sinks = sinks;
    p.axes = Arrange(body.space, operands, leader, axes);
    DISTIL_RETURN_IF_ERROR(Finish(std::move(p), plan));
    if (plan->passes.back().splits > 1) {
      Pass second = Combine(&plan->passes.back(), plan);
      DISTIL_RETURN_IF_ERROR(Finish(std::move(second), plan));
    }
  }
  return {};
}

bool MayShare(const FusedBody& body, const Operand& in, const Operand& out, FusedBody::Reduce reduce) {
  if (reduce != FusedBody::kStore || in.dtype != out.dtype || in.offset != out.offset) return false;
  for (int d = 0; d < body.space.rank(); ++d)
    if (const auto i = static_cast<size_t>(d);
        body.space[d] > 1 && (in.stride[i] == 0 || in.stride[i] != out.stride[i]))
      return false;
  return true;
}

}  // namespace distil::cuda
