// A cuDNN that computes nothing: it keeps descriptors and their attributes, refuses what the real one would refuse in
// them (wrong type or count, missing attributes, operands that were not finalised, ids twice in a graph), and proposes
// the engines that a test gave it. One at a time.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lib/backend/cuda/libraries.h"

namespace distil::cuda {

struct FakeEngine {
  int64_t index = 0;
  std::vector<cudnnBackendNumericalNote_t> numerical = {};
  std::vector<cudnnBackendBehaviorNote_t> behavior = {};
  int64_t workspace = 0;
  bool builds = true;
  std::vector<std::pair<int, int64_t>> knobs = {};
};

class FakeCudnn {
 public:
  struct Attribute {
    cudnnBackendAttributeType_t type;
    int64_t count;
    std::string bytes;
  };
  struct Object {
    cudnnBackendDescriptorType_t type;
    std::map<int, Attribute> attributes;
    bool finalized = false, destroyed = false;
    const FakeEngine* engine = nullptr;  // of configurations, engines and plans
    int knob = 0;

    template <class T>
    std::vector<T> Get(int name) const {
      const auto it = attributes.find(name);
      if (it == attributes.end()) return {};
      std::vector<T> v(static_cast<size_t>(it->second.count));
      EXPECT_EQ(it->second.bytes.size(), v.size() * sizeof(T));
      std::memcpy(v.data(), it->second.bytes.data(), it->second.bytes.size());
      return v;
    }
    std::vector<int64_t> Ints(int name) const { return Get<int64_t>(name); }
    const Object& Child(int name, size_t i = 0) const { return *Get<Object*>(name).at(i); }
  };

  std::map<int, std::vector<FakeEngine>> engines;  // by heuristic mode
  std::vector<Object> graphs;                      // every operation graph that was finalised
  std::vector<Object> tensors;                     // of the last one, by the order of their making
  std::vector<Object> executed;                    // variant packs
  int fail_finalize = -1;                          // a descriptor type that cannot be finalised
  int heuristics = 0;                              // how often they were asked
  int64_t alive() const {
    return std::count_if(objects_.begin(), objects_.end(), [](const auto& o) { return !o->destroyed; });
  }

  FakeCudnn() {
    self_ = this;
    api_.cudnnBackendCreateDescriptor = Create;
    api_.cudnnBackendDestroyDescriptor = Destroy;
    api_.cudnnBackendSetAttribute = Set;
    api_.cudnnBackendGetAttribute = Get;
    api_.cudnnBackendFinalize = Finalize;
    api_.cudnnBackendExecute = Execute;
    api_.cudnnGetErrorString = [](cudnnStatus_t s) -> const char* {
      return s == CUDNN_STATUS_NOT_SUPPORTED ? "NOT_SUPPORTED" : "BAD_PARAM";
    };
    api_.cudnnGetLastErrorString = [](char* text, size_t size) {
      std::snprintf(text, size, "%s", self_->why_.c_str());
    };
  }
  ~FakeCudnn() { self_ = nullptr; }
  const Cudnn& api() const { return api_; }

 private:
  static Object* At(cudnnBackendDescriptor_t d) { return static_cast<Object*>(d); }
  static cudnnStatus_t Fail(cudnnStatus_t status, const std::string& why) {
    self_->why_ = why;
    return status;
  }

  static cudnnStatus_t Create(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* out) {
    auto o = std::make_unique<Object>();
    o->type = type;
    *out = o.get();
    self_->objects_.push_back(std::move(o));  // kept after it is destroyed, for tests to look at
    return CUDNN_STATUS_SUCCESS;
  }
  static cudnnStatus_t Destroy(cudnnBackendDescriptor_t d) {
    EXPECT_FALSE(At(d)->destroyed) << "destroyed twice";
    At(d)->destroyed = true;
    return CUDNN_STATUS_SUCCESS;
  }

  static size_t SizeOf(cudnnBackendAttributeType_t type) {
    switch (type) {
      case CUDNN_TYPE_INT64:
      case CUDNN_TYPE_DOUBLE:
      case CUDNN_TYPE_HANDLE:
      case CUDNN_TYPE_VOID_PTR:
      case CUDNN_TYPE_BACKEND_DESCRIPTOR: return 8;
      case CUDNN_TYPE_BOOLEAN:
      case CUDNN_TYPE_CHAR: return 1;
      default: return 4;  // enumerations
    }
  }
  static cudnnStatus_t Set(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                           cudnnBackendAttributeType_t type, int64_t count, const void* values) {
    if (At(d)->finalized) return Fail(CUDNN_STATUS_BAD_PARAM, "set after finalising");
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
      for (int64_t i = 0; i < count; ++i) {
        const Object* child = static_cast<Object* const*>(values)[i];
        if (!child || (!child->finalized && !child->engine)) return Fail(CUDNN_STATUS_BAD_PARAM, "not finalised");
      }
    At(d)->attributes[name] = {
        type, count, std::string(static_cast<const char*>(values), SizeOf(type) * static_cast<size_t>(count))};
    return CUDNN_STATUS_SUCCESS;
  }

  static bool Has(const Object& o, int name, cudnnBackendAttributeType_t type, int64_t count) {
    const auto it = o.attributes.find(name);
    return it != o.attributes.end() && it->second.type == type && it->second.count == count;
  }

  static cudnnStatus_t Finalize(cudnnBackendDescriptor_t d) {
    Object& o = *At(d);
    if (o.type == self_->fail_finalize) return Fail(CUDNN_STATUS_NOT_SUPPORTED, "as the test wanted");
    auto need = [&](int name, cudnnBackendAttributeType_t type, int64_t count) {
      if (!Has(o, name, type, count)) self_->why_ = "attribute " + std::to_string(name);
      return Has(o, name, type, count);
    };
    bool ok = true;
    auto operands = [&](std::initializer_list<int> names) {
      for (int name : names) ok = ok && need(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1);
    };
    switch (o.type) {
      case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
        ok = need(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1) &&
             need(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1) &&
             need(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4) &&
             need(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4) &&
             need(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1) &&
             need(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1) && Dense(o);
        if (ok) self_->building_.push_back(o);
        break;
      case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
        ok = need(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1) &&
             need(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1) &&
             need(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1);
        for (int name : {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES,
                         CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS})
          ok = ok && need(name, CUDNN_TYPE_INT64, 2);
        break;
      case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
        operands({CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC});
        ok = ok && need(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_DOUBLE, 1) &&
             need(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_DOUBLE, 1);
        break;
      case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
        operands({CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC});
        break;
      case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
        operands({CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC});
        break;
      case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        operands({CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
                  CUDNN_ATTR_OPERATION_POINTWISE_YDESC});
        break;
      case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR: {
        std::set<int64_t> ids;
        for (const Object& t : self_->building_)
          if (!ids.insert(t.Ints(CUDNN_ATTR_TENSOR_UNIQUE_ID).at(0)).second) return Fail(CUDNN_STATUS_BAD_PARAM, "id");
        self_->tensors = std::move(self_->building_);
        self_->building_.clear();
        self_->graphs.push_back(o);
        break;
      }
      case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
        ++self_->heuristics;
        operands({CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH});
        break;
      case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        operands({CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG});
        if (ok) o.engine = o.Child(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG).engine;
        if (ok && !o.engine->builds) return Fail(CUDNN_STATUS_NOT_SUPPORTED, "this engine does not build");
        break;
      default: break;
    }
    if (!ok) return CUDNN_STATUS_BAD_PARAM;
    o.finalized = true;
    return CUDNN_STATUS_SUCCESS;
  }

  // Every number of a tensor has a place of its own, and no place is left out.
  static bool Dense(const Object& t) {
    const std::vector<int64_t> dims = t.Ints(CUDNN_ATTR_TENSOR_DIMENSIONS), strides = t.Ints(CUDNN_ATTR_TENSOR_STRIDES);
    std::map<int64_t, int64_t> by_stride;
    for (size_t i = 0; i < 4; ++i)
      if (dims[i] > 1) by_stride[strides[i]] = dims[i];
    int64_t run = 1;
    for (auto [stride, dim] : by_stride) {
      if (stride != run) self_->why_ = "strides";
      if (stride != run) return false;
      run *= dim;
    }
    return run == dims[0] * dims[1] * dims[2] * dims[3];
  }

  template <class T>
  static cudnnStatus_t Give(const std::vector<T>& values, int64_t room, int64_t* count, void* out) {
    *count = static_cast<int64_t>(values.size());
    if (out && !values.empty())
      std::memcpy(out, values.data(), sizeof(T) * static_cast<size_t>(std::min(room, *count)));
    return CUDNN_STATUS_SUCCESS;
  }
  static cudnnStatus_t Get(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t,
                           int64_t room, int64_t* count, void* out) {
    Object& o = *At(d);
    auto give_objects = [&](size_t n, auto&& fill) {
      *count = static_cast<int64_t>(n);
      for (size_t i = 0; out && i < std::min(n, static_cast<size_t>(room)); ++i)
        fill(*static_cast<Object**>(out)[i], i);
      return CUDNN_STATUS_SUCCESS;
    };
    switch (static_cast<int>(name)) {
      case CUDNN_ATTR_ENGINEHEUR_RESULTS: {
        const auto& list = self_->engines[o.Get<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE).at(0)];
        return give_objects(list.size(), [&](Object& c, size_t i) { c.engine = &list[i]; });
      }
      case CUDNN_ATTR_ENGINECFG_ENGINE: return give_objects(1, [&](Object& e, size_t) { e.engine = o.engine; });
      case CUDNN_ATTR_ENGINECFG_KNOB_CHOICES:
        return give_objects(o.engine->knobs.size(),
                            [&](Object& k, size_t i) { k.engine = o.engine, k.knob = static_cast<int>(i); });
      case CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE:
        return Give(std::vector<int>{o.engine->knobs[static_cast<size_t>(o.knob)].first}, room, count, out);
      case CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE:
        return Give(std::vector<int64_t>{o.engine->knobs[static_cast<size_t>(o.knob)].second}, room, count, out);
      case CUDNN_ATTR_ENGINE_GLOBAL_INDEX: return Give(std::vector<int64_t>{o.engine->index}, room, count, out);
      case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE: return Give(o.engine->numerical, room, count, out);
      case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE: return Give(o.engine->behavior, room, count, out);
      case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
        return Give(std::vector<int64_t>{o.engine->workspace}, room, count, out);
      default: return Fail(CUDNN_STATUS_BAD_PARAM, "no such attribute");
    }
  }

  static cudnnStatus_t Execute(cudnnHandle_t, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
    if (!At(plan)->finalized || !At(pack)->finalized) return Fail(CUDNN_STATUS_BAD_PARAM, "not finalised");
    self_->executed.push_back(*At(pack));
    return CUDNN_STATUS_SUCCESS;
  }

  static inline FakeCudnn* self_ = nullptr;
  Cudnn api_;
  std::vector<std::unique_ptr<Object>> objects_;
  std::vector<Object> building_;
  std::string why_;
};

}  // namespace distil::cuda
