"""cnnx: small, fast convolutional networks in the PyTorch dialect.

Tensors, gradients and functions live here; layers in `cnnx.nn`, update rules in `cnnx.optim`, data in
`cnnx.datasets`, `cnnx.transforms` and `cnnx.utils.data`.
"""

from __future__ import annotations

import importlib
from typing import Any

from cnnx import _C as _C
from cnnx import accelerator as accelerator
from cnnx import autograd as autograd
from cnnx import backends as backends
from cnnx import creation as _creation
from cnnx import cuda as cuda
from cnnx import linalg as linalg
from cnnx import random as random
from cnnx._C import __version__ as __version__
from cnnx.absent import names_of as _names_of
from cnnx.autograd import *
from cnnx.comparison import *
from cnnx.creation import *
from cnnx.devices import device as device
from cnnx.devices import get_default_device as get_default_device
from cnnx.devices import set_default_device as set_default_device
from cnnx.dlpack import from_cuda_array as from_cuda_array
from cnnx.dlpack import from_dlpack as from_dlpack
from cnnx.dtypes import bool as bool
from cnnx.dtypes import double as double
from cnnx.dtypes import dtype as dtype
from cnnx.dtypes import finfo as finfo
from cnnx.dtypes import float as float
from cnnx.dtypes import float32 as float32
from cnnx.dtypes import float64 as float64
from cnnx.dtypes import get_default_dtype as get_default_dtype
from cnnx.dtypes import iinfo as iinfo
from cnnx.dtypes import int as int
from cnnx.dtypes import int32 as int32
from cnnx.dtypes import int64 as int64
from cnnx.dtypes import long as long
from cnnx.dtypes import set_default_dtype as set_default_dtype
from cnnx.dtypes import uint8 as uint8
from cnnx.indexing import *
from cnnx.joining import *
from cnnx.layouts import channels_last as channels_last
from cnnx.layouts import contiguous_format as contiguous_format
from cnnx.layouts import memory_format as memory_format
from cnnx.layouts import preserve_format as preserve_format
from cnnx.performance import PerformanceWarning as PerformanceWarning
from cnnx.plans import compile as compile
from cnnx.pointwise import *
from cnnx.printing import set_printoptions as set_printoptions
from cnnx.processor import *
from cnnx.products import *
from cnnx.random import *
from cnnx.reduction import *
from cnnx.scans import *
from cnnx.shaping import *
from cnnx.signatures import checked as _checked
from cnnx.size import Size as Size
from cnnx.sorting import *
from cnnx.statistics import *
from cnnx.tensor import Tensor as Tensor
from cnnx.unary import *

# The function, which the submodule of the same name hid when it was imported.
tensor = _creation.tensor

inf = _creation.inf
nan = _creation.nan
pi = _creation.pi
e = _creation.e

# Loaded when first used, so that `import cnnx` stays quick.
_SUBMODULES = (
    "amp",
    "attribution",
    "cli",
    "datasets",
    "distributions",
    "modelinfo",
    "nn",
    "onnx",
    "optim",
    "plot",
    "profiler",
    "serialization",
    "signal",
    "sklearn",
    "special",
    "training",
    "transforms",
    "utils",
)
_LAZY = {
    "export_c": "c_export",
    "save": "serialization",
    "load": "serialization",
    "autocast": "amp",
    "bfloat16": "amp",
    "fit": "training",
    "summary": "modelinfo",
    # Those functions of nn.functional that PyTorch has here too, with the same arguments.
    **dict.fromkeys(
        (
            "adaptive_avg_pool1d", "avg_pool1d", "bilinear", "celu", "channel_shuffle", "conv1d", "conv2d",
            "conv_transpose1d", "conv_transpose2d", "cosine_similarity", "pairwise_distance", "pixel_shuffle",
            "pixel_unshuffle", "prelu", "selu",
        ),
        "nn.functional",
    ),
}  # fmt: skip


def use_deterministic_algorithms(mode: Any, *, warn_only: Any = False) -> None:
    """Does nothing: cnnx's results are the same to the bit for any number of threads already."""


def are_deterministic_algorithms_enabled() -> Any:
    """True: cnnx has no others."""
    return True


def get_float32_matmul_precision() -> str:
    """``"highest"``, always."""
    return "highest"


def get_num_interop_threads() -> Any:
    """1: functions run one after the other."""
    return 1


@_checked
def is_nonzero(input: Tensor) -> Any:
    """Whether the single element of a tensor differs from 0."""
    return input.is_nonzero()


def is_complex(input: Tensor) -> Any:
    """False: there are no complex numbers."""
    return False


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that holds two others."""
    return _C.promote(type1, type2)


def set_float32_matmul_precision(precision: str) -> None:
    """Does nothing: products of float32 are computed in float32 always, which every setting allows."""
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"set_float32_matmul_precision: highest, high or medium, got {precision!r}")


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"cnnx.{name}")
    if name in _LAZY:
        return getattr(importlib.import_module(f"cnnx.{_LAZY[name]}"), name)
    if name.endswith("_") and not name.startswith("_") and hasattr(Tensor, name):
        return getattr(Tensor, name)  # `relu_(x)` is `x.relu_()`
    return _missing(name)


_missing = _names_of(__name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_LAZY})
