// CIFAR-10 and CIFAR-100 binaries: small ones made here, and the real one where DISTIL_DATA says where it is.
#include <sys/stat.h>

#include <cstdlib>
#include <numeric>

#include "data/importers.h"
#include "tests/data/util.h"

namespace distil::data {
namespace {

// `n` records; pixel p of channel c of record i is i + c + p (mod 256), its label i mod classes.
Bytes Records(CifarKind kind, int n) {
  Bytes bytes;
  for (int i = 0; i < n; ++i) {
    if (kind == CifarKind::kCifar100) bytes.push_back(static_cast<uint8_t>(i % 20));
    bytes.push_back(static_cast<uint8_t>(i % (kind == CifarKind::kCifar10 ? 10 : 100)));
    for (int c = 0; c < 3; ++c) {
      for (int p = 0; p < 1024; ++p) bytes.push_back(static_cast<uint8_t>(i + c + p));
    }
  }
  return bytes;
}

Bytes Names(int n) {
  Bytes bytes;
  for (int i = 0; i < n; ++i) {
    for (char c : "name" + std::to_string(i) + "\n") bytes.push_back(static_cast<uint8_t>(c));
  }
  bytes.push_back('\n');  // the published files end with empty lines
  return bytes;
}

using Files = std::vector<std::pair<std::string, Bytes>>;

Files Cifar10Files() {
  Files files;
  for (int b = 1; b <= 5; ++b)
    files.push_back({"data_batch_" + std::to_string(b) + ".bin", Records(CifarKind::kCifar10, 10)});
  files.push_back({"test_batch.bin", Records(CifarKind::kCifar10, 10)});
  files.push_back({"batches.meta.txt", Names(10)});
  return files;
}

TEST(Cifar, ParsePlanarToInterleaved) {
  Split split;
  const Bytes bytes = Records(CifarKind::kCifar100, 2);
  ASSERT_OK(ParseCifar(CifarKind::kCifar100, bytes.data(), bytes.size(), "x", &split));
  EXPECT_EQ(split.labels, (std::vector<int32_t>{0, 1}));
  ASSERT_EQ(split.images.size(), 2u * 3072);
  for (size_t p = 0; p < 1024; ++p) {
    for (size_t c = 0; c < 3; ++c) ASSERT_EQ(split.images[3072 + 3 * p + c], static_cast<uint8_t>(1 + c + p));
  }
}

TEST(Cifar, Folder10AndArchive) {
  TempFolder folder;
  Files inside;
  for (const auto& [name, bytes] : Cifar10Files()) {
    WriteBytes(folder / "cifar-10-batches-bin/" + name, bytes);
    inside.push_back({"cifar-10-batches-bin/" + name, bytes});
  }
  inside.push_back({"../../etc/readme.html", Bytes(10, 'x')});  // is not looked at, and nothing is unpacked
  WriteTarGz(folder / "cifar-10-binary.tar.gz", inside);
  Dataset a, b, c;
  ASSERT_OK(ImportCifar(CifarKind::kCifar10, folder / "cifar-10-batches-bin", &a));
  ASSERT_OK(ImportCifar(CifarKind::kCifar10, folder.path(), &b));
  ASSERT_OK(ImportCifar(CifarKind::kCifar10, folder / "cifar-10-binary.tar.gz", &c));
  EXPECT_EQ(a.digest, b.digest);
  EXPECT_EQ(a.digest, c.digest);
  EXPECT_EQ(a.train().size(), 50);
  EXPECT_EQ(a.test().size(), 10);
  EXPECT_EQ(a.num_classes, 10);
  EXPECT_EQ(a.class_names[9], "name9");
  EXPECT_EQ(a.warnings.size(), 2u);  // not the published counts
}

TEST(Cifar, NamesAreOptional) {
  TempFolder folder;
  WriteBytes(folder / "train.bin", Records(CifarKind::kCifar100, 100));
  WriteBytes(folder / "test.bin", Records(CifarKind::kCifar100, 100));
  Dataset d;
  ASSERT_OK(ImportCifar(CifarKind::kCifar100, folder.path(), &d));
  EXPECT_EQ(d.num_classes, 100);
  EXPECT_TRUE(d.class_names.empty());
  EXPECT_NE(d.warnings[0].find("fine_label_names.txt"), std::string::npos);
  WriteBytes(folder / "fine_label_names.txt", Names(99));
  ExpectError(ImportCifar(CifarKind::kCifar100, folder.path(), &d), Code::kCorrupt,
              {"fine_label_names.txt", "99 names", "100"});
}

TEST(Cifar, Damage) {
  TempFolder folder;
  Dataset d;
  const auto import = [&] { return ImportCifar(CifarKind::kCifar100, folder.path(), &d); };
  ExpectError(import(), Code::kNotFound, {"train.bin", "No such file"});
  WriteBytes(folder / "train.bin", Records(CifarKind::kCifar100, 3));
  Bytes test = Records(CifarKind::kCifar100, 3);
  test.pop_back();
  WriteBytes(folder / "test.bin", test);
  ExpectError(import(), Code::kCorrupt, {"test.bin", "9221 bytes", "whole number of records of 3074"});
  test = Records(CifarKind::kCifar100, 3);
  test[3074 + 1] = 100;
  WriteBytes(folder / "test.bin", test);
  ExpectError(import(), Code::kCorrupt, {"test.bin", "label at index 1 is 100", "from 0 to 99"});
  WriteBytes(folder / "test.bin", {});
  ExpectError(import(), Code::kCorrupt, {"test.bin", "is empty"});
}

TEST(Cifar, DamagedArchives) {
  TempFolder folder;
  Dataset d;
  const std::string path = folder / "c.tar.gz";
  const auto import = [&] { return ImportCifar(CifarKind::kCifar10, path, &d); };
  ExpectError(import(), Code::kNotFound, {"c.tar.gz", "No such file"});
  WriteBytes(path, Bytes(5000, 'x'));
  ExpectError(import(), Code::kCorrupt, {"c.tar.gz"});
  Files files = Cifar10Files();
  files.erase(files.begin() + 2);
  WriteTarGz(path, files);
  ExpectError(import(), Code::kCorrupt, {"c.tar.gz", "there is no data_batch_3.bin"});
  files.push_back(files[0]);
  WriteTarGz(path, files);
  ExpectError(import(), Code::kCorrupt, {"c.tar.gz", "two files named data_batch_1.bin"});
  WriteTarGz(path, Cifar10Files());
  Bytes half = ReadBytes(path);
  half.resize(half.size() / 2);
  WriteBytes(path, half);
  ExpectError(import(), Code::kCorrupt, {"c.tar.gz"});
}

TEST(Cifar, Real100) {
  const char* data = std::getenv("DISTIL_DATA");
  if (!data) GTEST_SKIP() << "SKIPPED: DISTIL_DATA is not set, so the real CIFAR-100 was not read";
  Dataset d;
  ASSERT_OK(ImportCifar(CifarKind::kCifar100, data, &d));
  EXPECT_EQ(ClassCounts(d.train().labels, 100), std::vector<int64_t>(100, 500));
  EXPECT_EQ(ClassCounts(d.test().labels, 100), std::vector<int64_t>(100, 100));
  const double mean[3] = {0.50708, 0.48655, 0.44092}, std[3] = {0.26733, 0.25644, 0.27615};
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(d.mean[c], mean[c], 5e-6);
    EXPECT_NEAR(d.std[c], std[c], 6e-6);
  }
}

}  // namespace
}  // namespace distil::data
