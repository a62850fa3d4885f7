#include "lib/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace distil {

double Schedule::At(int64_t step) const {
  const auto per_epoch = static_cast<double>(o_.steps_per_epoch);
  const double now = static_cast<double>(step), warm = o_.warmup_epochs;
  if (now < warm * per_epoch) return o_.lr * (now + 1) / (warm * per_epoch);
  const double t = o_.steps_per_epoch > 0 ? std::floor(now / per_epoch) : 0.0;
  if (o_.schedule == "multistep") {
    double lr = o_.lr;
    for (double m : o_.milestones) lr *= m <= t ? o_.gamma : 1.0;
    return lr;
  }
  if (o_.schedule == "step") return o_.lr * std::pow(o_.gamma, std::floor(t / o_.step_epochs));
  if (o_.schedule == "cosine") {
    const double length = epochs_ - warm;
    const double part = length > 0 ? std::min((t - warm) / length, 1.0) : 1.0;
    return o_.lr_min + (o_.lr - o_.lr_min) * (1 + std::cos(std::numbers::pi * part)) / 2;
  }
  return o_.lr;
}

}  // namespace distil
