"""Instance normalisation layers."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .batchnorm import _BatchNorm


class _InstanceNorm(_BatchNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Any of the layer's shapes to the same shape."""
        self._check_input_dim(input)
        images = input.unsqueeze(0) if input.ndim == min(self._dims) else input
        if images.shape[1] != self.num_features:
            raise ValueError(
                f"expected input's size at dim={input.ndim - images.ndim + 1} to match num_features "
                f"({self.num_features}), but got: {images.shape[1]}."
            )
        result = F.instance_norm(
            images,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return result.squeeze(0) if images is not input else result


class InstanceNorm1d(_InstanceNorm):
    """Normalises every channel of every signal (N, C, L) or (C, L) for itself.

    Parameters
    ----------
    num_features : int
        C.
    eps : float
        Added to the variance. Default: 1e-5.
    momentum : float
        Of the running statistics. Default: 0.1.
    affine : bool
        Learn a weight and a bias for every channel. Default: False.
    track_running_stats : bool
        Keep running statistics, which eval mode uses. Default: False.
    device, dtype : optional
        Of parameters and statistics. Default: CPU, the default dtype.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.InstanceNorm1d(1)(cnnx.tensor([[[1.0, 3.0]], [[10.0, 30.0]]])).round(decimals=3).tolist()
    [[[-1.0, 1.0]], [[-1.0, 1.0]]]
    """

    _dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalises every channel of every image (N, C, H, W) or (C, H, W) for itself. As `InstanceNorm1d`.

    Parameters
    ----------
    num_features : int
        C.
    eps : float
        Added to the variance. Default: 1e-5.
    momentum : float
        Of the running statistics. Default: 0.1.
    affine : bool
        Learn a weight and a bias for every channel. Default: False.
    track_running_stats : bool
        Keep running statistics, which eval mode uses. Default: False.
    device, dtype : optional
        Of parameters and statistics. Default: CPU, the default dtype.
    """

    _dims = (3, 4)
