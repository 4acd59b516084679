"""What the native transforms share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from cnnx import _C
from cnnx.random import rand, randint
from cnnx.shortcuts import AsShipped
from cnnx.transforms import arguments
from cnnx.transforms.images import apply_step

#: What may be done natively for whole batches, while it is of the very type and nothing of it is changed.
_SHIPPED: dict[type, AsShipped] = {}
Transform = TypeVar("Transform")
_CALLED = ("__call__", "forward", "_step", "_in_batches", "get_params", "values")


def native(cls: type[Transform]) -> type[Transform]:
    """Registers a transform class of this package as one that batches may stand for."""
    _SHIPPED[cls] = AsShipped(cls, _CALLED)
    return cls


def is_shipped(transform: Any) -> bool:
    """True if `transform` is of a registered class itself (no subclass) and runs its methods unchanged."""
    shipped = _SHIPPED.get(type(transform))
    return shipped is not None and shipped.holds_for(transform)


class ImageTransform:
    """Base of transforms with a native step: a subclass has `_step`, or a `forward` of its own.

    A PIL image (modes L, RGB, F), a NumPy array (H, W) or (H, W, C) of uint8 or floats, or a tensor (..., H,
    W) gives the same kind back. PIL images and arrays follow Pillow's arithmetic to the bit, tensors
    torchvision's of tensors. Random parameters come from the generator that `cnnx.manual_seed` seeds, one
    call for each image; a `DataLoader` draws them for whole batches, keyed by pass and image. Gradients pass
    through to tensors that require one.

    A subclass or an object may define `forward`, `__call__` or, where there is one, `get_params`: those are
    then called, for each image.
    """

    def _step(self, pillow: bool) -> _C.ImageStep:
        """The native step, by the rules for PIL images or for tensors."""
        raise NotImplementedError(f"{type(self).__name__}: an image transform needs _step")

    def _in_batches(self) -> bool:
        """Whether all images of a size get one size, and the native step does all."""
        return True

    def forward(self, img: Any) -> Any:
        """The transformed `img`."""
        return apply_step(type(self).__name__, img, self._step)

    def __call__(self, img: Any) -> Any:
        """The transformed `img`: what `forward` gives."""
        return self.forward(img)


class Sometimes(ImageTransform):
    """Base of transforms that are made with probability `p`: a subclass has `_changed`.

    Parameters
    ----------
    p
        Between 0 and 1.
    """

    #: The attributes that it prints.
    _shown: tuple[str, ...] = ("p",)

    def __init__(self, p: float = 0.5) -> None:
        self.p = arguments.probability(type(self).__name__, p)

    def _changed(self, img: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: needs _changed")

    def forward(self, img: Any) -> Any:
        """The image, changed or as it is."""
        return self._changed(img) if uniform(0, 1) < self.p else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}({','.join(f'{name}={getattr(self, name)}' for name in self._shown)})"


def is_native(transform: Any) -> bool:
    """True if a native step does all that `transform` does to an image, in batches too."""
    return isinstance(transform, ImageTransform) and is_shipped(transform) and transform._in_batches()


def draws_as(cls: type, transform: Any) -> bool:
    """True if the random parameters of `transform` are those of `cls`: no other `get_params` was put in."""
    return _SHIPPED[cls].runs(transform, "get_params")


def uniform(low: float, high: float) -> float:
    """A random number between two, from the generator that `cnnx.manual_seed` seeds."""
    return low + (high - low) * float(rand(1, device="cpu").item())


def below(count: int) -> int:
    """A random int from 0 to count - 1, from the same generator."""
    return int(randint(0, count, (1,), device="cpu").item())


def listed(transforms: Iterable[Any]) -> str:
    """Transforms as they print within another one, each on a line of its own."""
    return "".join(f"\n    {transform}" for transform in transforms)
