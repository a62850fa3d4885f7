// Networks through the C API: a network of one's own equals the zoo's when it is built the same.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "distil/distil.h"

namespace {

#define OK(call) ASSERT_EQ(call, DISTIL_OK) << distil_last_error()

// resnet8 of the zoo, layer by layer: the names are the zoo's, so are the initial values of convolutions up to their kind.
distil_network* ResNet8(distil_device* device, int64_t classes) {
  distil_builder* b = nullptr;
  distil_value x;
  EXPECT_EQ(distil_builder_begin(device, 3, 16, 16, &b, &x), DISTIL_OK);
  auto conv = [&](const std::string& name, distil_value v, int64_t channels, int64_t kernel, int64_t stride) {
    distil_conv_options o = DISTIL_CONV_OPTIONS_INIT;
    o.stride = stride;
    return distil_conv2d(b, name.c_str(), v, channels, kernel, &o);
  };
  auto norm = [&](const std::string& name, distil_value v) { return distil_batch_norm(b, name.c_str(), v, 1e-5, 0.1); };
  auto relu = [&](distil_value v) { return distil_apply(b, DISTIL_RELU, v); };
  distil_value pre = norm("bn1", conv("conv1", x, 16, 3, 1));
  x = relu(pre);
  distil_builder_tap(b, pre, x);
  for (int stage = 1; stage <= 3; ++stage) {
    const std::string p = "layer" + std::to_string(stage) + ".0.";
    const int64_t channels = 8 << stage, stride = stage > 1 ? 2 : 1;
    distil_value y = relu(norm(p + "bn1", conv(p + "conv1", x, channels, 3, stride)));
    y = norm(p + "bn2", conv(p + "conv2", y, channels, 3, 1));
    if (stage > 1) x = norm(p + "downsample.1", conv(p + "downsample.0", x, channels, 1, stride));
    pre = distil_combine(b, DISTIL_ADD, y, x);
    x = relu(pre);
    distil_builder_tap(b, pre, x);
  }
  const distil_value pooled = distil_global_avg_pool(b, x), logits = distil_linear(b, "fc", pooled, classes, 1);
  distil_network* n = nullptr;
  EXPECT_EQ(distil_builder_finish(b, pooled, logits, 3, &n), DISTIL_OK) << distil_last_error();
  distil_builder_free(b);
  return n;
}

std::map<std::string, std::vector<int64_t>> Shapes(distil_network* n) {
  std::map<std::string, std::vector<int64_t>> shapes;
  distil_tensor_info t = DISTIL_TENSOR_INFO_INIT;
  for (size_t i = 0; distil_network_tensor(n, i, &t) == DISTIL_OK; ++i)
    shapes[t.name] = std::vector<int64_t>(t.shape, t.shape + t.rank);
  return shapes;
}

std::vector<std::string> Taps(distil_network* n) {
  std::vector<std::string> taps;
  const char* name;
  for (size_t i = 0; distil_network_tap(n, i, &name) == DISTIL_OK; ++i) taps.push_back(name);
  return taps;
}

class Network : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const distil_status s = distil_device_open(GetParam(), nullptr, &device_);
    if (s == DISTIL_UNSUPPORTED && std::string(GetParam()) == "cuda") GTEST_SKIP() << distil_last_error();
    OK(s);
  }
  void TearDown() override { distil_device_close(device_); }
  distil_device* device_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Devices, Network, testing::Values("cpu", "cuda", "reference", "reference:f64"),
                         [](const auto& info) {
                           return std::string(info.param) == "reference:f64" ? "f64" : std::string(info.param);
                         });

std::vector<float> Train(distil_device* device, distil_network* n) {
  distil_trainer* t = nullptr;
  const distil_role role = {"student", n};
  EXPECT_EQ(distil_trainer_create(device, "ce", "schedule=constant lr=0.1", &role, 1, &t), DISTIL_OK);
  std::vector<float> images(4 * 3 * 16 * 16);
  for (size_t i = 0; i < images.size(); ++i) images[i] = static_cast<float>(i * 7919 % 1000) / 500 - 1;
  const std::vector<int32_t> labels = {0, 1, 2, 3};
  distil_batch b = DISTIL_BATCH_INIT;
  b.count = 4, b.images = images.data(), b.labels = labels.data();
  for (int k = 0; k < 3; ++k) EXPECT_EQ(distil_trainer_step(t, &b, nullptr), DISTIL_OK) << distil_last_error();
  distil_trainer_free(t);
  distil_inference* i = nullptr;
  EXPECT_EQ(distil_inference_create(n, 4, "taps=f2.pre", &i), DISTIL_OK) << distil_last_error();
  EXPECT_EQ(distil_inference_run(i, &b), DISTIL_OK);
  std::vector<float> z(4 * 10), tap(4 * 32 * 8 * 8);
  EXPECT_EQ(distil_inference_output(i, "logits", z.data(), z.size()), DISTIL_OK);
  EXPECT_EQ(distil_inference_output(i, "f2.pre", tap.data(), tap.size()), DISTIL_OK);
  distil_inference_free(i);
  z.insert(z.end(), tap.begin(), tap.end());
  return z;
}

TEST_P(Network, OnesOwnEqualsTheZoos) {
  distil_network *own = ResNet8(device_, 10), *zoo = nullptr;
  OK(distil_network_create(device_, "resnet8", "classes=10 input=3,16,16", 3, &zoo));
  EXPECT_EQ(Shapes(own), Shapes(zoo));
  EXPECT_EQ(Taps(own), Taps(zoo));
  distil_network_info a = DISTIL_NETWORK_INFO_INIT, b = DISTIL_NETWORK_INFO_INIT;
  OK(distil_network_get_info(own, &a));
  OK(distil_network_get_info(zoo, &b));
  EXPECT_STREQ(a.model, "custom");
  EXPECT_STREQ(b.model, "resnet8");
  EXPECT_EQ(a.parameters, b.parameters);
  EXPECT_EQ(a.macs, b.macs);
  EXPECT_EQ(a.classes, 10);
  OK(distil_network_copy(own, zoo));
  char da[65], db[65];
  EXPECT_EQ(Train(device_, own), Train(device_, zoo));
  OK(distil_network_digest(own, da));
  OK(distil_network_digest(zoo, db));
  EXPECT_STREQ(da, db);
  distil_network_free(own);
  distil_network_free(zoo);
}

TEST_P(Network, TensorsByName) {
  distil_network* n = nullptr;
  OK(distil_network_create(device_, "resnet8", "classes=4", 1, &n));
  std::vector<float> bias = {1, -2, 0.5, 3e-20f}, back(4);
  OK(distil_network_write(n, "fc.bias", bias.data(), 4));
  OK(distil_network_read(n, "fc.bias", back.data(), 4));
  EXPECT_EQ(back, bias);
  distil_tensor_info t = DISTIL_TENSOR_INFO_INIT;
  int64_t parameters = 0;
  for (size_t i = 0; distil_network_tensor(n, i, &t) == DISTIL_OK; ++i) {
    if (t.trainable) parameters += t.elements;
    EXPECT_EQ(t.trainable, std::strstr(t.name, "running") == nullptr && std::strstr(t.name, "num_batches") == nullptr);
  }
  distil_network_info info = DISTIL_NETWORK_INFO_INIT;
  OK(distil_network_get_info(n, &info));
  EXPECT_EQ(parameters, info.parameters);
  const std::string path = testing::TempDir() + "/weights.safetensors";
  char before[65], after[65];
  OK(distil_network_digest(n, before));
  OK(distil_network_save(n, path.c_str()));
  bias[0] = 9;
  OK(distil_network_write(n, "fc.bias", bias.data(), 4));
  OK(distil_network_digest(n, after));
  EXPECT_STRNE(before, after);
  OK(distil_network_load(n, path.c_str()));
  OK(distil_network_digest(n, after));
  EXPECT_STREQ(before, after);
  distil_network_free(n);
}

TEST(Tables, ListWhatThereIs) {
  distil_model_info model = DISTIL_MODEL_INFO_INIT;
  size_t models = 0, methods = 0, options = 0;
  while (distil_model_get(models, &model) == DISTIL_OK) ++models;
  distil_method_info method = DISTIL_METHOD_INFO_INIT;
  const char *name, *fallback, *help;
  for (; distil_method_get(methods, &method) == DISTIL_OK; ++methods) {
    for (size_t k = 0; k < method.options; ++k) {
      OK(distil_method_option(methods, k, &name, &fallback, &help));
      EXPECT_GT(std::strlen(help), 3u);
    }
  }
  std::string all;
  for (; distil_trainer_option(options, &name, &fallback, &help) == DISTIL_OK; ++options)
    all += std::string(name) + " ";
  EXPECT_GE(models, 16u);
  EXPECT_GE(methods, 5u);
  EXPECT_NE(all.find("milestones "), std::string::npos);
  EXPECT_NE(all.find("ce smoothing "), std::string::npos);
  EXPECT_STREQ(distil_device_name(0), "cpu");
}

}  // namespace
