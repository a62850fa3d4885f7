// What a user sees while something trains: on a terminal one line that is rewritten, elsewhere a plain line now and
// then; with --json one JSON object for each epoch on standard output; with --quiet nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "harness/record.h"

namespace distil::harness {

struct ProgressOptions {
  bool quiet = false, json = false;
  double interval = 30;  // seconds between lines where there is no terminal
};

class Progress {
 public:
  explicit Progress(const ProgressOptions& options);

  // A run begins. `name` and `folder` identify it; `position` is as in "2/15", or empty.
  void Begin(const std::string& name, const std::string& folder, const std::string& position, int64_t epochs,
             int64_t steps_per_epoch, int64_t step);
  // A step is done: `step` of the run (from 1), its images, terms and rate.
  void Step(int64_t step, int64_t images, const std::vector<std::pair<std::string, double>>& terms, double lr);
  void Epoch(const EpochMetrics& metrics, double evaluation_seconds);
  // The run is over; `text` is its last line.
  void End(const std::string& text);
  // A remark between runs.
  void Note(const std::string& text);

  bool terminal() const { return terminal_; }

 private:
  using Clock = std::chrono::steady_clock;
  void Line(const std::string& text, bool stays);
  std::string StepText(int64_t step, const std::vector<std::pair<std::string, double>>& terms, double lr) const;

  ProgressOptions options_;
  bool terminal_ = false;
  std::string name_, folder_, position_, last_top1_;
  int64_t epochs_ = 0, steps_per_epoch_ = 1, begin_step_ = 0, images_ = 0;
  double evaluation_ = 0;  // seconds of one evaluation
  double training_ = 0;    // seconds spent in steps
  Clock::time_point last_step_, last_line_;
};

// Whether standard output is a terminal that may be written to in bold (NO_COLOR is not set).
bool ColorOnStdout();

}  // namespace distil::harness
