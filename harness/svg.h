// Charts as inline SVG, written directly: line charts with bands, bar charts with error bars, ridgelines. Colours come
// from the CSS classes c0..c7 of report.h's page (a palette that colour-blind readers can tell apart, with a
// light and a dark variant); dash patterns tell the lines apart without colour. The same input gives the same
// bytes.
#pragma once

#include <string>
#include <vector>

namespace distil::harness {

inline constexpr int kChartColors = 8;

struct ChartPoint {
  double x = 0, y = 0;
  double low = 0, high = 0;  // the band or error bar; equal to y for none
};

struct ChartSeries {
  std::string name;
  int color = 0;
  std::vector<ChartPoint> points;
};

struct LineChart {
  std::string title, x_label, y_label;
  std::vector<ChartSeries> series;
  int y_digits = 0;  // of the values in tool tips
};
std::string LineChartSvg(const LineChart& chart);

struct BarChart {
  struct Bar {
    std::string name;
    int color = 0;
    double value = 0, low = 0, high = 0;
    double reference = 0;  // the paper's number, drawn as a tick across the bar; 0 for none
    bool faded = false;    // a short run
  };
  struct Group {
    std::string name;
    std::vector<Bar> bars;
  };
  std::string title, y_label;
  std::vector<Group> groups;
};
std::string BarChartSvg(const BarChart& chart);

// Distributions one behind the other, as in a ridgeline plot: one panel for each quantity, one ridge for each row.
struct RidgeChart {
  struct Row {
    std::string name;            // "epoch 12"
    double y = 0;                // its number on the axis
    std::vector<double> shares;  // of bins that divide [0, 1] evenly; they sum to 1
  };
  struct Panel {
    std::string title, x_label;
    std::vector<Row> rows;  // from the front to the back
    double reference = -1;  // a dashed line at this x; below 0 for none
  };
  std::string title, subtitle, y_label, ridge_name, reference_name;
  int columns = 2;  // of panels
  std::vector<Panel> panels;
};
std::string RidgeChartSvg(const RidgeChart& chart);
// The mean of a quantity in [0, 1], every sample taken to lie in the middle of its bin.
double MeanOfBins(const std::vector<double>& shares);

// Round steps for an axis over [low, high]: about `count` ticks at multiples of 1, 2 or 5 times a power of
// ten.
struct Axis {
  double low = 0, high = 1, step = 1;
  int digits = 0;
};
Axis NiceAxis(double low, double high, int count);

}  // namespace distil::harness
