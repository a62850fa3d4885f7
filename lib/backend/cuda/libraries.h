// cuDNN and cuBLASLt, loaded when a device is opened: programs start without them, and the machine's own versions serve.
//
// Where they are looked for, first to last: the folders of DISTIL_CUDA_LIBRARY_PATH (separated by colons); the dynamic
// loader's own places (LD_LIBRARY_PATH, rpath, ld.so.cache); CUDA_HOME and /usr/local/cuda; Python's packages, which
// bring them as nvidia/<package>/lib: the folders of PYTHONPATH, the environments VIRTUAL_ENV and CONDA_PREFIX, the one
// of the first python3 on PATH, the user's and the system's.
#pragma once

#include <cublasLt.h>
#include <cudnn.h>

#include <functional>
#include <string>
#include <vector>

#include "lib/base/status.h"

namespace distil::cuda {

// One function pointer for every line of the .def files: call as cudnn.cudnnCreate(...).
struct Cudnn {
#define FUNCTION(name) decltype(&::name) name = nullptr;
#include "lib/backend/cuda/cudnn.def"
#undef FUNCTION
};
struct CublasLt {
#define FUNCTION(name) decltype(&::name) name = nullptr;
#include "lib/backend/cuda/cublaslt.def"
#undef FUNCTION
};

// Load once for the process and stay loaded. A failure says what is missing and where it was looked for, and the next
// call tries again.
Status LoadCudnn(const Cudnn** out);
Status LoadCublasLt(const CublasLt** out);

// Opens the first of `names` ("libcudnn.so.9") that one of the places above has: the handle of dlopen. `title` is for
// the message.
Status OpenLibrary(const std::string& title, const std::vector<std::string>& names, void** handle);

// The folders that exist of those that OpenLibrary tries beside the dynamic loader's own places, in order. `environment` gives a variable
// of the environment, "" when it is not set.
std::vector<std::string> LibraryFolders(const std::function<std::string(const char*)>& environment);

}  // namespace distil::cuda
