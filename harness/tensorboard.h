// TensorBoard event files, written directly: TFRecord frames (length, masked CRC-32C) around Event messages
// of scalar summaries (tensorflow/core/util/event.proto, summary.proto), encoded by hand.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "harness/files.h"
#include "harness/record.h"

namespace distil::harness {

// CRC-32C (Castagnoli), and TFRecord's masked form of it.
uint32_t Crc32c(std::string_view bytes);
uint32_t MaskedCrc32c(std::string_view bytes);

// One TFRecord frame around `event`.
std::string TfRecord(std::string_view event);
// Event messages: the version that opens a file, and scalars of one step.
std::string VersionEvent(double wall_time);
std::string ScalarEvent(double wall_time, int64_t step, const std::vector<std::pair<std::string, float>>& scalars);

// The scalars of an epoch: train/loss, train/loss_ce, train/loss_kd, ..., train/top1, test/top1, test/top5,
// test/loss, lr.
std::vector<std::pair<std::string, float>> Scalars(const EpochMetrics& metrics);

class TensorBoardFile {
 public:
  // Creates `folder`/events.out.tfevents.distil with the epochs so far; a resumed run writes its file anew.
  Status Open(const std::string& folder, const std::vector<EpochMetrics>& epochs);
  Status Add(const EpochMetrics& metrics);

 private:
  AppendFile file_;
};

}  // namespace distil::harness
