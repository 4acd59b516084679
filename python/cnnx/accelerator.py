"""The accelerator, if there is one: a CUDA device."""

from __future__ import annotations

from cnnx import cuda, devices


def is_available() -> bool:
    """Whether there is an accelerator that tensors can live on."""
    return cuda.is_available()


def device_count() -> int:
    """The number of accelerators."""
    return cuda.device_count()


def current_accelerator(check_available: bool = False) -> devices.device | None:
    """The accelerator's device, or None if there is none."""
    return devices.device("cuda") if cuda.is_available() else None
