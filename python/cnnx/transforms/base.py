"""What the native transforms share."""

from __future__ import annotations

from typing import Any

from cnnx import _C
from cnnx.transforms.images import apply_step


class ImageTransform:
    """Base of transforms with a native step: a subclass has `_step`.

    A PIL image (modes L, RGB, F), a NumPy array (H, W) or (H, W, C) of uint8 or floats, or a tensor (..., H,
    W) gives the same kind back. PIL images and arrays follow Pillow's arithmetic to the bit, tensors
    torchvision's of tensors. Random parameters come from the generator that `cnnx.manual_seed` seeds, one
    call for each image; a `DataLoader` draws them for whole batches, keyed by pass and image. Gradients pass
    through to tensors that require one.

    A subclass may define `forward`, `__call__` or, where there is one, `get_params`: those are then called,
    for each image.
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
        """`forward(img)`."""
        return self.forward(img)


def as_defined(transform: ImageTransform) -> bool:
    """True if nothing of `transform` is a user's own: neither its class nor a method set on the object."""
    kind = type(transform)
    return kind.__module__.startswith("cnnx.transforms.") and not any(
        callable(getattr(kind, name, None)) for name in vars(transform)
    )


def own_parameters(transform: ImageTransform) -> bool:
    """True if a subclass, or the object, has a `get_params` of its own."""
    defines = next(kind for kind in type(transform).__mro__ if "get_params" in vars(kind))
    return not defines.__module__.startswith("cnnx.transforms.") or "get_params" in vars(transform)


def is_native(transform: Any) -> bool:
    """True if the native steps of `transform` do for a whole batch what calling it does for each image."""
    return isinstance(transform, ImageTransform) and as_defined(transform) and transform._in_batches()
