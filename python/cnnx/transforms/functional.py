"""The transforms as functions with given parameters."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from cnnx import _C
from cnnx.absent import names_of as _names_of
from cnnx.tensor import Tensor
from cnnx.transforms import arguments
from cnnx.transforms.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    autocontrast,
    convert_image_dtype,
    equalize,
    invert,
    posterize,
    solarize,
)
from cnnx.transforms.geometry import WARP_MODES, RandomHorizontalFlip, RandomVerticalFlip
from cnnx.transforms.images import apply_step, image_size
from cnnx.transforms.interpolation import InterpolationMode
from cnnx.transforms.interpolation import interpolation_mode as _interpolation_mode
from cnnx.transforms.pillow import to_pil_image
from cnnx.transforms.tensors import Normalize, PILToTensor, ToTensor
from cnnx.transforms.values import Grayscale, erase
from cnnx.transforms.warp import elastic_transform, gaussian_blur, perspective
from cnnx.transforms.windows import CenterCrop, Pad, Resize


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width] of an image."""
    return list(image_size("get_dimensions", img))


def get_image_num_channels(img: Any) -> int:
    """The number of channels of an image."""
    return image_size("get_image_num_channels", img)[0]


def get_image_size(img: Any) -> list[int]:
    """[width, height] of an image."""
    return list(image_size("get_image_size", img)[:0:-1])


def to_tensor(pic: Any) -> Tensor:
    """`ToTensor()` of a PIL image or array."""
    return ToTensor()(pic)


def pil_to_tensor(pic: Any) -> Tensor:
    """`PILToTensor()` of a PIL image."""
    return PILToTensor()(pic)


def normalize(
    tensor: Tensor, mean: float | Sequence[float], std: float | Sequence[float], inplace: bool = False
) -> Tensor:
    """`Normalize` of a tensor."""
    return Normalize(mean, std, inplace).forward(tensor)


def hflip(img: Any) -> Any:
    """Left and right swapped."""
    return RandomHorizontalFlip(1.0)(img)


def vflip(img: Any) -> Any:
    """Top and bottom swapped."""
    return RandomVerticalFlip(1.0)(img)


def pad(
    img: Any, padding: int | Sequence[int], fill: float | Sequence[float] = 0, padding_mode: str = "constant"
) -> Any:
    """Pixels added on all sides; see `Pad`."""
    return Pad(padding, fill, padding_mode)(img)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """A window of the image; zeros where it reaches beyond."""
    return apply_step("crop", img, lambda pillow: _C.crop_step(top, left, height, width))


def center_crop(img: Any, output_size: int | Sequence[int]) -> Any:
    """The middle of the image; see `CenterCrop`."""
    return CenterCrop(output_size)(img)


def five_crop(img: Any, size: int | Sequence[int]) -> tuple[Any, Any, Any, Any, Any]:
    """The corners (top left, top right, bottom left, bottom right) and the middle, each of `size`.

    Raises
    ------
    ValueError
        If `size` is larger than the image.
    """
    height, width = arguments.pair("five_crop", "size", size)
    _, rows, columns = image_size("five_crop", img)
    if height > rows or width > columns:
        raise ValueError(f"five_crop: size {(height, width)} is larger than the image of {(rows, columns)}")
    bottom, right = rows - height, columns - width
    corners = [
        crop(img, top, left, height, width)
        for top, left in ((0, 0), (0, right), (bottom, 0), (bottom, right))
    ]
    return corners[0], corners[1], corners[2], corners[3], center_crop(img, [height, width])


def ten_crop(img: Any, size: int | Sequence[int], vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image, then of the image mirrored (upside down with `vertical_flip`)."""
    return five_crop(img, size) + five_crop(vflip(img) if vertical_flip else hflip(img), size)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: int | Sequence[int],
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """A window of the image in another size; see `crop` and `resize`."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def resize(
    img: Any,
    size: int | Sequence[int],
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """The image in another size; see `Resize`."""
    return Resize(size, interpolation, max_size, antialias)(img)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """A colour image in grey; see `Grayscale`."""
    return Grayscale(num_output_channels)(img)


to_grayscale = rgb_to_grayscale


def rotate(
    img: Any,
    angle: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: float | Sequence[float] | None = None,
) -> Any:
    """The image rotated.

    Parameters
    ----------
    img
        The image.
    angle
        Degrees, counter-clockwise.
    interpolation, expand, center, fill
        As for `RandomRotation`; without a fill, tensors fade to zero at the rim.
    """
    if not isinstance(angle, Real):
        raise TypeError(f"rotate: angle must be a number, got {angle!r}")
    mode = _interpolation_mode("rotate", interpolation, WARP_MODES)
    point = None if center is None else arguments.numbers("rotate", "center", center, (2,))
    fills = None if fill is None else arguments.fill_values("rotate", fill)
    at = None if point is None else (point[0], point[1])
    degrees = (float(angle), float(angle))
    return apply_step(
        "rotate", img, lambda pillow: _C.rotation_step(degrees, mode.value, expand, at, fills, pillow)
    )


def affine(
    img: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: Any = InterpolationMode.NEAREST,
    fill: float | Sequence[float] | None = None,
    center: Sequence[float] | None = None,
) -> Any:
    """The image through an affine map.

    Parameters
    ----------
    img
        The image.
    angle
        Degrees, clockwise.
    translate
        (x, y) in pixels, after the rotation.
    scale
        Factor, positive.
    shear
        Degrees along x, or (x, y).
    interpolation, fill, center
        As for `RandomAffine`; without a fill, tensors fade to zero at the rim.
    """
    mode = _interpolation_mode("affine", interpolation, WARP_MODES)
    dx, dy = arguments.numbers("affine", "translate", translate, (2,))
    shears = (
        [float(shear), 0.0]
        if isinstance(shear, Real)
        else arguments.numbers("affine", "shear", shear, (1, 2))
    )
    point = None if center is None else arguments.numbers("affine", "center", center, (2,))
    fills = None if fill is None else arguments.fill_values("affine", fill)
    at = None if point is None else (point[0], point[1])
    degrees, factor, along_x, along_y = (
        (float(value), float(value)) for value in (angle, scale, shears[0], shears[-1])
    )
    return apply_step(
        "affine",
        img,
        lambda pillow: _C.affine_step(
            degrees, (dx, dy), False, factor, along_x, along_y, mode.value, at, fills, pillow
        ),
    )


__all__ = [
    "InterpolationMode", "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue",
    "adjust_saturation", "adjust_sharpness", "affine", "autocontrast", "center_crop", "convert_image_dtype",
    "crop", "elastic_transform", "equalize", "erase", "five_crop", "gaussian_blur", "get_dimensions",
    "get_image_num_channels", "get_image_size", "hflip", "invert", "normalize", "pad", "perspective",
    "pil_to_tensor", "posterize", "resize", "resized_crop", "rgb_to_grayscale", "rotate", "solarize",
    "ten_crop", "to_grayscale", "to_pil_image", "to_tensor", "vflip",
]  # fmt: skip

__getattr__ = _names_of(__name__)
