"""cnnx: small, fast convolutional networks in the PyTorch dialect.

Tensors, gradients and functions live here; layers in `cnnx.nn`, update rules in `cnnx.optim`, data in `cnnx.datasets`,
`cnnx.transforms` and `cnnx.utils.data`.
"""

from __future__ import annotations

import importlib
from typing import Any

from cnnx import _C, accelerator, autograd, backends, cuda, random
from cnnx import creation as _creation
from cnnx._C import __version__, get_num_threads, set_num_threads
from cnnx.autograd import *
from cnnx.creation import *
from cnnx.devices import device
from cnnx.dlpack import from_dlpack
from cnnx.dtypes import (
    bool,
    double,
    dtype,
    finfo,
    float,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int,
    int32,
    int64,
    long,
    set_default_dtype,
    uint8,
)
from cnnx.indexing import *
from cnnx.pointwise import *
from cnnx.printing import set_printoptions
from cnnx.random import *
from cnnx.reduction import *
from cnnx.shaping import *
from cnnx.size import Size
from cnnx.tensor import Tensor

# The function, which the submodule of the same name hid when it was imported.
tensor = _creation.tensor

inf = _creation.inf
nan = _creation.nan
pi = _creation.pi
e = _creation.e

# Loaded when first used, so that `import cnnx` stays quick.
_SUBMODULES = ("cli", "datasets", "nn", "optim", "serialization", "transforms", "utils")
_LAZY = {"save": "serialization", "load": "serialization"}


def use_deterministic_algorithms(mode: Any, *, warn_only: Any = False) -> None:
    """Does nothing: cnnx's results are the same to the bit for any number of threads already."""


def set_float32_matmul_precision(precision: str) -> None:
    """Does nothing: products of float32 are computed in float32 always, which every setting allows."""
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"set_float32_matmul_precision: highest, high or medium, got {precision!r}")


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"cnnx.{name}")
    if name in _LAZY:
        return getattr(importlib.import_module(f"cnnx.{_LAZY[name]}"), name)
    raise AttributeError(
        f"cnnx has no function {name!r}; it covers what small convolutional networks need (see the documentation for what is there)"
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_LAZY})
