// The measurements of the benches, each made in a process of its own, so that peak memory belongs to it alone.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace distil::bench {

struct StepSpec {
  std::string teacher = "wrn_40_2", student = "wrn_16_2";
  std::string mode = "f32";  // f32, winograd, tf32, bf16; with "+search": the fastest algorithms by measuring
  int64_t batch = 64;
  int threads = 2;
  int steps = 20, warmup = 3;
  std::string device = "cpu";
  double seconds = 0;        // above 0: stop after so many, but not before the second step
  std::string method = "";   // "": kd under a teacher, ce without one
  std::string options = "";  // of the trainer, beside the bench's own
};

// A mode as options of a trainer: "winograd=1 algorithms=search".
inline std::string ModeOptions(const std::string& mode) {
  const size_t plus = mode.find('+');
  const std::string numbers = mode.substr(0, plus);
  return (numbers == "f32" ? "" : numbers + "=1") + (plus == mode.npos ? "" : " algorithms=search");
}

// Training steps through distil.h, timed one by one: wall_s, cpu_s, planned and resident memory, that of the images.
// On failure the result has the field "error".
nlohmann::json TimeSteps(const StepSpec& spec);

// The step's launches: floor_s, the sum of the best times of its convolutions and matmuls, each run alone `steps`
// times (only with `floor`); by_kind, in the step itself; and the counts of launches and reorders. bytes_moved is what all
// launches read and write, and bytes_s the time of a copy that reads and writes as much (with `floor`). In two parts:
// macs, the multiplications of convolutions and matmuls, which take macs_s, and rest_bytes, what all else reads and
// writes, which takes rest_s. Where several programs make a step, all of them count.
nlohmann::json TimeLaunches(const StepSpec& spec, bool cpu_clock, bool floor = true);

// One line for each launch with its best time.
std::string ListLaunches(const StepSpec& spec, bool cpu_clock);

}  // namespace distil::bench
