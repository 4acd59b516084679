"""Transforms one after the other, and functions as transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cnnx.transforms.base import listed, native


@native
class Compose:
    """Several transforms, one after the other.

    Parameters
    ----------
    transforms
        Callables; each gets what the one before returned.

    Examples
    --------
    >>> from cnnx.transforms import Normalize, ToTensor
    >>> Compose([ToTensor(), Normalize((0.5,), (0.5,))])
    Compose(
        ToTensor()
        Normalize(mean=(0.5,), std=(0.5,))
    )
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, img: Any) -> Any:
        """Applies the transforms to `img`."""
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}({listed(self.transforms)}\n)"


class Lambda:
    """A function as a transform.

    Parameters
    ----------
    lambd
        Called with the image.
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Lambda: needs a callable, got {type(lambd).__name__}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        """`lambd(img)`."""
        return self.lambd(img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
