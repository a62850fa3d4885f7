// Options as text, "lr=0.05 milestones=150,180,210": tables of names, defaults and meanings, and one strict reader.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lib/base/status.h"

namespace distil {

using TextOptions = std::map<std::string, std::string, std::less<>>;

// Pairs key=value between white space. A key twice, or a word without '=', is an error.
Status SplitOptions(std::string_view text, TextOptions* out);

struct OptionRow {
  const char* name;
  const char* fallback;  // the default, as text
  const char* help;
  double low = -std::numeric_limits<double>::infinity();  // of numbers, inclusive
  double high = std::numeric_limits<double>::infinity();
  const char* choices = nullptr;  // of texts: "a|b|c"
};

using OptionTarget = std::variant<double*, int64_t*, uint64_t*, bool*, std::string*, std::vector<double>*>;

// Reads `text` into `target` and replaces it by its canonical form ("5e-4" and "0.0005" are one).
Status ReadOption(const OptionRow& row, OptionTarget target, std::string* text);

// ---- What every trainer has ----------------------------------------------------------------------------------------

struct TrainingOptions {
  // The run.
  double epochs;
  int64_t steps_per_epoch, samples;
  uint64_t seed;
  // Optimiser and schedule: these may differ between phases and between updates.
  std::string optimizer, schedule;
  double lr, momentum, weight_decay, beta1, beta2, eps, clip_norm;
  bool nesterov;
  std::vector<double> milestones;
  double gamma, step_epochs, lr_min, warmup_epochs;
  // Batches of uint8 images.
  std::vector<double> mean, std;
  int64_t crop_pad, cutout;
  std::string crop_mode;
  double flip, brightness, contrast, saturation, hue;
  // The computation.
  bool bf16, winograd, tf32, gradients;
  std::string algorithms;
};

std::span<const OptionRow> TrainingOptionRows();
std::vector<std::string> TrainingOptionNames();

// `given` may have only names of the table; what it lacks gets its default. `resolved`, if not null: every option's
// canonical text.
Status ReadTrainingOptions(const TextOptions& given, TrainingOptions* out, TextOptions* resolved);
// Changes an optimiser or schedule for a phase or an update. Options of the run or of the computation are refused.
Status OverrideTrainingOptions(const TextOptions& given, TrainingOptions* out);

// ---- Inference -----------------------------------------------------------------------------------------------------

struct InferenceOptions {
  bool bf16, winograd, tf32;
  std::vector<double> mean, std;
  std::string taps;
};
Status ReadInferenceOptions(const TextOptions& given, InferenceOptions* out);

// ---- Networks of the zoo -------------------------------------------------------------------------------------------

struct NetworkOptions {
  int64_t classes;
  std::vector<double> input;  // channels, height, width; one 0: the model's own
};
Status ReadNetworkOptions(const TextOptions& given, NetworkOptions* out);

}  // namespace distil
