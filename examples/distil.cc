// distil from C++: handles that free themselves, errors as exceptions, and training that is stopped and continued.
//
//   c++ -std=c++17 -o distil distil.cc $(pkg-config --static --cflags --libs distil)
#include <distil/distil.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

// The C API does not throw; a C++ program may prefer to.
void Check(distil_status status) {
  if (status != DISTIL_OK) throw std::runtime_error(distil_last_error());
}

template <auto free>
struct Deleter {
  template <class T>
  void operator()(T* p) const {
    free(p);
  }
};
using Device = std::unique_ptr<distil_device, Deleter<distil_device_close>>;
using Network = std::unique_ptr<distil_network, Deleter<distil_network_free>>;
using Trainer = std::unique_ptr<distil_trainer, Deleter<distil_trainer_free>>;

Device OpenDevice(const char* name) {
  distil_device_options options = DISTIL_DEVICE_OPTIONS_INIT;
  options.log = [](void*, distil_log_level, const char* message) { std::printf("  (%s)\n", message); };
  distil_device* d = nullptr;
  Check(distil_device_open(name, &options, &d));
  return Device(d);
}

Network MakeNetwork(const Device& device, const char* model, uint64_t seed) {
  distil_network* n = nullptr;
  Check(distil_network_create(device.get(), model, "classes=10 input=3,16,16", seed, &n));
  return Network(n);
}

Trainer MakeTrainer(const Device& device, const std::string& method, const Network& student, const Network& teacher) {
  const distil_role roles[] = {{"student", student.get()}, {"teacher", teacher.get()}};
  const char* options = "epochs=2 steps_per_epoch=4 schedule=cosine warmup_epochs=1 lr=0.05 kd.T=4 at.weight=100";
  distil_trainer* t = nullptr;
  Check(distil_trainer_create(device.get(), method.c_str(), options, roles, 2, &t));
  return Trainer(t);
}

// Batch k of a data set: real programs read theirs.
void Step(const Trainer& trainer, int64_t k) {
  std::vector<float> images(8 * 3 * 16 * 16);
  std::vector<int32_t> labels(8);
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int32_t>((i * 3 + static_cast<size_t>(k)) % 10);
  for (size_t i = 0; i < images.size(); ++i)
    images[i] = static_cast<float>((i * 2654435761u + static_cast<size_t>(k)) % 1000) / 500 - 1;
  distil_batch batch = DISTIL_BATCH_INIT;
  batch.count = 8;
  batch.images = images.data();
  batch.labels = labels.data();
  distil_step_result result = DISTIL_STEP_RESULT_INIT;
  Check(distil_trainer_step(trainer.get(), &batch, &result));
  std::printf("step %d of epoch %d: loss %.6f\n", static_cast<int>(result.step), static_cast<int>(result.epoch),
              result.loss);
}

void Run(const Trainer& trainer, int64_t until = -1) {
  int64_t step = 0, total = 0;
  Check(distil_trainer_position(trainer.get(), &step, &total));
  for (; step < (until < 0 ? total : until); ++step) Step(trainer, step);
}

std::string Digest(const Network& network) {
  char digest[65];
  Check(distil_network_digest(network.get(), digest));
  return digest;
}

}  // namespace

int main() {
  try {
    const Device device = OpenDevice("cpu");
    const Network teacher = MakeNetwork(device, "resnet14", 1);
    const char* path = "training.checkpoint";

    const Network whole = MakeNetwork(device, "resnet8", 2);
    Run(MakeTrainer(device, "kd+at", whole, teacher));

    // The same, stopped in the middle and continued by another trainer: the same bits.
    const Network parts = MakeNetwork(device, "resnet8", 2);
    {
      const Trainer trainer = MakeTrainer(device, "kd+at", parts, teacher);
      Run(trainer, 3);
      Check(distil_trainer_save(trainer.get(), path));
    }
    const Network resumed = MakeNetwork(device, "resnet8", 5);
    {
      const Trainer trainer = MakeTrainer(device, "kd+at", resumed, teacher);
      Check(distil_trainer_load(trainer.get(), path));
      Run(trainer);
    }
    std::remove(path);
    std::printf("%.16s... in one go, %.16s... in two\n", Digest(whole).c_str(), Digest(resumed).c_str());
    if (Digest(whole) != Digest(resumed)) throw std::runtime_error("resuming gave other bits");

    try {
      MakeTrainer(device, "kd+atn", whole, teacher);
    } catch (const std::exception& e) {
      std::printf("a mistake: %s\n", e.what());
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
  return 0;
}
