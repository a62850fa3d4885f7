#include "lib/expr/layers.h"

#include <algorithm>
#include <cmath>

namespace distil {

VariableRef VariableSet::Find(const std::string& name) const {
  auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

Status VariableSet::GetOrCreate(const std::string& name, const Shape& shape, VariableKind kind, const Init& init,
                                bool integer, VariableRef* out) {
  if (VariableRef v = Find(name)) {
    if (!(v->shape == shape))
      return InvalidArgument(name + " has shape " + v->shape.ToString() + ", asked for as " + shape.ToString());
    *out = v;
    return {};
  }
  bool fits = shape.elements() <= kMaxElements;
  for (int64_t d : shape.dims()) fits = fits && d >= 1;
  if (!fits) return InvalidArgument(name + " cannot have shape " + shape.ToString());
  auto v = std::make_shared<Variable>();
  v->name = name;
  v->shape = shape;
  v->kind = kind;
  v->integer = integer;
  DISTIL_RETURN_IF_ERROR(allocate_(v.get(), init));
  all_.push_back(v);
  by_name_.emplace(name, v);
  *out = v;
  return {};
}

std::vector<VariableRef> VariableSet::parameters() const {
  std::vector<VariableRef> p;
  for (const VariableRef& v : all_)
    if (v->kind == VariableKind::kParameter) p.push_back(v);
  return p;
}

Layers::Layers(Graph* g, VariableSet* set, LayersOptions options)
    : graph_(g),
      set_(set),
      options_(options),
      used_(std::make_shared<std::vector<VariableRef>>()),
      dropout_slot_(std::make_shared<int>(0)) {}

Layers Layers::Scope(const std::string& name) const {
  Layers l = *this;
  l.prefix_ = prefix_ + name + ".";
  return l;
}

VariableRef Layers::Get(const std::string& name, const Shape& shape, VariableKind kind, const Init& init,
                        bool integer) {
  VariableRef v;
  if (!graph_->ok()) return nullptr;
  if (Status s = set_->GetOrCreate(prefix_ + name, shape, kind, init, integer, &v); !s.ok()) {
    graph_->Fail(s.message());
    return nullptr;
  }
  return v;
}

Expr Layers::Param(const std::string& name, const Shape& shape, const Init& init) {
  VariableRef v = Get(name, shape, VariableKind::kParameter, init, false);
  if (!v) return {};
  if (std::find(used_->begin(), used_->end(), v) == used_->end()) used_->push_back(v);
  return Value(v);
}

Expr Layers::Value(const VariableRef& v) const {
  auto it = options_.with.find(v);
  return it == options_.with.end() ? Read(graph_, v) : it->second;
}

VariableRef Layers::Buffer(const std::string& name, const Shape& shape, const Init& init, bool integer) {
  return Get(name, shape, VariableKind::kBuffer, init, integer);
}

// Before a weight takes memory, and before sizes are multiplied.
bool Layers::CheckConv(const std::string& name, Expr x, int64_t channels, int64_t k, const ConvOptions& o) const {
  if (!x.valid()) return false;
  auto count = [](int64_t v, int64_t least) { return v >= least && v <= int64_t{1} << 20; };
  if (x.rank() == 4 && count(channels, 1) && count(k, 1) && count(o.stride, 1) && count(o.dilation, 1) &&
      count(o.pad, -1) && count(o.groups, 1) && count(o.output_padding, 0))
    return true;
  graph_->Fail(prefix_ + name +
               ": a convolution needs an input of rank 4, and channels, kernel, stride, dilation and " +
               "groups of at least 1, got input " + x.shape().ToString() + ", " + std::to_string(channels) +
               " channels, kernel " + std::to_string(k) + ", stride " + std::to_string(o.stride) + ", dilation " +
               std::to_string(o.dilation) + ", groups " + std::to_string(o.groups));
  return false;
}

Expr Layers::Conv(const std::string& name, Expr x, int64_t channels, int64_t k, const ConvOptions& o) {
  if (!CheckConv(name, x, channels, k, o)) return {};
  ConvAttrs a;
  a.stride[0] = a.stride[1] = o.stride;
  a.dilation[0] = a.dilation[1] = o.dilation;
  a.pad[0] = a.pad[1] = o.pad >= 0 ? o.pad : (k - 1) / 2 * o.dilation;
  a.groups = o.groups;
  const int64_t in = x.dim(1) / std::max<int64_t>(o.groups, 1);
  const double bound = 1.0 / std::sqrt(static_cast<double>(std::max<int64_t>(in * k * k, 1)));
  const bool he = o.init == ConvOptions::kHeFanOut;
  const Init init = he ? Init::Normal(std::sqrt(2.0 / static_cast<double>(k * k * channels))) : Init::Uniform(bound);
  Expr y = Conv2d(x, Param(name + ".weight", {channels, in, k, k}, init), a);
  if (o.bias) {
    Expr b = Param(name + ".bias", {channels}, he ? Init::Constant(0) : Init::Uniform(bound));
    y = y + Reshape(b, {1, channels, 1, 1});
  }
  return y;
}

Expr Layers::ConvTranspose(const std::string& name, Expr x, int64_t channels, int64_t k, const ConvOptions& o) {
  if (!CheckConv(name, x, channels, k, o)) return {};
  ConvAttrs a;
  a.stride[0] = a.stride[1] = o.stride;
  a.dilation[0] = a.dilation[1] = o.dilation;
  const int64_t pad = o.pad >= 0 ? o.pad : (k - 1) / 2 * o.dilation;
  a.pad[0] = a.pad[1] = pad;
  a.groups = o.groups;
  for (int i = 0; i < 2; ++i)
    a.size[i] = (x.dim(2 + i) - 1) * o.stride - 2 * pad + o.dilation * (k - 1) + o.output_padding + 1;
  const int64_t out = channels / std::max<int64_t>(o.groups, 1);
  // PyTorch computes the fan-in of a transposed convolution from the weight's second axis.
  const double bound = 1.0 / std::sqrt(static_cast<double>(std::max<int64_t>(out * k * k, 1)));
  const bool he = o.init == ConvOptions::kHeFanOut;
  const Init init = he ? Init::Normal(std::sqrt(2.0 / static_cast<double>(k * k * channels))) : Init::Uniform(bound);
  Expr y = ConvTranspose2d(x, Param(name + ".weight", {x.dim(1), out, k, k}, init), a);
  if (o.bias) {
    Expr b = Param(name + ".bias", {channels}, he ? Init::Constant(0) : Init::Uniform(bound));
    y = y + Reshape(b, {1, channels, 1, 1});
  }
  return y;
}

Expr Layers::BatchNorm(const std::string& name, Expr x, double eps, double momentum) {
  if (!x.valid()) return {};
  if (x.rank() != 2 && x.rank() != 4) {
    graph_->Fail(prefix_ + name + ": batch norm needs an input of rank 2 or 4, got " + x.shape().ToString());
    return {};
  }
  const int64_t c = x.dim(1);
  const Shape row = x.rank() == 4 ? Shape{1, c, 1, 1} : Shape{1, c};
  Expr gamma = Param(name + ".weight", {c}, Init::Constant(1));
  Expr beta = Param(name + ".bias", {c}, Init::Constant(0));
  VariableRef mean = Buffer(name + ".running_mean", {c}, Init::Constant(0));
  VariableRef var = Buffer(name + ".running_var", {c}, Init::Constant(1));
  VariableRef count = Buffer(name + ".num_batches_tracked", {}, Init::Constant(0), /*integer=*/true);
  if (!mean || !var || !count || !graph_->ok()) return {};
  if (!options_.train) {
    Expr scale = gamma / Sqrt(Value(var) + eps);
    Expr shift = beta - Value(mean) * scale;
    return x * Reshape(scale, row) + Reshape(shift, row);
  }
  if (x.shape().elements() == c) {
    graph_->Fail(prefix_ + name + ": batch norm in training needs more than one value per channel, got " +
                 x.shape().ToString());
    return {};
  }
  Normalized n = distil::BatchNorm(x, gamma, beta, eps);
  if (!options_.update_statistics) return n.y;
  const double m = static_cast<double>(x.shape().elements()) / static_cast<double>(c);
  // Latest, not Read: a network that runs twice in one step updates its statistics twice.
  auto latest = [&](const VariableRef& v) { return Expr(graph_, graph_->Latest(v)); };
  auto blend = [&](const VariableRef& v, Expr now) {
    graph_->Assign(v, (latest(v) * (1 - momentum) + StopGradient(now) * momentum).id());
  };
  blend(mean, n.mean);
  blend(var, n.variance * (m / (m - 1)));  // PyTorch keeps the unbiased variance
  graph_->Assign(count, (latest(count) + 1.0).id());
  return n.y;
}

Expr Layers::Linear(const std::string& name, Expr x, int64_t out, const LinearOptions& o) {
  if (!x.valid()) return {};
  const int64_t in = x.dim(-1);
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  Expr w = Param(name + ".weight", {out, in}, o.weight_std > 0 ? Init::Normal(o.weight_std) : Init::Uniform(bound));
  Expr y = MatMul(x, w, false, true);
  if (o.bias) y = y + Param(name + ".bias", {out}, o.zero_bias ? Init::Constant(0) : Init::Uniform(bound));
  return y;
}

Expr Layers::Dropout(Expr x, double p) {
  if (!options_.train || p == 0) return x;
  return distil::Dropout(x, p, options_.key, options_.ids, (*dropout_slot_)++);
}

}  // namespace distil
