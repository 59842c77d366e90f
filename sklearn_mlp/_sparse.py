"""Sparse matrices on their way to the kernels, which follow their arrays without a check."""

import numpy as np
from scipy.sparse import issparse


def check_pointers(X, formats=("csr",)):
    """Raise ValueError unless `X` has one of the formats and its arrays fit its shape and each other.

    (SciPy's own check_format does not look at the pointers where the last of them is 0.)
    """
    if X.format not in formats:
        raise ValueError(
            f"X must be a sparse matrix in {formats[0]} format; got {X.format}. X.to{formats[0]}() is."
        )
    n_major = X.shape[X.format == "csc"]
    pointers, n_entries = X.indptr, min(X.indices.size, X.data.size)
    if (
        X.indices.ndim != 1
        or X.data.ndim != 1
        or pointers.shape != (n_major + 1,)
        or pointers[0] != 0
        or (np.diff(pointers) < 0).any()
        or pointers[-1] > n_entries
    ):
        raise ValueError(
            f"X is not a valid {X.format.upper()} matrix: indptr must hold {n_major + 1} numbers "
            f"that begin with 0, never fall, and end with at most the {n_entries} stored entries."
        )


def kernel_input(X):
    """`X` as the kernels read it: a C-ordered array as it is, a CSR or CSC matrix as checked CSR."""
    if not issparse(X):
        return X
    check_pointers(X, ("csr", "csc"))
    indices, n_minor = X.indices[: X.indptr[-1]], X.shape[X.format == "csr"]
    if indices.size and not 0 <= indices.min() <= indices.max() < n_minor:
        raise ValueError(
            f"X is not a valid {X.format.upper()} matrix: its indices reach from {indices.min()} to "
            f"{indices.max()}, and they must lie between 0 and {n_minor - 1}."
        )
    return X.tocsr()
