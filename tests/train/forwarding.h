// A backend that hands everything on to the reference, for tests that replace a part of it. Its memory is said to be a
// device's.
#pragma once

#include <memory>

#include "lib/backend/backend.h"

namespace distil {

class Forwarding : public Backend {
 public:
  std::string_view name() const override { return b_->name(); }
  std::string description() const override { return b_->description(); }
  bool host() const override { return false; }
  Status Optimize(Graph* g, const CompileOptions& o) override { return b_->Optimize(g, o); }
  Status MakeKernel(const Graph& g, NodeId n, std::unique_ptr<Kernel>* k) override { return b_->MakeKernel(g, n, k); }
  std::unique_ptr<Kernel> MakeCopy(size_t bytes) override { return b_->MakeCopy(bytes); }
  size_t Bytes(const Graph& g, ValueId v) const override { return b_->Bytes(g, v); }
  Status Allocate(size_t bytes, Buffer* out) override { return b_->Allocate(bytes, out); }
  Status Upload(void* d, const void* h, size_t bytes) override { return b_->Upload(d, h, bytes); }
  Status Download(void* h, const void* d, size_t bytes) override { return b_->Download(h, d, bytes); }
  Status Execute(std::span<const Launch> l, std::shared_ptr<void>* cache) override { return b_->Execute(l, cache); }

 private:
  std::unique_ptr<Backend> b_ = MakeReferenceBackend({}, DType::kF32);
};

}  // namespace distil
