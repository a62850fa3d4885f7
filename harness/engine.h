// distil.h as the harness uses it: handles that free themselves, and Status instead of codes with a separate
// message. engine.cc is the only file of the harness that includes distil.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/status.h"

struct distil_device;
struct distil_network;
struct distil_inference;
struct distil_trainer;

namespace distil::harness {

// A batch as the data loader gives it: uint8 NHWC, or ids alone.
struct ImageBatch {
  const uint8_t* images = nullptr;
  const int32_t* labels = nullptr;
  const uint32_t* ids = nullptr;
  int64_t count = 0;
};

// What the networks see of a data set.
struct ImageShape {
  int64_t channels = 3, height = 32, width = 32, classes = 100;
  std::vector<double> mean, std;
};

class Device {
 public:
  static Status Open(const std::string& name, int threads, std::unique_ptr<Device>* out);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const std::string& name() const { return name_; }
  const std::string& description() const { return description_; }  // "onednn 2.6.3, avx2, 2 threads"
  const std::string& isa() const { return isa_; }
  int threads() const { return threads_; }
  // "onednn" -> "2.6.3"; of a GPU also "cudnn", "cublaslt", "driver"
  const std::map<std::string, std::string>& libraries() const { return libraries_; }
  distil_device* get() const { return device_; }

 private:
  Device() = default;
  distil_device* device_ = nullptr;
  std::string name_, description_, isa_;
  std::map<std::string, std::string> libraries_;
  int threads_ = 1;
};

class Network {
 public:
  static Status Create(const Device& device, const std::string& model, const ImageShape& shape, uint64_t seed,
                       std::unique_ptr<Network>* out);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  Status Load(const std::string& path);
  Status Save(const std::string& path) const;
  Status Digest(std::string* out) const;  // of the numbers in it
  int64_t parameters() const { return parameters_; }
  int64_t macs() const { return macs_; }
  distil_network* get() const { return network_; }

 private:
  Network() = default;
  distil_network* network_ = nullptr;
  int64_t parameters_ = 0, macs_ = 0;
};

struct Score {
  int64_t count = 0, top1 = 0, top5 = 0;
  double loss = 0;  // sum
};

// A network in evaluation mode; follows its weights.
class Evaluator {
 public:
  static Status Create(const Network& network, const ImageShape& shape, int64_t batch, std::unique_ptr<Evaluator>* out);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  Status Add(const ImageBatch& batch, Score* score);
  Status Logits(const ImageBatch& batch, std::vector<float>* logits);  // count x classes

 private:
  Evaluator() = default;
  distil_inference* inference_ = nullptr;
  int64_t classes_ = 0;
};

struct StepResult {
  double loss = 0, lr = 0;
  int64_t step = 0, correct = 0, count = 0;
};

class Trainer {
 public:
  // `options`: "lr=0.05 epochs=240 ..."; mean and std come from the shape.
  static Status Create(const Device& device, const std::string& method, const std::string& options,
                       const ImageShape& shape, const std::vector<std::pair<std::string, const Network*>>& roles,
                       std::unique_ptr<Trainer>* out);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  // Samples that batches without images are taken from, by their ids. They stay the caller's, and must outlive this.
  Status Attach(const ImageBatch& samples, const ImageShape& shape);
  // With `result` the step is waited for. Otherwise the device may be left alone with it, and Result gives its result:
  // those of steps in their order, as far as they are done or, with `wait`, all.
  Status Step(const ImageBatch& batch, StepResult* result);
  Status Result(bool wait, StepResult* result, bool* found);
  std::vector<std::pair<std::string, double>> Terms() const;  // of the step whose result was given last
  Status Position(int64_t* step, int64_t* total) const;
  Status SkipPhase(bool* skipped);                // to the next phase's first step; false in the last one
  Status Algorithms(std::string* text) const;     // that a search chose; "" without one
  Status Memory(int64_t batch, uint64_t* bytes);  // of all that a step of this size takes, in this phase
  Status Save(const std::string& path) const;
  Status Load(const std::string& path);

 private:
  Trainer() = default;
  distil_trainer* trainer_ = nullptr;
};

struct OptionInfo {
  std::string name, fallback, help;
};
struct MethodInfo {
  std::string name, title, source;
  bool needs_teacher = false;
  std::vector<OptionInfo> options;
};
struct ModelInfo {
  std::string name, family, source;
  int64_t channels = 0, height = 0, width = 0;
};
std::vector<MethodInfo> Methods();
std::vector<ModelInfo> Models();
std::vector<std::string> DeviceNames();
std::vector<OptionInfo> CommonOptions();
std::string LibraryVersion();

// Whether `spec` ("kd", "kd+at") needs a teacher; an unknown part is an error that names the nearest method.
Status NeedsTeacher(const std::string& spec, bool* out);
// An unknown network is an error that names the nearest one.
Status CheckModel(const std::string& model);

}  // namespace distil::harness
