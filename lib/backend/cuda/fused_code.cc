#include "lib/backend/cuda/fused_code.h"

#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "lib/backend/cuda/ptx.h"
#include "lib/backend/cuda/ptx_math.h"

namespace distil::cuda {
namespace {

using Lanes = std::vector<Val>;  // a value for each lane of a group, or one for all

// A group of lanes on its way through a thread.
struct Group {
  Val valid;                    // whether it exists; empty: it does
  std::vector<Val> lane_valid;  // whether each lane does, where the last group of a flat pass may be cut
  std::vector<Val> address;     // per memory
  std::vector<Lanes> value;     // per instruction
};

class Writer {
 public:
  Writer(const Pass& p, bool many) : p_(p), many_(many), wide_(p.wide) {}

  std::string Run() {
    thread_ = a_.R("mov.u32", Val("%tid.x"));
    block_ = a_.R("mov.u32", Val("%ctaid.x"));
    std::vector<std::string> parameters;
    if (many_) {
      parameters = {"u64", "u64"};
      LoadRow();
    } else {
      parameters.assign(p_.memory.size() + (p_.flat ? 1 : 0), "u64");
      for (size_t k = 0; k < p_.memory.size(); ++k)
        base_.push_back(a_.D("ld.param.u64", "[p" + std::to_string(k) + "]"));
      if (p_.flat) count_ = a_.D("ld.param.u64", "[p" + std::to_string(p_.memory.size()) + "]");
    }
    for (size_t k = 0; k < p_.memory.size(); ++k)
      if (const int64_t bytes = p_.memory[k].offset * Size(k)) base_[k] = a_.D("add.u64", base_[k], Asm::Int(bytes));
    if (p_.flat)
      Flat();
    else if (p_.reduces())
      Reduction();
    else
      Points();
    return a_.Module("fused", parameters, kThreads, shared_);
  }

 private:
  int64_t Size(size_t memory) const { return static_cast<int64_t>(DTypeSize(p_.memory[memory].dtype)); }
  int64_t LaneStride(size_t memory) const { return p_.axes.back().stride[memory]; }

  // ---- Index arithmetic, in 32 bits or in 64

  Val Wide(const Val& u32) { return wide_ ? a_.D("cvt.u64.u32", u32) : u32; }
  Val IndexOp(const char* narrow, const char* wide, const Val& x, const Val& y) {
    return wide_ ? a_.D(wide, x, y) : a_.R(narrow, x, y);
  }
  Val Add(const Val& x, const Val& y) { return IndexOp("add.u32", "add.u64", x, y); }
  Val Mul(const Val& x, int64_t y) { return y == 1 ? x : IndexOp("mul.lo.u32", "mul.lo.u64", x, Asm::Int(y)); }
  Val MulAdd(const Val& x, int64_t y, const Val& z) {
    if (z.empty()) return Mul(x, y);
    if (y == 1) return Add(x, z);
    return wide_ ? a_.D("mad.lo.u64", x, Asm::Int(y), z) : a_.R("mad.lo.u32", x, Asm::Int(y), z);
  }
  Val Less(const Val& x, const Val& y) { return a_.P(wide_ ? "setp.lt.u64" : "setp.lt.u32", x, y); }

  // n / d for n < 2^31: multiplication by 2^(31+s)/d, rounded up, with 2^s >= d; the error is below 1/d.
  Val Div(const Val& n, int64_t d) {
    const auto u = static_cast<uint64_t>(d);
    const int s = std::bit_width(u - 1);
    if (std::has_single_bit(u)) return IndexOp("shr.u32", "shr.u64", n, Asm::Int(s));
    if (wide_) return a_.D("div.u64", n, Asm::Int(d));
    const uint64_t magic = ((uint64_t{1} << (31 + s)) + u - 1) / u;
    return a_.R("shr.u32", a_.R("mul.hi.u32", n, Asm::Int(static_cast<int64_t>(magic))), Asm::Int(s - 1));
  }
  Val Rem(const Val& n, const Val& quotient, int64_t d) {
    return wide_ ? a_.D("sub.u64", n, Mul(quotient, d)) : a_.R("sub.u32", n, Mul(quotient, d));
  }

  // Where group n of the kept or of the reduced axes lies in each memory, in elements; empty for 0.
  std::vector<Val> Offsets(Val n, bool reduced) {
    std::vector<Val> coordinate;
    std::vector<const Axis*> axes;
    for (const Axis& axis : p_.axes)
      if (axis.reduced == reduced) axes.push_back(&axis);
    coordinate.resize(axes.size());
    for (size_t d = axes.size(); d-- > 0;) {
      const int64_t size = axes[d] == &p_.axes.back() ? axes[d]->size / p_.lanes : axes[d]->size;
      if (d == 0) {
        coordinate[d] = n;
      } else {
        const Val quotient = size == 1 ? n : Div(n, size);
        coordinate[d] = size == 1 ? Val() : Rem(n, quotient, size);
        n = quotient;
      }
    }
    std::map<std::vector<int64_t>, Val> known;
    std::vector<Val> offset;
    for (size_t k = 0; k < p_.memory.size(); ++k) {
      std::vector<int64_t> strides;
      for (const Axis* axis : axes) strides.push_back(axis->stride[k] * (axis == &p_.axes.back() ? p_.lanes : 1));
      const auto [it, fresh] = known.try_emplace(strides);
      if (fresh)
        for (size_t d = 0; d < axes.size(); ++d)
          if (strides[d] && !coordinate[d].empty()) it->second = MulAdd(coordinate[d], strides[d], it->second);
      offset.push_back(it->second);
    }
    return offset;
  }

  Val Address(const Val& base, const Val& offset, size_t memory) {
    if (offset.empty()) return base;
    const Val size = Asm::Int(Size(memory));
    return wide_ ? a_.D("mad.lo.u64", offset, size, base) : a_.D("mad.wide.u32", offset, size, base);
  }
  std::vector<Val> Addresses(const std::vector<Val>& base, const std::vector<Val>& offset) {
    std::vector<Val> address;
    for (size_t k = 0; k < base.size(); ++k) address.push_back(Address(base[k], offset[k], k));
    return address;
  }

  // ---- Loads

  static Val At(const Val& address, int64_t bytes) {
    return bytes ? "[" + address + "+" + Asm::Int(bytes) + "]" : "[" + address + "]";
  }
  static Val Braces(const std::vector<Val>& v) {
    Val s = "{";
    for (size_t i = 0; i < v.size(); ++i) s += (i ? ", " : "") + v[i];
    return s + "}";
  }
  Val FromBits(const Val& r) { return a_.F("mov.b32", r); }

  Val LoadOne(size_t memory, const Val& address, int64_t bytes) {
    switch (p_.memory[memory].dtype) {
      case DType::kBF16: {
        const Val word = a_.R("cvt.u32.u16", a_.H("ld.global.b16", At(address, bytes)));
        return FromBits(a_.R("shl.b32", word, Asm::Int(16)));
      }
      case DType::kI32: return a_.F("cvt.rn.f32.s32", a_.R("ld.global.b32", At(address, bytes)));
      default: return a_.F("ld.global.f32", At(address, bytes));
    }
  }
  // 4, 8 or 16 bytes as words of 32 bits.
  std::vector<Val> LoadWords(const Val& address, int64_t byte, int n) {
    std::vector<Val> words;
    for (int i = 0; i < n; ++i) words.push_back(a_.Register('r'));
    if (n == 1)
      a_.Do("ld.global.b32", words[0], At(address, byte));
    else
      a_.Do(n == 2 ? "ld.global.v2.b32" : "ld.global.v4.b32", Braces(words), At(address, byte));
    return words;
  }
  Lanes LoadVector(size_t memory, const Val& address) {
    Lanes lanes;
    const DType type = p_.memory[memory].dtype;
    const auto bytes = static_cast<int>(p_.lanes * Size(memory));
    for (int byte = 0; byte < bytes; byte += 16) {
      for (const Val& word : LoadWords(address, byte, std::min(16, bytes - byte) / 4)) {
        if (type == DType::kBF16) {
          lanes.push_back(FromBits(a_.R("shl.b32", word, Asm::Int(16))));
          lanes.push_back(FromBits(a_.R("and.b32", word, Asm::Int(0xffff0000))));
        } else {
          lanes.push_back(type == DType::kI32 ? a_.F("cvt.rn.f32.s32", word) : FromBits(word));
        }
      }
    }
    return lanes;
  }
  Lanes Load(size_t memory, const Group& g) {
    const Val& address = g.address[memory];
    const Asm::If valid(&a_, g.valid);
    if (LaneStride(memory) == 0) {
      const Asm::If any(&a_, g.lane_valid.empty() ? Val() : g.lane_valid[0]);
      return {LoadOne(memory, address, 0)};
    }
    if (g.lane_valid.empty() && p_.Vector(static_cast<int>(memory))) return LoadVector(memory, address);
    Lanes lanes;
    for (int l = 0; l < p_.lanes; ++l) {
      const Asm::If lane(&a_, g.lane_valid.empty() ? Val() : g.lane_valid[static_cast<size_t>(l)]);
      lanes.push_back(LoadOne(memory, address, l * LaneStride(memory) * Size(memory)));
    }
    return lanes;
  }

  // ---- Stores

  Val Narrow(const Val& low, const Val& high) { return a_.R("cvt.rn.bf16x2.f32", high, low); }

  void StoreOne(size_t memory, const Val& address, int64_t bytes, const Val& v) {
    switch (p_.memory[memory].dtype) {
      case DType::kBF16: a_.Do("st.global.b16", At(address, bytes), a_.H("cvt.rn.bf16.f32", v)); break;
      case DType::kI32: a_.Do("st.global.b32", At(address, bytes), a_.R("cvt.rzi.s32.f32", v)); break;
      default: a_.Do("st.global.f32", At(address, bytes), v);
    }
  }
  void StoreVector(size_t memory, const Val& address, const Lanes& v) {
    const DType type = p_.memory[memory].dtype;
    std::vector<Val> words;
    const int per_word = type == DType::kBF16 ? 2 : 1;
    for (int l = 0; l < p_.lanes; l += per_word) {
      const auto i = static_cast<size_t>(l);
      if (type == DType::kBF16)
        words.push_back(Narrow(Lane(v, i), Lane(v, i + 1)));
      else
        words.push_back(a_.R(type == DType::kI32 ? "cvt.rzi.s32.f32" : "mov.b32", Lane(v, i)));
    }
    for (size_t w = 0; w < words.size(); w += 4) {
      const size_t n = std::min<size_t>(4, words.size() - w);
      const std::vector<Val> piece(words.begin() + static_cast<ptrdiff_t>(w),
                                   words.begin() + static_cast<ptrdiff_t>(w + n));
      const Val at = At(address, static_cast<int64_t>(w) * 4);
      if (n == 1)
        a_.Do("st.global.b32", at, piece[0]);
      else
        a_.Do(n == 2 ? "st.global.v2.b32" : "st.global.v4.b32", at, Braces(piece));
    }
  }
  static const Val& Lane(const Lanes& v, size_t lane) { return v[v.size() == 1 ? 0 : lane]; }

  void Store(const Group& g) {
    const Asm::If valid(&a_, g.valid);
    for (const Sink& s : p_.sinks) {
      if (s.reduce != FusedBody::kStore) continue;
      const auto memory = static_cast<size_t>(s.memory);
      const Lanes& v = g.value[static_cast<size_t>(s.instr)];
      if (g.lane_valid.empty() && p_.Vector(s.memory)) {
        StoreVector(memory, g.address[memory], v);
        continue;
      }
      for (int l = 0; l < p_.lanes; ++l) {
        const auto i = static_cast<size_t>(l);
        const Asm::If lane(&a_, g.lane_valid.empty() ? Val() : g.lane_valid[i]);
        StoreOne(memory, g.address[memory], l * LaneStride(memory) * Size(memory), Lane(v, i));
      }
    }
  }

  // ---- The body

  // Loads everything the groups need, then computes: many loads are on the way at once, and all of a group's operands
  // are read before anything of it is written. `known`: what was loaded before the loop.
  void Evaluate(std::vector<Group>* groups, const std::vector<Lanes>& known) {
    for (Group& g : *groups) {
      g.value.resize(p_.code.size());
      for (size_t i = 0; i < p_.code.size(); ++i) {
        if (p_.code[i].kind != FusedBody::kLoad) continue;
        g.value[i] = known[i].empty() ? Load(static_cast<size_t>(p_.code[i].arg[0]), g) : known[i];
      }
    }
    for (Group& g : *groups)
      for (size_t i = 0; i < p_.code.size(); ++i) Compute(i, &g.value);
  }
  void Compute(size_t i, std::vector<Lanes>* value) {
    const FusedBody::Instr& c = p_.code[i];
    if (c.kind == FusedBody::kConst) (*value)[i] = {Constant(c.value)};
    if (c.kind != FusedBody::kOp) return;
    auto arg = [&](int k) -> const Lanes& { return (*value)[static_cast<size_t>(c.arg[k])]; };
    size_t lanes = 1;
    for (int k = 0; k < Arity(c.op); ++k) lanes = std::max(lanes, arg(k).size());
    Lanes result;
    for (size_t l = 0; l < lanes; ++l) {
      const Val x = Lane(arg(0), l);
      result.push_back(
          EmitPointwise(&a_, c.op, x, Arity(c.op) > 1 ? Lane(arg(1), l) : x, Arity(c.op) > 2 ? Lane(arg(2), l) : x));
    }
    (*value)[i] = std::move(result);
  }
  static Val Constant(double v) { return Asm::Float(static_cast<float>(v)); }

  // ---- Pointwise passes

  void Points() {
    std::vector<Group> groups;
    const Val first = MulAdd(Wide(block_), int64_t{kThreads} * p_.unroll, Wide(thread_));
    for (int u = 0; u < p_.unroll; ++u) {
      const Val n = u ? Add(first, Asm::Int(int64_t{kThreads} * u)) : first;
      Group g;
      g.valid = Less(n, Asm::Int(p_.Groups(false)));
      g.address = Addresses(base_, Offsets(n, false));
      groups.push_back(std::move(g));
    }
    Evaluate(&groups, std::vector<Lanes>(p_.code.size()));
    for (const Group& g : groups) Store(g);
  }

  // The row of the table that this block computes.
  void LoadRow() {
    const Val table = a_.D("ld.param.u64", Val("[p0]")), list = a_.D("ld.param.u64", Val("[p1]"));
    const Val pair = a_.D("mad.wide.u32", block_, Asm::Int(8), list);
    const std::vector<Val> words = LoadWords(pair, 0, 2);
    block_ = words[1];
    const auto columns = static_cast<int64_t>(p_.memory.size()) + 1;
    const Val row = a_.D("mad.wide.u32", words[0], Asm::Int(8 * columns), table);
    for (int64_t k = 0; k < columns; ++k) base_.push_back(a_.D("ld.global.b64", At(row, 8 * k)));
    count_ = base_.back();
    base_.pop_back();
  }

  // All blocks but the last one compute whole groups.
  void Flat() {
    const Val count = wide_ ? count_ : a_.R("cvt.u32.u64", count_);
    const Val begin = Mul(Wide(block_), FlatPiece(p_));
    const Val whole = a_.P(wide_ ? "setp.le.u64" : "setp.le.u32", Add(begin, Asm::Int(FlatPiece(p_))), count);
    a_.Branch("WHOLE", whole);
    FlatGroups(begin, count, true);
    a_.Branch("END");
    a_.Label("WHOLE");
    FlatGroups(begin, count, false);
    a_.Label("END");
  }
  void FlatGroups(const Val& begin, const Val& count, bool cut) {
    std::vector<Group> groups;
    for (int u = 0; u < p_.unroll; ++u) {
      const Val group = Add(Wide(thread_), Asm::Int(int64_t{kThreads} * u));
      const Val n = MulAdd(group, p_.lanes, begin);
      Group g;
      for (int l = 0; cut && l < p_.lanes; ++l) g.lane_valid.push_back(Less(Add(n, Asm::Int(l)), count));
      for (size_t k = 0; k < p_.memory.size(); ++k)
        g.address.push_back(Address(base_[k], LaneStride(k) ? n : Val(), k));
      groups.push_back(std::move(g));
    }
    Evaluate(&groups, std::vector<Lanes>(p_.code.size()));
    for (const Group& g : groups) Store(g);
  }

  // ---- Reductions

  void Reduction() {
    // The block's threads: the faster coordinate runs along the last axis.
    const bool rows = p_.last_reduced();
    const int inner = rows ? p_.reduced_threads : p_.kept_threads;
    const Val fast = a_.R("and.b32", thread_, Asm::Int(inner - 1));
    const Val slow = a_.R("shr.u32", thread_, Asm::Int(std::bit_width(static_cast<unsigned>(inner)) - 1));
    const Val kept = MulAdd(Wide(block_), p_.kept_threads, Wide(rows ? slow : fast));
    const Val mine = rows ? fast : slow;
    const Val exists = Less(kept, Asm::Int(p_.Groups(false)));
    std::vector<Val> address = Addresses(base_, Offsets(kept, false));

    // What does not change along the reduced axes.
    std::vector<Lanes> known(p_.code.size());
    Group fixed;
    fixed.valid = exists;
    fixed.address = address;
    for (size_t i = 0; i < p_.code.size(); ++i)
      if (p_.code[i].kind == FusedBody::kLoad && Fixed(static_cast<size_t>(p_.code[i].arg[0])))
        known[i] = Load(static_cast<size_t>(p_.code[i].arg[0]), fixed);

    std::vector<Lanes> sum;  // per sink
    for (const Sink& s : p_.sinks) {
      sum.emplace_back();
      for (int l = 0; s.reduce != FusedBody::kStore && l < (rows ? 1 : p_.lanes); ++l) {
        sum.back().push_back(a_.Register('f'));
        a_.Do("mov.f32", sum.back().back(), Start(s.reduce));
      }
    }

    // Groups of this split: at the loop's place, plus this thread's.
    const Val split = p_.splits > 1 ? a_.R("mov.u32", Val("%ctaid.y")) : Val();
    const Val place = a_.Register(wide_ ? 'd' : 'r');
    const Val begin = split.empty() ? Asm::Int(0) : Mul(Wide(split), p_.chunk);
    a_.Do(wide_ ? "mov.u64" : "mov.u32", place, begin);
    Val end = Asm::Int(p_.Groups(true));
    if (!split.empty()) end = IndexOp("min.u32", "min.u64", Add(begin, Asm::Int(p_.chunk)), end);
    const int64_t step = int64_t{p_.reduced_threads} * p_.unroll;
    a_.Label("LOOP");
    Accumulate(Add(place, Wide(mine)), end, exists, address, known, &sum);
    a_.Do(wide_ ? "add.u64" : "add.u32", place, place, Asm::Int(step));
    a_.Branch("LOOP", Less(place, end));

    for (size_t s = 0; s < sum.size(); ++s) Across(p_.sinks[s].reduce, mine, rows ? 1 : p_.kept_threads, &sum[s]);
    const Val first = a_.P("setp.eq.u32", mine, Asm::Int(0));
    const Asm::If writes(&a_, a_.P("and.pred", first, exists));
    for (size_t s = 0; s < sum.size(); ++s) {
      const auto memory = static_cast<size_t>(p_.sinks[s].memory);
      Val to = address[memory];
      if (!split.empty() && p_.sinks[s].reduce != FusedBody::kStore)
        to = Address(to, Mul(Wide(split), p_.Count(false)), memory);
      for (size_t l = 0; l < sum[s].size(); ++l)
        StoreOne(memory, to, static_cast<int64_t>(l) * LaneStride(memory) * Size(memory), sum[s][l]);
    }
  }

  bool Fixed(size_t memory) const {
    for (const Axis& a : p_.axes)
      if (a.reduced && a.stride[memory]) return false;
    return true;
  }

  static Val Start(FusedBody::Reduce r) {
    return Asm::Float(r == FusedBody::kMax ? -std::numeric_limits<float>::infinity() : 0.0f);
  }
  Val Join(FusedBody::Reduce r, const Val& x, const Val& y) {
    return a_.F(r == FusedBody::kMax ? "max.NaN.f32" : "add.rn.f32", x, y);
  }
  // A tree over the numbers in their order.
  Val Tree(FusedBody::Reduce r, const std::vector<Val>& v) {
    if (v.size() == 1) return v[0];
    const auto half = static_cast<ptrdiff_t>(v.size() / 2);
    return Join(r, Tree(r, {v.begin(), v.begin() + half}), Tree(r, {v.begin() + half, v.end()}));
  }

  // One turn of the loop: `unroll` groups from `n` on.
  void Accumulate(const Val& n, const Val& end, const Val& exists, const std::vector<Val>& address,
                  const std::vector<Lanes>& known, std::vector<Lanes>* sum) {
    std::vector<Group> groups;
    for (int u = 0; u < p_.unroll; ++u) {
      const Val at = u ? Add(n, Asm::Int(int64_t{p_.reduced_threads} * u)) : n;
      Group g;
      g.valid = a_.P("and.pred", Less(at, end), exists);
      g.address = Addresses(address, Offsets(at, true));
      groups.push_back(std::move(g));
    }
    Evaluate(&groups, known);
    for (size_t s = 0; s < p_.sinks.size(); ++s) {
      const FusedBody::Reduce r = p_.sinks[s].reduce;
      std::vector<Val> row;
      for (size_t l = 0; r != FusedBody::kStore && l < static_cast<size_t>(p_.lanes); ++l) {
        std::vector<Val> column;
        for (const Group& g : groups) {
          const Val& v = Lane(g.value[static_cast<size_t>(p_.sinks[s].instr)], l);
          column.push_back(a_.F("selp.f32", v, Start(r), g.valid));
        }
        row.push_back(Tree(r, column));
        if (!p_.last_reduced()) Keep(r, row.back(), &(*sum)[s][l]);
      }
      if (r != FusedBody::kStore && p_.last_reduced()) Keep(r, Tree(r, row), &(*sum)[s][0]);
    }
    for (const Group& g : groups) Store(g);
  }
  void Keep(FusedBody::Reduce r, const Val& v, Val* sum) {
    a_.Do(r == FusedBody::kMax ? "max.NaN.f32" : "add.rn.f32", *sum, *sum, v);
  }

  // Joins the accumulators of the threads along the reduced coordinate, which lie `distance` apart, into that of the
  // first: through shared memory between warps, by shuffles within one.
  void Across(FusedBody::Reduce r, const Val& mine, int distance, Lanes* sum) {
    if (r == FusedBody::kStore) return;
    for (int half = p_.reduced_threads / 2; half >= 1; half /= 2) {
      const int apart = half * distance;
      if (apart < 32) {
        for (Val& v : *sum) {
          const Val bits =
              a_.R("shfl.sync.down.b32", a_.R("mov.b32", v), Asm::Int(apart), Val("31"), Val("0xffffffff"));
          v = Join(r, v, FromBits(bits));
        }
        continue;
      }
      const auto bytes = static_cast<int>(sum->size() * kThreads * sizeof(float));
      shared_ = std::max(shared_, bytes);
      if (own_.empty()) {
        const Val start = a_.R("mov.u32", Val("shared"));
        own_ = a_.R("mad.lo.u32", thread_, Asm::Int(4), start);
      }
      for (size_t l = 0; l < sum->size(); ++l)
        a_.Do("st.shared.f32", At(own_, static_cast<int64_t>(l) * kThreads * 4), (*sum)[l]);
      a_.Do("bar.sync", Val("0"));
      const Val lower = a_.P("setp.lt.u32", mine, Asm::Int(half));
      for (size_t l = 0; l < sum->size(); ++l) {
        const Val other = a_.Register('f');
        a_.Do("mov.f32", other, Start(r));
        {
          const Asm::If reads(&a_, lower);
          a_.Do("ld.shared.f32", other, At(own_, (static_cast<int64_t>(l) * kThreads + apart) * 4));
        }
        (*sum)[l] = Join(r, (*sum)[l], other);
      }
      a_.Do("bar.sync", Val("0"));
    }
  }

  const Pass& p_;
  bool many_, wide_;
  Asm a_;
  Val thread_, block_, count_, own_;
  std::vector<Val> base_;
  int shared_ = 0;
};

}  // namespace

std::string FusedCode(const Pass& pass, bool many) { return Writer(pass, many).Run(); }

std::vector<uint64_t> FusedArguments(const Pass& pass, const KernelArgs& args) {
  std::vector<uint64_t> a;
  for (const Memory& m : pass.memory) {
    const void* base = m.where == Memory::kIn    ? args.in[m.index]
                       : m.where == Memory::kOut ? args.out[m.index]
                                                 : args.workspace;
    a.push_back(reinterpret_cast<uint64_t>(base));
  }
  if (pass.flat) a.push_back(static_cast<uint64_t>(pass.Count(false)));
  return a;
}

}  // namespace distil::cuda
