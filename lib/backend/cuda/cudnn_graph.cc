#include "lib/backend/cuda/cudnn_graph.h"

namespace distil::cuda {

Status CudnnStatus(const Cudnn& api, cudnnStatus_t status, const std::string& what) {
  if (status == CUDNN_STATUS_SUCCESS) return {};
  char detail[2048] = "";
  api.cudnnGetLastErrorString(detail, sizeof detail);
  std::string message = what + ": cuDNN says " + api.cudnnGetErrorString(status);
  if (detail[0]) message += std::string(": ") + detail;
  if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) return Unsupported(std::move(message));
  if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
      status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
    return {Code::kOutOfMemory, std::move(message)};
  return Internal(std::move(message));
}

Building::Building(const Cudnn& api, cudnnBackendDescriptorType_t type, const char* what) : api_(api), what_(what) {
  cudnnBackendDescriptor_t handle = nullptr;
  status_ = CudnnStatus(api, api.cudnnBackendCreateDescriptor(type, &handle), what);
  if (status_.ok()) descriptor_ = Descriptor(api, handle);
}

void Building::Set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                   const void* values) {
  if (!status_.ok()) return;
  const cudnnStatus_t status = api_.cudnnBackendSetAttribute(descriptor_.get(), name, type, count, values);
  if (status != CUDNN_STATUS_SUCCESS)
    status_ = CudnnStatus(api_, status, std::string(what_) + ", attribute " + std::to_string(name));
}

Status Building::Finish(Descriptor* out) {
  if (status_.ok()) status_ = CudnnStatus(api_, api_.cudnnBackendFinalize(descriptor_.get()), what_);
  if (status_.ok()) *out = std::move(descriptor_);
  return status_;
}

Status GetInt64(const Cudnn& api, const Descriptor& d, cudnnBackendAttributeName_t name, int64_t* out) {
  int64_t count = 0;
  return CudnnStatus(api, api.cudnnBackendGetAttribute(d.get(), name, CUDNN_TYPE_INT64, 1, &count, out),
                     "attribute " + std::to_string(name));
}

Status GetDescriptors(const Cudnn& api, const Descriptor& d, cudnnBackendAttributeName_t name,
                      cudnnBackendDescriptorType_t type, const char* what, std::vector<Descriptor>* out) {
  out->clear();
  int64_t count = 0;
  DISTIL_RETURN_IF_ERROR(CudnnStatus(
      api, api.cudnnBackendGetAttribute(d.get(), name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr), what));
  std::vector<cudnnBackendDescriptor_t> handles;
  for (int64_t i = 0; i < count; ++i) {
    cudnnBackendDescriptor_t handle = nullptr;
    DISTIL_RETURN_IF_ERROR(CudnnStatus(api, api.cudnnBackendCreateDescriptor(type, &handle), what));
    out->emplace_back(api, handle);
    handles.push_back(handle);
  }
  if (count == 0) return {};
  DISTIL_RETURN_IF_ERROR(CudnnStatus(
      api, api.cudnnBackendGetAttribute(d.get(), name, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &count, handles.data()),
      what));
  out->resize(static_cast<size_t>(count));
  return {};
}

}  // namespace distil::cuda
