// Writing a file of distil's schema, whole or not at all.
#include <algorithm>

#include "data/digest.h"
#include "data/files.h"
#include "data/h5.h"
#include "data/h5_driver.h"
#include "data/hdf5_file.h"
#include "data/stats.h"

namespace distil::data {

// Members are destroyed from the last to the first: HDF5's objects, then its file, then the file itself.
struct DatasetWriter::State {
  AtomicFile target;
  std::string path;
  Dataset meta;  // labels and shape; no images
  WriteLog log;
  H5Id driver, file, images;
  std::unique_ptr<ContentDigest> digest;
  std::unique_ptr<ChannelStats> stats;
  size_t split = 0;    // being written
  int64_t rows = 0;    // of it already written
  uint64_t total = 0;  // bytes of images in all splits
  WriteOptions options;

  // After a call to HDF5: did it work, and did all that it has written so far reach the file?
  Status Check(bool ok, const std::string& what) const {
    if (log.error != 0) return FileError(path, "cannot be written", log.error);
    if (!ok) return Internal(path + ": cannot be written (" + what + "): " + H5Cause());
    return {};
  }
};

namespace {

bool WriteAttribute(hid_t file, const char* name, hid_t type, size_t count, bool list, const void* values) {
  const hsize_t dims[1] = {count};
  H5Id space(list ? H5Screate_simple(1, dims, nullptr) : H5Screate(H5S_SCALAR));
  H5Id attribute(H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT));
  return attribute.ok() && H5Awrite(attribute, type, values) >= 0 && attribute.Close();
}

bool WriteStrings(hid_t file, const char* name, const std::vector<std::string>& values, bool list) {
  H5Id type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type, H5T_VARIABLE);
  H5Tset_cset(type, H5T_CSET_UTF8);
  std::vector<const char*> pointers;
  for (const auto& v : values) pointers.push_back(v.c_str());
  return WriteAttribute(file, name, type, pointers.size(), list, pointers.data());
}

bool WriteAttributes(hid_t file, const Dataset& d) {
  const int64_t version = kSchemaVersion, classes = d.num_classes;
  return WriteAttribute(file, "schema_version", H5T_NATIVE_INT64, 1, false, &version) &&
         WriteAttribute(file, "num_classes", H5T_NATIVE_INT64, 1, false, &classes) &&
         (d.class_names.empty() || WriteStrings(file, "class_names", d.class_names, true)) &&
         WriteAttribute(file, "mean", H5T_NATIVE_DOUBLE, d.mean.size(), true, d.mean.data()) &&
         WriteAttribute(file, "std", H5T_NATIVE_DOUBLE, d.std.size(), true, d.std.data()) &&
         WriteStrings(file, "layout", {"NHWC"}, false) && WriteStrings(file, "source_url", {d.source}, false) &&
         WriteStrings(file, "sha256", {d.digest}, false);
}

// A property list that keeps the time of day out of the file: equal content gives equal files.
H5Id Timeless(hid_t kind) {
  H5Id plist(H5Pcreate(kind));
  H5Pset_obj_track_times(plist, false);
  return plist;
}

bool WriteLabels(hid_t file, const std::string& name, const std::vector<int32_t>& labels) {
  const hsize_t n = labels.size();
  H5Id space(H5Screate_simple(1, &n, nullptr));
  H5Id plist = Timeless(H5P_DATASET_CREATE);
  H5Id array(H5Dcreate2(file, name.c_str(), H5T_STD_I64LE, space, H5P_DEFAULT, plist, H5P_DEFAULT));
  return array.ok() && H5Dwrite(array, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, labels.data()) >= 0 &&
         array.Close();
}

}  // namespace

DatasetWriter::DatasetWriter() = default;

DatasetWriter::~DatasetWriter() {
  H5Scope scope;
  state_.reset();
}

Status DatasetWriter::Create(const std::string& path, const Dataset& meta, const WriteOptions& options) {
  H5Scope scope;
  auto state = std::make_unique<State>();
  State& s = *state;
  s.path = path;
  s.options = options;
  s.meta.height = meta.height, s.meta.width = meta.width, s.meta.channels = meta.channels;
  s.meta.num_classes = meta.num_classes;
  s.meta.class_names = meta.class_names;
  s.meta.source = meta.source;
  uint64_t overhead = 1 << 16;
  for (const auto& name : meta.class_names) overhead += name.size() + 64;
  for (SplitKind kind : kAllSplits) {
    s.meta.split(kind).labels = meta.split(kind).labels;
    const uint64_t n = meta.split(kind).labels.size();
    s.total += n * meta.sample_bytes();
    overhead += n * sizeof(int64_t);
  }
  {
    Dataset check = s.meta;  // mean and std are not known yet
    check.mean.assign(static_cast<size_t>(std::max(0, meta.channels)), 0.5);
    check.std = check.mean;
    for (Split& split : check.splits) split.file = split.labels.empty() ? "" : path;
    DISTIL_RETURN_IF_ERROR(Validate(check, path));
  }
  const bool contiguous = s.total < options.contiguous_limit;
  DISTIL_RETURN_IF_ERROR(s.target.Begin(path, overhead + (contiguous ? s.total : s.total / 8)));
  H5Id create = Timeless(H5P_FILE_CREATE), access(H5Pcreate(H5P_FILE_ACCESS));
  H5Pset_libver_bounds(access, H5F_LIBVER_V18,
                       H5F_LIBVER_LATEST);  // attributes beyond 64 KiB: many class names
  H5Pset_file_locking(access, false, true);
  s.driver = H5Id(UseSafeDriver(access, &s.log));
  DISTIL_RETURN_IF_ERROR(s.Check(s.driver.ok(), "driver"));
  s.file = H5Id(H5Fcreate(s.target.temporary().c_str(), H5F_ACC_EXCL, create, access));
  DISTIL_RETURN_IF_ERROR(s.Check(s.file.ok(), "creating it"));
  s.digest = std::make_unique<ContentDigest>(s.meta);
  s.stats = std::make_unique<ChannelStats>(s.meta.channels);
  state_ = std::move(state);
  return BeginSplit();
}

// Makes the group, labels and image array of the current split, or of the next that has samples.
Status DatasetWriter::BeginSplit() {
  State& s = *state_;
  while (s.split < kAllSplits.size() && s.meta.splits[s.split].size() == 0) ++s.split;
  if (s.split == kAllSplits.size()) return {};
  const SplitKind kind = kAllSplits[s.split];
  const Split& split = s.meta.splits[s.split];
  const std::string group_name = std::string("/") + SplitName(kind);
  H5Id group_plist = Timeless(H5P_GROUP_CREATE);
  H5Id group(H5Gcreate2(s.file, group_name.c_str(), H5P_DEFAULT, group_plist, H5P_DEFAULT));
  DISTIL_RETURN_IF_ERROR(s.Check(group.ok(), group_name));
  DISTIL_RETURN_IF_ERROR(s.Check(WriteLabels(s.file, group_name + "/labels", split.labels), "labels"));
  const uint64_t sample = s.meta.sample_bytes();
  const hsize_t dims[4] = {static_cast<hsize_t>(split.size()), static_cast<hsize_t>(s.meta.height),
                           static_cast<hsize_t>(s.meta.width), static_cast<hsize_t>(s.meta.channels)};
  H5Id space(H5Screate_simple(4, dims, nullptr)), plist = Timeless(H5P_DATASET_CREATE);
  if (s.total >= s.options.contiguous_limit) {
    constexpr uint64_t kChunkBytes = 128 << 10;
    const hsize_t rows = std::clamp<uint64_t>(kChunkBytes / sample, 1, dims[0]);
    const hsize_t chunk[4] = {rows, dims[1], dims[2], dims[3]};
    H5Pset_chunk(plist, 4, chunk);
    H5Pset_deflate(plist, 1);
  }
  H5Pset_fill_time(plist, H5D_FILL_TIME_NEVER);
  const std::string name = group_name + "/images";
  s.images = H5Id(H5Dcreate2(s.file, name.c_str(), H5T_STD_U8LE, space, H5P_DEFAULT, plist, H5P_DEFAULT));
  DISTIL_RETURN_IF_ERROR(s.Check(s.images.ok(), name));
  s.rows = 0;
  s.digest->BeginSplit(kind, split.labels);
  return {};
}

Status DatasetWriter::Append(const uint8_t* images, int64_t count) {
  if (!state_) return FailedPrecondition("a data set writer was used before Create");
  H5Scope scope;
  State& s = *state_;
  const size_t sample = s.meta.sample_bytes();
  while (count > 0) {
    if (s.split == kAllSplits.size()) return FailedPrecondition(s.path + ": more images than labels were written");
    const Split& split = s.meta.splits[s.split];
    const int64_t now = std::min(count, split.size() - s.rows);
    const hsize_t start[4] = {static_cast<hsize_t>(s.rows), 0, 0, 0};
    const hsize_t size[4] = {static_cast<hsize_t>(now), static_cast<hsize_t>(s.meta.height),
                             static_cast<hsize_t>(s.meta.width), static_cast<hsize_t>(s.meta.channels)};
    H5Id file_space(H5Dget_space(s.images)), memory_space(H5Screate_simple(4, size, nullptr));
    const bool ok = H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, nullptr, size, nullptr) >= 0 &&
                    H5Dwrite(s.images, H5T_NATIVE_UINT8, memory_space, file_space, H5P_DEFAULT, images) >= 0;
    DISTIL_RETURN_IF_ERROR(s.Check(ok, "images"));
    const size_t bytes = static_cast<size_t>(now) * sample;
    s.digest->Images(images, bytes);
    if (kAllSplits[s.split] == SplitKind::kTrain) s.stats->Add(images, bytes);
    images += bytes;
    count -= now;
    s.rows += now;
    if (s.rows == split.size()) {
      const bool closed = s.images.Close();
      DISTIL_RETURN_IF_ERROR(s.Check(closed, "images"));
      ++s.split;
      DISTIL_RETURN_IF_ERROR(BeginSplit());
    }
  }
  return {};
}

Status DatasetWriter::Finish(Dataset* meta) {
  if (!state_) return FailedPrecondition("a data set writer was used before Create");
  H5Scope scope;
  State& s = *state_;
  if (s.split != kAllSplits.size()) return FailedPrecondition(s.path + ": fewer images than labels were written");
  s.stats->Get(&s.meta.mean, &s.meta.std);
  s.meta.digest = s.digest->Finish(s.meta);
  const bool written = WriteAttributes(s.file, s.meta) && s.file.Close();
  DISTIL_RETURN_IF_ERROR(s.Check(written, "attributes"));
  DISTIL_RETURN_IF_ERROR(s.target.Commit());
  meta->mean = s.meta.mean, meta->std = s.meta.std, meta->digest = s.meta.digest;
  state_.reset();
  return {};
}

Status WriteDataset(const Dataset& dataset, const std::string& path, const WriteOptions& options) {
  DatasetWriter writer;
  DISTIL_RETURN_IF_ERROR(Validate(dataset, path));
  DISTIL_RETURN_IF_ERROR(writer.Create(path, dataset, options));
  constexpr size_t kPieceBytes = 4 << 20;
  const int64_t rows = std::max<int64_t>(1, static_cast<int64_t>(kPieceBytes / dataset.sample_bytes()));
  for (SplitKind kind : kAllSplits) {
    const Split& split = dataset.split(kind);
    if (split.streamed()) return FailedPrecondition(path + ": a streamed data set cannot be written again");
    for (int64_t first = 0; first < split.size(); first += rows) {
      DISTIL_RETURN_IF_ERROR(writer.Append(split.images.data() + static_cast<size_t>(first) * dataset.sample_bytes(),
                                           std::min(rows, split.size() - first)));
    }
  }
  Dataset meta;
  return writer.Finish(&meta);
}

}  // namespace distil::data
