#include "lib/train/options.h"

#include <algorithm>
#include <cmath>

#include "lib/base/text.h"

namespace distil {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kTiny = std::numeric_limits<double>::min();  // "above zero"

template <class T>
using Member =
    std::variant<double T::*, int64_t T::*, uint64_t T::*, bool T::*, std::string T::*, std::vector<double> T::*>;

template <class T>
struct Row {
  OptionRow row;
  Member<T> member;
  bool local = false;  // may be overridden for a phase or an update
};

using R = TrainingOptions;
constexpr bool kLocal = true;
const Row<R> kTraining[] = {
    {{"epochs", "240", "length of the run in epochs", kTiny, 1e6}, &R::epochs},
    {{"steps_per_epoch", "0", "batches in an epoch; 0: one endless epoch, for a constant learning rate", 0, 1e9},
     &R::steps_per_epoch},
    {{"samples", "0",
      "images in the training set, for methods that keep something for each (their ids lie below it); 0: unknown", 0,
      4294967295.0},
     &R::samples},
    {{"seed", "1", "of initial values, augmentation and dropout"}, &R::seed},

    {{"optimizer", "sgd", "sgd or adam, with PyTorch's updates", -kInf, kInf, "sgd|adam"}, &R::optimizer, kLocal},
    {{"lr", "0.05", "learning rate", 0, 1e6}, &R::lr, kLocal},
    {{"momentum", "0.9", "of sgd", 0, 1}, &R::momentum, kLocal},
    {{"nesterov", "0", "Nesterov's momentum"}, &R::nesterov, kLocal},
    {{"weight_decay", "5e-4", "added to the gradient of every parameter, times the parameter", 0, 1e6},
     &R::weight_decay,
     kLocal},
    {{"beta1", "0.9", "of adam", 0, 0.9999999}, &R::beta1, kLocal},
    {{"beta2", "0.999", "of adam", 0, 0.9999999}, &R::beta2, kLocal},
    {{"eps", "1e-8", "of adam", 0, 1e6}, &R::eps, kLocal},
    {{"clip_norm", "0", "largest global norm of an update's gradients; 0: off", 0, 1e30}, &R::clip_norm, kLocal},

    {{"schedule", "multistep", "how the learning rate falls", -kInf, kInf, "multistep|step|cosine|constant"},
     &R::schedule,
     kLocal},
    {{"milestones", "150,180,210", "multistep: epochs, counted from 0, from which lr has one more factor gamma", 0,
      1e6},
     &R::milestones,
     kLocal},
    {{"gamma", "0.1", "multistep and step: factor", 0, 1e6}, &R::gamma, kLocal},
    {{"step_epochs", "30", "step: epochs between two factors", kTiny, 1e6}, &R::step_epochs, kLocal},
    {{"lr_min", "0", "cosine: last learning rate", 0, 1e6}, &R::lr_min, kLocal},
    {{"warmup_epochs", "0", "epochs in which lr rises step by step from near 0", 0, 1e6}, &R::warmup_epochs, kLocal},

    {{"mean", "0", "of uint8 images in [0,1]: one number, or one for each channel", -1e6, 1e6}, &R::mean},
    {{"std", "1", "of uint8 images in [0,1]: one number, or one for each channel", kTiny, 1e6}, &R::std},
    {{"crop_pad", "0", "pixels of padding before a random crop of the image's own size", 0, 256}, &R::crop_pad},
    {{"crop_mode", "zero", "what the padding holds: black, or the image mirrored", -kInf, kInf, "zero|reflect"},
     &R::crop_mode},
    {{"flip", "0", "probability of a horizontal flip", 0, 1}, &R::flip},
    {{"cutout", "0", "side of a square set to the mean, at a random place; 0: off", 0, 4096}, &R::cutout},
    {{"brightness", "0", "colour jitter: factor from [1-b, 1+b]", 0, 10}, &R::brightness},
    {{"contrast", "0", "colour jitter: factor from [1-c, 1+c]", 0, 10}, &R::contrast},
    {{"saturation", "0", "colour jitter: factor from [1-s, 1+s]", 0, 10}, &R::saturation},
    {{"hue", "0", "colour jitter: turn from [-h, h]", 0, 0.5}, &R::hue},

    {{"bf16", "0", "compute networks in bfloat16; weights, statistics and losses stay in float32"}, &R::bf16},
    {{"winograd", "0", "admit Winograd convolutions: faster, with other rounding"}, &R::winograd},
    {{"tf32", "0", "on NVIDIA GPUs: round factors of float32 convolutions and products to 10 bits"}, &R::tf32},
    {{"algorithms", "",
      "of convolutions on the CPU: search (measure each once; the checkpoint keeps what was chosen), or a list that a "
      "search gave; empty: by fixed rules",
      -kInf, kInf, ""},
     &R::algorithms},
    {{"gradients", "0", "keep the gradients of the last step readable"}, &R::gradients},
};

using I = InferenceOptions;
const Row<I> kInference[] = {
    {{"bf16", "0", "compute in bfloat16"}, &I::bf16},
    {{"winograd", "0", "admit Winograd convolutions: faster, with other rounding"}, &I::winograd},
    {{"tf32", "0", "on NVIDIA GPUs: round factors of float32 convolutions and products to 10 bits"}, &I::tf32},
    {{"mean", "0", "of uint8 images in [0,1]: one number, or one for each channel", -1e6, 1e6}, &I::mean},
    {{"std", "1", "of uint8 images in [0,1]: one number, or one for each channel", kTiny, 1e6}, &I::std},
    {{"taps", "", "taps that are kept beside the logits, with commas between", -kInf, kInf, ""}, &I::taps},
};

using N = NetworkOptions;
const Row<N> kNetwork[] = {
    {{"classes", "100", "classes of the logits", 1, 1e6}, &N::classes},
    {{"input", "0", "channels,height,width of the images; 0: the model's own", 0, 65536}, &N::input},
};

template <class T, size_t n>
OptionTarget Target(const Row<T> (&)[n], const Row<T>& r, T* out) {
  return std::visit([out](auto member) -> OptionTarget { return &(out->*member); }, r.member);
}

template <class T, size_t n>
std::vector<std::string> Names(const Row<T> (&table)[n]) {
  std::vector<std::string> names;
  for (const auto& r : table) names.push_back(r.row.name);
  return names;
}

template <class T, size_t n>
Status Check(const Row<T> (&table)[n], const TextOptions& given) {
  for (const auto& option : given) {
    const std::string& name = option.first;
    const auto is = [&](const Row<T>& r) { return name == r.row.name; };
    if (std::none_of(std::begin(table), std::end(table), is))
      return InvalidArgument(NoSuch("option", name, Names(table)));
  }
  return {};
}

template <class T, size_t n>
Status ReadAll(const Row<T> (&table)[n], const TextOptions& given, T* out, TextOptions* resolved = nullptr) {
  DISTIL_RETURN_IF_ERROR(Check(table, given));
  for (const auto& r : table) {
    auto it = given.find(r.row.name);
    std::string text = it != given.end() ? it->second : r.row.fallback;
    DISTIL_RETURN_IF_ERROR(ReadOption(r.row, Target(table, r, out), &text));
    if (resolved) (*resolved)[r.row.name] = text;
  }
  return {};
}

struct Reader {
  const OptionRow& row;
  std::string* text;

  Status Bad(const std::string& why) const {
    return InvalidArgument("option " + std::string(row.name) + "=" + *text + ": " + why);
  }
  Status Range(double v) const {
    if (v < row.low && row.low == kTiny) return Bad("it must be above 0");
    if (v < row.low || v > row.high)
      return Bad("it must be from " + FormatNumber(row.low) + " to " + FormatNumber(row.high));
    return {};
  }
  Status operator()(double* out) const {
    if (!ParseNumber(*text, out)) return Bad("not a number");
    *text = FormatNumber(*out);
    return Range(*out);
  }
  Status operator()(int64_t* out) const {
    if (!ParseInteger(*text, out)) return Bad("not an integer");
    *text = std::to_string(*out);
    return Range(static_cast<double>(*out));
  }
  Status operator()(uint64_t* out) const {
    if (!ParseUnsigned(*text, out)) return Bad("not an integer from 0 on");
    *text = std::to_string(*out);
    return {};
  }
  Status operator()(bool* out) const {
    if (*text != "0" && *text != "1" && *text != "false" && *text != "true") return Bad("it must be 0 or 1");
    *out = *text == "1" || *text == "true";
    *text = *out ? "1" : "0";
    return {};
  }
  Status operator()(std::string* out) const {
    const std::string_view choices = row.choices;
    if (!choices.empty()) {
      std::vector<std::string> all;
      for (std::string_view c : Split(choices, '|')) all.emplace_back(c);
      if (std::find(all.begin(), all.end(), *text) == all.end()) return Bad("it must be one of " + Join(all, ", "));
    }
    *out = *text;
    return {};
  }
  Status operator()(std::vector<double>* out) const {
    out->clear();
    std::string canonical;
    if (!text->empty()) {
      for (std::string_view part : Split(*text, ',')) {
        double v;
        if (!ParseNumber(part, &v)) return Bad("'" + std::string(part) + "' is not a number");
        DISTIL_RETURN_IF_ERROR(Range(v));
        canonical += (out->empty() ? "" : ",") + FormatNumber(v);
        out->push_back(v);
      }
    }
    *text = canonical;
    return {};
  }
};

Status CheckConsistent(const TrainingOptions& o) {
  if (o.nesterov && o.momentum == 0) return InvalidArgument("option nesterov=1 needs a momentum above 0");
  if (!std::is_sorted(o.milestones.begin(), o.milestones.end()))
    return InvalidArgument("option milestones: they must rise");
  return {};
}

}  // namespace

Status SplitOptions(std::string_view text, TextOptions* out) {
  out->clear();
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  for (;;) {
    text = Trim(text);
    if (text.empty()) return {};
    const std::string_view word = text.substr(0, text.find_first_of(kSpace));
    text.remove_prefix(word.size());
    const size_t equals = word.find('=');
    if (equals == word.npos || equals == 0)
      return InvalidArgument("option '" + std::string(word) + "': expected key=value");
    const std::string key(word.substr(0, equals));
    if (!out->emplace(key, word.substr(equals + 1)).second)
      return InvalidArgument("option '" + key + "' is given twice");
  }
}

Status ReadOption(const OptionRow& row, OptionTarget target, std::string* text) {
  return std::visit(Reader{row, text}, target);
}

std::span<const OptionRow> TrainingOptionRows() {
  static const std::vector<OptionRow> rows = [] {
    std::vector<OptionRow> v;
    for (const auto& r : kTraining) v.push_back(r.row);
    return v;
  }();
  return rows;
}

std::vector<std::string> TrainingOptionNames() { return Names(kTraining); }

Status ReadTrainingOptions(const TextOptions& given, TrainingOptions* out, TextOptions* resolved) {
  DISTIL_RETURN_IF_ERROR(ReadAll(kTraining, given, out, resolved));
  return CheckConsistent(*out);
}

Status OverrideTrainingOptions(const TextOptions& given, TrainingOptions* out) {
  DISTIL_RETURN_IF_ERROR(Check(kTraining, given));
  for (const auto& r : kTraining) {
    auto it = given.find(r.row.name);
    if (it == given.end()) continue;
    if (!r.local)
      return InvalidArgument("option " + it->first + " belongs to the whole run, not to one phase or update");
    std::string text = it->second;
    DISTIL_RETURN_IF_ERROR(ReadOption(r.row, Target(kTraining, r, out), &text));
  }
  return CheckConsistent(*out);
}

Status ReadInferenceOptions(const TextOptions& given, InferenceOptions* out) { return ReadAll(kInference, given, out); }

Status ReadNetworkOptions(const TextOptions& given, NetworkOptions* out) {
  DISTIL_RETURN_IF_ERROR(ReadAll(kNetwork, given, out));
  if (out->input.size() == 1 && out->input[0] == 0) out->input.clear();
  if (out->input.empty()) return {};
  for (double d : out->input)
    if (d < 1 || d != std::floor(d)) return InvalidArgument("option input: extents are integers from 1 on");
  if (out->input.size() != 3) return InvalidArgument("option input: expected channels,height,width");
  return {};
}

}  // namespace distil
