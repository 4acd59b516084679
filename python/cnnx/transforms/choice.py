"""Transforms that choose among others, and those that give several images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from cnnx.creation import tensor
from cnnx.random import multinomial, randperm
from cnnx.transforms import arguments, functional
from cnnx.transforms.base import ImageTransform, Sometimes, below, listed, uniform
from cnnx.transforms.images import image_size
from cnnx.transforms.interpolation import InterpolationMode, interpolation_mode, mode_name
from cnnx.transforms.windows import RESIZE_MODES, Resize

Step = Callable[[Any], Any]


class RandomChoice:
    """One of several transforms, another one for each image.

    Parameters
    ----------
    transforms
        Callables.
    p
        A weight for each; default: all alike.

    Raises
    ------
    ValueError
        If there is none, or the weights do not fit.
    """

    def __init__(self, transforms: Sequence[Step], p: Sequence[float] | None = None) -> None:
        self.transforms = list(transforms)
        if not self.transforms:
            raise ValueError("RandomChoice: needs a transform")
        self.p = None if p is None else arguments.numbers("RandomChoice", "p", p, (len(self.transforms),))
        if self.p is not None and (min(self.p) < 0 or sum(self.p) <= 0):
            raise ValueError(f"RandomChoice: p must be weights of 0 or more, not all 0, got {p}")

    def __call__(self, img: Any) -> Any:
        """The image after one of them."""
        weights = [1.0] * len(self.transforms) if self.p is None else self.p
        return self.transforms[int(multinomial(tensor(weights, device="cpu"), 1).item())](img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({listed(self.transforms)}\n)(p={self.p})"


class RandomOrder:
    """Several transforms in an order that is another one for each image.

    Parameters
    ----------
    transforms
        Callables.
    """

    def __init__(self, transforms: Sequence[Step]) -> None:
        self.transforms = list(transforms)

    def __call__(self, img: Any) -> Any:
        """The image after all of them."""
        for i in randperm(len(self.transforms), device="cpu").tolist():
            img = self.transforms[i](img)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}({listed(self.transforms)}\n)"


class RandomGrayscale(Sometimes):
    """A colour image in grey with probability `p`, with as many channels as before.

    Parameters
    ----------
    p
        Default: 0.1.
    """

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def _changed(self, img: Any) -> Any:
        channels, _, _ = image_size("RandomGrayscale", img)
        return functional.rgb_to_grayscale(img, channels)


class FiveCrop(ImageTransform):
    """The four corners and the middle of an image, as a tuple.

    Parameters
    ----------
    size
        (height, width) of each, or one int for both.
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = arguments.pair("FiveCrop", "size", size)

    def forward(self, img: Any) -> tuple[Any, ...]:
        """Top left, top right, bottom left, bottom right, middle."""
        return functional.five_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class TenCrop(ImageTransform):
    """`FiveCrop` of an image and of its mirror image.

    Parameters
    ----------
    size
        (height, width) of each, or one int for both.
    vertical_flip
        Mirror up and down instead of left and right. Default: False.
    """

    def __init__(self, size: int | Sequence[int], vertical_flip: bool = False) -> None:
        self.size = arguments.pair("TenCrop", "size", size)
        self.vertical_flip = vertical_flip

    def forward(self, img: Any) -> tuple[Any, ...]:
        """Five of the image, then five of its mirror image."""
        return functional.ten_crop(img, self.size, self.vertical_flip)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, vertical_flip={self.vertical_flip})"


class RandomResizedCrop(ImageTransform):
    """A random window of the image in one size: of any share of its area and a changed proportion.

    Parameters
    ----------
    size
        (height, width), or one int for both.
    scale
        Range of the share of the area. Default: 0.08 to 1.
    ratio
        Range of width / height. Default: 3/4 to 4/3.
    interpolation, antialias
        As of `Resize`.

    Raises
    ------
    ValueError
        If a range makes no sense.

    Notes
    -----
    Szegedy et al., "Going deeper with convolutions" (2015).
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: Any = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        op = "RandomResizedCrop"
        self.size = arguments.pair(op, "size", size)
        self.scale, self.ratio = tuple(scale), tuple(ratio)
        self.interpolation, self.antialias = interpolation, antialias
        for name, values in (("scale", self.scale), ("ratio", self.ratio)):
            low, high = arguments.numbers(op, name, values, (2,))
            if not 0 < low <= high:
                raise ValueError(f"{op}: {name} must be a range of positive numbers, got {values}")
        Resize(self.size, interpolation, None, antialias)  # checks the rest

    @staticmethod
    def get_params(img: Any, scale: Sequence[float], ratio: Sequence[float]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a random window; of the middle if ten did not fit."""
        _, height, width = image_size("RandomResizedCrop", img)
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            aspect = math.exp(uniform(math.log(ratio[0]), math.log(ratio[1])))
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                return below(height - h + 1), below(width - w + 1), h, w
        h, w = height, width
        if width / height < min(ratio):
            h = round(width / min(ratio))
        elif width / height > max(ratio):
            w = round(height * max(ratio))
        return (height - h) // 2, (width - w) // 2, h, w

    def forward(self, img: Any) -> Any:
        """The window of `img` in its new size."""
        window = self.get_params(img, self.scale, self.ratio)
        return functional.resized_crop(img, *window, self.size, self.interpolation, antialias=self.antialias)

    def __repr__(self) -> str:
        scale, ratio = (tuple(round(v, 4) for v in values) for values in (self.scale, self.ratio))
        mode = mode_name(interpolation_mode("RandomResizedCrop", self.interpolation, RESIZE_MODES))
        return (
            f"{type(self).__name__}(size={self.size}, scale={scale}, ratio={ratio}, interpolation={mode}, "
            f"antialias={self.antialias})"
        )
