// Files of distil's schema: what is written is read back, and a failed write leaves nothing.
#include "data/hdf5_file.h"

#include <hdf5.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "data/digest.h"
#include "tests/data/util.h"

namespace distil::data {
namespace {

void ExpectSame(const Dataset& a, const Dataset& b) {
  for (SplitKind kind : kAllSplits) {
    EXPECT_EQ(a.split(kind).labels, b.split(kind).labels);
    EXPECT_EQ(a.split(kind).images, b.split(kind).images);
  }
  EXPECT_EQ(a.height, b.height);
  EXPECT_EQ(a.width, b.width);
  EXPECT_EQ(a.channels, b.channels);
  EXPECT_EQ(a.num_classes, b.num_classes);
  EXPECT_EQ(a.class_names, b.class_names);
  EXPECT_EQ(a.mean, b.mean);
  EXPECT_EQ(a.std, b.std);
  EXPECT_EQ(a.digest, b.digest);
  EXPECT_EQ(a.source, b.source);
}

TEST(Hdf5, RoundTrip) {
  TempFolder folder;
  const Dataset written = Toy(50, 20, 10);
  ASSERT_OK(WriteDataset(written, folder / "toy.h5"));
  Dataset read;
  ASSERT_OK(OpenDataset(folder / "toy.h5", {}, &read));
  ExpectSame(written, read);
  EXPECT_TRUE(read.warnings.empty());
  EXPECT_EQ(folder.Names(), std::vector<std::string>{"toy.h5"});
}

TEST(Hdf5, RoundTripInChunks) {
  TempFolder folder;
  const Dataset written = Toy(5000, 2500);  // 300 kB: more than two chunks
  WriteOptions options;
  options.contiguous_limit = 0;
  ASSERT_OK(WriteDataset(written, folder / "toy.h5", options));
  Dataset read;
  ASSERT_OK(OpenDataset(folder / "toy.h5", {}, &read));
  ExpectSame(written, read);
  EXPECT_TRUE(read.warnings.empty()) << read.warnings[0];
  StorageInfo info;
  ASSERT_OK(ReadStorage(folder / "toy.h5", SplitKind::kTrain, &info));
  EXPECT_EQ(info.layout, "chunked");
  EXPECT_EQ(info.filters, "deflate 1");
  EXPECT_GE(info.chunk_bytes, 64u << 10);
  EXPECT_LE(info.chunk_bytes, 256u << 10);
  ASSERT_OK(WriteDataset(written, folder / "toy.h5"));  // and over an existing file
  ASSERT_OK(ReadStorage(folder / "toy.h5", SplitKind::kTrain, &info));
  EXPECT_EQ(info.layout, "contiguous");
  EXPECT_EQ(info.stored_bytes, 5000u * 60);
}

TEST(Hdf5, ManyLongClassNames) {  // more than the 64 KiB that HDF5 allows an attribute by default
  TempFolder folder;
  Dataset written = Toy(10, 5);
  written.num_classes = 5000;
  written.class_names.clear();
  for (int c = 0; c < 5000; ++c)
    written.class_names.push_back("a rather long name of class " + std::to_string(c) + " \xc3\xa9");
  Finish(&written);
  ASSERT_OK(WriteDataset(written, folder / "toy.h5"));
  Dataset read;
  ASSERT_OK(OpenDataset(folder / "toy.h5", {}, &read));
  ExpectSame(written, read);
}

TEST(Hdf5, SchemaAsDocumented) {
  TempFolder folder;
  ASSERT_OK(WriteDataset(Toy(9, 5), folder / "toy.h5"));
  const hid_t file = H5Fopen((folder / "toy.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  for (const char* name :
       {"schema_version", "num_classes", "class_names", "mean", "std", "layout", "source_url", "sha256"}) {
    EXPECT_GT(H5Aexists(file, name), 0) << name;
  }
  const hid_t labels = H5Dopen2(file, "/train/labels", H5P_DEFAULT), type = H5Dget_type(labels);
  EXPECT_GT(H5Tequal(type, H5T_STD_I64LE), 0);
  const hid_t images = H5Dopen2(file, "/test/images", H5P_DEFAULT), space = H5Dget_space(images);
  hsize_t dims[4];
  ASSERT_EQ(H5Sget_simple_extent_ndims(space), 4);
  H5Sget_simple_extent_dims(space, dims, nullptr);
  EXPECT_EQ(dims[0], 5u);
  EXPECT_EQ(dims[1], 5u);
  EXPECT_EQ(dims[2], 4u);
  EXPECT_EQ(dims[3], 3u);
  H5Sclose(space), H5Tclose(type), H5Dclose(labels), H5Dclose(images), H5Fclose(file);
}

TEST(Hdf5, StreamedOpenLeavesImagesOnDisk) {
  TempFolder folder;
  const Dataset written = Toy(50, 20);
  ASSERT_OK(WriteDataset(written, folder / "toy.h5"));
  Dataset read;
  ReadOptions options;
  options.ram_limit = 50 * 60 - 1;
  ASSERT_OK(OpenDataset(folder / "toy.h5", options, &read));
  EXPECT_TRUE(read.train().streamed());
  EXPECT_TRUE(read.train().images.empty());
  EXPECT_EQ(read.train().labels, written.train().labels);
  EXPECT_EQ(read.digest, written.digest);
}

TEST(Hdf5, WriterInPieces) {
  TempFolder folder;
  const Dataset whole = Toy(50, 20, 10);
  Dataset meta = whole;
  for (Split& split : meta.splits) split.images.clear();
  meta.mean.clear(), meta.std.clear(), meta.digest.clear();
  Bytes all = whole.train().images;
  all.insert(all.end(), whole.val().images.begin(), whole.val().images.end());
  all.insert(all.end(), whole.test().images.begin(), whole.test().images.end());
  DatasetWriter writer;
  ASSERT_OK(writer.Create(folder / "toy.h5", meta));
  for (int64_t first = 0; first < 80; first += 7) {  // pieces that cross the borders of splits
    ASSERT_OK(writer.Append(all.data() + first * 60, std::min<int64_t>(7, 80 - first)));
  }
  ASSERT_OK(writer.Finish(&meta));
  EXPECT_EQ(meta.digest, whole.digest);
  Dataset read;
  ASSERT_OK(OpenDataset(folder / "toy.h5", {}, &read));
  ExpectSame(whole, read);
}

TEST(Hdf5, WriterRefusesWrongCounts) {
  TempFolder folder;
  Dataset d = Toy(5, 5);
  DatasetWriter writer;
  ASSERT_OK(writer.Create(folder / "toy.h5", d));
  ASSERT_OK(writer.Append(d.train().images.data(), 5));
  ExpectError(writer.Finish(&d), Code::kFailedPrecondition, {"toy.h5", "fewer images than labels"});
  ASSERT_OK(writer.Append(d.test().images.data(), 5));
  ExpectError(writer.Append(d.test().images.data(), 1), Code::kFailedPrecondition,
              {"toy.h5", "more images than labels"});
}

TEST(Hdf5, AbandonedWriterLeavesNothing) {
  TempFolder folder;
  const Dataset d = Toy(5, 5);
  {
    DatasetWriter writer;
    ASSERT_OK(writer.Create(folder / "toy.h5", d));
    ASSERT_OK(writer.Append(d.train().images.data(), 5));
    EXPECT_EQ(folder.Names().size(), 1u);
  }
  EXPECT_TRUE(folder.Names().empty());
}

TEST(Hdf5, UnwritablePlaces) {
  TempFolder folder;
  const Dataset d = Toy(5, 5);
  ExpectError(WriteDataset(d, folder / "no/such/toy.h5"), Code::kNotFound,
              {"no/such/toy.h5", "No such file or directory"});
  ExpectError(WriteDataset(d, folder.path()), Code::kInvalidArgument, {folder.path(), "is a folder"});
  ExpectError(WriteDataset(d, "/dev/full"), Code::kInvalidArgument, {"/dev/full", "not a regular file"});
  ASSERT_EQ(chmod(folder.path().c_str(), 0555), 0);
  {
    AsNobody nobody;
    ExpectError(WriteDataset(d, folder / "toy.h5"), Code::kIo, {"toy.h5", "Permission denied"});
  }
  chmod(folder.path().c_str(), 0755);
}

// In a child process whose files may have at most `limit` bytes, as on a disk that is full from there on. The
// child leaves through exit(), so that HDF5's own cleaning up at exit runs too.
void WriteUnderLimit(const Dataset& d, const std::string& path, rlim_t limit, const WriteOptions& options) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit file_size = {limit, limit};
    setrlimit(RLIMIT_FSIZE, &file_size);
    const Status status = WriteDataset(d, path, options);
    const bool named = status.message().find(path) != std::string::npos;
    exit(status.ok() ? 0 : status.code() == Code::kIo && named ? 1 : 2);
  }
  int result = 0;
  ASSERT_EQ(waitpid(child, &result, 0), child);
  ASSERT_TRUE(WIFEXITED(result)) << "killed by signal " << WTERMSIG(result) << " at limit " << limit;
  EXPECT_EQ(WEXITSTATUS(result), 1) << "at limit " << limit;
}

TEST(Hdf5, FullDiskLeavesNoFile) {
  TempFolder folder;
  const Dataset d = Toy(500, 200);
  const std::string path = folder / "toy.h5";
  for (const uint64_t contiguous_limit : {uint64_t{0}, ~uint64_t{0}}) {
    WriteOptions options;
    options.contiguous_limit = contiguous_limit;
    ASSERT_OK(WriteDataset(d, path, options));
    const auto size = static_cast<rlim_t>(ReadBytes(path).size());
    unlink(path.c_str());
    for (rlim_t limit = 0; limit < size; limit += 1 + size / 23) {
      WriteUnderLimit(d, path, limit, options);
      EXPECT_TRUE(folder.Names().empty()) << "at limit " << limit;
    }
    WriteUnderLimit(d, path, size - 1, options);
    EXPECT_TRUE(folder.Names().empty());
  }
}

TEST(Hdf5, FullDiskLeavesTheOldFile) {
  TempFolder folder;
  const Dataset old = Toy(5, 5), bigger = Toy(500, 200);
  const std::string path = folder / "toy.h5";
  ASSERT_OK(WriteDataset(old, path));
  const Bytes before = ReadBytes(path);
  WriteUnderLimit(bigger, path, 20000, {});
  EXPECT_EQ(ReadBytes(path), before);
  EXPECT_EQ(folder.Names(), std::vector<std::string>{"toy.h5"});
}

TEST(Hdf5, FileIsTheSameEveryTime) {
  TempFolder folder;
  const Dataset d = Toy(50, 20);
  ASSERT_OK(WriteDataset(d, folder / "a.h5"));
  usleep(1100000);  // a time of day in the file would show
  ASSERT_OK(WriteDataset(d, folder / "b.h5"));
  EXPECT_EQ(ReadBytes(folder / "a.h5"), ReadBytes(folder / "b.h5"));
}

}  // namespace
}  // namespace distil::data
