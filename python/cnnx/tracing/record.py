"""Passes of a model, as the calls of ops that they made."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import cnnx
from cnnx import _C
from cnnx.reading import one_line
from cnnx.tensor import Tensor

Array = np.ndarray[Any, Any]


@dataclass(eq=False)
class Pass:
    """What a pass of the model did: its calls in their order, and the layer that made each."""

    inputs: list[_C.RecordedTensor]
    outputs: list[_C.RecordedTensor]
    calls: list[_C.RecordedCall]
    layers: list[str]

    def nbytes(self) -> int:
        """Of all tensors that calls made."""
        tensors = [t.tensor for call in self.calls if not call.is_view for t in call.results if t is not None]
        return sum(t.numel() * t.dtype.itemsize for t in tensors)


class Layers:
    """Follows which layer a forward pass is in, by hooks."""

    def __init__(self, model: Any) -> None:
        self._inside: list[str] = []
        self._from: list[int] = [0]  # the first call
        self._names: list[str] = [""]  # the layer from there on
        self._handles = []
        for name, module in model.named_modules():
            self._handles.append(module.register_forward_pre_hook(self._enter(name)))
            self._handles.append(module.register_forward_hook(self._leave))

    def _enter(self, name: str) -> Callable[..., None]:
        def hook(module: Any, inputs: Any) -> None:
            self._inside.append(name)
            self._note()

        return hook

    def _leave(self, module: Any, inputs: Any, output: Any) -> None:
        self._inside.pop()
        self._note()

    def _note(self) -> None:
        self._from.append(_C.recorded_calls())
        self._names.append(self._inside[-1] if self._inside else "")

    def remove(self) -> None:
        """Takes the hooks away."""
        for handle in self._handles:
            handle.remove()

    def of(self, call: int) -> str:
        """The layer that made a call."""
        return self._names[bisect_right(self._from, call) - 1]


def record(model: Any, arrays: Sequence[Array], like: Sequence[Tensor], by: str) -> Pass:
    """One pass of the model, without gradients, in the mode it is in, on the devices of `like`.

    `by` is the function that asks, for errors.
    """
    inputs = [cnnx.from_numpy(a.copy()).to(t.device) for a, t in zip(arrays, like, strict=True)]
    layers = Layers(model)
    given = [_C.RecordedTensor(tensor) for tensor in inputs]
    try:
        with cnnx.no_grad():
            _C.start_recording()
            try:
                output = model(*inputs)
            except Exception as error:
                shapes = ", ".join(str(array.shape) for array in arrays)
                raise ValueError(
                    f"{by}: the model itself fails for inputs of shape {shapes}: {one_line(error)}"
                ) from error
            finally:
                calls = _C.stop_recording()
    finally:
        layers.remove()
    outputs = [_C.RecordedTensor(tensor) for tensor in tensors_of(output, by)]
    return Pass(given, outputs, calls, [layers.of(i) for i in range(len(calls))])


def tensors_of(output: Any, by: str) -> list[Tensor]:
    """What a model returned, as a list."""
    if isinstance(output, dict):
        output = tuple(output.values())
    outputs = list(output) if isinstance(output, (tuple, list)) else [output]
    for tensor in outputs:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{by}: the model returns a {type(tensor).__name__}, not a tensor")
    return outputs


def fresh(sample: Tensor, size: int | None, seed: int = 0) -> Array:
    """Other values for an input, no two images alike, for a batch of `size` (None: as the sample).

    Floating-point values are between 0 and 1, where logarithms and roots are defined; others are taken from
    the sample, since they may be indices.
    """
    random = np.random.default_rng([sample.ndim, seed])
    shape = tuple(sample.shape) if size is None else (size, *sample.shape[1:])
    like = sample.detach().cpu().numpy()
    if like.dtype.kind == "f":
        return np.asarray(random.random(shape), like.dtype)
    return np.asarray(random.choice(like.reshape(-1), shape), like.dtype)
