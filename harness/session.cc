#include "harness/session.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "harness/digest.h"
#include "harness/environment.h"
#include "harness/files.h"
#include "harness/run_state.h"
#include "harness/tensorboard.h"
#include "harness/text.h"

namespace distil::harness {
namespace {

double Now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Two processes must not write one folder.
class FolderLock {
 public:
  ~FolderLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  Status Take(const std::string& folder) {
    std::string path = JoinPath(folder, "lock");
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0) return IoError("cannot create '" + path + "': " + std::strerror(errno));
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0)
      return FailedPrecondition("another process is training in '" + folder + "'");
    return {};
  }

 private:
  int fd_ = -1;
};

ImageBatch ToImages(const data::Batch& b) { return {b.images, b.labels, b.ids, b.count}; }

// A run that is there already counts if it is this run: same configuration, data and teacher, and its student is whole.
Status CheckFinished(const std::string& folder, const PlannedRun& run, const data::Dataset& dataset,
                     const std::string& teacher_sha, RunRecord* record) {
  const std::string again = "; --restart trains it again";
  DISTIL_RETURN_IF_ERROR(ReadRecord(JoinPath(folder, "result.json"), record));
  if (record->config_hash != run.config_hash || record->seed != run.seed)
    return FailedPrecondition("'" + folder + "' holds a run with another configuration" + again);
  if (record->data_digest != dataset.digest)
    return FailedPrecondition("'" + folder + "' was trained on other data (digest " +
                              record->data_digest.substr(0, 12) + " instead of " + dataset.digest.substr(0, 12) + ")" +
                              again);
  if (record->teacher_run && record->teacher_run->sha256 != teacher_sha)
    return FailedPrecondition("'" + folder + "' was distilled from another teacher (" +
                              record->teacher_run->sha256.substr(0, 12) + " instead of " + teacher_sha.substr(0, 12) +
                              ")" + again);
  std::string student = JoinPath(folder, "student.safetensors"), sha;
  DISTIL_RETURN_IF_ERROR(Sha256File(student, &sha));
  if (sha != record->student_sha256) return Corrupt("'" + student + "' is not the file that its record names" + again);
  for (const char* name : {"checkpoint.distil", "state.json"})  // left by a kill between record and clean-up
    DISTIL_RETURN_IF_ERROR(RemoveFile(JoinPath(folder, name)));
  return {};
}

// Everything of the record that is known before the first step.
void FillIn(const PlannedRun& run, const Device& device, const RunData& data, int64_t epochs, RunRecord* r) {
  const data::Dataset& d = *data.dataset;
  r->recipe = run.recipe, r->title = run.title, r->paper = run.paper, r->table = run.table;
  r->selection = run.selection, r->required_seeds = run.required_seeds, r->dataset = run.dataset;
  r->teacher = run.teacher, r->student = run.student, r->method = run.method, r->label = run.label;
  r->paper_teacher = run.paper_teacher, r->paper_student = run.paper_student, r->paper_method = run.paper_method;
  r->config = run.config, r->config_hash = run.config_hash, r->seed = run.seed;
  // A method's own phases come on top of the epochs that the recipe counts.
  int64_t extra = epochs - run.train.at("epochs").get<int64_t>();
  r->schedule = {epochs,           run.full_epochs + extra, data.train_samples,
                 d.train().size(), data.test_samples,       d.test().size(),
                 run.altered};
  r->data_digest = d.digest;
  r->classes = d.num_classes, r->height = d.height, r->width = d.width, r->channels = d.channels;
  r->revision = SourceRevision(), r->version = LibraryVersion();
  r->device = device.name(), r->isa = device.isa(), r->threads = device.threads();
  r->libraries = device.libraries();
}

// The run under way: what the loop below needs between steps.
class Session {
 public:
  Session(const Device& device, const PlannedRun& run, const RunData& data, const SessionOptions& options,
          std::string folder, Progress* progress)
      : device_(device),
        run_(run),
        data_(data),
        options_(options),
        folder_(std::move(folder)),
        state_file_(JoinPath(folder_, "state.json")),
        progress_(progress) {}

  Status Run(Prepared* prepared, const std::string& position, RunRecord* record, Outcome* outcome) {
    trainer_ = prepared->trainer.get(), student_ = prepared->student.get(), source_ = prepared->source.get();
    teacher_ = prepared->teacher.get();
    if (teacher_) DISTIL_RETURN_IF_ERROR(teacher_->Digest(&teacher_digest_));
    DISTIL_RETURN_IF_ERROR(trainer_->Position(&step_, &total_));
    DISTIL_RETURN_IF_ERROR(Evaluator::Create(*student_, data_.shape, options_.evaluation_batch, &evaluator_));
    DISTIL_RETURN_IF_ERROR(Begin());
    const int64_t per_epoch = source_->steps_per_epoch(), epochs = total_ / per_epoch;
    FillIn(run_, device_, data_, epochs, record);
    progress_->Begin(run_.Name(), folder_, position, epochs, per_epoch, step_);
    DISTIL_RETURN_IF_ERROR(source_->Seek(static_cast<uint32_t>(step_ / per_epoch), step_ % per_epoch));
    started_ = saved_at_ = Now();
    while (step_ < total_) {
      Status s = OneStep();
      const bool ended = step_ % per_epoch == 0, stop = Interrupted(), due = stop || CheckpointDue();
      if (s.ok() && (ended || due)) s = ReadResults(/*wait=*/true);
      if (s.code() == Code::kDeviceLost && state_.step > 0)
        return {s.code(),
                s.message() + " (step " + std::to_string(state_.step) + " in " + folder_ + ", with --resume)"};
      DISTIL_RETURN_IF_ERROR(s);
      if (ended) {
        DISTIL_RETURN_IF_ERROR(EndEpoch(step_ / per_epoch));
        if (step_ == total_) break;
        DISTIL_RETURN_IF_ERROR(source_->Seek(static_cast<uint32_t>(step_ / per_epoch), 0));
        DISTIL_RETURN_IF_ERROR(Save());
      } else if (due) {
        DISTIL_RETURN_IF_ERROR(Save());
      }
      if (stop) {
        *outcome = Outcome::kInterrupted;
        progress_->End(run_.Name() + ": stopped after step " + std::to_string(step_) + " of " + std::to_string(total_) +
                       ", state saved in " + folder_);
        return {};
      }
    }
    return Finish(record, outcome);
  }

 private:
  // Picks up a checkpoint, or clears the folder for a fresh start.
  Status Begin() {
    const std::string checkpoint = JoinPath(folder_, "checkpoint.distil");
    const std::string metrics = JoinPath(folder_, "metrics.jsonl");
    if (FileExists(checkpoint) && !options_.restart) {
      Status status = trainer_->Load(checkpoint);
      if (status.ok()) status = trainer_->Position(&step_, &total_);
      if (status.ok()) status = state_file_.Load(step_, &state_);
      if (status.ok()) status = ReadMetrics(metrics, step_ / source_->steps_per_epoch(), &epochs_);
      if (!status.ok()) return {status.code(), status.message() + "; --restart starts this run anew"};
      if (state_.device != device_.description())
        progress_->Note(run_.Name() + ": continues on '" + device_.description() + "' what began on '" + state_.device +
                        "', so its bits will not be those of either alone");
    } else {
      for (const char* name : {"checkpoint.distil", "state.json", "best.safetensors", "student.safetensors"})
        DISTIL_RETURN_IF_ERROR(RemoveFile(JoinPath(folder_, name)));
    }
    state_.device = device_.description();
    std::string lines;
    for (const EpochMetrics& m : epochs_) lines += Canonical(ToJson(m)) + "\n";
    DISTIL_RETURN_IF_ERROR(metrics_.Open(metrics, lines));
    if (options_.tensorboard) DISTIL_RETURN_IF_ERROR(board_.Open(JoinPath(folder_, "tensorboard"), epochs_));
    Json config = {
        {"config", run_.config}, {"config_hash", run_.config_hash}, {"seed", run_.seed}, {"recipe", run_.recipe}};
    return WriteFileAtomic(JoinPath(folder_, "config.json"), Pretty(config));
  }

  // Begins a step and takes the results that are there by now: on a GPU those of some steps before.
  Status OneStep() {
    double begin = Now();
    data::Batch batch;
    DISTIL_RETURN_IF_ERROR(source_->Next(&batch));
    if (batch.count == 0) return Internal("the epoch of '" + run_.dataset + "' ended before its last step");
    DISTIL_RETURN_IF_ERROR(trainer_->Step(ToImages(batch), nullptr));
    ++step_;
    state_.train_seconds += Now() - begin;
    DISTIL_RETURN_IF_ERROR(ReadResults(/*wait=*/false));
    // Phases begin with an epoch. After its first step the phase is compiled, so that asking costs nothing.
    return step_ % source_->steps_per_epoch() == 1 ? ReadPlannedMemory() : Status();
  }

  // Of the phase that the next step belongs to; the most of all phases counts.
  Status ReadPlannedMemory() {
    uint64_t bytes = 0;
    DISTIL_RETURN_IF_ERROR(trainer_->Memory(run_.train.at("batch").get<int64_t>(), &bytes));
    state_.planned_bytes = std::max(state_.planned_bytes, static_cast<int64_t>(bytes));
    return {};
  }

  Status ReadResults(bool wait) {
    while (true) {
      double begin = Now();
      StepResult result;
      bool found;
      DISTIL_RETURN_IF_ERROR(trainer_->Result(wait, &result, &found));
      if (!found) return {};
      auto terms = trainer_->Terms();
      state_.AddStep(terms, result.loss, result.count, result.correct);
      state_.train_seconds += Now() - begin;
      lr_ = result.lr;
      std::erase_if(terms, [](const auto& term) {  // histograms are no numbers to follow
        std::string histogram;
        size_t bin = 0;
        return BinOf(term.first, &histogram, &bin);
      });
      progress_->Step(result.step + 1, result.count, terms, lr_);
    }
  }

  Status EndEpoch(int64_t epoch) {
    double begin = Now();
    Score score;
    DISTIL_RETURN_IF_ERROR(Evaluate(evaluator_.get(), data_, options_.evaluation_batch, &score));
    EpochMetrics m;
    m.epoch = epoch, m.lr = lr_, m.train = state_.Means(), m.histograms = state_.Histograms();
    const double n = static_cast<double>(score.count);
    m.top1 = 100.0 * static_cast<double>(score.top1) / n, m.top5 = 100.0 * static_cast<double>(score.top5) / n;
    m.loss = score.loss / n;
    bool best = true;
    for (const EpochMetrics& before : epochs_) best = best && m.top1 > before.top1;
    if (best) DISTIL_RETURN_IF_ERROR(student_->Save(JoinPath(folder_, "best.safetensors")));
    epochs_.push_back(m);
    DISTIL_RETURN_IF_ERROR(metrics_.Append(Canonical(ToJson(m)) + "\n"));
    if (options_.tensorboard) DISTIL_RETURN_IF_ERROR(board_.Add(m));
    progress_->Epoch(m, Now() - begin);
    state_.StartEpoch();
    return {};
  }

  bool CheckpointDue() const {
    if (options_.checkpoint_steps > 0) return step_ % options_.checkpoint_steps == 0;
    return Now() - saved_at_ >= options_.checkpoint_seconds;
  }

  Status Save() {
    double now = Now();
    state_.step = step_;
    state_.seconds += now - started_, started_ = now;
    state_.resident_bytes = std::max(state_.resident_bytes, ResidentPeak());
    DISTIL_RETURN_IF_ERROR(state_file_.Save(state_));
    DISTIL_RETURN_IF_ERROR(trainer_->Save(JoinPath(folder_, "checkpoint.distil")));
    saved_at_ = Now();
    return {};
  }

  Status Finish(RunRecord* record, Outcome* outcome) {
    std::string digest;
    if (teacher_) DISTIL_RETURN_IF_ERROR(teacher_->Digest(&digest));
    if (digest != teacher_digest_) return Internal("the teacher '" + run_.teacher + "' changed during the run");
    const std::string file = JoinPath(folder_, "student.safetensors");
    DISTIL_RETURN_IF_ERROR(student_->Save(file));
    DISTIL_RETURN_IF_ERROR(Sha256File(file, &record->student_sha256));
    record->parameters = student_->parameters();
    record->epochs = epochs_;
    record->steps = total_;
    record->seconds = state_.seconds + Now() - started_;
    record->images_per_second =
        state_.train_seconds > 0 ? static_cast<double>(state_.train_images) / state_.train_seconds : 0;
    DISTIL_RETURN_IF_ERROR(ReadPlannedMemory());
    record->planned_bytes = state_.planned_bytes;
    DISTIL_RETURN_IF_ERROR(trainer_->Algorithms(&record->algorithms));
    record->resident_bytes = std::max(state_.resident_bytes, ResidentPeak());
    // From here on the run is finished; what is left of it is only removed after that.
    DISTIL_RETURN_IF_ERROR(WriteFileAtomic(JoinPath(folder_, "result.json"), Pretty(ToJson(*record))));
    for (const char* name : {"checkpoint.distil", "state.json"})
      DISTIL_RETURN_IF_ERROR(RemoveFile(JoinPath(folder_, name)));
    *outcome = Outcome::kTrained;
    progress_->End(run_.Name() + ": top-1 " + Fixed(record->last_top1(), 2) + " (best " +
                   Fixed(record->best_top1(), 2) + ") after " + std::to_string(epochs_.size()) + " epochs, " +
                   Duration(record->seconds));
    return {};
  }

  const Device& device_;
  const PlannedRun& run_;
  const RunData& data_;
  const SessionOptions& options_;
  std::string folder_;
  StateFile state_file_;
  Progress* progress_;
  Trainer* trainer_ = nullptr;
  Network *student_ = nullptr, *teacher_ = nullptr;
  std::string teacher_digest_;
  data::BatchSource* source_ = nullptr;
  std::unique_ptr<Evaluator> evaluator_;
  RunState state_;
  std::vector<EpochMetrics> epochs_;
  AppendFile metrics_;
  TensorBoardFile board_;
  int64_t step_ = 0, total_ = 0;
  double lr_ = 0, started_ = 0, saved_at_ = 0;
};

Status MeasureTeacher(const Network& teacher, const RunData& data, const SessionOptions& options, double* top1) {
  std::unique_ptr<Evaluator> evaluator;
  DISTIL_RETURN_IF_ERROR(Evaluator::Create(teacher, data.shape, options.evaluation_batch, &evaluator));
  Score score;
  DISTIL_RETURN_IF_ERROR(Evaluate(evaluator.get(), data, options.evaluation_batch, &score));
  *top1 = 100.0 * static_cast<double>(score.top1) / static_cast<double>(score.count);
  return {};
}

}  // namespace

std::string RunPath(const PlannedRun& run, const SessionOptions& options) {
  return options.folder.empty() ? JoinPath(options.runs, run.Folder()) : options.folder;
}

Status SelectData(const data::Dataset& dataset, int64_t limit_train, int64_t limit_test, RunData* out) {
  out->dataset = &dataset;
  auto select = [&](const data::Split& split, int64_t limit, std::vector<uint32_t>* subset, int64_t* samples) {
    *samples = split.size();
    if (limit <= 0 || limit >= split.size()) return Status();
    *samples = limit;
    // One seed for all: every run of a limited data set sees the same samples.
    return data::BalancedSubset(split.labels, dataset.num_classes, limit, 0, subset);
  };
  DISTIL_RETURN_IF_ERROR(select(dataset.train(), limit_train, &out->train_subset, &out->train_samples));
  DISTIL_RETURN_IF_ERROR(select(dataset.test(), limit_test, &out->test_subset, &out->test_samples));
  out->shape = {dataset.channels, dataset.height, dataset.width, dataset.num_classes, dataset.mean, dataset.std};
  return {};
}

Status Evaluate(Evaluator* evaluator, const RunData& data, int64_t batch, Score* score) {
  data::LoaderOptions options;
  options.batch_size = batch, options.shuffle = false, options.subset = data.test_subset;
  std::unique_ptr<data::BatchSource> source;
  DISTIL_RETURN_IF_ERROR(data::MakeSource(*data.dataset, data::SplitKind::kTest, options, &source));
  while (true) {
    data::Batch images;
    DISTIL_RETURN_IF_ERROR(source->Next(&images));
    if (images.count == 0) break;
    DISTIL_RETURN_IF_ERROR(evaluator->Add(ToImages(images), score));
  }
  if (score->count == 0) return FailedPrecondition("there are no test samples to evaluate on");
  return {};
}

std::string RunOptions(const PlannedRun& run, int64_t steps_per_epoch, int64_t samples) {
  std::string options = TrainerOptions(run.train) + " epochs=" + run.train.at("epochs").dump() +
                        " steps_per_epoch=" + std::to_string(steps_per_epoch) + " seed=" + std::to_string(run.seed) +
                        " samples=" + std::to_string(samples);
  // With the method's name in front, which its options in a sum have already: some are called as the trainer's are
  // (ab.epochs).
  const bool one = run.spec.find('+') == std::string::npos;
  for (const auto& [key, value] : run.options)
    options += " " + (one && key.find('.') == std::string::npos ? run.spec + "." : "") + key + "=" + value;
  return options;
}

Status Prepare(const Device& device, const PlannedRun& run, const RunData& data, const std::string& teacher_file,
               Prepared* out) {
  const uint64_t seed = static_cast<uint64_t>(run.seed);
  DISTIL_RETURN_IF_ERROR(Network::Create(device, run.student, data.shape, seed, &out->student));
  if (!run.teacher.empty()) {
    DISTIL_RETURN_IF_ERROR(Network::Create(device, run.teacher, data.shape, seed, &out->teacher));
    if (!teacher_file.empty()) DISTIL_RETURN_IF_ERROR(out->teacher->Load(teacher_file));
  }
  data::LoaderOptions loader;
  loader.batch_size = run.train.at("batch").get<int64_t>(), loader.seed = seed;
  loader.subset = data.train_subset;
  const data::Split& train = data.dataset->train();
  loader.gather_images = train.streamed();  // others are attached to the trainer
  DISTIL_RETURN_IF_ERROR(data::MakeSource(*data.dataset, data::SplitKind::kTrain, loader, &out->source));
  // Samples keep their numbers in the whole split also when only a part of it is used.
  const std::string options = RunOptions(run, out->source->steps_per_epoch(), train.size());
  std::vector<std::pair<std::string, const Network*>> roles = {{"student", out->student.get()}};
  if (out->teacher) roles.emplace_back("teacher", out->teacher.get());
  DISTIL_RETURN_IF_ERROR(Trainer::Create(device, run.spec, options, data.shape, roles, &out->trainer));
  if (train.streamed()) return {};
  return out->trainer->Attach({train.images.data(), train.labels.data(), nullptr, train.size()}, data.shape);
}

Status TrainRun(const Device& device, const PlannedRun& run, const data::Dataset& dataset,
                const std::string& teacher_file, const SessionOptions& options, const std::string& position,
                Progress* progress, RunRecord* record, Outcome* outcome) {
  const std::string folder = RunPath(run, options);
  std::string teacher_sha;
  if (!run.teacher.empty()) DISTIL_RETURN_IF_ERROR(Sha256File(teacher_file, &teacher_sha));
  if (FileExists(JoinPath(folder, "result.json")) && !options.restart) {
    DISTIL_RETURN_IF_ERROR(CheckFinished(folder, run, dataset, teacher_sha, record));
    *outcome = Outcome::kAlreadyDone;
    return {};
  }
  if (FileExists(JoinPath(folder, "checkpoint.distil")) && !options.resume && !options.restart)
    return FailedPrecondition("'" + folder + "' holds an unfinished run: --resume continues it, --restart starts anew");
  ResetResidentPeak();
  RunData data;
  Prepared prepared;
  DISTIL_RETURN_IF_ERROR(SelectData(dataset, run.limit_train, run.limit_test, &data));
  DISTIL_RETURN_IF_ERROR(Prepare(device, run, data, teacher_file, &prepared));
  TeacherRecord teacher;
  if (prepared.teacher) {
    teacher.network = run.teacher, teacher.sha256 = teacher_sha;
    const Json& config = run.config.at("teacher");
    if (config.contains("config_hash"))
      teacher.config_hash = config["config_hash"].get<std::string>(), teacher.seed = config["seed"].get<int64_t>();
    DISTIL_RETURN_IF_ERROR(MeasureTeacher(*prepared.teacher, data, options, &teacher.top1));
  }
  DISTIL_RETURN_IF_ERROR(MakeFolders(folder));
  FolderLock lock;
  DISTIL_RETURN_IF_ERROR(lock.Take(folder));
  if (options.restart) DISTIL_RETURN_IF_ERROR(RemoveFile(JoinPath(folder, "result.json")));
  *record = RunRecord();
  if (prepared.teacher) record->teacher_run = teacher;
  Session session(device, run, data, options, folder, progress);
  DISTIL_RETURN_IF_ERROR(session.Run(&prepared, position, record, outcome));
  record->path = JoinPath(folder, "result.json");
  return {};
}

}  // namespace distil::harness
