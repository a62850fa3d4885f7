#include "lib/graph/fuse.h"

#include <algorithm>
#include <bit>
#include <map>
#include <set>

namespace distil {
namespace {

constexpr size_t kMaxInputs = 32, kMaxOutputs = 16, kMaxCode = 192;
constexpr int64_t kSmall = 4096;  // elements; launches cost more than memory below this

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

bool Reduces(Op op) { return op == Op::kSum || op == Op::kMaxReduce; }

class Fuser {
 public:
  explicit Fuser(const Graph& g) : g_(g), live_(LiveNodes(g)) {}

  Graph Run() {
    CountUsers();
    ChooseKept();
    FormGroups();
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
      const int g = FindGroup(v, leaves, inside);
      Group& group = groups_[g < 0 ? NewGroup(t, v) : static_cast<size_t>(g)];
      group.sinks.push_back(v);
      for (ValueId l : leaves)
        if (!group.inside.count(l)) group.leaves.insert(l);
      group.inside.insert(inside.begin(), inside.end());
      ready_[v] = group.position;
      group_of_[v] = static_cast<size_t>(&group - groups_.data());
    }
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

  Graph Emit() {
    Graph to;
    map_.assign(g_.value_count(), kNoValue);
    std::vector<std::vector<size_t>> at(live_.size());
    for (size_t g = 0; g < groups_.size(); ++g) at[groups_[g].position].push_back(g);
    for (int t = 0; t < static_cast<int>(live_.size()); ++t) {
      for (size_t g : at[t]) EmitGroup(groups_[g], &to);
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
  std::map<ValueId, size_t> group_of_;
  std::vector<ValueId> map_;
};

}  // namespace

Graph Fuse(const Graph& g) { return Fuser(g).Run(); }

}  // namespace distil
