"""Helpers around training: `cnnx.utils.data`."""

from __future__ import annotations

from cnnx.utils import data

__all__ = ["data"]
