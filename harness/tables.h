// Result tables: columns are teacher-over-student pairs, rows are methods, the teacher and the plain student
// first. A cell is the mean over seeds of a recorded accuracy, beside the paper's number, their difference
// and a verdict. Tables are made from records and baselines only, and the same records always give the same
// bytes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/baselines.h"
#include "harness/record.h"

namespace distil::harness {

enum class Verdict {
  kNotRun,
  kMeasured,    // run; the paper prints nothing for it, or nothing that could be met
  kShort,       // a scaled-down schedule: never compared with the paper
  kAltered,     // full length, but with settings that are not the recipe's
  kIncomplete,  // full schedule, fewer seeds than a claim needs
  kReproduced,  // full schedule, enough seeds, within the tolerance
  kAbove,
  kBelow,
};
const char* Name(Verdict verdict);

struct Cell {
  int n = 0;                   // seeds
  double mean = 0;             // percent
  std::optional<double> std;   // sample deviation, from two seeds on
  std::vector<double> values;  // by seed
  std::vector<const RunRecord*> runs;
  std::optional<Baseline> paper;
  double difference = 0;  // mean - paper; 0 unless comparable()
  Verdict verdict = Verdict::kNotRun;
  bool best = false;  // of the students of its column
  std::string note;   // one or more sentences

  bool comparable() const {
    return verdict == Verdict::kReproduced || verdict == Verdict::kAbove || verdict == Verdict::kBelow ||
           verdict == Verdict::kIncomplete;
  }
};

// What a table shows. A recipe gives one; SpecFromRecords makes one for records of a recipe that is not at
// hand.
struct TableSpec {
  struct Column {
    std::string teacher, student;              // teacher may be empty
    std::string paper_teacher, paper_student;  // the same in the baselines
  };
  struct Row {
    std::string method, label, paper_method;
    bool plain = false;  // trained without a teacher: the same runs serve every column of its student
  };
  std::string name, title, paper, table, dataset, selection = "last";
  std::vector<Column> columns;
  std::vector<Row> rows;
  std::map<std::pair<size_t, size_t>, std::string> hashes;  // (row, column) -> hash of the recipe's configuration
};

TableSpec SpecFromRecords(const std::string& recipe, const std::vector<RunRecord>& records);
// Rows and columns that the paper prints in this table and the recipe does not have: shown as not run.
void AddPaperCells(const std::vector<Baseline>& baselines, TableSpec* spec);

struct Table {
  TableSpec spec;
  bool has_teacher = false;
  std::vector<Cell> teacher;             // by column
  std::vector<std::vector<Cell>> cells;  // by row, column
  std::vector<std::string> notes;        // below the table
};

Table BuildTable(const TableSpec& spec, const std::vector<RunRecord>& records, const std::vector<Baseline>& baselines);

// "72.31 ± 0.12 (3)", "72.31 (1)" or "–".
std::string ValueText(const Cell& cell);
// "paper 73.05 ± 0.22", or "" without a paper's number.
std::string PaperText(const Cell& cell);
// "−0.74, below", "short", ... ; "" for a plain measurement.
std::string VerdictText(const Cell& cell);

std::string TableText(const Table& table, bool color);  // for a terminal
std::string TableMarkdown(const Table& table);
std::string TableCsv(const Table& table);
std::string TableJson(const Table& table);
std::string TableHtml(const Table& table);  // a fragment, styled by report.h's page

}  // namespace distil::harness
