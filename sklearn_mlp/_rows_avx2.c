/* _rows.h for AVX2; without FMA, which would give other bits than the baseline. */
#include "_rows.h"

ROWS_DEFINE(avx2)
