"""Helpers around training: `cnnx.utils.data`, and batches as pictures."""

from __future__ import annotations

from cnnx.utils import data
from cnnx.utils.grid import make_grid, save_image

__all__ = ["data", "make_grid", "save_image"]
