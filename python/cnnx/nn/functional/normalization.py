"""Normalisation as functions."""

from __future__ import annotations

from collections.abc import Sequence

from ... import _C
from ...autograd import no_grad
from ...dtypes import finfo
from ...signatures import checked, not_tensors
from ...tensor import Tensor
from .padding import pad
from .pooling import avg_pool2d


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises every channel over batch and space: (x - mean) / sqrt(var + eps) * weight + bias.

    Parameters
    ----------
    input : Tensor
        Shape (N, C, ...).
    running_mean, running_var : Tensor or None
        Shape (C,). The statistics to use if not `training`. Else, where given, they are moved in place
        towards the batch's: ``running = (1 - momentum) * running + momentum * batch``, with the
        unbiased variance.
    weight, bias : Tensor, optional
        Shape (C,). Default: 1 and 0.
    training : bool
        Use the mean and the (biased) variance of this batch. Default: False.
    momentum : float
        Default: 0.1.
    eps : float
        Added to the variance. Default: 1e-5.

    Returns
    -------
    Tensor
        The input's shape.

    Raises
    ------
    ValueError
        If training on a single value per channel.
    RuntimeError
        If shapes do not match, or there are no statistics to use.

    Notes
    -----
    Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
    shift", ICML 2015.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.batch_norm(cnnx.tensor([[1.0], [3.0]]), None, None, training=True, eps=1e-12).tolist()
    [[-1.0], [1.0]]
    """
    return _C.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises over the last dimensions: (x - mean) / sqrt(var + eps) * weight + bias.

    Parameters
    ----------
    input : Tensor
        Shape (..., *normalized_shape).
    normalized_shape : sequence of int
        The last dimensions.
    weight, bias : Tensor, optional
        Shape `normalized_shape`. Default: 1 and 0.
    eps : float
        Added to the (biased) variance. Default: 1e-5.

    Returns
    -------
    Tensor
        The input's shape.

    Raises
    ------
    RuntimeError
        If shapes do not match.

    Notes
    -----
    Ba, Kiros, Hinton, "Layer normalization", arXiv:1607.06450 (2016).

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.layer_norm(cnnx.tensor([[1.0, 3.0], [10.0, 30.0]]), (2,), eps=0.0).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    return _C.layer_norm(input, tuple(normalized_shape), weight, bias, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises every image over groups of channels and space.

    Parameters
    ----------
    input : Tensor
        Shape (N, C, ...).
    num_groups : int
        Divides C. With C groups it is instance normalisation.
    weight, bias : Tensor, optional
        Shape (C,). Default: 1 and 0.
    eps : float
        Added to the (biased) variance. Default: 1e-5.

    Returns
    -------
    Tensor
        The input's shape.

    Raises
    ------
    RuntimeError
        If shapes do not match or the groups do not divide the channels.
    ValueError
        If there is a single value to normalise.

    Notes
    -----
    Wu, He, "Group normalization", ECCV 2018.
    """
    # PyTorch's condition: it looks at all images together.
    try:
        single = input.ndim >= 2 and num_groups > 0 and input.numel() == num_groups
    except AttributeError:
        raise not_tensors("group_norm", input=input) from None
    if single:
        raise ValueError(f"Expected more than 1 value per channel when training, got input {input.shape}")
    return _C.group_norm(input, num_groups, weight, bias, eps)


@checked
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises every channel of every image over space: (x - mean) / sqrt(var + eps) * weight + bias.

    Parameters
    ----------
    input : Tensor
        Shape (N, C, ...), with more than one value of a channel.
    running_mean, running_var : Tensor, optional
        Shape (C,). With `use_input_stats` they are moved in place towards the means over the images of
        their means and (unbiased) variances; else they are used.
    weight, bias : Tensor, optional
        Shape (C,). Default: 1 and 0.
    use_input_stats : bool
        Default: True.
    momentum : float
        Default: 0.1.
    eps : float
        Added to the variance. Default: 1e-5.

    Raises
    ------
    ValueError
        If there is a single value to normalise, or statistics to use are missing.

    Notes
    -----
    Ulyanov, Vedaldi, Lempitsky, "Instance normalization: the missing ingredient for fast stylization",
    arXiv:1607.08022 (2016).
    """
    if input.ndim < 3:
        raise ValueError(f"instance_norm: takes (N, C, ...), got shape {tuple(input.shape)}")
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError("instance_norm: needs running_mean and running_var unless use_input_stats")
        return _C.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    images, channels = input.shape[:2]
    if input.numel() == images * channels:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    if running_mean is not None or running_var is not None:
        with no_grad():
            flat = input.reshape(images, channels, -1)
            if running_mean is not None:
                running_mean.lerp_(flat.mean(2).mean(0), momentum)
            if running_var is not None:
                running_var.lerp_(flat.var(2).mean(0), momentum)
    return _C.group_norm(input, channels, weight, bias, eps)


@checked
def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Divides by the root of the mean square over the last dimensions: x / sqrt(mean(x^2) + eps) * weight.

    Parameters
    ----------
    input : Tensor
        Shape (..., *normalized_shape).
    normalized_shape : sequence of int
        The last dimensions.
    weight : Tensor, optional
        Shape `normalized_shape`. Default: 1.
    eps : float, optional
        Default: the distance from 1 to the next number of the dtype.

    Raises
    ------
    RuntimeError
        If shapes do not match.

    Notes
    -----
    Zhang, Sennrich, "Root mean square layer normalization", NeurIPS 2019.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.rms_norm(cnnx.tensor([3.0, 3.0]), (2,)).round(decimals=3).tolist()
    [1.0, 1.0]
    """
    shape = tuple(normalized_shape)
    if not shape or tuple(input.shape[-len(shape) :]) != shape:
        raise RuntimeError(
            f"rms_norm: given normalized_shape={list(shape)}, expected input with shape [*, "
            f"{', '.join(map(str, shape))}], but got input of size {list(input.shape)}"
        )
    if weight is not None and tuple(weight.shape) != shape:
        raise RuntimeError(
            f"rms_norm: weight {tuple(weight.shape)} must have the shape of normalized_shape {shape}"
        )
    if eps is None:
        eps = float(finfo(input.dtype).eps)
    dims = list(range(input.ndim - len(shape), input.ndim))
    result = input * (input.square().mean(dims, keepdim=True) + eps).rsqrt()
    return result if weight is None else result * weight


@checked
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divides by the energy of the neighbouring channels: x / (k + alpha / size * sum of their squares)^beta.

    Parameters
    ----------
    input : Tensor
        Shape (N, C, ...) with at least three dimensions.
    size : int
        How many channels, those beyond the border counting 0.
    alpha, beta, k : float
        Default: 1e-4, 0.75 and 1.

    Raises
    ------
    ValueError
        If the input has fewer dimensions.

    Notes
    -----
    Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks",
    NeurIPS 2012.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.local_response_norm(cnnx.full((1, 1, 1), 2.0), 1, alpha=0.75, beta=0.5).tolist()
    [[[1.0]]]
    """
    if input.ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)")
    if size < 1:
        raise ValueError(f"local_response_norm: size must be positive, got {size}")
    if not input.numel():
        return input
    images, channels = input.shape[:2]
    squares = pad(input.square().reshape(images, 1, channels, -1), (0, 0, size // 2, (size - 1) // 2))
    means = avg_pool2d(squares, (size, 1), stride=1).reshape(input.shape)
    return input / (means * alpha + k).pow(beta)
