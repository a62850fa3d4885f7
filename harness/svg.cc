#include "harness/svg.h"

#include <algorithm>
#include <cmath>

#include "harness/text.h"

namespace distil::harness {
namespace {

// The plot's frame inside the view box, in its units.
struct Frame {
  double width = 640, height = 340, left = 58, right = 16, top = 40, bottom = 46;
  double x0() const { return left; }
  double x1() const { return width - right; }
  double y0() const { return height - bottom; }  // the lower edge
  double y1() const { return top; }
};

std::string N(double v) { return Fixed(v, std::fabs(v - std::round(v)) < 0.05 ? 0 : 1); }

std::string TextAt(double x, double y, const std::string& css, const std::string& text, const std::string& more = "") {
  return "<text x=\"" + N(x) + "\" y=\"" + N(y) + "\" class=\"" + css + "\"" + more + ">" + EscapeHtml(text) +
         "</text>\n";
}

std::string Line(double x1, double y1, double x2, double y2, const std::string& css) {
  return "<line x1=\"" + N(x1) + "\" y1=\"" + N(y1) + "\" x2=\"" + N(x2) + "\" y2=\"" + N(y2) + "\" class=\"" + css +
         "\"/>\n";
}

std::string Open(const Frame& f, const std::string& title) {
  return "<svg viewBox=\"0 0 " + N(f.width) + " " + N(f.height) + "\" role=\"img\" aria-label=\"" + EscapeHtml(title) +
         "\" xmlns=\"http://www.w3.org/2000/svg\">\n" + TextAt(f.left, 20, "title", title);
}

std::string YAxis(const Frame& f, const Axis& axis, const std::string& label) {
  std::string out;
  int ticks = static_cast<int>(std::round((axis.high - axis.low) / axis.step));
  for (int i = 0; i <= ticks; ++i) {
    double value = axis.low + i * axis.step;
    double y = f.y0() - (f.y0() - f.y1()) * i / ticks;
    out += Line(f.x0(), y, f.x1(), y, i == 0 ? "axis" : "grid");
    out += TextAt(f.x0() - 7, y + 4, "tick end", Fixed(value, axis.digits));
  }
  double middle = (f.y0() + f.y1()) / 2;
  out += TextAt(15, middle, "label mid", label, " transform=\"rotate(-90 15 " + N(middle) + ")\"");
  return out;
}

const char* const kDashes[] = {"", "7 3", "2 3", "10 3 2 3", "", "7 3", "2 3", "10 3 2 3"};

std::string LegendEntry(double x, double y, const std::string& name, int color, bool line) {
  std::string css = "c" + std::to_string(color % kChartColors);
  std::string out;
  if (line) {
    std::string dash = kDashes[color % kChartColors];
    out = "<line x1=\"" + N(x) + "\" y1=\"" + N(y - 4) + "\" x2=\"" + N(x + 22) + "\" y2=\"" + N(y - 4) +
          "\" class=\"line " + css + "\"" + (dash.empty() ? "" : " stroke-dasharray=\"" + dash + "\"") + "/>\n";
  } else {
    out = "<rect x=\"" + N(x + 4) + "\" y=\"" + N(y - 10) + "\" width=\"12\" height=\"12\" rx=\"2\" class=\"bar " +
          css + "\"/>\n";
  }
  return out + TextAt(x + 27, y, "tick", name);
}

// A legend over the plot, wrapped into rows; returns its markup and the room it needs below the title.
std::string Legend(const Frame& f, const std::vector<std::pair<std::string, int>>& names, bool line, double* room) {
  std::string out;
  double x = f.left, y = 40;
  for (const auto& [name, color] : names) {
    double width = 27 + 6.4 * static_cast<double>(name.size()) + 18;
    if (x > f.left && x + width > f.x1() + 10) x = f.left, y += 18;
    out += LegendEntry(x, y, name, color, line);
    x += width;
  }
  *room = y - 26;
  return out;
}

}  // namespace

Axis NiceAxis(double low, double high, int count) {
  Axis axis;
  if (!(std::isfinite(low) && std::isfinite(high))) return axis;
  if (high - low < 1e-9 * std::max(1.0, std::fabs(high))) low -= 0.5, high += 0.5;
  double raw = (high - low) / std::max(1, count);
  double power = std::pow(10, std::floor(std::log10(raw)));
  double unit = raw / power;
  axis.step = power * (unit <= 1 ? 1 : unit <= 2 ? 2 : unit <= 5 ? 5 : 10);
  axis.low = std::floor(low / axis.step + 1e-9) * axis.step;
  axis.high = std::ceil(high / axis.step - 1e-9) * axis.step;
  axis.digits = std::clamp(static_cast<int>(-std::floor(std::log10(axis.step) + 1e-9)), 0, 6);
  return axis;
}

std::string LineChartSvg(const LineChart& chart) {
  double x_low = 1e300, x_high = -1e300, y_low = 1e300, y_high = -1e300;
  std::vector<std::pair<std::string, int>> names;
  for (const ChartSeries& s : chart.series) {
    names.emplace_back(s.name, s.color);
    for (const ChartPoint& p : s.points) {
      if (!std::isfinite(p.y)) continue;
      x_low = std::min(x_low, p.x), x_high = std::max(x_high, p.x);
      y_low = std::min({y_low, p.y, p.low}), y_high = std::max({y_high, p.y, p.high});
    }
  }
  if (x_high < x_low) return "";
  Frame f;
  double room = 0;
  std::string legend = Legend(f, names, true, &room);
  f.top += room, f.height += room;
  Axis y = NiceAxis(y_low, y_high, 5), x = NiceAxis(x_low, x_high, 8);
  x.step = std::max(1.0, x.step);  // epochs are whole
  if (x_high - x_low < 1e-9) x_low -= 0.5, x_high += 0.5;
  auto px = [&](double v) { return f.x0() + (f.x1() - f.x0()) * (v - x_low) / (x_high - x_low); };
  auto py = [&](double v) { return f.y0() - (f.y0() - f.y1()) * (v - y.low) / (y.high - y.low); };
  std::string out = Open(f, chart.title) + YAxis(f, y, chart.y_label);
  for (double v = std::ceil(x_low / x.step) * x.step; v <= x_high + 1e-9; v += x.step) {
    out += Line(px(v), f.y0(), px(v), f.y0() + 4, "axis");
    out += TextAt(px(v), f.y0() + 17, "tick mid", Fixed(v, 0));
  }
  out += TextAt((f.x0() + f.x1()) / 2, f.y0() + 36, "label mid", chart.x_label);
  for (const ChartSeries& s : chart.series) {  // all bands below all lines
    std::string upper, lower;
    bool band = false;
    for (const ChartPoint& p : s.points) {
      upper += N(px(p.x)) + "," + N(py(p.high)) + " ";
      lower = N(px(p.x)) + "," + N(py(p.low)) + " " + lower;
      band = band || p.high > p.low;
    }
    if (band)
      out += "<polygon points=\"" + upper + Trim(lower) + "\" class=\"band c" + std::to_string(s.color % kChartColors) +
             "\"/>\n";
  }
  for (const ChartSeries& s : chart.series) {
    std::string css = "c" + std::to_string(s.color % kChartColors), points;
    for (const ChartPoint& p : s.points)
      if (std::isfinite(p.y)) points += (points.empty() ? "" : " ") + N(px(p.x)) + "," + N(py(p.y));
    std::string dash = kDashes[s.color % kChartColors];
    out += "<g class=\"series\"><polyline points=\"" + points + "\" class=\"line " + css + "\"" +
           (dash.empty() ? "" : " stroke-dasharray=\"" + dash + "\"") + "/>\n";
    if (s.points.size() <= 60 && !s.points.empty()) {
      for (const ChartPoint& p : s.points) {
        if (!std::isfinite(p.y)) continue;
        std::string tip = s.name + ", " + chart.x_label + " " + Fixed(p.x, 0) + ": " + Fixed(p.y, chart.y_digits);
        if (p.high > p.low) tip += " (" + Fixed(p.low, chart.y_digits) + " to " + Fixed(p.high, chart.y_digits) + ")";
        out += "<circle cx=\"" + N(px(p.x)) + "\" cy=\"" + N(py(p.y)) + "\" r=\"2.4\" class=\"dot " + css +
               "\"><title>" + EscapeHtml(tip) + "</title></circle>\n";
      }
    }
    out += "</g>\n";
  }
  return out + legend + "</svg>\n";
}

double MeanOfBins(const std::vector<double>& shares) {
  double mean = 0;
  for (size_t i = 0; i < shares.size(); ++i)
    mean += shares[i] * (static_cast<double>(i) + 0.5) / static_cast<double>(shares.size());
  return mean;
}

namespace {

// One panel of a RidgeChart inside its frame. `tallest`: the share that is drawn as high as ridges get.
std::string RidgePanel(const Frame& f, const RidgeChart::Panel& panel, double tallest) {
  const double overlap = 2.2, rows = static_cast<double>(panel.rows.size());
  const double spacing = (f.y0() - f.y1()) / (rows - 1 + overlap), unit = overlap * spacing / tallest;
  auto px = [&](double v) { return f.x0() + (f.x1() - f.x0()) * v; };
  auto base = [&](size_t row) { return f.y0() - spacing * static_cast<double>(row); };
  std::string out = TextAt((f.x0() + f.x1()) / 2, f.y1() - 8, "label mid", panel.title);
  for (int i = 0; i <= 5; ++i) {
    out += Line(px(i / 5.0), f.y0(), px(i / 5.0), f.y1(), "grid");
    out += TextAt(px(i / 5.0), f.y0() + 16, "tick mid", Fixed(i / 5.0, 1));
  }
  out += TextAt((f.x0() + f.x1()) / 2, f.y0() + 34, "label mid", panel.x_label);
  const size_t every = (panel.rows.size() + 11) / 12;
  std::string means;
  for (size_t r = panel.rows.size(); r-- > 0;) {  // from the back to the front
    const RidgeChart::Row& row = panel.rows[r];
    const double y = base(r), bins = static_cast<double>(row.shares.size());
    std::string points = N(px(0)) + "," + N(y);
    for (size_t i = 0; i < row.shares.size(); ++i) {
      const std::string top = N(y - unit * row.shares[i]);
      points += " " + N(px(static_cast<double>(i) / bins)) + "," + top;
      points += " " + N(px(static_cast<double>(i + 1) / bins)) + "," + top;
    }
    const double mean = MeanOfBins(row.shares);
    out += "<polygon points=\"" + points + " " + N(px(1)) + "," + N(y) + "\" class=\"ridge c1\"><title>" +
           EscapeHtml(row.name + ": mean " + Fixed(mean, 2)) + "</title></polygon>\n";
    if (r % every == 0) out += TextAt(f.x0() - 7, y + 3, "tick end", Fixed(row.y, 0));
    means += (means.empty() ? "" : " ") + N(px(mean)) + "," + N(y);
  }
  if (panel.reference >= 0) out += Line(px(panel.reference), f.y0(), px(panel.reference), f.y1(), "paper");
  return out + "<polyline points=\"" + means + "\" class=\"line c2\"/>\n" + Line(px(0), f.y0(), px(1), f.y0(), "axis");
}

}  // namespace

std::string RidgeChartSvg(const RidgeChart& chart) {
  double tallest = 0;
  for (const auto& panel : chart.panels)
    for (const auto& row : panel.rows)
      for (double share : row.shares) tallest = std::max(tallest, share);
  if (tallest <= 0) return "";
  const int columns = std::min<int>(chart.columns, static_cast<int>(chart.panels.size()));
  const int rows = (static_cast<int>(chart.panels.size()) + columns - 1) / columns;
  const double width = 340, height = 330, head = 74;
  Frame whole;
  whole.width = 30 + width * columns, whole.height = head + height * rows, whole.left = 46;
  std::string out = Open(whole, chart.title) + TextAt(whole.left, 37, "tick", chart.subtitle);
  for (size_t i = 0; i < chart.panels.size(); ++i) {
    const double x = 20 + width * static_cast<double>(i % columns),
                 y = head + height * static_cast<double>(i / columns);
    Frame f{x + width, y + height, x + 34, 14, y + 20, 46};
    out += RidgePanel(f, chart.panels[i], tallest);
  }
  const double middle = head + height * rows / 2;
  out += TextAt(15, middle, "label mid", chart.y_label, " transform=\"rotate(-90 15 " + N(middle) + ")\"");
  // The legend: the first colour is the ridges', the second the means'; heights have no axis, so one is named.
  double legend = whole.left;
  const std::string ridge = chart.ridge_name + "; the highest: " + Fixed(100 * tallest, 0) + " %";
  out += LegendEntry(legend, 58, ridge, 1, false);
  legend += 27 + 5.8 * static_cast<double>(ridge.size()) + 14;
  out += Line(legend, 54, legend + 22, 54, "line c2") + TextAt(legend + 27, 58, "tick", "mean");
  legend += 75;
  if (!chart.reference_name.empty())
    out += Line(legend, 54, legend + 22, 54, "paper") + TextAt(legend + 27, 58, "tick", chart.reference_name);
  return out + "</svg>\n";
}

std::string BarChartSvg(const BarChart& chart) {
  double low = 1e300, high = -1e300;
  size_t bars = 0;
  std::vector<std::pair<std::string, int>> names;
  for (const auto& group : chart.groups) {
    for (const auto& bar : group.bars) {
      low = std::min({low, bar.value, bar.low}), high = std::max({high, bar.value, bar.high});
      if (bar.reference > 0) low = std::min(low, bar.reference), high = std::max(high, bar.reference);
      if (std::find(names.begin(), names.end(), std::pair(bar.name, bar.color)) == names.end())
        names.emplace_back(bar.name, bar.color);
      ++bars;
    }
  }
  if (bars == 0) return "";
  Frame f;
  f.bottom = 30;
  f.width = std::max(640.0, 80.0 + 26.0 * static_cast<double>(bars) + 30.0 * static_cast<double>(chart.groups.size()));
  double room = 0;
  std::string legend = Legend(f, names, false, &room);
  f.top += room, f.height += room;
  // Accuracies of one table lie close together: the axis starts near the lowest, and says so by its numbers.
  double margin = std::max(0.5, 0.25 * (high - low));
  Axis y = NiceAxis(std::max(0.0, low - margin), high, 5);
  auto py = [&](double v) { return f.y0() - (f.y0() - f.y1()) * (v - y.low) / (y.high - y.low); };
  std::string out = Open(f, chart.title) + YAxis(f, y, chart.y_label);
  const double gap = 22, space = f.x1() - f.x0() - gap * static_cast<double>(chart.groups.size());
  const double width = std::min(46.0, space / static_cast<double>(bars));
  const double used = width * static_cast<double>(bars) + gap * static_cast<double>(chart.groups.size());
  double x = f.x0() + (f.x1() - f.x0() - used) / 2 + gap / 2;
  for (const auto& group : chart.groups) {
    double begin = x;
    for (const auto& bar : group.bars) {
      std::string tip = group.name + ", " + bar.name + ": " + Fixed(bar.value, 2);
      if (bar.high > bar.low) tip += " ± " + Fixed((bar.high - bar.low) / 2, 2);
      if (bar.reference > 0) tip += ", paper " + Fixed(bar.reference, 2);
      double inner = std::max(2.0, width - 4), centre = x + width / 2;
      out += "<g><title>" + EscapeHtml(tip) + "</title><rect x=\"" + N(x + 2) + "\" y=\"" + N(py(bar.value)) +
             "\" width=\"" + N(inner) + "\" height=\"" + N(std::max(0.0, f.y0() - py(bar.value))) +
             "\" rx=\"2\" class=\"bar c" + std::to_string(bar.color % kChartColors) + (bar.faded ? " faded" : "") +
             "\"/>\n";
      if (bar.high > bar.low) {
        out += Line(centre, py(bar.low), centre, py(bar.high), "error");
        out += Line(centre - 4, py(bar.high), centre + 4, py(bar.high), "error");
        out += Line(centre - 4, py(bar.low), centre + 4, py(bar.low), "error");
      }
      if (bar.reference > 0) out += Line(x, py(bar.reference), x + width, py(bar.reference), "paper");
      if (width >= 30)
        out += TextAt(centre, py(std::max({bar.high, bar.value, bar.reference})) - 6, "value mid", Fixed(bar.value, 1));
      out += "</g>\n";
      x += width;
    }
    out += TextAt((begin + x) / 2, f.y0() + 18, "tick mid", group.name);
    x += gap;
  }
  return out + legend + "</svg>\n";
}

}  // namespace distil::harness
