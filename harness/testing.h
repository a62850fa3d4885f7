// What the harness's own tests share: records made up by hand, and a folder that goes away.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "harness/digest.h"
#include "harness/record.h"

namespace distil::harness {

#define ASSERT_OK(expr)                             \
  do {                                              \
    const ::distil::Status status_ = (expr);        \
    ASSERT_TRUE(status_.ok()) << status_.message(); \
  } while (0)

class TemporaryFolder {
 public:
  TemporaryFolder() {
    const char* base = getenv("TEST_TMPDIR");
    std::string name = std::string(base ? base : "/tmp") + "/harnessXXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// A finished run of `epochs` epochs that ends at `top1`, one point above its best epoch before.
inline RunRecord MadeUpRun(const std::string& recipe, const std::string& teacher, const std::string& student,
                           const std::string& method, int64_t seed, double top1, int64_t epochs = 4,
                           int64_t full_epochs = 4) {
  RunRecord r;
  r.recipe = recipe, r.title = "A table";
  r.dataset = "cifar100", r.teacher = teacher, r.student = student;
  r.method = method, r.label = method == "ce" ? "Student" : method == "kd" ? "KD" : method == "at" ? "AT" : method;
  r.config = {{"teacher", teacher}, {"student", student}, {"method", method}, {"epochs", epochs}};
  r.config_hash = Sha256(Canonical(r.config));
  r.seed = seed;
  r.schedule = {epochs, full_epochs, 50000, 50000, 10000, 10000, {}};
  r.data_digest = Sha256("data");
  r.classes = 100, r.height = r.width = 32, r.channels = 3;
  if (!teacher.empty()) r.teacher_run = TeacherRecord{teacher, Sha256(teacher + "ce1"), 75.5, "", 1};
  r.student_sha256 = Sha256(student + method + std::to_string(seed));
  r.parameters = 83892;
  r.revision = "0123456789abcdef", r.version = "0.1.0", r.device = "cpu", r.isa = "avx2", r.threads = 2;
  r.libraries = {{"onednn", "2.6.3"}};
  r.seconds = 100, r.images_per_second = 1000, r.steps = 782 * epochs;
  r.planned_bytes = 100 << 20, r.resident_bytes = 300 << 20;
  for (int64_t e = 1; e <= epochs; ++e) {
    EpochMetrics m;
    m.epoch = e, m.lr = 0.05;
    m.top1 = e == epochs ? top1 : top1 - 1 - static_cast<double>(epochs - e);
    m.top5 = std::min(100.0, m.top1 + 15), m.loss = 4.0 / static_cast<double>(e);
    m.train = {{"loss", m.loss + 0.1}, {"ce", m.loss}};
    r.epochs.push_back(m);
  }
  return r;
}

}  // namespace distil::harness
