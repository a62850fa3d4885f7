// The HTML report: one self-contained file (no script, no request) with every table, bar charts with error
// bars over seeds, learning curves, and the runs behind them. Made from records and baselines only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/tables.h"

namespace distil::harness {

std::string ReportHtml(const std::string& title, const std::vector<Table>& tables);
// A page around one table, for results/tables/*.html.
std::string TablePage(const Table& table);

// All generated files of a set of tables: "dskd-table1.md", ".csv", ".json", ".html", and "report.html".
std::map<std::string, std::string> ReportFiles(const std::string& title, const std::vector<Table>& tables);

}  // namespace distil::harness
