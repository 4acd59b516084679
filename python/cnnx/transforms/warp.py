"""Blur, and images that are read at places between their pixels: perspective and elastic maps."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from cnnx.creation import arange, linspace, ones_like, tensor
from cnnx.dtypes import int64
from cnnx.nn.functional import conv2d
from cnnx.nn.functional import pad as pad_tensor
from cnnx.pictures import pillow
from cnnx.pointwise import where
from cnnx.signatures import checked
from cnnx.tensor import Tensor
from cnnx.transforms import arguments
from cnnx.transforms.color import flat_bytes, in_float, rounded
from cnnx.transforms.images import image_size, is_pil_image
from cnnx.transforms.interpolation import InterpolationMode, interpolation_mode
from cnnx.transforms.pillow import to_pil_image
from cnnx.transforms.tensors import PILToTensor

Fill = float | Sequence[float] | None
Points = Sequence[Sequence[float]]

TENSOR_MODES = (InterpolationMode.NEAREST, InterpolationMode.BILINEAR)
PILLOW_MODES = (*TENSOR_MODES, InterpolationMode.BICUBIC)


@checked
def gaussian_blur(
    img: Any, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None
) -> Any:
    """An image blurred by a normal distribution, reflected at its border.

    Parameters
    ----------
    img
        A PIL image, an array (H, W) or (H, W, C), or a tensor (..., H, W).
    kernel_size
        (width, height) of the window in pixels, or one int for both; odd.
    sigma
        Standard deviations (along x, along y) in pixels, or one for both. Default: 0.15 * kernel_size + 0.35.

    Raises
    ------
    ValueError
        If a size is not odd, a deviation not positive, or half the window is not smaller than the image.
    """
    op = "gaussian_blur"
    sizes = odd_sizes(op, kernel_size)
    if sigma is None:
        sigmas = [size * 0.15 + 0.35 for size in sizes]
    else:
        sigmas = [float(sigma)] if isinstance(sigma, Real) else arguments.numbers(op, "sigma", sigma, (1, 2))
        if not min(sigmas) > 0:
            raise ValueError(f"{op}: sigma must be positive, got {sigma}")
    _, height, width = image_size(op, img)
    if sizes[0] // 2 >= width or sizes[1] // 2 >= height:
        raise ValueError(f"{op}: kernel_size {sizes} is too large for an image of {(height, width)}")

    def blurred(img: Tensor) -> Tensor:
        values = in_float(img).reshape(-1, 1, height, width)
        values = pad_tensor(values, [sizes[0] // 2] * 2 + [sizes[1] // 2] * 2, mode="reflect")
        for axis, size in enumerate(sizes):
            places = linspace(-(size - 1) / 2, (size - 1) / 2, size, dtype=values.dtype, device=img.device)
            weights = (-0.5 * (places / sigmas[axis if len(sigmas) > 1 else 0]).square()).exp()
            shape = (1, 1, 1, size) if axis == 0 else (1, 1, size, 1)
            values = conv2d(values, (weights / weights.sum()).reshape(shape))
        return rounded(values.reshape(img.shape), img.dtype)

    return _by_tensor(img, blurred)


def odd_sizes(op: str, kernel_size: Any) -> tuple[int, int]:
    """(width, height) of a window: odd and positive."""
    values = [kernel_size] if isinstance(kernel_size, Integral) else kernel_size
    if not isinstance(values, Sequence) or not all(isinstance(value, Integral) for value in values):
        raise TypeError(f"{op}: kernel_size must be an int or a sequence of ints, got {kernel_size!r}")
    if len(values) not in (1, 2) or min(values) <= 0 or not all(value % 2 for value in values):
        raise ValueError(f"{op}: kernel_size must be one or two odd numbers, got {kernel_size!r}")
    return int(values[0]), int(values[-1])


@checked
def perspective(
    img: Any,
    startpoints: Points,
    endpoints: Points,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Fill = None,
) -> Any:
    """The image seen from elsewhere, so that four of its points come to lie at four others.

    Parameters
    ----------
    img
        A PIL image, an array (H, W) or (H, W, C) of bytes, or a tensor (..., H, W).
    startpoints, endpoints
        Four points (x, y) of the image, most often its corners, and where they go.
    interpolation
        `InterpolationMode.NEAREST` or `BILINEAR`; `BICUBIC` too for PIL images and arrays.
    fill
        Value outside the image, or one per channel; None: zero, towards which tensors fade.

    Raises
    ------
    ValueError
        If there are not four points.
    """
    op = "perspective"
    _, height, width = image_size(op, img)
    mode = interpolation_mode(op, interpolation, TENSOR_MODES if isinstance(img, Tensor) else PILLOW_MODES)
    fills = None if fill is None else arguments.fill_values(op, fill)
    a = _coefficients(op, startpoints, endpoints)
    if isinstance(img, Tensor):
        values = in_float(img)
        x = arange(width, dtype=values.dtype, device=img.device) + 0.5
        y = (arange(height, dtype=values.dtype, device=img.device) + 0.5).unsqueeze(1)
        depth = a[6] * x + a[7] * y + 1.0
        # By half the size first, as in torchvision: a place on the edge of two pixels falls to the same one.
        precise = np.dtype(values.dtype.name).type
        ax, bx, cx, ay, by, cy = (
            float(precise(value) / precise(0.5 * extent))
            for value, extent in zip(a[:6], [width] * 3 + [height] * 3, strict=True)
        )
        at_x = (ax * x + bx * y + cx) / depth - 1.0
        at_y = (ay * x + by * y + cy) / depth - 1.0
        return _read_at(op, img, at_x, at_y, mode, fills)
    image = pillow(op)
    picture = img if is_pil_image(img) else image.fromarray(flat_bytes(op, img))
    options = {} if fills is None else {"fillcolor": _fill_colour(op, picture, fills)}
    how = {mode: getattr(image.Resampling, mode.name) for mode in PILLOW_MODES}[mode]
    result = picture.transform(picture.size, image.Transform.PERSPECTIVE, a, how, **options)
    return result if is_pil_image(img) else np.array(result).reshape(img.shape)


def _coefficients(op: str, startpoints: Points, endpoints: Points) -> list[float]:
    """The a to h of ((ax + by + c) / (gx + hy + 1), (dx + ey + f) / (gx + hy + 1)), from end to start."""
    for name, points in (("startpoints", startpoints), ("endpoints", endpoints)):
        if len(points) != 4:
            raise ValueError(f"{op}: {name} must be four points, got {len(points)}")
        for point in points:
            arguments.numbers(op, name, list(point), (2,))
    rows = []
    for (x, y), (u, v) in zip(endpoints, startpoints, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    there = np.asarray(startpoints, np.float64).reshape(8)
    solution = np.linalg.lstsq(np.asarray(rows, np.float64), there, rcond=None)[0]
    return [float(value) for value in solution.astype(np.float32)]


@checked
def elastic_transform(
    img: Any, displacement: Tensor, interpolation: Any = InterpolationMode.BILINEAR, fill: Fill = None
) -> Any:
    """The image with each pixel read from a place beside its own.

    Parameters
    ----------
    img
        A PIL image, an array (H, W) or (H, W, C), or a tensor (..., H, W).
    displacement
        (1, H, W, 2): how far along x and y, as shares of half the width and height.
    interpolation
        `InterpolationMode.NEAREST` or `BILINEAR`.
    fill
        Value outside the image, or one per channel; None: zero, towards which the image fades.

    Raises
    ------
    ValueError
        If the displacement has another shape.
    """
    op = "elastic_transform"
    if not isinstance(displacement, Tensor):
        raise TypeError(f"{op}: displacement must be a Tensor, got {type(displacement).__name__}")
    _, height, width = image_size(op, img)
    if tuple(displacement.shape) != (1, height, width, 2):
        shape = tuple(displacement.shape)
        raise ValueError(f"{op}: displacement must have shape {(1, height, width, 2)}, got {shape}")
    mode = interpolation_mode(op, interpolation, TENSOR_MODES)
    fills = None if fill is None else arguments.fill_values(op, fill)

    def moved(img: Tensor) -> Tensor:
        by = displacement[0].to(img.device)
        x = linspace((1 - width) / width, (width - 1) / width, width, device=img.device)
        y = linspace((1 - height) / height, (height - 1) / height, height, device=img.device)
        return _read_at(op, img, x + by[..., 0], y.unsqueeze(1) + by[..., 1], mode, fills)

    return _by_tensor(img, moved)


def _read_at(
    op: str, img: Tensor, x: Tensor, y: Tensor, mode: InterpolationMode, fill: list[float] | None
) -> Tensor:
    """The values of `img` at places x, y (H, W), which reach from -1 to 1 between its outer edges."""
    channels, height, width = image_size(op, img)
    if fill is not None and len(fill) not in (1, channels):
        raise ValueError(f"{op}: fill has {len(fill)} values, the image has {channels} channels")
    values = in_float(img)
    planes = values.reshape(-1, height * width)
    x = ((x + 1) * width - 1) / 2
    y = ((y + 1) * height - 1) / 2
    # (column, row, share) of the pixels that a place lies between.
    if mode is InterpolationMode.NEAREST:
        corners = [(x.round(), y.round(), ones_like(x))]
    else:
        left, top = x.floor(), y.floor()
        right, bottom = x - left, y - top
        corners = [
            (left, top, (1 - right) * (1 - bottom)),
            (left + 1, top, right * (1 - bottom)),
            (left, top + 1, (1 - right) * bottom),
            (left + 1, top + 1, right * bottom),
        ]
    parts, weights = [], []
    for column, row, share in corners:
        there = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        at = row.clamp(0, height - 1).to(int64) * width + column.clamp(0, width - 1).to(int64)
        weight = where(there, share.to(values.dtype), 0)  # the share of an infinite place is no number
        weights.append(weight)
        parts.append(planes.index_select(1, at.reshape(-1)) * weight.reshape(-1))
    result = functools.reduce(operator.add, parts).reshape(values.shape)
    if fill is not None:
        outside = tensor(fill, dtype=values.dtype, device=img.device)
        outside = outside.reshape(-1, 1, 1) if img.ndim > 2 else outside[0]
        inside = functools.reduce(operator.add, weights)
        result = result * inside + (1.0 - inside) * outside
    return rounded(result, img.dtype)


def _by_tensor(img: Any, change: Any) -> Any:
    """What `change` makes of a tensor, for images of all kinds."""
    if isinstance(img, Tensor):
        return change(img)
    if is_pil_image(img):
        return to_pil_image(change(PILToTensor()(img)), img.mode)
    planes = img[None] if img.ndim == 2 else img.transpose(2, 0, 1)
    result = change(tensor(np.ascontiguousarray(planes), device="cpu")).numpy()
    return result[0] if img.ndim == 2 else np.ascontiguousarray(result.transpose(1, 2, 0))


def _fill_colour(op: str, picture: Any, fill: list[float]) -> Any:
    bands = len(picture.getbands())
    if len(fill) not in (1, bands):
        raise ValueError(f"{op}: fill has {len(fill)} values, the image has {bands} channels")
    values = fill * (bands // len(fill))
    if picture.mode not in ("I", "F"):
        values = [int(value) for value in values]
    return values[0] if bands == 1 else tuple(values)
