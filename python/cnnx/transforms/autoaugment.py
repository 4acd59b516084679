"""Augmentation by several changes: AutoAugment's learnt chains, RandAugment and TrivialAugment."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from cnnx.creation import arange, linspace, tensor
from cnnx.random import rand, randint
from cnnx.tensor import Tensor
from cnnx.transforms import arguments, color, functional
from cnnx.transforms.base import ImageTransform, below
from cnnx.transforms.geometry import WARP_MODES
from cnnx.transforms.images import image_size
from cnnx.transforms.interpolation import InterpolationMode, interpolation_mode, mode_name

Fill = float | Sequence[float] | None
#: By the name of a change: its magnitudes (without a dimension: none), and whether either sign will do.
Space = dict[str, tuple[Tensor, bool]]
#: A change, its probability, and which of ten magnitudes.
Step = tuple[str, float, int | None]


class AutoAugmentPolicy(Enum):
    """The data sets that AutoAugment's chains were learnt on."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


# The published policies: a chain of two changes each, with the probability in tenths and the magnitude.
_POLICIES = {
    AutoAugmentPolicy.IMAGENET: """
        Posterize 4 8 Rotate 6 9; Solarize 6 5 AutoContrast 6 -; Equalize 8 - Equalize 6 -;
        Posterize 6 7 Posterize 6 6; Equalize 4 - Solarize 2 4; Equalize 4 - Rotate 8 8;
        Solarize 6 3 Equalize 6 -; Posterize 8 5 Equalize 10 -; Rotate 2 3 Solarize 6 8;
        Equalize 6 - Posterize 4 6; Rotate 8 8 Color 4 0; Rotate 4 9 Equalize 6 -;
        Equalize 0 - Equalize 8 -; Invert 6 - Equalize 10 -; Color 6 4 Contrast 10 8;
        Rotate 8 8 Color 10 2; Color 8 8 Solarize 8 7; Sharpness 4 7 Invert 6 -;
        ShearX 6 5 Equalize 10 -; Color 4 0 Equalize 6 -; Equalize 4 - Solarize 2 4;
        Solarize 6 5 AutoContrast 6 -; Invert 6 - Equalize 10 -; Color 6 4 Contrast 10 8;
        Equalize 8 - Equalize 6 -""",
    AutoAugmentPolicy.CIFAR10: """
        Invert 1 - Contrast 2 6; Rotate 7 2 TranslateX 3 9; Sharpness 8 1 Sharpness 9 3;
        ShearY 5 8 TranslateY 7 9; AutoContrast 5 - Equalize 9 -; ShearY 2 7 Posterize 3 7;
        Color 4 3 Brightness 6 7; Sharpness 3 9 Brightness 7 9; Equalize 6 - Equalize 5 -;
        Contrast 6 7 Sharpness 6 5; Color 7 7 TranslateX 5 8; Equalize 3 - AutoContrast 4 -;
        TranslateY 4 3 Sharpness 2 6; Brightness 9 6 Color 2 8; Solarize 5 2 Invert 0 -;
        Equalize 2 - AutoContrast 6 -; Equalize 2 - Equalize 6 -; Color 9 9 Equalize 6 -;
        AutoContrast 8 - Solarize 2 8; Brightness 1 3 Color 7 0; Solarize 4 5 AutoContrast 9 -;
        TranslateY 9 9 TranslateY 7 9; AutoContrast 9 - Solarize 8 3; Equalize 8 - Invert 1 -;
        TranslateY 7 9 AutoContrast 9 -""",
    AutoAugmentPolicy.SVHN: """
        ShearX 9 4 Invert 2 -; ShearY 9 8 Invert 7 -; Equalize 6 - Solarize 6 6;
        Invert 9 - Equalize 6 -; Equalize 6 - Rotate 9 3; ShearX 9 4 AutoContrast 8 -;
        ShearY 9 8 Invert 4 -; ShearY 9 5 Solarize 2 6; Invert 9 - AutoContrast 8 -;
        Equalize 6 - Rotate 9 3; ShearX 9 4 Solarize 3 3; ShearY 8 8 Invert 7 -;
        Equalize 9 - TranslateY 6 6; Invert 9 - Equalize 6 -; Contrast 3 3 Rotate 8 4;
        Invert 8 - TranslateY 0 2; ShearY 7 6 Solarize 4 8; Invert 6 - Rotate 8 4;
        ShearY 3 7 TranslateX 9 3; ShearX 1 6 Invert 6 -; Solarize 7 2 TranslateY 6 7;
        ShearY 8 4 Invert 8 -; ShearX 7 9 TranslateY 8 3; ShearY 8 5 AutoContrast 7 -;
        ShearX 7 2 Invert 1 -""",
}


def _steps(chain: str) -> tuple[Step, Step]:
    words = chain.split()
    first, second = (
        (name, int(tenths) / 10, None if magnitude == "-" else int(magnitude))
        for name, tenths, magnitude in (words[:3], words[3:])
    )
    return first, second


def _sheared(img: Any, x: float, y: float, how: dict[str, Any]) -> Any:
    degrees = [math.degrees(math.atan(part)) for part in (x, y)]
    return functional.affine(img, 0.0, [0, 0], 1.0, degrees, center=[0, 0], **how)


def _shifted(img: Any, x: float, y: float, how: dict[str, Any]) -> Any:
    return functional.affine(img, 0.0, [int(x), int(y)], 1.0, [0.0, 0.0], **how)


#: The changes: of an image, by a magnitude; `how` says how pixels are found and what lies outside.
CHANGES: dict[str, Callable[[Any, float, dict[str, Any]], Any]] = {
    "Identity": lambda img, m, how: img,
    "ShearX": lambda img, m, how: _sheared(img, m, 0.0, how),
    "ShearY": lambda img, m, how: _sheared(img, 0.0, m, how),
    "TranslateX": lambda img, m, how: _shifted(img, m, 0.0, how),
    "TranslateY": lambda img, m, how: _shifted(img, 0.0, m, how),
    "Rotate": lambda img, m, how: functional.rotate(img, m, **how),
    "Brightness": lambda img, m, how: color.adjust_brightness(img, 1.0 + m),
    "Color": lambda img, m, how: color.adjust_saturation(img, 1.0 + m),
    "Contrast": lambda img, m, how: color.adjust_contrast(img, 1.0 + m),
    "Sharpness": lambda img, m, how: color.adjust_sharpness(img, 1.0 + m),
    "Posterize": lambda img, m, how: color.posterize(img, int(m)),
    "Solarize": lambda img, m, how: color.solarize(img, m),
    "AutoContrast": lambda img, m, how: color.autocontrast(img),
    "Equalize": lambda img, m, how: color.equalize(img),
    "Invert": lambda img, m, how: color.invert(img),
}


def _space(
    bins: int, shear: float, shift: tuple[float, float], angle: float, factor: float, bits: int
) -> Space:
    """Magnitudes from none to those given, in equal steps; `bits` are how many posterizing takes away."""

    def up_to(most: float) -> tuple[Tensor, bool]:
        return linspace(0.0, most, bins, device="cpu"), True

    plain = (tensor(0.0, device="cpu"), False)
    taken = (arange(bins, device="cpu") / ((bins - 1) / bits)).round()
    return {
        "Identity": plain,
        "ShearX": up_to(shear),
        "ShearY": up_to(shear),
        "TranslateX": up_to(shift[0]),
        "TranslateY": up_to(shift[1]),
        "Rotate": up_to(angle),
        "Brightness": up_to(factor),
        "Color": up_to(factor),
        "Contrast": up_to(factor),
        "Sharpness": up_to(factor),
        "Posterize": (8 - taken, False),
        "Solarize": (linspace(255.0, 0.0, bins, device="cpu"), False),
        "AutoContrast": plain,
        "Equalize": plain,
        "Invert": plain,
    }


def _usual_space(bins: int, image_size: Sequence[int]) -> Space:
    """AutoAugment's and RandAugment's magnitudes for images of `image_size`, (height, width)."""
    x, y = (150.0 / 331.0 * extent for extent in (image_size[1], image_size[0]))
    return _space(bins, 0.3, (x, y), 30.0, 0.9, 4)


class _Augmentation(ImageTransform):
    """What the three share: how pixels between pixels are found, and what lies outside the image."""

    def __init__(self, interpolation: Any, fill: Fill) -> None:
        op = type(self).__name__
        self.interpolation = interpolation_mode(op, interpolation, WARP_MODES)
        self.fill = fill
        if fill is not None:
            arguments.fill_values(op, fill)

    def _change(self, img: Any, name: str, magnitude: float, negative: bool) -> Any:
        how = {"interpolation": self.interpolation, "fill": self.fill}
        return CHANGES[name](img, -magnitude if negative else magnitude, how)

    def _bins(self, num_magnitude_bins: int) -> int:
        if num_magnitude_bins < 2:
            op = type(self).__name__
            raise ValueError(f"{op}: num_magnitude_bins must be 2 or more, got {num_magnitude_bins}")
        return num_magnitude_bins

    def _drawn(self, img: Any, space: Space, which: Callable[[int], int]) -> Any:
        """The image after a random change, with one of its magnitudes and a random sign."""
        name = list(space)[below(len(space))]
        magnitudes, signed = space[name]
        magnitude = float(magnitudes[which(len(magnitudes))].item()) if magnitudes.ndim else 0.0
        return self._change(img, name, magnitude, signed and below(2) == 1)


class AutoAugment(_Augmentation):
    """One of 25 chains of two changes each that were learnt on a data set.

    Parameters
    ----------
    policy
        Which data set: an `AutoAugmentPolicy`. Default: ImageNet.
    interpolation
        `InterpolationMode.NEAREST` or `BILINEAR`, or Pillow's constants for them.
    fill
        Value outside the image, or one per channel. Default: 0.

    Raises
    ------
    ValueError
        If an argument is none of these.
    TypeError
        When called, if the image is a tensor that is not of uint8.

    Notes
    -----
    E. Cubuk et al., "AutoAugment: learning augmentation strategies from data" (2019).
    """

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Fill = None,
    ) -> None:
        super().__init__(interpolation, fill)
        self.policy = policy
        self.policies = self._get_policies(policy)

    def _get_policies(self, policy: AutoAugmentPolicy) -> list[tuple[Step, Step]]:
        if not isinstance(policy, AutoAugmentPolicy):
            raise ValueError(f"AutoAugment: policy must be an AutoAugmentPolicy, got {policy!r}")
        return [_steps(chain) for chain in _POLICIES[policy].split(";")]

    def _augmentation_space(self, num_bins: int, image_size: Sequence[int]) -> Space:
        return _usual_space(num_bins, image_size)

    @staticmethod
    def get_params(transform_num: int) -> tuple[int, Tensor, Tensor]:
        """A random chain of so many, and for both its changes a number below 1 and a sign, 0 for minus."""
        return below(transform_num), rand(2, device="cpu"), randint(0, 2, (2,), device="cpu")

    def forward(self, img: Any) -> Any:
        """The changed image."""
        _, height, width = image_size("AutoAugment", img)
        chain, chances, signs = self.get_params(len(self.policies))
        space = self._augmentation_space(10, (height, width))
        for i, (name, p, which) in enumerate(self.policies[chain]):
            if chances[i] <= p:
                magnitudes, signed = space[name]
                magnitude = 0.0 if which is None else float(magnitudes[which].item())
                img = self._change(img, name, magnitude, signed and int(signs[i]) == 0)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(policy={self.policy}, fill={self.fill})"


class RandAugment(_Augmentation):
    """Several random changes, all of one strength.

    Parameters
    ----------
    num_ops
        How many. Default: 2.
    magnitude
        Which of the magnitudes, from 0 to `num_magnitude_bins` - 1. Default: 9.
    num_magnitude_bins
        How many magnitudes there are. Default: 31.
    interpolation, fill
        As of `AutoAugment`.

    Raises
    ------
    ValueError
        If there is no such magnitude.
    TypeError
        When called, if the image is a tensor that is not of uint8.

    Notes
    -----
    E. Cubuk et al., "RandAugment: practical automated data augmentation with a reduced search space" (2020).
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Fill = None,
    ) -> None:
        super().__init__(interpolation, fill)
        self.num_magnitude_bins = self._bins(num_magnitude_bins)
        if num_ops < 0 or not 0 <= magnitude < num_magnitude_bins:
            raise ValueError(
                f"RandAugment: num_ops must not be negative and magnitude below {num_magnitude_bins}, got "
                f"{num_ops} and {magnitude}"
            )
        self.num_ops, self.magnitude = num_ops, magnitude

    def _augmentation_space(self, num_bins: int, image_size: Sequence[int]) -> Space:
        space = _usual_space(num_bins, image_size)
        del space["Invert"]
        return space

    def forward(self, img: Any) -> Any:
        """The changed image."""
        _, height, width = image_size("RandAugment", img)
        space = self._augmentation_space(self.num_magnitude_bins, (height, width))
        for _ in range(self.num_ops):
            img = self._drawn(img, space, lambda count: self.magnitude)
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_ops={self.num_ops}, magnitude={self.magnitude}, "
            f"num_magnitude_bins={self.num_magnitude_bins}, interpolation={mode_name(self.interpolation)}, "
            f"fill={self.fill})"
        )


class TrivialAugmentWide(_Augmentation):
    """One random change of a random strength, from a wide range.

    Parameters
    ----------
    num_magnitude_bins
        How many magnitudes there are. Default: 31.
    interpolation, fill
        As of `AutoAugment`.

    Raises
    ------
    ValueError
        If there are fewer than two magnitudes.
    TypeError
        When called, if the image is a tensor that is not of uint8.

    Notes
    -----
    S. Müller and F. Hutter, "TrivialAugment: tuning-free yet state-of-the-art data augmentation" (2021).
    """

    def __init__(
        self, num_magnitude_bins: int = 31, interpolation: Any = InterpolationMode.NEAREST, fill: Fill = None
    ) -> None:
        super().__init__(interpolation, fill)
        self.num_magnitude_bins = self._bins(num_magnitude_bins)

    def _augmentation_space(self, num_bins: int) -> Space:
        space = _space(num_bins, 0.99, (32.0, 32.0), 135.0, 0.99, 6)
        del space["Invert"]
        return space

    def forward(self, img: Any) -> Any:
        """The changed image."""
        image_size("TrivialAugmentWide", img)
        return self._drawn(img, self._augmentation_space(self.num_magnitude_bins), below)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_magnitude_bins={self.num_magnitude_bins}, "
            f"interpolation={mode_name(self.interpolation)}, fill={self.fill})"
        )
