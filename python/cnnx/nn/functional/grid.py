"""Images read at places that a grid says, as functions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import cnnx

from ... import _C
from ...signatures import checked
from ...tensor import Tensor

UNSAID = "align_corners is False unless it is given; it was True before version 1.3 of PyTorch"


@checked
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid for `grid_sample` that maps images of a size by affine maps.

    Pixel (x, y) of the result, counted from -1 to 1, gets ``theta @ (x, y, 1)``.

    Parameters
    ----------
    theta : Tensor
        Maps (N, 2, 3), float32 or float64.
    size : sequence of int
        Of the images to be made: (N, C, H, W).
    align_corners : bool, optional
        Whether -1 and 1 are the centres of the outermost pixels, and not the edges of the images. Default:
        False, with a warning.

    Returns
    -------
    Tensor
        Shape (N, H, W, 2), of theta's dtype.

    Raises
    ------
    ValueError
        If theta is no such tensor or a size is not positive.
    NotImplementedError
        If the size has not four numbers.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> turned = cnnx.tensor([[[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]])
    >>> grid = F.affine_grid(turned, (1, 1, 2, 2), align_corners=False)
    >>> F.grid_sample(cnnx.arange(4.0).reshape(1, 1, 2, 2), grid, align_corners=False)
    tensor([[[[2., 0.],
              [3., 1.]]]])
    """
    if align_corners is None:
        warnings.warn(f"affine_grid: {UNSAID}", stacklevel=3)
    if not theta.is_floating_point():
        raise ValueError(f"affine_grid: theta must be floating-point, got {theta.dtype}")
    if not all(hasattr(n, "__index__") for n in size):
        raise TypeError(f"affine_grid: size must be ints, got {size!r}")
    if len(size) != 4:
        raise NotImplementedError(f"affine_grid: size must be (N, C, H, W), got {tuple(size)}")
    batch, _, height, width = (int(n) for n in size)
    if theta.ndim != 3 or tuple(theta.shape[1:]) != (2, 3):
        raise ValueError(f"affine_grid: theta must be (N, 2, 3), got {tuple(theta.shape)}")
    if theta.shape[0] != batch:
        raise RuntimeError(f"affine_grid: theta {tuple(theta.shape)} is not for a batch of {batch}")
    if min(size) < 1:
        raise ValueError(f"affine_grid: size must be positive, got {tuple(size)}")
    x, y = (_places(n, bool(align_corners), theta) for n in (width, height))
    pixels = cnnx.stack(
        [x.expand(height, width), y[:, None].expand(height, width), x.new_ones(height, width)], 2
    )
    return (pixels.reshape(height * width, 3) @ theta.transpose(1, 2)).reshape(batch, height, width, 2)


@checked
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Images read at the places that a grid says: samples of (N, C, H, W) as (N, C, H', W').

    Gradients go to the images and to the grid, and may be differentiated again once.

    Parameters
    ----------
    input : Tensor
        Images (N, C, H, W), float32 or float64.
    grid : Tensor
        Places (N, H', W', 2), of the input's dtype: pairs (x, y), where (-1, -1) is the top left.
    mode : str
        ``"bilinear"``: the mean of four pixels by their distance. ``"nearest"``: the nearest one.
        ``"bicubic"``: of sixteen, by Keys' cubic with a = -3/4. Default: ``"bilinear"``.
    padding_mode : str
        What is outside of the images: ``"zeros"``, the nearest pixel of the ``"border"``, or a
        ``"reflection"``. Default: ``"zeros"``.
    align_corners : bool, optional
        Whether -1 and 1 are the centres of the outermost pixels, and not the edges of the images. Default:
        False, with a warning.

    Returns
    -------
    Tensor
        Of the input's dtype.

    Raises
    ------
    ValueError
        If a mode is none of these.
    RuntimeError
        If the shapes do not fit together.
    NotImplementedError
        If the input is (N, C, D, H, W).

    Notes
    -----
    Jaderberg et al., "Spatial transformer networks" (2015). On a device the gradient of the images sorts what
    is read, so that sums have one order; it is slow where very many places read one pixel.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> images = cnnx.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> F.grid_sample(images, cnnx.zeros(1, 1, 1, 2), align_corners=False)
    tensor([[[[2.5000]]]])
    """
    if input.ndim == 5:
        raise NotImplementedError(f"grid_sample: input must be (N, C, H, W), got {tuple(input.shape)}")
    if align_corners is None:
        warnings.warn(f"grid_sample: {UNSAID}", stacklevel=3)
    return _C.grid_sample(input, grid, mode, padding_mode, bool(align_corners))


def _places(count: int, align_corners: bool, like: Tensor) -> Tensor:
    """The centres of pixels between -1 and 1."""
    if count == 1:
        return like.new_zeros(1)
    end = 1.0 if align_corners else (count - 1) / count
    return cnnx.linspace(-end, end, count, dtype=like.dtype, device=like.device)
