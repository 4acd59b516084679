"""Shapes, views, and what puts tensors together and takes them apart.

A view shares the memory of its tensor: an update in place of one is seen by the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnx import _C, creation, layouts
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


def axis_of(op: str, input: Tensor, dim: int) -> int:
    """A dimension counted from the front."""
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(f"{op}: dim {dim} is out of range for {input.ndim} dimensions")
    return dim % input.ndim


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


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy; the gradient goes through it. `memory_format` changes nothing (`cnnx.memory_format`)."""
    layouts.accept("clone", memory_format)
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


@checked
def flipud(input: Tensor) -> Tensor:
    """The rows in reverse order."""
    return flip(input, (0,))


@checked
def fliplr(input: Tensor) -> Tensor:
    """The columns in reverse order."""
    return flip(input, (1,))


@checked
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by k times 90 degrees from the first of two dimensions towards the second."""
    first, second = dims
    if k % 4 == 0:
        return _C.clone(input)
    if k % 4 == 2:
        return flip(input, (first, second))
    return flip(_C.transpose(input, first, second), (first if k % 4 == 1 else second,))


@checked
def atleast_1d(*tensors: Tensor) -> Any:
    """Scalars as vectors of one element; several tensors as a tuple."""
    result = tuple(t if t.ndim else _C.reshape(t, (1,)) for t in tensors)
    return result[0] if len(result) == 1 else result


@checked
def atleast_2d(*tensors: Tensor) -> Any:
    """Scalars and vectors as matrices of one row; several tensors as a tuple."""
    result = tuple(t if t.ndim > 1 else _C.reshape(t, (1, -1)) for t in tensors)
    return result[0] if len(result) == 1 else result


@checked
def atleast_3d(*tensors: Tensor) -> Any:
    """Scalars as (1, 1, 1), vectors as (1, N, 1), matrices as (M, N, 1); several tensors as a tuple."""
    shapes = {0: (1, 1, 1), 1: (1, -1, 1)}
    result = tuple(
        _C.unsqueeze(t, 2) if t.ndim == 2 else _C.reshape(t, shapes[t.ndim]) if t.ndim < 2 else t
        for t in tensors
    )
    return result[0] if len(result) == 1 else result


@checked
def tensor_split(
    input: Tensor, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0
) -> tuple[Tensor, ...]:
    """Views that cut a dimension into so many pieces, as even as can be, or before the given places.

    Examples
    --------
    >>> import cnnx
    >>> [len(part) for part in cnnx.tensor_split(cnnx.arange(7), 3)]
    [3, 2, 2]
    """
    axis = axis_of("tensor_split", input, dim)
    extent, places = input.shape[axis], indices_or_sections
    if isinstance(places, _C.TensorBase):
        places = places.tolist()
    if isinstance(places, int):
        if places < 1:
            raise RuntimeError(f"tensor_split: needs at least one section, got {places}")
        if places > max(extent, 1_000_000):  # each is a tensor
            raise RuntimeError(f"tensor_split: {places:,} sections are too many for an extent of {extent:,}")
        size, larger = divmod(extent, places)  # the first pieces have one more
        places = [size * i + min(i, larger) for i in range(1, places)]
    bounds = [0, *places, extent]
    parts = [slice(*pair).indices(extent)[:2] for pair in itertools.pairwise(bounds)]
    return tuple(_C.narrow(input, axis, start, max(stop - start, 0)) for start, stop in parts)


def _split_along(op: str, input: Tensor, least: int, dim: int, sections: Any) -> tuple[Tensor, ...]:
    if input.ndim < least:
        raise RuntimeError(f"{op}: needs {least} dimensions or more, got shape {tuple(input.shape)}")
    if isinstance(sections, int) and (sections < 1 or input.shape[dim] % sections):
        raise RuntimeError(f"{op}: {input.shape[dim]} entries cannot be cut into {sections} equal parts")
    return tensor_split(input, sections, dim)


@checked
def hsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """`tensor_split` along dimension 1, of vectors along dimension 0; into equal parts alone."""
    return _split_along("hsplit", input, 1, 0 if input.ndim == 1 else 1, indices_or_sections)


@checked
def vsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """`tensor_split` along dimension 0; into equal parts alone."""
    return _split_along("vsplit", input, 2, 0, indices_or_sections)


@checked
def dsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """`tensor_split` along dimension 2; into equal parts alone."""
    return _split_along("dsplit", input, 3, 2, indices_or_sections)


def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """`split` into pieces of the given sizes."""
    return tuple(_C.split(input, list(split_sizes), dim))


@checked
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Square matrices, in dimensions `dim1` and `dim2`, with the last dimension on a diagonal.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.diag_embed(cnnx.tensor([[1, 2], [3, 4]]))[1]
    tensor([[3, 0],
            [0, 4]])
    """
    if not input.ndim:
        raise RuntimeError("diag_embed: needs a dimension")
    first, second = (_place_of("diag_embed", d, input.ndim + 1) for d in (dim1, dim2))
    if first == second:
        raise RuntimeError(f"diag_embed: dim1 and dim2 are both {dim1}")
    count = input.shape[-1]
    size, where = count + abs(offset), str(device_of(input))
    zeros = _C.expand(_C.zeros((1,) * (input.ndim + 1), input.dtype, where), (size, size, *input.shape[:-1]))
    place = _C.arange(0, count, 1, _C.DType.int64, where)
    at = (_C.add(place, max(-offset, 0)), _C.add(place, max(offset, 0)))
    return movedim(_C.index_put(zeros, at, movedim(input, -1, 0)), (0, 1), (first, second))


def _place_of(op: str, dim: int, count: int) -> int:
    if not -count <= dim < count:
        raise IndexError(f"{op}: dim {dim} is out of range for {count} dimensions")
    return dim % count


@checked
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The square matrix with the elements on a diagonal and zeros elsewhere."""
    return diag(_C.reshape(input, (-1,)), offset)


@checked
def adjoint(input: Tensor) -> Tensor:
    """The last two dimensions exchanged."""
    if input.ndim < 2:
        raise RuntimeError(f"adjoint: needs two dimensions or more, got shape {tuple(input.shape)}")
    return _C.transpose(input, -2, -1)


@checked
def unravel_index(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """The coordinates, in a tensor of that shape, of elements that are counted row by row.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.unravel_index(cnnx.tensor(7), (2, 5))
    (tensor(1), tensor(2))
    """
    if indices.dtype.is_floating_point or indices.dtype == _C.DType.bool:
        raise ValueError(f"unravel_index: needs integers, got {indices.dtype}")
    extents = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(extent < 0 for extent in extents):
        raise ValueError(f"unravel_index: extents must not be negative, got {extents}")
    coordinates: list[Tensor] = []
    rest = _C.to(indices, _C.DType.int64)
    for extent in reversed(extents):
        coordinates.insert(0, _C.remainder(rest, max(extent, 1)))
        rest = _C.floor_divide(rest, max(extent, 1))
    return tuple(coordinates)


@checked
def detach(input: Tensor) -> Tensor:
    """The same elements, without a gradient."""
    return input.detach()


@checked
def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None) -> Tensor:
    """Every entry along `dim` (default: of the flattened tensor) several times in a row.

    Parameters
    ----------
    input : Tensor
        Any shape.
    repeats : int or Tensor
        How often; a vector has one number per entry.
    dim : int, optional
        The dimension.
    """
    x, place = (_C.reshape(input, (-1,)), 0) if dim is None else (input, dim)
    axis = axis_of("repeat_interleave", x, place)
    shape, count = tuple(x.shape), x.shape[axis]
    times = repeats if isinstance(repeats, _C.TensorBase) else creation.tensor(repeats)
    if times.dtype not in (_C.DType.int64, _C.DType.int32) or times.ndim > 1:
        raise RuntimeError(f"repeat_interleave: repeats must be an int or {count} of them, got {repeats!r}")
    each = [int(n) for n in _C.reshape(times, (-1,)).tolist()]
    if len(each) not in (1, count) or any(n < 0 for n in each):
        raise RuntimeError(f"repeat_interleave: repeats must be {count} numbers that are not negative")
    if len(each) == 1:
        wide = _C.expand(_C.unsqueeze(x, axis + 1), (*shape[: axis + 1], each[0], *shape[axis + 1 :]))
        return _C.reshape(wide, (*shape[:axis], count * each[0], *shape[axis + 1 :]))
    # An entry's number is how many entries end before it.
    total = sum(each)
    marks = creation.zeros(total + 1, dtype=_C.DType.int64, device=input.device)
    ends = _C.cumsum(_C.to(_C.to_device(times, str(input.device)), _C.DType.int64), 0, None)
    marks = _C.scatter(marks, 0, ends, creation.ones(count, dtype=_C.DType.int64, device=input.device), True)
    return _C.index_select(x, axis, _C.narrow(_C.cumsum(marks, 0, None), 0, 0, total))


@checked
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` entries, `step` apart, along a dimension, as a new last dimension (a copy)."""
    axis = axis_of("unfold", input, dimension)
    extent = input.shape[axis]
    if not 0 < size <= extent or step < 1:
        raise RuntimeError(
            f"unfold: windows of {size}, {step} apart, do not fit dimension {axis} of {extent}"
        )
    count = (extent - size) // step + 1
    starts = _C.unsqueeze(creation.arange(count, device=input.device) * step, 1)
    places = _C.add(starts, creation.arange(size, device=input.device))
    windows = _C.index_select(input, axis, _C.reshape(places, (-1,)))
    shape = (*input.shape[:axis], count, size, *input.shape[axis + 1 :])
    return movedim(_C.reshape(windows, shape), axis + 1, -1)


@checked
def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """Summed over what was broadcast from `size`."""
    shape = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    extra = input.ndim - len(shape)
    if extra < 0 or any(s not in (1, e) for s, e in zip(shape, input.shape[extra:], strict=True)):
        raise RuntimeError(f"sum_to_size: shape {tuple(input.shape)} was not broadcast from {tuple(shape)}")
    dims = [*range(extra)] + [i + extra for i, s in enumerate(shape) if s != input.shape[i + extra]]
    return _C.reshape(_C.sum(input, dims, True), shape) if dims else input


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """A view with two dimensions swapped."""
    return _C.transpose(input, axis0, axis1)


swapdims = transpose
moveaxis = movedim

__all__ = [
    "adjoint", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_shapes", "broadcast_tensors",
    "broadcast_to", "chunk", "clone", "detach", "diag", "diag_embed", "diagflat", "diagonal", "dsplit",
    "flatten", "flip", "fliplr", "flipud", "hsplit", "moveaxis", "movedim", "narrow", "numel", "permute",
    "ravel", "repeat_interleave", "reshape", "roll", "rot90", "select", "split", "split_with_sizes",
    "squeeze", "swapaxes", "swapdims", "t", "tensor_split", "tile", "transpose", "unbind", "unflatten",
    "unravel_index", "unsqueeze", "vsplit",
]  # fmt: skip
