#include "lib/graph/fuse.h"

#include <algorithm>
#include <bit>
#include <map>
#include <numeric>
#include <set>

namespace distil {
namespace {

constexpr size_t kMaxInputs = 32, kMaxOutputs = 16, kMaxCode = 192;
constexpr int64_t kSmall = 4096;  // elements; launches cost more than memory below this

bool Reduces(Op op) { return op == Op::kSum || op == Op::kMaxReduce; }

class Fuser {
 public:
  explicit Fuser(const Graph& g) : g_(g), live_(LiveNodes(g)) {}

  Graph Run() {
    CountUsers();
    ChooseKept();
    FormGroups();
    FindReaders();
    Unstore();
    MergeGroups();
    return Emit();
  }

 private:
  struct Group {
    int position;  // in live_: where it runs
    Shape space;
    std::vector<ValueId> sinks;  // values it computes, in order
    std::set<ValueId> leaves;    // values it reads
    std::set<ValueId> inside;    // values that exist as instructions
  };

  // Index tensors are only moved, never computed with.
  bool Fusable(const Node& n) const {
    return (IsPointwise(n.op) || Reduces(n.op) || n.op == Op::kBroadcast) && !g_.value(n.out[0]).index;
  }
  const Shape& shape(ValueId v) const { return g_.value(v).shape; }
  const Node& producer(ValueId v) const { return g_.producer(v); }
  // A pass over which space computes v: that of a reduction's operand.
  const Shape& Space(ValueId v) const { return Reduces(producer(v).op) ? shape(producer(v).in[0]) : shape(v); }

  void CountUsers() {
    users_.resize(g_.value_count());
    kept_.assign(g_.value_count(), true);
    for (NodeId n : live_)
      for (ValueId v : g_.node(n).in)
        if (users_[v].empty() || users_[v].back() != n) users_[v].push_back(n);
    root_.assign(g_.value_count(), false);
    for (auto& [name, v] : g_.outputs()) root_[v] = true;
    for (auto& [var, v] : g_.assigns()) root_[v] = true;
  }

  // Walks a value back through values that are not kept, to what it reads from memory.
  void Leaves(ValueId v, std::set<ValueId>* leaves, std::set<ValueId>* inside, size_t* costly) const {
    if (!inside->insert(v).second) return;
    if (Costly(producer(v).op)) ++*costly;
    for (ValueId in : producer(v).in) {
      if (IsScalarConstant(in)) continue;
      if (kept_[in])
        leaves->insert(in);
      else
        Leaves(in, leaves, inside, costly);
    }
  }

  bool IsScalarConstant(ValueId v) const { return producer(v).op == Op::kConstant; }

  void ChooseKept() {
    for (NodeId n : live_) {
      const Node& node = g_.node(n);
      if (!Fusable(node) || Reduces(node.op)) continue;
      const ValueId v = node.out[0];
      if (root_[v]) continue;
      bool virtual_ok = true;
      for (NodeId u : users_[v]) {
        const Node& user = g_.node(u);
        // Users on a larger space would compute it again at every point.
        if (!Fusable(user) || !(Space(user.out[0]) == shape(v))) virtual_ok = false;
      }
      if (!virtual_ok) continue;
      std::set<ValueId> leaves, inside;
      size_t costly = 0;
      Leaves(v, &leaves, &inside, &costly);
      if (users_[v].size() > 1) {
        size_t full = 0;
        for (ValueId l : leaves) full += shape(l) == shape(v);
        if (node.op != Op::kBroadcast && (full > 1 || costly > 0)) continue;
      }
      if (inside.size() > kMaxCode / 2 || leaves.size() > kMaxInputs / 2) continue;
      kept_[v] = false;
    }
  }

  void FormGroups() {
    ready_.assign(g_.value_count(), -1);
    for (int t = 0; t < static_cast<int>(live_.size()); ++t) {
      const Node& node = g_.node(live_[t]);
      if (!Fusable(node)) {
        for (ValueId v : node.out) ready_[v] = t;
        continue;
      }
      const ValueId v = node.out[0];
      if (!kept_[v]) continue;
      std::set<ValueId> leaves, inside;
      size_t costly = 0;
      Leaves(v, &leaves, &inside, &costly);
      const int g = OnlyFusedReaders(v) ? -1 : FindGroup(v, leaves, inside);
      Group& group = groups_[g < 0 ? NewGroup(t, v) : static_cast<size_t>(g)];
      group.sinks.push_back(v);
      for (ValueId l : leaves)
        if (!group.inside.count(l)) group.leaves.insert(l);
      group.inside.insert(inside.begin(), inside.end());
      ready_[v] = group.position;
      group_of_[v] = static_cast<size_t>(&group - groups_.data());
    }
  }

  // A value that only passes over its own space read may not have to be stored at all: MergeGroups will see.
  bool OnlyFusedReaders(ValueId v) const {
    if (root_[v] || Reduces(producer(v).op) || shape(v).elements() <= kSmall) return false;
    return std::all_of(users_[v].begin(), users_[v].end(),
                       [&](NodeId u) { return Fusable(g_.node(u)) && Space(g_.node(u).out[0]) == shape(v); });
  }

  size_t NewGroup(int t, ValueId v) {
    groups_.push_back({t, Space(v), {}, {}, {}});
    open_[Key(Space(v))].push_back(groups_.size() - 1);
    return groups_.size() - 1;
  }

  static std::vector<int64_t> Key(const Shape& s) { return {s.dims().begin(), s.dims().end()}; }

  // A group that runs early enough and can take the sink along; the latest one, so that results are not made too early.
  int FindGroup(ValueId v, const std::set<ValueId>& leaves, const std::set<ValueId>& inside) const {
    const auto it = open_.find(Key(Space(v)));
    if (it == open_.end()) return -1;
    const bool small = Space(v).elements() <= kSmall;
    const bool store = !Reduces(producer(v).op);
    int tries = 0;
    for (auto g = it->second.rbegin(); g != it->second.rend() && tries < 8; ++g, ++tries) {
      const Group& group = groups_[*g];
      if (group.sinks.size() >= kMaxOutputs || group.inside.size() + inside.size() > kMaxCode) continue;
      bool ready = true, shares = small;
      size_t extra = 0;
      for (ValueId l : leaves) {
        const bool own = group.inside.count(l) != 0;
        // A reduction's result is complete only after the pass; other results can be used within it.
        if (own && Reduces(producer(l).op)) ready = false;
        if (!own && ready_[l] >= group.position) ready = false;
        if (own || group.leaves.count(l))
          shares = shares || shape(l) == group.space;
        else
          ++extra;
      }
      if (!ready || !shares || group.leaves.size() + extra > kMaxInputs) continue;
      // A full-size result that nobody needs for long would occupy memory: only follow a group that is near.
      if (store && !small && Distance(group, v) > 24) continue;
      return static_cast<int>(*g);
    }
    return -1;
  }

  int Distance(const Group& group, ValueId v) const {
    const NodeId at = g_.value(v).node;
    return static_cast<int>(at - live_[group.position]);
  }

  void FindReaders() {
    for (size_t g = 0; g < groups_.size(); ++g)
      for (ValueId l : groups_[g].leaves) readers_[l].insert(g);
    for (int t = 0; t < static_cast<int>(live_.size()); ++t)
      for (ValueId v : g_.node(live_[t]).in)
        if (!Fusable(g_.node(live_[t])) && !first_read_.count(v)) first_read_[v] = t;
  }
  bool OnlyGroupsRead(ValueId v) const { return !root_[v] && !first_read_.count(v); }

  // How to compute `v` within a group: what it would read, and instructions.
  struct Recipe {
    std::set<ValueId> leaves, inside;
  };
  // Whether `g` can compute `v` from full-size tensors that it reads anyway, and cheaply.
  bool Derivable(ValueId v, const Group& g, Recipe* r) const {
    if (!group_of_.count(v) || !IsPointwise(producer(v).op) || !(shape(v) == g.space)) return false;
    size_t costly = 0;
    Leaves(v, &r->leaves, &r->inside, &costly);
    return costly == 0 && std::all_of(r->leaves.begin(), r->leaves.end(), [&](ValueId l) {
             return !(shape(l) == g.space) || (g.leaves.count(l) && l != v);
           });
  }
  // `g` computes `v` by this recipe from now on.
  void Derive(ValueId v, size_t g, const Recipe& r) {
    Group& group = groups_[g];
    group.leaves.erase(v);
    readers_[v].erase(g);
    group.inside.insert(r.inside.begin(), r.inside.end());
    for (ValueId l : r.leaves) {
      if (group.inside.count(l)) continue;
      group.leaves.insert(l);
      readers_[l].insert(g);
    }
  }
  static bool Fits(const Group& g, const Recipe& r) {
    return g.leaves.size() + r.leaves.size() <= kMaxInputs && g.inside.size() + r.inside.size() <= kMaxCode;
  }

  // Reads and stores less where a result can be computed again from what is read anyway.
  void Unstore() {
    for (size_t g = 0; g < groups_.size(); ++g) {
      if (groups_[g].space.elements() <= kSmall) continue;
      const std::vector<ValueId> sinks = groups_[g].sinks;
      for (ValueId v : sinks)
        if (OnlyGroupsRead(v) && IsPointwise(producer(v).op)) TryUnstore(v, g);
    }
    for (size_t g = 0; g < groups_.size(); ++g) {
      if (groups_[g].space.elements() <= kSmall) continue;
      const std::vector<ValueId> leaves(groups_[g].leaves.begin(), groups_[g].leaves.end());
      for (ValueId l : leaves)
        if (Recipe r; shape(l) == groups_[g].space && Derivable(l, groups_[g], &r) && Fits(groups_[g], r))
          Derive(l, g, r);
    }
  }

  // Keeping `v` costs a write, and a read by each group that needs it; computing it there again costs them what they do
  // not read yet.
  void TryUnstore(ValueId v, size_t own) {
    const std::set<size_t> readers = readers_[v];
    std::vector<Recipe> recipes;
    size_t reads = 0;
    for (size_t g : readers) {
      Recipe r;
      size_t costly = 0;
      Leaves(v, &r.leaves, &r.inside, &costly);
      if (costly > 0 || !(groups_[g].space == shape(v))) return;
      const std::set<ValueId> leaves = r.leaves;
      for (ValueId l : leaves) {
        if (!(shape(l) == shape(v)) || groups_[g].leaves.count(l)) continue;
        Recipe deeper;
        if (!Derivable(l, groups_[g], &deeper)) {
          ++reads;
          continue;
        }
        r.leaves.erase(l);
        r.leaves.insert(deeper.leaves.begin(), deeper.leaves.end());
        r.inside.insert(deeper.inside.begin(), deeper.inside.end());
      }
      if (!Fits(groups_[g], r)) return;
      recipes.push_back(std::move(r));
    }
    if (reads >= readers.size() + 1) return;
    size_t i = 0;
    for (size_t g : readers) Derive(v, g, recipes[i++]);
    kept_[v] = false;
    std::erase(groups_[own].sinks, v);
  }

  // A group whose results nobody needs before another group of its space runs moves there: what only that one reads
  // need not be stored.
  void MergeGroups() {
    std::vector<size_t> order(groups_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return groups_[a].position < groups_[b].position; });
    for (size_t b : order) {
      std::vector<ValueId> leaves(groups_[b].leaves.begin(), groups_[b].leaves.end());
      for (size_t i = 0; i < leaves.size(); ++i) {  // grows
        const auto a = group_of_.find(leaves[i]);
        if (a == group_of_.end() || a->second == b || !CanMove(groups_[a->second], b)) continue;
        const std::set<ValueId>& more = groups_[a->second].leaves;
        leaves.insert(leaves.end(), more.begin(), more.end());
        Move(a->second, b);
      }
      // What only this group reads.
      std::erase_if(groups_[b].sinks, [&](ValueId v) {
        const auto r = readers_.find(v);
        return OnlyGroupsRead(v) && (r == readers_.end() || r->second.empty());
      });
    }
  }

  bool CanMove(const Group& from, size_t to) const {
    const Group& group = groups_[to];
    if (!(from.space == group.space) || from.sinks.size() + group.sinks.size() > kMaxOutputs ||
        from.leaves.size() + group.leaves.size() > kMaxInputs || from.inside.size() + group.inside.size() > kMaxCode)
      return false;
    for (ValueId v : from.sinks) {
      if (const auto t = first_read_.find(v); t != first_read_.end() && t->second <= group.position) return false;
      const auto readers = readers_.find(v);
      if (readers == readers_.end()) continue;
      for (size_t r : readers->second) {
        // A reduction's result is complete only after the pass.
        if (r == to ? Reduces(producer(v).op) : groups_[r].position <= group.position) return false;
      }
    }
    return true;
  }

  void Move(size_t a, size_t b) {
    Group &from = groups_[a], &to = groups_[b];
    to.inside.insert(from.inside.begin(), from.inside.end());
    to.leaves.insert(from.leaves.begin(), from.leaves.end());
    for (ValueId l : from.leaves) readers_[l].erase(a), readers_[l].insert(b);
    for (ValueId v : from.sinks) {
      group_of_[v] = b;
      ready_[v] = to.position;
      readers_[v].erase(b);
    }
    for (ValueId v : to.inside) to.leaves.erase(v);
    to.sinks.insert(to.sinks.begin(), from.sinks.begin(), from.sinks.end());
    from = {from.position, from.space, {}, {}, {}};
  }

  Graph Emit() {
    Graph to;
    map_.assign(g_.value_count(), kNoValue);
    std::vector<std::vector<size_t>> at(live_.size());
    for (size_t g = 0; g < groups_.size(); ++g) at[groups_[g].position].push_back(g);
    for (int t = 0; t < static_cast<int>(live_.size()); ++t) {
      for (size_t g : at[t])
        if (!groups_[g].sinks.empty()) EmitGroup(groups_[g], &to);
      const Node& node = g_.node(live_[t]);
      if (Fusable(node)) continue;
      Copy(node, &to);
    }
    for (auto& [name, v] : g_.outputs()) to.Output(name, map_[v]);
    for (auto& [var, v] : g_.assigns()) to.Assign(var, map_[v]);
    if (!g_.ok()) to.Fail(g_.error());
    return to;
  }

  void Copy(const Node& node, Graph* to) {
    Node n = node;
    for (ValueId& v : n.in) v = map_[v];
    const NodeId id = to->Add(std::move(n));
    if (id == ~0u) return;
    for (size_t i = 0; i < node.out.size(); ++i) {
      map_[node.out[i]] = to->node(id).out[i];
      Describe(node.out[i], to);
    }
  }
  void Describe(ValueId v, Graph* to) { to->mutable_value(map_[v]).low = g_.value(v).low; }

  void EmitGroup(const Group& group, Graph* to) {
    auto body = std::make_shared<FusedBody>();
    body->space = group.space;
    Node node;
    node.op = Op::kFused;
    std::map<ValueId, int32_t> at;
    std::map<uint64_t, int32_t> constants;  // by their bits: NaN is one, and -0 is not 0
    auto add = [&](FusedBody::Instr i) {
      body->code.push_back(i);
      return static_cast<int32_t>(body->code.size() - 1);
    };
    auto visit = [&](auto&& self, ValueId v) -> int32_t {
      if (auto it = at.find(v); it != at.end()) return it->second;
      int32_t i;
      const Node& p = producer(v);
      if (IsScalarConstant(v)) {
        auto [it, fresh] = constants.try_emplace(std::bit_cast<uint64_t>(p.reals[0]), -1);
        if (fresh) it->second = add({FusedBody::kConst, Op::kConstant, {0, 0, 0}, p.reals[0]});
        i = it->second;
      } else if (!group.inside.count(v)) {
        i = add({FusedBody::kLoad, Op::kInput, {static_cast<int32_t>(node.in.size()), 0, 0}, 0});
        node.in.push_back(map_[v]);
      } else if (IsPointwise(p.op)) {
        FusedBody::Instr instr{FusedBody::kOp, p.op, {0, 0, 0}, 0};
        for (size_t k = 0; k < p.in.size(); ++k) instr.arg[k] = self(self, p.in[k]);
        i = add(instr);
      } else {  // a broadcast's or a reduction's operand
        i = self(self, p.in[0]);
      }
      at[v] = i;
      return i;
    };
    for (ValueId v : group.sinks) {
      const Op op = producer(v).op;
      const int32_t i = visit(visit, v);
      body->outs.push_back({i,
                            op == Op::kSum         ? FusedBody::kSum
                            : op == Op::kMaxReduce ? FusedBody::kMax
                                                   : FusedBody::kStore,
                            shape(v)});
    }
    node.fused = std::move(body);
    const NodeId id = to->Add(std::move(node));
    if (id == ~0u) return;
    for (size_t i = 0; i < group.sinks.size(); ++i) {
      map_[group.sinks[i]] = to->node(id).out[i];
      Describe(group.sinks[i], to);
    }
  }

  const Graph& g_;
  std::vector<NodeId> live_;
  std::vector<std::vector<NodeId>> users_;
  std::vector<bool> root_, kept_;
  std::vector<int> ready_;
  std::vector<Group> groups_;
  std::map<std::vector<int64_t>, std::vector<size_t>> open_;
  std::map<ValueId, size_t> group_of_;           // of the sinks
  std::map<ValueId, std::set<size_t>> readers_;  // groups that read a value from memory
  std::map<ValueId, int> first_read_;            // by a node that is not fused: its place in live_
  std::vector<ValueId> map_;
};

}  // namespace

Graph Fuse(const Graph& g) { return Fuser(g).Run(); }

bool Costly(Op op) {
  switch (op) {
    case Op::kExp:
    case Op::kLog:
    case Op::kLog1p:
    case Op::kPow:
    case Op::kSigmoid:
    case Op::kTanh: return true;
    default: return false;
  }
}

}  // namespace distil
