"""Shapes, views, and what puts tensors together and takes them apart.

A view shares the memory of its tensor: an update in place of one is seen by the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnx import _C
from cnnx.devices import device_of
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


def _ints(values: tuple[Any, ...]) -> Any:
    # reshape(2, 3) and reshape((2, 3)) are the same.
    if len(values) == 1 and not isinstance(values[0], int):
        first = values[0]
        if isinstance(first, (tuple, list)):
            return first
        return values if hasattr(first, "__index__") and not getattr(first, "shape", ()) else tuple(first)
    return values


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape: a view where the strides allow it, else a copy.

    Parameters
    ----------
    shape
        Ints or one tuple; one of them may be -1 and follows from the number of elements.

    Raises
    ------
    RuntimeError
        If the number of elements does not fit.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.arange(4).reshape(2, -1)
    tensor([[0, 1],
            [2, 3]])
    """
    return _C.reshape(input, _ints(shape))


def view(self: Tensor, *shape: Any) -> Tensor:
    """The same memory in another shape; one extent may be -1.

    Raises
    ------
    RuntimeError
        If the strides allow no view of that shape; `reshape` would copy.
    """
    if len(shape) == 1 and isinstance(shape[0], _C.DType):
        if shape[0] == self.dtype:
            return self
        raise NotImplementedError(f"view: cannot reinterpret {self.dtype} as {shape[0]}; use to() to convert")
    return _C.view(self, _ints(shape))


@checked
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """`view` with the shape of `other`."""
    return _C.view(self, other.shape)


@checked
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """`reshape` with the shape of `other`."""
    return _C.reshape(self, other.shape)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merges the dimensions from `start_dim` to `end_dim` into one."""
    return _C.flatten(input, start_dim, end_dim)


def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension; a view if the tensor is contiguous."""
    return _C.reshape(input, (-1,))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Splits dimension `dim` into several of the given sizes, one of which may be -1."""
    return _C.unflatten(input, dim, tuple(sizes))


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """A view without the dimensions of extent 1.

    With `dim`, only those named go, and only if their extent is 1.
    """
    if dim is None:
        return _C.squeeze(input)
    return _C.squeeze(input, [dim] if isinstance(dim, int) else list(dim))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A view with a new dimension of extent 1 at position `dim`."""
    return _C.unsqueeze(input, dim)


def permute(input: Tensor, *order: Any, dims: Any = None) -> Tensor:
    """A view with the dimensions in the order given, as ints, as a tuple or as `dims`."""
    return _C.permute(input, list(_ints(order if dims is None else (dims,))))


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two dimensions swapped."""
    return _C.transpose(input, dim0, dim1)


@checked
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a vector or a scalar as it is.

    Raises
    ------
    RuntimeError
        If there are more than two dimensions.
    """
    if input.ndim > 2:
        raise RuntimeError(f"t: expects at most 2 dimensions, got shape {tuple(input.shape)}; use transpose")
    return input if input.ndim < 2 else _C.transpose(input, 0, 1)


@checked
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """A view with the dimensions `source` moved to the positions `destination`.

    The others keep their order.
    """
    sources = [source] if isinstance(source, int) else list(source)
    destinations = [destination] if isinstance(destination, int) else list(destination)
    return _C.movedim(input, sources, destinations)


def expand(self: Tensor, *size: Any) -> Tensor:
    """A view with dimensions of extent 1 repeated to the given size, without a copy; -1 keeps an extent."""
    return _C.expand(self, _ints(size))


@checked
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """`expand` to the shape of `other`."""
    return _C.expand(self, other.shape)


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """`input.expand(size)`."""
    return _C.expand(input, tuple(size))


@checked
def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that tensors of these shapes broadcast to."""
    from cnnx.size import Size

    result: Any = ()
    for shape in shapes:
        result = _C.broadcast_shapes(result, (shape,) if isinstance(shape, int) else tuple(shape))
    return Size(result)


@checked
def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors as views of their common shape."""
    shape = broadcast_shapes(*(tensor.shape for tensor in tensors))
    return tuple(_C.expand(tensor, shape) for tensor in tensors)


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A view of `length` entries of dimension `dim` from `start` on."""
    return _C.narrow(input, dim, int(start), length)


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of entry `index` of dimension `dim`, without that dimension."""
    return _C.select(input, dim, index)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonal of two dimensions, as the last dimension of the result."""
    return _C.diagonal(input, offset, dim1, dim2)


@checked
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The square matrix with a vector on a diagonal and zeros elsewhere; of a matrix, a copy of its diagonal.

    Raises
    ------
    RuntimeError
        If there are more than two dimensions, or none.
    """
    if input.ndim == 2:
        return _C.clone(_C.diagonal(input, diagonal, 0, 1))
    if input.ndim != 1:
        raise RuntimeError(f"diag: expects one or two dimensions, got shape {tuple(input.shape)}")
    size = input.numel() + abs(diagonal)
    where = str(device_of(input))
    matrix = _C.expand(_C.zeros((1, 1), input.dtype, where), (size, size))
    place = _C.arange(0, input.numel(), 1, _C.DType.int64, where)
    rows = _C.add(place, max(-diagonal, 0))
    columns = _C.add(place, max(diagonal, 0))
    return _C.index_put(matrix, (rows, columns), input)


def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views that cut a dimension into pieces of one size (the last may be smaller) or of the given sizes."""
    sizes = split_size_or_sections
    return tuple(_C.split(tensor, sizes if isinstance(sizes, int) else list(sizes), dim))


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views that cut a dimension into at most `chunks` pieces of equal size; the last may be smaller."""
    return tuple(_C.chunk(input, chunks, dim))


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the entries of a dimension."""
    return tuple(_C.unbind(input, dim))


def clone(input: Tensor) -> Tensor:
    """A copy; the gradient goes through it."""
    return _C.clone(input)


def flip(input: Tensor, *which: Any, dims: Any = None) -> Tensor:
    """A copy with dimensions, given as ints, as a tuple or as `dims`, in reverse order."""
    return _C.flip(input, list(_ints(which if dims is None else (dims,))))


def repeat(self: Tensor, *repeats: Any) -> Tensor:
    """A copy that repeats the tensor so many times along each dimension."""
    return _C.repeat(self, tuple(_ints(repeats)))


@checked
def tile(input: Tensor, *repeats: Any, dims: Any = None) -> Tensor:
    """Like `repeat`, but with missing leading counts taken as 1."""
    times = tuple(_ints(repeats if dims is None else (dims,)))
    return _C.repeat(input, (1,) * (input.ndim - len(times)) + times)


@checked
def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """A copy with entries moved round by `shifts`; without `dims`, of the flattened tensor."""
    moves = [shifts] if isinstance(shifts, int) else list(shifts)
    return _C.roll(input, moves, [] if dims is None else [dims] if isinstance(dims, int) else list(dims))


@checked
def numel(input: Tensor) -> int:
    """The number of elements."""
    return math.prod(input.shape)


swapaxes = swapdims = transpose
moveaxis = movedim

__all__ = [
    "broadcast_shapes", "broadcast_tensors", "broadcast_to", "chunk", "clone", "diag", "diagonal", "flatten",
    "flip", "moveaxis", "movedim", "narrow", "numel", "permute", "ravel", "reshape", "roll", "select",
    "split", "squeeze", "swapaxes", "swapdims", "t", "tile", "transpose", "unbind", "unflatten", "unsqueeze",
]  # fmt: skip
