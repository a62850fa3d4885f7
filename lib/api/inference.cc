// Inference and evaluation.

#include "lib/api/internal.h"

using namespace distil;
using api::Call;

distil_status distil_inference_create(distil_network* network, int64_t batch, const char* options,
                                      distil_inference** inference) {
  if (inference) *inference = nullptr;
  return Call([&]() -> Status {
    DISTIL_NEED(network);
    DISTIL_NEED(inference);
    TextOptions text;
    DISTIL_RETURN_IF_ERROR(api::Options(options, &text));
    auto n = std::make_unique<distil_inference>();
    DISTIL_RETURN_IF_ERROR(Inference::Create(network->network, batch, text, &n->inference));
    *inference = n.release();
    return {};
  });
}

void distil_inference_free(distil_inference* inference) { delete inference; }

distil_status distil_inference_run(distil_inference* inference, const distil_batch* batch) {
  return Call([&]() -> Status {
    DISTIL_NEED(inference);
    Batch b;
    DISTIL_RETURN_IF_ERROR(api::ToBatch(batch, &b));
    return inference->inference->Run(b);
  });
}

distil_status distil_inference_output(const distil_inference* inference, const char* name, float* values,
                                      size_t count) {
  return Call([&]() -> Status {
    DISTIL_NEED(inference);
    DISTIL_NEED(name);
    DISTIL_NEED(values);
    return inference->inference->Output(name, std::span(values, count));
  });
}

distil_status distil_inference_shape(const distil_inference* inference, const char* name, int* rank,
                                     int64_t shape[DISTIL_MAX_RANK]) {
  return Call([&]() -> Status {
    DISTIL_NEED(inference);
    DISTIL_NEED(name);
    DISTIL_NEED(rank);
    DISTIL_NEED(shape);
    Shape s;
    DISTIL_RETURN_IF_ERROR(inference->inference->OutputShape(name, &s));
    *rank = s.rank();
    for (int i = 0; i < DISTIL_MAX_RANK; ++i) shape[i] = i < s.rank() ? s[i] : 0;
    return {};
  });
}

distil_status distil_inference_memory(const distil_inference* inference, distil_memory* memory) {
  return Call([&]() -> Status {
    DISTIL_NEED(inference);
    DISTIL_RETURN_IF_ERROR(api::NeedStruct(memory, "memory", "DISTIL_MEMORY_INIT"));
    api::ToMemory(inference->inference->memory(), memory);
    return {};
  });
}

distil_status distil_inference_score(distil_inference* inference, const distil_batch* batch, distil_score* score) {
  return Call([&]() -> Status {
    DISTIL_NEED(inference);
    DISTIL_RETURN_IF_ERROR(api::NeedStruct(score, "score", "DISTIL_SCORE_INIT"));
    Batch b;
    DISTIL_RETURN_IF_ERROR(api::ToBatch(batch, &b));
    Score s{score->count, score->top1, score->top5, score->loss};
    DISTIL_RETURN_IF_ERROR(inference->inference->AddScores(b, &s));
    score->count = s.count, score->top1 = s.top1, score->top5 = s.top5, score->loss = s.loss;
    return {};
  });
}
