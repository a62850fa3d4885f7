// The faces of a table (tables.h): terminal text, Markdown, CSV, JSON and an HTML fragment.
#include <algorithm>
#include <functional>

#include "harness/tables.h"
#include "harness/text.h"

namespace distil::harness {
namespace {

std::string ColumnTitle(const TableSpec::Column& c) {
  return c.teacher.empty() ? c.student : c.teacher + " → " + c.student;
}

// Calls f for the teacher row and then each method row.
void ForEachRow(const Table& table, const std::function<void(const TableSpec::Row&, const std::vector<Cell>&)>& f) {
  static const TableSpec::Row kTeacher{"", "Teacher", "Teacher", false};
  if (table.has_teacher) f(kTeacher, table.teacher);
  for (size_t r = 0; r < table.cells.size(); ++r) f(table.spec.rows[r], table.cells[r]);
}

// Notes of single cells, numbered in order of appearance; equal notes share a number.
class Footnotes {
 public:
  int Number(const std::string& note) {
    if (note.empty()) return 0;
    auto it = std::find(notes_.begin(), notes_.end(), note);
    if (it == notes_.end()) it = notes_.insert(notes_.end(), note);
    return static_cast<int>(it - notes_.begin()) + 1;
  }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  std::vector<std::string> notes_;
};

std::string Mark(int number) { return number ? " [" + std::to_string(number) + "]" : ""; }

Json CellJson(const Cell& cell) {
  Json json = {{"verdict", Name(cell.verdict)}, {"n", cell.n}};
  if (cell.n) json["mean"] = cell.mean, json["values"] = cell.values, json["best"] = cell.best;
  if (cell.std) json["std"] = *cell.std;
  if (cell.paper) {
    Json paper = {{"mean", cell.paper->mean},
                  {"selection", Name(cell.paper->selection)},
                  {"tolerance", cell.paper->tolerance},
                  {"seeds", cell.paper->seeds},
                  {"target", Name(cell.paper->target)}};
    if (cell.paper->std) paper["std"] = *cell.paper->std;
    json["paper"] = paper;
    if (cell.comparable()) json["difference"] = cell.difference;
  }
  if (!cell.note.empty()) json["note"] = cell.note;
  Json runs = Json::array();
  for (const RunRecord* run : cell.runs)
    runs.push_back({{"seed", run->seed},
                    {"config", run->config_hash.substr(0, 8)},
                    {"student", run->student_sha256},
                    {"epochs", run->schedule.epochs}});
  if (!runs.empty()) json["runs"] = runs;
  return json;
}

}  // namespace

std::string ValueText(const Cell& cell) {
  if (cell.n == 0) return "–";
  std::string text = Fixed(cell.mean, 2);
  if (cell.std) text += " ± " + Fixed(*cell.std, 2);
  return text + " (" + std::to_string(cell.n) + ")";
}

std::string PaperText(const Cell& cell) {
  if (!cell.paper) return "";
  return "paper " + Fixed(cell.paper->mean, 2) + (cell.paper->std ? " ± " + Fixed(*cell.paper->std, 2) : "");
}

std::string VerdictText(const Cell& cell) {
  if (cell.verdict == Verdict::kMeasured) return "";
  std::string name = Name(cell.verdict);
  return cell.comparable() ? Signed(cell.difference, 2) + ", " + name : name;
}

std::string TableText(const Table& table, bool color) {
  // Each cell is up to three short lines: the value, the paper's number, the verdict.
  const size_t columns = table.spec.columns.size();
  std::vector<std::vector<std::vector<std::string>>> grid;
  std::vector<std::vector<bool>> bold;
  auto add = [&](std::vector<std::vector<std::string>> row, std::vector<bool> marks) {
    grid.push_back(std::move(row));
    bold.push_back(std::move(marks));
  };
  std::vector<std::vector<std::string>> head = {{table.has_teacher ? "teacher" : "", "student"}};
  for (const auto& c : table.spec.columns) head.push_back({c.teacher, c.student});
  if (!table.has_teacher)
    for (auto& cell : head) cell.erase(cell.begin());
  add(head, std::vector<bool>(columns + 1, false));
  Footnotes footnotes;
  ForEachRow(table, [&](const TableSpec::Row& r, const std::vector<Cell>& cells) {
    std::vector<std::vector<std::string>> row = {{r.label}};
    std::vector<bool> marks = {false};
    for (const Cell& cell : cells) {
      std::vector<std::string> lines = {ValueText(cell)};
      std::string verdict = VerdictText(cell);
      if (cell.verdict != Verdict::kNotRun) verdict += Mark(footnotes.Number(cell.note));
      if (!PaperText(cell).empty()) lines.push_back(PaperText(cell));
      if (!Trim(verdict).empty()) lines.push_back(Trim(verdict));
      row.push_back(lines);
      marks.push_back(cell.best);
    }
    add(row, marks);
  });
  std::vector<size_t> width(columns + 1, 0);
  for (const auto& row : grid)
    for (size_t i = 0; i < row.size(); ++i)
      for (const std::string& line : row[i]) width[i] = std::max(width[i], Columns(line));
  std::string out = (table.spec.title.empty() ? table.spec.name : table.spec.title) + "\n\n";
  for (size_t r = 0; r < grid.size(); ++r) {
    size_t lines = 0;
    for (const auto& cell : grid[r]) lines = std::max(lines, cell.size());
    for (size_t l = 0; l < lines; ++l) {
      std::string line;
      for (size_t i = 0; i < grid[r].size(); ++i) {
        std::string text = Padded(l < grid[r][i].size() ? grid[r][i][l] : "", width[i]);
        if (bold[r][i] && l == 0) text = color ? "\033[1m" + text + "\033[0m" : text;
        line += (i ? "  " : "") + text;
        if (!color && bold[r][i] && l == 0) {  // the gap after the best cell carries its mark
          line += " *";
        } else {
          line += "  ";
        }
      }
      while (!line.empty() && line.back() == ' ') line.pop_back();
      out += line + "\n";
    }
    if (r == 0) {
      size_t total = 0;
      for (size_t w : width) total += w + 4;
      out += std::string(total - 4, '-') + "\n";
    }
  }
  out += "\n";
  for (size_t i = 0; i < footnotes.notes().size(); ++i)
    out += "[" + std::to_string(i + 1) + "] " + footnotes.notes()[i] + "\n";
  for (const std::string& note : table.notes) out += note + "\n";
  return out;
}

std::string TableMarkdown(const Table& table) {
  Footnotes footnotes;
  std::string out = "## " + EscapeMarkdown(table.spec.title.empty() ? table.spec.name : table.spec.title) + "\n\n| |";
  for (const auto& c : table.spec.columns) out += " " + EscapeMarkdown(ColumnTitle(c)) + " |";
  out += "\n|---|";
  for (size_t c = 0; c < table.spec.columns.size(); ++c) out += "---|";
  out += "\n";
  ForEachRow(table, [&](const TableSpec::Row& r, const std::vector<Cell>& cells) {
    out += "| " + EscapeMarkdown(r.label) + " |";
    for (const Cell& cell : cells) {
      std::vector<std::string> lines = {cell.best ? "**" + ValueText(cell) + "**" : ValueText(cell)};
      if (!PaperText(cell).empty()) lines.push_back(PaperText(cell));
      std::string verdict = Trim(VerdictText(cell) + Mark(footnotes.Number(cell.note)));
      if (!verdict.empty()) lines.push_back(verdict);
      out += " " + Join(lines, "<br>") + " |";
    }
    out += "\n";
  });
  out += "\n";
  for (size_t i = 0; i < footnotes.notes().size(); ++i)
    out += "- [" + std::to_string(i + 1) + "] " + EscapeMarkdown(footnotes.notes()[i]) + "\n";
  for (const std::string& note : table.notes) out += "- " + EscapeMarkdown(note) + "\n";
  return out;
}

std::string TableCsv(const Table& table) {
  std::string out =
      "table,dataset,teacher,student,method,mean,std,n,selection,epochs,paper_mean,paper_std,difference,"
      "tolerance,"
      "verdict,best,note\n";
  ForEachRow(table, [&](const TableSpec::Row& r, const std::vector<Cell>& cells) {
    for (size_t c = 0; c < cells.size(); ++c) {
      const Cell& cell = cells[c];
      const auto& column = table.spec.columns[c];
      std::string selection = cell.paper ? Name(cell.paper->selection) : table.spec.selection;
      std::vector<std::string> fields = {table.spec.name,
                                         table.spec.dataset,
                                         column.teacher,
                                         column.student,
                                         r.label,
                                         cell.n ? Fixed(cell.mean, 4) : "",
                                         cell.std ? Fixed(*cell.std, 4) : "",
                                         std::to_string(cell.n),
                                         selection,
                                         cell.runs.empty() ? "" : std::to_string(cell.runs[0]->schedule.epochs),
                                         cell.paper ? Fixed(cell.paper->mean, 2) : "",
                                         cell.paper && cell.paper->std ? Fixed(*cell.paper->std, 2) : "",
                                         cell.comparable() ? Fixed(cell.difference, 4) : "",
                                         cell.paper ? Fixed(cell.paper->tolerance, 2) : "",
                                         Name(cell.verdict),
                                         cell.best ? "1" : "0",
                                         cell.note};
      for (std::string& field : fields) field = EscapeCsv(field);
      out += Join(fields, ",") + "\n";
    }
  });
  return out;
}

std::string TableJson(const Table& table) {
  Json rows = Json::array();
  ForEachRow(table, [&](const TableSpec::Row& r, const std::vector<Cell>& cells) {
    Json list = Json::array();
    for (const Cell& cell : cells) list.push_back(CellJson(cell));
    rows.push_back({{"method", r.label}, {"cells", list}});
  });
  Json columns = Json::array();
  for (const auto& c : table.spec.columns) columns.push_back({{"teacher", c.teacher}, {"student", c.student}});
  return Pretty({{"name", table.spec.name},
                 {"title", table.spec.title},
                 {"dataset", table.spec.dataset},
                 {"paper", table.spec.paper},
                 {"paper_table", table.spec.table},
                 {"columns", columns},
                 {"rows", rows},
                 {"notes", table.notes}});
}

std::string TableHtml(const Table& table) {
  Footnotes footnotes;
  std::string out = "<div class=\"scroll\"><table>\n<thead>";
  if (table.has_teacher) {
    out += "<tr><th scope=\"row\">Teacher</th>";
    for (const auto& c : table.spec.columns) out += "<th scope=\"col\">" + EscapeHtml(c.teacher) + "</th>";
    out += "</tr>";
  }
  out += "<tr><th scope=\"row\">Student</th>";
  for (const auto& c : table.spec.columns) out += "<th scope=\"col\">" + EscapeHtml(c.student) + "</th>";
  out += "</tr></thead>\n<tbody>\n";
  ForEachRow(table, [&](const TableSpec::Row& r, const std::vector<Cell>& cells) {
    out += "<tr><th scope=\"row\">" + EscapeHtml(r.label) + "</th>";
    for (const Cell& cell : cells) {
      std::string verdict = Name(cell.verdict);
      std::string css = verdict == "not run" ? "not-run" : verdict;
      out += "<td class=\"" + css + (cell.best ? " best" : "") + "\"><span class=\"value\">" +
             EscapeHtml(ValueText(cell)) + "</span>";
      if (cell.paper) out += "<span class=\"paper\">" + EscapeHtml(PaperText(cell)) + "</span>";
      std::string text = EscapeHtml(VerdictText(cell));
      if (int n = footnotes.Number(cell.note))
        text += " <sup title=\"" + EscapeHtml(cell.note) + "\">" + std::to_string(n) + "</sup>";
      if (!text.empty()) out += "<span class=\"verdict\">" + text + "</span>";
      out += "</td>";
    }
    out += "</tr>\n";
  });
  out += "</tbody></table></div>\n";
  if (!footnotes.notes().empty()) {
    out += "<ol class=\"notes\">";
    for (const std::string& note : footnotes.notes()) out += "<li>" + EscapeHtml(note) + "</li>";
    out += "</ol>\n";
  }
  out += "<p class=\"notes\">" + EscapeHtml(Join(table.notes, " ")) + "</p>\n";
  return out;
}

}  // namespace distil::harness
