// reproduce and quickstart: whole recipes, with tables at the end.
#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <tuple>

#include "data/hdf5_file.h"
#include "harness/cli.h"
#include "harness/environment.h"
#include "harness/files.h"
#include "harness/report.h"
#include "harness/suite.h"
#include "harness/table_set.h"
#include "harness/text.h"

namespace distil::harness {
namespace {

struct SuiteOptions {
  std::string suite;
  std::vector<std::string> cells, teachers;
  std::string shard = "1/1", to = "quickstart";
  bool dry_run = false;
  TrainingOptions training;
  Common common;
};

Status ParseShard(const std::string& text, PlanChoice* choice) {
  int shard = 0, shards = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%d/%d%c", &shard, &shards, &rest) != 2 || shard < 1 || shards < shard ||
      shards > 10000)
    return InvalidArgument("--shard " + text + ": expected I/N with 1 <= I <= N, as in 2/4");
  choice->shard = shard, choice->shards = shards;
  return {};
}

Status ParseTeachers(const std::vector<std::string>& list, PlanChoice* choice) {
  for (const std::string& item : list) {
    size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0)
      return InvalidArgument("--teacher " + item + ": expected NETWORK=FILE, as in resnet32=resnet32.safetensors");
    choice->teacher_weights[item.substr(0, equals)] = item.substr(equals + 1);
  }
  return {};
}

// Data sets of the recipes: generated, or opened.
Status GetData(const Recipe& recipe, const SuiteOptions& o, Datasets* datasets) {
  if (datasets->count(recipe.dataset)) return {};
  data::Dataset* out = &(*datasets)[recipe.dataset];
  Status status;
  if (recipe.synth && o.common.data.empty()) {
    status = SynthData(*recipe.synth, JoinPath(o.training.session.runs, recipe.dataset + ".h5"), out);
  } else {
    std::string path;
    status = FindData(o.common.data, recipe.dataset, &path);
    if (status.ok()) status = OpenData(path, o.common.quiet, out);
  }
  if (!status.ok()) datasets->erase(recipe.dataset);
  return status;
}

const char* StatusName(RunStatus status) {
  return status == RunStatus::kDone ? "done" : status == RunStatus::kUnfinished ? "unfinished" : "to do";
}

// The check that needs no data, or, with `datasets`, that of the runs on data sets that it knew nothing of or that turned
// out to be otherwise.
Status CheckFit(const Device& device, const SuiteOptions& o, const std::vector<Recipe>& recipes,
                const std::vector<PlannedRun>& plan, const Datasets* datasets) {
  std::map<std::string, DataShape> shapes;
  for (const Recipe& recipe : recipes) {
    DataShape guess;
    const bool known = KnownShape(recipe.dataset, o.common.data.empty() ? recipe.synth : std::nullopt, &guess);
    if (!datasets && known) shapes[recipe.dataset] = guess;
    if (!datasets || !datasets->count(recipe.dataset)) continue;
    const DataShape shape = ShapeOf(datasets->at(recipe.dataset));
    const ImageShape &a = guess.image, &b = shape.image;
    if (!known || std::tie(a.channels, a.height, a.width, a.classes, guess.samples) !=
                      std::tie(b.channels, b.height, b.width, b.classes, shape.samples))
      shapes[recipe.dataset] = shape;
  }
  return CheckFit(device, plan, shapes, o.training.session);
}

std::string DryRunName(const PlannedRun& run) { return run.Name() + (run.is_teacher ? " (teacher)" : ""); }

// A line of the plan, the first one with headings.
void PrintPlanLine(const std::vector<std::string>& cells, size_t name_width) {
  const size_t widths[] = {5, 10, name_width, 6, 10, 12};  // the folder is last
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i)
    line += i < std::size(widths) ? Padded(cells[i], widths[i]) + "  " : cells[i];
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);  // an estimate takes its time
}

int DryRun(const SuiteOptions& o, const std::vector<Recipe>& recipes, const std::vector<PlannedRun>& plan) {
  std::unique_ptr<Device> device;
  Status status = Device::Open(o.common.device, o.common.threads, &device);
  if (status.ok()) status = CheckFit(*device, o, recipes, plan, nullptr);
  if (!status.ok()) return FailInput(status);
  Datasets datasets;
  std::set<std::string> tried;
  for (const Recipe& recipe : recipes) {
    if (!tried.insert(recipe.dataset).second) continue;
    if (recipe.synth && o.common.data.empty()) {  // generated data need not be written to be measured with
      data::Dataset d;
      status = data::MakeSynth(*recipe.synth, &d);
      if (status.ok()) datasets[recipe.dataset] = std::move(d);
    } else {
      status = GetData(recipe, o, &datasets);
    }
    if (!status.ok() && !o.common.quiet)
      std::fprintf(stderr, "harness: note: no estimates: %s\n", status.message().c_str());
  }
  if (status = CheckFit(*device, o, recipes, plan, &datasets); !status.ok()) return FailInput(status);
  std::map<std::string, Estimate> estimates;
  double total = 0;
  size_t left = 0, name_width = 3;
  bool all_known = true;
  for (const PlannedRun& run : plan) name_width = std::max(name_width, Columns(DryRunName(run)));
  if (!o.common.json) PrintPlanLine({"", "state", "run", "epochs", "memory", "time", "folder"}, name_width);
  for (size_t i = 0; i < plan.size(); ++i) {
    const PlannedRun& run = plan[i];
    const RunStatus state = StatusOf(run, o.training.session);
    Estimate& e = estimates[run.config_hash];  // seeds cost the same
    auto dataset = datasets.find(run.dataset);
    if (!e.known && dataset != datasets.end() && state != RunStatus::kDone) {
      status = EstimateRun(*device, run, dataset->second, &e);
      if (!status.ok()) return Fail({status.code(), run.Name() + ": " + status.message()});
    }
    if (state != RunStatus::kDone) ++left, total += e.seconds, all_known = all_known && e.known;
    const std::string folder = RunPath(run, o.training.session);
    const int64_t epochs = e.known ? e.epochs : run.train.at("epochs").get<int64_t>();  // without a method's own phases
    if (o.common.json) {
      Json line = {{"run", folder},          {"status", StatusName(state)}, {"teacher", run.teacher},
                   {"student", run.student}, {"method", run.method},        {"seed", run.seed},
                   {"epochs", epochs}};
      if (e.known) line["memory_bytes"] = e.bytes, line["seconds"] = e.seconds;
      std::printf("%s\n", Canonical(line).c_str());
    } else {
      const std::string unknown = state == RunStatus::kDone ? "-" : "?";
      PrintPlanLine({std::to_string(i + 1), StatusName(state), DryRunName(run), std::to_string(epochs),
                     e.known ? Bytes(e.bytes) : unknown,
                     e.known && state != RunStatus::kDone ? Duration(e.seconds) : unknown, folder},
                    name_width);
    }
  }
  if (!o.common.json)
    std::printf("%s, %s left%s%s\n", Count(plan.size(), "run").c_str(), Grouped(left).c_str(),
                all_known && left ? ", about " : "", all_known && left ? Duration(total).c_str() : "");
  return kExitOk;
}

// Runs the plan and shows the tables that its records fill.
int Execute(const SuiteOptions& o, const std::vector<Recipe>& recipes, const std::vector<PlannedRun>& plan,
            std::vector<Table>* tables, std::vector<RunRecord>* records) {
  std::unique_ptr<Device> device;
  Status status = Device::Open(o.common.device, o.common.threads, &device);
  if (status.ok()) status = CheckFit(*device, o, recipes, plan, nullptr);
  if (!status.ok()) return FailInput(status);
  Datasets datasets;
  for (const Recipe& recipe : recipes)
    if (status = GetData(recipe, o, &datasets); !status.ok())
      return recipe.synth && o.common.data.empty() ? Fail(status) : FailInput(status);  // made here, or given
  if (status = CheckFit(*device, o, recipes, plan, &datasets); !status.ok()) return FailInput(status);
  std::vector<Baseline> baselines;
  if (status = BuiltInBaselines(&baselines); !status.ok()) return Fail(status);
  CatchInterrupts();
  Progress progress(o.common.progress());
  progress.Note(Count(plan.size(), "run") + " on " + device->description());
  SuiteResult result;
  status = RunPlan(*device, plan, datasets, o.training.session, &progress, &result);
  if (!status.ok()) return Fail(status);
  if (result.interrupted) return Stopped("");
  if (result.skipped)
    progress.Note(Count(static_cast<uint64_t>(result.skipped), "run") +
                  (result.skipped == 1 ? " was already done" : " were already done"));
  *records = std::move(result.records);
  for (const Recipe& recipe : recipes) tables->push_back(MakeTable(recipe, *records, baselines));
  for (const Table& table : *tables) {
    if (o.common.json)
      std::printf("%s\n", Canonical({{"event", "table"}, {"table", Json::parse(TableJson(table))}}).c_str());
    else
      std::printf("\n%s", TableText(table, ColorOnStdout()).c_str());
  }
  return kExitOk;
}

Status MakePlan(SuiteOptions* o, std::vector<Recipe>* recipes, std::vector<PlannedRun>* plan) {
  PlanChoice choice;
  choice.cells = o->cells;
  std::string suite = o->suite;
  if (size_t slash = suite.rfind('/'); slash != std::string::npos && suite.find(':', slash) != std::string::npos) {
    choice.cells.push_back(suite.substr(slash + 1));  // dskd/table1/wrn_40_2:wrn_16_2:kd
    suite.resize(slash);
  }
  DISTIL_RETURN_IF_ERROR(ParseShard(o->shard, &choice));
  DISTIL_RETURN_IF_ERROR(ParseTeachers(o->teachers, &choice));
  std::vector<std::string> names;
  DISTIL_RETURN_IF_ERROR(SuiteRecipes(suite, &names));
  for (const std::string& name : names) {
    Recipe recipe;
    DISTIL_RETURN_IF_ERROR(LoadRecipe(name, o->training.changes, &recipe));
    DISTIL_RETURN_IF_ERROR(AddToPlan(recipe, choice, plan));
    recipes->push_back(std::move(recipe));
  }
  std::set<std::string> teachers;
  for (const Recipe& recipe : *recipes)
    for (const Recipe::Pair& pair : recipe.pairs)
      if (!pair.teacher.empty()) teachers.insert(pair.teacher);
  for (const auto& [network, file] : choice.teacher_weights)
    if (!teachers.count(network))
      return InvalidArgument("--teacher " + network + "=" + file + ": no pair of " + suite + " has this teacher" +
                             DidYouMean(network, {teachers.begin(), teachers.end()}));
  return CheckPlan(*plan);
}

void AddSeeds(CLI::App* app, TrainingOptions* options) {
  app->add_option("--seeds", options->changes.seeds, "Seeds 1 to N for each cell")->check(CLI::Range(1, 1000));
  app->add_option("--teacher-epochs", options->changes.teacher_epochs, "Epochs of teachers")
      ->check(CLI::Range(1, 100000));
}

}  // namespace

Command AddReproduce(CLI::App* app) {
  CLI::App* reproduce =
      app->add_subcommand("reproduce", "Train all cells of a recipe or suite, and show the tables beside the papers'");
  auto o = std::make_shared<SuiteOptions>();
  reproduce
      ->add_option("SUITE", o->suite,
                   "A recipe (dskd/table1), a folder of recipes (dskd), or a .toml file; "
                   "see 'harness list recipes'")
      ->required();
  reproduce->add_option("--data", o->common.data, "HDF5 file, or the folder with <dataset>.h5");
  reproduce->add_option("--cell", o->cells, "Only TEACHER:STUDENT:METHOD; each part may be '*' (may be repeated)")
      ->take_all()
      ->allow_extra_args(false);
  reproduce->add_option("--teacher", o->teachers, "NETWORK=FILE: use these weights instead of training that teacher")
      ->take_all()
      ->allow_extra_args(false);
  reproduce->add_option("--shard", o->shard, "I/N: do the I-th of N shares, for N machines");
  reproduce->add_flag("--dry-run", o->dry_run, "Say what would run, with estimated time and memory on this device");
  AddSeeds(reproduce, &o->training);
  AddChanges(reproduce, &o->training);
  AddSession(reproduce, &o->training);
  AddDevice(reproduce, &o->common);
  AddOutput(reproduce, &o->common);
  Examples(reproduce, {{"real CIFAR-100 in hours on a CPU", "reproduce short/cifar100 --data cifar100.h5"},
                       {"what a paper's table would cost here", "reproduce dskd/table1 --data . --dry-run"},
                       {"one cell of it, all seeds", "reproduce dskd/table1 --cell wrn_40_2:wrn_16_2:kd"},
                       {"scaled down, and marked so", "reproduce crd --epochs 20 --limit-train 10000 --seeds 1"},
                       {"half of it on this machine; 'harness report' merges", "reproduce crd/table1 --shard 1/2"},
                       {"another setting", "reproduce crd/table1 --set train.lr=0.1 --set method.kd.options.T=2"}});
  return {reproduce, [o] {
            std::vector<Recipe> recipes;
            std::vector<PlannedRun> plan;
            Status status = MakePlan(o.get(), &recipes, &plan);
            if (!status.ok()) return FailInput(status);
            if (o->dry_run) return DryRun(*o, recipes, plan);
            std::vector<Table> tables;
            std::vector<RunRecord> records;
            return Execute(*o, recipes, plan, &tables, &records);
          }};
}

Command AddQuickstart(CLI::App* app) {
  CLI::App* quickstart = app->add_subcommand(
      "quickstart", "No data needed: generate a set, train a teacher, distil students, show a table and a report");
  auto o = std::make_shared<SuiteOptions>();
  o->suite = "quickstart";
  quickstart->add_option("--to", o->to, "Folder for the data set, the runs and report.html")->capture_default_str();
  AddSeeds(quickstart, &o->training);
  AddChanges(quickstart, &o->training);
  quickstart->add_flag("--restart", o->training.session.restart, "Train again what is finished or unfinished there");
  quickstart->add_flag("--tensorboard", o->training.session.tensorboard, "Also write TensorBoard event files");
  AddDevice(quickstart, &o->common);
  AddOutput(quickstart, &o->common);
  Examples(quickstart,
           {{"a few minutes on two cores", "quickstart"}, {"with a spread over seeds", "quickstart --seeds 3"}});
  return {quickstart, [o] {
            o->training.session.runs = o->to;
            std::vector<Recipe> recipes;
            std::vector<PlannedRun> plan;
            Status status = MakePlan(o.get(), &recipes, &plan);
            if (!status.ok()) return FailInput(status);
            std::vector<Table> tables;
            std::vector<RunRecord> records;
            int code = Execute(*o, recipes, plan, &tables, &records);
            if (code != kExitOk) return code;
            const std::string report = JoinPath(o->to, "report.html");
            status = WriteFileAtomic(report, ReportHtml("distil quickstart", tables));
            if (!status.ok()) return Fail(status);
            if (!o->common.json) std::printf("\nThe report with learning curves: %s\n", report.c_str());
            return kExitOk;
          }};
}

}  // namespace distil::harness
