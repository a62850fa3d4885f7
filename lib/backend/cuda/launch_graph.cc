#include "lib/backend/cuda/launch_graph.h"

#include <algorithm>

#include "lib/backend/cuda/hazards.h"
#include "lib/backend/cuda/kernel.h"

namespace distil::cuda {
namespace {

using Nodes = std::vector<cudaGraphNode_t>;

Access AccessOf(const Launch& l) {
  Access a;
  for (size_t i = 0; i < l.in.size(); ++i) a.reads.push_back({l.in[i], l.in_bytes[i]});
  for (size_t i = 0; i < l.out.size(); ++i) a.writes.push_back({l.out[i], l.out_bytes[i]});
  a.writes.push_back({l.workspace, l.kernel->workspace()});
  return a;
}

// The nodes that whatever comes next in the captured stream would wait for.
Status Ends(cudaStream_t stream, Nodes* out) {
  cudaStreamCaptureStatus status;
  const cudaGraphNode_t* nodes = nullptr;
  size_t count = 0;
#if CUDART_VERSION >= 13000
  DISTIL_CUDA(cudaStreamGetCaptureInfo(stream, &status, nullptr, nullptr, &nodes, nullptr, &count));
#else
  DISTIL_CUDA(cudaStreamGetCaptureInfo_v2(stream, &status, nullptr, nullptr, &nodes, &count));
#endif
  if (status != cudaStreamCaptureStatusActive) return Internal("a kernel did what cannot be captured");
  out->assign(nodes, nodes + count);
  return {};
}

// Adds a launch to `graph` behind the nodes `after`; `ends` gets the nodes that stand for it. A launch that enqueues
// nothing is stood for by what it waits for.
Status Add(cudaGraph_t graph, cudaStream_t stream, const Launch& l, const Nodes& after, Nodes* ends) {
  // Relaxed: a library may load a kernel's code, and take memory for it, when it first launches the kernel.
  DISTIL_CUDA(
      cudaStreamBeginCaptureToGraph(stream, graph, after.data(), nullptr, after.size(), cudaStreamCaptureModeRelaxed));
  Status s = static_cast<CudaKernel*>(l.kernel)->Enqueue({l.in.data(), l.out.data(), l.workspace}, stream);
  if (s.ok()) s = Ends(stream, ends);
  cudaGraph_t same = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(stream, &same);  // also after an error: the stream must go on
  return s.ok() ? ToStatus(ended, "cudaStreamEndCapture") : s;
}

Status AddAll(cudaGraph_t graph, cudaStream_t stream, std::span<const Launch> launches) {
  std::vector<Access> accesses;
  for (const Launch& l : launches) accesses.push_back(AccessOf(l));
  const std::vector<std::vector<int>> waits = Dependencies(accesses);
  std::vector<Nodes> ends(launches.size());
  for (size_t i = 0; i < launches.size(); ++i) {
    Nodes after;
    for (int j : waits[i])
      after.insert(after.end(), ends[static_cast<size_t>(j)].begin(), ends[static_cast<size_t>(j)].end());
    std::sort(after.begin(), after.end());
    after.erase(std::unique(after.begin(), after.end()), after.end());
    DISTIL_RETURN_IF_ERROR(Add(graph, stream, launches[i], after, &ends[i]));
  }
  return {};
}

}  // namespace

void LaunchGraph::Addresses(std::span<const Launch> launches, std::vector<const void*>* out) {
  for (const Launch& l : launches) {
    out->push_back(l.kernel);
    out->insert(out->end(), l.in.begin(), l.in.end());
    out->insert(out->end(), l.out.begin(), l.out.end());
    out->push_back(l.workspace);
  }
}

bool LaunchGraph::Fits(std::span<const Launch> launches) const {
  size_t i = 0;
  auto next = [&](const void* p) { return i < addresses_.size() && addresses_[i++] == p; };
  for (const Launch& l : launches) {
    if (!next(l.kernel)) return false;
    for (const void* p : l.in)
      if (!next(p)) return false;
    for (const void* p : l.out)
      if (!next(p)) return false;
    if (!next(l.workspace)) return false;
  }
  return i == addresses_.size();
}

Status LaunchGraph::Capture(Context* context, std::span<const Launch> launches, std::unique_ptr<LaunchGraph>* out) {
  std::unique_ptr<LaunchGraph> g(new LaunchGraph(context));
  Addresses(launches, &g->addresses_);
  cudaGraph_t graph;
  DISTIL_CUDA(cudaGraphCreate(&graph, 0));
  Status s = AddAll(graph, context->capture_stream(), launches);
  if (s.ok()) s = ToStatus(cudaGraphGetNodes(graph, nullptr, &g->nodes_), "cudaGraphGetNodes");
  if (s.ok()) s = ToStatus(cudaGraphInstantiate(&g->exec_, graph, 0), "cudaGraphInstantiate");
  if (s.ok()) s = ToStatus(cudaGraphUpload(g->exec_, context->stream()), "cudaGraphUpload");
  cudaGraphDestroy(graph);
  DISTIL_RETURN_IF_ERROR(s);
  *out = std::move(g);
  return {};
}

Status LaunchGraph::Replay(Context* context, std::span<const Launch> launches, std::shared_ptr<void>* cache) {
  if (launches.empty()) return {};
  auto* graph = static_cast<LaunchGraph*>(cache->get());
  if (!graph || !graph->Fits(launches)) {
    cache->reset();
    std::unique_ptr<LaunchGraph> captured;
    DISTIL_RETURN_IF_ERROR(Capture(context, launches, &captured));
    graph = captured.get();
    *cache = std::shared_ptr<LaunchGraph>(std::move(captured));
  }
  return graph->Run();
}

LaunchGraph::~LaunchGraph() {
  if (!exec_) return;
  const Scope scope(*context_);
  cudaGraphExecDestroy(exec_);
}

Status LaunchGraph::Run() const {
  DISTIL_CUDA(cudaGraphLaunch(exec_, context_->stream()));
  return {};
}

}  // namespace distil::cuda
