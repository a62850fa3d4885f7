#include "harness/progress.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "harness/text.h"

namespace distil::harness {
namespace {

bool DumbTerminal() {
  const char* kind = getenv("TERM");
  return !kind || !*kind || std::strcmp(kind, "dumb") == 0;
}

size_t TerminalWidth() {
  winsize size = {};
  if (ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
  return 100;
}

// At most `width` code points.
std::string Cut(const std::string& text, size_t width) {
  size_t points = 0, i = 0;
  for (; i < text.size(); ++i) {
    if ((text[i] & 0xC0) == 0x80) continue;
    if (points++ == width) break;
  }
  return text.substr(0, i);
}

std::string Short(double value) {
  double size = value < 0 ? -value : value;
  return Fixed(value, size >= 100 ? 1 : size >= 0.01 || size == 0 ? 3 : 6);
}

std::string Rate(double lr) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.4g", lr);
  return buffer;
}

}  // namespace

bool ColorOnStdout() {
  const char* no = getenv("NO_COLOR");
  return !(no && *no) && isatty(1) && !DumbTerminal();
}

Progress::Progress(const ProgressOptions& options)
    : options_(options), terminal_(!options.quiet && !options.json && isatty(2) && !DumbTerminal()) {}

void Progress::Begin(const std::string& name, const std::string& folder, const std::string& position, int64_t epochs,
                     int64_t steps_per_epoch, int64_t step) {
  name_ = name, folder_ = folder, position_ = position.empty() ? "" : "[" + position + "] ";
  epochs_ = epochs, steps_per_epoch_ = steps_per_epoch, begin_step_ = step, images_ = 0;
  training_ = evaluation_ = 0;
  last_top1_.clear();
  last_step_ = Clock::now();
  last_line_ = last_step_ - std::chrono::hours(1);
}

std::string Progress::StepText(int64_t step, const std::vector<std::pair<std::string, double>>& terms,
                               double lr) const {
  double per_step = training_ / static_cast<double>(std::max<int64_t>(1, step - begin_step_));
  double left = per_step * static_cast<double>(epochs_ * steps_per_epoch_ - step) +
                evaluation_ * static_cast<double>(epochs_ - (step - 1) / steps_per_epoch_);
  std::string text = position_ + name_ + "  epoch " + std::to_string((step - 1) / steps_per_epoch_ + 1) + "/" +
                     std::to_string(epochs_) + "  step " + std::to_string((step - 1) % steps_per_epoch_ + 1) + "/" +
                     std::to_string(steps_per_epoch_) + " ";
  for (const auto& [term, value] : terms) text += " " + term + " " + Short(value);
  text += "  lr " + Rate(lr);
  if (training_ > 0) text += "  " + Fixed(static_cast<double>(images_) / training_, 0) + " img/s";
  text += "  ETA " + Duration(left);
  return text + last_top1_;
}

void Progress::Step(int64_t step, int64_t images, const std::vector<std::pair<std::string, double>>& terms, double lr) {
  Clock::time_point now = Clock::now();
  training_ += std::chrono::duration<double>(now - last_step_).count();
  last_step_ = now;
  images_ += images;
  double waited = std::chrono::duration<double>(now - last_line_).count();
  if (options_.quiet || options_.json || waited < (terminal_ ? 0.2 : options_.interval)) return;
  last_line_ = now;
  Line(StepText(step, terms, lr), /*stays=*/!terminal_);
}

void Progress::Epoch(const EpochMetrics& m, double evaluation_seconds) {
  evaluation_ = evaluation_seconds;
  last_step_ = Clock::now();  // evaluation is no part of the steps' rate
  last_top1_ = "  top-1 " + Fixed(m.top1, 2);
  if (options_.json) {
    Json event = ToJson(m);
    event["event"] = "epoch", event["run"] = folder_, event["epochs"] = epochs_;
    std::printf("%s\n", Canonical(event).c_str());
    std::fflush(stdout);
  }
  if (options_.quiet || options_.json || terminal_) return;
  std::string text = position_ + name_ + "  epoch " + std::to_string(m.epoch) + "/" + std::to_string(epochs_) + " ";
  for (const auto& [term, value] : m.train) text += " " + term + " " + Short(value);
  text += "  lr " + Rate(m.lr);
  if (training_ > 0) text += "  " + Fixed(static_cast<double>(images_) / training_, 0) + " img/s";
  double per_step = training_ / static_cast<double>(std::max<int64_t>(1, m.epoch * steps_per_epoch_ - begin_step_));
  double left =
      static_cast<double>(epochs_ - m.epoch) * (per_step * static_cast<double>(steps_per_epoch_) + evaluation_seconds);
  if (m.epoch < epochs_) text += "  ETA " + Duration(left);
  Line(text + "  test top-1 " + Fixed(m.top1, 2), true);
  last_line_ = last_step_;
}

void Progress::End(const std::string& text) { Note(position_ + text); }

void Progress::Note(const std::string& text) {
  if (options_.quiet || options_.json) return;
  Line(text, true);
}

void Progress::Line(const std::string& text, bool stays) {
  if (terminal_) {
    std::string cut = stays ? text : Cut(text, TerminalWidth() - 1);
    std::fprintf(stderr, "\r\033[K%s%s", cut.c_str(), stays ? "\n" : "");
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
  std::fflush(stderr);
}

}  // namespace distil::harness
