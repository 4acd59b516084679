"""Padding as a function."""

from __future__ import annotations

from collections.abc import Sequence

from ... import _C
from ...tensor import Tensor


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Surround a tensor with values, or crop it.

    Parameters
    ----------
    input : Tensor
        Any shape and dtype for ``"constant"``; (N, C, W), (C, W), (N, C, H, W) or (C, H, W) for the other
        modes.
    pad : sequence of int
        Before and after the last dimension, then before and after the one before it, and so on: (left, right)
        or (left, right, top, bottom). Negative numbers crop.
    mode : str
        ``"constant"``; ``"reflect"``, mirrored at the edge without repeating it; ``"replicate"``, the edge
        repeated; ``"circular"``, from the other side. Default: ``"constant"``.
    value : number, optional
        The constant. Default: 0.

    Returns
    -------
    Tensor
        A copy, larger by `pad`.

    Raises
    ------
    RuntimeError
        If a dimension would become empty, if `pad` has an odd length or is for more dimensions than there
        are, or if it reaches further than the input (``"reflect"``, ``"circular"``).
    ValueError
        For a `value` with another mode than ``"constant"``.
    NotImplementedError
        For another mode, or dimensions that the mode does not pad.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> x = cnnx.tensor([[1.0, 2.0, 3.0]])
    >>> F.pad(x, (1, 2), value=9).tolist()
    [[9.0, 1.0, 2.0, 3.0, 9.0, 9.0]]
    >>> F.pad(x, (2, 1), "reflect").tolist()
    [[3.0, 2.0, 1.0, 2.0, 3.0, 2.0]]
    >>> F.pad(x, (-1, 0)).tolist()
    [[2.0, 3.0]]
    """
    if mode != "constant" and value is not None and value != 0:
        raise ValueError(f"pad: mode '{mode}' takes no value, got {value}")
    return _C.pad(input, list(pad), mode, 0 if value is None else value)
