"""Rows of a table by their indices, as a function."""

from __future__ import annotations

import cnnx

from ... import dtypes
from ...autograd import no_grad
from ...signatures import checked
from ...tensor import Tensor


@checked
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` at the indices: (...) gives (..., D).

    Parameters
    ----------
    input : Tensor
        Indices, integer, of any shape.
    weight : Tensor
        The table (count, D).
    padding_idx : int, optional
        A row that gets no gradient; negative counts from the end.
    max_norm : float, optional
        Rows that are used and longer are first made as long as this, in place.
    norm_type : float
        Which p-norm is meant. Default: 2.
    scale_grad_by_freq, sparse : bool
        False: not there.

    Raises
    ------
    IndexError
        If an index is out of range.
    RuntimeError
        If the indices are no integers, or something is asked for that is not there.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.embedding(cnnx.tensor([2, 0]), cnnx.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])).tolist()
    [[5.0, 6.0], [1.0, 2.0]]
    """
    if scale_grad_by_freq or sparse:
        raise RuntimeError("embedding: gradients scaled by frequency and sparse ones are not there")
    if input.is_floating_point() or input.dtype == dtypes.bool:
        raise RuntimeError(f"embedding: needs integer indices, got {input.dtype}")
    if weight.ndim != 2:
        raise RuntimeError(f"embedding: weight must be (count, D), got shape {tuple(weight.shape)}")
    count = weight.shape[0]
    if padding_idx is not None:
        if not -count <= padding_idx < count:
            raise RuntimeError(f"embedding: padding_idx {padding_idx} is no index of {count} rows")
        padding_idx %= count
    index = input.long().flatten()
    # Nothing is read here, so it can be replayed and exported: what is negative becomes what is too large.
    index = cnnx.where(index < 0, cnnx.full_like(index, count), index)
    if max_norm is not None:
        with no_grad():
            used = index.unique()
            rows = weight[used]
            length = rows.norm(norm_type, 1, keepdim=True)
            weight[used] = cnnx.where(length > max_norm, rows * (max_norm / (length + 1e-7)), rows)
    try:
        rows = weight.index_select(0, index)
    except IndexError as error:
        raise IndexError(f"embedding: indices must be within [0, {count})") from error
    if padding_idx is not None:
        rows = cnnx.where((index == padding_idx).unsqueeze(1), rows.detach(), rows)
    return rows.reshape(*input.shape, weight.shape[1])
