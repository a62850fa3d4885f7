// Layers: modules with named parameters, for networks and for the auxiliary parts of methods.
//
//   Layers l(&graph, &variables, {.train = true});
//   Expr y = Relu(l.BatchNorm("bn1", l.Conv("conv1", x, 16, 3)));
//   Layers block = l.Scope("layer1.0");           // parameters "layer1.0.conv1.weight", ...
//
// The first build creates the variables, later builds find them, so one network can be built into many graphs
// (training, evaluation, another batch size). Names and defaults are PyTorch's. In training mode batch norm uses batch
// statistics and assigns its running ones; in evaluation mode it is an affine map that the backend folds into the
// convolution before it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/expr/expr.h"
#include "lib/expr/nn.h"
#include "lib/graph/variable.h"

namespace distil {

// An ordered set of variables by name: one network, or the auxiliary parts of one method.
class VariableSet {
 public:
  // `allocate` gives memory for a new variable and fills it with the initial values.
  using Allocate = std::function<Status(Variable*, const Init&)>;
  explicit VariableSet(Allocate allocate) : allocate_(std::move(allocate)) {}

  VariableRef Find(const std::string& name) const;
  // Finds `name`, or creates it. An existing variable of another shape is an error.
  Status GetOrCreate(const std::string& name, const Shape& shape, VariableKind kind, const Init& init, bool integer,
                     VariableRef* out);
  const std::vector<VariableRef>& all() const { return all_; }
  std::vector<VariableRef> parameters() const;

 private:
  Allocate allocate_;
  std::vector<VariableRef> all_;
  std::map<std::string, VariableRef, std::less<>> by_name_;
};

struct ConvOptions {
  int64_t stride = 1;
  int64_t pad = -1;  // -1: (kernel - 1) / 2 * dilation, "same" at stride 1
  int64_t dilation = 1;
  int64_t groups = 1;
  bool bias = false;
  int64_t output_padding = 0;  // ConvTranspose only
  // Weight initialisation; PyTorch's default when empty: U(-1/sqrt(fan_in), 1/sqrt(fan_in)), also for the bias.
  enum Weight { kDefault, kHeFanOut } init = kDefault;  // kHeFanOut: N(0, 2 / (kh kw out)), bias 0
};

struct LinearOptions {
  bool bias = true;
  double weight_std = 0;  // > 0: N(0, weight_std^2) instead of PyTorch's default
  bool zero_bias = false;
};

// Values that stand in for variables, by the variable: the same network at other parameters.
using Values = std::map<VariableRef, Expr>;

struct LayersOptions {
  bool train = false;             // batch norm uses batch statistics and updates the running ones, dropout is on
  bool update_statistics = true;  // false: training leaves the running statistics alone
  Values with = {};
  Expr key = {}, ids = {};  // the step's random key and sample ids; needed by dropout in training
};

class Layers {
 public:
  Layers(Graph* g, VariableSet* set, LayersOptions options);
  Layers Scope(const std::string& name) const;  // "a" inside "b" is "b.a"

  Graph* graph() const { return graph_; }
  bool train() const { return options_.train; }

  // x [n,c,h,w] -> [n,channels,h',w']; "<name>.weight" [channels,c/groups,k,k] and "<name>.bias".
  Expr Conv(const std::string& name, Expr x, int64_t channels, int64_t kernel, const ConvOptions& o = {});
  // h' = (h-1) stride - 2 pad + dilation (k-1) + output_padding + 1; weight [c,channels/groups,k,k], as PyTorch.
  Expr ConvTranspose(const std::string& name, Expr x, int64_t channels, int64_t kernel, const ConvOptions& o = {});
  // "<name>.{weight,bias,running_mean,running_var,num_batches_tracked}". momentum: weight of the new value (PyTorch).
  Expr BatchNorm(const std::string& name, Expr x, double eps = 1e-5, double momentum = 0.1);
  Expr Linear(const std::string& name, Expr x, int64_t out, const LinearOptions& o = {});  // x [n,in]
  Expr Dropout(Expr x, double p);                                                          // identity outside training
  Expr Param(const std::string& name, const Shape& shape, const Init& init);
  // A tensor saved with the network but not trained. Read it with Read(graph(), v), update it with graph()->Assign.
  VariableRef Buffer(const std::string& name, const Shape& shape, const Init& init, bool integer = false);

  // Parameters this Layers (and its scopes) read so far, in order of first use: what Minimize trains.
  const std::vector<VariableRef>& used() const { return *used_; }

 private:
  bool CheckConv(const std::string& name, Expr x, int64_t channels, int64_t k, const ConvOptions& o) const;
  VariableRef Get(const std::string& name, const Shape& shape, VariableKind kind, const Init& init, bool integer);
  Expr Value(const VariableRef& v) const;  // what stands in for it, or its own

  Graph* graph_;
  VariableSet* set_;
  LayersOptions options_;
  std::string prefix_;
  std::shared_ptr<std::vector<VariableRef>> used_;
  std::shared_ptr<int> dropout_slot_;
};

}  // namespace distil
