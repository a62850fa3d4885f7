// How time and memory of a distillation step grow with batch, threads and depth: every point a process of its own.
//
//   ./bazelw run //bench:scaling -- --output scaling.json --svg scaling.svg
//
// A point is a CIFAR ResNet learning by KD from a frozen one of the same depth. docs/benchmarks.md says what is measured.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>

#include "bench/chart.h"
#include "bench/child.h"
#include "bench/contender.h"
#include "bench/machine.h"
#include "bench/step_child.h"

namespace distil::bench {
namespace {

using nlohmann::json;

struct Options {
  std::vector<int> depths = {8, 14, 20, 32, 44, 56, 110}, threads = {1, 2};
  std::vector<int64_t> batches = {16, 32, 64, 128, 256};
  double seconds = 1;
  std::string mode = "f32", output, svg;
  bool child = false;  // this process measures the first of each list; set by the one above it
};

struct Point {
  int depth, threads;
  int64_t batch;
  double image_ms, spread;
  double planned_mb, measured_mb, process_mb;
};

json ToJson(const Point& p) {
  return {{"depth", p.depth},
          {"threads", p.threads},
          {"batch", p.batch},
          {"image_ms", p.image_ms},
          {"spread", p.spread},
          {"planned_mb", p.planned_mb},
          {"measured_mb", p.measured_mb},
          {"process_mb", p.process_mb}};
}

StepSpec SpecOf(const Options& o) {
  StepSpec spec;
  spec.teacher = spec.student = "resnet" + std::to_string(o.depths[0]);
  spec.mode = o.mode, spec.batch = o.batches[0], spec.threads = o.threads[0];
  spec.warmup = 1, spec.steps = 50, spec.seconds = o.seconds;
  return spec;
}

json Child(const std::string& self, const Options& o, int depth, int64_t batch, int threads) {
  SetOpenMp(threads, "");
  json r = Measure({self, "--child", "--depth", std::to_string(depth), "--batch", std::to_string(batch), "--threads",
                    std::to_string(threads), "--mode", o.mode, "--seconds", std::to_string(o.seconds)});
  if (r.contains("error"))
    std::fprintf(stderr, "resnet%d, batch %lld: %s\n", depth, static_cast<long long>(batch),
                 r["error"].get<std::string>().c_str());
  return r;
}

// What the process held at most, less the bench's own images.
double PeakMb(const json& r) { return r["peak_rss_mb"].get<double>() - r["images_mb"].get<double>(); }

void Fill(const json& r, Point* p) {
  const std::vector<double> s = r["wall_s"];
  p->image_ms = Quantile(s, 0.5) * 1e3 / static_cast<double>(p->batch);
  p->spread = (Quantile(s, 0.75) - Quantile(s, 0.25)) / Quantile(s, 0.5);
  p->planned_mb = r["planned_mb"];
  p->measured_mb = PeakMb(r) - p->process_mb;
}

// A curve through the points that `take` admits.
Curve CurveOf(const std::vector<Point>& points, const std::string& name, int color,
              const std::function<bool(const Point&)>& take, const std::function<double(const Point&)>& x,
              const std::function<double(const Point&)>& y) {
  Curve c{name, color, false, false, {}};
  for (const Point& p : points)
    if (take(p) && y(p) > 0) c.points.emplace_back(x(p), y(p));
  std::sort(c.points.begin(), c.points.end());
  return c;
}

std::string Chart(const Options& o, const std::vector<Point>& points, const std::string& processor) {
  auto batch = [](const Point& p) { return static_cast<double>(p.batch); };
  auto depth = [](const Point& p) { return static_cast<double>(p.depth); };
  auto time = [](const Point& p) { return p.image_ms; };
  auto planned = [](const Point& p) { return p.planned_mb; };
  auto measured = [](const Point& p) { return p.measured_mb; };
  const int most = *std::max_element(o.threads.begin(), o.threads.end());
  const int64_t middle = o.batches[o.batches.size() / 2];
  const std::vector<double> batches(o.batches.begin(), o.batches.end()), depths(o.depths.begin(), o.depths.end());

  Panel by_batch{"Time, " + std::to_string(most) + " threads", "batch", "ms per image", batches, {}};
  Panel memory_by_batch{"Memory, " + std::to_string(most) + " threads", "batch", "MB", batches, {}};
  int color = static_cast<int>(o.depths.size());
  for (auto d = o.depths.rbegin(); d != o.depths.rend(); ++d) {  // as the lines lie: the deepest on top
    auto take = [&](const Point& p) { return p.depth == *d && p.threads == most; };
    by_batch.curves.push_back(CurveOf(points, "resnet" + std::to_string(*d), --color, take, batch, time));
    memory_by_batch.curves.push_back(CurveOf(points, "resnet" + std::to_string(*d), color, take, batch, planned));
    memory_by_batch.curves.push_back(CurveOf(points, "", color, take, batch, measured));
    memory_by_batch.curves.back().marks = true;
  }
  Panel by_depth{"Time, batch " + std::to_string(middle), "depth", "ms per image", depths, {}};
  for (int t : o.threads)
    by_depth.curves.push_back(CurveOf(
        points, std::to_string(t) + (t == 1 ? " thread" : " threads"), color++,
        [&](const Point& p) { return p.threads == t && p.batch == middle; }, depth, time));
  Panel memory_by_depth{"Memory, " + std::to_string(most) + " threads", "depth", "MB", depths, {}};
  color = static_cast<int>(o.batches.size());
  for (auto b = o.batches.rbegin(); b != o.batches.rend(); ++b) {
    auto take = [&](const Point& p) { return p.batch == *b && p.threads == most; };
    memory_by_depth.curves.push_back(CurveOf(points, "batch " + std::to_string(*b), --color, take, depth, planned));
    memory_by_depth.curves.push_back(CurveOf(points, "", color, take, depth, measured));
    memory_by_depth.curves.back().marks = true;
  }
  for (Panel* p : {&memory_by_batch, &memory_by_depth}) p->title += ": planned (lines), measured (circles)";
  return LogChartSvg("KD step of CIFAR ResNets, teacher as deep as the student: " + o.mode + ", " + processor,
                     {by_batch, by_depth, memory_by_batch, memory_by_depth});
}

int Run(const Options& o, const std::string& self) {
  json all = {{"machine", DescribeMachine()}, {"mode", o.mode}, {"points", json::array()}};
  const std::string processor = all["machine"]["processor"];
  std::printf("%s, load %.1f\n%6s %6s %8s %10s %7s %10s %11s %7s %11s\n", processor.c_str(),
              all["machine"]["load"].get<double>(), "depth", "batch", "threads", "ms/image", "spread", "planned MB",
              "measured MB", "ratio", "besides MB");
  std::vector<Point> points;
  double least = 1e9, most = 0;
  bool failed = false;
  for (int depth : o.depths)
    for (int threads : o.threads) {
      // What a process holds besides the plan, as one that takes single images has it.
      const json one = Child(self, o, depth, 1, threads);
      if (one.contains("error")) {
        failed = true;
        continue;
      }
      const double process_mb = PeakMb(one) - one["planned_mb"].get<double>();
      for (int64_t batch : o.batches) {
        const json r = Child(self, o, depth, batch, threads);
        if (r.contains("error")) {
          failed = true;
          continue;
        }
        Point p{depth, threads, batch, 0, 0, 0, 0, process_mb};
        Fill(r, &p);
        const double ratio = p.measured_mb / p.planned_mb;
        least = std::min(least, ratio), most = std::max(most, ratio);
        std::printf("%6d %6lld %8d %10.3f %6.1f%% %10.1f %11.1f %7.3f %11.1f\n", depth, static_cast<long long>(batch),
                    threads, p.image_ms, p.spread * 100, p.planned_mb, p.measured_mb, ratio, p.process_mb);
        std::fflush(stdout);
        all["points"].push_back(ToJson(p));
        points.push_back(p);
      }
    }
  if (!points.empty()) std::printf("memory: measured over planned is from %.3f to %.3f\n", least, most);
  if (!o.output.empty() && !WriteFile(all.dump(1) + "\n", o.output)) failed = true;
  if (!o.svg.empty() && !WriteFile(Chart(o, points, processor), o.svg)) failed = true;
  return failed;
}

int Main(int argc, char** argv) {
  Options o;
  CLI::App app{
      "Times distillation steps by batch, threads and depth, and compares their memory with what was planned.\n"
      "Example: scaling --depth 8,20,56 --batch 16,64 --output scaling.json --svg scaling.svg"};
  app.add_option("--depth", o.depths, "CIFAR ResNets, several with commas: 8, 14, 20, 32, 44, 56, 110")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--batch", o.batches, "images a step, several with commas")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--threads", o.threads, "several with commas")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--mode", o.mode, "f32, winograd or bf16")
      ->check(CLI::IsMember({"f32", "winograd", "bf16"}))
      ->capture_default_str();
  app.add_option("--seconds", o.seconds, "a point is timed for so long, and for two steps at least")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--output", o.output, "JSON file to write");
  app.add_option("--svg", o.svg, "chart to write");
  app.add_flag("--child", o.child)->group("");
  CLI11_PARSE(app, argc, argv);
  if (o.child) return std::puts(TimeSteps(SpecOf(o)).dump().c_str()) < 0;
  return Run(o, SelfPath());
}

}  // namespace
}  // namespace distil::bench

int main(int argc, char** argv) { return distil::bench::Main(argc, argv); }
