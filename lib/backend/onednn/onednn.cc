// The CPU backend: convolutions and matmuls by oneDNN, pointwise chains and reductions by the loop engine, pooling by
// loops of its own, and the rare rest by the reference kernels.
#include <omp.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <thread>

#include "lib/backend/backend.h"
#include "lib/backend/onednn/layout.h"
#include "lib/backend/onednn/loops.h"
#include "lib/backend/onednn/pool.h"
#include "lib/backend/onednn/primitives.h"
#include "lib/backend/onednn/rows.h"
#include "lib/backend/onednn/vector_ops.h"
#include "lib/backend/onednn/view.h"
#include "lib/backend/onednn/winograd.h"
#include "lib/base/random.h"
#include "lib/expr/lower.h"
#include "lib/graph/fold.h"
#include "lib/graph/fuse.h"
#include "lib/graph/recompute.h"

namespace distil {
namespace onednn {
namespace {

constexpr int64_t kWorthCode = 4096;  // points of a fused node; machine code for less is not worth its memory

// The OpenMP runtime's settings belong to the calling thread: set while distil works, restored after. oneDNN's kernels
// wait for as many threads as they were made for, and for ever when there are fewer: so the runtime may not adjust.
class ThreadScope {
 public:
  explicit ThreadScope(int threads) : threads_(omp_get_max_threads()), dynamic_(omp_get_dynamic()) {
    omp_set_num_threads(threads);
    omp_set_dynamic(0);
  }
  ~ThreadScope() {
    omp_set_num_threads(threads_);
    omp_set_dynamic(dynamic_);
  }

 private:
  int threads_, dynamic_;
};

class Copy : public Kernel {
 public:
  explicit Copy(size_t bytes) : bytes_(bytes) {}
  void Run(const KernelArgs& args) override { std::memcpy(args.out[0], args.in[0], bytes_); }

 private:
  size_t bytes_;
};

LoopOperand Operand(const Value& v) { return {v.shape, v.layout, v.dtype, {}, 0}; }

// Pad and Concat write parts of their output: several strided copies, after clearing it if they leave gaps.
class Assemble : public Kernel {
 public:
  Assemble(size_t clear_bytes, std::vector<std::unique_ptr<Kernel>> parts)
      : clear_bytes_(clear_bytes), parts_(std::move(parts)) {}
  size_t workspace() const override {
    size_t w = 0;
    for (auto& p : parts_) w = std::max(w, p->workspace());
    return w;
  }
  void Run(const KernelArgs& args) override {
    if (clear_bytes_) std::memset(args.out[0], 0, clear_bytes_);
    for (size_t i = 0; i < parts_.size(); ++i) {
      const void* in[] = {args.in[i]};
      parts_[i]->Run({in, args.out, args.workspace});
    }
  }

 private:
  size_t clear_bytes_;
  std::vector<std::unique_ptr<Kernel>> parts_;
};

// Two kernels, with what is between them in the workspace.
class Twice : public Kernel {
 public:
  Twice(std::unique_ptr<Kernel> first, size_t between, std::unique_ptr<Kernel> second)
      : first_(std::move(first)), between_((between + 63) / 64 * 64), second_(std::move(second)) {}
  size_t workspace() const override { return between_ + std::max(first_->workspace(), second_->workspace()); }
  void Run(const KernelArgs& args) override {
    void* const between = args.workspace;
    const void* const in = between;
    void* const rest = static_cast<char*>(args.workspace) + between_;
    first_->Run({args.in, &between, rest});
    second_->Run({&in, args.out, rest});
  }

 private:
  std::unique_ptr<Kernel> first_;
  size_t between_;
  std::unique_ptr<Kernel> second_;
};

// The reference's uniform numbers, with rows shared among threads.
class RandomRows : public Kernel {
 public:
  RandomRows(int64_t rows, int64_t width, uint32_t slot, int threads)
      : rows_(rows), width_(width), slot_(slot), parts_(rows * width < kWorthThreads ? 1 : threads) {}
  void Run(const KernelArgs& args) override {
    const auto *key = static_cast<const int32_t*>(args.in[0]), *ids = static_cast<const int32_t*>(args.in[1]);
    auto* y = static_cast<float*>(args.out[0]);
#pragma omp parallel for schedule(static) num_threads(parts_)
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < width_; j += 4) {
        const auto u = DropoutUniform(key, ids[i], slot_, static_cast<uint32_t>(j / 4));
        std::copy_n(u.data(), std::min<int64_t>(4, width_ - j), y + i * width_ + j);
      }
    }
  }

 private:
  static constexpr int64_t kWorthThreads = 1 << 14;  // numbers
  int64_t rows_, width_;
  uint32_t slot_;
  int parts_;
};

class OneDnn : public Backend {
 public:
  explicit OneDnn(const HostOptions& options)
      : options_(options),
        threads_(std::min(options.threads > 0 ? options.threads : omp_get_max_threads(), omp_get_thread_limit())),
        reference_(MakeReferenceBackend(options, DType::kF32)) {}

  std::string_view name() const override { return "onednn"; }
  std::string description() const override {
    return "onednn " + library_.version() + ", " + library_.isa() + ", " + std::to_string(threads_) +
           (threads_ == 1 ? " thread" : " threads");
  }

  Status Optimize(Graph* g, const CompileOptions& options) override {
    if (options.bf16 && !library_.wide())
      return Unsupported("bf16 needs a processor with AVX-512, oneDNN sees one with " + library_.isa());
    if (options.tf32) return Unsupported("tf32 is a number format of NVIDIA GPUs: this device has f32 and bf16");
    const ThreadScope scope(threads_);
    *g = Lower(*g, [](const Node&) { return false; });
    *g = Fuse(Fold(*g));
    DISTIL_RETURN_IF_ERROR(AssignLayouts(library_, options, threads_, g));
    *g = Recompute(*g);
    return {};
  }

  Status MakeKernel(const Graph& g, NodeId id, std::unique_ptr<Kernel>* out) override {
    const ThreadScope scope(threads_);
    const Node& n = g.node(id);
    auto in = [&](int i) -> const Value& { return g.value(n.in[static_cast<size_t>(i)]); };
    const Value& y = g.value(n.out[0]);
    switch (n.op) {
      case Op::kConv2d:
      case Op::kConv2dInput:
      case Op::kConv2dWeight: {
        const int64_t algorithm = ConvAttrs::Unpack(n.ints).algorithm;
        if (algorithm == kWinograd || algorithm == kWinogradInside) {
          *out = MakeWinograd(SpecOf(g, n), threads_);
          return {};
        }
        if (algorithm == kByRows) {
          *out = MakeRows(SpecOf(g, n), threads_);
          return {};
        }
        if (algorithm == kProduct) {
          *out = MakeProduct(SpecOf(g, n));
          return {};
        }
        if (algorithm == kTurned) return library_.Conv(Turned(SpecOf(g, n)), out);
        const Value& weight = n.op == Op::kConv2dWeight ? y : in(1);
        if (weight.layout != Layout::kOpaque) return reference_->MakeKernel(g, id, out);
        return library_.Conv(SpecOf(g, n), out);
      }
      case Op::kMatMul: return library_.MatMul(in(0).shape, in(1).shape, y.shape, n.ints[0], n.ints[1], out);
      case Op::kFused: {
        std::vector<LoopOperand> a, b;
        for (ValueId v : n.in) a.push_back(Operand(g.value(v)));
        for (ValueId v : n.out) b.push_back(Operand(g.value(v)));
        *out = MakeLoop(*n.fused, a, b, threads_, n.fused->space.elements() >= kWorthCode);
        return *out ? Status() : Internal("a fused node is larger than the loop engine can hold");
      }
      case Op::kReorder: return Reorder(g, n, out);
      case Op::kRandom: {
        const int64_t rows = y.shape[0];
        *out =
            std::make_unique<RandomRows>(rows, y.shape.elements() / rows, static_cast<uint32_t>(n.ints[0]), threads_);
        return {};
      }
      case Op::kMaxPool:
      case Op::kMaxPoolScatter:
      case Op::kAvgPool:
      case Op::kAvgPoolGrad: *out = MakePool(g, n, threads_); return {};
      default: break;
    }
    if (y.index || (!n.in.empty() && in(0).index)) return reference_->MakeKernel(g, id, out);
    switch (n.op) {
      case Op::kTranspose: {
        LoopOperand x{y.shape, Layout::kPlain, in(0).dtype, {}, 0};
        const auto strides = Strides(in(0).shape, in(0).layout);
        for (int64_t p : n.ints) x.strides.push_back(strides[static_cast<size_t>(p)]);
        *out = MakeStridedCopy(y.shape, x, Operand(y), threads_);
        return {};
      }
      case Op::kSlice: {
        const SliceAttrs a = SliceAttrs::Unpack(n.ints);
        *out = MakeStridedCopy(y.shape, Part(a, y.shape, in(0)), Operand(y), threads_);
        return {};
      }
      case Op::kPad: {
        const SliceAttrs a = SliceAttrs::Unpack(n.ints);
        std::vector<std::unique_ptr<Kernel>> parts;
        parts.push_back(MakeStridedCopy(in(0).shape, Operand(in(0)), Part(a, in(0).shape, y), threads_));
        *out = std::make_unique<Assemble>(Bytes(g, n.out[0]), std::move(parts));
        return {};
      }
      case Op::kConcat: {
        std::vector<std::unique_ptr<Kernel>> parts;
        const auto axis = static_cast<size_t>(n.ints[0]);
        int64_t begin = 0;
        for (ValueId v : n.in) {
          const Shape& s = g.value(v).shape;
          const auto rank = static_cast<size_t>(s.rank());
          SliceAttrs a{std::vector<int64_t>(rank, 0), {}, std::vector<int64_t>(rank, 1)};
          a.begin[axis] = begin;
          begin += s[static_cast<int>(axis)];
          parts.push_back(MakeStridedCopy(s, Operand(g.value(v)), Part(a, s, y), threads_));
        }
        *out = std::make_unique<Assemble>(0, std::move(parts));
        return {};
      }
      default: return reference_->MakeKernel(g, id, out);
    }
  }

  std::unique_ptr<Kernel> MakeCopy(size_t bytes) override { return std::make_unique<Copy>(bytes); }

  size_t Bytes(const Graph& g, ValueId id) const override {
    const Value& v = g.value(id);
    if (v.layout == Layout::kOpaque) return g.opaque()[v.opaque].bytes;
    return static_cast<size_t>(v.shape.elements()) * DTypeSize(v.dtype);
  }

  Status Allocate(size_t bytes, Buffer* out) override { return AllocateHost(options_, bytes, out); }
  Status Upload(void* device, const void* host, size_t bytes) override {
    std::memcpy(device, host, bytes);
    return {};
  }
  Status Download(void* host, const void* device, size_t bytes) override {
    std::memcpy(host, device, bytes);
    return {};
  }

  Status Execute(std::span<const Launch> launches, std::shared_ptr<void>*) override {
    // Inside a parallel region of the caller oneDNN would start no threads, and wait for them: a thread outside works.
    if (!omp_in_parallel()) return RunAll(launches);
    Status status;
    std::thread([&] { status = RunAll(launches); }).join();
    return status;
  }

 private:
  Status RunAll(std::span<const Launch> launches) {
    const ThreadScope scope(threads_);
    try {
      for (const Launch& l : launches) l.kernel->Run({l.in.data(), l.out.data(), l.workspace});
    } catch (const std::bad_alloc&) {
      return Status(Code::kOutOfMemory, "oneDNN ran out of memory");
    } catch (const std::exception& e) {
      return Internal(e.what());
    }
    return {};
  }

  // A part of a tensor, which has no blocks, as a copy's operand.
  static LoopOperand Part(const SliceAttrs& a, const Shape& part, const Value& whole) {
    const auto strides = Strides(whole.shape, whole.layout);
    LoopOperand o{part, Layout::kPlain, whole.dtype, {strides.begin(), strides.begin() + whole.shape.rank()}, 0};
    for (size_t i = 0; i < o.strides.size(); ++i) {
      o.offset += a.begin[i] * o.strides[i];
      o.strides[i] *= a.step[i];
    }
    return o;
  }

  Status Reorder(const Graph& g, const Node& n, std::unique_ptr<Kernel>* out) {
    const Value &a = g.value(n.in[0]), &b = g.value(n.out[0]);
    if (a.layout == Layout::kOpaque || b.layout == Layout::kOpaque) {
      const OpaqueLayout* from = a.layout == Layout::kOpaque ? &g.opaque()[a.opaque] : nullptr;
      const OpaqueLayout* to = b.layout == Layout::kOpaque ? &g.opaque()[b.opaque] : nullptr;
      if (to && to->form == kTurnedForm) return TurnWeight(a.shape, to, out);
      if (to && to->form != kLibraryForm) {
        *out = MakeWinogradWeight(b.shape, to->form == kWinogradForm ? ConvKind::kForward : ConvKind::kInput, threads_);
        return {};
      }
      return library_.ReorderWeight(b.shape, n.ints[3], from, to, out);
    }
    if (b.index) {
      *out = std::make_unique<Copy>(Bytes(g, n.out[0]));
      return {};
    }
    *out = MakeStridedCopy(b.shape, Operand(a), Operand(b), threads_);
    return {};
  }

  // [o,c,h,w] to [c,o,h,w] with each kernel turned by 180 degrees, in oneDNN's layout.
  Status TurnWeight(const Shape& w, const OpaqueLayout* to, std::unique_ptr<Kernel>* out) {
    const Shape turned{w[1], w[0], w[2], w[3]};
    const int64_t size = w[2] * w[3];
    const LoopOperand from{turned, Layout::kPlain, DType::kF32, {size, w[1] * size, -w[3], -1}, size - 1};
    auto turn = MakeStridedCopy(turned, from, {turned, Layout::kPlain, DType::kF32, {}, 0}, threads_);
    std::unique_ptr<Kernel> pack;
    DISTIL_RETURN_IF_ERROR(library_.ReorderWeight(turned, 1, nullptr, to, &pack));
    *out = std::make_unique<Twice>(std::move(turn), static_cast<size_t>(w.elements()) * sizeof(float), std::move(pack));
    return {};
  }

  HostOptions options_;
  int threads_;
  Library library_;
  std::unique_ptr<Backend> reference_;
};

}  // namespace
}  // namespace onednn

std::unique_ptr<Backend> MakeOneDnnBackend(const HostOptions& options) {
  return std::make_unique<onednn::OneDnn>(options);
}

}  // namespace distil
