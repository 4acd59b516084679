"""The suite on another device: `CNNX_TEST_DEVICE=cuda pytest`.

The tests are written as for the CPU. There tensors are made on the device by default, and what crosses the
border between tensors and NumPy is copied to and from it. That holds for callers outside the package
alone: within it nothing is replaced, so an op that takes a tensor on the device to NumPy fails as it would
for a user.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import cnnx
from cnnx import _C

DEVICE = os.environ.get("CNNX_TEST_DEVICE", "cpu")


def outside(original: Callable[..., Any], replacement: Callable[..., Any]) -> Callable[..., Any]:
    """The original for the package, the replacement for everybody else."""

    @functools.wraps(original)
    def call(*arguments: Any, **keywords: Any) -> Any:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        inside = caller == "cnnx" or caller.startswith("cnnx.")
        return (original if inside else replacement)(*arguments, **keywords)

    return call


def use(device: str) -> None:
    """Moves the tests to a device, for the rest of the process."""
    cnnx.set_default_device(device)
    native_numpy, native_from_numpy = _C.numpy, _C.from_numpy
    numpy, array, shared = cnnx.Tensor.numpy, cnnx.Tensor.__array__, cnnx.from_numpy

    def on_cpu(tensor: Any) -> Any:
        return _C.to_device(tensor, "cpu")

    def checked(tensor: Any, *, force: bool = False) -> np.ndarray:
        # What requires a gradient is refused before anything is copied.
        return numpy(tensor if tensor.requires_grad and not force else on_cpu(tensor), force=force)

    def as_array(tensor: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return array(tensor if tensor.requires_grad else on_cpu(tensor), dtype, copy)

    def from_numpy(values: np.ndarray) -> cnnx.Tensor:
        return shared(values).to(device)

    cnnx.from_numpy = outside(shared, from_numpy)
    cnnx.Tensor.numpy = outside(numpy, checked)
    cnnx.Tensor.__array__ = outside(array, as_array)
    _C.numpy = outside(native_numpy, lambda tensor: native_numpy(on_cpu(tensor)))
    _C.from_numpy = outside(native_from_numpy, lambda *a: _C.to_device(native_from_numpy(*a), device))
    # The lanes layout is the CPU's: a device is like a target without lanes.
    _C.lane_count = outside(_C.lane_count, lambda: 1)
