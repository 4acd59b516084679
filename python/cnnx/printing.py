"""How a tensor looks in the interpreter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import _C
from cnnx.devices import CPU
from cnnx.dtypes import bool as bool_
from cnnx.dtypes import get_default_dtype, int64

if TYPE_CHECKING:
    from cnnx.tensor import Tensor

_options: dict[str, Any] = {
    "precision": 4,
    "threshold": 1000,
    "edgeitems": 3,
    "linewidth": 80,
    "sci_mode": None,
}


def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Sets how tensors are printed.

    Parameters
    ----------
    precision
        Digits after the point (4).
    threshold
        Tensors of more elements are shown by their edges (1000).
    edgeitems
        Entries shown at each end of a dimension then (3).
    linewidth
        Characters in a line (80).
    profile
        `"default"`, `"short"` (precision 2, edgeitems 2) or `"full"` (no threshold) before the others apply.
    sci_mode
        Scientific notation: True, False, or by the range of the values (None).
    """
    profiles: dict[str, dict[str, Any]] = {
        "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
        "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
        "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
    }
    if profile is not None:
        if profile not in profiles:
            raise ValueError(f"set_printoptions: profile is one of {', '.join(profiles)}, got {profile!r}")
        _options.update(profiles[profile])
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({name: value for name, value in given.items() if value is not None})
    _options["sci_mode"] = sci_mode


class _Formatter:
    """Formats the numbers of one tensor to one width."""

    def __init__(self, shown: np.ndarray[Any, Any]) -> None:
        self.precision: int = _options["precision"]
        self.floating = shown.dtype.kind == "f"
        self.whole, self.scientific = True, False
        self.width = 1
        if self.floating:
            # Zeros and what is not finite count neither for the notation nor for the width.
            shown = shown[np.isfinite(shown) & (shown != 0)].astype(np.float64)
            if shown.size:
                magnitudes = np.abs(shown)
                low, high = float(magnitudes.min()), float(magnitudes.max())
                self.whole = bool(np.all(shown == np.ceil(shown)))
                spread = high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4
                self.scientific = spread if _options["sci_mode"] is None else bool(_options["sci_mode"])
        self.width = max((len(self._text(value)) for value in shown.ravel().tolist()), default=1)

    def _text(self, value: Any) -> str:
        if not self.floating:
            return str(value)
        if self.scientific:
            return f"{value:.{self.precision}e}"
        if self.whole:
            return f"{value:.0f}." if math.isfinite(value) else str(value)
        return f"{value:.{self.precision}f}"

    def __call__(self, value: Any) -> str:
        return self._text(value).rjust(self.width)


def _edges(array: np.ndarray[Any, Any], summarize: bool) -> np.ndarray[Any, Any]:
    """The entries that will be shown."""
    edge = _options["edgeitems"]
    if summarize:
        for axis, extent in enumerate(array.shape):
            if extent > 2 * edge:
                array = np.take(array, [*range(edge), *range(extent - edge, extent)], axis)
    return array


def _lines(array: np.ndarray[Any, Any], text: _Formatter, indent: int, summarize: bool) -> str:
    edge = _options["edgeitems"]
    if array.ndim == 0:
        return text(array.item())
    cut = summarize and len(array) > 2 * edge
    if array.ndim == 1:
        shown = [*array[:edge], " ...", *array[-edge:]] if cut else list(array)
        items = [item if isinstance(item, str) else text(item.item()) for item in shown]
        per_line = max(1, (_options["linewidth"] - indent) // (text.width + 2))
        rows = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(rows) + "]"
    rows = [_lines(row, text, indent + 1, summarize) for row in (array[:edge] if cut else array)]
    if cut:
        rows += ["...", *(_lines(row, text, indent + 1, summarize) for row in array[-edge:])]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(rows) + "]"


def tensor_repr(tensor: Tensor, prefix: str = "tensor(") -> str:
    """The text of `repr(tensor)`."""
    array = _C.numpy(_C.to_device(tensor.detach(), "cpu"))
    suffix = [] if tensor.device is CPU else [f"device='{tensor.device}'"]
    if array.size == 0:
        body = "[]"
        if tensor.ndim != 1:
            suffix.append(f"size={tuple(array.shape)}")
        if tensor.dtype != get_default_dtype():
            suffix.append(f"dtype={tensor.dtype}")
    else:
        summarize = array.size > _options["threshold"]
        body = _lines(array, _Formatter(_edges(array, summarize)), len(prefix), summarize)
        if tensor.dtype not in (get_default_dtype(), int64, bool_):
            suffix.append(f"dtype={tensor.dtype}")
    if tensor.grad_fn is not None:
        suffix.append(f"grad_fn={tensor.grad_fn!r}")
    elif tensor.requires_grad:
        suffix.append("requires_grad=True")
    text = prefix + body
    for part in suffix:
        last = len(text) - text.rfind("\n") - 1
        text += ","
        wraps = last + len(part) + 2 > _options["linewidth"]
        text += "\n" + " " * len(prefix) + part if wraps else " " + part
    return text + ")"
