#include "harness/svg.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

namespace distil::harness {
namespace {

TEST(Svg, AxesHaveRoundSteps) {
  Axis a = NiceAxis(61.3, 78.9, 5);
  EXPECT_EQ(a.low, 60);
  EXPECT_EQ(a.high, 80);
  EXPECT_EQ(a.step, 5);
  EXPECT_EQ(a.digits, 0);
  EXPECT_EQ(NiceAxis(0.13, 0.31, 5).digits, 2);
  Axis flat = NiceAxis(7, 7, 5);
  EXPECT_LT(flat.low, 7);
  EXPECT_GT(flat.high, 7);
}

size_t Count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Svg, LinesBandsAndTips) {
  LineChart chart;
  chart.title = "a < b", chart.x_label = "epoch", chart.y_label = "top-1 (%)";
  chart.series.push_back({"KD", 1, {{1, 10, 9, 11}, {2, 20, 19, 21}}});
  chart.series.push_back({"CE", 2, {{1, 5, 5, 5}, {2, std::numeric_limits<double>::quiet_NaN(), 0, 0}}});
  std::string svg = LineChartSvg(chart);
  EXPECT_EQ(Count(svg, "<polyline"), 2u);
  EXPECT_EQ(Count(svg, "<polygon"), 1u);  // only KD has a spread
  EXPECT_EQ(Count(svg, "<circle"), 3u);   // the missing point is left out
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_NE(svg.find("a &lt; b"), std::string::npos);
  EXPECT_EQ(LineChartSvg({}), "");
}

TEST(Svg, BarsErrorBarsAndReferences) {
  BarChart chart;
  chart.groups.push_back({"t → s", {{"CE", 1, 70, 69, 71, 0, false}, {"KD", 2, 72, 72, 72, 73, true}}});
  std::string svg = BarChartSvg(chart);
  EXPECT_EQ(Count(svg, "class=\"bar c1\""), 2u);  // the bar and its legend
  EXPECT_EQ(Count(svg, "class=\"error\""), 3u);
  EXPECT_EQ(Count(svg, "class=\"paper\""), 1u);
  EXPECT_EQ(Count(svg, "faded"), 1u);
  EXPECT_EQ(BarChartSvg({}), "");
}

}  // namespace
}  // namespace distil::harness
