#include "lib/backend/onednn/search.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <limits>
#include <mutex>
#include <new>
#include <vector>

#include "lib/backend/onednn/rows.h"
#include "lib/backend/onednn/winograd.h"
#include "lib/base/text.h"
#include "lib/io/file.h"

namespace distil::onednn {
namespace {

std::string CachePath() {
  auto get = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  std::string folder = get("DISTIL_CACHE");
  if (folder == "off") return "";
  if (folder.empty() && !get("XDG_CACHE_HOME").empty()) folder = get("XDG_CACHE_HOME") + "/distil";
  if (folder.empty() && !get("HOME").empty()) folder = get("HOME") + "/.cache/distil";
  return folder.empty() ? "" : folder + "/convolutions.txt";
}

std::string Processor() {
  std::ifstream info("/proc/cpuinfo");
  std::string words;
  for (std::string line; std::getline(info, line) && !line.empty();)  // of the first core
    for (const char* key : {"model name", "cpu family", "model\t", "stepping"})
      if (line.rfind(key, 0) == 0)
        words += (words.empty() ? "" : " ") + line.substr(std::min(line.size(), line.find(':') + 2));
  std::replace(words.begin(), words.end(), '\t', ' ');
  return words;
}

std::string Product(const Shape& s) {
  std::string text;
  for (int64_t d : s.dims()) text += (text.empty() ? "" : "x") + std::to_string(d);
  return text;
}

std::string Pair(const char* name, const int64_t (&v)[2]) {
  return "," + std::string(name) + std::to_string(v[0]) + "x" + std::to_string(v[1]);
}

}  // namespace

const char* AlgorithmName(int64_t algorithm) {
  switch (algorithm) {
    case kWinograd: return "winograd";
    case kTurned: return "turned";
    case kByRows: return "rows";
    default: return "direct";
  }
}

std::string DescribeConv(const ConvSpec& s, int threads) {
  const ConvAttrs& a = s.attrs;
  std::string text = s.kind == ConvKind::kForward ? "forward" : s.kind == ConvKind::kInput ? "by_input" : "by_weight";
  text += "," + Product(s.x) + "," + Product(s.w) + Pair("s", a.stride) + Pair("p", a.pad);
  if (a.dilation[0] != 1 || a.dilation[1] != 1) text += Pair("d", a.dilation);
  if (a.groups != 1) text += ",g" + std::to_string(a.groups);
  text += s.bf16 ? ",bf16" : ",f32";
  if (a.bias) text += ",bias";
  if (a.residual) text += ",residual";
  if (a.relu) text += ",relu";
  return text + "," + std::to_string(threads) + (threads == 1 ? "thread" : "threads");
}

Status MakeConvKernel(const Library& library, const ConvSpec& s, int threads, std::unique_ptr<Kernel>* out,
                      size_t* weight_bytes) {
  if (s.attrs.algorithm == kWinograd) {
    *out = MakeWinograd(s, threads);
    *weight_bytes = WinogradWeightBytes(s.w);
    return {};
  }
  if (s.attrs.algorithm == kByRows) {
    *out = MakeRows(s, threads);
    *weight_bytes = library.BlockedWeight(s.w).bytes;
    return {};
  }
  const ConvSpec spec = s.attrs.algorithm == kTurned ? Turned(s) : s;
  OpaqueLayout weight;
  DISTIL_RETURN_IF_ERROR(library.WeightLayout(spec, &weight));
  *weight_bytes = weight.bytes;
  return library.Conv(spec, out);
}

Search::Search(const Library& library, int threads)
    : library_(library),
      threads_(threads),
      path_(CachePath()),
      machine_(Processor() + ", onednn " + library.version() + " " + library.isa()) {
  Load();
}

void Search::Load() {
  std::ifstream file(path_);
  for (std::string line; !path_.empty() && std::getline(file, line);) {
    const std::vector<std::string_view> fields = Split(line, '\t');
    if (fields.size() >= 3 && fields[0] == machine_) known_[std::string(fields[1])] = std::string(fields[2]);
  }
}

// The whole file is written anew, so that a reader never sees half a line; of two processes that write at the same
// time one loses its line, and measures again.
void Search::Keep(const std::string& line) const {
  if (path_.empty()) return;
  std::error_code e;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), e);
  std::vector<uint8_t> bytes;
  if (std::filesystem::exists(path_, e) && !ReadFile(path_, &bytes).ok()) return;
  bytes.insert(bytes.end(), line.begin(), line.end());
  AtomicFile file;
  if (file.Open(path_).ok() && file.Write(bytes.data(), bytes.size()).ok()) (void)file.Commit().ok();
}

double Search::Measure(const ConvSpec& s) const {
  std::unique_ptr<Kernel> kernel;
  size_t weight = 0;
  constexpr double kNever = std::numeric_limits<double>::infinity();
  if (!MakeConvKernel(library_, s, threads_, &kernel, &weight).ok()) return kNever;
  const size_t each = s.bf16 ? 2 : 4, x = static_cast<size_t>(s.x.elements()) * each,
               y = static_cast<size_t>(s.y.elements()) * each, bias = static_cast<size_t>(s.w[0]) * 4;
  // Zeros: how fast a convolution is does not depend on its numbers.
  struct Free {
    void operator()(char* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  std::vector<std::unique_ptr<char[], Free>> memory;
  auto take = [&](size_t bytes) -> void* {
    memory.emplace_back(new (std::align_val_t{64}) char[bytes + 64]());
    return memory.back().get();
  };
  std::vector<const void*> in;
  void* out;
  switch (s.kind) {
    case ConvKind::kForward:
      in = {take(x), take(weight)};
      if (s.attrs.bias) in.push_back(take(bias));
      out = take(y);
      if (s.attrs.residual) in.push_back(out);  // in place, as the planner does it
      break;
    case ConvKind::kInput: in = {take(y), take(weight)}, out = take(x); break;
    case ConvKind::kWeight:
      in = {take(x), take(y)}, out = take(std::max(weight, static_cast<size_t>(s.w.elements()) * 4));
      break;
    default: return kNever;
  }
  void* const workspace = take(kernel->workspace());
  using Clock = std::chrono::steady_clock;
  double best = kNever;
  const auto start = Clock::now();
  try {
    for (int i = 0; i < 20 && (i < 4 || Clock::now() - start < std::chrono::milliseconds(40)); ++i) {
      const auto begin = Clock::now();
      kernel->Run({in.data(), &out, workspace});
      best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
    }
  } catch (const std::exception&) {  // of a primitive that fails, or without memory
    return kNever;
  }
  return best;
}

int64_t Search::Fastest(const ConvSpec& s, std::span<const int64_t> ways) {
  const std::string what = DescribeConv(s, threads_);
  if (const auto known = known_.find(what); known != known_.end())
    for (int64_t way : ways)
      if (known->second == AlgorithmName(way)) return way;
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  int64_t best = ways.front();
  double best_seconds = std::numeric_limits<double>::infinity();
  std::string times;
  for (int64_t way : ways) {
    ConvSpec candidate = s;
    candidate.attrs.algorithm = way;
    const double seconds = Measure(candidate);
    if (seconds < best_seconds) best = way, best_seconds = seconds;
    times += (times.empty() ? "" : " ") + std::string(AlgorithmName(way)) + "=" +
             (seconds < 1e6 ? FormatNumber(static_cast<double>(static_cast<int64_t>(seconds * 1e7)) / 10) : "no");
  }
  known_[what] = AlgorithmName(best);
  Keep(machine_ + "\t" + what + "\t" + AlgorithmName(best) + "\t" + times + "\n");
  return best;
}

}  // namespace distil::onednn
