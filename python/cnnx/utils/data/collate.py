"""How single samples become a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from cnnx import _C
from cnnx.creation import from_python
from cnnx.dtypes import float64
from cnnx.tensor import Tensor

#: What puts samples of a type (or of one of several) together: it gets the samples, and the map as a keyword.
CollateMap = dict[Any, Callable[..., Any]]


def collate(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Puts samples of equal structure together by a map from their type to what does it.

    Of mappings, tuples and lists each field is put together (tuples give a list, as in PyTorch; other types
    are kept).

    Parameters
    ----------
    batch
        The samples, at least one.
    collate_fn_map
        Types, or tuples of them, and functions (samples, collate_fn_map=map). One for the very type of the
        first sample comes first, then those for its bases, in the map's order.

    Raises
    ------
    TypeError
        If the samples are of a type that neither the map nor this function knows.
    RuntimeError
        If lengths differ.
    IndexError
        If there is no sample.
    """
    if not len(batch):
        raise IndexError("default_collate: there is no sample in the batch")
    first = batch[0]
    function = collator(first, collate_fn_map or {})
    if function is not None:
        return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        fields = {
            key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map) for key in first
        }
        return _like(first, fields)
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            lengths = sorted({len(sample) for sample in batch})
            raise RuntimeError(
                f"default_collate: samples have different numbers of fields {lengths}; pass a collate_fn"
            )
        columns = [collate(field, collate_fn_map=collate_fn_map) for field in zip(*batch, strict=True)]
        return _like(first, columns)
    hint = "; ToTensor() makes tensors of images" if hasattr(first, "getbands") else ""
    raise TypeError(
        "default_collate: samples must hold tensors, arrays, numbers, strings, mappings or sequences, "
        f"got {type(first).__module__}.{type(first).__name__}{hint}"
    )


def collator(first: Any, functions: CollateMap) -> Callable[..., Any] | None:
    """The function of a map for samples like `first`; None if it has none."""
    exact = functions.get(type(first))
    return exact or next((function for kind, function in functions.items() if isinstance(first, kind)), None)


def _like(first: Any, fields: Any) -> Any:
    """The fields in a collection like `first`; tuples give a list, and so does what cannot be made anew."""
    if type(first) in (dict, list) or type(first) is tuple:
        return fields
    if isinstance(first, tuple):
        return type(first)(*fields) if hasattr(first, "_fields") else fields
    try:
        if not isinstance(first, MutableMapping | MutableSequence):
            return type(first)(fields)
        clone: Any = copy.copy(first)
        for key, value in fields.items() if isinstance(fields, dict) else enumerate(fields):
            clone[key] = value
        return clone
    except TypeError:
        return fields


def _stack(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    for sample in batch:
        if not isinstance(sample, Tensor):
            raise TypeError(
                f"default_collate: tensors and {type(sample).__name__} in one field; pass a collate_fn"
            )
    _check_shapes([tuple(t.shape) for t in batch])
    from cnnx import stack

    return stack(list(batch), 0)


def _stack_arrays(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    if batch[0].dtype.kind not in "fiub":
        raise TypeError(f"default_collate: no tensors of NumPy dtype {batch[0].dtype}; pass a collate_fn")
    _check_shapes([np.shape(a) for a in batch])
    return _C.from_numpy(np.stack(batch), False)


def _numbers(dtype: _C.DType | None) -> Callable[..., Tensor]:
    def collate_numbers(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Tensor:
        return from_python("default_collate", list(batch), dtype)

    return collate_numbers


def _as_they_are(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> list[Any]:
    return list(batch)


def _check_shapes(shapes: list[tuple[int, ...]]) -> None:
    if len(set(shapes)) > 1:
        raise RuntimeError(
            f"default_collate: samples of different shapes {sorted(set(shapes))} need a collate_fn"
        )


#: What `default_collate` does with each type. An entry for a type of one's own extends it; a loader uses it.
default_collate_fn_map: CollateMap = {
    Tensor: _stack,
    np.ndarray: _stack_arrays,
    (np.bool_, np.number, np.object_): _numbers(None),
    float: _numbers(float64),
    int: _numbers(None),
    str: _as_they_are,
    bytes: _as_they_are,
}
_SHIPPED = dict(default_collate_fn_map)
_ROW, _LABEL = _C.from_numpy(np.zeros(1, np.float32), True), 0


def default_collate(batch: Sequence[Any]) -> Any:
    """Puts samples of equal structure together.

    Tensors and arrays of equal shape are stacked; floats become a float64 tensor (float32 if an int comes
    first), ints an int64 and bools a bool one; strings and bytes stay a list; of mappings, tuples and lists
    each field is put together (tuples give a list, as in PyTorch).
    `cnnx.utils.data.collate.default_collate_fn_map` says what happens to a type, and takes entries for
    others.

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
    IndexError
        If there is no sample.

    Examples
    --------
    >>> default_collate([(1, 0.5), (2, 1.5)])
    [tensor([1, 2]), tensor([0.5000, 1.5000], dtype=cnnx.float64)]
    """
    try:
        batch[0]
    except IndexError:
        pass  # none at all: told below
    except (KeyError, TypeError):
        raise TypeError(f"default_collate: needs samples in a list, got {type(batch).__name__}") from None
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collates_as_shipped(collate_fn: Any) -> bool:
    """True if batches of (tensor, label) are put together as shipped: native ones may stand for them."""
    return collate_fn is default_collate and all(
        collator(sample, default_collate_fn_map) is collator(sample, _SHIPPED)
        for sample in (_ROW, _LABEL, (_ROW, _LABEL))
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
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _like(data, [default_convert(value) for value in data])
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
