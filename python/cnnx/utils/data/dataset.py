"""Data sets: anything with a length and samples by index, and what can be built from others."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from cnnx import _C
from cnnx.devices import CPU
from cnnx.devices import device as Device
from cnnx.random import randperm
from cnnx.tensor import Tensor

Sample = TypeVar("Sample", covariant=True)


class Pass(NamedTuple):
    """What random transforms draw from in one pass: a call of the generator, and a key per position."""

    call: tuple[int, int]
    keys: Tensor


#: Gathers positions [start, start + count) of an index tensor into one batch.
Gather = Callable[[Tensor, int, int, Pass], list[Tensor]]


class NativeBatches(NamedTuple):
    """How a data set makes a batch natively, whether it uses the call of the pass, and where its data are.

    An index that is there already costs no copy, and no wait.
    """

    gather: Gather
    random: bool
    device: Device = CPU


class Dataset(Generic[Sample]):
    """Base of data sets: a subclass has `__getitem__` for one sample and `__len__`.

    Examples
    --------
    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, i):
    ...         return i * i
    >>> Squares()[2]
    4
    """

    def __getitem__(self, index: Any) -> Sample:
        raise NotImplementedError(f"{type(self).__name__}: a data set needs __getitem__")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[Sample]):
    """Base of data sets that only know how to go on: a subclass has `__iter__`."""

    def __iter__(self) -> Iterator[Sample]:
        raise NotImplementedError(f"{type(self).__name__}: an iterable data set needs __iter__")


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Samples that are the rows of tensors of equal length.

    Parameters
    ----------
    *tensors
        Tensors with the same first extent.

    Raises
    ------
    ValueError
        If there is no tensor, or the first extents differ.

    Examples
    --------
    >>> import cnnx
    >>> TensorDataset(cnnx.zeros(3, 2), cnnx.arange(3))[2]
    (tensor([0., 0.]), tensor(2))
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset: needs at least one tensor")
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise TypeError(f"TensorDataset: needs tensors, got {type(tensor).__name__}")
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if any(len(shape) == 0 or shape[0] != shapes[0][0] for shape in shapes):
            raise ValueError(
                f"TensorDataset: the tensors must have the same first extent, got shapes {shapes}"
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def native_batches(self) -> NativeBatches | None:
        """How to gather a batch natively.

        None if a gradient must flow back to the tensors, or a subclass picks its own samples.
        """
        if type(self).__getitem__ is not TensorDataset.__getitem__ or any(
            t.requires_grad for t in self.tensors
        ):
            return None
        tensors, gather_rows = self.tensors, _C.gather_rows

        def gather(index: Tensor, start: int, count: int, drawn: Pass) -> list[Tensor]:
            return [gather_rows(tensor, index, start, count) for tensor in tensors]

        return NativeBatches(gather, False, tensors[0].device)


class Subset(Dataset[Sample]):
    """The samples of a data set at given indices.

    Parameters
    ----------
    dataset
        The whole.
    indices
        A sequence of ints, or an integer tensor or array with one dimension.

    Raises
    ------
    TypeError
        If `indices` is a tensor or an array that does not hold integers in one dimension.
    """

    def __init__(
        self, dataset: Dataset[Sample], indices: Sequence[int] | Tensor | np.ndarray[Any, Any]
    ) -> None:
        if isinstance(indices, Tensor | np.ndarray):
            array = _on_host(indices)
            if array.ndim != 1 or array.dtype.kind not in "iu":
                raise TypeError(
                    f"Subset: indices must be integers in one dimension, got {array.dtype} {array.shape}"
                )
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Sample:
        if isinstance(index, list):
            return self.dataset[[int(self.indices[i]) for i in index]]
        return self.dataset[int(self.indices[index])]

    def __len__(self) -> int:
        return len(self.indices)

    def native_batches(self) -> NativeBatches | None:
        """The whole's way, given the whole's indices.

        None if the whole has none, or a subclass picks its own samples.
        """
        if type(self).__getitem__ is not Subset.__getitem__:
            return None
        inner = native_batches(self.dataset)
        if inner is None:
            return None
        total: int = len(self.dataset)  # type: ignore[arg-type]
        table = index_tensor(self.indices, total)
        if inner.device != CPU:  # which would say that an index is wrong, but not which one
            values = _C.numpy(table)
            wrong = values[(values < 0) | (values >= total)]
            if len(wrong):
                raise IndexError(f"Subset: index {wrong[0]} is out of range for {total} samples")
        table = on_device(table, inner.device)
        gather_rows, inner_gather = _C.gather_rows, inner.gather
        translated: tuple[Tensor | None, Tensor | None] = (None, None)

        def gather(index: Tensor, start: int, count: int, drawn: Pass) -> list[Tensor]:
            # An epoch hands in one index again and again, so it is translated once.
            nonlocal translated
            if translated[0] is not index:
                translated = (index, gather_rows(table, index, 0, len(index)))
            assert translated[1] is not None
            return inner_gather(translated[1], start, count, drawn)

        return NativeBatches(gather, inner.random, inner.device)


class ConcatDataset(Dataset[Any]):
    """Data sets one behind the other.

    The parts of a batch are found on the CPU: where the data are on a device, each batch waits for it.

    Parameters
    ----------
    datasets
        At least one data set with a length.
    """

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: needs at least one data set")
        sizes: list[int] = [len(d) for d in self.datasets]  # type: ignore[arg-type]
        self.cumulative_sizes = list(itertools.accumulate(sizes))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        index %= len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]

    def native_batches(self) -> NativeBatches | None:
        """Each part's way for its samples of the batch.

        None if a part has none, or a subclass picks its own samples.
        """
        if type(self).__getitem__ is not ConcatDataset.__getitem__:
            return None
        parts = [native_batches(part) for part in self.datasets]
        if not all(parts):
            return None
        gathers = [part.gather for part in parts if part is not None]
        ends, total = np.asarray(self.cumulative_sizes), len(self)

        def gather(index: Tensor, start: int, count: int, drawn: Pass) -> list[Tensor]:
            wanted = _C.numpy(index)[start : start + count]
            if count and not 0 <= wanted.min() <= wanted.max() < total:
                raise IndexError(f"ConcatDataset: an index of {wanted} is out of range for {total} samples")
            which = np.searchsorted(ends, wanted, side="right")
            keys = _C.numpy(drawn.keys)[start : start + count]
            places, fields = [], list[list[Tensor]]()
            for part in np.unique(which):
                place = np.flatnonzero(which == part)
                first = ends[part - 1] if part else 0
                local = _C.from_numpy(wanted[place] - first, False)
                own = Pass(drawn.call, _C.from_numpy(keys[place], False))
                places.append(place)
                fields.append(gathers[part](local, 0, len(place), own))
            if len(fields) == 1:
                return fields[0]
            back = _C.from_numpy(np.argsort(np.concatenate(places)), False)
            return [_C.gather_rows(_C.cat(list(f), 0), back, 0, count) for f in zip(*fields, strict=True)]

        return NativeBatches(gather, any(part is not None and part.random for part in parts))


def random_split(
    dataset: Dataset[Sample], lengths: Sequence[int | float], generator: Any = None
) -> list[Subset[Sample]]:
    """Divides a data set at random into parts that do not overlap.

    Parameters
    ----------
    dataset
        The whole.
    lengths
        Lengths that add up to the whole, or fractions that add up to 1; what rounding leaves over goes to the
        first parts, one each.
    generator
        Where the random order comes from; default: the global generator.

    Raises
    ------
    ValueError
        If the lengths do not add up.

    Examples
    --------
    >>> import cnnx
    >>> generator = cnnx.Generator().manual_seed(0)
    >>> parts = random_split(TensorDataset(cnnx.arange(10)), [0.75, 0.25], generator=generator)
    >>> [len(part) for part in parts]
    [8, 2]
    """
    total: int = len(dataset)  # type: ignore[arg-type]
    if any(length < 0 for length in lengths):
        raise ValueError(f"random_split: lengths must not be negative, got {list(lengths)}")
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1 + 1e-9 and total != 1:
        counts = [math.floor(total * fraction) for fraction in lengths]
        for i in range(total - sum(counts)):
            counts[i % len(counts)] += 1
        for i, count in enumerate(counts):
            if count == 0:
                warnings.warn(f"random_split: part {i} of {list(lengths)} is empty", stacklevel=2)
    else:
        counts = [int(length) for length in lengths]
        if counts != list(lengths) or sum(counts) != total:
            raise ValueError(
                f"random_split: the lengths {list(lengths)} do not add up to the {total} samples"
            )
    order = randperm(total, generator=generator, device="cpu").numpy()
    ends = list(itertools.accumulate(counts))
    return [
        Subset(dataset, order[end - count : end].tolist()) for end, count in zip(ends, counts, strict=True)
    ]


def _on_host(indices: Any) -> np.ndarray[Any, Any]:
    return indices.numpy(force=True) if isinstance(indices, Tensor) else np.asarray(indices)


def index_tensor(indices: Any, length: int) -> Tensor:
    """int64 indices into `length` samples, with negative ones counted from the end."""
    array = _on_host(indices).astype(np.int64).reshape(-1)
    if array.size and array.min() < 0:
        array = np.where(array < 0, array + length, array)
    return _C.from_numpy(np.ascontiguousarray(array), True)


def on_device(tensor: Tensor, where: Device) -> Tensor:
    """The tensor there, itself if it is."""
    return tensor if tensor.device == where else _C.to_device(tensor, str(where))


def native_batches(dataset: Any) -> NativeBatches | None:
    """The data set's way to make batches natively, if it has one that applies."""
    make = getattr(dataset, "native_batches", None)
    return make() if make is not None else None
