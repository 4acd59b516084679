"""Flips, rotations and affine maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnx import _C
from cnnx.transforms import arguments
from cnnx.transforms.base import ImageTransform, draws_as, native, uniform
from cnnx.transforms.images import apply_step, image_size
from cnnx.transforms.interpolation import InterpolationMode, interpolation_mode, mode_name

Range = tuple[float, float]
WARP_MODES = (InterpolationMode.NEAREST, InterpolationMode.BILINEAR)


class _RandomFlip(ImageTransform):
    _horizontal: bool

    def __init__(self, p: float = 0.5) -> None:
        self.p = arguments.probability(type(self).__name__, p)

    def _step(self, pillow: bool) -> _C.ImageStep:
        return _C.flip_step(self._horizontal, self.p)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


@native
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


@native
class RandomVerticalFlip(_RandomFlip):
    """Top and bottom swapped with probability `p`.

    Parameters
    ----------
    p
        Between 0 and 1.
    """

    _horizontal = False


@native
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
        self._step(True)  # checks the rest

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """A random angle within `degrees`, (low, high).

        One that a subclass or an object defines is asked for each image.
        """
        return uniform(degrees[0], degrees[1])

    def _step(self, pillow: bool) -> _C.ImageStep:
        low, high = arguments.angles("RandomRotation", "degrees", self.degrees)
        return self._rotation(low, high, pillow)

    def _rotation(self, low: float, high: float, pillow: bool) -> _C.ImageStep:
        center = None if self.center is None else (self.center[0], self.center[1])
        mode = interpolation_mode("RandomRotation", self.interpolation, WARP_MODES).value
        fill = arguments.fill_values("RandomRotation", self.fill)
        return _C.rotation_step((low, high), mode, self.expand, center, fill, pillow)

    def forward(self, img: Any) -> Any:
        """The rotated `img`."""
        if draws_as(RandomRotation, self):
            return super().forward(img)
        angle = float(self.get_params(self.degrees))
        return apply_step("RandomRotation", img, lambda pillow: self._rotation(angle, angle, pillow))

    def _in_batches(self) -> bool:
        return not self.expand

    def __repr__(self) -> str:
        center = "" if self.center is None else f", center={self.center}"
        return (
            f"{type(self).__name__}(degrees={self.degrees}, interpolation={mode_name(self.interpolation)}, "
            f"expand={self.expand}{center}, fill={self.fill})"
        )


@native
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
        self.center = None if center is None else arguments.numbers(op, "center", center, (2,))
        self._step(True)  # checks the rest

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """A random angle, shift (x, y) in pixels, factor, and shear along x and y in degrees.

        One that a subclass or an object defines is asked for each image; `img_size` is (width, height).
        """
        angle = uniform(degrees[0], degrees[1])
        x, y = (
            round(uniform(-part * extent, part * extent))
            for part, extent in zip(translate or (0.0, 0.0), img_size, strict=True)
        )
        scale = 1.0 if scale_ranges is None else uniform(scale_ranges[0], scale_ranges[1])
        ranges = [*(shears or [0.0, 0.0]), 0.0, 0.0]
        return angle, (x, y), scale, (uniform(ranges[0], ranges[1]), uniform(ranges[2], ranges[3]))

    def _step(self, pillow: bool) -> _C.ImageStep:
        low, high = arguments.angles("RandomAffine", "degrees", self.degrees)
        shear = [0.0] if self.shear is None else arguments.angles("RandomAffine", "shear", self.shear, (2, 4))
        shear = [*shear, 0.0, 0.0, 0.0]
        return self._affine(
            (low, high),
            (0.0, 0.0) if self.translate is None else (self.translate[0], self.translate[1]),
            True,
            (1.0, 1.0) if self.scale is None else (self.scale[0], self.scale[1]),
            (shear[0], shear[1]),
            (shear[2], shear[3]),
            pillow,
        )

    def _affine(
        self,
        degrees: Range,
        translate: Range,
        fractions: bool,
        scale: Range,
        shear_x: Range,
        shear_y: Range,
        pillow: bool,
    ) -> _C.ImageStep:
        mode = interpolation_mode("RandomAffine", self.interpolation, WARP_MODES).value
        center = None if self.center is None else (self.center[0], self.center[1])
        fill = arguments.fill_values("RandomAffine", self.fill)
        return _C.affine_step(
            degrees, translate, fractions, scale, shear_x, shear_y, mode, center, fill, pillow
        )

    def forward(self, img: Any) -> Any:
        """The `img` through its map."""
        if draws_as(RandomAffine, self):
            return super().forward(img)
        _, height, width = image_size("RandomAffine", img)
        size = [width, height]
        angle, (x, y), scale, (shear_x, shear_y) = self.get_params(
            self.degrees, self.translate, self.scale, self.shear, size
        )
        degrees, factor, along_x, along_y = ((float(v), float(v)) for v in (angle, scale, shear_x, shear_y))
        return apply_step(
            "RandomAffine",
            img,
            lambda pillow: self._affine(degrees, (x, y), False, factor, along_x, along_y, pillow),
        )

    def __repr__(self) -> str:
        text = f"{type(self).__name__}(degrees={self.degrees}"
        for name in ("translate", "scale", "shear"):
            if getattr(self, name) is not None:
                text += f", {name}={getattr(self, name)}"
        if self.interpolation is not InterpolationMode.NEAREST:
            text += f", interpolation={mode_name(self.interpolation)}"
        text += f", fill={self.fill}" if self.fill != 0 else ""
        text += f", center={self.center}" if self.center is not None else ""
        return text + ")"
