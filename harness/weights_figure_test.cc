#include "harness/weights_figure.h"

#include <gtest/gtest.h>

#include "harness/report.h"
#include "harness/run_state.h"
#include "harness/svg.h"
#include "harness/testing.h"

namespace distil::harness {
namespace {

size_t Count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

// Two layers, so the second one's weights are 1 minus the first one's.
RunRecord WithWeights(int64_t seed, int64_t epochs) {
  RunRecord r = MadeUpRun("dskd/figure2", "wrn_40_2", "wrn_16_2", "dskd", seed, 60, epochs, 240);
  r.label = "DSKD";
  for (EpochMetrics& m : r.epochs) {
    m.histograms = {{"dskd.kd_w1", {10, 20, 30, 40}}, {"dskd.kd_w2", {40, 30, 20, 10}}};
    m.histograms["dskd.fea_w1"] = m.histograms["dskd.fea_w2"] = {0, 50, 50, 0};
  }
  return r;
}

TEST(WeightsFigure, BinsAreCountedAndNotAveraged) {
  RunState s;  // two batches of 3 and 1: shares times images
  s.AddStep({{"kd", 3.0}, {"dskd.kd_w1.0", 1.0 / 3}, {"dskd.kd_w1.1", 2.0 / 3}, {"dskd.kd_w1.10", 0}}, 4.0, 3, 1);
  s.AddStep({{"kd", 1.0}, {"dskd.kd_w1.0", 0}, {"dskd.kd_w1.1", 0}, {"dskd.kd_w1.10", 1}}, 4.0, 1, 1);
  EXPECT_EQ(s.Histograms().at("dskd.kd_w1"), (std::vector<int64_t>{1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1}));
  const auto means = s.Means();
  EXPECT_EQ(means.size(), 3u);  // kd, loss, top1
  EXPECT_EQ(means.at("kd"), 2.5);
  s.StartEpoch();
  EXPECT_TRUE(s.Histograms().empty());
}

TEST(WeightsFigure, NamesOfBins) {
  std::string histogram;
  size_t bin = 0;
  EXPECT_TRUE(BinOf("dskd.kd_w1.12", &histogram, &bin));
  EXPECT_EQ(histogram, "dskd.kd_w1");
  EXPECT_EQ(bin, 12u);
  for (const char* term : {"kd", "loss", "dskd.kd_w1", "a.b", "a.", "a.-1", "a.1x"})
    EXPECT_FALSE(BinOf(term, &histogram, &bin)) << term;
}

TEST(WeightsFigure, RecordsKeepHistograms) {
  const RunRecord r = WithWeights(1, 3);
  RunRecord back;
  ASSERT_OK(ParseRecord(Pretty(ToJson(r)), "f", &back));
  EXPECT_EQ(back.epochs[2].histograms, r.epochs[2].histograms);
  Json bad = ToJson(r);
  bad["epochs"][1]["histograms"]["dskd.kd_w1"][0] = -1;
  EXPECT_NE(ParseRecord(Pretty(bad), "f", &back).message().find("epochs[1].histograms.dskd.kd_w1"), std::string::npos);
}

TEST(WeightsFigure, MeanOfBins) {
  EXPECT_DOUBLE_EQ(MeanOfBins({0, 0.5, 0.5, 0}), 0.5);
  EXPECT_DOUBLE_EQ(MeanOfBins({0, 0, 0, 1}), 0.875);
}

TEST(WeightsFigure, OnePanelForEachLossAndLayer) {
  const RunRecord a = WithWeights(1, 3), b = WithWeights(2, 3);
  const std::string svg = WeightsSvg("wrn_40_2 → wrn_16_2, DSKD", {&a, &b});
  EXPECT_EQ(Count(svg, "class=\"ridge"), 4u * 3u);
  EXPECT_EQ(Count(svg, "class=\"line c2\""), 4u + 1u);  // the means, and their legend
  EXPECT_EQ(Count(svg, "class=\"paper\""), 4u + 1u);    // equal weights
  for (const char* text :
       {"Class predictions, layer 1", "Class predictions, layer 2", "Feature maps, layer 1", "weight W_KD of layer 1",
        "weight W_Fea of layer 2", ">epoch<", "the highest: 50 %",
        "50,000 training samples, 3 epochs, 2 seeds (short: the recipe has 50,000 samples, 240 epochs)",
        "epoch 3: mean 0.62", "epoch 3: mean 0.38"})
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  EXPECT_LT(svg.find("Class predictions, layer 1"), svg.find("Feature maps, layer 1"));
  EXPECT_LT(svg.find("Feature maps, layer 1"), svg.find("Class predictions, layer 2"));
}

TEST(WeightsFigure, LongRunsShowSomeEpochsWithTheFirstAndTheLast) {
  const RunRecord r = WithWeights(1, 240);
  const std::string svg = WeightsSvg("x", {&r});
  EXPECT_EQ(Count(svg, "class=\"ridge"), 4u * 24u);
  EXPECT_NE(svg.find("epoch 1: "), std::string::npos);
  EXPECT_NE(svg.find("epoch 240: "), std::string::npos);
  EXPECT_EQ(svg.find("short"), std::string::npos);
}

TEST(WeightsFigure, NoneWithoutHistograms) {
  const RunRecord r = MadeUpRun("r", "wrn_40_2", "wrn_16_2", "kd", 1, 60), with = WithWeights(1, 4);
  EXPECT_EQ(WeightsSvg("x", {}), "");
  EXPECT_EQ(WeightsSvg("x", {&r}), "");
  EXPECT_EQ(WeightsSvg("x", {&with, &r}), "");
}

TEST(WeightsFigure, IsAFileOfTheReport) {
  std::vector<RunRecord> records = {WithWeights(1, 3)};
  const TableSpec spec = SpecFromRecords("dskd/figure2", records);
  const auto files = ReportFiles("t", {BuildTable(spec, records, {})});
  ASSERT_TRUE(files.count("dskd-figure2-wrn_40_2-wrn_16_2-dskd.svg"));
  const std::string& svg = files.at("dskd-figure2-wrn_40_2-wrn_16_2-dskd.svg");
  EXPECT_TRUE(svg.starts_with("<svg"));
  EXPECT_EQ(svg.find("var(--"), std::string::npos);  // programs other than browsers know no variables
  EXPECT_NE(svg.find("#0072b2"), std::string::npos);
  EXPECT_NE(files.at("report.html").find("class=\"ridge"), std::string::npos);
  EXPECT_EQ(files.at("dskd-figure2.md").find("kd_w1"), std::string::npos);
}

}  // namespace
}  // namespace distil::harness
