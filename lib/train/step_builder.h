// StepGraph: the graph of one training step as a method builds it (losses/method.h), and what the trainer must know to
// run it.
//
// Networks, auxiliary modules, method state and optimiser state are variables, so a step is a pure function of them,
// the batch and the step's number. No assignment takes effect unless all losses, terms and gradients of the graph are
// finite: Finish wraps each into Select(ok, new, old), a pass over tensors of parameter size. On devices whose steps are
// read later, the variable `alive` carries ok from step to step: after one that is not finite, none changes anything.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lib/train/network.h"
#include "lib/train/options.h"
#include "lib/train/schedule.h"
#include "losses/method.h"

namespace distil {

// What steps are built over. Lives as long as the trainer.
struct StepContext {
  std::vector<std::pair<std::string, std::shared_ptr<Network>>> roles;  // the first one says classes and images
  VariableSet* aux = nullptr;                                           // "<module>.<parameter>"
  VariableSet* state = nullptr;                                         // of the method
  VariableSet* optimizer = nullptr;              // of the phase: "<update>/<role>/<parameter>/<slot>"
  VariableRef alive;                             // 1 until a step fails; none on devices whose steps are read at once
  TrainingOptions options;                       // of the phase
  double epochs = 0;                             // of the phase
  std::map<const Variable*, std::string> names;  // "student/conv1.weight"; Aux and State add theirs

  Network* Find(const std::string& role) const;
  // Teachers never change; their networks may only run frozen.
  static bool IsTeacher(const std::string& role) { return role.rfind("teacher", 0) == 0; }
};

class StepGraph final : public StepBuilder {
 public:
  StepGraph(StepContext* context, int64_t batch);

  // After the method has built its step: adds what the trainer reads, guards every assignment. The first mistake, if
  // any.
  Status Finish();

  // ---- for the trainer
  // -----------------------------------------------------------------------------------------------
  struct Rate {
    std::string input;  // "lr/0"
    Schedule schedule;
  };
  const std::vector<Rate>& rates() const { return rates_; }
  // Output "report" [report_size()]: 1 if all is finite, images classified right, total loss, then
  // - the terms by these names,
  const std::vector<std::string>& terms() const { return terms_; }
  // - sums of squares of these parameters' gradients,
  const std::vector<std::string>& squared() const { return squared_; }
  // - for each image how many of its logits are not finite.
  bool has_rows() const { return logits_.valid(); }
  size_t terms_at() const { return 3; }
  size_t squares_at() const { return terms_at() + terms_.size(); }
  size_t rows_at() const { return squares_at() + squared_.size(); }
  size_t report_size() const { return rows_at() + (has_rows() ? static_cast<size_t>(batch_) : 0); }
  // Random key inputs "key/<i>", i below this. Index inputs "rows/<n>" hold 0 .. n-1.
  int keys() const { return keys_; }
  const std::set<int64_t>& row_inputs() const { return row_inputs_; }
  // Inputs that the caller of the trainer provides.
  struct Extra {
    std::string name;
    Shape shape;
    bool index;
  };
  const std::vector<Extra>& extras() const { return extras_; }
  const Graph& built() const { return graph_; }

  // ---- StepBuilder
  // ---------------------------------------------------------------------------------------------------
  Graph* graph() override { return &graph_; }
  int64_t batch() const override { return batch_; }
  int64_t classes() const override;
  Expr images() override;
  Expr labels() override;
  Expr ids() override;
  Expr key() override { return Key(0); }
  Expr epoch() override { return distil::Input(&graph_, "epoch", {}); }
  Expr step() override { return distil::Input(&graph_, "step", {}); }
  int64_t samples() const override { return context_->options.samples; }
  Expr Input(const std::string& name, const Shape& shape, bool index) override;
  Features Forward(const std::string& role, Mode mode, Expr images, const Values& with) override;
  const Model* model(const std::string& role) override;
  std::vector<VariableRef> Parameters(const std::string& role) override;
  Layers Aux(const std::string& name, Mode mode, const Values& with) override;
  std::vector<VariableRef> AuxParameters(const std::string& name) override;
  VariableRef State(const std::string& name, const Shape& shape, const Init& init) override;
  void Term(const std::string& name, Expr value) override;
  void Minimize(Expr loss, const std::vector<VariableRef>& parameters, const OptimizerChoice& how) override;
  Values Updated(Expr loss, const std::vector<VariableRef>& parameters, const Values& from,
                 const OptimizerChoice& how) override;

 private:
  struct Update {  // new values, and the gradients that made them
    std::vector<std::pair<VariableRef, Expr>> values;
    std::vector<std::pair<VariableRef, Expr>> gradients;
    Expr squares;  // of all gradients, unclipped
  };
  Update MakeUpdate(Expr loss, const std::vector<VariableRef>& parameters, const Values& from, bool latest,
                    const OptimizerChoice& how);
  LayersOptions ModeOptions(Mode mode, const Values& with, int64_t rows);
  Expr Key(int i);
  Expr LearningRate(const TrainingOptions& o);
  std::string NameOf(const VariableRef& v) const;
  void Fail(const std::string& message) { graph_.Fail(message); }

  StepContext* context_;
  int64_t batch_;
  Graph graph_;
  int keys_ = 1;
  bool labels_used_ = false;
  std::set<int64_t> row_inputs_;
  std::vector<Extra> extras_;
  std::set<std::string> frozen_;  // roles
  Expr logits_;                   // of the student in training mode
  std::vector<Rate> rates_;
  std::vector<std::string> rate_keys_;
  std::vector<std::string> terms_;
  std::vector<Expr> values_;  // of the terms
  std::vector<Expr> losses_;
  std::vector<Expr> sums_;  // of squares of each update's gradients
  std::vector<std::string> squared_;
  std::vector<Expr> squares_;  // [1] each
};

}  // namespace distil
