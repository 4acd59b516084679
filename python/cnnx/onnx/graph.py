"""The ONNX graph under construction: names, constants, nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cnnx import _C, dtypes
from cnnx.onnx.trace import Value

TYPES = {
    dtypes.float32: TensorProto.FLOAT,
    dtypes.float64: TensorProto.DOUBLE,
    dtypes.int64: TensorProto.INT64,
    dtypes.int32: TensorProto.INT32,
    dtypes.uint8: TensorProto.UINT8,
    dtypes.bool: TensorProto.BOOL,
}

Operand = Any  # a Value, a tensor, an array, the name of a value, or None for one that is left out
Lowering = TypeVar("Lowering", bound=Callable[..., "str | list[str]"])
LOWERINGS: dict[str, Callable[..., str | list[str]]] = {}


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """Makes a function the ONNX form of native ops.

    It gets the graph and the op's arguments, and returns the name of the result, or a list of names.
    """

    def register(lowering: Lowering) -> Lowering:
        for name in names:
            LOWERINGS[name] = lowering
        return lowering

    return register


def no_counterpart(what: str) -> NotImplementedError:
    """The error for what ONNX cannot express."""
    return NotImplementedError(f"onnx.export: {what} has no counterpart in ONNX")


class Graph:
    """Nodes and constants; values are known by their names.

    Parameters
    ----------
    opset
        The version of ONNX's operators.
    names
        Names of the model's parameters and buffers, by the identity of the tensor.
    """

    def __init__(self, opset: int, names: Mapping[int, str]) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.results: list[Value] = []  # of the call being lowered
        self.call = ""
        self.layer = ""
        self._weights = names
        self._values: dict[int, str] = {}
        self._constants: dict[Any, str] = {}
        self._taken = set(names.values())

    @property
    def out(self) -> Value:
        """The first result of the call being lowered."""
        return self.results[0]

    def unique(self, base: str) -> str:
        """A name that nothing has yet."""
        name, count = base, 0
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name

    def bind(self, value: Value, name: str) -> None:
        """Says which name a traced value has."""
        self._values[value.index] = name

    def name_of(self, operand: Operand) -> str:
        """The name of an operand; a constant becomes an initializer."""
        if operand is None:
            return ""
        if isinstance(operand, str):
            return operand
        if isinstance(operand, Value):
            name = self._values[operand.index]
            if name.startswith("!"):
                raise no_counterpart(name[1:])
            return name
        if isinstance(operand, _C.TensorBase):
            array = _C.numpy(_C.to_device(operand._detach(), "cpu"))
            weight = self._weights.get(id(operand))
            if weight is not None:
                return self._initializer(("weight", weight), np.array(array), weight)
            operand = array
        array = np.asarray(operand)
        return self._initializer((array.dtype.str, array.shape, array.tobytes()), array, None)

    def _initializer(self, key: Any, array: np.ndarray[Any, Any], name: str | None) -> str:
        if key not in self._constants:
            self._constants[key] = name if name is not None else self.unique("constant")
            contiguous = np.ascontiguousarray(array).reshape(array.shape)
            self.initializers.append(numpy_helper.from_array(contiguous, self._constants[key]))
        return self._constants[key]

    def scalar(self, number: Any, dtype: Any) -> np.ndarray[Any, Any]:
        """A number as an array without dimensions."""
        return np.asarray(number, dtype=helper.tensor_dtype_to_np_dtype(TYPES[dtype]))

    def ints(self, *values: int) -> np.ndarray[Any, Any]:
        """Integers as ONNX takes shapes and axes."""
        return np.asarray(values, dtype=np.int64)

    def op(self, kind: str, *inputs: Operand, **attributes: Any) -> str:
        """Adds a node; returns its result's name."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, outputs: int, *inputs: Operand, **attributes: Any) -> list[str]:
        """Adds a node with several results; returns their names."""
        self.needs(kind)
        place = f"/{self.layer.replace('.', '/')}/{kind}" if self.layer != "forward" else f"/{kind}"
        node = self.unique(place)
        names = [self.unique(f"{node}_output_{i}") for i in range(outputs)]
        operands = [self.name_of(operand) for operand in inputs]
        while operands and not operands[-1]:
            operands.pop()
        self.nodes.append(helper.make_node(kind, operands, names, node, **attributes))
        return names

    def needs(self, kind: str) -> None:
        """Raises if the opset lacks an operator."""
        if not onnx.defs.has(kind, self.opset):
            since = onnx.defs.get_schema(kind).since_version
            raise ValueError(
                f"onnx.export: {self.call} needs the ONNX operator {kind}, which opset {self.opset} has not; "
                f"opset {since} has it"
            )

    def cast(self, operand: Operand, dtype: Any, to: Any) -> Operand:
        """The operand of one dtype in another."""
        return operand if dtype == to else self.op("Cast", operand, to=TYPES[to])

    def reshape(self, operand: Operand, shape: Sequence[int], dynamic: Sequence[bool]) -> str:
        """The operand in another shape, of which one extent may follow the batch."""
        if sum(dynamic) > 1:
            raise ValueError(
                f"onnx.export: {self.call} makes a shape in which more than one extent depends on the batch"
            )
        extents = [-1 if follows else extent for extent, follows in zip(shape, dynamic, strict=True)]
        return self.op("Reshape", operand, self.ints(*extents))

    def reduce(self, kind: str, operand: Operand, axes: Sequence[int] | None, keepdim: bool) -> str:
        """A reduction; its axes were an attribute before opset 18 (ReduceSum: 13)."""
        keep = int(keepdim)
        if axes is None:
            return self.op(kind, operand, keepdims=keep)
        if self.opset >= 18 or kind == "ReduceSum":
            return self.op(kind, operand, self.ints(*axes), keepdims=keep)
        return self.op(kind, operand, axes=list(axes), keepdims=keep)
