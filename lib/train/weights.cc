#include "lib/train/weights.h"

#include <cstring>

#include "lib/base/sha256.h"
#include "lib/base/text.h"
#include "lib/io/file.h"
#include "lib/runtime/program.h"

namespace distil {
namespace {

// A scalar has one number.
size_t Count(const Variable& v) { return static_cast<size_t>(v.shape.elements()); }

template <class Stored, class Value>
std::vector<uint8_t> Bytes(const std::vector<Value>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(Stored));
  for (size_t i = 0; i < values.size(); ++i) {
    const auto s = static_cast<Stored>(values[i]);
    std::memcpy(bytes.data() + i * sizeof s, &s, sizeof s);
  }
  return bytes;
}

bool IsRead(const std::string& dtype, bool integer) {
  return dtype == "F32" || dtype == "F64" || dtype == "F16" || dtype == "BF16" ||
         (integer && (dtype == "I64" || dtype == "I32"));
}

Status CheckTensor(const Safetensors& file, const NamedVariable& v) {
  const TensorView* t = file.Find(v.name);
  if (!t) {
    std::vector<std::string> names;
    for (const TensorView& have : file.tensors) names.push_back(have.name);
    return InvalidArgument("it has " + NoSuch("tensor", v.name, names));
  }
  if (t->ShapeText() != v.variable->shape.ToString())
    return InvalidArgument("tensor '" + v.name + "' has shape " + t->ShapeText() + ", the network needs " +
                           v.variable->shape.ToString());
  if (!IsRead(t->dtype, v.variable->integer))
    return Unsupported("tensor '" + v.name + "' has numbers of type " + t->dtype + ", which are not read here");
  return {};
}

}  // namespace

Status ToTensors(Backend* backend, std::span<const NamedVariable> variables, std::vector<TensorToWrite>* out) {
  for (const NamedVariable& v : variables) {
    std::vector<double> values(Count(*v.variable));
    DISTIL_RETURN_IF_ERROR(ReadVariable(backend, *v.variable, std::span<double>(values)));
    TensorToWrite t;
    t.name = v.name;
    t.shape.assign(v.variable->shape.dims().begin(), v.variable->shape.dims().end());
    const bool wide = backend->real() == DType::kF64;
    t.dtype = v.variable->integer ? "I64" : wide ? "F64" : "F32";
    t.data = v.variable->integer ? Bytes<int64_t>(values) : wide ? Bytes<double>(values) : Bytes<float>(values);
    out->push_back(std::move(t));
  }
  return {};
}

Status FromTensors(Backend* backend, const Safetensors& file, std::span<const NamedVariable> variables, bool exact) {
  for (const NamedVariable& v : variables) DISTIL_RETURN_IF_ERROR(CheckTensor(file, v));
  if (exact && file.tensors.size() != variables.size()) {
    std::map<std::string_view, bool> known;
    for (const NamedVariable& v : variables) known[v.name] = true;
    for (const TensorView& t : file.tensors)
      if (!known.count(t.name)) return InvalidArgument("it has a tensor '" + t.name + "' that does not belong there");
  }
  for (const NamedVariable& v : variables) {
    std::vector<double> values(Count(*v.variable));
    DISTIL_RETURN_IF_ERROR(ReadNumbers(*file.Find(v.name), std::span<double>(values)));
    DISTIL_RETURN_IF_ERROR(WriteVariable(backend, std::span<const double>(values), v.variable.get()));
  }
  return {};
}

std::vector<NamedVariable> NamedVariables(const Network& n, const std::string& prefix) {
  std::vector<NamedVariable> named;
  for (const VariableRef& v : n.all()) named.push_back({prefix + v->name, v});
  return named;
}

Status SaveNetwork(const Network& n, const std::string& path) {
  std::vector<TensorToWrite> tensors;
  DISTIL_RETURN_IF_ERROR(ToTensors(n.device()->backend.get(), NamedVariables(n, ""), &tensors));
  const std::vector<uint8_t> header = SafetensorsHeader(
      {{"format", "pt"}, {"model", n.spec().name}, {"classes", std::to_string(n.classes())}}, tensors);
  return WriteSafetensors(path, header, tensors);
}

Status LoadNetwork(Network* n, const std::string& path) {
  std::vector<uint8_t> bytes;
  DISTIL_RETURN_IF_ERROR(ReadFile(path, &bytes));
  Safetensors file;
  Status s = ParseSafetensors(bytes.data(), bytes.size(), &file);
  if (s.ok()) s = FromTensors(n->device()->backend.get(), file, NamedVariables(*n, ""), /*exact=*/false);
  if (!s.ok()) return {s.code(), "cannot load " + path + " into " + n->spec().name + ": " + s.message()};
  // Files of others may hold training modules beside the network.
  if (const size_t others = file.tensors.size() - n->all().size())
    n->device()->Log(Device::kWarning, path + " has " + std::to_string(others) + " tensors that " + n->spec().name +
                                           " does not have: they are ignored");
  return {};
}

Status CopyNetwork(Network* to, const Network& from) {
  const auto& a = to->all();
  const auto& b = from.all();
  if (a.size() != b.size())
    return InvalidArgument("the networks " + to->spec().name + " and " + from.spec().name + " have different tensors");
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i]->name != b[i]->name || !(a[i]->shape == b[i]->shape))
      return InvalidArgument("the networks differ: " + a[i]->name + " " + a[i]->shape.ToString() + " here, " +
                             b[i]->name + " " + b[i]->shape.ToString() + " there");
  }
  for (size_t i = 0; i < a.size(); ++i) {
    std::vector<double> values(Count(*a[i]));
    DISTIL_RETURN_IF_ERROR(ReadVariable(from.device()->backend.get(), *b[i], std::span<double>(values)));
    DISTIL_RETURN_IF_ERROR(WriteVariable(to->device()->backend.get(), std::span<const double>(values), a[i].get()));
  }
  return {};
}

Status NetworkDigest(const Network& n, std::string* hex) {
  std::vector<TensorToWrite> tensors;
  DISTIL_RETURN_IF_ERROR(ToTensors(n.device()->backend.get(), NamedVariables(n, ""), &tensors));
  Sha256 h;
  for (const TensorToWrite& t : tensors) {
    const std::string line = t.name + " " + t.dtype + " " + std::to_string(t.shape.size());
    h.Update(line.c_str(), line.size() + 1);
    h.Update(t.shape.data(), t.shape.size() * sizeof(int64_t));
    h.Update(t.data.data(), t.data.size());
  }
  *hex = h.Hex();
  return {};
}

}  // namespace distil
