#include "lib/backend/cuda/ptx_math.h"

#include <cmath>
#include <initializer_list>
#include <limits>

namespace distil::cuda {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Val Fl(float v) { return Asm::Float(v); }

// c[0] + c[1] x + c[2] x^2 + ...
Val Polynomial(Asm* a, const Val& x, std::initializer_list<float> c) {
  const float* p = c.end();
  Val sum = Fl(*--p);
  while (p != c.begin()) sum = a->F("fma.rn.f32", sum, x, Fl(*--p));
  return sum;
}
Val Polynomial64(Asm* a, const Val& x, const std::vector<double>& c) {
  size_t i = c.size() - 1;
  Val sum = Asm::Double(c[i]);
  while (i-- > 0) sum = a->G("fma.rn.f64", sum, x, Asm::Double(c[i]));
  return sum;
}

Val Select(Asm* a, const Val& condition, const Val& yes, const Val& no) { return a->F("selp.f32", yes, no, condition); }

// 2^n as an f32, n an s32 in [-126, 127].
Val PowerOfTwo(Asm* a, const Val& n) {
  const Val biased = a->R("add.s32", n, Asm::Int(127));
  return a->F("mov.b32", a->R("shl.b32", biased, Asm::Int(23)));
}
// x * 2^n for n in [-252, 254], rounded once.
Val Scale(Asm* a, const Val& x, const Val& n) {
  const Val half = a->R("shr.s32", n, Asm::Int(1));
  const Val part = a->F("mul.rn.f32", x, PowerOfTwo(a, half));
  return a->F("mul.rn.f32", part, PowerOfTwo(a, a->R("sub.s32", n, half)));
}

// exp(x) = 2^n exp(r), r = x - n ln 2 in [-0.35, 0.35]; exp(r) = 1 + r + r^2 P(r).
Val Exp(Asm* a, const Val& x) {
  // Beyond these the result is 0 or infinity; NaN passes.
  const Val c = a->F("max.NaN.f32", a->F("min.NaN.f32", x, Fl(89.0f)), Fl(-104.0f));
  const Val n = a->F("cvt.rni.f32.f32", a->F("mul.rn.f32", c, Fl(1.44269504f)));
  // ln 2 in two parts: the first has few bits, so that its product with n is exact.
  Val r = a->F("fma.rn.f32", n, Fl(-0.693145751953125f), c);
  r = a->F("fma.rn.f32", n, Fl(-1.42860677e-6f), r);
  const Val p = Polynomial(
      a, r,
      {0.4999999403953552f, 0.1666651964187622f, 0.041668396443128586f, 0.008368796668946743f, 0.001381443114951253f});
  const Val tail = a->F("fma.rn.f32", a->F("mul.rn.f32", r, r), p, r);
  return Scale(a, a->F("add.rn.f32", tail, Fl(1.0f)), a->R("cvt.rzi.s32.f32", n));
}

// log(1 + f) + e ln 2 for f in [-0.25, 0.5]: f + f^2 P(f), e an f32.
Val LogOf(Asm* a, const Val& f, const Val& e) {
  const Val p =
      Polynomial(a, f,
                 {-0.5f, 0.3333345353603363f, -0.25000056624412537f, 0.19990593194961548f, -0.16647696495056152f,
                  0.14482145011425018f, -0.13163098692893982f, 0.10449719920132233f, -0.04491573944687843f});
  Val y = a->F("fma.rn.f32", a->F("mul.rn.f32", f, f), p, f);
  y = a->F("fma.rn.f32", e, Fl(1.42860677e-6f), y);
  return a->F("fma.rn.f32", e, Fl(0.693145751953125f), y);
}
// `y` where pole < x < infinity; -infinity at the pole, NaN below it, x itself where it is infinite or NaN.
Val LogDomain(Asm* a, const Val& x, const Val& y, float pole) {
  const Val at_pole = Select(a, a->P("setp.eq.f32", x, Fl(pole)), Fl(-kInf), x);
  const Val outside = Select(a, a->P("setp.lt.f32", x, Fl(pole)), Fl(kNan), at_pole);
  const Val finite = a->P("setp.lt.f32", x, Fl(kInf));
  const Val inside = a->P("and.pred", a->P("setp.gt.f32", x, Fl(pole)), finite);
  return Select(a, inside, y, outside);
}
// The exponent e for which x 2^-e is in [0.75, 1.5).
Val Exponent(Asm* a, const Val& x) {
  const Val above = a->R("sub.s32", a->R("mov.b32", x), Asm::Int(0x3f400000));
  return a->R("shr.s32", above, Asm::Int(23));
}

Val Log(Asm* a, const Val& x) {
  const Val tiny = a->P("setp.lt.f32", x, Fl(1.17549435e-38f));  // has no leading one
  const Val normal = Select(a, tiny, a->F("mul.rn.f32", x, Fl(8388608.0f)), x);
  const Val e = Exponent(a, normal);
  const Val m = a->R("sub.s32", a->R("mov.b32", normal), a->R("shl.b32", e, Asm::Int(23)));
  const Val f = a->F("add.rn.f32", a->F("mov.b32", m), Fl(-1.0f));
  const Val exponent = a->F("add.rn.f32", a->F("cvt.rn.f32.s32", e), Select(a, tiny, Fl(-23.0f), Fl(0.0f)));
  return LogDomain(a, x, LogOf(a, f, exponent), 0.0f);
}

// 1 + x = 2^e (1 + f) with f = 2^-e x + (2^-e - 1): nothing of a small x is lost.
Val Log1p(Asm* a, const Val& x) {
  const Val e = Exponent(a, a->F("add.rn.f32", x, Fl(1.0f)));
  const Val minus = a->R("neg.s32", e), half = a->R("shr.s32", minus, Asm::Int(1));
  const Val first = PowerOfTwo(a, half), second = PowerOfTwo(a, a->R("sub.s32", minus, half));
  const Val rest = a->F("fma.rn.f32", first, second, Fl(-1.0f));
  const Val f = a->F("fma.rn.f32", a->F("mul.rn.f32", x, first), second, rest);
  const Val y = LogOf(a, f, a->F("cvt.rn.f32.s32", e));
  return LogDomain(a, x, Select(a, a->P("setp.eq.f32", x, Fl(0)), x, y), -1.0f);  // -0 stays
}

// x + x^3 P(x^2) near 0, else 1 - 2 / (exp(2 |x|) + 1) with x's sign.
Val Tanh(Asm* a, const Val& x) {
  const Val size = a->F("abs.f32", x), square = a->F("mul.rn.f32", x, x);
  const Val p = Polynomial(a, square,
                           {-0.3333331346511841f, 0.1333245187997818f, -0.053837429732084274f, 0.021007457748055458f,
                            -0.006179809104651213f});
  const Val near = a->F("fma.rn.f32", a->F("mul.rn.f32", square, x), p, x);
  const Val e = a->F("add.rn.f32", Exp(a, a->F("add.rn.f32", size, size)), Fl(1.0f));
  const Val far = a->F("sub.rn.f32", Fl(1.0f), a->F("div.rn.f32", Fl(2.0f), e));
  const Val y = Select(a, a->P("setp.lt.f32", size, Fl(0.5625f)), near, far);
  return a->F("copysign.f32", x, y);
}

Val Sigmoid(Asm* a, const Val& x) {
  const Val e = Exp(a, a->F("neg.f32", x));
  return a->F("div.rn.f32", Fl(1.0f), a->F("add.rn.f32", e, Fl(1.0f)));
}

// |x|^y = 2^(y log2 |x|), in f64 so that no bit is lost for large exponents.
//   log2 m = 2/ln 2 (s + s^3/3 + s^5/5 + ...), s = (m - 1)/(m + 1), m in [0.75, 1.5)
Val Pow(Asm* a, const Val& x, const Val& y) {
  const Val size = a->G("cvt.f64.f32", a->F("abs.f32", x)), y64 = a->G("cvt.f64.f32", y);
  // The upper word of a double holds its exponent; of 0 and infinity it gives a large one of the right sign.
  const Val bits = a->D("mov.b64", size);
  const Val upper = a->R("cvt.u32.u64", a->D("shr.u64", bits, Asm::Int(32)));
  const Val e = a->R("shr.s32", a->R("sub.s32", upper, Asm::Int(0x3fe80000)), Asm::Int(20));
  const Val shift = a->D("shl.b64", a->D("cvt.s64.s32", e), Asm::Int(52));
  const Val m = a->G("mov.b64", a->D("sub.s64", bits, shift));
  const Val s = a->G("div.rn.f64", a->G("add.rn.f64", m, Asm::Double(-1)), a->G("add.rn.f64", m, Asm::Double(1)));
  std::vector<double> series;
  for (int k = 0; k < 10; ++k) series.push_back(2 / std::log(2.0) / (2 * k + 1));
  const Val q = Polynomial64(a, a->G("mul.rn.f64", s, s), series);
  const Val finite_log = a->G("fma.rn.f64", s, q, a->G("cvt.rn.f64.s32", e));
  const Val zero = a->P("setp.eq.f64", size, Asm::Double(0));
  const Val infinite = a->P("setp.eq.f64", size, Asm::Double(kInf));
  const Val above = a->G("selp.f64", Asm::Double(kInf), finite_log, infinite);
  const Val log2 = a->G("selp.f64", Asm::Double(-kInf), above, zero);

  // 1 to any power is 1, and anything to the power 0 is.
  const Val product = a->G("mul.rn.f64", y64, log2);
  const Val is_one = a->P("setp.eq.f64", log2, Asm::Double(0)), no_power = a->P("setp.eq.f32", y, Fl(0));
  const Val one = a->P("or.pred", is_one, no_power);
  const Val t = a->G("selp.f64", Asm::Double(0), product, one);
  const Val bounded = a->G("max.f64", a->G("min.f64", t, Asm::Double(300)), Asm::Double(-300));
  const Val n = a->G("cvt.rni.f64.f64", bounded), f = a->G("sub.rn.f64", bounded, n);
  std::vector<double> taylor = {1};
  for (int k = 1; k < 11; ++k) taylor.push_back(taylor.back() * std::log(2.0) / k);
  const Val exponent = a->R("add.s32", a->R("cvt.rzi.s32.f64", n), Asm::Int(1023));
  const Val power = a->G("mov.b64", a->D("shl.b64", a->D("cvt.s64.s32", exponent), Asm::Int(52)));
  Val r = a->F("cvt.rn.f32.f64", a->G("mul.rn.f64", Polynomial64(a, f, taylor), power));

  // Of a negative x: the sign of an odd power; no value where y is not whole and x is finite and not 0.
  const Val half = a->F("mul.rn.f32", y, Fl(0.5f));
  const Val whole = a->P("setp.eq.f32", a->F("cvt.rmi.f32.f32", y), y);
  const Val even = a->P("setp.eq.f32", a->F("cvt.rmi.f32.f32", half), half);
  const Val odd = a->P("and.pred", whole, a->P("not.pred", even));
  r = Select(a, odd, a->F("copysign.f32", x, r), r);
  const Val negative = a->P("setp.lt.f32", x, Fl(0));
  const Val ordinary = a->P("setp.gt.f32", x, Fl(-kInf));
  const Val undefined = a->P("and.pred", a->P("and.pred", negative, ordinary), a->P("not.pred", whole));
  r = Select(a, undefined, Fl(kNan), r);
  const Val missing = a->P("setp.nan.f32", x, y);
  const Val unit = a->P("or.pred", no_power, a->P("setp.eq.f32", x, Fl(1)));
  return Select(a, a->P("and.pred", missing, a->P("not.pred", unit)), Fl(kNan), r);
}

Val Flag(Asm* a, const Val& predicate) { return Select(a, predicate, Fl(1.0f), Fl(0.0f)); }

// x where the comparison of x with y holds or x is NaN, else y.
Val Extremum(Asm* a, const char* compare, const Val& x, const Val& y) {
  const Val p = a->P("or.pred", a->P(compare, x, y), a->P("setp.nan.f32", x, x));
  return Select(a, p, x, y);
}

}  // namespace

Val EmitPointwise(Asm* a, Op op, const Val& x, const Val& y, const Val& z) {
  switch (op) {
    case Op::kNeg: return a->F("neg.f32", x);
    case Op::kExp: return Exp(a, x);
    case Op::kLog: return Log(a, x);
    case Op::kLog1p: return Log1p(a, x);
    case Op::kSqrt: return a->F("sqrt.rn.f32", x);
    case Op::kAbs: return Select(a, a->P("setp.lt.f32", x, Fl(0)), a->F("neg.f32", x), x);
    case Op::kSign: {
      const Val negative = Select(a, a->P("setp.lt.f32", x, Fl(0)), Fl(-1), Fl(0));
      return Select(a, a->P("setp.gt.f32", x, Fl(0)), Fl(1), negative);
    }
    case Op::kFloor: return a->F("cvt.rmi.f32.f32", x);
    case Op::kRelu: return Select(a, a->P("setp.lt.f32", x, Fl(0)), Fl(0), x);
    case Op::kRelu6: {
      const Val below = Select(a, a->P("setp.gt.f32", x, Fl(6)), Fl(6), x);
      return Select(a, a->P("setp.lt.f32", x, Fl(0)), Fl(0), below);
    }
    case Op::kSigmoid: return Sigmoid(a, x);
    case Op::kTanh: return Tanh(a, x);
    case Op::kAdd: return a->F("add.rn.f32", x, y);
    case Op::kSub: return a->F("sub.rn.f32", x, y);
    case Op::kMul: return a->F("mul.rn.f32", x, y);
    case Op::kDiv: return a->F("div.rn.f32", x, y);
    case Op::kPow: return Pow(a, x, y);
    case Op::kMax: return Extremum(a, "setp.gt.f32", x, y);
    case Op::kMin: return Extremum(a, "setp.lt.f32", x, y);
    case Op::kLess: return Flag(a, a->P("setp.lt.f32", x, y));
    case Op::kGreater: return Flag(a, a->P("setp.gt.f32", x, y));
    case Op::kEqual: return Flag(a, a->P("setp.eq.f32", x, y));
    case Op::kSelect: return Select(a, a->P("setp.neu.f32", x, Fl(0)), y, z);
#define OP(name, ...) case Op::k##name:
#include "lib/graph/ops.def"
#undef OP
      break;  // not pointwise
  }
  return x;
}

}  // namespace distil::cuda
