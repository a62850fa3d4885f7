// Method: a distillation method as a formula over features. One file each, listed by one line in methods.def.
//
// The common case is one teacher, one student and a term that is added to cross-entropy: the file gives `loss`. What it
// needs beyond a formula it asks for in passing: a layer made through `p.aux` is trained with the student and dropped from
// the exported network; p.State is a tensor that lives across steps; p.epoch and p.step are graph values, so a warm-up is a
// formula. Methods with other networks, alternating updates or several phases give `build` and `phases` instead and use
// StepBuilder (see there); the trainer's loop does not change.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/expr/layers.h"
#include "models/model.h"

namespace distil {

struct OptionSpec {
  const char* name;
  const char* fallback;  // the default, as text
  const char* help;      // meaning, and where the default comes from
  const char* choices = nullptr;  // "a|b|c": one of these; otherwise a number
};

// Options of a method after parsing: every name of its spec has a value.
class MethodOptions {
 public:
  double number(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  std::map<std::string, std::string, std::less<>> values;
};

// What one training step of a phase is built from. Roles name networks: "student", "teacher", "peer1", "assistant2"...
class StepBuilder {
 public:
  virtual ~StepBuilder() = default;

  virtual Graph* graph() = 0;
  virtual int64_t batch() const = 0;
  virtual int64_t classes() const = 0;
  virtual const MethodOptions& options() const = 0;
  virtual Expr images() = 0;   // [n,c,h,w], normalised and augmented
  virtual Expr labels() = 0;   // index [n]
  virtual Expr ids() = 0;      // index [n]: the samples' numbers in the data set
  virtual Expr key() = 0;      // index [4]: random key of this step
  virtual Expr epoch() = 0;    // rank 0, counted from 0 within the phase
  virtual Expr step() = 0;     // rank 0, counted from 0 within the phase
  virtual int64_t samples() const = 0;  // in the training set; 0 when the caller did not say

  // The network in this role. kTrain: batch statistics, updates its running statistics. kFrozen: evaluation mode, no
  // gradient, cannot be trained. kEval: evaluation-mode batch norm, but gradients flow.
  enum Mode { kTrain, kFrozen, kEval };
  virtual Features Forward(const std::string& role, Mode mode, Expr images) = 0;
  virtual const Model* model(const std::string& role) = 0;  // nullptr for a network the caller built
  virtual std::vector<VariableRef> Parameters(const std::string& role) = 0;
  // Modules that live only in training. Trained where their parameters are passed to Minimize.
  virtual Layers Aux(const std::string& name) = 0;
  virtual std::vector<VariableRef> AuxParameters(const std::string& name) = 0;
  // A tensor that lives across steps, saved in checkpoints; read with Read, updated with graph()->Assign.
  virtual VariableRef State(const std::string& name, const Shape& shape, const Init& init) = 0;

  virtual void Term(const std::string& name, Expr value) = 0;  // a scalar that logs and records show
  // One optimiser update of `parameters` with the gradient of `loss`. Several calls are several updates with separate
  // optimiser states, all taken at the values that the step began with.
  virtual void Minimize(Expr loss, const std::vector<VariableRef>& parameters) = 0;
};

// Cross-entropy of the student plus one method's term: what a simple method's `loss` sees.
struct Pair {
  Features t, s;    // teacher (no gradient flows into it) and student
  Expr labels;      // index [n]
  int64_t batch, classes;
  Layers aux;       // modules trained with the student
  StepBuilder* step;
  const MethodOptions* options;
  double operator[](std::string_view name) const { return options->number(name); }
  const std::string& text(std::string_view name) const { return options->text(name); }
};

struct Phase {
  std::string name;
  double epochs;  // of this phase; negative: the rest of the run
  // Programs run one after another on every batch; each gets its own graph.
  std::vector<std::function<void(StepBuilder&)>> steps;
};

struct Method {
  const char* name;    // "at"
  const char* title;   // "Attention transfer"
  const char* source;  // paper, venue, year
  bool teacher;        // needs the role "teacher"
  std::vector<OptionSpec> options;  // every method also has "weight", the factor of its term, given here
  // The term, before `weight`. Simple methods; they can be summed ("kd+at").
  Expr (*loss)(Pair& p) = nullptr;
  // A sentence why this pair of networks does not fit, or "". Called before anything is built.
  std::string (*check)(const Features& t, const Features& s, const MethodOptions& o) = nullptr;
  // Methods that are more than a term.
  std::vector<Phase> (*phases)(const MethodOptions& o) = nullptr;
  std::vector<std::string> (*roles)(const MethodOptions& o) = nullptr;  // default: student, and teacher if needed
};

std::span<const Method* const> AllMethods();
const Method* FindMethod(std::string_view name);

}  // namespace distil
