// What the files of lib/api share: handles, status and message, checks of arguments.
#pragma once

#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "distil/distil.h"
#include "lib/base/status.h"
#include "lib/train/device.h"
#include "lib/train/inference.h"
#include "lib/train/network.h"
#include "lib/train/trainer.h"

// Handles own what they were made from: what a caller frees first lives until its last user is gone.
struct distil_device {
  std::shared_ptr<distil::Device> device;
  std::string description;
};
struct distil_network {
  std::shared_ptr<distil::Network> network;
};
struct distil_inference {
  std::unique_ptr<distil::Inference> inference;
};
struct distil_trainer {
  std::unique_ptr<distil::Trainer> trainer;
  std::string text;  // that a call gave out
};

namespace distil::api {

// Keeps the message for distil_last_error. Never throws.
distil_status Fail(Code code, const char* message) noexcept;

// Runs `body`, which returns a Status, and keeps exceptions inside.
template <class Body>
distil_status Call(Body&& body) noexcept {
  try {
    const Status s = body();
    return s.ok() ? DISTIL_OK : Fail(s.code(), s.message().c_str());
  } catch (const std::bad_alloc&) {
    return Fail(Code::kOutOfMemory, "out of memory");
  } catch (const std::length_error&) {
    return Fail(Code::kOutOfMemory, "out of memory: something asked for is too large");
  } catch (const std::exception& e) {
    return Fail(Code::kInternal, e.what());
  } catch (...) {
    return Fail(Code::kInternal, "unknown exception");
  }
}

inline Status NeedPointer(const void* p, const char* name) {
  return p ? Status() : InvalidArgument(std::string(name) + " is NULL");
}

// `p` points to a struct of the caller that says its size.
template <class T>
Status NeedStruct(const T* p, const char* name, const char* init) {
  DISTIL_RETURN_IF_ERROR(NeedPointer(p, name));
  if (p->struct_size != sizeof(T))
    return InvalidArgument(std::string(name) + "->struct_size is " + std::to_string(p->struct_size) + ", not " +
                           std::to_string(sizeof(T)) + ": start with " + init);
  return {};
}

// The number that a caller passed for an enumeration: it may be none of its values, which C++ must not load as one.
template <class Enum>
int Number(const Enum& e) {
  static_assert(sizeof e == sizeof(int));
  int v;
  std::memcpy(&v, &e, sizeof v);
  return v;
}

// NULL reads as no options.
Status Options(const char* text, TextOptions* out);

// Checks a batch of the caller and translates it.
Status ToBatch(const distil_batch* batch, Batch* out);

void ToMemory(const MemoryInfo& m, distil_memory* out);

}  // namespace distil::api

#define DISTIL_NEED(p) DISTIL_RETURN_IF_ERROR(::distil::api::NeedPointer(p, #p))
