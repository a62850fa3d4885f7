// What the commands share: common options, exit codes, opening of devices and data sets.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "harness/engine.h"
#include "harness/progress.h"
#include "harness/recipe.h"
#include "harness/session.h"
#include "lib/base/status.h"

namespace distil::harness {

inline constexpr int kExitOk = 0, kExitFailed = 1, kExitBadInput = 2;

// A command of the program: its options are on `app`, and `run` gives the exit code.
struct Command {
  CLI::App* app = nullptr;
  std::function<int()> run;
};

// One line on standard error, and the exit code: 2 when the user can mend it (a wrong file, name, option), 1 when
// something failed at run time (disk full, out of memory, a loss that became infinite).
int Fail(const Status& status);
// The same for whatever goes wrong while inputs are opened, where the system's refusal is the user's to mend, too.
int FailInput(const Status& status);
// After Outcome::kInterrupted: says how to resume. `flag` is added to the command if it is not there.
int Stopped(const std::string& flag);

struct Common {
  std::string device = "cpu", data;
  int threads = 0;
  bool quiet = false, json = false;
  ProgressOptions progress() const { return {quiet, json}; }
};
// Numbers from `low` to `high`; CLI::Range lets NaN pass.
CLI::Validator Between(double low, double high);
void AddOutput(CLI::App* app, Common* common);  // --quiet, --json
void AddDevice(CLI::App* app, Common* common);  // --device, --threads

struct TrainingOptions {
  SessionOptions session;
  RecipeChanges changes;
};
void AddSession(CLI::App* app, TrainingOptions* options);  // --runs, --restart, --tensorboard, --checkpoint-...
void AddChanges(CLI::App* app, TrainingOptions* options);  // --set, --epochs, --limit-train, --limit-test

// Opens an HDF5 file; warnings go to standard error as lines.
Status OpenData(const std::string& path, bool quiet, data::Dataset* out);
// `data` is a file, or a folder with <name>.h5, or "" for the usual places.
Status FindData(const std::string& data, const std::string& name, std::string* path);
// Makes a recipe's generated data set, and writes it as `path` unless it is there already.
Status SynthData(const data::SynthOptions& options, const std::string& path, data::Dataset* out);

// Examples below --help, one "what it does" and command line after another.
void Examples(CLI::App* app, const std::vector<std::pair<std::string, std::string>>& examples);

Command AddImport(CLI::App* app);
Command AddSynth(CLI::App* app);
Command AddInspect(CLI::App* app);
Command AddTrain(CLI::App* app);
Command AddDistil(CLI::App* app);
Command AddEvaluate(CLI::App* app);
Command AddPredict(CLI::App* app);
Command AddReproduce(CLI::App* app);
Command AddQuickstart(CLI::App* app);
Command AddReport(CLI::App* app);
Command AddList(CLI::App* app);

}  // namespace distil::harness
