"""Products of several tensors, summed over any of their dimensions, and distances of rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from cnnx import _C, reduction
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
    return _C.add(input if beta == 1 else _C.mul(input, beta), product, alpha)


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


__all__ = [
    "baddbmm",
    "cdist",
    "einsum",
    "inner",
    "tensordot",
]
