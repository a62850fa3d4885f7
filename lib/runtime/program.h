// Program: a graph compiled for a backend. All memory is planned and taken at compile time; Run allocates nothing.
//
// Nodes that depend on nothing but constants and on variables that this program does not assign (a frozen teacher's
// folded and reordered weights) are computed once, and again only after such a variable has changed.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/backend/backend.h"
#include "lib/graph/graph.h"

namespace distil {

struct MemoryInfo {
  size_t arena = 0;      // values that come and go during a step, and workspaces, sharing one block
  size_t constants = 0;  // derived once: folded and reordered weights, constant tables
  size_t io = 0;         // inputs and outputs
  size_t variables = 0;  // parameters, buffers and states that the program reads or assigns
  size_t live = 0;       // of the arena, what the busiest launch needs: a measure of how well it is packed
  size_t total() const { return arena + constants + io + variables; }
};

// How long a launch took, at best.
struct LaunchTime {
  NodeId node;  // of the program's graph; ~0u for the copy of a variable's next value
  double seconds;
};

class Program {
 public:
  // `backend` must outlive the program. Variables are shared with whoever else holds them.
  static Status Compile(Backend* backend, const Graph& g, const CompileOptions& options, std::unique_ptr<Program>* out);
  // What Compile would plan, without taking the memory.
  static Status Plan(Backend* backend, const Graph& g, const CompileOptions& options, MemoryInfo* out);
  ~Program();

  bool HasInput(const std::string& name) const;
  // Fills an input, row-major. Numbers are converted when the backend keeps another type.
  Status SetInput(const std::string& name, std::span<const float> values);
  Status SetInput(const std::string& name, std::span<const double> values);
  Status SetInput(const std::string& name, std::span<const int32_t> values);  // index inputs
  Status Run();
  bool HasOutput(const std::string& name) const;
  Status OutputShape(const std::string& name, Shape* shape) const;
  Status Fetch(const std::string& name, std::span<float> values) const;
  Status Fetch(const std::string& name, std::span<double> values) const;

  // Where an input or output is, in the backend's memory, row-major; nullptr when there is none of this name.
  void* InputAddress(const std::string& name) const;
  const void* OutputAddress(const std::string& name) const;
  // An input for writing there directly: nullptr also where the host cannot.
  void* InputData(const std::string& name) const;

  MemoryInfo memory() const;

  // For debugging and benches: the launches of a run. Profile runs the program `runs` times (so it assigns variables as
  // often), times every launch (Backend::Time: a GPU repeats it, and variables hold nonsense afterwards), and gives the
  // least time of each in Listing's order.
  size_t launches() const;
  size_t work() const;         // kernels and copies of a run, once one was done; 0 on host backends
  size_t bytes_moved() const;  // what a run's launches read and write, each operand once
  std::vector<std::string> Listing() const;
  Status Profile(int runs, double (*clock)(), std::vector<LaunchTime>* out);
  const Graph& graph() const;  // as the backend runs it

 private:
  Program();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// ---- Variables' content ------------------------------------------------------------------------------------------

// Takes memory for `v` and fills it with its initial values: Philox keyed by (seed, name, element).
Status AllocateVariable(Backend* backend, uint64_t seed, const Init& init, Variable* v);
Status ReadVariable(Backend* backend, const Variable& v, std::span<float> values);
Status ReadVariable(Backend* backend, const Variable& v, std::span<double> values);
Status WriteVariable(Backend* backend, std::span<const float> values, Variable* v);
Status WriteVariable(Backend* backend, std::span<const double> values, Variable* v);

}  // namespace distil
