// Methods and training.

#include "lib/api/internal.h"
#include "losses/combine.h"

using namespace distil;
using api::Call;

namespace {

void ToResult(const StepResult& r, distil_step_result* out) {
  if (!out) return;
  out->loss = r.loss, out->lr = r.lr;
  out->step = r.step, out->epoch = r.epoch, out->correct = r.correct, out->count = r.count;
}

}  // namespace

distil_status distil_method_get(size_t i, distil_method_info* info) {
  return Call([&]() -> Status {
    DISTIL_RETURN_IF_ERROR(api::NeedStruct(info, "info", "DISTIL_METHOD_INFO_INIT"));
    const auto methods = AllMethods();
    if (i >= methods.size()) return NotFound("there are " + std::to_string(methods.size()) + " methods");
    const Method& m = *methods[i];
    info->name = m.name, info->title = m.title, info->source = m.source;
    info->needs_teacher = m.teacher;
    info->options = m.options.size();
    return {};
  });
}

distil_status distil_method_option(size_t i, size_t k, const char** name, const char** fallback, const char** help) {
  return Call([&]() -> Status {
    DISTIL_NEED(name);
    DISTIL_NEED(fallback);
    DISTIL_NEED(help);
    const auto methods = AllMethods();
    if (i >= methods.size()) return NotFound("there are " + std::to_string(methods.size()) + " methods");
    const auto& options = methods[i]->options;
    if (k >= options.size())
      return NotFound(std::string("method ") + methods[i]->name + " has " + std::to_string(options.size()) +
                      " options");
    *name = options[k].name, *fallback = options[k].fallback, *help = options[k].help;
    return {};
  });
}

distil_status distil_method_role(const char* method, const char* options, size_t i, char role[DISTIL_ROLE_SIZE]) {
  return Call([&]() -> Status {
    DISTIL_NEED(method);
    DISTIL_NEED(role);
    TextOptions text;
    DISTIL_RETURN_IF_ERROR(api::Options(options, &text));
    Recipe recipe;
    DISTIL_RETURN_IF_ERROR(MakeRecipe(method, {text.begin(), text.end()}, &recipe, TrainingOptionNames()));
    if (i >= recipe.roles.size())
      return NotFound("method '" + recipe.expression + "' has " + std::to_string(recipe.roles.size()) + " roles");
    if (recipe.roles[i].size() >= DISTIL_ROLE_SIZE) return Internal("the role's name is too long");
    role[recipe.roles[i].copy(role, DISTIL_ROLE_SIZE - 1)] = '\0';
    return {};
  });
}

distil_status distil_trainer_option(size_t k, const char** name, const char** fallback, const char** help) {
  return Call([&]() -> Status {
    DISTIL_NEED(name);
    DISTIL_NEED(fallback);
    DISTIL_NEED(help);
    const auto ours = TrainingOptionRows();
    const auto common = CommonOptions();
    if (k < ours.size()) {
      *name = ours[k].name, *fallback = ours[k].fallback, *help = ours[k].help;
      return {};
    }
    k -= ours.size();
    if (k >= common.size())
      return NotFound("a trainer has " + std::to_string(ours.size() + common.size()) + " options");
    *name = common[k].name, *fallback = common[k].fallback, *help = common[k].help;
    return {};
  });
}

distil_status distil_trainer_create(distil_device* device, const char* method, const char* options,
                                    const distil_role* roles, size_t role_count, distil_trainer** trainer) {
  if (trainer) *trainer = nullptr;
  return Call([&]() -> Status {
    DISTIL_NEED(device);
    DISTIL_NEED(method);
    DISTIL_NEED(roles);
    DISTIL_NEED(trainer);
    TextOptions text;
    DISTIL_RETURN_IF_ERROR(api::Options(options, &text));
    Trainer::Roles networks;
    for (size_t i = 0; i < role_count; ++i) {
      if (!roles[i].role || !roles[i].network)
        return InvalidArgument("roles[" + std::to_string(i) + "]: role or network is NULL");
      networks.emplace_back(roles[i].role, roles[i].network->network);
    }
    auto t = std::make_unique<distil_trainer>();
    DISTIL_RETURN_IF_ERROR(Trainer::Create(device->device, method, text, networks, &t->trainer));
    *trainer = t.release();
    return {};
  });
}

void distil_trainer_free(distil_trainer* trainer) { delete trainer; }

distil_status distil_trainer_step(distil_trainer* trainer, const distil_batch* batch, distil_step_result* result) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    if (result) DISTIL_RETURN_IF_ERROR(api::NeedStruct(result, "result", "DISTIL_STEP_RESULT_INIT"));
    Batch b;
    DISTIL_RETURN_IF_ERROR(api::ToBatch(batch, &b));
    StepResult r;
    DISTIL_RETURN_IF_ERROR(trainer->trainer->Step(b, result ? &r : nullptr));
    ToResult(r, result);
    return {};
  });
}

distil_status distil_trainer_attach(distil_trainer* trainer, const distil_image_set* set) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    DISTIL_RETURN_IF_ERROR(api::NeedStruct(set, "set", "DISTIL_IMAGE_SET_INIT"));
    return trainer->trainer->Attach({set->count, set->channels, set->height, set->width, set->images, set->labels});
  });
}

distil_status distil_trainer_step_samples(distil_trainer* trainer, const uint32_t* ids, int64_t count,
                                          distil_step_result* result) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    DISTIL_NEED(ids);
    if (result) DISTIL_RETURN_IF_ERROR(api::NeedStruct(result, "result", "DISTIL_STEP_RESULT_INIT"));
    StepResult r;
    DISTIL_RETURN_IF_ERROR(trainer->trainer->StepSamples(ids, count, result ? &r : nullptr));
    ToResult(r, result);
    return {};
  });
}

distil_status distil_trainer_result(distil_trainer* trainer, int wait, distil_step_result* result) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    DISTIL_RETURN_IF_ERROR(api::NeedStruct(result, "result", "DISTIL_STEP_RESULT_INIT"));
    StepResult r;
    bool found;
    DISTIL_RETURN_IF_ERROR(trainer->trainer->Result(wait != 0, &r, &found));
    if (!found) return NotFound(wait ? "every step's result was given" : "no step is done whose result was not given");
    ToResult(r, result);
    return {};
  });
}

distil_status distil_trainer_input(distil_trainer* trainer, const char* name, const float* values, size_t count) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    DISTIL_NEED(name);
    DISTIL_NEED(values);
    return trainer->trainer->SetExtra(name, std::span(values, count));
  });
}

distil_status distil_trainer_input_ints(distil_trainer* trainer, const char* name, const int32_t* values,
                                        size_t count) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    DISTIL_NEED(name);
    DISTIL_NEED(values);
    return trainer->trainer->SetExtra(name, std::span(values, count));
  });
}

distil_status distil_trainer_position(const distil_trainer* trainer, int64_t* step, int64_t* total) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    DISTIL_NEED(step);
    DISTIL_NEED(total);
    *step = trainer->trainer->step();
    *total = trainer->trainer->total_steps();
    return {};
  });
}

distil_status distil_trainer_skip_phase(distil_trainer* trainer) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    return trainer->trainer->SkipPhase();
  });
}

distil_status distil_trainer_term(const distil_trainer* trainer, size_t k, const char** name, double* value) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    DISTIL_NEED(name);
    DISTIL_NEED(value);
    const Terms* terms;
    DISTIL_RETURN_IF_ERROR(trainer->trainer->ReadTerms(&terms));
    if (k >= terms->size())
      return NotFound(terms->empty() ? "there are no terms before a step was done"
                                     : "the step had " + std::to_string(terms->size()) + " terms");
    *name = (*terms)[k].first.c_str();
    *value = (*terms)[k].second;
    return {};
  });
}

distil_status distil_trainer_gradient(const distil_trainer* trainer, const char* role, const char* parameter,
                                      float* values, size_t count) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    DISTIL_NEED(role);
    DISTIL_NEED(parameter);
    DISTIL_NEED(values);
    return trainer->trainer->Gradient(role, parameter, std::span(values, count));
  });
}

distil_status distil_trainer_memory(distil_trainer* trainer, int64_t batch, distil_memory* memory) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    DISTIL_RETURN_IF_ERROR(api::NeedStruct(memory, "memory", "DISTIL_MEMORY_INIT"));
    MemoryInfo m;
    DISTIL_RETURN_IF_ERROR(trainer->trainer->Memory(batch, &m));
    api::ToMemory(m, memory);
    return {};
  });
}

distil_status distil_trainer_algorithms(distil_trainer* trainer, const char** text) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    DISTIL_NEED(text);
    const Algorithms& a = trainer->trainer->algorithms();
    trainer->text = a.search ? a.Text() : "";
    *text = trainer->text.c_str();
    return {};
  });
}

distil_status distil_trainer_save(const distil_trainer* trainer, const char* path) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    DISTIL_NEED(path);
    return trainer->trainer->Save(path);
  });
}

distil_status distil_trainer_load(distil_trainer* trainer, const char* path) {
  return Call([&]() -> Status {
    DISTIL_NEED(trainer);
    DISTIL_NEED(path);
    return trainer->trainer->Load(path);
  });
}
