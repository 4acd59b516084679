"""The loader under the name of PyTorch's module: `from cnnx.utils.data.dataloader import DataLoader`."""

from __future__ import annotations

from cnnx.utils.data.collate import default_collate, default_convert
from cnnx.utils.data.loader import DataLoader, get_worker_info

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]
