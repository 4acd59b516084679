"""Whether an exported net gives what the model gives."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
TOLERANCE = 1e-3  # far above rounding, and below what a size that was guessed wrong changes
SHARE = 1e-3  # of the values may differ more: rounding can move one across a threshold


def differing(got: Array, want: Array) -> int:
    """How many values differ by more than rounding."""
    a, b = got.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    scale = np.median(np.abs(b[finite])) if finite.any() else 0.0
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= TOLERANCE * (np.abs(b) + scale)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return int(np.count_nonzero(~np.where(finite, near, same)))
