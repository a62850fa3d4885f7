// The launches of a step: what they cost in it, and what its convolutions and matmuls cost alone. This looks inside the
// library; what a user would see is in step_time.cc.
#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

#include "bench/machine.h"
#include "bench/step_child.h"
#include "lib/backend/convolution.h"
#include "lib/backend/step_cost.h"
#include "lib/train/trainer.h"

namespace distil::bench {
namespace {

struct Step {
  std::shared_ptr<Device> device = std::make_shared<Device>();
  std::unique_ptr<Trainer> trainer;
  std::vector<float> images;
  std::vector<int32_t> labels;

  Status Make(const StepSpec& spec) {
    HostOptions host;
    host.threads = spec.threads;
    device->name = spec.device;
    if (spec.device == "cpu")
      device->backend = MakeOneDnnBackend(host);
    else if (spec.device.rfind("cuda:", 0) == 0)
      DISTIL_RETURN_IF_ERROR(MakeCudaBackend(std::atoi(spec.device.c_str() + 5), host, &device->backend));
    else
      return NotFound("there is no device '" + spec.device + "' to time: cpu, cuda:0, cuda:1, ...");
    const int64_t input[3] = {3, 32, 32};
    Trainer::Roles roles;
    for (const auto& [role, model] : {std::pair("student", spec.student), std::pair("teacher", spec.teacher)}) {
      if (model == "none") continue;
      std::shared_ptr<Network> n;
      DISTIL_RETURN_IF_ERROR(Network::CreateFromZoo(device, model, 100, input, 1, &n));
      roles.emplace_back(role, std::move(n));
    }
    TextOptions options;
    DISTIL_RETURN_IF_ERROR(SplitOptions(
        "schedule=constant lr=1e-4 momentum=0.9 weight_decay=5e-4 " + ModeOptions(spec.mode) + " " + spec.options,
        &options));
    const std::string method = !spec.method.empty() ? spec.method : roles.size() > 1 ? "kd" : "ce";
    DISTIL_RETURN_IF_ERROR(Trainer::Create(device, method, options, roles, &trainer));
    for (int64_t i = 0; i < spec.batch * 3 * 32 * 32; ++i)
      images.push_back(static_cast<float>(i * 7919 % 1000) / 500 - 1);
    for (int64_t i = 0; i < spec.batch; ++i) labels.push_back(static_cast<int32_t>(i % 100));
    Batch batch;
    batch.count = spec.batch, batch.images = images.data(), batch.labels = labels.data();
    StepResult result;
    for (int i = 0; i < spec.warmup; ++i) DISTIL_RETURN_IF_ERROR(trainer->Step(batch, &result));
    return {};
  }
};

std::string KindOf(const Graph& g, NodeId n) {
  if (n == ~0u) return "copy";
  switch (g.node(n).op) {
    case Op::kConv2d: return "conv";
    case Op::kConv2dInput: return "conv by input";
    case Op::kConv2dWeight: return "conv by weight";
    case Op::kMatMul: return "matmul";
    case Op::kFused: return "fused";
    case Op::kReorder: return "reorder";
    case Op::kMaxPool:
    case Op::kMaxPoolScatter:
    case Op::kAvgPool:
    case Op::kAvgPoolGrad: return "pool";
    default: return "other";
  }
}

// Equal launches have equal keys.
std::string Key(const Graph& g, const Node& n) {
  std::string key = Describe(g, n);
  for (int64_t i : n.ints) key += " " + std::to_string(i);
  for (const auto* values : {&n.in, &n.out})
    for (ValueId v : *values)
      key += " " + std::to_string(static_cast<int>(g.value(v).layout)) +
             std::to_string(static_cast<int>(g.value(v).dtype));
  return key;
}

// The best time of a node's kernel on memory of its own.
Status TimeAlone(Backend* backend, const Graph& g, NodeId id, int runs, double (*clock)(), double* best) {
  const Node& n = g.node(id);
  std::unique_ptr<Kernel> kernel;
  DISTIL_RETURN_IF_ERROR(backend->MakeKernel(g, id, &kernel));
  std::vector<Buffer> memory;
  auto take = [&](size_t bytes) -> Status {
    memory.emplace_back();
    DISTIL_RETURN_IF_ERROR(backend->Allocate(bytes + 64, &memory.back()));
    std::vector<uint16_t> p(bytes / 2);
    for (size_t i = 0; i < p.size(); ++i)  // numbers of size 1/2 to 1, both as f32 and as bf16
      p[i] = static_cast<uint16_t>(0x3f00 | (i * 40503 >> 4 & 0x7f) | (i * 2654435761u >> 7 & 1) << 15);
    return backend->Upload(memory.back().data, p.data(), p.size() * 2);
  };
  Launch launch{kernel.get(), {}, {}, nullptr};
  for (ValueId v : n.in) {
    launch.in_bytes.push_back(backend->Bytes(g, v));
    DISTIL_RETURN_IF_ERROR(take(launch.in_bytes.back()));
    launch.in.push_back(memory.back().data);
  }
  for (ValueId v : n.out) {
    launch.out_bytes.push_back(backend->Bytes(g, v));
    const int residual = kernel->PreferAlias(static_cast<int>(launch.out.size()));
    if (residual >= 0) {  // in place, as the planner does it
      launch.out.push_back(const_cast<void*>(launch.in[static_cast<size_t>(residual)]));
      continue;
    }
    DISTIL_RETURN_IF_ERROR(take(launch.out_bytes.back()));
    launch.out.push_back(memory.back().data);
  }
  DISTIL_RETURN_IF_ERROR(take(kernel->workspace()));
  launch.workspace = memory.back().data;
  *best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < runs; ++i) {
    double seconds;
    DISTIL_RETURN_IF_ERROR(backend->Time(launch, clock, &seconds));
    *best = std::min(*best, seconds);
  }
  return {};
}

// Bytes per second that a large copy reads and writes, together: the least time of a few.
Status CopyRate(Backend* backend, double (*clock)(), double* rate) {
  constexpr size_t kBytes = size_t{256} << 20;
  Buffer from, to;
  DISTIL_RETURN_IF_ERROR(backend->Allocate(kBytes, &from));
  DISTIL_RETURN_IF_ERROR(backend->Allocate(kBytes, &to));
  const std::unique_ptr<Kernel> copy = backend->MakeCopy(kBytes);
  const Launch launch{copy.get(), {from.data}, {to.data}, nullptr, {kBytes}, {kBytes}};
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 5; ++i) {
    double seconds;
    DISTIL_RETURN_IF_ERROR(backend->Time(launch, clock, &seconds));
    best = std::min(best, seconds);
  }
  *rate = 2.0 * kBytes / best;
  return {};
}

}  // namespace

nlohmann::json TimeLaunches(const StepSpec& spec, bool cpu_clock, bool floor) {
  nlohmann::json result;
  double (*clock)() = cpu_clock ? CpuSeconds : WallSeconds;
  auto run = [&]() -> Status {
    Step step;
    DISTIL_RETURN_IF_ERROR(step.Make(spec));
    std::map<std::string, std::pair<double, int>> kinds;
    std::map<std::string, double> alone;
    double floor_s = 0, sum = 0, macs_s = 0, macs = 0, rest_bytes = 0;
    size_t launches = 0, work = 0, bytes_moved = 0;
    int image_reorders = 0;
    MemoryInfo memory;
    for (Program* p : step.trainer->programs()) {
      std::vector<LaunchTime> times;
      DISTIL_RETURN_IF_ERROR(p->Profile(spec.steps, clock, &times));
      const Graph& g = p->graph();
      for (const LaunchTime& t : times) {
        auto& [seconds, count] = kinds[KindOf(g, t.node)];
        seconds += t.seconds, ++count;
        sum += t.seconds;
        if (t.node == ~0u) continue;
        const Node& n = g.node(t.node);
        const Shape& shape = g.value(n.out[0]).shape;
        image_reorders += n.op == Op::kReorder && shape.rank() == 4 && shape[0] == spec.batch &&
                          shape[2] * shape[3] > 1 && g.value(n.in[0]).layout != Layout::kOpaque &&
                          g.value(n.out[0]).layout != Layout::kOpaque;
        if (!IsConv(n.op) && n.op != Op::kMatMul) continue;
        macs_s += t.seconds;
        if (!floor) continue;
        auto [it, fresh] = alone.try_emplace(Key(g, n), 0.0);
        if (fresh)
          DISTIL_RETURN_IF_ERROR(TimeAlone(step.device->backend.get(), g, t.node, spec.steps, clock, &it->second));
        floor_s += it->second;
      }
      const StepCost cost = CostOf(g);
      macs += static_cast<double>(cost.total().multiply_adds);
      rest_bytes += static_cast<double>(cost.total().bytes - cost.convolutions.bytes - cost.products.bytes);
      launches += times.size(), work += p->work(), bytes_moved += p->bytes_moved();
      memory.arena = std::max(memory.arena, p->memory().arena), memory.live = std::max(memory.live, p->memory().live);
    }
    for (const auto& [kind, value] : kinds)
      result["by_kind"][kind] = {{"seconds", value.first}, {"launches", value.second}};
    result["launches_s"] = sum;
    result["launches"] = launches;
    result["work"] = work;
    result["bytes_moved"] = bytes_moved;
    if (floor) {
      double rate = 0;
      DISTIL_RETURN_IF_ERROR(CopyRate(step.device->backend.get(), clock, &rate));
      result["floor_s"] = floor_s;
      result["bytes_s"] = static_cast<double>(bytes_moved) / rate;
    }
    result["macs"] = macs, result["macs_s"] = macs_s;
    result["rest_bytes"] = rest_bytes, result["rest_s"] = sum - macs_s;
    result["image_reorders"] = image_reorders;
    result["arena_over_live"] =
        static_cast<double>(memory.arena) / static_cast<double>(std::max<size_t>(memory.live, 1));
    return {};
  };
  if (const Status s = run(); !s.ok()) result["error"] = s.message();
  return result;
}

std::string ListLaunches(const StepSpec& spec, bool cpu_clock) {
  Step step;
  if (const Status s = step.Make(spec); !s.ok()) return s.message() + "\n";
  std::string text;
  for (Program* p : step.trainer->programs()) {
    std::vector<LaunchTime> times;
    if (const Status s = p->Profile(spec.steps, cpu_clock ? CpuSeconds : WallSeconds, &times); !s.ok())
      return s.message() + "\n";
    const std::vector<std::string> lines = p->Listing();
    for (size_t i = 0; i < lines.size(); ++i) {
      char number[32];
      std::snprintf(number, sizeof(number), "%9.3f ms  ", times[i].seconds * 1e3);
      text += number + lines[i] + "\n";
    }
    text += ToText(CostOf(p->graph()));
  }
  return text;
}

}  // namespace distil::bench
