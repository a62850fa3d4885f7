// Networks of one's own: calls are recorded, tried at once on a scratch graph so that a mistake is known where it is
// made, and replayed into every graph the network is built into.

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <vector>

#include "lib/api/internal.h"
#include "lib/base/text.h"
#include "lib/io/json.h"

namespace distil::api {
namespace {

using Values = std::vector<Expr>;
using Step = std::function<Expr(Layers&, const Values&)>;

// A recorded network: value 0 is the batch of images, value i + 1 what step i makes.
struct Recording {
  std::vector<Step> steps;
  std::vector<std::pair<uint32_t, uint32_t>> taps;  // pre, post
  uint32_t pooled = 0, logits = 0;

  Features Replay(Layers& layers, Expr images) const {
    Values v = {images};
    for (const Step& s : steps) v.push_back(s(layers, v));
    Features f;
    for (const auto& [pre, post] : taps) f.taps.push_back({v[pre], v[post]});
    if (!taps.empty()) f.map = f.taps.back().post;
    f.pooled = v[pooled];
    f.logits = v[logits];
    return f;
  }
};

constexpr int64_t kScratchBatch = 2;
constexpr int64_t kLargest = 1 << 20;  // of any extent, stride or pad that a caller gives

}  // namespace
}  // namespace distil::api

struct distil_builder {
  std::shared_ptr<distil::Device> device;
  int64_t input[3];
  distil::Graph scratch;
  distil::VariableSet variables{[](distil::Variable*, const distil::Init&) { return distil::Status(); }};
  distil::Layers layers{&scratch, &variables, {}};
  distil::api::Values values;
  distil::api::Recording recording;
  std::set<std::string> names;
  distil::Status error;  // the first mistake
};

namespace distil::api {
namespace {

Status Fits(const char* what, int64_t v, int64_t low, int64_t high = kLargest) {
  if (v >= low && v <= high) return {};
  return InvalidArgument(std::string(what) + " is " + std::to_string(v) + ", not from " + std::to_string(low) + " to " +
                         std::to_string(high));
}

Status CheckName(distil_builder* b, const char* name) {
  DISTIL_NEED(name);
  const std::string n = name;
  const bool control = std::any_of(n.begin(), n.end(), [](char c) { return static_cast<unsigned char>(c) < 0x21; });
  if (n.empty() || n.size() > 200 || control || !IsUtf8(n))
    return InvalidArgument("the name must have 1 to 200 bytes of UTF-8 without white space");
  if (!b->names.insert(n).second) return InvalidArgument("the name is taken");
  return {};
}

// One call of the builder: checks arguments, tries the step, records it.
class Recorder {
 public:
  Recorder(distil_builder* b, const char* call, const char* name = nullptr) : b_(b), call_(call) {
    if (name) call_ += std::string(" '") + name + "'";
  }

  Recorder& Inputs(std::initializer_list<distil_value> in) {
    for (distil_value v : in) Input(v);
    return *this;
  }
  Recorder& Input(distil_value v) {
    return Check([&] {
      return v.id < b_->values.size() ? Status() : InvalidArgument("an input is not a value of this builder");
    });
  }
  Recorder& Named(const char* name) {
    return Check([&] { return CheckName(b_, name); });
  }
  template <class F>
  Recorder& Check(F&& f) {
    if (b_->error.ok()) Note(f());
    return *this;
  }
  distil_value Do(Step step) {
    if (!b_->error.ok()) return {DISTIL_NO_VALUE};
    const Expr e = step(b_->layers, b_->values);
    if (!b_->scratch.ok()) {
      Note(InvalidArgument(b_->scratch.error()));
      return {DISTIL_NO_VALUE};
    }
    if (e.dim(0) != kScratchBatch) {
      Note(InvalidArgument("the result " + e.shape().ToString() + " has lost the batch axis"));
      return {DISTIL_NO_VALUE};
    }
    b_->values.push_back(e);
    b_->recording.steps.push_back(std::move(step));
    return {static_cast<uint32_t>(b_->values.size() - 1)};
  }
  const Expr& at(distil_value v) const { return b_->values[v.id]; }

 private:
  void Note(const Status& s) {
    if (!s.ok()) b_->error = {s.code(), call_ + ": " + s.message()};
  }
  distil_builder* b_;
  std::string call_;
};

// A call without status: what throws is kept as the builder's mistake.
template <class F>
distil_value Record(distil_builder* b, F&& f) noexcept {
  if (!b) return {DISTIL_NO_VALUE};
  distil_value v = {DISTIL_NO_VALUE};
  const distil_status s = Call([&] {
    v = f();
    return Status();
  });
  if (s == DISTIL_OK) return v;
  try {
    b->error = {static_cast<Code>(s), distil_last_error()};
  } catch (...) {
    b->scratch.Fail("out of memory");
  }
  return {DISTIL_NO_VALUE};
}

// "[n,3,32,32]": the batch of the scratch graph is nobody's.
std::string ShapeText(Expr x) {
  std::string s = "[n";
  for (int d = 1; d < x.rank(); ++d) s += "," + std::to_string(x.dim(d));
  return s + "]";
}

Status RankIs(Expr x, std::initializer_list<int> ranks) {
  if (std::find(ranks.begin(), ranks.end(), x.rank()) != ranks.end()) return {};
  return InvalidArgument("its input has shape " + ShapeText(x) +
                         (ranks.size() == 2     ? ", not [n,c] or [n,c,h,w]"
                          : *ranks.begin() == 2 ? ", not [n,c]"
                                                : ", not [n,c,h,w]"));
}

Status AxisIs(Expr x, int axis) { return Fits("axis", axis, 1, std::max(x.rank() - 1, 1)); }

distil_value Convolution(distil_builder* b, const char* call, const char* name, distil_value x, int64_t channels,
                         int64_t kernel, const distil_conv_options* options, bool transposed) {
  distil_conv_options o = DISTIL_CONV_OPTIONS_INIT;
  Recorder r(b, call, name);
  r.Named(name).Input(x).Check([&]() -> Status {
    DISTIL_RETURN_IF_ERROR(RankIs(r.at(x), {4}));
    if (options) {
      DISTIL_RETURN_IF_ERROR(NeedStruct(options, "options", "DISTIL_CONV_OPTIONS_INIT"));
      o = *options;
    }
    DISTIL_RETURN_IF_ERROR(Fits("channels", channels, 1));
    DISTIL_RETURN_IF_ERROR(Fits("kernel", kernel, 1, 1024));
    DISTIL_RETURN_IF_ERROR(Fits("options->stride", o.stride, 1, 1024));
    DISTIL_RETURN_IF_ERROR(Fits("options->pad", o.pad, -1, 1024));
    DISTIL_RETURN_IF_ERROR(Fits("options->dilation", o.dilation, 1, 1024));
    DISTIL_RETURN_IF_ERROR(Fits("options->groups", o.groups, 1));
    DISTIL_RETURN_IF_ERROR(Fits("options->output_padding", o.output_padding, 0, transposed ? o.stride - 1 : 0));
    if (channels % o.groups || r.at(x).dim(1) % o.groups)
      return InvalidArgument("options->groups is " + std::to_string(o.groups) + ", which does not divide " +
                             std::to_string(r.at(x).dim(1)) + " and " + std::to_string(channels) + " channels");
    return {};
  });
  ConvOptions c;
  c.stride = o.stride, c.pad = o.pad, c.dilation = o.dilation, c.groups = o.groups, c.bias = o.bias != 0;
  c.output_padding = o.output_padding;
  return r.Do([=, n = std::string(name ? name : "")](Layers& l, const Values& v) {
    return transposed ? l.ConvTranspose(n, v[x.id], channels, kernel, c) : l.Conv(n, v[x.id], channels, kernel, c);
  });
}

// In the order of distil_unary.
constexpr Expr (*kUnary[])(Expr) = {Relu, Relu6, Sigmoid, Tanh, Exp, Log, Sqrt, Abs, Neg, Square};

Expr Combine(int op, Expr x, Expr y) {
  switch (op) {
    case DISTIL_ADD: return x + y;
    case DISTIL_SUB: return x - y;
    case DISTIL_MUL: return x * y;
    case DISTIL_DIV: return x / y;
    case DISTIL_MAX: return Max(x, y);
    case DISTIL_MIN: return Min(x, y);
    case DISTIL_POW: return Pow(x, y);
  }
  return {};
}

Status PoolIs(int op) {
  if (op == DISTIL_MAX_POOL || op == DISTIL_AVG_POOL) return {};
  return InvalidArgument("op is " + std::to_string(op) + ", no distil_pool");
}

}  // namespace
}  // namespace distil::api

using namespace distil;
using api::Call;
using api::Fits;
using api::RankIs;
using api::Record;
using api::Recorder;
using Steps = api::Values;

distil_status distil_builder_begin(distil_device* device, int64_t channels, int64_t height, int64_t width,
                                   distil_builder** builder, distil_value* input) {
  if (builder) *builder = nullptr;
  return Call([&]() -> Status {
    DISTIL_NEED(device);
    DISTIL_NEED(builder);
    DISTIL_NEED(input);
    DISTIL_RETURN_IF_ERROR(Fits("channels", channels, 1));
    DISTIL_RETURN_IF_ERROR(Fits("height", height, 1));
    DISTIL_RETURN_IF_ERROR(Fits("width", width, 1));
    auto b = std::make_unique<distil_builder>();
    b->device = device->device;
    b->input[0] = channels, b->input[1] = height, b->input[2] = width;
    b->values.push_back(Input(&b->scratch, "images", {api::kScratchBatch, channels, height, width}));
    *input = {0};
    *builder = b.release();
    return {};
  });
}

void distil_builder_free(distil_builder* builder) { delete builder; }

distil_value distil_conv2d(distil_builder* b, const char* name, distil_value x, int64_t channels, int64_t kernel,
                           const distil_conv_options* options) {
  return Record(b, [&] { return api::Convolution(b, "conv2d", name, x, channels, kernel, options, false); });
}

distil_value distil_conv_transpose2d(distil_builder* b, const char* name, distil_value x, int64_t channels,
                                     int64_t kernel, const distil_conv_options* options) {
  return Record(b, [&] { return api::Convolution(b, "conv_transpose2d", name, x, channels, kernel, options, true); });
}

distil_value distil_batch_norm(distil_builder* b, const char* name, distil_value x, double eps, double momentum) {
  return Record(b, [&] {
    Recorder r(b, "batch_norm", name);
    r.Named(name).Input(x).Check([&]() -> Status {
      if (!(eps > 0) || !std::isfinite(eps)) return InvalidArgument("eps is " + FormatNumber(eps) + ", not above 0");
      if (!(momentum >= 0 && momentum <= 1))
        return InvalidArgument("momentum is " + FormatNumber(momentum) + ", not from 0 to 1");
      return RankIs(r.at(x), {2, 4});
    });
    return r.Do([=, n = std::string(name ? name : "")](Layers& l, const Steps& v) {
      return l.BatchNorm(n, v[x.id], eps, momentum);
    });
  });
}

distil_value distil_linear(distil_builder* b, const char* name, distil_value x, int64_t features, int bias) {
  return Record(b, [&] {
    Recorder r(b, "linear", name);
    r.Named(name).Input(x).Check([&]() -> Status {
      DISTIL_RETURN_IF_ERROR(Fits("features", features, 1));
      return RankIs(r.at(x), {2});
    });
    LinearOptions o;
    o.bias = bias != 0;
    return r.Do([=, n = std::string(name ? name : "")](Layers& l, const Steps& v) {
      return l.Linear(n, v[x.id], features, o);
    });
  });
}

distil_value distil_dropout(distil_builder* b, distil_value x, double p) {
  return Record(b, [&] {
    Recorder r(b, "dropout");
    r.Input(x).Check([&] {
      return p >= 0 && p < 1 ? Status() : InvalidArgument("p is " + FormatNumber(p) + ", not from 0 to below 1");
    });
    return r.Do([=](Layers& l, const Steps& v) { return l.Dropout(v[x.id], p); });
  });
}

distil_value distil_apply(distil_builder* b, distil_unary op, distil_value x) {
  return Record(b, [&] {
    Recorder r(b, "apply");
    const int i = api::Number(op);
    r.Input(x).Check([&] {
      return i >= 0 && i < std::ssize(api::kUnary)
                 ? Status()
                 : InvalidArgument("op is " + std::to_string(i) + ", no distil_unary");
    });
    return r.Do([=](Layers&, const Steps& v) { return api::kUnary[i](v[x.id]); });
  });
}

distil_value distil_combine(distil_builder* b, distil_binary op, distil_value x, distil_value y) {
  return Record(b, [&] {
    Recorder r(b, "combine");
    const int i = api::Number(op);
    r.Inputs({x, y}).Check([&]() -> Status {
      if (i < DISTIL_ADD || i > DISTIL_POW) return InvalidArgument("op is " + std::to_string(i) + ", no distil_binary");
      if (r.at(x).rank() != r.at(y).rank())
        return InvalidArgument("its inputs have shapes " + api::ShapeText(r.at(x)) + " and " + api::ShapeText(r.at(y)) +
                               ", of different rank");
      return {};
    });
    return r.Do([=](Layers&, const Steps& v) { return api::Combine(i, v[x.id], v[y.id]); });
  });
}

distil_value distil_scale_shift(distil_builder* b, distil_value x, double scale, double shift) {
  return Record(b, [&] {
    Recorder r(b, "scale_shift");
    r.Input(x).Check([&] {
      return std::isfinite(scale) && std::isfinite(shift) ? Status() : InvalidArgument("scale or shift is not finite");
    });
    return r.Do([=](Layers&, const Steps& v) { return v[x.id] * scale + shift; });
  });
}

distil_value distil_pool2d(distil_builder* b, distil_pool op, distil_value x, int64_t kernel, int64_t stride,
                           int64_t pad) {
  return Record(b, [&] {
    Recorder r(b, "pool2d");
    const int kind = api::Number(op);
    r.Input(x).Check([&]() -> Status {
      DISTIL_RETURN_IF_ERROR(api::PoolIs(kind));
      DISTIL_RETURN_IF_ERROR(Fits("kernel", kernel, 1));
      DISTIL_RETURN_IF_ERROR(Fits("stride", stride, 1));
      DISTIL_RETURN_IF_ERROR(Fits("pad", pad, 0, kernel / 2));
      return RankIs(r.at(x), {4});
    });
    PoolAttrs a;
    for (int i = 0; i < 2; ++i) a.kernel[i] = kernel, a.stride[i] = stride, a.pad[i] = pad;
    return r.Do(
        [=](Layers&, const Steps& v) { return kind == DISTIL_MAX_POOL ? MaxPool(v[x.id], a) : AvgPool(v[x.id], a); });
  });
}

distil_value distil_adaptive_pool2d(distil_builder* b, distil_pool op, distil_value x, int64_t height, int64_t width) {
  return Record(b, [&] {
    Recorder r(b, "adaptive_pool2d");
    const int kind = api::Number(op);
    r.Input(x).Check([&]() -> Status {
      DISTIL_RETURN_IF_ERROR(api::PoolIs(kind));
      DISTIL_RETURN_IF_ERROR(Fits("height", height, 1));
      DISTIL_RETURN_IF_ERROR(Fits("width", width, 1));
      return RankIs(r.at(x), {4});
    });
    return r.Do([=](Layers&, const Steps& v) {
      return kind == DISTIL_MAX_POOL ? AdaptiveMaxPool(v[x.id], height, width)
                                     : AdaptiveAvgPool(v[x.id], height, width);
    });
  });
}

distil_value distil_global_avg_pool(distil_builder* b, distil_value x) {
  return Record(b, [&] {
    Recorder r(b, "global_avg_pool");
    r.Input(x).Check([&] { return RankIs(r.at(x), {4}); });
    return r.Do([=](Layers&, const Steps& v) { return GlobalAvgPool(v[x.id]); });
  });
}

distil_value distil_flatten(distil_builder* b, distil_value x) {
  return Record(
      b, [&] { return Recorder(b, "flatten").Input(x).Do([=](Layers&, const Steps& v) { return Flatten(v[x.id]); }); });
}

distil_value distil_concat(distil_builder* b, const distil_value* xs, size_t count, int axis) {
  return Record(b, [&] {
    Recorder r(b, "concat");
    r.Check([&]() -> Status {
      DISTIL_NEED(xs);
      return count >= 1 && count <= 4096 ? Status() : InvalidArgument("count is " + std::to_string(count));
    });
    std::vector<uint32_t> ids;
    for (size_t i = 0; b->error.ok() && i < count; ++i) {
      r.Input(xs[i]);
      ids.push_back(xs[i].id);
    }
    if (b->error.ok()) r.Check([&] { return api::AxisIs(r.at(xs[0]), axis); });
    return r.Do([=](Layers&, const Steps& v) {
      Steps all;
      for (uint32_t id : ids) all.push_back(v[id]);
      return Concat(all, axis);
    });
  });
}

distil_value distil_slice(distil_builder* b, distil_value x, int axis, int64_t begin, int64_t extent) {
  return Record(b, [&] {
    Recorder r(b, "slice");
    r.Input(x).Check([&]() -> Status {
      DISTIL_RETURN_IF_ERROR(api::AxisIs(r.at(x), axis));
      const int64_t d = r.at(x).dim(axis);
      DISTIL_RETURN_IF_ERROR(Fits("begin", begin, 0, d - 1));
      return Fits("extent", extent, 1, d - begin);
    });
    return r.Do([=](Layers&, const Steps& v) { return Slice(v[x.id], axis, begin, extent); });
  });
}

distil_value distil_channel_shuffle(distil_builder* b, distil_value x, int64_t groups) {
  return Record(b, [&] {
    Recorder r(b, "channel_shuffle");
    r.Input(x).Check([&]() -> Status {
      DISTIL_RETURN_IF_ERROR(RankIs(r.at(x), {4}));
      DISTIL_RETURN_IF_ERROR(Fits("groups", groups, 1));
      return r.at(x).dim(1) % groups == 0 ? Status()
                                          : InvalidArgument(std::to_string(groups) + " groups do not divide " +
                                                            std::to_string(r.at(x).dim(1)) + " channels");
    });
    return r.Do([=](Layers&, const Steps& v) { return ChannelShuffle(v[x.id], groups); });
  });
}

distil_value distil_resize(distil_builder* b, distil_value x, int64_t height, int64_t width, int bilinear) {
  return Record(b, [&] {
    Recorder r(b, "resize");
    r.Input(x).Check([&]() -> Status {
      DISTIL_RETURN_IF_ERROR(Fits("height", height, 1));
      DISTIL_RETURN_IF_ERROR(Fits("width", width, 1));
      return RankIs(r.at(x), {4});
    });
    return r.Do([=](Layers&, const Steps& v) {
      return bilinear ? ResizeBilinear(v[x.id], height, width) : ResizeNearest(v[x.id], height, width);
    });
  });
}

distil_status distil_builder_tap(distil_builder* b, distil_value pre, distil_value post) {
  return Call([&]() -> Status {
    DISTIL_NEED(b);
    Recorder(b, "tap").Inputs({pre, post}).Check([&]() -> Status {
      if (!(b->values[pre.id].shape() == b->values[post.id].shape()))
        return InvalidArgument("pre and post have shapes " + api::ShapeText(b->values[pre.id]) + " and " +
                               api::ShapeText(b->values[post.id]));
      b->recording.taps.emplace_back(pre.id, post.id);
      return {};
    });
    return b->error;
  });
}

distil_status distil_builder_finish(distil_builder* b, distil_value pooled, distil_value logits, uint64_t seed,
                                    distil_network** network) {
  if (network) *network = nullptr;
  return Call([&]() -> Status {
    DISTIL_NEED(b);
    DISTIL_NEED(network);
    DISTIL_RETURN_IF_ERROR(b->error);
    if (!b->scratch.ok()) return {Code::kOutOfMemory, b->scratch.error()};
    for (distil_value v : {pooled, logits}) {
      const char* what = v.id == logits.id ? "logits" : "pooled";
      if (v.id >= b->values.size()) return InvalidArgument(std::string(what) + " is not a value of this builder");
      if (b->values[v.id].rank() != 2)
        return InvalidArgument(std::string(what) + " has shape " + api::ShapeText(b->values[v.id]) + ", not [n,c]");
    }
    auto recording = std::make_shared<api::Recording>(b->recording);
    recording->pooled = pooled.id, recording->logits = logits.id;
    Network::Spec spec;
    spec.name = "custom";
    std::copy(b->input, b->input + 3, spec.input);
    spec.seed = seed;
    spec.body = [recording](Layers& l, Expr images) { return recording->Replay(l, images); };
    auto n = std::make_unique<distil_network>();
    DISTIL_RETURN_IF_ERROR(Network::Create(b->device, std::move(spec), &n->network));
    *network = n.release();
    return {};
  });
}
