"""Padding, crops and resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnx import _C
from cnnx.transforms import arguments
from cnnx.transforms.base import ImageTransform, below, draws_as, native
from cnnx.transforms.images import apply_step, image_size
from cnnx.transforms.interpolation import InterpolationMode, interpolation_mode, mode_name

RESIZE_MODES = (InterpolationMode.NEAREST, InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)


@native
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
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode
        self._step(True)  # checks them

    def _step(self, pillow: bool) -> _C.ImageStep:
        return pad_step("Pad", self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(padding={self.padding}, fill={self.fill}, "
            f"padding_mode={self.padding_mode})"
        )


@native
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


@native
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
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode
        self.pad_if_needed = bool(pad_if_needed)
        self._step(True)  # checks the rest

    @staticmethod
    def get_params(img: Any, output_size: Sequence[int]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a random window of `output_size`, (height, width), in an image.

        One that a subclass or an object defines is asked for each image, after padding.

        Raises
        ------
        ValueError
            If the window is larger than the image.
        """
        (_, height, width), (rows, columns) = image_size("RandomCrop", img), output_size
        if rows > height or columns > width:
            raise ValueError(
                f"RandomCrop: the crop of {(rows, columns)} is larger than the image of {(height, width)}"
            )
        return below(height - rows + 1), below(width - columns + 1), rows, columns

    def _step(self, pillow: bool) -> _C.ImageStep:
        borders = arguments.borders("RandomCrop", 0 if self.padding is None else self.padding)
        fill = arguments.fill_values("RandomCrop", self.fill)
        mode = arguments.padding_mode("RandomCrop", self.padding_mode)
        height, width = arguments.pair("RandomCrop", "size", self.size)
        return _C.random_crop_step(height, width, borders, self.pad_if_needed, fill, mode)

    def forward(self, img: Any) -> Any:
        """The window of `img`."""
        if draws_as(RandomCrop, self):
            return super().forward(img)
        height, width = arguments.pair("RandomCrop", "size", self.size)
        if self.padding is not None:
            img = self._padded(img, self.padding)
        if self.pad_if_needed:
            _, rows, columns = image_size("RandomCrop", img)
            img = self._padded(img, (max(width - columns, 0), max(height - rows, 0)))
        top, left, rows, columns = (int(v) for v in self.get_params(img, (height, width)))
        return apply_step("RandomCrop", img, lambda pillow: _C.crop_step(top, left, rows, columns))

    def _padded(self, img: Any, padding: int | Sequence[int]) -> Any:
        step = pad_step("RandomCrop", padding, self.fill, self.padding_mode)
        return apply_step("RandomCrop", img, lambda pillow: step)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


@native
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
        self._step(True)  # checks the rest

    def _step(self, pillow: bool) -> _C.ImageStep:
        size, max_size = self.size, self.max_size
        height, width = arguments.pair("Resize", "size", size)
        if not isinstance(size, Sequence) or len(size) == 1:
            height = 0
        elif max_size is not None:
            raise ValueError("Resize: max_size is for a size of one int")
        if max_size is not None and max_size <= width:
            raise ValueError(f"Resize: max_size {max_size} must be larger than the size {size}")
        mode = interpolation_mode("Resize", self.interpolation, RESIZE_MODES)
        return _C.resize_step(height, width, max_size or 0, mode.value, bool(self.antialias), pillow)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={mode_name(self.interpolation)}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


def pad_step(
    op: str, padding: int | Sequence[int], fill: float | Sequence[float], padding_mode: str
) -> _C.ImageStep:
    """The native step of `Pad` for these parameters, which errors name `op` for."""
    mode = arguments.padding_mode(op, padding_mode)
    return _C.pad_step(arguments.borders(op, padding), arguments.fill_values(op, fill), mode)
