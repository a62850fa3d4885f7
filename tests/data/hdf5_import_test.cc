// HDF5 files of other people: names, layouts, value ranges; and what is refused for want of certainty.
#include <hdf5.h>

#include <numeric>

#include "data/importers.h"
#include "tests/data/util.h"

namespace distil::data {
namespace {

using Shape = std::vector<hsize_t>;

hsize_t Count(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), hsize_t{1}, std::multiplies<>());
}

// Element i of every array is i * step mod modulus, so the place of each value is known.
void Put(hid_t file, const std::string& name, hid_t type, const Shape& shape, int modulus, double scale = 1) {
  std::vector<double> values(Count(shape));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i % static_cast<size_t>(modulus)) * scale;
  const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links, 1);
  const hid_t array = H5Dcreate2(file, name.c_str(), type, space, links, H5P_DEFAULT, H5P_DEFAULT);
  ASSERT_GE(array, 0);
  H5Dwrite(array, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  H5Dclose(array), H5Pclose(links), H5Sclose(space);
}

class Import : public ::testing::Test {
 protected:
  hid_t Create(const std::string& name) {
    return H5Fcreate((folder_ / name).c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  }
  Hdf5Options From(const std::string& name) {
    Hdf5Options options;
    options.from = folder_ / name;
    return options;
  }
  TempFolder folder_;
};

TEST_F(Import, Keras) {
  const hid_t file = Create("k.h5");
  Put(file, "/x_train", H5T_NATIVE_UINT8, {12, 5, 4, 3}, 251);
  Put(file, "/y_train", H5T_NATIVE_INT64, {12, 1}, 3);
  Put(file, "/X_test", H5T_NATIVE_UINT8, {6, 5, 4, 3}, 251);
  Put(file, "/Y_test", H5T_NATIVE_UINT8, {6}, 3);
  H5Fclose(file);
  Dataset d;
  ASSERT_OK(ImportHdf5(From("k.h5"), &d));
  EXPECT_EQ(d.height, 5);
  EXPECT_EQ(d.width, 4);
  EXPECT_EQ(d.channels, 3);
  EXPECT_EQ(d.num_classes, 3);
  EXPECT_EQ(d.train().labels[4], 1);
  EXPECT_EQ(d.train().images[300], 300 - 251);
  EXPECT_EQ(d.warnings.size(), 1u);  // the number of classes was not given
}

TEST_F(Import, CaffeInTwoFilesAsNchwFloats) {
  for (const char* name : {"train.h5", "test.h5"}) {
    const hid_t file = Create(name);
    Put(file, "/data", H5T_NATIVE_FLOAT, {6, 3, 5, 4}, 251, 1.0 / 255);
    Put(file, "/label", H5T_NATIVE_INT, {6, 1}, 2);
    H5Fclose(file);
  }
  Hdf5Options options = From("train.h5");
  options.from_test = folder_ / "test.h5";
  Dataset d;
  ExpectError(ImportHdf5(options, &d), Code::kInvalidArgument, {"train.h5: /data", "float32", "range"});
  options.range = Hdf5Options::Range::kUnit;
  options.num_classes = 2;
  ASSERT_OK(ImportHdf5(options, &d));
  EXPECT_TRUE(d.warnings.empty());
  for (size_t p = 0; p < 20; ++p) {
    for (size_t c = 0; c < 3; ++c) ASSERT_EQ(d.test().images[60 + 3 * p + c], 60 + 20 * c + p);
  }
  options.range = Hdf5Options::Range::k255;  // all values are below 1, so nearly all become 0 or 1
  ASSERT_OK(ImportHdf5(options, &d));
  options.range = Hdf5Options::Range::kUnit;
  const hid_t file = Create("test.h5");
  Put(file, "/data", H5T_NATIVE_FLOAT, {6, 3, 5, 4}, 251);
  Put(file, "/label", H5T_NATIVE_INT, {6}, 2);
  H5Fclose(file);
  ExpectError(ImportHdf5(options, &d), Code::kCorrupt, {"test.h5: /data", "sample 0", "outside 0 to 1"});
}

TEST_F(Import, AmbiguousLayout) {
  const hid_t file = Create("a.h5");
  Put(file, "/train/images", H5T_NATIVE_UINT8, {6, 3, 5, 3}, 251);
  Put(file, "/train/labels", H5T_NATIVE_INT, {6}, 2);
  Put(file, "/test/images", H5T_NATIVE_UINT8, {6, 3, 5, 3}, 251);
  Put(file, "/test/labels", H5T_NATIVE_INT, {6}, 2);
  H5Fclose(file);
  Hdf5Options options = From("a.h5");
  Dataset d;
  ExpectError(ImportHdf5(options, &d), Code::kInvalidArgument,
              {"/train/images", "(6, 3, 5, 3)", "layout (nhwc or nchw)"});
  options.layout = Hdf5Options::Layout::kNchw;
  ASSERT_OK(ImportHdf5(options, &d));
  EXPECT_EQ(d.height, 5);
  EXPECT_EQ(d.width, 3);
  options.layout = Hdf5Options::Layout::kNhwc;
  ASSERT_OK(ImportHdf5(options, &d));
  EXPECT_EQ(d.height, 3);
  EXPECT_EQ(d.width, 5);
}

TEST_F(Import, FlatRowsNeedAShape) {
  const hid_t file = Create("f.h5");
  Put(file, "/pixels", H5T_NATIVE_UINT8, {10, 60}, 251);
  Put(file, "/class", H5T_NATIVE_INT, {10}, 2);
  H5Fclose(file);
  Hdf5Options options = From("f.h5");
  options.holdout = 0.4;
  Dataset d;
  ExpectError(ImportHdf5(options, &d), Code::kInvalidArgument,
              {"cannot tell which datasets", "train_images", "train_labels", "/class, /pixels"});
  options.train_images = "pixels";
  ExpectError(ImportHdf5(options, &d), Code::kInvalidArgument, {"cannot tell which datasets"});
  options.train_labels = "/class";
  ExpectError(ImportHdf5(options, &d), Code::kInvalidArgument,
              {"/pixels", "(10, 60)", "height, width, channels and layout"});
  options.layout = Hdf5Options::Layout::kNchw;
  options.height = 5, options.width = 4, options.channels = 1;
  ExpectError(ImportHdf5(options, &d), Code::kInvalidArgument, {"does not fit images of 5x4x1"});
  options.channels = 3;
  ASSERT_OK(ImportHdf5(options, &d));
  EXPECT_EQ(d.train().size(), 6);
  EXPECT_EQ(d.test().size(), 4);
  options.holdout = 0;
  ExpectError(ImportHdf5(options, &d), Code::kInvalidArgument, {"f.h5", "no test split", "test_images"});
}

TEST_F(Import, TwoCandidates) {
  const hid_t file = Create("t.h5");
  for (const char* name : {"/x_train", "/X_train"}) Put(file, name, H5T_NATIVE_UINT8, {6, 5, 4}, 251);
  Put(file, "/y_train", H5T_NATIVE_INT, {6}, 2);
  H5Fclose(file);
  Dataset d;
  ExpectError(ImportHdf5(From("t.h5"), &d), Code::kInvalidArgument,
              {"/X_train and /x_train could both be meant", "choose with train_images"});
}

TEST_F(Import, Refused) {
  const hid_t file = Create("r.h5");
  Put(file, "/x_train", H5T_NATIVE_INT, {6, 5, 4, 3}, 300);
  Put(file, "/y_train", H5T_NATIVE_INT, {6}, 2);
  Put(file, "/x_test", H5T_NATIVE_UINT8, {6, 5, 4, 3}, 251);
  Put(file, "/y_test", H5T_NATIVE_INT, {6, 10}, 2);
  Put(file, "/one", H5T_NATIVE_INT, {1}, 2);
  Put(file, "/none", H5T_NATIVE_UINT8, {0, 5, 4, 3}, 2);
  Put(file, "/nothing", H5T_NATIVE_INT, {0}, 2);
  Put(file, "/small", H5T_NATIVE_UINT8, {6, 4, 4, 3}, 200);
  H5Fclose(file);
  Dataset d;
  Hdf5Options options = From("r.h5");
  ExpectError(ImportHdf5(options, &d), Code::kCorrupt, {"r.h5: /x_train", "sample 4", "outside 0 to 255"});
  options.train_images = "/x_test";
  ExpectError(ImportHdf5(options, &d), Code::kCorrupt, {"r.h5: /y_test", "(6, 10)", "expected (N)"});
  options.test_labels = "/one";
  ExpectError(ImportHdf5(options, &d), Code::kCorrupt, {"/one", "there are 6 images"});
  options.test_labels = "/y_train";
  options.test_images = "/small";
  ExpectError(ImportHdf5(options, &d), Code::kCorrupt, {"/small", "4x4x3", "training images are 5x4x3"});
  options.test_images = "/absent";
  ExpectError(ImportHdf5(options, &d), Code::kNotFound, {"r.h5: /absent", "no such dataset"});
  options.test_images = "/x_test";
  options.num_classes = 1;
  ExpectError(ImportHdf5(options, &d), Code::kCorrupt, {"/y_train", "index 1 is 1"});
  options.train_images = "/none", options.train_labels = "/nothing";
  ExpectError(ImportHdf5(options, &d), Code::kCorrupt, {"/none", "no samples"});
  options.from_test = folder_ / "absent.h5";
  ExpectError(ImportHdf5(options, &d), Code::kNotFound, {"absent.h5"});
  WriteBytes(folder_ / "r.h5", Bytes(100, 'x'));
  options.from_test = "";
  ExpectError(ImportHdf5(options, &d), Code::kCorrupt, {"r.h5", "not a readable HDF5 file"});
}

}  // namespace
}  // namespace distil::data
