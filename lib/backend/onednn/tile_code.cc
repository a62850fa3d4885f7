#include "lib/backend/onednn/tile_code.h"

#include <sys/mman.h>

#include <bit>
#include <cstring>
#include <optional>
#include <set>

#include "lib/backend/onednn/assembler.h"
#include "lib/backend/onednn/vector_ops.h"

namespace distil::onednn {
namespace {

using A = Assembler;

// Instructions by their names in the manual.
constexpr A::Code kLoadPs{A::kNo, A::k0F, 0x10}, kStorePs{A::kNo, A::k0F, 0x11}, kAddPs{A::kNo, A::k0F, 0x58},
    kMulPs{A::kNo, A::k0F, 0x59}, kSubPs{A::kNo, A::k0F, 0x5c}, kMinPs{A::kNo, A::k0F, 0x5d},
    kDivPs{A::kNo, A::k0F, 0x5e}, kMaxPs{A::kNo, A::k0F, 0x5f}, kSqrtPs{A::kNo, A::k0F, 0x51},
    kBlendMPs{A::k66, A::k0F38, 0x65}, kBroadcastSs{A::k66, A::k0F38, 0x18}, kPMovZxWd{A::k66, A::k0F38, 0x33},
    kPMovDw{A::kF3, A::k0F38, 0x33}, kPAddD{A::k66, A::k0F, 0xfe}, kPAndD{A::k66, A::k0F, 0xdb},
    kPOrD{A::k66, A::k0F, 0xeb}, kPXorD{A::k66, A::k0F, 0xef}, kRndScalePs{A::k66, A::k0F3A, 0x08};
// Predicates of a comparison. Those that begin with "not" are true for NaN.
constexpr uint8_t kEqual = 0x00, kUnordered = 0x03, kNotEqual = 0x04, kNotLess = 0x15, kLess = 0x11, kGreater = 0x1e;

// Registers that hold addresses. rdi has the list of operands, rsi the number of points, rax the point.
constexpr Gpr kBases[] = {kRcx, kRdx, kR8, kR9, kR10, kR11, kRbx, kRbp, kR12, kR13, kR14, kR15};
constexpr size_t kScratchBases = 6;  // the first ones need not be restored

constexpr int kVectors = 32;

bool IsComparison(Op op) { return op == Op::kLess || op == Op::kGreater || op == Op::kEqual; }

class Compiler {
 public:
  Compiler(const FusedBody& body, const std::vector<TileOperand>& in, const std::vector<TileOperand>& out)
      : body_(body), code_(body.code), in_(in), out_(out) {}

  // Empty where it cannot be done.
  std::vector<uint8_t> Run() {
    for (const TileOperand& o : in_)
      if (o.kind == TileOperand::kOther || (o.type != DType::kF32 && o.type != DType::kBF16) ||
          (o.type == DType::kBF16 && o.kind == TileOperand::kOne))
        return {};
    for (size_t o = 0; o < out_.size(); ++o) {
      const bool store = body_.outs[o].reduce == FusedBody::kStore;
      if (out_[o].kind != (store ? TileOperand::kTile : TileOperand::kSum) || body_.outs[o].reduce == FusedBody::kMax ||
          (store && out_[o].type != DType::kF32 && out_[o].type != DType::kBF16))
        return {};
    }
    FindLives();
    base_.assign(in_.size() + out_.size(), -1);
    at_.assign(code_.size(), -1);
    for (size_t i = 0; i < code_.size(); ++i)
      if (last_[i] >= 0 && !folded_[i] && !Emit(i)) return {};
    for (size_t o = 0; o < out_.size(); ++o)
      if (out_[o].kind == TileOperand::kSum) {
        const int sum = Fixed();
        sums_.emplace_back(o, sum);
        loop_.Vector(kAddPs, sum, sum, at_[static_cast<size_t>(body_.outs[o].instr)]);
      }
    // Stores last: they may overwrite what this turn reads.
    for (size_t o = 0; o < out_.size(); ++o)
      if (out_[o].kind == TileOperand::kTile) StoreOut(o);
    loop_.Next();
    if (temporaries_ + fixed_ > kVectors || bases_ > std::size(kBases)) return {};
    return Finish();
  }

  std::vector<uint32_t> constants() const { return constants_; }

 private:
  struct Preload {
    int reg;
    size_t operand;  // in the list
    TileOperand how;
    int32_t offset;
  };

  // How long each instruction's result is needed, and which comparisons only choose for the Select that reads them.
  void FindLives() {
    const auto n = static_cast<int>(code_.size());
    last_.assign(code_.size(), -1);
    folded_.assign(code_.size(), false);
    std::vector<int> readers(code_.size(), 0);
    for (const FusedBody::Out& o : body_.outs) {
      last_[static_cast<size_t>(o.instr)] = n;
      readers[static_cast<size_t>(o.instr)] += 2;
    }
    for (int i = n - 1; i >= 0; --i) {
      const FusedBody::Instr& instr = code_[static_cast<size_t>(i)];
      if (instr.kind != FusedBody::kOp || last_[static_cast<size_t>(i)] < 0) continue;
      for (int k = 0; k < Arity(instr.op); ++k) ++readers[static_cast<size_t>(instr.arg[k])];
      // Readers come later: all that read instr itself have been counted.
      const int reads =
          IsComparison(instr.op) && readers[static_cast<size_t>(i)] == 1 && Chooses(last_[static_cast<size_t>(i)], i)
              ? last_[static_cast<size_t>(i)]
              : i;
      folded_[static_cast<size_t>(i)] = reads != i;
      for (int k = 0; k < Arity(instr.op); ++k) {
        int& last = last_[static_cast<size_t>(instr.arg[k])];
        last = std::max(last, reads);
      }
    }
  }
  bool Chooses(int select, int comparison) const {
    return select < static_cast<int>(code_.size()) && code_[static_cast<size_t>(select)].op == Op::kSelect &&
           code_[static_cast<size_t>(select)].arg[0] == comparison;
  }

  // A register for a while, and one for all turns of the loop: these are counted from the other end.
  int Take() {
    if (!free_.empty()) {
      const int r = *free_.begin();
      free_.erase(free_.begin());
      return r;
    }
    return temporaries_++;
  }
  int Fixed() { return kVectors - ++fixed_; }
  void Release(int r) { free_.insert(r); }

  int Constant(uint32_t bits) {
    for (size_t i = 0; i < constants_.size(); ++i)
      if (constants_[i] == bits) return constant_at_[i];
    constant_at_.push_back(Fixed());
    preloads_.push_back({constant_at_.back(),
                         in_.size() + out_.size(),
                         {TileOperand::kOne, DType::kF32},
                         static_cast<int32_t>(constants_.size() * sizeof(float))});
    constants_.push_back(bits);
    return constant_at_.back();
  }
  int Constant(float x) { return Constant(std::bit_cast<uint32_t>(x)); }

  // The point of a tile in an operand, whose address gets a register.
  Address At(size_t operand, DType type) {
    if (base_[operand] < 0) base_[operand] = static_cast<int>(bases_++);
    return {kBases[static_cast<size_t>(base_[operand]) % std::size(kBases)], static_cast<int>(DTypeSize(type))};
  }

  static void Load(Assembler* a, int to, Address from, TileOperand how) {
    if (how.kind == TileOperand::kOne) {
      a->Vector(kBroadcastSs, to, from);
    } else if (how.type == DType::kF32) {
      a->Vector(kLoadPs, to, from);
    } else {
      a->Vector(kPMovZxWd, to, from);
      a->ShiftLeft(to, to, 16);
    }
  }

  bool Emit(size_t i) {
    const FusedBody::Instr& instr = code_[i];
    if (instr.kind == FusedBody::kConst) {
      at_[i] = Constant(static_cast<float>(instr.value));
    } else if (instr.kind == FusedBody::kLoad) {
      const auto k = static_cast<size_t>(instr.arg[0]);
      if (in_[k].kind == TileOperand::kTile) {
        at_[i] = Take();
        Load(&loop_, at_[i], At(k, in_[k].type), in_[k]);
      } else {
        at_[i] = Fixed();
        preloads_.push_back({at_[i], k, in_[k], 0});
      }
    } else {
      int x[3] = {0, 0, 0};
      for (int k = 0; k < Arity(instr.op); ++k) x[k] = at_[static_cast<size_t>(instr.arg[k])];
      at_[i] = Take();
      const FusedBody::Instr* condition = nullptr;
      if (instr.op == Op::kSelect && folded_[static_cast<size_t>(instr.arg[0])])
        condition = &code_[static_cast<size_t>(instr.arg[0])];
      if (!Compute(instr.op, at_[i], x[0], x[1], x[2], condition)) return false;
      ReleaseRead(instr, static_cast<int>(i));
      if (condition) ReleaseRead(*condition, static_cast<int>(i));
    }
    return true;
  }

  // Registers of operands that instruction `now` was the last to read.
  void ReleaseRead(const FusedBody::Instr& instr, int now) {
    for (int k = 0; k < Arity(instr.op); ++k) {
      const auto arg = static_cast<size_t>(instr.arg[k]);
      if (last_[arg] == now && at_[arg] >= 0 && at_[arg] < kVectors - fixed_) Release(at_[arg]);
    }
  }

  void CompareInto(int mask, Op op, int x, int y) {
    loop_.Compare(mask, x, y, op == Op::kLess ? kLess : op == Op::kGreater ? kGreater : kEqual);
  }

  // r is not a register of an operand. False: this op has no code.
  bool Compute(Op op, int r, int x, int y, int z, const FusedBody::Instr* condition) {
    Assembler& a = loop_;
    switch (op) {
      case Op::kAdd: a.Vector(kAddPs, r, x, y); return true;
      case Op::kSub: a.Vector(kSubPs, r, x, y); return true;
      case Op::kMul: a.Vector(kMulPs, r, x, y); return true;
      case Op::kDiv: a.Vector(kDivPs, r, x, y); return true;
      case Op::kSqrt: a.Vector(kSqrtPs, r, 0, x); return true;
      case Op::kFloor: a.Vector(kRndScalePs, r, 0, x, 9); return true;
      case Op::kNeg: a.Vector(kPXorD, r, x, Constant(-0.0f)); return true;
      case Op::kAbs:  // -0 stays
        a.Compare(1, x, Constant(0.0f), kLess);
        a.Move(r, x);
        a.Vector(kPXorD, r, x, Constant(-0.0f), Lanes{1});
        return true;
      case Op::kSign:
        a.Compare(1, x, Constant(0.0f), kGreater);
        a.Move(r, Constant(1.0f), {1, true});
        a.Compare(1, x, Constant(0.0f), kLess);
        a.Move(r, Constant(-1.0f), {1});
        return true;
      case Op::kRelu:
      case Op::kRelu6:
        a.Compare(1, x, Constant(0.0f), kNotLess);
        a.Move(r, x, {1, true});
        if (op == Op::kRelu) return true;
        a.Compare(1, x, Constant(6.0f), kGreater);
        a.Move(r, Constant(6.0f), {1});
        return true;
      case Op::kMax:
      case Op::kMin:  // the instructions give y where x or y is NaN
        a.Vector(op == Op::kMax ? kMaxPs : kMinPs, r, x, y);
        a.Compare(1, x, x, kUnordered);
        a.Move(r, x, {1});
        return true;
      case Op::kLess:
      case Op::kGreater:
      case Op::kEqual:
        CompareInto(1, op, x, y);
        a.Move(r, Constant(1.0f), {1, true});
        return true;
      case Op::kSelect:
        if (condition)
          CompareInto(1, condition->op, at_[static_cast<size_t>(condition->arg[0])],
                      at_[static_cast<size_t>(condition->arg[1])]);
        else
          a.Compare(1, x, Constant(0.0f), kNotEqual);
        a.Vector(kBlendMPs, r, z, y, Lanes{1});
        return true;
      default: return false;
    }
  }

  void StoreOut(size_t o) {
    const int v = at_[static_cast<size_t>(body_.outs[o].instr)];
    const Address to = At(in_.size() + o, out_[o].type);
    if (out_[o].type == DType::kF32) return loop_.Vector(kStorePs, v, to);
    // To nearest, ties to even; NaN stays one.
    const int high = Take(), r = Take();
    loop_.ShiftRight(high, v, 16);
    loop_.Vector(kPAndD, r, high, Constant(1u));
    loop_.Vector(kPAddD, r, r, v);
    loop_.Vector(kPAddD, r, r, Constant(0x7fffu));
    loop_.ShiftRight(r, r, 16);
    loop_.Compare(1, v, v, kUnordered);
    loop_.Vector(kPOrD, r, high, Constant(0x40u), Lanes{1});
    loop_.Vector(kPMovDw, r, to);
    Release(high), Release(r);
  }

  // What comes before the loop and after it.
  std::vector<uint8_t> Finish() {
    Assembler all;
    for (size_t b = kScratchBases; b < bases_; ++b) all.Push(kBases[b]);
    auto load = [&](Gpr to, size_t operand) {
      all.LoadPointer(to, kRdi, static_cast<int32_t>(operand * sizeof(void*)));
    };
    for (const Preload& p : preloads_) {
      load(kRax, p.operand);
      Load(&all, p.reg, {kRax, 0, p.offset}, p.how);
    }
    for (auto [o, sum] : sums_) all.Vector(kPXorD, sum, sum, sum);
    for (size_t k = 0; k < base_.size(); ++k)
      if (base_[k] >= 0) load(kBases[static_cast<size_t>(base_[k])], k);
    all.ClearRax();
    all.Append(loop_);
    for (auto [o, sum] : sums_) {
      load(kRax, in_.size() + o);
      all.Vector(kStorePs, sum, {kRax});
    }
    for (size_t b = bases_; b-- > kScratchBases;) all.Pop(kBases[b]);
    all.Return();
    return all.bytes();
  }

  const FusedBody& body_;
  const std::vector<FusedBody::Instr>& code_;
  const std::vector<TileOperand>&in_, &out_;
  std::vector<int> last_;     // the last reader; code_.size(): an output; -1: nobody reads it
  std::vector<bool> folded_;  // into the Select that reads it
  std::vector<int> at_;       // the register of each result
  std::vector<int> base_;     // of each operand, in kBases
  size_t bases_ = 0;
  std::set<int> free_;
  int temporaries_ = 0, fixed_ = 0;
  std::vector<uint32_t> constants_;
  std::vector<int> constant_at_;
  std::vector<Preload> preloads_;
  std::vector<std::pair<size_t, int>> sums_;
  Assembler loop_;
};

}  // namespace

std::unique_ptr<TileCode> TileCode::Make(const FusedBody& body, const std::vector<TileOperand>& in,
                                         const std::vector<TileOperand>& out) {
  if (std::strcmp(GetVectorOps().isa, "avx512") != 0) return nullptr;
  Compiler compiler(body, in, out);
  const std::vector<uint8_t> code = compiler.Run();
  if (code.empty()) return nullptr;
  // Written first, executable afterwards: never both.
  void* at = mmap(nullptr, code.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  std::unique_ptr<TileCode> tile(new TileCode);
  tile->code_ = at;
  tile->bytes_ = code.size();
  tile->operands_ = in.size() + out.size();
  tile->constants_ = compiler.constants();
  std::memcpy(at, code.data(), code.size());
  if (mprotect(at, code.size(), PROT_READ | PROT_EXEC) != 0) return nullptr;
  return tile;
}

TileCode::~TileCode() {
  if (code_) munmap(code_, bytes_);
}

}  // namespace distil::onednn
