// The HTML report: one self-contained file (no script, no request) with every table, bar charts with error
// bars over seeds, learning curves, distributions of weights, and the runs behind them. Made from records and baselines only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/tables.h"

namespace distil::harness {

std::string ReportHtml(const std::string& title, const std::vector<Table>& tables);
// A page around one table, for results/tables/*.html.
std::string TablePage(const Table& table);

// A chart of svg.h as a file of its own, in the page's light colours.
std::string StandaloneSvg(std::string svg);

// All generated files of a set of tables: "dskd-table1.md", ".csv", ".json", ".html", and "report.html"; and for each
// cell whose runs keep histograms "dskd-figure2-wrn_40_2-wrn_16_2-dskd.svg".
std::map<std::string, std::string> ReportFiles(const std::string& title, const std::vector<Table>& tables);

}  // namespace distil::harness
