// evaluate and predict: what a network on disk does with images.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "data/image.h"
#include "data/loader.h"
#include "harness/cli.h"
#include "harness/text.h"

namespace distil::harness {
namespace {

struct UseOptions {
  std::string network, weights, split = "test";
  std::vector<std::string> inputs;
  int64_t batch = 250, top = 3, limit = 0;
  bool stretch = false;
  Common common;
};

void AddUse(CLI::App* app, UseOptions* o) {
  app->add_option("--network", o->network, "Its name; see 'harness list models'")->required();
  app->add_option("--weights", o->weights, "Its safetensors file")->required();
  app->add_option("--data", o->common.data, "HDF5 file of the data set it was trained on")->required();
  app->add_option("--batch", o->batch, "Images at a time")->check(CLI::Range(1, 65536))->capture_default_str();
  AddDevice(app, &o->common);
  AddOutput(app, &o->common);
}

struct Loaded {
  std::unique_ptr<Device> device;
  data::Dataset dataset;
  std::unique_ptr<Network> network;
  std::unique_ptr<Evaluator> evaluator;
};

Status Load(const UseOptions& o, Loaded* out) {
  DISTIL_RETURN_IF_ERROR(CheckModel(o.network));
  DISTIL_RETURN_IF_ERROR(Device::Open(o.common.device, o.common.threads, &out->device));
  DISTIL_RETURN_IF_ERROR(OpenData(o.common.data, o.common.quiet, &out->dataset));
  RunData data;
  DISTIL_RETURN_IF_ERROR(SelectData(out->dataset, 0, 0, &data));
  DISTIL_RETURN_IF_ERROR(Network::Create(*out->device, o.network, data.shape, 1, &out->network));
  DISTIL_RETURN_IF_ERROR(out->network->Load(o.weights));
  return Evaluator::Create(*out->network, data.shape, o.batch, &out->evaluator);
}

bool FindSplit(const std::string& name, data::SplitKind* out) {
  for (data::SplitKind kind : data::kAllSplits)
    if (name == data::SplitName(kind)) return *out = kind, true;
  return false;
}

Status OpenSplit(const data::Dataset& dataset, const std::string& name, int64_t batch,
                 std::unique_ptr<data::BatchSource>* out) {
  data::SplitKind kind = data::SplitKind::kTest;
  if (!FindSplit(name, &kind) || dataset.split(kind).size() == 0)
    return InvalidArgument("--split " + name + ": the data set has no such samples");
  data::LoaderOptions options;
  options.batch_size = batch, options.shuffle = false;
  return data::MakeSource(dataset, kind, options, out);
}

int RunEvaluate(const UseOptions& o) {
  Loaded l;
  std::unique_ptr<data::BatchSource> source;
  Status status = Load(o, &l);
  if (status.ok()) status = OpenSplit(l.dataset, o.split, o.batch, &source);
  if (!status.ok()) return FailInput(status);
  Score score;
  while (true) {
    data::Batch b;
    if (status = source->Next(&b); !status.ok()) return Fail(status);
    if (b.count == 0) break;
    if (status = l.evaluator->Add({b.images, b.labels, b.ids, b.count}, &score); !status.ok()) return Fail(status);
  }
  const double n = static_cast<double>(score.count);
  double top1 = 100.0 * static_cast<double>(score.top1) / n, top5 = 100.0 * static_cast<double>(score.top5) / n;
  if (o.common.json) {
    std::string digest;
    if (status = l.network->Digest(&digest); !status.ok()) return Fail(status);
    Json line = {{"network", o.network}, {"weights", o.weights},  {"tensors_sha256", digest},
                 {"split", o.split},     {"images", score.count}, {"top1", top1},
                 {"top5", top5},         {"loss", score.loss / n}};
    std::printf("%s\n", Canonical(line).c_str());
  } else {
    std::printf("top-1 %s  top-5 %s  loss %s  on %s %s images\n", Fixed(top1, 2).c_str(), Fixed(top5, 2).c_str(),
                Fixed(score.loss / n, 4).c_str(), Grouped(score.count).c_str(), o.split.c_str());
  }
  return kExitOk;
}

std::string ClassName(const data::Dataset& d, int64_t label) {
  return d.class_names.empty() ? std::to_string(label) : d.class_names[static_cast<size_t>(label)];
}

// One line: the image and its most probable classes.
void PrintPrediction(const UseOptions& o, const data::Dataset& d, const std::string& image, const float* logits,
                     const int32_t* truth) {
  const size_t classes = static_cast<size_t>(d.num_classes);
  double high = *std::max_element(logits, logits + classes), sum = 0;
  std::vector<double> probability(classes);
  for (size_t k = 0; k < classes; ++k) sum += probability[k] = std::exp(logits[k] - high);
  std::vector<size_t> order(classes);
  for (size_t k = 0; k < classes; ++k) order[k] = k, probability[k] /= sum;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  order.resize(std::min<size_t>(classes, static_cast<size_t>(o.top)));
  if (o.common.json) {
    Json list = Json::array();
    for (size_t k : order) list.push_back({{"class", ClassName(d, k)}, {"label", k}, {"probability", probability[k]}});
    Json line = {{"image", image}, {"predictions", list}};
    if (truth) line["label"] = *truth;
    std::printf("%s\n", Canonical(line).c_str());
    return;
  }
  std::string text = image;
  for (size_t k : order) text += "  " + ClassName(d, k) + " " + Fixed(probability[k], 3);
  if (truth) text += "  (is " + ClassName(d, *truth) + ")";
  std::printf("%s\n", text.c_str());
}

Status PredictFile(const UseOptions& o, Loaded* l, const std::string& path) {
  data::Image image;
  DISTIL_RETURN_IF_ERROR(data::LoadImage(path, l->dataset.height, l->dataset.width, l->dataset.channels,
                                         o.stretch ? data::Fit::kStretch : data::Fit::kCrop, &image));
  std::vector<float> logits;
  DISTIL_RETURN_IF_ERROR(l->evaluator->Logits({image.pixels.data(), nullptr, nullptr, 1}, &logits));
  PrintPrediction(o, l->dataset, path, logits.data(), nullptr);
  return {};
}

Status PredictSplit(const UseOptions& o, Loaded* l, const std::string& path) {
  data::Dataset own;
  const data::Dataset* d = &l->dataset;
  if (path != o.common.data) {
    DISTIL_RETURN_IF_ERROR(OpenData(path, o.common.quiet, &own));
    d = &own;
    if (own.height != l->dataset.height || own.width != l->dataset.width || own.channels != l->dataset.channels)
      return InvalidArgument("'" + path + "' has images of another size than '" + o.common.data + "'");
  }
  std::unique_ptr<data::BatchSource> source;
  DISTIL_RETURN_IF_ERROR(OpenSplit(*d, o.split, o.batch, &source));
  int64_t left = o.limit > 0 ? o.limit : source->size();
  std::vector<float> logits;
  while (left > 0) {
    data::Batch b;
    DISTIL_RETURN_IF_ERROR(source->Next(&b));
    if (b.count == 0) break;
    DISTIL_RETURN_IF_ERROR(l->evaluator->Logits({b.images, b.labels, b.ids, b.count}, &logits));
    for (int64_t i = 0; i < b.count && left > 0; ++i, --left)
      PrintPrediction(o, l->dataset, path + "#" + std::to_string(b.ids[i]), logits.data() + i * l->dataset.num_classes,
                      &b.labels[i]);
  }
  return {};
}

int RunPredict(const UseOptions& o) {
  Loaded l;
  Status status = Load(o, &l);
  if (!status.ok()) return FailInput(status);
  for (const std::string& input : o.inputs) {
    bool hdf5 = input.ends_with(".h5") || input.ends_with(".hdf5");
    status = hdf5 ? PredictSplit(o, &l, input) : PredictFile(o, &l, input);
    if (!status.ok()) return FailInput(status);
  }
  return kExitOk;
}

}  // namespace

Command AddEvaluate(CLI::App* app) {
  CLI::App* evaluate = app->add_subcommand("evaluate", "Measure top-1 and top-5 of weights on a data set");
  auto o = std::make_shared<UseOptions>();
  AddUse(evaluate, o.get());
  evaluate->add_option("--split", o->split, "train, val or test")
      ->check(CLI::IsMember({"train", "val", "test"}))
      ->capture_default_str();
  Examples(evaluate, {{"a teacher that PyTorch trained, saved as safetensors",
                       "evaluate --network resnet32x4 --weights resnet32x4.safetensors --data cifar100.h5"}});
  return {evaluate, [o] { return RunEvaluate(*o); }};
}

Command AddPredict(CLI::App* app) {
  CLI::App* predict =
      app->add_subcommand("predict", "Name the classes of image files, or of the images of an HDF5 file");
  auto o = std::make_shared<UseOptions>();
  AddUse(predict, o.get());
  predict->add_option("IMAGE", o->inputs, "JPEG or PNG files, resized as needed, or .h5 files")->required();
  predict->add_option("--top", o->top, "Classes to name for each image")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  predict->add_option("--split", o->split, "Of .h5 files: train, val or test")
      ->check(CLI::IsMember({"train", "val", "test"}))
      ->capture_default_str();
  predict->add_option("--limit", o->limit, "Of .h5 files: the first so many images")->check(CLI::Range(0, 1000000000));
  predict->add_flag("--stretch", o->stretch, "Resize the whole image instead of its centred square");
  Examples(predict,
           {{"two photographs",
             "predict --network resnet8 --weights student.safetensors --data cifar100.h5 cat.jpg dog.png"},
            {"a part of the test set",
             "predict --network resnet8 --weights student.safetensors --data cifar100.h5 --limit 10 cifar100.h5"}});
  return {predict, [o] { return RunPredict(*o); }};
}

}  // namespace distil::harness
