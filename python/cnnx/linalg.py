"""Norms and products, under PyTorch's names of linear algebra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnx import _C, products, reduction, shaping
from cnnx.absent import names_of as _names_of
from cnnx.dtypes import as_dtype
from cnnx.signatures import checked, not_tensors

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


@checked
def vector_norm(
    x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm of all elements as one vector, or along dimensions."""
    x = x if dtype is None else _C.to(x, as_dtype(dtype))
    return _C.norm(x, float(ord), [dim] if isinstance(dim, int) else dim, keepdim)


@checked
def norm(
    A: Tensor,  # noqa: N803
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """A vector norm; of matrices, the Frobenius norm (`ord` "fro" or None).

    Raises
    ------
    NotImplementedError
        For other matrix norms.
    """
    matrix = ord is not None and (A.ndim == 2 if dim is None else not isinstance(dim, int) and len(dim) == 2)
    if (matrix or isinstance(ord, str)) and ord != "fro":
        raise NotImplementedError(f"norm: of matrices only the Frobenius norm is available, not {ord!r}")
    return vector_norm(A, 2.0 if ord in (None, "fro") else ord, dim, keepdim, dtype=dtype)


@checked
def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross products of vectors of three entries along `dim`; the other dimensions broadcast."""
    return products.cross(input, other, dim)


@checked
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The inner products of vectors along `dim`; the other dimensions broadcast."""
    return _C.sum(_C.mul(x, y), [dim], False)


@checked
def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:  # noqa: N803
    """A view of the diagonal of two dimensions, as the last dimension of the result."""
    return _C.diagonal(A, offset, dim1, dim2)


@checked
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of matrices, in the order of the fewest multiplications; the first and last may be vectors.

    Raises
    ------
    RuntimeError
        If there are fewer than two, or one has other dimensions.
    """
    parts = list(tensors)
    for part in parts:
        if not isinstance(part, _C.TensorBase):
            raise not_tensors("multi_dot", tensors=part)
    if len(parts) < 2:
        raise RuntimeError(f"multi_dot: needs two tensors or more, got {len(parts)}")
    edges = (parts[0].ndim == 1, parts[-1].ndim == 1)
    if edges[0]:
        parts[0] = _C.unsqueeze(parts[0], 0)
    if edges[1]:
        parts[-1] = _C.unsqueeze(parts[-1], 1)
    for part in parts:
        if part.ndim != 2:
            raise RuntimeError(f"multi_dot: takes matrices, and vectors at the ends, got {tuple(part.shape)}")
    result = products.chain_matmul(*parts)
    if edges[1]:
        result = shaping.squeeze(result, 1)
    return shaping.squeeze(result, 0) if edges[0] else result


@checked
def matrix_power(A: Tensor, n: int) -> Tensor:  # noqa: N803
    """The n-th power of square matrices (..., M, M), n >= 0."""
    return products.matrix_power(A, n)


@checked
def matrix_exp(A: Tensor) -> Tensor:  # noqa: N803
    """The exponential of square matrices (..., M, M): ``I + A + A @ A / 2 + ...``."""
    return products.matrix_exp(A)


@checked
def vander(x: Tensor, *, N: int | None = None) -> Tensor:  # noqa: N803
    """The powers 0 ... N - 1 of a vector's elements, one row each; N is the length by default."""
    return products.vander(x, N, True)


matmul = reduction.matmul


__getattr__ = _names_of(__name__)
