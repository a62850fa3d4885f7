#define DISTIL_ISA avx2
#define DISTIL_ISA_NAME "avx2"
#include "lib/backend/onednn/vector_ops.inc"
