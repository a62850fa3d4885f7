/* The header is C99, and every function that it declares is in the library: their addresses are taken here, and the list is
 * compared with the header's text. */
#include <distil/distil.h>
#include <stdio.h>
#include <string.h>

typedef void (*function)(void);
#define F(name) \
  { #name, (function)name }

static const struct {
  const char* name;
  function address;
} all[] = {
    F(distil_version),
    F(distil_status_name),
    F(distil_last_error),
    F(distil_device_open),
    F(distil_device_close),
    F(distil_device_description),
    F(distil_device_name),
    F(distil_model_get),
    F(distil_network_create),
    F(distil_network_free),
    F(distil_network_get_info),
    F(distil_network_tensor),
    F(distil_network_read),
    F(distil_network_write),
    F(distil_network_tap),
    F(distil_network_save),
    F(distil_network_load),
    F(distil_network_digest),
    F(distil_network_copy),
    F(distil_builder_begin),
    F(distil_builder_free),
    F(distil_conv2d),
    F(distil_conv_transpose2d),
    F(distil_batch_norm),
    F(distil_linear),
    F(distil_dropout),
    F(distil_apply),
    F(distil_combine),
    F(distil_scale_shift),
    F(distil_pool2d),
    F(distil_adaptive_pool2d),
    F(distil_global_avg_pool),
    F(distil_flatten),
    F(distil_concat),
    F(distil_slice),
    F(distil_channel_shuffle),
    F(distil_resize),
    F(distil_builder_tap),
    F(distil_builder_finish),
    F(distil_inference_create),
    F(distil_inference_free),
    F(distil_inference_run),
    F(distil_inference_output),
    F(distil_inference_shape),
    F(distil_inference_memory),
    F(distil_inference_score),
    F(distil_method_get),
    F(distil_method_option),
    F(distil_method_role),
    F(distil_trainer_option),
    F(distil_trainer_create),
    F(distil_trainer_free),
    F(distil_trainer_step),
    F(distil_trainer_result),
    F(distil_trainer_attach),
    F(distil_trainer_step_samples),
    F(distil_trainer_input),
    F(distil_trainer_input_ints),
    F(distil_trainer_position),
    F(distil_trainer_skip_phase),
    F(distil_trainer_term),
    F(distil_trainer_gradient),
    F(distil_trainer_memory),
    F(distil_trainer_algorithms),
    F(distil_trainer_save),
    F(distil_trainer_load),
};
enum { COUNT = sizeof all / sizeof all[0] };

/* The initialisers are C99 too. */
static distil_device_options device_options = DISTIL_DEVICE_OPTIONS_INIT;
static distil_model_info model_info = DISTIL_MODEL_INFO_INIT;
static distil_network_info network_info = DISTIL_NETWORK_INFO_INIT;
static distil_tensor_info tensor_info = DISTIL_TENSOR_INFO_INIT;
static distil_conv_options conv_options = DISTIL_CONV_OPTIONS_INIT;
static distil_batch batch = DISTIL_BATCH_INIT;
static distil_memory memory = DISTIL_MEMORY_INIT;
static distil_score score = DISTIL_SCORE_INIT;
static distil_method_info method_info = DISTIL_METHOD_INFO_INIT;
static distil_step_result step_result = DISTIL_STEP_RESULT_INIT;

int main(void) {
  static char text[1 << 18];
  size_t n, declared = 0, listed = 0;
  const char* at;
  FILE* f = fopen("include/distil/distil.h", "rb");
  if (!f) return printf("cannot open the header\n"), 1;
  n = fread(text, 1, sizeof text - 1, f);
  fclose(f);
  text[n] = '\0';
  for (at = text; (at = strstr(at, "\nDISTIL_API ")) != NULL; ++at) {
    const char *name = strstr(at + 12, "distil_"), *paren = strchr(at, '('), *end = strchr(at, ';');
    if (!paren || paren > end) continue; /* not a function */
    /* The name is the word before the parenthesis. */
    for (name = paren; (name[-1] >= 'a' && name[-1] <= 'z') || (name[-1] >= '0' && name[-1] <= '9') || name[-1] == '_';)
      --name;
    ++declared;
    for (n = 0; n < COUNT; ++n)
      if (strlen(all[n].name) == (size_t)(paren - name) && !strncmp(all[n].name, name, (size_t)(paren - name))) break;
    if (n < COUNT)
      ++listed;
    else
      printf("not in the list: %.*s\n", (int)(paren - name), name);
  }
  for (n = 0; n < COUNT; ++n)
    if (!all[n].address) return 1;
  printf("%u functions declared, %u listed\n", (unsigned)declared, (unsigned)listed);
  if (!device_options.struct_size || !model_info.struct_size || !network_info.struct_size || !tensor_info.struct_size ||
      !conv_options.struct_size || !batch.struct_size || !memory.struct_size || !score.struct_size ||
      !method_info.struct_size || !step_result.struct_size)
    return 1;
  return declared == listed && declared == COUNT ? 0 : 1;
}
