"""Functions of layers and losses, without state. Imported as ``F``.

All of them take float32 and float64 and record history for the backward pass. Spatial ones take (N, C, H, W)
or, for a single image, (C, H, W). Signatures follow PyTorch's.
"""

from __future__ import annotations

import warnings
from typing import Any

import cnnx

from .. import _C, dtypes
from ..tensor import Tensor
from .arguments import Size2, conv_padding, legacy_reduction, pair, pool_pairs

__all__ = [
    "avg_pool2d",
    "conv2d",
    "cross_entropy",
    "dropout",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool2d",
    "max_pool2d_with_indices",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Dense layer: ``input @ weight.T + bias``.

    Parameters
    ----------
    input : Tensor
        Shape (..., in_features).
    weight : Tensor
        Shape (out_features, in_features), or (in_features,).
    bias : Tensor, optional
        Shape (out_features,).

    Returns
    -------
    Tensor
        Shape (..., out_features), or (...) for a 1-D weight.

    Raises
    ------
    RuntimeError
        If the shapes do not match.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.linear(cnnx.tensor([[1.0, 2.0]]), cnnx.tensor([[3.0, 4.0]]), cnnx.tensor([0.5])).tolist()
    [[11.5]]
    """
    if weight.ndim == 1:
        product = _C.linear(input, weight.unsqueeze(0), None).squeeze(-1)
        return product if bias is None else product + bias
    return _C.linear(input, weight, bias)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size2 = 1,
    padding: str | Size2 = 0,
    dilation: Size2 = 1,
    groups: int = 1,
) -> Tensor:
    """2-D convolution (cross-correlation, as in all deep-learning libraries).

    Parameters
    ----------
    input : Tensor
        Shape (N, in_channels, H, W) or (in_channels, H, W).
    weight : Tensor
        Shape (out_channels, in_channels / groups, kernel_height, kernel_width).
    bias : Tensor, optional
        Shape (out_channels,).
    stride : int or pair
        Step of the kernel. Default: 1.
    padding : int, pair or str
        Zeros around the input: numbers for both sides; ``"valid"`` for none; ``"same"`` for an output of the
        input's size (stride 1 only); ``"full"`` for every position where kernel and input overlap. Default:
        0.
    dilation : int or pair
        Distance between the kernel's taps. Default: 1.
    groups : int
        Blocks of channels that are convolved separately. Default: 1.

    Returns
    -------
    Tensor
        Shape (N, out_channels, H', W') with H' = (H + padding - dilation * (kernel_height - 1) - 1) //
        stride + 1, where padding is that of top and bottom together.

    Raises
    ------
    RuntimeError
        If shapes do not match or the output would be empty.
    ValueError
        For an unknown padding, or ``"same"`` with a stride.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.conv2d(cnnx.ones(1, 1, 5, 5), cnnx.ones(2, 1, 3, 3), padding="same").shape
    cnnx.Size([1, 2, 5, 5])
    """
    if type(stride) is int and type(padding) is int and type(dilation) is int:
        return _C.conv2d(input, weight, bias, (stride, stride), (padding,) * 4, (dilation, dilation), groups)
    strides, dilations = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    if isinstance(padding, str) and weight.ndim != 4:
        raise RuntimeError(f"conv2d: weight must have 4 dimensions, got shape {tuple(weight.shape)}")
    pads = conv_padding(padding, tuple(weight.shape[-2:]), strides, dilations)
    return _C.conv2d(input, weight, bias, strides, pads, dilations, groups)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Size2,
    stride: Size2 | None = None,
    padding: Size2 = 0,
    dilation: Size2 = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """Maxima and, int64, their places y * W + x in the input: `max_pool2d` with ``return_indices=True``."""
    kernel, strides, pads = pool_pairs("max_pool2d", kernel_size, stride, padding)
    dilations = pair("max_pool2d", "dilation", dilation)
    return _C.max_pool2d_with_indices(input, kernel, strides, pads, dilations, ceil_mode)


def max_pool2d(
    input: Tensor,
    kernel_size: Size2,
    stride: Size2 | None = None,
    padding: Size2 = 0,
    dilation: Size2 = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum over windows. Ties take the first element; a NaN is a maximum.

    Parameters
    ----------
    input : Tensor
        Shape (N, C, H, W) or (C, H, W).
    kernel_size : int or pair
        Extent of the window.
    stride : int or pair, optional
        Step of the window. Default: `kernel_size`.
    padding : int or pair
        Minus infinity around the input, at most half the kernel. Default: 0.
    dilation : int or pair
        Distance between the elements of a window. Default: 1.
    ceil_mode : bool
        Keep windows that reach over the end. Default: False.
    return_indices : bool
        Return (output, indices). Default: False.

    Returns
    -------
    Tensor, or (Tensor, Tensor)
        Shape (N, C, H', W'); the indices are int64, y * W + x.

    Raises
    ------
    RuntimeError
        If the output would be empty or the padding is too large.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.max_pool2d(cnnx.arange(16.0).reshape(1, 4, 4), 2).tolist()
    [[[5.0, 7.0], [13.0, 15.0]]]
    """
    if return_indices:
        return max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    kernel, strides, pads = pool_pairs("max_pool2d", kernel_size, stride, padding)
    dilations = pair("max_pool2d", "dilation", dilation)
    return _C.max_pool2d(input, kernel, strides, pads, dilations, ceil_mode)


def avg_pool2d(
    input: Tensor,
    kernel_size: Size2,
    stride: Size2 | None = None,
    padding: Size2 = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean over windows.

    Parameters
    ----------
    input : Tensor
        Shape (N, C, H, W) or (C, H, W).
    kernel_size : int or pair
        Extent of the window.
    stride : int or pair, optional
        Step of the window. Default: `kernel_size`.
    padding : int or pair
        Zeros around the input, at most half the kernel. Default: 0.
    ceil_mode : bool
        Keep windows that reach over the end. Default: False.
    count_include_pad : bool
        Count the padding in the mean. Default: True.
    divisor_override : int, optional
        Divide the sum by this instead.

    Returns
    -------
    Tensor
        Shape (N, C, H', W').

    Raises
    ------
    RuntimeError
        If the output would be empty, the padding is too large or the divisor is zero.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.avg_pool2d(cnnx.arange(16.0).reshape(1, 4, 4), 2).tolist()
    [[[2.5, 4.5], [10.5, 12.5]]]
    """
    if divisor_override is not None and divisor_override == 0:
        raise RuntimeError("avg_pool2d: divisor_override must not be zero")
    kernel, strides, pads = pool_pairs("avg_pool2d", kernel_size, stride, padding)
    return _C.avg_pool2d(input, kernel, strides, pads, ceil_mode, count_include_pad, divisor_override or 0)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0), element by element; NaN stays NaN.

    Parameters
    ----------
    input : Tensor
        Any shape.
    inplace : bool
        Overwrite `input`. Default: False.
    """
    return _C.relu_(input) if inplace else _C.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Input where it is positive, else `negative_slope` times input.

    Parameters
    ----------
    input : Tensor
        Any shape.
    negative_slope : float
        Default: 0.01.
    inplace : bool
        Overwrite `input`. Default: False.
    """
    return _C.leaky_relu_(input, negative_slope) if inplace else _C.leaky_relu(input, negative_slope)


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent, element by element."""
    return _C.tanh(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-input)), element by element."""
    return _C.sigmoid(input)


def _softmax_dim(op: str, input: Tensor, stacklevel: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {op} has been deprecated. Change the call to include dim=X as an "
        f"argument.",
        stacklevel=stacklevel,
    )
    return 0 if input.ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(input) over its sum along `dim`.

    Parameters
    ----------
    input : Tensor
        Any shape.
    dim : int
        The dimension of which the values sum to 1. Leaving it out is deprecated.
    dtype : dtype, optional
        Cast the input first.

    Raises
    ------
    IndexError
        If there is no such dimension.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.softmax(cnnx.zeros(2, 4), dim=1)[0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    if dim is None:
        dim = _softmax_dim("softmax", input, _stacklevel)
    return _C.softmax(input if dtype is None else input.to(dtype), dim)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`, without its loss of digits. Parameters as there."""
    if dim is None:
        dim = _softmax_dim("log_softmax", input, _stacklevel)
    return _C.log_softmax(input if dtype is None else input.to(dtype), dim)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Sets elements to zero with probability `p` and scales the others by 1 / (1 - p).

    Parameters
    ----------
    input : Tensor
        Any shape.
    p : float
        Default: 0.5.
    training : bool
        If False, the input is returned as it is. Default: True.
    inplace : bool
        Overwrite `input`. Default: False.

    Raises
    ------
    ValueError
        If `p` is not within [0, 1].

    Notes
    -----
    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014).
    The mask is keyed by seed and element index; thread count and memory layout do not change it.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    result = _C.dropout(input, p, training)
    return input.copy_(result) if inplace and training else result


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of class indices, given log-probabilities.

    Parameters
    ----------
    input : Tensor
        Log-probabilities (N, C), (C,) or (N, C, d1, d2, ...).
    target : Tensor
        Class indices of any integer dtype: (N,), () or (N, d1, d2, ...).
    weight : Tensor, optional
        One factor per class, shape (C,).
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    ignore_index : int
        Targets of this value count nothing. Default: -100.
    reduction : {"mean", "sum", "none"}
        ``"mean"`` divides by the sum of the weights used. Default: ``"mean"``.

    Returns
    -------
    Tensor
        A scalar, or with ``"none"`` the shape of `target`.

    Raises
    ------
    IndexError
        If a target is out of range.
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    return _C.nll_loss(input, target, weight, ignore_index, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy between logits and classes: `log_softmax` and `nll_loss` in one.

    Parameters
    ----------
    input : Tensor
        Logits (N, C), (C,) or (N, C, d1, d2, ...).
    target : Tensor
        Class indices of any integer dtype: (N,), () or (N, d1, d2, ...); or class probabilities, of the
        input's shape and floating-point.
    weight : Tensor, optional
        One factor per class, shape (C,).
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    ignore_index : int
        Targets of this value count nothing (class indices only). Default: -100.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.
    label_smoothing : float
        Share of the target that is spread evenly over all classes, within [0, 1]. Default: 0.

    Returns
    -------
    Tensor
        A scalar, or with ``"none"`` one loss per target.

    Raises
    ------
    IndexError
        If a target is out of range.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> round(F.cross_entropy(cnnx.zeros(3, 10), cnnx.tensor([1, 2, 3])).item(), 4)  # log 10
    2.3026
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    return _C.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Mean of the squared differences.

    Parameters
    ----------
    input, target : Tensor
        Of one shape; others are broadcast, with a warning.
    size_average, reduce
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.
    weight : Tensor, optional
        Factor of each squared difference, of the input's shape; ``"mean"`` then divides by the sum of the
        weights.
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    if tuple(target.shape) != tuple(input.shape):
        warnings.warn(
            f"Using a target size ({tuple(target.shape)}) that is different to the input size "
            f"({tuple(input.shape)}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=2,
        )
        input, target = cnnx.broadcast_tensors(input, target)
    if weight is None:
        return _C.mse_loss(input, target, reduction)
    if tuple(weight.shape) != tuple(input.shape):
        raise ValueError(
            f"mse_loss: weight of shape {tuple(weight.shape)} must have the input's shape "
            f"{tuple(input.shape)}"
        )
    losses = _C.mse_loss(input, target, "none") * weight
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.sum() / weight.sum()
    raise ValueError(f"mse_loss: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Indices as rows of zeros with a single one.

    Parameters
    ----------
    tensor : Tensor
        Class indices of any shape (...), integer.
    num_classes : int
        Default: the largest index plus one.

    Returns
    -------
    Tensor
        int64, shape (..., num_classes).

    Raises
    ------
    RuntimeError
        If an index is negative or not below `num_classes`, or the input is empty and `num_classes` is not
        given.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.one_hot(cnnx.tensor([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    if tensor.is_floating_point() or tensor.dtype == dtypes.bool:
        raise RuntimeError(f"one_hot: needs integer class indices, got {tensor.dtype}")
    if num_classes != -1 and num_classes < 1:
        raise RuntimeError(f"one_hot: num_classes must be positive, got {num_classes}")
    if tensor.numel() == 0:
        if num_classes == -1:
            raise RuntimeError("one_hot: cannot infer num_classes from an empty tensor")
        return cnnx.zeros(*tensor.shape, num_classes, dtype=dtypes.int64)
    low, high = int(tensor.min().item()), int(tensor.max().item())
    if low < 0:
        raise RuntimeError(f"one_hot: class indices must not be negative, got {low}")
    if num_classes == -1:
        num_classes = high + 1
    elif high >= num_classes:
        raise RuntimeError(f"one_hot: class index {high} is out of range for {num_classes} classes")
    return (tensor.unsqueeze(-1) == cnnx.arange(num_classes)).to(dtypes.int64)
