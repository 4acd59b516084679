"""CUDA as scripts ask for it. This build has no CUDA backend: `is_available()` is False."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """Whether tensors can live on a GPU: not in this build."""
    return False


def device_count() -> int:
    """The number of GPUs cnnx can use: 0 in this build."""
    return 0


def manual_seed(seed: int) -> None:
    """Seeds the generator of the current GPU; without one there is nothing to seed."""


def manual_seed_all(seed: int) -> None:
    """Seeds the generators of all GPUs; without one there is nothing to seed."""


def empty_cache() -> None:
    """Gives cached GPU memory back; without a GPU there is none."""


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"cnnx.cuda.{name}: this build of cnnx has no CUDA backend; cnnx.cuda.is_available() is False"
    )
