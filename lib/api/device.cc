// Devices by name.

#include "lib/api/internal.h"
#include "lib/base/text.h"

namespace distil::api {
namespace {

struct DeviceKind {
  const char* name;
  std::unique_ptr<Backend> (*make)(const HostOptions&);
};

constexpr DeviceKind kDevices[] = {
    {"cpu", MakeOneDnnBackend},
    {"reference", [](const HostOptions& o) { return MakeReferenceBackend(o, DType::kF32); }},
    {"reference:f64", [](const HostOptions& o) { return MakeReferenceBackend(o, DType::kF64); }},
};

Status Open(const char* name, const distil_device_options* options, distil_device* out) {
  auto device = std::make_shared<Device>();
  HostOptions host;
  if (options) {
    DISTIL_RETURN_IF_ERROR(NeedStruct(options, "options", "DISTIL_DEVICE_OPTIONS_INIT"));
    if (options->threads < 0 || options->threads > 4096)
      return InvalidArgument("options->threads is " + std::to_string(options->threads) + ", not from 0 to 4096");
    if (!options->allocate != !options->release)
      return InvalidArgument("options->allocate and options->release belong together: one of them is NULL");
    host.threads = options->threads;
    if (options->allocate) {
      host.allocate = [f = options->allocate, user = options->allocator_user](size_t n) { return f(user, n); };
      host.release = [f = options->release, user = options->allocator_user](void* p, size_t n) { f(user, p, n); };
    }
    if (options->log)
      device->log = [f = options->log, user = options->log_user](Device::Level level, const std::string& message) {
        f(user, level == Device::kWarning ? DISTIL_LOG_WARNING : DISTIL_LOG_INFO, message.c_str());
      };
  }
  std::vector<std::string> names;
  for (const DeviceKind& kind : kDevices) {
    names.push_back(kind.name);
    if (names.back() == name) device->backend = kind.make(host);
  }
  if (!device->backend) return NotFound(NoSuch("device", name, names));
  device->name = name;
  out->description = device->backend->description();
  out->device = std::move(device);
  return {};
}

}  // namespace
}  // namespace distil::api

using namespace distil;
using api::Call;

distil_status distil_device_open(const char* name, const distil_device_options* options, distil_device** device) {
  if (device) *device = nullptr;
  return Call([&]() -> Status {
    DISTIL_NEED(name);
    DISTIL_NEED(device);
    auto d = std::make_unique<distil_device>();
    DISTIL_RETURN_IF_ERROR(api::Open(name, options, d.get()));
    *device = d.release();
    return {};
  });
}

void distil_device_close(distil_device* device) { delete device; }

const char* distil_device_description(const distil_device* device) { return device ? device->description.c_str() : ""; }

const char* distil_device_name(size_t i) { return i < std::size(api::kDevices) ? api::kDevices[i].name : nullptr; }
