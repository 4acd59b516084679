"""Batches of images as one picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnx import _C
from cnnx.pictures import pillow
from cnnx.tensor import Tensor


def make_grid(
    tensor: Tensor | Sequence[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """The images of a batch side by side.

    Parameters
    ----------
    tensor : Tensor or sequence of Tensor
        Images (N, C, H, W), or one of fewer dimensions; one channel becomes three.
    nrow : int
        Images in a row. Default: 8.
    padding : int
        Pixels around each. Default: 2.
    normalize : bool
        Moves the values to 0 to 1. Default: False.
    value_range : tuple of two floats, optional
        What `normalize` takes as 0 and 1; default: the least and the largest value.
    scale_each : bool
        Takes them from each image for itself. Default: False.
    pad_value : float
        Of what lies between. Default: 0.

    Returns
    -------
    Tensor
        (3 or C, height, width), of the images' dtype.

    Raises
    ------
    TypeError
        If it is given anything else.
    ValueError
        If the shape or an option makes no sense.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.utils import make_grid
    >>> make_grid(cnnx.zeros(10, 1, 28, 28), nrow=5).shape
    cnnx.Size([3, 62, 152])
    """
    if isinstance(tensor, Sequence) and tensor and all(isinstance(t, Tensor) for t in tensor):
        images, device = np.stack([t.detach().cpu().numpy() for t in tensor]), tensor[0].device
    elif isinstance(tensor, Tensor):
        images, device = tensor.detach().cpu().numpy(), tensor.device
    else:
        raise TypeError(f"make_grid: takes a tensor or some of them, got {type(tensor).__name__}")
    if not 2 <= images.ndim <= 4:
        raise ValueError(f"make_grid: takes images (N, C, H, W), got shape {images.shape}")
    if nrow < 1 or padding < 0:
        raise ValueError(f"make_grid: nrow must be 1 or more and padding 0 or more, got {nrow} and {padding}")
    if images.size == 0:
        raise ValueError(f"make_grid: there is no pixel in images of shape {images.shape}")
    images = images.reshape(*[1] * (4 - images.ndim), *images.shape)
    if images.shape[1] == 1:
        images = np.repeat(images, 3, axis=1)
    if normalize:
        images = _normalized(images, value_range, scale_each)
    elif value_range is not None or scale_each:
        raise ValueError("make_grid: value_range and scale_each belong to normalize=True")
    if len(images) == 1:
        return _C.from_numpy(np.array(images[0]), True).to(device)
    columns = min(nrow, len(images))
    rows = -(-len(images) // columns)
    height, width = images.shape[2] + padding, images.shape[3] + padding
    shape = (images.shape[1], rows * height + padding, columns * width + padding)
    grid = np.full(shape, pad_value, images.dtype)
    for i, image in enumerate(images):
        y, x = i // columns * height + padding, i % columns * width + padding
        grid[:, y : y + image.shape[1], x : x + image.shape[2]] = image
    return _C.from_numpy(grid, True).to(device)


def _normalized(
    images: np.ndarray[Any, Any], value_range: tuple[float, float] | None, scale_each: bool
) -> np.ndarray[Any, Any]:
    if value_range is not None and not (isinstance(value_range, tuple) and len(value_range) == 2):
        raise TypeError(f"make_grid: value_range must be a tuple of two numbers, got {value_range!r}")
    axes = (1, 2, 3) if scale_each else None
    low, high = value_range or (images.min(axes, keepdims=True), images.max(axes, keepdims=True))
    found: np.ndarray[Any, Any] = (np.clip(images, low, high) - low) / np.maximum(high - low, 1e-5)
    return found.astype(images.dtype)


def save_image(
    tensor: Tensor | Sequence[Tensor],
    fp: str | os.PathLike[str] | Any,
    format: str | None = None,
    **kwargs: Any,
) -> None:
    """Writes images, several as `make_grid` arranges them, into a picture file; needs Pillow.

    Parameters
    ----------
    tensor : Tensor or sequence of Tensor
        Values from 0 to 1; what lies outside is cut off.
    fp : path or file object
    format : str, optional
        As Pillow names it; default: by the file's name.
    **kwargs
        Of `make_grid`.

    Raises
    ------
    ImportError
        If Pillow is missing.
    """
    image = pillow("save_image")
    grid = make_grid(tensor, **kwargs).cpu().numpy()
    pixels = np.clip(np.nan_to_num(grid) * 255 + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(fp, format=format)
