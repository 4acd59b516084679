"""Tables of rows and columns: for resizing, and for padding that repeats what is there."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

import cnnx
from cnnx import _C
from cnnx.c_export.net import Array
from cnnx.c_export.resample import Taps
from cnnx.tracing.program import Call

MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def padding(
    shape: Sequence[int], result: Sequence[int], begins: Sequence[int], mode: str
) -> tuple[int, Taps, Taps]:
    """The planes, and where rows and columns come from; 0 planes if more than two dimensions are padded."""
    while len(shape) < 2:
        shape, result, begins = (1, *shape), (1, *result), (0, *begins)
    taps = []
    for size, cells, begin in zip(shape[-2:], result[-2:], begins[-2:], strict=True):
        around = max(begin, 0), max(cells - size - begin, 0)
        places = np.pad(np.arange(size), around, mode=MODES[mode])  # type: ignore[call-overload]
        first = max(-begin, 0)
        taps.append(Taps.picking(size, places[first : first + cells].tolist()))
    planes = prod(shape[:-2]) if tuple(shape[:-2]) == tuple(result[:-2]) else 0
    return planes, taps[0], taps[1]


def interpolation(call: Call) -> tuple[Taps, Taps]:
    """How rows and columns are resized: the op itself on the columns of a unit matrix, axis by axis."""
    found = [Taps.picking(1, [0])] * (2 - call["axes"])
    for axis in range(call["axes"]):
        size, cells = call["in"][axis - call["axes"]], call["out"][axis - call["axes"]]
        found.append(Taps.of_matrix(_matrix(call, axis, size, cells)))
    return found[0], found[1]


def _matrix(call: Call, axis: int, size: int, cells: int) -> Array:
    factor = call["factors"][axis - call["axes"]]
    unit = cnnx.from_numpy(np.eye(size, dtype=np.float32).reshape(1, size, size, 1))
    factors = [factor, 1.0] if factor else []
    resized = _C.resample(unit, [cells, 1], call["mode"], call["align_corners"], call["antialias"], factors)
    return np.ascontiguousarray(resized.numpy().reshape(size, cells).T)
