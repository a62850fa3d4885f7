// What each method's step costs, as a ratio to plain KD's on the same pair, beside what its operations say that it should.
//
//   ./bazelw run //bench:methods -- --pair resnet32x4:resnet8x4 --batch 64
//
// The prediction takes KD's own rates on this machine, seconds for a multiplication of its convolutions and matmuls and
// seconds for a byte that its other launches move, and applies them to the counts of each method (lib/backend/step_cost.h).
// What exceeds it is slow for what it does. docs/benchmarks.md says how to read the table.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <map>
#include <thread>

#include "bench/child.h"
#include "bench/contender.h"
#include "bench/step_child.h"
#include "losses/method.h"

namespace distil::bench {
namespace {

using nlohmann::json;

struct Options {
  std::vector<std::string> pairs = {"wrn_40_2:wrn_16_2", "resnet32x4:resnet8x4"}, methods;
  int64_t batch = 64;
  std::string mode = "f32", device = "cpu", clock = "wall", wait_policy, output;
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  int steps = 10, warmup = 3, rounds = 2;
  double limit = 1.3;
  bool profile = false, list = false;
  std::string child, options;  // what this process is to measure; set by the one above it
};

// Defaults, with phases ahead of the main one cut to a step, which is over when timing begins; and as many samples as
// CIFAR-100 has, for methods that keep something of each.
std::string MethodOptionsText(const Method& m) {
  std::string text = "steps_per_epoch=1 epochs=1000000 samples=50000";
  for (const OptionSpec& o : m.options)
    if (o.name == std::string("epochs")) text += std::string(" ") + m.name + ".epochs=1";
  return text;
}

class Bench {
 public:
  explicit Bench(Options o) : o_(std::move(o)), self_(SelfPath()) {}

  int Run() {
    json all = DescribeRun(o_.device, o_.threads, o_.clock, o_.rounds);
    all["mode"] = o_.mode;
    for (const std::string& pair : o_.pairs) all["results"].push_back(RunPair(pair));
    return !o_.output.empty() && !WriteFile(all.dump(2) + "\n", o_.output) ? 1 : failed_;
  }

 private:
  std::vector<std::string> Child(const std::string& what, const std::string& pair, const Method& m, int steps) const {
    return {self_,
            "--child",
            what,
            "--pair",
            m.teacher ? pair : "none" + pair.substr(pair.find(':')),
            "--batch",
            std::to_string(o_.batch),
            "--device",
            o_.device,
            "--mode",
            o_.mode,
            "--threads",
            std::to_string(o_.threads),
            "--steps",
            std::to_string(steps),
            "--warmup",
            std::to_string(o_.warmup),
            "--clock",
            o_.clock,
            "--method",
            m.name,
            "--options",
            MethodOptionsText(m)};
  }

  json RunPair(const std::string& pair) {
    std::vector<Contender> steps;
    std::map<std::string, json> launches;
    std::vector<const Method*> methods = {FindMethod("kd")};
    for (const Method* m : AllMethods())
      if (m != methods[0] && (o_.methods.empty() || std::count(o_.methods.begin(), o_.methods.end(), m->name)))
        methods.push_back(m);
    for (const Method* m : methods)
      steps.push_back({m->name, Child("steps", pair, *m, std::max(1, o_.steps / o_.rounds))});
    for (int round = 0; round < o_.rounds; ++round)
      for (Contender& c : steps) {
        ShowProgress(pair + ", round " + std::to_string(round + 1) + " of " + std::to_string(o_.rounds) + ": " +
                     c.name);
        c.Run(o_.clock);
      }
    for (const Method* m : methods) {
      ShowProgress(pair + ", launches of " + m->name);
      launches[m->name] = Measure(Child("launches", pair, *m, 3));
    }
    ShowProgress("");
    return Report(pair, steps, launches);
  }

  json Report(const std::string& pair, const std::vector<Contender>& steps, std::map<std::string, json>& launches) {
    std::printf("\n%s, batch %lld, %s\n%-8s %10s %7s %9s %9s %8s %11s %6s\n", pair.c_str(),
                static_cast<long long>(o_.batch), o_.mode.c_str(), "", "median ms", "spread", "GMAC", "rest MB",
                "to KD", "predicted", "over");
    json record = {{"pair", pair}, {"batch", o_.batch}};
    const json& kd = launches["kd"];
    for (const Contender& c : steps) {
      const json& own = launches[c.name];
      record["methods"][c.name] = c.Record();
      if (!c.ok() || own.contains("error") || !steps[0].ok() || kd.contains("error")) {
        std::printf("%-8s %s\n", c.name.c_str(), (c.ok() ? own.value("error", steps[0].error()) : c.error()).c_str());
        continue;
      }
      auto predicted_s = [&](const json& l) {
        return l["macs"].get<double>() * kd["macs_s"].get<double>() / kd["macs"].get<double>() +
               l["rest_bytes"].get<double>() * kd["rest_s"].get<double>() / kd["rest_bytes"].get<double>();
      };
      const double ratio = c.median() / steps[0].median(), predicted = predicted_s(own) / predicted_s(kd);
      std::printf("%-8s %10.2f %6.1f%% %9.2f %9.1f %7.2fx %10.2fx %6.2f%s\n", c.name.c_str(), c.median() * 1e3,
                  c.spread() * 100, own["macs"].get<double>() / 1e9, own["rest_bytes"].get<double>() / (1 << 20), ratio,
                  predicted, ratio / predicted, ratio / predicted > o_.limit ? "  slow" : "");
      json& r = record["methods"][c.name];
      r["to_kd"] = ratio, r["predicted"] = predicted, r["over"] = ratio / predicted, r["launches"] = own;
      if (!o_.profile) continue;
      for (auto& [kind, value] : own["by_kind"].items())
        std::printf("  %-18s %10.2f ms in %4d launches\n", kind.c_str(), value["seconds"].get<double>() * 1e3,
                    value["launches"].get<int>());
    }
    failed_ = failed_ || !steps[0].ok();
    std::fflush(stdout);
    return record;
  }

  Options o_;
  std::string self_;
  bool failed_ = false;
};

int Main(int argc, char** argv) {
  Options o;
  CLI::App app{
      "Times every method's step beside plain KD's, and beside what its operations predict.\n"
      "Example: methods --pair resnet32x4:resnet8x4 --method dskd,crd --profile --output methods.json"};
  app.add_option("--pair", o.pairs, "teacher:student, several with commas")->delimiter(',')->capture_default_str();
  app.add_option("--method", o.methods, "only these, with commas; KD is always there")->delimiter(',');
  app.add_option("--batch", o.batch, "images a step")->check(CLI::Range(1, 65536))->capture_default_str();
  app.add_option("--device", o.device, "cpu, or a GPU: cuda:0, cuda:1, ...")->capture_default_str();
  app.add_option("--mode", o.mode, "f32, winograd (CPU), tf32 (GPU), bf16")
      ->check(CLI::IsMember({"f32", "winograd", "tf32", "bf16"}))
      ->capture_default_str();
  app.add_option("--threads", o.threads)->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--steps", o.steps, "timed steps, over all rounds")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--warmup", o.warmup, "steps before them, in each round")
      ->check(CLI::Range(2, 1000))  // the first may be that of a phase ahead of the main one
      ->capture_default_str();
  app.add_option("--rounds", o.rounds, "turns that each method gets")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--limit", o.limit, "mark what takes this much more than predicted")->capture_default_str();
  app.add_flag("--profile", o.profile, "show where the time goes, by kind of launch");
  app.add_flag("--list", o.list, "only list the launches of the first method's step with their best times");
  app.add_option("--clock", o.clock, "wall, or cpu: time that threads really ran, for one thread on a busy machine")
      ->check(CLI::IsMember({"wall", "cpu"}))
      ->capture_default_str();
  app.add_option("--wait-policy", o.wait_policy, "OMP_WAIT_POLICY: active or passive")
      ->check(CLI::IsMember({"active", "passive"}));
  app.add_option("--output", o.output, "JSON file to write");
  app.add_option("--child", o.child)->group("");
  app.add_option("--options", o.options)->group("");
  CLI11_PARSE(app, argc, argv);
  for (const std::string& name : o.methods)
    if (!FindMethod(name)) return std::fprintf(stderr, "--method %s: there is none of this name\n", name.c_str()), 2;
  for (const std::string& pair : o.pairs)
    if (pair.find(':') == std::string::npos)
      return std::fprintf(stderr, "--pair %s: should be teacher:student\n", pair.c_str()), 2;

  const size_t colon = o.pairs[0].find(':');
  StepSpec spec = {o.pairs[0].substr(0, colon),
                   o.pairs[0].substr(colon + 1),
                   o.mode,
                   o.batch,
                   o.threads,
                   o.steps,
                   o.warmup,
                   o.device};
  const Method* first = FindMethod(o.methods.empty() ? "kd" : o.methods[0]);
  spec.method = first->name, spec.options = o.options.empty() ? MethodOptionsText(*first) : o.options;
  const bool cpu = o.clock == "cpu";
  if (o.list) return std::fputs(ListLaunches(spec, cpu).c_str(), stdout) < 0;
  if (o.child == "steps") return std::puts(TimeSteps(spec).dump().c_str()) < 0;
  if (o.child == "launches") return std::puts(TimeLaunches(spec, cpu, /*floor=*/false).dump().c_str()) < 0;
  SetOpenMp(o.threads, o.wait_policy);
  return Bench(o).Run();
}

}  // namespace
}  // namespace distil::bench

int main(int argc, char** argv) { return distil::bench::Main(argc, argv); }
