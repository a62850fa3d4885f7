// Steps through the public interface.
#include <distil/distil.h>

#include <vector>

#include "bench/machine.h"
#include "bench/step_child.h"

namespace distil::bench {
namespace {

constexpr int kBatches = 4;

struct Batches {
  std::vector<float> images;
  std::vector<int32_t> labels;
  int64_t count;

  explicit Batches(int64_t n) : count(n) {
    images.reserve(static_cast<size_t>(kBatches * n * 3 * 32 * 32));
    uint32_t state = 1;
    auto next = [&] { return state = state * 1664525u + 1013904223u; };
    for (int64_t i = 0; i < kBatches * n * 3 * 32 * 32; ++i) {  // about normal: a sum of four uniform numbers
      float sum = 0;
      for (int k = 0; k < 4; ++k) sum += static_cast<float>(next() >> 8) / 16777216.0f - 0.5f;
      images.push_back(sum * 1.7f);
    }
    for (int64_t i = 0; i < kBatches * n; ++i) labels.push_back(static_cast<int32_t>((next() >> 8) % 100));
  }
  distil_batch Get(int k) const {
    distil_batch b = DISTIL_BATCH_INIT;
    b.count = count;
    b.images = images.data() + k % kBatches * count * 3 * 32 * 32;
    b.labels = labels.data() + k % kBatches * count;
    return b;
  }
};

// Frees what was made, in the order that distil.h asks for.
struct Handles {
  distil_device* device = nullptr;
  distil_network *teacher = nullptr, *student = nullptr;
  distil_trainer* trainer = nullptr;
  std::vector<uint8_t> set_images;  // that the trainer was given
  std::vector<int32_t> set_labels;
  ~Handles() {
    distil_trainer_free(trainer);
    distil_network_free(teacher);
    distil_network_free(student);
    distil_device_close(device);
  }
};

// Seconds a step when no step is waited for and the images are on the device already, as bytes: `free_s`, which
// torch_step.py measures likewise.
distil_status TimeFree(Handles* h, const StepSpec& spec, double* seconds) {
  const int64_t count = kBatches * spec.batch;
  std::vector<uint8_t>& images = h->set_images;
  std::vector<int32_t>& labels = h->set_labels;
  images.resize(static_cast<size_t>(count * 3 * 32 * 32)), labels.resize(static_cast<size_t>(count));
  for (size_t i = 0; i < images.size(); ++i) images[i] = static_cast<uint8_t>(i * 2654435761u >> 15);
  std::vector<uint32_t> ids(labels.size());
  for (size_t i = 0; i < ids.size(); ++i) labels[i] = static_cast<int32_t>(i % 100), ids[i] = static_cast<uint32_t>(i);
  distil_image_set set = DISTIL_IMAGE_SET_INIT;
  set.count = count, set.channels = 3, set.height = set.width = 32;
  set.images = images.data(), set.labels = labels.data();
  distil_status s = distil_trainer_attach(h->trainer, &set);
  double begin = 0;
  for (int k = -spec.warmup; k < spec.steps && s == DISTIL_OK; ++k) {
    distil_step_result waited = DISTIL_STEP_RESULT_INIT;
    const bool wait = k == -1 || k == spec.steps - 1;
    const size_t first = static_cast<size_t>((k + spec.warmup) % kBatches * spec.batch);
    s = distil_trainer_step_samples(h->trainer, &ids[first], spec.batch, wait ? &waited : nullptr);
    if (k == -1) begin = WallSeconds();
  }
  *seconds = (WallSeconds() - begin) / spec.steps;
  return s;
}

}  // namespace

nlohmann::json TimeSteps(const StepSpec& spec) {
  nlohmann::json result;
  Handles h;
  const double started = WallSeconds();
  auto failed = [&](distil_status s) {
    if (s != DISTIL_OK) result["error"] = distil_last_error();
    return s != DISTIL_OK;
  };
  distil_device_options options = DISTIL_DEVICE_OPTIONS_INIT;
  options.threads = spec.threads;
  if (failed(distil_device_open(spec.device.c_str(), &options, &h.device)) ||
      failed(distil_network_create(h.device, spec.student.c_str(), "classes=100", 1, &h.student)))
    return result;
  const bool alone = spec.teacher == "none";
  if (!alone && failed(distil_network_create(h.device, spec.teacher.c_str(), "classes=100", 2, &h.teacher)))
    return result;
  std::string method = spec.method;
  std::string text = "schedule=constant momentum=0.9 weight_decay=5e-4 " + ModeOptions(spec.mode) + " " + spec.options;
  if (method.empty()) {
    method = alone ? "ce" : "kd";
    text += alone ? " lr=0.05" : " lr=0.05 T=4 ce=0.1 weight=0.9";
  } else {
    text += " lr=1e-4";  // methods' default weights are for teachers that learnt
  }
  const distil_role roles[] = {{"student", h.student}, {"teacher", h.teacher}};
  if (failed(distil_trainer_create(h.device, method.c_str(), text.c_str(), roles, alone ? 1 : 2, &h.trainer)))
    return result;
  const double built = MemoryMb("VmRSS");

  const Batches batches(spec.batch);
  distil_step_result step = DISTIL_STEP_RESULT_INIT;
  std::vector<double> wall, cpu;
  double timed = 0;
  for (int k = 0; k < spec.warmup + spec.steps; ++k) {
    const distil_batch b = batches.Get(k);
    const double wall_begin = WallSeconds(), cpu_begin = CpuSeconds();
    if (failed(distil_trainer_step(h.trainer, &b, &step))) return result;
    const double wall_end = WallSeconds();
    if (k == 0) result["first_loss"] = step.loss, result["start_s"] = wall_end - started;
    if (k < spec.warmup) continue;
    wall.push_back(wall_end - wall_begin);
    cpu.push_back(CpuSeconds() - cpu_begin);
    timed += wall.back();
    if (spec.seconds > 0 && timed > spec.seconds && wall.size() > 1) break;
  }
  const double last_loss = step.loss;
  if (spec.device.rfind("cuda", 0) == 0 && spec.warmup > 0 && spec.steps > 0) {
    double seconds = 0;
    if (failed(TimeFree(&h, spec, &seconds))) return result;
    result["free_s"] = seconds;
  }
  distil_memory memory = DISTIL_MEMORY_INIT;
  if (failed(distil_trainer_memory(h.trainer, spec.batch, &memory))) return result;
  constexpr double kMb = 1 << 20;
  result["wall_s"] = wall;
  result["cpu_s"] = cpu;
  result["last_loss"] = last_loss;
  result["planned_mb"] = static_cast<double>(memory.total) / kMb;
  result["arena_mb"] = static_cast<double>(memory.arena) / kMb;
  result["images_mb"] = static_cast<double>(batches.images.size() * sizeof(float)) / kMb;
  result["rss_after_build_mb"] = built;
  result["peak_rss_mb"] = MemoryMb("VmHWM");
  result["device"] = distil_device_description(h.device);
  return result;
}

}  // namespace distil::bench
