#include "lib/backend/convolution.h"

namespace distil {

bool IsConv(Op op) { return op == Op::kConv2d || op == Op::kConv2dInput || op == Op::kConv2dWeight; }

ConvKind KindOf(Op op) {
  return op == Op::kConv2d ? ConvKind::kForward : op == Op::kConv2dInput ? ConvKind::kInput : ConvKind::kWeight;
}

ConvSpec SpecOf(const Graph& g, const Node& n) {
  const Value &a = g.value(n.in[0]), &b = g.value(n.in[1]), &y = g.value(n.out[0]);
  const ConvKind kind = KindOf(n.op);
  const Value& x = kind == ConvKind::kInput ? y : a;
  const Value& w = kind == ConvKind::kWeight ? y : b;
  const Value& out = kind == ConvKind::kForward ? y : kind == ConvKind::kInput ? a : b;
  return {
      kind,    x.shape, w.shape, out.shape, ConvAttrs::Unpack(n.ints), x.layout, out.layout, a.dtype == DType::kBF16,
      w.layout};
}

std::string Describe(const ConvSpec& s) {
  const ConvAttrs& a = s.attrs;
  auto pair = [](const char* name, const int64_t(&v)[2]) {
    return std::string(", ") + name + " " + std::to_string(v[0]) + " " + std::to_string(v[1]);
  };
  std::string t = s.kind == ConvKind::kForward ? "conv2d"
                  : s.kind == ConvKind::kInput ? "conv2d by input"
                                               : "conv2d by weight";
  t += ", x " + s.x.ToString() + ", w " + s.w.ToString() + pair("stride", a.stride) + pair("pad", a.pad);
  if (a.dilation[0] != 1 || a.dilation[1] != 1) t += pair("dilation", a.dilation);
  if (a.groups != 1) t += ", groups " + std::to_string(a.groups);
  if (a.bias) t += ", bias";
  if (a.residual) t += ", residual";
  if (a.relu) t += ", ReLU";
  return t + (s.bf16 ? ", bf16" : ", f32");
}

}  // namespace distil
