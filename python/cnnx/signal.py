"""Signal processing by the book: true convolution and cross-correlation of signals and images.

Layers call cross-correlation a convolution and centre ``padding="same"`` as PyTorch does. The functions here
keep the two apart, and ``mode="same"`` is centred as NumPy and SciPy do it, which differs for windows of even
length.
"""

from __future__ import annotations

from . import _C
from .dtypes import bool as bool_dtype
from .tensor import Tensor

__all__ = ["convolve", "correlate"]

_EXACT = 2**53  # integers up to here are exact in float64


def convolve(in1: Tensor, in2: Tensor, mode: str = "full", stride: int | tuple[int, ...] = 1) -> Tensor:
    """Convolution of two signals or of two images: in1 under in2 turned round.

    ``out[k] = sum over j of in1[j] * in2[k - j]``, and the same over both axes of images.

    Parameters
    ----------
    in1, in2 : Tensor
        Both of shape (n,) or both of shape (height, width), not empty. float32, float64 or integers;
        gradients reach both.
    mode : str
        ``"full"``: every position where they overlap, n + m - 1 of them. ``"valid"``: only where one lies
        within the other, max(n, m) - min(n, m) + 1. ``"same"``: the middle of the full result. For signals as
        `numpy.convolve`: max(n, m) positions, also where in2 is the longer one; for images as
        `scipy.signal.convolve`: the shape of in1. A window of even length reaches one place further back than
        ahead; with ``padding="same"`` in the layers, which follow PyTorch, it reaches one further ahead.
        Default: ``"full"``.
    stride : int or tuple of int
        Keep every stride-th position of the result, beginning with the first. Default: 1.

    Returns
    -------
    Tensor
        Of the promoted type of both. Integers are summed exactly and wrap as NumPy's do.

    Raises
    ------
    RuntimeError
        If the shapes are not both (n,) or both (height, width).
    ValueError
        For an empty input, an unknown mode, ``"valid"`` of images of which neither contains the other, a
        stride below 1, or integers whose sums may pass 2**53.
    TypeError
        For bools and for what is not a tensor.

    Examples
    --------
    >>> import cnnx
    >>> x = cnnx.tensor([1.0, 2.0, 3.0])
    >>> cnnx.signal.convolve(x, cnnx.tensor([0.0, 1.0, 0.5])).tolist()
    [0.0, 1.0, 2.5, 4.0, 1.5]
    >>> cnnx.signal.convolve(x, cnnx.tensor([0.0, 1.0, 0.5]), "same").tolist()
    [1.0, 2.5, 4.0]
    """
    return _slide("convolve", in1, in2, mode, stride)


def correlate(in1: Tensor, in2: Tensor, mode: str = "full", stride: int | tuple[int, ...] = 1) -> Tensor:
    """Cross-correlation of two signals or of two images: what the layers of networks call convolution.

    ``out[k] = sum over j of in1[j + k - (m - 1)] * in2[j]``, and the same over both axes of images.

    Parameters
    ----------
    in1, in2, mode, stride
        As in `convolve`. ``"same"`` is that of `numpy.correlate` for signals and that of
        `scipy.signal.correlate` for images (`scipy.signal.correlate2d` places windows of even length one
        position further).

    Returns
    -------
    Tensor
        Of the promoted type of both.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        As in `convolve`.

    Examples
    --------
    >>> import cnnx
    >>> x = cnnx.tensor([1.0, 2.0, 3.0])
    >>> cnnx.signal.correlate(x, cnnx.tensor([0.0, 1.0, 0.5])).tolist()
    [0.5, 2.0, 3.5, 3.0, 0.0]
    >>> cnnx.signal.correlate(x, cnnx.tensor([1.0, 1.0]), "valid", stride=1).tolist()
    [3.0, 5.0]
    """
    return _slide("correlate", in1, in2, mode, stride)


def _slide(op: str, in1: Tensor, in2: Tensor, mode: str, stride: int | tuple[int, ...]) -> Tensor:
    for operand in (in1, in2):
        if not isinstance(operand, Tensor):
            raise TypeError(f"{op}: expected tensors, got {type(operand).__name__}")
        if operand.dtype == bool_dtype:
            raise TypeError(f"{op}: takes numbers, not bools")
    if in1.ndim != in2.ndim or in1.ndim not in (1, 2):
        raise RuntimeError(
            f"{op}: inputs must both be (n,) or both (height, width), got {tuple(in1.shape)} and "
            f"{tuple(in2.shape)}"
        )
    if in1.numel() == 0 or in2.numel() == 0:
        raise ValueError(f"{op}: inputs must not be empty, got {tuple(in1.shape)} and {tuple(in2.shape)}")
    axes = in1.ndim
    strides = (stride,) * axes if isinstance(stride, int) else tuple(stride)
    if len(strides) != axes or min(strides) < 1:
        raise ValueError(f"{op}: stride must be positive, one number or {axes}, got {stride}")
    pads: list[int] = []
    for n, m in zip(in1.shape, in2.shape, strict=True):
        start, length = _positions(op, n, m, mode, axes)
        # Position k of the full result begins m - 1 - k places before in1.
        before = m - 1 - start
        pads += [before, length - n + m - 1 - before]
    sizes = list(zip(in1.shape, in2.shape, strict=True))
    if mode == "valid" and any(n < m for n, m in sizes) and any(n > m for n, m in sizes):
        raise ValueError(
            f"{op}: mode 'valid' needs one input within the other, got {tuple(in1.shape)} and "
            f"{tuple(in2.shape)}"
        )
    dtype = _C.promote(in1.dtype, in2.dtype)
    if dtype.is_floating_point:
        return _correlate(in1.to(dtype), in2.to(dtype), op == "convolve", strides, pads)
    return _exactly(op, in1, in2, strides, pads).to(dtype)


def _positions(op: str, n: int, m: int, mode: str, axes: int) -> tuple[int, int]:
    """First position and number of positions of a mode within the full result."""
    less, more = min(n, m), max(n, m)
    if mode == "full":
        return 0, n + m - 1
    if mode == "valid":
        return less - 1, more - less + 1
    if mode != "same":
        raise ValueError(f"{op}: mode must be 'full', 'same' or 'valid', got {mode!r}")
    if axes == 2:
        return (m - 1) // 2, n
    # NumPy exchanges the operands if the second is longer, and a correlation runs backwards then.
    return less // 2 if op == "correlate" and m > n else (less - 1) // 2, more


def _correlate(in1: Tensor, in2: Tensor, turned: bool, strides: tuple[int, ...], pads: list[int]) -> Tensor:
    """The native op over one image of one channel."""
    axes = in1.ndim
    window = in2.flip(list(range(axes))) if turned else in2
    native = _C.conv1d if axes == 1 else _C.conv2d
    return native(in1.unsqueeze(0), window[None, None], None, strides, pads, (1,) * axes, 1).squeeze(0)


def _exactly(op: str, in1: Tensor, in2: Tensor, strides: tuple[int, ...], pads: list[int]) -> Tensor:
    """Integers by way of float64, which holds the sums exactly."""
    a, b = in1.double(), in2.double()
    if min(a.abs().max().item() * b.abs().sum().item(), b.abs().max().item() * a.abs().sum().item()) > _EXACT:
        raise ValueError(f"{op}: the sums of these integers may pass 2**53; convert to float64 first")
    return _correlate(a, b, op == "convolve", strides, pads).long()
