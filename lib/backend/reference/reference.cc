// The reference backend: which kernel runs a node, and what the graph must look like before that.
#include <cstring>

#include "lib/backend/reference/kernels.h"
#include "lib/expr/lower.h"

namespace distil {
namespace reference {
namespace {

template <class T>
KernelPtr Make(const Ctx& c) {
  if (IsPointwise(c.n.op)) return MakePointwise<T>(c);
  switch (c.n.op) {
#define OP(name, ...) \
  case Op::k##name:   \
    return Make##name<T>(c);
#include "lib/graph/ops.def"
#undef OP
    default: return nullptr;
  }
}

// Whether the node reads its input `i` as int32: it only moves elements, or wants indices there.
bool TakesIndex(const Graph& g, const Node& n, int i) {
  switch (n.op) {
    case Op::kRandom: return true;
    case Op::kGather: return i == 1 || g.value(n.out[0]).index;
    case Op::kScatterAdd: return i == 1;
    case Op::kReshape:
    case Op::kTranspose:
    case Op::kSlice:
    case Op::kConcat:
    case Op::kBroadcast:
    case Op::kReorder: return true;
    default: return false;
  }
}

class ReferenceBackend : public Backend {
 public:
  ReferenceBackend(const HostOptions& options, DType real) : options_(options), real_(real) {}

  std::string_view name() const override { return "reference"; }
  std::string description() const override { return real_ == DType::kF64 ? "plain C++, f64" : "plain C++, f32"; }
  DType real() const override { return real_; }

  // Everything is native. Where an op computes with an index tensor, a Reorder turns it into real numbers
  // first.
  Status Optimize(Graph* g, const CompileOptions& options) override {
    const std::string type = real_ == DType::kF64 ? "f64" : "f32";
    if (options.tf32) return Unsupported("tf32 is a number format of NVIDIA GPUs: this device computes in " + type);
    if (options.bf16)
      return Unsupported("bf16 needs oneDNN or a GPU: this device (\"cpu\" too in the small build) computes in " +
                         type);
    const Graph lowered = Lower(*g, [](const Node&) { return true; });
    Graph to;
    std::vector<ValueId> map(lowered.value_count(), kNoValue);
    for (NodeId id = 0; id < lowered.node_count(); ++id) {
      const Node& n = lowered.node(id);
      std::vector<std::pair<ValueId, ValueId>> replaced;
      for (size_t i = 0; i < n.in.size() && to.ok(); ++i) {
        const ValueId v = n.in[i];
        if (!lowered.value(v).index || TakesIndex(lowered, n, static_cast<int>(i))) continue;
        replaced.emplace_back(v, map[v]);
        map[v] = to.AddValue(Op::kReorder, {map[v]}, {static_cast<int64_t>(real_)});
        if (to.ok()) to.mutable_value(map[v]).index = false;
      }
      CopyNode(lowered, id, &to, &map);
      for (size_t i = replaced.size(); i-- > 0;) map[replaced[i].first] = replaced[i].second;
      if (!to.ok()) break;
    }
    CopyRoots(lowered, &to, map);
    if (!to.ok()) return InvalidArgument(to.error());
    for (ValueId v = 0; v < to.value_count(); ++v) {
      Value& value = to.mutable_value(v);
      value.dtype = value.index ? DType::kI32 : real_;
    }
    *g = std::move(to);
    return {};
  }

  Status MakeKernel(const Graph& g, NodeId n, std::unique_ptr<Kernel>* out) override {
    const Ctx c{g, g.node(n)};
    *out = real_ == DType::kF64 ? Make<double>(c) : Make<float>(c);
    if (!*out) return Unsupported("the reference backend has no kernel for " + Describe(g, c.n));
    return {};
  }

  std::unique_ptr<Kernel> MakeCopy(size_t bytes) override {
    return MakeLoop([bytes](const KernelArgs& a) { std::memcpy(a.out[0], a.in[0], bytes); });
  }

  size_t Bytes(const Graph& g, ValueId v) const override {
    return static_cast<size_t>(g.value(v).shape.elements()) * DTypeSize(g.value(v).dtype);
  }

  Status Allocate(size_t bytes, Buffer* out) override { return AllocateHost(options_, bytes, out); }
  Status Upload(void* device, const void* host, size_t bytes) override {
    std::memcpy(device, host, bytes);
    return {};
  }
  Status Download(void* host, const void* device, size_t bytes) override {
    std::memcpy(host, device, bytes);
    return {};
  }

  Status Execute(std::span<const Launch> launches, std::shared_ptr<void>*) override {
    for (const Launch& l : launches) l.kernel->Run({l.in.data(), l.out.data(), l.workspace});
    return {};
  }

 private:
  HostOptions options_;
  DType real_;
};

}  // namespace
}  // namespace reference

std::unique_ptr<Backend> MakeReferenceBackend(const HostOptions& options, DType real) {
  return std::make_unique<reference::ReferenceBackend>(options, real);
}

}  // namespace distil
