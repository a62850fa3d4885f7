#include "harness/baselines.h"

#include <map>
#include <tuple>

#include "harness/embedded.h"
#include "harness/files.h"
#include "harness/text.h"
#include "lib/base/text.h"

namespace distil::harness {
namespace {

const char* const kColumns[] = {"paper", "table", "dataset",   "teacher", "student",   "method", "metric",
                                "mean",  "std",   "selection", "seeds",   "tolerance", "target", "note"};
constexpr size_t kColumnCount = std::size(kColumns);
const char* const kSelections[] = {"last", "best", "validation", "none"};
const char* const kTargets[] = {"value", "ordering", "gain", "none"};

// One CSV record from *text on; moves *text past it. Quoted fields may hold commas, quotes and line ends.
Status NextRecord(std::string_view* text, const std::string& where, int* lines, std::vector<std::string>* fields) {
  fields->assign(1, "");
  size_t i = 0;
  bool quoted = false;
  for (; i < text->size(); ++i) {
    char c = (*text)[i];
    if (c == '\n') ++*lines;
    if (quoted) {
      if (c != '"')
        fields->back() += c;
      else if (i + 1 < text->size() && (*text)[i + 1] == '"')
        fields->back() += '"', ++i;
      else
        quoted = false;
    } else if (c == '"') {
      if (!fields->back().empty()) return Corrupt(where + ": a quote inside an unquoted field");
      quoted = true;
    } else if (c == ',') {
      if (fields->size() > kColumnCount)
        return Corrupt(where + ": more than " + std::to_string(kColumnCount) + " fields");
      fields->emplace_back();
    } else if (c == '\n') {
      break;
    } else if (c != '\r') {
      fields->back() += c;
    }
  }
  if (quoted) return Corrupt(where + ": a quoted field is not closed");
  text->remove_prefix(i < text->size() ? i + 1 : i);
  return {};
}

template <size_t N>
bool Choose(const std::string& name, const char* const (&names)[N], int* out) {
  for (size_t i = 0; i < N; ++i) {
    if (name == names[i]) return *out = static_cast<int>(i), true;
  }
  return false;
}

Status ParseRow(const std::vector<std::string>& f, const std::string& where, Baseline* b) {
  auto fail = [&](const char* field, const std::string& what) {
    return Corrupt(where + ": field '" + field + "' " + what);
  };
  b->paper = f[0], b->table = f[1], b->dataset = f[2], b->teacher = f[3], b->student = f[4], b->method = f[5];
  b->metric = f[6], b->note = f[13];
  for (int i : {0, 1, 2, 5, 6})
    if (f[i].empty()) return fail(kColumns[i], "is empty");
  if (!ParseNumber(f[7], &b->mean)) return fail("mean", "is '" + f[7] + "', not a number");
  if (b->metric == "top1_pct" && (b->mean < 0 || b->mean > 100))
    return fail("mean", "is " + f[7] + ", but an accuracy in percent is from 0 to 100");
  if (!f[8].empty()) {
    double std = 0;
    if (!ParseNumber(f[8], &std) || std < 0) return fail("std", "is '" + f[8] + "', not a number of at least 0");
    b->std = std;
  }
  int choice = 0;
  if (!Choose(f[9], kSelections, &choice))
    return fail("selection", "is '" + f[9] + "', but must be last, best, validation or none");
  b->selection = static_cast<Selection>(choice);
  int64_t seeds = 0;
  if (!ParseInteger(f[10], &seeds) || seeds < 1 || seeds > 1000)
    return fail("seeds", "is '" + f[10] + "', not a whole number from 1 to 1000");
  b->seeds = static_cast<int>(seeds);
  if (!ParseNumber(f[11], &b->tolerance) || b->tolerance < 0)
    return fail("tolerance", "is '" + f[11] + "', not a number of at least 0");
  if (!Choose(f[12], kTargets, &choice))
    return fail("target", "is '" + f[12] + "', but must be value, ordering, gain or none");
  b->target = static_cast<Target>(choice);
  if (b->target == Target::kValue && b->tolerance == 0) return fail("tolerance", "is 0 for a value to be met");
  return {};
}

// The same cell may be printed in several columns of a paper (a shared teacher), but only with one value.
Status CheckConsistent(const std::vector<Baseline>& all) {
  std::map<std::string, const Baseline*> seen;
  for (const Baseline& b : all) {
    if (b.target != Target::kValue) continue;
    std::string key = b.paper + " table " + b.table + ", " + b.dataset + ", " + b.teacher + " -> " + b.student + ", " +
                      b.method + ", " + b.metric;
    auto [it, fresh] = seen.emplace(key, &b);
    if (!fresh && (it->second->mean != b.mean || it->second->std != b.std || it->second->tolerance != b.tolerance))
      return Corrupt("baselines: two rows for " + key + " disagree");
  }
  return {};
}

}  // namespace

const char* Name(Selection selection) { return kSelections[static_cast<int>(selection)]; }
const char* Name(Target target) { return kTargets[static_cast<int>(target)]; }

Status ParseBaselines(std::string_view text, const std::string& file, std::vector<Baseline>* out) {
  int line = 1;
  std::vector<std::string> fields;
  DISTIL_RETURN_IF_ERROR(NextRecord(&text, file + ":1", &line, &fields));
  bool same = fields.size() == kColumnCount;
  for (size_t i = 0; same && i < kColumnCount; ++i) same = fields[i] == kColumns[i];
  if (!same) {
    return Corrupt(file + ":1: the header must be " +
                   Join(std::vector<std::string>(std::begin(kColumns), std::end(kColumns)), ","));
  }
  while (!text.empty()) {
    std::string where = file + ":" + std::to_string(line);
    DISTIL_RETURN_IF_ERROR(NextRecord(&text, where, &line, &fields));
    if (fields.size() == 1 && fields[0].empty()) continue;  // an empty line
    if (fields.size() != kColumnCount)
      return Corrupt(where + ": " + std::to_string(fields.size()) + " fields instead of " +
                     std::to_string(kColumnCount));
    Baseline b;
    DISTIL_RETURN_IF_ERROR(ParseRow(fields, where, &b));
    out->push_back(std::move(b));
  }
  return {};
}

Status LoadBaselines(const std::string& folder, std::vector<Baseline>* out) {
  out->clear();
  std::vector<std::string> names;
  DISTIL_RETURN_IF_ERROR(ListFolder(folder, ".csv", &names));
  if (names.empty()) return NotFound("no .csv file of baselines in '" + folder + "'");
  for (const std::string& name : names) {
    std::string path = JoinPath(folder, name), text;
    DISTIL_RETURN_IF_ERROR(ReadFile(path, &text, 16u << 20));
    DISTIL_RETURN_IF_ERROR(ParseBaselines(text, path, out));
  }
  return CheckConsistent(*out);
}

Status BuiltInBaselines(std::vector<Baseline>* out) {
  out->clear();
  for (const EmbeddedFile& file : EmbeddedBaselines())
    DISTIL_RETURN_IF_ERROR(ParseBaselines(file.text, std::string(file.path), out));
  return CheckConsistent(*out);
}

const Baseline* FindBaseline(const std::vector<Baseline>& all, const std::string& paper, const std::string& table,
                             const std::string& dataset, const std::string& teacher, const std::string& student,
                             const std::string& method, const std::string& metric) {
  for (const Baseline& b : all) {
    if (b.paper == paper && b.table == table && b.dataset == dataset && b.method == method && b.metric == metric &&
        (b.teacher.empty() || b.teacher == teacher) && (b.student.empty() || b.student == student))
      return &b;
  }
  return nullptr;
}

}  // namespace distil::harness
