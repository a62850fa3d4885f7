// The CUDA backend on the host: the work that it gives a GPU, done by the interpreter of PTX and by the kernels of
// lib/backend/cuda/kernels compiled for the host. Linking this library adds "cuda_emulated", "cuda_emulated_nhwc" and
// "cuda_emulated_bf16" to TestBackends(), so that tests of backends test the code that a GPU runs.
//
// Graphs go through the backend's own passes. "cuda_emulated_nhwc" asks for TF32, which the reference does not round
// to, for the layouts that come with it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "lib/backend/cuda/batch.h"
#include "lib/backend/cuda/fused_code.h"
#include "lib/backend/cuda/hazards.h"
#include "lib/backend/cuda/layout.h"
#include "lib/backend/cuda/work.h"
#include "tests/cuda/ptx_interpreter.h"
#include "tests/graph/images.h"
#include "tests/ops/harness.h"

namespace distil {
namespace cuda {
namespace {

// What cuDNN and cuBLASLt compute on a GPU: by the reference in f32, operands being converted before and after.
class ByReference : public Kernel {
 public:
  ByReference(std::unique_ptr<Kernel> kernel, std::vector<Value> in, std::vector<Value> out)
      : kernel_(std::move(kernel)), in_(std::move(in)), out_(std::move(out)) {}
  size_t workspace() const override { return kernel_->workspace(); }
  void Run(const KernelArgs& a) override {
    std::vector<std::vector<float>> values;
    std::vector<const void*> in;
    std::vector<void*> out;
    for (size_t i = 0; i < in_.size(); ++i) {
      values.emplace_back(static_cast<size_t>(in_[i].shape.elements()));
      Each(in_[i], [&](size_t plain, size_t at) { values.back()[plain] = Get(in_[i].dtype, a.in[i], at); });
    }
    for (const Value& v : out_) values.emplace_back(static_cast<size_t>(v.shape.elements()));
    for (size_t i = 0; i < in_.size(); ++i) in.push_back(values[i].data());
    for (size_t o = 0; o < out_.size(); ++o) out.push_back(values[in_.size() + o].data());
    kernel_->Run({in.data(), out.data(), a.workspace});
    for (size_t o = 0; o < out_.size(); ++o)
      Each(out_[o], [&](size_t plain, size_t at) { Set(out_[o].dtype, a.out[o], at, values[in_.size() + o][plain]); });
  }

 private:
  // f(number in row-major order, offset in the value's layout)
  template <class F>
  static void Each(const Value& v, F f) {
    const std::vector<int64_t> stride = OperandOf(v).stride;
    for (int64_t n = 0; n < v.shape.elements(); ++n) {
      int64_t rest = n, at = 0;
      for (int d = v.shape.rank() - 1; d >= 0; --d) {
        at += rest % v.shape[d] * stride[static_cast<size_t>(d)];
        rest /= v.shape[d];
      }
      f(static_cast<size_t>(n), static_cast<size_t>(at));
    }
  }
  static float Get(DType t, const void* p, size_t at) {
    return t == DType::kBF16 ? FromBf16(static_cast<const uint16_t*>(p)[at]) : static_cast<const float*>(p)[at];
  }
  static void Set(DType t, void* p, size_t at, float v) {
    if (t == DType::kBF16)
      static_cast<uint16_t*>(p)[at] = ToBf16(v);
    else
      static_cast<float*>(p)[at] = v;
  }

  std::unique_ptr<Kernel> kernel_;
  std::vector<Value> in_, out_;
};

class EmulatedKernel : public Kernel {
 public:
  EmulatedKernel(Work work, std::vector<size_t> in, std::vector<size_t> out)
      : work_(std::move(work)), in_(std::move(in)), out_(std::move(out)) {
    for (const Step& s : work_.steps)
      code_.push_back(s.pass ? std::make_unique<PtxKernel>(FusedCode(*s.pass)) : nullptr);
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
    EXPECT_EQ(
        nodes[0].first->many_->Run(
            table.block_count(), 1,
            {reinterpret_cast<uint64_t>(table.rows.data()), reinterpret_cast<uint64_t>(table.blocks.data())}, regions),
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
  explicit Emulated(bool tf32) : tf32_(tf32) {}
  std::string_view name() const override { return "cuda_emulated"; }
  std::string description() const override { return "the CUDA backend's kernels on the host"; }
  int reuse_distance() const override { return 64; }

  Status Optimize(Graph* g, const CompileOptions& options) override {
    CompileOptions mine = options;
    mine.tf32 = tf32_;
    return OptimizeGraph([](const ConvSpec&) { return Status(); }, mine, g);
  }
  Status MakeKernel(const Graph& g, NodeId id, std::unique_ptr<Kernel>* out) override {
    const Node& n = g.node(id);
    cuda::Work work;
    DISTIL_RETURN_IF_ERROR(MakeWork(g, n, &work));
    if (work.steps.empty()) {
      std::vector<Value> in, to;
      for (ValueId v : n.in) in.push_back(g.value(v));
      for (ValueId v : n.out) to.push_back(g.value(v));
      std::unique_ptr<Kernel> kernel;
      DISTIL_RETURN_IF_ERROR(reference_->MakeKernel(g, id, &kernel));
      *out = std::make_unique<ByReference>(std::move(kernel), in, to);
      return {};
    }
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
  bool tf32_;
  std::unique_ptr<Backend> reference_ = MakeReferenceBackend({}, DType::kF32);
};

}  // namespace
}  // namespace cuda

void AddTestBackends(std::vector<TestBackend>* all) {
  auto make = []() -> std::unique_ptr<Backend> { return std::make_unique<cuda::Emulated>(false); };
  auto nhwc = []() -> std::unique_ptr<Backend> { return std::make_unique<cuda::Emulated>(true); };
  all->push_back({"cuda_emulated", make, false, std::numeric_limits<float>::epsilon()});
  all->push_back({"cuda_emulated_nhwc", nhwc, false, std::numeric_limits<float>::epsilon()});
  all->push_back({"cuda_emulated_bf16", make, true, 1.0 / 128});
}

}  // namespace distil
