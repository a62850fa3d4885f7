// What the host learns of steps: their reports, read at once or, of steps that were only started, in order when they have
// come (Readback); results and terms made of them; and the message of a step that must not be taken.
//
// A started step that is not finite has changed nothing, and neither have those behind it, whose `alive` was 0. When its
// report is read they are forgotten, the trainer stands at that step again, and `alive` is set for the next one.
#include <algorithm>
#include <cmath>

#include "lib/train/trainer.h"

namespace distil {
namespace {

constexpr int kShown = 8;  // sample ids in a message

}  // namespace

Status Trainer::Report(StepProgram* p) {
  if (wide_) return p->program->Fetch("report", std::span<double>(p->report));
  DISTIL_RETURN_IF_ERROR(p->program->Fetch("report", std::span<float>(p->report32)));
  std::copy(p->report32.begin(), p->report32.end(), p->report.begin());
  return {};
}

// The report of the oldest step that was started, if there is one and, without `wait`, it has come.
Status Trainer::TakeOldest(bool wait, bool* taken) {
  *taken = false;
  if (started_.empty()) return {};
  const Started& oldest = started_.front();
  StepProgram& p = oldest.programs->front();
  DISTIL_RETURN_IF_ERROR(p.readback->Poll(oldest.slot, wait, taken));
  if (!*taken) return {};
  const auto* numbers = static_cast<const float*>(p.readback->data(oldest.slot));
  std::copy_n(numbers, p.report.size(), p.report.begin());
  if (p.report[0] != 1) {
    Batch batch;  // its images are gone
    batch.count = oldest.count, batch.bytes = true, batch.ids = oldest.ids.data();
    const Status s = NonFinite(batch, oldest.step, p);
    step_ = oldest.step;
    started_.clear();
    last_ = nullptr;
    DISTIL_RETURN_IF_ERROR(Revive());
    return s;
  }
  StepResult r;
  Conclude(*oldest.programs, oldest.step, oldest.count, &r);
  started_.pop_front();
  Keep(r);
  return {};
}

Status Trainer::Wait() {
  for (bool taken = true; taken;) DISTIL_RETURN_IF_ERROR(TakeOldest(/*wait=*/true, &taken));
  return {};
}

Status Trainer::Result(bool wait, StepResult* result, bool* found) {
  *found = !unread_.empty();
  if (!*found) DISTIL_RETURN_IF_ERROR(TakeOldest(wait, found));
  if (!*found) return {};
  *result = unread_.front().first;
  terms_ = std::move(unread_.front().second);
  unread_.pop_front();
  given_ = true;
  return {};
}

Status Trainer::ReadTerms(const Terms** out) {
  if (!given_) DISTIL_RETURN_IF_ERROR(Wait());
  *out = &terms_;
  return {};
}

// For Result. Whoever never asks for results need not have them all kept.
void Trainer::Keep(const StepResult& r) {
  unread_.emplace_back(r, terms_);
  if (unread_.size() > kUnread) unread_.pop_front();
}

// Result and terms from the reports of a step's programs. A name that several of them have shows the last one's value.
void Trainer::Conclude(const std::vector<StepProgram>& programs, int64_t step, int64_t count, StepResult* r) {
  given_ = false;
  r->step = step, r->count = count;
  r->epoch = options_.steps_per_epoch > 0 ? step / options_.steps_per_epoch : 0;
  size_t used = 1;
  terms_.resize(std::max<size_t>(terms_.size(), 1));
  terms_[0].first = "loss";
  for (const StepProgram& p : programs) {
    const StepGraph& g = *p.graph;
    terms_[0].second = r->loss = p.report[2];
    if (g.has_rows()) r->correct = std::llround(p.report[1]);
    if (!g.rates().empty()) r->lr = g.rates().front().schedule.At(At(step).step);
    for (size_t i = 0; i < g.terms().size(); ++i) {
      const std::string& name = g.terms()[i];
      size_t k = 0;
      while (k < used && terms_[k].first != name) ++k;
      if (k == used) {
        terms_.resize(std::max(terms_.size(), ++used));
        terms_[k].first = name;
      }
      terms_[k].second = p.report[g.terms_at() + i];
    }
  }
  terms_.resize(used);
}

// Lets steps take effect again, after one that did not.
Status Trainer::Revive() {
  if (!alive_) return {};
  const float one = 1;
  return WriteVariable(backend_, std::span<const float>(&one, 1), alive_.get());
}

// Which images to look at: those with bad pixels, or with bad logits, or all of them.
std::string Trainer::SampleText(const Batch& batch, const StepProgram& p) const {
  const auto n = static_cast<size_t>(batch.count);
  std::vector<bool> bad(n, false);
  const char* what = "";
  if (!batch.bytes) {
    const auto* x = static_cast<const float*>(batch.images);
    const auto each = static_cast<size_t>(roles_.front().second->ImageShape(1).elements());
    for (size_t i = 0; i < n * each; ++i)
      if (!std::isfinite(x[i])) bad[i / each] = true, what = "pixels of ";
  }
  if (!*what && p.graph->has_rows()) {
    for (size_t i = 0; i < n; ++i)
      if (p.report[p.graph->rows_at() + i] > 0) bad[i] = true, what = "logits of ";
  }
  if (!*what) bad.assign(n, true);
  const auto count = std::count(bad.begin(), bad.end(), true);
  std::string s = what + std::string(count == 1 ? "sample" : "samples");
  int shown = 0;
  for (size_t i = 0; i < n && shown < kShown; ++i)
    if (bad[i]) s += (shown++ ? ", " : " ") + std::to_string(batch.id(i));
  if (count > shown) s += " and " + std::to_string(count - shown) + " more";
  return s;
}

Status Trainer::NonFinite(const Batch& batch, int64_t step, const StepProgram& p) const {
  auto text = [](double v) { return std::isnan(v) ? std::string("NaN") : v > 0 ? "infinite" : "minus infinite"; };
  const StepGraph& g = *p.graph;
  std::string what;
  for (size_t i = 0; i < g.terms().size() && what.empty(); ++i)
    if (const double v = p.report[g.terms_at() + i]; !std::isfinite(v))
      what = "the term '" + g.terms()[i] + "' is " + text(v);
  if (what.empty() && !std::isfinite(p.report[2])) what = "the loss is " + text(p.report[2]);
  if (const auto& parameters = g.squared(); what.empty() && !parameters.empty()) {
    what = "the gradient is infinite";  // unless one of its parts says so itself
    for (size_t i = 0; i < parameters.size(); ++i)
      if (const double v = p.report[g.squares_at() + i]; !std::isfinite(v)) {
        what = "the gradient of " + parameters[i] + " is " + (std::isnan(v) ? "NaN" : "infinite");
        break;
      }
  }
  if (what.empty()) what = "a term is infinite";
  return {Code::kNonFinite,
          what + " in step " + std::to_string(step) + " (" + SampleText(batch, p) + "); the step was not applied"};
}

Status Trainer::Gradient(const std::string& role, const std::string& parameter, std::span<float> values) {
  if (!options_.gradients) return FailedPrecondition("gradients are read only with the option gradients=1");
  DISTIL_RETURN_IF_ERROR(Wait());
  if (!last_) return FailedPrecondition("there is no gradient before a step was done");
  const std::string name = "gradient/" + role + "/" + parameter;
  for (auto p = last_->rbegin(); p != last_->rend(); ++p)
    if (p->program->HasOutput(name)) return p->program->Fetch(name, values);
  return NotFound("the last step trained no parameter '" + parameter + "' in the role '" + role + "'");
}

}  // namespace distil
