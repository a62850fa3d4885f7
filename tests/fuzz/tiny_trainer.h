// The smallest trainer: its checkpoints are a few kilobytes.
#pragma once

#include <memory>

#include "lib/backend/backend.h"
#include "lib/train/trainer.h"

namespace distil {

inline std::unique_ptr<Trainer> TinyTrainer() {
  auto device = std::make_shared<Device>();
  HostOptions host;
  host.threads = 1;
  device->backend = MakeReferenceBackend(host, DType::kF32);
  Network::Spec spec;
  spec.name = "tiny";
  spec.input[0] = spec.input[1] = spec.input[2] = 2;
  spec.body = [](Layers& l, Expr x) {
    Features f;
    f.map = x;
    f.pooled = GlobalAvgPool(x);
    f.logits = l.Linear("fc", f.pooled, 2);
    return f;
  };
  std::shared_ptr<Network> network;
  std::unique_ptr<Trainer> trainer;
  if (!Network::Create(device, std::move(spec), &network).ok()) return nullptr;
  const TextOptions options = {{"epochs", "2"}, {"steps_per_epoch", "4"}, {"schedule", "constant"}};
  if (!Trainer::Create(device, "ce", options, {{"student", network}}, &trainer).ok()) return nullptr;
  return trainer;
}

}  // namespace distil
