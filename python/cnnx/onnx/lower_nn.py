"""ONNX forms of layers: convolution, pooling, normalisation, dense layers, padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnx.onnx.graph import Graph, Operand, lowers, no_counterpart

Ints = Sequence[int]


def batched(g: Graph, input: Operand, axes: int) -> tuple[Operand, bool]:
    """The input with a batch, and whether it had none."""
    if input.ndim == axes + 2:
        return input, False
    return g.op("Unsqueeze", input, g.ints(0)), True


def unbatched(g: Graph, output: str, single: bool) -> str:
    """The output without the batch that `batched` put there."""
    name: str = g.op("Squeeze", output, g.ints(0)) if single else output
    return name


def begins_then_ends(padding: Ints) -> list[int]:
    """(top, bottom, left, right) as ONNX wants it: (top, left, bottom, right)."""
    return [*padding[0::2], *padding[1::2]]


def activated(g: Graph, y: str, activation: str | None) -> str:
    """What a layer's own activation makes of its result: a node after it."""
    if activation is None:
        return y
    name: str = g.op({"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}[activation], y)
    return name


@lowers("conv1d", "conv2d")
def conv(
    g: Graph,
    input: Any,
    weight: Any,
    bias: Operand,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    activation: str | None = None,
) -> str:
    """Convolution over any number of axes."""
    x, single = batched(g, input, weight.ndim - 2)
    y = g.op(
        "Conv",
        x,
        weight,
        bias,
        kernel_shape=list(weight.shape[2:]),
        strides=list(stride),
        pads=begins_then_ends(padding),
        dilations=list(dilation),
        group=groups,
    )
    return unbatched(g, activated(g, y, activation), single)


@lowers("conv_transpose1d", "conv_transpose2d")
def conv_transpose(
    g: Graph,
    input: Any,
    weight: Any,
    bias: Operand,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    dilation: Ints,
    groups: int,
) -> str:
    """Transposed convolution; its padding is the same at both ends."""
    x, single = batched(g, input, weight.ndim - 2)
    ends, more = list(padding), list(output_padding)
    if any(extra >= step for extra, step in zip(more, stride, strict=True)):
        # Runtimes refuse that (PyTorch allows it below the dilation), but take less away at the end.
        if any(extra > end for extra, end in zip(more, ends, strict=True)):
            raise no_counterpart(f"{g.call} with an output_padding above padding and stride")
        ends, more = [end - extra for end, extra in zip(ends, more, strict=True)], [0] * len(more)
    y = g.op(
        "ConvTranspose",
        x,
        weight,
        bias,
        kernel_shape=list(weight.shape[2:]),
        strides=list(stride),
        pads=[*padding, *ends],
        output_padding=more,
        dilations=list(dilation),
        group=groups,
    )
    return unbatched(g, y, single)


def end_padding(g: Graph, input: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> list[int]:
    """Padding at the ends, with what windows reach beyond them in ceil mode.

    ONNX's own ceil mode keeps windows that start in the padding, which PyTorch's drops.
    """
    extents, cells = input.shape[-len(kernel) :], g.out.shape[-len(kernel) :]
    reach = [
        (count - 1) * step + gap * (window - 1) + 1 - extent - pad
        for count, step, gap, window, extent, pad in zip(
            cells, stride, dilation, kernel, extents, padding, strict=True
        )
    ]
    return [max(pad, beyond) for pad, beyond in zip(padding, reach, strict=True)]


def padded(g: Graph, x: Operand, begins: Ints, ends: Ints, value: float, dtype: Any) -> str:
    """A batch with a constant around its last axes."""
    return g.op("Pad", x, g.ints(0, 0, *begins, 0, 0, *ends), g.scalar(value, dtype))


@lowers("max_pool1d", "max_pool2d")
def max_pool(
    g: Graph, input: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> str:
    """Maximum over windows."""
    x, single = batched(g, input, len(kernel))
    begins, ends = list(padding), end_padding(g, input, kernel, stride, padding, dilation)
    if any(end >= window for end, window in zip(ends, kernel, strict=True)):  # more than runtimes take
        x = padded(g, x, begins, ends, -math.inf, input.dtype)
        begins = ends = [0] * len(kernel)
    y = g.op(
        "MaxPool",
        x,
        kernel_shape=list(kernel),
        strides=list(stride),
        pads=[*begins, *ends],
        dilations=list(dilation),
    )
    return unbatched(g, y, single)


@lowers("max_pool1d_with_indices", "max_pool2d_with_indices")
def max_pool_with_indices(g: Graph, *args: Any, **kwargs: Any) -> list[str]:
    """The maxima; ONNX counts their places over the whole batch, so indices must not be used."""
    return [max_pool(g, *args, **kwargs), "!the use of max-pooling's indices"]


@lowers("avg_pool1d", "avg_pool2d")
def avg_pool(
    g: Graph,
    input: Any,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int = 0,
) -> str:
    """Mean over windows."""
    x, single = batched(g, input, len(kernel))
    none = [0] * len(kernel)
    begins, ends = list(padding), end_padding(g, input, kernel, stride, padding, [1] * len(kernel))
    whole = bool(divisor_override)  # a window counts whole, whatever it covers
    include = count_include_pad or whole
    if count_include_pad and not whole and ends != begins:
        # The padding counts, but not what a window covers beyond it.
        x = padded(g, x, begins, begins, 0.0, input.dtype)
        begins, ends = none, [end - pad for end, pad in zip(ends, padding, strict=True)]
        include = False
    y = g.op(
        "AveragePool",
        x,
        kernel_shape=list(kernel),
        strides=list(stride),
        pads=[*begins, *ends],
        count_include_pad=int(include),
    )
    if whole:
        y = g.op("Mul", y, g.scalar(float(np.prod(kernel)) / divisor_override, input.dtype))
    return unbatched(g, y, single)


def adaptive(g: Graph, kind: str, input: Any, size: Ints) -> str:
    """Adaptive pooling: ONNX has it where the windows are equal."""
    extents = input.shape[-len(size) :]
    if any(extent % cells for extent, cells in zip(extents, size, strict=True)):
        raise no_counterpart(
            f"{g.call} from {'x'.join(map(str, extents))} to {'x'.join(map(str, size))} cells"
        )
    x, single = batched(g, input, len(size))
    if all(cells == 1 for cells in size):
        y = g.op(f"Global{kind}", x)
    else:
        window = [extent // cells for extent, cells in zip(extents, size, strict=True)]
        y = g.op(kind, x, kernel_shape=window, strides=window)
    return unbatched(g, y, single)


@lowers("adaptive_avg_pool1d", "adaptive_avg_pool2d")
def adaptive_avg_pool(g: Graph, input: Any, output_size: Ints) -> str:
    """Mean over equal windows."""
    return adaptive(g, "AveragePool", input, output_size)


@lowers("adaptive_max_pool1d", "adaptive_max_pool2d")
def adaptive_max_pool(g: Graph, input: Any, output_size: Ints) -> str:
    """Maximum over equal windows."""
    return adaptive(g, "MaxPool", input, output_size)


@lowers("adaptive_max_pool1d_with_indices", "adaptive_max_pool2d_with_indices")
def adaptive_max_pool_with_indices(g: Graph, input: Any, output_size: Ints) -> list[str]:
    """The maxima; the indices must not be used."""
    return [adaptive(g, "MaxPool", input, output_size), "!the use of max-pooling's indices"]


@lowers("batch_norm")
def batch_norm(
    g: Graph,
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    training: bool,
    momentum: float | None,
    eps: float,
    batches: Any = None,
) -> str:
    """Normalisation by the running statistics."""
    if training or running_mean is None:
        raise no_counterpart(f"{g.call} by the statistics of the batch")
    channels = np.ones(input.shape[1], g.scalar(1, input.dtype).dtype)
    scale = channels if weight is None else weight
    shift = channels * 0 if bias is None else bias
    return g.op("BatchNormalization", input, scale, shift, running_mean, running_var, epsilon=eps)


@lowers("layer_norm")
def layer_norm(g: Graph, input: Any, normalized_shape: Ints, weight: Any, bias: Any, eps: float) -> str:
    """Normalisation over the last axes; before opset 17 by its definition."""
    axis = -len(normalized_shape)
    if g.opset >= 17:
        ones = np.ones(tuple(normalized_shape), g.scalar(1, input.dtype).dtype)
        return g.op(
            "LayerNormalization", input, ones if weight is None else weight, bias, axis=axis, epsilon=eps
        )
    normal = standardise(g, input, list(range(axis, 0)), eps, input.dtype)
    return affine(g, normal, weight, bias)


@lowers("group_norm")
def group_norm(g: Graph, input: Any, num_groups: int, weight: Any, bias: Any, eps: float) -> str:
    """Normalisation over groups of channels, by its definition: ONNX's own form changed between opsets."""
    grouped = g.op("Reshape", input, g.ints(0, num_groups, -1))
    normal = standardise(g, grouped, [2], eps, input.dtype)
    shaped = g.reshape(normal, input.shape, input.dynamic)
    ones = (1,) * (input.ndim - 2)
    per_channel = [
        None if t is None else g.op("Reshape", t, g.ints(t.shape[0], *ones)) for t in (weight, bias)
    ]
    return affine(g, shaped, *per_channel)


def standardise(g: Graph, x: Operand, axes: list[int], eps: float, dtype: Any) -> str:
    """(x - mean) / sqrt(variance + eps) along axes."""
    centred = g.op("Sub", x, g.reduce("ReduceMean", x, axes, True))
    variance = g.reduce("ReduceMean", g.op("Mul", centred, centred), axes, True)
    return g.op("Div", centred, g.op("Sqrt", g.op("Add", variance, g.scalar(eps, dtype))))


def affine(g: Graph, x: str, weight: Operand, bias: Operand) -> str:
    """X * weight + bias, where there are any."""
    if weight is not None:
        x = g.op("Mul", x, weight)
    return g.op("Add", x, bias) if bias is not None else x


@lowers("linear")
def linear(g: Graph, input: Any, weight: Any, bias: Operand, activation: str | None = None) -> str:
    """A dense layer: one Gemm for rows, else a product and a sum."""
    if input.ndim == 2:
        return activated(g, g.op("Gemm", input, weight, bias, transB=1), activation)
    product: str = g.op("MatMul", input, g.op("Transpose", weight, perm=[1, 0]))
    return activated(g, product if bias is None else g.op("Add", product, bias), activation)


@lowers("matmul")
def matmul(g: Graph, a: Operand, b: Operand) -> str:
    """The product of matrices, vectors or batches of them."""
    return g.op("MatMul", a, b)


@lowers("dropout", "feature_dropout")
def dropout(g: Graph, input: Any, p: float, training: bool) -> str:
    """Nothing, outside training."""
    if training and p > 0:
        raise no_counterpart(f"{g.call} in training mode (pass training=self.training)")
    return g.name_of(input)


@lowers("softmax", "log_softmax")
def softmax(g: Graph, input: Any, dim: int) -> str:
    """Softmax or its logarithm along one dimension."""
    return g.op("LogSoftmax" if g.call.startswith("log") else "Softmax", input, axis=dim)


@lowers("pad")
def pad(g: Graph, input: Any, padding: Ints, mode: str = "constant", value: float = 0.0) -> str:
    """Padding of the last dimensions, given from the last one on as (begin, end) pairs."""
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    begins, ends = [0] * input.ndim, [0] * input.ndim
    for i in range(len(padding) // 2):
        begins[-1 - i], ends[-1 - i] = padding[2 * i], padding[2 * i + 1]
    if modes[mode] == "wrap" and g.opset < 19:
        raise ValueError(f"onnx.export: {g.call} with mode 'circular' needs opset 19")
    fill = g.scalar(value, input.dtype) if mode == "constant" else None
    return g.op("Pad", input, g.ints(*begins, *ends), fill, mode=modes[mode])


@lowers("fold")
def fold(
    g: Graph, input: Any, output_size: Ints, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints
) -> str:
    """The sum of overlapping patches."""
    if input.ndim == 2:
        raise no_counterpart(f"{g.call} without a batch")
    return g.op(
        "Col2Im",
        input,
        g.ints(*output_size),
        g.ints(*kernel),
        dilations=list(dilation),
        pads=[*padding, *padding],
        strides=list(stride),
    )


@lowers("unfold")
def unfold(g: Graph, input: Any, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> str:
    """Patches as columns: a convolution whose kernels each pick one element of the window."""
    channels = input.shape[-3]
    taps = int(np.prod(kernel))
    picks = np.eye(taps, dtype=g.scalar(1, input.dtype).dtype).reshape(taps, 1, *kernel)
    x, single = batched(g, input, 2)
    patches = g.op(
        "Conv",
        x,
        np.tile(picks, (channels, 1, 1, 1)),
        kernel_shape=list(kernel),
        strides=list(stride),
        pads=[*padding, *padding],
        dilations=list(dilation),
        group=channels,
    )
    return unbatched(g, g.op("Reshape", patches, g.ints(0, channels * taps, -1)), single)
