#include "tests/cuda/fake_cuda.h"

#include <cublasLt.h>
#include <cudnn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

struct CUgraphNode_st {
  std::function<void()> work;
  std::vector<cudaGraphNode_t> after;
};
struct CUgraph_st {
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes;
};
struct CUgraphExec_st {
  std::vector<std::function<void()>> work;
  std::vector<std::vector<size_t>> after;
};
struct CUstream_st {
  cudaGraph_t graph = nullptr;  // that is being captured
  std::vector<cudaGraphNode_t> ends;
};

namespace distil::cuda::fake {

Machine machine;

void Enqueue(cudaStream_t stream, std::function<void()> work) {
  if (!stream || !stream->graph) return work();
  stream->graph->nodes.push_back(std::make_unique<CUgraphNode_st>(CUgraphNode_st{std::move(work), stream->ends}));
  stream->ends = {stream->graph->nodes.back().get()};
}
bool IsCapturing(cudaStream_t stream) { return stream->graph != nullptr; }

void SetUp() {
  machine = {};
  char here[4096];
  ASSERT_NE(getcwd(here, sizeof here), nullptr);
  const std::string library = std::string(here) + "/tests/cuda/libfake.so", folder = testing::TempDir();
  for (const std::string& name :
       {"libcudnn.so." + std::to_string(CUDNN_MAJOR), "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR)}) {
    unlink((folder + "/" + name).c_str());
    ASSERT_EQ(symlink(library.c_str(), (folder + "/" + name).c_str()), 0);
  }
  setenv("DISTIL_CUDA_LIBRARY_PATH", folder.c_str(), 1);
}

}  // namespace distil::cuda::fake

using distil::cuda::fake::machine;

extern "C" {

cudaError_t cudaRuntimeGetVersion(int* v) { return *v = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* v) { return *v = machine.driver, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* n) {
  *n = machine.devices;
  return *n ? cudaSuccess : cudaErrorNoDevice;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  std::memset(p, 0, sizeof *p);
  std::strcpy(p->name, "Fake");
  p->major = machine.major, p->minor = machine.minor, p->multiProcessorCount = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* d) { return *d = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "an error"; }
const char* cudaGetErrorName(cudaError_t) { return "cudaError"; }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) { return *s = new CUstream_st, cudaSuccess; }
cudaError_t cudaStreamDestroy(cudaStream_t s) { return delete s, cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
  return *e = static_cast<cudaEvent_t>(std::malloc(1)), cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e) { return std::free(e), cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return machine.at_query = cudaSuccess; }
cudaError_t cudaEventQuery(cudaEvent_t) { return machine.last_error = machine.at_query; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaGetLastError() { return std::exchange(machine.last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return machine.last_error; }
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) { return *free = *total = machine.memory, cudaSuccess; }
cudaError_t cudaHostAlloc(void** p, size_t n, unsigned) { return *p = std::malloc(n), cudaSuccess; }
cudaError_t cudaFreeHost(void* p) { return std::free(p), cudaSuccess; }
cudaError_t cudaMalloc(void** p, size_t n) { return *p = std::malloc(n), cudaSuccess; }
cudaError_t cudaFree(void* p) { return std::free(p), cudaSuccess; }
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t n, cudaMemcpyKind, cudaStream_t s) {
  distil::cuda::fake::Enqueue(s, [=] { std::memcpy(to, from, n); });
  return cudaSuccess;
}

cudaError_t cudaGraphCreate(cudaGraph_t* g, unsigned) {
  ++machine.graphs;
  return *g = new CUgraph_st, cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t g) {
  --machine.graphs;
  return delete g, cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t g, cudaGraphNode_t*, size_t* n) { return *n = g->nodes.size(), cudaSuccess; }
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* e, cudaGraph_t g, unsigned long long) {
  ++machine.executables;
  *e = new CUgraphExec_st;
  for (const auto& node : g->nodes) {
    (*e)->work.push_back(node->work);
    (*e)->after.emplace_back();
    for (cudaGraphNode_t a : node->after)
      for (size_t i = 0; i < g->nodes.size(); ++i)
        if (g->nodes[i].get() == a) (*e)->after.back().push_back(i);
  }
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t e) {
  --machine.executables;
  return delete e, cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t) {
  if (machine.at_launch != cudaSuccess) return machine.at_launch;
  std::mt19937 bits(machine.seed++);
  std::vector<bool> done(e->work.size());
  for (size_t left = done.size(); left > 0; --left) {
    std::vector<size_t> ready;
    for (size_t i = 0; i < done.size(); ++i)
      if (!done[i] && std::all_of(e->after[i].begin(), e->after[i].end(), [&](size_t a) { return done[a]; }))
        ready.push_back(i);
    const size_t next = ready[bits() % ready.size()];
    e->work[next]();
    done[next] = true;
  }
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t s, cudaGraph_t g, const cudaGraphNode_t* after,
                                          const cudaGraphEdgeData*, size_t n, cudaStreamCaptureMode) {
  if (s->graph) return cudaErrorIllegalState;
  ++machine.captures;
  s->graph = g;
  s->ends.assign(after, after + n);
  return cudaSuccess;
}
#if CUDART_VERSION < 13000
#define cudaStreamGetCaptureInfo cudaStreamGetCaptureInfo_v3
#endif
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t s, cudaStreamCaptureStatus* status, unsigned long long*, cudaGraph_t*,
                                     const cudaGraphNode_t** nodes, const cudaGraphEdgeData** edges, size_t* n) {
  if (!edges) return cudaErrorLossyQuery;
  *status = s->graph ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  *nodes = s->ends.data(), *edges = nullptr, *n = s->ends.size();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* g) {
  if (!s->graph) return cudaErrorIllegalState;
  *g = s->graph;
  s->graph = nullptr;
  return cudaSuccess;
}

}  // extern "C"
