// Charts with logarithmic axes as one SVG file: panels side by side, two to a row, each with a legend at its right.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace distil::bench {

struct Curve {
  std::string name;  // in the legend; "": not there
  int color = 0;
  bool dashed = false;
  bool marks = false;                             // circles without a line between them
  std::vector<std::pair<double, double>> points;  // all positive
};

struct Panel {
  std::string title, x_label, y_label;
  std::vector<double> x_ticks;
  std::vector<Curve> curves;
};

// The same panels give the same bytes.
std::string LogChartSvg(const std::string& title, const std::vector<Panel>& panels);

// 1, 2 and 5 times powers of ten: the last that is not above `low`, the first that is not below `high`, and those
// between. 0 < low <= high.
std::vector<double> LogTicks(double low, double high);

}  // namespace distil::bench
