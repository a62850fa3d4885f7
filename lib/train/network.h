// Network: a body that can be built into any graph, and the variables it has there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/expr/layers.h"
#include "lib/train/device.h"
#include "models/model.h"

namespace distil {

class Network {
 public:
  using Body = std::function<Features(Layers&, Expr images)>;
  struct Spec {
    std::string name;              // "resnet8", "custom"
    const Model* model = nullptr;  // nullptr for a network that the caller built
    int64_t input[3] = {0, 0, 0};  // channels, height, width
    uint64_t seed = 0;
    Body body;
  };
  static Status Create(std::shared_ptr<Device> device, Spec spec, std::shared_ptr<Network>* out);
  // A network of the zoo. `input` may be null: the model's own.
  static Status CreateFromZoo(std::shared_ptr<Device> device, const std::string& name, int64_t classes,
                              const int64_t* input, uint64_t seed, std::shared_ptr<Network>* out);

  // The body in `l.graph()`, its values marked as those of a network (they may be computed in bf16).
  Features Build(Layers& l, Expr images) const;
  Shape ImageShape(int64_t batch) const { return {batch, spec_.input[0], spec_.input[1], spec_.input[2]}; }

  const std::shared_ptr<Device>& device() const { return device_; }
  const Spec& spec() const { return spec_; }
  VariableSet* variables() { return &variables_; }
  const std::vector<VariableRef>& all() const { return variables_.all(); }
  int64_t classes() const { return classes_; }
  int64_t macs() const { return cost_.macs; }
  int64_t parameters() const { return cost_.parameters; }
  const std::vector<std::string>& taps() const { return taps_; }  // "f0", "f0.pre", ..., "pooled", "logits"

 private:
  Network(std::shared_ptr<Device> device, Spec spec);
  std::shared_ptr<Device> device_;
  Spec spec_;
  Status allocation_;  // the first that failed
  VariableSet variables_;
  int64_t classes_ = 0;
  ModelCost cost_{};
  std::vector<std::string> taps_;
};

// The tap of this name, an empty Expr if there is none.
Expr FindTap(const Features& f, const std::string& name);

}  // namespace distil
