#include "lib/runtime/program.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <numeric>
#include <set>

#include "lib/base/random.h"
#include "lib/graph/variable.h"
#include "lib/runtime/planner.h"

namespace distil {
namespace {

constexpr size_t kRemembered = 1024;  // bytes of inputs that are not sent again while they stay the same
constexpr size_t kChunk = 1024;       // numbers converted at a time, so that no call allocates

// Copies numbers between a host array of T and device memory that holds `type`.
template <class T>
Status Put(Backend* backend, DType type, void* to, std::span<const T> values) {
  auto upload = [&](auto tag) -> Status {
    using D = decltype(tag);
    if constexpr (std::is_same_v<D, T>) {
      return backend->Upload(to, values.data(), values.size_bytes());
    } else {
      D chunk[kChunk];
      for (size_t i = 0; i < values.size(); i += kChunk) {
        const size_t n = std::min(kChunk, values.size() - i);
        for (size_t j = 0; j < n; ++j) chunk[j] = static_cast<D>(values[i + j]);
        DISTIL_RETURN_IF_ERROR(backend->Upload(static_cast<D*>(to) + i, chunk, n * sizeof(D)));
      }
      return {};
    }
  };
  switch (type) {
    case DType::kF32: return upload(float());
    case DType::kF64: return upload(double());
    case DType::kI32: return upload(int32_t());
    case DType::kBF16: break;
  }
  return Internal("inputs, outputs and variables are never bf16");
}

template <class T>
Status Get(Backend* backend, DType type, const void* from, std::span<T> values) {
  auto download = [&](auto tag) -> Status {
    using D = decltype(tag);
    if constexpr (std::is_same_v<D, T>) {
      return backend->Download(values.data(), from, values.size_bytes());
    } else {
      D chunk[kChunk];
      for (size_t i = 0; i < values.size(); i += kChunk) {
        const size_t n = std::min(kChunk, values.size() - i);
        DISTIL_RETURN_IF_ERROR(backend->Download(chunk, static_cast<const D*>(from) + i, n * sizeof(D)));
        for (size_t j = 0; j < n; ++j) values[i + j] = static_cast<T>(chunk[j]);
      }
      return {};
    }
  };
  switch (type) {
    case DType::kF32: return download(float());
    case DType::kF64: return download(double());
    case DType::kI32: return download(int32_t());
    case DType::kBF16: break;
  }
  return Internal("inputs, outputs and variables are never bf16");
}

Status SizeError(const std::string& what, int64_t want, size_t got) {
  return InvalidArgument(what + " has " + std::to_string(want) + " numbers, got " + std::to_string(got));
}

}  // namespace

struct Program::Impl {
  Backend* backend = nullptr;
  Graph graph;
  MemoryPlan plan;
  Buffer arena, constants, io;
  std::vector<Launch> once, every;
  std::shared_ptr<void> once_cache, every_cache;
  uint64_t seen_version = ~0ull;  // of the variables that the constants depend on
  std::unordered_map<std::string, ValueId> inputs;
  std::unordered_map<std::string, size_t> outputs;          // positions in graph.outputs()
  std::unordered_map<std::string, std::vector<char>> sent;  // small inputs as the device has them
  std::set<std::string> given_out;                          // inputs that others write to as well

  void* Address(const Place& p) const {
    switch (p.kind) {
      case Place::kArena: return static_cast<char*>(arena.data) + p.offset;
      case Place::kConstant: return static_cast<char*>(constants.data) + p.offset;
      case Place::kIo: return static_cast<char*>(io.data) + p.offset;
      case Place::kVariable: return p.variable->storage.data;
      case Place::kNone: break;
    }
    return nullptr;
  }

  std::vector<size_t> Sizes(const std::vector<ValueId>& values) const {
    std::vector<size_t> bytes;
    for (ValueId v : values) bytes.push_back(backend->Bytes(graph, v));
    return bytes;
  }

  std::vector<Launch> Bind(const std::vector<PlannedLaunch>& planned) const {
    std::vector<Launch> launches;
    for (const PlannedLaunch& p : planned) {
      const Node& node = graph.node(p.node);
      Launch l{p.kernel.get(), {}, {}, static_cast<char*>(arena.data) + p.workspace, Sizes(node.in), Sizes(node.out)};
      for (const Place& place : p.in) l.in.push_back(Address(place));
      for (const Place& place : p.out) l.out.push_back(Address(place));
      launches.push_back(std::move(l));
    }
    return launches;
  }

  template <class T>
  Status Set(const std::string& name, std::span<const T> values, bool index) {
    const auto it = inputs.find(name);
    if (it == inputs.end()) return NotFound("the program has no input '" + name + "'");
    const Value& v = graph.value(it->second);
    if (v.index != index) return InvalidArgument("input '" + name + (index ? "' is real" : "' holds indices"));
    if (static_cast<int64_t>(values.size()) != v.shape.elements())
      return SizeError("input '" + name + "'", v.shape.elements(), values.size());
    // Rates, epochs and constant tables rarely change: a device need not be sent what it has.
    const bool remember = !backend->host() && values.size_bytes() <= kRemembered && !given_out.count(name);
    std::vector<char>* last = remember ? &sent[name] : nullptr;
    if (last && last->size() == values.size_bytes() && std::memcmp(last->data(), values.data(), last->size()) == 0)
      return {};
    if (last) last->clear();  // until it is there
    DISTIL_RETURN_IF_ERROR(
        Put(backend, index ? DType::kI32 : backend->real(), Address(plan.places[it->second]), values));
    if (last)
      last->assign(reinterpret_cast<const char*>(values.data()),
                   reinterpret_cast<const char*>(values.data()) + values.size_bytes());
    return {};
  }

  template <class T>
  Status Fetch(const std::string& name, std::span<T> values) const {
    const auto it = outputs.find(name);
    if (it == outputs.end()) return NotFound("the program has no output '" + name + "'");
    const Value& v = graph.value(graph.outputs()[it->second].second);
    if (static_cast<int64_t>(values.size()) != v.shape.elements())
      return SizeError("output '" + name + "'", v.shape.elements(), values.size());
    return Get(backend, v.index ? DType::kI32 : backend->real(), Address(plan.outputs[it->second]), values);
  }

  Status Build(Backend* b, const Graph& g, const CompileOptions& options) {
    backend = b;
    if (!g.ok()) return InvalidArgument(g.error());
    graph = g;
    DISTIL_RETURN_IF_ERROR(backend->Optimize(&graph, options));
    if (!graph.ok()) return InvalidArgument(graph.error());
    DISTIL_RETURN_IF_ERROR(PlanMemory(backend, &graph, &plan));
    for (NodeId n : LiveNodes(graph))
      if (const Node& node = graph.node(n); node.op == Op::kInput) inputs[node.name] = node.out[0];
    for (size_t i = 0; i < graph.outputs().size(); ++i) outputs[graph.outputs()[i].first] = i;
    return {};
  }

  Status TakeMemory() {
    for (const VariableRef& v : plan.variables) {
      if (v->storage.bytes != static_cast<size_t>(v->shape.elements()) * DTypeSize(backend->real()))
        return InvalidArgument("variable " + v->name + " was not allocated for the " + std::string(backend->name()) +
                               " backend's number type");
    }
    DISTIL_RETURN_IF_ERROR(backend->HasRoom(plan.arena + plan.constants + plan.io));
    DISTIL_RETURN_IF_ERROR(backend->Allocate(plan.arena, &arena));
    DISTIL_RETURN_IF_ERROR(backend->Allocate(plan.constants, &constants));
    DISTIL_RETURN_IF_ERROR(backend->Allocate(plan.io, &io));
    once = Bind(plan.once);
    every = Bind(plan.every);
    for (const PlannedCopy& c : plan.copies) {
      const size_t bytes = c.to->storage.bytes;
      every.push_back({c.kernel.get(), {Address(c.from)}, {c.to->storage.data}, nullptr, {bytes}, {bytes}});
    }
    return {};
  }

  // Computes the constants anew if a variable that they depend on has changed.
  Status Refresh() {
    uint64_t version = 0;
    for (const VariableRef& v : plan.read_once) version += v->version;
    if (version == seen_version) return {};
    DISTIL_RETURN_IF_ERROR(backend->Execute(once, &once_cache));
    seen_version = version;
    return {};
  }
  void Assigned() {
    for (auto& [var, v] : graph.assigns()) ++var->version;
  }

  MemoryInfo Memory() const {
    MemoryInfo m;
    m.arena = plan.arena, m.constants = plan.constants, m.io = plan.io, m.live = plan.live;
    for (const VariableRef& v : plan.variables)
      m.variables += static_cast<size_t>(v->shape.elements()) * DTypeSize(backend->real());
    return m;
  }
};

Program::Program() : impl_(std::make_unique<Impl>()) {}
Program::~Program() = default;

Status Program::Compile(Backend* backend, const Graph& g, const CompileOptions& options,
                        std::unique_ptr<Program>* out) {
  std::unique_ptr<Program> p(new Program);
  DISTIL_RETURN_IF_ERROR(p->impl_->Build(backend, g, options));
  DISTIL_RETURN_IF_ERROR(p->impl_->TakeMemory());
  *out = std::move(p);
  return {};
}

Status Program::Plan(Backend* backend, const Graph& g, const CompileOptions& options, MemoryInfo* out) {
  Impl impl;
  DISTIL_RETURN_IF_ERROR(impl.Build(backend, g, options));
  *out = impl.Memory();
  return {};
}

bool Program::HasInput(const std::string& name) const { return impl_->inputs.count(name) != 0; }
bool Program::HasOutput(const std::string& name) const { return impl_->outputs.count(name) != 0; }

Status Program::SetInput(const std::string& name, std::span<const float> v) { return impl_->Set(name, v, false); }
Status Program::SetInput(const std::string& name, std::span<const double> v) { return impl_->Set(name, v, false); }
Status Program::SetInput(const std::string& name, std::span<const int32_t> v) { return impl_->Set(name, v, true); }

Status Program::Run() {
  Impl& p = *impl_;
  DISTIL_RETURN_IF_ERROR(p.Refresh());
  DISTIL_RETURN_IF_ERROR(p.backend->Execute(p.every, &p.every_cache));
  p.Assigned();
  return {};
}

Status Program::OutputShape(const std::string& name, Shape* shape) const {
  const auto it = impl_->outputs.find(name);
  if (it == impl_->outputs.end()) return NotFound("the program has no output '" + name + "'");
  *shape = impl_->graph.value(impl_->graph.outputs()[it->second].second).shape;
  return {};
}

Status Program::Fetch(const std::string& name, std::span<float> v) const { return impl_->Fetch(name, v); }
Status Program::Fetch(const std::string& name, std::span<double> v) const { return impl_->Fetch(name, v); }

void* Program::InputAddress(const std::string& name) const {
  const auto it = impl_->inputs.find(name);
  if (it == impl_->inputs.end()) return nullptr;
  if (!impl_->backend->host()) impl_->given_out.insert(name);
  return impl_->Address(impl_->plan.places[it->second]);
}
const void* Program::OutputAddress(const std::string& name) const {
  const auto it = impl_->outputs.find(name);
  return it == impl_->outputs.end() ? nullptr : impl_->Address(impl_->plan.outputs[it->second]);
}
void* Program::InputData(const std::string& name) const {
  return impl_->backend->host() ? InputAddress(name) : nullptr;
}

MemoryInfo Program::memory() const { return impl_->Memory(); }
size_t Program::launches() const { return impl_->every.size(); }
size_t Program::work() const { return impl_->backend->Work(impl_->every_cache); }
size_t Program::bytes_moved() const {
  size_t bytes = 0;
  for (const Launch& l : impl_->every)
    for (const auto* sizes : {&l.in_bytes, &l.out_bytes}) bytes = std::accumulate(sizes->begin(), sizes->end(), bytes);
  return bytes;
}

const Graph& Program::graph() const { return impl_->graph; }

std::vector<std::string> Program::Listing() const {
  std::vector<std::string> lines;
  for (const PlannedLaunch& l : impl_->plan.every) {
    const Node& n = impl_->graph.node(l.node);
    std::string s = Describe(impl_->graph, n) + " ->";
    for (ValueId v : n.out) {
      const Value& value = impl_->graph.value(v);
      s += " " + value.shape.ToString();
      if (value.dtype == DType::kBF16) s += " bf16";
      if (value.layout == Layout::kBlocked16) s += " blocked16";
      if (value.layout == Layout::kNhwc) s += " nhwc";
      if (value.layout == Layout::kOpaque) s += " opaque";
    }
    lines.push_back(std::move(s));
  }
  for (const PlannedCopy& c : impl_->plan.copies) lines.push_back("Copy to " + c.to->name);
  return lines;
}

Status Program::Profile(int runs, double (*clock)(), std::vector<LaunchTime>* out) {
  Impl& p = *impl_;
  out->clear();
  for (size_t i = 0; i < p.every.size(); ++i)
    out->push_back({i < p.plan.every.size() ? p.plan.every[i].node : ~0u, std::numeric_limits<double>::infinity()});
  for (int run = 0; run < runs; ++run) {
    DISTIL_RETURN_IF_ERROR(p.Refresh());
    for (size_t i = 0; i < p.every.size(); ++i) {
      double seconds;
      DISTIL_RETURN_IF_ERROR(p.backend->Time(p.every[i], clock, &seconds));
      (*out)[i].seconds = std::min((*out)[i].seconds, seconds);
    }
    p.Assigned();
  }
  return {};
}

Status AllocateVariable(Backend* backend, uint64_t seed, const Init& init, Variable* v) {
  const auto n = static_cast<size_t>(v->shape.elements());
  const size_t size = DTypeSize(backend->real());
  DISTIL_RETURN_IF_ERROR(backend->Allocate(n * size, &v->storage));
  ++v->version;
  const uint32_t name = HashName(v->name.data(), v->name.size());
  auto value = [&](size_t i) {
    if (init.kind == Init::kConstant) return init.a;
    const auto w = RandomWords(seed, Purpose::kInit, name, 0, static_cast<uint32_t>(i));
    const double u = (static_cast<double>(w[0]) + 0.5) / 4294967296.0;
    if (init.kind == Init::kUniform) return (2 * u - 1) * init.a;
    const double t = (static_cast<double>(w[1]) + 0.5) / 4294967296.0;  // Box-Muller
    return init.a * std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * t);
  };
  double chunk[kChunk];
  for (size_t i = 0; i < n; i += kChunk) {
    const size_t m = std::min(kChunk, n - i);
    for (size_t j = 0; j < m; ++j) chunk[j] = value(i + j);
    DISTIL_RETURN_IF_ERROR(Put(backend, backend->real(), static_cast<char*>(v->storage.data) + i * size,
                               std::span<const double>(chunk, m)));
  }
  return {};
}

namespace {
template <class T>
Status Read(Backend* backend, const Variable& v, std::span<T> values) {
  if (static_cast<int64_t>(values.size()) != v.shape.elements())
    return SizeError(v.name, v.shape.elements(), values.size());
  return Get(backend, backend->real(), v.storage.data, values);
}
template <class T>
Status Write(Backend* backend, std::span<const T> values, Variable* v) {
  if (static_cast<int64_t>(values.size()) != v->shape.elements())
    return SizeError(v->name, v->shape.elements(), values.size());
  ++v->version;
  return Put(backend, backend->real(), v->storage.data, values);
}
}  // namespace

Status ReadVariable(Backend* b, const Variable& v, std::span<float> values) { return Read(b, v, values); }
Status ReadVariable(Backend* b, const Variable& v, std::span<double> values) { return Read(b, v, values); }
Status WriteVariable(Backend* b, std::span<const float> values, Variable* v) { return Write(b, values, v); }
Status WriteVariable(Backend* b, std::span<const double> values, Variable* v) { return Write(b, values, v); }

}  // namespace distil
