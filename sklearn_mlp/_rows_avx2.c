/* _rows.h and _steps.h for AVX2; without FMA, which would give other bits than the baseline. */
#include "_rows.h"
#include "_steps.h"

ROWS_DEFINE(avx2)
STEPS_DEFINE(avx2)
