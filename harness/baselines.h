// The papers' printed numbers, from results/baselines/*.csv, with what it takes to say that one is
// reproduced: which epoch counts, over how many seeds, within what tolerance, and whether the number is a
// target at all. results/README.md gives the reasons for each value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status.h"

namespace distil::harness {

enum class Selection { kLast, kBest, kValidation, kNone };  // kNone: not the outcome of a training run
enum class Target {
  kValue,     // the mean itself is to be met
  kOrdering,  // implausible in absolute terms: only the order of the rows is a target
  kGain,      // a difference between two results
  kNone,      // recorded for the reader only
};

const char* Name(Selection selection);
const char* Name(Target target);

struct Baseline {
  std::string paper, table, dataset, teacher, student, method, metric;
  double mean = 0;
  std::optional<double> std;
  Selection selection = Selection::kLast;
  int seeds = 3;         // the least number of seeds for a claim
  double tolerance = 0;  // in the metric's unit
  Target target = Target::kValue;
  std::string note;
};

// Parses one CSV file (RFC 4180 quoting). `file` is for messages.
Status ParseBaselines(std::string_view text, const std::string& file, std::vector<Baseline>* out);
// All *.csv files of a folder, in order of name. Contradicting rows are an error.
Status LoadBaselines(const std::string& folder, std::vector<Baseline>* out);
// The baselines that this binary was built with.
Status BuiltInBaselines(std::vector<Baseline>* out);

// The row for exactly this key, or null. An empty teacher or student in the row means "no matter which".
const Baseline* FindBaseline(const std::vector<Baseline>& all, const std::string& paper, const std::string& table,
                             const std::string& dataset, const std::string& teacher, const std::string& student,
                             const std::string& method, const std::string& metric = "top1_pct");

}  // namespace distil::harness
