"""Flips, rotations and affine maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnx import _C
from cnnx.random import rand
from cnnx.transforms import arguments
from cnnx.transforms.base import ImageTransform, own_parameters
from cnnx.transforms.images import apply_step, image_size
from cnnx.transforms.interpolation import InterpolationMode, interpolation_mode

Pair = tuple[float, float]

WARP_MODES = (InterpolationMode.NEAREST, InterpolationMode.BILINEAR)


def uniform(low: float, high: float) -> float:
    """A number between two, from the generator that `cnnx.manual_seed` seeds."""
    return float(low + (high - low) * rand(1).item())


class _RandomFlip(ImageTransform):
    _horizontal: bool

    def __init__(self, p: float = 0.5) -> None:
        self.p = arguments.probability(type(self).__name__, p)

    def _step(self, pillow: bool) -> _C.ImageStep:
        return _C.flip_step(self._horizontal, self.p)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomHorizontalFlip(_RandomFlip):
    """Left and right swapped with probability `p`.

    Parameters
    ----------
    p
        Between 0 and 1.

    Examples
    --------
    >>> import cnnx
    >>> RandomHorizontalFlip(p=1.0)(cnnx.tensor([[1, 2, 3]]))
    tensor([[3, 2, 1]])
    """

    _horizontal = True


class RandomVerticalFlip(_RandomFlip):
    """Top and bottom swapped with probability `p`.

    Parameters
    ----------
    p
        Between 0 and 1.
    """

    _horizontal = False


class RandomRotation(ImageTransform):
    """A rotation by an angle drawn for each image.

    Parameters
    ----------
    degrees
        Range (low, high) of the angle, counter-clockwise; one number a >= 0 stands for (-a, a).
    interpolation
        `InterpolationMode.NEAREST` or `BILINEAR`, or Pillow's constants for them.
    expand
        Make the result large enough for the whole rotated image. Results then differ in size, so a
        `DataLoader` goes image by image.
    center
        (x, y) from the top left corner; default: the middle.
    fill
        Value outside the image, or one per channel.

    Examples
    --------
    >>> RandomRotation(10)
    RandomRotation(degrees=[-10.0, 10.0], interpolation=nearest, expand=False, fill=0)
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: Any = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: float | Sequence[float] | None = 0,
    ) -> None:
        self.degrees = arguments.angles("RandomRotation", "degrees", degrees)
        self.interpolation = interpolation_mode("RandomRotation", interpolation, WARP_MODES)
        self.expand = bool(expand)
        self.center = None if center is None else arguments.numbers("RandomRotation", "center", center, (2,))
        self.fill = 0 if fill is None else fill
        arguments.fill_values("RandomRotation", self.fill)

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """An angle within `degrees`, (low, high). One that a subclass defines is asked for each image."""
        return uniform(degrees[0], degrees[1])

    def forward(self, img: Any) -> Any:
        """The rotated image."""
        if not own_parameters(self):
            return super().forward(img)
        angle = float(self.get_params(self.degrees))
        return apply_step(type(self).__name__, img, lambda pillow: self._step(pillow, (angle, angle)))

    def _step(self, pillow: bool, degrees: tuple[float, float] | None = None) -> _C.ImageStep:
        low, high = degrees or arguments.angles("RandomRotation", "degrees", self.degrees)
        center = None if self.center is None else (self.center[0], self.center[1])
        fill = arguments.fill_values("RandomRotation", self.fill)
        return _C.rotation_step((low, high), self.interpolation.value, self.expand, center, fill, pillow)

    def _in_batches(self) -> bool:
        return not self.expand

    def __repr__(self) -> str:
        center = "" if self.center is None else f", center={self.center}"
        return (
            f"{type(self).__name__}(degrees={self.degrees}, interpolation={self.interpolation.value}, "
            f"expand={self.expand}{center}, fill={self.fill})"
        )


class RandomAffine(ImageTransform):
    """A random rotation, shift, scaling and shear about the center of the image.

    Parameters
    ----------
    degrees
        Range (low, high) of the rotation, clockwise; one number a >= 0 stands for (-a, a).
    translate
        (a, b): shifts of whole pixels, drawn up to a times the width and b times the height either way.
    scale
        Range (low, high) of the factor.
    shear
        Range of the shear along x in degrees, (low, high) or one number; four numbers: along x, then along y.
    interpolation
        `InterpolationMode.NEAREST` or `BILINEAR`, or Pillow's constants for them.
    fill
        Value outside the image, or one per channel.
    center
        (x, y) from the top left corner; default: the middle.

    Examples
    --------
    >>> RandomAffine(0, translate=(0.1, 0.1))
    RandomAffine(degrees=[0.0, 0.0], translate=(0.1, 0.1))
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: float | Sequence[float] | None = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        op = "RandomAffine"
        self.degrees = arguments.angles(op, "degrees", degrees)
        self.translate, self.scale = translate, scale
        if translate is not None and not all(
            0 <= value <= 1 for value in arguments.numbers(op, "translate", translate, (2,))
        ):
            raise ValueError(f"{op}: translate must lie between 0 and 1, got {translate}")
        if scale is not None and min(arguments.numbers(op, "scale", scale, (2,))) <= 0:
            raise ValueError(f"{op}: scale must be positive, got {scale}")
        self.shear = None if shear is None else arguments.angles(op, "shear", shear, (2, 4))
        self.interpolation = interpolation_mode(op, interpolation, WARP_MODES)
        self.fill = 0 if fill is None else fill
        arguments.fill_values(op, self.fill)
        self.center = None if center is None else arguments.numbers(op, "center", center, (2,))

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """An angle, a shift (x, y) in pixels, a factor, and the shear along x and y in degrees.

        One that a subclass defines is asked for each image; `img_size` is (width, height).
        """
        x, y = (0.0, 0.0) if translate is None else (translate[0] * img_size[0], translate[1] * img_size[1])
        shear = [*(shears or [0.0, 0.0]), 0.0, 0.0]
        return (
            uniform(degrees[0], degrees[1]),
            (round(uniform(-x, x)), round(uniform(-y, y))),
            1.0 if scale_ranges is None else uniform(scale_ranges[0], scale_ranges[1]),
            (uniform(shear[0], shear[1]), uniform(shear[2], shear[3])),
        )

    def forward(self, img: Any) -> Any:
        """The image through its map."""
        if not own_parameters(self):
            return super().forward(img)
        _, height, width = image_size("RandomAffine", img)
        angle, shift, factor, shear = self.get_params(
            self.degrees, self.translate, self.scale, self.shear, [width, height]
        )
        drawn = [(float(v), float(v)) for v in (angle, factor, *shear)]
        pixels = (float(shift[0]), float(shift[1]))
        return apply_step(
            type(self).__name__,
            img,
            lambda pillow: self._native(drawn[0], pixels, False, drawn[1], drawn[2], drawn[3], pillow),
        )

    def _step(self, pillow: bool) -> _C.ImageStep:
        low, high = arguments.angles("RandomAffine", "degrees", self.degrees)
        shear = [*(self.shear or [0.0, 0.0]), 0.0, 0.0]
        return self._native(
            (low, high),
            (0.0, 0.0) if self.translate is None else (self.translate[0], self.translate[1]),
            True,
            (1.0, 1.0) if self.scale is None else (self.scale[0], self.scale[1]),
            (shear[0], shear[1]),
            (shear[2], shear[3]),
            pillow,
        )

    def _native(
        self,
        degrees: Pair,
        translate: Pair,
        fractions: bool,
        scale: Pair,
        shear_x: Pair,
        shear_y: Pair,
        pillow: bool,
    ) -> _C.ImageStep:
        center = None if self.center is None else (self.center[0], self.center[1])
        fill = arguments.fill_values("RandomAffine", self.fill)
        mode = self.interpolation.value
        return _C.affine_step(
            degrees, translate, fractions, scale, shear_x, shear_y, mode, center, fill, pillow
        )

    def __repr__(self) -> str:
        text = f"{type(self).__name__}(degrees={self.degrees}"
        for name in ("translate", "scale", "shear"):
            if getattr(self, name) is not None:
                text += f", {name}={getattr(self, name)}"
        if self.interpolation is not InterpolationMode.NEAREST:
            text += f", interpolation={self.interpolation.value}"
        text += f", fill={self.fill}" if self.fill != 0 else ""
        text += f", center={self.center}" if self.center is not None else ""
        return text + ")"
