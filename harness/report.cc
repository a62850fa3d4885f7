#include "harness/report.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "harness/svg.h"
#include "harness/text.h"
#include "harness/weights_figure.h"

namespace distil::harness {
namespace {

struct Color {
  const char *name, *light, *dark;
};
const Color kPalette[] = {
    {"paper", "#ffffff", "#0f1318"}, {"ink", "#1b1f24", "#e6eaef"},  {"soft", "#57606a", "#9aa4af"},
    {"rule", "#d8dee4", "#30363d"},  {"card", "#f6f8fa", "#171c22"}, {"c0", "#8c959f", "#9aa4af"},
    {"c1", "#0072b2", "#58a6e0"},    {"c2", "#d55e00", "#ff8f4d"},   {"c3", "#009e73", "#35c79a"},
    {"c4", "#a64d89", "#d98cc0"},    {"c5", "#b58900", "#e3b93c"},   {"c6", "#3a8fc7", "#86c8f2"},
    {"c7", "#6b4fbb", "#a892f0"},    {"good", "#1a7f37", "#4ac26b"}, {"bad", "#b42318", "#ff8c7d"}};

const char* const kPageStyle = R"css(
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
p.lead, .notes { color: var(--soft); font-size: .86rem; } .notes li { margin: .1rem 0; }
nav a { margin-right: 1rem; } a { color: var(--c1); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4rem 0; }
th, td { padding: .35rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
thead th { border-bottom: 2px solid var(--rule); font-weight: 600; white-space: nowrap; }
td span { display: block; white-space: nowrap; } td sup { color: var(--soft); }
.value { font-size: .95rem; } .best .value { font-weight: 700; }
.paper, .verdict { font-size: .78rem; color: var(--soft); }
.reproduced .verdict, .above .verdict { color: var(--good); } .below .verdict { color: var(--bad); }
.not-run .value, .not-run .verdict { color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 1rem; margin: 1rem 0; }
figure { margin: 0; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .5rem; }
figure.wide, figure.tall { grid-column: 1 / -1; }
figure.tall svg { max-height: 60rem; }
svg { width: 100%; height: auto; display: block; max-height: 28rem; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--soft); } code, pre { font-size: .8rem; }
pre { overflow-x: auto; background: var(--card); padding: .6rem; border-radius: 6px; }
)css";

// Of charts; `var(--x)` is a colour of the palette.
const char* const kChartStyle = R"css(
svg text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink); }
svg .title { font-size: 14px; font-weight: 600; } svg .tick, svg .value { fill: var(--soft); font-size: 11px; }
svg .mid { text-anchor: middle; } svg .end { text-anchor: end; }
svg .ridge { stroke: var(--paper); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1; } svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; } svg .series:hover .line { stroke-width: 3.5; }
svg .band { opacity: .16; } svg .bar.faded { opacity: .62; }
svg .error { stroke: var(--ink); stroke-width: 1.3; } svg line.paper { stroke: var(--ink); stroke-width: 2; stroke-dasharray: 3 2; }
svg rect.c0, svg polygon.c0, svg circle.c0 { fill: var(--c0); } svg .line.c0 { stroke: var(--c0); }
svg rect.c1, svg polygon.c1, svg circle.c1 { fill: var(--c1); } svg .line.c1 { stroke: var(--c1); }
svg rect.c2, svg polygon.c2, svg circle.c2 { fill: var(--c2); } svg .line.c2 { stroke: var(--c2); }
svg rect.c3, svg polygon.c3, svg circle.c3 { fill: var(--c3); } svg .line.c3 { stroke: var(--c3); }
svg rect.c4, svg polygon.c4, svg circle.c4 { fill: var(--c4); } svg .line.c4 { stroke: var(--c4); }
svg rect.c5, svg polygon.c5, svg circle.c5 { fill: var(--c5); } svg .line.c5 { stroke: var(--c5); }
svg rect.c6, svg polygon.c6, svg circle.c6 { fill: var(--c6); } svg .line.c6 { stroke: var(--c6); }
svg rect.c7, svg polygon.c7, svg circle.c7 { fill: var(--c7); } svg .line.c7 { stroke: var(--c7); }
)css";

std::string Style() {
  std::string light, dark;
  for (const Color& c : kPalette) {
    light += std::string(" --") + c.name + ": " + c.light + ";";
    dark += std::string(" --") + c.name + ": " + c.dark + ";";
  }
  return "\n:root { color-scheme: light dark;" + light + " }\n@media (prefers-color-scheme: dark) { :root {" + dark +
         " } }" + kPageStyle + (kChartStyle + 1);
}

std::string Page(const std::string& title, const std::string& body) {
  return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta name=\"viewport\" "
         "content=\"width=device-width, initial-scale=1\">\n<title>" +
         EscapeHtml(title) + "</title>\n<style>" + Style() + "</style></head>\n<body>\n" + body + "</body></html>\n";
}

std::string Figure(const std::string& svg, const std::string& css = "") {
  return svg.empty() ? "" : "<figure" + (css.empty() ? "" : " class=\"" + css + "\"") + ">\n" + svg + "</figure>\n";
}

std::string Title(const Table& table) { return table.spec.title.empty() ? table.spec.name : table.spec.title; }

std::string ColumnName(const TableSpec::Column& c) {
  return c.teacher.empty() ? c.student : c.teacher + " → " + c.student;
}

// Charts leave out pairs of which only the plain student has run: that one stands beside its other teachers.
bool Charted(const Table& table, size_t column) {
  bool taught = false, any = false;
  for (size_t r = 0; r < table.cells.size(); ++r) {
    if (table.cells[r][column].n == 0) continue;
    any = true;
    taught = taught || !table.spec.rows[r].plain;
  }
  return taught || (any && table.spec.columns[column].teacher.empty());
}

BarChart::Bar MakeBar(const std::string& name, int color, const Cell& cell) {
  BarChart::Bar bar{name, color, cell.mean, cell.mean, cell.mean, 0, cell.verdict == Verdict::kShort};
  if (cell.std) bar.low = cell.mean - *cell.std, bar.high = cell.mean + *cell.std;
  if (cell.paper && cell.comparable()) bar.reference = cell.paper->mean;
  return bar;
}

std::string Bars(const Table& table) {
  BarChart chart;
  chart.title = "Top-1 accuracy, mean ± standard deviation over seeds";
  chart.y_label = "top-1 (%)";
  bool faded = false, all_faded = true;
  for (size_t c = 0; c < table.spec.columns.size(); ++c) {
    if (!Charted(table, c)) continue;
    BarChart::Group group;
    group.name = ColumnName(table.spec.columns[c]);
    if (table.teacher[c].n) group.bars.push_back(MakeBar("Teacher", 0, table.teacher[c]));
    for (size_t r = 0; r < table.cells.size(); ++r)
      if (table.cells[r][c].n)
        group.bars.push_back(MakeBar(table.spec.rows[r].label, static_cast<int>(r) + 1, table.cells[r][c]));
    for (const auto& bar : group.bars) faded = faded || bar.faded, all_faded = all_faded && bar.faded;
    if (!group.bars.empty()) chart.groups.push_back(std::move(group));
  }
  if (faded && all_faded)  // nothing to tell apart
    for (auto& group : chart.groups)
      for (auto& bar : group.bars) bar.faded = false;
  return Figure(BarChartSvg(chart), chart.groups.size() > 1 ? "wide" : "");
}

// The mean over seeds of `value` by epoch, with one standard deviation to either side.
template <typename F>
ChartSeries Curve(const std::string& name, int color, const Cell& cell, F value) {
  ChartSeries series{name, color, {}};
  size_t epochs = 0;
  for (const RunRecord* run : cell.runs) epochs = std::max(epochs, run->epochs.size());
  for (size_t e = 0; e < epochs; ++e) {
    double sum = 0, squares = 0;
    int n = 0;
    for (const RunRecord* run : cell.runs)
      if (e < run->epochs.size()) sum += value(run->epochs[e]), ++n;
    double mean = sum / n;
    for (const RunRecord* run : cell.runs)
      if (e < run->epochs.size()) squares += std::pow(value(run->epochs[e]) - mean, 2);
    double spread = n > 1 ? std::sqrt(squares / (n - 1)) : 0;
    series.points.push_back({static_cast<double>(e + 1), mean, mean - spread, mean + spread});
  }
  return series;
}

std::string Curves(const Table& table, size_t column) {
  LineChart accuracy, loss;
  const std::string name = ColumnName(table.spec.columns[column]);
  accuracy.title = "Test accuracy, " + name, accuracy.x_label = "epoch", accuracy.y_label = "top-1 (%)";
  accuracy.y_digits = 2;
  loss.title = "Test cross-entropy, " + name, loss.x_label = "epoch", loss.y_label = "loss";
  loss.y_digits = 3;
  auto add = [&](const std::string& label, int color, const Cell& cell) {
    if (cell.runs.empty()) return;
    accuracy.series.push_back(Curve(label, color, cell, [](const EpochMetrics& m) { return m.top1; }));
    loss.series.push_back(Curve(label, color, cell, [](const EpochMetrics& m) { return m.loss; }));
  };
  add("Teacher", 0, table.teacher[column]);
  for (size_t r = 0; r < table.cells.size(); ++r)
    add(table.spec.rows[r].label, static_cast<int>(r) + 1, table.cells[r][column]);
  return Figure(LineChartSvg(accuracy)) + Figure(LineChartSvg(loss));
}

void RunRow(const std::string& label, const Cell& cell, std::string* out) {
  for (const RunRecord* run : cell.runs) {
    *out += "<tr><td>" + EscapeHtml(run->teacher.empty() ? "–" : run->teacher) + "</td><td>" +
            EscapeHtml(run->student) + "</td><td>" + EscapeHtml(label) + "</td><td>" + std::to_string(run->seed) +
            "</td><td>" + Fixed(run->last_top1(), 2) + "</td><td>" + Fixed(run->best_top1(), 2) + " (epoch " +
            std::to_string(run->best_epoch()) + ")</td><td>" + std::to_string(run->schedule.epochs) + " of " +
            std::to_string(run->schedule.full_epochs) + "</td><td>" + EscapeHtml(Duration(run->seconds)) + "</td><td>" +
            EscapeHtml(Bytes(run->planned_bytes)) + "</td><td><code>" + EscapeHtml(run->config_hash.substr(0, 8)) +
            "</code></td><td><code>" + EscapeHtml(run->student_sha256.substr(0, 12)) + "</code></td></tr>\n";
  }
}

std::string Runs(const Table& table) {
  std::string rows;
  std::vector<std::string> shown;
  std::string configs;
  auto add = [&](const std::string& label, const Cell& cell) {
    if (cell.runs.empty()) return;
    const std::string& hash = cell.runs[0]->config_hash;
    if (std::find(shown.begin(), shown.end(), hash) != shown.end()) return;  // a run that serves several columns
    shown.push_back(hash);
    RunRow(label, cell, &rows);
    configs += "<h3><code>" + EscapeHtml(hash.substr(0, 8)) + "</code></h3><pre>" +
               EscapeHtml(Pretty(cell.runs[0]->config)) + "</pre>\n";
  };
  for (const Cell& cell : table.teacher) add("Teacher", cell);
  for (size_t r = 0; r < table.cells.size(); ++r)
    for (const Cell& cell : table.cells[r]) add(table.spec.rows[r].label, cell);
  if (rows.empty()) return "";
  return "<details><summary>Runs</summary><div "
         "class=\"scroll\"><table><thead><tr><th>teacher</th><th>student</th>"
         "<th>method</th><th>seed</th><th>last</th><th>best</th><th>epochs</th><th>wall time</th><th>memory "
         "of a step</th>"
         "<th>config</th><th>student SHA-256</th></tr></thead><tbody>\n" +
         rows + "</tbody></table></div></details>\n<details><summary>Configurations</summary>\n" + configs +
         "</details>\n";
}

// By the names of their cells, "wrn_40_2-wrn_16_2-dskd".
std::map<std::string, std::string> Weights(const Table& table) {
  std::map<std::string, std::string> charts;
  for (size_t c = 0; c < table.spec.columns.size(); ++c) {
    for (size_t r = 0; r < table.cells.size(); ++r) {
      const auto& [column, row] = std::tie(table.spec.columns[c], table.spec.rows[r]);
      std::string svg = WeightsSvg(ColumnName(column) + ", " + row.label, table.cells[r][c].runs);
      if (!svg.empty()) charts[column.teacher + "-" + column.student + "-" + row.method] = std::move(svg);
    }
  }
  return charts;
}

std::string Section(const Table& table) {
  std::string out = TableHtml(table) + "<div class=\"charts\">\n" + Bars(table);
  for (size_t c = 0; c < table.spec.columns.size(); ++c)
    if (Charted(table, c)) out += Curves(table, c);
  for (const auto& [cell, svg] : Weights(table)) out += Figure(svg, "tall");
  return out + "</div>\n" + Runs(table);
}

}  // namespace

std::string ReportHtml(const std::string& title, const std::vector<Table>& tables) {
  std::string body = "<h1>" + EscapeHtml(title) + "</h1>\n";
  if (tables.size() > 1) {
    body += "<nav>";
    for (const Table& table : tables)
      body += "<a href=\"#" + EscapeHtml(FolderName(table.spec.name)) + "\">" + EscapeHtml(table.spec.name) + "</a>";
    body += "</nav>\n";
  }
  for (const Table& table : tables)
    body += "<section id=\"" + EscapeHtml(FolderName(table.spec.name)) + "\"><h2>" + EscapeHtml(Title(table)) +
            "</h2>\n" + Section(table) + "</section>\n";
  return Page(title, body);
}

std::string TablePage(const Table& table) {
  return Page(Title(table), "<h1>" + EscapeHtml(Title(table)) + "</h1>\n" + TableHtml(table));
}

std::string StandaloneSvg(std::string svg) {
  std::string style = kChartStyle + 1;
  for (const Color& c : kPalette) {
    const std::string variable = std::string("var(--") + c.name + ")";
    for (size_t at = 0; (at = style.find(variable, at)) != std::string::npos;)
      style.replace(at, variable.size(), c.light);
  }
  return svg.insert(svg.find('>') + 2, "<style>\n" + style + "</style>\n<rect width=\"100%\" height=\"100%\" fill=\"" +
                                           kPalette[0].light + "\"/>\n");
}

std::map<std::string, std::string> ReportFiles(const std::string& title, const std::vector<Table>& tables) {
  std::map<std::string, std::string> files;
  for (const Table& table : tables) {
    std::string name = table.spec.name;
    std::replace(name.begin(), name.end(), '/', '-');
    name = FolderName(name);
    files[name + ".md"] = TableMarkdown(table);
    files[name + ".csv"] = TableCsv(table);
    files[name + ".json"] = TableJson(table);
    files[name + ".html"] = TablePage(table);
    for (auto& [cell, svg] : Weights(table)) files[name + "-" + FolderName(cell) + ".svg"] = StandaloneSvg(svg);
  }
  files["report.html"] = ReportHtml(title, tables);
  return files;
}

}  // namespace distil::harness
