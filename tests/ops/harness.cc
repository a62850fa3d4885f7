#include "tests/ops/harness.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

namespace distil {

Backend* ReferenceF64() {
  static const std::unique_ptr<Backend> backend = MakeReferenceBackend({}, DType::kF64);
  return backend.get();
}

std::vector<uint64_t> TestSeeds(int n) {
  if (const char* seed = std::getenv("DISTIL_TEST_SEED")) return {std::strtoull(seed, nullptr, 10)};
  std::vector<uint64_t> seeds;
  for (int i = 1; i <= n; ++i) seeds.push_back(static_cast<uint64_t>(i));
  return seeds;
}

Compiled::Compiled(Backend* backend, const Graph& g, const CompileOptions& options) {
  const Status s = Program::Compile(backend, g, options, &program_);
  if (!s.ok()) {
    ADD_FAILURE() << backend->name() << ": " << s.message();
    program_.reset();
  }
  for (auto& [name, v] : g.outputs()) outputs_.push_back(name);
}

void Compiled::Set(const std::string& name, const Feed& feed) {
  if (!ok() || !program_->HasInput(name)) return;
  Status s;
  if (feed.index) {
    const std::vector<int32_t> ints(feed.values.begin(), feed.values.end());
    s = program_->SetInput(name, std::span<const int32_t>(ints));
  } else {
    s = program_->SetInput(name, std::span<const double>(feed.values));
  }
  EXPECT_TRUE(s.ok()) << s.message();
}

std::vector<double> Compiled::Fetch(const std::string& name) const {
  if (!ok()) return {};
  Shape shape;
  Status s = program_->OutputShape(name, &shape);
  std::vector<double> values(static_cast<size_t>(shape.elements()));
  if (s.ok()) s = program_->Fetch(name, std::span<double>(values));
  EXPECT_TRUE(s.ok()) << s.message();
  return values;
}

Fetches Compiled::Run() {
  Fetches out;
  if (!ok()) return out;
  const Status s = program_->Run();
  EXPECT_TRUE(s.ok()) << s.message();
  for (const std::string& name : outputs_) out[name] = Fetch(name);
  return out;
}

Fetches Compiled::Run(const Feeds& feeds) {
  for (auto& [name, feed] : feeds) Set(name, feed);
  return Run();
}

Fetches RunOnce(Backend* backend, const Graph& g, const Feeds& feeds, const CompileOptions& options) {
  return Compiled(backend, g, options).Run(feeds);
}

void ExpectClose(const std::vector<double>& got, const std::vector<double>& want, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double scale = 1;
  for (double w : want)
    if (std::isfinite(w)) scale = std::max(scale, std::abs(w));
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]))) continue;
    const double error = std::abs(got[i] - want[i]);
    if (error <= tolerance * scale) continue;
    ADD_FAILURE() << what << "[" << i << "] is " << got[i] << ", should be " << want[i] << " within "
                  << tolerance * scale;
    return;  // the first one tells enough
  }
}

void ExpectClose(const Fetches& got, const Fetches& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (auto& [name, values] : want) ExpectClose(got.at(name), values, tolerance, name);
}

void ExpectSameBits(const Fetches& a, const Fetches& b) {
  ASSERT_EQ(a.size(), b.size());
  for (auto& [name, values] : a) {
    const std::vector<double>& other = b.at(name);
    ASSERT_EQ(values.size(), other.size());
    EXPECT_EQ(std::memcmp(values.data(), other.data(), values.size() * sizeof(double)), 0)
        << name << " differs between two runs";
  }
}

VariableRef MakeVariable(Backend* backend, const std::string& name, const Shape& shape,
                         const std::vector<double>& values) {
  auto v = std::make_shared<Variable>();
  v->name = name;
  v->shape = shape;
  Status s = AllocateVariable(backend, 0, Init::Constant(0), v.get());
  if (s.ok()) s = WriteVariable(backend, std::span<const double>(values), v.get());
  EXPECT_TRUE(s.ok()) << s.message();
  return v;
}

std::vector<double> ValuesOf(Backend* backend, const VariableRef& v) {
  std::vector<double> values(static_cast<size_t>(v->shape.elements()));
  const Status s = ReadVariable(backend, *v, std::span<double>(values));
  EXPECT_TRUE(s.ok()) << s.message();
  return values;
}

}  // namespace distil
