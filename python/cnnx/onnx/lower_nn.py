"""ONNX forms of layers: convolution, pooling, normalisation, dense layers, padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnx.onnx.graph import Graph, Operand, lowers, no_counterpart
from cnnx.onnx.lower_pointwise import one
from cnnx.tracing.extent import in_passes
from cnnx.tracing.program import Call

Ints = Sequence[int]


def batched(g: Graph, call: Call) -> Operand:
    """The input with a batch."""
    return g.op("Unsqueeze", call.inputs[0], g.ints(0)) if call["single"] else call.inputs[0]


def unbatched(g: Graph, call: Call, output: str) -> str:
    """The output without the batch that `batched` put there."""
    return g.op("Squeeze", output, g.ints(0)) if call["single"] else output


def per_axis(call: Call, of: str) -> list[int]:
    """Two numbers of the shape that the kernels run on; one if that has a height of 1."""
    axes = ("top", "left") if of == "pad" else ("height", "width")
    return [call[f"shape.{of}_{axis}"] for axis in axes[2 - call["axes"] :]]


def reaches(call: Call) -> list[tuple[int, int]]:
    """How far windows reach beyond the end of the input, along each axis, at least and at most."""
    found = []
    for axis, begin in (("height", "top"), ("width", "left"))[2 - call["axes"] :]:
        step, gap, window = (call[f"shape.{of}_{axis}"] for of in ("stride", "dilation", "kernel"))
        before = call[f"shape.pad_{begin}"]
        sides = (in_passes(call.attributes[f"shape.{of}_{axis}"], call.sizes) for of in ("in", "out"))
        reach = [
            (cells - 1) * step + gap * (window - 1) + 1 - extent - before
            for extent, cells in zip(*sides, strict=True)
        ]
        found.append((min(reach), max(reach)))
    return found


def reach(call: Call) -> list[int]:
    """The same where it does not follow the batch."""
    if any(least != most for least, most in reaches(call)):
        raise ValueError(f"onnx.export: a shape in {call.place} depends on {call.differs}")
    return [most for _, most in reaches(call)]


ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}


def activated(g: Graph, call: Call, y: str) -> str:
    """What a layer's own activation makes of its result: a node after it."""
    kind = ACTIVATIONS.get(call["shape.activation"])
    return y if kind is None else g.op(kind, y)


@lowers("conv1d", "conv2d")
def conv(g: Graph, call: Call) -> str:
    """Convolution; of the paddings at the end that do the same, that of the beginning or the least."""
    begins, stride = per_axis(call, "pad"), per_axis(call, "stride")
    ends = [
        begin if most <= begin < least + step else max(most, 0)
        for (least, most), begin, step in zip(reaches(call), begins, stride, strict=True)
    ]
    _, weight, bias = call.inputs
    y = g.op(
        "Conv",
        batched(g, call),
        weight,
        bias,
        kernel_shape=per_axis(call, "kernel"),
        strides=stride,
        pads=[*begins, *ends],
        dilations=per_axis(call, "dilation"),
        group=call["shape.groups"],
    )
    return unbatched(g, call, activated(g, call, y))


@lowers("conv_transpose1d", "conv_transpose2d")
def conv_transpose(g: Graph, call: Call) -> str:
    """Transposed convolution, the input gradient of one from its result to its input."""
    begins, stride = per_axis(call, "pad"), per_axis(call, "stride")
    ends, more = [], []
    for beyond, begin, step in zip(reach(call), begins, stride, strict=True):
        extra = begin - beyond if 0 <= begin - beyond < step else max(-beyond, 0)
        if extra >= step:  # runtimes refuse that; PyTorch allows it below the dilation
            raise no_counterpart(f"{call.place} with an output_padding above padding and stride")
        ends.append(beyond + extra)
        more.append(extra)
    _, weight, bias = call.inputs
    y = g.op(
        "ConvTranspose",
        batched(g, call),
        weight,
        bias,
        kernel_shape=per_axis(call, "kernel"),
        strides=stride,
        pads=[*begins, *ends],
        output_padding=more,
        dilations=per_axis(call, "dilation"),
        group=call["shape.groups"],
    )
    return unbatched(g, call, y)


def end_padding(call: Call) -> list[int]:
    """Padding at the ends, with what windows reach beyond them in ceil mode.

    ONNX's own ceil mode keeps windows that start in the padding, which PyTorch's drops.
    """
    padding = per_axis(call, "pad")
    return [max(pad, beyond) for pad, beyond in zip(padding, reach(call), strict=True)]


def padded(g: Graph, x: Operand, begins: Ints, ends: Ints, value: float, dtype: Any) -> str:
    """A batch with a constant around its last axes."""
    return g.op("Pad", x, g.ints(0, 0, *begins, 0, 0, *ends), g.scalar(value, dtype))


@lowers("max_pool1d", "max_pool2d")
def max_pool(g: Graph, call: Call) -> str:
    """Maximum over windows."""
    x, kernel = batched(g, call), per_axis(call, "kernel")
    begins, ends = per_axis(call, "pad"), end_padding(call)
    if any(end >= window for end, window in zip(ends, kernel, strict=True)):  # more than runtimes take
        x = padded(g, x, begins, ends, -math.inf, g.out.dtype)
        begins = ends = [0] * len(kernel)
    y = g.op(
        "MaxPool",
        x,
        kernel_shape=kernel,
        strides=per_axis(call, "stride"),
        pads=[*begins, *ends],
        dilations=per_axis(call, "dilation"),
    )
    return unbatched(g, call, y)


@lowers("max_pool_indices")
def max_pool_indices(g: Graph, call: Call) -> str:
    """ONNX counts the places of maxima over the whole batch."""
    raise no_counterpart(f"the use of max-pooling's indices ({call.layer or call.op})")


@lowers("avg_pool1d", "avg_pool2d")
def avg_pool(g: Graph, call: Call) -> str:
    """Mean over windows."""
    x, kernel = batched(g, call), per_axis(call, "kernel")
    padding, ends = per_axis(call, "pad"), end_padding(call)
    begins, divisor = padding, call["shape.divisor_override"]
    include = call["shape.count_include_pad"] or bool(divisor)  # with a divisor a window counts whole
    if call["shape.count_include_pad"] and not divisor and ends != begins:
        # The padding counts, but not what a window covers beyond it.
        x = padded(g, x, begins, begins, 0.0, g.out.dtype)
        begins, ends = [0] * len(kernel), [end - pad for end, pad in zip(ends, padding, strict=True)]
        include = False
    y = g.op(
        "AveragePool",
        x,
        kernel_shape=kernel,
        strides=per_axis(call, "stride"),
        pads=[*begins, *ends],
        count_include_pad=int(include),
    )
    if divisor:
        y = g.op("Mul", y, g.scalar(float(np.prod(kernel)) / divisor, g.out.dtype))
    return unbatched(g, call, y)


@lowers("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d")
def adaptive_pool(g: Graph, call: Call) -> str:
    """Adaptive pooling: ONNX has it where the windows are equal."""
    extents, cells, window = (per_axis(call, of) for of in ("in", "out", "kernel"))
    if call["shape.adaptive"]:
        raise no_counterpart(
            f"{call.place} from {'x'.join(map(str, extents))} to {'x'.join(map(str, cells))} cells"
        )
    kind = "MaxPool" if "max" in call.op else "AveragePool"
    if all(count == 1 for count in cells):
        y = g.op(f"Global{kind}", batched(g, call))
    else:
        y = g.op(kind, batched(g, call), kernel_shape=window, strides=window)
    return unbatched(g, call, y)


@lowers("batch_norm")
def batch_norm(g: Graph, call: Call) -> str:
    """Normalisation by the running statistics."""
    x, weight, bias, mean, var, _ = call.inputs
    if call["training"]:
        raise no_counterpart(f"{call.place} by the statistics of the batch")
    channels = np.ones(call["shape.channels"], g.scalar(1, g.out.dtype).dtype)
    scale = channels if weight is None else weight
    shift = channels * 0 if bias is None else bias
    return g.op("BatchNormalization", x, scale, shift, mean, var, epsilon=call["eps"])


@lowers("layer_norm")
def layer_norm(g: Graph, call: Call) -> str:
    """Normalisation over the last axes; before opset 17 by its definition."""
    x, weight, bias = call.inputs
    shape = call["parameters"]
    axis = -len(shape)
    if g.opset >= 17:
        ones = np.ones(shape, g.scalar(1, g.out.dtype).dtype)
        scale = ones if weight is None else weight
        return g.op("LayerNormalization", x, scale, bias, axis=axis, epsilon=call["eps"])
    return affine(g, standardise(g, x, list(range(g.out.ndim + axis, g.out.ndim)), call["eps"]), weight, bias)


@lowers("group_norm")
def group_norm(g: Graph, call: Call) -> str:
    """Normalisation over groups of channels, by its definition: ONNX's own form changed between opsets."""
    x, *parameters = call.inputs
    grouped = g.op("Reshape", x, g.ints(0, call["shape.rows"], -1))
    shaped = g.reshape(standardise(g, grouped, [2], call["eps"]), g.out.shape)
    per_channel = g.ints(-1, *(1,) * (g.out.ndim - 2))
    return affine(g, shaped, *(None if t is None else g.op("Reshape", t, per_channel) for t in parameters))


def standardise(g: Graph, x: Operand, axes: list[int], eps: float) -> str:
    """(x - mean) / sqrt(variance + eps) along axes."""
    centred = g.op("Sub", x, g.reduce("ReduceMean", x, axes, True))
    variance = g.reduce("ReduceMean", g.op("Mul", centred, centred), axes, True)
    return g.op("Div", centred, g.op("Sqrt", g.op("Add", variance, g.scalar(eps, g.out.dtype))))


def affine(g: Graph, x: str, weight: Operand, bias: Operand) -> str:
    """X * weight + bias, where there are any."""
    if weight is not None:
        x = g.op("Mul", x, weight)
    return g.op("Add", x, bias) if bias is not None else x


@lowers("linear")
def linear(g: Graph, call: Call) -> str:
    """A dense layer: one Gemm for rows, else a product and a sum."""
    x, weight, bias = call.inputs
    if g.out.ndim == 2:
        return activated(g, call, g.op("Gemm", x, weight, bias, transB=1))
    product: str = g.op("MatMul", x, g.op("Transpose", weight, perm=[1, 0]))
    return activated(g, call, product if bias is None else g.op("Add", product, bias))


@lowers("matmul")
def matmul(g: Graph, call: Call) -> str:
    """The product of matrices or batches of them."""
    return g.op("MatMul", *call.inputs)


@lowers("dropout", "feature_dropout")
def dropout(g: Graph, call: Call) -> str:
    """Outside training it makes no call."""
    raise no_counterpart(f"{call.place} in training mode (pass training=self.training)")


@lowers("softmax", "log_softmax")
def softmax(g: Graph, call: Call) -> str:
    """Softmax or its logarithm along one dimension."""
    return g.op("LogSoftmax" if call["log"] else "Softmax", call.inputs[0], axis=call["dim"])


@lowers("pad")
def pad(g: Graph, call: Call) -> str:
    """Padding of the last dimensions, given from the last one on as (begin, end) pairs."""
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    x, mode = one(call), call["mode"]
    begins, ends = [0] * x.ndim, [0] * x.ndim
    padding = call["pads"][: call["count"]]
    for i in range(len(padding) // 2):
        begins[-1 - i], ends[-1 - i] = padding[2 * i], padding[2 * i + 1]
    if modes[mode] == "wrap":
        g.needs("Pad", 19)
    fill = (
        g.scalar(call["real" if x.dtype.is_floating_point else "integer"], x.dtype)
        if mode == "constant"
        else None
    )
    return g.op("Pad", x, g.ints(*begins, *ends), fill, mode=modes[mode])


@lowers("fold")
def fold(g: Graph, call: Call) -> str:
    """The sum of overlapping patches."""
    x = one(call)
    if x.ndim == 2:
        raise no_counterpart(f"{call.place} without a batch")
    return g.op(
        "Col2Im",
        x,
        g.ints(*call["size"]),
        g.ints(*call["kernel"]),
        dilations=call["dilation"],
        pads=[*call["padding"], *call["padding"]],
        strides=call["stride"],
    )


@lowers("unfold")
def unfold(g: Graph, call: Call) -> str:
    """Patches as columns: a convolution whose kernels each pick one element of the window."""
    x, kernel = one(call), call["kernel"]
    channels, taps = g.fixed(x.shape[-3]), int(np.prod(kernel))
    picks = np.eye(taps, dtype=g.scalar(1, x.dtype).dtype).reshape(taps, 1, *kernel)
    single = x.ndim == 3
    patches = g.op(
        "Conv",
        g.op("Unsqueeze", x, g.ints(0)) if single else x,
        np.tile(picks, (channels, 1, 1, 1)),
        kernel_shape=kernel,
        strides=call["stride"],
        pads=[*call["padding"], *call["padding"]],
        dilations=call["dilation"],
        group=channels,
    )
    columns: str = g.op("Reshape", patches, g.ints(0, channels * taps, -1))
    return g.op("Squeeze", columns, g.ints(0)) if single else columns
