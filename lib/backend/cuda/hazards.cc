#include "lib/backend/cuda/hazards.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>

namespace distil::cuda {
namespace {

// Memory as pieces with one history each. A piece reaches from its key to its end.
struct Piece {
  uintptr_t end;
  int writer = -1;           // the last launch that wrote it
  std::vector<int> readers;  // since then
};

class Memory {
 public:
  // Calls f for the pieces of a range, which together cover it exactly.
  void Each(const Range& r, const std::function<void(Piece&)>& f) {
    const auto begin = reinterpret_cast<uintptr_t>(r.begin), end = begin + r.bytes;
    if (r.bytes == 0) return;
    Split(begin);
    Split(end);
    for (uintptr_t at = begin; at < end;) {
      auto it = pieces_.lower_bound(at);
      if (it == pieces_.end() || it->first != at) {  // never touched before
        const uintptr_t stop = it == pieces_.end() ? end : std::min(end, it->first);
        it = pieces_.emplace(at, Piece{stop, -1, {}}).first;
      }
      f(it->second);
      at = it->second.end;
    }
  }

 private:
  void Split(uintptr_t at) {
    auto it = pieces_.upper_bound(at);
    if (it == pieces_.begin()) return;
    --it;
    if (it->first == at || it->second.end <= at) return;
    Piece rest = it->second;
    it->second.end = at;
    pieces_.emplace(at, std::move(rest));
  }

  std::map<uintptr_t, Piece> pieces_;
};

}  // namespace

std::vector<std::vector<int>> Dependencies(const std::vector<Access>& launches) {
  const size_t n = launches.size();
  std::vector<std::vector<int>> edges(n);
  std::vector<std::vector<bool>> before(n);  // before[i][j]: a path leads from j to i
  Memory memory;
  for (size_t i = 0; i < n; ++i) {
    const int self = static_cast<int>(i);
    std::vector<int> wait;
    auto on = [&](int j) {
      if (j >= 0 && j != self) wait.push_back(j);
    };
    for (const Range& r : launches[i].reads)
      memory.Each(r, [&](Piece& p) {
        on(p.writer);
        if (p.readers.empty() || p.readers.back() != self) p.readers.push_back(self);
      });
    for (const Range& r : launches[i].writes)
      memory.Each(r, [&](Piece& p) {
        on(p.writer);
        for (int j : p.readers) on(j);
        p.writer = self;
        p.readers.clear();
      });
    // The latest first: what one of them waits for needs no edge of its own.
    std::sort(wait.rbegin(), wait.rend());
    before[i].assign(i, false);
    for (int j : wait) {
      if (before[i][static_cast<size_t>(j)]) continue;
      edges[i].push_back(j);
      before[i][static_cast<size_t>(j)] = true;
      for (size_t k = 0; k < before[static_cast<size_t>(j)].size(); ++k)
        if (before[static_cast<size_t>(j)][k]) before[i][k] = true;
    }
    std::reverse(edges[i].begin(), edges[i].end());
  }
  return edges;
}

}  // namespace distil::cuda
