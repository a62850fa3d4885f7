#include "bench/chart.h"

#include <gtest/gtest.h>

namespace distil::bench {
namespace {

using Numbers = std::vector<double>;

TEST(Chart, LogTicks) {
  EXPECT_EQ(LogTicks(1, 10), (Numbers{1, 2, 5, 10}));
  EXPECT_EQ(LogTicks(3, 60), (Numbers{2, 5, 10, 20, 50, 100}));
  EXPECT_EQ(LogTicks(2, 2), (Numbers{2}));
  const Numbers small = LogTicks(0.03, 0.04);
  ASSERT_EQ(small.size(), 2u);
  EXPECT_NEAR(small[0], 0.02, 1e-12);
  EXPECT_NEAR(small[1], 0.05, 1e-12);
}

// The frame of a panel is 346 wide and 248 high, from (62, 288): each factor of ten is as far as the next.
TEST(Chart, PlacesNumbersByTheirLogarithm) {
  const Curve line{"a line", 0, false, false, {{1, 1}, {10, 10}, {100, 100}}};
  const std::string svg = LogChartSvg("title", {{"panel", "x", "y", {1, 10, 100}, {line}}});
  EXPECT_NE(svg.find("points=\"62.0,288.0 235.0,164.0 408.0,40.0\""), std::string::npos) << svg;
  for (const char* text : {">title<", ">panel<", ">x<", ">y<", ">a line<", ">100<"})
    EXPECT_NE(svg.find(text), std::string::npos) << text;
}

TEST(Chart, MarksAndDashes) {
  const Curve marks{"marks", 1, false, true, {{1, 1}, {2, 3}}}, dashed{"", 0, true, false, {{1, 1}, {2, 2}}};
  const std::string svg = LogChartSvg("", {{"", "", "", {}, {marks, dashed}}});
  size_t circles = 0;
  for (size_t at = 0; (at = svg.find("<circle", at)) != std::string::npos; ++at) ++circles;
  EXPECT_EQ(circles, 3u);  // one in the legend
  EXPECT_NE(svg.find("stroke-dasharray"), std::string::npos);
}

TEST(Chart, NothingToDraw) {
  EXPECT_EQ(LogChartSvg("", {{"", "", "", {1}, {Curve()}}}).find("nan"), std::string::npos);
}

}  // namespace
}  // namespace distil::bench
