#include "lib/runtime/planner.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "lib/graph/variable.h"

namespace distil {
namespace {

size_t Align(size_t n, size_t alignment) { return (n + alignment - 1) / alignment * alignment; }

// A piece of arena that is needed from one launch to another (inclusive).
struct Slot {
  size_t bytes;
  int first, last;
  size_t offset = 0;
  std::vector<int> users = {};  // the launches that touch it, when the order of launches is not all that counts
};

// Which launches wait for which because they need their results, and how far back memory may be taken over from a
// launch that they need not wait for.
class Order {
 public:
  Order(const Graph& g, const std::vector<PlannedLaunch>& launches, int distance) : distance_(distance) {
    if (distance_ <= 1) return;
    std::map<NodeId, size_t> launch_of;
    before_.resize(launches.size());
    for (size_t t = 0; t < launches.size(); ++t) {
      before_[t].assign(t, false);
      for (ValueId v : g.node(launches[t].node).in) {
        while (g.producer(v).op == Op::kReshape) v = g.producer(v).in[0];
        const auto it = launch_of.find(g.value(v).node);
        if (it == launch_of.end() || before_[t][it->second]) continue;
        before_[t][it->second] = true;
        for (size_t k = 0; k < it->second; ++k)
          if (before_[it->second][k]) before_[t][k] = true;
      }
      launch_of[launches[t].node] = t;
    }
  }

  // Whether the two may not lie in the same place.
  bool Conflict(const Slot& a, const Slot& b) const {
    const Slot &early = a.first < b.first ? a : b, &late = a.first < b.first ? b : a;
    if (early.last >= late.first) return true;
    if (distance_ <= 1 || late.first - early.last >= distance_) return false;
    for (int t : early.users)
      if (late.first - t < distance_ && !before_[static_cast<size_t>(late.first)][static_cast<size_t>(t)]) return true;
    return false;
  }

 private:
  int distance_;
  std::vector<std::vector<bool>> before_;  // [t][s]: launch t needs, directly or not, what launch s computes
};

// Gives each slot, in this order, the lowest place where it overlaps nothing that it may not share memory with.
size_t PackInOrder(const std::vector<size_t>& order, const Order& launches, size_t alignment,
                   std::vector<Slot>* slots) {
  std::vector<size_t> placed;  // by offset
  size_t total = 0;
  for (size_t s : order) {
    Slot& slot = (*slots)[s];
    if (slot.bytes == 0) continue;
    size_t at = 0;
    for (size_t p : placed) {
      const Slot& other = (*slots)[p];
      if (!launches.Conflict(slot, other)) continue;
      if (at + slot.bytes <= other.offset) break;
      at = std::max(at, other.offset + Align(other.bytes, alignment));
    }
    slot.offset = at;
    total = std::max(total, at + Align(slot.bytes, alignment));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), s,
                                   [&](size_t a, size_t b) { return (*slots)[a].offset < (*slots)[b].offset; }),
                  s);
  }
  return total;
}

// Offsets for all slots, by the best of three orders: largest first, largest and longest first, oldest first.
size_t Pack(const Order& launches, size_t alignment, std::vector<Slot>& slots) {
  std::vector<size_t> order(slots.size());
  std::iota(order.begin(), order.end(), 0);
  size_t best = ~size_t{0};
  std::vector<Slot> packed;
  for (int rule = 0; rule < 3; ++rule) {
    auto key = [&](size_t i) {
      const Slot& s = slots[i];
      const double bytes = static_cast<double>(s.bytes);
      return rule == 0 ? bytes : rule == 1 ? bytes * (s.last - s.first + 1) : -s.first;
    };
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      const double x = key(a), y = key(b);
      return x != y ? x > y : a < b;
    });
    std::vector<Slot> attempt = slots;
    const size_t total = PackInOrder(order, launches, alignment, &attempt);
    if (total >= best) continue;
    best = total;
    packed = std::move(attempt);
  }
  slots = std::move(packed);
  return best;
}

// The most bytes that are alive at one launch.
size_t MostAlive(const std::vector<Slot>& slots, size_t launches, size_t alignment) {
  std::vector<size_t> starts(launches + 2), ends(launches + 2);
  for (const Slot& s : slots) {
    starts[static_cast<size_t>(s.first)] += Align(s.bytes, alignment);
    ends[static_cast<size_t>(s.last) + 1] += Align(s.bytes, alignment);
  }
  size_t alive = 0, most = 0;
  for (size_t t = 0; t < starts.size(); ++t) {
    alive += starts[t] - ends[t];
    most = std::max(most, alive);
  }
  return most;
}

class Planner {
 public:
  Planner(Backend* backend, Graph* g, MemoryPlan* plan) : backend_(backend), g_(*g), plan_(*plan) {}

  Status Run() {
    SeparateRoots();
    if (!g_.ok()) return InvalidArgument(g_.error());
    live_ = LiveNodes(g_);
    FindRoots();
    FindConstants();
    DISTIL_RETURN_IF_ERROR(MakeLaunches());
    FindLifetimes();
    AssignInPlace();  // first: a variable's memory is the best place to share
    ShareInPlace(plan_.once, once_slots_);
    ShareInPlace(plan_.every, every_slots_);
    return Finish();
  }

 private:
  // The value whose memory `v` is: reshapes only rename.
  ValueId Root(ValueId v) const { return root_[v]; }

  // Outputs and next values of variables get memory of their own: not an input's, not a variable's.
  void SeparateRoots() {
    auto borrowed = [&](ValueId v) {
      while (g_.producer(v).op == Op::kReshape) v = g_.producer(v).in[0];
      const Op op = g_.producer(v).op;
      return op == Op::kVariable || op == Op::kInput;
    };
    auto copy = [&](ValueId v) {
      Node n;
      n.op = Op::kReorder;
      n.in = {v};
      const NodeId id = g_.Add(std::move(n));
      if (id == ~0u) return v;
      Value& out = g_.mutable_value(g_.node(id).out[0]);
      out.dtype = g_.value(v).dtype;
      out.layout = g_.value(v).layout;
      return g_.node(id).out[0];
    };
    for (auto& [name, v] : g_.outputs()) outputs_.push_back(borrowed(v) ? copy(v) : v);
    for (auto& [var, v] : g_.assigns()) next_.push_back(borrowed(v) ? copy(v) : v);
    // The copies count as live.
    for (size_t i = 0; i < outputs_.size(); ++i)
      if (outputs_[i] != g_.outputs()[i].second) extra_.push_back(outputs_[i]);
    for (size_t i = 0; i < next_.size(); ++i)
      if (next_[i] != g_.assigns()[i].second) extra_.push_back(next_[i]);
  }

  void FindRoots() {
    std::set<NodeId> have(live_.begin(), live_.end());
    for (ValueId v : extra_)
      if (have.insert(g_.value(v).node).second) live_.push_back(g_.value(v).node);
    root_.resize(g_.value_count());
    std::iota(root_.begin(), root_.end(), 0);
    for (NodeId n : live_) {
      const Node& node = g_.node(n);
      if (node.op == Op::kReshape) root_[node.out[0]] = root_[node.in[0]];
    }
  }

  void FindConstants() {
    std::set<const Variable*> assigned;
    for (auto& [var, v] : g_.assigns()) assigned.insert(var.get());
    constant_.assign(g_.value_count(), false);
    std::set<const Variable*> seen;
    for (NodeId n : live_) {
      const Node& node = g_.node(n);
      bool constant = node.op != Op::kInput;
      if (node.op == Op::kVariable) {
        constant = !assigned.count(node.variable.get());
        if (seen.insert(node.variable.get()).second) plan_.variables.push_back(node.variable);
        if (constant) plan_.read_once.push_back(node.variable);
      }
      for (ValueId v : node.in) constant = constant && constant_[v];
      for (ValueId v : node.out) constant_[v] = constant;
    }
    for (auto& [var, v] : g_.assigns())
      if (seen.insert(var.get()).second) plan_.variables.push_back(var);
  }

  Status MakeLaunches() {
    for (NodeId n : live_) {
      const Node& node = g_.node(n);
      if (node.op == Op::kInput || node.op == Op::kVariable || node.op == Op::kReshape) continue;
      PlannedLaunch launch;
      launch.node = n;
      DISTIL_RETURN_IF_ERROR(backend_->MakeKernel(g_, n, &launch.kernel));
      (constant_[node.out[0]] ? plan_.once : plan_.every).push_back(std::move(launch));
    }
    return {};
  }

  // Which values stay beyond the launches that use them, and first and last use of the others.
  void FindLifetimes() {
    plan_.places.assign(g_.value_count(), {});
    slot_of_.assign(g_.value_count(), -1);
    for (NodeId n : live_) {
      const Node& node = g_.node(n);
      if (node.op == Op::kVariable) plan_.places[node.out[0]] = {Place::kVariable, 0, node.variable.get()};
      if (node.op == Op::kInput) plan_.places[node.out[0]] = Io(node.out[0]);
    }
    for (ValueId v : outputs_) {
      Place& p = plan_.places[Root(v)];
      if (p.kind == Place::kNone) p = Io(Root(v));
    }
    for (const PlannedLaunch& l : plan_.every)  // constants that a step reads
      for (ValueId v : g_.node(l.node).in) Keep(v);
    for (ValueId v : next_) Keep(v);
    Slots(plan_.once, once_slots_);
    Slots(plan_.every, every_slots_);
    const int end = static_cast<int>(plan_.every.size());
    for (ValueId v : next_)
      if (const int s = slot_of_[Root(v)]; s >= 0) every_slots_[s].last = end;
  }

  Place Io(ValueId v) {
    Place p{Place::kIo, plan_.io, nullptr};
    plan_.io += Align(backend_->Bytes(g_, v), backend_->alignment());
    return p;
  }
  void Keep(ValueId v) {
    Place& p = plan_.places[Root(v)];
    if (!constant_[Root(v)] || p.kind != Place::kNone) return;
    p = {Place::kConstant, plan_.constants, nullptr};
    plan_.constants += Align(backend_->Bytes(g_, Root(v)), backend_->alignment());
  }

  void Slots(const std::vector<PlannedLaunch>& launches, std::vector<Slot>& slots) {
    for (int t = 0; t < static_cast<int>(launches.size()); ++t) {
      const Node& node = g_.node(launches[t].node);
      for (ValueId v : node.out) {
        if (plan_.places[v].kind != Place::kNone) continue;
        plan_.places[v].kind = Place::kArena;
        slot_of_[v] = static_cast<int>(slots.size());
        slots.push_back({backend_->Bytes(g_, v), t, t, 0, {t}});
      }
      for (ValueId v : node.in)
        if (const int s = slot_of_[Root(v)]; s >= 0) slots[s].last = t, slots[s].users.push_back(t);
    }
  }

  void ShareInPlace(const std::vector<PlannedLaunch>& launches, std::vector<Slot>& slots) {
    for (int t = 0; t < static_cast<int>(launches.size()); ++t) {
      const Node& node = g_.node(launches[t].node);
      const Kernel& kernel = *launches[t].kernel;
      std::set<int> taken;
      for (int o = 0; o < static_cast<int>(node.out.size()); ++o) {
        if (plan_.places[node.out[o]].kind != Place::kArena) continue;
        const int prefer = kernel.PreferAlias(o);
        for (int k = -1; k < static_cast<int>(node.in.size()); ++k) {
          const int i = k < 0 ? prefer : k;
          if (i < 0 || (i != prefer && !kernel.MayAlias(i, o))) continue;
          const int from = slot_of_[Root(node.in[i])], to = slot_of_[node.out[o]];
          if (from < 0 || slots[from].last != t || slots[from].bytes != slots[to].bytes || taken.count(from)) continue;
          // Every other operand in that memory must be read at the same places.
          bool safe = true;
          for (int j = 0; j < static_cast<int>(node.in.size()); ++j)
            if (j != i && slot_of_[Root(node.in[j])] == from) safe = safe && i != prefer && kernel.MayAlias(j, o);
          if (!safe) continue;
          slots[from].last = slots[to].last;
          slots[from].users.insert(slots[from].users.end(), slots[to].users.begin(), slots[to].users.end());
          slots[to].bytes = 0;
          for (ValueId v = 0; v < slot_of_.size(); ++v)
            if (slot_of_[v] == to && (&slots == &every_slots_) == !constant_[v]) slot_of_[v] = from;
          taken.insert(from);
          break;
        }
      }
    }
  }

  // A variable's next value moves into the variable when every reader of the old value has run before its memory is
  // first written, or is the writer itself and reads element by element.
  void AssignInPlace() {
    std::map<const Variable*, std::vector<int>> readers;
    for (int t = 0; t < static_cast<int>(plan_.every.size()); ++t)
      for (ValueId v : g_.node(plan_.every[t].node).in)
        if (const Place& p = plan_.places[Root(v)]; p.kind == Place::kVariable) readers[p.variable].push_back(t);
    std::set<int> bound;
    for (size_t a = 0; a < next_.size(); ++a) {
      const VariableRef& var = g_.assigns()[a].first;
      const ValueId root = Root(next_[a]);
      const int s = slot_of_[root];
      const size_t bytes = static_cast<size_t>(var->shape.elements()) * DTypeSize(backend_->real());
      bool in_place = s >= 0 && !constant_[root] && !bound.count(s) && every_slots_[s].bytes == bytes &&
                      g_.value(root).layout == Layout::kPlain && g_.value(root).dtype == backend_->real();
      if (in_place) {
        const int write = every_slots_[s].first;  // nothing shares the slot yet: this is the value's own launch
        const Node& writer = g_.node(plan_.every[write].node);
        for (int r : readers[var.get()]) {
          if (r < write) continue;
          if (r > write) in_place = false;
          for (size_t i = 0; i < writer.in.size() && in_place; ++i) {
            const Place& p = plan_.places[Root(writer.in[i])];
            if (p.kind != Place::kVariable || p.variable != var.get()) continue;
            in_place =
                plan_.every[write].kernel->MayAlias(static_cast<int>(i), static_cast<int>(g_.value(root).output));
          }
        }
      }
      if (in_place) {
        bound.insert(s);
        every_slots_[s].bytes = 0;
        plan_.places[root] = {Place::kVariable, 0, var.get()};
        slot_of_[root] = -1;
      } else {
        copy_.push_back(a);
      }
    }
  }

  Status Finish() {
    auto workspaces = [](const std::vector<PlannedLaunch>& launches, std::vector<Slot>& slots) {
      for (int t = 0; t < static_cast<int>(launches.size()); ++t)
        slots.push_back({launches[t].kernel->workspace(), t, t, 0, {t}});
    };
    const size_t once = once_slots_.size(), every = every_slots_.size();
    workspaces(plan_.once, once_slots_);
    workspaces(plan_.every, every_slots_);
    const int distance = backend_->reuse_distance();
    const size_t alignment = backend_->alignment();
    plan_.arena = std::max(Pack(Order(g_, plan_.once, distance), alignment, once_slots_),
                           Pack(Order(g_, plan_.every, distance), alignment, every_slots_));
    plan_.live = std::max(MostAlive(once_slots_, plan_.once.size(), alignment),
                          MostAlive(every_slots_, plan_.every.size(), alignment));
    for (ValueId v = 0; v < g_.value_count(); ++v) {
      Place& p = plan_.places[v];
      if (p.kind == Place::kArena) p.offset = (constant_[v] ? once_slots_ : every_slots_)[slot_of_[v]].offset;
    }
    for (ValueId v = 0; v < g_.value_count(); ++v) plan_.places[v] = plan_.places[Root(v)];
    auto bind = [&](std::vector<PlannedLaunch>& launches, const std::vector<Slot>& slots, size_t first) {
      for (size_t t = 0; t < launches.size(); ++t) {
        PlannedLaunch& l = launches[t];
        for (ValueId v : g_.node(l.node).in) l.in.push_back(plan_.places[v]);
        for (ValueId v : g_.node(l.node).out) l.out.push_back(plan_.places[v]);
        l.workspace = slots[first + t].offset;
      }
    };
    bind(plan_.once, once_slots_, once);
    bind(plan_.every, every_slots_, every);
    for (size_t a : copy_) {
      const VariableRef& var = g_.assigns()[a].first;
      plan_.copies.push_back({backend_->MakeCopy(backend_->Bytes(g_, next_[a])), plan_.places[next_[a]], var});
    }
    // Not by value: an output that is also an input has two places.
    for (ValueId v : outputs_) plan_.outputs.push_back(plan_.places[v]);
    return {};
  }

  Backend* backend_;
  Graph& g_;
  MemoryPlan& plan_;
  std::vector<NodeId> live_;
  std::vector<ValueId> root_, outputs_, next_, extra_;
  std::vector<bool> constant_;
  std::vector<int> slot_of_;  // by root value, in once_slots_ or every_slots_ as constant_ says
  std::vector<Slot> once_slots_, every_slots_;
  std::vector<size_t> copy_;
};

}  // namespace

Status PlanMemory(Backend* backend, Graph* g, MemoryPlan* plan) { return Planner(backend, g, plan).Run(); }

}  // namespace distil
