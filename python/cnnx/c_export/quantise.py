"""From a net in float32 to one in whole numbers, by scales that typical inputs give."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from cnnx.c_export.conv import Conv
from cnnx.c_export.dense import Dense
from cnnx.c_export.elements import Assemble, Map, Strided
from cnnx.c_export.int8 import (
    LARGEST,
    MOST,
    Whole,
    WholeAssemble,
    WholeConv,
    WholeDense,
    WholeMap,
    WholePick,
    WholePool,
    WholeSum,
)
from cnnx.c_export.net import Array, Data, Layer, Net
from cnnx.c_export.pool import Pool
from cnnx.c_export.reduce import Reduce, Softmax
from cnnx.c_export.resample import Resample

CHUNK = 64  # typical inputs at a time
MOST_SHIFT = 40
Form = TypeVar("Form", bound="Callable[[Quantiser, Any], Whole]")
FORMS: dict[type[Layer], Callable[[Quantiser, Any], Whole]] = {}


class NoFormError(Exception):
    """A layer that has no form in whole numbers."""


def form_of(kind: type[Layer]) -> Callable[[Form], Form]:
    """Makes a function the form in whole numbers of a kind of layer."""

    def register(form: Form) -> Form:
        FORMS[kind] = form
        return form

    return register


class Ranges:
    """The largest absolute values for typical inputs: of each array, and of each layer before its `post`."""

    def __init__(self, net: Net, inputs: Sequence[Array]) -> None:
        self.of: dict[Data, float] = {}
        self.before: dict[Layer, float] = {}
        for first in range(0, len(inputs[0]), CHUNK):
            values = dict(zip(net.inputs, (x[first : first + CHUNK] for x in inputs), strict=True))
            for data in net.inputs:
                self._note(self.of, data, values[data])
            for layer in net.layers:
                x = [values[d] if d.constant is None else d.constant for d in layer.inputs]
                if layer.post:
                    self._note(self.before, layer, layer.before(x))
                values[layer.output] = layer.run(x)
                self._note(self.of, layer.output, values[layer.output])

    @staticmethod
    def _note(table: dict[Any, float], key: Any, values: Array) -> None:
        largest = float(np.abs(values).max())
        if not math.isfinite(largest):
            raise ValueError("export_c: calibration gives values that are not finite")
        table[key] = max(table.get(key, 0.0), largest)


def scale_of(largest: float) -> float:
    """What 1 of int8 stands for; 1 where all is 0."""
    return largest / LARGEST if largest > 0 else 1.0


def rounded(values: Array, scale: Array | float) -> Array:
    """Multiples of a scale, as int8."""
    return np.clip(np.round(values / scale), -LARGEST, LARGEST).astype(np.int8)


class Quantiser:
    """Layers in whole numbers under construction."""

    def __init__(self, net: Net, ranges: Ranges) -> None:
        self.ranges = ranges
        self.scales: dict[Data, float] = {d: scale_of(ranges.of[d]) for d in net.inputs}
        self.layers: list[Whole] = []
        self._constants: dict[Data, Data] = {}

    def add(self, layer: Layer) -> str:
        """Adds the form of a layer; what is missing where it has none."""
        try:
            if type(layer) not in FORMS:
                raise NoFormError(layer.place)
            self.layers.append(FORMS[type(layer)](self, layer))
        except NoFormError as error:
            self.scales[layer.output] = 1.0
            return str(error)
        return ""

    def whole(self, data: Data) -> Data:
        """An array in whole numbers: a constant with a scale of its own, or what is computed."""
        if data.constant is None:
            return data
        if data not in self._constants:
            self.scales[data] = scale_of(float(np.abs(data.constant).max(initial=0)))
            values = rounded(data.constant, self.scales[data])
            self._constants[data] = Data(data.shape, values, data.name)
        return self._constants[data]

    def scale(self, data: Data) -> float:
        """What 1 of an array stands for."""
        self.whole(data)
        return self.scales[data]

    def ending(self, layer: Layer, keeps: bool = False) -> tuple[float, dict[str, Any]]:
        """The scale of sums before what a layer does to them, and limits or table; sets the output's scale.

        A layer that `keeps` has the scale of its input.
        """
        own = self.scale(layer.inputs[0]) if keeps else scale_of(self.ranges.of[layer.output])
        bounds = [function.bounds() for function in layer.post]
        limits = [bound for bound in bounds if bound is not None]
        if len(limits) == len(bounds):
            low, high = -LARGEST, LARGEST
            for a, b in limits:
                below, above = (int(np.clip(round_half_up(v / own), -LARGEST, LARGEST)) for v in (a, b))
                low, high = min(max(low, below), above), max(min(high, above), below)
            self.scales[layer.output] = own
            return own, {"low": low, "high": max(low, high), "does": layer.functions()}
        before = own if keeps else scale_of(self.ranges.before[layer])
        values = (np.arange(-128, 128).clip(-LARGEST) * before).astype(np.float32)
        for function in layer.post:
            values = function(values)
        largest = min(self.ranges.of[layer.output], float(np.abs(values[np.isfinite(values)]).max(initial=0)))
        after = self.scales[layer.output] = scale_of(largest)
        items = rounded(np.nan_to_num(values, posinf=largest, neginf=-largest), after)
        name = f"{layer.place.partition(' ')[0]}.table"
        return before, {"lookup": Data((len(items),), items, name), "does": layer.functions()}


def round_half_up(value: float) -> float:
    """The nearest whole number; infinities stay."""
    return math.floor(value + 0.5) if math.isfinite(value) else value


def parameters(q: Quantiser, layer: Layer, channels: int, taps: int) -> tuple[list[Data], Array]:
    """Input, weight and bias in whole numbers, and what sums of each channel stand for."""
    x, weight = layer.inputs[0], layer.inputs[1]
    bias = layer.inputs[2] if len(layer.inputs) > 2 else None
    if weight.constant is None or (bias is not None and bias.constant is None):
        raise NoFormError(f"{layer.place} by weights that the net computes")
    rows = weight.constant.reshape(channels, -1)
    largest = np.abs(rows).max(1)
    scales = np.where(largest > 0, largest, max(float(largest.max()), 1.0)).astype(np.float64) / LARGEST
    values = np.zeros(channels) if bias is None or bias.constant is None else bias.constant.reshape(-1)
    room = MOST - taps * 128 * LARGEST
    if room <= 0:
        raise NoFormError(f"{layer.place}, whose sums exceed 32 bits")
    # Of a channel whose weights are next to nothing beside its bias the bias decides.
    scales = np.maximum(scales, np.abs(values.astype(np.float64)) / (q.scale(x) * room))
    sums = scales * q.scale(x)
    start = np.round(values / sums)
    name = weight.name.rpartition(".")[0] or weight.name
    named = bias.name if bias is not None else f"{name}.bias"
    made = [
        x,
        Data(weight.shape, rounded(rows, scales[:, None]).reshape(weight.shape), weight.name),
        Data((channels,), start.astype(np.int32), named),
    ]
    return made, sums


@form_of(Conv)
def conv(q: Quantiser, layer: Conv) -> Whole:
    """A convolution."""
    s = layer.shape
    inputs, sums = parameters(q, layer, s.out_channels, s.taps)
    scale, ending = q.ending(layer)
    about: dict[str, Any] = {"pool": layer.pool, "words": layer.title(), "products": layer.multiply_adds()}
    return WholeConv(inputs, layer.output, layer.place, shape=s, ratios=sums / scale, **about, **ending)


@form_of(Dense)
def dense(q: Quantiser, layer: Dense) -> Whole:
    """A dense layer."""
    inputs, sums = parameters(q, layer, layer.cells, layer.columns)
    scale, ending = q.ending(layer)
    sizes: dict[str, Any] = {"rows": layer.rows, "columns": layer.columns, "cells": layer.cells}
    return WholeDense(inputs, layer.output, layer.place, ratios=sums / scale, **sizes, **ending)


@form_of(Pool)
def pool(q: Quantiser, layer: Pool) -> Whole:
    """Pooling."""
    s = layer.shape
    if layer.mean and s.count == 0:
        raise NoFormError(f"{layer.place} over windows of different sizes")
    scale, ending = q.ending(layer, keeps=not layer.mean)
    ratio = np.array([q.scale(layer.inputs[0]) / scale / max(s.count, 1)])
    return WholePool(
        layer.inputs, layer.output, layer.place, shape=s, mean=layer.mean, ratios=ratio, **ending
    )


@form_of(Map)
def elements(q: Quantiser, layer: Map) -> Whole:
    """Elements moved, added or multiplied."""
    views = [view for view in layer.operands if isinstance(view, Strided)]
    numbers = [number for number in layer.operands if not isinstance(number, Strided)]
    keeps = layer.op == "copy"
    if layer.op not in ("copy", "add", "sub", "mul", "div") or len(layer.operands) - len(numbers) < 1:
        raise NoFormError(f"{layer.place}")
    if layer.op == "div" and not numbers:
        raise NoFormError(f"{layer.place} of two arrays")
    inputs = [q.whole(data) for data in layer.inputs]
    scales = [q.scale(data) for data in layer.inputs]
    scale, ending = q.ending(layer, keeps)
    op, number = "sum", 0.0
    first = isinstance(layer.operands[0], Strided)
    if keeps:
        op, ratios = "copy", [1.0]
    elif layer.op == "mul" and not numbers:
        op, ratios = "mul", [scales[0] * scales[1] / scale]
    elif layer.op == "mul":
        ratios = [scales[0] * numbers[0] / scale]
    elif layer.op == "div":
        if not first:
            raise NoFormError(f"{layer.place} of a number by an array")
        ratios = [scales[0] / numbers[0] / scale]
    else:
        signs = [1.0, -1.0 if layer.op == "sub" else 1.0]
        ratios = [
            sign * s / scale
            for sign, s in zip(signs if first else signs[1:], scales, strict=len(scales) == 2)
        ]
        number = sum(numbers) * (signs[1] if first else 1.0) / scale
    about: dict[str, Any] = {"shape": layer.shape, "views": views, "op": op, "number": number}
    return WholeMap(inputs, layer.output, layer.place, ratios=np.array(ratios), **about, **ending)


@form_of(Assemble)
def assemble(q: Quantiser, layer: Assemble) -> Whole:
    """Arrays put together."""
    inputs = [q.whole(data) for data in layer.inputs]
    keeps = len(layer.inputs) == 1 and not layer.fill
    scale, ending = q.ending(layer, keeps)
    if "lookup" in ending and not keeps:
        raise NoFormError(f"{layer.place} with {layer.post[0]}")
    ratios = np.array([q.scale(data) / scale for data in layer.inputs])
    fill = None if layer.fill is None else int(rounded(np.array(layer.fill), scale))
    about: dict[str, Any] = {"pieces": layer.pieces, "fill": fill, "base": layer.base, "count": len(inputs)}
    return WholeAssemble(inputs, layer.output, layer.place, ratios=ratios, **about, **ending)


@form_of(Reduce)
def reduce(q: Quantiser, layer: Reduce) -> Whole:
    """Sums and means."""
    if layer.kind not in ("sum", "mean"):
        raise NoFormError(f"{layer.place}")
    scale, ending = q.ending(layer)
    ratio = q.scale(layer.inputs[0]) / scale / (layer.span.along if layer.kind == "mean" else 1)
    return WholeSum(
        layer.inputs, layer.output, layer.place, span=layer.span, ratios=np.array([ratio]), **ending
    )


@form_of(Resample)
def resample(q: Quantiser, layer: Resample) -> Whole:
    """Rows and columns repeated."""
    if not (layer.rows.picks and layer.columns.picks):
        raise NoFormError(f"{layer.place} that blends")
    _, ending = q.ending(layer, keeps=True)
    about: dict[str, Any] = {"planes": layer.planes, "rows": layer.rows, "columns": layer.columns}
    return WholePick(layer.inputs, layer.output, layer.place, ratios=np.ones(1), **about, **ending)


def without_softmax(net: Net) -> tuple[Net, list[Softmax | None]]:
    """The net up to a softmax at its end, and that, for each output: it stays in float32."""
    uses, makers = net.uses(), {layer.output: layer for layer in net.layers}
    outputs: list[Data] = []
    ends: list[Softmax | None] = []
    for data in net.outputs:
        layer = makers.get(data)
        scores = layer.inputs[0] if isinstance(layer, Softmax) else data
        alone = data not in uses and uses.get(scores) == [layer]
        if isinstance(layer, Softmax) and alone and scores in makers and scores not in net.outputs:
            outputs.append(scores)
            ends.append(layer)
        else:
            outputs.append(data)
            ends.append(None)
    layers = [layer for layer in net.layers if layer not in ends]
    return Net(net.inputs, outputs, layers, net.input_shapes, net.output_shapes), ends


def whole_net(net: Net, inputs: Sequence[Array]) -> tuple[Net, list[float], list[float]]:
    """The net in whole numbers, and the scales of its inputs and outputs."""
    q = Quantiser(net, Ranges(net, inputs))
    missing = [found for layer in net.layers if (found := q.add(layer))]
    if missing:
        names = ", ".join(dict.fromkeys(missing))
        raise NotImplementedError(f"export_c: there is no form in whole numbers for {names}")
    largest = max((float(np.abs(layer.ratios).max()) for layer in q.layers), default=1.0)
    shift = min(31 - max(math.frexp(largest)[1], -9), MOST_SHIFT)
    if shift < 1:
        raise ValueError("export_c: the scales of calibration lie too far apart for whole numbers")
    for layer in q.layers:
        layer.finish(shift)
    for data in (*net.inputs, *net.outputs):
        with np.errstate(over="ignore", under="ignore"):
            if not np.isfinite(np.float32(1 / q.scales[data])) or np.float32(q.scales[data]) == 0:
                raise ValueError(
                    f"export_c: calibration gives values too near 0, at most {q.ranges.of[data]:g}"
                )
    made = Net(net.inputs, net.outputs, list(q.layers), net.input_shapes, net.output_shapes)
    return made, [q.scales[d] for d in net.inputs], [q.scales[d] for d in net.outputs]
