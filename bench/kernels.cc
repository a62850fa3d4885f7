// The kernels of the CPU backend one by one: loop engine, pooling, convolution, matmul, weight reorders.
//
//   OMP_NUM_THREADS=1 ./bazelw run //bench:kernels -- --benchmark_filter=Norm
//
// bytes_per_second is memory traffic as it would be without caches: every operand read once, every result written once.
// `of_copy` is its ratio to what copying a large array reaches in the same run, with reads and writes counted alike.
// flops: multiplications and additions. Time is that of the calling thread's processor, so that a busy machine disturbs
// it less; kernels share their work equally between threads.
#include <benchmark/benchmark.h>
#include <omp.h>

#include <cstring>
#include <functional>
#include <string>

#include "lib/backend/onednn/loops.h"
#include "lib/backend/onednn/pool.h"
#include "lib/backend/onednn/primitives.h"
#include "lib/backend/onednn/rows.h"
#include "lib/backend/onednn/vector_ops.h"
#include "lib/backend/onednn/winograd.h"
#include "lib/backend/onednn/winograd_ops.h"

namespace distil::onednn {
namespace {

int Threads() { return omp_get_max_threads(); }

// 64-byte aligned numbers of size 1/2 to 1, both as f32 and as bf16.
class Memory {
 public:
  explicit Memory(size_t bytes) {
    const Status s = AllocateHost({}, bytes + 64, &buffer_);
    if (!s.ok()) std::abort();
    auto* p = static_cast<uint16_t*>(buffer_.data);
    for (size_t i = 0; i < bytes / 2; ++i) p[i] = static_cast<uint16_t>(0x3f00 | (i * 40503 >> 4 & 0x7f));
  }
  void* data() const { return buffer_.data; }

 private:
  Buffer buffer_;
};

// Bytes per second, reads and writes together, of copying 64 MiB with all threads.
double CopyRate() {
  static const double rate = [] {
    constexpr int64_t kBytes = 64 << 20, kPart = 1 << 16;
    const Memory from(kBytes), to(kBytes);
    double best = 0;
    for (int run = 0; run < 8; ++run) {
      timespec begin{}, end{};
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
#pragma omp parallel for schedule(static)
      for (int64_t i = 0; i < kBytes; i += kPart)
        std::memcpy(static_cast<char*>(to.data()) + i, static_cast<const char*>(from.data()) + i, kPart);
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
      const double seconds =
          static_cast<double>(end.tv_sec - begin.tv_sec) + static_cast<double>(end.tv_nsec - begin.tv_nsec) * 1e-9;
      best = std::max(best, 2.0 * kBytes / seconds);
    }
    return best;
  }();
  return rate;
}

void RunKernel(benchmark::State& state, Kernel* kernel, const std::vector<size_t>& in, const std::vector<size_t>& out,
               double flops = 0) {
  std::vector<Memory> memory;
  std::vector<const void*> from;
  std::vector<void*> to;
  double bytes = 0;
  for (size_t b : in) {  // 0: the same as the first
    memory.emplace_back(b);
    from.push_back(b ? memory.back().data() : from[0]);
    bytes += static_cast<double>(b);
  }
  for (size_t b : out) {  // 0: in place of the last input
    memory.emplace_back(b);
    to.push_back(b ? memory.back().data() : const_cast<void*>(from.back()));
    bytes += static_cast<double>(b ? b : in.back());
  }
  const Memory workspace(kernel->workspace());
  const double copy = CopyRate();
  for (auto _ : state) kernel->Run({from.data(), to.data(), workspace.data()});
  const double runs = static_cast<double>(state.iterations());
  state.SetBytesProcessed(static_cast<int64_t>(bytes * runs));
  state.counters["of_copy"] = benchmark::Counter(bytes * runs / copy, benchmark::Counter::kIsRate);
  if (flops > 0) state.counters["flops"] = benchmark::Counter(flops * runs, benchmark::Counter::kIsRate);
}

void Add(const std::string& name, std::function<void(benchmark::State&)> run) {
  benchmark::RegisterBenchmark(name.c_str(), [run = std::move(run)](benchmark::State& s) {
    run(s);
  })->Unit(benchmark::kMillisecond);
}

size_t Bytes(const Shape& s, DType type) { return static_cast<size_t>(s.elements()) * DTypeSize(type); }
const char* NameOf(DType t) { return t == DType::kBF16 ? "bf16" : "f32"; }
const char* NameOf(Layout l) { return l == Layout::kBlocked16 ? "blocked16" : l == Layout::kNhwc ? "nhwc" : "plain"; }

// ---- Loop engine

// Straight-line code over operands of two kinds: images, and numbers per channel.
struct LoopCase {
  const char* name;
  std::vector<bool> image;  // of each input
  std::vector<FusedBody::Instr> code;
  std::vector<std::pair<int, FusedBody::Reduce>> outs;
};

FusedBody::Instr Load(int i) { return {FusedBody::kLoad, Op::kInput, {i, 0, 0}, 0}; }
FusedBody::Instr Do(Op op, int a, int b = 0, int c = 0) { return {FusedBody::kOp, op, {a, b, c}, 0}; }

std::vector<LoopCase> LoopCases() {
  using B = FusedBody;
  return {
      {"Copy", {true}, {Load(0)}, {{0, B::kStore}}},
      {"AddRelu", {true, true}, {Load(0), Load(1), Do(Op::kAdd, 0, 1), Do(Op::kRelu, 2)}, {{3, B::kStore}}},
      {"NormMean", {true}, {Load(0)}, {{0, B::kSum}}},
      {"NormVariance", {true, false}, {Load(0), Load(1), Do(Op::kSub, 0, 1), Do(Op::kMul, 2, 2)}, {{3, B::kSum}}},
      {"NormScaleRelu",
       {true, false, false, false},
       {Load(0), Load(1), Load(2), Load(3), Do(Op::kSub, 0, 1), Do(Op::kMul, 4, 2), Do(Op::kAdd, 5, 3),
        Do(Op::kRelu, 6)},
       {{7, B::kStore}}},
      {"NormBackwardSums",
       {true, true, false},
       {Load(0), Load(1), Load(2), Do(Op::kSub, 0, 2), Do(Op::kMul, 1, 3)},
       {{1, B::kSum}, {4, B::kSum}}},
      {"NormBackward",
       {true, true, false, false, false},
       {Load(0), Load(1), Load(2), Load(3), Load(4), Do(Op::kMul, 0, 3), Do(Op::kSub, 1, 5), Do(Op::kSub, 6, 4),
        Do(Op::kMul, 7, 2)},
       {{8, B::kStore}}},
  };
}

void AddLoops() {
  for (const Shape& s : {Shape{64, 32, 32, 32}, Shape{64, 128, 8, 8}}) {
    for (Layout layout : {Layout::kBlocked16, Layout::kNhwc}) {
      for (DType type : {DType::kF32, DType::kBF16}) {
        for (const LoopCase& c : LoopCases()) {
          Add(std::string("Loop/") + c.name + "/" + NameOf(type) + "/" + NameOf(layout) + "/" + s.ToString(),
              [=](benchmark::State& state) {
                FusedBody body;
                body.space = s;
                body.code = c.code;
                const Shape row{1, s[1], 1, 1};
                std::vector<LoopOperand> in, out;
                std::vector<size_t> in_bytes, out_bytes;
                for (bool image : c.image) {
                  in.push_back(image ? LoopOperand{s, layout, type, {}, 0}
                                     : LoopOperand{row, Layout::kPlain, DType::kF32, {}, 0});
                  in_bytes.push_back(Bytes(in.back().shape, in.back().dtype));
                }
                for (auto [instr, reduce] : c.outs) {
                  const bool store = reduce == FusedBody::kStore;
                  body.outs.push_back({instr, reduce, store ? s : row});
                  out.push_back(store ? LoopOperand{s, layout, type, {}, 0}
                                      : LoopOperand{row, Layout::kPlain, DType::kF32, {}, 0});
                  out_bytes.push_back(Bytes(out.back().shape, out.back().dtype));
                }
                RunKernel(state, MakeLoop(body, in, out, Threads(), true).get(), in_bytes, out_bytes);
              });
        }
        Add(std::string("Loop/FromPlain/") + NameOf(type) + "/" + NameOf(layout) + "/" + s.ToString(),
            [=](benchmark::State& state) {
              const auto kernel =
                  MakeStridedCopy(s, {s, Layout::kPlain, DType::kF32, {}, 0}, {s, layout, type, {}, 0}, Threads());
              RunKernel(state, kernel.get(), {Bytes(s, DType::kF32)}, {Bytes(s, type)});
            });
      }
    }
  }
  const Shape z{64, 100}, row{64, 1};
  Add("Loop/SumExp/f32/" + z.ToString(), [=](benchmark::State& state) {
    FusedBody body;
    body.space = z;
    body.code = {Load(0), Load(1), Do(Op::kSub, 0, 1), Do(Op::kExp, 2)};
    body.outs = {{3, FusedBody::kSum, row}};
    auto plain = [](const Shape& s) { return LoopOperand{s, Layout::kPlain, DType::kF32, {}, 0}; };
    RunKernel(state, MakeLoop(body, {plain(z), plain(row)}, {plain(row)}, Threads(), true).get(),
              {Bytes(z, DType::kF32), Bytes(row, DType::kF32)}, {Bytes(row, DType::kF32)});
  });
}

// ---- Pooling

void AddPools() {
  const Shape x{64, 64, 32, 32}, y{64, 64, 16, 16};
  PoolAttrs half;
  for (int i = 0; i < 2; ++i) half.kernel[i] = half.stride[i] = 2;
  for (Layout layout : {Layout::kBlocked16, Layout::kNhwc}) {
    for (DType type : {DType::kF32, DType::kBF16}) {
      for (Op op : {Op::kMaxPool, Op::kMaxPoolScatter, Op::kAvgPool, Op::kAvgPoolGrad}) {
        Add(std::string("Pool/") + std::string(OpName(op)) + "/" + NameOf(type) + "/" + NameOf(layout) + "/" +
                x.ToString(),
            [=](benchmark::State& state) {
              Graph g;
              PoolAttrs a = half;
              std::vector<ValueId> in = {g.Input("a", op == Op::kAvgPoolGrad ? y : x)};
              if (op == Op::kMaxPool) in.push_back(in[0]);
              if (op == Op::kMaxPoolScatter) in.push_back(g.Input("b", y));
              if (op == Op::kAvgPoolGrad) a.size[0] = x[2], a.size[1] = x[3];
              const ValueId out = g.AddValue(op, in, a.Pack());
              for (ValueId v = 0; v < g.value_count(); ++v)
                g.mutable_value(v).layout = layout, g.mutable_value(v).dtype = type;
              std::vector<size_t> bytes;
              for (ValueId v : in) bytes.push_back(Bytes(g.value(v).shape, type));
              if (op == Op::kMaxPool) bytes[1] = 0;  // the same image
              RunKernel(state, MakePool(g, g.producer(out), Threads()).get(), bytes, {Bytes(g.value(out).shape, type)});
            });
      }
    }
  }
}

// ---- What a core can do at most

// Products of matrices that stay in the first-level cache.
class CachedProducts : public Kernel {
 public:
  static constexpr int64_t kDepth = 64, kColumns = 32, kTimes = 1000;
  static constexpr double kFlops = 2.0 * winograd::kRows * kDepth * kColumns * kTimes;
  size_t workspace() const override { return 4 * (winograd::kRows * (kDepth + kColumns) + kDepth * kColumns); }
  void Run(const KernelArgs& args) override {
    auto* a = static_cast<float*>(args.workspace);
    float *b = a + winograd::kRows * kDepth, *c = b + kDepth * kColumns;
    for (int64_t i = 0; i < kTimes; ++i)
      winograd::Multiply(a, kDepth, 1, winograd::kRows, b, kColumns, kDepth, 2, c, kColumns, false);
  }
};

void AddPeak(const Library& library) {
  if (!library.wide()) return;
  Add("Peak/f32", [](benchmark::State& state) {
    CachedProducts kernel;
    RunKernel(state, &kernel, {}, {}, CachedProducts::kFlops);
  });
}

// ---- oneDNN

struct ConvCase {
  int64_t c, o, size, kernel, stride;
};

void AddConvolutions(const Library& library) {
  const ConvCase cases[] = {
      {3, 16, 32, 3, 1},    {16, 16, 32, 3, 1},  {16, 32, 32, 3, 1},  {32, 32, 32, 3, 1},  {32, 64, 32, 3, 1},
      {64, 32, 32, 3, 1},   {64, 64, 32, 3, 1},  {32, 64, 32, 3, 2},  {64, 64, 16, 3, 1},  {64, 128, 16, 3, 2},
      {128, 128, 16, 3, 1}, {128, 128, 8, 3, 1}, {256, 256, 8, 3, 1}, {256, 512, 4, 3, 1}, {512, 512, 4, 3, 1},
      {32, 64, 32, 1, 2},   {64, 128, 16, 1, 2},
  };
  for (const ConvCase& c : cases) {
    ConvAttrs a;
    for (int i = 0; i < 2; ++i) a.stride[i] = c.stride, a.pad[i] = c.kernel / 2;
    const Shape x{64, c.c, c.size, c.size}, w{c.o, c.c, c.kernel, c.kernel},
        y{64, c.o, c.size / c.stride, c.size / c.stride};
    for (ConvKind kind : {ConvKind::kForward, ConvKind::kInput, ConvKind::kWeight}) {
      // "+sum": as in a frozen block, with bias, residual and ReLU.
      for (const char* way :
           {"direct", "direct+sum", "nhwc", "nhwc+sum", "winograd", "winograd+sum", "turned", "rows", "rows+sum",
            "bf16", "bf16+sum", "bf16_nhwc", "bf16_nhwc+sum", "bf16_winograd", "bf16_winograd+sum"}) {
        const std::string text = way;
        const bool block = text.find("+sum") != std::string::npos;
        if (block && (kind != ConvKind::kForward || c.stride != 1)) continue;
        const bool nhwc = text.find("nhwc") != std::string::npos;
        ConvSpec s{kind,
                   x,
                   w,
                   y,
                   a,
                   nhwc || c.c % 16 ? Layout::kNhwc : Layout::kBlocked16,
                   nhwc ? Layout::kNhwc : Layout::kBlocked16,
                   text.rfind("bf16", 0) == 0};
        if (c.c == 3 && !nhwc) s.x_layout = Layout::kPlain;
        if (block) s.attrs.bias = s.attrs.residual = s.attrs.relu = 1;
        const bool winograd = text.find("winograd") != std::string::npos, turned = text == "turned",
                   rows = text.rfind("rows", 0) == 0;
        if ((winograd && !WinogradCan(s)) || (turned && !CanTurn(s)) || (rows && !RowsCan(s))) continue;
        const char* name = kind == ConvKind::kForward ? "Conv"
                           : kind == ConvKind::kInput ? "ConvByInput"
                                                      : "ConvByWeight";
        const double flops = 2.0 * static_cast<double>(y.elements() * c.c * c.kernel * c.kernel);
        const DType type = s.bf16 ? DType::kBF16 : DType::kF32;
        Add(std::string(name) + "/" + x.ToString() + "/" + w.ToString() + "/" + text,
            [=, &library](benchmark::State& state) {
              OpaqueLayout weight;
              std::unique_ptr<Kernel> kernel;
              Status status = library.WeightLayout(turned ? Turned(s) : s, &weight);
              if (status.ok()) status = library.Conv(turned ? Turned(s) : s, &kernel);
              if (winograd) {
                kernel = MakeWinograd(s, Threads());
                weight.bytes = kind == ConvKind::kWeight ? Bytes(w, DType::kF32) : WinogradWeightBytes(w);
              }
              if (rows) kernel = MakeRows(s, Threads());
              if (!status.ok()) return state.SkipWithError(status.message().c_str());
              const size_t xb = Bytes(x, type), yb = Bytes(y, type);
              if (block)
                RunKernel(state, kernel.get(), {xb, weight.bytes, Bytes({c.o}, DType::kF32), yb}, {0}, flops);
              else if (kind == ConvKind::kForward)
                RunKernel(state, kernel.get(), {xb, weight.bytes}, {yb}, flops);
              if (kind == ConvKind::kInput) RunKernel(state, kernel.get(), {yb, weight.bytes}, {xb}, flops);
              if (kind == ConvKind::kWeight) RunKernel(state, kernel.get(), {xb, yb}, {weight.bytes}, flops);
            });
        if (kind == ConvKind::kForward && c.stride == 1 && c.kernel == 3 && (text == "direct" || text == "winograd"))
          Add("WeightReorder/" + w.ToString() + "/" + text, [=, &library](benchmark::State& state) {
            OpaqueLayout weight;
            std::unique_ptr<Kernel> kernel;
            Status status = library.WeightLayout(s, &weight);
            if (status.ok()) status = library.ReorderWeight(w, 1, nullptr, &weight, &kernel);
            if (winograd) {
              kernel = MakeWinogradWeight(w, kind, Threads());
              weight.bytes = WinogradWeightBytes(w);
            }
            if (!status.ok()) return state.SkipWithError(status.message().c_str());
            RunKernel(state, kernel.get(), {Bytes(w, DType::kF32)}, {weight.bytes});
          });
      }
    }
  }
}

void AddMatMuls(const Library& library) {
  const struct {
    int64_t m, k, n;
    bool ta, tb;
  } cases[] = {{64, 128, 100, false, true},
               {64, 100, 128, false, false},
               {100, 64, 128, true, false},
               {64, 8192, 64, false, true},
               {512, 512, 512, false, false}};
  for (const auto& c : cases) {
    const Shape a = c.ta ? Shape{c.k, c.m} : Shape{c.m, c.k}, b = c.tb ? Shape{c.n, c.k} : Shape{c.k, c.n}, y{c.m, c.n};
    Add("MatMul/" + a.ToString() + (c.ta ? "'" : "") + b.ToString() + (c.tb ? "'" : ""),
        [=, &library](benchmark::State& state) {
          std::unique_ptr<Kernel> kernel;
          const Status status = library.MatMul(a, b, y, c.ta, c.tb, &kernel);
          if (!status.ok()) return state.SkipWithError(status.message().c_str());
          RunKernel(state, kernel.get(), {Bytes(a, DType::kF32), Bytes(b, DType::kF32)}, {Bytes(y, DType::kF32)},
                    2.0 * static_cast<double>(c.m * c.k * c.n));
        });
  }
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const Library library;
  AddPeak(library);
  AddLoops();
  AddPools();
  AddConvolutions(library);
  AddMatMuls(library);
  benchmark::AddCustomContext("threads", std::to_string(Threads()));
  benchmark::AddCustomContext("vector_ops", GetVectorOps().isa);
  benchmark::AddCustomContext("onednn", library.version() + " " + library.isa());
  benchmark::AddCustomContext("copy_gb_per_s", std::to_string(CopyRate() * 1e-9));
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace distil::onednn

int main(int argc, char** argv) { return distil::onednn::Main(argc, argv); }
