#include "harness/cli.h"

#include <stdlib.h>
#include <unistd.h>

#include <cstdio>

#include "data/hdf5_file.h"
#include "harness/environment.h"
#include "harness/files.h"
#include "harness/text.h"
#include "lib/base/text.h"

namespace distil::harness {
namespace {

void PrintError(std::string message) {
  for (char& c : message)
    if (c == '\n' || c == '\r') c = ' ';
  std::fprintf(stderr, "%sharness: %s\n", isatty(2) ? "\r\033[K" : "", message.c_str());
}

}  // namespace

int Fail(const Status& status) {
  PrintError(status.message());
  switch (status.code()) {
    case Code::kInvalidArgument:
    case Code::kNotFound:
    case Code::kCorrupt:
    case Code::kUnsupported:
    case Code::kFailedPrecondition: return kExitBadInput;
    default: return kExitFailed;
  }
}

int FailInput(const Status& status) {
  int code = Fail(status);
  return status.code() == Code::kIo ? kExitBadInput : code;
}

int Stopped(const std::string& flag) {
  std::fprintf(stderr, "%sharness: stopped; to go on: %s\n", isatty(2) ? "\r\033[K" : "", CommandAgain(flag).c_str());
  return InterruptExitCode();
}

CLI::Validator Between(double low, double high) {
  const std::string range = FormatNumber(low) + " to " + FormatNumber(high);
  auto check = [=](const std::string& text) {
    double value = 0;
    const bool number = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
    return number ? "" : "Value " + text + " not in range " + range;
  };
  return CLI::Validator(check, "in [" + range + "]");
}

void AddOutput(CLI::App* app, Common* common) {
  app->add_flag("--quiet,-q", common->quiet, "No progress; only results and errors");
  app->add_flag("--json", common->json, "Results as JSON, one object a line, on standard output");
}

void AddDevice(CLI::App* app, Common* common) {
  app->add_option("--device", common->device, "Where to compute; see 'harness list devices'")->capture_default_str();
  app->add_option("--threads", common->threads, "CPU threads; 0 is one for each core")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
}

void AddSession(CLI::App* app, TrainingOptions* options) {
  SessionOptions* s = &options->session;
  app->add_option("--runs", s->runs, "Folder that run folders are made in")->capture_default_str();
  app->add_flag("--restart", s->restart, "Train again what is finished or unfinished there");
  app->add_flag("--tensorboard", s->tensorboard, "Also write TensorBoard event files into the run folders");
  app->add_option("--checkpoint-seconds", s->checkpoint_seconds,
                  "Seconds between checkpoints inside an epoch; each epoch ends with one")
      ->check(Between(0, 1e9))
      ->capture_default_str();
  app->add_option("--checkpoint-steps", s->checkpoint_steps, "Steps between checkpoints, instead of seconds")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40));
}

void AddChanges(CLI::App* app, TrainingOptions* options) {
  RecipeChanges* c = &options->changes;
  app->add_option("--set", c->set, "Change a setting: KEY=VALUE, as in train.lr=0.1 (may be repeated)")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->allow_extra_args(false);
  app->add_option("--epochs", c->epochs, "Epochs; the schedule shrinks or grows with them")
      ->check(CLI::Range(1, 100000));
  app->add_option("--limit-train", c->limit_train, "Use so many training samples, every class alike")
      ->check(CLI::Range(0, 1000000000));
  app->add_option("--limit-test", c->limit_test, "Use so many test samples")->check(CLI::Range(0, 1000000000));
}

Status OpenData(const std::string& path, bool quiet, data::Dataset* out) {
  DISTIL_RETURN_IF_ERROR(data::OpenDataset(path, {}, out));
  if (!quiet)
    for (const std::string& warning : out->warnings) std::fprintf(stderr, "harness: note: %s\n", warning.c_str());
  return {};
}

Status FindData(const std::string& data, const std::string& name, std::string* path) {
  const std::string file = name + ".h5";
  if (!data.empty()) {
    *path = FolderExists(data) ? JoinPath(data, file) : data;
    if (FileExists(*path)) return {};
    return NotFound("--data: there is no file '" + *path + "'");
  }
  std::vector<std::string> places = {file, "data/" + file};
  if (const char* folder = getenv("DISTIL_DATA"); folder && *folder) places.push_back(JoinPath(folder, file));
  for (const std::string& place : places) {
    if (!FileExists(place)) continue;
    *path = place;
    return {};
  }
  return NotFound(
      "the data set '" + name + "' is not at " + Join(places, " or ") +
      "; name its file or folder with --data, or make it with 'harness import' (see 'harness import --help')");
}

Status SynthData(const data::SynthOptions& options, const std::string& path, data::Dataset* out) {
  DISTIL_RETURN_IF_ERROR(data::MakeSynth(options, out));
  if (FileExists(path)) {
    data::Dataset there;
    DISTIL_RETURN_IF_ERROR(data::OpenDataset(path, {}, &there));
    if (there.digest == out->digest) return {};
    return FailedPrecondition("'" + path +
                              "' holds other data than this recipe generates: remove it, or work in another folder");
  }
  DISTIL_RETURN_IF_ERROR(MakeFolders(ParentPath(path)));
  return data::WriteDataset(*out, path);
}

void Examples(CLI::App* app, const std::vector<std::pair<std::string, std::string>>& examples) {
  std::string text = "Examples:\n";
  for (const auto& [what, command] : examples) text += "  # " + what + "\n  harness " + command + "\n";
  app->footer(text);
}

}  // namespace distil::harness
