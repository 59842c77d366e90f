"""Weights alone: a .npz file of plain arrays, written atomically and read without trust."""

from __future__ import annotations

import os
import reprlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy
from sklearn.utils.validation import check_is_fitted

from sklearn_mlp._files import replacing
from sklearn_mlp._typing import Path

if TYPE_CHECKING:
    from sklearn_mlp._network import Network

# A header as NumPy writes it has some 120 characters; none is read that could keep its parser busy.
LONGEST_HEADER = 1000
CHUNK = 1 << 20  # bytes read at a time


class WeightsMixin:
    """Weights to a file and back, for an estimator with a `_network`."""

    _network: Network
    best_loss_: float | None
    _optimizer: Any
    _scored_by: Any

    def export_weights(self, path: Path) -> None:
        """Write the weights to a .npz file.

        The file holds plain arrays in the model's dtype, named after the attributes of
        scikit-learn: "coefs_0" of shape (n_features, n_units), "intercepts_0" of shape (n_units,),
        "coefs_1" and so on to the output layer. `numpy.load` reads it. It knows nothing of the rest
        of the model: not of activations, loss, classes or parameters.

        Parameters
        ----------
        path : str or path-like
            The file; used as it is, without an ending being added. It is replaced at once: a crash at
            any moment leaves the old file or the new one.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If a weight is not finite, or `path` is there and no ordinary file.
        OSError
            If the file cannot be written.

        See Also
        --------
        load_weights : The way back.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from sklearn_mlp import MLPRegressor
        >>> X, y = np.linspace(0, 1, 40).reshape(20, 2), np.linspace(0, 1, 20)
        >>> model = MLPRegressor(hidden_layer_sizes=3, solver="lbfgs", random_state=0).fit(X, y)
        >>> other = MLPRegressor(hidden_layer_sizes=3, random_state=1).partial_fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.export_weights(f"{folder}/weights.npz")
        ...     other = other.load_weights(f"{folder}/weights.npz")
        >>> bool((other.predict(X) == model.predict(X)).all())
        True
        """
        check_is_fitted(self)
        arrays = _by_name(self._network)
        for name, values in arrays.items():
            with _as_value_error(name):
                _require_finite(values)
        with replacing(path) as file:
            np.savez(file, **arrays)

    def load_weights(self, path: Path) -> Self:
        """Replace the weights of a fitted model by those of a .npz file.

        The file must have what `export_weights` writes for a model with the same sizes of layers; it
        may be compressed (`numpy.savez_compressed`). Numbers of the types float16, float32 and
        float64, in either byte order, are converted to the model's dtype: exactly where it is wider,
        otherwise to the nearest number that it has. Nothing of the file is executed, and no more
        memory is used than for a copy of the model's weights and one of its largest layer.

        As after assigning `coefs_`, the model has new parameters: a predictor made before stays with
        the old ones, and so does a shallow copy. Unlike after that, training that goes on from them
        begins with a new optimizer and schedule, and no earlier loss or score to beat (`best_loss_`
        becomes infinite).
        The record of training so far (`loss_curve_`, `validation_scores_`, `history_`, `n_iter_`,
        `t_`) is left as it is.

        Parameters
        ----------
        path : str or path-like
            A file from anywhere; it need not be trusted.

        Returns
        -------
        self : object
            The estimator with the new weights.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If the file is not such a file: damaged, with other arrays, shapes or types than the
            model's, or with numbers that are not finite or too large. The message says where. The
            model stays as it was.
        OSError
            If the file cannot be opened.

        See Also
        --------
        export_weights : Writes such a file.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from sklearn_mlp import MLPRegressor
        >>> X, y = np.linspace(0, 1, 40).reshape(20, 2), np.linspace(0, 1, 20)
        >>> model = MLPRegressor(hidden_layer_sizes=3, solver="lbfgs", random_state=0).fit(X, y)
        >>> arrays = {f"coefs_{i}": 0 * w for i, w in enumerate(model.coefs_)}
        >>> arrays |= {f"intercepts_{i}": 0 * w for i, w in enumerate(model.intercepts_)}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/zeros.npz", **arrays)
        ...     model = model.load_weights(f"{folder}/zeros.npz")
        >>> model.predict(X[:2])
        array([0., 0.])
        """
        check_is_fitted(
            self,
            msg="This %(name)s is not fitted, and load_weights puts weights into a fitted model. Fit "
            "it first (one partial_fit is enough), or load a whole model with sklearn_mlp.load_json.",
        )
        network = self._network.copy()
        _read_into(_by_name(network), os.fsdecode(path))
        self._network = network
        self._optimizer = None
        self._scored_by = None
        if self.best_loss_ is not None:
            self.best_loss_ = np.inf
        return self


def _by_name(network):
    """Views of the parameters under the names that they have in a file."""
    arrays = {}
    for i, (weights, intercepts) in enumerate(zip(network.coefs, network.intercepts, strict=True)):
        arrays[f"coefs_{i}"], arrays[f"intercepts_{i}"] = weights, intercepts
    return arrays


def _read_into(arrays, path):
    """Overwrite these arrays with those of a file."""
    with open(path, "rb") as file:
        with _as_value_error(f"{path} is not a readable .npz file"):
            archive = ZipFile(file)
        members = _members(archive, arrays, path)
        for name, target in arrays.items():
            with _as_value_error(f"{path}: {name}"), archive.open(members[name]) as member:
                _store(_read_array(member, target.shape), target)


@contextmanager
def _as_value_error(where):
    """Say where whatever the readers of zip archives and headers raise came from."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{where}: {str(error) or type(error).__name__}") from error


def _members(archive, arrays, path):
    """The entry of each array: those and no others must be there, once, stored or deflated."""
    members = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise ValueError(f"{path} has {reprlib.repr(name)} twice.")
        members[name] = info
    missing, unknown = sorted(arrays.keys() - members), sorted(members.keys() - arrays)
    if missing or unknown:
        raise ValueError(
            f"{path} does not have the arrays of this model's {len(arrays) // 2} layers: "
            f"missing {reprlib.repr(missing)}, not known {reprlib.repr(unknown)}."
        )
    for name, info in members.items():
        # Only these are unpacked a few kilobytes at a time, however much there is to come.
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise ValueError(
                f"{path}: {name} is compressed by a method that numpy.savez_compressed does not "
                "use; write it with that."
            )
    return members


def _read_array(member, shape):
    """The array in an open .npy file, which must have this shape; memory for it is taken only then."""
    found, fortran_order, dtype = _read_header(member)
    if dtype.kind != "f" or dtype.itemsize not in (2, 4, 8):
        raise ValueError(f"has dtype {dtype}; it must be float16, float32 or float64.")
    if found != shape:
        raise ValueError(f"has shape {found}; the model's has {shape}.")
    values = np.empty(np.prod(shape), dtype)
    _read_bytes(member, values.view(np.uint8))
    return values.reshape(shape, order="F" if fortran_order else "C")


def _read_header(member):
    version = npy.read_magic(member)
    if version != (1, 0):
        raise ValueError(f"is of version {version} of the .npy format, which plain arrays do not need.")
    try:
        return npy.read_array_header_1_0(member, max_header_size=LONGEST_HEADER)
    except Exception as error:
        raise ValueError("has no header of a plain array.") from error


def _read_bytes(member, out):
    """Fill `out`, with nothing left over; the archive's checksum is looked at on the way."""
    filled = 0
    while filled < out.size:
        part = member.read(min(CHUNK, out.size - filled))
        if not part:
            raise ValueError(f"ends after {filled} of {out.size} bytes; the file is damaged.")
        out[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
        filled += len(part)
    if member.read(1):
        raise ValueError(f"has more than the {out.size} bytes of its shape.")


def _store(values, target):
    _require_finite(values)
    with np.errstate(over="ignore", under="ignore"):
        target[...] = values
    place = _first_not_finite(target)
    if place:
        raise ValueError(f"{values[place]} at {list(place)} is too large for {target.dtype}.")


def _require_finite(values):
    place = _first_not_finite(values)
    if place:
        raise ValueError(f"the number at {list(place)} is {values[place]}; weights must be finite.")


def _first_not_finite(values):
    """The indices of the first number that is not finite; an empty tuple where all are."""
    finite = np.isfinite(values)
    if finite.all():
        return ()
    return tuple(int(i) for i in np.unravel_index(finite.argmin(), finite.shape))
