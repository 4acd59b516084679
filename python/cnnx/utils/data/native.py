"""Batches made natively: which data sets have them, and when they stand for the samples one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from cnnx import _C
from cnnx.devices import CPU
from cnnx.devices import device as Device
from cnnx.shortcuts import AsShipped
from cnnx.tensor import Tensor


class Pass(NamedTuple):
    """What random transforms draw from in one pass: a call of the generator, and a key per position."""

    call: tuple[int, int]
    keys: Tensor


#: Gathers positions [start, start + count) of an index tensor into one batch.
Gather = Callable[[Tensor, int, int, Pass], list[Tensor]]


class NativeBatches(NamedTuple):
    """How a data set makes a batch natively, what a sample is, and whether it uses the call of the pass.

    Samples of different data sets may stand in one batch if `sample` is equal. The data are on `device`: an
    index that is there already costs no copy, and no wait.
    """

    gather: Gather
    sample: tuple[Any, ...]
    random: bool = False
    device: Device = CPU


Source = Callable[[Any], NativeBatches | None]

_SOURCES: dict[type, tuple[AsShipped, Source]] = {}


def makes_batches(
    cls: type, *, methods: Iterable[str], attributes: Iterable[str]
) -> Callable[[Source], Source]:
    """Registers a function as the native way of a class: it gets a data set, and may still return None.

    It is asked for objects alone that run `methods` of the class unchanged and hold `attributes` themselves
    (see `AsShipped`); for others the batches are made of single samples.
    """

    def register(source: Source) -> Source:
        _SOURCES[cls] = (
            AsShipped(cls, ("__getitem__", "__getitems__", "__len__", *methods), attributes),
            source,
        )
        return source

    return register


def native_batches(dataset: Any) -> NativeBatches | None:
    """The data set's way to make batches natively; None if single samples might be something else."""
    for cls in type(dataset).__mro__:
        if cls in _SOURCES:
            shipped, source = _SOURCES[cls]
            return source(dataset) if shipped.holds_for(dataset) else None
    return None


def integers(indices: Any) -> np.ndarray[Any, Any] | None:
    """Indices as int64 in one dimension; None if they are anything else, for the data set to judge."""
    if isinstance(indices, Tensor):
        indices = indices.numpy(force=True)
    elif type(indices) not in (list, tuple, range, np.ndarray):
        return None
    array = np.asarray(indices, dtype=None if len(indices) else np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not np.can_cast(array.dtype, np.int64):
        return None
    return array.astype(np.int64, copy=False)


def index_tensor(indices: Any, length: int) -> Tensor | None:
    """int64 indices into `length` samples, with negative ones counted from the end; None as `integers`."""
    array = integers(indices)
    if array is None:
        return None
    if array.size and array.min() < 0:  # those beyond the first stay, to be named by errors
        array = np.where((array < 0) & (array >= -length), array + length, array)
    return _C.from_numpy(np.ascontiguousarray(array), True)


def on_device(tensor: Tensor, where: Device) -> Tensor:
    """The tensor there, itself if it is."""
    return tensor if tensor.device == where else _C.to_device(tensor, str(where))
