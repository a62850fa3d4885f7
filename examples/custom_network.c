/* A network of one's own: built from layers, looked into, saved, loaded, and what happens after a mistake.
 *
 *   cc -std=c99 -o custom_network custom_network.c $(pkg-config --static --cflags --libs distil)
 */
#include <distil/distil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(distil_status status, const char* what) {
  if (status == DISTIL_OK) return;
  fprintf(stderr, "%s: %s: %s\n", what, distil_status_name(status), distil_last_error());
  exit(1);
}

/* A block of MobileNet: depthwise 3x3, then 1x1, each with batch norm and ReLU. */
static distil_value separable(distil_builder* b, const char* name, distil_value x, int64_t in, int64_t out,
                              int64_t stride) {
  char layer[64];
  distil_conv_options depthwise = DISTIL_CONV_OPTIONS_INIT;
  depthwise.groups = in;
  depthwise.stride = stride;
  sprintf(layer, "%s.depthwise", name);
  x = distil_conv2d(b, layer, x, in, 3, &depthwise);
  sprintf(layer, "%s.bn1", name);
  x = distil_apply(b, DISTIL_RELU, distil_batch_norm(b, layer, x, 1e-5, 0.1));
  sprintf(layer, "%s.pointwise", name);
  x = distil_conv2d(b, layer, x, out, 1, NULL);
  sprintf(layer, "%s.bn2", name);
  x = distil_batch_norm(b, layer, x, 1e-5, 0.1);
  distil_builder_tap(b, x, distil_apply(b, DISTIL_RELU, x)); /* methods may look here: before and after activation */
  return distil_apply(b, DISTIL_RELU, x);
}

static distil_network* build(distil_device* device, uint64_t seed) {
  distil_builder* b;
  distil_value x, pooled, logits;
  distil_network* network;
  check(distil_builder_begin(device, 3, 32, 32, &b, &x), "begin");
  x = distil_conv2d(b, "stem", x, 8, 3, NULL);
  x = separable(b, "block1", x, 8, 16, 2);
  x = separable(b, "block2", x, 16, 32, 2);
  pooled = distil_dropout(b, distil_global_avg_pool(b, x), 0.1);
  logits = distil_linear(b, "classifier", pooled, 10, 1);
  check(distil_builder_finish(b, pooled, logits, seed, &network), "finish");
  distil_builder_free(b);
  return network;
}

/* Every call after a mistake is harmless, and the message says where it was. */
static int explain_mistake(distil_device* device) {
  distil_builder* b;
  distil_value x, pooled, logits;
  distil_network* network;
  distil_status status;
  check(distil_builder_begin(device, 3, 32, 32, &b, &x), "begin");
  x = distil_pool2d(b, DISTIL_MAX_POOL, x, 2, 2, 0);
  x = distil_linear(b, "classifier", x, 10, 1); /* x is [n,3,16,16]: nothing has pooled or flattened it */
  pooled = distil_flatten(b, x);
  logits = distil_linear(b, "head", pooled, 10, 1);
  status = distil_builder_finish(b, pooled, logits, 1, &network);
  printf("a mistake: %s: %s\n", distil_status_name(status), distil_last_error());
  distil_builder_free(b);
  return status == DISTIL_INVALID_ARGUMENT && strstr(distil_last_error(), "classifier") != NULL;
}

int main(void) {
  const char *path = "custom.safetensors", *tap;
  distil_device* device;
  distil_network *a, *b;
  distil_network_info info = DISTIL_NETWORK_INFO_INIT;
  distil_tensor_info tensor = DISTIL_TENSOR_INFO_INIT;
  char first[65], second[65];
  float bias[10];

  check(distil_device_open("cpu", NULL, &device), "device");
  a = build(device, 1);
  check(distil_network_get_info(a, &info), "info");
  printf("%lu parameters, %lu multiplications an image, taps", (unsigned long)info.parameters,
         (unsigned long)info.macs);
  for (size_t i = 0; distil_network_tap(a, i, &tap) == DISTIL_OK; ++i) printf(" %s", tap);
  printf("\n");
  for (size_t i = 0; distil_network_tensor(a, i, &tensor) == DISTIL_OK; ++i) {
    if (!tensor.trainable) continue;
    printf("  %s [", tensor.name);
    for (int d = 0; d < tensor.rank; ++d) printf(d ? ",%d" : "%d", (int)tensor.shape[d]);
    printf("]\n");
  }

  /* Tensors are read and written by name. */
  check(distil_network_read(a, "classifier.bias", bias, 10), "read");
  bias[3] = 0.5f;
  check(distil_network_write(a, "classifier.bias", bias, 10), "write");

  /* Another network of the same structure takes the weights from a file. */
  b = build(device, 2);
  check(distil_network_save(a, path), "save");
  check(distil_network_load(b, path), "load");
  remove(path);
  check(distil_network_digest(a, first), "digest");
  check(distil_network_digest(b, second), "digest");
  printf("digest %.16s... loaded as %.16s...\n", first, second);

  if (!explain_mistake(device) || strcmp(first, second) != 0) {
    fprintf(stderr, "something is not as it should be\n");
    return 1;
  }
  distil_network_free(b);
  distil_network_free(a);
  distil_device_close(device);
  return 0;
}
