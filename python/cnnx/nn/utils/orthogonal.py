"""A parametrization by orthogonal matrices."""

from __future__ import annotations

import cnnx
from cnnx.linalg import matrix_exp

from ...autograd import no_grad
from ...dtypes import finfo
from ...tensor import Tensor
from ..module import Module
from .checks import check_modules
from .parametrize import register_parametrization

MAPS = ("matrix_exp", "cayley", "householder")


def _inverse(matrix: Tensor) -> Tensor:
    """Of matrices (..., n, n) whose symmetric part is positive definite, by blocks.

    The same then holds of each block and of what elimination leaves of it, so no pivots are needed.
    """
    n = matrix.shape[-1]
    if n <= 1:
        return 1 / matrix
    h = n // 2
    a, b = matrix[..., :h, :h], matrix[..., :h, h:]
    c, d = matrix[..., h:, :h], matrix[..., h:, h:]
    first = _inverse(a)
    left, right = c @ first, first @ b
    last = _inverse(d - c @ right)
    across = -(right @ last)
    top = cnnx.cat([first - across @ left, across], -1)
    return cnnx.cat([top, cnnx.cat([-(last @ left), last], -1)], -2)


def _turned(tall: Tensor) -> Tensor:
    """The product of the reflections in the columns of (..., n, k), times the signs on the diagonal.

    A column begins with a 1 in place of the sign. Of the product the first k columns, by the compact form
    I - V T V'; the inverse of T is the upper triangle of V' V, the diagonal halved.
    """
    n, k = tall.shape[-2:]
    one = cnnx.eye(n, k, dtype=tall.dtype, device=tall.device)
    v = tall.tril(-1) + one
    products = v.mT @ v
    t = _inverse(products.triu(1) + cnnx.diag_embed(products.diagonal(dim1=-2, dim2=-1)) / 2)
    signs = tall.detach().diagonal(dim1=-2, dim2=-1).sign()
    return (one - v @ (t @ v[..., :k, :].mT)) * signs.unsqueeze(-2)


def _reflections(matrix: Tensor) -> Tensor:
    """The opposite of `_turned`: the vectors below the diagonal, on it the signs that make it the matrix.

    Where columns depend on those before, the product is orthogonal all the same.
    """
    rest, columns = matrix.clone(), []
    n, k = matrix.shape[-2:]
    for i in range(k):
        column = rest[..., i:, i]
        alpha, below = column[..., :1], column[..., 1:]
        length = below.norm(dim=-1, keepdim=True) if i < n - 1 else cnnx.zeros_like(alpha)
        beta = -cnnx.copysign(cnnx.hypot(alpha, length), alpha)
        is_done = length == 0  # the reflection in the axis alone, which turns the sign
        beta = cnnx.where(is_done, -alpha, beta)
        v = cnnx.where(is_done, cnnx.zeros_like(below), below / (alpha - beta))
        columns.append(cnnx.cat([rest[..., :i, i], cnnx.where(beta < 0, -1.0, 1.0).to(beta.dtype), v], -1))
        v = cnnx.cat([cnnx.ones_like(alpha), v], -1).unsqueeze(-1)
        part = rest[..., i:, :]
        tau = 2 / (v * v).sum(-2, keepdim=True)
        rest = cnnx.cat([rest[..., :i, :], part - tau * (v @ (v.mT @ part))], -2)
    return cnnx.stack(columns, -1)


class _Orthogonal(Module):
    base: Tensor | None

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        self.use_trivialization = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:  # noqa: N803
        """The matrix of orthonormal columns, or rows where those are fewer."""
        is_wide = X.shape[-2] < X.shape[-1]
        tall = X.mT if is_wide else X
        n, k = tall.shape[-2:]
        if self.orthogonal_map == "householder":
            turned = _turned(tall)
        else:
            lower = tall.tril()
            if n != k:
                zeros = cnnx.zeros(*tall.shape[:-1], n - k, dtype=tall.dtype, device=tall.device)
                lower = cnnx.cat([lower, zeros], -1)
            skew = lower - lower.mT
            if self.orthogonal_map == "matrix_exp":
                turned = matrix_exp(skew)
            else:
                one = cnnx.eye(n, dtype=tall.dtype, device=tall.device)
                turned = _inverse(one - skew / 2) @ (one + skew / 2)
            turned = turned[..., :k]
        if self.use_trivialization and self.base is not None:
            turned = self.base @ turned
        return turned.mT if is_wide else turned

    @no_grad()
    def right_inverse(self, Q: Tensor) -> Tensor:  # noqa: N803
        """What `forward` makes the matrix of, made orthogonal if it is not."""
        if Q.shape != self.shape:
            raise ValueError(
                f"orthogonal: expected matrices of shape {tuple(self.shape)}, got shape {tuple(Q.shape)}"
            )
        is_wide = Q.shape[-2] < Q.shape[-1]
        tall = Q.mT if is_wide else Q
        n, k = tall.shape[-2:]
        if not self.use_trivialization:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    f"orthogonal: {self.orthogonal_map} with use_trivialization=False cannot be assigned to"
                )
            found = _reflections(tall)
            return found.mT if is_wide else found
        if n != k:
            more = cnnx.randn(*tall.shape[:-1], n - k, dtype=tall.dtype, device=tall.device)
            tall = cnnx.cat([tall, more], -1)
        self.base = tall.clone() if _is_orthogonal(tall) else _turned(_reflections(tall))
        negative = cnnx.zeros_like(Q)
        negative.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return negative


def _is_orthogonal(square: Tensor) -> bool:
    n = square.shape[-1]
    one = cnnx.eye(n, dtype=square.dtype, device=square.device)
    return bool(((square.mT @ square - one).abs() <= 10 * n * finfo(square.dtype).eps).all())


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keeps a weight orthogonal: ``Q' Q = I`` for tall matrices, ``Q Q' = I`` for wide ones.

    Parameters
    ----------
    module : Module
        Whose parameter `name` is parametrized (see `parametrize.register_parametrization`); of more than two
        dimensions it is a batch of matrices.
    name : str
        Default: "weight".
    orthogonal_map : str, optional
        How a matrix becomes orthogonal: "matrix_exp" (the exponential of a skew-symmetric matrix), "cayley"
        (the Cayley map of one), or "householder" (a product of reflections, which takes the least memory).
        Default: "matrix_exp" of square matrices, else "householder".
    use_trivialization : bool
        Whether what is learned is a turn from the matrix there is (a buffer `base`), which is mostly easier;
        without, "matrix_exp" and "cayley" cannot be assigned to. Default: True.

    Returns
    -------
    Module
        The module.

    Raises
    ------
    ValueError
        If there is no such tensor, it has fewer than two dimensions, or the map is unknown.

    Notes
    -----
    Lezcano-Casado, "Trivializations for gradient-based optimization on manifolds", NeurIPS 2019.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> weight = nn.utils.parametrizations.orthogonal(nn.Linear(20, 40)).weight
    >>> (weight.T @ weight - cnnx.eye(20)).abs().max().item() < 1e-5
    True
    """
    check_modules("orthogonal", module)
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"orthogonal: module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(f"orthogonal: expected a matrix or matrices, got {weight.ndim} dimensions")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder"
    if orthogonal_map not in MAPS:
        raise ValueError(f"orthogonal: orthogonal_map must be one of {MAPS}, got {orthogonal_map!r}")
    parametrization = _Orthogonal(weight, orthogonal_map, use_trivialization)
    register_parametrization(module, name, parametrization, unsafe=True)
    return module
