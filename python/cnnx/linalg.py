"""Norms, under PyTorch's names of linear algebra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnx import _C
from cnnx.dtypes import as_dtype
from cnnx.signatures import checked

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


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(f"cnnx.linalg has no {name!r}; it has norm and vector_norm")
