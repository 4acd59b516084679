"""Samplers: in which order a loader visits the samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from cnnx import _C
from cnnx.creation import tensor
from cnnx.dtypes import float64
from cnnx.random import multinomial, randint, randperm
from cnnx.shortcuts import AsShipped
from cnnx.tensor import Tensor
from cnnx.utils.data.native import integers

Item = TypeVar("Item", covariant=True)


class Sampler(Generic[Item]):
    """Base of samplers: a subclass has `__iter__` over indices (or lists of them), and should have `__len__`.

    Parameters
    ----------
    data_source
        Not used; PyTorch's older samplers pass it.
    """

    def __init__(self, data_source: Sized | None = None) -> None:
        pass

    def __iter__(self) -> Iterator[Item]:
        raise NotImplementedError(f"{type(self).__name__}: a sampler needs __iter__")


class SequentialSampler(Sampler[int]):
    """The samples in order.

    Parameters
    ----------
    data_source
        The data set.
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """The samples in random order, a new one for each pass.

    Parameters
    ----------
    data_source
        The data set.
    replacement
        Draw each sample from all of them, so that some come twice.
    num_samples
        How many to draw; default: as many as there are.
    generator
        A `cnnx.Generator`; default: the global one, which `cnnx.manual_seed` seeds.

    Raises
    ------
    ValueError
        If there is nothing to draw from.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self.generator = generator
        self._num_samples = num_samples
        if not isinstance(replacement, bool):
            raise TypeError(f"RandomSampler: replacement must be a bool, got {replacement!r}")
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            what = "the data set is empty" if num_samples is None else f"num_samples is {num_samples!r}"
            raise ValueError(f"RandomSampler: num_samples must be a positive integer, but {what}")

    @property
    def num_samples(self) -> int:
        """How many indices one pass has."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        yield from self._draw().numpy().tolist()

    def __len__(self) -> int:
        return self.num_samples

    def _draw(self) -> Tensor:
        """One pass as an int64 tensor; each call draws a new one."""
        count, total = self.num_samples, len(self.data_source)
        if total == 0:
            raise ValueError(f"RandomSampler: the data set is empty, there are no {count} samples to draw")
        if self.replacement:
            return randint(0, total, (count,), generator=self.generator, device="cpu")
        if count == total:
            return randperm(total, generator=self.generator, device="cpu")
        parts = [
            randperm(total, generator=self.generator, device="cpu").numpy() for _ in range(-(-count // total))
        ]
        return _C.from_numpy(np.concatenate(parts)[:count], True)


class SubsetRandomSampler(Sampler[int]):
    """Given indices in random order.

    Parameters
    ----------
    indices
        The indices, a sequence or a tensor.
    generator
        A `cnnx.Generator`; default: the global one.
    """

    def __init__(self, indices: Sequence[int] | Tensor, generator: Any = None) -> None:
        if not hasattr(indices, "__getitem__") or isinstance(indices, Mapping):
            raise TypeError(f"SubsetRandomSampler: indices must be a sequence, got {type(indices).__name__}")
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[Any]:
        # As ints where they are numbers: what a tensor or an array hands out one by one is neither.
        indices = self.indices
        given = indices.tolist() if isinstance(indices, Tensor | np.ndarray) else indices
        for i in self._draw().numpy().tolist():
            yield given[i]

    def __len__(self) -> int:
        return len(self.indices)

    def _draw(self) -> Tensor:
        """One pass through the places of the indices; each call draws a new one."""
        return randperm(len(self.indices), generator=self.generator, device="cpu")


class WeightedRandomSampler(Sampler[int]):
    """Indices drawn by weights.

    Parameters
    ----------
    weights
        One for each sample, 0 or more; they need not sum up to 1.
    num_samples
        How many to draw.
    replacement
        Draw each from all. Default: True.
    generator
        A `cnnx.Generator`; default: the global one.

    Raises
    ------
    ValueError
        If the weights are no list of numbers, or there is nothing to draw.
    """

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Any = None,
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(
                f"WeightedRandomSampler: num_samples must be a positive integer, got {num_samples!r}"
            )
        if not isinstance(replacement, bool):
            raise ValueError(f"WeightedRandomSampler: replacement must be a bool, got {replacement!r}")
        self.weights = weights if isinstance(weights, Tensor) else tensor(weights, dtype=float64)
        if self.weights.ndim != 1:
            raise ValueError(
                f"WeightedRandomSampler: weights must be a list, got shape {tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        yield from drawn.tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices from another sampler.

    Parameters
    ----------
    sampler
        Any iterable of indices.
    batch_size
        Indices per list.
    drop_last
        Leave out the last list if it is shorter.
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"BatchSampler: batch_size must be a positive integer, got {batch_size!r}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"BatchSampler: drop_last must be a bool, got {drop_last!r}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


class Order(NamedTuple):
    """How to have a whole pass at once as an int64 tensor, and whether no index comes twice in it."""

    draw: Callable[[], Tensor]
    once: bool


# The samplers whose passes can be had at once, while nothing of theirs is changed.
_SEQUENTIAL = AsShipped(SequentialSampler, ("__iter__", "__len__"), ("data_source",))
_RANDOM = AsShipped(
    RandomSampler,
    ("__iter__", "__len__", "num_samples", "_draw"),
    ("data_source", "replacement", "generator", "_num_samples"),
)
_SUBSET = AsShipped(SubsetRandomSampler, ("__iter__", "__len__", "_draw"), ("indices", "generator"))
_BATCHES = AsShipped(BatchSampler, ("__iter__", "__len__"), ("sampler", "batch_size", "drop_last"))


def order_of(batches: Any) -> Order | None:
    """The order of a batch sampler's passes, if its `batch_size` and `drop_last` cut its lists from one."""
    if not _BATCHES.holds_for(batches) or type(batches.batch_size) is not int or batches.batch_size < 1:
        return None
    sampler = batches.sampler
    if _SEQUENTIAL.holds_for(sampler):
        return Order(lambda: arange(len(sampler)), True)
    if _RANDOM.holds_for(sampler):
        once = not sampler.replacement and sampler.num_samples <= len(sampler.data_source)
        return Order(sampler._draw, once)
    if _SUBSET.holds_for(sampler) and (table := integers(sampler.indices)) is not None:
        rows = _C.from_numpy(np.ascontiguousarray(table), True)
        return Order(lambda: _C.gather_rows(rows, sampler._draw(), 0, len(rows)), False)
    return None


def arange(count: int, first: int = 0) -> Tensor:
    """`count` integers from `first` on as an int64 tensor."""
    return _C.from_numpy(np.arange(first, first + count, dtype=np.int64), True)
