#include "lib/train/inference.h"

#include <algorithm>
#include <cmath>

#include "lib/base/text.h"

namespace distil {

void AddScore(std::span<const float> logits, int32_t label, Score* score) {
  const float right = logits[static_cast<size_t>(label)];
  int others = -1;  // the label itself
  double largest = -INFINITY, sum = 0;
  for (float z : logits) {
    others += !(z < right);  // NaN is not less: it counts against the network
    largest = std::max(largest, static_cast<double>(z));
  }
  for (float z : logits) sum += std::exp(static_cast<double>(z) - largest);
  ++score->count;
  score->top1 += others < 1;
  score->top5 += others < 5;
  score->loss += std::log(sum) + largest - static_cast<double>(right);
}

Status Inference::Create(std::shared_ptr<Network> network, int64_t batch, const TextOptions& options,
                         std::unique_ptr<Inference>* out) {
  InferenceOptions o;
  DISTIL_RETURN_IF_ERROR(ReadInferenceOptions(options, &o));
  if (batch < 1) return InvalidArgument("a batch has at least one image, not " + std::to_string(batch));
  std::unique_ptr<Inference> n(new Inference);
  n->network_ = network;
  n->batch_ = batch;
  const auto& input = network->spec().input;
  DISTIL_RETURN_IF_ERROR(Augmenter::Create(o.mean, o.std, input[0], input[1], input[2], &n->normalizer_));
  DISTIL_RETURN_IF_ERROR(network->device()->backend->MakeImageFeed(n->normalizer_.change(), &n->feed_));

  Graph g;
  Layers layers(&g, network->variables(), {});
  const Features f = network->Build(layers, Input(&g, "images", network->ImageShape(batch)));
  n->outputs_ = {"logits"};
  for (std::string_view tap : Split(o.taps, ',')) {
    if (tap.empty() && o.taps.empty()) continue;
    const std::string name(tap);
    if (std::find(n->outputs_.begin(), n->outputs_.end(), name) == n->outputs_.end()) n->outputs_.push_back(name);
  }
  for (const std::string& name : n->outputs_) {
    Expr tap = FindTap(f, name);
    if (g.ok() && !tap.valid())
      return NotFound("network " + network->spec().name + " has " + NoSuch("tap", name, network->taps()));
    g.Output(name, tap.id());
  }
  if (!g.ok()) return InvalidArgument("network " + network->spec().name + ": " + g.error());
  CompileOptions compile;
  compile.bf16 = o.bf16, compile.winograd = o.winograd, compile.tf32 = o.tf32;
  Backend* backend = network->device()->backend.get();
  DISTIL_RETURN_IF_ERROR(Program::Compile(backend, g, compile, &n->program_));
  n->direct_ = backend->real() == DType::kF32 && n->program_->InputData("images") != nullptr;
  if (n->feed_) n->ids_.resize(static_cast<size_t>(batch));
  if (!n->direct_) n->pixels_.resize(static_cast<size_t>(network->ImageShape(batch).elements()));
  *out = std::move(n);
  return {};
}

Status Inference::Run(const Batch& batch) {
  DISTIL_RETURN_IF_ERROR(CheckBatch({batch.count, batch.bytes, batch.images, nullptr, nullptr}, network_->classes()));
  if (batch.count > batch_)
    return InvalidArgument("the batch has " + std::to_string(batch.count) + " images, the inference was made for " +
                           std::to_string(batch_));
  count_ = 0;
  // Images do not see each other in evaluation: the rest of the batch may hold anything that is a number.
  if (feed_ && batch.bytes) {
    ImageFeed::Batch from;
    from.count = batch.count, from.images = static_cast<const uint8_t*>(batch.images), from.ids = ids_.data();
    DISTIL_RETURN_IF_ERROR(feed_->Fill(from, {static_cast<float*>(program_->InputAddress("images"))}));
    DISTIL_RETURN_IF_ERROR(program_->Run());
    count_ = batch.count;
    return {};
  }
  const auto each = static_cast<size_t>(network_->ImageShape(1).elements()), n = static_cast<size_t>(batch.count);
  float* to = direct_ ? static_cast<float*>(program_->InputData("images")) : pixels_.data();
  if (batch.bytes) {
    const auto* from = static_cast<const uint8_t*>(batch.images);
    for (size_t i = 0; i < n; ++i) normalizer_.Run(from + i * each, 0, 0, to + i * each);
  } else {
    const auto* from = static_cast<const float*>(batch.images);
    std::copy(from, from + n * each, to);
  }
  std::fill(to + n * each, to + static_cast<size_t>(batch_) * each, 0.0f);
  if (!direct_) DISTIL_RETURN_IF_ERROR(program_->SetInput("images", std::span<const float>(pixels_)));
  DISTIL_RETURN_IF_ERROR(program_->Run());
  count_ = batch.count;
  return {};
}

Status Inference::Find(const std::string& name, size_t* each) const {
  if (std::find(outputs_.begin(), outputs_.end(), name) == outputs_.end()) {
    const bool known = std::find(network_->taps().begin(), network_->taps().end(), name) != network_->taps().end();
    if (known) return NotFound("the tap '" + name + "' was not asked for: it belongs in the option taps");
    return NotFound("network " + network_->spec().name + " has " + NoSuch("tap", name, network_->taps()));
  }
  Shape s;
  DISTIL_RETURN_IF_ERROR(program_->OutputShape(name, &s));
  *each = static_cast<size_t>(s.elements() / batch_);
  return {};
}

Status Inference::Output(const std::string& name, std::span<float> values) const {
  size_t each;
  DISTIL_RETURN_IF_ERROR(Find(name, &each));
  if (count_ == 0) return FailedPrecondition("there is no output before a run");
  const size_t want = each * static_cast<size_t>(count_);
  if (values.size() != want)
    return InvalidArgument("'" + name + "' of the last run has " + std::to_string(want) + " numbers, not " +
                           std::to_string(values.size()));
  if (count_ == batch_) return program_->Fetch(name, values);
  values_.resize(each * static_cast<size_t>(batch_));
  DISTIL_RETURN_IF_ERROR(program_->Fetch(name, std::span<float>(values_)));
  std::copy(values_.begin(), values_.begin() + static_cast<ptrdiff_t>(want), values.begin());
  return {};
}

Status Inference::OutputShape(const std::string& name, Shape* per_image) const {
  size_t each;
  DISTIL_RETURN_IF_ERROR(Find(name, &each));
  Shape s;
  DISTIL_RETURN_IF_ERROR(program_->OutputShape(name, &s));
  *per_image = Shape(s.dims().subspan(1));
  return {};
}

Status Inference::AddScores(const Batch& batch, Score* score) {
  DISTIL_RETURN_IF_ERROR(CheckBatch(batch, network_->classes()));
  if (!batch.labels) return InvalidArgument("scoring needs labels");
  DISTIL_RETURN_IF_ERROR(Run(batch));
  const auto classes = static_cast<size_t>(network_->classes());
  values_.resize(classes * static_cast<size_t>(batch_));
  DISTIL_RETURN_IF_ERROR(program_->Fetch("logits", std::span<float>(values_)));
  for (size_t i = 0; i < static_cast<size_t>(batch.count); ++i)
    AddScore(std::span<const float>(values_).subspan(i * classes, classes), batch.labels[i], score);
  return {};
}

MemoryInfo Inference::memory() const {
  MemoryInfo m = program_->memory();
  m.variables = 0;
  if (feed_) m.io += feed_->bytes(batch_);
  for (const VariableRef& v : network_->all()) m.variables += v->storage.bytes;
  return m;
}

}  // namespace distil
