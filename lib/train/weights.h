// Weights: sets of variables as tensors of a file, and back.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lib/io/safetensors.h"
#include "lib/train/network.h"

namespace distil {

// A variable under the name it has in a file.
struct NamedVariable {
  std::string name;
  VariableRef variable;
};

// Copies the numbers out: F32, or F64 where the device keeps doubles; I64 for counts.
Status ToTensors(Backend* backend, std::span<const NamedVariable> variables, std::vector<TensorToWrite>* out);

// Checks that `file` has every variable with its shape and a type that is read, then fills all of them; changes nothing
// on failure. `exact`: tensors that belong to no variable are an error too. Messages do not name the file.
Status FromTensors(Backend* backend, const Safetensors& file, std::span<const NamedVariable> variables, bool exact);

Status SaveNetwork(const Network& n, const std::string& path);
Status LoadNetwork(Network* n, const std::string& path);
Status CopyNetwork(Network* to, const Network& from);
// SHA-256 over names, shapes and numbers.
Status NetworkDigest(const Network& n, std::string* hex);

std::vector<NamedVariable> NamedVariables(const Network& n, const std::string& prefix);

}  // namespace distil
