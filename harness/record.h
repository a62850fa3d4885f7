// The record of one training run: everything needed to repeat it and everything that came out. It is the file
// result.json of a run folder
//   runs/<dataset>/<teacher>__<student>/<method>/seed<k>-<first 8 digits of the config hash>/
// and the only thing that tables and reports are made from. Reading is strict: a record that is incomplete,
// of another schema, or at odds with itself (hash, best epoch, schedule) is refused with one sentence.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/fields.h"
#include "lib/base/status.h"

namespace distil::harness {

inline constexpr int kRecordSchema = 1;

// What one epoch gave. Only what is a pure function of the run: no times, so that two runs can be compared
// whole.
struct EpochMetrics {
  int64_t epoch = 0;                    // from 1
  double lr = 0;                        // at the end of the epoch
  std::map<std::string, double> train;  // mean over the epoch: "loss", each named term, "top1" when measured
  // How many of the epoch's samples fell into each bin: of terms "<name>.0", "<name>.1"... (see BinOf).
  std::map<std::string, std::vector<int64_t>> histograms;
  double top1 = 0, top5 = 0, loss = 0;  // on the test split; percent
};
// A term "dskd.kd_w1.7" is the share of the batch in bin 7 of the histogram "dskd.kd_w1". True for such a name.
bool BinOf(const std::string& term, std::string* histogram, size_t* bin);
Json ToJson(const EpochMetrics& metrics);
Status EpochFromJson(const Json& json, const std::string& path, const Source& source, EpochMetrics* out);

// How much of what its recipe calls a full run this was.
struct ScheduleRecord {
  int64_t epochs = 0, full_epochs = 0;
  int64_t train_samples = 0, full_train_samples = 0;
  int64_t test_samples = 0, full_test_samples = 0;
  std::vector<std::string> altered;  // settings that differ from the recipe ("schedule.lr=0.1")

  bool full() const {
    return epochs >= full_epochs && train_samples >= full_train_samples && test_samples >= full_test_samples;
  }
};

struct TeacherRecord {
  std::string network, sha256;  // of its safetensors file
  double top1 = 0;              // measured by this harness before the student's run
  std::string config_hash;      // of the run that trained it; empty for a file that came from elsewhere
  int64_t seed = 0;             // of that run
};

struct RunRecord {
  // Which cell of which table. `paper_*` are the names of the same things in the baselines.
  std::string recipe, title, paper, table, selection = "last";
  int64_t required_seeds = 3;
  std::string dataset, teacher, student;  // teacher is empty for a run without one
  std::string method, label;              // method: folder and --cell name; label: the table's row
  std::string paper_teacher, paper_student, paper_method;

  Json config;              // resolved, without the seed
  std::string config_hash;  // SHA-256 of its canonical text
  int64_t seed = 0;
  ScheduleRecord schedule;

  std::string data_digest;
  int64_t classes = 0, height = 0, width = 0, channels = 0;
  std::optional<TeacherRecord> teacher_run;
  std::string student_sha256;  // of student.safetensors
  int64_t parameters = 0;

  std::string revision, version;  // of the source
  std::string device, isa;
  int64_t threads = 0;
  std::map<std::string, std::string> libraries;  // "onednn" -> "2.6.3"
  std::string algorithms;  // that train.algorithms="search" chose; as train.algorithms they repeat the run's bits

  double seconds = 0;            // wall time of training and evaluation, over all sessions of the run
  double images_per_second = 0;  // of training
  int64_t steps = 0;
  int64_t planned_bytes = 0;   // memory of a training step as known before it ran, the most of any phase
  int64_t resident_bytes = 0;  // largest resident set of the process, over all sessions
  std::vector<EpochMetrics> epochs;

  std::string path;  // where it was read from; not part of the file

  double last_top1() const { return epochs.empty() ? 0 : epochs.back().top1; }
  int64_t best_epoch() const;  // the earliest of the best
  double best_top1() const;
};

// "resnet32__resnet8/kd/seed1-0a1b2c3d" below runs/<dataset>/.
std::string RunFolder(const std::string& dataset, const std::string& teacher, const std::string& student,
                      const std::string& method, int64_t seed, const std::string& config_hash);

Json ToJson(const RunRecord& record);
Status ParseRecord(std::string_view text, const std::string& file, RunRecord* out);
Status ReadRecord(const std::string& path, RunRecord* out);
// Every result.json below the folders, in order of path. A folder without any is fine; a bad record is not.
// A run (config, seed) that is found twice counts once, and must have given the same student.
Status ReadRecords(const std::vector<std::string>& folders, std::vector<RunRecord>* out);

}  // namespace distil::harness
