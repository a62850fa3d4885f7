#include "harness/tables.h"

#include <gtest/gtest.h>

#include "harness/report.h"
#include "harness/testing.h"

namespace distil::harness {
namespace {

std::vector<Baseline> Papers() {
  std::vector<Baseline> all;
  auto add = [&](const char* teacher, const char* student, const char* method, double mean, int seeds) {
    all.push_back({"p", "1", "cifar100", teacher, student, method, "top1_pct", mean, 0.2, Selection::kLast, seeds, 0.5,
                   Target::kValue, ""});
  };
  add("wrn_40_2", "", "Teacher", 75.61, 1);
  add("", "wrn_16_2", "Student", 73.13, 3);
  add("wrn_40_2", "wrn_16_2", "KD", 75.37, 3);
  add("wrn_40_2", "wrn_16_2", "VID", 75.25, 3);
  add("vgg13", "vgg8", "KD", 73.34, 3);
  return all;
}

RunRecord Ran(const std::string& method, int64_t seed, double top1, int64_t epochs = 4) {
  RunRecord r = MadeUpRun("p/table1", method == "ce" ? "" : "wrn_40_2", "wrn_16_2", method, seed, top1, epochs);
  r.paper = "p", r.table = "1";
  r.paper_teacher = r.teacher, r.paper_student = "wrn_16_2", r.paper_method = r.label;
  return r;
}

Table Make(const std::vector<RunRecord>& records) {
  TableSpec spec = SpecFromRecords("p/table1", records);
  AddPaperCells(Papers(), &spec);
  return BuildTable(spec, records, Papers());
}

const Cell& At(const Table& table, const std::string& label, size_t column = 0) {
  for (size_t r = 0; r < table.cells.size(); ++r)
    if (table.spec.rows[r].label == label) return table.cells[r][column];
  static const Cell kNone;
  return kNone;
}

TEST(Tables, MeanSpreadAndVerdict) {
  std::vector<RunRecord> records;
  for (int seed : {3, 1, 2}) records.push_back(Ran("kd", seed, 75.0 + 0.1 * seed));
  for (int seed : {1, 2, 3}) records.push_back(Ran("ce", seed, 70.0));
  Table table = Make(records);
  const Cell& kd = At(table, "KD");
  EXPECT_EQ(ValueText(kd), "75.20 ± 0.10 (3)");
  EXPECT_EQ(kd.verdict, Verdict::kReproduced);  // 75.20 is 0.17 below 75.37, within 0.5
  EXPECT_EQ(VerdictText(kd), "−0.17, reproduced");
  EXPECT_TRUE(kd.best);
  EXPECT_EQ(At(table, "Student").verdict, Verdict::kBelow);
  EXPECT_EQ(At(table, "VID").verdict, Verdict::kNotRun);
  // The teacher has no record of its own here, so nothing is claimed for it.
  EXPECT_EQ(table.teacher[0].verdict, Verdict::kMeasured);
  EXPECT_EQ(table.spec.columns.size(), 2u);  // the paper's other pair is shown as not run
  EXPECT_EQ(At(table, "KD", 1).verdict, Verdict::kNotRun);
  EXPECT_EQ(At(table, "KD", 1).paper->mean, 73.34);
}

TEST(Tables, AShortRunIsNeverCompared) {
  std::vector<RunRecord> records;
  for (int seed : {1, 2, 3}) records.push_back(Ran("kd", seed, 75.37, 2));
  Table table = Make(records);
  EXPECT_EQ(At(table, "KD").verdict, Verdict::kShort);
  EXPECT_EQ(VerdictText(At(table, "KD")), "short");
  EXPECT_NE(At(table, "KD").note.find("2 of 4 epochs"), std::string::npos);
}

TEST(Tables, TooFewSeedsOrOtherSettingsAreNoClaim) {
  Table few = Make({Ran("kd", 1, 75.37)});
  EXPECT_EQ(At(few, "KD").verdict, Verdict::kIncomplete);
  std::vector<RunRecord> altered;
  for (int seed : {1, 2, 3})
    altered.push_back(Ran("kd", seed, 75.37)), altered.back().schedule.altered = {"train.lr=0.1"};
  EXPECT_EQ(At(Make(altered), "KD").verdict, Verdict::kAltered);
  EXPECT_NE(At(Make(altered), "KD").note.find("with train.lr=0.1"), std::string::npos);
  for (RunRecord& r : altered) r.schedule.altered = {"train.algorithms=" + std::string(4000, 'a')};
  EXPECT_LT(At(Make(altered), "KD").note.size(), 200u);
}

TEST(Tables, AboveTheToleranceIsSaidToo) {
  std::vector<RunRecord> records;
  for (int seed : {1, 2, 3}) records.push_back(Ran("kd", seed, 77));
  EXPECT_EQ(At(Make(records), "KD").verdict, Verdict::kAbove);
}

TEST(Tables, FullRunsWinOverShortOnes) {
  std::vector<RunRecord> records;
  for (int seed : {1, 2, 3, 4, 5}) records.push_back(Ran("kd", seed, 60, 2));
  for (int seed : {1, 2, 3}) records.push_back(Ran("kd", seed, 75.3));
  const Table table = Make(records);
  EXPECT_EQ(At(table, "KD").n, 3);
  EXPECT_EQ(At(table, "KD").verdict, Verdict::kReproduced);
  EXPECT_NE(At(table, "KD").note.find("1 other configuration"), std::string::npos);
}

TEST(Tables, TeacherIsComparedWhenItsOwnRunIsKnown) {
  RunRecord teacher = MadeUpRun("p/teachers", "", "wrn_40_2", "ce", 1, 75.5);
  teacher.student_sha256 = Sha256("wrn_40_2ce1");
  Table table = Make({Ran("kd", 1, 75), teacher});
  EXPECT_EQ(table.teacher[0].verdict, Verdict::kReproduced);
}

TEST(Tables, EveryFaceIsDeterministicAndEscaped) {
  std::vector<RunRecord> records = {Ran("kd", 1, 75), Ran("ce", 1, 70)};
  for (auto& r : records) r.title = "<b>a|b</b>";
  Table table = Make(records);
  for (auto* face : {&TableMarkdown, &TableCsv, &TableJson, &TableHtml})
    EXPECT_EQ((*face)(table), (*face)(Make(records)));
  EXPECT_EQ(TableText(table, false), TableText(Make(records), false));
  EXPECT_EQ(TableText(table, false).find("\033"), std::string::npos);
  EXPECT_NE(TableText(table, true).find("\033[1m"), std::string::npos);
  EXPECT_NE(TableMarkdown(table).find("**75.00 (1)**<br>paper 75.37 ± 0.20<br>−0.37, incomplete"), std::string::npos);
  std::string page = ReportHtml("r", {table});
  EXPECT_EQ(page.find("<b>a"), std::string::npos);
  EXPECT_NE(page.find("<svg"), std::string::npos);
  EXPECT_EQ(page.find("http://"), page.find("http://www.w3.org/2000/svg"));  // nothing is fetched
  EXPECT_EQ(ReportFiles("r", {table}).size(), 5u);
}

}  // namespace
}  // namespace distil::harness
