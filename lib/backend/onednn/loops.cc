#include "lib/backend/onednn/loops.h"

#include <omp.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "lib/backend/onednn/tile_code.h"
#include "lib/backend/onednn/vector_ops.h"
#include "lib/backend/onednn/view.h"

namespace distil::onednn {
namespace {

constexpr int64_t kTile = 1024;
constexpr int kMaxDims = kMaxRank + 1;
constexpr int kMaxCode = 512, kMaxOperands = 64;  // well above what Fuse makes; MakeLoop checks

struct Strides {
  int64_t s[kMaxDims];
};

// An instruction of the body, or two that run as one.
struct Step {
  enum Kind : uint8_t { kLoad, kConst, kOp, kPair } kind;
  Op op;
  Pair pair;
  int args;        // how many earlier steps it reads
  int32_t arg[4];  // them; of kLoad the input's number
  double value;    // of kConst
};

// The pair in which the result of `first` is operand `side` of `second`, if there is one.
bool FindPair(Op first, Op second, int side, Pair* out) {
  static constexpr struct {
    Op first, second;
    int side;
    Pair pair;
  } kPairs[] = {
#define PAIR(first, second, side, ...) {Op::k##first, Op::k##second, side, Pair::k##first##second##side},
#include "lib/backend/onednn/pairs.def"
#undef PAIR
  };
  if (second == Op::kAdd || second == Op::kMul) side = 0;  // the other order is the same
  for (const auto& p : kPairs) {
    if (p.first != first || p.second != second || p.side != side) continue;
    *out = p.pair;
    return true;
  }
  return false;
}

// The body's instructions as steps; where each instruction's result is goes to `at`.
std::vector<Step> MakeSteps(const FusedBody& body, std::vector<int32_t>* at) {
  const std::vector<FusedBody::Instr>& code = body.code;
  std::vector<int> readers(code.size(), 0);
  for (const FusedBody::Out& o : body.outs) readers[static_cast<size_t>(o.instr)] += 2;  // must exist by itself
  for (const FusedBody::Instr& i : code)
    for (int k = 0; i.kind == FusedBody::kOp && k < Arity(i.op); ++k) ++readers[static_cast<size_t>(i.arg[k])];
  std::vector<int32_t> first(code.size(), -1);  // of the pair that ends here
  std::vector<bool> inside(code.size(), false);
  for (size_t j = 0; j < code.size(); ++j) {
    for (int k = 0; code[j].kind == FusedBody::kOp && k < Arity(code[j].op) && first[j] < 0; ++k) {
      const auto i = static_cast<size_t>(code[j].arg[k]);
      Pair pair;
      if (code[i].kind != FusedBody::kOp || readers[i] != 1 || first[i] >= 0 ||
          !FindPair(code[i].op, code[j].op, k, &pair))
        continue;
      first[j] = code[j].arg[k];
      inside[i] = true;
    }
  }
  std::vector<Step> steps;
  at->assign(code.size(), -1);
  for (size_t j = 0; j < code.size(); ++j) {
    if (inside[j]) continue;
    const FusedBody::Instr& instr = code[j];
    Step s{Step::kOp, instr.op, {}, 0, {instr.arg[0], 0, 0, 0}, instr.value};
    if (instr.kind == FusedBody::kLoad) s.kind = Step::kLoad;
    if (instr.kind == FusedBody::kConst) s.kind = Step::kConst;
    if (instr.kind == FusedBody::kOp) {
      auto add = [&](int32_t arg) { s.arg[s.args++] = (*at)[static_cast<size_t>(arg)]; };
      if (first[j] >= 0) {
        const FusedBody::Instr& before = code[static_cast<size_t>(first[j])];
        s.kind = Step::kPair;
        for (int k = 0; k < Arity(before.op); ++k) add(before.arg[k]);
        for (int k = 0; k < Arity(instr.op); ++k) {
          if (instr.arg[k] == first[j])
            FindPair(before.op, instr.op, k, &s.pair);
          else
            add(instr.arg[k]);
        }
      } else {
        for (int k = 0; k < Arity(instr.op); ++k) add(instr.arg[k]);
      }
    }
    (*at)[j] = static_cast<int32_t>(steps.size());
    steps.push_back(s);
  }
  return steps;
}

class Loop : public Kernel {
 public:
  Loop(const FusedBody& body, const std::vector<LoopOperand>& in, const std::vector<LoopOperand>& out, int threads,
       bool compile)
      : outs_(body.outs), ops_(GetVectorOps()) {
    std::vector<int32_t> at;
    code_ = MakeSteps(body, &at);
    for (FusedBody::Out& o : outs_) o.instr = at[static_cast<size_t>(o.instr)];
    for (const LoopOperand& o : in) in_type_.push_back(o.dtype), in_offset_.push_back(o.offset);
    for (const LoopOperand& o : out) out_type_.push_back(o.dtype), out_offset_.push_back(o.offset);
    ArrangeDimensions(body.space, in, out);
    AssignRegisters();
    FindAliases(body.space, in, out);
    if (compile) Compile(body);
    const int64_t work = body.space.elements() * static_cast<int64_t>(body.code.size() + 1);
    parts_ = work < 60000 ? 1 : static_cast<int>(std::min<int64_t>(threads, tiles_));
    parts_ = std::max(parts_, 1);
    for (size_t o = 0; o < outs_.size(); ++o) {
      acc_offset_.push_back(acc_total_);
      if (outs_[o].reduce != FusedBody::kStore) acc_total_ += outs_[o].shape.elements();
    }
  }

  // Per part: registers, then accumulators in double.
  size_t workspace() const override { return static_cast<size_t>(parts_) * PartBytes(); }

  bool MayAlias(int in, int out) const override {
    return alias_[static_cast<size_t>(in) * outs_.size() + static_cast<size_t>(out)];
  }

  void Run(const KernelArgs& args) override {
    if (parts_ == 1) {
      RunPart(args, 0);
    } else {
#pragma omp parallel for schedule(static, 1) num_threads(parts_)
      for (int p = 0; p < parts_; ++p) RunPart(args, p);
    }
    FinishReductions(args);
  }

 private:
  // Chooses the order of dimensions (that of memory), merges what is contiguous for everyone, and cuts tiles.
  void ArrangeDimensions(const Shape& space, const std::vector<LoopOperand>& in, const std::vector<LoopOperand>& out) {
    bool split = false;
    auto blocked = [](const LoopOperand& o) { return o.layout == Layout::kBlocked16; };
    if (IsImage(space) && space[1] % 16 == 0) {
      for (const LoopOperand& o : in) split = split || blocked(o);
      for (const LoopOperand& o : out) split = split || blocked(o);
    }
    std::vector<View> views;
    auto view = [&](const LoopOperand& o) {
      if (o.strides.empty()) return MakeView(o.shape, o.layout, split);
      View v = MakeView(o.shape, Layout::kPlain, split);
      for (int i = 0, d = 0; i < o.shape.rank(); ++i, ++d) {
        const int64_t s = o.strides[static_cast<size_t>(i)];
        if (split && IsImage(o.shape) && i == 1) {
          v.stride[d] = v.size[d] == 1 ? 0 : s * 16;
          v.stride[d + 1] = v.size[d + 1] == 1 ? 0 : s;
          ++d;
        } else {
          v.stride[d] = v.size[d] == 1 ? 0 : s;
        }
      }
      return v;
    };
    for (const LoopOperand& o : in) views.push_back(view(o));
    for (const LoopOperand& o : out) views.push_back(view(o));
    const View full = MakeView(space, Layout::kPlain, split);
    // The leader sets the order: the first operand that covers the space, stores before loads.
    int leader = -1;
    auto covers = [&](const View& v) {
      for (int d = 0; d < full.rank; ++d)
        if (v.size[d] != full.size[d]) return false;
      return true;
    };
    for (size_t o = 0; o < out.size() && leader < 0; ++o)
      if (outs_[o].reduce == FusedBody::kStore) leader = static_cast<int>(in.size() + o);
    for (size_t i = 0; i < in.size() && leader < 0; ++i)
      if (covers(views[i])) leader = static_cast<int>(i);
    std::vector<int> order;
    for (int d = 0; d < full.rank; ++d)
      if (full.size[d] > 1) order.push_back(d);
    const View& lead = leader >= 0 ? views[static_cast<size_t>(leader)] : full;
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return lead.stride[a] > lead.stride[b]; });

    // A short last dimension of the leader, as at the end of a channel shuffle, goes outside of one along which another
    // operand is contiguous.
    if (const size_t n = order.size(); n > 1 && full.size[order[n - 1]] < 16)
      for (size_t k = 0; k < views.size(); ++k)
        if (covers(views[k]) && views[k].stride[order[n - 2]] == 1 && full.size[order[n - 2]] >= 16) {
          std::swap(order[n - 2], order[n - 1]);
          break;
        }

    operands_.assign(views.size(), {});
    for (int d : order) {
      const int64_t n = full.size[d];
      bool merge = dims_ > 0;
      for (size_t k = 0; k < views.size() && merge; ++k) {
        const int64_t outer = operands_[k].s[dims_ - 1], inner = views[k].stride[d];
        merge = outer == inner * n;
      }
      if (merge) {
        size_[dims_ - 1] *= n;
        for (size_t k = 0; k < views.size(); ++k) operands_[k].s[dims_ - 1] = views[k].stride[d];
      } else {
        size_[dims_] = n;
        for (size_t k = 0; k < views.size(); ++k) operands_[k].s[dims_] = views[k].stride[d];
        ++dims_;
      }
    }
    if (dims_ == 0) {
      dims_ = 1, size_[0] = 1;
      for (Strides& s : operands_) s.s[0] = 0;
    }
    // Tile: rows of the last two dimensions, or a piece of the last.
    cols_ = std::min(size_[dims_ - 1], kTile);
    col_tiles_ = (size_[dims_ - 1] + cols_ - 1) / cols_;
    rows_ = dims_ > 1 && col_tiles_ == 1 ? std::min(size_[dims_ - 2], std::max<int64_t>(1, kTile / cols_)) : 1;
    if (dims_ > 1 && rows_ < size_[dims_ - 2])  // whole vectors in a tile, where that can be
      if (const int64_t whole = 16 / std::gcd(cols_, int64_t{16}); rows_ > whole) rows_ -= rows_ % whole;
    row_tiles_ = dims_ > 1 ? (size_[dims_ - 2] + rows_ - 1) / rows_ : 1;
    outer_ = 1;
    for (int d = 0; d < dims_ - 2; ++d) outer_ *= size_[d];
    tiles_ = outer_ * row_tiles_ * col_tiles_;
  }

  // Registers: one tile of floats each, reused after the last reader.
  void AssignRegisters() {
    const size_t n = code_.size();
    std::vector<size_t> last(n, 0);
    for (size_t i = 0; i < n; ++i) {
      last[i] = std::max(last[i], i);
      for (int k = 0; k < code_[i].args; ++k) last[static_cast<size_t>(code_[i].arg[k])] = i;
    }
    for (const FusedBody::Out& o : outs_) last[static_cast<size_t>(o.instr)] = n;
    std::vector<int> free;
    reg_.assign(n, -1);
    for (size_t i = 0; i < n; ++i) {
      const bool computed = code_[i].args > 0;
      if (free.empty() || !computed) {
        reg_[i] = registers_++;
      } else {
        reg_[i] = free.back();
        free.pop_back();
      }
      for (int k = 0; k < code_[i].args; ++k) {
        const auto a = static_cast<size_t>(code_[i].arg[k]);
        // Loads and constants keep their register: it may be cached.
        if (last[a] == i && code_[a].args > 0 && std::find(free.begin(), free.end(), reg_[a]) == free.end())
          free.push_back(reg_[a]);
      }
    }
  }

  void FindAliases(const Shape& space, const std::vector<LoopOperand>& in, const std::vector<LoopOperand>& out) {
    alias_.assign(in.size() * out.size(), false);
    for (size_t i = 0; i < in.size(); ++i) {
      // Stored as it is by an output, an operand must not be overwritten by another output first.
      bool stored = false;
      for (const FusedBody::Out& o : outs_) {
        const Step& step = code_[static_cast<size_t>(o.instr)];
        stored = stored ||
                 (o.reduce == FusedBody::kStore && step.kind == Step::kLoad && step.arg[0] == static_cast<int32_t>(i));
      }
      if (stored && out.size() > 1) continue;
      for (size_t o = 0; o < out.size(); ++o)
        alias_[i * out.size() + o] = outs_[o].reduce == FusedBody::kStore && in[i].shape == space &&
                                     in[i].layout == out[o].layout && in[i].dtype == out[o].dtype &&
                                     in[i].strides.empty() && out[o].strides.empty();
    }
  }

  // The body in machine code. Inputs that lie in ways that it does not read are gathered first, and outputs in ways that
  // it does not write are stored as a tile, and from there reduced or stored: the tiles stay in the first-level cache.
  void Compile(FusedBody body) {
    std::vector<TileOperand> operands;
    for (size_t k = 0; k < operands_.size(); ++k) {
      const bool input = k < in_type_.size();
      const size_t o = k - in_type_.size();
      const bool reduces = !input && outs_[o].reduce != FusedBody::kStore;
      const bool sum = reduces && outs_[o].reduce == FusedBody::kSum;
      const int64_t sr = rows_ > 1 ? operands_[k].s[dims_ - 2] : 0, sc = operands_[k].s[dims_ - 1];
      const bool row = cols_ == 16 && sc == 1 && rows_ > 1 && sr == 0, one = sc == 0 && sr == 0;
      const bool tile = sc == 1 && (rows_ == 1 || sr == cols_);
      const DType type = input ? in_type_[k] : out_type_[o];
      TileOperand::Kind kind = TileOperand::kOther;
      if (sum && (row || one)) kind = TileOperand::kSum;
      if (!reduces && tile && type != DType::kI32) kind = TileOperand::kTile;
      if (input && kind == TileOperand::kOther && row && type != DType::kI32) kind = TileOperand::kRow;
      if (input && kind == TileOperand::kOther && one && type == DType::kF32) kind = TileOperand::kOne;
      by_tile_.push_back(-1);
      if (kind == TileOperand::kOther) {
        for (size_t i = 0; i < code_.size() && input; ++i)
          if (code_[i].kind == Step::kLoad && code_[i].arg[0] == static_cast<int32_t>(k))
            by_tile_[k] = static_cast<int32_t>(i);
        if (!input) by_tile_[k] = outs_[o].instr, body.outs[o].reduce = FusedBody::kStore;
        operands.push_back({TileOperand::kTile, DType::kF32});
      } else {
        operands.push_back({kind, type});
      }
    }
    // Nothing to compute between gathering and reducing.
    if (std::none_of(code_.begin(), code_.end(), [](const Step& s) { return s.args > 0; }) &&
        std::any_of(by_tile_.begin(), by_tile_.end(), [](int32_t i) { return i >= 0; }))
      return;
    const auto outs = operands.begin() + static_cast<std::ptrdiff_t>(in_type_.size());
    tile_code_ = TileCode::Make(body, {operands.begin(), outs}, {outs, operands.end()});
  }

  size_t PartBytes() const {
    const size_t bytes =
        static_cast<size_t>(registers_) * kTile * sizeof(float) + static_cast<size_t>(acc_total_) * sizeof(double);
    return (bytes + 63) / 64 * 64;
  }
  float* Register(const KernelArgs& args, int part) const {
    return reinterpret_cast<float*>(static_cast<char*>(args.workspace) + static_cast<size_t>(part) * PartBytes());
  }
  double* Accumulators(const KernelArgs& args, int part) const {
    return reinterpret_cast<double*>(Register(args, part) + static_cast<size_t>(registers_) * kTile);
  }

  void RunPart(const KernelArgs& args, int part) {
    float* regs = Register(args, part);
    double* acc = Accumulators(args, part);
    for (size_t o = 0; o < outs_.size(); ++o) {
      if (outs_[o].reduce == FusedBody::kStore) continue;
      const double start = outs_[o].reduce == FusedBody::kSum ? 0.0 : -std::numeric_limits<double>::infinity();
      std::fill_n(acc + acc_offset_[o], outs_[o].shape.elements(), start);
    }
    for (size_t i = 0; i < code_.size(); ++i)
      if (code_[i].kind == Step::kConst)
        std::fill_n(regs + reg_[i] * kTile, rows_ * cols_, static_cast<float>(code_[i].value));
    // Where each instruction's tile is, and for loads which address it was filled from.
    const float* at[kMaxCode];
    const void* cached[kMaxCode];
    std::fill_n(cached, code_.size(), nullptr);
    int64_t cached_rows = 0, cached_cols = 0;

    const int64_t first = tiles_ * part / parts_, end = tiles_ * (part + 1) / parts_;
    int64_t offset[kMaxOperands];
    for (int64_t t = first; t < end; ++t) {
      const int64_t col = t % col_tiles_ * cols_, row = t / col_tiles_ % row_tiles_ * rows_;
      const int64_t cols = std::min(cols_, size_[dims_ - 1] - col);
      const int64_t rows = dims_ > 1 ? std::min(rows_, size_[dims_ - 2] - row) : 1;
      for (size_t k = 0; k < operands_.size(); ++k) {
        const int64_t* s = operands_[k].s;
        int64_t at_k = col * s[dims_ - 1] + (dims_ > 1 ? row * s[dims_ - 2] : 0);
        int64_t rest = t / (col_tiles_ * row_tiles_);
        for (int d = dims_ - 3; d >= 0; --d) {
          at_k += rest % size_[d] * s[d];
          rest /= size_[d];
        }
        offset[k] = at_k;
      }
      if (rows != cached_rows || cols != cached_cols) {
        std::fill_n(cached, code_.size(), nullptr);
        cached_rows = rows, cached_cols = cols;
      }
      const int64_t n = rows * cols;
      if (tile_code_ && n % 16 == 0) {
        RunCode(args, offset, rows, cols, regs, cached, acc);
        continue;
      }
      for (size_t i = 0; i < code_.size(); ++i) {
        const Step& step = code_[i];
        float* r = regs + reg_[i] * kTile;
        at[i] = r;
        switch (step.kind) {
          case Step::kLoad:
            at[i] = Load(args.in[step.arg[0]], static_cast<size_t>(step.arg[0]), offset[step.arg[0]], rows, cols, r,
                         &cached[i]);
            break;
          case Step::kConst: break;
          case Step::kOp: ops_.apply(step.op, at[step.arg[0]], at[step.arg[1]], at[step.arg[2]], r, n); break;
          case Step::kPair: {
            const float* const in[4] = {at[step.arg[0]], at[step.arg[1]], at[step.arg[2]], at[step.arg[3]]};
            ops_.apply_pair(step.pair, in, r, n);
            break;
          }
        }
      }
      // Reductions first: a store may overwrite an input that a reduction reads in place.
      for (size_t o = 0; o < outs_.size(); ++o)
        if (const size_t k = in_type_.size() + o; outs_[o].reduce != FusedBody::kStore)
          Reduce(at[outs_[o].instr], outs_[o].reduce, acc + acc_offset_[o] + offset[k], operands_[k], rows, cols);
      for (size_t o = 0; o < outs_.size(); ++o)
        if (outs_[o].reduce == FusedBody::kStore)
          Store(at[outs_[o].instr], args.out[o], o, offset[in_type_.size() + o], rows, cols);
    }
  }

  // A tile by machine code: what the instructions would do, the sums in the order of ops_.sum_columns and ops_.sum_all.
  void RunCode(const KernelArgs& args, const int64_t* offset, int64_t rows, int64_t cols, float* regs,
               const void** cached, double* acc) const {
    const void* operand[kMaxOperands + 1];
    alignas(64) float sums[kMaxOperands][16];
    const size_t inputs = in_type_.size();
    auto tile = [&](size_t k) { return regs + reg_[static_cast<size_t>(by_tile_[k])] * kTile; };
    for (size_t i = 0; i < inputs; ++i) {
      if (by_tile_[i] >= 0)
        operand[i] = Load(args.in[i], i, offset[i], rows, cols, tile(i), &cached[by_tile_[i]]);
      else
        operand[i] = static_cast<const char*>(args.in[i]) +
                     (offset[i] + in_offset_[i]) * static_cast<int64_t>(DTypeSize(in_type_[i]));
    }
    for (size_t o = 0, k = inputs; o < outs_.size(); ++o, ++k) {
      if (by_tile_[k] >= 0)
        operand[k] = tile(k);
      else if (outs_[o].reduce == FusedBody::kSum)
        operand[k] = sums[o];
      else
        operand[k] = static_cast<char*>(args.out[o]) +
                     (offset[k] + out_offset_[o]) * static_cast<int64_t>(DTypeSize(out_type_[o]));
    }
    tile_code_->Run(operand, rows * cols);
    for (size_t o = 0, k = inputs; o < outs_.size(); ++o, ++k) {
      if (outs_[o].reduce == FusedBody::kStore) {
        if (by_tile_[k] >= 0) Store(tile(k), args.out[o], o, offset[k], rows, cols);
        continue;
      }
      double* to = acc + acc_offset_[o] + offset[k];
      if (by_tile_[k] >= 0) {
        Reduce(tile(k), outs_[o].reduce, to, operands_[k], rows, cols);
      } else if (operands_[k].s[dims_ - 1] == 1) {
        for (int lane = 0; lane < 16; ++lane) to[lane] += static_cast<double>(sums[o][lane]);
      } else {
        double s = 0;
        for (float lane : sums[o]) s += static_cast<double>(lane);
        *to += s;
      }
    }
  }

  // The tile of operand i: in place when it is contiguous f32, else gathered into `r`.
  const float* Load(const void* base, size_t i, int64_t offset, int64_t rows, int64_t cols, float* r,
                    const void** cached) const {
    offset += in_offset_[i];
    const int64_t sr = dims_ > 1 ? operands_[i].s[dims_ - 2] : 0, sc = operands_[i].s[dims_ - 1];
    const bool contiguous = (sc == 1 || cols == 1) && (rows == 1 || sr == cols);
    const DType type = in_type_[i];
    const void* address = static_cast<const char*>(base) + offset * static_cast<int64_t>(DTypeSize(type));
    if (type == DType::kF32 && contiguous) return static_cast<const float*>(address);
    if (*cached == address) return r;
    *cached = address;
    const int64_t run = contiguous ? rows * cols : cols;  // what lies together
    const int64_t runs = contiguous ? 1 : rows;
    const int64_t distinct = sr == 0 ? 1 : runs;  // rows that are not the first one again
    for (int64_t row = 0; row < distinct; ++row) {
      float* to = r + row * cols;
      switch (type) {
        case DType::kF32:
          Gather(static_cast<const float*>(address) + row * sr, contiguous ? 1 : sc, run, to, ops_.copy,
                 [](float v) { return v; });
          break;
        case DType::kBF16:
          Gather(static_cast<const uint16_t*>(address) + row * sr, contiguous ? 1 : sc, run, to, ops_.load_bf16,
                 [](uint16_t v) { return std::bit_cast<float>(uint32_t{v} << 16); });
          break;
        case DType::kI32:
          Gather(static_cast<const int32_t*>(address) + row * sr, contiguous ? 1 : sc, run, to, ops_.load_i32,
                 [](int32_t v) { return static_cast<float>(v); });
          break;
        case DType::kF64: break;  // not on this backend
      }
    }
    for (int64_t have = distinct * run; have < runs * run; have *= 2)
      ops_.copy(r, r + have, std::min(have, runs * run - have));
    return r;
  }

  // n elements of T at distance `stride`, as floats: together by `load`, alone by `convert`.
  template <class T, class Convert>
  static void Gather(const T* p, int64_t stride, int64_t n, float* to, void (*load)(const T*, float*, int64_t),
                     Convert convert) {
    if (stride == 1)
      load(p, to, n);
    else if (stride == 0)
      std::fill_n(to, n, convert(*p));
    else
      for (int64_t i = 0; i < n; ++i) to[i] = convert(p[i * stride]);
  }

  void Store(const float* tile, void* base, size_t o, int64_t offset, int64_t rows, int64_t cols) const {
    offset += out_offset_[o];
    const Strides& s = operands_[in_type_.size() + o];
    const int64_t sr = dims_ > 1 ? s.s[dims_ - 2] : 0, sc = s.s[dims_ - 1];
    const bool contiguous = (sc == 1 || cols == 1) && (rows == 1 || sr == cols);
    const int64_t run = contiguous ? rows * cols : cols, runs = contiguous ? 1 : rows;
    for (int64_t row = 0; row < runs; ++row) {
      const float* from = tile + row * cols;
      const int64_t step = contiguous ? 1 : sc;
      if (out_type_[o] == DType::kBF16) {
        uint16_t* p = static_cast<uint16_t*>(base) + offset + row * sr;
        if (step == 1) {
          ops_.store_bf16(from, p, run);
        } else {
          uint16_t rounded[kTile];
          ops_.store_bf16(from, rounded, run);
          for (int64_t c = 0; c < run; ++c) p[c * step] = rounded[c];
        }
      } else if (out_type_[o] == DType::kI32) {
        int32_t* p = static_cast<int32_t*>(base) + offset + row * sr;
        for (int64_t c = 0; c < run; ++c) p[c * step] = static_cast<int32_t>(from[c]);
      } else {
        float* p = static_cast<float*>(base) + offset + row * sr;
        if (step == 1)
          std::memmove(p, from, static_cast<size_t>(run) * sizeof(float));
        else
          for (int64_t c = 0; c < run; ++c) p[c * step] = from[c];
      }
    }
  }

  // Accumulators lie like the (row-major) result: a stride of 0 means that the dimension is reduced.
  void Reduce(const float* tile, FusedBody::Reduce kind, double* acc, const Strides& s, int64_t rows,
              int64_t cols) const {
    const int64_t sr = rows > 1 ? s.s[dims_ - 2] : 0, sc = s.s[dims_ - 1];
    const bool sum = kind == FusedBody::kSum;
    if (sr == 0 && sc == 1) {
      (sum ? ops_.sum_columns : ops_.max_columns)(tile, rows, cols, acc);
    } else if (sr == 0 && sc == 0 && sum) {
      ops_.sum_all(tile, rows * cols, acc);
    } else if (sc == 0 && sum) {
      for (int64_t r = 0; r < rows; ++r) ops_.sum_all(tile + r * cols, cols, acc + r * sr);
    } else {
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
          double& a = acc[r * sr + c * sc];
          const double v = static_cast<double>(tile[r * cols + c]);
          if (sum)
            a += v;
          else if (v > a || v != v)
            a = v;  // NaN stays
        }
      }
    }
  }

  void FinishReductions(const KernelArgs& args) const {
    for (size_t o = 0; o < outs_.size(); ++o) {
      if (outs_[o].reduce == FusedBody::kStore) continue;
      const int64_t n = outs_[o].shape.elements();
      for (int64_t i = 0; i < n; ++i) {
        double v = Accumulators(args, 0)[acc_offset_[o] + i];
        for (int p = 1; p < parts_; ++p) {
          const double w = Accumulators(args, p)[acc_offset_[o] + i];
          if (outs_[o].reduce == FusedBody::kSum)
            v += w;
          else if (w > v || w != w)
            v = w;
        }
        const auto f = static_cast<float>(v);
        if (out_type_[o] == DType::kBF16)
          ops_.store_bf16(&f, static_cast<uint16_t*>(args.out[o]) + i, 1);
        else
          static_cast<float*>(args.out[o])[i] = f;
      }
    }
  }

  std::vector<Step> code_;
  std::vector<FusedBody::Out> outs_;
  const VectorOps& ops_;
  std::vector<DType> in_type_, out_type_;
  std::vector<int64_t> in_offset_, out_offset_;
  std::vector<Strides> operands_;  // inputs, then outputs
  int dims_ = 0;
  int64_t size_[kMaxDims] = {};
  int64_t cols_ = 1, rows_ = 1, col_tiles_ = 1, row_tiles_ = 1, outer_ = 1, tiles_ = 1;
  std::vector<int> reg_;
  int registers_ = 0;
  std::vector<bool> alias_;
  std::unique_ptr<TileCode> tile_code_;  // where there is one, for tiles of whole vectors
  std::vector<int32_t> by_tile_;         // of each operand: the instruction that has its tile, -1 for those in place
  std::vector<int64_t> acc_offset_;
  int64_t acc_total_ = 0;
  int parts_ = 1;
};

}  // namespace

std::unique_ptr<Kernel> MakeLoop(const FusedBody& body, const std::vector<LoopOperand>& in,
                                 const std::vector<LoopOperand>& out, int threads, bool compile) {
  if (body.code.size() > kMaxCode || in.size() + out.size() > kMaxOperands) return nullptr;
  return std::make_unique<Loop>(body, in, out, threads, compile);
}

std::unique_ptr<Kernel> MakeStridedCopy(const Shape& space, const LoopOperand& in, const LoopOperand& out,
                                        int threads) {
  FusedBody body;
  body.space = space;
  body.code.push_back({FusedBody::kLoad, Op::kInput, {0, 0, 0}, 0});
  body.outs.push_back({0, FusedBody::kStore, space});
  return MakeLoop(body, {in}, {out}, threads, /*compile=*/false);
}

}  // namespace distil::onednn
