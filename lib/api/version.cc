// The version of the archive, and the symbol that only an archive of the same interface has.

#include "distil/distil.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char* distil_version(void) {
  return TEXT(DISTIL_VERSION_MAJOR) "." TEXT(DISTIL_VERSION_MINOR) "." TEXT(DISTIL_VERSION_PATCH);
}

const int DISTIL_ABI_TAG = 1;
