#include "lib/backend/cuda/launch_graph.h"

#include <algorithm>
#include <cstring>

#include "lib/backend/cuda/batch.h"
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

// The nodes that whatever comes next in the captured stream would wait for. Libraries may launch kernels that let the
// next one start early; a query that does not ask for the edges of such would fail. We wait for the whole kernels.
Status Ends(cudaStream_t stream, Nodes* out) {
  cudaStreamCaptureStatus status;
  const cudaGraphNode_t* nodes = nullptr;
  size_t count = 0;
  const cudaGraphEdgeData* edges = nullptr;
#if CUDART_VERSION >= 13000
  DISTIL_CUDA(cudaStreamGetCaptureInfo(stream, &status, nullptr, nullptr, &nodes, &edges, &count));
#else
  DISTIL_CUDA(cudaStreamGetCaptureInfo_v3(stream, &status, nullptr, nullptr, &nodes, &edges, &count));
#endif
  if (status != cudaStreamCaptureStatusActive) return Internal("a kernel did what cannot be captured");
  out->assign(nodes, nodes + count);
  return {};
}

// Launches that run as one: a single one, or several of equal code with their table in device memory.
struct Piece {
  std::vector<int> launches;
  const uint64_t* rows = nullptr;
  const uint32_t* blocks = nullptr;
  int64_t count = 0;
};

Status Enqueue(std::span<const Launch> launches, const Piece& p, cudaStream_t stream) {
  const Launch& l = launches[static_cast<size_t>(p.launches[0])];
  auto* kernel = static_cast<CudaKernel*>(l.kernel);
  if (p.launches.size() == 1) return kernel->Enqueue({l.in.data(), l.out.data(), l.workspace}, stream);
  return kernel->batch()->EnqueueMany(p.rows, p.blocks, p.count, stream);
}

// Adds a piece to `graph` behind the nodes `after`; `ends` gets the nodes that stand for it. One that enqueues nothing
// is stood for by what it waits for.
Status Add(cudaGraph_t graph, cudaStream_t stream, std::span<const Launch> launches, const Piece& p, const Nodes& after,
           Nodes* ends) {
  // Relaxed: a library may load a kernel's code, and take memory for it, when it first launches the kernel.
  DISTIL_CUDA(
      cudaStreamBeginCaptureToGraph(stream, graph, after.data(), nullptr, after.size(), cudaStreamCaptureModeRelaxed));
  Status s = Enqueue(launches, p, stream);
  if (s.ok()) s = Ends(stream, ends);
  cudaGraph_t same = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(stream, &same);  // also after an error: the stream must go on
  return s.ok() ? ToStatus(ended, "cudaStreamEndCapture") : s;
}

// Groups small launches of equal code, and puts the tables of the groups into device memory, `*tables`.
Status MakePieces(Context* context, std::span<const Launch> launches, const std::vector<std::vector<int>>& waits,
                  void** tables, std::vector<Piece>* pieces) {
  std::vector<std::string_view> keys;
  for (const Launch& l : launches) {
    const Batchable* b = static_cast<CudaKernel*>(l.kernel)->batch();
    keys.push_back(b ? b->key() : std::string_view());
  }
  std::vector<uint64_t> bytes;                // of all tables, in words
  std::vector<std::pair<size_t, size_t>> at;  // of each piece: its rows and its blocks
  for (std::vector<int>& group : Batch(keys, waits)) {
    Piece p{std::move(group)};
    at.emplace_back();
    if (p.launches.size() > 1) {
      BatchTable table;
      for (int i : p.launches) {
        const Launch& l = launches[static_cast<size_t>(i)];
        const Batchable* b = static_cast<CudaKernel*>(l.kernel)->batch();
        DISTIL_RETURN_IF_ERROR(b->LoadMany());
        b->AddTo({l.in.data(), l.out.data(), l.workspace}, &table);
      }
      p.count = table.block_count();
      at.back().first = bytes.size();
      bytes.insert(bytes.end(), table.rows.begin(), table.rows.end());
      at.back().second = bytes.size();
      bytes.resize(bytes.size() + table.blocks.size() / 2);  // a pair to a word
      std::memcpy(&bytes[at.back().second], table.blocks.data(), table.blocks.size() * sizeof(uint32_t));
    }
    pieces->push_back(std::move(p));
  }
  if (bytes.empty()) return {};
  DISTIL_CUDA(cudaMalloc(tables, bytes.size() * sizeof(uint64_t)));
  const auto* base = static_cast<const uint64_t*>(*tables);
  for (size_t i = 0; i < pieces->size(); ++i) {
    (*pieces)[i].rows = base + at[i].first;
    (*pieces)[i].blocks = reinterpret_cast<const uint32_t*>(base + at[i].second);
  }
  return context->transfer().Upload(*tables, bytes.data(), bytes.size() * sizeof(uint64_t));
}

Status AddAll(Context* context, cudaGraph_t graph, std::span<const Launch> launches, void** tables) {
  std::vector<Access> accesses;
  for (const Launch& l : launches) accesses.push_back(AccessOf(l));
  std::vector<Piece> pieces;
  DISTIL_RETURN_IF_ERROR(MakePieces(context, launches, Dependencies(accesses), tables, &pieces));
  std::vector<Access> together(pieces.size());
  for (size_t i = 0; i < pieces.size(); ++i) {
    for (int l : pieces[i].launches) {
      const Access& a = accesses[static_cast<size_t>(l)];
      together[i].reads.insert(together[i].reads.end(), a.reads.begin(), a.reads.end());
      together[i].writes.insert(together[i].writes.end(), a.writes.begin(), a.writes.end());
    }
  }
  const std::vector<std::vector<int>> waits = Dependencies(together);
  std::vector<Nodes> ends(pieces.size());
  for (size_t i = 0; i < pieces.size(); ++i) {
    Nodes after;
    for (int j : waits[i])
      after.insert(after.end(), ends[static_cast<size_t>(j)].begin(), ends[static_cast<size_t>(j)].end());
    std::sort(after.begin(), after.end());
    after.erase(std::unique(after.begin(), after.end()), after.end());
    DISTIL_RETURN_IF_ERROR(Add(graph, context->capture_stream(), launches, pieces[i], after, &ends[i]));
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
  Status s = AddAll(context, graph, launches, &g->tables_);
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
  const Scope scope(*context_);
  if (exec_) cudaGraphExecDestroy(exec_);
  if (tables_) cudaFree(tables_);  // waits for what reads them
}

Status LaunchGraph::Run() const {
  DISTIL_CUDA(cudaGraphLaunch(exec_, context_->stream()));
  return {};
}

}  // namespace distil::cuda
