// Inference: a network compiled in evaluation mode for batches of up to a size.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/runtime/program.h"
#include "lib/train/augment.h"
#include "lib/train/network.h"
#include "lib/train/options.h"
#include "lib/train/trainer.h"

namespace distil {

struct Score {
  int64_t count = 0, top1 = 0, top5 = 0;
  double loss = 0;
};
// Adds one image: how many of the other logits are at least the label's decides top-1 (none) and top-5 (fewer than
// five).
void AddScore(std::span<const float> logits, int32_t label, Score* score);

class Inference {
 public:
  static Status Create(std::shared_ptr<Network> network, int64_t batch, const TextOptions& options,
                       std::unique_ptr<Inference>* out);
  Status Run(const Batch& batch);
  // Of the last run: its images' part of "logits" or a tap asked for.
  Status Output(const std::string& name, std::span<float> values) const;
  Status OutputShape(const std::string& name, Shape* per_image) const;
  Status AddScores(const Batch& batch, Score* score);
  MemoryInfo memory() const;

 private:
  Inference() = default;
  Status Find(const std::string& name, size_t* each) const;

  std::shared_ptr<Network> network_;
  int64_t batch_ = 0, count_ = 0;
  bool direct_ = false;  // images go straight into the program
  Augmenter normalizer_;
  std::unique_ptr<ImageFeed> feed_;  // none on devices whose images the host prepares
  std::unique_ptr<Program> program_;
  std::vector<std::string> outputs_;
  std::vector<float> pixels_;
  std::vector<uint32_t> ids_;  // of images to a feed: nothing depends on them
  mutable std::vector<float> values_;
};

}  // namespace distil
