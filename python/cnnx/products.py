"""Products of several tensors, summed over any of their dimensions, and distances of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import _C, creation, reduction
from cnnx.shaping import axis_of
from cnnx.signatures import checked, not_tensors

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


@checked
def inner(input: Tensor, other: Tensor) -> Tensor:
    """The inner products over the last dimensions."""
    if input.ndim == 0 or other.ndim == 0:
        return _C.mul(input, other)
    return tensordot(input, other, ([-1], [-1]))


@checked
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The product summed over dimensions: the last of `a` and the first of `b`, or two lists of them."""
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot: {dims} dimensions of {tuple(a.shape)} and {tuple(b.shape)}")
        over_a, over_b = [*range(a.ndim - dims, a.ndim)], [*range(dims)]
    else:
        over_a, over_b = ([d % t.ndim for d in list(ds)] for t, ds in zip((a, b), dims, strict=True))
    if [a.shape[d] for d in over_a] != [b.shape[d] for d in over_b]:
        raise RuntimeError(f"tensordot: shapes {tuple(a.shape)} and {tuple(b.shape)} differ along {dims}")
    rest_a = [d for d in range(a.ndim) if d not in over_a]
    rest_b = [d for d in range(b.ndim) if d not in over_b]
    count = math.prod(a.shape[d] for d in over_a)
    left = _C.reshape(_C.permute(a, [*rest_a, *over_a]), (-1 if count else 0, count))
    right = _C.reshape(_C.permute(b, [*over_b, *rest_b]), (count, -1 if count else 0))
    shape = [a.shape[d] for d in rest_a] + [b.shape[d] for d in rest_b]
    return _C.reshape(_C.matmul(left, right), tuple(shape))


@checked
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * (batch1 @ batch2)` of two batches of matrices."""
    product = reduction.bmm(batch1, batch2)
    return reduction.scaled_sum(input, product, beta, alpha)


@checked
def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products by Einstein's convention: ``einsum("bij,bjk->bik", a, b)``.

    Parameters
    ----------
    equation : str
        The dimensions of each operand as letters, and after ``->`` those of the result; without that, the
        letters that occur once, in order. ``...`` stands for dimensions that are broadcast. A letter that
        an operand has twice means its diagonal.
    operands : Tensor
        The tensors, or one list of them.

    Raises
    ------
    RuntimeError
        If the letters do not fit the shapes.

    Examples
    --------
    >>> import cnnx
    >>> a = cnnx.arange(4.0).reshape(2, 2)
    >>> cnnx.einsum("ij,ij->i", a, a)
    tensor([ 1., 13.])
    """
    listed = len(operands) == 1 and isinstance(operands[0], (list, tuple))
    tensors = list(operands[0] if listed else operands)
    for tensor in tensors:
        if not isinstance(tensor, _C.TensorBase):
            raise not_tensors("einsum", operand=tensor)
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors):
        raise RuntimeError(f"einsum: {equation!r} has {len(terms)} operands, got {len(tensors)}")
    dots = 0
    for term, tensor in zip(terms, tensors, strict=True):
        if "..." in term:
            dots = max(dots, tensor.ndim - len(term.replace("...", "")))
    broadcast = "0123456789"[:dots]  # the letters of what the dots stand for
    every = ""
    for i, (term, tensor) in enumerate(zip(terms, tensors, strict=True)):
        own = tensor.ndim - len(term.replace("...", "")) if "..." in term else 0
        letters = term.replace("...", broadcast[len(broadcast) - own :] if own > 0 else "")
        if len(letters) != tensor.ndim or own < 0:
            raise RuntimeError(f"einsum: {term!r} does not fit shape {tuple(tensor.shape)}")
        every += letters
        for letter in dict.fromkeys(letters):  # diagonals
            while letters.count(letter) > 1:
                first = letters.index(letter)
                second = letters.index(letter, first + 1)
                tensor = _C.diagonal(tensor, 0, first, second)
                letters = letters[:first] + letters[first + 1 : second] + letters[second + 1 :] + letter
        terms[i], tensors[i] = letters, tensor
    result = (
        right.replace("...", broadcast)
        if arrow
        else broadcast
        + "".join(sorted(c for c in dict.fromkeys(every) if every.count(c) == 1 and c not in broadcast))
    )
    if len(set(result)) != len(result) or any(c not in every for c in result):
        raise RuntimeError(f"einsum: the result of {equation!r} must have letters of the operands, each once")
    letters, value = terms[0], tensors[0]
    for i in range(1, len(tensors)):
        later = result + "".join(terms[i + 1 :])
        letters, value = _contract(letters, value, terms[i], tensors[i], later)
    gone = [d for d, c in enumerate(letters) if c not in result]
    if gone:
        value = _C.sum(value, gone, False)
    letters = "".join(c for c in letters if c in result)
    return _C.permute(value, [letters.index(c) for c in result])


def _contract(s: str, a: Tensor, t: str, b: Tensor, later: str) -> tuple[str, Tensor]:
    """Two operands of an einsum as one product of batches of matrices."""
    sizes: dict[str, int] = {}
    for letters, tensor in ((s, a), (t, b)):
        for c, extent in zip(letters, tensor.shape, strict=True):
            if sizes.setdefault(c, extent) not in (extent, 1) and extent != 1:
                raise RuntimeError(f"einsum: {c!r} is {sizes[c]} in one operand and {extent} in another")
            sizes[c] = max(sizes[c], extent)
    shared = [c for c in s if c in t]
    over, batch = [c for c in shared if c not in later], [c for c in shared if c in later]

    def matrices(letters: str, tensor: Tensor, order: list[str], shape: list[int]) -> Tensor:
        alone = [d for d, c in enumerate(letters) if c not in shared and c not in later]
        if alone:
            tensor = _C.sum(tensor, alone, False)
            letters = "".join(c for d, c in enumerate(letters) if d not in alone)
        wide = _C.expand(
            tensor, tuple(sizes[c] if c in shared else e for c, e in zip(letters, tensor.shape, strict=True))
        )
        return _C.reshape(_C.permute(wide, [letters.index(c) for c in order]), tuple(shape))

    rest_a = [c for c in s if c not in shared and c in later]
    rest_b = [c for c in t if c not in shared and c in later]
    counts = [math.prod(sizes[c] for c in group) for group in (batch, rest_a, over, rest_b)]
    left = matrices(s, a, [*batch, *rest_a, *over], [counts[0], counts[1], counts[2]])
    right = matrices(t, b, [*batch, *over, *rest_b], [counts[0], counts[2], counts[3]])
    product = _C.matmul(left, right)
    order = [*batch, *rest_a, *rest_b]
    return "".join(order), _C.reshape(product, tuple(sizes[c] for c in order))


@checked
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary"
) -> Tensor:
    """The distances of all pairs of rows, (..., P, M) and (..., R, M) to (..., P, R).

    Parameters
    ----------
    x1, x2 : Tensor
        float32 or float64, both of one; leading dimensions broadcast.
    p : float
        The norm of the difference: 0 or more, infinity included; 0 counts what differs. Default: 2.
    compute_mode : str
        PyTorch's three modes are accepted. They allow it to compute Euclidean distances by a matrix
        product, which loses the digits of small ones; here they come from the differences in every mode.
        Memory is taken for the result alone.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.cdist(cnnx.tensor([[0.0, 0.0]]), cnnx.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    if compute_mode not in (
        "use_mm_for_euclid_dist_if_necessary",
        "use_mm_for_euclid_dist",
        "donot_use_mm_for_euclid_dist",
    ):
        raise ValueError(f"cdist: {compute_mode!r} is no valid value for compute_mode")
    return _C.cdist(x1, x2, float(p))


@checked
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The distances of all pairs of rows of (N, M), each once: those of row 0 first; (N (N - 1) / 2,)."""
    if input.ndim != 2:
        raise RuntimeError(f"pdist: needs two dimensions, got shape {tuple(input.shape)}")
    count = input.shape[0]
    above = _C.triu(creation.ones(count, count, dtype=_C.DType.bool, device=input.device), 1)
    return _C.masked_select(_C.cdist(input, input, float(p)), above)


@checked
def dist(input: Tensor, other: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm of the difference, of all its elements."""
    return _C.norm(_C.sub(input, other), float(p), None, False)


@checked
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross products of vectors of three entries along `dim`, by default the first dimension of three.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.cross(cnnx.tensor([1.0, 0.0, 0.0]), cnnx.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    if input.ndim != other.ndim:
        raise RuntimeError(
            f"cross: shapes {tuple(input.shape)} and {tuple(other.shape)} differ in dimensions"
        )
    if dim is None:
        dim = next((d for d, extent in enumerate(input.shape) if extent == 3), -1)
    axis = axis_of("cross", input, dim)
    if input.shape[axis] != 3 or other.shape[axis] != 3:
        raise RuntimeError(
            f"cross: dimension {dim} of {tuple(input.shape)} and {tuple(other.shape)} must have extent 3"
        )
    (a0, a1, a2), (b0, b1, b2) = _C.unbind(input, axis), _C.unbind(other, axis)
    pairs = ((a1, b2, a2, b1), (a2, b0, a0, b2), (a0, b1, a1, b0))
    return _C.stack([_C.sub(_C.mul(a, d), _C.mul(c, b)) for a, d, c, b in pairs], axis - input.ndim)


@checked
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: every element of `input` times the whole of `other`.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.kron(cnnx.tensor([1, 10]), cnnx.tensor([1, 2]))
    tensor([ 1,  2, 10, 20])
    """
    count = max(input.ndim, other.ndim)
    a = _C.reshape(input, (1,) * (count - input.ndim) + tuple(input.shape))
    b = _C.reshape(other, (1,) * (count - other.ndim) + tuple(other.shape))
    spread = [
        _C.reshape(t, tuple(e for extent in t.shape for e in ((extent, 1) if first else (1, extent))))
        for t, first in ((a, True), (b, False))
    ]
    return _C.reshape(_C.mul(*spread), tuple(x * y for x, y in zip(a.shape, b.shape, strict=True)))


@checked
def matrix_power(input: Tensor, n: int) -> Tensor:
    """The n-th power of square matrices (..., M, M), n >= 0.

    Raises
    ------
    RuntimeError
        If the matrices are not square, or n is negative: there are no inverses.
    """
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise RuntimeError(f"matrix_power: needs square matrices, got shape {tuple(input.shape)}")
    if n < 0:
        raise RuntimeError(f"matrix_power: n must not be negative, got {n}")
    result: Tensor | None = None
    while n:
        if n & 1:
            result = input if result is None else reduction.matmul(result, input)
        n >>= 1
        if n:
            input = reduction.matmul(input, input)
    if result is None:
        ones = creation.eye(input.shape[-1], dtype=input.dtype, device=input.device)
        return _C.clone(_C.expand(ones, tuple(input.shape)))
    return _C.clone(result) if result is input else result


@checked
def matrix_exp(input: Tensor) -> Tensor:
    """The exponential of square matrices (..., M, M): ``I + A + A @ A / 2 + ...``.

    Raises
    ------
    RuntimeError
        If the matrices are not square, or not of floats.

    Notes
    -----
    Each matrix is halved until its norm is below 1/2, a sum of its first powers taken (what that leaves out
    is below a rounding error), and the result squared as often. The norms are read, so a GPU is waited for.
    A matrix that is not finite gives nan; others of the batch do not change by it.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.matrix_exp(cnnx.tensor([[0.0, 2.0], [0.0, 0.0]]))
    tensor([[1., 2.],
            [0., 1.]])
    """
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise RuntimeError(f"matrix_exp: needs square matrices, got shape {tuple(input.shape)}")
    if not input.dtype.is_floating_point:
        raise RuntimeError(f"matrix_exp: needs float32 or float64, got {input.dtype}")
    if input.numel() == 0:
        return _C.clone(input)
    if input.shape[-1] == 1:
        return _C.exp(input)
    norms = input.detach().abs().sum(-1).amax(-1).cpu().numpy()[..., None, None].astype(np.float64)
    halvings = np.where(np.isfinite(norms), np.maximum(np.frexp(norms)[1] + 1, 0), 0)
    scale = np.where(np.isfinite(norms), 0.5**halvings, np.nan)
    part = _C.mul(input, creation.tensor(scale, dtype=input.dtype, device=input.device))
    one = creation.eye(input.shape[-1], dtype=input.dtype, device=input.device)
    result = _C.expand(one, tuple(input.shape))
    for k in range(9 if input.dtype is _C.DType.float32 else 15, 0, -1):
        result = _C.add(_C.div(_C.matmul(part, result), float(k)), one)
    for step in range(int(halvings.max())):
        squared = _C.matmul(result, result)
        goes_on = creation.tensor(step < halvings, device=input.device)
        result = _C.where(goes_on, squared, result)
    return result


@checked
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:  # noqa: N803
    """The powers N - 1 ... 0 of a vector's elements, or upwards, one row each; N: its length by default."""
    if x.ndim != 1:
        raise RuntimeError(f"vander: needs a vector, got shape {tuple(x.shape)}")
    count = x.numel() if N is None else N
    if count < 0:
        raise RuntimeError(f"vander: N must not be negative, got {count}")
    dtype = x.dtype if x.dtype.is_floating_point else _C.DType.int64
    ones = creation.ones(x.numel(), 1, dtype=dtype, device=x.device)
    steps = _C.expand(_C.unsqueeze(_C.to(x, dtype), 1), (x.numel(), max(count - 1, 0)))
    powers = _C.narrow(_C.cumprod(_C.cat([ones, steps], 1), 1, None), 1, 0, count)
    return powers if increasing else _C.flip(powers, [1])


@checked
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * (mat @ vec)`."""
    return reduction.scaled_sum(input, reduction.mv(mat, vec), beta, alpha)


@checked
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * outer(vec1, vec2)`."""
    return reduction.scaled_sum(input, reduction.outer(vec1, vec2), beta, alpha)


@checked
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * (the sum of the products of two batches of matrices)`."""
    return reduction.scaled_sum(input, _C.sum(reduction.bmm(batch1, batch2), [0], False), beta, alpha)


@checked
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The inner product of two vectors."""
    return reduction.dot(input, other)


@checked
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices, in the order of the fewest multiplications; see `linalg.multi_dot`."""
    if not matrices:
        raise RuntimeError("chain_matmul: needs at least one matrix")
    for matrix in matrices:
        if matrix.ndim != 2:
            raise RuntimeError(f"chain_matmul: takes matrices, got shape {tuple(matrix.shape)}")
    return _chain(matrices)


def _chain(matrices: Sequence[Tensor]) -> Tensor:
    """The product, split where the whole takes the fewest multiplications (dynamic programming)."""
    count = len(matrices)
    sizes = [matrix.shape[0] for matrix in matrices] + [matrices[-1].shape[1]]
    cost = [[0] * count for _ in range(count)]
    cut = [[0] * count for _ in range(count)]
    for length in range(2, count + 1):
        for first in range(count - length + 1):
            last = first + length - 1
            cost[first][last], cut[first][last] = min(
                (cost[first][k] + cost[k + 1][last] + sizes[first] * sizes[k + 1] * sizes[last + 1], k)
                for k in range(first, last)
            )

    def product(first: int, last: int) -> Tensor:
        if first == last:
            return matrices[first]
        k = cut[first][last]
        return _C.matmul(product(first, k), product(k + 1, last))

    return product(0, count - 1)


ger = reduction.outer

__all__ = [
    "addbmm", "addmv", "addr", "baddbmm", "cdist", "chain_matmul", "cross", "dist", "einsum", "ger", "inner",
    "kron", "matrix_exp", "matrix_power", "pdist", "tensordot", "vander", "vdot",
]  # fmt: skip
