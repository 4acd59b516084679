"""Images of all kinds into the native transforms and back: PIL images, arrays and tensors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnx import _C
from cnnx.tensor import Tensor

#: Makes the native step, by the rules for PIL images (True) or for tensors.
StepFor = Callable[[bool], _C.ImageStep]

_PIL_MODES = ("L", "RGB", "F")


def is_pil_image(value: Any) -> bool:
    """True for a PIL image."""
    # One exists only if somebody imported PIL.
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def image_size(op: str, img: Any) -> tuple[int, int, int]:
    """Channels, height and width of a PIL image, an array (H, W) or (H, W, C), or a tensor (..., H, W)."""
    if isinstance(img, Tensor):
        if img.ndim < 2:
            raise TypeError(f"{op}: needs a tensor of shape (..., H, W), got {tuple(img.shape)}")
        return (img.shape[-3] if img.ndim > 2 else 1), img.shape[-2], img.shape[-1]
    if isinstance(img, np.ndarray):
        if img.ndim not in (2, 3):
            raise ValueError(f"{op}: needs an array of shape (H, W) or (H, W, C), got {img.shape}")
        return (img.shape[2] if img.ndim == 3 else 1), img.shape[0], img.shape[1]
    if is_pil_image(img):
        return len(img.getbands()), img.height, img.width
    raise TypeError(f"{op}: needs a PIL image, a NumPy array or a tensor, got {type(img).__name__}")


def apply_step(op: str, img: Any, step_for: StepFor) -> Any:
    """The transformed image, of the same kind as `img`.

    Bytes of PIL images and arrays follow Pillow's arithmetic, tensors torchvision's of tensors.

    Raises
    ------
    TypeError
        If `img` is no image, or of a mode or dtype that transforms do not take.
    """
    image_size(op, img)
    if isinstance(img, Tensor):
        return _transform_tensor(img, step_for)
    if isinstance(img, np.ndarray):
        return _transform_array(op, img, step_for)
    if img.mode not in _PIL_MODES:
        raise TypeError(
            f"{op}: needs a PIL image of mode {', '.join(_PIL_MODES)}, got {img.mode}; convert it first"
        )
    from PIL import Image

    result = _transform_array(op, np.asarray(img), step_for)
    return Image.fromarray(np.ascontiguousarray(result))


def _transform_array(op: str, array: np.ndarray[Any, Any], step_for: StepFor) -> np.ndarray[Any, Any]:
    if array.dtype not in (np.uint8, np.float32, np.float64):
        raise TypeError(f"{op}: needs an array of uint8, float32 or float64, got {array.dtype}")
    planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    image = _C.from_numpy(np.ascontiguousarray(planes), True)
    result: np.ndarray[Any, Any] = _C.numpy(_C.transform_image(image, step_for(True)))
    # One channel has its axis only where the image had one.
    flat = result.shape[0] == 1 and (array.ndim == 2 or array.shape[2] != 1)
    pixels: np.ndarray[Any, Any] = result[0] if flat else result.transpose(1, 2, 0)
    return pixels


def _transform_tensor(tensor: Tensor, step_for: StepFor) -> Tensor:
    # Leading dimensions share the parameters: they are channels to the native code.
    lead, (height, width) = tuple(tensor.shape[:-2]), tensor.shape[-2:]
    channels = int(np.prod(lead[:-1], dtype=np.int64)) * (lead[-1] if lead else 1)
    image = tensor.reshape(channels, height, width)
    exact = tensor.dtype in (_C.DType.uint8, _C.DType.float32, _C.DType.float64)
    result = _C.transform_image(image if exact else image.double(), step_for(False))
    if not exact:
        result = (result if tensor.dtype == _C.DType.bool else result.round()).to(tensor.dtype)
    shape = (*lead[:-1], result.shape[0] if len(lead) <= 1 else lead[-1])
    if not lead and result.shape[0] == 1:
        shape = ()
    return result.reshape(*shape, *result.shape[-2:])
