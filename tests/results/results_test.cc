// The committed results hold together: every record is complete, every table is what the records give, and no result of a
// full schedule misses its paper's number by more than the tolerance.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "harness/baselines.h"
#include "harness/files.h"
#include "harness/record.h"
#include "harness/report.h"
#include "harness/table_set.h"

namespace distil::harness {
namespace {

constexpr char kRuns[] = "results/runs", kTables[] = "results/tables";
constexpr char kRegenerate[] = "./bazelw run //harness -- report --runs results/runs --to results/tables";

class Results : public testing::Test {
 protected:
  void SetUp() override {
    std::vector<Baseline> baselines;
    Status status = LoadBaselines("results/baselines", &baselines);
    ASSERT_TRUE(status.ok()) << status.message();
    if (FolderExists(kRuns)) status = ReadRecords({kRuns}, &records_);
    ASSERT_TRUE(status.ok()) << status.message();
    status = MakeTables(records_, baselines, {}, &tables_);
    ASSERT_TRUE(status.ok()) << status.message();
  }

  std::vector<RunRecord> records_;
  std::vector<Table> tables_;
};

TEST_F(Results, RecordsSayWhereTheyComeFrom) {
  for (const RunRecord& r : records_) {
    EXPECT_NE(r.revision, "unknown") << r.path << " does not say which source it was made from";
    const std::string expected = std::string(kRuns) + "/" +
                                 RunFolder(r.dataset, r.teacher, r.student, r.method, r.seed, r.config_hash) +
                                 "/result.json";
    EXPECT_EQ(r.path, expected) << "a record lies in the folder of its run";
  }
}

TEST_F(Results, TablesAreWhatTheRecordsGive) {
  std::map<std::string, std::string> files;
  if (!tables_.empty()) files = ReportFiles("distil results", tables_);
  for (const auto& [name, content] : files) {
    std::string there;
    Status status = ReadFile(JoinPath(kTables, name), &there);
    EXPECT_TRUE(status.ok() && there == content) << kTables << "/" << name << " is stale; to mend it: " << kRegenerate;
  }
  std::vector<std::string> names;
  if (FolderExists(kTables)) {
    ASSERT_TRUE(ListFolder(kTables, "", &names).ok());
  }
  for (const std::string& name : names)
    EXPECT_TRUE(files.count(name)) << kTables << "/" << name << " comes from no record; remove it";
}

TEST_F(Results, FullRunsReachTheirBaselines) {
  auto check = [](const Table& table, const std::string& row, size_t column, const Cell& cell) {
    const auto& c = table.spec.columns[column];
    EXPECT_NE(cell.verdict, Verdict::kBelow)
        << table.spec.name << ": " << c.teacher << " -> " << c.student << ", " << row << ": " << ValueText(cell)
        << " is more than " << cell.paper->tolerance << " below the paper's " << cell.paper->mean;
  };
  for (const Table& table : tables_) {
    for (size_t c = 0; c < table.spec.columns.size(); ++c) {
      check(table, "teacher", c, table.teacher[c]);
      for (size_t r = 0; r < table.spec.rows.size(); ++r) check(table, table.spec.rows[r].label, c, table.cells[r][c]);
    }
  }
}

// The gate itself: it closes for a full run that is too low, and only for that.
TEST(Gate, ClosesForAFullRunBelowItsBaselineOnly) {
  std::vector<Baseline> baselines = {
      {"p", "1", "d", "t", "s", "KD", "top1_pct", 75, 0.2, Selection::kLast, 1, 0.5, Target::kValue, ""}};
  TableSpec spec;
  spec.name = "x", spec.paper = "p", spec.table = "1", spec.dataset = "d";
  spec.columns = {{"t", "s", "t", "s"}};
  spec.rows = {{"kd", "KD", "KD", false}};
  RunRecord r;
  r.recipe = "x", r.dataset = "d", r.teacher = "t", r.student = "s", r.method = "kd", r.config_hash = "h";
  r.schedule = {1, 1, 1, 1, 1, 1, {}};
  r.epochs.resize(1);
  auto verdict = [&](double top1, int64_t full_epochs) {
    r.epochs[0].top1 = top1, r.schedule.full_epochs = full_epochs;
    return BuildTable(spec, {r}, baselines).cells[0][0].verdict;
  };
  EXPECT_EQ(verdict(74.4, 1), Verdict::kBelow);
  EXPECT_EQ(verdict(74.6, 1), Verdict::kReproduced);
  EXPECT_EQ(verdict(40.0, 2), Verdict::kShort);
}

}  // namespace
}  // namespace distil::harness
