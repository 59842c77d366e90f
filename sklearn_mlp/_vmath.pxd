"""Functions of _vmath.h for both parameter types."""
from cython cimport floating


cdef extern from "_vmath.h" nogil:
    float vm_expf(float x)
    double vm_exp(double x)
    float vm_logisticf(float x)
    double vm_logistic(double x)


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
