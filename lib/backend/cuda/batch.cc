#include "lib/backend/cuda/batch.h"

#include <algorithm>

namespace distil::cuda {

// A launch with a key is held back, together with those of its key that follow, until the first launch that waits for
// one of them; whatever comes between does not.
std::vector<std::vector<int>> Batch(const std::vector<std::string_view>& keys,
                                    const std::vector<std::vector<int>>& waits) {
  struct Held {
    std::string_view key;
    std::vector<int> launches;
  };
  std::vector<Held> held;
  std::vector<std::vector<int>> order;
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::vector<int>& before = waits[i];
    auto needed = [&](const Held& h) {
      return std::any_of(h.launches.begin(), h.launches.end(),
                         [&](int j) { return std::find(before.begin(), before.end(), j) != before.end(); });
    };
    std::erase_if(held, [&](const Held& h) {
      if (!needed(h)) return false;
      order.push_back(h.launches);
      return true;
    });
    if (keys[i].empty()) {
      order.push_back({static_cast<int>(i)});
      continue;
    }
    auto own = std::find_if(held.begin(), held.end(), [&](const Held& h) { return h.key == keys[i]; });
    if (own == held.end()) own = held.insert(held.end(), {keys[i], {}});
    own->launches.push_back(static_cast<int>(i));
  }
  for (Held& h : held) order.push_back(std::move(h.launches));
  return order;
}

void BatchTable::Add(const std::vector<uint64_t>& arguments, int64_t pieces) {
  rows.insert(rows.end(), arguments.begin(), arguments.end());
  for (int64_t p = 0; p < pieces; ++p) {
    blocks.push_back(row_count);
    blocks.push_back(static_cast<uint32_t>(p));
  }
  ++row_count;
}

}  // namespace distil::cuda
