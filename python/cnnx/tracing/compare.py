"""Whether an exported net gives what the model gives."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
TOLERANCE = 1e-3  # far above rounding, and below what a size that was guessed wrong changes
ULPS = 4  # of the largest value, which what is near 0 may come from
EPS = float(np.finfo(np.float32).eps)
SHARE = 1e-3  # of the values may differ more: rounding can move one across a threshold


def differing(got: Array, want: Array) -> int:
    """How many values differ by more than rounding."""
    a, b = got.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    used = finite & (b != 0)  # most may be 0, behind a ReLU
    scale = np.median(np.abs(b[used])) if used.any() else 0.0
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    # What comes out equal, such as the numbers of a mask, says nothing of how the others are rounded.
    last_digits = ULPS * EPS * np.abs(b[finite & ~same]).max(initial=0.0)
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= TOLERANCE * (np.abs(b) + scale) + last_digits
    return int(np.count_nonzero(~np.where(finite, near, same)))
