"""Tensors in another dtype, on another device or in other memory: a base of the class Tensor."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnx import _C, creation, dtypes, layouts
from cnnx.devices import as_device, device, device_of
from cnnx.dtypes import as_dtype
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


def _is_device(value: Any) -> bool:
    return isinstance(value, (str, device)) and not isinstance(value, _C.DType)


def _only(name: str, given: list[Any]) -> Any:
    """The one that is not None, if any."""
    values = [value for value in given if value is not None]
    if len(values) > 1:
        raise TypeError(f"to: the {name} is given twice")
    return values[0] if values else None


class Conversion(NamedTuple):
    """What the arguments of a `to` ask for; None: as it is."""

    device: Any
    dtype: dtypes.dtype | None
    non_blocking: bool
    copy: bool

    @classmethod
    def parse(cls, args: tuple[Any, ...], kwargs: dict[str, Any], like: str) -> Conversion:
        """Of ``(device)``, ``(dtype)``, ``(device, dtype)`` or ``(tensor)``, with flags behind or by name.

        `like` is what a tensor by name is called.
        """
        given = (*args, kwargs.pop(like)) if like in kwargs else args
        devices, types = [kwargs.pop("device", None)], [kwargs.pop("dtype", None)]
        non_blocking, copy = kwargs.pop("non_blocking", False), kwargs.pop("copy", False)
        layouts.accept("to", kwargs.pop("memory_format", None))
        if kwargs:
            raise TypeError(f"to: unexpected argument {next(iter(kwargs))!r}")
        flags: list[bool] = []
        for arg in given:
            if isinstance(arg, _C.TensorBase):
                devices.append(device_of(arg))
                types.append(arg.dtype)
            elif isinstance(arg, bool):
                flags.append(arg)
            elif _is_device(arg) or (isinstance(arg, int) and not isinstance(arg, _C.DType)):
                devices.append(arg)
            else:
                types.append(arg)
        where, chosen = _only("device", devices), _only("dtype", types)
        if len(flags) > 2:
            raise TypeError("to: expected at most two flags, non_blocking and copy")
        return cls(
            None if where is None else as_device("to", where),
            None if chosen is None else as_dtype(chosen),
            flags[0] if flags else non_blocking,
            flags[1] if len(flags) > 1 else copy,
        )


class Conversions:
    """The methods that convert: `to`, `float`, `cpu`, `new_zeros`, `contiguous` and their like."""

    __slots__ = ()

    def to(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        """The tensor in another dtype or on another device: itself if nothing changes, else a copy.

        Takes `to(dtype)`, `to(device)`, `to(device, dtype)`, `to(other)` with another tensor, and the
        keywords `dtype`, `device`, `other`, `non_blocking` and `copy`; `memory_format` changes nothing
        (`cnnx.memory_format`).

        With `non_blocking=True` the host does not wait for a copy from pinned, contiguous memory to a GPU,
        which runs beside the work that the GPU has; the source must not be changed before the copy is done.
        Nor does it for a copy from a GPU to the CPU: the result is in pinned memory, and is not to be read
        before `cnnx.cuda.synchronize()`, or before an event that was recorded after the call is done.

        Raises
        ------
        RuntimeError
            If the device is not there.
        TypeError
            If a device or a dtype is given twice.
        """
        wanted = Conversion.parse(args, kwargs, "other")
        result = self
        if wanted.device is not None:
            # A copy that is under way cannot be read yet.
            if wanted.non_blocking and wanted.dtype is not None and self.is_cuda:
                result = _C.to(result, wanted.dtype)
            move = _C.move_async if wanted.non_blocking else _C.to_device
            result = move(result, str(wanted.device))
        if wanted.dtype is not None:
            result = _C.to(result, wanted.dtype)
        return _C.clone(result) if wanted.copy and result is self else result

    def cpu(self: Any) -> Tensor:
        """The tensor on the CPU: itself if it is there. Waits for the values."""
        result: Tensor = _C.to_device(self, "cpu")
        return result

    def cuda(self: Any, device: Any = None, non_blocking: bool = False) -> Tensor:
        """The tensor on a GPU (the current one, if none is named); `non_blocking` as in `to`.

        Raises
        ------
        RuntimeError
            If it is not there.
        """
        result: Tensor = self.to("cuda" if device is None else device, non_blocking=non_blocking)
        return result

    def float(self: Any) -> Tensor:
        """As float32."""
        return _C.to(self, dtypes.float32)

    def double(self: Any) -> Tensor:
        """As float64."""
        return _C.to(self, dtypes.float64)

    def long(self: Any) -> Tensor:
        """As int64; fractions are cut off."""
        return _C.to(self, dtypes.int64)

    def int(self: Any) -> Tensor:
        """As int32; fractions are cut off."""
        return _C.to(self, dtypes.int32)

    def byte(self: Any) -> Tensor:
        """As uint8."""
        return _C.to(self, dtypes.uint8)

    def bool(self: Any) -> Tensor:
        """As bool: whether an element differs from 0."""
        return _C.to(self, dtypes.bool)

    def type(self: Any, dtype: Any = None) -> Any:
        """The tensor in another dtype; without one, the name of its type."""
        return creation.TYPE_NAMES[self.dtype] if dtype is None else _C.to(self, as_dtype(dtype))

    @checked
    def type_as(self: Any, other: Tensor) -> Tensor:
        """The tensor in the dtype of `other`."""
        return _C.to(self, other.dtype)

    def new_tensor(
        self: Any, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: builtins.bool = False
    ) -> Tensor:
        """`cnnx.tensor(data)` with this tensor's dtype and device, unless told otherwise."""
        return creation.tensor(data, **self._alike(dtype, device, requires_grad))

    def new_zeros(
        self: Any,
        *size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: builtins.bool = False,
    ) -> Tensor:
        """`cnnx.zeros(size)` with this tensor's dtype and device, unless told otherwise."""
        return creation.zeros(*size, **self._alike(dtype, device, requires_grad))

    def new_ones(
        self: Any,
        *size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: builtins.bool = False,
    ) -> Tensor:
        """`cnnx.ones(size)` with this tensor's dtype and device, unless told otherwise."""
        return creation.ones(*size, **self._alike(dtype, device, requires_grad))

    def new_empty(
        self: Any,
        *size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: builtins.bool = False,
    ) -> Tensor:
        """`cnnx.empty(size)` with this tensor's dtype and device, unless told otherwise."""
        return creation.empty(*size, **self._alike(dtype, device, requires_grad))

    def new_full(
        self: Any,
        size: Any,
        fill_value: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: builtins.bool = False,
    ) -> Tensor:
        """`cnnx.full(size, fill_value)` with this tensor's dtype and device, unless told otherwise."""
        return creation.full(size, fill_value, **self._alike(dtype, device, requires_grad))

    def _alike(self: Any, dtype: Any, device: Any, requires_grad: builtins.bool) -> dict[str, Any]:
        return {
            "dtype": self.dtype if dtype is None else dtype,
            "device": self.device if device is None else device,
            "requires_grad": requires_grad,
        }

    def contiguous(self: Any, memory_format: Any = None) -> Tensor:
        """The tensor itself if its memory is row-major without gaps, else a copy that is.

        `memory_format` changes nothing (`cnnx.memory_format`).
        """
        layouts.accept("contiguous", memory_format)
        return _C.contiguous(self)

    def is_contiguous(self: Any, memory_format: Any = layouts.contiguous_format) -> builtins.bool:
        """Whether the memory is row-major without gaps; of `channels_last` False, there is no such layout."""
        layouts.accept("is_contiguous", memory_format)
        return memory_format is not layouts.channels_last and _C.TensorBase.is_contiguous(self)
