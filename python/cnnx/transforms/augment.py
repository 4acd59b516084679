"""Transforms that change colours and values by chance, that blur, and that warp."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from cnnx.joining import cat
from cnnx.random import rand, randperm
from cnnx.tensor import Tensor
from cnnx.transforms import arguments, color, warp
from cnnx.transforms.base import ImageTransform, Sometimes, below, uniform
from cnnx.transforms.images import image_size
from cnnx.transforms.interpolation import InterpolationMode, interpolation_mode, mode_name

Amount = float | Sequence[float]
Range = tuple[float, float] | None


class ColorJitter(ImageTransform):
    """Brightness, contrast, saturation and hue changed by chance, in another order for each image.

    Parameters
    ----------
    brightness, contrast, saturation
        Range (low, high) of the factor, or one number a for (max(0, 1 - a), 1 + a). Default: unchanged.
    hue
        Range (low, high) of the shift within -0.5 to 0.5, or one number a for (-a, a). Default: unchanged.

    Raises
    ------
    ValueError
        If a range is empty or beyond these bounds.

    Examples
    --------
    >>> ColorJitter(brightness=0.2, hue=0.1)
    ColorJitter(brightness=(0.8, 1.2), contrast=None, saturation=None, hue=(-0.1, 0.1))
    """

    def __init__(
        self, brightness: Amount = 0, contrast: Amount = 0, saturation: Amount = 0, hue: Amount = 0
    ) -> None:
        self.brightness = _around(1.0, "brightness", brightness)
        self.contrast = _around(1.0, "contrast", contrast)
        self.saturation = _around(1.0, "saturation", saturation)
        self.hue = _around(0.0, "hue", hue, -0.5, 0.5)

    @staticmethod
    def get_params(
        brightness: Range, contrast: Range, saturation: Range, hue: Range
    ) -> tuple[Tensor, float | None, float | None, float | None, float | None]:
        """A random order of the four changes, as a tensor, and a factor of each; None where a range is."""
        order = randperm(4, device="cpu")
        b, c, s, h = (
            None if ends is None else uniform(ends[0], ends[1])
            for ends in (brightness, contrast, saturation, hue)
        )
        return order, b, c, s, h

    def forward(self, img: Any) -> Any:
        """The changed image."""
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        changes = (color.adjust_brightness, color.adjust_contrast, color.adjust_saturation, color.adjust_hue)
        for i in order:
            factor = factors[int(i)]
            if factor is not None:
                img = changes[int(i)](img, factor)
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


def _around(middle: float, name: str, value: Amount, least: float = 0, most: float = float("inf")) -> Range:
    """The range that one number or two stand for; None if nothing changes."""
    op = "ColorJitter"
    if isinstance(value, Real):
        span = arguments.number(op, name, value, 0)
        low, high = max(middle - span, 0.0) if middle else -span, middle + span
    else:
        low, high = arguments.numbers(op, name, value, (2,))
    if not least <= low <= high <= most:
        raise ValueError(f"{op}: {name} must be a range between {least} and {most}, got {value}")
    return None if low == high == middle else (low, high)


class RandomInvert(Sometimes):
    """The negative of the image with probability `p`; see `functional.invert`.

    Parameters
    ----------
    p
        Default: 0.5.
    """

    def _changed(self, img: Any) -> Any:
        return color.invert(img)


class RandomPosterize(Sometimes):
    """Fewer bits of each value with probability `p`; see `functional.posterize`.

    Parameters
    ----------
    bits
        How many are kept, 0 to 8.
    p
        Default: 0.5.
    """

    _shown = ("bits", "p")

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        arguments.number("RandomPosterize", "bits", bits, 0, 8)
        self.bits = bits

    def _changed(self, img: Any) -> Any:
        return color.posterize(img, self.bits)


class RandomSolarize(Sometimes):
    """Bright values inverted with probability `p`; see `functional.solarize`.

    Parameters
    ----------
    threshold
        From which value on.
    p
        Default: 0.5.
    """

    _shown = ("threshold", "p")

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        arguments.number("RandomSolarize", "threshold", threshold)
        self.threshold = threshold

    def _changed(self, img: Any) -> Any:
        return color.solarize(img, self.threshold)


class RandomAdjustSharpness(Sometimes):
    """The image sharper or smoother with probability `p`; see `functional.adjust_sharpness`.

    Parameters
    ----------
    sharpness_factor
        0 smooths, 1 changes nothing, 2 makes twice as sharp.
    p
        Default: 0.5.
    """

    _shown = ("sharpness_factor", "p")

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        arguments.number("RandomAdjustSharpness", "sharpness_factor", sharpness_factor, 0)
        self.sharpness_factor = sharpness_factor

    def _changed(self, img: Any) -> Any:
        return color.adjust_sharpness(img, self.sharpness_factor)


class RandomAutocontrast(Sometimes):
    """The full contrast of each channel with probability `p`; see `functional.autocontrast`.

    Parameters
    ----------
    p
        Default: 0.5.
    """

    def _changed(self, img: Any) -> Any:
        return color.autocontrast(img)


class RandomEqualize(Sometimes):
    """All values about equally frequent with probability `p`; see `functional.equalize`.

    Parameters
    ----------
    p
        Default: 0.5.
    """

    def _changed(self, img: Any) -> Any:
        return color.equalize(img)


class RandomPerspective(Sometimes):
    """The image seen from elsewhere with probability `p`: each corner moved inwards by chance.

    Parameters
    ----------
    distortion_scale
        How far at most, as a share of half the width and height. Default: 0.5.
    p
        Default: 0.5.
    interpolation
        `InterpolationMode.NEAREST` or `BILINEAR`, or Pillow's constants for them; of PIL images `BICUBIC`.
    fill
        Value outside the image, or one per channel. Default: 0.

    Raises
    ------
    ValueError
        If a number is not between 0 and 1.
    """

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: float | Sequence[float] | None = 0,
    ) -> None:
        super().__init__(p)
        op = "RandomPerspective"
        self.distortion_scale = arguments.number(op, "distortion_scale", distortion_scale, 0, 1)
        self.interpolation = interpolation_mode(op, interpolation, warp.PILLOW_MODES)
        self.fill = 0 if fill is None else fill
        arguments.fill_values(op, self.fill)

    @staticmethod
    def get_params(
        width: int, height: int, distortion_scale: float
    ) -> tuple[list[list[int]], list[list[int]]]:
        """The corners of an image (x, y), clockwise from the top left, and where they go by chance."""
        x, y = (int(distortion_scale * (extent // 2)) + 1 for extent in (width, height))
        right, bottom = width - 1, height - 1
        start = [[0, 0], [right, 0], [right, bottom], [0, bottom]]
        end = [
            [below(x), below(y)],
            [right - below(x), below(y)],
            [right - below(x), bottom - below(y)],
            [below(x), bottom - below(y)],
        ]
        return start, end

    def _changed(self, img: Any) -> Any:
        _, height, width = image_size("RandomPerspective", img)
        start, end = self.get_params(width, height, self.distortion_scale)
        return warp.perspective(img, start, end, self.interpolation, self.fill)


class GaussianBlur(ImageTransform):
    """The image blurred by a normal distribution of a random width; see `functional.gaussian_blur`.

    Parameters
    ----------
    kernel_size
        (width, height) of the window in pixels, or one int for both; odd.
    sigma
        Range (low, high) of the standard deviation in pixels, or one number. Default: 0.1 to 2.

    Raises
    ------
    ValueError
        If a size is not odd, or a deviation not positive.
    """

    def __init__(self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0)) -> None:
        op = "GaussianBlur"
        self.kernel_size = warp.odd_sizes(op, kernel_size)
        ends = [sigma, sigma] if isinstance(sigma, Real) else sigma
        low, high = arguments.numbers(op, "sigma", ends, (2,))
        if not 0 < low <= high:
            raise ValueError(f"{op}: sigma must be a range of positive numbers, got {sigma}")
        self.sigma = (low, high)

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """A random standard deviation."""
        return uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        """The blurred image."""
        return warp.gaussian_blur(img, self.kernel_size, self.get_params(self.sigma[0], self.sigma[1]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"


class ElasticTransform(ImageTransform):
    """The image as if seen through moving water: each pixel is read from a random place nearby.

    Parameters
    ----------
    alpha
        How far along (x, y) in half pixels, before smoothing; one number for both. Default: 50.
    sigma
        Standard deviation (along x, along y) of the blur that smooths the way from pixel to pixel; one number
        for both. The image must be larger than about four times that. Default: 5.
    interpolation
        `InterpolationMode.NEAREST` or `BILINEAR`, or Pillow's constants for them.
    fill
        Value outside the image, or one per channel. Default: 0.

    Raises
    ------
    ValueError
        If sigma is negative; when called, if the image is too small for it.

    Notes
    -----
    P. Simard, D. Steinkraus and J. Platt, "Best practices for convolutional neural networks applied to visual
    document analysis" (2003).
    """

    def __init__(
        self,
        alpha: float | Sequence[float] = 50.0,
        sigma: float | Sequence[float] = 5.0,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: float | Sequence[float] = 0,
    ) -> None:
        op = "ElasticTransform"
        self.alpha, self.sigma = (
            [float(value)] * 2 if isinstance(value, Real) else arguments.numbers(op, name, value, (2,))
            for name, value in (("alpha", alpha), ("sigma", sigma))
        )
        if min(self.sigma) < 0:
            raise ValueError(f"{op}: sigma must not be negative, got {sigma}")
        self.interpolation = interpolation_mode(op, interpolation, warp.TENSOR_MODES)
        self.fill = arguments.fill_values(op, fill)

    @staticmethod
    def get_params(alpha: Sequence[float], sigma: Sequence[float], size: Sequence[int]) -> Tensor:
        """A random displacement (1, H, W, 2) for an image of `size`, (height, width)."""
        height, width = size
        fields = []
        for along, extent in enumerate((width, height)):
            field = rand(1, 1, height, width, device="cpu") * 2 - 1
            if sigma[along] > 0:
                window = int(8 * sigma[along] + 1) | 1  # odd
                field = warp.gaussian_blur(field, [window, window], list(sigma))
            fields.append(field * alpha[along] / extent)
        return cat(fields, 1).permute(0, 2, 3, 1)

    def forward(self, img: Any) -> Any:
        """The image with its pixels moved."""
        _, height, width = image_size("ElasticTransform", img)
        displacement = self.get_params(self.alpha, self.sigma, [height, width])
        return warp.elastic_transform(img, displacement, self.interpolation, self.fill)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(alpha={self.alpha}, sigma={self.sigma}, "
            f"interpolation={mode_name(self.interpolation)}, fill={self.fill})"
        )
