// Trainer: runs a recipe. A step fills the inputs of the phase's programs, runs them one after another, and reads their
// reports. All that lives from one step to the next is in variables and the step's number, which is what a checkpoint
// holds.
//
// A device that computes by itself need not be waited for after every step: steps are started, up to kInFlight at a
// time, and their reports read in order when they are there (report.cc). A step that is not finite stops those that were
// started after it, by the variable `alive`; when its report is read the trainer goes back to it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/runtime/program.h"
#include "lib/train/augment.h"
#include "lib/train/step_builder.h"
#include "lib/train/weights.h"
#include "losses/combine.h"

namespace distil {

struct Batch {
  int64_t count = 0;
  bool bytes = false;  // uint8 [n,h,w,c]; otherwise float [n,c,h,w]
  const void* images = nullptr;
  const int32_t* labels = nullptr;  // may be null where none are needed
  const uint32_t* ids = nullptr;    // null: 0, 1, 2...
  bool attached = false;            // images and labels are those of the whole attached set: sample i's at ids[i]

  uint32_t id(size_t i) const { return ids ? ids[i] : static_cast<uint32_t>(i); }
  size_t place(size_t i) const { return attached ? ids[i] : i; }  // of image i and its label
};

// Samples that steps take by number: uint8 [n,h,w,c], and labels unless null. The memory is the caller's.
struct ImageSet {
  int64_t count = 0, channels = 0, height = 0, width = 0;
  const uint8_t* images = nullptr;
  const int32_t* labels = nullptr;
};

// Whether a batch can be read as `count` images for `classes` classes.
Status CheckBatch(const Batch& batch, int64_t classes);

struct StepResult {
  double loss = 0, lr = 0;
  int64_t step = 0, epoch = 0, correct = 0, count = 0;
};
using Terms = std::vector<std::pair<std::string, double>>;  // "loss", then the method's own

class Trainer {
 public:
  using Roles = std::vector<std::pair<std::string, std::shared_ptr<Network>>>;

  // `options`: the trainer's and the method's.
  static Status Create(std::shared_ptr<Device> device, const std::string& method, const TextOptions& options,
                       const Roles& roles, std::unique_ptr<Trainer>* out);
  // `options`: the trainer's only.
  static Status Create(std::shared_ptr<Device> device, Recipe recipe, const TextOptions& options, const Roles& roles,
                       std::unique_ptr<Trainer>* out);

  // Waits for the step if `result` is wanted. Otherwise a step on uint8 images whose phase has one program is only
  // started where the backend has readbacks; the others are waited for as well. kNonFinite may be about an earlier step.
  Status Step(const Batch& batch, StepResult* result);
  // The oldest step that none was given for yet, of the kUnread last ones; !*found: there is none or, without `wait`, it
  // is not done.
  Status Result(bool wait, StepResult* result, bool* found);
  // For all steps that were started.
  Status Wait();
  // To the first step of the next phase; what is left of this one is never done.
  Status SkipPhase();
  // The set that StepSamples reads, for as long as the trainer lives; one for a trainer.
  Status Attach(const ImageSet& set);
  // Step with these samples of the attached set.
  Status StepSamples(const uint32_t* ids, int64_t count, StepResult* result);
  // Another tensor of the next steps' batches, for methods that ask for one by this name.
  Status SetExtra(const std::string& name, std::span<const float> values);
  Status SetExtra(const std::string& name, std::span<const int32_t> values);

  int64_t step() const { return step_; }  // started ones are counted
  int64_t total_steps() const;            // 0: without end
  // Of the step that Result gave, or else of the last one, which is waited for.
  Status ReadTerms(const Terms** out);
  Status Gradient(const std::string& role, const std::string& parameter, std::span<float> values);
  // Modules that live only in training, as far as steps have been built.
  const VariableSet& aux() const { return state_->aux; }
  // What the last step ran, for tests and benches.
  std::vector<Program*> programs() const;
  // Of the programs of the phase that the next step belongs to.
  Status Memory(int64_t batch, MemoryInfo* out);

  // Which algorithms a search has chosen so far, as the option `algorithms` takes it; "" without a search.
  const Algorithms& algorithms() const { return algorithms_; }

  Status Save(const std::string& path);  // after Wait
  Status Load(const std::string& path);
  Status LoadBytes(std::span<const uint8_t> bytes);  // of a checkpoint; messages do not name a file

 private:
  // The variables that training adds to the networks'.
  struct State {
    State(Backend* backend, uint64_t seed);  // without a backend its variables have no memory: to build graphs over
    VariableSet::Allocate allocate;
    Status allocation;  // the first that failed
    VariableSet aux, method, optimizer;
  };
  struct Snapshot {
    VariableRef variable;
    std::vector<uint8_t> bytes;
  };
  struct StepProgram {
    std::unique_ptr<StepGraph> graph;
    std::unique_ptr<Program> program;
    int number = 0;                                                  // of the step's programs
    std::vector<std::string> keys;                                   // live key inputs, by number
    std::vector<std::pair<std::string, std::vector<int32_t>>> rows;  // live row inputs
    bool images = false, labels = false, ids = false, epoch = false, step = false;
    std::vector<float> report32;
    std::vector<double> report;
    std::unique_ptr<Readback> readback;  // where steps of this program may be started only
    size_t slot = 0;                     // the next one
    std::vector<Snapshot> snapshots;     // of what it assigns, where a later program of the step may fail
  };
  struct Position {
    size_t phase;
    int64_t step;  // within the phase
  };
  struct Started {
    int64_t step, count;
    std::vector<StepProgram>* programs;
    size_t slot;
    std::vector<uint32_t> ids;
  };
  static constexpr size_t kInFlight = 16, kUnread = 64;

  Trainer() = default;
  int64_t PhaseSteps(size_t phase) const;
  Position At(int64_t step) const;
  double PhaseEpochs(size_t phase) const;
  Status EnterPhase(size_t phase);
  // Options and variables of a phase as steps are built over them.
  Status PhaseContext(size_t phase, State* state, StepContext* out) const;
  // Whether every phase can be built, for batches of two: its graphs are made and thrown away. The last one, which
  // checks how the networks fit, comes first.
  Status CheckPhases() const;
  Status BuildGraphs(size_t phase, State* state, StepContext* context, int64_t batch,
                     std::vector<std::unique_ptr<StepGraph>>* out) const;
  Status Compiled(int64_t batch, std::vector<StepProgram>** out);
  Status Fill(const Batch& batch, const Position& at, StepProgram* p);
  Status FillImages(const Batch& batch, StepProgram* p);
  Status Feed(const Batch& batch, StepProgram* p);
  uint32_t AugmentationEpoch() const;
  Status Scalar(StepProgram* p, const std::string& name, double value);

  // Reports (report.cc).
  Status Report(StepProgram* p);
  Status TakeOldest(bool wait, bool* taken);
  void Conclude(const std::vector<StepProgram>& programs, int64_t step, int64_t count, StepResult* r);
  void Keep(const StepResult& r);
  Status NonFinite(const Batch& batch, int64_t step, const StepProgram& p) const;
  std::string SampleText(const Batch& batch, const StepProgram& p) const;
  Status Revive();
  Status TakeSnapshots(std::vector<StepProgram>* programs, size_t current);
  Status Restore(std::vector<StepProgram>* programs, size_t current);
  Status Run(const Batch& batch, const Position& at, std::vector<StepProgram>* programs);
  size_t VariableBytes() const;

  // Checkpoints (checkpoint.cc).
  struct Saved {
    int64_t step = 0, phase = 0, batch = 0;  // `batch`: size that programs were last built for, 0: none yet
    Algorithms algorithms;
  };
  using Metadata = std::vector<std::pair<std::string, std::string>>;
  Status Describe(Metadata* out) const;
  std::vector<NamedVariable> SavedVariables(const State& state, bool optimizer) const;
  Status CheckMetadata(const std::map<std::string, std::string>& metadata, Saved* out) const;
  Status FrozenDigest(const Network& n, std::string* hex) const;

  std::shared_ptr<Device> device_;
  Backend* backend_ = nullptr;
  bool wide_ = false;  // the device computes in doubles
  Recipe recipe_;
  TrainingOptions options_{};
  TextOptions resolved_;
  Algorithms algorithms_;
  Roles roles_;
  Augmenter augmenter_;
  std::unique_ptr<ImageFeed> feed_;  // none on devices whose images the host prepares
  ImageSet set_;                     // attached, if it has images
  bool kept_ = false;                // by the feed
  std::unique_ptr<State> state_;
  VariableRef alive_;  // of StepContext

  size_t phase_ = ~size_t{0};  // the one entered last
  StepContext context_;
  std::map<int64_t, std::vector<StepProgram>> programs_;  // of this phase, by batch size
  int64_t last_batch_ = 0;                                // size that programs were last built for
  const std::vector<StepProgram>* last_ = nullptr;        // programs of the last step

  int64_t step_ = 0;
  Terms terms_;
  bool given_ = false;  // they are those of the step that Result gave
  std::deque<Started> started_;
  std::deque<std::pair<StepResult, Terms>> unread_;  // done, not given yet
  std::vector<float> pixels_;
  std::vector<int32_t> ids_, labels_;
  std::vector<uint32_t> counted_;  // 0, 1, 2... where a batch has no ids
  std::map<std::string, std::vector<float>> extra_real_;
  std::map<std::string, std::vector<int32_t>> extra_index_;
  mutable std::map<const Network*, std::pair<uint64_t, std::string>> digests_;  // by the versions they were made at
};

}  // namespace distil
