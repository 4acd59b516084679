"""Tensors and arrays as PIL images."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx.pictures import pillow
from cnnx.tensor import Tensor

#: By the number of channels: what a mode is by default, and which others have as many.
_MODES = {1: ("L",), 2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}
_ONE_CHANNEL = {
    np.dtype(kind): mode for kind, mode in (("u1", "L"), ("i2", "I;16"), ("i4", "I"), ("f4", "F"))
}


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor or an array as a PIL image; see `ToPILImage`."""
    image = pillow("to_pil_image")
    if isinstance(pic, Tensor):
        if pic.ndim not in (2, 3):
            raise ValueError(f"to_pil_image: takes tensors (C, H, W) or (H, W), got {tuple(pic.shape)}")
        pixels = pic.detach().cpu().numpy()
        if pixels.dtype.kind == "f" and mode != "F":
            pixels = (pixels * 255).astype(np.uint8)
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels.transpose(1, 2, 0)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"to_pil_image: takes arrays (H, W) or (H, W, C), got {pic.shape}")
        pixels = pic[..., None] if pic.ndim == 2 else pic
    else:
        raise TypeError(f"to_pil_image: takes a tensor or an array, got {type(pic).__name__}")
    channels = pixels.shape[2]
    if channels not in _MODES:
        raise ValueError(f"to_pil_image: pictures have 1 to 4 channels, got {channels}")
    if channels == 1:
        pixels = pixels[..., 0]
        if pixels.dtype not in _ONE_CHANNEL:
            raise TypeError(f"to_pil_image: there is no picture of {pixels.dtype}")
        known: tuple[str, ...] = (_ONE_CHANNEL[pixels.dtype],)
    else:
        if pixels.dtype != np.uint8:
            raise TypeError(f"to_pil_image: pictures in colour are of uint8, got {pixels.dtype}")
        known = _MODES[channels]
    if mode is not None and mode not in known:
        raise ValueError(f"to_pil_image: mode {mode} is not for this input, only {', '.join(known)}")
    made = image.fromarray(np.ascontiguousarray(pixels))
    # Of as many channels, and the same bytes.
    return made if mode in (None, made.mode) else image.merge(mode, made.split())


class ToPILImage:
    """A tensor (C, H, W) or an array (H, W, C) as a PIL image; needs Pillow.

    Parameters
    ----------
    mode
        Pillow's name of the kind; default: L, LA, RGB or RGBA by the number of channels, and for a single one
        of int16, int32 or float32 I;16, I or F.

    Notes
    -----
    Floating-point tensors are taken as 0 to 1 and rounded down to bytes, as torchvision does, unless the mode
    is F.
    """

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        """The PIL image."""
        return to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.mode is None else f'mode={self.mode}'})"
