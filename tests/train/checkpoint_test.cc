// Checkpoints: what is refused, with which words, and that a refusal changes nothing.
#include "lib/train/checkpoint.h"

#include <cstdio>

#include "lib/io/file.h"
#include "tests/train/lab.h"

namespace distil {
namespace {

constexpr char kOptions[] = "epochs=2 steps_per_epoch=4 schedule=constant lr=0.1 T=4";

struct Training {
  std::shared_ptr<Device> device;
  Trainer::Roles roles;
  std::unique_ptr<Trainer> trainer;

  explicit Training(const std::string& method = "kd", const std::string& options = kOptions,
                    const std::string& device_name = "reference", uint64_t teacher = 2, int64_t width = 4)
      : device(MakeDevice(device_name)) {
    roles.emplace_back("student", TinyNetwork(device, 1, width));
    if (method != "ce") roles.emplace_back("teacher", TinyNetwork(device, teacher));
    EXPECT_OK(Trainer::Create(device, method, Text(options), roles, &trainer));
  }
  Status Load(const std::string& path) { return trainer->Load(path); }
};

// A checkpoint after two steps.
std::string Saved() {
  static const std::string path = [] {
    Training run;
    for (uint32_t k = 0; k < 2; ++k) EXPECT_OK(run.trainer->Step(Samples(k).Floats(), nullptr));
    const std::string p = TempPath("good.checkpoint");
    EXPECT_OK(run.trainer->Save(p));
    return p;
  }();
  return path;
}

std::vector<uint8_t> Bytes(const std::string& path) {
  std::vector<uint8_t> bytes;
  EXPECT_OK(ReadFile(path, &bytes));
  return bytes;
}

std::string Write(const std::vector<uint8_t>& bytes) {
  const std::string path = TempPath("bad.checkpoint");
  FILE* f = std::fopen(path.c_str(), "wb");
  for (uint8_t b : bytes) std::fputc(b, f);
  std::fclose(f);
  return path;
}

TEST(Checkpoint, IsASafetensorsFileWithItsDigest) {
  const std::vector<uint8_t> bytes = Bytes(Saved());
  Safetensors file;
  ASSERT_OK(ParseCheckpoint(bytes.data(), bytes.size(), &file));
  EXPECT_EQ(file.metadata["method"], "kd");
  EXPECT_EQ(file.metadata["step"], "2");
  EXPECT_EQ(file.metadata["option/lr"], "0.1");
  EXPECT_EQ(file.metadata["option/kd.T"], "4");
  EXPECT_EQ(file.metadata["frozen/teacher"].size(), 64u);
  EXPECT_TRUE(file.Find("student/conv1.weight"));
  EXPECT_TRUE(file.Find("student/bn1.num_batches_tracked"));
  EXPECT_TRUE(file.Find("optimizer/main/student/conv1.weight/momentum"));
  EXPECT_FALSE(file.Find("teacher/conv1.weight"));
}

TEST(Checkpoint, SavingTwiceGivesTheSameFile) {
  Training run;
  ASSERT_OK(run.Load(Saved()));
  const std::string again = TempPath("again.checkpoint");
  ASSERT_OK(run.trainer->Save(again));
  EXPECT_EQ(Bytes(again), Bytes(Saved()));
}

TEST(Checkpoint, AnyFlippedBitIsFound) {
  const std::vector<uint8_t> good = Bytes(Saved());
  Training run;
  for (size_t at = 0; at < good.size(); at += at < 600 ? 7 : 997) {
    std::vector<uint8_t> bad = good;
    bad[at] ^= 1;
    Safetensors file;
    EXPECT_FALSE(ParseCheckpoint(bad.data(), bad.size(), &file).ok()) << "byte " << at;
  }
}

TEST(Checkpoint, AnyTruncationIsFound) {
  const std::vector<uint8_t> good = Bytes(Saved());
  for (size_t n = 0; n < good.size(); n += n < 600 ? 13 : 1009) {
    Safetensors file;
    EXPECT_FALSE(ParseCheckpoint(good.data(), n, &file).ok()) << n << " bytes";
  }
}

TEST(Checkpoint, RefusalsNameTheCause) {
  struct Case {
    const char* message;
    Code code;
    std::function<std::unique_ptr<Training>()> make;
  };
  auto make = [](auto... args) { return [=] { return std::make_unique<Training>(args...); }; };
  const std::string other = "epochs=2 steps_per_epoch=4 schedule=constant lr=0.2 T=4";
  const std::string warmer = "epochs=2 steps_per_epoch=4 schedule=constant lr=0.1 T=3";
  const Case cases[] = {
      {"it was made with method=kd, this trainer has method=ce", Code::kInvalidArgument,
       make("ce", "epochs=2 steps_per_epoch=4 schedule=constant lr=0.1")},
      {"it was made with lr=0.1, this trainer has lr=0.2", Code::kInvalidArgument, make("kd", other)},
      {"it was made with kd.T=4, this trainer has kd.T=3", Code::kInvalidArgument, make("kd", warmer)},
      {"it was made with numbers=f32, this trainer has numbers=f64", Code::kInvalidArgument,
       make("kd", kOptions, "reference:f64")},
      {"it was made with another network in the role 'teacher'", Code::kInvalidArgument,
       make("kd", kOptions, "reference", 3)},
      {"tensor 'student/conv1.weight' has shape [4,3,3,3], the network needs [6,3,3,3]", Code::kInvalidArgument,
       make("kd", kOptions, "reference", 2, 6)},
  };
  for (const Case& c : cases) {
    auto run = c.make();
    const std::string before = DigestOf(*run->roles[0].second);
    const Status s = run->Load(Saved());
    ExpectError(s, c.code, c.message);
    ExpectError(s, c.code, "cannot load the checkpoint " + Saved());
    EXPECT_EQ(DigestOf(*run->roles[0].second), before);
    EXPECT_EQ(run->trainer->step(), 0);
    EXPECT_OK(run->trainer->Step(Samples(0).Floats(), nullptr));
  }
}

TEST(Checkpoint, OtherFilesAreRefused) {
  Training run;
  ExpectError(run.Load(TempPath("absent")), Code::kNotFound, "No such file");
  ExpectError(run.Load(testing::TempDir()), Code::kInvalidArgument, "not a regular file");
  ExpectError(run.Load(Write({})), Code::kCorrupt, "too few for a safetensors file");
  const std::string weights = TempPath("weights.safetensors");
  ASSERT_OK(SaveNetwork(*run.roles[0].second, weights));
  ExpectError(run.Load(weights), Code::kCorrupt, "not a checkpoint of distil");
}

// A schema of the future, with a right digest.
TEST(Checkpoint, AnotherSchemaIsRefused) {
  const std::vector<uint8_t> header =
      SafetensorsHeader({{"format", "distil-checkpoint"}, {"sha256", std::string(64, '0')}, {"schema", "2"}}, {});
  Training run;
  ExpectError(run.Load(Write(header)), Code::kUnsupported, "its schema is '2', this version reads schema 1");
}

TEST(Checkpoint, AFailedSaveLeavesTheOldFile) {
  Training run;
  ExpectError(run.trainer->Save("/nowhere/checkpoint"), Code::kNotFound, "cannot write /nowhere/checkpoint");
  ExpectError(run.trainer->Save(testing::TempDir()), Code::kInvalidArgument, "it is a folder");
}

TEST(Checkpoint, TeacherMayBeChangedBeforeTraining) {
  Training a, b("kd", kOptions, "reference", 3);
  ASSERT_OK(CopyNetwork(b.roles[1].second.get(), *a.roles[1].second));
  EXPECT_OK(b.Load(Saved()));
}

}  // namespace
}  // namespace distil
