#include "lib/backend/cuda/cudnn_engines.h"

#include <map>

namespace distil::cuda {
namespace {

// The configurations that a heuristic proposes, best first.
Status Propose(const Cudnn& api, const CudnnTarget& target, const Descriptor& graph, cudnnBackendHeurMode_t mode,
               std::vector<Descriptor>* out) {
  Building b(api, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "engine heuristics");
  b.Set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  b.Set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  if (target.device) b.Set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.device);
  Descriptor heuristics;
  DISTIL_RETURN_IF_ERROR(b.Finish(&heuristics));
  return GetDescriptors(api, heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
                        "engine heuristics", out);
}

Status TraitsOf(const Cudnn& api, const Descriptor& config, EngineTraits* out) {
  std::vector<Descriptor> engine;
  DISTIL_RETURN_IF_ERROR(
      GetDescriptors(api, config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, "engine", &engine));
  if (engine.size() != 1) return Internal("cuDNN gave a configuration without an engine");
  DISTIL_RETURN_IF_ERROR(GetInt64(api, engine[0], CUDNN_ATTR_ENGINE_GLOBAL_INDEX, &out->index));
  DISTIL_RETURN_IF_ERROR(GetList(api, engine[0], CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                 "numerical notes", &out->numerical));
  return GetList(api, engine[0], CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, "behaviour notes",
                 &out->behavior);
}

// The configuration in words, for records: an engine's knobs decide how it splits its sums.
Status NameOf(const Cudnn& api, const Descriptor& config, int64_t index, std::string* out) {
  std::vector<Descriptor> knobs;
  DISTIL_RETURN_IF_ERROR(GetDescriptors(api, config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                                        CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, "engine knobs", &knobs));
  *out = std::to_string(index);
  for (const Descriptor& k : knobs) {
    std::vector<cudnnBackendKnobType_t> type;
    int64_t value = 0;
    DISTIL_RETURN_IF_ERROR(
        GetList(api, k, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, "engine knob", &type));
    DISTIL_RETURN_IF_ERROR(GetInt64(api, k, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, &value));
    for (cudnnBackendKnobType_t t : type) *out += " " + std::to_string(t) + "=" + std::to_string(value);
  }
  return {};
}

Status BuildPlan(const Cudnn& api, const CudnnTarget& target, const Descriptor& config, Plan* out) {
  Building b(api, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "execution plan");
  b.Set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
  if (target.device)
    b.Set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.device);
  else
    b.Set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &target.handle);
  DISTIL_RETURN_IF_ERROR(b.Finish(&out->descriptor));
  int64_t workspace = 0;
  DISTIL_RETURN_IF_ERROR(GetInt64(api, out->descriptor, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, &workspace));
  out->workspace = static_cast<size_t>(workspace);
  return {};
}

}  // namespace

const char* Refusal(const EngineTraits& engine, const EngineRules& rules) {
  for (cudnnBackendNumericalNote_t note : engine.numerical) {
    switch (note) {
      case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC: return "nondeterministic";
      case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
        if (!rules.tensor_cores) return "on tensor cores";
        break;
      case CUDNN_NUMERICAL_NOTE_WINOGRAD:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
        if (!rules.winograd) return "by Winograd's transform";
        break;
      case CUDNN_NUMERICAL_NOTE_FFT: return "by Fourier transform";
      case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS: return "on rounded inputs";
      case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION: return "with rounded sums";
      case CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP: break;
      default: return "with a note of a newer cuDNN";
    }
  }
  for (cudnnBackendBehaviorNote_t note : engine.behavior) {
    switch (note) {
      case CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION: return "compiled at run time";
      case CUDNN_BEHAVIOR_NOTE_REQUIRES_FILTER_INT8x32_REORDER:
      case CUDNN_BEHAVIOR_NOTE_REQUIRES_BIAS_INT8x32_REORDER: return "for reordered int8";
      default: break;  // how a step is captured is not the engine's business
    }
  }
  return nullptr;
}

Status ChoosePlan(const Cudnn& api, const CudnnTarget& target, const Descriptor& graph, const EngineRules& rules,
                  Plan* out) {
  std::map<std::string, int> refused;
  Status last;  // why the last admitted one did not build
  for (cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    std::vector<Descriptor> configs;
    if (Status s = Propose(api, target, graph, mode, &configs); !s.ok()) {
      last = std::move(s);
      continue;
    }
    for (Descriptor& config : configs) {
      EngineTraits engine;
      DISTIL_RETURN_IF_ERROR(TraitsOf(api, config, &engine));
      if (const char* why = Refusal(engine, rules)) {
        ++refused[why];
        continue;
      }
      Plan plan;
      if (Status s = BuildPlan(api, target, config, &plan); !s.ok()) {
        last = std::move(s);
        continue;
      }
      if (plan.workspace > static_cast<size_t>(rules.workspace)) {
        ++refused["with a workspace above " + std::to_string(rules.workspace >> 20) + " MiB"];
        continue;
      }
      DISTIL_RETURN_IF_ERROR(NameOf(api, config, engine.index, &plan.engine));
      plan.config = std::move(config);
      *out = std::move(plan);
      return {};
    }
  }
  std::string why = "cuDNN has no engine for it that may be used";
  for (auto& [reason, count] : refused) why += ", " + std::to_string(count) + " " + reason;
  if (!last.ok()) why += "; " + last.message();
  return Unsupported(why);
}

}  // namespace distil::cuda
