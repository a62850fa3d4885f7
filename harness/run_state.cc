#include "harness/run_state.h"

#include <cmath>

#include "harness/files.h"
#include "harness/text.h"

namespace distil::harness {
namespace {

Json ToJson(const RunState& s) {
  return {{"step", s.step},
          {"sums", s.sums},
          {"counts", s.counts},
          {"images", s.images},
          {"correct", s.correct},
          {"seconds", s.seconds},
          {"device", s.device},
          {"train_seconds", s.train_seconds},
          {"train_images", s.train_images},
          {"planned_bytes", s.planned_bytes},
          {"resident_bytes", s.resident_bytes}};
}

Status FromJson(const Json& json, const std::string& path, const Source& source, RunState* s) {
  Status status;
  FieldReader f(json, path, source, &status);
  f.Read("step", &s->step, 0);
  f.Read("images", &s->images, 0);
  f.Read("correct", &s->correct, 0);
  f.Read("seconds", &s->seconds, 0.0, 1e12);
  f.Read("train_seconds", &s->train_seconds, 0.0, 1e12);
  f.Read("train_images", &s->train_images, 0);
  f.Optional("planned_bytes", &s->planned_bytes, 0);  // older states have none
  f.Read("resident_bytes", &s->resident_bytes, 0);
  f.Read("device", &s->device);
  const Json* sums = f.Object("sums", true);
  const Json* counts = f.Object("counts", true);
  if (sums && counts) {
    FieldReader sum(*sums, path + ".sums", source, &status), count(*counts, path + ".counts", source, &status);
    for (auto it = sums->begin(); it != sums->end(); ++it) {
      sum.Read(it.key().c_str(), &s->sums[it.key()]);
      count.Read(it.key().c_str(), &s->counts[it.key()], 0);
    }
    sum.Finish();
    count.Finish();
  }
  f.Finish();
  return status;
}

}  // namespace

void RunState::AddStep(const std::vector<std::pair<std::string, double>>& terms, double loss, int64_t images_of_step,
                       int64_t correct_of_step) {
  bool has_loss = false;
  auto add = [&](const std::string& name, double value) {
    sums[name] += value * static_cast<double>(images_of_step);
    counts[name] += images_of_step;
  };
  for (const auto& [name, value] : terms) {
    add(name, value);
    has_loss = has_loss || name == "loss";
  }
  if (!has_loss) add("loss", loss);
  images += images_of_step, correct += correct_of_step;
  train_images += images_of_step;
}

std::map<std::string, double> RunState::Means() const {
  std::map<std::string, double> means;
  std::string histogram;
  size_t bin = 0;
  for (const auto& [name, sum] : sums)
    if (!BinOf(name, &histogram, &bin)) means[name] = sum / static_cast<double>(counts.at(name));
  if (images > 0) means["top1"] = 100.0 * static_cast<double>(correct) / static_cast<double>(images);
  return means;
}

std::map<std::string, std::vector<int64_t>> RunState::Histograms() const {
  std::map<std::string, std::vector<int64_t>> histograms;
  std::string name;
  size_t bin = 0;
  for (const auto& [term, sum] : sums) {
    if (!BinOf(term, &name, &bin)) continue;
    std::vector<int64_t>& bins = histograms[name];
    if (bins.size() <= bin) bins.resize(bin + 1);
    bins[bin] = std::llround(sum);  // a share times the batch: whole but for rounding
  }
  return histograms;
}

Status StateFile::Save(const RunState& state) {
  Json now = ToJson(state);
  Json both = Json::array({now});
  if (!previous_.is_null() && previous_["step"] != now["step"]) both.push_back(previous_);
  DISTIL_RETURN_IF_ERROR(WriteFileAtomic(path_, Pretty(both)));
  previous_ = std::move(now);
  return {};
}

Status StateFile::Load(int64_t step, RunState* state) {
  std::string text;
  Json both;
  DISTIL_RETURN_IF_ERROR(ReadFile(path_, &text, 16u << 20));
  DISTIL_RETURN_IF_ERROR(ParseJson(text, path_, &both));
  if (!both.is_array()) return Corrupt(path_ + ": not the state of a run");
  Source source{path_, {}};
  for (size_t i = 0; i < both.size(); ++i) {
    RunState candidate;
    DISTIL_RETURN_IF_ERROR(FromJson(both[i], "[" + std::to_string(i) + "]", source, &candidate));
    if (candidate.step != step) continue;
    *state = std::move(candidate);
    previous_ = both[i];
    return {};
  }
  return Corrupt(path_ + ": has no state of step " + std::to_string(step) + ", where the checkpoint beside it is");
}

Status ReadMetrics(const std::string& path, int64_t epochs, std::vector<EpochMetrics>* out) {
  out->clear();
  if (epochs == 0) return {};
  std::string text;
  DISTIL_RETURN_IF_ERROR(ReadFile(path, &text));
  std::vector<std::string> lines = Split(text, '\n');
  for (int64_t e = 1; e <= epochs; ++e) {
    std::string where = path + ":" + std::to_string(e);
    if (e > static_cast<int64_t>(lines.size()) || lines[e - 1].empty())
      return Corrupt(path + ": epoch " + std::to_string(e) + " is missing, though the checkpoint is past it");
    Json json;
    DISTIL_RETURN_IF_ERROR(ParseJson(lines[e - 1], where, &json));
    EpochMetrics metrics;
    DISTIL_RETURN_IF_ERROR(EpochFromJson(json, "", Source{where, {}}, &metrics));
    if (metrics.epoch != e) return Corrupt(where + ": epoch " + std::to_string(metrics.epoch) + " instead");
    out->push_back(std::move(metrics));
  }
  return {};
}

}  // namespace distil::harness
