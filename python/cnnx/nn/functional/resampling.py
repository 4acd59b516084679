"""Signals and images at another size, as functions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from ... import _C
from ...signatures import checked
from ...tensor import Tensor
from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d

# Which modes there are for so many axes, and what the native function calls them.
MODES = {
    1: {"nearest": "nearest", "nearest-exact": "nearest-exact", "linear": "linear"},
    2: {"nearest": "nearest", "nearest-exact": "nearest-exact", "bilinear": "linear", "bicubic": "cubic"},
}


@checked
def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Signals (N, C, W) or images (N, C, H, W) resized to `size`, or by `scale_factor`.

    Output pixel i lies at (i + 1/2) s - 1/2 along an axis of the input, where s is the inverse of the scale
    factor if one is given, else input size / output size; with `align_corners` at
    i (input size - 1) / (output size - 1).

    Parameters
    ----------
    input : Tensor
        float32 or float64; for the nearest modes also uint8.
    size : int or sequence of int, optional
        One number for all axes or one for each.
    scale_factor : float or sequence of float, optional
        Instead of a size: that of the result is the input's times this, rounded down.
    mode : str
        ``"nearest"``: the pixel at floor(i s). ``"nearest-exact"``: the pixel that holds the place.
        ``"linear"`` (of signals) and ``"bilinear"`` (of images): a mean of 2 or 4 neighbours by their
        distance. ``"bicubic"`` (of images): of 16, by Keys' cubic with a = -3/4; it may overshoot.
        ``"area"``: the mean of the pixels below, as `adaptive_avg_pool2d`. Default: ``"nearest"``.
    align_corners : bool, optional
        Of the linear and cubic modes: whether centres of pixels at the corners meet, and not the corners.
        Default: False.
    recompute_scale_factor : bool, optional
        Whether s follows from the sizes where a scale factor is given.
    antialias : bool
        Of the bilinear and bicubic mode: filters are widened to all the pixels that fall on one of the
        result, as Pillow does it (a = -1/2). Default: False.

    Returns
    -------
    Tensor
        Of the input's dtype.

    Raises
    ------
    NotImplementedError
        If the mode is not for such an input, or the input has three axes beside batch and channels.
    ValueError
        If not one of `size` and `scale_factor` is given, or options contradict each other.
    RuntimeError
        If a size is not positive.

    Notes
    -----
    Keys, "Cubic convolution interpolation for digital image processing" (1981).

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> x = cnnx.tensor([[[1.0, 3.0]]])
    >>> F.interpolate(x, scale_factor=2)
    tensor([[[1., 1., 3., 3.]]])
    >>> F.interpolate(x, 4, mode="linear")
    tensor([[[1.0000, 1.5000, 2.5000, 3.0000]]])
    """
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ValueError(f"interpolate: align_corners is for linear and cubic modes, not for {mode!r}")
    axes = input.ndim - 2
    if size is not None and scale_factor is not None:
        raise ValueError("interpolate: takes one of size and scale_factor, got both")
    if size is None and scale_factor is None:
        raise ValueError("interpolate: takes one of size and scale_factor, got neither")
    if recompute_scale_factor and size is not None:
        raise ValueError("interpolate: recompute_scale_factor is for a scale_factor, not for a size")
    if mode != "area" and mode not in MODES.get(axes, ()):
        raise NotImplementedError(
            f"interpolate: no mode {mode!r} for input of shape {tuple(input.shape)}; "
            "(N, C, W) has nearest, nearest-exact, linear and area, "
            "(N, C, H, W) nearest, nearest-exact, bilinear, bicubic and area"
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(f"interpolate: antialias is for bilinear and bicubic modes, not for {mode!r}")
    if size is not None:
        sizes, factors = [_whole(n) for n in _of_axes("size", size, axes)], []
    else:
        factors = [float(f) for f in _of_axes("scale_factor", scale_factor, axes)]
        if not all(math.isfinite(f) for f in factors):
            raise ValueError(f"interpolate: scale_factor must be finite, got {scale_factor!r}")
        sizes = [int(n * f) for n, f in zip(input.shape[2:], factors, strict=True)]
        if recompute_scale_factor:
            factors = []
    if mode == "area":
        if axes == 1:
            return adaptive_avg_pool1d(input, sizes[0])
        if axes == 2:
            return adaptive_avg_pool2d(input, sizes)
        raise NotImplementedError(f"interpolate: no mode 'area' for input of shape {tuple(input.shape)}")
    return _C.resample(input, sizes, MODES[axes][mode], bool(align_corners), bool(antialias), factors)


def upsample(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The old name of `interpolate`, which warns."""
    warnings.warn("upsample is deprecated, use interpolate instead", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> Tensor:
    """An old name of `interpolate` by the nearest pixel, which warns."""
    warnings.warn("upsample_nearest is deprecated, use interpolate instead", stacklevel=2)
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> Tensor:
    """An old name of bilinear `interpolate` with ``align_corners=True``, which warns."""
    warnings.warn("upsample_bilinear is deprecated, use interpolate instead", stacklevel=2)
    return interpolate(input, size, scale_factor, "bilinear", True)


def _of_axes(name: str, value: Any, axes: int) -> Sequence[Any]:
    """A number for each axis."""
    if not isinstance(value, (tuple, list)):
        return (value,) * axes
    if len(value) != axes:
        raise ValueError(f"interpolate: {name} must have a number for each of {axes} axes, got {value!r}")
    return value


def _whole(number: Any) -> int:
    if not hasattr(number, "__index__"):
        raise TypeError(f"interpolate: size must be int, got {number!r}")
    return int(number)
