#include "harness/recipe.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "harness/embedded.h"
#include "harness/files.h"
#include "harness/text.h"
#include "harness/toml.h"

namespace distil::harness {
namespace {

enum class Kind { kWhole, kReal, kTruth, kWord, kWholes, kText };

struct TrainKey {
  const char* name;
  Kind kind;
  Json fallback;
  double low, high;
  std::vector<std::string> words;
};

// The defaults are the CRD benchmark's. One added later has none (null), and the trainer's own holds: it is left out of
// resolved configurations that do not set it, or the hashes of old records would no longer be those of the same settings.
const std::vector<TrainKey>& Keys() {
  static const std::vector<TrainKey>* keys = new std::vector<TrainKey>{
      {"epochs", Kind::kWhole, 240, 1, 100000, {}},
      {"batch", Kind::kWhole, 64, 1, 65536, {}},
      {"optimizer", Kind::kWord, "sgd", 0, 0, {"sgd", "adam"}},
      {"lr", Kind::kReal, 0.05, 0, 1000, {}},
      {"momentum", Kind::kReal, 0.9, 0, 1, {}},
      {"nesterov", Kind::kTruth, false, 0, 0, {}},
      {"weight_decay", Kind::kReal, 5e-4, 0, 1, {}},
      {"beta1", Kind::kReal, 0.9, 0, 1, {}},
      {"beta2", Kind::kReal, 0.999, 0, 1, {}},
      {"eps", Kind::kReal, 1e-8, 0, 1, {}},
      {"schedule", Kind::kWord, "multistep", 0, 0, {"multistep", "step", "cosine", "constant"}},
      {"milestones", Kind::kWholes, Json::array({150, 180, 210}), 1, 100000, {}},
      {"gamma", Kind::kReal, 0.1, 0, 1, {}},
      {"step_epochs", Kind::kReal, 30.0, 1e-9, 100000, {}},
      {"lr_min", Kind::kReal, 0.0, 0, 1000, {}},
      {"warmup_epochs", Kind::kReal, 0.0, 0, 100000, {}},
      {"clip_norm", Kind::kReal, 0.0, 0, 1e9, {}},
      {"ce", Kind::kReal, 1.0, 0, 1e6, {}},
      {"smoothing", Kind::kReal, 0.0, 0, 1, {}},
      {"crop_pad", Kind::kWhole, 4, 0, 1024, {}},
      {"crop_mode", Kind::kWord, "zero", 0, 0, {"zero", "reflect"}},
      {"flip", Kind::kReal, 0.5, 0, 1, {}},
      {"cutout", Kind::kWhole, 0, 0, 16384, {}},
      {"brightness", Kind::kReal, 0.0, 0, 1, {}},
      {"contrast", Kind::kReal, 0.0, 0, 1, {}},
      {"saturation", Kind::kReal, 0.0, 0, 1, {}},
      {"hue", Kind::kReal, 0.0, 0, 0.5, {}},
      {"bf16", Kind::kTruth, false, 0, 0, {}},
      {"winograd", Kind::kTruth, false, 0, 0, {}},
      {"tf32", Kind::kTruth, false, 0, 0, {}},
      {"algorithms", Kind::kText, nullptr, 0, 0, {}},
  };
  return *keys;
}

// Numbers and words that become folder names, labels and option text: no control characters, not endless.
void CheckName(FieldReader* f, const char* key, const std::string& value, bool may_be_empty = false) {
  if (!f->ok()) return;
  if (value.empty() && !may_be_empty) return f->Fail(key, "is empty");
  if (value.size() > 200) return f->Fail(key, "is longer than 200 letters");
  for (char c : value)
    if (static_cast<unsigned char>(c) < 0x20) return f->Fail(key, "holds a control character");
}

// Trainer overrides of a network, method, pair or the teachers: checked now against complete settings, kept
// as written.
void ReadOverrides(FieldReader* f, const char* key, const Source& source, Status* status, Json* out) {
  *out = Json::object();
  if (const Json* table = f->Object(key, false)) {
    TrainConfig whole = DefaultTrain();
    ReadTrain(*table, f->Path(key), source, status, &whole);
    if (status->ok())
      for (auto it = table->begin(); it != table->end(); ++it) (*out)[it.key()] = whole[it.key()];
  }
}

void ReadNetwork(const Json& json, const std::string& path, const Source& source, Status* status, Recipe* r) {
  FieldReader f(json, path, source, status);
  Recipe::Network n;
  f.Read("name", &n.name);
  CheckName(&f, "name", n.name);
  n.paper = n.name;
  f.Optional("paper", &n.paper);
  ReadOverrides(&f, "train", source, status, &n.train);
  f.Finish();
  if (f.ok() && r->FindNetwork(n.name)) f.Fail("name", "names a network that is already there: '" + n.name + "'");
  r->networks.push_back(std::move(n));
}

void ReadMethod(const Json& json, const std::string& path, const Source& source, Status* status, Recipe* r) {
  FieldReader f(json, path, source, status);
  Recipe::Method m;
  f.Read("name", &m.name);
  CheckName(&f, "name", m.name);
  m.spec = m.label = m.name;
  f.Optional("spec", &m.spec);
  f.Optional("label", &m.label);
  m.paper = m.label;
  f.Optional("paper", &m.paper);
  m.teacher = m.spec != "ce";
  f.Optional("teacher", &m.teacher);
  for (const char* key : {"spec", "label"}) CheckName(&f, key, std::string(key) == "spec" ? m.spec : m.label);
  if (f.Has("options"))
    f.ReadTextMap("options", &m.options);
  else
    f.Object("options", false);
  for (const auto& [key, value] : m.options)
    if (f.ok() && (key + value).find_first_of(" \t\r\n=") != std::string::npos)
      f.Fail("options." + key, "may hold neither spaces nor '='");
  ReadOverrides(&f, "train", source, status, &m.train);
  f.Finish();
  if (f.ok() && r->FindMethod(m.name)) f.Fail("name", "names a method that is already there: '" + m.name + "'");
  r->methods.push_back(std::move(m));
}

void ReadPair(const Json& json, const std::string& path, const Source& source, Status* status, Recipe* r) {
  FieldReader f(json, path, source, status);
  Recipe::Pair p;
  f.Optional("teacher", &p.teacher);
  f.Read("student", &p.student);
  CheckName(&f, "teacher", p.teacher, true);
  CheckName(&f, "student", p.student);
  f.Optional("methods", &p.methods);
  ReadOverrides(&f, "train", source, status, &p.train);
  f.Finish();
  std::vector<std::string> names;
  for (const auto& m : r->methods) names.push_back(m.name);
  for (const std::string& name : p.methods) {
    const Recipe::Method* method = r->FindMethod(name);
    if (f.ok() && !method) f.Fail("methods", "names '" + name + "', which is no method here" + DidYouMean(name, names));
    if (f.ok() && method->teacher && p.teacher.empty())
      f.Fail("methods", "names '" + name + "', which needs a teacher, and this pair has none");
  }
  for (const Recipe::Pair& other : r->pairs)
    if (f.ok() && other.teacher == p.teacher && other.student == p.student)
      f.Fail("student", "repeats the pair " + p.teacher + ":" + p.student);
  r->pairs.push_back(std::move(p));
}

void ReadSynth(const Json& json, const Source& source, Status* status, data::SynthOptions* s) {
  FieldReader f(json, "synth", source, status);
  int64_t classes = s->classes, size = s->size, seed = static_cast<int64_t>(s->seed);
  f.Optional("train", &s->train, 1, 10000000);
  f.Optional("test", &s->test, 1, 10000000);
  f.Optional("classes", &classes, 2, 100);
  f.Optional("size", &size, 16, 256);
  f.Optional("difficulty", &s->difficulty, 0.0, 2.0);
  f.Optional("wrong_labels", &s->wrong_labels, 0.0, 0.5);
  f.Optional("seed", &seed, 0);
  f.Finish();
  s->classes = static_cast<int>(classes), s->size = static_cast<int>(size), s->seed = static_cast<uint64_t>(seed);
}

template <typename F>
void ForEachTable(FieldReader* f, const char* key, const F& read) {
  const Json* list = f->Array(key, false);
  if (!list) return;
  if (list->size() > 1000) return f->Fail(key, "holds more than 1000 tables");
  for (size_t i = 0; i < list->size() && f->ok(); ++i)
    read((*list)[i], std::string(key) + "[" + std::to_string(i) + "]");
}

void ReadAll(const Json& tree, const Source& source, Status* status, Recipe* r) {
  FieldReader f(tree, "", source, status);
  f.Optional("title", &r->title);
  f.Optional("paper", &r->paper);
  f.Optional("table", &r->table);
  f.Read("dataset", &r->dataset);
  CheckName(&f, "dataset", r->dataset);
  for (const char* key : {"title", "paper", "table"}) {
    const std::string& value = std::string(key) == "title"   ? r->title
                               : std::string(key) == "paper" ? r->paper
                                                             : r->table;
    CheckName(&f, key, value, true);
  }
  if (f.ok() && r->paper.empty() != r->table.empty()) f.Fail("paper", "and 'table' must both be there, or neither");
  int selection = 0;
  if (f.Has("selection"))
    f.ReadChoice("selection", {"last", "best"}, &selection);
  else
    f.Object("selection", false);
  r->selection = selection == 0 ? "last" : "best";
  f.Optional("seeds", &r->seeds, 1, 1000);
  r->train = DefaultTrain();
  if (const Json* train = f.Object("train", false)) ReadTrain(*train, "train", source, status, &r->train);
  if (const Json* full = f.Object("full", false)) {
    FieldReader reader(*full, "full", source, status);
    reader.Optional("epochs", &r->full_epochs, 1, 100000);
    reader.Optional("teacher_epochs", &r->full_teacher_epochs, 1, 100000);
    reader.Finish();
  }
  if (const Json* limits = f.Object("limits", false)) {
    FieldReader reader(*limits, "limits", source, status);
    reader.Optional("train", &r->limit_train, 0, 1000000000);
    reader.Optional("test", &r->limit_test, 0, 1000000000);
    reader.Optional("teacher_train", &r->limit_teacher_train, 0, 1000000000);
    reader.Finish();
  }
  if (const Json* teacher = f.Object("teacher", false)) {
    FieldReader reader(*teacher, "teacher", source, status);
    reader.Optional("seed", &r->teacher_seed, 0, int64_t{1} << 53);
    ReadOverrides(&reader, "train", source, status, &r->teacher_train);
    reader.Finish();
  }
  if (const Json* synth = f.Object("synth", false)) ReadSynth(*synth, source, status, &r->synth.emplace());
  ForEachTable(&f, "network", [&](const Json& j, const std::string& path) { ReadNetwork(j, path, source, status, r); });
  ForEachTable(&f, "method", [&](const Json& j, const std::string& path) { ReadMethod(j, path, source, status, r); });
  ForEachTable(&f, "pair", [&](const Json& j, const std::string& path) { ReadPair(j, path, source, status, r); });
  f.Finish();
  if (f.ok() && r->methods.empty()) *status = Corrupt(source.file + ": a recipe needs at least one [[method]]");
  if (f.ok() && r->pairs.empty()) *status = Corrupt(source.file + ": a recipe needs at least one [[pair]]");
}

// A shorter or longer run keeps the shape of its schedule: milestones move in proportion.
void ScaleEpochs(int64_t to, TrainConfig* train) {
  double factor = static_cast<double>(to) / (*train)["epochs"].get<double>();
  (*train)["epochs"] = to;
  for (Json& m : (*train)["milestones"]) m = std::max<int64_t>(1, std::llround(m.get<double>() * factor));
}

void ScaleOverrides(double factor, int64_t to, Json* train) {
  if (train->contains("epochs"))
    (*train)["epochs"] = to ? to : std::max<int64_t>(1, std::llround((*train)["epochs"].get<double>() * factor));
  if (train->contains("milestones"))
    for (Json& m : (*train)["milestones"]) m = std::max<int64_t>(1, std::llround(m.get<double>() * factor));
}

void ApplyLengths(const RecipeChanges& changes, Recipe* r) {
  // A recipe that calls its students' length short does not mean that its teachers' is full.
  if (!r->full_teacher_epochs)
    r->full_teacher_epochs = r->full_epochs                        ? r->full_epochs
                             : r->teacher_train.contains("epochs") ? r->teacher_train["epochs"].get<int64_t>()
                                                                   : r->train["epochs"].get<int64_t>();
  if (!r->full_epochs) r->full_epochs = r->train["epochs"].get<int64_t>();
  if (changes.seeds > 0) r->seeds = changes.seeds;
  if (changes.limit_train >= 0) r->limit_train = changes.limit_train, r->limit_teacher_train = -1;
  if (changes.limit_test >= 0) r->limit_test = changes.limit_test;
  if (changes.epochs > 0) {
    double factor = static_cast<double>(changes.epochs) / r->train["epochs"].get<double>();
    ScaleEpochs(changes.epochs, &r->train);
    ScaleOverrides(factor, 0, &r->teacher_train);
    for (auto& n : r->networks) ScaleOverrides(factor, 0, &n.train);
    for (auto& m : r->methods) ScaleOverrides(factor, 0, &m.train);
    for (auto& p : r->pairs) ScaleOverrides(factor, 0, &p.train);
  }
  if (changes.teacher_epochs > 0) {
    TrainConfig teacher = r->train;
    teacher.update(r->teacher_train);
    ScaleEpochs(changes.teacher_epochs, &teacher);
    r->teacher_train["epochs"] = teacher["epochs"];
    r->teacher_train["milestones"] = teacher["milestones"];
  }
}

std::string BaseName(const std::string& path) {
  std::string name = path.substr(path.rfind('/') + 1);
  return name.size() > 5 && name.ends_with(".toml") ? name.substr(0, name.size() - 5) : name;
}

constexpr std::string_view kFolder = "harness/recipes/";

std::string RecipeName(std::string_view path) {
  size_t at = path.find(kFolder);
  if (at != std::string_view::npos) path.remove_prefix(at + kFolder.size());
  return std::string(path.substr(0, path.size() - 5));
}

}  // namespace

TrainConfig DefaultTrain() {
  Json train = Json::object();
  for (const TrainKey& key : Keys())
    if (!key.fallback.is_null()) train[key.name] = key.fallback;
  return train;
}

const std::vector<std::string>& TrainKeys() {
  static const std::vector<std::string>* names = [] {
    auto* list = new std::vector<std::string>;
    for (const TrainKey& key : Keys()) list->push_back(key.name);
    return list;
  }();
  return *names;
}

void ReadTrain(const Json& table, const std::string& path, const Source& source, Status* status, TrainConfig* train) {
  FieldReader f(table, path, source, status);
  for (const TrainKey& key : Keys()) {
    if (!f.Has(key.name)) {
      f.Object(key.name, false);  // known, but absent
      continue;
    }
    if (key.kind == Kind::kWhole) {
      int64_t value = 0;
      f.Read(key.name, &value, static_cast<int64_t>(key.low), static_cast<int64_t>(key.high));
      (*train)[key.name] = value;
    } else if (key.kind == Kind::kReal) {
      double value = 0;
      f.Read(key.name, &value, key.low, key.high);
      (*train)[key.name] = value;
    } else if (key.kind == Kind::kTruth) {
      bool value = false;
      f.Read(key.name, &value);
      (*train)[key.name] = value;
    } else if (key.kind == Kind::kText) {
      std::string value;
      f.Read(key.name, &value);
      if (f.ok() && value.find_first_of(" \t\r\n\v\f") != value.npos) f.Fail(key.name, "holds a space");
      (*train)[key.name] = value;
    } else if (key.kind == Kind::kWord) {
      int value = 0;
      f.ReadChoice(key.name, key.words, &value);
      (*train)[key.name] = key.words[value];
    } else {
      std::vector<int64_t> value;
      f.Read(key.name, &value, static_cast<int64_t>(key.low), static_cast<int64_t>(key.high));
      if (f.ok() && !std::is_sorted(value.begin(), value.end())) f.Fail(key.name, "must be in increasing order");
      (*train)[key.name] = value;
    }
  }
  f.Finish();
}

std::string TrainerOptions(const TrainConfig& train) {
  std::string out;
  for (const TrainKey& key : Keys()) {
    std::string name = key.name;
    if (name == "epochs" || name == "batch" || !train.contains(name)) continue;
    const Json& value = train.at(name);
    std::string text;
    if (value.is_string())
      text = value.get<std::string>();
    else if (value.is_boolean())
      text = value.get<bool>() ? "1" : "0";
    else if (value.is_array()) {
      for (const Json& item : value) text += (text.empty() ? "" : ",") + item.dump();
    } else {
      text = value.dump();
    }
    out += (out.empty() ? "" : " ") + name + "=" + text;
  }
  return out;
}

const Recipe::Method* Recipe::FindMethod(const std::string& method) const {
  for (const Method& m : methods)
    if (m.name == method) return &m;
  return nullptr;
}

const Recipe::Network* Recipe::FindNetwork(const std::string& network) const {
  for (const Network& n : networks)
    if (n.name == network) return &n;
  return nullptr;
}

Status ParseRecipe(std::string_view text, const std::string& name, const std::string& file,
                   const RecipeChanges& changes, Recipe* out) {
  *out = Recipe();
  Json tree;
  Source source;
  DISTIL_RETURN_IF_ERROR(ParseToml(text, file, &tree, &source));
  for (std::string setting : changes.set) {
    std::string key = Trim(setting.substr(0, setting.find('=')));
    if (std::find(TrainKeys().begin(), TrainKeys().end(), key) != TrainKeys().end()) setting = "train." + setting;
    DISTIL_RETURN_IF_ERROR(ApplySetting(setting, &tree, &source));
    out->altered.push_back(Trim(setting));
  }
  Status status;
  ReadAll(tree, source, &status, out);
  DISTIL_RETURN_IF_ERROR(status);
  out->name = name;
  ApplyLengths(changes, out);
  return {};
}

Status LoadRecipe(const std::string& name, const RecipeChanges& changes, Recipe* out) {
  for (const EmbeddedFile& file : EmbeddedRecipes())
    if (RecipeName(file.path) == name) return ParseRecipe(file.text, name, std::string(file.path), changes, out);
  if (!name.ends_with(".toml"))
    return NotFound("there is no recipe '" + name + "'" + DidYouMean(name, RecipeNames()) +
                    " (a recipe of one's own is given as a path that ends in .toml)");
  std::string text;
  DISTIL_RETURN_IF_ERROR(ReadFile(name, &text, 1u << 20));
  return ParseRecipe(text, BaseName(name), name, changes, out);
}

std::vector<std::string> RecipeNames() {
  std::vector<std::string> names;
  for (const EmbeddedFile& file : EmbeddedRecipes()) names.push_back(RecipeName(file.path));
  std::sort(names.begin(), names.end());
  return names;
}

Status SuiteRecipes(const std::string& suite, std::vector<std::string>* names) {
  names->clear();
  if (suite.ends_with(".toml")) return names->push_back(suite), Status();
  std::set<std::string> known;
  for (const std::string& name : RecipeNames()) {
    if (name == suite || name.starts_with(suite + "/")) names->push_back(name);
    known.insert(name);
    known.insert(name.substr(0, name.find('/')));
  }
  if (!names->empty()) return {};
  return NotFound("there is no suite or recipe '" + suite + "'" + DidYouMean(suite, {known.begin(), known.end()}));
}

}  // namespace distil::harness
