"""Layers joined with those before them: normalisation with weights, functions and maxima with loops."""

from __future__ import annotations

import numpy as np

from cnnx.c_export.conv import Conv, ConvTranspose
from cnnx.c_export.dense import Dense
from cnnx.c_export.elements import Map
from cnnx.c_export.functions import Function
from cnnx.c_export.net import Array, Data, Layer, Net
from cnnx.c_export.pool import Pool

# Of functions that never fall the maximum is the function of the maximum; with these numbers.
RISING = {"relu", "hardtanh", "clamp", "sigmoid", "tanh", "softsign", "hardsigmoid", "exp", "elu", "selu"}


def rises(function: Function) -> bool:
    """Whether a function never falls."""
    if function.op == "elu":
        return function.a >= 0 and function.b >= 0
    return function.op in RISING or (function.op == "leaky_relu" and function.a >= 0)


def fuse(net: Net) -> None:
    """Drops what nothing reads, and joins what can be joined, until nothing more can."""
    while dead := [
        one for one in net.layers if one.output not in net.outputs and one.output not in net.uses()
    ]:
        net.layers = [layer for layer in net.layers if layer not in dead]
    while _fuse_one(net):
        pass


def _fuse_one(net: Net) -> bool:
    uses = net.uses()
    makers = {layer.output: layer for layer in net.layers}
    for layer in net.layers:
        before = makers.get(layer.inputs[0]) if layer.inputs else None
        alone = before is not None and len(uses[before.output]) == 1 and before.output not in net.outputs
        if before is not None and alone and layer.inputs.count(before.output) == 1 and _join(before, layer):
            before.output = layer.output
            net.layers.remove(layer)
            return True
    return False


def _join(before: Layer, layer: Layer) -> bool:
    """Makes the first layer do the second's work too, if it can."""
    rising = all(rises(function) for function in layer.post)
    if isinstance(layer, Map) and layer.is_function:
        if isinstance(before, Conv) and before.pool > 1 and not rising:
            return False
        before.post += layer.post
        return True
    if isinstance(layer, Conv) and layer.shape.taps == 1 and layer.shape.group_out == 1 and layer.pool == 1:
        if before.post or not _scale(before, layer):
            return False
        before.post += layer.post
        return True
    if not (isinstance(layer, Pool) and isinstance(before, Conv) and before.pool == 1 and layer.square > 1):
        return False
    pooled, made = layer.shape, before.shape
    planes = made.batch * made.out_channels, made.rows.cells, made.columns.cells
    if (pooled.planes, pooled.rows.size, pooled.columns.size) != planes or not rising:
        return False
    before.pool = layer.square
    before.post += layer.post
    return True


def _scale(before: Layer, layer: Conv) -> bool:
    """Takes one weight and bias for each channel into the weights before them."""
    constants = [data.constant for data in (*before.inputs[1:], *layer.inputs[1:])]
    if any(value is None for value in constants) or len(before.inputs) < 2:
        return False
    s, factor = layer.shape, layer.inputs[1].constant
    shift = layer.inputs[2].constant if len(layer.inputs) > 2 else None
    weight = before.inputs[1].constant
    assert factor is not None
    assert weight is not None
    cells = s.rows.cells * s.columns.cells
    if (
        not s.rows.fits
        or not s.columns.fits
        or (s.rows.size, s.columns.size) != (s.rows.cells, s.columns.cells)
    ):
        return False
    factor = factor.reshape(-1)
    scaled: Array
    if isinstance(before, Conv) and before.pool == 1:
        b = before.shape
        if (b.batch, b.out_channels, b.rows.cells * b.columns.cells) != (s.batch, s.out_channels, cells):
            return False
        scaled = weight.reshape(len(factor), -1) * factor[:, None]
    elif isinstance(before, ConvTranspose):
        b = before.shape
        if (b.batch, b.in_channels, b.rows.size * b.columns.size) != (s.batch, s.out_channels, cells):
            return False
        per_group = weight.reshape(b.groups, b.group_out, b.group_in, -1)
        scaled = per_group * factor.reshape(b.groups, 1, b.group_in, 1)
    elif isinstance(before, Dense):
        if (before.rows, before.cells, 1) != (s.batch, s.out_channels, cells):
            return False
        scaled = weight.reshape(len(factor), -1) * factor[:, None]
    else:
        return False
    bias = before.inputs[2].constant if len(before.inputs) > 2 else np.zeros_like(factor)
    assert bias is not None
    moved = bias.reshape(-1) * factor + (0 if shift is None else shift.reshape(-1))
    name = before.inputs[1].name
    other = before.inputs[2].name if len(before.inputs) > 2 else f"{name.rpartition('.')[0]}.bias"
    before.inputs[1:] = [
        Data(weight.shape, scaled.reshape(weight.shape).astype(np.float32), name),
        Data(moved.shape, moved.astype(np.float32), other),
    ]
    before.place += f" with {layer.place}"
    return True
