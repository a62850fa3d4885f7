#include "lib/train/network.h"

#include "lib/base/text.h"
#include "lib/runtime/program.h"

namespace distil {

Network::Network(std::shared_ptr<Device> device, Spec spec)
    : device_(std::move(device)), spec_(std::move(spec)), variables_([this](Variable* v, const Init& init) {
        const Status s = AllocateVariable(device_->backend.get(), spec_.seed, init, v);
        if (!s.ok()) allocation_ = s;
        return s;
      }) {}

Status Network::Create(std::shared_ptr<Device> device, Spec spec, std::shared_ptr<Network>* out) {
  std::shared_ptr<Network> n(new Network(std::move(device), std::move(spec)));
  // One build makes the variables, and tells shapes and cost.
  Graph g;
  Layers layers(&g, n->variables(), {});
  const Features f = n->Build(layers, Input(&g, "images", n->ImageShape(1)));
  DISTIL_RETURN_IF_ERROR(n->allocation_);
  if (!g.ok()) return InvalidArgument("network " + n->spec_.name + ": " + g.error());
  if (f.logits.rank() != 2) return Internal("network " + n->spec_.name + " has no logits");
  g.Output("logits", f.logits.id());
  n->classes_ = f.logits.dim(1);
  n->cost_ = CostOf(g, 1);
  for (size_t i = 0; i < f.taps.size(); ++i) {
    n->taps_.push_back("f" + std::to_string(i));
    n->taps_.push_back("f" + std::to_string(i) + ".pre");
  }
  n->taps_.insert(n->taps_.end(), {"pooled", "logits"});
  *out = std::move(n);
  return {};
}

Status Network::CreateFromZoo(std::shared_ptr<Device> device, const std::string& name, int64_t classes,
                              const int64_t* input, uint64_t seed, std::shared_ptr<Network>* out) {
  const Model* model = FindModel(name);
  if (!model) {
    std::vector<std::string> names;
    for (const Model& m : AllModels()) names.push_back(m.name);
    return NotFound(NoSuch("model", name, names));
  }
  Spec spec;
  spec.name = model->name;
  spec.model = model;
  for (int i = 0; i < 3; ++i) spec.input[i] = input ? input[i] : model->input[i];
  spec.seed = seed;
  spec.body = [model, classes](Layers& l, Expr images) {
    BuildOptions options;
    options.classes = classes;
    return model->Build(l, images, options);
  };
  return Create(std::move(device), std::move(spec), out);
}

Features Network::Build(Layers& l, Expr images) const {
  Graph* g = l.graph();
  const bool scope = g->low_scope;
  g->low_scope = true;
  const Features f = spec_.body(l, images);
  g->low_scope = scope;
  return f;
}

Expr FindTap(const Features& f, const std::string& name) {
  if (name == "logits") return f.logits;
  if (name == "pooled") return f.pooled;
  for (size_t i = 0; i < f.taps.size(); ++i) {
    if (name == "f" + std::to_string(i)) return f.taps[i].post;
    if (name == "f" + std::to_string(i) + ".pre") return f.taps[i].pre;
  }
  return {};
}

}  // namespace distil
