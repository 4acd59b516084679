"""Tensors made from data and from numbers."""

from __future__ import annotations

import builtins
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import _C, dlpack
from cnnx.devices import CPU, as_device, device_of
from cnnx.dtypes import as_dtype, float32, float64, get_default_dtype, int32, int64, numpy_dtype, uint8
from cnnx.dtypes import bool as bool_
from cnnx.layouts import accept, preserve_format
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


inf = math.inf
nan = math.nan
pi = math.pi
e = math.e

_LARGEST = 3.4028234663852886e38  # float32


def _marked(result: Tensor, requires_grad: bool) -> Tensor:
    if requires_grad:
        result.requires_grad = True
    return result


def _finish(op: str, result: Tensor, device: Any, requires_grad: bool) -> Tensor:
    where = as_device(op, device)
    if where is not CPU or result.is_cuda:
        result = _C.to_device(result, str(where))
    return _marked(result, requires_grad)


def _create(op: str, native: Any, *arguments: Any, device: Any, requires_grad: bool) -> Tensor:
    """What a native function of creation makes where it is wanted; the device is its last argument."""
    where = as_device(op, device)
    result: Tensor = native(*arguments) if where is CPU else native(*arguments, str(where))
    return _marked(result, requires_grad)


def _without_tensors(data: Any) -> Any:
    # NumPy would read a tensor inside a list element by element, and refuses one that requires a gradient.
    if isinstance(data, _C.TensorBase):
        return _C.numpy(_C.to_device(data, "cpu"))
    if isinstance(data, (list, tuple)):
        return [_without_tensors(item) for item in data]
    return data


def _first(data: Any) -> Any:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return data


def _overflow(op: str, value: Any, dtype: _C.DType) -> RuntimeError:
    # The words of the native check.
    text = f"value cannot be converted to type {dtype.name} without overflow, got {value}"
    return RuntimeError(f"{op}: {text}")


def _native_number(op: str, value: Any, dtype: _C.DType) -> Any:
    """A Python number as native code takes it: an int beyond 64 bits as a float, if the dtype has it."""
    if not isinstance(value, builtins.int) or -(2**63) <= value < 2**63:
        return value
    if dtype == bool_:
        return True
    if not dtype.is_floating_point:
        raise _overflow(op, value, dtype)
    try:
        return builtins.float(value)
    except OverflowError:
        raise _overflow(op, value, dtype) from None


def _elements(op: str, array: np.ndarray[Any, Any], dtype: _C.DType) -> np.ndarray[Any, Any]:
    """Numbers as elements of a dtype that must hold each; as in PyTorch, a uint8 takes -x as 256 - x."""
    kind = array.dtype.kind
    if kind != "b" and dtype != bool_ and not dtype.is_floating_point:
        limits = np.iinfo(numpy_dtype(dtype))
        low = -limits.max if limits.min == 0 and kind != "f" else limits.min
        # As a float the largest int64 is the next power of two, which is too large.
        fits = (array >= low) & (
            (array < 2.0**63) if kind == "f" and dtype == int64 else (array <= limits.max)
        )
        if not fits.all():
            raise _overflow(op, array[~fits].flat[0], dtype)
    with np.errstate(over="ignore"):  # a float too large is infinite
        converted: np.ndarray[Any, Any] = array.astype(numpy_dtype(dtype))
    return converted


def _whole_numbers(op: str, array: np.ndarray[Any, Any], dtype: _C.DType | None) -> np.ndarray[Any, Any]:
    """Python ints of which NumPy made objects, because they are beyond 64 bits."""
    chosen = int64 if dtype is None else dtype
    numbers = [_native_number(op, value, chosen) for value in array.flat]
    kind = np.float64 if chosen.is_floating_point else None
    made: np.ndarray[Any, Any] = np.array(numbers, dtype=kind).reshape(array.shape)
    return made


def _from_array_as(array: np.ndarray[Any, Any], dtype: _C.DType) -> Tensor:
    """A copy of an array in a dtype, converted as `Tensor.to` does."""
    if _C.dtype_from_numpy(array.dtype) is None and array.dtype.kind in "iuf":
        array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    return _C.copy_to(_C.from_numpy(array, False), dtype)


def from_python(op: str, data: Any, dtype: _C.DType | None) -> Tensor:
    """A fresh tensor from nested sequences, numbers or whatever NumPy takes.

    Numbers that the dtype does not hold are refused, whole arrays converted as `Tensor.to` does.
    """
    if type(data) is builtins.float or type(data) is builtins.bool or type(data) is builtins.int:
        if dtype is None:
            kind = type(data)
            dtype = (
                get_default_dtype() if kind is builtins.float else bool_ if kind is builtins.bool else int64
            )
        data = _native_number(op, data, dtype)
        if dtype == float32 and builtins.abs(data) > _LARGEST:
            return _C.from_numpy(_elements(op, np.array(data), dtype), False)
        try:
            return _C.full((), data, dtype)
        except RuntimeError as error:
            raise RuntimeError(str(error).replace("full", op, 1)) from None
    first = _first(data)
    if isinstance(first, _C.TensorBase):
        data = _without_tensors(data)
    try:
        array = np.array(data)
    except ValueError as error:
        raise ValueError(f"{op}: {error}") from None
    if array.dtype.kind == "f" and type(first) is builtins.int and np.any(np.abs(array) >= 2.0**63):
        # Of ints that no integer type holds together, NumPy makes floats.
        exact = np.array(data, dtype=object)
        if all(isinstance(item, builtins.int) for item in exact.flat):
            array = exact
    if array.dtype.kind == "O" and all(isinstance(item, builtins.int) for item in array.flat):
        array = _whole_numbers(op, array, dtype)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{op}: cannot make a tensor from {type(data).__name__} data of NumPy dtype {array.dtype}"
        )
    if dtype is None and not isinstance(first, (np.ndarray, np.generic)):  # what NumPy made keeps its dtype
        if array.dtype == np.float64:
            dtype = get_default_dtype()
        elif array.dtype.kind == "u" and type(first) is builtins.int:  # too large for an int64
            dtype = int64
    try:
        if dtype is None or array.dtype == numpy_dtype(dtype):
            return _C.from_numpy(array, False)
        if isinstance(data, np.ndarray):
            return _from_array_as(array, dtype)
        return _C.from_numpy(_elements(op, array, dtype), False)
    except TypeError as error:
        raise TypeError(str(error).replace("from_numpy", op, 1)) from None


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of `data`.

    Parameters
    ----------
    data
        A number, nested lists or tuples of numbers, a NumPy array, a tensor, or another library's array on a
        GPU (by DLPack or `__cuda_array_interface__`).
    dtype
        Default: that of an array or tensor; of Python numbers float32 (the default dtype) if any is a
        float, else int64, else bool.
    device
        Where to put it. Default: the default device, or that of a tensor or an array on a GPU.
    requires_grad
        Whether autograd records what is done with the tensor.

    Raises
    ------
    TypeError
        If the data's element type has no counterpart, and none is asked for.
    RuntimeError
        If a number is beyond what the dtype holds (300 for uint8). Arrays and tensors of another dtype are
        converted as `Tensor.to` does: integers wrap.
    ValueError
        If nested sequences differ in length.

    Examples
    --------
    >>> tensor([[1.0, 2], [3, 4]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    chosen = None if dtype is None else as_dtype(dtype)
    if isinstance(data, _C.TensorBase):
        result = _C.copy_to(data, data.dtype if chosen is None else chosen)
        if device is None:
            device = device_of(data)
    elif isinstance(data, np.ndarray) and chosen is None:
        result = _from_array("tensor", data)
    elif (foreign := dlpack.from_device(data, copy=True)) is not None:
        result = foreign if chosen is None else _C.to(foreign, chosen)
        if device is None:
            device = device_of(result)
    else:
        result = from_python("tensor", data, chosen)
    return _finish("tensor", result, device, requires_grad)


def _from_array(op: str, array: np.ndarray[Any, Any]) -> Tensor:
    try:
        return _C.from_numpy(array, True)
    except TypeError as error:
        raise TypeError(str(error).replace("from_numpy", op, 1)) from None


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, without a copy where that is possible.

    Parameters
    ----------
    data
        A tensor is returned as it is, a NumPy array shares its memory (`from_numpy`), and so does another
        library's array on a GPU (`from_dlpack`, `from_cuda_array`); anything else is copied (`tensor`).
    dtype
        The dtype wanted; a change of dtype copies.
    device
        Where to put it. Default: the default device, or that of a tensor given.
    """
    chosen = None if dtype is None else as_dtype(dtype)
    if isinstance(data, _C.TensorBase):
        # The tensor itself if it is so already.
        where = device_of(data) if device is None else device
        return _finish("as_tensor", _C.to(data, data.dtype if chosen is None else chosen), where, False)
    if isinstance(data, np.ndarray) and (chosen is None or data.dtype == numpy_dtype(chosen)):
        return _finish("as_tensor", _C.from_numpy(data, False), device, False)
    if (foreign := dlpack.from_device(data)) is not None:
        where = device_of(foreign) if device is None else device
        return _finish("as_tensor", foreign if chosen is None else _C.to(foreign, chosen), where, False)
    return _finish("as_tensor", from_python("as_tensor", data, chosen), device, False)


def asarray(data: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Tensor:
    """`data` as a tensor: a copy if `copy`, else as `as_tensor` does."""
    return tensor(data, dtype=dtype, device=device) if copy else as_tensor(data, dtype, device)


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that shares the memory of a NumPy array.

    A read-only array gives a read-only tensor: updating it in place raises. An array with negative strides,
    with strides that are no multiple of the element size, or with foreign byte order cannot be shared; it
    is copied, and a `UserWarning` says so.

    Parameters
    ----------
    array
        Any shape up to eight dimensions; float32, float64, int64, int32, uint8 or bool.

    Raises
    ------
    TypeError
        If it is no array, or of another dtype.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(array).__name__}")
    result: Tensor = _C.from_numpy(array, False)
    if array.size and _C.data_pointer(result) != array.ctypes.data:
        warnings.warn(
            "from_numpy: the array's strides or byte order cannot be shared, so it was copied", stacklevel=2
        )
    return result


def _shape(op: str, size: tuple[Any, ...], named: Any = None) -> Sequence[int]:
    # zeros(2, 3), zeros((2, 3)) and zeros(size=(2, 3)) are the same.
    if named is not None:
        size = (named,)
    if len(size) == 1 and not hasattr(size[0], "__index__"):
        size = size[0]
    elif len(size) == 1 and getattr(size[0], "ndim", 0) > 0:
        size = tuple(size[0])
    try:
        extents = tuple(extent.__index__() for extent in size)
    except (AttributeError, TypeError):
        raise TypeError(f"{op}: a shape is made of ints, got {size!r}") from None
    if any(extent < 0 for extent in extents):
        raise RuntimeError(f"{op}: negative extent in shape {extents}")
    return extents


def _dtype_or_default(dtype: Any) -> _C.DType:
    return get_default_dtype() if dtype is None else as_dtype(dtype)


def empty(
    *shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of the given shape with unspecified content; `dtype` defaults to float32."""
    extents, chosen = _shape("empty", shape, size), _dtype_or_default(dtype)
    return _create("empty", _C.empty, extents, chosen, device=device, requires_grad=requires_grad)


def zeros(
    *shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of zeros. The shape is given as ints or as one tuple; `dtype` defaults to float32.

    Examples
    --------
    >>> zeros(2)
    tensor([0., 0.])
    """
    extents, chosen = _shape("zeros", shape, size), _dtype_or_default(dtype)
    return _create("zeros", _C.zeros, extents, chosen, device=device, requires_grad=requires_grad)


def ones(
    *shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of ones. The shape is given as ints or as one tuple; `dtype` defaults to float32."""
    extents, chosen = _shape("ones", shape, size), _dtype_or_default(dtype)
    return _create("ones", _C.full, extents, 1, chosen, device=device, requires_grad=requires_grad)


def _full(
    op: str, shape: Sequence[int], value: Any, dtype: _C.DType, *, device: Any, requires_grad: bool
) -> Tensor:
    if isinstance(value, _C.TensorBase):
        value = _C.item(value)
    number = _native_number(op, value, dtype)
    try:
        return _create(op, _C.full, shape, number, dtype, device=device, requires_grad=requires_grad)
    except RuntimeError as error:
        raise RuntimeError(str(error).replace("full", op, 1)) from None
    except TypeError:
        raise TypeError(f"{op}: cannot fill a tensor of {dtype} with {value!r}") from None


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of the given shape filled with one number.

    Parameters
    ----------
    size
        The shape.
    fill_value
        The number.
    dtype
        Default: that of the number, as in `tensor`.

    Examples
    --------
    >>> full((2,), 7)
    tensor([7, 7])
    """
    if dtype is None:
        if isinstance(fill_value, _C.TensorBase):
            chosen = fill_value.dtype
        else:
            kinds = {builtins.bool: bool_, builtins.int: int64}
            chosen = kinds.get(type(fill_value), get_default_dtype())
    else:
        chosen = as_dtype(dtype)
    extents = _shape("full", (size,))
    return _full("full", extents, fill_value, chosen, device=device, requires_grad=requires_grad)


def _like(op: str, input: Tensor, dtype: Any, device: Any, memory_format: Any) -> tuple[Any, Any]:
    """The dtype and device of a tensor like another one."""
    accept(op, memory_format, 4)
    return input.dtype if dtype is None else as_dtype(dtype), input.device if device is None else device


@checked
def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """A tensor with unspecified content, of `input`'s shape and, unless told otherwise, its dtype."""
    chosen, where = _like("empty_like", input, dtype, device, memory_format)
    return _create("empty_like", _C.empty, input.shape, chosen, device=where, requires_grad=requires_grad)


@checked
def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """A tensor of zeros of `input`'s shape and, unless told otherwise, its dtype."""
    chosen, where = _like("zeros_like", input, dtype, device, memory_format)
    return _create("zeros_like", _C.zeros, input.shape, chosen, device=where, requires_grad=requires_grad)


@checked
def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """A tensor of ones of `input`'s shape and, unless told otherwise, its dtype."""
    accept("ones_like", memory_format, 4)
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad)


@checked
def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """A tensor filled with one number, of `input`'s shape and, unless told otherwise, its dtype."""
    chosen, where = _like("full_like", input, dtype, device, memory_format)
    return _full("full_like", input.shape, fill_value, chosen, device=where, requires_grad=requires_grad)


def _number(op: str, value: Any) -> Any:
    if isinstance(value, _C.TensorBase):
        return _C.item(value)
    if isinstance(value, (builtins.float, builtins.int)):
        return value
    try:
        return value.__index__() if hasattr(value, "__index__") else builtins.float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{op}: expected a number, got {value!r}") from None


def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers `start`, `start + step`, ... before `end`; `arange(n)` counts from 0 to n - 1.

    Parameters
    ----------
    start, end, step
        Numbers. The step may be negative.
    dtype
        Default: int64 if all three are integers, else float32 (the default dtype).

    Raises
    ------
    ValueError
        If the step is 0 or leads away from `end`.

    Examples
    --------
    >>> arange(2, 8, 2)
    tensor([2, 4, 6])
    """
    if end is None:
        start, end = 0, start
    start, end, step = (_number("arange", value) for value in (start, end, step))
    integers = all(isinstance(value, builtins.int) for value in (start, end, step))
    chosen = as_dtype(dtype) if dtype is not None else int64 if integers else get_default_dtype()
    if integers:
        start, end, step = builtins.int(start), builtins.int(end), builtins.int(step)
    return _create("arange", _C.arange, start, end, step, chosen, device=device, requires_grad=requires_grad)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` evenly spaced numbers from `start` to `end`, both included; `dtype` defaults to float32.

    Examples
    --------
    >>> linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    low, high = _number("linspace", start), _number("linspace", end)
    chosen = _dtype_or_default(dtype)
    return _create(
        "linspace", _C.linspace, low, high, steps, chosen, device=device, requires_grad=requires_grad
    )


@checked
def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from base ** start to base ** end, evenly spaced on a logarithmic scale."""
    result = _C.pow(float(base), linspace(start, end, steps, dtype=_C.DType.float64))
    result = _C.to(result, zeros(0).dtype if dtype is None else as_dtype(dtype))
    result.requires_grad = requires_grad
    return result


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The n x m matrix (n x n by default) with ones on its diagonal and zeros elsewhere.

    `dtype` defaults to float32.
    """
    columns, chosen = n if m is None else m, _dtype_or_default(dtype)
    return _create("eye", _C.eye, n, columns, chosen, device=device, requires_grad=requires_grad)


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor without dimensions; `dtype` defaults to float32."""
    return full((), s, dtype=_dtype_or_default(dtype), device=device, requires_grad=requires_grad)


class _TypedTensor:
    """PyTorch's older way to make a tensor and to name a dtype: `FloatTensor([1])`, `x.type(FloatTensor)`."""

    def __init__(self, name: str, dtype: _C.DType) -> None:
        self.__name__ = name
        self.dtype = dtype

    def __call__(self, *data: Any) -> Tensor:
        """A tensor of the type from data, or of a given shape with unspecified content."""
        if len(data) == 1 and not isinstance(data[0], builtins.int):
            return tensor(data[0], dtype=self.dtype)
        return empty(*data, dtype=self.dtype) if data else empty(0, dtype=self.dtype)

    def __repr__(self) -> str:
        return f"<cnnx.{self.__name__}>"


FloatTensor = _TypedTensor("FloatTensor", float32)
DoubleTensor = _TypedTensor("DoubleTensor", float64)
LongTensor = _TypedTensor("LongTensor", int64)
IntTensor = _TypedTensor("IntTensor", int32)
ByteTensor = _TypedTensor("ByteTensor", uint8)
BoolTensor = _TypedTensor("BoolTensor", bool_)
TYPE_NAMES = {
    made.dtype: f"cnnx.{made.__name__}"
    for made in (FloatTensor, DoubleTensor, LongTensor, IntTensor, ByteTensor, BoolTensor)
}


__all__ = [
    "BoolTensor", "ByteTensor", "DoubleTensor", "FloatTensor", "IntTensor", "LongTensor", "arange",
    "as_tensor", "asarray", "empty", "empty_like", "eye", "from_numpy", "full", "full_like", "linspace",
    "logspace", "ones", "ones_like", "scalar_tensor", "tensor", "zeros", "zeros_like",
]  # fmt: skip
