// HDF5 files in distil's schema (schema_version 1): write, read into RAM, or open for streaming.
//
//   /train/images  uint8 (N,H,W,C)    /train/labels  int64 (N)      the same under /test and, when there is
//   one, /val root attributes: schema_version, num_classes, class_names (strings), mean, std (f64 per
//   channel), layout = "NHWC", source_url, sha256 (digest.h)
//
// A file is treated as hostile: ranks, types, sizes, label range and digest are checked before anything is
// believed. HDF5 prints nothing; each failure is one sentence that names file and cause.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "data/dataset.h"

namespace distil::data {

inline constexpr int kSchemaVersion = 1;

struct ReadOptions {
  enum class Mode { kAuto, kRam, kStream };
  Mode mode = Mode::kAuto;          // kAuto: stream when the images together exceed ram_limit
  uint64_t ram_limit = 4ull << 30;  // bytes of images
  bool verify_digest = true;        // when streaming this is one full pass over the file
};

// Read or open `path`. Odd but usable things (bad chunking, no digest, no class names) go to
// dataset->warnings.
Status OpenDataset(const std::string& path, const ReadOptions& options, Dataset* dataset);

// How a split lies in the file, for `inspect`.
struct StorageInfo {
  std::string layout;        // "contiguous", "chunked" or "compact"
  uint64_t chunk_bytes = 0;  // of one chunk of images, uncompressed
  std::string filters;       // "deflate 1", ...; empty when none
  uint64_t stored_bytes = 0;
};
Status ReadStorage(const std::string& path, SplitKind kind, StorageInfo* info);

struct WriteOptions {
  uint64_t contiguous_limit = 2ull << 30;  // bytes of images from which on they are chunked with deflate 1
};

// Write `dataset` (images in RAM) as `path`: to a temporary file in the same folder, fsync, rename. After a
// failure neither the temporary file nor a half-written `path` is left; an older `path` is untouched.
Status WriteDataset(const Dataset& dataset, const std::string& path, const WriteOptions& options = {});

// The same for images that come one after another. Labels, shape and class names are known from the start;
// images are appended in the order train, val, test. Finish() computes mean, std and digest (into *dataset)
// and renames. A writer that is destroyed before Finish leaves nothing behind.
class DatasetWriter {
 public:
  DatasetWriter();
  ~DatasetWriter();
  DatasetWriter(const DatasetWriter&) = delete;
  DatasetWriter& operator=(const DatasetWriter&) = delete;

  Status Create(const std::string& path, const Dataset& meta, const WriteOptions& options = {});
  Status Append(const uint8_t* images, int64_t count);
  Status Finish(Dataset* meta);

 private:
  Status BeginSplit();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace distil::data
