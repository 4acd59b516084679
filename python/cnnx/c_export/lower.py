"""Which layers of a C file the ops of a model are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from cnnx import dtypes
from cnnx.c_export.conv import Conv, ConvTranspose
from cnnx.c_export.dense import Dense, MatMul
from cnnx.c_export.elements import OPS, Assemble, Map, Piece, Strided
from cnnx.c_export.functions import FORMS, Function
from cnnx.c_export.net import Array, Data, Layer
from cnnx.c_export.pool import Pool, PoolShape
from cnnx.c_export.reduce import KINDS, Normalise, Reduce, Softmax, Span
from cnnx.c_export.resample import Resample
from cnnx.c_export.tables import interpolation, padding
from cnnx.c_export.windows import Axis, ConvShape
from cnnx.tracing.constants import Constants, array_of, made_anew, place_of
from cnnx.tracing.program import Call, Value

Lowering = TypeVar("Lowering", bound="Callable[[Builder, Call], Any]")
LOWERINGS: dict[str, Callable[[Builder, Call], Any]] = {}
BY = "export_c"
OF_BOOLS = {"add": "bitwise_or", "mul": "bitwise_and"}
FIRST_ALONE = ("max", "min")  # the places of extremes, which they are given too, are not needed for them


class MissingError(Exception):
    """Something of a call that has no C."""


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """Makes a function the C form of ops.

    It adds layers, and returns what holds the first result, or a list; None if they are told already.
    """

    def register(lowering: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(names, lowering))
        return lowering

    return register


class Builder:
    """Layers under construction.

    Parameters
    ----------
    weights
        Names of the model's parameters and buffers, by where they lie (`place_of`).
    """

    def __init__(self, weights: Mapping[Any, str]) -> None:
        self.layers: list[Layer] = []
        self.constants = Constants()
        self._weights = weights
        self._known: dict[Value, Data] = {}
        self._stored: dict[Any, Data] = {}

    def input(self, value: Value) -> Data:
        """An input of the net."""
        self._known[value] = Data(value.shapes[0])
        return self._known[value]

    def data(self, value: Value | None, place: str) -> Data:
        """Where a value lies."""
        assert value is not None
        if value not in self._known:
            if not self.constants.holds(value):
                raise made_anew(BY, place, value)
            recorded = value.recorded[0]
            name = self._weights.get(place_of(recorded), "")
            self._known[value] = self.constant(array_of(recorded), name)
        return self._known[value]

    def constant(self, array: Array, name: str = "") -> Data:
        """A constant; the same one for the same numbers under the same name."""
        array = np.ascontiguousarray(array, np.float32)
        key = name, array.shape, array.tobytes()
        return self._stored.setdefault(key, Data(array.shape, array, name or "constant"))

    def number(self, value: Value | None) -> Array | None:
        """The numbers of a constant; None if the value is none."""
        data = self._known.get(value) if value is not None else None
        if data is not None:
            return data.constant
        return self.data(value, "").constant if value is not None and self.constants.holds(value) else None

    def lower(self, call: Call) -> None:
        """Adds the layers of a call."""
        try:
            for read in read_by(call):
                if read.traced and read.dtype not in (dtypes.float32, dtypes.bool):
                    raise MissingError(f"{call.place} of {str(read.dtype).removeprefix('cnnx.')}")
            found = LOWERINGS[call.op](self, call)
        except MissingError:
            for value in call.results:
                if value is not None:
                    self._known[value] = Data(value.shapes[0])
            raise
        for value, data in zip(call.results, found if isinstance(found, list) else [found], strict=False):
            if value is not None and data is not None:
                self._known[value] = data

    def add(self, layer: type[Layer], call: Call, inputs: Sequence[Data], **fields: Any) -> Data:
        """Adds a layer; returns its output, in the shape of the call's first result."""
        shape = fields.pop("output_shape", None)
        output = Data(shape if shape is not None else out(call).shapes[0])
        self.layers.append(layer(list(inputs), output, call.place, **fields))
        return output

    def inputs(self, call: Call, *which: int) -> list[Data]:
        """Where some inputs of a call lie; those that it leaves out are left out."""
        given = [call.inputs[i] for i in which or range(len(call.inputs))]
        return [self.data(value, call.place) for value in given if value is not None]

    def view(self, call: Call, view: Strided, of: Data) -> Data:
        """The elements that a view shows, by a layer that copies them."""
        return self.add(
            Map, call, [of], op="copy", shape=view.shape, operands=[view], output_shape=view.shape
        )


def read_by(call: Call) -> list[Value]:
    """The inputs that the C of a call reads."""
    read = list(call.read())
    if "result_shape" in call.attributes:
        return read[1:]
    return read[:1] if call.op in FIRST_ALONE else read


def out(call: Call) -> Value:
    """The first result."""
    result = call.results[0]
    assert result is not None
    return result


def shape_of(call: Call, i: int = 0) -> tuple[int, ...]:
    """The shape of an input."""
    value = call.inputs[i]
    assert value is not None
    return value.shapes[0]


def own_activation(call: Call) -> list[Function]:
    """What a layer does to its result."""
    kind = call["shape.activation"]
    return [] if kind == "none" else [Function(kind)]


@lowers("conv1d", "conv2d")
def conv(b: Builder, call: Call) -> Data:
    """Convolution."""
    return b.add(Conv, call, b.inputs(call), shape=ConvShape.of(call), post=own_activation(call))


@lowers("conv_transpose1d", "conv_transpose2d")
def conv_transpose(b: Builder, call: Call) -> Data:
    """Transposed convolution."""
    return b.add(ConvTranspose, call, b.inputs(call), shape=ConvShape.of(call))


@lowers("linear")
def linear(b: Builder, call: Call) -> Data:
    """A dense layer."""
    sizes = {"columns": call["shape.in_features"], "cells": call["shape.out_features"]}
    rows = math.prod(shape_of(call)[:-1])
    return b.add(Dense, call, b.inputs(call), rows=rows, post=own_activation(call), **sizes)


@lowers("matmul")
def matmul(b: Builder, call: Call) -> Data:
    """Products of matrices."""
    x, y, result = shape_of(call, 0), shape_of(call, 1), out(call).shapes[0]
    if min(len(x), len(y)) < 2 or any(len(s) > 2 and s[:-2] != result[:-2] for s in (x, y)):
        raise MissingError(f"{call.place} of shapes {x} and {y}")
    batch = math.prod(result[:-2])
    shared = len(x) == 2 and batch > 1, len(y) == 2 and batch > 1
    size = (x[-2], x[-1], y[-1])
    return b.add(MatMul, call, b.inputs(call, 0, 1), batch=batch, size=size, shared=shared)


@lowers(
    "max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d",
)  # fmt: skip
def pool(b: Builder, call: Call) -> Data:
    """Pooling."""
    return b.add(Pool, call, b.inputs(call, 0), shape=PoolShape.of(call), mean="avg" in call.op)


@lowers("batch_norm")
def batch_norm(b: Builder, call: Call) -> Data:
    """Normalisation by the running statistics: a convolution with one weight for each channel."""
    x, *given = call.inputs[:5]
    weight, bias, mean, var = (b.number(value) for value in given)
    if call["training"] or mean is None or var is None:
        raise MissingError(f"{call.place} by the statistics of the batch")
    if any(v is not None and n is None for v, n in zip(given, (weight, bias, mean, var), strict=True)):
        raise MissingError(f"{call.place} by weights that the net computes")
    scale = np.ones_like(mean) if weight is None else weight
    scale = scale / np.sqrt(var + np.float32(call["eps"]))
    shift = (0 if bias is None else bias) - mean * scale
    named = next((b.data(value, "").name for value in given if value is not None), "")
    base = named.rpartition(".")[0]
    channels, spatial = call["shape.channels"], call["shape.spatial"]
    one, along = Axis(1, 1, 1, 1, 0, 1), Axis(spatial, spatial, 1, 1, 0, 1)
    shape = ConvShape(call["shape.batch"], channels, channels, channels, one, along)
    factors = b.constant(scale, f"{base}.scale"), b.constant(shift, f"{base}.shift")
    return b.add(Conv, call, [b.data(x, call.place), *factors], shape=shape, post=own_activation(call))


@lowers("layer_norm", "group_norm")
def normalise(b: Builder, call: Call) -> Data:
    """Normalisation over rows."""
    sizes = {name: call[f"shape.{name}"] for name in ("runs", "repeat", "params")}
    rows = math.prod(out(call).shapes[0]) // (sizes["runs"] * sizes["repeat"])
    _, weight, bias = call.inputs[:3]
    given = {"scaled": weight is not None, "moved": bias is not None}
    return b.add(Normalise, call, b.inputs(call, 0, 1, 2), eps=call["eps"], rows=rows, **sizes, **given)


@lowers("softmax", "log_softmax")
def softmax(b: Builder, call: Call) -> Data:
    """Softmax or its logarithm."""
    span = Span.of(shape_of(call), call["dim"], call["dim"])
    return b.add(Softmax, call, b.inputs(call, 0), span=span, log=call["log"])


@lowers("dropout", "feature_dropout")
def dropout(b: Builder, call: Call) -> Data:
    """Outside training it makes no call."""
    raise MissingError(f"{call.place} in training mode (pass training=self.training)")


@lowers(*(set(FORMS) - {"pow", "clamp"}))
def function(b: Builder, call: Call) -> Data:
    """A function of one element."""
    return unary(b, call, Function(call.op, call.attributes.get("a", 0.0), call.attributes.get("b", 0.0)))


def unary(b: Builder, call: Call, what: Function) -> Data:
    """A layer of one function."""
    view = Strided.whole(shape_of(call))
    return b.add(Map, call, b.inputs(call, 0), op="copy", shape=view.shape, operands=[view], post=[what])


@lowers("clamp")
def clamp(b: Builder, call: Call) -> Data:
    """Limits, numbers or tensors."""
    if "a" in call.attributes:
        return unary(b, call, Function("clamp", call["a"], call["b"]))
    x = b.data(call.inputs[0], call.place)
    shape = out(call).shapes[0]
    whole = Strided.whole(shape_of(call)).expanded(shape)
    for i, op in enumerate(("maximum", "minimum")):
        if call["has"][i]:
            value = call.inputs[1 + i]
            bound: Any = call["numbers.real"][i]
            more = []
            if value is not None:
                bound = Strided.whole(value.shapes[0]).expanded(shape)
                more = [b.data(value, call.place)]
            x = b.add(Map, call, [x, *more], op=op, shape=shape, operands=[whole, bound])
            whole = Strided.whole(shape)
    return x


@lowers(*(set(OPS) - {"copy"}))
def binary(b: Builder, call: Call) -> Data:
    """Arithmetic, comparisons and choices, broadcast."""
    if call.op == "pow" and "a" in call.attributes:
        return unary(b, call, Function("pow", call["a"]))
    if "value" in call.attributes:
        return scaled_sum(b, call)
    shape = out(call).shapes[0]
    numbers = call["numbers.real"]
    first = 1 if call.op == "where" else 0
    operands = [
        numbers[i - first] if value is None else Strided.whole(value.shapes[0]).expanded(shape)
        for i, value in enumerate(call.inputs)
    ]
    op = OF_BOOLS.get(call.op, call.op) if out(call).dtype == dtypes.bool else call.op
    return b.add(Map, call, b.inputs(call), op=op, shape=shape, operands=operands)


def scaled_sum(b: Builder, call: Call) -> Data:
    """The sum of an array and a multiple of another."""
    x, y = b.inputs(call)
    shape = out(call).shapes[0]
    views = [Strided.whole(shape_of(call, i)).expanded(shape) for i in range(2)]
    if call["value"] != 1:
        operands = [views[1], call["value"]]
        y = b.add(Map, call, [y], op="mul", shape=shape, operands=operands)
        views[1] = Strided.whole(shape)
    return b.add(Map, call, [x, y], op="add", shape=shape, operands=views)


@lowers("to", "clone", "contiguous", "view", "reshape", "squeeze", "unsqueeze")
def alias(b: Builder, call: Call) -> Data:
    """The same elements."""
    if out(call).dtype not in (dtypes.float32, dtypes.bool):
        raise MissingError(f"{call.place} to {str(out(call).dtype).removeprefix('cnnx.')}")
    return as_stored(b, call)


def as_stored(b: Builder, call: Call) -> Data:
    """The elements of the first input in the dtype of the result: true is 1, and so is what is not 0."""
    source, result = call.inputs[0], out(call)
    x = b.data(source, call.place)
    if source is None or source.dtype == dtypes.bool or result.dtype != dtypes.bool:
        return x
    shape = source.shapes[0]
    operands = [Strided.whole(shape), 0.0]
    return b.add(Map, call, [x], op="ne", shape=shape, operands=operands, output_shape=shape)


@lowers("copy")
def copy(b: Builder, call: Call) -> Data:
    """The elements of another tensor, in this one's shape."""
    view = Strided.whole(shape_of(call)).expanded(out(call).shapes[0])
    return b.view(call, view, as_stored(b, call))


@lowers("expand", "permute", "transpose", "flip")
def rearrange(b: Builder, call: Call) -> Data:
    """Elements in another order, or repeated."""
    x = b.data(call.inputs[0], call.place)
    whole = Strided.whole(shape_of(call))
    if call.op == "expand":
        view = whole.expanded(out(call).shapes[0])
    elif call.op == "flip":
        back = [d for d in range(len(whole.shape)) if call["dims"] >> d & 1]
        offset = sum((whole.shape[d] - 1) * whole.steps[d] for d in back)
        steps = tuple(-s if d in back else s for d, s in enumerate(whole.steps))
        view = Strided(whole.shape, steps, offset)
    else:
        order = call["order"][: call["count"]] or range(len(whole.shape))
        view = Strided(tuple(whole.shape[d] for d in order), tuple(whole.steps[d] for d in order))
    return x if view.straight and view.shape == whole.shape else b.view(call, view, x)


def part(call: Call, of: Sequence[int], prefix: str = "") -> Strided:
    """The view that a call's attributes describe."""
    whole = Strided.whole(of)
    shape = call[f"{prefix}shape"]
    source = call[f"{prefix}source"][: len(shape)]
    start = call[f"{prefix}start"][: len(of)]
    steps = tuple(
        step * whole.steps[d] if d >= 0 else 0
        for d, step in zip(source, call[f"{prefix}step"][: len(shape)], strict=True)
    )
    return Strided(tuple(shape), steps, sum(s * step for s, step in zip(start, whole.steps, strict=True)))


@lowers("narrow", "select", "slice")
def shown(b: Builder, call: Call) -> Data:
    """A part."""
    return b.view(call, part(call, shape_of(call)), b.data(call.inputs[0], call.place))


@lowers("write", "index_put")
def written(b: Builder, call: Call) -> Data:
    """An array with other values in a part of it."""
    if call.op == "index_put" and len([v for v in call.inputs if v is not None]) > 2:
        raise MissingError(f"{call.place} by index tensors")
    if call.op == "index_put" and call["add"]:
        raise MissingError(f"{call.place} that adds")
    view = part(call, shape_of(call), "plan." if call.op == "index_put" else "")
    read = Strided.whole(shape_of(call, 1))
    if len(read.shape) > len(view.shape):
        read = Strided.whole(read.shape[len(read.shape) - len(view.shape) :])
    pieces = [Piece(1, read.expanded(view.shape), view)]
    return b.add(Assemble, call, b.inputs(call, 0, 1), pieces=pieces, base=0)


@lowers("cat")
def cat(b: Builder, call: Call) -> Data:
    """Arrays joined along a dimension."""
    whole, dim, position = Strided.whole(out(call).shapes[0]), call["dim"], 0
    pieces = []
    for i in range(len(call.inputs)):
        shape = shape_of(call, i)
        if math.prod(shape):
            write = Strided(shape, whole.steps, position * whole.steps[dim])
            pieces.append(Piece(i, Strided.whole(shape), write))
            position += shape[dim]
    return b.add(Assemble, call, b.inputs(call), pieces=pieces)


@lowers("split_copy")
def split(b: Builder, call: Call) -> list[Data | None]:
    """All parts of an array along a dimension."""
    x, whole = b.data(call.inputs[0], call.place), Strided.whole(shape_of(call))
    found: list[Data | None] = []
    position = 0
    for value in call.results:
        assert value is not None  # none is left out
        view = Strided(value.shapes[0], whole.steps, position * whole.steps[call["dim"]])
        found.append(b.view(call, view, x))
        position += value.shapes[0][call["dim"]]
    return found


@lowers("pad")
def pad(b: Builder, call: Call) -> Data:
    """Padding, by a number or by what is there."""
    shape, result = shape_of(call), out(call).shapes[0]
    pads = [0] * (2 * len(shape))  # from the last dimension on, as pairs
    pads[: call["count"]] = call["pads"][: call["count"]]
    begins = pads[0::2][::-1]
    if call["mode"] != "constant":
        planes, rows, columns = padding(shape, result, begins, call["mode"])
        if planes == 0:
            raise MissingError(f"{call.place} of more than two dimensions by {call['mode']}")
        return b.add(Resample, call, b.inputs(call, 0), planes=planes, rows=rows, columns=columns)
    old, new = Strided.whole(shape), Strided.whole(result)
    kept = tuple(
        min(n, m - begin) - max(0, -begin) for n, m, begin in zip(shape, result, begins, strict=True)
    )
    if min(kept, default=1) <= 0:
        return b.constant(np.full(result, call["real"], np.float32))
    read = sum(max(0, -begin) * step for begin, step in zip(begins, old.steps, strict=True))
    write = sum(max(0, begin) * step for begin, step in zip(begins, new.steps, strict=True))
    pieces = [Piece(0, Strided(kept, old.steps, read), Strided(kept, new.steps, write))]
    return b.add(Assemble, call, b.inputs(call, 0), pieces=pieces, fill=call["real"])


@lowers("interpolate")
def interpolate(b: Builder, call: Call) -> Data:
    """Resizing."""
    if call["transposed"]:
        raise MissingError(f"the gradient of {call.place}")
    rows, columns = interpolation(call)
    planes = call["batch"] * call["channels"]
    return b.add(Resample, call, b.inputs(call, 0), planes=planes, rows=rows, columns=columns)


@lowers(*KINDS)
def reduction(b: Builder, call: Call) -> Data:
    """One number for the elements along dimensions."""
    if "first" not in call.attributes:  # found before, by other calls
        return b.data(call.inputs[1], call.place)
    if call["last"] < call["first"] and call.op not in ("var", "std", "norm"):
        return b.data(call.inputs[0], call.place)
    scale = {"scale": call["scale"]} if call.op in ("var", "std") else {}
    span = Span.of(shape_of(call), call["first"], call["last"])
    return b.add(Reduce, call, b.inputs(call, 0), kind=call.op, span=span, **scale)


@lowers("max", "min")
def extreme(b: Builder, call: Call) -> Data:
    """The extremes along a dimension; their places are not needed for them."""
    if "dim" not in call.attributes:
        return b.data(call.inputs[1], call.place)
    span = Span.of(shape_of(call), call["dim"], call["dim"])
    return b.add(Reduce, call, b.inputs(call, 0), kind=f"a{call.op}", span=span)


@lowers("full", "fill")
def full(b: Builder, call: Call) -> Data:
    """One number everywhere."""
    return b.constant(np.full(out(call).shapes[0], call["real"], np.float32))
