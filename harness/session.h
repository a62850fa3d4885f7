// One training run in its folder: the loop over epochs and batches, evaluation, metrics, checkpoints, resume, record.
//
//   config.json          the resolved configuration
//   metrics.jsonl        one line for each epoch; a pure function of the run
//   checkpoint.distil    the library's training state, while the run is unfinished; state.json: the harness's
//   best.safetensors     the student at its best epoch
//   student.safetensors  the student after the last epoch
//   result.json          the record; a run is finished when it is there
//
// A run that is killed at any moment and started again ends with the same bits as one that was not.
#pragma once

#include <memory>
#include <string>

#include "data/dataset.h"
#include "data/loader.h"
#include "harness/engine.h"
#include "harness/plan.h"
#include "harness/progress.h"
#include "harness/record.h"

namespace distil::harness {

struct SessionOptions {
  std::string runs = "runs";        // folder of all runs
  std::string folder;               // or exactly this folder for this run
  bool resume = true;               // continue from a checkpoint that is there; false: that is an error
  bool restart = false;             // ignore what is there
  double checkpoint_seconds = 120;  // between checkpoints inside an epoch; each epoch ends with one
  int64_t checkpoint_steps = 0;     // or after so many steps, when not 0
  bool tensorboard = false;
  int64_t evaluation_batch = 250;
};

enum class Outcome {
  kTrained,
  kAlreadyDone,  // a valid record was there
  kInterrupted,  // a checkpoint was written on SIGINT or SIGTERM
};

// The parts of a data set that a run uses.
struct RunData {
  const data::Dataset* dataset = nullptr;
  std::vector<uint32_t> train_subset, test_subset;  // empty: all
  int64_t train_samples = 0, test_samples = 0;
  ImageShape shape;
};
Status SelectData(const data::Dataset& dataset, int64_t limit_train, int64_t limit_test, RunData* out);

Status Evaluate(Evaluator* evaluator, const RunData& data, int64_t batch, Score* score);

// Trains `run`. `teacher_file` is the teacher's safetensors file, "" without one. `position` is shown ("2/15").
Status TrainRun(const Device& device, const PlannedRun& run, const data::Dataset& dataset,
                const std::string& teacher_file, const SessionOptions& options, const std::string& position,
                Progress* progress, RunRecord* record, Outcome* outcome);

// Where TrainRun works.
std::string RunPath(const PlannedRun& run, const SessionOptions& options);

// The trainer's options of a run: its recipe's, its method's, and what the data set adds.
std::string RunOptions(const PlannedRun& run, int64_t steps_per_epoch, int64_t samples);

// The trainer of a run, its networks freshly made; for memory and time estimates as well.
struct Prepared {
  std::unique_ptr<Network> student, teacher;
  std::unique_ptr<Trainer> trainer;
  std::unique_ptr<data::BatchSource> source;
};
Status Prepare(const Device& device, const PlannedRun& run, const RunData& data, const std::string& teacher_file,
               Prepared* out);

}  // namespace distil::harness
