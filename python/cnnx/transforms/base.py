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
    call for each image; a `DataLoader` draws them for whole batches, keyed by pass and image.
    """

    def _step(self, pillow: bool) -> _C.ImageStep:
        """The native step, by the rules for PIL images or for tensors."""
        raise NotImplementedError(f"{type(self).__name__}: an image transform needs _step")

    def _in_batches(self) -> bool:
        """Whether all images of a size get one size, and the native step does all."""
        return True

    def __call__(self, img: Any) -> Any:
        """The transformed `img`."""
        return apply_step(type(self).__name__, img, self._step)


def is_native(transform: Any) -> bool:
    """True if `transform` is a native one, called as it is: no subclass with a `__call__` of its own."""
    return (
        isinstance(transform, ImageTransform)
        and type(transform).__module__.startswith("cnnx.transforms.")
        and transform._in_batches()
    )
