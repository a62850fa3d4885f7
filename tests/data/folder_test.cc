// Folder trees of images.
#include <sys/stat.h>
#include <unistd.h>

#include "data/hdf5_file.h"
#include "data/importers.h"
#include "tests/data/util.h"

namespace distil::data {
namespace {

Bytes Plain(uint8_t value, bool jpeg = false) {
  const Image image{10, 12, 3, Bytes(360, value)};
  return jpeg ? EncodeJpeg(image) : EncodePng(image);
}

// train: cat 3, dog 2; test: cat 1, dog 1. The value of a picture's pixels tells which it is.
void WriteTree(const TempFolder& folder, const std::string& test = "test") {
  WriteBytes(folder / "train/dog/1.png", Plain(11));
  WriteBytes(folder / "train/dog/2.JPEG", Plain(12, true));
  WriteBytes(folder / "train/cat/a.jpg", Plain(21, true));
  WriteBytes(folder / "train/cat/nested/c.png", Plain(23));
  WriteBytes(folder / "train/cat/b.PNG", Plain(22));
  WriteBytes(folder / (test + "/cat/x.png"), Plain(31));
  WriteBytes(folder / (test + "/dog/y.png"), Plain(41));
}

FolderOptions At(const std::string& from) {
  FolderOptions options;
  options.from = from;
  options.height = options.width = 8;
  return options;
}

TEST(Folder, TrainAndTest) {
  TempFolder folder;
  WriteTree(folder);
  Dataset d;
  ASSERT_OK(ImportFolder(At(folder.path()), &d));
  EXPECT_EQ(d.class_names, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(d.train().labels, (std::vector<int32_t>{0, 0, 0, 1, 1}));
  EXPECT_EQ(d.test().labels, (std::vector<int32_t>{0, 1}));
  std::vector<int> values;
  for (size_t i = 0; i < 5; ++i) values.push_back(d.train().images[i * 192]);
  EXPECT_EQ(values, (std::vector<int>{21, 22, 23, 11, 12}));
  EXPECT_EQ(d.test().images[192], 41);
  EXPECT_TRUE(d.warnings.empty());
}

TEST(Folder, ValAloneServesAsTest) {
  TempFolder folder;
  WriteTree(folder, "val");
  Dataset d;
  ASSERT_OK(ImportFolder(At(folder.path()), &d));
  EXPECT_EQ(d.test().size(), 2);
  EXPECT_EQ(d.val().size(), 0);
  WriteTree(folder, "test");
  ASSERT_OK(ImportFolder(At(folder.path()), &d));
  EXPECT_EQ(d.val().size(), 2);
}

TEST(Folder, FlatTreeWithHoldOut) {
  TempFolder folder;
  for (int i = 0; i < 10; ++i) {
    WriteBytes(folder / ("b/" + std::to_string(i) + ".png"), Plain(static_cast<uint8_t>(i)));
    WriteBytes(folder / ("a/" + std::to_string(i) + ".png"), Plain(static_cast<uint8_t>(100 + i)));
  }
  FolderOptions options = At(folder.path());
  Dataset d, again, other;
  ExpectError(ImportFolder(options, &d), Code::kInvalidArgument, {folder.path(), "which fraction to hold out"});
  options.holdout = 0.3;
  ASSERT_OK(ImportFolder(options, &d));
  EXPECT_EQ(ClassCounts(d.train().labels, 2), (std::vector<int64_t>{7, 7}));
  EXPECT_EQ(ClassCounts(d.test().labels, 2), (std::vector<int64_t>{3, 3}));
  options.threads = 4;
  ASSERT_OK(ImportFolder(options, &again));
  EXPECT_EQ(d.digest, again.digest);
  options.seed = 1;
  ASSERT_OK(ImportFolder(options, &other));
  EXPECT_NE(d.digest, other.digest);
}

TEST(Folder, StraightToFileIsTheSame) {
  TempFolder folder;
  WriteTree(folder);
  Dataset ram, meta, read;
  ASSERT_OK(ImportFolder(At(folder.path()), &ram));
  ASSERT_OK(ImportFolderToFile(At(folder.path()), folder / "out.h5", &meta));
  EXPECT_EQ(meta.digest, ram.digest);
  ASSERT_OK(OpenDataset(folder / "out.h5", {}, &read));
  EXPECT_EQ(read.train().images, ram.train().images);
  EXPECT_EQ(read.digest, ram.digest);
}

TEST(Folder, OtherFilesAreLeftOutWithAWarning) {
  TempFolder folder;
  WriteTree(folder);
  WriteBytes(folder / "train/cat/notes.txt", Bytes(10, 'x'));
  WriteBytes(folder / "train/readme.md", Bytes(10, 'x'));
  WriteBytes(folder / "train/cat/.hidden.png", Bytes(10, 'x'));
  mkdir((folder / "train/emu").c_str(), 0755);
  Dataset d;
  ASSERT_OK(ImportFolder(At(folder.path()), &d));
  EXPECT_EQ(d.num_classes, 3);
  ASSERT_EQ(d.warnings.size(), 2u);
  EXPECT_NE(d.warnings[0].find("train/emu: there are no images"), std::string::npos) << d.warnings[0];
  EXPECT_NE(d.warnings[1].find("2 such files were left out"), std::string::npos) << d.warnings[1];
}

TEST(Folder, DamagedImageIsNamed) {
  TempFolder folder;
  WriteTree(folder);
  Bytes jpeg = Plain(50, true);
  jpeg.resize(jpeg.size() / 2);
  WriteBytes(folder / "train/dog/3.jpg", jpeg);
  Dataset d;
  ExpectError(ImportFolder(At(folder.path()), &d), Code::kCorrupt, {"train/dog/3.jpg", "damaged JPEG"});
  ExpectError(ImportFolderToFile(At(folder.path()), folder / "out.h5", &d), Code::kCorrupt, {"train/dog/3.jpg"});
  EXPECT_EQ(folder.Names().size(), 2u);  // train and test: no file, whole or half
}

TEST(Folder, WrongTrees) {
  TempFolder folder;
  Dataset d;
  ExpectError(ImportFolder(At(folder / "no"), &d), Code::kNotFound, {"/no", "No such file"});
  ExpectError(ImportFolder(At(folder.path()), &d), Code::kCorrupt, {folder.path(), "no class folders"});
  WriteTree(folder);
  WriteBytes(folder / "test/bird/z.png", Plain(1));
  ExpectError(ImportFolder(At(folder.path()), &d), Code::kCorrupt, {"test/bird", "no such class"});
  FolderOptions options = At(folder.path());
  options.height = 0;
  ExpectError(ImportFolder(options, &d), Code::kInvalidArgument, {folder.path(), "a height and a width"});
  TempFolder empty;
  mkdir((empty / "train").c_str(), 0755);
  mkdir((empty / "train/cat").c_str(), 0755);
  ExpectError(ImportFolder(At(empty.path()), &d), Code::kCorrupt, {"train", "no .jpg, .jpeg or .png files"});
  TempFolder loop;
  mkdir((loop / "a").c_str(), 0755);
  ASSERT_EQ(symlink(loop.path().c_str(), (loop / "a/up").c_str()), 0);
  ExpectError(ImportFolder(At(loop.path()), &d), Code::kCorrupt, {"nested too deeply"});
}

TEST(Folder, Unreadable) {
  TempFolder folder;
  WriteTree(folder);
  chmod((folder / "train/cat").c_str(), 0);
  {
    AsNobody nobody;
    Dataset d;
    ExpectError(ImportFolder(At(folder.path()), &d), Code::kIo, {folder.path(), "Permission denied"});
  }
  chmod((folder / "train/cat").c_str(), 0755);
}

}  // namespace
}  // namespace distil::data
