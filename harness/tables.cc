#include "harness/tables.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "harness/text.h"

namespace distil::harness {
namespace {

const char* const kVerdicts[] = {"not run",    "measured",   "short", "altered",
                                 "incomplete", "reproduced", "above", "below"};

double Value(const RunRecord& run, Selection selection) {
  return selection == Selection::kBest ? run.best_top1() : run.last_top1();
}

void Summarise(Cell* cell) {
  cell->n = static_cast<int>(cell->values.size());
  double sum = 0, squares = 0;
  for (double v : cell->values) sum += v;
  cell->mean = sum / cell->n;
  for (double v : cell->values) squares += (v - cell->mean) * (v - cell->mean);
  if (cell->n > 1) cell->std = std::sqrt(squares / (cell->n - 1));
}

void AddNote(Cell* cell, const std::string& note) {
  if (note.empty()) return;
  if (!cell->note.empty()) cell->note += "; ";
  cell->note += note;
}

std::string ScheduleNote(const ScheduleRecord& s) {
  std::vector<std::string> parts;
  if (s.epochs < s.full_epochs)
    parts.push_back(std::to_string(s.epochs) + " of " + std::to_string(s.full_epochs) + " epochs");
  if (s.train_samples < s.full_train_samples)
    parts.push_back(Grouped(s.train_samples) + " of " + Grouped(s.full_train_samples) + " training samples");
  if (s.test_samples < s.full_test_samples)
    parts.push_back(Grouped(s.test_samples) + " of " + Grouped(s.full_test_samples) + " test samples");
  return Join(parts, ", ");
}

// Compares what was measured with what the paper prints.
void Judge(const Baseline* paper, bool full, bool altered, Cell* cell) {
  if (paper) {
    cell->paper = *paper;
    AddNote(cell, paper->note);
  }
  if (cell->n == 0) return;
  if (!full)
    cell->verdict = Verdict::kShort;
  else if (altered)
    cell->verdict = Verdict::kAltered;
  else
    cell->verdict = Verdict::kMeasured;
  if (cell->verdict != Verdict::kMeasured || !paper) return;
  if (paper->target == Target::kOrdering) return AddNote(cell, "only the order of the rows is a target");
  if (paper->target != Target::kValue) return;
  if (paper->selection == Selection::kValidation)
    return AddNote(cell, "the paper selects its epoch on a validation split, which these runs do not have");
  cell->difference = cell->mean - paper->mean;
  if (cell->n < paper->seeds)
    cell->verdict = Verdict::kIncomplete;
  else if (cell->difference < -paper->tolerance)
    cell->verdict = Verdict::kBelow;
  else if (cell->difference > paper->tolerance)
    cell->verdict = Verdict::kAbove;
  else
    cell->verdict = Verdict::kReproduced;
}

// Runs of one cell may come in several configurations. The one that says most is shown: the recipe's own
// before altered ones, full before short, more seeds, more epochs.
std::vector<const RunRecord*> Choose(const std::vector<const RunRecord*>& all, const std::string& hash, Cell* cell) {
  std::map<std::string, std::vector<const RunRecord*>> groups;
  for (const RunRecord* run : all) groups[run->config_hash].push_back(run);
  auto rank = [&](const std::vector<const RunRecord*>& g) {
    const ScheduleRecord& s = g[0]->schedule;
    return std::tuple(s.full() && s.altered.empty(), g[0]->config_hash == hash, s.full(), s.altered.empty(), g.size(),
                      s.epochs);
  };
  const std::vector<const RunRecord*>* best = nullptr;
  for (const auto& [name, group] : groups)
    if (!best || rank(group) > rank(*best)) best = &group;
  if (!best) return {};
  if (groups.size() > 1)
    AddNote(cell, std::to_string(groups.size() - 1) + " other configuration" + (groups.size() > 2 ? "s" : "") +
                      " of this cell on record");
  std::vector<const RunRecord*> runs = *best;
  std::sort(runs.begin(), runs.end(), [](auto* a, auto* b) { return a->seed < b->seed; });
  return runs;
}

Cell StudentCell(const TableSpec& spec, size_t row, size_t column, const std::vector<RunRecord>& records,
                 const std::vector<Baseline>& baselines) {
  const TableSpec::Row& r = spec.rows[row];
  const TableSpec::Column& c = spec.columns[column];
  std::string teacher = r.plain ? "" : c.teacher;
  auto hash = spec.hashes.find({row, column});
  std::vector<const RunRecord*> candidates;
  for (const RunRecord& run : records) {
    bool mine = run.recipe == spec.name || (hash != spec.hashes.end() && run.config_hash == hash->second);
    if (mine && !r.method.empty() && run.dataset == spec.dataset && run.method == r.method &&
        run.student == c.student && run.teacher == teacher)
      candidates.push_back(&run);
  }
  Cell cell;
  cell.runs = Choose(candidates, hash == spec.hashes.end() ? "" : hash->second, &cell);
  const Baseline* paper = spec.paper.empty() || r.paper_method.empty()
                              ? nullptr
                              : FindBaseline(baselines, spec.paper, spec.table, spec.dataset, c.paper_teacher,
                                             c.paper_student, r.paper_method);
  Selection selection = paper && paper->selection == Selection::kBest ? Selection::kBest
                        : !paper && spec.selection == "best"          ? Selection::kBest
                                                                      : Selection::kLast;
  for (const RunRecord* run : cell.runs) cell.values.push_back(Value(*run, selection));
  bool full = true, altered = false;
  if (!cell.runs.empty()) {
    Summarise(&cell);
    const ScheduleRecord& s = cell.runs[0]->schedule;
    full = s.full(), altered = !s.altered.empty();
    AddNote(&cell, ScheduleNote(s));
    std::vector<std::string> settings = s.altered;
    for (std::string& text : settings)  // a list of algorithms has thousands of characters; the record has them all
      if (text.size() > 80) text.replace(77, text.npos, "...");
    if (altered) AddNote(&cell, "with " + Join(settings, ", "));
    std::set<std::string> teachers, digests;
    for (const RunRecord* run : cell.runs) {
      if (run->teacher_run) teachers.insert(run->teacher_run->sha256);
      digests.insert(run->data_digest);
    }
    if (teachers.size() > 1) AddNote(&cell, "the seeds had different teachers");
    if (digests.size() > 1) AddNote(&cell, "the seeds had different data");
  }
  Judge(paper, full, altered, &cell);
  return cell;
}

// The teachers of a column are known from the runs they taught; how they were trained, from their own
// records.
Cell TeacherCell(const Table& table, size_t column, const std::vector<RunRecord>& records,
                 const std::vector<Baseline>& baselines) {
  const TableSpec& spec = table.spec;
  const TableSpec::Column& c = spec.columns[column];
  Cell cell;
  const Baseline* paper =
      spec.paper.empty() || c.paper_teacher.empty()
          ? nullptr
          : FindBaseline(baselines, spec.paper, spec.table, spec.dataset, c.paper_teacher, "", "Teacher");
  std::map<std::string, const TeacherRecord*> teachers;
  for (const auto& row : table.cells)
    for (const RunRecord* run : row[column].runs)
      if (run->teacher_run) teachers.emplace(run->teacher_run->sha256, &*run->teacher_run);
  // A teacher's full schedule is no shorter than its students': a scaled-down recipe does not make it one.
  int64_t full_epochs = 0;
  for (const auto& row : table.cells)
    for (const RunRecord* run : row[column].runs) full_epochs = std::max(full_epochs, run->schedule.full_epochs);
  bool full = true, altered = false, known = true;
  for (const auto& [sha, teacher] : teachers) {
    const RunRecord* own = nullptr;
    for (const RunRecord& run : records)
      if (run.student_sha256 == sha) own = &run;
    cell.values.push_back(own && paper && paper->selection == Selection::kBest ? own->best_top1() : teacher->top1);
    if (own) {
      cell.runs.push_back(own);
      ScheduleRecord schedule = own->schedule;
      if (table.spec.paper.empty()) schedule.full_epochs = std::max(schedule.full_epochs, full_epochs);
      full = full && schedule.full(), altered = altered || !schedule.altered.empty();
      AddNote(&cell, ScheduleNote(schedule));
    } else {
      known = false;
    }
  }
  if (!teachers.empty()) Summarise(&cell);
  if (!known) AddNote(&cell, "there is no record of this teacher's own training");
  Judge(known ? paper : nullptr, full, altered, &cell);
  if (!known && paper) cell.paper = *paper;
  return cell;
}

// Full-schedule cells compete with each other; without any, short ones do.
void MarkBest(Table* table) {
  for (size_t c = 0; c < table->spec.columns.size(); ++c) {
    bool any_full = false;
    auto full = [](const Cell& cell) { return cell.verdict != Verdict::kShort && cell.verdict != Verdict::kAltered; };
    for (auto& row : table->cells) any_full = any_full || (row[c].n > 0 && full(row[c]));
    int contenders = 0;
    double best = -1;
    for (auto& row : table->cells) {
      if (row[c].n == 0 || (any_full && !full(row[c]))) continue;
      ++contenders;
      best = std::max(best, row[c].mean);
    }
    if (contenders < 2) continue;
    for (auto& row : table->cells) row[c].best = row[c].n > 0 && (!any_full || full(row[c])) && row[c].mean == best;
  }
}

void CollectNotes(Table* table) {
  std::set<std::string> devices, revisions;
  bool any_short = false, any_best = false, any_last = false;
  auto look = [&](const Cell& cell) {
    any_short = any_short || cell.verdict == Verdict::kShort;
    for (const RunRecord* run : cell.runs) {
      devices.insert(run->device + " (" + run->isa + ", " + std::to_string(run->threads) +
                     (run->threads == 1 ? " thread)" : " threads)"));
      revisions.insert(run->revision.substr(0, 12));
    }
    bool best = cell.paper ? cell.paper->selection == Selection::kBest : table->spec.selection == "best";
    (best ? any_best : any_last) = true;
  };
  for (const Cell& cell : table->teacher) look(cell);
  for (const auto& row : table->cells)
    for (const Cell& cell : row) look(cell);
  table->notes.push_back(std::string("Top-1 accuracy in percent on the test split, of the ") +
                         (any_best && any_last ? "last or best"
                          : any_best           ? "best"
                                               : "last") +
                         " epoch: mean ± sample standard deviation (seeds). Best student of a column in bold.");
  if (any_short)
    table->notes.push_back("“short” marks a scaled-down schedule; such a cell is not compared with the paper.");
  if (!devices.empty())
    table->notes.push_back("Measured on " + Join({devices.begin(), devices.end()}, "; ") + "; source " +
                           Join({revisions.begin(), revisions.end()}, ", ") + ".");
}

}  // namespace

const char* Name(Verdict verdict) { return kVerdicts[static_cast<int>(verdict)]; }

TableSpec SpecFromRecords(const std::string& recipe, const std::vector<RunRecord>& records) {
  TableSpec spec;
  spec.name = recipe;
  auto add_row = [&](const RunRecord& r, bool plain) {
    for (const auto& row : spec.rows)
      if (row.method == r.method && row.plain == plain) return;
    spec.rows.push_back({r.method, r.label, r.paper_method, plain});
  };
  for (const RunRecord& r : records) {
    if (r.recipe != recipe) continue;
    if (spec.dataset.empty())
      spec.title = r.title, spec.paper = r.paper, spec.table = r.table, spec.dataset = r.dataset,
      spec.selection = r.selection;
    if (r.teacher.empty()) continue;
    bool known = false;
    for (const auto& c : spec.columns) known = known || (c.teacher == r.teacher && c.student == r.student);
    if (!known) spec.columns.push_back({r.teacher, r.student, r.paper_teacher, r.paper_student});
  }
  for (const RunRecord& r : records)  // plain rows first, and columns for students that no teacher taught
    if (r.recipe == recipe && r.teacher.empty()) {
      bool teaches = false, known = false;
      for (const auto& c : spec.columns)
        teaches = teaches || c.teacher == r.student, known = known || c.student == r.student;
      if (!known && !teaches) spec.columns.push_back({"", r.student, "", r.paper_student});
      if (known || !teaches) add_row(r, true);
    }
  for (const RunRecord& r : records)
    if (r.recipe == recipe && !r.teacher.empty()) add_row(r, false);
  return spec;
}

void AddPaperCells(const std::vector<Baseline>& baselines, TableSpec* spec) {
  if (spec->paper.empty()) return;
  std::vector<const Baseline*> printed;
  for (const Baseline& b : baselines)
    if (b.paper == spec->paper && b.table == spec->table && b.dataset == spec->dataset && b.metric == "top1_pct" &&
        b.method != "Teacher" && !b.student.empty())
      printed.push_back(&b);
  for (const Baseline* b : printed) {
    bool known = false;
    for (const auto& r : spec->rows) known = known || r.paper_method == b->method;
    if (!known) spec->rows.push_back({"", b->method, b->method, b->teacher.empty()});
  }
  // Pairs first: a plain student that also occurs below a teacher needs no column of its own.
  for (bool pairs : {true, false}) {
    for (const Baseline* b : printed) {
      if (b->teacher.empty() == pairs) continue;
      bool known = false;
      for (const auto& c : spec->columns)
        known = known || (c.paper_student == b->student && (b->teacher.empty() || c.paper_teacher == b->teacher));
      if (!known) spec->columns.push_back({b->teacher, b->student, b->teacher, b->student});
    }
  }
}

Table BuildTable(const TableSpec& spec, const std::vector<RunRecord>& records, const std::vector<Baseline>& baselines) {
  Table table;
  table.spec = spec;
  table.cells.resize(spec.rows.size());
  for (size_t r = 0; r < spec.rows.size(); ++r)
    for (size_t c = 0; c < spec.columns.size(); ++c)
      table.cells[r].push_back(StudentCell(spec, r, c, records, baselines));
  for (size_t c = 0; c < spec.columns.size(); ++c) {
    table.teacher.push_back(TeacherCell(table, c, records, baselines));
    table.has_teacher = table.has_teacher || !spec.columns[c].teacher.empty();
  }
  MarkBest(&table);
  CollectNotes(&table);
  return table;
}

}  // namespace distil::harness
