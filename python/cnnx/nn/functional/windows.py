"""Windows of images as columns, and back."""

from __future__ import annotations

from ... import _C
from ...tensor import Tensor
from ..arguments import Size2, pair


def unfold(
    input: Tensor, kernel_size: Size2, dilation: Size2 = 1, padding: Size2 = 0, stride: Size2 = 1
) -> Tensor:
    """Windows of images as columns: a convolution is a matrix product with them.

    Parameters
    ----------
    input : Tensor
        Shape (N, C, H, W) or (C, H, W); float32 or float64.
    kernel_size : int or pair
        Extent of the window.
    dilation : int or pair
        Distance between the elements of a window. Default: 1.
    padding : int or pair
        Zeros around the input. Default: 0.
    stride : int or pair
        Step of the window. Default: 1.

    Returns
    -------
    Tensor
        Shape (N, C * kernel_height * kernel_width, L): a column per position, row by row, channels slowest
        within it.

    Raises
    ------
    RuntimeError
        If the window does not fit.
    ValueError
        For sizes that are not positive or negative padding.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> x, w = cnnx.randn(2, 3, 8, 9), cnnx.randn(5, 3, 3, 3)
    >>> y = (w.reshape(5, -1) @ F.unfold(x, 3)).reshape(2, 5, 6, 7)
    >>> cnnx.allclose(y, F.conv2d(x, w), atol=1e-5)
    True
    """
    return _C.unfold(
        input,
        pair("unfold", "kernel_size", kernel_size),
        pair("unfold", "dilation", dilation),
        pair("unfold", "padding", padding),
        pair("unfold", "stride", stride),
    )


def fold(
    input: Tensor,
    output_size: Size2,
    kernel_size: Size2,
    dilation: Size2 = 1,
    padding: Size2 = 0,
    stride: Size2 = 1,
) -> Tensor:
    """Columns put back as windows of images; where windows overlap, they add up. The adjoint of `unfold`.

    Parameters
    ----------
    input : Tensor
        Shape (N, C * kernel_height * kernel_width, L) or without N; float32 or float64.
    output_size : int or pair
        Extent of the images, (H, W).
    kernel_size, dilation, padding, stride : int or pair
        As in `unfold`.

    Returns
    -------
    Tensor
        Shape (N, C, H, W), or without N.

    Raises
    ------
    RuntimeError
        If the rows are not a multiple of the window, or L is not the number of windows.
    ValueError
        For sizes that are not positive or negative padding.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.fold(F.unfold(cnnx.ones(1, 1, 3, 3), 2), 3, 2).tolist()  # how many windows see each pixel
    [[[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]]
    """
    return _C.fold(
        input,
        pair("fold", "output_size", output_size),
        pair("fold", "kernel_size", kernel_size),
        pair("fold", "dilation", dilation),
        pair("fold", "padding", padding),
        pair("fold", "stride", stride),
    )
