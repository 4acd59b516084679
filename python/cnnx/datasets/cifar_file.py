"""The pickles of CIFAR-10 and CIFAR-100, read without running anything."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from cnnx import pickled
from cnnx.pickled import Call, Named
from cnnx.reading import reading

Array = np.ndarray[Any, Any]

_ARRAYS = {Named(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")}
_DTYPE = Named("numpy", "dtype")
_LABELS = ("labels", "fine_labels")  # as one or the other set calls them


def read_batch(path: Path, pixels: int = 3 * 32 * 32) -> tuple[Array, list[int]]:
    """The images of a batch, uint8 (N, pixels), and their labels.

    Raises
    ------
    ValueError
        If the file is damaged or something else; the message names it.
    """
    with reading("", path, "a batch of CIFAR"):
        entry = _entries(path)
        data = _array(entry.get("data"))
        labels = next((entry[name] for name in _LABELS if name in entry), None)
        if data.ndim != 2 or data.shape[1] != pixels:
            raise ValueError(f"its images are an array of shape {data.shape}, not (N, {pixels})")
        if type(labels) is not list or not set(map(type, labels)) <= {int}:
            raise ValueError("its labels are no list of ints")
        if len(labels) != len(data):
            raise ValueError(f"there are {len(data)} images and {len(labels)} labels in it")
        if labels and not 0 <= min(labels) <= max(labels) < 1 << 31:
            raise ValueError(f"there is a label {min(labels) if min(labels) < 0 else max(labels)} in it")
    return data, labels


def read_names(path: Path, key: str) -> list[str]:
    """The names that a file of names has under `key`."""
    with reading("", path, "names of CIFAR's classes"):
        names = _entries(path).get(key)
        if type(names) is not list or not names or not set(map(type, names)) <= {str}:
            raise ValueError(f"there is no list of names called {key} in it")
    return names


def _entries(path: Path) -> dict[Any, Any]:
    entries = pickled.load(io.BytesIO(path.read_bytes()))
    if type(entries) is not dict:
        raise ValueError(f"there is a {type(entries).__name__} in it where a dict must be")
    return entries


def _array(value: Any) -> Array:
    """A pickled NumPy array of bytes: a call for an empty one, and (version, shape, dtype, order, bytes)."""
    if not isinstance(value, Call) or value.function not in _ARRAYS or type(value.state) is not tuple:
        raise ValueError("its images are no NumPy array")
    if len(value.state) != 5:
        raise ValueError("the array in it is incomplete")
    _, shape, dtype, fortran, data = value.state
    if not isinstance(dtype, Call) or dtype.function != _DTYPE or dtype.arguments[:1] != ("u1",):
        raise ValueError("the array in it is not of uint8")
    if type(shape) is not tuple or not all(type(extent) is int and extent >= 0 for extent in shape):
        raise ValueError("the extents of the array in it are no numbers")
    if fortran is not False or not isinstance(data, str | bytes):
        raise ValueError("the array in it is not stored row by row")
    raw = data.encode("latin-1") if isinstance(data, str) else data
    if math.prod(shape) != len(raw):
        raise ValueError(f"the array of shape {shape} in it has {len(raw)} bytes")
    return np.frombuffer(raw, np.uint8).reshape(shape)
