"""What a fit allocates: whether the machine can hold it, and where long vectors begin."""

import os

import numpy as np

CACHE_LINE = 64
HUGE_PAGE = 2 << 20
NUMPY_ASKS_FROM = 4 << 20  # bytes from which NumPy asks Linux for huge pages


def require_memory(n_bytes, what):
    """Raise MemoryError, naming the size, where the machine cannot hold `n_bytes`.

    Asking the allocator alone would not do: Linux grants more than there is and ends the process
    when the pages are touched.
    """
    try:
        there_is = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not POSIX: the allocator refuses by itself
        there_is = 2**63 - 1
    if n_bytes > there_is:
        raise MemoryError(
            f"{what} needs {n_bytes / 2**30:,.1f} GiB and this machine has "
            f"{there_is / 2**30:,.1f} GiB; use fewer or smaller layers"
        )


def empty_vector(n, dtype):
    """An uninitialised vector of `n` values that begins with a cache line, or a huge page if it fills
    most of one.

    A vector of 64 bytes that lies across two cache lines takes twice as long to load. And kernels walk
    through the parameters in strides as well as in order; on huge pages they miss the processor's
    table of addresses less often. Linux grants these to the aligned part of a block for which NumPy
    has asked, so the block is made large enough for that; what is left over of it is never touched.
    """
    dtype = np.dtype(dtype)
    n_bytes = n * dtype.itemsize
    if n_bytes < HUGE_PAGE // 2:
        boundary, n_block = CACHE_LINE, n_bytes + CACHE_LINE
    else:
        boundary = HUGE_PAGE
        n_block = max((-(-n_bytes // HUGE_PAGE) + 1) * HUGE_PAGE, NUMPY_ASKS_FROM)
    block = np.empty(n_block, np.uint8)
    start = -block.ctypes.data % boundary
    return block[start : start + n_bytes].view(dtype)
