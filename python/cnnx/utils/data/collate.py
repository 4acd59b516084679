"""How single samples become a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnx import _C
from cnnx.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Puts samples of equal structure together.

    Tensors and arrays of equal shape are stacked; floats become a float64 tensor, ints an int64 and bools a
    bool one; strings and bytes stay a list; of mappings, tuples and lists each field is put together (tuples
    give a list, as in PyTorch).

    Parameters
    ----------
    batch
        The samples, at least one.

    Raises
    ------
    TypeError
        If the samples are of another type.
    RuntimeError
        If shapes or lengths differ.

    Examples
    --------
    >>> default_collate([(1, 0.5), (2, 1.5)])
    [tensor([1, 2]), tensor([0.5000, 1.5000], dtype=cnnx.float64)]
    """
    try:
        first = batch[0]
    except (IndexError, KeyError, TypeError):
        raise TypeError(f"default_collate: needs samples in a list, got {type(batch).__name__}") from None
    if isinstance(first, Tensor):
        shapes = {tuple(t.shape) for t in batch}
        if len(shapes) > 1:
            raise RuntimeError(
                f"default_collate: samples of different shapes {sorted(shapes)} need a collate_fn"
            )
        from cnnx import stack

        return stack(list(batch), 0)
    if isinstance(first, np.ndarray):
        if first.dtype.kind not in "fiub":
            raise TypeError(f"default_collate: no tensors of NumPy dtype {first.dtype}; pass a collate_fn")
        shapes = {a.shape for a in batch}
        if len(shapes) > 1:
            raise RuntimeError(
                f"default_collate: samples of different shapes {sorted(shapes)} need a collate_fn"
            )
        return _C.from_numpy(np.stack(batch), False)
    if isinstance(first, np.generic):
        return _C.from_numpy(np.asarray(batch), False)
    if isinstance(first, bool | int | float):
        dtype = np.float64 if isinstance(first, float) else np.bool_ if isinstance(first, bool) else np.int64
        return _C.from_numpy(np.asarray(batch, dtype=dtype), False)
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, tuple | list):
        if any(len(sample) != len(first) for sample in batch):
            lengths = sorted({len(sample) for sample in batch})
            raise RuntimeError(
                f"default_collate: samples have different numbers of fields {lengths}; pass a collate_fn"
            )
        fields = [default_collate(field) for field in zip(*batch, strict=True)]
        return type(first)(*fields) if hasattr(first, "_fields") else fields
    hint = "; ToTensor() makes tensors of images" if hasattr(first, "getbands") else ""
    raise TypeError(
        "default_collate: samples must hold tensors, arrays, numbers, strings, mappings or sequences, "
        f"got {type(first).__module__}.{type(first).__name__}{hint}"
    )


def default_convert(data: Any) -> Any:
    """NumPy arrays as tensors, within mappings and sequences too; anything else as it is.

    Parameters
    ----------
    data
        One sample.
    """
    if isinstance(data, np.ndarray | np.generic) and data.dtype.kind in "fiub":
        return _C.from_numpy(np.asarray(data), False)
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple):
        fields = [default_convert(value) for value in data]
        return type(data)(*fields) if hasattr(data, "_fields") else fields
    if isinstance(data, list):
        return [default_convert(value) for value in data]
    return data


def pinned(batch: Any) -> Any:
    """A batch with its tensors of the CPU in pinned memory; of other structure it stays as it is."""
    if isinstance(batch, Tensor):
        return batch if batch.is_cuda else batch.pin_memory()
    if isinstance(batch, Mapping):
        return {key: pinned(value) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        fields = [pinned(field) for field in batch]
        return type(batch)(*fields) if hasattr(batch, "_fields") else type(batch)(fields)
    method = getattr(batch, "pin_memory", None)
    return batch if method is None else method()
