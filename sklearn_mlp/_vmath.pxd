"""Functions of _vmath.h for both parameter types."""
from cython cimport floating


cdef extern from "_vmath.h" nogil:
    float vm_expf(float x)
    double vm_exp(double x)
    float vm_logisticf(float x)
    double vm_logistic(double x)
    float vm_log1pf(float u)
    double vm_log1p(double u)


cdef inline floating exp(floating x) noexcept nogil:
    if floating is float:
        return vm_expf(x)
    else:
        return vm_exp(x)


cdef inline floating logistic(floating x) noexcept nogil:
    if floating is float:
        return vm_logisticf(x)
    else:
        return vm_logistic(x)


cdef inline floating log1p_of_unit(floating u) noexcept nogil:
    """log(1 + u) for u in [0, 1]."""
    if floating is float:
        return vm_log1pf(u)
    else:
        return vm_log1p(u)
