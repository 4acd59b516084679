"""Data sets made of others: parts, sums, stacks and chains."""

from __future__ import annotations

import bisect
import itertools
import math
import operator
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from cnnx import _C
from cnnx.devices import CPU
from cnnx.random import randperm
from cnnx.shortcuts import lookup
from cnnx.tensor import Tensor
from cnnx.utils.data.native import (
    NativeBatches,
    Pass,
    index_tensor,
    integers,
    makes_batches,
    native_batches,
    on_device,
)
from cnnx.utils.data.sources import Dataset, IterableDataset, Sample, samples_at


class Subset(Dataset[Sample]):
    """The samples of a data set at given indices.

    Parameters
    ----------
    dataset
        The whole.
    indices
        A sequence of the whole's indices (most often ints), or an integer tensor or array with one dimension.

    Raises
    ------
    TypeError
        If `indices` is a tensor or an array that does not hold integers in one dimension.
    """

    def __init__(
        self, dataset: Dataset[Sample], indices: Sequence[int] | Tensor | np.ndarray[Any, Any]
    ) -> None:
        if isinstance(indices, Tensor | np.ndarray):
            array = indices.numpy(force=True) if isinstance(indices, Tensor) else indices
            if array.ndim != 1 or array.dtype.kind not in "iu":
                raise TypeError(
                    f"Subset: indices must be integers in one dimension, got {array.dtype} {array.shape}"
                )
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Sample:
        if isinstance(index, list):
            return self.dataset[[self._place(i) for i in index]]
        return self.dataset[self._place(index)]

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        # A subclass that has samples of its own need not say twice how they come about.
        if lookup(type(self), "__getitem__") is not Subset.__getitem__:
            return [self[i] for i in indices]
        return samples_at(self.dataset, [self._place(i) for i in indices])

    def __len__(self) -> int:
        return len(self.indices)

    def _place(self, index: Any) -> Any:
        place = self.indices[index]
        whole = hasattr(place, "__index__") and not isinstance(place, bool)  # of a mask no index is made
        return operator.index(place) if whole else place


@makes_batches(Subset, methods=("_place",), attributes=("dataset", "indices"))
def _part(subset: Subset[Any]) -> NativeBatches | None:
    """The whole's way, given the whole's indices; None if it has none."""
    inner = native_batches(subset.dataset)
    if inner is None:
        return None
    total: int = len(subset.dataset)  # type: ignore[arg-type]
    table = index_tensor(subset.indices, total)
    if table is None:
        return None
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

    return inner._replace(gather=gather)


class ConcatDataset(Dataset[Any]):
    """Data sets one behind the other.

    The parts of a batch are found on the CPU: where the data are on a device, each batch waits for it.

    Parameters
    ----------
    datasets
        At least one data set with a length.

    Raises
    ------
    ValueError
        If there is none.
    TypeError
        If one is an `IterableDataset`; `ChainDataset` is for those.
    """

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: needs at least one data set")
        if any(isinstance(part, IterableDataset) for part in self.datasets):
            raise TypeError("ConcatDataset: an IterableDataset has no indices; ChainDataset joins those")
        self.cumulative_sizes = self.cumsum(self.datasets)

    @staticmethod
    def cumsum(sequence: Sequence[Any]) -> list[int]:
        """Where each part ends: the lengths of the parts, added up."""
        return list(itertools.accumulate(len(part) for part in sequence))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        index %= len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]


@makes_batches(ConcatDataset, methods=(), attributes=("datasets", "cumulative_sizes"))
def _sum(whole: ConcatDataset) -> NativeBatches | None:
    """Each part's way for its samples of the batch; None if a part has none, or samples of another kind."""
    ends = integers(whole.cumulative_sizes)
    if type(whole.datasets) not in (list, tuple) or ends is None or not 0 < len(ends) == len(whole.datasets):
        return None
    found = [native_batches(part) for part in whole.datasets]
    parts = [part for part in found if part is not None]
    if len(parts) < len(found) or any(part.sample != parts[0].sample for part in parts):
        return None
    gathers, total = [part.gather for part in parts], len(whole)

    def gather(index: Tensor, start: int, count: int, drawn: Pass) -> list[Tensor]:
        wanted = _C.numpy(index)[start : start + count]
        if count and not 0 <= wanted.min() <= wanted.max() < total:
            raise IndexError(f"ConcatDataset: an index of {wanted} is out of range for {total} samples")
        which = np.searchsorted(ends, wanted, side="right")
        keys = _C.numpy(drawn.keys)[start : start + count]
        places, fields = [], list[list[Tensor]]()
        for part in np.unique(which):
            place = np.flatnonzero(which == part)
            before = ends[part - 1] if part else 0
            local = _C.from_numpy(wanted[place] - before, False)
            own = Pass(drawn.call, _C.from_numpy(keys[place], False))
            places.append(place)
            fields.append(gathers[part](local, 0, len(place), own))
        if len(fields) == 1:
            return fields[0]
        back = _C.from_numpy(np.argsort(np.concatenate(places)), False)
        return [_C.gather_rows(_C.cat(list(f), 0), back, 0, count) for f in zip(*fields, strict=True)]

    return NativeBatches(gather, parts[0].sample, any(part.random for part in parts))


class StackDataset(Dataset[Any]):
    """Data sets side by side: sample i holds sample i of each.

    Parameters
    ----------
    *args
        Data sets of one length; a sample is a tuple.
    **kwargs
        Or these by name; a sample is a dict.

    Raises
    ------
    ValueError
        If there is none, if there are both kinds, or if the lengths differ.

    Examples
    --------
    >>> StackDataset(name=["a", "b"], size=[1, 2])[1]
    {'name': 'b', 'size': 2}
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            what = "not both" if args else "got none"
            raise ValueError(f"StackDataset: needs data sets as arguments or as keywords, {what}")
        self.datasets: tuple[Any, ...] | dict[str, Any] = args or kwargs
        sizes = [len(part) for part in self._parts()]
        if len(set(sizes)) > 1:
            raise ValueError(f"StackDataset: the data sets must have one length, got {sizes}")
        self._length = sizes[0]

    def __getitem__(self, index: Any) -> Any:
        return self._sample([part[index] for part in self._parts()])

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        if lookup(type(self), "__getitem__") is not StackDataset.__getitem__:
            return [self[i] for i in indices]
        columns = [samples_at(part, indices) for part in self._parts()]
        for column in columns:
            if len(column) != len(indices):
                raise ValueError(
                    f"StackDataset: a data set gave {len(column)} samples for {len(indices)} indices"
                )
        return [self._sample(fields) for fields in zip(*columns, strict=True)]

    def __len__(self) -> int:
        return self._length

    def _parts(self) -> list[Any]:
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def _sample(self, fields: Iterable[Any]) -> Any:
        if isinstance(self.datasets, dict):
            return dict(zip(self.datasets, fields, strict=True))
        return tuple(fields)


class ChainDataset(IterableDataset[Any]):
    """Iterable data sets one behind the other.

    Parameters
    ----------
    datasets
        The `IterableDataset`s; each pass goes through them again.

    Raises
    ------
    TypeError
        When used, if one is not an `IterableDataset`.
    """

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for part in self._parts():
            yield from part

    def __len__(self) -> int:
        return sum(map(len, self._parts()))  # type: ignore[arg-type]

    def _parts(self) -> Iterator[IterableDataset[Any]]:
        for part in self.datasets:
            if not isinstance(part, IterableDataset):
                raise TypeError(f"ChainDataset: needs IterableDatasets, got {type(part).__name__}")
            yield part


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
    >>> from cnnx.utils.data import TensorDataset
    >>> generator = cnnx.Generator().manual_seed(0)
    >>> parts = random_split(TensorDataset(cnnx.arange(10)), [0.75, 0.25], generator=generator)
    >>> [len(part) for part in parts]
    [8, 2]
    """
    total: int = len(dataset)  # type: ignore[arg-type]
    if any(length < 0 for length in lengths):
        raise ValueError(f"random_split: lengths must not be negative, got {list(lengths)}")
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1 + 1e-9:
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
