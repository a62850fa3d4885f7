#include "bench/machine.h"

#include <sys/utsname.h>
#include <time.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

namespace distil::bench {
namespace {

double Seconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// What stands behind the first line of a file that begins with `key`, or "".
std::string Field(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const size_t at = line.find_first_not_of(" \t:", key.size());
    return at == std::string::npos ? "" : line.substr(at);
  }
  return "";
}

}  // namespace

double WallSeconds() { return Seconds(CLOCK_MONOTONIC); }
double CpuSeconds() { return Seconds(CLOCK_PROCESS_CPUTIME_ID); }

double MemoryMb(const char* field) {
  const std::string text = Field("/proc/self/status", field);
  return text.empty() ? 0 : std::strtod(text.c_str(), nullptr) / 1024;
}

nlohmann::json DescribeMachine() {
  nlohmann::json m;
  m["processor"] = Field("/proc/cpuinfo", "model name");
  m["flags"] = Field("/proc/cpuinfo", "flags");
  m["cores"] = std::thread::hardware_concurrency();
  m["l2"] = Field("/sys/devices/system/cpu/cpu0/cache/index2/size", "");
  m["l3"] = Field("/sys/devices/system/cpu/cpu0/cache/index3/size", "");
  m["governor"] = Field("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "");
  m["memory"] = Field("/proc/meminfo", "MemTotal");
  m["virtual"] = !Field("/sys/hypervisor/type", "").empty() ||
                 Field("/proc/cpuinfo", "flags").find("hypervisor") != std::string::npos;
  utsname name{};
  if (uname(&name) == 0) m["kernel"] = std::string(name.sysname) + " " + name.release;
  m["compiler"] = __VERSION__;
  double load[3] = {0, 0, 0};
  if (getloadavg(load, 3) == 3) m["load"] = load[0];
  return m;
}

}  // namespace distil::bench
