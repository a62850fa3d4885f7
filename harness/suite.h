// Carrying out a plan: every run in order, finished ones skipped, interrupted ones resumed; and what it would cost.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/plan.h"
#include "harness/session.h"

namespace distil::harness {

using Datasets = std::map<std::string, data::Dataset>;  // by name

// The safetensors file of a run's teacher, "" without one.
std::string TeacherFile(const std::vector<PlannedRun>& plan, const PlannedRun& run, const SessionOptions& options);

// Before anything is trained: networks and methods exist, and methods get the teachers they need.
Status CheckPlan(const std::vector<PlannedRun>& plan);

// What can be known of a data set without its file: generated ones by their recipe, CIFAR's by their name. False for
// others.
struct DataShape {
  ImageShape image;
  int64_t samples = 0;  // for training
};
bool KnownShape(const std::string& dataset, const std::optional<data::SynthOptions>& synth, DataShape* out);
DataShape ShapeOf(const data::Dataset& dataset);

// Whether teachers, students and methods fit each other, of all runs that are still to do on the data sets in `shapes`:
// a mistake in the last run of a suite should show before the first. Trains nothing.
Status CheckFit(const Device& device, const std::vector<PlannedRun>& plan,
                const std::map<std::string, DataShape>& shapes, const SessionOptions& options);

struct SuiteResult {
  std::vector<RunRecord> records;  // of the runs that are done, in order of the plan
  int trained = 0, skipped = 0;
  bool interrupted = false;
};
Status RunPlan(const Device& device, const std::vector<PlannedRun>& plan, const Datasets& datasets,
               const SessionOptions& options, Progress* progress, SuiteResult* result);

// What a run would take on this device: its planned memory, the most of any of its phases; its epochs, of all of them; and
// its time from a few real steps of each.
struct Estimate {
  bool known = false;
  uint64_t bytes = 0;
  int64_t epochs = 0;
  double seconds = 0;
};
Status EstimateRun(const Device& device, const PlannedRun& run, const data::Dataset& dataset, Estimate* out);

enum class RunStatus { kToDo, kUnfinished, kDone };
RunStatus StatusOf(const PlannedRun& run, const SessionOptions& options);

}  // namespace distil::harness
