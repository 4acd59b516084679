"""Layer and group normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter, empty_parameter


class _AffineNorm(Module):
    """A weight and a bias, either of which may be absent."""

    weight: Parameter | None
    bias: Parameter | None

    def _add_parameters(
        self, shape: Sequence[int], weight: bool, bias: bool, device: Any, dtype: Any
    ) -> None:
        for name, wanted in (("weight", weight), ("bias", bias)):
            self.register_parameter(name, empty_parameter(device, dtype, *shape) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class LayerNorm(_AffineNorm):
    """Normalises over the last dimensions. See `functional.layer_norm`.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The last dimensions of the input.
    eps : float
        Added to the variance. Default: 1e-5.
    elementwise_affine : bool
        Learn a weight and a bias for every element. Default: True.
    bias : bool
        Whether an affine layer has a bias. Default: True.
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.

    Attributes
    ----------
    weight, bias : Parameter or None
        Of shape `normalized_shape`, 1 and 0 at first.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.LayerNorm(10)(cnnx.randn(20, 5, 10)).shape
    cnnx.Size([20, 5, 10])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape = shape
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._add_parameters(shape, elementwise_affine, elementwise_affine and bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """(..., *normalized_shape) to the same shape."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(_AffineNorm):
    """Normalises every image of (N, C, ...) over groups of channels and space. See `functional.group_norm`.

    Parameters
    ----------
    num_groups : int
        Divides the channels.
    num_channels : int
        Channels C.
    eps : float
        Added to the variance. Default: 1e-5.
    affine : bool
        Learn a weight and a bias per channel. Default: True.
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.
    bias : bool
        Whether an affine layer has a bias. Default: True.

    Attributes
    ----------
    weight, bias : Parameter or None
        (num_channels,), 1 and 0 at first.

    Raises
    ------
    ValueError
        If the groups do not divide the channels.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.GroupNorm(3, 6)(cnnx.randn(20, 6, 10, 10)).shape
    cnnx.Size([20, 6, 10, 10])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups != 0:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._add_parameters((num_channels,), affine, affine and bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(_AffineNorm):
    """Divides by the root of the mean square over the last dimensions. See `functional.rms_norm`.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The last dimensions of the input.
    eps : float, optional
        Default: the distance from 1 to the next number of the dtype.
    elementwise_affine : bool
        Learn a weight for every element. Default: True.
    device, dtype : optional
        Of the weight. Default: CPU, the default dtype.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.RMSNorm([2, 3])(cnnx.randn(2, 2, 3)).shape
    cnnx.Size([2, 2, 3])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        one = hasattr(normalized_shape, "__index__")
        self.normalized_shape: tuple[int, ...] = (
            (int(normalized_shape),) if one else tuple(normalized_shape)  # type: ignore[arg-type]
        )
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        wanted = empty_parameter(device, dtype, *self.normalized_shape) if elementwise_affine else None
        self.register_parameter("weight", wanted)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """(..., *normalized_shape) to the same shape."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Module):
    """Divides by the energy of the neighbouring channels. See `functional.local_response_norm`.

    Parameters
    ----------
    size : int
        How many channels.
    alpha, beta, k : float
        Default: 1e-4, 0.75 and 1.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
