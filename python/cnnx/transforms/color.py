"""Changes of colours and values as functions: PIL images and arrays by Pillow, tensors as in torchvision.

Tensors are (..., C, H, W) of one or three channels, with any leading dimensions; floats are taken as 0 to 1,
whole numbers as 0 to the largest of their type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnx.creation import tensor, zeros_like
from cnnx.dtypes import bool as bool_dtype
from cnnx.dtypes import dtype as DType
from cnnx.dtypes import float32, float64, int32, int64, uint8
from cnnx.joining import stack
from cnnx.nn.functional import conv2d
from cnnx.pictures import pillow
from cnnx.pointwise import where
from cnnx.signatures import checked
from cnnx.tensor import Tensor
from cnnx.transforms import arguments
from cnnx.transforms.images import image_size, is_pil_image

_LARGEST = {uint8: 255, int32: 2**31 - 1, int64: 2**63 - 1}
_GREY = (0.2989, 0.587, 0.114)  # of red, green and blue, in tensors
_COLOURLESS = ("1", "I", "F", "L")


def largest_value(dtype: DType) -> int:
    """What stands for white in a tensor."""
    return _LARGEST.get(dtype, 1)


def changed(
    op: str, img: Any, of_picture: Callable[[Any], Any], of_tensor: Callable[[Tensor], Tensor], dims: int = 2
) -> Any:
    """What one of two functions makes of an image; an array of bytes goes by way of a picture.

    Raises
    ------
    TypeError
        If `img` is no image, a tensor of fewer than `dims` dimensions or not of 1 or 3 channels, an array
        that is not of bytes, or a picture of a mode for which Pillow has not got it.
    """
    channels, _, _ = image_size(op, img)
    if isinstance(img, Tensor):
        if img.ndim < dims:
            raise TypeError(f"{op}: needs a tensor of {dims} dimensions or more, got {tuple(img.shape)}")
        if channels not in (1, 3):
            raise TypeError(f"{op}: needs a tensor of 1 or 3 channels, got {tuple(img.shape)}")
        return of_tensor(img)
    if is_pil_image(img):
        try:
            return of_picture(img)
        except (OSError, ValueError, NotImplementedError) as error:
            raise TypeError(f"{op}: cannot be done to a picture of mode {img.mode}: {error}") from error
    picture = pillow(op).fromarray(flat_bytes(op, img))
    return np.array(of_picture(picture)).reshape(img.shape)


def flat_bytes(op: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An array of bytes as Pillow takes it: (H, W) for one channel."""
    if array.dtype != np.uint8 or array.shape[2:] not in ((), (1,), (3,)):
        raise TypeError(
            f"{op}: needs an array of uint8 with 1 or 3 channels, got {array.dtype} {array.shape}"
        )
    return np.ascontiguousarray(array.reshape(array.shape[:2]) if array.shape[2:] == (1,) else array)


def _blend(img: Tensor, other: Tensor, share: float) -> Tensor:
    """`share` of `img` and the rest of `other`, within the values that an image has."""
    mixed = share * img + (1.0 - share) * other
    return mixed.clamp(0, largest_value(img.dtype)).to(img.dtype)


def in_float(img: Tensor) -> Tensor:
    """The tensor in floats; values stay as they are."""
    return img if img.is_floating_point() else img.to(float32)


def grey(img: Tensor) -> Tensor:
    """A tensor (..., 3, H, W) in grey, (..., 1, H, W); one of one channel as it is."""
    if img.ndim < 3 or img.shape[-3] == 1:
        return img
    red, green, blue = img.unbind(-3)
    return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue).to(img.dtype).unsqueeze(-3)


@checked
def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """An image brighter or darker.

    Parameters
    ----------
    img
        A PIL image, an array of bytes or a tensor.
    brightness_factor
        0 gives black, 1 the image, 2 twice its values.

    Raises
    ------
    ValueError
        If the factor is negative.

    Examples
    --------
    >>> import cnnx
    >>> adjust_brightness(cnnx.tensor([[[0.2, 0.4]]]), 1.5)
    tensor([[[0.3000, 0.6000]]])
    """
    op = "adjust_brightness"
    share = arguments.number(op, "brightness_factor", brightness_factor, 0)
    return changed(
        op,
        img,
        lambda picture: _enhanced("Brightness", picture, share),
        lambda t: _blend(t, zeros_like(t), share),
    )


@checked
def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """An image with more or less contrast: farther from its mean grey, or nearer.

    Parameters
    ----------
    img
        A PIL image, an array of bytes or a tensor.
    contrast_factor
        0 gives plain grey, 1 the image, 2 twice the contrast.

    Raises
    ------
    ValueError
        If the factor is negative.
    """
    op = "adjust_contrast"
    share = arguments.number(op, "contrast_factor", contrast_factor, 0)

    def of_tensor(img: Tensor) -> Tensor:
        dims = (-3, -2, -1) if img.ndim > 2 else (-2, -1)
        return _blend(img, in_float(grey(img)).mean(dim=dims, keepdim=True), share)

    return changed(op, img, lambda picture: _enhanced("Contrast", picture, share), of_tensor)


@checked
def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """An image with stronger or paler colours.

    Parameters
    ----------
    img
        A PIL image, an array of bytes or a tensor; one of one channel stays as it is.
    saturation_factor
        0 gives grey, 1 the image, 2 twice the saturation.

    Raises
    ------
    ValueError
        If the factor is negative.
    """
    op = "adjust_saturation"
    share = arguments.number(op, "saturation_factor", saturation_factor, 0)

    def of_tensor(img: Tensor) -> Tensor:
        return img if image_size(op, img)[0] == 1 else _blend(img, grey(img), share)

    return changed(op, img, lambda picture: _enhanced("Color", picture, share), of_tensor)


@checked
def adjust_hue(img: Any, hue_factor: float) -> Any:
    """An image with its colours shifted around the colour circle.

    Parameters
    ----------
    img
        A PIL image, an array of bytes or a tensor; one of one channel stays as it is.
    hue_factor
        The shift as a share of the circle, -0.5 to 0.5. Both ends give the complementary colours.

    Raises
    ------
    ValueError
        If the factor is beyond that.
    """
    op = "adjust_hue"
    shift = arguments.number(op, "hue_factor", hue_factor, -0.5, 0.5)

    def of_picture(picture: Any) -> Any:
        if picture.mode in _COLOURLESS:
            return picture
        image = pillow(op)
        hue, saturation, value = picture.convert("HSV").split()
        turned = np.asarray(hue) + np.array(int(shift * 255)).astype(np.uint8)  # beyond 255 it goes on at 0
        return image.merge("HSV", (image.fromarray(turned), saturation, value)).convert(picture.mode)

    def of_tensor(img: Tensor) -> Tensor:
        if image_size(op, img)[0] == 1:
            return img
        hue, saturation, value = _hue_saturation_value(convert_image_dtype(img, float32))
        return convert_image_dtype(_in_colours((hue + shift) % 1.0, saturation, value), img.dtype)

    return changed(op, img, of_picture, of_tensor)


def _hue_saturation_value(img: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Planes (..., H, W) of hue (0 to 1), saturation and value of a tensor of colours (..., 3, H, W)."""
    red, green, blue = img.unbind(-3)
    top, bottom = img.amax(dim=-3), img.amin(dim=-3)
    plain, span = top == bottom, top - bottom
    one = tensor(1.0, dtype=img.dtype, device=img.device)
    saturation, divisor = span / where(plain, one, top), where(plain, one, span)
    r, g, b = ((top - colour) / divisor for colour in (red, green, blue))
    sextant = where(top == red, b - g, where(top == green, 2.0 + r - b, 4.0 + g - r))
    return (sextant / 6.0 + 1.0) % 1.0, saturation, top


# Which of value, falling, low and rising is red, green and blue, in each sixth of the circle.
_SEXTANTS = ((0, 1, 2, 2, 3, 0), (3, 0, 0, 1, 2, 2), (2, 2, 3, 0, 0, 1))


def _in_colours(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """The tensor of colours (..., 3, H, W) of these planes."""
    sextant = (hue * 6.0).floor()
    part = hue * 6.0 - sextant
    low = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    falling = (value * (1.0 - saturation * part)).clamp(0.0, 1.0)
    rising = (value * (1.0 - saturation * (1.0 - part))).clamp(0.0, 1.0)
    which = tensor(_SEXTANTS, device=hue.device)[:, sextant.to(int64) % 6].movedim(0, -3)
    return stack([value, falling, low, rising], -3).gather(-3, which)


@checked
def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """Each value v between 0 and 1 as gain * v ** gamma.

    Parameters
    ----------
    img
        A PIL image, an array of bytes or a tensor.
    gamma
        Above 1 makes shadows darker, below 1 brighter.
    gain
        A factor. Default: 1.

    Raises
    ------
    ValueError
        If gamma is negative.
    """
    op = "adjust_gamma"
    power, factor = arguments.number(op, "gamma", gamma, 0), arguments.number(op, "gain", gain)

    def of_picture(picture: Any) -> Any:
        table = [min(255, max(0, int(255.999 * factor * (value / 255) ** power))) for value in range(256)]
        return picture.convert("RGB").point(table * 3).convert(picture.mode)

    def of_tensor(img: Tensor) -> Tensor:
        values = img if img.is_floating_point() else convert_image_dtype(img, float32)
        return convert_image_dtype((factor * values.pow(power)).clamp(0, 1), img.dtype)

    return changed(op, img, of_picture, of_tensor)


@checked
def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """An image sharper or smoother; its outermost pixels stay as they are.

    Parameters
    ----------
    img
        A PIL image, an array of bytes or a tensor.
    sharpness_factor
        0 gives a smoothed image, 1 the image, 2 one that is twice as sharp.

    Raises
    ------
    ValueError
        If the factor is negative.
    """
    op = "adjust_sharpness"
    share = arguments.number(op, "sharpness_factor", sharpness_factor, 0)

    def of_tensor(img: Tensor) -> Tensor:
        return img if min(img.shape[-2:]) <= 2 else _blend(img, _smoothed(img), share)

    return changed(op, img, lambda picture: _enhanced("Sharpness", picture, share), of_tensor)


def _smoothed(img: Tensor) -> Tensor:
    height, width = img.shape[-2:]
    values = in_float(img)
    kernel = tensor([[[[1.0, 1, 1], [1, 5, 1], [1, 1, 1]]]], dtype=values.dtype, device=img.device) / 13
    inner = conv2d(values.reshape(-1, 1, height, width), kernel).reshape(
        *img.shape[:-2], height - 2, width - 2
    )
    result = img.clone()
    result[..., 1:-1, 1:-1] = rounded(inner, img.dtype)
    return result


def rounded(values: Tensor, dtype: DType) -> Tensor:
    """Values in the type of an image: rounded where that has whole numbers."""
    return (values if dtype in (float32, float64) else values.round()).to(dtype)


@checked
def invert(img: Any) -> Any:
    """The negative of an image.

    Parameters
    ----------
    img
        A PIL image, an array of bytes or a tensor.
    """
    return changed("invert", img, lambda picture: _operated("invert", picture), _inverted, 3)


def _inverted(img: Tensor) -> Tensor:
    return ~img if img.dtype == bool_dtype else largest_value(img.dtype) - img


@checked
def posterize(img: Any, bits: int) -> Any:
    """An image with few values: all but the highest `bits` of each are cleared.

    Parameters
    ----------
    img
        A PIL image, an array of bytes or a tensor of uint8.
    bits
        0 to 8.

    Raises
    ------
    ValueError
        If there are not so many bits.
    TypeError
        If a tensor is not of uint8.
    """
    op = "posterize"
    arguments.number(op, "bits", bits, 0, 8)
    keep = 256 - 2 ** (8 - int(bits))

    def of_tensor(img: Tensor) -> Tensor:
        kept: Tensor = _bytes(op, img) & keep
        return kept

    def of_picture(picture: Any) -> Any:
        if picture.mode not in ("L", "RGB"):
            raise ValueError("only to L and RGB")
        return picture.point([value & keep for value in range(256)] * len(picture.getbands()))

    return changed(op, img, of_picture, of_tensor, 3)


@checked
def solarize(img: Any, threshold: float) -> Any:
    """An image with its brighter values inverted.

    Parameters
    ----------
    img
        A PIL image, an array of bytes or a tensor.
    threshold
        From which value on.

    Raises
    ------
    TypeError
        If it is beyond the values that a tensor has.
    """
    op = "solarize"
    limit = arguments.number(op, "threshold", threshold)

    def of_tensor(img: Tensor) -> Tensor:
        if limit > largest_value(img.dtype):
            raise TypeError(f"{op}: threshold {threshold} is beyond the values of {img.dtype}")
        inverted: Tensor = where(img >= threshold, _inverted(img), img)
        return inverted

    return changed(op, img, lambda picture: _operated(op, picture, threshold), of_tensor, 3)


@checked
def autocontrast(img: Any) -> Any:
    """An image with each channel stretched so that it reaches from black to white.

    Parameters
    ----------
    img
        A PIL image, an array of bytes or a tensor; a channel of one value stays as it is.
    """

    def of_tensor(img: Tensor) -> Tensor:
        white = largest_value(img.dtype)
        low, high = (
            in_float(ends)
            for ends in (img.amin(dim=(-2, -1), keepdim=True), img.amax(dim=(-2, -1), keepdim=True))
        )
        factor = (high - low).reciprocal() * white
        plain = factor.isfinite().logical_not()
        low, factor = low.masked_fill(plain, 0), factor.masked_fill(plain, 1)
        return ((img - low) * factor).clamp(0, white).to(img.dtype)

    return changed("autocontrast", img, lambda picture: _operated("autocontrast", picture), of_tensor, 3)


@checked
def equalize(img: Any) -> Any:
    """An image with the values of each channel spread so that all are about equally frequent.

    Parameters
    ----------
    img
        A PIL image, an array of bytes or a tensor of uint8.

    Raises
    ------
    TypeError
        If a tensor is not of uint8.
    """

    def of_tensor(img: Tensor) -> Tensor:
        pixels = _bytes("equalize", img).to(int64).reshape(-1, img.shape[-2] * img.shape[-1])
        counts = (
            tensor(0, device=img.device)
            .expand(len(pixels), 256)
            .clone()
            .scatter_add(1, pixels, pixels * 0 + 1)
        )
        brightest = counts.gather(1, pixels.amax(dim=1, keepdim=True))
        step = (pixels.shape[1] - brightest) // 255
        below = counts.cumsum(1) - counts
        table = ((below + step // 2) // step.clamp(min=1)).clamp(0, 255)
        spread: Tensor = where(step == 0, pixels, table.gather(1, pixels))
        return spread.to(uint8).reshape(img.shape)

    return changed("equalize", img, lambda picture: _operated("equalize", picture), of_tensor, 3)


@checked
def convert_image_dtype(image: Tensor, dtype: DType = float32) -> Tensor:
    """A tensor of an image in another type, its values in proportion.

    Parameters
    ----------
    image
        A tensor. Floats are 0 to 1, whole numbers 0 to the largest of their type.
    dtype
        The type. Default: float32.

    Raises
    ------
    RuntimeError
        If floats have too few digits for the type.

    Examples
    --------
    >>> import cnnx
    >>> convert_image_dtype(cnnx.tensor([0, 51, 255], dtype=cnnx.uint8))
    tensor([0.0000, 0.2000, 1.0000])
    """
    if not isinstance(image, Tensor):
        raise TypeError(f"convert_image_dtype: image must be a Tensor, got {type(image).__name__}")
    if not isinstance(dtype, DType):
        raise TypeError(f"convert_image_dtype: dtype must be a dtype, got {dtype!r}")
    if image.dtype == dtype:
        return image
    floats = (float32, float64)
    if image.dtype in floats:
        if dtype in floats:
            return image.to(dtype)
        if dtype == int64 or (dtype == int32 and image.dtype == float32):
            raise RuntimeError(f"convert_image_dtype: {image.dtype} has too few digits for {dtype}")
        return (image * (largest_value(dtype) + 1.0 - 1e-3)).to(dtype)
    have, want = largest_value(image.dtype), largest_value(dtype)
    if dtype in floats:
        return image.to(dtype) / have
    if have > want:
        return image.div((have + 1) // (want + 1), rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((want + 1) // (have + 1))


def _bytes(op: str, img: Tensor) -> Tensor:
    if img.dtype != uint8:
        raise TypeError(f"{op}: needs a tensor of uint8, got {img.dtype}")
    return img


def _enhanced(what: str, picture: Any, factor: float) -> Any:
    from PIL import ImageEnhance

    return getattr(ImageEnhance, what)(picture).enhance(factor)


def _operated(what: str, picture: Any, *settings: Any) -> Any:
    from PIL import ImageOps

    return getattr(ImageOps, what)(picture, *settings)
