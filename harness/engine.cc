#include "harness/engine.h"

#include <distil/distil.h>

#include "harness/fields.h"
#include "harness/text.h"
#include "lib/base/text.h"

namespace distil::harness {
namespace {

static_assert(static_cast<int>(Code::kNonFinite) == DISTIL_NON_FINITE &&
                  static_cast<int>(Code::kDeviceLost) == DISTIL_DEVICE_LOST,
              "the library's codes are the harness's");

Status Check(distil_status status) {
  if (status == DISTIL_OK) return {};
  return {static_cast<Code>(status), distil_last_error()};
}

std::string List(const std::vector<double>& values) {
  std::string text;
  for (double v : values) text += (text.empty() ? "" : ",") + Json(v).dump();
  return text;
}

std::string Normalisation(const ImageShape& shape) {
  if (shape.mean.empty()) return "";
  return "mean=" + List(shape.mean) + " std=" + List(shape.std);
}

distil_batch ToBatch(const ImageBatch& b) {
  distil_batch batch = DISTIL_BATCH_INIT;
  batch.count = b.count, batch.pixels = DISTIL_U8_NHWC;
  batch.images = b.images, batch.labels = b.labels, batch.ids = b.ids;
  return batch;
}

StepResult ToResult(const distil_step_result& r) { return {r.loss, r.lr, r.step, r.correct, r.count}; }

std::string Text(const char* text) { return text ? text : ""; }

}  // namespace

Status Device::Open(const std::string& name, int threads, std::unique_ptr<Device>* out) {
  distil_device_options options = DISTIL_DEVICE_OPTIONS_INIT;
  options.threads = threads;
  std::unique_ptr<Device> device(new Device);
  DISTIL_RETURN_IF_ERROR(Check(distil_device_open(name.c_str(), &options, &device->device_)));
  device->name_ = name;
  device->description_ = Text(distil_device_description(device->device_));
  // "onednn 2.6.3, avx2, 2 threads", "cuda 13.0, NVIDIA H200 sm_90, driver 580.95.05, cudnn 9.13.0, cublaslt 13.1.0", or
  // "plain C++, f32" for the reference.
  std::vector<std::string> parts = Split(device->description_, ',');
  for (std::string& part : parts) part = Trim(part);
  int64_t count = threads > 0 ? threads : 1;
  auto library = [&](const std::string& part) {
    if (const size_t space = part.find(' '); space != part.npos)
      device->libraries_[part.substr(0, space)] = Trim(part.substr(space));
  };
  if (parts.size() > 2) {
    library(parts[0]);
    device->isa_ = parts[1];
    for (size_t i = 2; i < parts.size(); ++i)
      if (!ParseInteger(Split(parts[i], ' ')[0], &count)) library(parts[i]);
  } else {
    device->libraries_ = {{"distil", distil_version()}};
    device->isa_ = parts.back();
  }
  device->threads_ = static_cast<int>(count);
  *out = std::move(device);
  return {};
}

Device::~Device() { distil_device_close(device_); }

Status Network::Create(const Device& device, const std::string& model, const ImageShape& shape, uint64_t seed,
                       std::unique_ptr<Network>* out) {
  std::unique_ptr<Network> network(new Network);
  std::string options = "classes=" + std::to_string(shape.classes) + " input=" + std::to_string(shape.channels) + "," +
                        std::to_string(shape.height) + "," + std::to_string(shape.width);
  DISTIL_RETURN_IF_ERROR(
      Check(distil_network_create(device.get(), model.c_str(), options.c_str(), seed, &network->network_)));
  distil_network_info info = DISTIL_NETWORK_INFO_INIT;
  DISTIL_RETURN_IF_ERROR(Check(distil_network_get_info(network->network_, &info)));
  network->parameters_ = info.parameters, network->macs_ = info.macs;
  *out = std::move(network);
  return {};
}

Network::~Network() { distil_network_free(network_); }
Status Network::Load(const std::string& path) { return Check(distil_network_load(network_, path.c_str())); }
Status Network::Save(const std::string& path) const { return Check(distil_network_save(network_, path.c_str())); }

Status Network::Digest(std::string* out) const {
  char digest[65] = {0};
  DISTIL_RETURN_IF_ERROR(Check(distil_network_digest(network_, digest)));
  *out = digest;
  return {};
}

Status Evaluator::Create(const Network& network, const ImageShape& shape, int64_t batch,
                         std::unique_ptr<Evaluator>* out) {
  std::unique_ptr<Evaluator> evaluator(new Evaluator);
  evaluator->classes_ = shape.classes;
  DISTIL_RETURN_IF_ERROR(
      Check(distil_inference_create(network.get(), batch, Normalisation(shape).c_str(), &evaluator->inference_)));
  *out = std::move(evaluator);
  return {};
}

Evaluator::~Evaluator() { distil_inference_free(inference_); }

Status Evaluator::Add(const ImageBatch& b, Score* score) {
  distil_batch batch = ToBatch(b);
  distil_score sum = DISTIL_SCORE_INIT;
  sum.count = score->count, sum.top1 = score->top1, sum.top5 = score->top5, sum.loss = score->loss;
  DISTIL_RETURN_IF_ERROR(Check(distil_inference_score(inference_, &batch, &sum)));
  *score = {sum.count, sum.top1, sum.top5, sum.loss};
  return {};
}

Status Evaluator::Logits(const ImageBatch& b, std::vector<float>* logits) {
  distil_batch batch = ToBatch(b);
  DISTIL_RETURN_IF_ERROR(Check(distil_inference_run(inference_, &batch)));
  logits->resize(static_cast<size_t>(b.count * classes_));
  return Check(distil_inference_output(inference_, "logits", logits->data(), logits->size()));
}

Status Trainer::Create(const Device& device, const std::string& method, const std::string& options,
                       const ImageShape& shape, const std::vector<std::pair<std::string, const Network*>>& roles,
                       std::unique_ptr<Trainer>* out) {
  std::vector<distil_role> list;
  for (const auto& [role, network] : roles) list.push_back({role.c_str(), network->get()});
  std::unique_ptr<Trainer> trainer(new Trainer);
  std::string all = options + " " + Normalisation(shape);
  DISTIL_RETURN_IF_ERROR(Check(
      distil_trainer_create(device.get(), method.c_str(), all.c_str(), list.data(), list.size(), &trainer->trainer_)));
  *out = std::move(trainer);
  return {};
}

Trainer::~Trainer() { distil_trainer_free(trainer_); }

Status Trainer::Attach(const ImageBatch& samples, const ImageShape& shape) {
  distil_image_set set = DISTIL_IMAGE_SET_INIT;
  set.count = samples.count, set.images = samples.images, set.labels = samples.labels;
  set.channels = shape.channels, set.height = shape.height, set.width = shape.width;
  return Check(distil_trainer_attach(trainer_, &set));
}

Status Trainer::Step(const ImageBatch& b, StepResult* result) {
  distil_batch batch = ToBatch(b);
  distil_step_result step = DISTIL_STEP_RESULT_INIT;
  distil_step_result* wanted = result ? &step : nullptr;
  DISTIL_RETURN_IF_ERROR(Check(b.images ? distil_trainer_step(trainer_, &batch, wanted)
                                        : distil_trainer_step_samples(trainer_, b.ids, b.count, wanted)));
  if (result) *result = ToResult(step);
  return {};
}

Status Trainer::Result(bool wait, StepResult* result, bool* found) {
  distil_step_result step = DISTIL_STEP_RESULT_INIT;
  const distil_status status = distil_trainer_result(trainer_, wait ? 1 : 0, &step);
  *found = status == DISTIL_OK;
  if (status == DISTIL_NOT_FOUND) return {};
  DISTIL_RETURN_IF_ERROR(Check(status));
  *result = ToResult(step);
  return {};
}

std::vector<std::pair<std::string, double>> Trainer::Terms() const {
  std::vector<std::pair<std::string, double>> terms;
  const char* name = nullptr;
  double value = 0;
  for (size_t k = 0; distil_trainer_term(trainer_, k, &name, &value) == DISTIL_OK; ++k) terms.emplace_back(name, value);
  return terms;
}

Status Trainer::Position(int64_t* step, int64_t* total) const {
  return Check(distil_trainer_position(trainer_, step, total));
}

Status Trainer::SkipPhase(bool* skipped) {
  const Status status = Check(distil_trainer_skip_phase(trainer_));
  *skipped = status.ok();
  return status.code() == Code::kFailedPrecondition ? Status() : status;
}

Status Trainer::Algorithms(std::string* text) const {
  const char* chosen = nullptr;
  DISTIL_RETURN_IF_ERROR(Check(distil_trainer_algorithms(trainer_, &chosen)));
  *text = chosen;
  return {};
}

Status Trainer::Memory(int64_t batch, uint64_t* bytes) {
  distil_memory memory = DISTIL_MEMORY_INIT;
  DISTIL_RETURN_IF_ERROR(Check(distil_trainer_memory(trainer_, batch, &memory)));
  *bytes = memory.total;
  return {};
}

Status Trainer::Save(const std::string& path) const { return Check(distil_trainer_save(trainer_, path.c_str())); }
Status Trainer::Load(const std::string& path) { return Check(distil_trainer_load(trainer_, path.c_str())); }

std::vector<MethodInfo> Methods() {
  std::vector<MethodInfo> methods;
  for (size_t i = 0;; ++i) {
    distil_method_info info = DISTIL_METHOD_INFO_INIT;
    if (distil_method_get(i, &info) != DISTIL_OK) return methods;
    MethodInfo m{Text(info.name), Text(info.title), Text(info.source), info.needs_teacher != 0, {}};
    for (size_t k = 0; k < info.options; ++k) {
      const char *name = nullptr, *fallback = nullptr, *help = nullptr;
      if (distil_method_option(i, k, &name, &fallback, &help) != DISTIL_OK) break;
      m.options.push_back({Text(name), Text(fallback), Text(help)});
    }
    methods.push_back(std::move(m));
  }
}

std::vector<ModelInfo> Models() {
  std::vector<ModelInfo> models;
  for (size_t i = 0;; ++i) {
    distil_model_info info = DISTIL_MODEL_INFO_INIT;
    if (distil_model_get(i, &info) != DISTIL_OK) return models;
    models.push_back({Text(info.name), Text(info.family), Text(info.source), info.channels, info.height, info.width});
  }
}

std::vector<std::string> DeviceNames() {
  std::vector<std::string> names;
  for (size_t i = 0; const char* name = distil_device_name(i); ++i) names.push_back(name);
  return names;
}

std::vector<OptionInfo> CommonOptions() {
  std::vector<OptionInfo> options;
  const char *name = nullptr, *fallback = nullptr, *help = nullptr;
  for (size_t k = 0; distil_trainer_option(k, &name, &fallback, &help) == DISTIL_OK; ++k)
    options.push_back({Text(name), Text(fallback), Text(help)});
  return options;
}

std::string LibraryVersion() { return distil_version(); }

Status NeedsTeacher(const std::string& spec, bool* out) {
  *out = false;
  std::vector<MethodInfo> methods = Methods();
  std::vector<std::string> names;
  for (const MethodInfo& m : methods) names.push_back(m.name);
  for (const std::string& part : Split(spec, '+')) {
    bool known = false;
    for (const MethodInfo& m : methods)
      if (m.name == part) known = true, *out = *out || m.needs_teacher;
    if (!known) return InvalidArgument("there is no method '" + part + "'" + DidYouMean(part, names));
  }
  return {};
}

Status CheckModel(const std::string& model) {
  std::vector<std::string> names;
  for (const ModelInfo& m : Models()) {
    if (m.name == model) return {};
    names.push_back(m.name);
  }
  return InvalidArgument("there is no network '" + model + "'" + DidYouMean(model, names));
}

}  // namespace distil::harness
