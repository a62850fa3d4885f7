// What a measurement must say about the machine it was made on.
#pragma once

#include <nlohmann/json.hpp>

namespace distil::bench {

double WallSeconds();  // of a steady clock
double CpuSeconds();   // used by all threads of this process

// Memory of this process in MB, from /proc: "VmHWM" (most so far), "VmRSS" (now).
double MemoryMb(const char* field);

// Processor, caches, frequency governor, memory, kernel, compiler, load: what can be read.
nlohmann::json DescribeMachine();

}  // namespace distil::bench
