"""Data sets: what has a length and samples by index, or can only be gone through; and rows of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cnnx import _C
from cnnx.shortcuts import lookup
from cnnx.tensor import Tensor
from cnnx.utils.data.native import NativeBatches, Pass, makes_batches

if TYPE_CHECKING:
    from cnnx.utils.data.combined import ChainDataset, ConcatDataset

Sample = TypeVar("Sample", covariant=True)


class Dataset(Generic[Sample]):
    """Base of data sets: a subclass has `__getitem__` for one sample and `__len__`.

    One that gets many samples faster together has `__getitems__` for a list of indices, too: a `DataLoader`
    calls it for each batch.

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
        from cnnx.utils.data.combined import ConcatDataset

        return ConcatDataset([self, other])


class IterableDataset(Dataset[Sample]):
    """Base of data sets that only know how to go on: a subclass has `__iter__`."""

    def __iter__(self) -> Iterator[Sample]:
        raise NotImplementedError(f"{type(self).__name__}: an iterable data set needs __iter__")

    def __add__(self, other: Dataset[Any]) -> ChainDataset:  # type: ignore[override]
        from cnnx.utils.data.combined import ChainDataset

        return ChainDataset([self, other])


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


@makes_batches(TensorDataset, methods=(), attributes=("tensors",))
def _rows(dataset: TensorDataset) -> NativeBatches | None:
    """Rows gathered, unless a gradient must flow back to the tensors or they are of a user's own kind."""
    if type(dataset.tensors) not in (list, tuple):
        return None
    rows, gather_rows = tuple(dataset.tensors), _C.gather_rows
    if any(type(t) is not Tensor or t.requires_grad or t.ndim == 0 for t in rows):
        return None
    if len(set(map(len, rows))) != 1:
        return None

    def gather(index: Tensor, start: int, count: int, drawn: Pass) -> list[Tensor]:
        return [gather_rows(tensor, index, start, count) for tensor in rows]

    sample = tuple((t.dtype, tuple(t.shape[1:]), str(t.device)) for t in rows)
    return NativeBatches(gather, sample, device=rows[0].device)


def samples_at(dataset: Any, indices: list[Any]) -> list[Any]:
    """The samples at `indices`, by the data set's own `__getitems__` if it has one.

    One that a proxy forwards (`__getattr__`) does not count: it would pass over the proxy's `__getitem__`.
    """
    if lookup(type(dataset), "__getitems__") or "__getitems__" in getattr(dataset, "__dict__", ()):
        samples: list[Any] = dataset.__getitems__(indices)
        return samples
    return [dataset[i] for i in indices]
