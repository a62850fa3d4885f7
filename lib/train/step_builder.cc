#include "lib/train/step_builder.h"

#include <algorithm>

#include "lib/base/text.h"
#include "lib/train/optimizer.h"

namespace distil {
namespace {

// 1 where x is a finite number. Not x - x == 0, which a backend could simplify; losses beyond f32 are lost either way.
Expr Finite(Expr x) { return Less(Abs(x), 3.0e38); }

// Values on which `loss` depends through operations that have a gradient.
std::vector<bool> ReachedFrom(const Graph& g, ValueId loss) {
  std::vector<bool> reached(g.value_count(), false);
  reached[loss] = true;
  for (NodeId n = g.value(loss).node + 1; n-- > 0;) {
    const Node& node = g.node(n);
    if (node.op == Op::kStopGradient) continue;
    if (std::none_of(node.out.begin(), node.out.end(), [&](ValueId v) { return reached[v]; })) continue;
    for (ValueId v : node.in) reached[v] = true;
  }
  return reached;
}

Expr Stop(Expr x) { return x.valid() ? StopGradient(x) : x; }

Features Stop(Features f) {
  for (Tap& t : f.taps) t = {Stop(t.pre), Stop(t.post)};
  return {f.taps, Stop(f.map), Stop(f.pooled), Stop(f.logits)};
}

}  // namespace

Network* StepContext::Find(const std::string& role) const {
  for (const auto& [name, network] : roles)
    if (name == role) return network.get();
  return nullptr;
}

StepGraph::StepGraph(StepContext* context, int64_t batch) : context_(context), batch_(batch) {}

int64_t StepGraph::classes() const { return context_->roles.front().second->classes(); }

Expr StepGraph::images() {
  return distil::Input(&graph_, "images", context_->roles.front().second->ImageShape(batch_));
}

Expr StepGraph::labels() {
  labels_used_ = true;
  return IndexInput(&graph_, "labels", {batch_});
}

Expr StepGraph::ids() { return IndexInput(&graph_, "ids", {batch_}); }

Expr StepGraph::Key(int i) { return IndexInput(&graph_, "key/" + std::to_string(i), {4}); }

Expr StepGraph::Input(const std::string& name, const Shape& shape, bool index) {
  for (const Extra& e : extras_) {
    if (e.name == name && (!(e.shape == shape) || e.index != index))
      Fail("input '" + name + "' is asked for in two forms, " + e.shape.ToString() + " and " + shape.ToString());
  }
  if (std::none_of(extras_.begin(), extras_.end(), [&](const Extra& e) { return e.name == name; }))
    extras_.push_back({name, shape, index});
  const std::string full = "extra/" + name;
  return index ? IndexInput(&graph_, full, shape) : distil::Input(&graph_, full, shape);
}

LayersOptions StepGraph::ModeOptions(Mode mode, const Values& with, int64_t rows) {
  LayersOptions o;
  o.train = mode == kTrain || mode == kBatch;
  o.update_statistics = mode == kTrain;
  o.with = with;
  if (o.train) {
    o.key = Key(keys_++);  // each network draws its own dropout masks
    o.ids = ids();
    if (rows != batch_) {
      row_inputs_.insert(rows);
      o.ids = IndexInput(&graph_, "rows/" + std::to_string(rows), {rows});
    }
  }
  return o;
}

Features StepGraph::Forward(const std::string& role, Mode mode, Expr images, const Values& with) {
  Network* n = context_->Find(role);
  if (!n) {
    Fail("no network has the role '" + role + "'");
    return {};
  }
  if (StepContext::IsTeacher(role) && mode != kFrozen) {
    Fail("the network in the role '" + role + "' is frozen: it cannot run in a training mode");
    return {};
  }
  const Shape want = n->ImageShape(images.dim(0));
  if (images.valid() && !(images.shape() == want)) {
    Fail("the network in the role '" + role + "' reads images " + want.ToString() + ", it is given " +
         images.shape().ToString());
    return {};
  }
  if (mode == kFrozen) frozen_.insert(role);
  Layers layers(&graph_, n->variables(), ModeOptions(mode, with, images.dim(0)));
  const Features f = n->Build(layers, images);
  const bool ours = images.valid() && images.id() == this->images().id();
  if (mode == kTrain && ours && (!logits_.valid() || role == "student")) logits_ = f.logits;
  return mode == kFrozen ? Stop(f) : f;
}

const Model* StepGraph::model(const std::string& role) {
  Network* n = context_->Find(role);
  return n ? n->spec().model : nullptr;
}

std::vector<VariableRef> StepGraph::Parameters(const std::string& role) {
  Network* n = context_->Find(role);
  if (!n) Fail("no network has the role '" + role + "'");
  return n ? n->variables()->parameters() : std::vector<VariableRef>();
}

Layers StepGraph::Aux(const std::string& name, Mode mode, const Values& with) {
  return Layers(&graph_, context_->aux, ModeOptions(mode, with, batch_)).Scope(name);
}

std::vector<VariableRef> StepGraph::AuxParameters(const std::string& name) {
  std::vector<VariableRef> found;
  for (const VariableRef& v : context_->aux->parameters())
    if (v->name.rfind(name + ".", 0) == 0) found.push_back(v);
  return found;
}

VariableRef StepGraph::State(const std::string& name, const Shape& shape, const Init& init) {
  VariableRef v;
  const Status s = context_->state->GetOrCreate(name, shape, VariableKind::kState, init, false, &v);
  if (!s.ok()) Fail(s.message());
  return v;
}

void StepGraph::Term(const std::string& name, Expr value) {
  if (!graph_.ok()) return;
  if (!value.valid() || value.shape().elements() != 1) {
    Fail("term '" + name + "' must be one number, it has shape " + value.shape().ToString());
    return;
  }
  terms_.push_back(name);
  values_.push_back(StopGradient(value));
}

std::string StepGraph::NameOf(const VariableRef& v) const {
  auto it = context_->names.find(v.get());
  if (it != context_->names.end()) return it->second;
  return (context_->aux->Find(v->name) == v ? "aux/" : "state/") + v->name;
}

Expr StepGraph::LearningRate(const TrainingOptions& o) {
  // One input for each schedule in use; its options tell them apart.
  std::string key = o.schedule;
  for (double v : {o.lr, o.gamma, o.step_epochs, o.lr_min, o.warmup_epochs}) key += " " + FormatNumber(v);
  for (double v : o.milestones) key += " " + FormatNumber(v);
  size_t i = static_cast<size_t>(std::find(rate_keys_.begin(), rate_keys_.end(), key) - rate_keys_.begin());
  if (i == rate_keys_.size()) {
    rate_keys_.push_back(key);
    rates_.push_back({"lr/" + std::to_string(i), Schedule(o, context_->epochs)});
  }
  return distil::Input(&graph_, rates_[i].input, {});
}

StepGraph::Update StepGraph::MakeUpdate(Expr loss, const std::vector<VariableRef>& parameters, const Values& from,
                                        bool latest, const OptimizerChoice& how) {
  Update u;
  TrainingOptions o = context_->options;
  if (Status s = OverrideTrainingOptions(how.training, &o); !s.ok()) Fail("update '" + how.name + "': " + s.message());
  if (!graph_.ok()) return u;
  if (!loss.valid() || loss.shape().elements() != 1) {
    Fail("update '" + how.name + "': the loss must be one number, it has shape " + loss.shape().ToString());
    return u;
  }
  auto value = [&](const VariableRef& v) {
    auto it = from.find(v);
    return it != from.end() ? it->second : Read(&graph_, v);
  };

  const std::vector<bool> reached = ReachedFrom(graph_, loss.id());
  std::vector<VariableRef> trained;
  std::vector<Expr> at;
  std::set<const Variable*> seen;
  for (const VariableRef& v : parameters) {
    if (!v || !seen.insert(v.get()).second) continue;
    Expr e = value(v);
    if (e.id() >= reached.size() || !reached[e.id()]) continue;
    trained.push_back(v);
    at.push_back(e);
  }
  if (trained.empty()) {
    Fail("update '" + how.name + "': its loss reaches none of its parameters");
    return u;
  }
  std::vector<Expr> gradients = Gradients(loss, at);
  std::vector<Expr> squares;
  for (Expr& g : gradients) squares.push_back(Reshape(SumAll(Square(g)), {1}));
  if (!graph_.ok()) return u;
  u.squares = SumAll(Concat(squares, 0));
  for (size_t i = 0; i < trained.size(); ++i) {
    u.gradients.emplace_back(trained[i], gradients[i]);
    squared_.push_back(NameOf(trained[i]));
    squares_.push_back(squares[i]);
  }
  Expr factor;
  if (o.clip_norm > 0) factor = ClipFactor(u.squares, o.clip_norm);

  Expr lr = LearningRate(o);
  const std::vector<OptimizerSlot> slots = OptimizerSlots(o);
  for (size_t i = 0; i < trained.size() && graph_.ok(); ++i) {
    const VariableRef& v = trained[i];
    Expr w = latest ? Expr(&graph_, graph_.Latest(v)) : at[i];
    std::vector<VariableRef> kept;
    std::vector<Expr> old;
    for (const OptimizerSlot& slot : slots) {
      VariableRef s;
      const Status status = context_->optimizer->GetOrCreate(how.name + "/" + NameOf(v) + "/" + slot.name,
                                                             slot.scalar ? Shape() : v->shape, VariableKind::kState,
                                                             Init::Constant(0), false, &s);
      if (!status.ok()) {
        Fail(status.message());
        return u;
      }
      kept.push_back(s);
      old.push_back(latest ? Expr(&graph_, graph_.Latest(s)) : value(s));
    }
    Expr g = factor.valid() ? gradients[i] * factor : gradients[i];
    OptimizerUpdate next = UpdateParameter(o, lr, w, g, old);
    u.values.emplace_back(v, next.parameter);
    for (size_t k = 0; k < kept.size(); ++k) u.values.emplace_back(kept[k], next.slots[k]);
  }
  return u;
}

void StepGraph::Minimize(Expr loss, const std::vector<VariableRef>& parameters, const OptimizerChoice& how) {
  const Update u = MakeUpdate(loss, parameters, {}, /*latest=*/true, how);
  if (!graph_.ok()) return;
  losses_.push_back(StopGradient(loss));
  sums_.push_back(u.squares);
  for (const auto& [v, value] : u.values) graph_.Assign(v, value.id());
  if (!context_->options.gradients) return;
  for (const auto& [v, g] : u.gradients) {
    const std::string name = "gradient/" + NameOf(v);
    const auto& outputs = graph_.outputs();
    if (std::none_of(outputs.begin(), outputs.end(), [&](auto& o) { return o.first == name; }))
      graph_.Output(name, g.id());
  }
}

Values StepGraph::Updated(Expr loss, const std::vector<VariableRef>& parameters, const Values& from,
                          const OptimizerChoice& how) {
  const size_t squares = squared_.size();
  const Update u = MakeUpdate(loss, parameters, from, /*latest=*/false, how);
  squared_.resize(squares);  // what a look-ahead computes shows in the loss that uses it
  squares_.resize(squares);
  Values result = from;
  for (const auto& [v, value] : u.values) result[v] = value;
  return result;
}

Status StepGraph::Finish() {
  if (!graph_.ok()) return InvalidArgument(graph_.error());
  for (const auto& [v, value] : graph_.assigns()) {
    const std::string name = NameOf(v), role = name.substr(0, name.find('/'));
    if (frozen_.count(role) || StepContext::IsTeacher(role))
      return InvalidArgument("the network in the role '" + role + "' is frozen, and the step changes its " + v->name);
  }

  Expr ok = Constant(&graph_, 1.0), total = Constant(&graph_, 0.0), correct = total;
  for (Expr loss : losses_) total = total + Reshape(loss, {});
  std::vector<Expr> checked = values_;
  checked.push_back(total);
  checked.insert(checked.end(), sums_.begin(), sums_.end());
  for (Expr x : checked) ok = ok * Reshape(Finite(x), {});
  if (context_->alive) ok = ok * Read(&graph_, context_->alive);
  if (logits_.valid() && labels_used_) {
    // Right: no other logit is as large as the label's. NaN is not less, so it counts as wrong.
    Expr at_least = 1.0 - Less(logits_, PickLabel(logits_, labels()));
    correct = SumAll(Equal(Sum(at_least, {1}), 1.0));
  }
  std::vector<Expr> report = {Reshape(ok, {1}), Reshape(correct, {1}), Reshape(total, {1})};
  for (Expr x : values_) report.push_back(Reshape(x, {1}));
  if (!squares_.empty()) report.push_back(Concat(squares_, 0));
  if (logits_.valid()) report.push_back(Reshape(Sum(1.0 - Finite(StopGradient(logits_)), {1}), {batch_}));
  graph_.Output("report", Concat(report, 0).id());

  const auto assigns = graph_.assigns();  // a copy: Assign changes them
  for (const auto& [v, value] : assigns) graph_.Assign(v, Select(ok, Expr(&graph_, value), Read(&graph_, v)).id());
  if (context_->alive) graph_.Assign(context_->alive, ok.id());
  return graph_.ok() ? Status() : InvalidArgument(graph_.error());
}

}  // namespace distil
