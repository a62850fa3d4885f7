// Times whole distillation steps, beside PyTorch's and beside the floor: the step's convolutions and matmuls alone.
//
//   ./bazelw run //bench:step -- --pair wrn_40_2:wrn_16_2 --batch 64 --compare-torch
//
// Every measurement is a process of its own; those that are compared take turns, in several rounds, so that whatever
// else the machine does meets all of them. docs/benchmarks.md says how to read the table.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include "bench/child.h"
#include "bench/contender.h"
#include "bench/step_child.h"

namespace distil::bench {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const std::vector<std::string> kPairs = {"wrn_40_2:wrn_16_2",          "wrn_40_2:wrn_40_1", "vgg13:vgg8",
                                         "resnet32x4:resnet8x4",       "resnet32x4:vgg8",   "resnet32x4:shufflenet_v2",
                                         "wrn_40_2:mobilenet_v2_x0_5", "resnet20:resnet8"};

struct Options {
  std::vector<std::string> pairs = {kPairs[0]}, modes;
  std::vector<int64_t> batches = {64};
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  int steps = 21, warmup = 3, rounds = 3;
  bool torch = false, no_floor = false, profile = false, list = false;
  std::string clock = "wall", wait_policy, python = "/usr/bin/python3", output, device = "cpu";
  std::string child;  // what this process is to measure; set by the one above it
};

// The script beside this program, under `bazel run` and from a checkout.
std::string TorchScript(const std::string& self) {
  std::vector<fs::path> candidates = {self + ".runfiles/distil/bench/torch_step.py", "bench/torch_step.py"};
  if (const char* root = std::getenv("BUILD_WORKSPACE_DIRECTORY"))
    candidates.push_back(fs::path(root) / "bench/torch_step.py");
  for (const fs::path& p : candidates)
    if (std::error_code e; fs::exists(p, e)) return fs::absolute(p).string();
  return candidates[1].string();
}

// What PyTorch calls a mode's numbers.
std::string TorchType(const std::string& mode) {
  const std::string numbers = mode.substr(0, mode.find('+'));
  return numbers == "winograd" ? "f32" : numbers;
}

class Bench {
 public:
  Bench(Options o, std::string self) : o_(std::move(o)), self_(std::move(self)) {}

  int Run() {
    json all = DescribeRun(o_.device, o_.threads, o_.clock, o_.rounds);
    for (const std::string& pair : o_.pairs)
      for (int64_t batch : o_.batches) all["results"].push_back(RunPair(pair, batch));
    if (!o_.output.empty() && !WriteFile(all.dump(2) + "\n", o_.output)) return 1;
    return failed_ ? 1 : 0;
  }

 private:
  std::vector<std::string> Child(const std::string& what, const std::string& pair, int64_t batch,
                                 const std::string& mode, int steps) const {
    return {self_,
            "--child",
            what,
            "--pair",
            pair,
            "--batch",
            std::to_string(batch),
            "--device",
            o_.device,
            "--mode",
            mode,
            "--threads",
            std::to_string(o_.threads),
            "--steps",
            std::to_string(steps),
            "--warmup",
            std::to_string(o_.warmup),
            "--clock",
            o_.clock};
  }

  json RunPair(const std::string& pair, int64_t batch) {
    const size_t colon = pair.find(':');
    const std::string teacher = pair.substr(0, colon), student = pair.substr(colon + 1);
    const int steps = std::max(1, o_.steps / o_.rounds);
    std::vector<Contender> own, torch;
    for (const std::string& mode : o_.modes) own.push_back({mode, Child("steps", pair, batch, mode, steps)});
    // On a GPU channels-last, step by step and compiled; on a CPU both layouts.
    const bool gpu = o_.device != "cpu";
    using Ways = std::vector<std::pair<std::string, std::vector<std::string>>>;
    const Ways ways =
        gpu ? Ways{{" channels_last", {"--channels-last"}}, {" compiled", {"--channels-last", "--compile"}}}
            : Ways{{" channels_last", {"--channels-last"}}, {"", {}}};
    std::vector<std::string> types;  // PyTorch's for our modes
    for (const std::string& mode : o_.modes)
      if (const std::string type = TorchType(mode); std::find(types.begin(), types.end(), type) == types.end())
        types.push_back(type);
    for (const std::string& type : types) {
      if (!o_.torch) continue;
      for (const auto& [name, flags] : ways) {
        Contender c{"torch " + type + name,
                    {o_.python, TorchScript(self_), "--teacher", teacher, "--student", student, "--batch",
                     std::to_string(batch), "--threads", std::to_string(o_.threads), "--dtype", type, "--steps",
                     std::to_string(steps), "--warmup", std::to_string(o_.warmup), "--device",
                     gpu ? o_.device : std::string("cpu")}};
        c.command.insert(c.command.end(), flags.begin(), flags.end());
        torch.push_back(std::move(c));
      }
    }
    const std::string what = pair + ", batch " + std::to_string(batch) + ", ";
    std::map<std::string, json> launches;  // of the round with the least floor: a neighbour must not make it look easy
    for (int round = 0; round < o_.rounds; ++round) {
      const std::string turn = what + "round " + std::to_string(round + 1) + " of " + std::to_string(o_.rounds) + ": ";
      for (auto* group : {&own, &torch})
        for (Contender& c : *group) {
          ShowProgress(turn + c.name);
          c.Run(o_.clock);
        }
      if (o_.no_floor && !o_.profile) continue;
      for (const std::string& mode : o_.modes) {
        ShowProgress(turn + "launches of " + mode);
        const json l = Measure(Child("launches", pair, batch, mode, steps));
        json& least = launches[mode];
        if (!least.contains("floor_s") || (l.contains("floor_s") && l["floor_s"] < least["floor_s"])) least = l;
      }
    }
    ShowProgress("");
    return Report(teacher, student, batch, own, torch, launches);
  }

  json Report(const std::string& teacher, const std::string& student, int64_t batch, const std::vector<Contender>& own,
              const std::vector<Contender>& torch, std::map<std::string, json>& launches) {
    std::printf("\n%s -> %s, batch %lld\n", teacher.c_str(), student.c_str(), static_cast<long long>(batch));
    std::printf("%-26s %10s %10s %7s %10s %7s %6s %8s %9s %9s %6s\n", "", "median ms", "min ms", "spread", "floor ms",
                "/floor", "best", "to torch", "planned", "peak MB", "/torch");
    json record = {{"teacher", teacher}, {"student", student}, {"batch", batch}};
    for (const Contender& c : own) {
      record["distil"][c.name] = c.Record();
      if (!c.ok()) {
        std::printf("%-26s %s\n", c.name.c_str(), c.error().c_str());
        failed_ = true;
        continue;
      }
      std::printf("%-26s %10.2f %10.2f %6.1f%%", c.name.c_str(), c.median() * 1e3, c.least() * 1e3, c.spread() * 100);
      const json& l = launches[c.name];
      if (l.contains("floor_s")) {
        const double floor = l["floor_s"];
        std::printf(" %10.2f %7.2f %6.2f", floor * 1e3, c.median() / floor, c.least() / floor);
        record["distil"][c.name]["over_floor"] = c.median() / floor;
        record["distil"][c.name]["best_over_floor"] = c.least() / floor;
      } else {
        std::printf(" %10s %7s %6s", "-", "-", "-");
      }
      if (!l.is_null()) record["distil"][c.name]["launches"] = l;
      record["distil"][c.name]["images_per_s"] = static_cast<double>(batch) / c.median();
      // The best of PyTorch's ways in the same precision.
      const std::string type = TorchType(c.name);
      const Contender* best = nullptr;
      for (const Contender& t : torch)
        if (t.ok() && t.name.rfind("torch " + type, 0) == 0 && (!best || t.median() < best->median())) best = &t;
      const double planned = c.last["planned_mb"];
      if (best) {
        std::printf(" %7.2fx %9.1f %9.1f %6.2f\n", best->median() / c.median(), planned, c.peak_mb,
                    c.peak_mb / best->peak_mb);
        record["distil"][c.name]["to_torch"] = best->median() / c.median();
        record["distil"][c.name]["memory_to_torch"] = c.peak_mb / best->peak_mb;
      } else {
        std::printf(" %8s %9.1f %9.1f %6s\n", "-", planned, c.peak_mb, "-");
      }
    }
    for (const Contender& t : torch) {
      record["torch"][t.name.substr(6)] = t.Record();
      if (!t.ok()) {
        std::printf("%-26s %s\n", t.name.c_str(), t.error().c_str());
        continue;
      }
      std::printf("%-26s %10.2f %10.2f %6.1f%% %10s %7s %6s %8s %9s %9.1f\n", t.name.c_str(), t.median() * 1e3,
                  t.least() * 1e3, t.spread() * 100, "", "", "", "", "", t.peak_mb);
      if (t.last.contains("free_s"))
        std::printf("%-26s %10.2f when nothing waits for the loss, %.1f MB of GPU memory\n", "",
                    t.last["free_s"].get<double>() * 1e3, t.last["peak_gpu_mb"].get<double>());
    }
    for (const Contender& c : own)
      if (const json& l = launches[c.name]; c.ok() && l.contains("bytes_s"))
        std::printf("%-26s %.0f images/s, %d kernels in %d launches, %.1f MB moved: %.2f ms at the rate of a copy\n",
                    c.name.c_str(), static_cast<double>(batch) / c.median(), l["work"].get<int>(),
                    l["launches"].get<int>(), l["bytes_moved"].get<double>() / (1 << 20),
                    l["bytes_s"].get<double>() * 1e3);
    for (const Contender& c : own)
      if (c.ok() && c.last.contains("free_s"))
        std::printf("%-26s %10.2f when nothing waits for the loss\n", c.name.c_str(),
                    c.last["free_s"].get<double>() * 1e3);
    if (o_.profile) PrintProfile(own, launches);
    std::fflush(stdout);
    return record;
  }

  // Where a step's time goes: the best time of each launch, within the step.
  static void PrintProfile(const std::vector<Contender>& own, std::map<std::string, json>& launches) {
    std::map<std::string, bool> kinds;
    for (auto& [mode, l] : launches)
      if (l.contains("by_kind"))
        for (auto& [kind, value] : l["by_kind"].items()) kinds[kind] = true;
    std::printf("%-26s", "launches, best ms");
    for (const Contender& c : own) std::printf(" %18s", c.name.c_str());
    std::printf("\n");
    for (auto& [kind, unused] : kinds) {
      std::printf("  %-24s", kind.c_str());
      for (const Contender& c : own) {
        const json& l = launches[c.name];
        if (l.contains("by_kind") && l["by_kind"].contains(kind)) {
          const json& value = l["by_kind"][kind];
          std::printf(" %10.2f in %4d", value["seconds"].get<double>() * 1e3, value["launches"].get<int>());
        } else {
          std::printf(" %18s", "-");
        }
      }
      std::printf("\n");
    }
  }

  Options o_;
  std::string self_;
  bool failed_ = false;
};

int Main(int argc, char** argv) {
  Options o;
  CLI::App app{
      "Times distillation steps: distil in each of its modes, PyTorch, and the floor.\n"
      "Example: step --pair wrn_40_2:wrn_16_2 --batch 64,128 --compare-torch --output step.json"};
  app.add_option("--pair", o.pairs, "teacher:student, several with commas; a teacher `none`: plain training; `all`")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--batch", o.batches, "images a step, several with commas")->delimiter(',')->capture_default_str();
  app.add_option("--mode", o.modes, "f32, winograd (CPU), tf32 (GPU), bf16; default: all that the device has")
      ->delimiter(',')
      ->check(CLI::IsMember({"f32", "winograd", "tf32", "bf16", "f32+search", "winograd+search", "bf16+search"}));
  app.add_option("--device", o.device, "cpu, or a GPU: cuda:0, cuda:1, ...")->capture_default_str();
  app.add_option("--threads", o.threads, "of distil and of PyTorch")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--steps", o.steps, "timed steps, over all rounds")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--warmup", o.warmup, "steps before them, in each round")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--rounds", o.rounds, "turns that each contender gets")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_flag("--compare-torch", o.torch, "time bench/torch_step.py too, channels last and not");
  app.add_flag("--no-floor", o.no_floor, "do not time convolutions and matmuls alone");
  app.add_flag("--profile", o.profile, "show where the time goes, by kind of launch");
  app.add_flag("--list", o.list, "only list the launches of a step with their best times");
  app.add_option("--clock", o.clock, "wall, or cpu: time that threads really ran, for one thread on a busy machine")
      ->check(CLI::IsMember({"wall", "cpu"}))
      ->capture_default_str();
  app.add_option("--wait-policy", o.wait_policy, "OMP_WAIT_POLICY for every contender: active or passive")
      ->check(CLI::IsMember({"active", "passive"}));
  app.add_option("--python", o.python, "interpreter with PyTorch")->capture_default_str();
  app.add_option("--output", o.output, "JSON file to write");
  app.add_option("--child", o.child)->group("");
  CLI11_PARSE(app, argc, argv);
  if (o.pairs == std::vector<std::string>{"all"}) o.pairs = kPairs;
  if (o.modes.empty()) o.modes = {"f32", o.device == "cpu" ? "winograd" : "tf32", "bf16"};
  for (const std::string& pair : o.pairs) {
    if (pair.find(':') != std::string::npos) continue;
    std::fprintf(stderr, "--pair %s: should be teacher:student\n", pair.c_str());
    return 2;
  }
  const size_t colon = o.pairs[0].find(':');
  const StepSpec spec = {o.pairs[0].substr(0, colon),
                         o.pairs[0].substr(colon + 1),
                         o.modes[0],
                         o.batches[0],
                         o.threads,
                         o.steps,
                         o.warmup,
                         o.device};
  if (o.list) return std::fputs(ListLaunches(spec, o.clock == "cpu").c_str(), stdout) < 0;
  if (o.child == "steps") return std::puts(TimeSteps(spec).dump().c_str()) < 0;
  if (o.child == "launches") return std::puts(TimeLaunches(spec, o.clock == "cpu").dump().c_str()) < 0;

  SetOpenMp(o.threads, o.wait_policy);  // for the measurements, PyTorch's like ours
  return Bench(o, SelfPath()).Run();
}

}  // namespace
}  // namespace distil::bench

int main(int argc, char** argv) { return distil::bench::Main(argc, argv); }
