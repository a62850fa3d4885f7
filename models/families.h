// The network families: what models.def refers to.
#pragma once

#include "models/model.h"

namespace distil {

struct Family {
  const char* name;
  const char* source;
  Features (*builder)(Layers& l, Expr x, const Model& m, const BuildOptions& o);
};

extern const Family kResNetCifar, kResNet, kWrn, kVgg, kMobileNetV2, kShuffleNetV1, kShuffleNetV2;

}  // namespace distil
