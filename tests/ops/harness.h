// Runs graphs in tests: the backends under test, and a compiled program whose inputs and outputs are doubles.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "lib/backend/backend.h"
#include "lib/expr/expr.h"
#include "lib/runtime/program.h"

namespace distil {

// One way of computing that is compared with the reference in f64.
struct TestBackend {
  const char* name;
  std::unique_ptr<Backend> (*make)();
  bool bf16;
  double eps;  // of the numbers it computes with
};
// "cuda" and "cuda_bf16" are among them where the device cuda:0 can be opened.
const std::vector<TestBackend>& TestBackends();
// Why it cannot be; "" where it can. Tests that need a GPU skip with it.
const std::string& WhyNoCuda();

Backend* ReferenceF64();

// Numbers from a seed that are the same on every machine.
class Rng {
 public:
  explicit Rng(uint64_t seed) : bits_(seed) {}
  int64_t Int(int64_t lo, int64_t hi) {  // in [lo, hi]
    return lo + static_cast<int64_t>(bits_() % static_cast<uint64_t>(hi - lo + 1));
  }
  double Unit() { return static_cast<double>(bits_() >> 11) / 9007199254740992.0; }  // in [0, 1)
  double Uniform(double lo, double hi) { return lo + (hi - lo) * Unit(); }
  bool Coin() { return bits_() & 1; }
  template <class T>
  void Shuffle(std::vector<T>* v) {
    for (size_t i = v->size(); i > 1; --i) std::swap((*v)[i - 1], (*v)[Int(0, static_cast<int64_t>(i) - 1)]);
  }

 private:
  std::mt19937_64 bits_;
};

// Seeds of the random parts of a test: 1, 2, ..., n, or the one in DISTIL_TEST_SEED.
std::vector<uint64_t> TestSeeds(int n);

struct Feed {
  std::vector<double> values;
  bool index = false;
};
using Feeds = std::map<std::string, Feed>;
using Fetches = std::map<std::string, std::vector<double>>;

// A program; the first mistake is a test failure, and everything afterwards does nothing.
class Compiled {
 public:
  Compiled(Backend* backend, const Graph& g, const CompileOptions& options = {});
  bool ok() const { return program_ != nullptr; }
  Program* program() { return program_.get(); }
  void Set(const std::string& name, const Feed& feed);  // an input that the program does not have is skipped
  std::vector<double> Fetch(const std::string& name) const;
  Fetches Run(const Feeds& feeds);  // every output
  Fetches Run();

 private:
  std::unique_ptr<Program> program_;
  std::vector<std::string> outputs_;
};

Fetches RunOnce(Backend* backend, const Graph& g, const Feeds& feeds, const CompileOptions& options = {});

// Expects |got - want| <= tolerance * max(1, largest |want|) for each number, and NaN only where NaN is
// wanted.
void ExpectClose(const std::vector<double>& got, const std::vector<double>& want, double tolerance,
                 const std::string& what);
void ExpectClose(const Fetches& got, const Fetches& want, double tolerance);
void ExpectSameBits(const Fetches& a, const Fetches& b);

// A variable with storage of `backend` and the given values.
VariableRef MakeVariable(Backend* backend, const std::string& name, const Shape& shape,
                         const std::vector<double>& values);
std::vector<double> ValuesOf(Backend* backend, const VariableRef& v);

}  // namespace distil
