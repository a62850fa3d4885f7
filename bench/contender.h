// What a bench compares: it takes turns, in several rounds, so that whatever else the machine does meets all of it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace distil::bench {

double Quantile(std::vector<double> v, double q);  // 0 for no values

// Something that is timed, over all rounds, each time by a process of its own that prints
// {"wall_s": [...], "cpu_s": [...], "peak_rss_mb": ...}.
struct Contender {
  std::string name;  // "f32", "torch f32 channels_last"
  std::vector<std::string> command;
  std::vector<double> seconds = {};  // of steps
  nlohmann::json last = {};          // of its measurements
  double peak_mb = 0;

  bool ok() const { return !seconds.empty() && !last.contains("error"); }
  std::string error() const { return last.value("error", "not measured"); }
  double median() const { return Quantile(seconds, 0.5); }
  double least() const { return Quantile(seconds, 0); }
  double spread() const { return (Quantile(seconds, 0.75) - Quantile(seconds, 0.25)) / median(); }

  void Run(const std::string& clock);  // "wall" or "cpu"
  nlohmann::json Record() const;
};

// This program's own path, for measurements that it makes by running itself.
std::string SelfPath();
// Sets what the OpenMP runtime reads when a process starts, so that it holds for all measurements. `policy` may be "".
void SetOpenMp(int threads, const std::string& policy);
// What a bench of contenders writes about the machine, the threads and the clock, with no results yet.
nlohmann::json DescribeRun(const std::string& device, int threads, const std::string& clock, int rounds);
// Writes to `path`, which is relative to the user's folder also under `bazel run`. False, and a message, on failure.
bool WriteFile(const std::string& text, const std::string& path);
// A line that the next one replaces, where standard error is a terminal.
void ShowProgress(const std::string& text);

}  // namespace distil::bench
