#include "bench/chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace distil::bench {
namespace {

constexpr double kWidth = 560, kHeight = 340;                         // of a panel
constexpr double kLeft = 62, kRight = 408, kTop = 40, kBottom = 288;  // its frame
constexpr const char* kColors[] = {"#0072b2", "#d55e00", "#009e73", "#a64d89", "#b58900", "#3a8fc7", "#6b4fbb"};

std::string Number(double v, const char* format) {
  char text[32];
  std::snprintf(text, sizeof(text), format, v);
  return text;
}
std::string Place(double v) { return Number(v, "%.1f"); }

std::string Text(double x, double y, const std::string& text, const char* anchor, const std::string& more = "") {
  return "<text x=\"" + Place(x) + "\" y=\"" + Place(y) + "\" text-anchor=\"" + anchor + "\"" + more + ">" + text +
         "</text>\n";
}

std::string Line(double x1, double y1, double x2, double y2, const std::string& stroke) {
  return "<line x1=\"" + Place(x1) + "\" y1=\"" + Place(y1) + "\" x2=\"" + Place(x2) + "\" y2=\"" + Place(y2) +
         "\" stroke=" + stroke + "/>\n";
}

// Where a number lies between `low` and `high`, from 0 to 1.
double Share(double v, double low, double high) { return low < high ? std::log(v / low) / std::log(high / low) : 0.5; }

std::string Draw(const Curve& c, const std::vector<std::pair<double, double>>& at) {
  const std::string color = kColors[static_cast<size_t>(c.color) % std::size(kColors)];
  std::string out;
  if (c.marks) {
    for (auto [x, y] : at)
      out += "<circle cx=\"" + Place(x) + "\" cy=\"" + Place(y) + "\" r=\"3.5\" fill=\"none\" stroke=\"" + color +
             "\" stroke-width=\"1.5\"/>\n";
    return out;
  }
  out += "<polyline fill=\"none\" stroke=\"" + color + "\" stroke-width=\"1.8\"" +
         (c.dashed ? " stroke-dasharray=\"6 3\"" : "") + " points=\"";
  for (auto [x, y] : at) out += Place(x) + "," + Place(y) + " ";
  out.back() = '"';
  return out + "/>\n";
}

std::string PanelSvg(const Panel& p) {
  double x_low = 1e300, x_high = 0, y_low = 1e300, y_high = 0;
  for (const Curve& c : p.curves)
    for (auto [x, y] : c.points) {
      x_low = std::min(x_low, x), x_high = std::max(x_high, x);
      y_low = std::min(y_low, y), y_high = std::max(y_high, y);
    }
  std::string out = Text(kLeft, 22, p.title, "start", " font-size=\"14\"");
  if (x_high <= 0 || y_high <= 0) return out;
  const std::vector<double> y_ticks = LogTicks(y_low, y_high);
  y_low = y_ticks.front(), y_high = y_ticks.back();
  auto px = [&](double v) { return kLeft + (kRight - kLeft) * Share(v, x_low, x_high); };
  auto py = [&](double v) { return kBottom - (kBottom - kTop) * Share(v, y_low, y_high); };
  for (double v : y_ticks) {
    out += Line(kLeft, py(v), kRight, py(v), "\"#d8dde2\"");
    out += Text(kLeft - 7, py(v) + 4, Number(v, "%g"), "end");
  }
  for (double v : p.x_ticks) {
    if (v < x_low || v > x_high) continue;
    out += Line(px(v), kBottom, px(v), kBottom + 4, "\"#57606a\"");
    out += Text(px(v), kBottom + 18, Number(v, "%g"), "middle");
  }
  out += Line(kLeft, kBottom, kRight, kBottom, "\"#57606a\"");
  const double middle = (kTop + kBottom) / 2;
  out += Text((kLeft + kRight) / 2, kBottom + 38, p.x_label, "middle");
  out += Text(16, middle, p.y_label, "middle", " transform=\"rotate(-90 16 " + Place(middle) + ")\"");
  double legend = kTop + 8;
  for (const Curve& c : p.curves) {
    std::vector<std::pair<double, double>> at;
    for (auto [x, y] : c.points) at.emplace_back(px(x), py(y));
    if (at.empty()) continue;
    out += Draw(c, at);
    if (c.name.empty()) continue;
    const double y = legend - 4;
    if (c.marks)
      out += Draw(c, {{kRight + 27, y}});
    else
      out += Draw(c, {{kRight + 16, y}, {kRight + 38, y}});
    out += Text(kRight + 45, legend, c.name, "start");
    legend += 17;
  }
  return out;
}

}  // namespace

std::vector<double> LogTicks(double low, double high) {
  std::vector<double> ticks;
  for (int power = static_cast<int>(std::floor(std::log10(low))) - 1;; ++power)
    for (int unit : {1, 2, 5}) {
      const double v = unit * std::pow(10, power);
      if (v <= low * (1 + 1e-9)) ticks.clear();
      ticks.push_back(v);
      if (v >= high * (1 - 1e-9)) return ticks;
    }
}

std::string LogChartSvg(const std::string& title, const std::vector<Panel>& panels) {
  const double width = kWidth * static_cast<double>(std::min<size_t>(panels.size(), 2));
  const double height = 36 + kHeight * static_cast<double>((panels.size() + 1) / 2);
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + Place(width) + " " + Place(height) +
                    "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#24292f\">\n" +
                    "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n" +
                    Text(width / 2, 24, title, "middle", " font-size=\"15\" font-weight=\"bold\"");
  for (size_t i = 0; i < panels.size(); ++i)
    out += "<g transform=\"translate(" + Place(kWidth * static_cast<double>(i % 2)) + " " +
           Place(36 + kHeight * static_cast<double>(i / 2)) + ")\">\n" + PanelSvg(panels[i]) + "</g>\n";
  return out + "</svg>\n";
}

}  // namespace distil::bench
