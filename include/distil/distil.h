/* distil: train networks by knowledge distillation, from C.
 *
 * The whole of it, without error checks: load a teacher, train a student by KD, save the student.
 *
 *   distil_device *dev;
 *   distil_network *teacher, *student;
 *   distil_trainer *trainer;
 *   distil_device_open("cpu", NULL, &dev);
 *   distil_network_create(dev, "resnet32", "classes=100", 1, &teacher);
 *   distil_network_load(teacher, "resnet32.safetensors");
 *   distil_network_create(dev, "resnet8", "classes=100", 1, &student);
 *   distil_role roles[] = {{"student", student}, {"teacher", teacher}};
 *   distil_trainer_create(dev, "kd", "T=4 lr=0.05 epochs=240 steps_per_epoch=782 crop_pad=4 flip=0.5 "
 *                         "mean=0.507,0.487,0.441 std=0.267,0.256,0.276", roles, 2, &trainer);
 *   for (each batch) distil_trainer_step(trainer, &batch, NULL);
 *   distil_network_save(student, "student.safetensors");
 *
 * Errors. Every call that can fail returns a distil_status. When it is not DISTIL_OK, distil_last_error() gives one
 * sentence that names what was wrong; outputs are then NULL or untouched. The library never prints, aborts, exits or
 * throws.
 *
 * Ownership. Functions named *_create, *_open, *_begin, *_finish give a handle that the caller frees with the matching
 * *_free (or *_close); freeing NULL is harmless. A device must outlive what was made on it; a network may be freed
 * before the trainers and inferences that use it, which keep what they need.
 *
 * Threads. Distinct handles may be used from distinct threads at the same time, also handles of one device; one handle
 * by one thread at a time. Networks are shared state: do not train a network in two threads at once.
 *
 * Results. A training step is a pure function of the networks, the batch, the seed and the step number: run twice on
 * one build, instruction set and number of threads, it gives the same bits.
 *
 * Structs that begin with `struct_size` must have it set to their size (the *_INIT macros do): they can grow later.
 * Enumerations only grow at their end.
 */
#ifndef DISTIL_DISTIL_H_
#define DISTIL_DISTIL_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32) || defined(DISTIL_NO_VISIBILITY)
#define DISTIL_API
#else
#define DISTIL_API __attribute__((visibility("default")))
#endif

/* ---- Version ----------------------------------------------------------------------------------------------------- */

#define DISTIL_VERSION_MAJOR 0
#define DISTIL_VERSION_MINOR 1
#define DISTIL_VERSION_PATCH 0

/* "0.1.0": the version of the archive that is linked. */
DISTIL_API const char* distil_version(void);

/* Exists only in an archive that fits this header: a wrong pair fails to link instead of misbehaving. */
#define DISTIL_ABI_TAG distil_abi_0_1
DISTIL_API extern const int DISTIL_ABI_TAG;
#if defined(__GNUC__)
static const int* const distil_abi_reference __attribute__((used)) = &DISTIL_ABI_TAG;
#endif

/* ---- Errors ------------------------------------------------------------------------------------------------------ */

typedef enum distil_status {
  DISTIL_OK = 0,
  DISTIL_INVALID_ARGUMENT = 1, /* something passed in cannot work: NULL, a shape, an option, a range */
  DISTIL_NOT_FOUND = 2,        /* no such file, name, model or method */
  DISTIL_CORRUPT = 3,          /* a file is damaged, truncated or not what it claims to be */
  DISTIL_UNSUPPORTED = 4,      /* valid, but not possible on this device or in this build */
  DISTIL_IO = 5,               /* the operating system refused: permission, disk full */
  DISTIL_OUT_OF_MEMORY = 6,
  DISTIL_NON_FINITE = 7,          /* a loss or gradient became NaN or infinite; the step was not applied */
  DISTIL_FAILED_PRECONDITION = 8, /* the right call at the wrong moment */
  DISTIL_INTERNAL = 9,            /* a bug in distil: please report it */
  DISTIL_DEVICE_LOST = 10         /* the GPU failed and what was on it is gone: start again from a checkpoint */
} distil_status;

/* "invalid argument", ... Never NULL, also for numbers that are no status. */
DISTIL_API const char* distil_status_name(distil_status status);

/* The message of the last failed call in this thread; "" if none failed. Valid until this thread's next call. */
DISTIL_API const char* distil_last_error(void);

/* ---- Devices ----------------------------------------------------------------------------------------------------- */

typedef struct distil_device distil_device;

typedef enum distil_log_level { DISTIL_LOG_INFO = 0, DISTIL_LOG_WARNING = 1 } distil_log_level;
typedef void (*distil_log_fn)(void* user, distil_log_level level, const char* message);

typedef struct distil_device_options {
  size_t struct_size;
  int threads; /* 0: as many as the machine has cores */
  /* Memory for everything that is computed with. Both or neither; must give 64-byte aligned blocks or NULL, in whatever
   * thread asks. */
  void* (*allocate)(void* user, size_t bytes);
  void (*release)(void* user, void* block, size_t bytes);
  void* allocator_user;
  distil_log_fn log; /* NULL: no messages. Called from the thread that called distil. */
  void* log_user;
} distil_device_options;
#define DISTIL_DEVICE_OPTIONS_INIT \
  { sizeof(distil_device_options), 0, NULL, NULL, NULL, NULL, NULL }

/* name: "cpu" (oneDNN), "cuda" or "cuda:0", "cuda:1", ... (an NVIDIA GPU), "reference" (plain C++ in one thread, f32),
 * "reference:f64" (the same in double precision: the oracle). In the small build, which has no oneDNN, "cpu" is what
 * "reference" is.
 * options: NULL for the defaults. A GPU's memory comes from the CUDA runtime: it refuses an allocator.
 * DISTIL_UNSUPPORTED says what a GPU lacks here: this build's CUDA backend, a driver, cuDNN, cuBLASLt, a capability. */
DISTIL_API distil_status distil_device_open(const char* name, const distil_device_options* options,
                                            distil_device** device);
DISTIL_API void distil_device_close(distil_device* device);
/* "onednn 2.6.3, avx512_core_bf16, 2 threads", "cuda 13.0, NVIDIA H200 sm_90, driver ..., cudnn ...", "plain C++, f32":
 * for records. Lives as long as the device. */
DISTIL_API const char* distil_device_description(const distil_device* device);
/* Names for distil_device_open: the i-th, or NULL past the end. "cuda:0" stands for all GPUs. */
DISTIL_API const char* distil_device_name(size_t i);

/* ---- Networks ---------------------------------------------------------------------------------------------------- */

typedef struct distil_network distil_network;

typedef struct distil_model_info {
  size_t struct_size;
  const char *name, *family, *source;
  int64_t channels, height, width; /* of its usual input */
  int stages;                      /* taps are f0 (stem) to f<stages> */
} distil_model_info;
#define DISTIL_MODEL_INFO_INIT \
  { sizeof(distil_model_info), NULL, NULL, NULL, 0, 0, 0, 0 }

/* The i-th model of the zoo; DISTIL_NOT_FOUND past the end. */
DISTIL_API distil_status distil_model_get(size_t i, distil_model_info* info);

/* A new network of the zoo with fresh weights, drawn from `seed`.
 * options: "classes=100" (default), "input=3,32,32" (default: the model's own). */
DISTIL_API distil_status distil_network_create(distil_device* device, const char* model, const char* options,
                                               uint64_t seed, distil_network** network);
DISTIL_API void distil_network_free(distil_network* network);

typedef struct distil_network_info {
  size_t struct_size;
  const char* model; /* name in the zoo, "custom" for a network made with a builder */
  int64_t channels, height, width, classes;
  int64_t parameters; /* trainable numbers */
  int64_t macs;       /* multiplications of convolutions and linear layers for one image */
  size_t tensors;     /* parameters and buffers, for distil_network_tensor */
  size_t taps;        /* for distil_network_tap */
} distil_network_info;
#define DISTIL_NETWORK_INFO_INIT \
  { sizeof(distil_network_info), NULL, 0, 0, 0, 0, 0, 0, 0, 0 }
DISTIL_API distil_status distil_network_get_info(const distil_network* network, distil_network_info* info);

#define DISTIL_MAX_RANK 8
typedef struct distil_tensor_info {
  size_t struct_size;
  const char* name; /* PyTorch's: "layer1.0.conv1.weight" */
  int rank;
  int64_t shape[DISTIL_MAX_RANK];
  int64_t elements;
  int trainable; /* 1 for parameters, 0 for buffers such as running_mean */
} distil_tensor_info;
#define DISTIL_TENSOR_INFO_INIT \
  { sizeof(distil_tensor_info), NULL, 0, {0, 0, 0, 0, 0, 0, 0, 0}, 0, 0 }

/* The i-th parameter or buffer, in PyTorch's order. Names live as long as the network. */
DISTIL_API distil_status distil_network_tensor(const distil_network* network, size_t i, distil_tensor_info* info);
/* Copies a tensor out of or into the network: exactly `count` numbers, row-major. */
DISTIL_API distil_status distil_network_read(const distil_network* network, const char* name, float* values,
                                             size_t count);
DISTIL_API distil_status distil_network_write(distil_network* network, const char* name, const float* values,
                                              size_t count);
/* The i-th tap's name: "f0", "f0.pre", ..., "pooled", "logits". */
DISTIL_API distil_status distil_network_tap(const distil_network* network, size_t i, const char** name);

/* safetensors. Save writes a temporary file and renames it: the name never holds half a file. Load checks every name
 * and shape first and changes nothing when one is missing or does not fit; F32, F16, BF16 and F64 are read. */
DISTIL_API distil_status distil_network_save(const distil_network* network, const char* path);
DISTIL_API distil_status distil_network_load(distil_network* network, const char* path);
/* SHA-256 over names, shapes and numbers of all tensors, as 64 hex digits and a NUL. */
DISTIL_API distil_status distil_network_digest(const distil_network* network, char digest[65]);
/* Copies all tensors from a network of the same structure. */
DISTIL_API distil_status distil_network_copy(distil_network* to, const distil_network* from);

/* ---- Networks of one's own --------------------------------------------------------------------------------------- */

/* A builder records layers and checks shapes as they are added. Building never fails loudly: after the first mistake
 * every call returns DISTIL_NO_VALUE, and distil_builder_finish returns the message, so a whole network is checked
 * once. */
typedef struct distil_builder distil_builder;
typedef struct distil_value {
  uint32_t id;
} distil_value;
#define DISTIL_NO_VALUE 0xffffffffu

typedef struct distil_conv_options {
  size_t struct_size;
  int64_t stride;
  int64_t pad; /* -1: (kernel - 1) / 2 * dilation */
  int64_t dilation;
  int64_t groups;
  int bias;
  int64_t output_padding; /* transposed convolution only */
} distil_conv_options;
#define DISTIL_CONV_OPTIONS_INIT \
  { sizeof(distil_conv_options), 1, -1, 1, 1, 0, 0 }

typedef enum distil_unary {
  DISTIL_RELU = 0,
  DISTIL_RELU6 = 1,
  DISTIL_SIGMOID = 2,
  DISTIL_TANH = 3,
  DISTIL_EXP = 4,
  DISTIL_LOG = 5,
  DISTIL_SQRT = 6,
  DISTIL_ABS = 7,
  DISTIL_NEG = 8,
  DISTIL_SQUARE = 9
} distil_unary;
typedef enum distil_binary {
  DISTIL_ADD = 0,
  DISTIL_SUB = 1,
  DISTIL_MUL = 2,
  DISTIL_DIV = 3,
  DISTIL_MAX = 4,
  DISTIL_MIN = 5,
  DISTIL_POW = 6
} distil_binary;
typedef enum distil_pool { DISTIL_MAX_POOL = 0, DISTIL_AVG_POOL = 1 } distil_pool;

/* Starts a network over images [n, channels, height, width]; *input is the batch. */
DISTIL_API distil_status distil_builder_begin(distil_device* device, int64_t channels, int64_t height, int64_t width,
                                              distil_builder** builder, distil_value* input);
DISTIL_API void distil_builder_free(distil_builder* builder);
/* Parameters are named "<name>.weight", "<name>.bias", ... as PyTorch names them, and initialised as PyTorch does.
 * `options` may be NULL. Shapes: x [n,c,h,w] unless noted. */
DISTIL_API distil_value distil_conv2d(distil_builder* b, const char* name, distil_value x, int64_t channels,
                                      int64_t kernel, const distil_conv_options* options);
DISTIL_API distil_value distil_conv_transpose2d(distil_builder* b, const char* name, distil_value x, int64_t channels,
                                                int64_t kernel, const distil_conv_options* options);
DISTIL_API distil_value distil_batch_norm(distil_builder* b, const char* name, distil_value x, double eps,
                                          double momentum); /* PyTorch: 1e-5, 0.1; x [n,c] or [n,c,h,w] */
DISTIL_API distil_value distil_linear(distil_builder* b, const char* name, distil_value x, int64_t features,
                                      int bias); /* x [n,c] */
DISTIL_API distil_value distil_dropout(distil_builder* b, distil_value x, double p);
DISTIL_API distil_value distil_apply(distil_builder* b, distil_unary op, distil_value x);
DISTIL_API distil_value distil_combine(distil_builder* b, distil_binary op, distil_value x, distil_value y);
DISTIL_API distil_value distil_scale_shift(distil_builder* b, distil_value x, double scale, double shift);
DISTIL_API distil_value distil_pool2d(distil_builder* b, distil_pool op, distil_value x, int64_t kernel, int64_t stride,
                                      int64_t pad);
DISTIL_API distil_value distil_adaptive_pool2d(distil_builder* b, distil_pool op, distil_value x, int64_t height,
                                               int64_t width);
DISTIL_API distil_value distil_global_avg_pool(distil_builder* b, distil_value x); /* [n,c,h,w] -> [n,c] */
DISTIL_API distil_value distil_flatten(distil_builder* b, distil_value x);         /* [n,...] -> [n,rest] */
DISTIL_API distil_value distil_concat(distil_builder* b, const distil_value* xs, size_t count,
                                      int axis); /* axis >= 1 */
DISTIL_API distil_value distil_slice(distil_builder* b, distil_value x, int axis, int64_t begin,
                                     int64_t extent); /* axis >= 1 */
DISTIL_API distil_value distil_channel_shuffle(distil_builder* b, distil_value x, int64_t groups);
DISTIL_API distil_value distil_resize(distil_builder* b, distil_value x, int64_t height, int64_t width, int bilinear);
/* Marks the next tap: f0 for the first call, then f1, ... `pre` is the same map before its activation (or `post`
 * again). */
DISTIL_API distil_status distil_builder_tap(distil_builder* b, distil_value pre, distil_value post);
/* Ends the network: `pooled` [n,c] is what feeds the classifier, `logits` [n,classes]. Frees nothing; on failure the
 * message names the first mistake, its layer, shapes and reason. */
DISTIL_API distil_status distil_builder_finish(distil_builder* b, distil_value pooled, distil_value logits,
                                               uint64_t seed, distil_network** network);

/* ---- Batches ----------------------------------------------------------------------------------------------------- */

typedef enum distil_pixels {
  DISTIL_F32_NCHW = 0, /* normalised by the caller */
  DISTIL_U8_NHWC = 1   /* 0..255; normalised by mean and std: (x / 255 - mean) / std */
} distil_pixels;

typedef struct distil_batch {
  size_t struct_size;
  int64_t count; /* images */
  distil_pixels pixels;
  const void* images;    /* count images in the network's input size */
  const int32_t* labels; /* count labels in [0, classes); may be NULL where none are needed */
  const uint32_t* ids; /* the samples' numbers in their data set, keys of augmentation and messages; NULL: 0, 1, 2... */
} distil_batch;
#define DISTIL_BATCH_INIT \
  { sizeof(distil_batch), 0, DISTIL_F32_NCHW, NULL, NULL, NULL }

/* ---- Inference and evaluation ------------------------------------------------------------------------------------ */

typedef struct distil_inference distil_inference;

typedef struct distil_memory {
  size_t struct_size;
  uint64_t arena;     /* values of a step, planned into one block */
  uint64_t constants; /* folded and reordered weights */
  uint64_t io;        /* inputs and outputs */
  uint64_t variables; /* parameters, buffers, optimiser and method state */
  uint64_t total;     /* their sum: what distil takes from the allocator */
} distil_memory;
#define DISTIL_MEMORY_INIT \
  { sizeof(distil_memory), 0, 0, 0, 0, 0 }

/* A network compiled for batches of up to `batch` images in evaluation mode: batch norm folded, nothing kept. It
 * follows later changes of the network's weights. options: "bf16=1", "winograd=1", "tf32=1",
 * "mean=0.5,0.5,0.5 std=0.2,0.2,0.2" (for uint8 batches), "taps=f2,f3.pre,pooled" (fetched beside logits). NULL or "" for none. */
DISTIL_API distil_status distil_inference_create(distil_network* network, int64_t batch, const char* options,
                                                 distil_inference** inference);
DISTIL_API void distil_inference_free(distil_inference* inference);
/* Runs a batch of 1 to `batch` images. Labels are not needed. */
DISTIL_API distil_status distil_inference_run(distil_inference* inference, const distil_batch* batch);
/* Copies an output of the last run: `count` numbers, which must be (images of that run) x (elements per image). */
DISTIL_API distil_status distil_inference_output(const distil_inference* inference, const char* name, float* values,
                                                 size_t count);
/* Shape per image of "logits" or a tap asked for: rank and extents without the batch axis. */
DISTIL_API distil_status distil_inference_shape(const distil_inference* inference, const char* name, int* rank,
                                                int64_t shape[DISTIL_MAX_RANK]);
DISTIL_API distil_status distil_inference_memory(const distil_inference* inference, distil_memory* memory);

typedef struct distil_score {
  size_t struct_size;
  int64_t count;      /* images scored so far */
  int64_t top1, top5; /* of them, correct; ties in logits count against the network */
  double loss;        /* sum of cross-entropies */
} distil_score;
#define DISTIL_SCORE_INIT \
  { sizeof(distil_score), 0, 0, 0, 0.0 }
/* Runs a labelled batch and adds it to `score` (start with DISTIL_SCORE_INIT). */
DISTIL_API distil_status distil_inference_score(distil_inference* inference, const distil_batch* batch,
                                                distil_score* score);

/* ---- Training ---------------------------------------------------------------------------------------------------- */

typedef struct distil_trainer distil_trainer;

typedef struct distil_method_info {
  size_t struct_size;
  const char *name, *title, *source;
  int needs_teacher;
  size_t options; /* for distil_method_option */
} distil_method_info;
#define DISTIL_METHOD_INFO_INIT \
  { sizeof(distil_method_info), NULL, NULL, NULL, 0, 0 }

/* The i-th method; DISTIL_NOT_FOUND past the end. */
DISTIL_API distil_status distil_method_get(size_t i, distil_method_info* info);
/* The k-th option of the i-th method: name, default as text, and meaning with the default's source. */
DISTIL_API distil_status distil_method_option(size_t i, size_t k, const char** name, const char** fallback,
                                              const char** help);
/* The i-th network that a method, or a sum of them, needs with these options: "student", "teacher", "peer1", ...
 * DISTIL_NOT_FOUND past the end. `method` and `options` as for distil_trainer_create. */
#define DISTIL_ROLE_SIZE 64
DISTIL_API distil_status distil_method_role(const char* method, const char* options, size_t i,
                                            char role[DISTIL_ROLE_SIZE]);
/* The k-th option that every trainer has. */
DISTIL_API distil_status distil_trainer_option(size_t k, const char** name, const char** fallback, const char** help);

typedef struct distil_role {
  const char* role; /* "student", "teacher", or what the method calls its networks */
  distil_network* network;
} distil_role;

/* A trainer for `method`: "ce", "kd", "fitnet", ... or a sum of terms, "kd+at".
 *
 * options: key=value pairs separated by white space, commas inside values. A key that does not exist is an error that
 * names the nearest one that does. Methods' own options: "T=4", or "kd.T=4 at.weight=1000" in a sum and where the trainer
 * has one of that name: "ab.epochs=30". What every trainer has, with defaults and meaning from distil_trainer_option:
 * - the run: epochs, steps_per_epoch, seed, samples (size of the training set, for methods that ask);
 * - the optimiser: optimizer=sgd or adam, lr, momentum, nesterov, weight_decay, beta1, beta2, eps, clip_norm;
 * - the schedule: schedule=multistep, step, cosine or constant; milestones, gamma, step_epochs, lr_min, warmup_epochs;
 * - cross-entropy: ce (its factor) and smoothing;
 * - uint8 batches: mean and std, for all channels or one for each, and augmentation keyed by (seed, epoch, sample):
 *   crop_pad, crop_mode, flip, cutout, brightness, contrast, saturation, hue;
 * - the computation: bf16, winograd, tf32, algorithms, gradients.
 *
 * Roles are checked against the method, and networks against what it compares: one that lacks the stages that a method
 * needs, other classes than the teacher's, or maps that cannot be brought to one size are errors here, before any step,
 * in every phase. Teachers (roles that begin with "teacher") are frozen: nothing changes them. */
DISTIL_API distil_status distil_trainer_create(distil_device* device, const char* method, const char* options,
                                               const distil_role* roles, size_t role_count, distil_trainer** trainer);
DISTIL_API void distil_trainer_free(distil_trainer* trainer);

typedef struct distil_step_result {
  size_t struct_size;
  double loss; /* the minimised total of the last program of the step */
  double lr;
  int64_t step;    /* number of this step, from 0 */
  int64_t epoch;   /* step / steps_per_epoch */
  int64_t correct; /* of this batch, by the student's training-mode logits */
  int64_t count;   /* images of this batch */
} distil_step_result;
#define DISTIL_STEP_RESULT_INIT \
  { sizeof(distil_step_result), 0.0, 0.0, 0, 0, 0, 0 }

/* One update. Any batch size; the first batch of a new size compiles a program for it. The batch may change when the call
 * returns.
 *
 * result: of this step, which is waited for. NULL: a GPU is only given the step, and computes while the caller prepares
 * the next one; up to 16 steps are under way, and distil_trainer_result gives their results. (Steps on float images, and
 * those of methods that alternate between updates, are waited for all the same; on a CPU a step is done when the call
 * returns.) The weights have the same bits either way. Whatever reads them - saving, inference, another step with a
 * result - comes after all steps.
 *
 * DISTIL_NON_FINITE: the message names term, step and sample ids; networks and state are as before the step. A step that
 * was not waited for may turn out so in a later call with this trainer: steps that were given behind it have then had no
 * effect, and the trainer's position is that of the step in the message. */
DISTIL_API distil_status distil_trainer_step(distil_trainer* trainer, const distil_batch* batch,
                                             distil_step_result* result);
/* The result of the oldest step for which none was given yet; only those of the last 64 such steps are kept. wait: 0 to
 * ask only, otherwise the step is waited for. DISTIL_NOT_FOUND: there is none, or it is not done and wait is 0. */
DISTIL_API distil_status distil_trainer_result(distil_trainer* trainer, int wait, distil_step_result* result);
/* Training on samples that are handed over once: afterwards a step is given their numbers only. */
typedef struct distil_image_set {
  size_t struct_size;
  int64_t count;                   /* samples, 1 to 2^31 */
  int64_t channels, height, width; /* those of the networks' input */
  const uint8_t* images;           /* [count, height, width, channels], treated as DISTIL_U8_NHWC batches */
  const int32_t* labels;           /* count labels in [0, classes); may be NULL where none are needed */
} distil_image_set;
#define DISTIL_IMAGE_SET_INIT \
  { sizeof(distil_image_set), 0, 0, 0, 0, NULL, NULL }
/* Attaches a set to the trainer, once and for as long as it lives: images and labels belong to the caller and must stay
 * as they are until then. On a GPU the set is copied to the device when it takes at most a quarter of its memory and
 * there is room (distil_trainer_memory counts it in `io`), and steps prepare their images there; a larger set stays
 * where it is and each step's images are sent as bytes, while the step before still computes. What a GPU makes of an
 * image, augmentation of every kind included, has the bits that a CPU makes of it. A checkpoint does not hold the set:
 * attach it before or after distil_trainer_load.
 * DISTIL_INVALID_ARGUMENT: images of another shape than the networks', a label outside the classes, a count that is not
 * the option samples. DISTIL_FAILED_PRECONDITION: a set is attached already. */
DISTIL_API distil_status distil_trainer_attach(distil_trainer* trainer, const distil_image_set* set);
/* distil_trainer_step on samples ids[0..count) of the attached set, in this order: the same bits as with a uint8 batch of
 * their images, labels and ids, and every other rule of that function. Both kinds of step may be mixed.
 * DISTIL_INVALID_ARGUMENT: an id outside the set. DISTIL_FAILED_PRECONDITION: no set is attached. */
DISTIL_API distil_status distil_trainer_step_samples(distil_trainer* trainer, const uint32_t* ids, int64_t count,
                                                     distil_step_result* result);
/* Another tensor that a method reads beside images and labels, by the name that it asks for: row-major, kept until it
 * is replaced; _input for real numbers, _input_ints for integers. A step without one that it needs fails and names it.
 */
DISTIL_API distil_status distil_trainer_input(distil_trainer* trainer, const char* name, const float* values,
                                              size_t count);
DISTIL_API distil_status distil_trainer_input_ints(distil_trainer* trainer, const char* name, const int32_t* values,
                                                   size_t count);
/* Steps done, and the number in the whole run: epochs * steps_per_epoch, and those of phases that a method puts before;
 * 0 when steps_per_epoch was not given, which makes the run endless. Steps past the end are refused. Steps that are under
 * way count as done. */
DISTIL_API distil_status distil_trainer_position(const distil_trainer* trainer, int64_t* step, int64_t* total);
/* Goes to the first step of the next phase, for methods that put phases before the main one: what is left of this one is
 * never done. To look at time and memory of every phase without training through all of them.
 * DISTIL_FAILED_PRECONDITION in the last phase. */
DISTIL_API distil_status distil_trainer_skip_phase(distil_trainer* trainer);
/* The k-th named term ("loss", "ce", "kd", ...) of the step that distil_trainer_result gave, or else of the last step,
 * which is waited for; DISTIL_NOT_FOUND past the end. */
DISTIL_API distil_status distil_trainer_term(const distil_trainer* trainer, size_t k, const char** name, double* value);
/* Gradient of the last step's loss by a parameter (before clipping and weight decay); needs the option gradients=1. The
 * role "aux" stands for modules that live only in training: "fitnet.conv.weight". */
DISTIL_API distil_status distil_trainer_gradient(const distil_trainer* trainer, const char* role, const char* parameter,
                                                 float* values, size_t count);
/* Memory of the program for batches of this size, compiled or not: known before the first step. Of the phase that the
 * next step belongs to. */
DISTIL_API distil_status distil_trainer_memory(distil_trainer* trainer, int64_t batch, distil_memory* memory);
/* What algorithms=search has chosen so far for each convolution, "" without a search. Given as the option `algorithms`
 * of another run, it repeats this one's bits. Valid until the next call with this trainer. */
DISTIL_API distil_status distil_trainer_algorithms(distil_trainer* trainer, const char** text);
/* The whole training state: networks, auxiliary modules, optimiser, method state, position. Written atomically, with
 * schema version and digest. Load checks that method, options and structures are the same and continues bit for bit. */
DISTIL_API distil_status distil_trainer_save(const distil_trainer* trainer, const char* path);
DISTIL_API distil_status distil_trainer_load(distil_trainer* trainer, const char* path);

#ifdef __cplusplus
}
#endif
#endif /* DISTIL_DISTIL_H_ */
