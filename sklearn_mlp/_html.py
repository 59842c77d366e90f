"""What a notebook shows of an estimator: scikit-learn's diagram, our links and the network."""

from __future__ import annotations

from functools import cache, partial
from html import escape
from importlib.metadata import metadata
from itertools import pairwise
from typing import Any

from sklearn.utils._repr_html.estimator import _VisualBlock

# Layers of the table; of a deeper network the first and the last half of them.
MOST_LAYERS = 12

# The classes are those of scikit-learn's tables of parameters, so that colours and dark mode follow.
TABLE = (
    '<div class="estimator-table"><details open><summary>Network</summary>'
    '<table class="parameters-table"><tbody>'
    "<tr><th>Layer</th><th>Units</th><th>Activation</th><th>Parameters</th></tr>{rows}"
    "</tbody></table></details></div>"
)


@cache
def documentation() -> str:
    """The address of the documentation, which pyproject.toml says and the installed package knows."""
    urls = metadata("sklearn-mlp").get_all("Project-URL") or []
    return str(dict(url.split(", ", 1) for url in urls)["Documentation"])


class DocLinkMixin:
    """The link of a diagram to the page of its class."""

    _doc_link_module = "sklearn_mlp"
    _documented_in = "sklearn_mlp"

    @property
    def _doc_link_template(self) -> str:
        return f"{documentation()}/generated/{self._documented_in}.{{estimator_name}}.html"


class HTMLMixin(DocLinkMixin):
    """The HTML representation of the estimators."""

    def _sk_visual_block_(self) -> Any:
        return _VisualBlock(
            "single",
            self,
            names=type(self).__name__,
            name_details=str(self),
            name_caption=_summary(self),
        )

    def _get_params_html(self, *args: Any, **kwargs: Any) -> Any:
        """scikit-learn's table of parameters, with that of the network before it."""
        params = super()._get_params_html(*args, **kwargs)  # type: ignore[misc]
        rows = _rows(self)
        if rows:
            params._html_repr = partial(_with_network, rows, params._html_repr)
        return params


def _with_network(rows: list[tuple[str, ...]], parameters: Any) -> str:
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    text = "".join(f'<tr class="default">{row}</tr>' for row in cells)
    return TABLE.format(rows=text) + str(parameters())


def _summary(estimator: Any) -> str | None:
    """A fitted network in a line: sizes of its layers, parameters, and why training ended."""
    network = vars(estimator).get("_network")
    if network is None:
        return None
    sizes = [f"{size:,}" for size in network.sizes]
    if len(sizes) > 6:
        sizes = [*sizes[:3], "…", *sizes[-2:]]
    parts = [" → ".join(sizes), f"{network.params.size:,} parameters"]
    reason = getattr(vars(estimator).get("history_"), "stop_reason", None)
    if reason is not None:
        parts.append(f"stopped: {str(reason).replace('_', ' ')}")
    return ", ".join(parts)


def _rows(estimator: Any) -> list[tuple[str, ...]]:
    """Number, units, activation and parameters of each layer of a fitted estimator, input first."""
    network = vars(estimator).get("_network")
    if network is None:
        return []
    rows: list[tuple[str, ...]] = [("input", f"{network.sizes[0]:,}", "", "")]
    layers = zip(pairwise(network.sizes), network.activations, strict=True)
    for i, ((n_in, n_out), (name, slope)) in enumerate(layers, start=1):
        activation = f"{name} ({slope:g})" if name == "leaky_relu" else name
        rows.append((str(i), f"{n_out:,}", activation, f"{(n_in + 1) * n_out:,}"))
    rows[-1] = ("output", rows[-1][1], str(estimator.out_activation_), rows[-1][3])
    if len(rows) > MOST_LAYERS:
        half = MOST_LAYERS // 2
        rows[half:-half] = [("…", f"{len(rows) - MOST_LAYERS} more", "", "")]
    return rows
