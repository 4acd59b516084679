"""The ONNX graph under construction: names, constants, nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cnnx import dtypes
from cnnx.tracing.constants import Constants, array_of, made_anew, place_of
from cnnx.tracing.extent import Extent, Follows
from cnnx.tracing.program import Call, Value

TYPES = {
    dtypes.float32: TensorProto.FLOAT,
    dtypes.float64: TensorProto.DOUBLE,
    dtypes.int64: TensorProto.INT64,
    dtypes.int32: TensorProto.INT32,
    dtypes.uint8: TensorProto.UINT8,
    dtypes.bool: TensorProto.BOOL,
}

Operand = Any  # a Value, an array, the name of a value, or None for one that is left out
Lowering = TypeVar("Lowering", bound="Callable[[Graph, Call], str | list[str]]")
LOWERINGS: dict[str, Callable[[Graph, Call], str | list[str]]] = {}


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """Makes a function the ONNX form of ops.

    It gets the graph and a call, and returns the name of the first result, or a list of names.
    """

    def register(lowering: Lowering) -> Lowering:
        for name in names:
            LOWERINGS[name] = lowering
        return lowering

    return register


def no_counterpart(what: str) -> NotImplementedError:
    """The error for what ONNX cannot express."""
    return NotImplementedError(
        f"onnx.export: {what} has no counterpart in ONNX; compute it outside the model, or by other ops"
    )


class Graph:
    """Nodes and constants; values are known by their names.

    Parameters
    ----------
    opset
        The version of ONNX's operators.
    weights
        Names of the model's parameters and buffers, by where they lie (`place_of`).
    sizes
        The sizes of the batches that were recorded.
    """

    def __init__(self, opset: int, weights: Mapping[Any, str], sizes: Sequence[int]) -> None:
        self.opset = opset
        self.sizes = sizes
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.call = Call("", "", {}, [])  # the one being lowered
        self._weights = weights
        self._values: dict[Value, str] = {}
        self._constants: dict[Any, str] = {}
        self.constants = Constants()
        self._taken = set(weights.values())
        self._input = ""
        self._batch = ""

    def inputs(self, values: Sequence[Value], names: Sequence[str]) -> None:
        """Says what the inputs of the model are called; the first has the size of the batch."""
        self._input = names[0] if names else ""
        for value, name in zip(values, names, strict=True):
            self._values[value] = name

    def lower(self, call: Call) -> None:
        """Adds the nodes of a call."""
        self.call = call
        names = LOWERINGS[call.op](self, call)
        for value, name in zip(call.results, [names] if isinstance(names, str) else names, strict=False):
            if value is not None:
                self._values[value] = name

    @property
    def out(self) -> Value:
        """The first result of the call being lowered."""
        result = self.call.results[0]
        assert result is not None
        return result

    def unique(self, base: str) -> str:
        """A name that nothing has yet."""
        name, count = base, 0
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name

    def name_of(self, operand: Operand) -> str:
        """The name of an operand; a constant becomes an initializer."""
        if operand is None:
            return ""
        if isinstance(operand, str):
            return operand
        if not isinstance(operand, Value):
            array = np.asarray(operand)
            return self._initializer((array.dtype.str, array.shape, array.tobytes()), array, None)
        if operand in self._values:
            return self._values[operand]
        if not self.constants.holds(operand):
            raise made_anew("onnx.export", self.call.place, operand)
        recorded = operand.recorded[0]
        weight = self._weights.get(place_of(recorded))
        if weight is None:
            return self.name_of(array_of(recorded))
        return self._initializer(("weight", weight), array_of(recorded), weight)

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
        layer = self.call.layer.replace(".", "/")
        node = self.unique(f"/{layer}/{kind}" if layer else f"/{kind}")
        names = [self.unique(f"{node}_output_{i}") for i in range(outputs)]
        operands = [self.name_of(operand) for operand in inputs]
        while operands and not operands[-1]:
            operands.pop()
        self.nodes.append(helper.make_node(kind, operands, names, node, **attributes))
        return names

    def needs(self, kind: str, since: int = 0) -> None:
        """Raises if the opset lacks an operator, or what it can do since a later one."""
        if self.opset < since or not onnx.defs.has(kind, self.opset):
            since = since or onnx.defs.get_schema(kind).since_version
            raise ValueError(
                f"onnx.export: {self.call.place} needs the ONNX operator {kind}, which opset {self.opset} "
                f"has not; opset {since} has it"
            )

    def cast(self, operand: Operand, dtype: Any, to: Any) -> Operand:
        """The operand of one dtype in another."""
        return operand if dtype == to else self.op("Cast", operand, to=TYPES[to])

    def extents(self, *values: Extent) -> Operand:
        """Extents as ONNX takes shapes, computed from the first input where they follow the batch."""
        if all(isinstance(value, int) for value in values):
            return self.ints(*values)  # type: ignore[arg-type]
        if not self._batch:
            self._batch = self.op("Slice", self.op("Shape", self._input), self.ints(0), self.ints(1))
        if all(isinstance(v, int) or v == Follows(1, 0) for v in values):
            parts = [self.ints(v) if isinstance(v, int) else self._batch for v in values]
            return self.op("Concat", *parts, axis=0) if len(parts) > 1 else self._batch
        pairs = [(v.factor, v.more) if isinstance(v, Follows) else (0, self.fixed(v)) for v in values]
        factors, more = zip(*pairs, strict=True)
        product = self.op("Mul", self._batch, self.ints(*factors))
        if not any(more):
            return product
        total = self.op("Add", product, self.ints(*more))
        return (
            total if min(more) >= 0 else self.op("Max", total, self.ints(0))
        )  # parts of too few images are empty

    def fixed(self, extent: Extent) -> int:
        """An extent that must not follow the batch."""
        if not isinstance(extent, int):
            raise ValueError(f"onnx.export: a shape in {self.call.place} depends on {self.call.differs}")
        return extent

    def reshape(self, operand: Operand, shape: Sequence[Extent]) -> str:
        """The operand in another shape."""
        open_ones = sum(not isinstance(extent, int) for extent in shape)
        if open_ones == 1 and 0 not in shape:
            shape = [extent if isinstance(extent, int) else -1 for extent in shape]
        return self.op("Reshape", operand, self.extents(*shape))

    def reduce(self, kind: str, operand: Operand, axes: Sequence[int], keepdim: bool) -> str:
        """A reduction; its axes were an attribute before opset 18 (ReduceSum: 13)."""
        keep = int(keepdim)
        if self.opset >= 18 or kind == "ReduceSum":
            return self.op(kind, operand, self.ints(*axes), keepdims=keep)
        return self.op(kind, operand, axes=list(axes), keepdims=keep)
