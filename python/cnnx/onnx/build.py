"""From a trace to a checked ONNX model."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import onnx
from onnx import helper

import cnnx
from cnnx.onnx import lower_activation, lower_nn, lower_pointwise, lower_reduce, lower_shape
from cnnx.onnx.check import UNSEEN, compare
from cnnx.onnx.graph import LOWERINGS, TYPES, Graph, no_counterpart
from cnnx.onnx.trace import Call, Trace, Value, Varying, merge, trace
from cnnx.tensor import Tensor

FAMILIES = (
    lower_activation,
    lower_nn,
    lower_pointwise,
    lower_reduce,
    lower_shape,
)  # importing them fills LOWERINGS
# Their result's shape says all that is needed, so arguments that follow the batch do not matter.
SHAPED = {"view", "reshape", "expand", "unflatten"}
BATCH = "batch"
FEW = 2  # images in the first pass, one more in the second; 1 would be squeezed and broadcast as no other is


def build(
    model: Any,
    inputs: Sequence[Tensor],
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
    opset: int,
    dynamic_batch: bool,
) -> onnx.ModelProto:
    """Traces the model and makes the ONNX model of it; `export` has the meaning of the arguments."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        recorded, twin = (
            trace(
                model,
                [_batch(tensor, size) if dynamic_batch else tensor.detach().clone() for tensor in inputs],
            )
            for size in (FEW, FEW + 1)
        )
        proto = _lowered(model, merge(recorded, twin), input_names, output_names, opset)
        for size in (None, 1, UNSEEN) if dynamic_batch else (None,):
            compare(model, proto, inputs, size)
    finally:
        for module, training in modes:
            module.training = training
    return proto


def _lowered(
    model: Any,
    recorded: Trace,
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
    opset: int,
) -> onnx.ModelProto:
    weights = {id(t): name for name, t in [*model.named_parameters(), *model.named_buffers()]}
    graph = Graph(opset, weights)
    names_in = _names("input", input_names, len(recorded.inputs))
    names_out = _names("output", output_names, len(recorded.outputs))
    for name in (*names_in, *names_out):
        if graph.unique(name) != name:
            raise ValueError(f"onnx.export: the name {name!r} is used twice")
    for value, name in zip(recorded.inputs, names_in, strict=True):
        graph.bind(value, name)
    for call in recorded.calls:
        _lower(graph, call)
    return _model(graph, recorded, names_in, names_out, type(model).__name__)


def _batch(tensor: Tensor, size: int) -> Tensor:
    rows = cnnx.arange(size) % tensor.shape[0]
    return tensor.detach().index_select(0, rows)


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


def _lower(graph: Graph, call: Call) -> None:
    lowering = LOWERINGS.get(call.op)
    place = f"{call.op} ({call.layer})" if call.layer != "forward" else call.op
    if lowering is None:
        raise no_counterpart(place)
    if call.op not in SHAPED:
        for argument in (*call.args, *call.kwargs.values()):
            if _varies(argument):
                raise ValueError(f"onnx.export: an argument of {place} depends on the size of the batch")
    graph.results, graph.call, graph.layer = call.results, place, call.layer
    try:
        bound = inspect.signature(lowering).bind(graph, *call.args, **call.kwargs)
    except TypeError as error:
        raise no_counterpart(f"{place} called so ({error})") from error
    names = lowering(*bound.args, **bound.kwargs)
    for value, name in zip(call.results, [names] if isinstance(names, str) else names, strict=True):
        graph.bind(value, name)


def _varies(argument: Any) -> bool:
    if isinstance(argument, (list, tuple)):
        return any(map(_varies, argument))
    return isinstance(argument, Varying)


def _model(
    graph: Graph, recorded: Trace, names_in: list[str], names_out: list[str], title: str
) -> onnx.ModelProto:
    for output, name in zip(recorded.outputs, names_out, strict=True):
        # The output's name is fixed, while a value may be several outputs, an input or a weight.
        graph.nodes.append(helper.make_node("Identity", [graph.name_of(output)], [name], f"/{name}"))
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            title,
            [_info(value, name) for value, name in zip(recorded.inputs, names_in, strict=True)],
            [_info(value, name) for value, name in zip(recorded.outputs, names_out, strict=True)],
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


def _info(value: Value | Tensor, name: str) -> onnx.ValueInfoProto:
    dynamic = value.dynamic if isinstance(value, Value) else (False,) * value.ndim
    shape = [
        (BATCH if extent == FEW else None) if follows else extent
        for extent, follows in zip(value.shape, dynamic, strict=True)
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
