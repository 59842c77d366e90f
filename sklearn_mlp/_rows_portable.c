/* _rows.h for the compiler's baseline. */
#include "_rows.h"

ROWS_DEFINE(tanh_row_f_portable, float, vm_tanhf)
ROWS_DEFINE(tanh_row_d_portable, double, vm_tanh)
ROWS_DEFINE(logistic_row_f_portable, float, vm_logisticf)
ROWS_DEFINE(logistic_row_d_portable, double, vm_logistic)
