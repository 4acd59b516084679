"""Batch normalisations in evaluation mode, worked into the weights of the layers before them."""

from __future__ import annotations

import copy
from typing import Any

import cnnx

from ...signatures import checked
from ...tensor import Tensor
from ..parameter import Parameter
from .checks import check_modules

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _fused(
    weight: Tensor,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
    scale: Any,
    shift: Any,
    dim: int,
) -> tuple[Parameter, Parameter]:
    with cnnx.no_grad():
        factor = (var + eps).rsqrt()
        if scale is not None:
            factor = factor * scale
        extents = [1] * weight.ndim
        extents[dim] = -1
        start = -mean if bias is None else bias - mean
        moved = start * factor if shift is None else start * factor + shift
        moved = moved.expand(weight.shape[dim])  # one feature may stand for all
        made = (weight * factor.reshape(extents)).to(weight.dtype), moved.to(weight.dtype)
    return Parameter(made[0], weight.requires_grad), Parameter(
        made[1], weight.requires_grad if bias is None else bias.requires_grad
    )


@checked
def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a convolution that does what this one and a batch normalisation behind it do.

    Parameters
    ----------
    conv_w, conv_b : Tensor
        Of the convolution; the bias may be None.
    bn_rm, bn_rv : Tensor
        Running mean and variance.
    bn_eps : float
        Added to the variance.
    bn_w, bn_b : Tensor or None
        Weight and bias of the normalisation.
    transpose : bool
        Whether it is a transposed convolution. Default: False.
    """
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


@checked
def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor,
    bn_b: Tensor,
) -> tuple[Parameter, Parameter]:
    """As `fuse_conv_bn_weights`, of a dense layer."""
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _fuse(op: str, layer: Any, bn: Any, transpose: bool) -> Any:
    if layer.training or bn.training:
        raise RuntimeError(f"{op}: fusion only for eval; call eval() on both first")
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError(f"{op}: the normalisation has no running statistics")
    fused = copy.deepcopy(layer)
    fused.weight, fused.bias = _fused(
        layer.weight, layer.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, int(transpose)
    )
    return fused


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of a convolution that does what it and a batch normalisation behind it do in evaluation mode.

    Parameters
    ----------
    conv : Conv1d, Conv2d or, with `transpose` and one group, a transposed one
        The convolution.
    bn : BatchNorm1d or BatchNorm2d
        What follows it.
    transpose : bool
        Default: False.

    Returns
    -------
    Module
        Of the convolution's class.

    Raises
    ------
    RuntimeError
        If one of them is in training mode.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> from cnnx.nn.utils import fuse_conv_bn_eval
    >>> conv, bn = nn.Conv2d(1, 4, 3).eval(), nn.BatchNorm2d(4).eval()
    >>> x = cnnx.randn(2, 1, 5, 5)
    >>> bool((fuse_conv_bn_eval(conv, bn)(x) - bn(conv(x))).abs().max() < 1e-5)
    True
    """
    check_modules("fuse_conv_bn_eval", conv, bn)
    if transpose and getattr(conv, "groups", 1) != 1:
        raise ValueError("fuse_conv_bn_eval: a transposed convolution of several groups is not supported")
    return _fuse("fuse_conv_bn_eval", conv, bn, transpose)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """As `fuse_conv_bn_eval`, of a dense layer.

    Raises
    ------
    AssertionError
        If the normalisation is not of as many features as the layer gives.
    """
    check_modules("fuse_linear_bn_eval", linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"{linear.out_features} and {bn.num_features}"
        )
    return _fuse("fuse_linear_bn_eval", linear, bn, False)
