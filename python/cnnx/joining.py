"""Tensors put together, and grids of coordinates."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnx import _C, creation
from cnnx.dtypes import as_dtype
from cnnx.shaping import atleast_3d
from cnnx.signatures import checked, not_tensors

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """The tensors one after the other along a dimension; they agree in all others.

    Raises
    ------
    RuntimeError
        If shapes do not match.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.cat([cnnx.zeros(1), cnnx.ones(2)])
    tensor([0., 1., 1.])
    """
    return _C.cat(list(tensors), dim if axis is None else axis)


def stack(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """The tensors, all of one shape, as the entries of a new dimension."""
    return _C.stack(list(tensors), dim if axis is None else axis)


@checked
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """`cat` along dimension 1, of vectors along dimension 0."""
    parts = [tensor if tensor.ndim else _C.reshape(tensor, (1,)) for tensor in tensors]
    return _C.cat(parts, 0 if parts and parts[0].ndim == 1 else 1)


@checked
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """`cat` along dimension 0, vectors as rows."""
    return _C.cat([tensor if tensor.ndim > 1 else _C.reshape(tensor, (1, -1)) for tensor in tensors], 0)


@checked
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of a grid from vectors; `indexing` "ij" (rows first) or "xy"."""
    axes = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    if indexing not in ("ij", "xy"):
        raise ValueError(f'meshgrid: indexing is "ij" or "xy", got {indexing!r}')
    for axis in axes:
        if not isinstance(axis, _C.TensorBase):
            raise not_tensors("meshgrid", tensors=axis)
    swap = indexing == "xy" and len(axes) > 1
    if swap:
        axes[:2] = axes[1::-1]
    shape = tuple(axis.numel() for axis in axes)
    grids = [
        _C.expand(_C.reshape(axis, tuple(-1 if i == k else 1 for k in range(len(axes)))), shape)
        for i, axis in enumerate(axes)
    ]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


@checked
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """`cat` along dimension 2, of what has fewer dimensions as (1, N, 1) or (M, N, 1)."""
    return _C.cat([atleast_3d(tensor) for tensor in tensors], 2)


@checked
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """`cat` along dimension 1, vectors as columns."""
    return _C.cat([tensor if tensor.ndim > 1 else _C.reshape(tensor, (-1, 1)) for tensor in tensors], 1)


@checked
def block_diag(*tensors: Any) -> Tensor:
    """The matrix with the given matrices on its diagonal and zeros elsewhere.

    Vectors count as rows, numbers as matrices of one element.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.block_diag(cnnx.ones(1, 2), cnnx.tensor([[3.0]]))
    tensor([[1., 1., 0.],
            [0., 0., 3.]])
    """
    parts = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    for part in parts:
        if not isinstance(part, _C.TensorBase):
            raise not_tensors("block_diag", tensors=part)
        if part.ndim > 2:
            raise RuntimeError(f"block_diag: takes at most two dimensions, got shape {tuple(part.shape)}")
    blocks = [part if part.ndim == 2 else _C.reshape(part, (1, -1)) for part in parts]
    if not blocks:
        return creation.zeros(1, 0)
    dtype = blocks[0].dtype
    for block in blocks:
        dtype = _C.promote(dtype, block.dtype)
    width, before, rows = sum(block.shape[1] for block in blocks), 0, []
    for block in blocks:
        height, own = block.shape
        sides = [
            creation.zeros(height, extent, dtype=dtype, device=block.device)
            for extent in (before, width - before - own)
        ]
        rows.append(_C.cat([sides[0], _C.to(block, dtype), sides[1]], 1))
        before += own
    return _C.cat(rows, 0)


@checked
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of the elements of vectors, one a row; the last vector runs fastest.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.cartesian_prod(cnnx.tensor([1, 2]), cnnx.tensor([5, 6]))
    tensor([[1, 5],
            [1, 6],
            [2, 5],
            [2, 6]])
    """
    if not tensors:
        raise RuntimeError("cartesian_prod: needs one or more vectors")
    for tensor in tensors:
        if tensor.ndim != 1:
            raise RuntimeError(f"cartesian_prod: takes vectors, got shape {tuple(tensor.shape)}")
    if len(tensors) < 2:
        return tensors[0]
    return _C.stack([_C.reshape(grid, (-1,)) for grid in meshgrid(*tensors)], 1)


@checked
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements of a vector, one a row, in the order of itertools."""
    if input.ndim != 1:
        raise RuntimeError(f"combinations: takes a vector, got shape {tuple(input.shape)}")
    if r < 0:
        raise RuntimeError(f"combinations: r must not be negative, got {r}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = [at for choice in choose(range(input.numel()), r) for at in choice]
    index = creation.tensor(places, dtype=_C.DType.int64, device=input.device)
    count = len(places) // r if r else 0
    return _C.reshape(_C.index_select(input, 0, index), (count, r) if r else (0,))


def _triangle(op: str, row: int, col: int, offset: int, lower: bool, dtype: Any, device: Any) -> Tensor:
    if row < 0 or col < 0:
        raise RuntimeError(f"{op}: needs extents that are not negative, got {row} and {col}")
    matrix = creation.ones(row, col, dtype=_C.DType.bool, device=device)
    part = _C.tril(matrix, offset) if lower else _C.triu(matrix, offset)
    return _C.contiguous(_C.transpose(_C.to(_C.nonzero(part), as_dtype(dtype)), 0, 1))


@checked
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = _C.DType.int64, device: Any = None
) -> Tensor:
    """The rows and columns of the lower triangle of a (row, col) matrix, (2, count), row by row.

    `offset` is the last diagonal that belongs to it: 0 the main one, positive ones above.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return _triangle("tril_indices", row, col, offset, True, dtype, device)


@checked
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = _C.DType.int64, device: Any = None
) -> Tensor:
    """The rows and columns of the upper triangle of a (row, col) matrix, (2, count), row by row.

    `offset` is the first diagonal that belongs to it: 0 the main one, positive ones above.
    """
    return _triangle("triu_indices", row, col, offset, False, dtype, device)


concat = concatenate = cat
row_stack = vstack

__all__ = [
    "block_diag", "cartesian_prod", "cat", "column_stack", "combinations", "concat", "concatenate", "dstack",
    "hstack", "meshgrid", "row_stack", "stack", "tril_indices", "triu_indices", "vstack",
]  # fmt: skip
