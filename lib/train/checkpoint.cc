#include "lib/train/checkpoint.h"

#include <algorithm>
#include <cstring>

#include "lib/base/sha256.h"
#include "lib/base/text.h"
#include "lib/io/file.h"
#include "lib/train/trainer.h"

namespace distil {
namespace {

constexpr char kFormat[] = "distil-checkpoint";
const std::string kNoDigest(64, '0');

// Where the digest's digits stand in a header: metadata come first, and these are its first entries.
std::string DigestPrefix() { return std::string("{\"__metadata__\":{\"format\":\"") + kFormat + "\",\"sha256\":\""; }

}  // namespace

std::string CheckpointDigest(std::span<const uint8_t> header, const std::vector<std::span<const uint8_t>>& data,
                             size_t at) {
  Sha256 h;
  h.Update(header.data(), at);
  h.Update(kNoDigest.data(), kNoDigest.size());
  h.Update(header.data() + at + kNoDigest.size(), header.size() - at - kNoDigest.size());
  for (const auto& d : data) h.Update(d.data(), d.size());
  return h.Hex();
}

Status ParseCheckpoint(const uint8_t* bytes, size_t count, Safetensors* out) {
  DISTIL_RETURN_IF_ERROR(ParseSafetensors(bytes, count, out));
  auto meta = [&](const char* key) {
    auto it = out->metadata.find(key);
    return it == out->metadata.end() ? std::string() : it->second;
  };
  if (meta("format") != kFormat) return Corrupt("it is not a checkpoint of distil");
  if (meta("schema") != kCheckpointSchema)
    return Unsupported("its schema is '" + meta("schema") + "', this version reads schema " + kCheckpointSchema);
  const std::string prefix = DigestPrefix();
  if (!out->header.starts_with(prefix) || out->header.size() < prefix.size() + kNoDigest.size())
    return Corrupt("its digest is not where it belongs");
  const std::span<const uint8_t> header(bytes + 8, out->header.size());
  if (CheckpointDigest(header, {out->data}, prefix.size()) != meta("sha256"))
    return Corrupt("its content does not match its SHA-256 digest");
  return {};
}

// ---- Saving

Status Trainer::FrozenDigest(const Network& n, std::string* hex) const {
  uint64_t version = 0;
  for (const VariableRef& v : n.all()) version += v->version;
  auto& known = digests_[&n];
  if (known.second.empty() || known.first != version) {
    DISTIL_RETURN_IF_ERROR(NetworkDigest(n, &known.second));
    known.first = version;
  }
  *hex = known.second;
  return {};
}

// What must be equal for training to continue: "method", "option/lr", "network/student", "frozen/teacher", ...
Status Trainer::Describe(Metadata* out) const {
  out->emplace_back("method", recipe_.expression);
  out->emplace_back("numbers", wide_ ? "f64" : "f32");
  for (const auto& [name, value] : resolved_) out->emplace_back("option/" + name, value);
  for (const auto& [name, value] : recipe_.options) out->emplace_back("option/" + name, value);
  for (const auto& [role, network] : roles_) {
    out->emplace_back("network/" + role, network->spec().name);
    if (!StepContext::IsTeacher(role)) continue;
    std::string digest;
    DISTIL_RETURN_IF_ERROR(FrozenDigest(*network, &digest));
    out->emplace_back("frozen/" + role, digest);
  }
  return {};
}

std::vector<NamedVariable> Trainer::SavedVariables(const State& state, bool optimizer) const {
  std::vector<NamedVariable> all;
  for (const auto& [role, network] : roles_) {
    if (StepContext::IsTeacher(role)) continue;
    for (NamedVariable& v : NamedVariables(*network, role + "/")) all.push_back(std::move(v));
  }
  for (const VariableRef& v : state.aux.all()) all.push_back({"aux/" + v->name, v});
  for (const VariableRef& v : state.method.all()) all.push_back({"state/" + v->name, v});
  if (optimizer)
    for (const VariableRef& v : state.optimizer.all()) all.push_back({"optimizer/" + v->name, v});
  return all;
}

Status Trainer::Save(const std::string& path) {
  DISTIL_RETURN_IF_ERROR(Wait());
  Metadata metadata = {{"format", kFormat}, {"sha256", kNoDigest}, {"schema", kCheckpointSchema}};
  DISTIL_RETURN_IF_ERROR(Describe(&metadata));
  metadata.emplace_back("step", std::to_string(step_));
  metadata.emplace_back("phase", std::to_string(phase_));
  metadata.emplace_back("batch", std::to_string(last_batch_));
  if (algorithms_.search) metadata.emplace_back("algorithms", algorithms_.Text());

  // Between two phases the optimisers' state is over: the next phase starts with its own.
  std::vector<TensorToWrite> tensors;
  DISTIL_RETURN_IF_ERROR(ToTensors(backend_, SavedVariables(*state_, At(step_).phase == phase_), &tensors));
  std::vector<uint8_t> header = SafetensorsHeader(metadata, tensors);
  std::vector<std::span<const uint8_t>> data;
  for (const TensorToWrite& t : tensors) data.emplace_back(t.data);
  const size_t at = DigestPrefix().size();
  const std::string digest = CheckpointDigest(std::span(header).subspan(8), data, at);
  std::memcpy(header.data() + 8 + at, digest.data(), digest.size());
  return WriteSafetensors(path, header, tensors);
}

// ---- Loading

Status Trainer::CheckMetadata(const std::map<std::string, std::string>& metadata, Saved* out) const {
  Metadata mine;
  DISTIL_RETURN_IF_ERROR(Describe(&mine));
  for (const auto& [key, value] : mine) {
    auto it = metadata.find(key);
    const std::string theirs = it == metadata.end() ? "nothing" : it->second;
    if (theirs == value) continue;
    if (key.rfind("frozen/", 0) == 0)
      return InvalidArgument("it was made with another network in the role '" + key.substr(7) + "': digest " + theirs +
                             " there, " + value + " here");
    const std::string what = key.rfind("option/", 0) == 0 ? key.substr(7) : key;
    return InvalidArgument("it was made with " + what + "=" + theirs + ", this trainer has " + what + "=" + value);
  }
  for (const auto& [key, value] : metadata) {
    const bool known = std::any_of(mine.begin(), mine.end(), [&k = key](const auto& m) { return m.first == k; });
    if (!known && (key.rfind("option/", 0) == 0 || key.rfind("network/", 0) == 0))
      return InvalidArgument("it was made with " + key.substr(key.find('/') + 1) + "=" + value +
                             ", which this trainer does not have");
  }
  auto number = [&](const char* key, int64_t* v) {
    auto it = metadata.find(key);
    return it != metadata.end() && ParseInteger(it->second, v) && *v >= 0;
  };
  const int64_t total = total_steps();
  const auto phases = static_cast<int64_t>(recipe_.phases.size());
  if (!number("step", &out->step) || (total > 0 && out->step > total))
    return Corrupt("its step is not one of this run");
  if (!number("phase", &out->phase) || out->phase >= phases) return Corrupt("its phase is not one of this method");
  if (!number("batch", &out->batch) || out->batch > INT32_MAX) return Corrupt("its batch size is not one");
  if (auto it = metadata.find("algorithms"); it != metadata.end() && algorithms_.search)
    if (!out->algorithms.Parse(it->second).ok()) return Corrupt("its list of algorithms is not one");
  return {};
}

Status Trainer::LoadBytes(std::span<const uint8_t> bytes) {
  DISTIL_RETURN_IF_ERROR(Wait());
  Safetensors file;
  DISTIL_RETURN_IF_ERROR(ParseCheckpoint(bytes.data(), bytes.size(), &file));
  Saved saved;
  DISTIL_RETURN_IF_ERROR(CheckMetadata(file.metadata, &saved));

  // Variables come into being when steps are built: build those of every phase so far, beside the present state, which
  // stays as it is until everything has been checked.
  auto state = std::make_unique<State>(backend_, options_.seed);
  for (size_t p = 0; p <= static_cast<size_t>(saved.phase) && saved.batch > 0; ++p) {
    state->optimizer = VariableSet(state->allocate);
    StepContext context;
    DISTIL_RETURN_IF_ERROR(PhaseContext(p, state.get(), &context));
    std::vector<std::unique_ptr<StepGraph>> graphs;
    DISTIL_RETURN_IF_ERROR(BuildGraphs(p, state.get(), &context, saved.batch, &graphs));
  }
  const bool optimizer = At(saved.step).phase == static_cast<size_t>(saved.phase);
  DISTIL_RETURN_IF_ERROR(FromTensors(backend_, file, SavedVariables(*state, optimizer), /*exact=*/true));

  programs_.clear();
  last_ = nullptr;
  terms_.clear(), unread_.clear();
  if (algorithms_.search) algorithms_.chosen = std::move(saved.algorithms.chosen);
  state_ = std::move(state);
  phase_ = static_cast<size_t>(saved.phase);
  step_ = saved.step;
  last_batch_ = saved.batch;
  return PhaseContext(phase_, state_.get(), &context_);
}

Status Trainer::Load(const std::string& path) {
  std::vector<uint8_t> bytes;
  DISTIL_RETURN_IF_ERROR(ReadFile(path, &bytes));
  Status s = LoadBytes(bytes);
  return s.ok() ? s : Status(s.code(), "cannot load the checkpoint " + path + ": " + s.message());
}

}  // namespace distil
