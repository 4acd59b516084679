"""Pooling by powers, and the partial inverse of max pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cnnx

from ...signatures import checked
from ...tensor import Tensor
from ..arguments import Size2, per_axis, pool_axes
from .pooling import avg_pool1d, avg_pool2d


def _lp_pool(
    op: str, axes: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    count = 1
    for extent in per_axis(op, "kernel_size", kernel_size, axes):
        count *= extent
    pool = avg_pool1d if axes == 1 else avg_pool2d
    means = pool(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    # PyTorch's: the root of a negative sum, which an odd power can have, is that of 0.
    return (means.sign() * means.abs().relu() * count).pow(1.0 / norm_type)


@checked
def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: int, stride: int | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window of (N, C, L) or (C, L): (sum x^p)^(1/p).

    Parameters
    ----------
    input : Tensor
        Signals.
    norm_type : float
        p.
    kernel_size : int
        Extent of a window.
    stride : int, optional
        Default: `kernel_size`.
    ceil_mode : bool
        Count a last window that is not full; its sum is scaled up. Default: False.
    """
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


@checked
def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Size2, stride: Size2 | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window of (N, C, H, W) or (C, H, W): (sum x^p)^(1/p).

    Parameters
    ----------
    input : Tensor
        Images.
    norm_type : float
        p.
    kernel_size : int or pair
        Extents of a window.
    stride : int or pair, optional
        Default: `kernel_size`.
    ceil_mode : bool
        Count last windows that are not full; their sums are scaled up. Default: False.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.lp_pool2d(cnnx.tensor([[[3.0, 4.0]]]), 2, (1, 2)).item()
    5.0
    """
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def _max_unpool(
    op: str,
    axes: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Sequence[int] | None,
) -> Tensor:
    kernel, strides, pads = pool_axes(op, kernel_size, stride, padding, axes)
    if input.ndim not in (axes + 1, axes + 2):
        raise RuntimeError(f"{op}: expected {axes + 1}D or {axes + 2}D input, got shape {tuple(input.shape)}")
    if indices.shape != input.shape:
        raise RuntimeError(
            f"{op}: indices {tuple(indices.shape)} must have the shape of input {tuple(input.shape)}"
        )
    if indices.dtype != cnnx.int64:
        raise RuntimeError(f"{op}: indices must be int64, got {indices.dtype}")
    lead = tuple(input.shape[: input.ndim - axes])
    extents = [
        (extent - 1) * s + k - 2 * p
        for extent, s, k, p in zip(input.shape[-axes:], strides, kernel, pads, strict=True)
    ]
    if output_size is not None:
        wanted = [int(extent) for extent in output_size]
        if len(wanted) == input.ndim:
            wanted = wanted[-axes:]
        if len(wanted) != axes:
            raise ValueError(
                f"{op}: output_size should be a sequence containing {axes} or {input.ndim} elements, but it "
                f"has a length of '{len(output_size)}'"
            )
        for size, extent, s in zip(wanted, extents, strides, strict=True):
            if not extent - s < size < extent + s:
                raise ValueError(
                    f"{op}: invalid output_size {wanted}: extents must lie within one stride of {extents}"
                )
        extents = wanted
    count = 1
    for extent in extents:
        count *= extent
    flat = cnnx.zeros(*lead, count, dtype=input.dtype, device=input.device)
    return flat.scatter(-1, indices.flatten(len(lead)), input.flatten(len(lead))).reshape(*lead, *extents)


@checked
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Puts maxima back to their places in (N, C, L) or (C, L), with zeros elsewhere. As `max_unpool2d`."""
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


@checked
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size2,
    stride: Size2 | None = None,
    padding: Size2 = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Puts maxima back to their places in (N, C, H, W) or (C, H, W), with zeros elsewhere.

    Parameters
    ----------
    input, indices : Tensor
        What `max_pool2d` with ``return_indices=True`` gave.
    kernel_size, stride, padding : int or pair
        Of that pooling.
    output_size : sequence of int, optional
        The extents of the result (or its whole shape), where the pooling leaves several open. Default: the
        smallest.

    Raises
    ------
    ValueError
        If `output_size` cannot be had.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> x = cnnx.tensor([[[1.0, 2.0], [4.0, 3.0]]])
    >>> F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2).tolist()
    [[[0.0, 0.0], [4.0, 0.0]]]
    """
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)
