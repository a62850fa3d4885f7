// train and distil: one run, from the command line alone or with a recipe's settings.
#include <cstdio>
#include <set>

#include "harness/cli.h"
#include "harness/environment.h"
#include "harness/files.h"
#include "harness/suite.h"
#include "harness/text.h"

namespace distil::harness {
namespace {

struct TrainOptions {
  std::string network, teacher, teacher_weights, method = "kd", recipe, to;
  std::vector<std::string> options;
  int64_t seed = 1;
  bool resume = false;
  TrainingOptions training;
  Common common;
};

// The file's name without folder and ending is the data set's name in records.
std::string DatasetName(const std::string& path) {
  std::string name = path.substr(path.rfind('/') + 1);
  size_t dot = name.rfind('.');
  return dot == std::string::npos || dot == 0 ? name : name.substr(0, dot);
}

Status AddOptions(const std::vector<std::string>& options, Recipe::Method* method) {
  std::set<std::string> given;
  for (const std::string& option : options) {
    size_t equals = option.find('=');
    if (equals == std::string::npos || equals == 0 || option.find_first_of(" \t\n") != std::string::npos)
      return InvalidArgument("--option '" + option + "': expected KEY=VALUE without spaces, as in T=4");
    if (!given.insert(option.substr(0, equals)).second)
      return InvalidArgument("--option " + option.substr(0, equals) + " is given twice");
    method->options[option.substr(0, equals)] = option.substr(equals + 1);
  }
  return {};
}

// A recipe of one cell: what the command line says over a recipe's [train], or over the defaults.
Status MakeRecipe(const TrainOptions& o, bool distil, Recipe* recipe) {
  RecipeChanges changes = o.training.changes;
  if (o.recipe.empty()) {
    const std::string minimal = "dataset = 'x'\n[[method]]\nname = 'ce'\n[[pair]]\nstudent = 'x'\n";
    DISTIL_RETURN_IF_ERROR(ParseRecipe(minimal, "command line", "defaults", changes, recipe));
    recipe->full_epochs = recipe->train["epochs"].get<int64_t>();  // what was asked for is all there is
  } else {
    DISTIL_RETURN_IF_ERROR(LoadRecipe(o.recipe, changes, recipe));
  }
  recipe->paper.clear(), recipe->table.clear();
  recipe->dataset = DatasetName(o.common.data);
  recipe->synth.reset();
  Recipe::Method method;
  if (const Recipe::Method* known = recipe->FindMethod(distil ? o.method : "ce"))
    method = *known;
  else
    method.name = method.spec = method.label = distil ? o.method : "ce";
  method.teacher = distil;
  DISTIL_RETURN_IF_ERROR(AddOptions(o.options, &method));
  recipe->methods = {method};
  recipe->pairs = {{distil ? o.teacher : "", o.network, {}, Json::object()}};
  if (o.recipe.empty()) recipe->name = distil ? "distil" : "train";
  recipe->title = recipe->name;
  return {};
}

int Train(TrainOptions& o, bool distil) {
  Recipe recipe;
  std::vector<PlannedRun> plan;
  PlanChoice choice;
  choice.seed = o.seed;
  if (distil) choice.teacher_weights[o.teacher] = o.teacher_weights;
  Status status = CheckModel(o.network);
  if (status.ok() && distil) status = CheckModel(o.teacher);
  if (status.ok()) status = MakeRecipe(o, distil, &recipe);
  if (status.ok()) status = AddToPlan(recipe, choice, &plan);
  if (!status.ok()) return FailInput(status);
  const PlannedRun& run = plan.back();
  if (status = CheckPlan({run}); !status.ok()) return FailInput({status.code(), status.message()});
  std::unique_ptr<Device> device;
  if (status = Device::Open(o.common.device, o.common.threads, &device); !status.ok()) return FailInput(status);
  if (DataShape shape; KnownShape(run.dataset, {}, &shape)) {
    SessionOptions anew = o.training.session;
    anew.folder = o.to;
    if (status = CheckFit(*device, {run}, {{run.dataset, shape}}, anew); !status.ok()) return FailInput(status);
  }
  data::Dataset dataset;
  if (status = OpenData(o.common.data, o.common.quiet, &dataset); !status.ok()) return FailInput(status);
  CatchInterrupts();
  Progress progress(o.common.progress());
  SessionOptions session = o.training.session;
  session.folder = o.to, session.resume = o.resume;
  RunRecord record;
  Outcome outcome = Outcome::kTrained;
  status = TrainRun(*device, run, dataset, run.teacher_weights, session, "", &progress, &record, &outcome);
  if (!status.ok()) return Fail(status);
  if (outcome == Outcome::kInterrupted) return Stopped("--resume");
  const std::string folder = RunPath(run, session);
  if (outcome == Outcome::kAlreadyDone) progress.Note("this run was already done; --restart trains it again");
  if (o.common.json) {
    Json line = ToJson(record);
    line["event"] = "result", line["run"] = folder;
    std::printf("%s\n", Canonical(line).c_str());
  } else {
    std::printf("top-1 %s of the last epoch, %s of the best (%lld)\n%s\n", Fixed(record.last_top1(), 2).c_str(),
                Fixed(record.best_top1(), 2).c_str(), static_cast<long long>(record.best_epoch()),
                JoinPath(folder, "student.safetensors").c_str());
  }
  return kExitOk;
}

void AddRun(CLI::App* app, TrainOptions* o) {
  app->add_option("--data", o->common.data, "HDF5 file with the data set")->required();
  app->add_option("--recipe", o->recipe, "Take settings from this recipe (a name or a .toml file)");
  app->add_option("--seed", o->seed, "Seed of weights, order and augmentation")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app->add_option("--to", o->to, "Run folder; default: one below --runs, named by the conventions");
  app->add_flag("--resume", o->resume, "Continue an unfinished run");
  AddChanges(app, &o->training);
  AddSession(app, &o->training);
  AddDevice(app, &o->common);
  AddOutput(app, &o->common);
}

}  // namespace

Command AddTrain(CLI::App* app) {
  CLI::App* train = app->add_subcommand("train", "Train one network by cross-entropy, for example a teacher");
  auto o = std::make_shared<TrainOptions>();
  train->add_option("--network", o->network, "Its name; see 'harness list models'")->required();
  AddRun(train, o.get());
  Examples(train, {{"a teacher, with the CRD benchmark's settings", "train --network resnet32 --data cifar100.h5"},
                   {"in less time", "train --network resnet32 --data cifar100.h5 --epochs 30 --to teacher"},
                   {"after Ctrl-C or a crash",
                    "train --network resnet32 --data cifar100.h5 --epochs 30 --to teacher --resume"}});
  return {train, [o] { return Train(*o, false); }};
}

Command AddDistil(CLI::App* app) {
  CLI::App* distil = app->add_subcommand("distil", "Train a student under a teacher");
  auto o = std::make_shared<TrainOptions>();
  distil->add_option("--student", o->network, "Network to train; see 'harness list models'")->required();
  distil->add_option("--teacher", o->teacher, "Network of the teacher")->required();
  distil->add_option("--teacher-weights", o->teacher_weights, "Its safetensors file, from here or from PyTorch")
      ->required();
  distil->add_option("--method", o->method, "Method or sum of methods (kd+at); see 'harness list methods'")
      ->capture_default_str();
  distil->add_option("--option", o->options, "KEY=VALUE of the method, as in T=4 or at.weight=1000 (may be repeated)")
      ->take_all()
      ->allow_extra_args(false);
  AddRun(distil, o.get());
  Examples(
      distil,
      {{"by KD",
        "distil --student resnet8 --teacher resnet32 --teacher-weights teacher/student.safetensors --data cifar100.h5"},
       {"by a sum of methods with weights",
        "distil --student resnet8 --teacher resnet32 --teacher-weights t.safetensors --data cifar100.h5 "
        "--method kd+at --option kd.T=4 --option at.weight=1000 --epochs 30"}});
  return {distil, [o] { return Train(*o, true); }};
}

}  // namespace distil::harness
