"""Whether an exported net does what the model does.

The ONNX graph itself is run beside the model: on the sample's size and on the small ones that were not
recorded, at which a net may have bounds of its own. The package `onnx` brings an evaluator in NumPy for that.
Where it is slow (convolution, pooling) or not what the standard says (pads below zero, batch normalisation
before opset 14), the operator is computed here from its definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

import cnnx
from cnnx.nn import functional as F
from cnnx.reading import one_line
from cnnx.tensor import Tensor
from cnnx.tracing.compare import SHARE, differing
from cnnx.tracing.extent import SIZES
from cnnx.tracing.record import fresh, tensors_of

Array = np.ndarray[Any, Any]


def _spread(array: Array, pads: Sequence[int], value: float) -> Tensor:
    """The array as a floating-point tensor, with `value` around its last axes."""
    axes = len(pads) // 2
    around = [(0, 0), (0, 0), *zip(pads[:axes], pads[axes:], strict=True)]
    kind = array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
    return cnnx.from_numpy(np.pad(array.astype(kind), around, constant_values=value))


def _each(function: str, axes: int) -> Any:
    return getattr(F, f"{function}{axes}d")


class Conv(OpRun):  # type: ignore[misc]
    """Convolution over one or two axes."""

    op_domain = ""

    def _run(self, x: Array, weight: Array, bias: Array | None = None, **options: Any) -> tuple[Array]:
        axes = x.ndim - 2
        result = _each("conv", axes)(
            _spread(x, options["pads"] or [0] * 2 * axes, 0.0),
            cnnx.from_numpy(weight),
            None if bias is None else cnnx.from_numpy(bias),
            stride=tuple(options["strides"] or [1] * axes),
            dilation=tuple(options["dilations"] or [1] * axes),
            groups=options["group"] or 1,
        )
        return (result.numpy(),)


class ConvTranspose(OpRun):  # type: ignore[misc]
    """Transposed convolution over one or two axes: all of it, of which the padding is cut off."""

    op_domain = ""

    def _run(self, x: Array, weight: Array, bias: Array | None = None, **options: Any) -> tuple[Array]:
        axes = x.ndim - 2
        result = _each("conv_transpose", axes)(
            cnnx.from_numpy(x),
            cnnx.from_numpy(weight),
            None if bias is None else cnnx.from_numpy(bias),
            stride=tuple(options["strides"] or [1] * axes),
            output_padding=tuple(options["output_padding"] or [0] * axes),
            dilation=tuple(options["dilations"] or [1] * axes),
            groups=options["group"] or 1,
        ).numpy()
        pads = options["pads"] or [0] * 2 * axes
        cut = (slice(None), slice(None)) + tuple(
            slice(begin, extent - end)
            for begin, end, extent in zip(pads[:axes], pads[axes:], result.shape[2:], strict=True)
        )
        return (result[cut],)


class MaxPool(OpRun):  # type: ignore[misc]
    """Maximum over windows of one or two axes."""

    op_domain = ""

    def _run(self, x: Array, **options: Any) -> tuple[Array]:
        axes = x.ndim - 2
        result = _each("max_pool", axes)(
            _spread(x, options["pads"] or [0] * 2 * axes, -np.inf),
            tuple(options["kernel_shape"]),
            tuple(options["strides"] or [1] * axes),
            dilation=tuple(options["dilations"] or [1] * axes),
        )
        return (result.numpy().astype(x.dtype),)


class AveragePool(OpRun):  # type: ignore[misc]
    """Mean over windows of one or two axes, of all cells or of those that are in the input."""

    op_domain = ""

    def _run(self, x: Array, **options: Any) -> tuple[Array]:
        axes = x.ndim - 2
        pads = options["pads"] or [0] * 2 * axes
        window = tuple(options["kernel_shape"]), tuple(options["strides"] or [1] * axes)
        result = _each("avg_pool", axes)(_spread(x, pads, 0.0), *window)
        if not options["count_include_pad"]:
            inside = np.ones((1, 1, *x.shape[2:]), x.dtype)
            result = result / _each("avg_pool", axes)(_spread(inside, pads, 0.0), *window)
        return (result.numpy(),)


class BatchNormalization(OpRun):  # type: ignore[misc]
    """Normalisation by the statistics that are given."""

    op_domain = ""

    def _run(self, x: Array, *vectors: Array, epsilon: float = 1e-5, **options: Any) -> tuple[Array]:
        scale, shift, mean, var = (v.reshape([-1] + [1] * (x.ndim - 2)) for v in vectors)
        return (((x - mean) / np.sqrt(var + np.asarray(epsilon, x.dtype)) * scale + shift).astype(x.dtype),)


class Pad(OpRun):  # type: ignore[misc]
    """Padding of every dimension; pads below zero cut off."""

    op_domain = ""

    def _run(self, x: Array, pads: Array, value: Array | None = None, *, mode: str) -> tuple[Array]:
        begins, ends = pads[: x.ndim], pads[x.ndim :]
        around = [(max(b, 0), max(e, 0)) for b, e in zip(begins, ends, strict=True)]
        fill = {"constant_values": 0 if value is None else value.item()} if mode == "constant" else {}
        wide: Array = np.pad(x, around, mode=mode, **fill)  # type: ignore[call-overload]
        kept = [
            slice(max(-b, 0), extent - max(-e, 0))
            for b, e, extent in zip(begins, ends, wide.shape, strict=True)
        ]
        return (wide[tuple(kept)],)


class GatherElements(OpRun):  # type: ignore[misc]
    """Elements along one dimension by their positions there, any number of them."""

    op_domain = ""

    def _run(self, x: Array, index: Array, *, axis: int | None = None) -> tuple[Array]:
        axis = (axis or 0) % x.ndim
        within = tuple(slice(None) if d == axis else slice(index.shape[d]) for d in range(x.ndim))
        return (np.take_along_axis(x[within], index, axis),)


OWN = [Conv, ConvTranspose, MaxPool, AveragePool, BatchNormalization, Pad, GatherElements]


def evaluate(proto: onnx.ModelProto, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of an ONNX model; what no node needs any more is let go."""
    evaluator = ReferenceEvaluator(proto, new_ops=OWN)
    names = [value.name for value in proto.graph.output]
    uses: dict[str, int] = dict.fromkeys(names, 1)
    for node in evaluator.rt_nodes_:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    values: dict[str, Any] = {"": None, **evaluator.rt_inits_}
    values.update(zip((value.name for value in proto.graph.input), inputs, strict=True))
    with np.errstate(all="ignore"):
        for node in evaluator.rt_nodes_:
            results = node.run(*[values[name] for name in node.input])
            for name in node.input:
                uses[name] -= 1
                if uses[name] == 0 and name:
                    del values[name]
            values.update((n, v) for n, v in zip(node.output, results, strict=False) if n in uses)
    return [values[name] for name in names]


def compare(model: Any, proto: onnx.ModelProto, sample: Sequence[Tensor], size: int | None) -> None:
    """Raises ValueError unless the exported net gives what the model gives, on a batch of `size`."""
    arrays = [fresh(tensor, size) for tensor in sample]
    place = f"for inputs of shape {', '.join(str(array.shape) for array in arrays)}"
    inputs = [cnnx.from_numpy(a.copy()).to(t.device) for a, t in zip(arrays, sample, strict=True)]
    try:
        with cnnx.no_grad():
            outputs = model(*inputs)
    except Exception as error:
        if size is not None and size < SIZES[0]:  # a net may have no meaning for so few images
            return
        raise ValueError(f"onnx.export: the model itself fails {place}: {one_line(error)}") from error
    expected = [t.cpu().numpy() for t in tensors_of(outputs, "onnx.export")]
    advice = "what forward does with the size of the batch cannot be traced"
    try:
        found = evaluate(proto, arrays)
    except Exception as error:
        raise ValueError(
            f"onnx.export: the exported net fails {place} ({one_line(error)}): {advice}"
        ) from error
    names = [value.name for value in proto.graph.output]
    if len(found) != len(expected):
        raise ValueError(f"onnx.export: the model has {len(expected)} outputs {place}, not {len(found)}")
    for name, got, want in zip(names, found, expected, strict=True):
        if got.shape != want.shape or got.dtype != want.dtype:
            raise ValueError(
                f"onnx.export: {place}, {name!r} of the exported net is {got.dtype} {got.shape}, of the "
                f"model {want.dtype} {want.shape}: {advice}"
            )
        wrong = differing(got, want)
        if wrong > SHARE * want.size:
            raise ValueError(
                f"onnx.export: {place}, {wrong} of {want.size} values of {name!r} are not those of the "
                f"model: {advice}"
            )
