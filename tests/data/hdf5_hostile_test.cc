// Damaged, mistyped and hostile HDF5 files: each gives one sentence that names the file and the cause.
#include <fcntl.h>
#include <hdf5.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string>

#include "data/hdf5_file.h"
#include "lib/base/random.h"
#include "tests/data/util.h"

namespace distil::data {
namespace {

// A sound file, changed by `change`, then read: the error.
class Hostile : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK(WriteDataset(Toy(12, 6), path_)); }

  void Change(const std::function<void(hid_t)>& change) {
    const hid_t file = H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    ASSERT_GE(file, 0);
    change(file);
    H5Fclose(file);
  }

  void ExpectRefused(Code code, std::vector<std::string> parts) {
    parts.push_back(path_);
    for (auto mode : {ReadOptions::Mode::kRam, ReadOptions::Mode::kStream}) {
      Dataset d;
      ReadOptions options;
      options.mode = mode;
      ExpectError(OpenDataset(path_, options, &d), code, parts);
    }
  }

  static void SetInt(hid_t file, const char* name, int64_t value) {
    H5Adelete(file, name);
    const hid_t space = H5Screate(H5S_SCALAR), a = H5Acreate2(file, name, H5T_NATIVE_INT64, space, 0, 0);
    H5Awrite(a, H5T_NATIVE_INT64, &value);
    H5Aclose(a), H5Sclose(space);
  }

  static void SetText(hid_t file, const char* name, const std::string& value) {
    H5Adelete(file, name);
    const hid_t space = H5Screate(H5S_SCALAR), type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, std::max<size_t>(1, value.size()));
    const hid_t a = H5Acreate2(file, name, type, space, 0, 0);
    H5Awrite(a, type, value.data());
    H5Aclose(a), H5Tclose(type), H5Sclose(space);
  }

  // Replaces a dataset by one of `shape`, zeros.
  static void Replace(hid_t file, const char* name, hid_t type, std::vector<hsize_t> shape, hid_t plist = H5P_DEFAULT,
                      bool write = true) {
    H5Ldelete(file, name, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t array = H5Dcreate2(file, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    ASSERT_GE(array, 0);
    size_t n = 8;
    for (hsize_t d : shape) n *= write ? d : 1;
    const std::vector<uint8_t> zeros(n);
    if (write) H5Dwrite(array, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros.data());
    H5Dclose(array), H5Sclose(space);
  }

  static void SetLabel(hid_t file, const char* name, hsize_t index, int64_t value) {
    const hid_t array = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(array);
    const hid_t one = H5Screate(H5S_SCALAR);
    H5Sselect_elements(space, H5S_SELECT_SET, 1, &index);
    H5Dwrite(array, H5T_NATIVE_INT64, one, space, H5P_DEFAULT, &value);
    H5Sclose(one), H5Sclose(space), H5Dclose(array);
  }

  TempFolder folder_;
  const std::string path_ = folder_ / "bad.h5";
};

TEST_F(Hostile, Missing) {
  unlink(path_.c_str());
  ExpectRefused(Code::kNotFound, {"cannot be opened", "No such file"});
}

TEST_F(Hostile, Folder) {
  unlink(path_.c_str());
  mkdir(path_.c_str(), 0755);
  ExpectRefused(Code::kInvalidArgument, {"is a folder"});
}

TEST_F(Hostile, Unreadable) {
  chmod(path_.c_str(), 0);
  AsNobody nobody;
  ExpectRefused(Code::kIo, {"Permission denied"});
}

TEST_F(Hostile, EmptyFile) {
  WriteBytes(path_, {});
  ExpectRefused(Code::kCorrupt, {"the file is empty"});
}

TEST_F(Hostile, NotHdf5) {
  WriteBytes(path_, Bytes(5000, 'x'));
  ExpectRefused(Code::kCorrupt, {"not a readable HDF5 file", "signature not found"});
}

TEST_F(Hostile, TruncatedAnywhere) {
  const Bytes whole = ReadBytes(path_);
  for (size_t size = 1; size < whole.size(); size += 97) {
    WriteBytes(path_, Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    ExpectRefused(Code::kCorrupt, {"not a readable HDF5 file"});
  }
}

// Any single damaged byte is either refused or does no harm to the content (HDF5 has unused bytes).
TEST_F(Hostile, FlippedBytes) {
  const Bytes whole = ReadBytes(path_);
  Dataset sound;
  ASSERT_OK(OpenDataset(path_, {}, &sound));
  for (uint32_t i = 0; i < 400; ++i) {
    Bytes damaged = whole;
    const auto words = RandomWords(3, Purpose::kTest, 0, 0, i);
    damaged[ToRange(words[0], static_cast<uint32_t>(whole.size()))] ^= static_cast<uint8_t>(1 + ToRange(words[1], 255));
    WriteBytes(path_, damaged);
    Dataset d;
    const Status status = OpenDataset(path_, {}, &d);
    if (status.ok()) {
      EXPECT_EQ(d.train().images, sound.train().images);
      EXPECT_EQ(d.train().labels, sound.train().labels);
    } else {
      EXPECT_NE(status.message().find(path_), std::string::npos) << status.message();
    }
  }
}

TEST_F(Hostile, ContentChanged) {
  const int64_t other = (Toy(12, 6).train().labels[3] + 1) % 3;
  Change([&](hid_t file) { SetLabel(file, "/train/labels", 3, other); });
  ExpectRefused(Code::kCorrupt, {"does not match its sha256", "damaged or was changed"});
  Dataset d;
  ReadOptions options;
  options.verify_digest = false;
  EXPECT_OK(OpenDataset(path_, options, &d));
}

TEST_F(Hostile, LabelTooLarge) {
  Change([](hid_t file) { SetLabel(file, "/train/labels", 7, 3); });
  ExpectRefused(Code::kCorrupt, {"/train/labels", "the label at index 7 is 3", "from 0 to 2"});
}

TEST_F(Hostile, LabelNegative) {
  Change([](hid_t file) { SetLabel(file, "/test/labels", 5, -1); });
  ExpectRefused(Code::kCorrupt, {"/test/labels", "the label at index 5 is -1"});
}

TEST_F(Hostile, LabelBeyond32Bits) {
  Change([](hid_t file) { SetLabel(file, "/test/labels", 0, int64_t{1} << 32); });
  ExpectRefused(Code::kCorrupt, {"the label at index 0 is 4294967296"});
}

TEST_F(Hostile, LabelsAreFloats) {
  Change([](hid_t file) { Replace(file, "/train/labels", H5T_NATIVE_FLOAT, {12}); });
  ExpectRefused(Code::kCorrupt, {"/train/labels", "float32", "expected integers"});
}

TEST_F(Hostile, LabelsAreAColumn) {
  Change([](hid_t file) { Replace(file, "/train/labels", H5T_NATIVE_INT64, {12, 1}); });
  ExpectRefused(Code::kCorrupt, {"/train/labels", "(12, 1)", "expected (12)"});
}

TEST_F(Hostile, FewerLabelsThanImages) {
  Change([](hid_t file) { Replace(file, "/test/labels", H5T_NATIVE_INT64, {5}); });
  ExpectRefused(Code::kCorrupt, {"/test/labels", "(5)", "expected (6)"});
}

TEST_F(Hostile, ImagesOfWrongType) {
  Change([](hid_t file) { Replace(file, "/train/images", H5T_NATIVE_FLOAT, {12, 5, 4, 3}); });
  ExpectRefused(Code::kCorrupt, {"/train/images", "float32", "expected uint8"});
}

TEST_F(Hostile, ImagesOfWrongRank) {
  Change([](hid_t file) { Replace(file, "/train/images", H5T_NATIVE_UINT8, {12, 60}); });
  ExpectRefused(Code::kCorrupt, {"/train/images", "(12, 60)", "(N, height, width, channels)"});
}

TEST_F(Hostile, ImagesWithTwoChannels) {
  Change([](hid_t file) { Replace(file, "/train/images", H5T_NATIVE_UINT8, {12, 5, 6, 2}); });
  ExpectRefused(Code::kCorrupt, {"/train/images", "(12, 5, 6, 2)", "1 or 3"});
}

TEST_F(Hostile, TestImagesOfOtherShape) {
  Change([](hid_t file) { Replace(file, "/test/images", H5T_NATIVE_UINT8, {6, 4, 5, 3}); });
  ExpectRefused(Code::kCorrupt, {"/test/images", "(6, 4, 5, 3)", "training images are 5x4x3"});
}

TEST_F(Hostile, NoSamples) {
  Change([](hid_t file) {
    Replace(file, "/test/images", H5T_NATIVE_UINT8, {0, 5, 4, 3});
    Replace(file, "/test/labels", H5T_NATIVE_INT64, {0});
  });
  ExpectRefused(Code::kCorrupt, {"/test/images", "has no samples"});
}

TEST_F(Hostile, MissingGroupAndDataset) {
  Change([](hid_t file) { H5Ldelete(file, "/test/labels", H5P_DEFAULT); });
  ExpectRefused(Code::kCorrupt, {"there is no dataset '/test/labels'"});
  Change([](hid_t file) { H5Ldelete(file, "/test", H5P_DEFAULT); });
  ExpectRefused(Code::kCorrupt, {"there is no group '/test'"});
}

TEST_F(Hostile, GroupInPlaceOfDataset) {
  Change([](hid_t file) {
    H5Ldelete(file, "/train/images", H5P_DEFAULT);
    H5Gclose(H5Gcreate2(file, "/train/images", 0, 0, 0));
  });
  ExpectRefused(Code::kCorrupt, {"/train/images", "is a group"});
}

TEST_F(Hostile, LinksThatLeadElsewhere) {
  Change([](hid_t file) {
    H5Ldelete(file, "/train/images", H5P_DEFAULT);
    H5Lcreate_external("/etc/passwd", "/x", file, "/train/images", H5P_DEFAULT, H5P_DEFAULT);
  });
  ExpectRefused(Code::kUnsupported, {"/train/images", "a link that leads elsewhere"});
}

TEST_F(Hostile, ValuesInAnotherFile) {
  WriteBytes(folder_ / "raw", Bytes(720));
  Change([&](hid_t file) {
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(plist, (folder_ / "raw").c_str(), 0, 720);
    Replace(file, "/train/images", H5T_NATIVE_UINT8, {12, 5, 4, 3}, plist);
    H5Pclose(plist);
  });
  ExpectRefused(Code::kUnsupported, {"/train/images", "in other files"});
}

// A few hundred bytes that claim terabytes must not be believed.
TEST_F(Hostile, HugeShapeWithoutValues) {
  Change([](hid_t file) {
    Replace(file, "/train/images", H5T_NATIVE_UINT8, {hsize_t{1} << 31, 128, 128, 3}, H5P_DEFAULT, false);
    Replace(file, "/train/labels", H5T_NATIVE_INT64, {hsize_t{1} << 31}, H5P_DEFAULT, false);
  });
  ExpectRefused(Code::kCorrupt, {"/train/images", "promises 105553116266496 bytes", "stores only 0"});
  Change([](hid_t file) {
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[4] = {1, 128, 128, 3};
    H5Pset_chunk(plist, 4, chunk);
    H5Pset_deflate(plist, 1);
    Replace(file, "/train/images", H5T_NATIVE_UINT8, {hsize_t{1} << 31, 128, 128, 3}, plist, false);
    H5Pclose(plist);
  });
  ExpectRefused(Code::kCorrupt, {"/train/images", "promises"});
}

TEST_F(Hostile, ChunksNeverWritten) {
  Change([](hid_t file) {
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[4] = {4, 5, 4, 3}, first = 0, n = 4;
    H5Pset_chunk(plist, 4, chunk);
    Replace(file, "/train/images", H5T_NATIVE_UINT8, {12, 5, 4, 3}, plist, false);
    const hid_t array = H5Dopen2(file, "/train/images", 0), space = H5Dget_space(array);
    const hsize_t start[4] = {first, 0, 0, 0}, count[4] = {n, 5, 4, 3};
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, nullptr, count, nullptr);
    const hid_t memory = H5Screate_simple(4, count, nullptr);
    const Bytes zeros(240);
    H5Dwrite(array, H5T_NATIVE_UINT8, memory, space, 0, zeros.data());
    H5Sclose(memory), H5Sclose(space), H5Dclose(array), H5Pclose(plist);
  });
  ExpectRefused(Code::kCorrupt, {"/train/images", "only 1 of 3 chunks"});
}

TEST_F(Hostile, UnknownFilter) {
  Change([](hid_t file) {
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[4] = {4, 5, 4, 3};
    H5Pset_chunk(plist, 4, chunk);
    H5Pset_nbit(plist);
    Replace(file, "/train/images", H5T_NATIVE_UINT8, {12, 5, 4, 3}, plist);
    H5Pclose(plist);
  });
  ExpectRefused(Code::kUnsupported, {"/train/images", "packed with filter 5", "h5repack"});
}

TEST_F(Hostile, Attributes) {
  Change([](hid_t file) { SetInt(file, "schema_version", 99); });
  ExpectRefused(Code::kUnsupported, {"schema_version 99", "version 1"});
  Change([](hid_t file) { SetText(file, "schema_version", "one"); });
  ExpectRefused(Code::kCorrupt, {"attribute 'schema_version'", "not an integer"});
  Change([](hid_t file) { H5Adelete(file, "schema_version"); });
  ExpectRefused(Code::kCorrupt, {"not in distil's schema", "import hdf5"});
  Change([](hid_t file) { SetInt(file, "schema_version", 1), SetInt(file, "num_classes", 0); });
  ExpectRefused(Code::kCorrupt, {"'num_classes' is 0"});
  Change([](hid_t file) { SetInt(file, "num_classes", int64_t{1} << 40); });
  ExpectRefused(Code::kCorrupt, {"'num_classes' is 1099511627776"});
  Change([](hid_t file) { SetInt(file, "num_classes", 4); });
  ExpectRefused(Code::kCorrupt, {"3 class names for 4 classes"});
  Change([](hid_t file) { SetInt(file, "num_classes", 3), SetText(file, "layout", "NCHW"); });
  ExpectRefused(Code::kUnsupported, {"'layout' is 'NCHW'", "'NHWC'"});
  Change([](hid_t file) { SetText(file, "layout", "NHWC"), SetInt(file, "mean", 1); });
  ExpectRefused(Code::kCorrupt, {"mean and std have 1 values for 3 channels"});
  Change([](hid_t file) { SetText(file, "mean", "high"); });
  ExpectRefused(Code::kCorrupt, {"'mean' is not numeric"});
}

TEST_F(Hostile, DigestOfWrongForm) {
  Change([](hid_t file) { SetText(file, "sha256", "\x1b[31mnonsense"); });
  ExpectRefused(Code::kCorrupt, {"'sha256'", "64 lower-case hexadecimal digits"});
}

// Odd but usable: read, with a warning each.
TEST_F(Hostile, AbsentAttributesAreWarnings) {
  Change([](hid_t file) {
    for (const char* name : {"class_names", "mean", "std", "layout", "sha256", "source_url"}) H5Adelete(file, name);
  });
  const Dataset whole = Toy(12, 6);
  for (auto mode : {ReadOptions::Mode::kRam, ReadOptions::Mode::kStream}) {
    Dataset d;
    ReadOptions options;
    options.mode = mode;
    ASSERT_OK(OpenDataset(path_, options, &d));
    EXPECT_EQ(d.warnings.size(), 4u);
    EXPECT_EQ(d.mean, whole.mean);
    EXPECT_EQ(d.std, whole.std);
    EXPECT_EQ(d.digest.size(), 64u);
    for (const auto& warning : d.warnings) EXPECT_NE(warning.find(path_), std::string::npos);
  }
}

TEST_F(Hostile, BadChunkingIsAWarning) {
  Change([](hid_t file) {
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[4] = {12, 5, 2, 3};
    H5Pset_chunk(plist, 4, chunk);
    Replace(file, "/train/images", H5T_NATIVE_UINT8, {12, 5, 4, 3}, plist);
    H5Pclose(plist);
    H5Adelete(file, "sha256");
  });
  Dataset d;
  ASSERT_OK(OpenDataset(path_, {}, &d));
  ASSERT_EQ(d.warnings.size(), 2u);
  EXPECT_NE(d.warnings[1].find("cut samples apart"), std::string::npos) << d.warnings[1];
}

TEST_F(Hostile, ReadsWhileAnotherProgramHoldsALock) {
  const int fd = open(path_.c_str(), O_RDWR);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  Dataset d;
  EXPECT_OK(OpenDataset(path_, {}, &d));
  close(fd);
}

}  // namespace
}  // namespace distil::data
