// Ops and composites whose conventions are easily misread (padding, rounding of windows, ties, momentum, ...) against
// PyTorch: every case of tests/golden/ops.json, values and gradients, on every backend that does not compute in bf16.
#include <gtest/gtest.h>

#include "lib/expr/layers.h"
#include "losses/common.h"
#include "tests/golden/golden.h"
#include "tests/ops/harness.h"

namespace distil {
namespace {

using golden::Json;
using Exprs = std::map<std::string, Expr>;

const Json& Cases() {
  static const Json file = Json::Load("ops.json");
  return file["cases"];
}

Shape ShapeOf(const Json& tensor) {
  const std::vector<int64_t> dims = golden::DimsOf(tensor);
  return Shape(std::span<const int64_t>(dims));
}

Feed FeedOf(const Json& input) {
  const std::vector<float> values = golden::InputOf(input);
  return {{values.begin(), values.end()}, false};
}

// A case as a graph: inputs and variables by PyTorch's names, outputs by the file's.
struct Case {
  Case(Backend* b, const Json& record)
      : backend(b), want(record), set([this](Variable* v, const Init&) { return Fill(v); }) {
    const Json& attrs = record["attrs"];
    auto number = [&](const char* key) { return attrs[key].integer(); };
    auto pair = [&](const char* key, int64_t* to) {
      const std::vector<int64_t> values = attrs[key].numbers<int64_t>();
      to[0] = values[0], to[1] = values[1];
    };
    const std::string op = record["op"].string();
    Expr x = In("x");

    if (op == "resize_bilinear") {
      out["y"] = ResizeBilinear(x, number("h"), number("w"));
    } else if (op == "resize_nearest") {
      out["y"] = ResizeNearest(x, number("h"), number("w"));
    } else if (op == "adaptive_avg_pool") {
      out["y"] = AdaptiveAvgPool(x, number("h"), number("w"));
    } else if (op == "adaptive_max_pool") {
      out["y"] = AdaptiveMaxPool(x, number("h"), number("w"));
    } else if (op == "avg_pool" || op == "max_pool") {
      PoolAttrs a;
      pair("kernel", a.kernel), pair("stride", a.stride), pair("pad", a.pad);
      a.ceil_mode = attrs["ceil_mode"].boolean();
      if (op == "avg_pool") a.count_include_pad = attrs["count_include_pad"].boolean();
      out["y"] = op == "avg_pool" ? AvgPool(x, a) : MaxPool(x, a);
    } else if (op == "conv2d" || op == "conv_transpose2d") {
      ConvAttrs a;
      pair("stride", a.stride), pair("pad", a.pad), pair("dilation", a.dilation);
      a.groups = number("groups");
      Expr w = In("w"), b = In("b");
      if (op == "conv_transpose2d") {
        int64_t extra[2];
        pair("output_pad", extra);
        for (int i = 0; i < 2; ++i)
          a.size[i] =
              (x.dim(2 + i) - 1) * a.stride[i] - 2 * a.pad[i] + a.dilation[i] * (w.dim(2 + i) - 1) + extra[i] + 1;
      }
      out["y"] = (op == "conv2d" ? Conv2d(x, w, a) : ConvTranspose2d(x, w, a)) + Reshape(b, {1, b.dim(0), 1, 1});
    } else if (op == "batch_norm" || op == "batch_norm_eval") {
      LayersOptions options;
      options.train = op == "batch_norm";
      Layers l(&g, &set, options);
      out["y"] = l.BatchNorm("bn", x, attrs["eps"].number(), options.train ? attrs["momentum"].number() : 0.1);
      for (const VariableRef& v : set.all()) {
        const std::string name = v->name.substr(3);  // without "bn."
        in[name] = Read(&g, v);
        if (options.train && record["outputs"].has(name)) out[name] = {&g, g.Latest(v)};
      }
    } else if (op == "batch_norm_double") {
      Expr weight = In("weight");
      out["y"] = BatchNorm(x, weight, weight * 0.0, attrs["eps"].number()).y;
    } else if (op == "log_softmax") {
      const bool last = number("axis") == x.rank() - 1;  // along the channels of an image: moved to the end and back
      out["y"] = last ? LogSoftmax(x) : Transpose(LogSoftmax(Transpose(x, {0, 2, 3, 1})), {0, 3, 1, 2});
    } else if (op == "smooth_l1") {
      const double beta = attrs["beta"].number();
      out["y"] = beta * MeanAll(SmoothL1((x - In("t")) / beta));
    } else if (op == "kl_div") {
      out["y"] = Kl(In("t"), x, 1);
    } else if (op == "cross_entropy") {
      Expr labels = IndexInput(&g, "labels", {x.dim(0)});
      feeds["labels"] = {record["labels"].numbers(), true};
      out["y"] = CrossEntropy(x, labels, attrs["label_smoothing"].number());
    } else if (op == "channel_shuffle") {
      out["y"] = ChannelShuffle(x, number("groups"));
    } else if (op == "top_k") {
      out["y"] = TopK(x, number("k"));
    } else if (op == "kth_smallest") {
      out["y"] = KthSmallest(x, number("k"));
    } else {
      ADD_FAILURE() << "no op " << op << " here";
    }
    Differentiate(op == "batch_norm_double");
  }

  // Outputs "y", ...; gradients of sum(y dy) as "grads.x", or for double: g = d sum(y dy) / dx as output, and
  // d sum(g^2) as "grads2.x".
  void Differentiate(bool twice) {
    Expr y = out["y"], dy = Input(&g, "dy", ShapeOf(want["seed"]));
    feeds["dy"] = FeedOf(want["seed"]);
    in["dy"] = dy;
    Expr loss = SumAll(Reshape(y, dy.shape()) * dy);
    if (twice) {
      out["g"] = Gradients(loss, std::vector<Expr>{in["x"]})[0];
      loss = SumAll(Square(out["g"]));
    }
    for (auto& [name, e] : out) g.Output(name, e.id());
    const std::string key = twice ? "grads2" : "grads";
    for (auto& [name, tensor] : want[key].object())
      g.Output(key + "." + name, Gradients(loss, std::vector<Expr>{in[name]})[0].id());
  }

  Expr In(const std::string& name) {
    const Json& input = want["inputs"][name];
    feeds[name] = FeedOf(input);
    return in[name] = Input(&g, name, ShapeOf(input));
  }
  Status Fill(Variable* v) {
    DISTIL_RETURN_IF_ERROR(AllocateVariable(backend, 0, Init::Constant(0), v));
    const std::string name = v->name.substr(3);
    if (!want["inputs"].has(name)) return {};  // num_batches_tracked
    const std::vector<float> values = golden::InputOf(want["inputs"][name]);
    return WriteVariable(backend, std::span<const float>(values), v);
  }

  Backend* backend;
  const Json& want;
  VariableSet set;
  Graph g;
  Exprs in, out;
  Feeds feeds;
};

// Max pooling with dilation is not an op of distil.
bool Covered(const Json& record) {
  if (record["op"].string() != "max_pool") return true;
  return record["attrs"]["dilation"].numbers() == std::vector<double>{1, 1};
}

void Check(Backend* backend, const Json& record, double tolerance) {
  SCOPED_TRACE(record["name"].string());
  Case c(backend, record);
  ASSERT_TRUE(c.g.ok()) << c.g.error();
  const Fetches got = RunOnce(backend, c.g, c.feeds);
  auto compare = [&](const std::string& prefix, const std::string& key) {
    if (!record.has(key)) return;
    for (auto& [name, tensor] : record[key].object()) {
      if (name == "index") continue;  // positions: distil's TopK gives values only
      ExpectClose(got.at(prefix + name), tensor["values"].numbers(), tolerance, prefix + name);
    }
  };
  compare("", "outputs");
  compare("grads.", "grads");
  compare("grads2.", "grads2");
}

TEST(GoldenOps, ReferenceF64) {
  int covered = 0;
  for (const Json& record : Cases().array()) {
    if (!Covered(record)) continue;
    ++covered;
    Check(ReferenceF64(), record, 2e-9);  // the file has ten digits
  }
  EXPECT_EQ(covered, static_cast<int>(Cases().size()) - 1);
}

TEST(GoldenOps, BackendsF32) {
  for (const TestBackend& t : TestBackends()) {
    if (t.bf16) continue;
    SCOPED_TRACE(t.name);
    const std::unique_ptr<Backend> backend = t.make();
    for (const Json& record : Cases().array())
      if (Covered(record)) Check(backend.get(), record, 64 * t.eps);
  }
}

}  // namespace
}  // namespace distil
