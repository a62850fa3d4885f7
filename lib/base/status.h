// Status: how every fallible function inside distil reports what went wrong. No exceptions, no aborts.
// A message is one sentence that names the thing at fault (file, op, option, shape) and the cause.
#pragma once

#include <string>
#include <utility>

namespace distil {

enum class Code {
  kOk = 0,
  kInvalidArgument,  // the caller passed something that cannot work (bad option, shape, handle)
  kNotFound,         // a name or file does not exist
  kCorrupt,          // a file exists but its content is damaged, truncated or hostile
  kUnsupported,      // valid, but this build or device cannot do it
  kIo,               // the operating system refused (permission, disk full, ...)
  kOutOfMemory,
  kNonFinite,           // a loss term or gradient became NaN or infinite
  kFailedPrecondition,  // right call, wrong moment
  kInternal,            // a bug in distil
  kDeviceLost,          // the device failed: what was on it is gone
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status InvalidArgument(std::string m) { return {Code::kInvalidArgument, std::move(m)}; }
inline Status NotFound(std::string m) { return {Code::kNotFound, std::move(m)}; }
inline Status Corrupt(std::string m) { return {Code::kCorrupt, std::move(m)}; }
inline Status Unsupported(std::string m) { return {Code::kUnsupported, std::move(m)}; }
inline Status IoError(std::string m) { return {Code::kIo, std::move(m)}; }
inline Status FailedPrecondition(std::string m) { return {Code::kFailedPrecondition, std::move(m)}; }
inline Status Internal(std::string m) { return {Code::kInternal, std::move(m)}; }

#define DISTIL_RETURN_IF_ERROR(expr)                                      \
  do {                                                                    \
    if (::distil::Status status_ = (expr); !status_.ok()) return status_; \
  } while (0)

}  // namespace distil
