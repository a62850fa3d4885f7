// Method: a distillation method as a formula over features. One file each, listed by one line in methods.def.
//
// The common case is one teacher, one student and a term that is added to cross-entropy: the file gives `loss`. What it
// needs beyond a formula it asks for in passing: a layer made through `p.aux` is trained with the student and dropped
// from the exported network; p.step->State is a tensor that lives across steps; p.step->epoch() is a graph value, so a
// warm-up is a formula. A method that first trains something else (a paraphraser, the student's first stages) adds
// `before`: phases that run ahead of the main one. Methods with other networks, alternating updates or phases of their
// own give `phases` instead of `loss` and use StepBuilder directly; the trainer's loop does not change.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/expr/layers.h"
#include "losses/options.h"
#include "models/model.h"

namespace distil {

// How an update departs from the run's optimiser. `training` overrides the run's training options under the same names
// ("optimizer", "lr", "weight_decay", "schedule", ...). The optimiser's state belongs to (name, parameter) and starts
// afresh in each phase.
struct OptimizerChoice {
  std::string name = "main";
  std::map<std::string, std::string, std::less<>> training;
};

// What one training step of a phase is built from. Roles name networks: "student", "teacher", "peer1", "assistant2"...
class StepBuilder {
 public:
  virtual ~StepBuilder() = default;

  virtual Graph* graph() = 0;
  virtual int64_t batch() const = 0;
  virtual int64_t classes() const = 0;
  virtual Expr images() = 0;            // [n,c,h,w], normalised and augmented
  virtual Expr labels() = 0;            // index [n]
  virtual Expr ids() = 0;               // index [n]: the samples' numbers in the data set
  virtual Expr key() = 0;               // index [4]: random key of this step
  virtual Expr epoch() = 0;             // rank 0, counted from 0 within the phase
  virtual Expr step() = 0;              // rank 0, counted from 0 within the phase
  virtual int64_t samples() const = 0;  // in the training set; 0 when the caller did not say
  // Another tensor of the batch (boxes, a batch of another data set): whoever calls the trainer provides it by this
  // name.
  virtual Expr Input(const std::string& name, const Shape& shape, bool index) = 0;

  // How a network or an auxiliary module runs.
  enum Mode {
    kTrain,   // batch statistics, running statistics updated
    kBatch,   // batch statistics, running ones left alone: a second view, a look-ahead
    kEval,    // running statistics; gradients flow
    kFrozen,  // running statistics, no gradient flows in or through: compiled as inference
  };
  // The network in this role. `with`: values that stand in for its variables (see Updated).
  virtual Features Forward(const std::string& role, Mode mode, Expr images, const Values& with = {}) = 0;
  virtual const Model* model(const std::string& role) = 0;  // nullptr for a network the caller built
  virtual std::vector<VariableRef> Parameters(const std::string& role) = 0;
  // Modules that live only in training. Trained where their parameters are passed to Minimize.
  virtual Layers Aux(const std::string& name, Mode mode = kTrain, const Values& with = {}) = 0;
  virtual std::vector<VariableRef> AuxParameters(const std::string& name) = 0;
  // A tensor that lives across steps, saved in checkpoints; read with Read, updated with graph()->Assign.
  virtual VariableRef State(const std::string& name, const Shape& shape, const Init& init) = 0;

  virtual void Term(const std::string& name, Expr value) = 0;  // a scalar that logs and records show

  // One update of `parameters` with the gradient of `loss`. As in PyTorch, a parameter that no gradient reaches is left
  // alone: no weight decay either. All gradients of a step are taken at the values it began with; a parameter that
  // several calls name is updated by each in turn. For an update that sees another one's result, give the phase two
  // steps.
  virtual void Minimize(Expr loss, const std::vector<VariableRef>& parameters, const OptimizerChoice& how = {}) = 0;
  // The variables (parameters and optimiser state) as such an update would leave them, assigned nowhere: a look-ahead.
  // Differentiable; start the next one from the result, or pass it to Forward and Aux.
  virtual Values Updated(Expr loss, const std::vector<VariableRef>& parameters, const Values& from = {},
                         const OptimizerChoice& how = {}) = 0;
};

// Cross-entropy of the student plus one method's term: what a simple method's `loss` sees.
struct Pair {
  Features t, s;  // teacher (no gradient flows into it; empty without one) and student
  Expr labels;    // index [n]
  int64_t batch, classes;
  Layers aux;  // modules trained with the student
  StepBuilder* step;
  const MethodOptions* options;
  double operator[](std::string_view name) const { return options->number(name); }
  const std::string& text(std::string_view name) const { return options->text(name); }
};

struct Phase {
  std::string name;
  double epochs = 0;  // 0: as many as the run asks for
  // Overrides the run's training options in this phase, under the same names. A schedule covers its phase.
  std::map<std::string, std::string, std::less<>> training;
  // Programs run one after another on every batch; each gets its own graph.
  std::vector<std::function<void(StepBuilder&)>> steps;
  std::vector<std::string> evaluate = {"student"};  // roles whose accuracy is measured at the end of an epoch
};

struct Method {
  const char* name;    // "at"
  const char* title;   // "Attention transfer"
  const char* source;  // paper, venue, year
  bool teacher;        // needs the role "teacher"
  // Every method with a `loss` has the option "weight", the factor of its term.
  std::span<const OptionSpec> options;
  // The term, before `weight`. Simple methods; they can be summed ("kd+at").
  Expr (*loss)(Pair& p) = nullptr;
  // Why this pair of networks does not fit, in one sentence, or "". Called before `loss`.
  std::string (*check)(const Features& t, const Features& s, const MethodOptions& o) = nullptr;
  // Phases ahead of the main one, for a method with a `loss`. They may take for granted what `check` admits.
  std::vector<Phase> (*before)(const MethodOptions& o) = nullptr;
  // Methods that are more than a term: all phases. They cannot be summed.
  std::vector<Phase> (*phases)(const MethodOptions& o) = nullptr;
  // Networks beside "student", and "teacher" where one is needed.
  std::vector<std::string> (*roles)(const MethodOptions& o) = nullptr;
};

std::span<const Method* const> AllMethods();
const Method* FindMethod(std::string_view name);

}  // namespace distil
