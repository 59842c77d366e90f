/* _rows.h for the compiler's baseline. */
#include "_rows.h"

ROWS_DEFINE(portable)
