"""Exchange with other array libraries by DLPack and the CUDA array interface, without a copy if possible."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import _C
from cnnx.devices import as_device
from cnnx.dtypes import numpy_dtype

if TYPE_CHECKING:
    from cnnx.tensor import Tensor

CPU_DEVICE = (1, 0)
CUDA = 2
CUDA_KINDS = (CUDA, 13)  # memory of a device, and managed memory

# Streams as the protocols number them.
LEGACY_STREAM = 1


def export(
    tensor: Tensor,
    *,
    stream: int | None = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A DLPack capsule of the tensor.

    Parameters
    ----------
    stream
        For a tensor on a GPU the consumer's stream: it is made to wait for what the tensor's values come
        from; the host does not wait. 1 or None is the legacy default stream, 2 the calling thread's default
        stream, else the address of a `cudaStream_t`; -1: the consumer takes care himself. For the CPU None.
    max_version
        The newest version that the consumer reads: from (1, 0) on the capsule is of version 1.0, else of the
        form before.
    dl_device
        Where the consumer wants the data, as `__dlpack_device__` says it: a tensor on a GPU can be copied to
        the CPU or to another GPU.
    copy
        True: a copy. False: never, raise instead.

    Raises
    ------
    BufferError
        If the tensor requires a gradient, cannot be put where it is wanted, or is read-only while the
        consumer knows no such flag.
    ValueError
        For stream 0, which could mean two streams, and other numbers that are no stream.
    """
    here = tensor.__dlpack_device__()
    wanted = here if dl_device is None else (int(dl_device[0]), int(dl_device[1]))
    if wanted != here:
        if not tensor.is_cuda or not (wanted == CPU_DEVICE or wanted[0] == CUDA):
            raise BufferError(f"__dlpack__: the tensor is on {tensor.device} {here}, asked for {wanted}")
        if copy is False:
            raise BufferError(f"__dlpack__: {wanted} needs a copy, but copy=False was asked for")
    device, address = "cpu", None
    if wanted[0] == CUDA:
        device, address = f"cuda:{wanted[1]}", _stream_address("__dlpack__", stream)
    elif stream is not None:
        raise BufferError(f"__dlpack__: there are no streams on the CPU, got stream={stream!r}")
    return _C.to_dlpack(tensor, max_version is not None and max_version[0] >= 1, bool(copy), device, address)


def _stream_address(op: str, stream: int | None) -> int | None:
    """The consumer's stream; None if he asks not to be made to wait."""
    if stream is None:
        return LEGACY_STREAM
    if not isinstance(stream, int) or isinstance(stream, bool):
        raise TypeError(f"{op}: stream has to be the address of a stream or None, got {stream!r}")
    if stream == 0 or stream < -1:
        raise ValueError(
            f"{op}: stream={stream} is no stream; 1 is the legacy default stream, 2 the thread's own"
        )
    return None if stream == -1 else stream


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of another library's array.

    Of data on a GPU the producer is told the stream of the device (`cnnx.cuda.current_stream`), which waits
    for his; he gets the memory back when the work that uses it is done. From a bare capsule, whose producer
    was not told, the stream waits for the legacy default stream.

    Parameters
    ----------
    ext_tensor
        An object with `__dlpack__` (NumPy, PyTorch, CuPy, JAX, ...) or a DLPack capsule.
    device
        Where to put it; another device than that of the data copies. Default: where the data is.
    copy
        True: always copy. False: raise where sharing is impossible. None: share where possible; data with
        negative strides is copied.

    Raises
    ------
    BufferError
        If the data is neither on the CPU nor on a GPU of cnnx, or of an element type that cnnx lacks.
    TypeError
        If the object has no `__dlpack__`.
    """
    where = None if device is None else as_device("from_dlpack", device)
    capsule, ordered = ext_tensor, False
    if hasattr(ext_tensor, "__dlpack__"):
        arguments: dict[str, Any] = {}
        if hasattr(ext_tensor, "__dlpack_device__"):
            kind, index = map(int, ext_tensor.__dlpack_device__())
            if kind in CUDA_KINDS:
                if not 0 <= index < _C.cuda_device_count():
                    raise BufferError(
                        f"from_dlpack: the data is on cuda:{index}; cnnx has {_C.cuda_device_count()} CUDA "
                        "devices here"
                    )
                arguments["stream"], ordered = _C.cuda_stream(index), True
        try:
            capsule = ext_tensor.__dlpack__(max_version=(1, 0), **arguments)
        except TypeError:  # an exporter from before version 1.0
            capsule = ext_tensor.__dlpack__(**arguments)
    result: Tensor = _C.from_dlpack(capsule, copy, ordered)
    if where is not None and where != result.device:
        if copy is False:
            raise BufferError(f"from_dlpack: {where} needs a copy, but copy=False was asked for")
        result = _C.to_device(result, str(where))
    return result


def cuda_array_interface(tensor: Tensor) -> dict[str, Any]:
    """The CUDA array interface of a tensor, version 3.

    Its stream is the device's (`cnnx.cuda.current_stream`), for which the consumer has to wait. Until his
    work is done he keeps the tensor, as the interface demands. Reading this attribute, as `hasattr` does too,
    counts as handing the memory out: when the tensor goes, its block is reused after the work of the legacy
    default stream.

    Raises
    ------
    AttributeError
        If the tensor is on the CPU.
    RuntimeError
        If it requires a gradient.
    """
    if not tensor.is_cuda:
        raise AttributeError(f"__cuda_array_interface__: the tensor is on {tensor.device}, not on a GPU")
    if tensor.requires_grad:
        raise RuntimeError("__cuda_array_interface__: the tensor requires a gradient; use tensor.detach()")
    pointer, read_only = _C.lend_cuda_memory(tensor)
    strides = None if tensor.is_contiguous() else tuple(s * tensor.itemsize for s in tensor.stride())
    return {
        "shape": tuple(tensor.shape),
        "typestr": numpy_dtype(tensor.dtype).str,
        "data": (pointer if tensor.numel() else 0, read_only),
        "strides": strides,
        "version": 3,
        "stream": _C.cuda_stream(tensor.get_device()),
    }


def from_cuda_array(data: Any, *, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of an object with `__cuda_array_interface__`.

    The stream of the device (`cnnx.cuda.current_stream`) waits for the producer's, if he names one; before
    version 3 of the interface there was none, and the legacy default stream stands for it. The object is kept
    until the work that uses its memory is done.

    Parameters
    ----------
    data
        A CuPy array, a Numba device array, a PyTorch tensor on a GPU, ...
    copy
        True: always copy. False: raise where sharing is impossible. None: share where possible; data with
        negative strides is copied.

    Raises
    ------
    TypeError
        If the object has no such interface, or elements that cnnx lacks.
    ValueError
        If the interface names a stream 0, a mask, strides that are no multiple of the elements' size, or
        memory that is on no GPU of cnnx.

    Examples
    --------
    x = cnnx.from_cuda_array(cupy.arange(3.0))
    """
    op = "from_cuda_array"
    interface = getattr(data, "__cuda_array_interface__", None)
    if interface is None:
        raise TypeError(f"{op}: {type(data).__name__} has no __cuda_array_interface__")
    if interface.get("mask") is not None:
        raise ValueError(f"{op}: arrays with a mask are not supported")
    element = np.dtype(interface["typestr"])
    dtype = _C.dtype_from_numpy(element) if element.isnative else None
    if dtype is None:
        raise TypeError(
            f"{op}: no tensor type for elements {interface['typestr']!r}; there are float32, float64, int64, "
            "int32, uint8 and bool"
        )
    shape = tuple(int(extent) for extent in interface["shape"])
    strides = interface.get("strides")
    if strides is None:
        steps = tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
    elif any(step % element.itemsize for step in strides):
        raise ValueError(f"{op}: strides {strides} are no multiples of {element.itemsize} bytes")
    else:
        steps = tuple(int(step) // element.itemsize for step in strides)
    pointer, read_only = interface["data"]
    if math.prod(shape) == 0:
        pointer, device = 0, _C.cuda_current_device()
    else:
        device = _C.cuda_device_of_pointer(pointer)
        if device < 0:
            raise ValueError(f"{op}: address {pointer:#x} is not in the memory of a GPU that cnnx sees")
    if pointer % element.itemsize:
        raise ValueError(f"{op}: address {pointer:#x} is not aligned to {element.itemsize} bytes")
    stream = interface.get("stream")
    if stream == 0:
        raise ValueError(f"{op}: stream 0 could mean two streams; 1 is the legacy default stream")
    if stream is None and int(interface["version"]) < 3:
        stream = LEGACY_STREAM
    if stream is not None:
        _C.cuda_order_streams(device, int(stream), _C.cuda_stream(device))
    backwards = any(extent > 1 and step < 0 for extent, step in zip(shape, steps, strict=True))
    if backwards and copy is False:
        raise ValueError(f"{op}: negative strides cannot be shared, and copy=False was asked for")
    result: Tensor = _C.from_cuda_memory(pointer, shape, steps, dtype, bool(read_only), device, data)
    return _C.copy_to(result, dtype) if copy or backwards else result


def from_device(data: Any, copy: bool | None = None) -> Tensor | None:
    """Another library's array on a GPU as a tensor; None for anything else."""
    kind = type(data)
    if issubclass(kind, (np.ndarray, np.generic, list, tuple, int, float)):
        return None
    if hasattr(kind, "__dlpack_device__") and int(data.__dlpack_device__()[0]) in CUDA_KINDS:
        return from_dlpack(data, copy=copy)
    if hasattr(data, "__cuda_array_interface__"):
        return from_cuda_array(data, copy=copy)
    return None


__all__ = ["from_cuda_array", "from_dlpack"]
