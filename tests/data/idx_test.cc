// MNIST-style IDX files, plain and gzip.
#include "data/importers.h"
#include "tests/data/util.h"

namespace distil::data {
namespace {

Bytes Idx(std::vector<uint32_t> shape, int modulus = 256) {
  Bytes bytes = {0, 0, 8, static_cast<uint8_t>(shape.size())};
  size_t n = 1;
  for (uint32_t d : shape) {
    for (int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<uint8_t>(d >> shift));
    n *= d;
  }
  for (size_t i = 0; i < n; ++i) bytes.push_back(static_cast<uint8_t>(i % static_cast<size_t>(modulus)));
  return bytes;
}

Status Parse(const Bytes& bytes, IdxArray* array) { return ParseIdx(bytes.data(), bytes.size(), "x", array); }

void WriteMnist(const TempFolder& folder) {
  WriteBytes(folder / "train-images-idx3-ubyte", Idx({40, 6, 5}));
  WriteBytes(folder / "train-labels-idx1-ubyte.gz", Gzip(Idx({40}, 10)));
  WriteBytes(folder / "t10k-images-idx3-ubyte.gz", Gzip(Idx({20, 6, 5})));
  WriteBytes(folder / "t10k-labels-idx1-ubyte", Idx({20}, 10));
}

TEST(Idx, Parse) {
  IdxArray array;
  ASSERT_OK(Parse(Idx({3, 2, 5}), &array));
  EXPECT_EQ(array.shape, (std::vector<uint32_t>{3, 2, 5}));
  EXPECT_EQ(array.values.size(), 30u);
  EXPECT_EQ(array.values[29], 29);
}

TEST(Idx, ParseDamage) {
  IdxArray array;
  ExpectError(Parse({}, &array), Code::kCorrupt, {"x: not an IDX file"});
  ExpectError(Parse({1, 2, 3, 4}, &array), Code::kCorrupt, {"x: not an IDX file"});
  ExpectError(Parse({0, 0, 13, 1}, &array), Code::kUnsupported, {"type 13", "uint8"});
  ExpectError(Parse({0, 0, 8, 0}, &array), Code::kCorrupt, {"rank 0"});
  ExpectError(Parse({0, 0, 8, 200}, &array), Code::kCorrupt, {"rank 200"});
  ExpectError(Parse({0, 0, 8, 3, 0, 0, 0, 1}, &array), Code::kCorrupt, {"header is truncated"});
  Bytes bytes = Idx({3, 2, 5});
  bytes.pop_back();
  ExpectError(Parse(bytes, &array), Code::kCorrupt, {"3x2x5", "30 bytes", "there are 29"});
  bytes.resize(bytes.size() + 2);
  ExpectError(Parse(bytes, &array), Code::kCorrupt, {"there are 31"});
  ExpectError(
      Parse({0, 0, 8, 4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}, &array),
      Code::kCorrupt, {"impossible IDX shape"});
}

TEST(Idx, FolderPlainAndGzip) {
  TempFolder folder;
  WriteMnist(folder);
  IdxOptions options;
  options.from = folder.path();
  Dataset d;
  ASSERT_OK(ImportIdx(options, &d));
  EXPECT_EQ(d.train().size(), 40);
  EXPECT_EQ(d.test().size(), 20);
  EXPECT_EQ(d.height, 6);
  EXPECT_EQ(d.width, 5);
  EXPECT_EQ(d.channels, 1);
  EXPECT_EQ(d.num_classes, 10);
  EXPECT_EQ(d.test().labels[13], 3);
  options.height = options.width = 32;
  options.channels = 3;
  ASSERT_OK(ImportIdx(options, &d));
  EXPECT_EQ(d.sample_bytes(), 3072u);
  EXPECT_EQ(d.mean.size(), 3u);
}

TEST(Idx, WhichFiles) {
  TempFolder folder;
  WriteMnist(folder);
  IdxOptions options;
  options.from = folder.path();
  Dataset d;
  WriteBytes(folder / "emnist-letters-train-images-idx3-ubyte", Idx({40, 6, 5}));
  ExpectError(ImportIdx(options, &d), Code::kInvalidArgument,
              {folder.path(), "could be meant", "name the files one by one"});
  options.train_images = folder / "train-images-idx3-ubyte";
  EXPECT_OK(ImportIdx(options, &d));
  options.from = folder / "nowhere";
  ExpectError(ImportIdx(options, &d), Code::kNotFound, {"nowhere", "No such file"});
  options.from = "";
  ExpectError(ImportIdx(options, &d), Code::kInvalidArgument, {"all four"});
  TempFolder empty;
  options.from = empty.path();
  options.train_images = "";
  ExpectError(ImportIdx(options, &d), Code::kNotFound, {"train-images-idx3-ubyte.gz"});
}

TEST(Idx, FilesThatDoNotFit) {
  TempFolder folder;
  WriteMnist(folder);
  IdxOptions options;
  options.from = folder.path();
  Dataset d;
  WriteBytes(folder / "t10k-labels-idx1-ubyte", Idx({19}, 10));
  ExpectError(ImportIdx(options, &d), Code::kCorrupt, {"t10k-labels-idx1-ubyte", "19 labels for 20 images"});
  WriteBytes(folder / "t10k-labels-idx1-ubyte", Idx({20}, 11));
  ExpectError(ImportIdx(options, &d), Code::kCorrupt, {"t10k-labels-idx1-ubyte", "label at index 10 is 10"});
  WriteBytes(folder / "t10k-labels-idx1-ubyte", Idx({20, 1}, 10));
  ExpectError(ImportIdx(options, &d), Code::kCorrupt, {"t10k-labels-idx1-ubyte", "rank 2 is not labels"});
  WriteBytes(folder / "t10k-labels-idx1-ubyte", Idx({20}, 10));
  WriteBytes(folder / "t10k-images-idx3-ubyte.gz", Gzip(Idx({20, 5, 6})));
  ExpectError(ImportIdx(options, &d), Code::kCorrupt, {"t10k-images-idx3-ubyte", "5x6x1", "6x5x1"});
  WriteBytes(folder / "train-images-idx3-ubyte", Idx({40}));
  ExpectError(ImportIdx(options, &d), Code::kCorrupt, {"train-images-idx3-ubyte", "rank 1 is not images"});
  WriteBytes(folder / "train-images-idx3-ubyte", Idx({0, 6, 5}));
  WriteBytes(folder / "train-labels-idx1-ubyte.gz", Gzip(Idx({0})));
  WriteBytes(folder / "t10k-images-idx3-ubyte.gz", Gzip(Idx({20, 6, 5})));
  ExpectError(ImportIdx(options, &d), Code::kCorrupt, {"train-images-idx3-ubyte", "has no samples"});
  Bytes gz = Gzip(Idx({40}, 10));
  gz.resize(gz.size() / 2);
  WriteBytes(folder / "train-images-idx3-ubyte", Idx({40, 6, 5}));
  WriteBytes(folder / "train-labels-idx1-ubyte.gz", gz);
  ExpectError(ImportIdx(options, &d), Code::kCorrupt, {"train-labels-idx1-ubyte.gz"});
}

}  // namespace
}  // namespace distil::data
