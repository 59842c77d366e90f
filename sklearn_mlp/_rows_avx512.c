/* _rows.h and _steps.h for AVX-512. FMA is taken where it is written, in _vmath.h, and not elsewhere. */
#include "_rows.h"
#include "_steps.h"

ROWS_DEFINE(avx512)
STEPS_DEFINE(avx512)
