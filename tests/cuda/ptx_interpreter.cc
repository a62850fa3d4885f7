#include "tests/cuda/ptx_interpreter.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <sstream>

namespace distil::cuda {
namespace {

using Instruction = PtxKernel::Instruction;
using Operand = PtxKernel::Operand;
using Word = uint64_t;

float F(Word w) { return std::bit_cast<float>(static_cast<uint32_t>(w)); }
double G(Word w) { return std::bit_cast<double>(w); }
uint32_t U(Word w) { return static_cast<uint32_t>(w); }
int32_t S(Word w) { return static_cast<int32_t>(w); }
Word W(float v) { return std::bit_cast<uint32_t>(v); }
Word W(double v) { return std::bit_cast<uint64_t>(v); }
Word W(int32_t v) { return static_cast<uint32_t>(v); }

// Conversion to integers: towards zero, NaN to 0, saturating.
int32_t ToInt(double v) {
  if (std::isnan(v)) return 0;
  if (v >= 2147483647.0) return 2147483647;
  if (v <= -2147483648.0) return std::numeric_limits<int32_t>::min();
  return static_cast<int32_t>(v);
}
uint32_t Bf16(float v) {
  if (std::isnan(v)) return 0x7fff;
  const uint32_t bits = std::bit_cast<uint32_t>(v);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
float Largest(float x, float y) { return std::isnan(x) || std::isnan(y) ? NAN : x > y ? x : y; }
float Smallest(float x, float y) { return std::isnan(x) || std::isnan(y) ? NAN : x < y ? x : y; }

// Instructions that make one word of up to three.
#define PTX(name, value)                       \
  {                                            \
    name, [](Word a, Word b, Word c) -> Word { \
      (void)a, (void)b, (void)c;               \
      return value;                            \
    }                                          \
  }
const std::map<std::string, PtxKernel::Pure>& PureInstructions() {
  static const std::map<std::string, PtxKernel::Pure> table = {
      PTX("mov.b32", U(a)),
      PTX("mov.u32", U(a)),
      PTX("mov.f32", U(a)),
      PTX("mov.b64", a),
      PTX("mov.u64", a),
      PTX("selp.f32", c ? U(a) : U(b)),
      PTX("selp.f64", c ? a : b),
      // f32
      PTX("add.rn.f32", W(F(a) + F(b))),
      PTX("sub.rn.f32", W(F(a) - F(b))),
      PTX("mul.rn.f32", W(F(a) * F(b))),
      PTX("div.rn.f32", W(F(a) / F(b))),
      PTX("fma.rn.f32", W(std::fma(F(a), F(b), F(c)))),
      PTX("sqrt.rn.f32", W(std::sqrt(F(a)))),
      PTX("neg.f32", W(-F(a))),
      PTX("abs.f32", W(std::abs(F(a)))),
      PTX("copysign.f32", W(std::copysign(F(b), F(a)))),
      PTX("max.NaN.f32", W(Largest(F(a), F(b)))),
      PTX("min.NaN.f32", W(Smallest(F(a), F(b)))),
      PTX("cvt.rni.f32.f32", W(std::nearbyint(F(a)))),
      PTX("cvt.rmi.f32.f32", W(std::floor(F(a)))),
      PTX("cvt.rzi.s32.f32", W(ToInt(F(a)))),
      PTX("cvt.rn.f32.s32", W(static_cast<float>(S(a)))),
      PTX("cvt.rn.bf16.f32", Bf16(F(a))),
      PTX("cvt.rn.bf16x2.f32", Bf16(F(a)) << 16 | Bf16(F(b))),
      PTX("setp.lt.f32", F(a) < F(b)),
      PTX("setp.gt.f32", F(a) > F(b)),
      PTX("setp.eq.f32", F(a) == F(b)),
      PTX("setp.neu.f32", !(F(a) == F(b))),
      PTX("setp.nan.f32", std::isnan(F(a)) || std::isnan(F(b))),
      // f64
      PTX("add.rn.f64", W(G(a) + G(b))),
      PTX("sub.rn.f64", W(G(a) - G(b))),
      PTX("mul.rn.f64", W(G(a) * G(b))),
      PTX("div.rn.f64", W(G(a) / G(b))),
      PTX("fma.rn.f64", W(std::fma(G(a), G(b), G(c)))),
      PTX("min.f64", W(std::fmin(G(a), G(b)))),
      PTX("max.f64", W(std::fmax(G(a), G(b)))),
      PTX("setp.eq.f64", G(a) == G(b)),
      PTX("cvt.f64.f32", W(static_cast<double>(F(a)))),
      PTX("cvt.rn.f32.f64", W(static_cast<float>(G(a)))),
      PTX("cvt.rni.f64.f64", W(std::nearbyint(G(a)))),
      PTX("cvt.rzi.s32.f64", W(ToInt(G(a)))),
      PTX("cvt.rn.f64.s32", W(static_cast<double>(S(a)))),
      // predicates
      PTX("and.pred", a && b),
      PTX("or.pred", a || b),
      PTX("not.pred", !a),
      // integers
      PTX("add.u32", U(a + b)),
      PTX("add.s32", U(a + b)),
      PTX("add.u64", a + b),
      PTX("sub.u32", U(a - b)),
      PTX("sub.s32", U(a - b)),
      PTX("sub.u64", a - b),
      PTX("sub.s64", a - b),
      PTX("neg.s32", U(0 - a)),
      PTX("mul.lo.u32", U(a * b)),
      PTX("mul.lo.u64", a * b),
      PTX("mul.hi.u32", Word{U(a)} * U(b) >> 32),
      PTX("mad.lo.u32", U(a * b + c)),
      PTX("mad.lo.u64", a * b + c),
      PTX("mad.wide.u32", Word{U(a)} * U(b) + c),
      PTX("div.u64", b ? a / b : ~Word{0}),
      PTX("min.u32", std::min(U(a), U(b))),
      PTX("min.u64", std::min(a, b)),
      PTX("and.b32", U(a & b)),
      PTX("shl.b32", U(b) > 31 ? 0 : U(a << U(b))),
      PTX("shl.b64", U(b) > 63 ? 0 : a << U(b)),
      PTX("shr.u32", U(b) > 31 ? 0 : U(a) >> U(b)),
      PTX("shr.u64", U(b) > 63 ? 0 : a >> U(b)),
      PTX("shr.s32", W(S(a) >> std::min(U(b), 31u))),
      PTX("setp.lt.u32", U(a) < U(b)),
      PTX("setp.le.u32", U(a) <= U(b)),
      PTX("setp.eq.u32", U(a) == U(b)),
      PTX("setp.lt.u64", a < b),
      PTX("setp.le.u64", a <= b),
      PTX("cvt.u32.u16", a & 0xffff),
      PTX("cvt.u64.u32", Word{U(a)}),
      PTX("cvt.u32.u64", U(a)),
      PTX("cvt.s64.s32", static_cast<Word>(int64_t{S(a)})),
  };
  return table;
}
#undef PTX

std::string Trim(const std::string& s) {
  const size_t a = s.find_first_not_of(" \t"), b = s.find_last_not_of(" \t");
  return a == std::string::npos ? "" : s.substr(a, b - a + 1);
}

// At commas outside of braces and brackets.
std::vector<std::string> Split(const std::string& s) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (char c : s) {
    depth += c == '{' || c == '[';
    depth -= c == '}' || c == ']';
    if (c == ',' && depth == 0)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  for (std::string& p : parts) p = Trim(p);
  return parts;
}

bool StartsWith(const std::string& s, const char* prefix) { return s.rfind(prefix, 0) == 0; }

// Who touched a unit of memory: nobody, one thread, or several.
constexpr int64_t kNobody = -1, kSeveral = -2;
struct Touch {
  int64_t writer = kNobody, reader = kNobody;
  // False when the access depends on the order of two threads.
  bool Read(int64_t who) {
    if (writer != kNobody && writer != who) return false;
    reader = reader == kNobody || reader == who ? who : kSeveral;
    return true;
  }
  bool Write(int64_t who) {
    if ((writer != kNobody && writer != who) || (reader != kNobody && reader != who)) return false;
    writer = who;
    return true;
  }
};

struct Launched {
  const std::vector<Region>& regions;
  std::vector<std::vector<Touch>>& touched;  // per region, per two bytes

  std::string Access(uint64_t address, int bytes, bool write, int64_t who) {
    if (address % static_cast<uint64_t>(bytes)) return "an address that is not aligned";
    for (size_t r = 0; r < regions.size(); ++r) {
      const auto begin = reinterpret_cast<uint64_t>(regions[r].begin);
      if (address < begin || address + static_cast<uint64_t>(bytes) > begin + regions[r].bytes) continue;
      if (write && !regions[r].writable) return "a write to an input";
      for (uint64_t i = (address - begin) / 2; i < (address - begin + static_cast<uint64_t>(bytes) + 1) / 2; ++i)
        if (Touch& t = touched[r][i]; !(write ? t.Write(who) : t.Read(who)))
          return "a word that two threads share, one of them writing";
      return "";
    }
    return "an address outside of all tensors";
  }
};

}  // namespace

int PtxKernel::RegisterNumber(const std::string& name) {
  return registers_.try_emplace(name, static_cast<int>(registers_.size())).first->second;
}

Operand PtxKernel::ParseOperand(const std::string& s) {
  if (s == "%tid.x") return {Operand::kThread, -1, 0};
  if (s == "%ctaid.x") return {Operand::kBlockX, -1, 0};
  if (s == "%ctaid.y") return {Operand::kBlockY, -1, 0};
  if (s == "shared") return {Operand::kImmediate, -1, 0};
  if (StartsWith(s, "%")) return {Operand::kRegister, RegisterNumber(s), 0};
  if (StartsWith(s, "[p")) return {Operand::kParameter, -1, std::stoll(s.substr(2))};
  if (StartsWith(s, "[")) {
    const size_t plus = s.find('+');
    const std::string base = s.substr(1, std::min(plus, s.size() - 1) - 1);
    return {Operand::kAddress, RegisterNumber(base), plus == std::string::npos ? 0 : std::stoll(s.substr(plus + 1))};
  }
  if (StartsWith(s, "0f") || StartsWith(s, "0d"))
    return {Operand::kImmediate, -1, static_cast<int64_t>(std::stoull(s.substr(2), nullptr, 16))};
  return {Operand::kImmediate, -1, static_cast<int64_t>(std::stoll(s, nullptr, 0))};
}

void PtxKernel::Parse(const std::string& line) {
  Instruction i;
  i.text = line;
  std::string rest = line.substr(0, line.size() - 1);  // the semicolon
  if (rest[0] == '@') {
    const size_t space = rest.find(' ');
    i.guard = RegisterNumber(rest.substr(1, space - 1));
    rest = rest.substr(space + 1);
  }
  const size_t space = rest.find(' ');
  const std::string op = rest.substr(0, space);
  const std::vector<std::string> args =
      space == std::string::npos ? std::vector<std::string>() : Split(rest.substr(space));
  auto registers = [&](std::string s) {
    if (s[0] == '{') s = s.substr(1, s.size() - 2);
    for (const std::string& r : Split(s)) i.data.push_back(ParseOperand(r));
  };
  auto suffix_bytes = [&] { return std::stoi(op.substr(op.size() - 2)) / 8; };
  if (op == "ret") {
    i.kind = Instruction::kReturn;
  } else if (op == "bra.uni") {
    i.kind = Instruction::kBranch;
    i.target = -1;  // labels follow
  } else if (op == "bar.sync") {
    i.kind = Instruction::kBarrier;
  } else if (op == "shfl.sync.down.b32") {
    i.kind = Instruction::kShuffle;
    i.dest = ParseOperand(args[0]), i.a = ParseOperand(args[1]), i.b = ParseOperand(args[2]);
    if (args[3] != "31" || args[4] != "0xffffffff") error_ = "a shuffle of less than a warp";
  } else if (op == "ld.param.u64") {
    i.dest = ParseOperand(args[0]), i.a = ParseOperand(args[1]);
    i.pure = PureInstructions().at("mov.b64");
    parameters_ = std::max(parameters_, static_cast<int>(i.a.value) + 1);
  } else if (StartsWith(op, "ld.")) {
    i.kind = StartsWith(op, "ld.shared") ? Instruction::kLoadShared : Instruction::kLoad;
    i.bytes = suffix_bytes();
    registers(args[0]);
    i.a = ParseOperand(args[1]);
  } else if (StartsWith(op, "st.")) {
    i.kind = StartsWith(op, "st.shared") ? Instruction::kStoreShared : Instruction::kStore;
    i.bytes = suffix_bytes();
    i.a = ParseOperand(args[0]);
    registers(args[1]);
  } else if (const auto pure = PureInstructions().find(op); pure != PureInstructions().end()) {
    i.pure = pure->second;
    i.dest = ParseOperand(args[0]);
    if (args.size() > 1) i.a = ParseOperand(args[1]);
    if (args.size() > 2) i.b = ParseOperand(args[2]);
    if (args.size() > 3) i.c = ParseOperand(args[3]);
  } else {
    error_ = "an instruction that the interpreter does not know: " + line;
  }
  code_.push_back(std::move(i));
}

PtxKernel::PtxKernel(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    line = Trim(line);
    const char* maxntid = ".maxntid ";
    if (StartsWith(line, maxntid)) threads_ = std::stoi(line.substr(std::strlen(maxntid)));
    if (StartsWith(line, ".shared")) shared_ = std::stoi(line.substr(line.find('[') + 1));
    if (line.empty() || line[0] == '.' || line[0] == '{' || line[0] == '}') continue;
    if (line.back() == ':')
      labels_[line.substr(0, line.size() - 1)] = static_cast<int>(code_.size());
    else
      Parse(line);
  }
  for (Instruction& i : code_) {
    if (i.kind != Instruction::kBranch) continue;
    const std::string label = i.text.substr(i.text.rfind(' ') + 1, i.text.size() - i.text.rfind(' ') - 2);
    if (labels_.count(label))
      i.target = labels_[label];
    else
      error_ = "no label " + label;
  }
}

std::string PtxKernel::Run(int64_t blocks_x, int64_t blocks_y, const std::vector<uint64_t>& arguments,
                           const std::vector<Region>& regions, bool backwards) const {
  if (!error_.empty()) return error_;
  if (static_cast<int>(arguments.size()) < parameters_) return "too few arguments";
  const auto threads = static_cast<size_t>(threads_);
  // Kept from run to run: their memory is what a short run would spend its time on.
  static thread_local std::vector<std::vector<Touch>> touched;
  static thread_local std::vector<Word> reg;
  touched.resize(std::max(touched.size(), regions.size()));
  for (size_t r = 0; r < regions.size(); ++r) touched[r].assign((regions[r].bytes + 1) / 2, Touch());
  Launched launched{regions, touched};
  reg.assign(registers_.size() * threads, 0x7ff5a5a57fe5a5a5);  // a NaN in f32 and in f64
  std::vector<Word> fresh(threads);
  std::vector<uint8_t> shared(static_cast<size_t>(shared_));
  std::vector<Touch> shared_touched(shared.size() / 4);

  for (int64_t block = 0; block < blocks_x * blocks_y; ++block) {
    const int64_t b = backwards ? blocks_x * blocks_y - 1 - block : block;
    std::fill(shared.begin(), shared.end(), 0xff);
    std::fill(shared_touched.begin(), shared_touched.end(), Touch());
    auto value = [&](const Operand& o, size_t t) -> Word {
      switch (o.kind) {
        case Operand::kRegister:
        case Operand::kAddress: return reg[static_cast<size_t>(o.reg) * threads + t] + static_cast<Word>(o.value);
        case Operand::kThread: return t;
        case Operand::kBlockX: return static_cast<Word>(b % blocks_x);
        case Operand::kBlockY: return static_cast<Word>(b / blocks_x);
        case Operand::kParameter: return arguments[static_cast<size_t>(o.value)];
        default: return static_cast<Word>(o.value);
      }
    };
    auto at = [&](const Operand& o, size_t t) -> Word& { return reg[static_cast<size_t>(o.reg) * threads + t]; };

    for (size_t pc = 0; pc < code_.size();) {
      const Instruction& i = code_[pc++];
      auto active = [&](size_t t) { return i.guard < 0 || reg[static_cast<size_t>(i.guard) * threads + t] != 0; };
      auto failed = [&](const std::string& why, size_t t) {
        return "block " + std::to_string(b) + ", thread " + std::to_string(t) + ": " + why + ": " + i.text;
      };
      switch (i.kind) {
        case Instruction::kPure:
          for (size_t t = 0; t < threads; ++t)
            if (active(t)) at(i.dest, t) = i.pure(value(i.a, t), value(i.b, t), value(i.c, t));
          break;
        case Instruction::kReturn: pc = code_.size(); break;
        case Instruction::kBranch: {
          for (size_t t = 1; t < threads; ++t)
            if (active(t) != active(0)) return failed("threads disagree on a branch", t);
          if (active(0)) pc = static_cast<size_t>(i.target);
          break;
        }
        case Instruction::kBarrier: std::fill(shared_touched.begin(), shared_touched.end(), Touch()); break;
        case Instruction::kShuffle:
          if (i.guard >= 0) return failed("a shuffle under a condition", 0);
          for (size_t t = 0; t < threads; ++t) {
            const size_t from = t + static_cast<size_t>(i.b.value);
            fresh[t] = value(i.a, from / 32 == t / 32 ? from : t);
          }
          for (size_t t = 0; t < threads; ++t) at(i.dest, t) = fresh[t];
          break;
        case Instruction::kLoad:
        case Instruction::kStore: {
          const bool write = i.kind == Instruction::kStore;
          const int bytes = i.bytes * static_cast<int>(i.data.size());
          for (size_t t = 0; t < threads; ++t) {
            if (!active(t)) continue;
            const Word address = value(i.a, t);
            const std::string why = launched.Access(address, bytes, write, b * threads_ + static_cast<int64_t>(t));
            if (!why.empty()) return failed(why, t);
            auto* p = reinterpret_cast<uint8_t*>(address);
            for (const Operand& o : i.data) {
              if (write) {
                const Word w = value(o, t);
                std::memcpy(p, &w, static_cast<size_t>(i.bytes));
              } else {
                at(o, t) = 0;
                std::memcpy(&at(o, t), p, static_cast<size_t>(i.bytes));
              }
              p += i.bytes;
            }
          }
          break;
        }
        case Instruction::kLoadShared:
        case Instruction::kStoreShared:
          for (size_t t = 0; t < threads; ++t) {
            if (!active(t)) continue;
            const Word address = value(i.a, t);
            if (address % 4 || address + 4 > shared.size()) return failed("an address outside of shared memory", t);
            const bool write = i.kind == Instruction::kStoreShared;
            Touch& touch = shared_touched[address / 4];
            if (!(write ? touch.Write(static_cast<int64_t>(t)) : touch.Read(static_cast<int64_t>(t))))
              return failed("a race in shared memory", t);
            if (write) {
              const Word w = value(i.data[0], t);
              std::memcpy(&shared[address], &w, 4);
            } else {
              at(i.data[0], t) = 0;
              std::memcpy(&at(i.data[0], t), &shared[address], 4);
            }
          }
          break;
      }
    }
  }
  return "";
}

}  // namespace distil::cuda
