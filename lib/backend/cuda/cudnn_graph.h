// cuDNN's graph interface, as far as convolutions need it: descriptors that free themselves and attributes with types,
// over the six C functions that it consists of. (NVIDIA, "cuDNN backend API"; cudnn_graph.h lists the attributes.)
//
// A computation is a graph of operation descriptors over tensor descriptors. Heuristics list engine configurations for
// it, each of which becomes an execution plan; a variant pack binds a plan's tensors to addresses.
#pragma once

#include <concepts>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/backend/cuda/libraries.h"
#include "lib/base/status.h"

namespace distil::cuda {

// What cuDNN says of a failure: Unsupported where no engine can do it, "<what>: <cuDNN's own words>".
Status CudnnStatus(const Cudnn& api, cudnnStatus_t status, const std::string& what);

// Owns one backend descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  Descriptor(const Cudnn& api, cudnnBackendDescriptor_t handle) : api_(&api), handle_(handle) {}
  Descriptor(Descriptor&& o) noexcept { *this = std::move(o); }
  Descriptor& operator=(Descriptor&& o) noexcept {
    std::swap(api_, o.api_);
    std::swap(handle_, o.handle_);
    return *this;
  }
  ~Descriptor() {
    if (handle_) api_->cudnnBackendDestroyDescriptor(handle_);
  }
  cudnnBackendDescriptor_t get() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  const Cudnn* api_ = nullptr;
  cudnnBackendDescriptor_t handle_ = nullptr;
};

// Creates a descriptor, sets attributes and finalises it. The first error sticks; Finish returns it.
class Building {
 public:
  // `what` names the descriptor in messages and must outlive this.
  Building(const Cudnn& api, cudnnBackendDescriptorType_t type, const char* what);

  void Set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count, const void* values);
  void Set(cudnnBackendAttributeName_t name, std::span<const int64_t> v) {
    Set(name, CUDNN_TYPE_INT64, static_cast<int64_t>(v.size()), v.data());
  }
  void Set(cudnnBackendAttributeName_t name, int64_t v) { Set(name, CUDNN_TYPE_INT64, 1, &v); }
  void Set(cudnnBackendAttributeName_t name, double v) { Set(name, CUDNN_TYPE_DOUBLE, 1, &v); }
  template <std::same_as<bool> B>  // nothing else: pointers would do
  void Set(cudnnBackendAttributeName_t name, B v) {
    Set(name, CUDNN_TYPE_BOOLEAN, 1, &v);
  }
  void Set(cudnnBackendAttributeName_t name, cudnnDataType_t v) { Set(name, CUDNN_TYPE_DATA_TYPE, 1, &v); }
  void Set(cudnnBackendAttributeName_t name, const Descriptor& v) {
    const cudnnBackendDescriptor_t handle = v.get();
    Set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &handle);
  }
  Status Finish(Descriptor* out);

 private:
  const Cudnn& api_;
  const char* what_;
  Descriptor descriptor_;
  Status status_;
};

// Reads of finalised descriptors.
Status GetInt64(const Cudnn& api, const Descriptor& d, cudnnBackendAttributeName_t name, int64_t* out);
// All values of an attribute that is a list.
template <class T>
Status GetList(const Cudnn& api, const Descriptor& d, cudnnBackendAttributeName_t name,
               cudnnBackendAttributeType_t type, const char* what, std::vector<T>* out) {
  int64_t count = 0;
  out->resize(64);  // more than any engine has notes
  const cudnnStatus_t status =
      api.cudnnBackendGetAttribute(d.get(), name, type, static_cast<int64_t>(out->size()), &count, out->data());
  out->resize(status == CUDNN_STATUS_SUCCESS ? static_cast<size_t>(count) : 0);
  return CudnnStatus(api, status, what);
}
// As GetList for descriptors, which the caller must create: as many of `type` as there are.
Status GetDescriptors(const Cudnn& api, const Descriptor& d, cudnnBackendAttributeName_t name,
                      cudnnBackendDescriptorType_t type, const char* what, std::vector<Descriptor>* out);

}  // namespace distil::cuda
