// Importers: data sets in the formats people have, to a Dataset in RAM or straight to a file of distil's
// schema.
//
// Files are read as hostile. Every Parse function works on memory alone, so that it can be fuzzed; `name`
// opens its messages. Importers end with Finish and Validate: what they return can be trained on or written
// as it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/image.h"

namespace distil::data {

// --- CIFAR-10 and CIFAR-100, the authors' binary version
// -------------------------------------------------------
enum class CifarKind { kCifar10, kCifar100 };

// `from` is the .tar.gz (or any archive), or the folder with the .bin files, or the folder above it.
// CIFAR-100 gets its 100 fine labels. Names come from batches.meta.txt or fine_label_names.txt, with a
// warning when absent.
Status ImportCifar(CifarKind kind, const std::string& from, Dataset* dataset);

// Appends the records of one .bin file (label, pixels planar) to *split.
Status ParseCifar(CifarKind kind, const uint8_t* bytes, size_t size, const std::string& name, Split* split);
// One name per line.
Status ParseNames(const uint8_t* bytes, size_t size, const std::string& name, std::vector<std::string>* names);

// --- MNIST-style IDX, plain or gzip
// ----------------------------------------------------------------------------
struct IdxOptions {
  std::string from;  // folder with [prefix]train-images-idx3-ubyte[.gz], train-labels-..., t10k-... or test-...
  std::string train_images, train_labels, test_images, test_labels;  // or each file by name
  int height = 0, width = 0, channels = 0;  // resized and converted to; 0 keeps (MNIST: 28, 28, 1)
};
Status ImportIdx(const IdxOptions& options, Dataset* dataset);

struct IdxArray {
  std::vector<uint32_t> shape;
  std::vector<uint8_t> values;
};
Status ParseIdx(const uint8_t* bytes, size_t size, const std::string& name, IdxArray* array);

// --- Folder trees
// ----------------------------------------------------------------------------------------------
// train/<class>/*.{jpg,jpeg,png}, test/..., val/...; val alone serves as test (ImageNet's convention). Or a
// flat <class>/* tree, of which `holdout` of each class becomes test. Classes are sorted by name (byte
// order).
struct FolderOptions {
  std::string from;
  int height = 0, width = 0;  // required
  int channels = 3;
  Fit fit = Fit::kCrop;
  double holdout = 0;  // flat trees only, and required there, e.g. 0.2
  uint64_t seed = 0;   // of the hold-out
  int threads = 1;     // decoding; the result does not depend on it
};
Status ImportFolder(const FolderOptions& options, Dataset* dataset);
// The same without holding the images in RAM. *dataset gets all but the images.
Status ImportFolderToFile(const FolderOptions& options, const std::string& to, Dataset* dataset);

// --- HDF5 with other names
// ------------------------------------------------------------------------------------- Known by name:
// x_train/y_train/x_test/y_test (Keras, any case), data/label (Caffe, one file per split), train/images...,
// images/labels in one file per split. Whatever is not certain is an error that says which option decides it.
struct Hdf5Options {
  std::string from;       // the file, or the training file
  std::string from_test;  // the test file, when splits are separate files
  std::string train_images, train_labels, test_images, test_labels, val_images, val_labels;  // dataset paths
  enum class Layout { kUnknown, kNhwc, kNchw } layout = Layout::kUnknown;
  int height = 0, width = 0, channels = 0;                             // shape of a flattened (N, H*W*C) array
  enum class Range { kUnknown, k255, kUnit } range = Range::kUnknown;  // of float images: [0, 255] or [0, 1]
  int num_classes = 0;                                                 // 0: largest label + 1
  double holdout = 0;                                                  // when there is no test split
  uint64_t seed = 0;
};
Status ImportHdf5(const Hdf5Options& options, Dataset* dataset);

}  // namespace distil::data
