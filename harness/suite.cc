#include "harness/suite.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "harness/environment.h"
#include "harness/files.h"
#include "harness/text.h"

namespace distil::harness {
namespace {

using Clock = std::chrono::steady_clock;
double Since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }

// Seconds of a step of the phase that the trainer is in.
Status TimeStep(Prepared* p, double* seconds) {
  DISTIL_RETURN_IF_ERROR(p->source->Seek(0, 0));
  for (int i = 0; i < 3; ++i) {  // the first one compiles
    data::Batch b;
    DISTIL_RETURN_IF_ERROR(p->source->Next(&b));
    if (b.count == 0) break;
    const Clock::time_point begin = Clock::now();
    StepResult step;
    DISTIL_RETURN_IF_ERROR(p->trainer->Step({b.images, b.labels, b.ids, b.count}, &step));
    *seconds = Since(begin);
  }
  return {};
}

}  // namespace

std::string TeacherFile(const std::vector<PlannedRun>& plan, const PlannedRun& run, const SessionOptions& options) {
  if (!run.teacher_weights.empty()) return run.teacher_weights;
  if (run.teacher_run < 0) return "";
  return JoinPath(RunPath(plan[run.teacher_run], options), "student.safetensors");
}

Status CheckPlan(const std::vector<PlannedRun>& plan) {
  for (const PlannedRun& run : plan) {
    bool needs = false;
    auto in_recipe = [&](const Status& s) { return Status(s.code(), run.recipe + ": " + s.message()); };
    if (Status s = CheckModel(run.student); !s.ok()) return in_recipe(s);
    if (Status s = run.teacher.empty() ? Status() : CheckModel(run.teacher); !s.ok()) return in_recipe(s);
    if (Status s = NeedsTeacher(run.spec, &needs); !s.ok()) return in_recipe(s);
    if (needs && run.teacher.empty())
      return InvalidArgument(run.recipe + ": the method '" + run.spec + "' needs a teacher");
    if (!needs && !run.teacher.empty())
      return InvalidArgument(run.recipe + ": the method '" + run.spec +
                             "' has no use for a teacher: a recipe says so by teacher = false in its [[method]]");
  }
  return {};
}

bool KnownShape(const std::string& dataset, const std::optional<data::SynthOptions>& synth, DataShape* out) {
  *out = DataShape();
  if (synth) {
    out->image.height = out->image.width = synth->size, out->image.classes = synth->classes;
    out->samples = synth->train;
    return true;
  }
  out->image.classes = dataset == "cifar10" ? 10 : 100;
  out->samples = 50000;
  return dataset == "cifar10" || dataset == "cifar100";
}

DataShape ShapeOf(const data::Dataset& d) {
  return {{d.channels, d.height, d.width, d.num_classes, d.mean, d.std}, d.train().size()};
}

Status CheckFit(const Device& device, const std::vector<PlannedRun>& plan,
                const std::map<std::string, DataShape>& shapes, const SessionOptions& options) {
  std::map<std::string, std::unique_ptr<Network>> networks;  // by data set, role and name
  std::set<std::string> checked;
  for (const PlannedRun& run : plan) {
    auto shape = shapes.find(run.dataset);
    if (shape == shapes.end() || StatusOf(run, options) == RunStatus::kDone) continue;
    if (!checked.insert(run.config_hash).second) continue;  // seeds are alike
    std::vector<std::pair<std::string, const Network*>> roles;
    for (const auto& [role, name] : {std::pair("student", run.student), std::pair("teacher", run.teacher)}) {
      if (name.empty()) continue;
      std::unique_ptr<Network>& network = networks[run.dataset + " " + role + " " + name];
      if (!network) {
        DISTIL_RETURN_IF_ERROR(Network::Create(device, name, shape->second.image, 1, &network));
        if (role == std::string("teacher") && !run.teacher_weights.empty())
          if (Status s = network->Load(run.teacher_weights); !s.ok())
            return {s.code(), run.Name() + ": " + s.message()};
      }
      roles.emplace_back(role, network.get());
    }
    std::unique_ptr<Trainer> trainer;
    Status s = Trainer::Create(device, run.spec, RunOptions(run, 1, shape->second.samples), shape->second.image, roles,
                               &trainer);
    if (!s.ok()) return {s.code(), run.Name() + ": " + s.message()};
  }
  return {};
}

Status RunPlan(const Device& device, const std::vector<PlannedRun>& plan, const Datasets& datasets,
               const SessionOptions& options, Progress* progress, SuiteResult* result) {
  for (size_t i = 0; i < plan.size(); ++i) {
    const PlannedRun& run = plan[i];
    RunRecord record;
    Outcome outcome = Outcome::kTrained;
    std::string position = plan.size() > 1 ? std::to_string(i + 1) + "/" + std::to_string(plan.size()) : "";
    Status status = TrainRun(device, run, datasets.at(run.dataset), TeacherFile(plan, run, options), options, position,
                             progress, &record, &outcome);
    if (!status.ok()) return {status.code(), run.Name() + ": " + status.message()};
    if (outcome == Outcome::kInterrupted) return result->interrupted = true, Status();
    if (outcome == Outcome::kAlreadyDone)
      ++result->skipped;
    else
      ++result->trained;
    result->records.push_back(std::move(record));
    if (Interrupted() && i + 1 < plan.size()) return result->interrupted = true, Status();
  }
  return {};
}

Status EstimateRun(const Device& device, const PlannedRun& run, const data::Dataset& dataset, Estimate* out) {
  RunData data;
  Prepared p;
  DISTIL_RETURN_IF_ERROR(SelectData(dataset, run.limit_train, run.limit_test, &data));
  DISTIL_RETURN_IF_ERROR(Prepare(device, run, data, "", &p));
  const int64_t batch = run.train.at("batch").get<int64_t>();
  double steps_seconds = 0, per_image = 0;
  int64_t total = 0;
  for (bool more = true; more;) {
    uint64_t bytes = 0;
    DISTIL_RETURN_IF_ERROR(p.trainer->Memory(batch, &bytes));
    out->bytes = std::max(out->bytes, bytes);
    int64_t begin = 0, end = 0;
    double per_step = 0;
    DISTIL_RETURN_IF_ERROR(p.trainer->Position(&begin, &total));
    DISTIL_RETURN_IF_ERROR(TimeStep(&p, &per_step));
    DISTIL_RETURN_IF_ERROR(p.trainer->SkipPhase(&more));
    DISTIL_RETURN_IF_ERROR(p.trainer->Position(&end, &total));
    steps_seconds += per_step * static_cast<double>((more ? end : total) - begin);
  }
  std::unique_ptr<Evaluator> evaluator;
  DISTIL_RETURN_IF_ERROR(Evaluator::Create(*p.student, data.shape, batch, &evaluator));
  data::LoaderOptions options;
  options.batch_size = batch, options.shuffle = false, options.subset = data.test_subset;
  std::unique_ptr<data::BatchSource> test;
  DISTIL_RETURN_IF_ERROR(data::MakeSource(dataset, data::SplitKind::kTest, options, &test));
  for (int i = 0; i < 2; ++i) {
    data::Batch b;
    DISTIL_RETURN_IF_ERROR(test->Next(&b));
    if (b.count == 0) break;
    const Clock::time_point begin = Clock::now();
    Score score;
    DISTIL_RETURN_IF_ERROR(evaluator->Add({b.images, b.labels, b.ids, b.count}, &score));
    per_image = Since(begin) / static_cast<double>(b.count);
  }
  out->epochs = total / p.source->steps_per_epoch();
  out->seconds = steps_seconds + static_cast<double>(out->epochs) * per_image * static_cast<double>(data.test_samples);
  out->known = true;
  return {};
}

RunStatus StatusOf(const PlannedRun& run, const SessionOptions& options) {
  const std::string folder = RunPath(run, options);
  if (options.restart) return RunStatus::kToDo;
  if (FileExists(JoinPath(folder, "result.json"))) return RunStatus::kDone;
  return FileExists(JoinPath(folder, "checkpoint.distil")) ? RunStatus::kUnfinished : RunStatus::kToDo;
}

}  // namespace distil::harness
