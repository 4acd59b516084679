"""A net as it is written in C: layers with fixed shapes, and the arrays between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from cnnx.c_export.functions import Function
from cnnx.c_export.writer import Writer

Array = np.ndarray[Any, Any]


@dataclass(eq=False)
class Data:
    """What a layer reads or writes: an array of the workspace, of the caller, or a constant."""

    shape: tuple[int, ...]
    constant: Array | None = None
    name: str = ""  # of a constant: what the model calls it

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)


@dataclass(eq=False)
class Layer:
    """A step of the net: one function of the C file.

    Subclasses say what they compute twice: in C (`emit`), and in NumPy (`evaluate`) on arrays with one more
    dimension in front, whose entries are independent runs of the net.
    """

    inputs: list[Data]
    output: Data
    place: str  # op and layer of the model, for errors and comments
    post: list[Function] = field(default_factory=list)  # what is done to each element before it is stored

    in_place = False  # whether the output may lie where the first input does

    def title(self) -> str:
        """What it is, in words: kernel, stride and the like."""
        raise NotImplementedError

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        """Writes the body of its function; `x` and `y` are the names of its arrays."""
        raise NotImplementedError

    def evaluate(self, x: Sequence[Array]) -> Array:
        """What it computes, without `post`."""
        raise NotImplementedError

    def functions(self) -> list[str]:
        """What it does to each element at the end, in words."""
        return [str(function) for function in self.post]

    def before(self, x: Sequence[Array]) -> Array:
        """The values that `post` is done to."""
        return self.evaluate(x)

    def scratch(self) -> int:
        """How many elements it needs while it runs, beside inputs and output."""
        return 0

    def multiply_adds(self) -> int:
        """How many products it sums up."""
        return 0

    def run(self, x: Sequence[Array]) -> Array:
        """What it computes."""
        y = self.evaluate(x)
        for function in self.post:
            y = function(y)
        return y


@dataclass(eq=False)
class Net:
    """The layers in their order."""

    inputs: list[Data]
    outputs: list[Data]
    layers: list[Layer]
    input_shapes: list[tuple[int, ...]]
    output_shapes: list[tuple[int, ...]]

    def uses(self) -> dict[Data, list[Layer]]:
        """Which layers read what."""
        found: dict[Data, list[Layer]] = {}
        for layer in self.layers:
            for data in layer.inputs:
                found.setdefault(data, []).append(layer)
        return found

    def constants(self) -> list[Data]:
        """What is read and never changes, each once."""
        return [data for data in self.uses() if data.constant is not None]

    def run(self, inputs: Sequence[Array]) -> dict[Data, Array]:
        """The values of all arrays, for inputs with one more dimension in front."""
        values = dict(zip(self.inputs, inputs, strict=True))
        for layer in self.layers:
            x = [values[d] if d.constant is None else d.constant for d in layer.inputs]
            y = layer.run(x)
            values[layer.output] = y
        return values

    def __call__(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs, for inputs with one more dimension in front."""
        values = self.run(inputs)
        return [
            values[data].reshape(-1, *shape)
            for data, shape in zip(self.outputs, self.output_shapes, strict=True)
        ]


def store(w: Writer, target: str, value: str, post: Sequence[Function]) -> None:
    """Writes what stores a value after its functions; once in a block."""
    if not post:
        w(f"{target} = {value};")
        return
    w(f"float x = {value};", *(f"x = {function.code};" for function in post[:-1]))
    w(f"{target} = {post[-1].code};")
