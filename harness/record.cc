#include "harness/record.h"

#include <utility>

#include "harness/digest.h"
#include "harness/files.h"
#include "harness/text.h"
#include "lib/base/text.h"

namespace distil::harness {
namespace {

const char* Kind(const ScheduleRecord& s) { return s.full() ? "full" : "short"; }

void ReadSha(FieldReader* fields, const char* key, std::string* out) {
  fields->Read(key, out);
  if (fields->ok() && !IsSha256(*out)) fields->Fail(key, "is not a SHA-256 of 64 hexadecimal digits");
}

void ReadName(FieldReader* fields, const char* key, std::string* out) {
  fields->Read(key, out);
  if (fields->ok() && out->empty()) fields->Fail(key, "is empty");
}

void ReadCell(const Json& root, const Source& source, Status* status, RunRecord* r) {
  FieldReader f(root, "cell", source, status);
  ReadName(&f, "recipe", &r->recipe);
  f.Read("title", &r->title);
  f.Read("paper", &r->paper);
  f.Read("table", &r->table);
  int selection = 0;
  f.ReadChoice("selection", {"last", "best"}, &selection);
  r->selection = selection == 0 ? "last" : "best";
  f.Read("required_seeds", &r->required_seeds, 1, 1000);
  ReadName(&f, "dataset", &r->dataset);
  f.Read("teacher", &r->teacher);
  ReadName(&f, "student", &r->student);
  ReadName(&f, "method", &r->method);
  ReadName(&f, "label", &r->label);
  f.Read("paper_teacher", &r->paper_teacher);
  f.Read("paper_student", &r->paper_student);
  f.Read("paper_method", &r->paper_method);
  f.Finish();
}

void ReadSchedule(const Json& root, const Source& source, Status* status, ScheduleRecord* s) {
  FieldReader f(root, "schedule", source, status);
  std::string kind;
  f.Read("kind", &kind);
  f.Read("epochs", &s->epochs, 1, 1000000);
  f.Read("full_epochs", &s->full_epochs, 1, 1000000);
  f.Read("train_samples", &s->train_samples, 1);
  f.Read("full_train_samples", &s->full_train_samples, 1);
  f.Read("test_samples", &s->test_samples, 1);
  f.Read("full_test_samples", &s->full_test_samples, 1);
  f.Read("altered", &s->altered);
  if (f.ok() && kind != Kind(*s)) f.Fail("kind", "is '" + kind + "', but the numbers beside it say " + Kind(*s));
  f.Finish();
}

void ReadData(const Json& root, const Source& source, Status* status, RunRecord* r) {
  FieldReader f(root, "data", source, status);
  ReadSha(&f, "sha256", &r->data_digest);
  f.Read("classes", &r->classes, 2, 1 << 20);
  f.Read("height", &r->height, 1, 1 << 16);
  f.Read("width", &r->width, 1, 1 << 16);
  f.Read("channels", &r->channels, 1, 1 << 10);
  f.Finish();
}

void ReadTeacher(const Json& root, const Source& source, Status* status, TeacherRecord* t) {
  FieldReader f(root, "teacher", source, status);
  ReadName(&f, "network", &t->network);
  ReadSha(&f, "sha256", &t->sha256);
  f.Read("top1", &t->top1, 0, 100);
  f.Read("config_hash", &t->config_hash);
  if (f.ok() && !t->config_hash.empty() && !IsSha256(t->config_hash))
    f.Fail("config_hash", "is neither empty nor a SHA-256 of 64 hexadecimal digits");
  f.Read("seed", &t->seed, 0);
  f.Finish();
}

void ReadOrigin(const Json& root, const Source& source, Status* status, RunRecord* r) {
  FieldReader f(root, "origin", source, status);
  ReadName(&f, "revision", &r->revision);
  ReadName(&f, "version", &r->version);
  ReadName(&f, "device", &r->device);
  ReadName(&f, "isa", &r->isa);
  f.Read("threads", &r->threads, 1, 1 << 16);
  f.ReadTextMap("libraries", &r->libraries);
  f.Optional("algorithms", &r->algorithms);
  f.Finish();
}

void ReadResult(const Json& root, const Source& source, Status* status, const RunRecord& r) {
  FieldReader f(root, "result", source, status);
  double last = 0, best = 0;
  int64_t best_epoch = 0;
  f.Read("last_top1", &last, 0, 100);
  f.Read("best_top1", &best, 0, 100);
  f.Read("best_epoch", &best_epoch, 1);
  f.Finish();
  if (!f.ok()) return;
  if (last != r.last_top1()) f.Fail("last_top1", "is not the accuracy of the last epoch");
  if (best != r.best_top1() || best_epoch != r.best_epoch()) f.Fail("best_top1", "is not the best of the epochs");
}

void ReadCost(const Json& root, const Source& source, Status* status, RunRecord* r) {
  FieldReader f(root, "cost", source, status);
  f.Read("seconds", &r->seconds, 0.0, 1e12);
  f.Read("images_per_second", &r->images_per_second, 0.0, 1e12);
  f.Read("steps", &r->steps, 1);
  f.Read("planned_bytes", &r->planned_bytes, 0);
  f.Read("resident_bytes", &r->resident_bytes, 0);
  f.Finish();
}

void ReadEpochs(const Json& list, const Source& source, Status* status, RunRecord* r) {
  for (size_t i = 0; i < list.size() && status->ok(); ++i) {
    std::string path = "epochs[" + std::to_string(i) + "]";
    EpochMetrics m;
    *status = EpochFromJson(list[i], path, source, &m);
    if (status->ok() && m.epoch != static_cast<int64_t>(i) + 1)
      *status = Corrupt(source.file + ": '" + path + ".epoch' is " + std::to_string(m.epoch) + " instead of " +
                        std::to_string(i + 1));
    r->epochs.push_back(std::move(m));
  }
  if (status->ok() && static_cast<int64_t>(r->epochs.size()) != r->schedule.epochs)
    *status = Corrupt(source.file + ": 'epochs' holds " + std::to_string(r->epochs.size()) +
                      " epochs, but the schedule has " + std::to_string(r->schedule.epochs));
}

}  // namespace

bool BinOf(const std::string& term, std::string* histogram, size_t* bin) {
  const size_t dot = term.rfind('.');
  int64_t number = 0;
  if (dot == std::string::npos || !ParseInteger(term.substr(dot + 1), &number) || number < 0 || number > 9999)
    return false;
  *histogram = term.substr(0, dot), *bin = static_cast<size_t>(number);
  return true;
}

Json ToJson(const EpochMetrics& m) {
  Json json = {{"epoch", m.epoch}, {"lr", m.lr},     {"train", m.train},
               {"top1", m.top1},   {"top5", m.top5}, {"loss", m.loss}};
  if (!m.histograms.empty()) json["histograms"] = m.histograms;
  return json;
}

Status EpochFromJson(const Json& json, const std::string& path, const Source& source, EpochMetrics* out) {
  Status status;
  FieldReader f(json, path, source, &status);
  f.Read("epoch", &out->epoch, 1, 1000000);
  f.Read("lr", &out->lr, 0.0, 1e6);
  f.Read("top1", &out->top1, 0.0, 100.0);
  f.Read("top5", &out->top5, 0.0, 100.0);
  f.Read("loss", &out->loss);
  if (const Json* train = f.Object("train", true)) {
    FieldReader terms(*train, f.Path("train"), source, &status);
    for (auto it = train->begin(); it != train->end(); ++it) terms.Read(it.key().c_str(), &out->train[it.key()]);
    if (status.ok() && !out->train.count("loss")) terms.Fail("loss", "is missing");
  }
  if (const Json* histograms = f.Object("histograms", false)) {
    FieldReader bins(*histograms, f.Path("histograms"), source, &status);
    for (auto it = histograms->begin(); it != histograms->end(); ++it)
      bins.Read(it.key().c_str(), &out->histograms[it.key()], 0, int64_t{1} << 40);
  }
  f.Finish();
  return status;
}

int64_t RunRecord::best_epoch() const {
  const EpochMetrics* best = nullptr;
  for (const EpochMetrics& m : epochs)
    if (!best || m.top1 > best->top1) best = &m;
  return best ? best->epoch : 0;
}

double RunRecord::best_top1() const { return epochs.empty() ? 0 : epochs[best_epoch() - 1].top1; }

std::string RunFolder(const std::string& dataset, const std::string& teacher, const std::string& student,
                      const std::string& method, int64_t seed, const std::string& config_hash) {
  return FolderName(dataset) + "/" + FolderName(teacher.empty() ? "none" : teacher) + "__" + FolderName(student) + "/" +
         FolderName(method) + "/seed" + std::to_string(seed) + "-" + config_hash.substr(0, 8);
}

Json ToJson(const RunRecord& r) {
  Json epochs = Json::array();
  for (const EpochMetrics& m : r.epochs) epochs.push_back(ToJson(m));
  const ScheduleRecord& s = r.schedule;
  Json json = {{"schema_version", kRecordSchema},
               {"cell",
                {{"recipe", r.recipe},
                 {"title", r.title},
                 {"paper", r.paper},
                 {"table", r.table},
                 {"selection", r.selection},
                 {"required_seeds", r.required_seeds},
                 {"dataset", r.dataset},
                 {"teacher", r.teacher},
                 {"student", r.student},
                 {"method", r.method},
                 {"label", r.label},
                 {"paper_teacher", r.paper_teacher},
                 {"paper_student", r.paper_student},
                 {"paper_method", r.paper_method}}},
               {"config", r.config},
               {"config_hash", r.config_hash},
               {"seed", r.seed},
               {"schedule",
                {{"kind", Kind(s)},
                 {"epochs", s.epochs},
                 {"full_epochs", s.full_epochs},
                 {"train_samples", s.train_samples},
                 {"full_train_samples", s.full_train_samples},
                 {"test_samples", s.test_samples},
                 {"full_test_samples", s.full_test_samples},
                 {"altered", s.altered}}},
               {"data",
                {{"sha256", r.data_digest},
                 {"classes", r.classes},
                 {"height", r.height},
                 {"width", r.width},
                 {"channels", r.channels}}},
               {"student", {{"sha256", r.student_sha256}, {"parameters", r.parameters}}},
               {"origin",
                {{"revision", r.revision},
                 {"version", r.version},
                 {"device", r.device},
                 {"isa", r.isa},
                 {"threads", r.threads},
                 {"libraries", r.libraries}}},
               {"result", {{"last_top1", r.last_top1()}, {"best_top1", r.best_top1()}, {"best_epoch", r.best_epoch()}}},
               {"cost",
                {{"seconds", r.seconds},
                 {"images_per_second", r.images_per_second},
                 {"steps", r.steps},
                 {"planned_bytes", r.planned_bytes},
                 {"resident_bytes", r.resident_bytes}}},
               {"epochs", epochs}};
  if (!r.algorithms.empty()) json["origin"]["algorithms"] = r.algorithms;
  if (r.teacher_run) {
    const TeacherRecord& t = *r.teacher_run;
    json["teacher"] = {{"network", t.network},
                       {"sha256", t.sha256},
                       {"top1", t.top1},
                       {"config_hash", t.config_hash},
                       {"seed", t.seed}};
  }
  return json;
}

Status ParseRecord(std::string_view text, const std::string& file, RunRecord* out) {
  Json root;
  DISTIL_RETURN_IF_ERROR(ParseJson(text, file, &root));
  Source source{file, {}};
  Status status;
  *out = RunRecord();
  out->path = file;
  FieldReader f(root, "", source, &status);
  int64_t schema = 0;
  f.Read("schema_version", &schema, 1);
  if (f.ok() && schema != kRecordSchema)
    f.Fail("schema_version",
           "is " + std::to_string(schema) + ", but this harness reads " + std::to_string(kRecordSchema));
  if (const Json* json = f.Object("cell", true)) ReadCell(*json, source, &status, out);
  if (const Json* json = f.Object("config", true)) out->config = *json;
  ReadSha(&f, "config_hash", &out->config_hash);
  if (f.ok() && Sha256(Canonical(out->config)) != out->config_hash)
    f.Fail("config_hash", "is not the SHA-256 of 'config'");
  f.Read("seed", &out->seed, 0);
  if (const Json* json = f.Object("schedule", true)) ReadSchedule(*json, source, &status, &out->schedule);
  if (const Json* json = f.Object("data", true)) ReadData(*json, source, &status, out);
  if (const Json* json = f.Object("teacher", !out->teacher.empty())) {
    ReadTeacher(*json, source, &status, &out->teacher_run.emplace());
    if (f.ok() && out->teacher_run->network != out->teacher)
      f.Fail("teacher", "is not the network that 'cell.teacher' names");
  }
  if (const Json* json = f.Object("student", true)) {
    FieldReader student(*json, "student", source, &status);
    ReadSha(&student, "sha256", &out->student_sha256);
    student.Read("parameters", &out->parameters, 1);
    student.Finish();
  }
  if (const Json* json = f.Object("origin", true)) ReadOrigin(*json, source, &status, out);
  if (const Json* json = f.Array("epochs", true)) ReadEpochs(*json, source, &status, out);
  if (const Json* json = f.Object("result", true)) ReadResult(*json, source, &status, *out);
  if (const Json* json = f.Object("cost", true)) ReadCost(*json, source, &status, out);
  f.Finish();
  return status;
}

Status ReadRecord(const std::string& path, RunRecord* out) {
  std::string text;
  DISTIL_RETURN_IF_ERROR(ReadFile(path, &text, 64u << 20));
  return ParseRecord(text, path, out);
}

Status ReadRecords(const std::vector<std::string>& folders, std::vector<RunRecord>* out) {
  out->clear();
  std::map<std::pair<std::string, int64_t>, size_t> seen;
  for (const std::string& folder : folders) {
    std::vector<std::string> paths;
    DISTIL_RETURN_IF_ERROR(FindFiles(folder, "result.json", &paths));
    for (const std::string& path : paths) {
      RunRecord record;
      DISTIL_RETURN_IF_ERROR(ReadRecord(path, &record));
      auto [it, fresh] = seen.emplace(std::pair(record.config_hash, record.seed), out->size());
      if (fresh) {
        out->push_back(std::move(record));
      } else if ((*out)[it->second].student_sha256 != record.student_sha256) {
        return Corrupt((*out)[it->second].path + " and " + path +
                       " are the same configuration and seed, but gave different students: keep one of them");
      }
    }
  }
  return {};
}

}  // namespace distil::harness
