// Option text of trainers, networks and inferences: anything is refused or read, and what is read is canonical.
#include <cstdlib>
#include <string>

#include "lib/train/options.h"
#include "losses/combine.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace distil;
  const std::string text(reinterpret_cast<const char*>(data), size);
  TextOptions options;
  if (!SplitOptions(text, &options).ok()) return 0;
  TrainingOptions training;
  TextOptions resolved, again;
  if (ReadTrainingOptions(options, &training, &resolved).ok()) {
    if (!ReadTrainingOptions(resolved, &training, &again).ok() || resolved != again) std::abort();
  }
  NetworkOptions network;
  InferenceOptions inference;
  (void)ReadNetworkOptions(options, &network).ok();
  (void)ReadInferenceOptions(options, &inference).ok();
  // The first key is tried as a method, too.
  Recipe recipe;
  if (!options.empty()) (void)MakeRecipe(options.begin()->first, {options.begin(), options.end()}, &recipe).ok();
  (void)MakeRecipe("kd+at", {options.begin(), options.end()}, &recipe, TrainingOptionNames()).ok();
  return 0;
}
