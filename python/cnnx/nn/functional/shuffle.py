"""Elements moved between channels and places, as functions."""

from __future__ import annotations

from ...signatures import checked
from ...tensor import Tensor


@checked
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels laid out as pixels: (..., C r^2, H, W) becomes (..., C, H r, W r).

    Parameters
    ----------
    input : Tensor
        Three dimensions or more.
    upscale_factor : int
        r.

    Raises
    ------
    ValueError
        If the channels are no multiple of r^2, or there are too few dimensions.

    Notes
    -----
    Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional
    neural network" (2016).

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.pixel_shuffle(cnnx.arange(4.0).reshape(1, 4, 1, 1), 2)
    tensor([[[[0., 1.],
              [2., 3.]]]])
    """
    r = _factor("pixel_shuffle", input, upscale_factor)
    *batch, channels, height, width = input.shape
    if channels % (r * r):
        raise ValueError(f"pixel_shuffle: {channels} channels are no multiple of {r} x {r}")
    parts = input.reshape(-1, channels // (r * r), r, r, height, width).permute(0, 1, 4, 2, 5, 3)
    return parts.reshape(*batch, channels // (r * r), height * r, width * r)


@checked
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """The inverse of `pixel_shuffle`: (..., C, H r, W r) becomes (..., C r^2, H, W).

    Raises
    ------
    ValueError
        If height or width are no multiple of r, or there are too few dimensions.
    """
    r = _factor("pixel_unshuffle", input, downscale_factor)
    *batch, channels, height, width = input.shape
    if height % r or width % r:
        raise ValueError(f"pixel_unshuffle: {height} x {width} pixels are no multiple of {r} x {r}")
    parts = input.reshape(-1, channels, height // r, r, width // r, r).permute(0, 1, 3, 5, 2, 4)
    return parts.reshape(*batch, channels * r * r, height // r, width // r)


@checked
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Takes the channels of (N, C, ...) from each of `groups` groups in turn.

    Raises
    ------
    ValueError
        If the channels are no multiple of `groups`.

    Notes
    -----
    Zhang et al., "ShuffleNet" (2018).
    """
    if input.ndim < 3:
        raise ValueError(f"channel_shuffle: takes (N, C, ...), got shape {tuple(input.shape)}")
    batch, channels, *rest = input.shape
    if groups < 1 or channels % groups:
        raise ValueError(f"channel_shuffle: {channels} channels do not fall into {groups} groups")
    return input.reshape(batch, groups, channels // groups, *rest).transpose(1, 2).reshape(input.shape)


def _factor(op: str, input: Tensor, factor: int) -> int:
    if input.ndim < 3:
        raise ValueError(f"{op}: takes (..., C, H, W), got shape {tuple(input.shape)}")
    if factor < 1:
        raise ValueError(f"{op}: the factor must be 1 or more, got {factor}")
    return factor
