// Updates against PyTorch's optimisers (tests/golden/make_optim.py), run as a program in f64 and f32.
#include "lib/train/optimizer.h"

#include "lib/base/text.h"
#include "lib/runtime/program.h"
#include "tests/golden/golden.h"
#include "tests/train/lab.h"

namespace distil {
namespace {

using golden::Json;

void RunCase(const Json& c, const std::string& device_name, double tolerance) {
  SCOPED_TRACE(c["name"].string() + " on " + device_name);
  const auto device = MakeDevice(device_name);
  Backend* backend = device->backend.get();
  std::string text = "optimizer=" + c["kind"].string();
  for (const char* key : {"momentum", "weight_decay", "beta1", "beta2", "eps", "clip_norm"})
    if (c.has(key)) text += std::string(" ") + key + "=" + FormatNumber(c[key].number());
  if (c.has("nesterov") && c["nesterov"].boolean()) text += " nesterov=1";
  TrainingOptions o;
  ASSERT_OK(ReadTrainingOptions(Text(text), &o, nullptr));

  VariableSet set([&](Variable* v, const Init& init) { return AllocateVariable(backend, 1, init, v); });
  Graph g;
  Expr lr = Input(&g, "lr", {});
  std::vector<VariableRef> parameters;
  std::vector<Expr> gradients;
  Expr squares = Constant(&g, 0.0);
  for (const auto& [name, record] : c["parameters"].object()) {
    const std::vector<float> x = golden::InputOf(record);
    const Shape shape{std::span<const int64_t>(golden::DimsOf(record))};
    VariableRef v;
    ASSERT_OK(set.GetOrCreate(name, shape, VariableKind::kParameter, Init::Constant(0), false, &v));
    ASSERT_OK(WriteVariable(backend, std::span<const float>(x), v.get()));
    parameters.push_back(v);
    gradients.push_back(Input(&g, name + ".grad", shape));
    squares = squares + SumAll(Square(gradients.back()));
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    std::vector<VariableRef> kept;
    std::vector<Expr> old;
    for (const OptimizerSlot& slot : OptimizerSlots(o)) {
      VariableRef v;
      ASSERT_OK(set.GetOrCreate(parameters[i]->name + "/" + slot.name, slot.scalar ? Shape() : parameters[i]->shape,
                                VariableKind::kState, Init::Constant(0), false, &v));
      kept.push_back(v);
      old.push_back(Read(&g, v));
    }
    Expr grad = o.clip_norm > 0 ? gradients[i] * ClipFactor(squares, o.clip_norm) : gradients[i];
    const OptimizerUpdate u = UpdateParameter(o, lr, Read(&g, parameters[i]), grad, old);
    g.Assign(parameters[i], u.parameter.id());
    for (size_t k = 0; k < kept.size(); ++k) g.Assign(kept[k], u.slots[k].id());
  }
  std::unique_ptr<Program> program;
  ASSERT_OK(Program::Compile(backend, g, {}, &program));
  for (int64_t k = 0; k < c["steps"].integer(); ++k) {
    const double rate = c.has("lr_per_step") ? c["lr_per_step"][static_cast<size_t>(k)].number() : c["lr"].number();
    ASSERT_OK(program->SetInput("lr", std::span<const double>(&rate, 1)));
    for (const auto& [name, record] : c["gradients"].object()) {
      const auto x = golden::FillTensor(record["fill"].string() + "." + std::to_string(k), golden::DimsOf(record),
                                        {record["offset"].number(), record["scale"].number()});
      ASSERT_OK(program->SetInput(name + ".grad", std::span<const float>(x)));
    }
    ASSERT_OK(program->Run());
    for (const VariableRef& v : parameters) {
      std::vector<double> got(static_cast<size_t>(v->shape.elements()));
      ASSERT_OK(ReadVariable(backend, *v, std::span<double>(got)));
      const Json& want = c["values"][v->name][static_cast<size_t>(k)];
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_NEAR(got[i], want[i].number(), tolerance) << v->name << " " << i << ", step " << k;
    }
  }
}

TEST(Optimizer, LikePyTorch) {
  const Json file = Json::Load("optim.json");
  for (const Json& c : file["optimizers"].array()) {
    RunCase(c, "reference:f64", 1e-9);
    RunCase(c, "reference", 2e-6);
    RunCase(c, "cpu", 2e-6);
  }
}

}  // namespace
}  // namespace distil
