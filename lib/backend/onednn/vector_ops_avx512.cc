#define DISTIL_ISA avx512
#define DISTIL_ISA_NAME "avx512"
#include "lib/backend/onednn/vector_ops.inc"
