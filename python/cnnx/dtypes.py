"""Element types and their limits."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from cnnx import _C

dtype = _C.DType

float32 = _C.DType.float32
float64 = _C.DType.float64
int64 = _C.DType.int64
int32 = _C.DType.int32
uint8 = _C.DType.uint8
bool = _C.DType.bool
# PyTorch's other names.
float = float32
double = float64
long = int64
int = int32

ALL = (float32, float64, int64, int32, uint8, bool)


def as_dtype(like: Any) -> _C.DType:
    """The cnnx dtype that `like` means.

    Parameters
    ----------
    like
        A cnnx dtype, one of the Python types `float`, `int` and `bool` (float64, int64 and bool, as in
        PyTorch), or
        whatever NumPy takes as a dtype.

    Raises
    ------
    TypeError
        If there is no such element type.

    Examples
    --------
    >>> as_dtype("float32"), as_dtype(builtins.int)
    (cnnx.float32, cnnx.int64)
    """
    if isinstance(like, _C.DType):
        return like
    named = getattr(like, "dtype", None)  # FloatTensor and its like
    if isinstance(named, _C.DType):
        return named
    try:
        found: _C.DType | None = _C.dtype_from_numpy(like)
    except TypeError:
        found = None
    if found is None:
        names = ", ".join(str(d) for d in ALL)
        raise TypeError(f"dtype: {like!r} is none of {names}")
    return found


def get_default_dtype() -> _C.DType:
    """The dtype that Python floats get: float32 unless `set_default_dtype` changed it."""
    return _C.default_dtype()


def set_default_dtype(d: Any) -> None:
    """Sets the dtype of Python floats, of `zeros`, `rand` and their like, and of real results of integers.

    Raises
    ------
    TypeError
        If `d` is neither float32 nor float64.
    """
    _C.set_default_dtype(as_dtype(d))


def numpy_dtype(d: _C.DType) -> np.dtype[Any]:
    """The NumPy dtype of a cnnx dtype."""
    return np.dtype(d.name)


class finfo:  # noqa: N801
    """Limits of a floating-point dtype.

    `eps`, `max`, `min`, `tiny`, `smallest_normal`, `resolution`, `bits`, `dtype`.

    Parameters
    ----------
    type
        float32 or float64; default: the default dtype.

    Examples
    --------
    >>> finfo(float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, type: Any = None) -> None:
        chosen = get_default_dtype() if type is None else as_dtype(type)
        if not chosen.is_floating_point:
            raise TypeError(f"finfo: needs float32 or float64, got {chosen}; use iinfo")
        info = np.finfo(chosen.name)
        self.dtype = chosen.name
        self.bits = builtins.int(info.bits)
        self.eps = builtins.float(info.eps)
        self.max = builtins.float(info.max)
        self.min = builtins.float(info.min)
        self.tiny = self.smallest_normal = builtins.float(info.tiny)
        self.resolution = builtins.float(info.resolution)

    def __repr__(self) -> str:
        return f"finfo(dtype={self.dtype}, bits={self.bits}, min={self.min}, max={self.max}, eps={self.eps})"


class iinfo:  # noqa: N801
    """Limits of an integer dtype: `max`, `min`, `bits`, `dtype`.

    Parameters
    ----------
    type
        uint8, int32 or int64.

    Examples
    --------
    >>> iinfo(uint8).max
    255
    """

    def __init__(self, type: Any) -> None:
        chosen = as_dtype(type)
        if chosen.is_floating_point or chosen == bool:
            raise TypeError(f"iinfo: needs an integer dtype, got {chosen}")
        info = np.iinfo(chosen.name)
        self.dtype = chosen.name
        self.bits = builtins.int(info.bits)
        self.max = builtins.int(info.max)
        self.min = builtins.int(info.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
