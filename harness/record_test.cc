#include "harness/record.h"

#include <gtest/gtest.h>

#include "harness/files.h"
#include "harness/testing.h"

namespace distil::harness {
namespace {

Json Good() { return ToJson(MadeUpRun("r", "resnet32", "resnet8", "kd", 2, 60.5)); }

std::string Mistake(const Json& json) {
  RunRecord record;
  return ParseRecord(Pretty(json), "runs/x/result.json", &record).message();
}

TEST(Record, WrittenAndReadIsTheSame) {
  RunRecord record;
  ASSERT_OK(ParseRecord(Pretty(Good()), "f", &record));
  EXPECT_EQ(ToJson(record), Good());
  EXPECT_EQ(record.last_top1(), 60.5);
  EXPECT_EQ(record.best_epoch(), 4);
  EXPECT_TRUE(record.schedule.full());
}

TEST(Record, FolderIsTheConventionsOne) {
  EXPECT_EQ(RunFolder("cifar100", "resnet32", "resnet8", "kd", 3, std::string(64, 'a')),
            "cifar100/resnet32__resnet8/kd/seed3-aaaaaaaa");
  EXPECT_EQ(RunFolder("cifar100", "", "resnet8", "ce", 1, std::string(64, 'b')),
            "cifar100/none__resnet8/ce/seed1-bbbbbbbb");
}

TEST(Record, EveryFieldIsNeeded) {
  Json good = Good();
  for (auto& [key, value] : good.items()) {
    Json bad = good;
    bad.erase(key);
    std::string message = Mistake(bad);
    EXPECT_NE(message.find("runs/x/result.json: '" + key + "' is missing"), std::string::npos)
        << key << ": " << message;
    if (!value.is_object() || key == "config") continue;
    for (auto& [inner, unused] : value.items()) {
      Json worse = good;
      worse[key].erase(inner);
      EXPECT_NE(Mistake(worse).find("'" + key + "." + inner + "' is missing"), std::string::npos) << Mistake(worse);
    }
  }
}

TEST(Record, RefusesWhatContradictsItself) {
  Json bad = Good();
  bad["config"]["epochs"] = 5;
  EXPECT_NE(Mistake(bad).find("'config_hash' is not the SHA-256 of 'config'"), std::string::npos);
  bad = Good();
  bad["schedule"]["kind"] = "short";
  EXPECT_NE(Mistake(bad).find("'schedule.kind' is 'short', but the numbers beside it say full"), std::string::npos);
  bad = Good();
  bad["result"]["last_top1"] = 61.0;
  EXPECT_NE(Mistake(bad).find("is not the accuracy of the last epoch"), std::string::npos);
  bad = Good();
  bad["epochs"].erase(3);
  EXPECT_NE(Mistake(bad).find("'epochs' holds 3 epochs, but the schedule has 4"), std::string::npos);
  bad = Good();
  bad["epochs"][1]["epoch"] = 3;
  EXPECT_NE(Mistake(bad).find("'epochs[1].epoch' is 3 instead of 2"), std::string::npos);
  bad = Good();
  bad["teacher"]["network"] = "vgg13";
  EXPECT_NE(Mistake(bad).find("'teacher'"), std::string::npos);
  bad = Good();
  bad["student"]["sha256"] = "abc";
  EXPECT_NE(Mistake(bad).find("'student.sha256' is not a SHA-256"), std::string::npos);
  bad = Good();
  bad["schema_version"] = 99;
  EXPECT_NE(Mistake(bad).find("'schema_version' is 99, but this harness reads 1"), std::string::npos);
  bad = Good();
  bad["cell"]["recip"] = "x";
  EXPECT_NE(Mistake(bad).find("'cell.recip' is unknown; did you mean 'recipe'?"), std::string::npos);
  bad = Good();
  bad["epochs"][0]["top1"] = "high";
  EXPECT_NE(Mistake(bad).find("'epochs[0].top1' must be a number, not text"), std::string::npos);
}

TEST(Record, ScaledDownRunsAreShort) {
  EXPECT_EQ(ToJson(MadeUpRun("r", "", "resnet8", "ce", 1, 50, 4, 240))["schedule"]["kind"], "short");
  RunRecord r = MadeUpRun("r", "", "resnet8", "ce", 1, 50);
  r.schedule.train_samples = 1000;
  EXPECT_FALSE(r.schedule.full());
}

TEST(Record, FoldersAreReadInOrderAndTwinsMustAgree) {
  TemporaryFolder folder;
  auto write = [&](const std::string& sub, const RunRecord& r) {
    ASSERT_OK(MakeFolders(folder / sub));
    ASSERT_OK(WriteFileAtomic(folder / (sub + "/result.json"), Pretty(ToJson(r))));
  };
  RunRecord first = MadeUpRun("r", "", "resnet8", "ce", 1, 50);
  write("b", first);
  write("a", MadeUpRun("r", "", "resnet8", "ce", 2, 51));
  write("c", first);
  std::vector<RunRecord> all;
  ASSERT_OK(ReadRecords({folder.path()}, &all));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].seed, 2);
  first.student_sha256 = Sha256("other");
  write("d", first);
  EXPECT_NE(ReadRecords({folder.path()}, &all).message().find("gave different students"), std::string::npos);
  ASSERT_OK(WriteFileAtomic(folder / "d/result.json", "{"));
  EXPECT_NE(ReadRecords({folder.path()}, &all).message().find("d/result.json: not valid JSON"), std::string::npos);
  EXPECT_NE(ReadRecords({folder / "absent"}, &all).message().find("cannot read the folder"), std::string::npos);
}

}  // namespace
}  // namespace distil::harness
