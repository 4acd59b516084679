"""Encodings of labels."""

from __future__ import annotations

import cnnx

from ... import dtypes
from ...signatures import checked
from ...tensor import Tensor


@checked
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Indices as rows of zeros with a single one.

    Parameters
    ----------
    tensor : Tensor
        Class indices of any shape (...), integer.
    num_classes : int
        Default: the largest index plus one.

    Returns
    -------
    Tensor
        int64, shape (..., num_classes).

    Raises
    ------
    RuntimeError
        If an index is negative or not below `num_classes`, or the input is empty and `num_classes` is not
        given.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.one_hot(cnnx.tensor([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    if tensor.is_floating_point() or tensor.dtype == dtypes.bool:
        raise RuntimeError(f"one_hot: needs integer class indices, got {tensor.dtype}")
    if num_classes != -1 and num_classes < 1:
        raise RuntimeError(f"one_hot: num_classes must be positive, got {num_classes}")
    if tensor.numel() == 0:
        if num_classes == -1:
            raise RuntimeError("one_hot: cannot infer num_classes from an empty tensor")
        return cnnx.zeros(*tensor.shape, num_classes, dtype=dtypes.int64, device=tensor.device)
    low, high = int(tensor.min().item()), int(tensor.max().item())
    if low < 0:
        raise RuntimeError(f"one_hot: class indices must not be negative, got {low}")
    if num_classes == -1:
        num_classes = high + 1
    elif high >= num_classes:
        raise RuntimeError(f"one_hot: class index {high} is out of range for {num_classes} classes")
    return (tensor.unsqueeze(-1) == cnnx.arange(num_classes, device=tensor.device)).to(dtypes.int64)
