#include "losses/combine.h"

#include <algorithm>

#include "lib/base/text.h"

namespace distil {
namespace {

using Texts = std::map<std::string, std::string>;

struct Term {
  const Method* method;
  MethodOptions options;
};

const Method* Find(std::span<const Method* const> methods, std::string_view name) {
  for (const Method* m : methods)
    if (m->name == name) return m;
  return nullptr;
}

class Parser {
 public:
  Parser(const std::string& expression, std::span<const std::string> foreign, std::span<const Method* const> methods)
      : expression_(expression), foreign_(foreign), methods_(methods) {}

  // "kd+at" as methods. Cross-entropy may be written, but it is always there: it comes first.
  Status Methods() {
    terms_ = {{Find(methods_, "ce"), {}}};
    std::vector<std::string> said;
    for (std::string_view part : Split(expression_, '+')) {
      const std::string name(part);
      const Method* m = Find(methods_, name);
      if (m == nullptr) {
        std::vector<std::string> names;
        for (const Method* known : methods_) names.push_back(known->name);
        return InvalidArgument(NoSuch("method", name, names));
      }
      if (std::find(said.begin(), said.end(), name) != said.end())
        return InvalidArgument("method '" + expression_ + "': " + name + " is there twice");
      said.push_back(name);
      if (name != "ce") terms_.push_back({m, {}});
    }
    for (const Term& t : terms_) {
      if (t.method->phases && said.size() > 1)
        return InvalidArgument("method '" + expression_ + "': " + t.method->name +
                               " trains in phases of its own and cannot be summed with others");
    }
    return {};
  }

  // Gives every option of every term its value; `full` gets them all under their full names.
  Status Options(const Texts& options, Texts* full) {
    std::map<std::string, const OptionSpec*> specs;  // by full name
    names_ = {{"ce", "ce.weight"}, {"smoothing", "ce.smoothing"}};
    for (const Term& t : terms_) {
      for (const OptionSpec& o : t.method->options) {
        const std::string name = t.method->name + std::string(".") + o.name;
        specs[name] = &o;
        (*full)[name] = o.fallback;
        names_[name] = name;
        if (terms_.size() <= 2 && &t == &terms_.back()) names_.emplace(o.name, name);
      }
    }
    Texts given;  // full name -> the key that was used for it
    for (const auto& [key, value] : options) {
      if (std::find(foreign_.begin(), foreign_.end(), key) != foreign_.end()) continue;
      auto it = names_.find(key);
      if (it == names_.end()) return Unknown(key);
      const std::string& name = it->second;
      if (auto [other, fresh] = given.emplace(name, key); !fresh)
        return InvalidArgument("options " + other->second + " and " + key + " are the same; give one of them");
      DISTIL_RETURN_IF_ERROR(CheckOption(*specs[name], key, value));
      (*full)[name] = value;
    }
    for (Term& t : terms_) {
      for (const OptionSpec& o : t.method->options)
        t.options.values[o.name] = (*full)[t.method->name + std::string(".") + o.name];
      for (const char* name : {"ce.weight", "ce.smoothing"}) t.options.values[name] = (*full)[name];
    }
    return {};
  }

  const std::vector<Term>& terms() const { return terms_; }

 private:
  Status Unknown(const std::string& key) const {
    const std::string owner = key.substr(0, key.find('.'));
    bool owner_is_here = false;
    std::vector<std::string> meant;
    for (const Term& t : terms_) {
      owner_is_here |= owner == t.method->name;
      for (const OptionSpec& o : t.method->options)
        if (key == o.name && &t != &terms_[0]) meant.push_back(t.method->name + ("." + key));
    }
    if (!meant.empty())
      return InvalidArgument("option " + key + ": in '" + expression_ + "' it is called " + Join(meant, " or "));
    if (owner != key && !owner_is_here && Find(methods_, owner))
      return InvalidArgument("option " + key + ": method '" + expression_ + "' does not contain " + owner);
    std::vector<std::string> candidates(foreign_.begin(), foreign_.end());
    for (const auto& [name, target] : names_) candidates.push_back(name);
    return InvalidArgument(NoSuch("option", key, candidates));
  }

  std::string expression_;
  std::span<const std::string> foreign_;
  std::span<const Method* const> methods_;
  std::vector<Term> terms_;
  Texts names_;  // every name that an option may be given under -> its full name
};

// The first mistake that a method finds in the networks becomes the graph's.
bool Fit(Graph* g, const Features& t, const Features& s, const std::vector<Term>& terms) {
  for (const Term& term : terms) {
    const Method& m = *term.method;
    if (std::string why = m.check ? m.check(t, s, term.options) : ""; !why.empty())
      g->Fail("method " + std::string(m.name) + ": " + why);
  }
  return g->ok();
}

// One step of the main phase: the student and what it minimises.
void Step(StepBuilder& b, const std::vector<Term>& terms, bool teacher) {
  Graph* g = b.graph();
  Features t;
  if (teacher) t = b.Forward("teacher", StepBuilder::kFrozen, b.images());
  Features s = b.Forward("student", StepBuilder::kTrain, b.images());
  if (!g->ok()) return;
  if (s.logits.dim(1) != b.classes())
    return g->Fail("the student has " + std::to_string(s.logits.dim(1)) + " classes and the data " +
                   std::to_string(b.classes()));
  if (!Fit(g, t, s, terms)) return;
  std::vector<VariableRef> parameters = b.Parameters("student");
  Expr total;
  for (const Term& term : terms) {
    const Method& m = *term.method;
    Pair p{t, s, b.labels(), b.batch(), b.classes(), b.Aux(m.name), &b, &term.options};
    Expr value = m.loss(p);
    b.Term(m.name, value);
    const double weight = p["weight"];
    if (weight == 0) continue;
    value = weight == 1 ? value : weight * value;
    total = total.valid() ? total + value : value;
    for (const VariableRef& v : b.AuxParameters(m.name)) parameters.push_back(v);
  }
  if (g->ok() && !total.valid()) return g->Fail("every term has weight 0: there is nothing to minimise");
  b.Minimize(total, parameters);
}

}  // namespace

Status MakeRecipe(const std::string& expression, const std::map<std::string, std::string>& options, Recipe* out,
                  std::span<const std::string> foreign, std::span<const Method* const> methods) {
  Parser parser(expression, foreign, methods);
  Recipe r;
  r.expression = expression;
  DISTIL_RETURN_IF_ERROR(parser.Methods());
  DISTIL_RETURN_IF_ERROR(parser.Options(options, &r.options));
  const std::vector<Term> terms = parser.terms();

  const bool teacher = std::any_of(terms.begin(), terms.end(), [](const Term& t) { return t.method->teacher; });
  r.roles = {"student"};
  if (teacher) r.roles.push_back("teacher");
  for (const Term& t : terms) {
    if (!t.method->roles) continue;
    for (const std::string& role : t.method->roles(t.options))
      if (std::find(r.roles.begin(), r.roles.end(), role) == r.roles.end()) r.roles.push_back(role);
  }

  if (terms.back().method->phases) {
    r.phases = terms.back().method->phases(terms.back().options);
  } else {
    for (const Term& t : terms) {
      if (!t.method->before) continue;
      for (Phase& phase : t.method->before(t.options)) r.phases.push_back(std::move(phase));
    }
    Phase main;
    main.name = "train";
    main.steps = {[terms, teacher](StepBuilder& b) { Step(b, terms, teacher); }};
    r.phases.push_back(std::move(main));
  }
  *out = std::move(r);
  return {};
}

std::span<const OptionSpec> CommonOptions() {
  static constexpr OptionSpec options[] = {
      {"ce", "1", "factor of cross-entropy, the same as ce.weight (RepDistiller's KD: 0.1)", "[0,inf)"},
      {"smoothing", "0", "label smoothing in cross-entropy, the same as ce.smoothing", "[0,1)"},
  };
  return options;
}

}  // namespace distil
