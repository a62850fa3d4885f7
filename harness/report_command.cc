// report: tables and an HTML report from run records, wherever they were made.
#include <cstdio>

#include "harness/cli.h"
#include "harness/files.h"
#include "harness/report.h"
#include "harness/table_set.h"
#include "harness/text.h"

namespace distil::harness {
namespace {

struct ReportOptions {
  std::vector<std::string> runs;
  std::string to, title = "distil results", suite;
  bool check = false;
  Common common;
};

// Compares what would be written with what is there.
int Check(const std::map<std::string, std::string>& files, const std::string& folder) {
  for (const auto& [name, content] : files) {
    std::string there;
    const std::string path = JoinPath(folder, name);
    Status status = ReadFile(path, &there);
    if (!status.ok()) return FailInput({status.code(), "stale tables: " + status.message()});
    if (there != content)
      return Fail(FailedPrecondition("stale tables: '" + path +
                                     "' is not what the records give; 'harness report' without --check writes it"));
  }
  std::vector<std::string> there;
  Status status = ListFolder(folder, "", &there);
  if (!status.ok()) return FailInput(status);
  for (const std::string& name : there)
    if (!files.count(name))
      return Fail(FailedPrecondition("stale tables: no record gives '" + JoinPath(folder, name) + "'"));
  return kExitOk;
}

int RunReport(const ReportOptions& o) {
  std::vector<std::string> only;
  std::vector<RunRecord> records;
  std::vector<Baseline> baselines;
  std::vector<Table> tables;
  Status status;
  if (!o.suite.empty()) status = SuiteRecipes(o.suite, &only);
  if (status.ok()) status = ReadRecords(o.runs, &records);
  if (status.ok()) status = BuiltInBaselines(&baselines);
  if (status.ok()) status = MakeTables(records, baselines, only, &tables);
  if (!status.ok()) return FailInput(status);
  if (tables.empty())
    return Fail(NotFound("there are no finished runs in " + Join(o.runs, ", ") + ", so there is nothing to report"));
  const std::map<std::string, std::string> files = ReportFiles(o.title, tables);
  if (o.check) return Check(files, o.to);
  if (o.to.empty()) {
    for (size_t i = 0; i < tables.size(); ++i)
      std::printf("%s%s", i ? "\n" : "",
                  o.common.json ? TableJson(tables[i]).c_str() : TableText(tables[i], ColorOnStdout()).c_str());
    return kExitOk;
  }
  if (o.to.ends_with(".html")) {
    status = WriteFileAtomic(o.to, files.at("report.html"));
    if (!status.ok()) return Fail(status);
    if (!o.common.quiet) std::printf("%s: %zu tables from %zu runs\n", o.to.c_str(), tables.size(), records.size());
    return kExitOk;
  }
  if (status = MakeFolders(o.to); !status.ok()) return Fail(status);
  for (const auto& [name, content] : files)
    if (status = WriteFileAtomic(JoinPath(o.to, name), content); !status.ok()) return Fail(status);
  if (!o.common.quiet)
    std::printf("%s: %zu files with %zu tables from %zu runs\n", o.to.c_str(), files.size(), tables.size(),
                records.size());
  return kExitOk;
}

}  // namespace

Command AddReport(CLI::App* app) {
  CLI::App* report = app->add_subcommand("report", "Make tables and an HTML report from run records");
  auto o = std::make_shared<ReportOptions>();
  report->add_option("--runs", o->runs, "Folders with run folders; several are merged (default: runs)")->take_all();
  report->add_option("--to", o->to,
                     "FILE.html, or a folder for tables as Markdown, CSV, JSON and HTML; default: the terminal");
  report->add_option("--suite", o->suite, "Only this recipe or folder of recipes, also where nothing has run");
  report->add_option("--title", o->title, "Title of the report")->capture_default_str();
  report->add_flag("--check", o->check, "Write nothing; fail when the folder --to is not what the records give");
  AddOutput(report, &o->common);
  Examples(report, {{"to read in the terminal", "report"},
                    {"one page with learning curves", "report --to report.html"},
                    {"records of two machines", "report --runs runs --runs from-other-machine/runs --to tables"},
                    {"what the project commits", "report --runs results/runs --to results/tables"}});
  return {report, [o] {
            if (o->runs.empty()) o->runs = {"runs"};
            if (o->check && (o->to.empty() || o->to.ends_with(".html")))
              return Fail(InvalidArgument("--check needs the folder of tables as --to"));
            return RunReport(*o);
          }};
}

}  // namespace distil::harness
