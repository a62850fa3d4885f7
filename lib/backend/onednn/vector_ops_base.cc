#define DISTIL_ISA base
#define DISTIL_ISA_NAME "base"
#include "lib/backend/onednn/vector_ops.inc"
