#include "lib/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <set>

#include "lib/base/text.h"

namespace distil {
namespace {

std::string Plural(int64_t n, const char* what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

Status CheckRoles(const Device* device, const std::vector<std::string>& wanted, const Trainer::Roles& roles,
                  const std::string& method) {
  std::set<std::string> names;
  std::set<const Network*> networks;
  for (const auto& [role, network] : roles) {
    if (std::find(wanted.begin(), wanted.end(), role) == wanted.end())
      return InvalidArgument("method '" + method + "' has " + NoSuch("role", role, wanted));
    if (!names.insert(role).second) return InvalidArgument("the role '" + role + "' is given twice");
    if (!networks.insert(network.get()).second)
      return InvalidArgument("the network in the role '" + role + "' has another role already");
    if (network->device().get() != device)
      return InvalidArgument("the network in the role '" + role + "' was made on another device than the trainer");
  }
  for (const std::string& role : wanted)
    if (!names.count(role))
      return InvalidArgument("method '" + method + "' needs a network in the role '" + role + "'");
  return {};
}

}  // namespace

Status CheckBatch(const Batch& batch, int64_t classes) {
  if (batch.count < 1)
    return InvalidArgument("a batch has at least one image, this one " + std::to_string(batch.count));
  if (!batch.images) return InvalidArgument("the batch has no images");
  if (batch.attached) return {};  // its labels have been checked
  for (int64_t i = 0; batch.labels && i < batch.count; ++i) {
    if (batch.labels[i] < 0 || batch.labels[i] >= classes)
      return InvalidArgument("label " + std::to_string(batch.labels[i]) + " of image " + std::to_string(i) +
                             " in the batch is outside [0, " + std::to_string(classes) + ")");
  }
  return {};
}

Trainer::State::State(Backend* backend, uint64_t seed)
    : allocate([this, backend, seed](Variable* v, const Init& init) {
        const Status s = backend ? AllocateVariable(backend, seed, init, v) : Status();
        if (!s.ok()) allocation = s;
        return s;
      }),
      aux(allocate),
      method(allocate),
      optimizer(allocate) {}

Status Trainer::Create(std::shared_ptr<Device> device, const std::string& method, const TextOptions& options,
                       const Roles& roles, std::unique_ptr<Trainer>* out) {
  // Ours are read by the trainer, the rest is the method's.
  const std::vector<std::string> names = TrainingOptionNames();
  TextOptions ours;
  for (const auto& [key, value] : options)
    if (std::find(names.begin(), names.end(), key) != names.end()) ours[key] = value;
  Recipe recipe;
  DISTIL_RETURN_IF_ERROR(MakeRecipe(method, {options.begin(), options.end()}, &recipe, names));
  return Create(std::move(device), std::move(recipe), ours, roles, out);
}

Status Trainer::Create(std::shared_ptr<Device> device, Recipe recipe, const TextOptions& options, const Roles& roles,
                       std::unique_ptr<Trainer>* out) {
  std::unique_ptr<Trainer> t(new Trainer);
  t->device_ = device;
  t->backend_ = device->backend.get();
  t->wide_ = t->backend_->real() == DType::kF64;
  t->recipe_ = std::move(recipe);
  DISTIL_RETURN_IF_ERROR(ReadTrainingOptions(options, &t->options_, &t->resolved_));
  t->algorithms_.search = t->options_.algorithms == "search";
  if (!t->algorithms_.search)
    if (Status s = t->algorithms_.Parse(t->options_.algorithms); !s.ok())
      return InvalidArgument("option algorithms: " + s.message());

  const std::string& method = t->recipe_.expression;
  DISTIL_RETURN_IF_ERROR(CheckRoles(device.get(), t->recipe_.roles, roles, method));
  for (const std::string& role : t->recipe_.roles)
    for (const auto& r : roles)
      if (r.first == role) t->roles_.push_back(r);

  const auto& input = t->roles_.front().second->spec().input;
  DISTIL_RETURN_IF_ERROR(Augmenter::Create(t->options_, input[0], input[1], input[2], &t->augmenter_));
  DISTIL_RETURN_IF_ERROR(t->backend_->MakeImageFeed(t->augmenter_.change(), &t->feed_));
  t->state_ = std::make_unique<State>(t->backend_, t->options_.seed);
  if (!t->backend_->host()) {
    t->alive_ = std::make_shared<Variable>();
    t->alive_->name = "alive", t->alive_->kind = VariableKind::kState;
    DISTIL_RETURN_IF_ERROR(AllocateVariable(t->backend_, 0, Init::Constant(1), t->alive_.get()));
  }
  for (size_t p = 0; p < t->recipe_.phases.size(); ++p) {
    StepContext context;
    DISTIL_RETURN_IF_ERROR(t->PhaseContext(p, t->state_.get(), &context));
    const bool counts = Schedule(context.options, context.epochs).NeedsEpochs() || t->recipe_.phases.size() > 1;
    if (t->options_.steps_per_epoch == 0 && counts)
      return InvalidArgument(t->recipe_.phases.size() > 1
                                 ? "method '" + method + "' has phases: the option steps_per_epoch is needed"
                                 : "the option steps_per_epoch is needed for schedule=" + context.options.schedule +
                                       " (or give schedule=constant)");
  }
  DISTIL_RETURN_IF_ERROR(t->CheckPhases());
  DISTIL_RETURN_IF_ERROR(t->EnterPhase(0));
  *out = std::move(t);
  return {};
}

// ---- Phases

double Trainer::PhaseEpochs(size_t phase) const {
  const double own = recipe_.phases[phase].epochs;
  return own > 0 ? own : options_.epochs;
}

int64_t Trainer::PhaseSteps(size_t phase) const {
  return std::max<int64_t>(1, std::llround(PhaseEpochs(phase) * static_cast<double>(options_.steps_per_epoch)));
}

int64_t Trainer::total_steps() const {
  if (options_.steps_per_epoch == 0) return 0;
  int64_t n = 0;
  for (size_t p = 0; p < recipe_.phases.size(); ++p) n += PhaseSteps(p);
  return n;
}

Trainer::Position Trainer::At(int64_t step) const {
  if (options_.steps_per_epoch == 0) return {0, step};
  size_t p = 0;
  for (; p + 1 < recipe_.phases.size() && step >= PhaseSteps(p); ++p) step -= PhaseSteps(p);
  return {p, step};
}

Status Trainer::PhaseContext(size_t phase, State* state, StepContext* out) const {
  StepContext c;
  c.roles = roles_;
  c.aux = &state->aux, c.state = &state->method, c.optimizer = &state->optimizer;
  c.alive = alive_;
  c.options = options_;
  const Phase& p = recipe_.phases[phase];
  if (Status s = OverrideTrainingOptions(p.training, &c.options); !s.ok())
    return Internal("method '" + recipe_.expression + "', phase '" + p.name + "': " + s.message());
  c.epochs = PhaseEpochs(phase);
  for (const auto& [role, network] : roles_)
    for (const VariableRef& v : network->all()) c.names[v.get()] = role + "/" + v->name;
  *out = std::move(c);
  return {};
}

Status Trainer::EnterPhase(size_t phase) {
  if (phase == phase_) return {};
  DISTIL_RETURN_IF_ERROR(Wait());
  programs_.clear();
  last_ = nullptr;
  // Optimisers start afresh.
  state_->optimizer = VariableSet(state_->allocate);
  phase_ = phase;
  return PhaseContext(phase, state_.get(), &context_);
}

Status Trainer::CheckPhases() const {
  State state(nullptr, options_.seed);
  for (size_t p = recipe_.phases.size(); p-- > 0;) {
    state.optimizer = VariableSet(state.allocate);
    StepContext context;
    std::vector<std::unique_ptr<StepGraph>> graphs;
    DISTIL_RETURN_IF_ERROR(PhaseContext(p, &state, &context));
    DISTIL_RETURN_IF_ERROR(BuildGraphs(p, &state, &context, 2, &graphs));
  }
  return {};
}

Status Trainer::BuildGraphs(size_t phase, State* state, StepContext* context, int64_t batch,
                            std::vector<std::unique_ptr<StepGraph>>* out) const {
  state->allocation = Status();
  for (const auto& build : recipe_.phases[phase].steps) {
    auto g = std::make_unique<StepGraph>(context, batch);
    build(*g);
    const Status s = g->Finish();
    DISTIL_RETURN_IF_ERROR(state->allocation);
    if (!s.ok() && s.message().rfind("method ", 0) == 0) return s;  // a term's own, which is named already
    if (!s.ok()) return {s.code(), "method '" + recipe_.expression + "': " + s.message()};
    out->push_back(std::move(g));
  }
  return {};
}

// ---- Programs

Status Trainer::Compiled(int64_t batch, std::vector<StepProgram>** out) {
  auto found = programs_.find(batch);
  if (found != programs_.end()) {
    *out = &found->second;
    return {};
  }
  std::vector<std::unique_ptr<StepGraph>> graphs;
  DISTIL_RETURN_IF_ERROR(BuildGraphs(phase_, state_.get(), &context_, batch, &graphs));
  last_batch_ = batch;
  CompileOptions options;
  options.bf16 = options_.bf16, options.winograd = options_.winograd, options.tf32 = options_.tf32;
  options.algorithms = options_.algorithms.empty() ? nullptr : &algorithms_;
  std::vector<StepProgram> programs;
  for (size_t i = 0; i < graphs.size(); ++i) {
    StepProgram p;
    p.graph = std::move(graphs[i]);
    p.number = static_cast<int>(i);
    DISTIL_RETURN_IF_ERROR(Program::Compile(backend_, p.graph->built(), options, &p.program));
    const Program& program = *p.program;
    p.images = program.HasInput("images"), p.labels = program.HasInput("labels"), p.ids = program.HasInput("ids");
    p.epoch = program.HasInput("epoch"), p.step = program.HasInput("step");
    for (int k = 0; k < p.graph->keys(); ++k) {
      const std::string name = "key/" + std::to_string(k);
      p.keys.push_back(program.HasInput(name) ? name : "");
    }
    for (int64_t rows : p.graph->row_inputs()) {
      std::vector<int32_t> count(static_cast<size_t>(rows));
      for (size_t r = 0; r < count.size(); ++r) count[r] = static_cast<int32_t>(r);
      const std::string name = "rows/" + std::to_string(rows);
      if (program.HasInput(name)) p.rows.emplace_back(name, std::move(count));
    }
    p.report.resize(p.graph->report_size());
    p.report32.resize(p.report.size());
    if (graphs.size() == 1)
      DISTIL_RETURN_IF_ERROR(backend_->MakeReadback(p.report32.size() * sizeof(float), kInFlight, &p.readback));
    if (i + 1 < graphs.size())
      for (const auto& [v, value] : p.graph->built().assigns())
        p.snapshots.push_back({v, std::vector<uint8_t>(v->storage.bytes)});
    const MemoryInfo m = program.memory();
    device_->Log(Device::kInfo, "phase '" + recipe_.phases[phase_].name + "', batch " + std::to_string(batch) +
                                    ": a program of " + std::to_string(program.launches()) + " launches, " +
                                    std::to_string(m.arena >> 20) + " MiB of values");
    programs.push_back(std::move(p));
  }
  *out = &programs_.emplace(batch, std::move(programs)).first->second;
  return {};
}

size_t Trainer::VariableBytes() const {
  size_t n = 0;
  auto add = [&](const std::vector<VariableRef>& all) {
    for (const VariableRef& v : all) n += v->storage.bytes;
  };
  for (const auto& [role, network] : roles_) add(network->all());
  add(state_->aux.all()), add(state_->method.all()), add(state_->optimizer.all());
  if (alive_) add({alive_});
  return n;
}

std::vector<Program*> Trainer::programs() const {
  std::vector<Program*> found;
  if (last_)
    for (const StepProgram& p : *last_) found.push_back(p.program.get());
  return found;
}

Status Trainer::Memory(int64_t batch, MemoryInfo* out) {
  if (batch < 1) return InvalidArgument("a batch has at least one image, not " + std::to_string(batch));
  DISTIL_RETURN_IF_ERROR(EnterPhase(At(step_).phase));
  MemoryInfo total;
  auto add = [&](const MemoryInfo& m) {
    total.arena += m.arena, total.live += m.live, total.constants += m.constants, total.io += m.io;
  };
  if (auto found = programs_.find(batch); found != programs_.end()) {
    for (const StepProgram& p : found->second) add(p.program->memory());
  } else {
    std::vector<std::unique_ptr<StepGraph>> graphs;
    DISTIL_RETURN_IF_ERROR(BuildGraphs(phase_, state_.get(), &context_, batch, &graphs));
    last_batch_ = batch;
    CompileOptions options;
    options.bf16 = options_.bf16, options.winograd = options_.winograd, options.tf32 = options_.tf32;
    options.algorithms = options_.algorithms.empty() ? nullptr : &algorithms_;
    for (const auto& g : graphs) {
      MemoryInfo m;
      DISTIL_RETURN_IF_ERROR(Program::Plan(backend_, g->built(), options, &m));
      add(m);
    }
  }
  if (feed_) total.io += feed_->bytes(batch);
  total.variables = VariableBytes();
  *out = total;
  return {};
}

// ---- Inputs

Status Trainer::Scalar(StepProgram* p, const std::string& name, double value) {
  if (wide_) return p->program->SetInput(name, std::span<const double>(&value, 1));
  const auto narrow = static_cast<float>(value);
  return p->program->SetInput(name, std::span<const float>(&narrow, 1));
}

// The epoch of augmentation counts over all phases, so that a second phase does not repeat the first one's crops.
uint32_t Trainer::AugmentationEpoch() const {
  const int64_t per_epoch = options_.steps_per_epoch;
  return static_cast<uint32_t>(per_epoch > 0 ? step_ / per_epoch : step_);
}

// The device takes images, labels and ids by itself.
Status Trainer::Feed(const Batch& batch, StepProgram* p) {
  if (!batch.ids) {
    counted_.resize(static_cast<size_t>(batch.count));
    std::iota(counted_.begin(), counted_.end(), 0u);
  }
  ImageFeed::Batch from;
  from.count = batch.count, from.epoch = AugmentationEpoch();
  from.ids = batch.ids ? batch.ids : counted_.data();
  if (!(batch.attached && kept_)) {
    from.images = static_cast<const uint8_t*>(batch.images), from.labels = batch.labels;
    from.by_id = batch.attached;
  }
  const Program& program = *p->program;
  return feed_->Fill(
      from, {static_cast<float*>(program.InputAddress("images")), static_cast<int32_t*>(program.InputAddress("labels")),
             static_cast<int32_t*>(program.InputAddress("ids"))});
}

Status Trainer::FillImages(const Batch& batch, StepProgram* p) {
  const Shape shape = roles_.front().second->ImageShape(batch.count);
  const auto count = static_cast<size_t>(shape.elements()), each = count / static_cast<size_t>(batch.count);
  if (!batch.bytes) return p->program->SetInput("images", std::span(static_cast<const float*>(batch.images), count));
  float* to = wide_ ? nullptr : static_cast<float*>(p->program->InputData("images"));
  const bool direct = to != nullptr;
  if (!direct) {
    pixels_.resize(count);
    to = pixels_.data();
  }
  const auto* from = static_cast<const uint8_t*>(batch.images);
  for (size_t i = 0; i < static_cast<size_t>(batch.count); ++i)
    augmenter_.Run(from + batch.place(i) * each, AugmentationEpoch(), batch.id(i), to + i * each);
  return direct ? Status() : p->program->SetInput("images", std::span<const float>(pixels_));
}

Status Trainer::Fill(const Batch& batch, const Position& at, StepProgram* p) {
  Program& program = *p->program;
  const auto n = static_cast<size_t>(batch.count);
  if (p->labels && !batch.labels)
    return InvalidArgument("the batch has no labels, and method '" + recipe_.expression + "' needs them");
  if (feed_ && batch.bytes) {
    DISTIL_RETURN_IF_ERROR(Feed(batch, p));
  } else {
    if (p->images) DISTIL_RETURN_IF_ERROR(FillImages(batch, p));
    labels_.resize(n), ids_.resize(n);
    for (size_t i = 0; i < n; ++i) {
      if (p->labels) labels_[i] = batch.labels[batch.place(i)];
      ids_[i] = static_cast<int32_t>(batch.id(i));
    }
    if (p->labels) DISTIL_RETURN_IF_ERROR(program.SetInput("labels", std::span<const int32_t>(labels_)));
    if (p->ids) DISTIL_RETURN_IF_ERROR(program.SetInput("ids", std::span<const int32_t>(ids_)));
  }
  if (p->step) DISTIL_RETURN_IF_ERROR(Scalar(p, "step", static_cast<double>(at.step)));
  const int64_t per_epoch = options_.steps_per_epoch;
  const int64_t epoch = per_epoch > 0 ? at.step / per_epoch : 0;
  if (p->epoch) DISTIL_RETURN_IF_ERROR(Scalar(p, "epoch", static_cast<double>(epoch)));
  for (const auto& rate : p->graph->rates())
    if (program.HasInput(rate.input)) DISTIL_RETURN_IF_ERROR(Scalar(p, rate.input, rate.schedule.At(at.step)));
  for (size_t k = 0; k < p->keys.size(); ++k) {
    if (p->keys[k].empty()) continue;
    const int32_t key[4] = {static_cast<int32_t>(options_.seed), static_cast<int32_t>(options_.seed >> 32),
                            static_cast<int32_t>(step_), static_cast<int32_t>(k) | p->number << 8};
    DISTIL_RETURN_IF_ERROR(program.SetInput(p->keys[k], std::span<const int32_t>(key)));
  }
  for (const auto& [name, rows] : p->rows)
    DISTIL_RETURN_IF_ERROR(program.SetInput(name, std::span<const int32_t>(rows)));
  for (const StepGraph::Extra& e : p->graph->extras()) {
    const std::string name = "extra/" + e.name;
    if (!program.HasInput(name)) continue;
    const auto real = extra_real_.find(e.name);
    const auto index = extra_index_.find(e.name);
    if (e.index ? index == extra_index_.end() : real == extra_real_.end())
      return InvalidArgument("method '" + recipe_.expression + "' needs the input '" + e.name + "' " +
                             e.shape.ToString() + (e.index ? " of integers" : ""));
    DISTIL_RETURN_IF_ERROR(e.index ? program.SetInput(name, std::span<const int32_t>(index->second))
                                   : program.SetInput(name, std::span<const float>(real->second)));
  }
  return {};
}

Status Trainer::SetExtra(const std::string& name, std::span<const float> values) {
  extra_real_[name].assign(values.begin(), values.end());
  return {};
}
Status Trainer::SetExtra(const std::string& name, std::span<const int32_t> values) {
  extra_index_[name].assign(values.begin(), values.end());
  return {};
}

// ---- Attached samples

Status Trainer::Attach(const ImageSet& set) {
  if (set_.images) return FailedPrecondition("a set is attached to the trainer already");
  const auto& input = roles_.front().second->spec().input;
  auto text = [](int64_t c, int64_t h, int64_t w) {
    return Plural(c, "channel") + " and " + std::to_string(h) + "x" + std::to_string(w) + " pixels";
  };
  if (set.channels != input[0] || set.height != input[1] || set.width != input[2])
    return InvalidArgument("the set's images have " + text(set.channels, set.height, set.width) + ", the networks' " +
                           text(input[0], input[1], input[2]));
  if (set.count < 1 || set.count > int64_t{1} << 31)
    return InvalidArgument("a set has 1 to 2^31 samples, this one " + std::to_string(set.count));
  if (options_.samples > 0 && set.count != options_.samples)
    return InvalidArgument("the set has " + Plural(set.count, "sample") +
                           ", and samples=" + std::to_string(options_.samples));
  if (!set.images) return InvalidArgument("the set has no images");
  const int64_t classes = roles_.front().second->classes();
  for (int64_t i = 0; set.labels && i < set.count; ++i) {
    if (set.labels[i] < 0 || set.labels[i] >= classes)
      return InvalidArgument("label " + std::to_string(set.labels[i]) + " of sample " + std::to_string(i) +
                             " is outside [0, " + std::to_string(classes) + ")");
  }
  if (feed_) {
    DISTIL_RETURN_IF_ERROR(feed_->Keep(set.images, set.labels, set.count, &kept_));
    device_->Log(Device::kInfo, Plural(set.count, "sample") +
                                    (kept_ ? " are kept on the device" : " stay in host memory: batches are sent"));
  }
  set_ = set;
  return {};
}

Status Trainer::StepSamples(const uint32_t* ids, int64_t count, StepResult* result) {
  if (!set_.images) return FailedPrecondition("no set is attached to the trainer");
  for (int64_t i = 0; i < count; ++i) {
    if (ids[i] >= set_.count)
      return InvalidArgument("ids[" + std::to_string(i) + "] is " + std::to_string(ids[i]) +
                             ", and the attached set has " + Plural(set_.count, "sample"));
  }
  return Step({count, true, set_.images, set_.labels, ids, true}, result);
}

// ---- Steps

Status Trainer::TakeSnapshots(std::vector<StepProgram>* programs, size_t current) {
  for (Snapshot& s : (*programs)[current].snapshots)
    DISTIL_RETURN_IF_ERROR(backend_->Download(s.bytes.data(), s.variable->storage.data, s.bytes.size()));
  return {};
}

Status Trainer::Restore(std::vector<StepProgram>* programs, size_t current) {
  while (current-- > 0) {
    for (Snapshot& s : (*programs)[current].snapshots) {
      DISTIL_RETURN_IF_ERROR(backend_->Upload(s.variable->storage.data, s.bytes.data(), s.bytes.size()));
      ++s.variable->version;
    }
  }
  return {};
}

Status Trainer::Run(const Batch& batch, const Position& at, std::vector<StepProgram>* programs) {
  for (size_t i = 0; i < programs->size(); ++i) {
    StepProgram& p = (*programs)[i];
    Status s = Fill(batch, at, &p);
    if (s.ok()) s = TakeSnapshots(programs, i);
    if (s.ok()) s = p.program->Run();
    if (s.ok()) s = Report(&p);
    if (s.ok() && p.report[0] != 1) s = NonFinite(batch, step_, p);
    if (!s.ok()) {
      // A device that cannot take its variables back has a worse problem than the step's.
      DISTIL_RETURN_IF_ERROR(Restore(programs, i));
      DISTIL_RETURN_IF_ERROR(Revive());
      return s;
    }
  }
  return {};
}

Status Trainer::Step(const Batch& batch, StepResult* result) {
  DISTIL_RETURN_IF_ERROR(CheckBatch(batch, roles_.front().second->classes()));
  for (int64_t i = 0; options_.samples > 0 && batch.ids && i < batch.count; ++i) {
    if (batch.ids[i] >= static_cast<uint64_t>(options_.samples))
      return InvalidArgument("image " + std::to_string(i) + " of the batch is sample " + std::to_string(batch.ids[i]) +
                             ", and samples=" + std::to_string(options_.samples));
  }
  if (const int64_t total = total_steps(); total > 0 && step_ >= total)
    return FailedPrecondition("the run of " + Plural(total, "step") + " is complete");
  const Position at = At(step_);
  DISTIL_RETURN_IF_ERROR(EnterPhase(at.phase));
  std::vector<StepProgram>* programs;
  DISTIL_RETURN_IF_ERROR(Compiled(batch.count, &programs));
  const bool start = !result && batch.bytes && programs->front().readback;
  // Those of before first, so that results come in order; a started step only needs a free slot.
  while (started_.size() > (start ? kInFlight - 1 : 0)) {
    bool taken;
    DISTIL_RETURN_IF_ERROR(TakeOldest(/*wait=*/true, &taken));
  }
  last_ = nullptr;
  if (start) {
    StepProgram& p = programs->front();
    DISTIL_RETURN_IF_ERROR(Fill(batch, at, &p));
    DISTIL_RETURN_IF_ERROR(p.program->Run());
    DISTIL_RETURN_IF_ERROR(p.readback->Start(p.slot, p.program->OutputAddress("report")));
    Started started{step_, batch.count, programs, p.slot, {}};
    for (size_t i = 0; i < static_cast<size_t>(batch.count); ++i) started.ids.push_back(batch.id(i));
    started_.push_back(std::move(started));
    p.slot = (p.slot + 1) % kInFlight;
  } else {
    DISTIL_RETURN_IF_ERROR(Run(batch, at, programs));
    StepResult r;
    Conclude(*programs, step_, batch.count, &r);
    if (result)
      *result = r;
    else
      Keep(r);
  }
  last_ = programs;
  ++step_;
  return {};
}

Status Trainer::SkipPhase() {
  DISTIL_RETURN_IF_ERROR(Wait());
  const Position at = At(step_);
  if (at.phase + 1 == recipe_.phases.size())
    return FailedPrecondition("the last phase has none after it that could be skipped to");
  step_ += PhaseSteps(at.phase) - at.step;
  return {};
}

}  // namespace distil
