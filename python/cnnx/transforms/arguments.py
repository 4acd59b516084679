"""Checks of the transforms' arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from cnnx.tensor import Tensor


def probability(op: str, p: Any) -> float:
    """`p` as a float between 0 and 1."""
    if not isinstance(p, Real) or not 0 <= float(p) <= 1:
        raise ValueError(f"{op}: p must be a number between 0 and 1, got {p!r}")
    return float(p)


def numbers(op: str, name: str, values: Any, counts: tuple[int, ...]) -> list[float]:
    """A sequence of numbers, as many as one of `counts` says."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise TypeError(f"{op}: {name} must be a sequence of {_either(counts)} numbers, got {values!r}")
    if len(values) not in counts:
        raise ValueError(f"{op}: {name} must have {_either(counts)} values, got {values!r}")
    if not all(isinstance(value, Real) for value in values):
        raise TypeError(f"{op}: {name} must hold numbers, got {values!r}")
    return [float(value) for value in values]


def angles(op: str, name: str, value: Any, counts: tuple[int, ...] = (2,)) -> list[float]:
    """A range of degrees: (low, high), or one number a >= 0 for (-a, a)."""
    if isinstance(value, Real):
        if not float(value) >= 0:
            raise ValueError(f"{op}: {name} as a single number must not be negative, got {value}")
        return [0.0 - float(value), float(value)]
    return numbers(op, name, value, counts)


def pair(op: str, name: str, value: Any) -> tuple[int, int]:
    """(height, width) of an int, or of a sequence of one or two."""
    values = [value] if isinstance(value, Integral) else value
    if not isinstance(values, Sequence) or not all(isinstance(v, Integral) for v in values):
        raise TypeError(f"{op}: {name} must be an int or a sequence of ints, got {value!r}")
    if len(values) not in (1, 2):
        raise ValueError(f"{op}: {name} must have one or two values, got {value!r}")
    if min(values) <= 0:
        raise ValueError(f"{op}: {name} must be positive, got {value!r}")
    return int(values[0]), int(values[-1])


def borders(op: str, padding: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of an int, or of a sequence of one, two (x, y) or four."""
    values = [padding] if isinstance(padding, Integral) else padding
    if not isinstance(values, Sequence) or not all(isinstance(v, Integral) for v in values):
        raise TypeError(f"{op}: padding must be an int or a sequence of ints, got {padding!r}")
    if len(values) not in (1, 2, 4):
        raise ValueError(f"{op}: padding must have 1, 2 or 4 values, got {padding!r}")
    left, top, right, bottom = (int(v) for v in list(values) * (4 // len(values)))
    return left, top, right, bottom


def fill_values(op: str, fill: Any) -> list[float]:
    """One value, or one per channel."""
    if isinstance(fill, Real):
        return [float(fill)]
    if not isinstance(fill, Sequence) or not fill or not all(isinstance(v, Real) for v in fill):
        raise TypeError(f"{op}: fill must be a number or a sequence of numbers, got {fill!r}")
    return [float(v) for v in fill]


def padding_mode(op: str, mode: Any) -> str:
    """One of constant, edge, reflect and symmetric."""
    if mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError(f"{op}: padding_mode must be constant, edge, reflect or symmetric, got {mode!r}")
    return str(mode)


def _either(counts: tuple[int, ...]) -> str:
    return " or ".join(str(count) for count in counts)


def number(op: str, name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """A number within bounds, or a tensor of one, as a float."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if not isinstance(value, Real):
        raise TypeError(f"{op}: {name} must be a number, got {value!r}")
    if not low <= float(value) <= high:
        bounds = f"at least {low}" if high == math.inf else f"between {low} and {high}"
        raise ValueError(f"{op}: {name} must be {bounds}, got {value!r}")
    return float(value)
