/* _rows.h for AVX2; without FMA, which would give other bits than the baseline. */
#include "_rows.h"

ROWS_DEFINE(tanh_row_f_avx2, float, vm_tanhf)
ROWS_DEFINE(tanh_row_d_avx2, double, vm_tanh)
ROWS_DEFINE(logistic_row_f_avx2, float, vm_logisticf)
ROWS_DEFINE(logistic_row_d_avx2, double, vm_logistic)
