#include "losses/heads.h"

namespace distil {
namespace {

// Of a network with `stages` stages.
std::vector<int> HeadStages(const std::string& heads, int stages) {
  std::vector<int> at;
  for (int k = 1; heads == "all" && k < stages; ++k) at.push_back(k);
  if (heads == "all" || heads == "none") return at;
  for (char digit : heads) at.push_back(digit - '0');
  return at;
}

}  // namespace

std::vector<Head> Heads(Pair& p) {
  Graph* g = p.labels.graph();
  if (p.text("heads") == "none" || !g->ok()) return {};
  const Model* m = p.step->model("student");
  if (!m) {
    g->Fail(
        "auxiliary classifiers are copies of the student's own stages, and this student is not a network of the zoo: "
        "take one of `harness list models`");
    return {};
  }
  std::vector<Head> heads;
  const bool low = g->low_scope;
  g->low_scope = true;  // as the network's own body
  for (int k : HeadStages(p.text("heads"), static_cast<int>(p.s.taps.size()) - 1)) {
    Layers l = p.aux.Scope("head" + std::to_string(k));
    heads.push_back({k, m->Build(l, p.s.taps[static_cast<size_t>(k)].post, {.classes = p.classes, .first_stage = k})});
  }
  g->low_scope = low;
  return g->ok() ? heads : std::vector<Head>();
}

std::string CannotHead(const Features& s, const MethodOptions& o) {
  const int stages = static_cast<int>(s.taps.size()) - 1;
  for (int k : HeadStages(o.text("heads"), stages)) {
    if (k >= stages)
      return "heads=" + o.text("heads") + ": the student has " + std::to_string(stages) +
             " stages, and only those before the last can get an auxiliary classifier";
  }
  return "";
}

}  // namespace distil
