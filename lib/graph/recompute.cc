#include "lib/graph/recompute.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "lib/graph/fuse.h"

namespace distil {
namespace {

constexpr size_t kReads = 2;     // tensors of its size that computing a value may read
constexpr size_t kLaunches = 3;  // in a row, to compute one value

class Recomputer {
 public:
  Recomputer(const Graph& g, size_t worth) : g_(g), worth_(worth), live_(LiveNodes(g)), fixed_(FixedValues(g)) {}

  Graph Run() {
    FindLives();
    while (DropOne()) {
    }
    return Emit();
  }

 private:
  // Launches are places in live_. A value lives from its first use, which makes it, to its last one.
  struct Life {
    std::vector<int> uses;       // in order; what leaves the graph is used at its end
    int dropped = 0, again = 0;  // if above 0: not in memory between these two of its uses
  };

  const Node& producer(ValueId v) const { return g_.producer(v); }
  int end() const { return static_cast<int>(live_.size()); }
  size_t Bytes(ValueId v) const {
    return static_cast<size_t>(g_.value(v).shape.elements()) * DTypeSize(g_.value(v).dtype);
  }
  // Whether it takes memory for as long as it lives only.
  bool Passing(ValueId v) const {
    const Op op = producer(v).op;
    return !fixed_[v] && op != Op::kInput && op != Op::kVariable;
  }

  void FindLives() {
    root_.resize(g_.value_count());
    std::iota(root_.begin(), root_.end(), 0);
    lives_.resize(g_.value_count());
    for (int t = 0; t < end(); ++t) {
      const Node& node = g_.node(live_[static_cast<size_t>(t)]);
      if (node.op == Op::kReshape) {  // only a name
        root_[node.out[0]] = root_[node.in[0]];
        names_[root_[node.out[0]]].push_back(live_[static_cast<size_t>(t)]);
        continue;
      }
      for (ValueId v : node.in) Use(root_[v], t);
      for (ValueId v : node.out) Use(v, t);
    }
    for (auto& [name, v] : g_.outputs()) Use(root_[v], end());
    for (auto& [var, v] : g_.assigns()) Use(root_[v], end());
    alive_.assign(live_.size() + 1, 0);
    for (ValueId v = 0; v < lives_.size(); ++v)
      if (const std::vector<int>& uses = lives_[v].uses; !uses.empty() && Passing(v))
        for (int t = uses.front(); t <= uses.back(); ++t) alive_[static_cast<size_t>(t)] += Bytes(v);
  }
  void Use(ValueId v, int t) {
    std::vector<int>& uses = lives_[v].uses;
    const auto at = std::lower_bound(uses.begin(), uses.end(), t);
    if (at == uses.end() || *at != t) uses.insert(at, t);
  }

  bool Cheap(const Node& n) const {
    if (n.out.size() != 1 || g_.value(n.out[0]).layout == Layout::kOpaque) return false;
    switch (n.op) {
      case Op::kTranspose:
      case Op::kSlice:
      case Op::kConcat:
      case Op::kReorder: return true;
      case Op::kFused: break;
      default: return false;
    }
    if (n.fused->outs[0].reduce != FusedBody::kStore) return false;
    for (const FusedBody::Instr& i : n.fused->code)
      if (i.kind == FusedBody::kOp && Costly(i.op)) return false;
    const auto large = [&](ValueId v) { return g_.value(v).shape == n.fused->space; };
    return static_cast<size_t>(std::count_if(n.in.begin(), n.in.end(), large)) <= kReads;
  }

  bool InMemory(ValueId v, int t) const {
    if (!Passing(v)) return true;
    const Life& life = lives_[v];
    if (life.uses.front() >= t) return false;
    return Bytes(v) <= worth_ / 16 || (life.uses.back() >= t && (t <= life.dropped || t >= life.again));
  }

  // What to compute before launch t so that `v` is there; false if that is too much.
  bool Plan(ValueId v, int t, std::vector<ValueId>* make) const {
    if (!Cheap(producer(v))) return false;
    for (ValueId in : producer(v).in) {
      const ValueId x = root_[in];
      if (InMemory(x, t) || std::find(make->begin(), make->end(), x) != make->end()) continue;
      if (make->size() + 1 >= kLaunches || !Plan(x, t, make)) return false;
    }
    make->push_back(v);
    return make->size() <= kLaunches;
  }

  bool DropOne() {
    const auto peak = std::max_element(alive_.begin(), alive_.end());
    const int busy = static_cast<int>(peak - alive_.begin());
    ValueId best = kNoValue;
    int best_next = 0;
    std::vector<ValueId> best_make;
    for (ValueId v = 0; v < lives_.size(); ++v) {
      const Life& life = lives_[v];
      if (life.uses.empty() || life.again > 0 || !Passing(v) || Bytes(v) < worth_) continue;
      const auto next = std::lower_bound(life.uses.begin(), life.uses.end(), busy);
      if (next == life.uses.begin() || next == life.uses.end() || *next == busy || *next == end()) continue;
      if (*next < best_next || (*next == best_next && Bytes(v) <= Bytes(best))) continue;
      // It is of no use where as much is alive when it is back.
      if (*std::max_element(alive_.begin() + *next, alive_.end()) + Bytes(v) / 2 > *peak) continue;
      std::vector<ValueId> make;
      if (!Plan(v, *next, &make)) continue;
      best = v, best_next = *next, best_make = std::move(make);
    }
    if (best == kNoValue) return false;
    Life& life = lives_[best];
    life.dropped = *(std::lower_bound(life.uses.begin(), life.uses.end(), busy) - 1);
    life.again = best_next;
    for (int t = life.dropped + 1; t < life.again; ++t) alive_[static_cast<size_t>(t)] -= Bytes(best);
    std::set<ValueId>& again = again_[best_next];
    for (ValueId v : best_make)
      if (again.insert(v).second && v != best) alive_[static_cast<size_t>(best_next)] += Bytes(v);
    for (ValueId v : best_make)
      for (ValueId in : producer(v).in)
        if (!again.count(root_[in])) Use(root_[in], best_next);
    return true;
  }

  Graph Emit() {
    to_.opaque() = g_.opaque();
    map_.assign(g_.value_count(), kNoValue);
    for (int t = 0; t < end(); ++t) {
      if (const auto again = again_.find(t); again != again_.end()) {
        const std::string name = "again for launch " + std::to_string(t);  // equal nodes would be one
        for (ValueId v : again->second) {
          Copy(producer(v), name);
          for (NodeId n : names_[v])
            if (map_[g_.node(n).out[0]] != kNoValue) Copy(g_.node(n), name);
        }
      }
      const Node& node = g_.node(live_[static_cast<size_t>(t)]);
      Copy(node, node.name);
    }
    for (auto& [name, v] : g_.outputs()) to_.Output(name, map_[v]);
    for (auto& [var, v] : g_.assigns()) to_.Assign(var, map_[v]);
    if (!g_.ok()) to_.Fail(g_.error());
    return std::move(to_);
  }

  void Copy(const Node& node, const std::string& name) {
    Node n = node;
    n.name = name;
    for (ValueId& v : n.in) v = map_[v];
    const NodeId id = to_.Add(std::move(n));
    if (id == ~0u) return;
    for (size_t i = 0; i < node.out.size(); ++i) {
      const Value& from = g_.value(node.out[i]);
      Value& value = to_.mutable_value(map_[node.out[i]] = to_.node(id).out[i]);
      value.low = from.low, value.dtype = from.dtype, value.layout = from.layout, value.opaque = from.opaque;
    }
  }

  const Graph& g_;
  size_t worth_;
  std::vector<NodeId> live_;
  std::vector<bool> fixed_;
  std::vector<ValueId> root_;                     // the value whose memory a value is
  std::map<ValueId, std::vector<NodeId>> names_;  // Reshape nodes of a root
  std::vector<Life> lives_;                       // of roots
  std::vector<size_t> alive_;                     // bytes, by launch
  std::map<int, std::set<ValueId>> again_;        // what is computed again before a launch, in order
  Graph to_;
  std::vector<ValueId> map_;
};

}  // namespace

Graph Recompute(const Graph& g, size_t worth) { return Recomputer(g, worth).Run(); }

}  // namespace distil
