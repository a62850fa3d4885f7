// The reader of run records: any text gives a record that survives being written and read again, or one sentence.
#include <stddef.h>
#include <stdint.h>

#include <cstdlib>
#include <string_view>

#include "harness/record.h"

using namespace distil::harness;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  RunRecord record, again;
  distil::Status status = ParseRecord({reinterpret_cast<const char*>(data), size}, "fuzz.json", &record);
  if (!status.ok()) {
    if (status.message().empty()) abort();
    return 0;
  }
  if (!ParseRecord(Pretty(ToJson(record)), "fuzz.json", &again).ok() || ToJson(record) != ToJson(again)) abort();
  return 0;
}
