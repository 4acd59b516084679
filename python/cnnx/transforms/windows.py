"""Padding, crops and resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnx import _C
from cnnx.transforms import arguments
from cnnx.transforms.base import ImageTransform
from cnnx.transforms.interpolation import InterpolationMode, interpolation_mode

RESIZE_MODES = (InterpolationMode.NEAREST, InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)


class Pad(ImageTransform):
    """Pixels added on all sides (or cut off, where negative).

    Parameters
    ----------
    padding
        One int for all sides, (x, y), or (left, top, right, bottom).
    fill
        Value for `padding_mode="constant"`, or one per channel.
    padding_mode
        constant; edge: the last pixel repeated; reflect: mirrored without it; symmetric: mirrored with it.
    """

    def __init__(
        self, padding: int | Sequence[int], fill: float | Sequence[float] = 0, padding_mode: str = "constant"
    ) -> None:
        self.padding, self.fill = padding, fill
        self.padding_mode = arguments.padding_mode("Pad", padding_mode)
        self._borders = arguments.borders("Pad", padding)
        self._fill = arguments.fill_values("Pad", fill)

    def _step(self, pillow: bool) -> _C.ImageStep:
        return _C.pad_step(self._borders, self._fill, self.padding_mode)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(padding={self.padding}, fill={self.fill}, "
            f"padding_mode={self.padding_mode})"
        )


class CenterCrop(ImageTransform):
    """The middle of the image; a smaller image gets zeros around it.

    Parameters
    ----------
    size
        (height, width), or one int for both.
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = arguments.pair("CenterCrop", "size", size)

    def _step(self, pillow: bool) -> _C.ImageStep:
        return _C.center_crop_step(*self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class RandomCrop(ImageTransform):
    """A window at a random place of the padded image.

    Parameters
    ----------
    size
        (height, width) of the window, or one int for both.
    padding
        As for `Pad`, done first; None: none.
    pad_if_needed
        Pad an image that is smaller than the window, by what is missing, on both sides.
    fill, padding_mode
        As for `Pad`.

    Raises
    ------
    ValueError
        When called, if the window is larger than the padded image.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = arguments.pair("RandomCrop", "size", size)
        self.padding, self.fill = padding, fill
        self.pad_if_needed = bool(pad_if_needed)
        self.padding_mode = arguments.padding_mode("RandomCrop", padding_mode)
        self._borders = arguments.borders("RandomCrop", 0 if padding is None else padding)
        self._fill = arguments.fill_values("RandomCrop", fill)

    def _step(self, pillow: bool) -> _C.ImageStep:
        return _C.random_crop_step(
            *self.size, self._borders, self.pad_if_needed, self._fill, self.padding_mode
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


class Resize(ImageTransform):
    """The image in another size.

    Parameters
    ----------
    size
        (height, width); an int is the length of the shorter edge, the longer one keeps the proportion.
    interpolation
        `InterpolationMode.NEAREST`, `BILINEAR` or `BICUBIC`, or Pillow's constants for them.
    max_size
        Limit for the longer edge, if `size` is an int.
    antialias
        Average over all pixels that fall on one when an image shrinks. PIL images and arrays always do.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        self._height, self._width = arguments.pair("Resize", "size", size)
        if isinstance(size, int) or len(size) == 1:
            self._height = 0
        elif max_size is not None:
            raise ValueError("Resize: max_size is for a size of one int")
        if max_size is not None and max_size <= self._width:
            raise ValueError(f"Resize: max_size {max_size} must be larger than the size {size}")
        self.size, self.max_size, self.antialias = size, max_size, antialias
        self.interpolation = interpolation_mode("Resize", interpolation, RESIZE_MODES)

    def _step(self, pillow: bool) -> _C.ImageStep:
        return _C.resize_step(
            self._height,
            self._width,
            self.max_size or 0,
            self.interpolation.value,
            bool(self.antialias),
            pillow,
        )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )
