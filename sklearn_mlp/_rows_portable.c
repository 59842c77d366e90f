/* _rows.h and _steps.h for the compiler's baseline. */
#include "_rows.h"
#include "_steps.h"

ROWS_DEFINE(portable)
STEPS_DEFINE(portable)
