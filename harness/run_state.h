// What the harness has to remember of an unfinished run beside the library's checkpoint: the sums of the epoch that is
// under way, so that its means come out the same bits after a resume, and what the run has cost so far.
//
// state.json holds the states of the last two checkpoints and is written before each checkpoint. Whichever of the two
// files a kill comes between, the state of the checkpoint that is there can be found.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/record.h"

namespace distil::harness {

struct RunState {
  int64_t step = 0;                    // of the checkpoint
  std::map<std::string, double> sums;  // over the epoch's images so far: of each term
  std::map<std::string, int64_t> counts;
  int64_t images = 0, correct = 0;  // of the epoch so far
  double seconds = 0, train_seconds = 0;
  int64_t train_images = 0, planned_bytes = 0, resident_bytes = 0;
  std::string device;  // its description

  void StartEpoch() { sums.clear(), counts.clear(), images = correct = 0; }
  void AddStep(const std::vector<std::pair<std::string, double>>& terms, double loss, int64_t images_of_step,
               int64_t correct_of_step);
  std::map<std::string, double> Means() const;  // of the terms, and "top1" of the training batches in percent
  // Of the terms that are bins: samples in each.
  std::map<std::string, std::vector<int64_t>> Histograms() const;
};

class StateFile {
 public:
  explicit StateFile(std::string path) : path_(std::move(path)) {}
  Status Save(const RunState& state);
  // The state that belongs to a checkpoint at `step`.
  Status Load(int64_t step, RunState* state);

 private:
  std::string path_;
  Json previous_;
};

// The epochs in metrics.jsonl, of which the first `epochs` must be there; what follows them is left out.
Status ReadMetrics(const std::string& path, int64_t epochs, std::vector<EpochMetrics>* out);

}  // namespace distil::harness
