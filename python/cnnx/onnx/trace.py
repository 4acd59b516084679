"""Recording the native ops of one forward pass.

Whatever a model's `forward` does, it ends in calls of the native module: a flat list of functions with
logical arguments. For the time of a pass those functions are replaced by ones that also note each call that a
traced tensor takes part in. What varies with the batch is found by comparing two passes over batches of
different sizes: an extent, an argument or a shape that differs between them follows the batch, all else is
fixed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import BuiltinFunctionType
from typing import Any

import numpy as np

import cnnx
from cnnx import _C
from cnnx.tensor import Tensor

_LOCK = threading.Lock()


@dataclass(eq=False)
class Value:
    """A tensor that depends on the inputs.

    `shape` is that of the first pass; `dynamic` says which of its extents follow the batch.
    """

    index: int
    shape: tuple[int, ...]
    dtype: Any
    dynamic: tuple[bool, ...] = ()

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)


@dataclass(frozen=True)
class Varying:
    """An argument that differs between the passes."""

    first: Any
    second: Any


@dataclass
class Call:
    """One call of a native function: its arguments with `Value`s for traced tensors, and its results."""

    op: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: list[Value]
    layer: str


@dataclass
class Trace:
    """The calls of a pass, in their order."""

    inputs: list[Value] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    outputs: list[Value | Tensor] = field(default_factory=list)


class Recorder:
    """Notes the calls of one thread while its block runs."""

    def __init__(self) -> None:
        self.trace = Trace()
        self._thread = threading.get_ident()
        self._values: dict[int, tuple[Tensor, Value, int]] = {}  # by id: the tensor, its value, its version
        self._layers: list[str] = []
        self._count = 0
        self._busy = False

    def add(self, tensor: Tensor) -> Value:
        """Makes a tensor a traced one; what it was before, if anything, is forgotten."""
        value = Value(self._count, tuple(tensor.shape), tensor.dtype)
        self._count += 1
        self._values[id(tensor)] = (tensor, value, tensor._version)
        return value

    def value(self, argument: Any) -> Any:
        """The argument with values in the place of traced tensors, in lists and tuples too."""
        if isinstance(argument, _C.TensorBase):
            found = self._values.get(id(argument))
            if found is None:
                return argument
            tensor, value, version = found
            if tensor._version != version:
                raise NotImplementedError(
                    "onnx.export: a tensor was changed in place through another view of it; use the op that "
                    "is not in place"
                )
            return value
        if isinstance(argument, (list, tuple)):
            return type(argument)(self.value(item) for item in argument)
        return argument

    @contextmanager
    def active(self, model: Any) -> Iterator[None]:
        """Replaces the native functions for the block."""
        natives = {
            name: function
            for name, function in vars(_C).items()
            if isinstance(function, BuiltinFunctionType) and not name.startswith("__")
        }
        natives.pop("is_grad_enabled"), natives.pop("set_grad_enabled")
        detach = _C.TensorBase._detach
        handles = []
        with _LOCK:
            try:
                for name, module in model.named_modules():
                    handles.append(module.register_forward_pre_hook(self._enter(name)))
                    handles.append(module.register_forward_hook(self._leave))
                for name, function in natives.items():
                    setattr(_C, name, self._recorded(name, function))
                _C.TensorBase._detach = self._recorded("detach", detach)  # type: ignore[method-assign]
                yield
            finally:
                _C.TensorBase._detach = detach  # type: ignore[method-assign]
                for name, function in natives.items():
                    setattr(_C, name, function)
                for handle in handles:
                    handle.remove()

    def _enter(self, name: str) -> Callable[..., None]:
        def hook(module: Any, inputs: Any) -> None:
            self._layers.append(name)

        return hook

    def _leave(self, module: Any, inputs: Any, output: Any) -> None:
        self._layers.pop()

    def _recorded(self, name: str, native: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            # Other threads are not traced, and neither is Python code that a native function calls.
            if self._busy or threading.get_ident() != self._thread:
                return native(*args, **kwargs)
            self._busy = True
            try:
                return self._call(name, native, args, kwargs)
            finally:
                self._busy = False

        return call

    def _call(self, name: str, native: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        noted = self.value(args)
        noted_kwargs = {key: self.value(argument) for key, argument in kwargs.items()}
        if not any(_has_value(argument) for argument in (*noted, *noted_kwargs.values())):
            return native(*args, **kwargs)
        in_place = name.endswith("_") or name == "setitem"
        target = next(a for a in (*noted, None) if not isinstance(a, str))  # activation_ has its name first
        if name == "setitem" or (in_place and not isinstance(target, Value)):
            raise NotImplementedError(
                f"onnx.export: {name} ({self._where()}) sets elements in place, which cannot be traced"
            )
        result = native(*args, **kwargs)
        tensors = list(result) if isinstance(result, (tuple, list)) else [result]
        if not tensors or not all(isinstance(tensor, Tensor) for tensor in tensors):
            raise NotImplementedError(
                f"onnx.export: {name} takes a value out of the traced pass ({self._where()}): a model whose "
                "course depends on its values cannot be traced"
            )
        if not in_place and all(any(tensor is arg for arg in args) for tensor in tensors):
            return result  # handed through, as contiguous() does
        values = [self.add(tensor) for tensor in tensors]
        op = name[:-1] if in_place else name
        self.trace.calls.append(Call(op, noted, noted_kwargs, values, self._where()))
        return result

    def _where(self) -> str:
        return self._layers[-1] if self._layers and self._layers[-1] else "forward"


def _has_value(argument: Any) -> bool:
    if isinstance(argument, (list, tuple)):
        return any(map(_has_value, argument))
    return isinstance(argument, Value)


def trace(model: Any, inputs: Sequence[Tensor]) -> Trace:
    """One pass of the model, without gradients, in the mode it is in."""
    recorder = Recorder()
    with cnnx.no_grad():
        recorder.trace.inputs = [recorder.add(tensor) for tensor in inputs]
        with recorder.active(model):
            output = model(*inputs)
        if isinstance(output, dict):
            output = tuple(output.values())
        outputs = list(output) if isinstance(output, (tuple, list)) else [output]
        for tensor in outputs:
            if not isinstance(tensor, Tensor):
                raise TypeError(f"onnx.export: the model returns a {type(tensor).__name__}, not a tensor")
        recorder.trace.outputs = [recorder.value(tensor) for tensor in outputs]
    return recorder.trace


def merge(first: Trace, second: Trace) -> Trace:
    """The first trace with what differs in the second marked.

    Raises
    ------
    ValueError
        If the passes did different things, or used tensors made from something other than inputs and weights.
    """
    shape_of = [call.op for call in first.calls]
    if shape_of != [call.op for call in second.calls] or len(first.outputs) != len(second.outputs):
        raise ValueError("onnx.export: what the model computes depends on the size of the batch")
    for one, other in zip(first.inputs, second.inputs, strict=True):
        _mark(one, other, "input")
    for call, twin in zip(first.calls, second.calls, strict=True):
        call.args = _merge(call.args, twin.args, call.op)
        if call.kwargs.keys() != twin.kwargs.keys():
            raise ValueError(f"onnx.export: the arguments of {call.op} depend on the size of the batch")
        call.kwargs = {key: _merge(value, twin.kwargs[key], call.op) for key, value in call.kwargs.items()}
        if len(call.results) != len(twin.results):
            raise ValueError(
                f"onnx.export: the number of results of {call.op} depends on the size of the batch"
            )
        for one, other in zip(call.results, twin.results, strict=True):
            _mark(one, other, call.op)
    first.outputs = [_merge(a, b, "output") for a, b in zip(first.outputs, second.outputs, strict=True)]
    return first


def _mark(one: Value, other: Value, op: str) -> None:
    if one.ndim != other.ndim or one.dtype != other.dtype:
        raise ValueError(
            f"onnx.export: the result of {op} has shape {one.shape} for one size of the batch and "
            f"{other.shape} for another"
        )
    one.dynamic = tuple(a != b for a, b in zip(one.shape, other.shape, strict=True))


def _merge(one: Any, other: Any, op: str) -> Any:
    if isinstance(one, Value) and isinstance(other, Value) and one.index == other.index:
        return one
    if isinstance(one, _C.TensorBase) and isinstance(other, _C.TensorBase):
        if one is other or _same(one, other):
            return one
        raise ValueError(
            f"onnx.export: {op} uses a tensor that forward makes anew, of shape {tuple(one.shape)}, and that "
            "depends on the input in a way that cannot be traced; make it from the input by tensor functions"
        )
    if type(one) is not type(other):
        raise ValueError(f"onnx.export: the arguments of {op} depend on the size of the batch")
    if isinstance(one, (list, tuple)) and len(one) == len(other):
        return type(one)(_merge(a, b, op) for a, b in zip(one, other, strict=True))
    if isinstance(one, np.ndarray):
        return one if np.array_equal(one, other) else Varying(one, other)
    both_nan = one != one and other != other
    return one if one == other or both_nan else Varying(one, other)


def _same(one: Any, other: Any) -> bool:
    if tuple(one.shape) != tuple(other.shape) or one.dtype != other.dtype:
        return False
    a, b = (_C.numpy(_C.to_device(t._detach(), "cpu")) for t in (one, other))
    return bool(a.tobytes() == b.tobytes())
