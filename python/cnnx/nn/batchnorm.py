"""Batch normalisation layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import cnnx

from .. import _C
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import NO_SHORTCUT, Parameter, empty_parameter


class _BatchNorm(Module):
    """What the batch normalisations share: parameters, running statistics, and which statistics are used."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _version: ClassVar[int] = 2  # 1: without num_batches_tracked
    _dims: tuple[int, ...]  # numbers of dimensions that the layer takes

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, empty_parameter(device, dtype, num_features) if wanted else None)
        for name in ("running_mean", "running_var"):
            statistics = cnnx.empty(num_features, device=device, dtype=dtype) if track_running_stats else None
            self.register_buffer(name, statistics)
        batches = cnnx.tensor(0, dtype=cnnx.int64, device=device) if track_running_stats else None
        self.register_buffer("num_batches_tracked", batches)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Sets the running mean to 0, the running variance to 1 and the number of batches to 0."""
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Resets the statistics, and weight to 1 and bias to 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        """Raises ValueError for input that the layer does not take; a subclass may take other."""
        if input.ndim not in self._dims:
            wanted = " or ".join(f"{dims}D" for dims in self._dims)
            raise ValueError(f"expected {wanted} input (got {input.ndim}D input)")

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Mapping[str, Any], *rest: Any
    ) -> None:
        key = prefix + "num_batches_tracked"
        if (local_metadata.get("version") or 1) < 2 and self.track_running_stats and key not in state_dict:
            # From before batches were counted.
            batches = self.num_batches_tracked
            state_dict[key] = cnnx.tensor(0, dtype=cnnx.int64) if batches is None else batches
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def forward(self, input: Tensor) -> Tensor:
        """Any of the layer's shapes to the same shape."""
        self._check_input_dim(input)
        try:
            shortcut = type(self) in (BatchNorm1d, BatchNorm2d)
            buffers, own = (self._buffers, self._parameters) if shortcut else (NO_SHORTCUT, NO_SHORTCUT)
            mean, var, batches = (
                buffers["running_mean"],
                buffers["running_var"],
                buffers["num_batches_tracked"],
            )
            weight, bias = own["weight"], own["bias"]
        except KeyError:
            mean, var, batches = self.running_mean, self.running_var, self.num_batches_tracked
            weight, bias = self.weight, self.bias
        training = self.training or (mean is None and var is None)
        if not (self.training and self.track_running_stats):
            batches = None
            if self.training:
                mean = var = None
        momentum = 0.0 if self.momentum is None and batches is None else self.momentum
        return _C.batch_norm(input, mean, var, weight, bias, training, momentum, self.eps, batches)

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Normalises every channel of (N, C) or (N, C, L) over batch and length. See `functional.batch_norm`.

    Parameters
    ----------
    num_features : int
        Channels C.
    eps : float
        Added to the variance. Default: 1e-5.
    momentum : float or None
        How far a batch moves the running statistics; None for their mean over all batches.
        Default: 0.1.
    affine : bool
        Learn a weight and a bias per channel. Default: True.
    track_running_stats : bool
        Keep running statistics for evaluation mode; without them every batch is normalised by its own.
        Default: True.
    device, dtype : optional
        Of parameters and statistics. Default: CPU, the default dtype.
    bias : bool
        Whether an affine layer has a bias. Default: True.

    Attributes
    ----------
    weight, bias : Parameter or None
        (num_features,), 1 and 0 at first.
    running_mean, running_var : Tensor or None
        (num_features,), 0 and 1 at first.
    num_batches_tracked : Tensor or None
        int64, 0-dimensional.

    Raises
    ------
    ValueError
        On input of another number of dimensions, or of a single value per channel in training mode.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> layer = nn.BatchNorm1d(3)
    >>> layer(cnnx.randn(20, 3)).shape
    cnnx.Size([20, 3])
    >>> list(layer.state_dict())
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """

    _dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalises every channel of (N, C, H, W) over batch and space. See `BatchNorm1d` for the arguments.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.BatchNorm2d(6)(cnnx.randn(4, 6, 8, 8)).shape
    cnnx.Size([4, 6, 8, 8])
    """

    _dims = (4,)
