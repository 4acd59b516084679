"""Reductions, softmax and products of matrices.

Where `dim` names dimensions, NumPy's `axis` is taken as well.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnx import _C
from cnnx.dtypes import as_dtype
from cnnx.shaping import axis_of
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor

Dims = builtins.int | Sequence[builtins.int] | None


class ValuesIndices(NamedTuple):
    """Values and where they stand: what `max`, `min`, `sort` and `topk` along a dimension return."""

    values: Tensor
    indices: Tensor


def _type(dtype: Any) -> Any:
    return None if dtype is None else as_dtype(dtype)


def _dim(dim: Any, axis: Any = None) -> Any:
    if axis is not None:
        dim = axis
    return tuple(dim) if isinstance(dim, Sequence) and not isinstance(dim, tuple) else dim


def _cast(input: Tensor, dtype: Any) -> Tensor:
    return input if dtype is None else _C.to(input, as_dtype(dtype))


def sum(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None
) -> Tensor:
    """The sum of all elements or along dimensions.

    Parameters
    ----------
    dim
        A dimension or several; default: all.
    keepdim
        Keep the reduced dimensions with extent 1.
    dtype
        Of the result; default: the input's, int64 for integers and bool.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.ones(2, 3).sum(dim=1)
    tensor([3., 3.])
    """
    return _C.sum(input, _dim(dim, axis), keepdim, _type(dtype))


def mean(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None
) -> Tensor:
    """The mean of all elements or along dimensions.

    Floating point alone, unless `dtype` says what to convert to.
    """
    return _C.mean(input, _dim(dim, axis), keepdim, _type(dtype))


def prod(
    input: Tensor,
    dim: builtins.int | None = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
) -> Tensor:
    """The product of all elements or along a dimension."""
    return _C.prod(input, _dim(dim, axis), keepdim, _type(dtype))


def _spread(native: Any, input: Tensor, dim: Any, unbiased: Any, correction: Any, keepdim: bool) -> Tensor:
    if isinstance(dim, bool):  # var(unbiased): PyTorch's older form
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = unbiased
    return native(input, dim, builtins.float(correction), keepdim)  # type: ignore[no-any-return]


def var(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: builtins.float = 1,
    axis: Any = None,
) -> Tensor:
    """The variance of all elements or along dimensions.

    Squared deviations divided by their number less `correction`.

    Parameters
    ----------
    unbiased
        True is correction 1 (the default), False is correction 0.
    """
    return _spread(_C.var, input, _dim(dim, axis), unbiased, correction, keepdim)


def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: builtins.float = 1,
    axis: Any = None,
) -> Tensor:
    """The standard deviation: the square root of `var`."""
    return _spread(_C.std, input, _dim(dim, axis), unbiased, correction, keepdim)


def var_mean(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: builtins.float = 1,
    axis: Any = None,
) -> tuple[Tensor, Tensor]:
    """`var` and `mean`."""
    dim = _dim(dim, axis)
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


def std_mean(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: builtins.float = 1,
    axis: Any = None,
) -> tuple[Tensor, Tensor]:
    """`std` and `mean`."""
    dim = _dim(dim, axis)
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = None) -> Any:
    """The largest element; along a dimension, `(values, indices)`; with a second tensor, `maximum`.

    NaN wins; of equal elements the first counts.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.tensor([[1, 5], [7, 2]]).max(1).indices
    tensor([1, 0])
    """
    dim = _dim(dim, axis)
    if dim is None:
        return _C.max(input)
    if isinstance(dim, _C.TensorBase):
        return _C.maximum(input, dim)
    return ValuesIndices(*_C.max_dim(input, dim, keepdim))


def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = None) -> Any:
    """The smallest element; along a dimension, `(values, indices)`; with a second tensor, `minimum`."""
    dim = _dim(dim, axis)
    if dim is None:
        return _C.min(input)
    if isinstance(dim, _C.TensorBase):
        return _C.minimum(input, dim)
    return ValuesIndices(*_C.min_dim(input, dim, keepdim))


def amax(input: Tensor, dim: Dims = None, keepdim: bool = False, *, axis: Any = None) -> Tensor:
    """The largest element of all or along dimensions; equal elements share the gradient."""
    return _C.amax(input, _dim(dim, axis), keepdim)


def amin(input: Tensor, dim: Dims = None, keepdim: bool = False, *, axis: Any = None) -> Tensor:
    """The smallest element of all or along dimensions; equal elements share the gradient."""
    return _C.amin(input, _dim(dim, axis), keepdim)


def argmax(
    input: Tensor, dim: builtins.int | None = None, keepdim: bool = False, *, axis: Any = None
) -> Tensor:
    """The int64 index of the first largest element, of the flattened tensor or along a dimension."""
    return _C.argmax(input, _dim(dim, axis), keepdim)


def argmin(
    input: Tensor, dim: builtins.int | None = None, keepdim: bool = False, *, axis: Any = None
) -> Tensor:
    """The int64 index of the first smallest element, of the flattened tensor or along a dimension."""
    return _C.argmin(input, _dim(dim, axis), keepdim)


def any(input: Tensor, dim: Dims = None, keepdim: bool = False, *, axis: Any = None) -> Tensor:
    """Whether any element differs from 0, of all or along dimensions."""
    return _C.any(input, _dim(dim, axis), keepdim)


def all(input: Tensor, dim: Dims = None, keepdim: bool = False, *, axis: Any = None) -> Tensor:
    """Whether all elements differ from 0, of all or along dimensions."""
    return _C.all(input, _dim(dim, axis), keepdim)


def count_nonzero(input: Tensor, dim: Dims = None) -> Tensor:
    """How many elements differ from 0, of all or along dimensions."""
    return _C.count_nonzero(input, _dim(dim))


def norm(input: Tensor, p: Any = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The p-norm of all elements or along dimensions; `p` a number, infinity included, or `"fro"` (2)."""
    return _C.norm(_cast(input, dtype), 2.0 if p == "fro" else builtins.float(p), _dim(dim), keepdim)


def softmax(input: Tensor, dim: builtins.int, *, dtype: Any = None) -> Tensor:
    """exp(x) divided by its sum along a dimension."""
    return _C.softmax(_cast(input, dtype), dim)


def log_softmax(input: Tensor, dim: builtins.int, *, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`, computed without under- or overflow."""
    return _C.log_softmax(_cast(input, dtype), dim)


def logsumexp(input: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) along dimensions, computed without overflow."""
    return _C.logsumexp(input, _dim(dim), keepdim)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The product of matrices, as `@`.

    (..., M, K) by (..., K, N), leading dimensions broadcast, vectors as in NumPy.

    Raises
    ------
    RuntimeError
        If the inner dimensions differ.
    """
    return _C.matmul(input, other)


def _check_dims(op: str, *operands: tuple[Tensor, builtins.int]) -> None:
    for tensor, ndim in operands:
        if tensor.ndim != ndim:
            raise RuntimeError(
                f"{op}: expected a tensor of {ndim} dimensions, got shape {tuple(tensor.shape)}"
            )


@checked
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""
    _check_dims("mm", (input, 2), (mat2, 2))
    return _C.matmul(input, mat2)


@checked
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices, (B, M, K) by (B, K, N)."""
    _check_dims("bmm", (input, 3), (mat2, 3))
    if input.shape[0] != mat2.shape[0]:
        raise RuntimeError(f"bmm: batches differ: {tuple(input.shape)} and {tuple(mat2.shape)}")
    return _C.matmul(input, mat2)


def scaled_sum(input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """`beta * input + alpha * product`; what `beta` 0 leaves out may be NaN."""
    if beta == 0:
        return product if alpha == 1 else _C.mul(product, alpha)
    return _C.add(input if beta == 1 else _C.mul(input, beta), product, alpha)


@checked
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * (mat1 @ mat2)` of two matrices."""
    return scaled_sum(input, mm(mat1, mat2), beta, alpha)


@checked
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    _check_dims("trace", (input, 2))
    return _C.sum(_C.diagonal(input, 0, 0, 1))


@checked
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector."""
    _check_dims("mv", (input, 2), (vec, 1))
    return _C.matmul(input, vec)


@checked
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The inner product of two vectors."""
    _check_dims("dot", (input, 1), (tensor, 1))
    return _C.matmul(input, tensor)


@checked
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The outer product of two vectors."""
    _check_dims("outer", (input, 1), (vec2, 1))
    return _C.mul(_C.unsqueeze(input, 1), vec2)


@checked
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Every entry of dimension `dim` scaled down to the p-norm `maxnorm` where its norm is larger.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.renorm(cnnx.tensor([[3.0, 4.0], [0.3, 0.4]]), 2, 0, 1.0)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    if input.ndim < 2:
        raise RuntimeError(f"renorm: needs two dimensions or more, got shape {tuple(input.shape)}")
    if p <= 0 or maxnorm < 0:
        raise RuntimeError(f"renorm: p must be positive and maxnorm not negative, got {p} and {maxnorm}")
    axis = axis_of("renorm", input, dim)
    size = _C.norm(input, builtins.float(p), tuple(d for d in range(input.ndim) if d != axis), True)
    # The norm is raised a little, as PyTorch does.
    factor = _C.where(_C.gt(size, maxnorm), _C.div(builtins.float(maxnorm), _C.add(size, 1e-7)), 1.0)
    return _C.mul(input, factor)


__all__ = [
    "addmm", "all", "amax", "amin", "any", "argmax", "argmin", "bmm", "count_nonzero", "dot", "log_softmax",
    "logsumexp", "matmul", "max", "mean", "min", "mm", "mv", "norm", "outer", "prod", "renorm", "softmax",
    "std", "std_mean", "sum", "trace", "var", "var_mean",
]  # fmt: skip
