"""Helpers around training: `cnnx.utils.data`, checkpoints, TensorBoard, and batches as pictures."""

from __future__ import annotations

from cnnx.absent import names_of as _names_of
from cnnx.utils import checkpoint, data, tensorboard
from cnnx.utils.grid import make_grid, save_image

__all__ = ["checkpoint", "data", "make_grid", "save_image", "tensorboard"]

__getattr__ = _names_of(__name__)
