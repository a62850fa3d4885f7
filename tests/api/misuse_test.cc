// Every argument of every function, wrong once: each call is refused with the right status and a message that says why,
// outputs are NULL or untouched, and nothing crashes. One row a mistake.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "distil/distil.h"

namespace {

struct Case {
  const char* name;
  distil_status want;
  const char* message;  // part of it
  std::function<distil_status()> call;
};

// What calls are tried on. A row that changed something would make later ones fail.
struct World {
  distil_device* device = nullptr;
  distil_network *student = nullptr, *teacher = nullptr, *custom = nullptr;
  distil_inference* inference = nullptr;
  distil_trainer* trainer = nullptr;
  std::vector<float> images = std::vector<float>(2 * 3 * 8 * 8, 0.5f);
  std::vector<int32_t> labels = {0, 1};
  distil_batch batch = DISTIL_BATCH_INIT;
  static constexpr char kOptions[] = "schedule=constant";

  World() {
    EXPECT_EQ(distil_device_open("reference", nullptr, &device), DISTIL_OK);
    EXPECT_EQ(distil_network_create(device, "resnet8", "classes=10 input=3,8,8", 1, &student), DISTIL_OK);
    EXPECT_EQ(distil_network_create(device, "resnet8", "classes=10 input=3,8,8", 2, &teacher), DISTIL_OK);
    EXPECT_EQ(distil_network_create(device, "vgg8", "classes=10", 2, &custom), DISTIL_OK);
    EXPECT_EQ(distil_inference_create(student, 2, "taps=f1", &inference), DISTIL_OK);
    const distil_role roles[] = {{"student", student}, {"teacher", teacher}};
    EXPECT_EQ(distil_trainer_create(device, "kd", kOptions, roles, 2, &trainer), DISTIL_OK);
    batch.count = 2;
    batch.images = images.data();
    batch.labels = labels.data();
  }
  ~World() {
    distil_trainer_free(trainer);
    distil_inference_free(inference);
    for (distil_network* n : {student, teacher, custom}) distil_network_free(n);
    distil_device_close(device);
  }
};

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const distil_status got = c.call();
    EXPECT_EQ(got, c.want) << distil_last_error();
    EXPECT_NE(std::string(distil_last_error()).find(c.message), std::string::npos) << distil_last_error();
  }
}

constexpr distil_status kBad = DISTIL_INVALID_ARGUMENT;
void* Take(void*, size_t) { return nullptr; }
void Give(void*, void*, size_t) {}

TEST(Misuse, Devices) {
  distil_device* d = reinterpret_cast<distil_device*>(1);
  distil_device_options o = DISTIL_DEVICE_OPTIONS_INIT;
  auto open = [&](auto change) {
    return [&, change] {
      d = reinterpret_cast<distil_device*>(1);
      o = DISTIL_DEVICE_OPTIONS_INIT;
      change();
      const distil_status s = distil_device_open("reference", &o, &d);
      EXPECT_EQ(d, nullptr);
      return s;
    };
  };
  Check({
      {"no name", kBad, "name is NULL", [&] { return distil_device_open(nullptr, nullptr, &d); }},
      {"no output", kBad, "device is NULL", [&] { return distil_device_open("reference", nullptr, nullptr); }},
      {"unknown", DISTIL_NOT_FOUND, "no device 'cuba'", [&] { return distil_device_open("cuba", nullptr, &d); }},
      {"no number", DISTIL_NOT_FOUND, "'cuda:' has no number",
       [&] { return distil_device_open("cuda:", nullptr, &d); }},
      {"no such number", DISTIL_NOT_FOUND, "'cuda:-1' has no number",
       [&] { return distil_device_open("cuda:-1", nullptr, &d); }},
      {"allocator of a GPU", DISTIL_UNSUPPORTED, "CUDA",
       [&] {
         o = DISTIL_DEVICE_OPTIONS_INIT;
         o.allocate = Take, o.release = Give;
         return distil_device_open("cuda:0", &o, &d);
       }},
      {"size", kBad, "start with DISTIL_DEVICE_OPTIONS_INIT", open([&] { o.struct_size = 0; })},
      {"threads", kBad, "threads is -1", open([&] { o.threads = -1; })},
      {"half an allocator", kBad, "belong together", open([&] { o.allocate = Take; })},
      {"other half", kBad, "belong together", open([&] { o.release = Give; })},
  });
  distil_device_close(nullptr);
  EXPECT_STREQ(distil_device_description(nullptr), "");
  EXPECT_EQ(distil_device_name(1000), nullptr);
  EXPECT_STREQ(distil_status_name(static_cast<distil_status>(99)), "unknown status");
  for (int s = 0; s <= DISTIL_DEVICE_LOST; ++s)
    EXPECT_GT(std::strlen(distil_status_name(static_cast<distil_status>(s))), 1u);
}

TEST(Misuse, OutOfMemory) {
  distil_device_options o = DISTIL_DEVICE_OPTIONS_INIT;
  o.allocate = Take, o.release = Give;
  distil_device* d = nullptr;
  distil_network* n = reinterpret_cast<distil_network*>(1);
  ASSERT_EQ(distil_device_open("reference", &o, &d), DISTIL_OK);
  EXPECT_EQ(distil_network_create(d, "resnet8", nullptr, 1, &n), DISTIL_OUT_OF_MEMORY);
  EXPECT_EQ(n, nullptr);
  distil_device_close(d);
}

TEST(Misuse, Networks) {
  World w;
  distil_network* n;
  distil_model_info model = DISTIL_MODEL_INFO_INIT, bad_model = DISTIL_MODEL_INFO_INIT;
  distil_network_info info = DISTIL_NETWORK_INFO_INIT, bad_info = DISTIL_NETWORK_INFO_INIT;
  distil_tensor_info tensor = DISTIL_TENSOR_INFO_INIT, bad_tensor = DISTIL_TENSOR_INFO_INIT;
  bad_model.struct_size = bad_info.struct_size = bad_tensor.struct_size = 8;
  float values[10] = {};
  const char* text = nullptr;
  char digest[65];
  auto create = [&](const char* name, const char* options) {
    return [&, name, options] {
      n = reinterpret_cast<distil_network*>(1);
      const distil_status s = distil_network_create(w.device, name, options, 1, &n);
      EXPECT_EQ(n, nullptr);
      return s;
    };
  };
  const std::string garbage = testing::TempDir() + "/garbage.safetensors";
  std::ofstream(garbage) << "this is no safetensors file";
  Check({
      {"model: info", kBad, "info is NULL", [&] { return distil_model_get(0, nullptr); }},
      {"model: size", kBad, "struct_size is 8", [&] { return distil_model_get(0, &bad_model); }},
      {"model: index", DISTIL_NOT_FOUND, "models", [&] { return distil_model_get(1000, &model); }},
      {"create: device", kBad, "device is NULL", [&] { return distil_network_create(nullptr, "resnet8", "", 1, &n); }},
      {"create: model", kBad, "model is NULL", create(nullptr, "")},
      {"create: output", kBad, "network is NULL",
       [&] { return distil_network_create(w.device, "vgg8", "", 1, nullptr); }},
      {"create: name", DISTIL_NOT_FOUND, "no model 'resnet9'; the nearest is 'resnet8'", create("resnet9", "")},
      {"create: option", kBad, "no option 'class'; the nearest is 'classes'", create("resnet8", "class=10")},
      {"create: classes", kBad, "classes", create("resnet8", "classes=0")},
      {"create: input", kBad, "channels,height,width", create("resnet8", "input=32,32")},
      {"create: small input", kBad, "network vgg8", create("vgg8", "input=3,2,2")},
      {"info: network", kBad, "network is NULL", [&] { return distil_network_get_info(nullptr, &info); }},
      {"info: info", kBad, "info is NULL", [&] { return distil_network_get_info(w.student, nullptr); }},
      {"info: size", kBad, "struct_size", [&] { return distil_network_get_info(w.student, &bad_info); }},
      {"tensor: network", kBad, "network is NULL", [&] { return distil_network_tensor(nullptr, 0, &tensor); }},
      {"tensor: info", kBad, "info is NULL", [&] { return distil_network_tensor(w.student, 0, nullptr); }},
      {"tensor: size", kBad, "struct_size", [&] { return distil_network_tensor(w.student, 0, &bad_tensor); }},
      {"tensor: index", DISTIL_NOT_FOUND, "tensors", [&] { return distil_network_tensor(w.student, 1000, &tensor); }},
      {"read: network", kBad, "network is NULL", [&] { return distil_network_read(nullptr, "fc.bias", values, 10); }},
      {"read: no name", kBad, "name is NULL", [&] { return distil_network_read(w.student, nullptr, values, 10); }},
      {"read: values", kBad, "values is NULL", [&] { return distil_network_read(w.student, "fc.bias", nullptr, 10); }},
      {"read: name", DISTIL_NOT_FOUND, "no tensor 'fc.bais'; the nearest is 'fc.bias'",
       [&] { return distil_network_read(w.student, "fc.bais", values, 10); }},
      {"read: count", kBad, "10 numbers", [&] { return distil_network_read(w.student, "fc.bias", values, 9); }},
      {"write: network", kBad, "network is NULL", [&] { return distil_network_write(nullptr, "fc.bias", values, 10); }},
      {"write: no name", kBad, "name is NULL", [&] { return distil_network_write(w.student, nullptr, values, 10); }},
      {"write: values", kBad, "values is NULL",
       [&] { return distil_network_write(w.student, "fc.bias", nullptr, 10); }},
      {"write: name", DISTIL_NOT_FOUND, "no tensor 'x'",
       [&] { return distil_network_write(w.student, "x", values, 10); }},
      {"write: count", kBad, "10 numbers", [&] { return distil_network_write(w.student, "fc.bias", values, 3); }},
      {"tap: network", kBad, "network is NULL", [&] { return distil_network_tap(nullptr, 0, &text); }},
      {"tap: name", kBad, "name is NULL", [&] { return distil_network_tap(w.student, 0, nullptr); }},
      {"tap: index", DISTIL_NOT_FOUND, "taps", [&] { return distil_network_tap(w.student, 1000, &text); }},
      {"save: network", kBad, "network is NULL", [&] { return distil_network_save(nullptr, "x"); }},
      {"save: path", kBad, "path is NULL", [&] { return distil_network_save(w.student, nullptr); }},
      {"save: folder", DISTIL_NOT_FOUND, "/no/such",
       [&] { return distil_network_save(w.student, "/no/such/folder/x"); }},
      {"load: network", kBad, "network is NULL", [&] { return distil_network_load(nullptr, "x"); }},
      {"load: path", kBad, "path is NULL", [&] { return distil_network_load(w.student, nullptr); }},
      {"load: absent", DISTIL_NOT_FOUND, "cannot read /no/such: No such file",
       [&] { return distil_network_load(w.student, "/no/such"); }},
      {"load: garbage", DISTIL_CORRUPT, garbage.c_str(),
       [&] { return distil_network_load(w.student, garbage.c_str()); }},
      {"digest: network", kBad, "network is NULL", [&] { return distil_network_digest(nullptr, digest); }},
      {"digest: digest", kBad, "digest is NULL", [&] { return distil_network_digest(w.student, nullptr); }},
      {"copy: to", kBad, "to is NULL", [&] { return distil_network_copy(nullptr, w.student); }},
      {"copy: from", kBad, "from is NULL", [&] { return distil_network_copy(w.student, nullptr); }},
      {"copy: other structure", kBad, "differ", [&] { return distil_network_copy(w.student, w.custom); }},
  });
  distil_network_free(nullptr);
}

// Builders keep their first mistake for finish.
TEST(Misuse, Builders) {
  World w;
  distil_builder* b = reinterpret_cast<distil_builder*>(1);
  distil_value x;
  Check({
      {"begin: device", kBad, "device is NULL", [&] { return distil_builder_begin(nullptr, 3, 8, 8, &b, &x); }},
      {"begin: builder", kBad, "builder is NULL", [&] { return distil_builder_begin(w.device, 3, 8, 8, nullptr, &x); }},
      {"begin: input", kBad, "input is NULL", [&] { return distil_builder_begin(w.device, 3, 8, 8, &b, nullptr); }},
      {"begin: channels", kBad, "channels is 0", [&] { return distil_builder_begin(w.device, 0, 8, 8, &b, &x); }},
      {"begin: height", kBad, "height is -1", [&] { return distil_builder_begin(w.device, 3, -1, 8, &b, &x); }},
      {"begin: width", kBad, "width is", [&] { return distil_builder_begin(w.device, 3, 8, INT64_MAX, &b, &x); }},
  });
  EXPECT_EQ(b, nullptr);

  using B = distil_builder*;
  using V = distil_value;
  const V none = {DISTIL_NO_VALUE}, far = {77};
  distil_conv_options sized = DISTIL_CONV_OPTIONS_INIT, conv = DISTIL_CONV_OPTIONS_INIT;
  sized.struct_size = 1;
  auto with = [&](auto member, auto value) {
    return [=, o = conv](B b, V x) mutable {
      o.*member = value;
      return distil_conv2d(b, "c", x, 4, 3, &o);
    };
  };
  using O = distil_conv_options;
  const V two[2] = {{0}, {0}};
  const struct {
    const char* message;
    std::function<V(B, V)> call;
  } mistakes[] = {
      {"conv2d 'c': an input is not a value", [&](B b, V) { return distil_conv2d(b, "c", far, 4, 3, nullptr); }},
      {"conv2d 'c': an input is not a value", [&](B b, V) { return distil_conv2d(b, "c", none, 4, 3, nullptr); }},
      {"conv2d: name is NULL", [&](B b, V x) { return distil_conv2d(b, nullptr, x, 4, 3, nullptr); }},
      {"without white space", [&](B b, V x) { return distil_conv2d(b, "a b", x, 4, 3, nullptr); }},
      {"1 to 200 bytes", [&](B b, V x) { return distil_conv2d(b, "", x, 4, 3, nullptr); }},
      {"UTF-8", [&](B b, V x) { return distil_conv2d(b, "\xff", x, 4, 3, nullptr); }},
      {"channels is 0", [&](B b, V x) { return distil_conv2d(b, "c", x, 0, 3, nullptr); }},
      {"kernel is 0", [&](B b, V x) { return distil_conv2d(b, "c", x, 4, 0, nullptr); }},
      {"conv2d 'c': ",
       [&](B b, V x) {
         return distil_conv2d(b, "c", x, 4, 11, &conv),
                distil_pool2d(b, DISTIL_MAX_POOL, distil_conv2d(b, "c", x, 1, 1, nullptr), 9, 1, 0);
       }},
      {"start with DISTIL_CONV_OPTIONS_INIT", [&](B b, V x) { return distil_conv2d(b, "c", x, 4, 3, &sized); }},
      {"options->stride is 0", with(&O::stride, 0)},
      {"options->pad is -2", with(&O::pad, -2)},
      {"options->dilation is 0", with(&O::dilation, 0)},
      {"options->groups is 0", with(&O::groups, 0)},
      {"does not divide", with(&O::groups, 2)},
      {"options->output_padding is 1", with(&O::output_padding, 1)},
      {"conv_transpose2d 't': channels", [&](B b, V x) { return distil_conv_transpose2d(b, "t", x, 0, 3, nullptr); }},
      {"conv_transpose2d 't': an input", [&](B b, V) { return distil_conv_transpose2d(b, "t", far, 4, 3, nullptr); }},
      {"conv_transpose2d: name", [&](B b, V x) { return distil_conv_transpose2d(b, nullptr, x, 4, 3, nullptr); }},
      {"kernel is 5000", [&](B b, V x) { return distil_conv_transpose2d(b, "t", x, 4, 5000, nullptr); }},
      {"start with", [&](B b, V x) { return distil_conv_transpose2d(b, "t", x, 4, 3, &sized); }},
      {"batch_norm: name", [&](B b, V x) { return distil_batch_norm(b, nullptr, x, 1e-5, 0.1); }},
      {"batch_norm 'n': an input", [&](B b, V) { return distil_batch_norm(b, "n", far, 1e-5, 0.1); }},
      {"eps is 0", [&](B b, V x) { return distil_batch_norm(b, "n", x, 0, 0.1); }},
      {"eps is nan", [&](B b, V x) { return distil_batch_norm(b, "n", x, NAN, 0.1); }},
      {"momentum is 1.5", [&](B b, V x) { return distil_batch_norm(b, "n", x, 1e-5, 1.5); }},
      {"linear: name", [&](B b, V x) { return distil_linear(b, nullptr, x, 4, 1); }},
      {"not [n,c]", [&](B b, V x) { return distil_linear(b, "fc", x, 4, 1); }},
      {"linear 'fc': an input", [&](B b, V) { return distil_linear(b, "fc", far, 4, 1); }},
      {"features is -4", [&](B b, V x) { return distil_linear(b, "fc", distil_flatten(b, x), -4, 1); }},
      {"dropout: an input", [&](B b, V) { return distil_dropout(b, far, 0.5); }},
      {"p is 1", [&](B b, V x) { return distil_dropout(b, x, 1.0); }},
      {"p is nan", [&](B b, V x) { return distil_dropout(b, x, NAN); }},
      {"apply: an input", [&](B b, V) { return distil_apply(b, DISTIL_RELU, far); }},
      {"no distil_unary", [&](B b, V x) { return distil_apply(b, static_cast<distil_unary>(99), x); }},
      {"combine: an input", [&](B b, V x) { return distil_combine(b, DISTIL_ADD, x, far); }},
      {"combine: an input", [&](B b, V x) { return distil_combine(b, DISTIL_ADD, far, x); }},
      {"no distil_binary", [&](B b, V x) { return distil_combine(b, static_cast<distil_binary>(-1), x, x); }},
      {"of different rank", [&](B b, V x) { return distil_combine(b, DISTIL_ADD, x, distil_flatten(b, x)); }},
      {"combine: ",
       [&](B b, V x) { return distil_combine(b, DISTIL_ADD, x, distil_conv2d(b, "c", x, 4, 3, nullptr)); }},
      {"scale_shift: an input", [&](B b, V) { return distil_scale_shift(b, far, 1, 0); }},
      {"not finite", [&](B b, V x) { return distil_scale_shift(b, x, INFINITY, 0); }},
      {"not finite", [&](B b, V x) { return distil_scale_shift(b, x, 1, NAN); }},
      {"pool2d: an input", [&](B b, V) { return distil_pool2d(b, DISTIL_MAX_POOL, far, 2, 2, 0); }},
      {"no distil_pool", [&](B b, V x) { return distil_pool2d(b, static_cast<distil_pool>(2), x, 2, 2, 0); }},
      {"kernel is 0", [&](B b, V x) { return distil_pool2d(b, DISTIL_MAX_POOL, x, 0, 2, 0); }},
      {"stride is 0", [&](B b, V x) { return distil_pool2d(b, DISTIL_MAX_POOL, x, 2, 0, 0); }},
      {"pad is 2", [&](B b, V x) { return distil_pool2d(b, DISTIL_AVG_POOL, x, 2, 2, 2); }},
      {"pool2d: ", [&](B b, V x) { return distil_pool2d(b, DISTIL_AVG_POOL, x, 9, 1, 0); }},
      {"adaptive_pool2d: an input", [&](B b, V) { return distil_adaptive_pool2d(b, DISTIL_MAX_POOL, far, 1, 1); }},
      {"no distil_pool", [&](B b, V x) { return distil_adaptive_pool2d(b, static_cast<distil_pool>(-1), x, 1, 1); }},
      {"height is 0", [&](B b, V x) { return distil_adaptive_pool2d(b, DISTIL_MAX_POOL, x, 0, 1); }},
      {"width is 0", [&](B b, V x) { return distil_adaptive_pool2d(b, DISTIL_MAX_POOL, x, 1, 0); }},
      {"global_avg_pool: an input", [&](B b, V) { return distil_global_avg_pool(b, far); }},
      {"not [n,c,h,w]", [&](B b, V x) { return distil_global_avg_pool(b, distil_flatten(b, x)); }},
      {"flatten: an input", [&](B b, V) { return distil_flatten(b, far); }},
      {"concat: xs is NULL", [&](B b, V) { return distil_concat(b, nullptr, 2, 1); }},
      {"count is 0", [&](B b, V) { return distil_concat(b, two, 0, 1); }},
      {"axis is 0", [&](B b, V) { return distil_concat(b, two, 2, 0); }},
      {"axis is 4", [&](B b, V) { return distil_concat(b, two, 2, 4); }},
      {"concat: an input", [&](B b, V) { return distil_concat(b, &far, 1, 1); }},
      {"slice: an input", [&](B b, V) { return distil_slice(b, far, 1, 0, 1); }},
      {"axis is 0", [&](B b, V x) { return distil_slice(b, x, 0, 0, 1); }},
      {"begin is 3", [&](B b, V x) { return distil_slice(b, x, 1, 3, 1); }},
      {"extent is 3", [&](B b, V x) { return distil_slice(b, x, 1, 1, 3); }},
      {"channel_shuffle: an input", [&](B b, V) { return distil_channel_shuffle(b, far, 1); }},
      {"do not divide", [&](B b, V x) { return distil_channel_shuffle(b, x, 2); }},
      {"groups is 0", [&](B b, V x) { return distil_channel_shuffle(b, x, 0); }},
      {"resize: an input", [&](B b, V) { return distil_resize(b, far, 4, 4, 1); }},
      {"height is 0", [&](B b, V x) { return distil_resize(b, x, 0, 4, 1); }},
      {"width is -1", [&](B b, V x) { return distil_resize(b, x, 4, -1, 0); }},
      {"the name is taken",
       [&](B b, V x) { return distil_conv2d(b, "c", distil_conv2d(b, "c", x, 4, 3, nullptr), 4, 3, nullptr); }},
  };
  for (const auto& m : mistakes) {
    SCOPED_TRACE(m.message);
    ASSERT_EQ(distil_builder_begin(w.device, 3, 8, 8, &b, &x), DISTIL_OK);
    EXPECT_EQ(m.call(b, x).id, DISTIL_NO_VALUE);
    // The first mistake stays, whatever comes after.
    const V pooled = distil_global_avg_pool(b, x), logits = distil_linear(b, "last", pooled, 5, 1);
    EXPECT_EQ(logits.id, DISTIL_NO_VALUE);
    EXPECT_EQ(distil_builder_tap(b, x, x), kBad);
    distil_network* n = reinterpret_cast<distil_network*>(1);
    EXPECT_EQ(distil_builder_finish(b, pooled, logits, 1, &n), kBad);
    EXPECT_EQ(n, nullptr);
    EXPECT_NE(std::string(distil_last_error()).find(m.message), std::string::npos) << distil_last_error();
    distil_builder_free(b);
  }

  // Without a builder there is nothing to keep a message.
  EXPECT_EQ(distil_conv2d(nullptr, "c", x, 4, 3, nullptr).id, DISTIL_NO_VALUE);
  EXPECT_EQ(distil_concat(nullptr, &x, 1, 1).id, DISTIL_NO_VALUE);
  EXPECT_EQ(distil_builder_tap(nullptr, x, x), kBad);
  distil_builder_free(nullptr);
}

TEST(Misuse, FinishingABuilder) {
  World w;
  distil_builder* b;
  distil_value x;
  distil_network* n;
  ASSERT_EQ(distil_builder_begin(w.device, 3, 8, 8, &b, &x), DISTIL_OK);
  const distil_value pooled = distil_global_avg_pool(b, x), logits = distil_linear(b, "fc", pooled, 5, 1);
  const distil_value far = {99};
  Check({
      {"builder", kBad, "b is NULL", [&] { return distil_builder_finish(nullptr, pooled, logits, 1, &n); }},
      {"network", kBad, "network is NULL", [&] { return distil_builder_finish(b, pooled, logits, 1, nullptr); }},
      {"pooled", kBad, "pooled is not a value", [&] { return distil_builder_finish(b, far, logits, 1, &n); }},
      {"logits", kBad, "logits is not a value", [&] { return distil_builder_finish(b, pooled, far, 1, &n); }},
      {"shape", kBad, "pooled has shape", [&] { return distil_builder_finish(b, x, logits, 1, &n); }},
      {"shape", kBad, "logits has shape", [&] { return distil_builder_finish(b, pooled, x, 1, &n); }},
  });
  EXPECT_EQ(distil_builder_finish(b, pooled, logits, 1, &n), DISTIL_OK) << distil_last_error();
  distil_network_free(n);
  EXPECT_EQ(distil_builder_tap(b, x, pooled), kBad);
  EXPECT_NE(std::string(distil_last_error()).find("tap: pre and post have shapes"), std::string::npos);
  distil_builder_free(b);
}

TEST(Misuse, Inference) {
  World w;
  distil_inference* i = reinterpret_cast<distil_inference*>(1);
  std::vector<float> z(20);
  int rank;
  int64_t shape[DISTIL_MAX_RANK];
  distil_memory memory = DISTIL_MEMORY_INIT, bad_memory = DISTIL_MEMORY_INIT;
  distil_score score = DISTIL_SCORE_INIT, bad_score = DISTIL_SCORE_INIT;
  bad_memory.struct_size = bad_score.struct_size = 3;
  auto batch = [&](auto change) {
    return [&, change] {
      distil_batch b = w.batch;
      change(&b);
      return distil_inference_score(w.inference, &b, &score);
    };
  };
  using B = distil_batch*;
  Check({
      {"create: network", kBad, "network is NULL", [&] { return distil_inference_create(nullptr, 2, "", &i); }},
      {"create: output", kBad, "inference is NULL", [&] { return distil_inference_create(w.student, 2, "", nullptr); }},
      {"create: batch", kBad, "at least one", [&] { return distil_inference_create(w.student, 0, "", &i); }},
      {"create: option", kBad, "no option 'tap'", [&] { return distil_inference_create(w.student, 2, "tap=f1", &i); }},
      {"create: tap", DISTIL_NOT_FOUND, "no tap 'f9'",
       [&] { return distil_inference_create(w.student, 2, "taps=f9", &i); }},
      {"create: mean", kBad, "2 numbers", [&] { return distil_inference_create(w.student, 2, "mean=0,0", &i); }},
      {"output: before", DISTIL_FAILED_PRECONDITION, "before a run",
       [&] { return distil_inference_output(w.inference, "logits", z.data(), 20); }},
      {"run: inference", kBad, "inference is NULL", [&] { return distil_inference_run(nullptr, &w.batch); }},
      {"run: batch", kBad, "batch is NULL", [&] { return distil_inference_run(w.inference, nullptr); }},
      {"batch: size", kBad, "struct_size", batch([](B b) { b->struct_size = 4; })},
      {"batch: count", kBad, "at least one image", batch([](B b) { b->count = 0; })},
      {"batch: negative", kBad, "at least one image", batch([](B b) { b->count = -2; })},
      {"batch: too many", kBad, "made for 2",
       [&] {
         distil_batch b = w.batch;
         b.count = 3;
         b.labels = nullptr;
         return distil_inference_run(w.inference, &b);
       }},
      {"batch: pixels", kBad, "pixels is 7", batch([](B b) { b->pixels = static_cast<distil_pixels>(7); })},
      {"batch: images", kBad, "no images", batch([](B b) { b->images = nullptr; })},
      {"batch: labels", kBad, "labels", batch([](B b) { b->labels = nullptr; })},
      {"batch: label", kBad, "label 10 of image 1", batch([](B b) {
         static const int32_t l[] = {0, 10};
         b->labels = l;
       })},
      {"output: inference", kBad, "inference is NULL",
       [&] { return distil_inference_output(nullptr, "logits", z.data(), 20); }},
      {"output: name", kBad, "name is NULL",
       [&] { return distil_inference_output(w.inference, nullptr, z.data(), 20); }},
      {"output: values", kBad, "values is NULL",
       [&] { return distil_inference_output(w.inference, "logits", nullptr, 20); }},
      {"output: unknown", DISTIL_NOT_FOUND, "no tap 'logit'",
       [&] { return distil_inference_output(w.inference, "logit", z.data(), 20); }},
      {"output: not asked for", DISTIL_NOT_FOUND, "asked for",
       [&] { return distil_inference_output(w.inference, "pooled", z.data(), 20); }},
      {"shape: inference", kBad, "inference is NULL",
       [&] { return distil_inference_shape(nullptr, "logits", &rank, shape); }},
      {"shape: name", kBad, "name is NULL", [&] { return distil_inference_shape(w.inference, nullptr, &rank, shape); }},
      {"shape: rank", kBad, "rank is NULL",
       [&] { return distil_inference_shape(w.inference, "logits", nullptr, shape); }},
      {"shape: shape", kBad, "shape is NULL",
       [&] { return distil_inference_shape(w.inference, "logits", &rank, nullptr); }},
      {"shape: unknown", DISTIL_NOT_FOUND, "no tap",
       [&] { return distil_inference_shape(w.inference, "x", &rank, shape); }},
      {"memory: inference", kBad, "inference is NULL", [&] { return distil_inference_memory(nullptr, &memory); }},
      {"memory: memory", kBad, "memory is NULL", [&] { return distil_inference_memory(w.inference, nullptr); }},
      {"memory: size", kBad, "struct_size", [&] { return distil_inference_memory(w.inference, &bad_memory); }},
      {"score: inference", kBad, "inference is NULL",
       [&] { return distil_inference_score(nullptr, &w.batch, &score); }},
      {"score: batch", kBad, "batch is NULL", [&] { return distil_inference_score(w.inference, nullptr, &score); }},
      {"score: score", kBad, "score is NULL", [&] { return distil_inference_score(w.inference, &w.batch, nullptr); }},
      {"score: size", kBad, "struct_size", [&] { return distil_inference_score(w.inference, &w.batch, &bad_score); }},
  });
  EXPECT_EQ(score.count, 0);
  EXPECT_EQ(distil_inference_score(w.inference, &w.batch, &score), DISTIL_OK) << distil_last_error();
  EXPECT_EQ(score.count, 2);
  EXPECT_EQ(distil_inference_output(w.inference, "logits", z.data(), 19), kBad);
  distil_inference_free(nullptr);
}

TEST(Misuse, Methods) {
  distil_method_info info = DISTIL_METHOD_INFO_INIT, bad = DISTIL_METHOD_INFO_INIT;
  bad.struct_size = 0;
  const char *a, *b, *c;
  Check({
      {"info", kBad, "info is NULL", [&] { return distil_method_get(0, nullptr); }},
      {"size", kBad, "struct_size", [&] { return distil_method_get(0, &bad); }},
      {"index", DISTIL_NOT_FOUND, "methods", [&] { return distil_method_get(1000, &info); }},
      {"option: name", kBad, "name is NULL", [&] { return distil_method_option(0, 0, nullptr, &b, &c); }},
      {"option: default", kBad, "fallback is NULL", [&] { return distil_method_option(0, 0, &a, nullptr, &c); }},
      {"option: help", kBad, "help is NULL", [&] { return distil_method_option(0, 0, &a, &b, nullptr); }},
      {"option: method", DISTIL_NOT_FOUND, "methods", [&] { return distil_method_option(1000, 0, &a, &b, &c); }},
      {"option: index", DISTIL_NOT_FOUND, "options", [&] { return distil_method_option(0, 1000, &a, &b, &c); }},
      {"trainer option: name", kBad, "name is NULL", [&] { return distil_trainer_option(0, nullptr, &b, &c); }},
      {"trainer option: default", kBad, "fallback is NULL", [&] { return distil_trainer_option(0, &a, nullptr, &c); }},
      {"trainer option: help", kBad, "help is NULL", [&] { return distil_trainer_option(0, &a, &b, nullptr); }},
      {"trainer option: index", DISTIL_NOT_FOUND, "options", [&] { return distil_trainer_option(1000, &a, &b, &c); }},
  });
}

TEST(Misuse, Roles) {
  char role[DISTIL_ROLE_SIZE];
  Check({
      {"method", kBad, "method is NULL", [&] { return distil_method_role(nullptr, "", 0, role); }},
      {"role", kBad, "role is NULL", [&] { return distil_method_role("kd", "", 0, nullptr); }},
      {"name", kBad, "no method 'kdd'", [&] { return distil_method_role("kdd", "", 0, role); }},
      {"options", kBad, "no option 'TT'", [&] { return distil_method_role("kd", "TT=4", 0, role); }},
      {"index", DISTIL_NOT_FOUND, "2 roles", [&] { return distil_method_role("kd", "T=4 lr=0.1", 2, role); }},
  });
  EXPECT_EQ(distil_method_role("kd+at", nullptr, 1, role), DISTIL_OK) << distil_last_error();
  EXPECT_STREQ(role, "teacher");
}

// Networks that a method cannot compare: one sentence when the trainer is made, before any step, whichever phase it is in.
TEST(Misuse, NetworksThatDoNotFit) {
  distil_device* device = nullptr;
  ASSERT_EQ(distil_device_open("reference", nullptr, &device), DISTIL_OK);
  auto make = [&](const char* model, const char* options) {
    distil_network* n = nullptr;
    EXPECT_EQ(distil_network_create(device, model, options, 1, &n), DISTIL_OK) << distil_last_error();
    return n;
  };
  distil_network* const student = make("resnet8", "classes=10 input=3,8,8");
  distil_network* const more_classes = make("resnet8", "classes=100 input=3,8,8");
  distil_network* const more_stages = make("vgg8", "classes=10 input=3,8,8");
  distil_network* const wider = make("resnet8x4", "classes=10 input=3,8,8");
  // Of the caller's own: maps of 8, 5 and 5 pixels, one without any stage, and one whose stages are vectors.
  auto own = [&](bool stages, bool vectors = false) {
    distil_builder* b = nullptr;
    distil_value x;
    distil_network* n = nullptr;
    EXPECT_EQ(distil_builder_begin(device, 3, 8, 8, &b, &x), DISTIL_OK);
    distil_conv_options narrow = DISTIL_CONV_OPTIONS_INIT;
    narrow.pad = 0;
    distil_value stem = distil_conv2d(b, "stem", x, 4, 3, nullptr),
                 stage = distil_conv2d(b, "stage", stem, 4, 4, &narrow),
                 last = distil_conv2d(b, "last", stage, 4, 1, nullptr);
    const distil_value pooled = distil_global_avg_pool(b, last), logits = distil_linear(b, "fc", pooled, 10, 1);
    if (vectors) stage = last = pooled;
    for (distil_value v : {stem, stage, last}) {
      if (stages) {
        EXPECT_EQ(distil_builder_tap(b, v, v), DISTIL_OK);
      }
    }
    EXPECT_EQ(distil_builder_finish(b, pooled, logits, 1, &n), DISTIL_OK) << distil_last_error();
    distil_builder_free(b);
    return n;
  };
  distil_network *const odd = own(true), *const bare = own(false), *const flat = own(true, true);

  const struct {
    const char *method, *options;
    distil_network *teacher, *student;
    const char* message;
  } cases[] = {
      {"kd", "", more_classes, student, "method kd: the teacher has 100 classes and the student 10"},
      {"dkd", "", more_classes, student, "the teacher has 100 classes and the student 10"},
      {"normkd", "", more_classes, student, "the teacher has 100 classes and the student 10"},
      {"dskd", "", more_classes, student, "the teacher has 100 classes and the student 10"},
      {"kd+at", "", more_classes, student, "the teacher has 100 classes and the student 10"},
      {"at", "", more_stages, student, "method at: the teacher has 4 stages and the student 3; at.pairs=common"},
      {"vid", "", more_stages, student, "method vid: the teacher has 4 stages and the student 3; vid.pairs=common"},
      {"nst", "", more_stages, student, "method nst: the teacher has 4 stages and the student 3; nst.pairs=common"},
      {"ab", "", more_stages, student, "method ab: the teacher has 4 stages and the student 3"},
      {"fsp", "", more_stages, student, "method fsp: the teacher has 4 stages and the student 3"},
      {"fsp", "", wider, student, "method fsp: the teacher has 32 channels at tap f0 and the student 16"},
      {"fitnet", "stage=4", more_stages, student, "method fitnet: the student has no stage 4"},
      {"fitnet", "stage=4", student, more_stages, "method fitnet: the teacher has no stage 4"},
      {"at", "", bare, student, "method at: the teacher has no stages to compare"},
      {"sp", "", student, bare, "method sp: the student has no stages to compare"},
      {"ab", "", bare, student, "method ab: the teacher has no stages to compare"},
      {"ft", "", student, bare, "method ft: the student has no stages to compare"},
      {"fsp", "", student, bare, "method fsp: the student has no stages to compare"},
      {"vid", "", bare, student, "method vid: the teacher has no stages to compare"},
      {"fitnet", "stage=1", bare, student, "method fitnet: the teacher has no stage 1"},
      {"dskd", "", bare, student, "method dskd: the teacher has no feature maps to compare"},
      {"dsn", "", nullptr, bare, "this student is not a network of the zoo"},
      {"dskd", "heads=3", student, student, "heads=3: the student has 3 stages, and only those before the last"},
      {"at", "pairs=common", student, flat, "method at: stage 1: both networks need feature maps [n,c,h,w] there"},
      {"fitnet", "stage=1", student, flat, "method fitnet: both networks need feature maps [n,c,h,w] there"},
      {"fitnet", "stage=1", flat, student, "method fitnet: both networks need feature maps [n,c,h,w] there"},
      {"fitnet", "stage=1e30", student, student, "option stage = '1e30': must be a whole number"},
      {"ft", "paraphraser_lr=1e30", student, student, "option paraphraser_lr = '1e30': must lie in (0,1e6]"},
      {"vid", "pairs=common", odd, student, "method vid: stage 1: maps [2,4,5,5] and [2,16,8,8] cannot be averaged"},
      {"nst", "pairs=common", odd, student, "method nst: stage 1: maps [2,4,5,5] and [2,16,8,8] cannot be averaged"},
      {"dskd", "", odd, student, "method dskd: maps [2,4,5,5] and [2,64,2,2] cannot be averaged"},
      {"fitnet", "stage=2", odd, student, "method fitnet: a map [2,32,4,4] cannot be brought to the size of [2,4,5,5]"},
      {"ft", "", odd, student, "method ft: maps [2,4,5,5] and [2,64,2,2] cannot be averaged"},
      {"crd", "", student, wider, "its memory has an entry for each sample: the option samples is needed"},
      {"crd", "samples=50 negatives=51", student, wider, "51 negatives are more than the 50 samples"},
      {"crd", "samples=50", student, wider, "are more than the 50 samples: set crd.negatives"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(std::string(c.method) + " " + c.options + ": " + c.message);
    distil_trainer* t = reinterpret_cast<distil_trainer*>(1);
    const distil_role roles[] = {{"student", c.student}, {"teacher", c.teacher}};
    const std::string options = std::string("schedule=constant epochs=2 steps_per_epoch=2 ") + c.options;
    // A pair may not be one network twice.
    distil_network* const twin = c.teacher == c.student ? make("resnet8", "classes=10 input=3,8,8") : nullptr;
    const distil_role apart[] = {{"student", c.student}, {"teacher", twin}};
    EXPECT_EQ(distil_trainer_create(device, c.method, options.c_str(), twin ? apart : roles, c.teacher ? 2 : 1, &t),
              kBad);
    EXPECT_EQ(t, nullptr);
    const std::string message = distil_last_error();
    EXPECT_NE(message.find(c.message), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    distil_network_free(twin);
  }
  for (distil_network* n : {student, more_classes, more_stages, wider, odd, bare, flat}) distil_network_free(n);
  distil_device_close(device);
}

TEST(Misuse, Trainers) {
  World w;
  distil_trainer* t = reinterpret_cast<distil_trainer*>(1);
  const distil_role both[] = {{"student", w.student}, {"teacher", w.teacher}}, unnamed[] = {{nullptr, w.student}},
                    empty[] = {{"student", nullptr}}, wrong[] = {{"student", w.student}, {"tutor", w.teacher}};
  auto create = [&](const char* method, const char* options, const distil_role* roles, size_t n) {
    return [&, method, options, roles, n] {
      t = reinterpret_cast<distil_trainer*>(1);
      const distil_status s = distil_trainer_create(w.device, method, options, roles, n, &t);
      EXPECT_EQ(t, nullptr);
      return s;
    };
  };
  distil_step_result bad_result = DISTIL_STEP_RESULT_INIT;
  distil_memory memory = DISTIL_MEMORY_INIT, bad_memory = DISTIL_MEMORY_INIT;
  bad_result.struct_size = bad_memory.struct_size = 1;
  int64_t step, total;
  const char* name;
  double value;
  float g[1] = {};
  const int32_t ints[1] = {};
  auto run = [&](auto change) {
    return [&, change] {
      distil_batch b = w.batch;
      change(&b);
      return distil_trainer_step(w.trainer, &b, nullptr);
    };
  };
  using B = distil_batch*;
  const std::vector<uint8_t> pixels(2 * 3 * 8 * 8, 7);
  const uint32_t ids[] = {0, 1, 2};
  distil_image_set set = DISTIL_IMAGE_SET_INIT;
  set.count = 2, set.channels = 3, set.height = set.width = 8;
  set.images = pixels.data(), set.labels = w.labels.data();
  auto attach = [&](auto change) {
    return [&, change] {
      distil_image_set s = set;
      change(&s);
      return distil_trainer_attach(w.trainer, &s);
    };
  };
  using S = distil_image_set*;
  Check({
      {"create: device", kBad, "device is NULL", [&] { return distil_trainer_create(nullptr, "kd", "", both, 2, &t); }},
      {"create: method", kBad, "method is NULL", create(nullptr, w.kOptions, both, 2)},
      {"create: roles", kBad, "roles is NULL", create("kd", w.kOptions, nullptr, 2)},
      {"create: output", kBad, "trainer is NULL",
       [&] { return distil_trainer_create(w.device, "kd", "", both, 2, nullptr); }},
      {"create: method's name", kBad, "no method 'kdd'", create("kdd", w.kOptions, both, 2)},
      {"create: sum", kBad, "no method ''", create("kd+", w.kOptions, both, 2)},
      {"create: option", kBad, "no option 'shedule'; the nearest is 'schedule'",
       create("kd", "shedule=constant", both, 2)},
      {"create: method's option", kBad, "no option 'TT'", create("kd", "schedule=constant TT=4", both, 2)},
      {"create: value", kBad, "T", create("kd", "schedule=constant T=hot", both, 2)},
      {"create: words", kBad, "expected key=value", create("kd", "fast", both, 2)},
      {"create: epochs", kBad, "steps_per_epoch is needed", create("kd", nullptr, both, 2)},
      {"create: no role", kBad, "roles[0]", create("ce", w.kOptions, unnamed, 1)},
      {"create: no network", kBad, "roles[0]", create("ce", w.kOptions, empty, 1)},
      {"create: missing", kBad, "needs a network in the role 'teacher'", create("kd", w.kOptions, both, 1)},
      {"create: unknown role", kBad, "no role 'tutor'", create("kd", w.kOptions, wrong, 2)},
      {"create: mean", kBad, "option mean", create("kd", "schedule=constant mean=1,2", both, 2)},
      {"step: trainer", kBad, "trainer is NULL", [&] { return distil_trainer_step(nullptr, &w.batch, nullptr); }},
      {"step: batch", kBad, "batch is NULL", [&] { return distil_trainer_step(w.trainer, nullptr, nullptr); }},
      {"step: result", kBad, "struct_size", [&] { return distil_trainer_step(w.trainer, &w.batch, &bad_result); }},
      {"step: size", kBad, "struct_size", run([](B b) { b->struct_size = 0; })},
      {"step: count", kBad, "at least one image", run([](B b) { b->count = 0; })},
      {"step: pixels", kBad, "pixels", run([](B b) { b->pixels = static_cast<distil_pixels>(-1); })},
      {"step: images", kBad, "no images", run([](B b) { b->images = nullptr; })},
      {"step: labels", kBad, "no labels", run([](B b) { b->labels = nullptr; })},
      {"step: label", kBad, "label -1 of image 0", run([](B b) {
         static const int32_t l[] = {-1, 0};
         b->labels = l;
       })},
      {"attach: trainer", kBad, "trainer is NULL", [&] { return distil_trainer_attach(nullptr, &set); }},
      {"attach: set", kBad, "set is NULL", [&] { return distil_trainer_attach(w.trainer, nullptr); }},
      {"attach: size", kBad, "start with DISTIL_IMAGE_SET_INIT", attach([](S s) { s->struct_size = 0; })},
      {"attach: count", kBad, "this one -1", attach([](S s) { s->count = -1; })},
      {"attach: shape", kBad, "the set's images have 3 channels and 8x9 pixels", attach([](S s) { s->width = 9; })},
      {"attach: images", kBad, "the set has no images", attach([](S s) { s->images = nullptr; })},
      {"attach: label", kBad, "label 10 of sample 1", attach([](S s) {
         static const int32_t l[] = {9, 10};
         s->labels = l;
       })},
      {"samples: none", DISTIL_FAILED_PRECONDITION, "no set is attached",
       [&] { return distil_trainer_step_samples(w.trainer, ids, 2, nullptr); }},
      {"samples: trainer", kBad, "trainer is NULL",
       [&] { return distil_trainer_step_samples(nullptr, ids, 2, nullptr); }},
      {"samples: ids", kBad, "ids is NULL",
       [&] { return distil_trainer_step_samples(w.trainer, nullptr, 2, nullptr); }},
      {"samples: result", kBad, "struct_size",
       [&] { return distil_trainer_step_samples(w.trainer, ids, 2, &bad_result); }},
      {"attach", DISTIL_OK, "", attach([](S) {})},
      {"attach: twice", DISTIL_FAILED_PRECONDITION, "attached to the trainer already", attach([](S) {})},
      {"samples: count", kBad, "at least one image",
       [&] { return distil_trainer_step_samples(w.trainer, ids, 0, nullptr); }},
      {"samples: id", kBad, "ids[2] is 2, and the attached set has 2 samples",
       [&] { return distil_trainer_step_samples(w.trainer, ids, 3, nullptr); }},
      {"input: trainer", kBad, "trainer is NULL", [&] { return distil_trainer_input(nullptr, "x", g, 1); }},
      {"input: name", kBad, "name is NULL", [&] { return distil_trainer_input(w.trainer, nullptr, g, 1); }},
      {"input: values", kBad, "values is NULL", [&] { return distil_trainer_input(w.trainer, "x", nullptr, 1); }},
      {"ints: trainer", kBad, "trainer is NULL", [&] { return distil_trainer_input_ints(nullptr, "x", ints, 1); }},
      {"ints: name", kBad, "name is NULL", [&] { return distil_trainer_input_ints(w.trainer, nullptr, ints, 1); }},
      {"ints: values", kBad, "values is NULL", [&] { return distil_trainer_input_ints(w.trainer, "x", nullptr, 1); }},
      {"position: trainer", kBad, "trainer is NULL", [&] { return distil_trainer_position(nullptr, &step, &total); }},
      {"position: step", kBad, "step is NULL", [&] { return distil_trainer_position(w.trainer, nullptr, &total); }},
      {"position: total", kBad, "total is NULL", [&] { return distil_trainer_position(w.trainer, &step, nullptr); }},
      {"skip: trainer", kBad, "trainer is NULL", [&] { return distil_trainer_skip_phase(nullptr); }},
      {"term: trainer", kBad, "trainer is NULL", [&] { return distil_trainer_term(nullptr, 0, &name, &value); }},
      {"term: name", kBad, "name is NULL", [&] { return distil_trainer_term(w.trainer, 0, nullptr, &value); }},
      {"term: value", kBad, "value is NULL", [&] { return distil_trainer_term(w.trainer, 0, &name, nullptr); }},
      {"term: index", DISTIL_NOT_FOUND, "before a step",
       [&] { return distil_trainer_term(w.trainer, 0, &name, &value); }},
      {"gradient: trainer", kBad, "trainer is NULL",
       [&] { return distil_trainer_gradient(nullptr, "student", "fc.bias", g, 1); }},
      {"gradient: role", kBad, "role is NULL",
       [&] { return distil_trainer_gradient(w.trainer, nullptr, "fc.bias", g, 1); }},
      {"gradient: parameter", kBad, "parameter is NULL",
       [&] { return distil_trainer_gradient(w.trainer, "student", nullptr, g, 1); }},
      {"gradient: values", kBad, "values is NULL",
       [&] { return distil_trainer_gradient(w.trainer, "student", "fc.bias", nullptr, 1); }},
      {"gradient: option", DISTIL_FAILED_PRECONDITION, "gradients=1",
       [&] { return distil_trainer_gradient(w.trainer, "student", "fc.bias", g, 1); }},
      {"memory: trainer", kBad, "trainer is NULL", [&] { return distil_trainer_memory(nullptr, 2, &memory); }},
      {"memory: batch", kBad, "at least one", [&] { return distil_trainer_memory(w.trainer, 0, &memory); }},
      {"memory: memory", kBad, "memory is NULL", [&] { return distil_trainer_memory(w.trainer, 2, nullptr); }},
      {"memory: size", kBad, "struct_size", [&] { return distil_trainer_memory(w.trainer, 2, &bad_memory); }},
      {"algorithms: trainer", kBad, "trainer is NULL", [&] { return distil_trainer_algorithms(nullptr, &name); }},
      {"algorithms: text", kBad, "text is NULL", [&] { return distil_trainer_algorithms(w.trainer, nullptr); }},
      {"save: trainer", kBad, "trainer is NULL", [&] { return distil_trainer_save(nullptr, "x"); }},
      {"save: path", kBad, "path is NULL", [&] { return distil_trainer_save(w.trainer, nullptr); }},
      {"save: folder", DISTIL_NOT_FOUND, "/no/such/x", [&] { return distil_trainer_save(w.trainer, "/no/such/x"); }},
      {"load: trainer", kBad, "trainer is NULL", [&] { return distil_trainer_load(nullptr, "x"); }},
      {"load: path", kBad, "path is NULL", [&] { return distil_trainer_load(w.trainer, nullptr); }},
      {"load: absent", DISTIL_NOT_FOUND, "/no/such", [&] { return distil_trainer_load(w.trainer, "/no/such"); }},
  });
  EXPECT_EQ(distil_trainer_step(w.trainer, &w.batch, nullptr), DISTIL_OK) << distil_last_error();
  distil_trainer_free(nullptr);
}

}  // namespace
