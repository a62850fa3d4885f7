// Schedule: the learning rate of a step. With t the epoch, counted from 0 within its phase (a whole number, as PyTorch
// steps its schedulers after each epoch), N the phase's epochs and W those of warm-up:
//
//   constant   lr
//   multistep  lr gamma^(number of milestones <= t)      milestone 150: epoch 151, counted from 1, is the first lower
//   one step       lr gamma^floor(t / step_epochs) cosine     lr_min + (lr - lr_min) (1 + cos(pi (t - W) / (N - W))) /
//   2 warm-up    lr (step + 1) / (W steps_per_epoch) in each of the first W steps_per_epoch steps, whatever follows
#pragma once

#include <cstdint>

#include "lib/train/options.h"

namespace distil {

class Schedule {
 public:
  Schedule(const TrainingOptions& options, double epochs) : o_(options), epochs_(epochs) {}
  double At(int64_t step) const;  // counted from 0 within the phase
  // Whether it needs to know how many steps an epoch has.
  bool NeedsEpochs() const { return o_.schedule != "constant" || o_.warmup_epochs > 0; }

 private:
  TrainingOptions o_;
  double epochs_;
};

}  // namespace distil
