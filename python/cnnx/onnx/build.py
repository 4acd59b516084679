"""From recorded passes to a checked ONNX model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import helper

import cnnx
from cnnx import _C
from cnnx.onnx import (
    lower_activation,
    lower_nn,
    lower_pointwise,
    lower_reduce,
    lower_resample,
    lower_shape,
)
from cnnx.onnx.check import compare
from cnnx.onnx.graph import LOWERINGS, TYPES, Graph, no_counterpart
from cnnx.tensor import Tensor
from cnnx.tracing.constants import made_anew, place_of
from cnnx.tracing.extent import LARGE, SIZES, Follows
from cnnx.tracing.program import Call, Program, Value
from cnnx.tracing.record import fresh, record

FAMILIES = (
    lower_activation,
    lower_nn,
    lower_pointwise,
    lower_reduce,
    lower_resample,
    lower_shape,
)  # importing them fills LOWERINGS
BATCH = "batch"
MEMORY = 2**28  # bytes that the tensors of the large pass may take


def build(
    model: Any,
    inputs: Sequence[Tensor],
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
    opset: int,
    dynamic_batch: bool,
) -> onnx.ModelProto:
    """Records passes of the model and makes the ONNX model; `export` has the meaning of the arguments."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        proto = _lowered(model, _recorded(model, inputs, dynamic_batch), input_names, output_names, opset)
        # Sizes below those of the passes, where a net may have bounds of its own.
        for size in (None, *range(1, SIZES[0])) if dynamic_batch else (None,):
            compare(model, proto, inputs, size)
    finally:
        for module, training in modes:
            module.training = training
    return proto


def _recorded(model: Any, inputs: Sequence[Tensor], dynamic_batch: bool) -> Program:
    """Passes with other values each, and with batches of several sizes.

    What the model keeps from its first pass, such as tables that it makes once, is there before.
    """
    sizes: list[int | None] = list(SIZES) if dynamic_batch else [None, None]
    _, *passes = (
        record(model, [fresh(tensor, size, seed) for tensor in inputs], inputs, "onnx.export")
        for seed, size in enumerate([sizes[0], *sizes])
    )
    if dynamic_batch and passes[0].nbytes() * LARGE <= MEMORY * SIZES[0]:
        passes.append(
            record(model, [fresh(tensor, LARGE, LARGE) for tensor in inputs], inputs, "onnx.export")
        )
        sizes.append(LARGE)
    return Program(passes, [size or 0 for size in sizes], "onnx.export")


def _lowered(
    model: Any,
    program: Program,
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
    opset: int,
) -> onnx.ModelProto:
    weights: dict[Any, str] = {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        weights.setdefault(place_of(_C.RecordedTensor(tensor)), name)
    graph = Graph(opset, weights, program.sizes)
    names_in = _names("input", input_names, len(program.inputs))
    names_out = _names("output", output_names, len(program.outputs))
    for name in (*names_in, *names_out):
        if graph.unique(name) != name:
            raise ValueError(f"onnx.export: the name {name!r} is used twice")
    graph.inputs(program.inputs, names_in)
    needed = _needed(graph, program)
    for call in program.calls:
        if call in needed:
            graph.lower(call)
    return _model(graph, program, names_in, names_out, type(model).__name__)


def _needed(graph: Graph, program: Program) -> set[Call]:
    """The calls that the outputs come from; what no input goes into is a constant where it can be."""
    needed: set[Call] = set()
    waiting = [(value, "the result") for value in program.outputs]
    while waiting:
        value, place = waiting.pop()
        if value.maker in needed or value in program.inputs or graph.constants.holds(value):
            continue
        if value.maker is None:
            raise made_anew("onnx.export", place, value)
        if value.maker.op not in LOWERINGS:
            raise no_counterpart(value.maker.place)
        needed.add(value.maker)
        waiting.extend((read, value.maker.place) for read in value.maker.read())
    return needed


def _names(what: str, given: Sequence[str] | None, count: int) -> list[str]:
    if given is None:
        return [what] if count == 1 else [f"{what}_{i}" for i in range(count)]
    names = [given] if isinstance(given, str) else list(given)
    if len(names) != count:
        raise ValueError(f"onnx.export: {len(names)} {what}_names for {count} {what}s")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"onnx.export: {what}_names must be strings, got {type(name).__name__}")
        if not name:
            raise ValueError(f"onnx.export: a name among the {what}_names is empty")
    return names


def _model(
    graph: Graph, program: Program, names_in: list[str], names_out: list[str], title: str
) -> onnx.ModelProto:
    for output, name in zip(program.outputs, names_out, strict=True):
        # The output's name is fixed, while a value may be several outputs, an input or a weight.
        graph.nodes.append(helper.make_node("Identity", [graph.name_of(output)], [name], f"/{name}"))
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            title,
            [_info(value, name) for value, name in zip(program.inputs, names_in, strict=True)],
            [_info(value, name) for value, name in zip(program.outputs, names_out, strict=True)],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", graph.opset)],
        producer_name="cnnx",
        producer_version=cnnx.__version__,
    )
    proto.ir_version = helper.find_min_ir_version_for(proto.opset_import)
    _tidy(proto, set(names_out))
    onnx.checker.check_model(proto, full_check=True)
    return onnx.shape_inference.infer_shapes(proto, strict_mode=True)


def _info(value: Value, name: str) -> onnx.ValueInfoProto:
    shape = [
        extent if isinstance(extent, int) else BATCH if extent == Follows(1, 0) else None
        for extent in value.shape
    ]
    return helper.make_tensor_value_info(name, TYPES[value.dtype], shape)


def _tidy(proto: onnx.ModelProto, outputs: set[str]) -> None:
    """Drops what nothing uses, and the Identity of an output where its maker can bear the name."""
    graph = proto.graph
    needed = set(outputs)
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    uses: dict[str, int] = {}
    makers = {}
    for node in kept:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
        for name in node.output:
            makers[name] = node
    for node in list(kept):
        source = node.input[0] if node.input else ""
        if (
            node.op_type == "Identity"
            and node.output[0] in outputs
            and uses[source] == 1
            and source in makers
        ):
            maker = makers[source]
            maker.output[list(maker.output).index(source)] = node.output[0]
            kept.remove(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    used = {name for node in kept for name in node.input}
    constants = [constant for constant in graph.initializer if constant.name in used]
    del graph.initializer[:]
    graph.initializer.extend(constants)
