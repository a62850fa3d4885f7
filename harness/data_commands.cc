// import, synth, inspect: data sets in and out of HDF5.
#include <cstdio>

#include "data/hdf5_file.h"
#include "data/importers.h"
#include "data/inspect.h"
#include "data/synth.h"
#include "harness/cli.h"
#include "harness/files.h"
#include "harness/text.h"

namespace distil::harness {
namespace {

struct ImportOptions {
  std::string to;
  Common common;
  double validation = 0;
  int64_t seed = 0;
  data::CifarKind cifar = data::CifarKind::kCifar100;
  std::string cifar_from;
  data::IdxOptions idx;
  data::FolderOptions folder;
  data::Hdf5Options hdf5;
  bool stretch = false, stream = false;
  std::string layout, range;
};

int Done(const data::Dataset& d, const std::string& to, const Common& common) {
  if (common.json) {
    Json line = {{"file", to},
                 {"sha256", d.digest},
                 {"train", d.train().size()},
                 {"val", d.val().size()},
                 {"test", d.test().size()},
                 {"classes", d.num_classes},
                 {"height", d.height},
                 {"width", d.width},
                 {"channels", d.channels},
                 {"warnings", d.warnings}};
    std::printf("%s\n", Canonical(line).c_str());
    return kExitOk;
  }
  if (!common.quiet)
    for (const std::string& warning : d.warnings) std::fprintf(stderr, "harness: note: %s\n", warning.c_str());
  std::printf("%s: %s training and %s test images %dx%dx%d, %d classes, digest %s\n", to.c_str(),
              Grouped(d.train().size()).c_str(), Grouped(d.test().size()).c_str(), d.height, d.width, d.channels,
              d.num_classes, d.digest.substr(0, 12).c_str());
  return kExitOk;
}

Status Write(const ImportOptions& o, data::Dataset* d) {
  if (o.validation > 0) {
    DISTIL_RETURN_IF_ERROR(data::HoldOut(d, o.validation, static_cast<uint64_t>(o.seed), data::SplitKind::kVal));
    data::Finish(d);
  }
  return data::WriteDataset(*d, o.to);
}

int Import(const std::string& format, ImportOptions& o) {
  data::Dataset d;
  Status status;
  if (format == "cifar10" || format == "cifar100") {
    status = data::ImportCifar(format == "cifar10" ? data::CifarKind::kCifar10 : data::CifarKind::kCifar100,
                               o.cifar_from, &d);
  } else if (format == "idx") {
    status = data::ImportIdx(o.idx, &d);
  } else if (format == "folder") {
    o.folder.fit = o.stretch ? data::Fit::kStretch : data::Fit::kCrop;
    o.folder.seed = static_cast<uint64_t>(o.seed);
    if (o.stream) {
      if (o.validation > 0) return Fail(InvalidArgument("--validation does not go with --stream"));
      status = data::ImportFolderToFile(o.folder, o.to, &d);
      return status.ok() ? Done(d, o.to, o.common) : FailInput(status);
    }
    status = data::ImportFolder(o.folder, &d);
  } else {
    using Layout = data::Hdf5Options::Layout;
    using Range = data::Hdf5Options::Range;
    o.hdf5.layout = o.layout.empty() ? Layout::kUnknown : o.layout == "nhwc" ? Layout::kNhwc : Layout::kNchw;
    o.hdf5.range = o.range.empty() ? Range::kUnknown : o.range == "255" ? Range::k255 : Range::kUnit;
    o.hdf5.seed = static_cast<uint64_t>(o.seed);
    status = data::ImportHdf5(o.hdf5, &d);
  }
  if (!status.ok()) return FailInput(status);
  status = Write(o, &d);
  return status.ok() ? Done(d, o.to, o.common) : Fail(status);
}

CLI::App* AddFormat(CLI::App* app, const std::string& name, const std::string& help, ImportOptions* o,
                    std::string* from, const std::string& from_help) {
  CLI::App* format = app->add_subcommand(name, help);
  format->add_option("--from", *from, from_help)->required();
  format->add_option("--to", o->to, "HDF5 file to write")->required();
  format->add_option("--validation", o->validation, "Share of the training samples that becomes /val")
      ->check(Between(0, 0.9));
  format->add_option("--seed", o->seed, "Seed of what is held out")->check(CLI::NonNegativeNumber);
  AddOutput(format, &o->common);
  return format;
}

void AddSize(CLI::App* app, int* height, int* width, int* channels) {
  app->add_option("--height", *height, "Height of the images")->check(CLI::Range(1, data::kMaxSide));
  app->add_option("--width", *width, "Width of the images")->check(CLI::Range(1, data::kMaxSide));
  app->add_option("--channels", *channels, "1 or 3")->check(CLI::IsMember({1, 3}));
}

}  // namespace

Command AddImport(CLI::App* app) {
  CLI::App* import = app->add_subcommand("import", "Make an HDF5 data set of what others distribute");
  import->require_subcommand(1);
  auto o = std::make_shared<ImportOptions>();
  for (const char* name : {"cifar10", "cifar100"})
    Examples(AddFormat(import, name, "The authors' binary version", o.get(), &o->cifar_from,
                       "The .tar.gz, or the folder with the .bin files"),
             {{"from the archive as it is downloaded", std::string("import ") + name + " --from " +
                                                           (name == std::string("cifar10") ? "cifar-10" : "cifar-100") +
                                                           "-binary.tar.gz --to " + name + ".h5"}});
  CLI::App* idx = AddFormat(import, "idx", "MNIST-style IDX files", o.get(), &o->idx.from,
                            "Folder with train-images-idx3-ubyte[.gz] and its three companions");
  AddSize(idx, &o->idx.height, &o->idx.width, &o->idx.channels);
  Examples(idx, {{"MNIST as 32x32 colour images, for networks that expect them",
                  "import idx --from mnist --to mnist.h5 --height 32 --width 32 --channels 3"}});
  CLI::App* folder = AddFormat(import, "folder", "Folders of JPEG and PNG files, one for each class", o.get(),
                               &o->folder.from, "Folder with train/<class>/* and test/<class>/*, or <class>/*");
  AddSize(folder, &o->folder.height, &o->folder.width, &o->folder.channels);
  folder->get_option("--height")->required();
  folder->get_option("--width")->required();
  folder->add_option("--holdout", o->folder.holdout, "Share of each class that becomes the test split, for <class>/*")
      ->check(Between(0, 0.9));
  folder->add_option("--threads", o->folder.threads, "Threads that decode")->check(CLI::Range(1, 256));
  folder->add_flag("--stretch", o->stretch, "Resize the whole image instead of cropping to the shape first");
  folder->add_flag("--stream", o->stream, "Write images as they are decoded: for sets larger than memory");
  Examples(folder, {{"photographs to 64x64, a fifth of each class for testing",
                     "import folder --from photos --to photos.h5 --height 64 --width 64 --holdout 0.2"}});
  CLI::App* hdf5 = AddFormat(import, "hdf5", "HDF5 files with other names", o.get(), &o->hdf5.from,
                             "The file, or the file with the training split");
  AddSize(hdf5, &o->hdf5.height, &o->hdf5.width, &o->hdf5.channels);
  hdf5->add_option("--from-test", o->hdf5.from_test, "The file with the test split");
  hdf5->add_option("--train-images", o->hdf5.train_images, "Path of a dataset in the file, as in /x_train");
  hdf5->add_option("--train-labels", o->hdf5.train_labels, "");
  hdf5->add_option("--test-images", o->hdf5.test_images, "");
  hdf5->add_option("--test-labels", o->hdf5.test_labels, "");
  hdf5->add_option("--val-images", o->hdf5.val_images, "");
  hdf5->add_option("--val-labels", o->hdf5.val_labels, "");
  hdf5->add_option("--layout", o->layout, "Order of the axes")->check(CLI::IsMember({"nhwc", "nchw"}));
  hdf5->add_option("--range", o->range, "Of floating-point images: [0, 255] or [0, 1]")
      ->check(CLI::IsMember({"255", "1"}));
  hdf5->add_option("--classes", o->hdf5.num_classes, "Number of classes; default: largest label + 1")
      ->check(CLI::Range(0, data::kMaxClasses));
  hdf5->add_option("--holdout", o->hdf5.holdout, "Share of the samples that becomes the test split")
      ->check(Between(0, 0.9));
  Examples(hdf5, {{"a Keras-style file", "import hdf5 --from data.h5 --to mine.h5 --layout nhwc"},
                  {"a Caffe-style pair",
                   "import hdf5 --from train.h5 --from-test test.h5 --to mine.h5 --layout nchw --range 1"}});
  Examples(import,
           {{"CIFAR-100 from the authors' archive", "import cifar100 --from cifar-100-binary.tar.gz --to cifar100.h5"},
            {"each format has its own help", "import folder --help"}});
  return {import, [import, o] {
            for (CLI::App* format : import->get_subcommands()) return Import(format->get_name(), *o);
            return kExitBadInput;
          }};
}

Command AddSynth(CLI::App* app) {
  CLI::App* synth = app->add_subcommand("synth", "Generate a data set: shapes, textures and colours under noise");
  struct Options {
    data::SynthOptions synth;
    std::string to;
    int64_t seed = 1;
    Common common;
  };
  auto o = std::make_shared<Options>();
  synth->add_option("--to", o->to, "HDF5 file to write")->required();
  synth->add_option("--train", o->synth.train, "Training images")
      ->check(CLI::Range(1, 10000000))
      ->capture_default_str();
  synth->add_option("--test", o->synth.test, "Test images")->check(CLI::Range(1, 10000000))->capture_default_str();
  synth->add_option("--val", o->synth.val, "Validation images")->check(CLI::Range(0, 10000000))->capture_default_str();
  synth->add_option("--classes", o->synth.classes, "Classes")->check(CLI::Range(2, 100))->capture_default_str();
  synth->add_option("--size", o->synth.size, "Side of the square images")
      ->check(CLI::Range(16, 256))
      ->capture_default_str();
  synth->add_option("--difficulty", o->synth.difficulty, "0 (clean) to 2 (hard)")
      ->check(Between(0, 2))
      ->capture_default_str();
  synth->add_option("--wrong-labels", o->synth.wrong_labels, "Share of the training labels that are wrong")
      ->check(Between(0, 0.5))
      ->capture_default_str();
  synth->add_option("--seed", o->seed, "Seed")->check(CLI::NonNegativeNumber)->capture_default_str();
  AddOutput(synth, &o->common);
  Examples(synth, {{"what quickstart uses", "synth --to shapes.h5"},
                   {"a larger and harder one", "synth --to hard.h5 --train 20000 --classes 32 --difficulty 1.4"}});
  return {synth, [o] {
            o->synth.seed = static_cast<uint64_t>(o->seed);
            data::Dataset d;
            Status status = data::MakeSynth(o->synth, &d);
            if (!status.ok()) return FailInput(status);
            status = data::WriteDataset(d, o->to);
            return status.ok() ? Done(d, o->to, o->common) : Fail(status);
          }};
}

Command AddInspect(CLI::App* app) {
  CLI::App* inspect = app->add_subcommand("inspect", "Say what a data file holds: shapes, classes, counts, digest");
  struct Options {
    std::string file;
    bool fast = false;
    Common common;
  };
  auto o = std::make_shared<Options>();
  inspect->add_option("FILE", o->file, "HDF5 file")->required();
  inspect->add_flag("--fast", o->fast, "Do not read the images, so the digest is not verified");
  AddOutput(inspect, &o->common);
  Examples(inspect, {{"for people", "inspect cifar100.h5"}, {"for programs", "inspect cifar100.h5 --json"}});
  return {inspect, [o] {
            data::Inspection inspection;
            Status status = data::Inspect(o->file, !o->fast, &inspection);
            if (!status.ok()) return FailInput(status);
            std::string text = o->common.json ? data::InspectionJson(inspection) : data::InspectionText(inspection);
            std::fputs(text.c_str(), stdout);
            if (!text.empty() && text.back() != '\n') std::fputc('\n', stdout);
            return kExitOk;
          }};
}

}  // namespace distil::harness
