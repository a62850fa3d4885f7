/* Distils a network of one's own into a smaller one of the zoo, on images that the program draws itself.
 *
 *   cc -std=c99 -o train_kd train_kd.c $(pkg-config --static --cflags --libs distil)
 *
 * The images show a bright bar on noise; the class is its direction. First the teacher, made layer by layer, learns
 * from labels; then a tiny student learns from labels and teacher; at the end both are scored on images they have not
 * seen.
 */
#include <distil/distil.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 12, CLASSES = 4, BATCH = 32, STEPS = 24, PIXELS = SIDE * SIDE * 3 };

static void check(distil_status status, const char* what) {
  if (status == DISTIL_OK) return;
  fprintf(stderr, "%s: %s: %s\n", what, distil_status_name(status), distil_last_error());
  exit(1);
}

/* ---- Images -------------------------------------------------------------------------------------------------------
 */

static unsigned random_state = 12345;
static unsigned next_random(void) { return (random_state = random_state * 1664525u + 1013904223u) >> 8; }

static void draw(unsigned char* image, int direction) {
  const int dx[CLASSES] = {1, 0, 1, 1}, dy[CLASSES] = {0, 1, 1, -1};
  int x = 4 + (int)(next_random() % 4), y = 4 + (int)(next_random() % 4);
  for (int i = 0; i < PIXELS; ++i) image[i] = (unsigned char)(next_random() % 160);
  for (int t = -3; t <= 3; ++t) {
    int px = x + t * dx[direction], py = y + t * dy[direction];
    if (px < 0 || py < 0 || px >= SIDE || py >= SIDE) continue;
    for (int c = 0; c < 3; ++c) image[(py * SIDE + px) * 3 + c] = (unsigned char)(190 + next_random() % 66);
  }
}

static void next_batch(distil_batch* batch, unsigned first_id) {
  static unsigned char images[BATCH * PIXELS];
  static int32_t labels[BATCH];
  static uint32_t ids[BATCH];
  for (int i = 0; i < BATCH; ++i) {
    labels[i] = (int32_t)(next_random() % CLASSES);
    ids[i] = first_id + (unsigned)i;
    draw(images + i * PIXELS, labels[i]);
  }
  batch->count = BATCH;
  batch->pixels = DISTIL_U8_NHWC;
  batch->images = images;
  batch->labels = labels;
  batch->ids = ids;
}

/* ---- Networks -----------------------------------------------------------------------------------------------------
 */

static distil_value conv_bn_relu(distil_builder* b, const char* conv, const char* bn, distil_value x,
                                 int64_t channels) {
  x = distil_conv2d(b, conv, x, channels, 3, NULL);
  x = distil_batch_norm(b, bn, x, 1e-5, 0.1);
  return distil_apply(b, DISTIL_RELU, x);
}

static distil_network* make_teacher(distil_device* device) {
  distil_builder* b;
  distil_value x, pooled, logits;
  distil_network* network;
  check(distil_builder_begin(device, 3, SIDE, SIDE, &b, &x), "begin");
  x = conv_bn_relu(b, "conv1", "bn1", x, 16);
  distil_builder_tap(b, x, x);
  x = distil_pool2d(b, DISTIL_MAX_POOL, x, 2, 2, 0);
  x = conv_bn_relu(b, "conv2", "bn2", x, 32);
  distil_builder_tap(b, x, x);
  pooled = distil_global_avg_pool(b, x);
  logits = distil_linear(b, "fc", pooled, CLASSES, 1);
  check(distil_builder_finish(b, pooled, logits, 1, &network), "teacher"); /* tells about any mistake above */
  distil_builder_free(b);
  return network;
}

/* ---- Training -----------------------------------------------------------------------------------------------------
 */

/* Runs all steps; returns the mean loss of the last four over that of the first four. */
static double train(distil_trainer* trainer, const char* who) {
  distil_batch batch = DISTIL_BATCH_INIT;
  double first = 0, last = 0;
  for (unsigned step = 0; step < STEPS; ++step) {
    distil_step_result result = DISTIL_STEP_RESULT_INIT;
    next_batch(&batch, step * BATCH);
    check(distil_trainer_step(trainer, &batch, &result), who);
    if (step < 4) first += result.loss;
    if (step >= STEPS - 4) last += result.loss;
    if (step % 6 == 0 || step == STEPS - 1) {
      const char* name;
      double value;
      printf("%s step %2d  lr %.4f  right %2d of %d ", who, (int)result.step, result.lr, (int)result.correct, BATCH);
      for (size_t k = 0; distil_trainer_term(trainer, k, &name, &value) == DISTIL_OK; ++k)
        printf("  %s %.4f", name, value);
      printf("\n");
    }
  }
  return last / first;
}

static double accuracy(distil_network* network, const char* who) {
  distil_inference* inference;
  distil_score score = DISTIL_SCORE_INIT;
  distil_batch batch = DISTIL_BATCH_INIT;
  check(distil_inference_create(network, BATCH, "mean=0.4 std=0.25", &inference), who);
  for (unsigned i = 0; i < 4; ++i) {
    next_batch(&batch, 1000000 + i * BATCH);
    check(distil_inference_score(inference, &batch, &score), who);
  }
  distil_inference_free(inference);
  printf("%s: %.1f%% of %d new images\n", who, 100.0 * (double)score.top1 / (double)score.count, (int)score.count);
  return (double)score.top1 / (double)score.count;
}

int main(void) {
  const char* options = "epochs=4 steps_per_epoch=6 schedule=cosine lr=0.1 mean=0.4 std=0.25";
  distil_device* device;
  distil_network *teacher, *student;
  distil_trainer* trainer;
  char before[65], after[65];
  double ce, kd, right;

  check(distil_device_open("cpu", NULL, &device), "device");
  printf("distil %s on %s\n", distil_version(), distil_device_description(device));

  teacher = make_teacher(device);
  {
    distil_role roles[1] = {{"student", NULL}};
    roles[0].network = teacher;
    check(distil_trainer_create(device, "ce", options, roles, 1, &trainer), "teacher's trainer");
  }
  ce = train(trainer, "teacher");
  distil_trainer_free(trainer);
  right = accuracy(teacher, "teacher");

  check(distil_network_create(device, "resnet8", "classes=4 input=3,12,12", 2, &student), "student");
  check(distil_network_digest(teacher, before), "digest");
  {
    distil_role roles[2] = {{"student", NULL}, {"teacher", NULL}};
    char with_temperature[256];
    roles[0].network = student;
    roles[1].network = teacher;
    sprintf(with_temperature, "T=4 ce=0.5 %s", options);
    check(distil_trainer_create(device, "kd", with_temperature, roles, 2, &trainer), "student's trainer");
  }
  kd = train(trainer, "student");
  distil_trainer_free(trainer);
  accuracy(student, "student");
  check(distil_network_digest(teacher, after), "digest");
  check(distil_network_save(student, "student.safetensors"), "save");
  remove("student.safetensors");

  distil_network_free(student);
  distil_network_free(teacher);
  distil_device_close(device);

  if (!(ce < 0.8) || !(kd < 0.8) || !(right > 0.5)) {
    fprintf(stderr, "the networks did not learn: loss ratios %g and %g, accuracy %g\n", ce, kd, right);
    return 1;
  }
  for (int i = 0; i < 64; ++i) {
    if (before[i] != after[i]) {
      fprintf(stderr, "the teacher has changed\n");
      return 1;
    }
  }
  return 0;
}
