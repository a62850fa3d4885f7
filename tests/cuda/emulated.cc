// The CUDA backend on the host: the work that it gives a GPU, done by the interpreter of PTX and by the kernels of
// lib/backend/cuda/kernels compiled for the host. Linking this library adds "cuda_emulated" and "cuda_emulated_bf16" to
// TestBackends(), so that tests of backends test the code that a GPU runs.
//
// What other libraries compute on a GPU, convolutions and matrix products, the reference computes in f32. Layouts are
// those that try our kernels most: images channels-last wherever an op is ours, in bf16 where they may be.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "lib/backend/cuda/batch.h"
#include "lib/backend/cuda/fused_code.h"
#include "lib/backend/cuda/hazards.h"
#include "lib/backend/cuda/work.h"
#include "lib/expr/lower.h"
#include "lib/graph/fold.h"
#include "lib/graph/fuse.h"
#include "tests/cuda/ptx_interpreter.h"
#include "tests/ops/harness.h"

namespace distil {
namespace cuda {
namespace {

bool IsPool(Op op) {
  return op == Op::kMaxPool || op == Op::kMaxPoolScatter || op == Op::kAvgPool || op == Op::kAvgPoolGrad;
}
bool Spatial(const Shape& s) { return s.rank() == 4 && s[1] * s[2] * s[3] > 1; }

class Layouts {
 public:
  Layouts(const Graph& from, bool bf16) : from_(from), bf16_(bf16), map_(from.value_count(), kNoValue) {}

  Graph Run() {
    for (NodeId id : LiveNodes(from_)) {
      Node n = from_.node(id);
      const bool images = n.op == Op::kFused || IsPool(n.op);
      DType type = DType::kF32;
      if (IsPool(n.op) && bf16_ && to_.value(map_[n.in[0]]).dtype == DType::kBF16) type = DType::kBF16;
      for (ValueId& v : n.in) {
        if (n.op == Op::kFused)
          v = map_[v];
        else
          v = Want(v, IsPool(n.op) ? Layout::kNhwc : Layout::kPlain, type);
      }
      const NodeId made = to_.Add(n);
      if (made == ~0u) break;
      for (size_t o = 0; o < n.out.size(); ++o) {
        const ValueId v = map_[n.out[o]] = to_.node(made).out[o];
        Value& value = to_.mutable_value(v);
        const bool store = n.op == Op::kFused && n.fused->outs[o].reduce == FusedBody::kStore;
        if (value.index || !images || !Spatial(value.shape) || (n.op == Op::kFused && !store)) continue;
        value.layout = Layout::kNhwc;
        value.dtype = n.op == Op::kFused && bf16_ && from_.value(n.out[o]).low ? DType::kBF16 : type;
      }
    }
    for (auto& [name, v] : from_.outputs()) to_.Output(name, Want(v, Layout::kPlain, DType::kF32));
    for (auto& [var, v] : from_.assigns()) to_.Assign(var, Want(v, Layout::kPlain, DType::kF32));
    if (!from_.ok()) to_.Fail(from_.error());
    return std::move(to_);
  }

 private:
  ValueId Want(ValueId v, Layout layout, DType type) {
    const ValueId have = map_[v];
    const Value value = to_.value(have);
    if (!Spatial(value.shape)) layout = Layout::kPlain;
    if (value.index || (value.layout == layout && value.dtype == type)) return have;
    const ValueId made =
        to_.AddValue(Op::kReorder, {have}, {static_cast<int64_t>(layout), static_cast<int64_t>(type)});
    if (made != kNoValue) to_.mutable_value(made).layout = layout, to_.mutable_value(made).dtype = type;
    return made;
  }

  const Graph& from_;
  bool bf16_;
  std::vector<ValueId> map_;
  Graph to_;
};

class EmulatedKernel : public Kernel {
 public:
  EmulatedKernel(Work work, std::vector<size_t> in, std::vector<size_t> out)
      : work_(std::move(work)), in_(std::move(in)), out_(std::move(out)) {
    for (const Step& s : work_.steps) code_.push_back(s.pass ? std::make_unique<PtxKernel>(FusedCode(*s.pass)) : nullptr);
    if (const Pass* p = flat()) many_text_ = FusedCode(*p, true), many_ = std::make_unique<PtxKernel>(many_text_);
  }
  size_t workspace() const override { return work_.workspace; }
  bool MayAlias(int in, int out) const override {
    return std::find(work_.aliases.begin(), work_.aliases.end(), std::pair(in, out)) != work_.aliases.end();
  }
  void Run(const KernelArgs& a) override {
    for (size_t i = 0; i < work_.steps.size(); ++i) {
      const Step& s = work_.steps[i];
      if (!s.pass) {
        const kernels::Error e = s.run(a, nullptr);
        EXPECT_EQ(e, nullptr) << e;
        continue;
      }
      EXPECT_EQ(code_[i]->Run(s.pass->blocks, s.pass->splits, FusedArguments(*s.pass, a), Regions(a)), "");
    }
  }

  // Of a node that may run together with others.
  const Pass* flat() const {
    const bool alone = work_.steps.size() == 1 && work_.steps[0].pass && work_.steps[0].pass->flat;
    return alone && work_.steps[0].pass->Count(false) <= kBatchElements ? work_.steps[0].pass.get() : nullptr;
  }
  std::string_view many_text() const { return many_text_; }
  static void RunMany(const std::vector<std::pair<const EmulatedKernel*, KernelArgs>>& nodes) {
    BatchTable table;
    std::vector<Region> regions;
    for (auto& [k, a] : nodes) {
      table.Add(FusedArguments(*k->flat(), a), k->flat()->blocks);
      for (const Region& r : k->Regions(a)) regions.push_back(r);
    }
    regions.push_back({table.rows.data(), table.rows.size() * sizeof(uint64_t), false});
    regions.push_back({table.blocks.data(), table.blocks.size() * sizeof(uint32_t), false});
    EXPECT_EQ(nodes[0].first->many_->Run(table.block_count(), 1,
                                         {reinterpret_cast<uint64_t>(table.rows.data()),
                                          reinterpret_cast<uint64_t>(table.blocks.data())},
                                         regions),
              "");
  }

 private:
  std::vector<Region> Regions(const KernelArgs& a) const {
    std::vector<Region> r;
    // Outputs first: one may have taken the memory of an input.
    for (size_t o = 0; o < out_.size(); ++o) r.push_back({a.out[o], out_[o]});
    for (size_t i = 0; i < in_.size(); ++i) r.push_back({a.in[i], in_[i], false});
    r.push_back({a.workspace, work_.workspace});
    return r;
  }

  Work work_;
  std::vector<size_t> in_, out_;
  std::vector<std::unique_ptr<PtxKernel>> code_;
  std::string many_text_;
  std::unique_ptr<PtxKernel> many_;
};

class CopyKernel : public Kernel {
 public:
  explicit CopyKernel(size_t bytes) : bytes_(bytes) {}
  void Run(const KernelArgs& a) override { std::memcpy(a.out[0], a.in[0], bytes_); }

 private:
  size_t bytes_;
};

class Emulated : public Backend {
 public:
  std::string_view name() const override { return "cuda_emulated"; }
  std::string description() const override { return "the CUDA backend's kernels on the host"; }
  int reuse_distance() const override { return 64; }

  Status Optimize(Graph* g, const CompileOptions& options) override {
    *g = Lower(*g, [](const Node&) { return false; });
    *g = Fuse(Fold(*g));
    *g = Layouts(*g, options.bf16).Run();
    return g->ok() ? Status() : InvalidArgument(g->error());
  }
  Status MakeKernel(const Graph& g, NodeId id, std::unique_ptr<Kernel>* out) override {
    const Node& n = g.node(id);
    Work work;
    DISTIL_RETURN_IF_ERROR(MakeWork(g, n, &work));
    if (work.steps.empty()) return reference_->MakeKernel(g, id, out);
    std::vector<size_t> in_bytes, out_bytes;
    for (ValueId v : n.in) in_bytes.push_back(Bytes(g, v));
    for (ValueId v : n.out) out_bytes.push_back(Bytes(g, v));
    *out = std::make_unique<EmulatedKernel>(std::move(work), in_bytes, out_bytes);
    return {};
  }
  std::unique_ptr<Kernel> MakeCopy(size_t bytes) override { return std::make_unique<CopyKernel>(bytes); }
  size_t Bytes(const Graph& g, ValueId v) const override {
    return static_cast<size_t>(g.value(v).shape.elements()) * DTypeSize(g.value(v).dtype);
  }
  Status Allocate(size_t bytes, Buffer* out) override { return AllocateHost({}, bytes, out); }
  Status Upload(void* device, const void* host, size_t bytes) override {
    std::memcpy(device, host, bytes);
    return {};
  }
  Status Download(void* host, const void* device, size_t bytes) override {
    std::memcpy(host, device, bytes);
    return {};
  }

  // Small launches of equal code together, as on a GPU.
  Status Execute(std::span<const Launch> launches, std::shared_ptr<void>*) override {
    std::vector<Access> accesses;
    std::vector<std::string_view> keys;
    for (const Launch& l : launches) {
      Access a;
      for (size_t i = 0; i < l.in_bytes.size(); ++i) a.reads.push_back({l.in[i], l.in_bytes[i]});
      for (size_t i = 0; i < l.out_bytes.size(); ++i) a.writes.push_back({l.out[i], l.out_bytes[i]});
      a.writes.push_back({l.workspace, l.kernel->workspace()});
      accesses.push_back(a);
      const auto* k = dynamic_cast<const EmulatedKernel*>(l.kernel);
      keys.push_back(k && launches.size() > 1 ? k->many_text() : std::string_view());
    }
    for (const std::vector<int>& group : Batch(keys, Dependencies(accesses))) {
      std::vector<std::pair<const EmulatedKernel*, KernelArgs>> nodes;
      for (int i : group) {
        const Launch& l = launches[static_cast<size_t>(i)];
        const KernelArgs args{l.in.data(), l.out.data(), l.workspace};
        if (group.size() == 1)
          l.kernel->Run(args);
        else
          nodes.emplace_back(static_cast<const EmulatedKernel*>(l.kernel), args);
      }
      if (!nodes.empty()) EmulatedKernel::RunMany(nodes);
    }
    return {};
  }

 private:
  std::unique_ptr<Backend> reference_ = MakeReferenceBackend({}, DType::kF32);
};

}  // namespace
}  // namespace cuda

void AddTestBackends(std::vector<TestBackend>* all) {
  auto make = []() -> std::unique_ptr<Backend> { return std::make_unique<cuda::Emulated>(); };
  all->push_back({"cuda_emulated", make, false, std::numeric_limits<float>::epsilon()});
  all->push_back({"cuda_emulated_bf16", make, true, 1.0 / 128});
}

}  // namespace distil
