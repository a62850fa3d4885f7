#include "bench/contender.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bench/child.h"
#include "bench/machine.h"

namespace distil::bench {

using nlohmann::json;
namespace fs = std::filesystem;

double Quantile(std::vector<double> v, double q) {
  if (v.empty()) return 0;
  std::sort(v.begin(), v.end());
  return v[static_cast<size_t>(q * static_cast<double>(v.size() - 1) + 0.5)];
}

void Contender::Run(const std::string& clock) {
  if (last.contains("error")) return;
  last = Measure(command);
  if (last.contains("error")) return;
  for (double s : last[clock + "_s"]) seconds.push_back(s);
  peak_mb = std::max(peak_mb, last["peak_rss_mb"].get<double>());
}

json Contender::Record() const {
  if (!ok()) return {{"error", error()}};
  json r = {{"median_s", median()},    {"min_s", least()},       {"spread", spread()},
            {"steps", seconds.size()}, {"peak_rss_mb", peak_mb}, {"last", last}};
  r["last"].erase("wall_s");
  r["last"].erase("cpu_s");
  return r;
}

std::string SelfPath() {
  std::error_code e;
  return fs::read_symlink("/proc/self/exe", e).string();
}

void SetOpenMp(int threads, const std::string& policy) {
  setenv("OMP_NUM_THREADS", std::to_string(threads).c_str(), 1);
  if (!policy.empty()) setenv("OMP_WAIT_POLICY", policy.c_str(), 1);
}

json DescribeRun(const std::string& device, int threads, const std::string& clock, int rounds) {
  json run = {
      {"machine", DescribeMachine()}, {"device", device}, {"threads", threads}, {"clock", clock}, {"rounds", rounds},
      {"results", json::array()}};
  for (const char* name :
       {"OMP_WAIT_POLICY", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "GOMP_SPINCOUNT", "DNNL_MAX_CPU_ISA"})
    if (const char* value = std::getenv(name)) run["environment"][name] = value;
  std::printf("%s, %d threads, load %.1f, times by the %s clock\n",
              run["machine"]["processor"].get<std::string>().c_str(), threads, run["machine"]["load"].get<double>(),
              clock.c_str());
  return run;
}

bool WriteFile(const std::string& text, const std::string& file) {
  fs::path path = file;
  if (const char* user = std::getenv("BUILD_WORKING_DIRECTORY"); user && path.is_relative()) path = user / path;
  std::ofstream out(path);
  out << text;
  if (out.flush()) return true;
  std::fprintf(stderr, "cannot write %s\n", path.c_str());
  return false;
}

void ShowProgress(const std::string& text) {
  if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\r%-78s%s", text.c_str(), text.empty() ? "\r" : "");
}

}  // namespace distil::bench
