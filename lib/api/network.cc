// The zoo, and networks with their tensors.

#include "lib/api/internal.h"
#include "lib/base/text.h"
#include "lib/train/weights.h"

namespace distil::api {
namespace {

Status FindTensor(const Network& n, const char* name, VariableRef* out) {
  std::vector<std::string> names;
  for (const VariableRef& v : n.all()) {
    if (v->name == name) {
      *out = v;
      return {};
    }
    names.push_back(v->name);
  }
  return NotFound("network " + n.spec().name + " has " + NoSuch("tensor", name, names));
}

}  // namespace
}  // namespace distil::api

using namespace distil;
using api::Call;

distil_status distil_model_get(size_t i, distil_model_info* info) {
  return Call([&]() -> Status {
    DISTIL_RETURN_IF_ERROR(api::NeedStruct(info, "info", "DISTIL_MODEL_INFO_INIT"));
    const auto models = AllModels();
    if (i >= models.size()) return NotFound("there are " + std::to_string(models.size()) + " models");
    const Model& m = models[i];
    info->name = m.name, info->family = m.family, info->source = m.source;
    info->channels = m.input[0], info->height = m.input[1], info->width = m.input[2];
    info->stages = m.stages;
    return {};
  });
}

distil_status distil_network_create(distil_device* device, const char* model, const char* options, uint64_t seed,
                                    distil_network** network) {
  if (network) *network = nullptr;
  return Call([&]() -> Status {
    DISTIL_NEED(device);
    DISTIL_NEED(model);
    DISTIL_NEED(network);
    TextOptions text;
    NetworkOptions o;
    DISTIL_RETURN_IF_ERROR(api::Options(options, &text));
    DISTIL_RETURN_IF_ERROR(ReadNetworkOptions(text, &o));
    const std::vector<int64_t> input(o.input.begin(), o.input.end());
    auto n = std::make_unique<distil_network>();
    DISTIL_RETURN_IF_ERROR(Network::CreateFromZoo(device->device, model, o.classes,
                                                  input.empty() ? nullptr : input.data(), seed, &n->network));
    *network = n.release();
    return {};
  });
}

void distil_network_free(distil_network* network) { delete network; }

distil_status distil_network_get_info(const distil_network* network, distil_network_info* info) {
  return Call([&]() -> Status {
    DISTIL_NEED(network);
    DISTIL_RETURN_IF_ERROR(api::NeedStruct(info, "info", "DISTIL_NETWORK_INFO_INIT"));
    const Network& n = *network->network;
    info->model = n.spec().name.c_str();
    info->channels = n.spec().input[0], info->height = n.spec().input[1], info->width = n.spec().input[2];
    info->classes = n.classes();
    info->parameters = n.parameters();
    info->macs = n.macs();
    info->tensors = n.all().size();
    info->taps = n.taps().size();
    return {};
  });
}

distil_status distil_network_tensor(const distil_network* network, size_t i, distil_tensor_info* info) {
  return Call([&]() -> Status {
    DISTIL_NEED(network);
    DISTIL_RETURN_IF_ERROR(api::NeedStruct(info, "info", "DISTIL_TENSOR_INFO_INIT"));
    const auto& all = network->network->all();
    if (i >= all.size()) return NotFound("the network has " + std::to_string(all.size()) + " tensors");
    const Variable& v = *all[i];
    static_assert(DISTIL_MAX_RANK == kMaxRank);
    info->name = v.name.c_str();
    info->rank = v.shape.rank();
    for (int d = 0; d < DISTIL_MAX_RANK; ++d) info->shape[d] = d < v.shape.rank() ? v.shape[d] : 0;
    info->elements = v.shape.elements();
    info->trainable = v.kind == VariableKind::kParameter;
    return {};
  });
}

distil_status distil_network_read(const distil_network* network, const char* name, float* values, size_t count) {
  return Call([&]() -> Status {
    DISTIL_NEED(network);
    DISTIL_NEED(name);
    DISTIL_NEED(values);
    VariableRef v;
    DISTIL_RETURN_IF_ERROR(api::FindTensor(*network->network, name, &v));
    return ReadVariable(network->network->device()->backend.get(), *v, std::span(values, count));
  });
}

distil_status distil_network_write(distil_network* network, const char* name, const float* values, size_t count) {
  return Call([&]() -> Status {
    DISTIL_NEED(network);
    DISTIL_NEED(name);
    DISTIL_NEED(values);
    VariableRef v;
    DISTIL_RETURN_IF_ERROR(api::FindTensor(*network->network, name, &v));
    return WriteVariable(network->network->device()->backend.get(), std::span(values, count), v.get());
  });
}

distil_status distil_network_tap(const distil_network* network, size_t i, const char** name) {
  return Call([&]() -> Status {
    DISTIL_NEED(network);
    DISTIL_NEED(name);
    const auto& taps = network->network->taps();
    if (i >= taps.size()) return NotFound("the network has " + std::to_string(taps.size()) + " taps");
    *name = taps[i].c_str();
    return {};
  });
}

distil_status distil_network_save(const distil_network* network, const char* path) {
  return Call([&]() -> Status {
    DISTIL_NEED(network);
    DISTIL_NEED(path);
    return SaveNetwork(*network->network, path);
  });
}

distil_status distil_network_load(distil_network* network, const char* path) {
  return Call([&]() -> Status {
    DISTIL_NEED(network);
    DISTIL_NEED(path);
    return LoadNetwork(network->network.get(), path);
  });
}

distil_status distil_network_digest(const distil_network* network, char digest[65]) {
  return Call([&]() -> Status {
    DISTIL_NEED(network);
    DISTIL_NEED(digest);
    std::string hex;
    DISTIL_RETURN_IF_ERROR(NetworkDigest(*network->network, &hex));
    hex.copy(digest, 64);
    digest[64] = '\0';
    return {};
  });
}

distil_status distil_network_copy(distil_network* to, const distil_network* from) {
  return Call([&]() -> Status {
    DISTIL_NEED(to);
    DISTIL_NEED(from);
    return CopyNetwork(to->network.get(), *from->network);
  });
}
