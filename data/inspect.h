// What a data file holds: shapes, classes, counts, statistics, digest, storage, warnings.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/hdf5_file.h"

namespace distil::data {

struct Inspection {
  std::string path;
  uint64_t file_bytes = 0;
  int height = 0, width = 0, channels = 0, num_classes = 0;
  std::vector<std::string> class_names;
  std::vector<double> mean, std;
  std::string source, digest;
  bool digest_verified = false;
  struct SplitInfo {
    int64_t samples = 0;
    std::vector<int64_t> per_class;
    StorageInfo storage;
  };
  std::array<SplitInfo, 3> splits;  // by SplitKind
  std::vector<std::string> warnings;
};

// Reads the file once (in pieces: it need not fit in RAM). verify_digest = false reads labels and attributes
// only.
Status Inspect(const std::string& path, bool verify_digest, Inspection* inspection);

std::string InspectionText(const Inspection& inspection);
std::string InspectionJson(const Inspection& inspection);

}  // namespace distil::data
