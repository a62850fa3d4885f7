// Devices by name.

#include "lib/api/internal.h"
#include "lib/backend/cpu.h"
#include "lib/base/text.h"

namespace distil::api {
namespace {

// For messages and lists; "cuda" and "cuda:1", ... work as well.
constexpr const char* kNames[] = {"cpu", "cuda:0", "reference", "reference:f64"};

// Whether `name` is a GPU's: its number then, or -1 for one that cannot be.
bool IsCuda(const std::string& name, int* device) {
  if (name.rfind("cuda", 0) != 0 || (name.size() > 4 && name[4] != ':')) return false;
  const std::string number = name.size() > 4 ? name.substr(5) : "0";
  const bool digits = !number.empty() && number.size() < 5 && number.find_first_not_of("0123456789") == number.npos;
  *device = digits ? std::stoi(number) : -1;
  return true;
}

Status Make(const std::string& name, const HostOptions& host, std::unique_ptr<Backend>* out) {
  int device;
  if (IsCuda(name, &device)) {
    if (device < 0) return NotFound("device '" + name + "' has no number behind 'cuda:': the first GPU is cuda:0");
    return MakeCudaBackend(device, host, out);
  }
  if (name == "cpu") *out = MakeCpuBackend(host);
  if (name == "reference") *out = MakeReferenceBackend(host, DType::kF32);
  if (name == "reference:f64") *out = MakeReferenceBackend(host, DType::kF64);
  const std::vector<std::string> names(std::begin(kNames), std::end(kNames));
  return *out ? Status() : NotFound(NoSuch("device", name, names));
}

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
  DISTIL_RETURN_IF_ERROR(Make(name, host, &device->backend));
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

const char* distil_device_name(size_t i) { return i < std::size(api::kNames) ? api::kNames[i] : nullptr; }
