"""Padding, crops and resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnx import _C
from cnnx.random import randint
from cnnx.transforms import arguments
from cnnx.transforms.base import ImageTransform, own_parameters
from cnnx.transforms.images import apply_step, image_size
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
        self._step(False)  # checks the rest

    def _step(self, pillow: bool) -> _C.ImageStep:
        borders, fill = arguments.borders("Pad", self.padding), arguments.fill_values("Pad", self.fill)
        return _C.pad_step(borders, fill, self.padding_mode)

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
        return _C.center_crop_step(*arguments.pair("CenterCrop", "size", self.size))

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
        self._step(False)  # checks the rest

    @staticmethod
    def get_params(img: Any, output_size: Sequence[int]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a window of `output_size`, (height, width), within an image.

        One that a subclass defines is asked for each image, after padding.

        Raises
        ------
        ValueError
            If the window is larger than the image.
        """
        _, height, width = image_size("RandomCrop", img)
        wanted = (int(output_size[0]), int(output_size[1]))
        if height < wanted[0] or width < wanted[1]:
            raise ValueError(f"Required crop size {wanted} is larger than input image size {(height, width)}")
        top, left = (
            int(randint(0, extent - size + 1, (1,)).item())
            for extent, size in zip((height, width), wanted, strict=True)
        )
        return top, left, *wanted

    def forward(self, img: Any) -> Any:
        """The window."""
        if not own_parameters(self):
            return super().forward(img)
        if self.padding is not None:
            img = Pad(self.padding, self.fill, self.padding_mode)(img)
        if self.pad_if_needed:
            _, height, width = image_size("RandomCrop", img)
            missing = (max(self.size[1] - width, 0), max(self.size[0] - height, 0))
            img = Pad(missing, self.fill, self.padding_mode)(img)
        top, left, height, width = (int(v) for v in self.get_params(img, self.size))
        return apply_step("RandomCrop", img, lambda pillow: _C.crop_step(top, left, height, width))

    def _step(self, pillow: bool) -> _C.ImageStep:
        height, width = arguments.pair("RandomCrop", "size", self.size)
        borders = arguments.borders("RandomCrop", 0 if self.padding is None else self.padding)
        fill = arguments.fill_values("RandomCrop", self.fill)
        return _C.random_crop_step(height, width, borders, self.pad_if_needed, fill, self.padding_mode)

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
        self.size, self.max_size, self.antialias = size, max_size, antialias
        self.interpolation = interpolation_mode("Resize", interpolation, RESIZE_MODES)
        self._step(False)  # checks the rest

    def _step(self, pillow: bool) -> _C.ImageStep:
        height, width = arguments.pair("Resize", "size", self.size)
        if isinstance(self.size, int) or len(self.size) == 1:
            height = 0
        elif self.max_size is not None:
            raise ValueError("Resize: max_size is for a size of one int")
        if self.max_size is not None and self.max_size <= width:
            raise ValueError(f"Resize: max_size {self.max_size} must be larger than the size {self.size}")
        mode, antialias = self.interpolation.value, bool(self.antialias)
        return _C.resize_step(height, width, self.max_size or 0, mode, antialias, pillow)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )
