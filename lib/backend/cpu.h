// The device "cpu": oneDNN, or in a build without it (--config=small) the reference in f32.
#pragma once

#include "lib/backend/backend.h"

namespace distil {

std::unique_ptr<Backend> MakeCpuBackend(const HostOptions& options);

}  // namespace distil
