"""From a model to the layers of a C file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import cnnx
from cnnx import _C
from cnnx.c_export.elements import Strided
from cnnx.c_export.fuse import fuse
from cnnx.c_export.lower import BY, LOWERINGS, Builder, MissingError, read_by
from cnnx.c_export.net import Data, Net
from cnnx.tensor import Tensor
from cnnx.tracing.compare import SHARE, differing
from cnnx.tracing.constants import made_anew, place_of
from cnnx.tracing.program import Call, Program, Value
from cnnx.tracing.record import fresh, record, tensors_of


def build(model: Any, sample: Sequence[Tensor]) -> Net:
    """The net of a model in eval mode, compared with it; `export_c` has the meaning of the arguments."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        # What the model keeps from its first pass, such as tables that it makes once, is there before.
        _, *passes = (record(model, [fresh(t, None, seed) for t in sample], sample, BY) for seed in (0, 0, 1))
        net = _lowered(model, Program(passes, [0, 0], BY))
        fuse(net)
        _compare(model, net, sample)
    finally:
        for module, training in modes:
            module.training = training
    return net


def _lowered(model: Any, program: Program) -> Net:
    weights: dict[Any, str] = {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        weights.setdefault(place_of(_C.RecordedTensor(tensor)), name)
    b = Builder(weights)
    inputs = [b.input(value) for value in program.inputs]
    needed = _needed(b, program)
    missing = []
    for call in program.calls:
        if call not in needed:
            continue
        if call.op not in LOWERINGS:
            missing.append(call.place)
            for value in call.results:
                if value is not None:
                    b.input(value)
            continue
        try:
            b.lower(call)
        except MissingError as error:
            missing.append(str(error))
    if missing:
        raise NotImplementedError(f"{BY}: there is no C for {', '.join(dict.fromkeys(missing))}")
    outputs: list[Data] = []
    for value in program.outputs:
        if value.traced and value.dtype != cnnx.float32:
            raise TypeError(f"{BY}: the model returns {value.dtype}; a net in C returns float32")
        data = b.data(value, "the result")
        if data in (*inputs, *outputs) or data.constant is not None:  # it needs a place of its own
            whole = Strided.whole(value.shapes[0])
            call = Call("copy", "", {}, [])
            data = b.view(call, whole, data)
        outputs.append(data)
    shapes = [[value.shapes[0] for value in values] for values in (program.inputs, program.outputs)]
    return Net(inputs, outputs, b.layers, *shapes)


def _needed(b: Builder, program: Program) -> set[Call]:
    """The calls that the outputs come from."""
    needed: set[Call] = set()
    waiting: list[tuple[Value, str]] = [(value, "the result") for value in program.outputs]
    while waiting:
        value, place = waiting.pop()
        if value.maker in needed or value in program.inputs or b.constants.holds(value):
            continue
        if value.maker is None:
            raise made_anew(BY, place, value)
        needed.add(value.maker)
        waiting.extend((one, value.maker.place) for one in read_by(value.maker))
    return needed


def _compare(model: Any, net: Net, sample: Sequence[Tensor]) -> None:
    """Raises ValueError unless the layers give what the model gives."""
    arrays = [fresh(tensor, None, 2) for tensor in sample]
    inputs = [cnnx.from_numpy(a.copy()).to(t.device) for a, t in zip(arrays, sample, strict=True)]
    with cnnx.no_grad():
        expected = model(*inputs)
    found = net([array[None] for array in arrays])
    for got, tensor in zip(found, tensors_of(expected, BY), strict=True):
        want = tensor.cpu().numpy()
        wrong = differing(np.asarray(got.reshape(want.shape)), want)
        if wrong > SHARE * want.size:
            raise ValueError(f"{BY}: {wrong} of {want.size} results are not the model's: its course varies")
