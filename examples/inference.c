/* Classifies images with a network whose weights are in a safetensors file.
 *
 *   cc -std=c99 -o inference inference.c $(pkg-config --static --cflags --libs distil)
 *   ./inference MODEL CLASSES WEIGHTS.safetensors RGB...     files of raw bytes: height x width x 3
 *   ./inference                                              writes a file of fresh weights and one image, and reads them
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

static void* memory(size_t bytes) {
  void* p = calloc(1, bytes);
  if (!p) {
    fprintf(stderr, "out of memory\n");
    exit(1);
  }
  return p;
}

static void read_image(const char* path, unsigned char* image, size_t bytes) {
  FILE* f = fopen(path, "rb");
  size_t n = f ? fread(image, 1, bytes, f) : 0;
  int more = f ? fgetc(f) != EOF : 0;
  if (f) fclose(f);
  if (n != bytes || more) {
    fprintf(stderr, "%s: expected a file of exactly %lu bytes\n", path, (unsigned long)bytes);
    exit(1);
  }
}

/* The files that a first look needs. */
static void write_sample(distil_device* device, const char* weights, const char* image) {
  distil_network* network;
  FILE* f = fopen(image, "wb");
  check(distil_network_create(device, "resnet8", "classes=10", 1, &network), "create");
  check(distil_network_save(network, weights), "save");
  distil_network_free(network);
  for (int i = 0; f && i < 32 * 32 * 3; ++i) fputc(i * 37 % 256, f);
  if (!f || fclose(f) != 0) {
    fprintf(stderr, "cannot write %s\n", image);
    exit(1);
  }
}

int main(int argc, char** argv) {
  char* sample[] = {argv[0], "resnet8", "10", "sample.safetensors", "sample.rgb", NULL};
  char options[64];
  distil_device* device;
  distil_network* network;
  distil_network_info info = DISTIL_NETWORK_INFO_INIT;
  distil_inference* inference;
  distil_memory used = DISTIL_MEMORY_INIT;
  distil_batch batch = DISTIL_BATCH_INIT;
  unsigned char* pixels;
  float* logits;
  size_t bytes;
  const int is_sample = argc == 1;

  check(distil_device_open("cpu", NULL, &device), "device");
  if (is_sample) {
    write_sample(device, sample[3], sample[4]);
    argv = sample;
    argc = 5;
  }
  if (argc < 5) {
    fprintf(stderr, "usage: %s MODEL CLASSES WEIGHTS.safetensors RGB...\n", argv[0]);
    return 2;
  }
  if (strlen(argv[2]) > 9) {
    fprintf(stderr, "%s is no number of classes\n", argv[2]);
    return 2;
  }
  sprintf(options, "classes=%s", argv[2]);
  check(distil_network_create(device, argv[1], options, 0, &network), "create");
  check(distil_network_load(network, argv[3]), "load");
  check(distil_network_get_info(network, &info), "info");

  /* Batch norm is folded into the convolutions when the inference is made, and memory is known before anything runs. */
  check(distil_inference_create(network, argc - 4, "mean=0.507,0.487,0.441 std=0.267,0.256,0.276", &inference),
        "compile");
  check(distil_inference_memory(inference, &used), "memory");
  printf("%s: %.2f M parameters, %.1f M multiplications an image, %.1f MiB in all\n", info.model,
         (double)info.parameters / 1e6, (double)info.macs / 1e6, (double)used.total / 1048576.0);

  bytes = (size_t)(info.channels * info.height * info.width);
  pixels = memory(bytes * (size_t)(argc - 4));
  logits = memory(sizeof(float) * (size_t)info.classes * (size_t)(argc - 4));
  for (int i = 4; i < argc; ++i) read_image(argv[i], pixels + (size_t)(i - 4) * bytes, bytes);
  batch.count = argc - 4;
  batch.pixels = DISTIL_U8_NHWC;
  batch.images = pixels;
  check(distil_inference_run(inference, &batch), "run");
  check(distil_inference_output(inference, "logits", logits, (size_t)(batch.count * info.classes)), "logits");
  for (int i = 4; i < argc; ++i) {
    const float* z = logits + (i - 4) * info.classes;
    int best = 0;
    for (int k = 1; k < info.classes; ++k) best = z[k] > z[best] ? k : best;
    printf("%s: class %d, logit %.4f\n", argv[i], best, z[best]);
  }

  free(logits);
  free(pixels);
  distil_inference_free(inference);
  distil_network_free(network);
  distil_device_close(device);
  if (is_sample) {
    remove(sample[3]);
    remove(sample[4]);
  }
  return 0;
}
