"""Lazy layers: the first batch says how many channels or features come in."""

from __future__ import annotations

from typing import Any

import cnnx

from .. import _C
from ..signatures import not_tensors
from ..tensor import Tensor
from .batchnorm import BatchNorm1d, BatchNorm2d, _BatchNorm
from .conv import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Ints, _ConvNd
from .instancenorm import InstanceNorm1d, InstanceNorm2d, _InstanceNorm
from .linear import Linear
from .module import Module
from .uninitialized import UninitializedBuffer, UninitializedParameter, is_lazy

__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyLinear",
    "LazyModuleMixin",
]


class LazyModuleMixin(Module):
    """What lazy modules share: before the first call their parameters are given shapes.

    A subclass has `UninitializedParameter` or `UninitializedBuffer` among its attributes, and gives them
    shapes in ``initialize_parameters``, which gets the arguments of the first call. After it the module is of
    the class `cls_to_become`, if there is one. State can be loaded before it.
    """

    cls_to_become: type[Module] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._initialize_hook = self.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Gives the parameters shapes and values by the arguments of the first call."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """Whether the module itself has parameters or buffers without a shape."""
        return any(is_lazy(member) for member in (*self._parameters.values(), *self._buffers.values()))

    def _infer_parameters(self, module: Any, args: Any, kwargs: Any = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {type(module).__name__} has not been fully initialized")
        module._initialize_hook.remove()
        del module._initialize_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become


class LazyLinear(LazyModuleMixin, Linear):
    """`Linear` that takes `in_features` from its first input.

    Parameters
    ----------
    out_features : int
        The last extent of the result.
    bias : bool
        Default: True.
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.
    activation : str, optional
        As in `Linear`.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> layer = nn.LazyLinear(3)
    >>> layer.weight
    <UninitializedParameter>
    >>> layer(cnnx.ones(2, 5)).shape
    cnnx.Size([2, 3])
    >>> layer
    Linear(in_features=5, out_features=3, bias=True)
    """

    cls_to_become = Linear

    def __init__(
        self,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str | None = None,
    ) -> None:
        super().__init__(0, 0, False, activation=activation)
        self.out_features = out_features
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draws the parameters anew, once they have shapes."""
        if not self.has_uninitialized_params() and self.in_features:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Gives the parameters shapes and values."""
        _check_tensor(self, input)
        if self.has_uninitialized_params():
            with cnnx.no_grad():
                self.in_features = input.shape[-1]
                _materialize(self.weight, self.out_features, self.in_features)
                _materialize(self.bias, self.out_features)
                self.reset_parameters()
        self.in_features = self.weight.shape[-1]


def _check_tensor(module: Module, input: Any) -> None:
    if not isinstance(input, Tensor):
        raise not_tensors(type(module).__name__, input=input)


def _materialize(member: Any, *shape: int) -> None:
    if is_lazy(member):
        member.materialize(shape)


class _LazyConv(LazyModuleMixin, _ConvNd):
    def __init__(
        self,
        out_channels: int,
        rest: tuple[Any, ...],
        options: dict[str, Any],
        bias: bool,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__(0, 0, *rest, bias=False, **options)
        if not hasattr(out_channels, "__index__") or isinstance(out_channels, bool):
            raise TypeError(f"{type(self).__name__}: out_channels must be an int, got {out_channels!r}")
        if out_channels % self.groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        self.out_channels = out_channels
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draws the parameters anew, once they have shapes."""
        if not self.has_uninitialized_params() and self.in_channels:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Gives the parameters shapes and values."""
        _check_tensor(self, input)
        if self.has_uninitialized_params():
            if input.ndim not in (self._axes + 1, self._axes + 2):
                raise RuntimeError(
                    f"Expected {self._axes + 1}D (unbatched) or {self._axes + 2}D (batched) input to "
                    f"{type(self).__name__}, but got input of size: {tuple(input.shape)}"
                )
            channels = input.shape[-self._axes - 1]
            if channels % self.groups != 0:
                raise ValueError("in_channels must be divisible by groups")
            self.in_channels = channels
            pair = (channels, self.out_channels) if self.transposed else (self.out_channels, channels)
            with cnnx.no_grad():
                _materialize(self.weight, pair[0], pair[1] // self.groups, *self.kernel_size)
                _materialize(self.bias, self.out_channels)
                self.reset_parameters()
        self.in_channels = self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups


class _LazyConvolution(_LazyConv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: str | Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str | None = None,
    ) -> None:
        _C.check_activation(activation)
        rest = (kernel_size, stride, padding, dilation, groups)
        options = {"padding_mode": padding_mode, "activation": activation}
        super().__init__(out_channels, rest, options, bias, device, dtype)


class LazyConv1d(_LazyConvolution, Conv1d):
    """`Conv1d` that takes `in_channels` from its first input; the other arguments are the same.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.LazyConv1d(4, 3)(cnnx.ones(2, 5, 7)).shape
    cnnx.Size([2, 4, 5])
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyConvolution, Conv2d):
    """`Conv2d` that takes `in_channels` from its first input; the other arguments are the same.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> net = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    >>> net(cnnx.ones(2, 1, 5, 5)).shape
    cnnx.Size([2, 10])
    """

    cls_to_become = Conv2d


class _LazyConvTranspose(_LazyConv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        rest = (kernel_size, stride, padding, output_padding, groups)
        options = {"dilation": dilation, "padding_mode": padding_mode}
        super().__init__(out_channels, rest, options, bias, device, dtype)


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """`ConvTranspose1d` that takes `in_channels` from its first input; the other arguments are the same."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """`ConvTranspose2d` that takes `in_channels` from its first input; the other arguments are the same."""

    cls_to_become = ConvTranspose2d


class _LazyNorm(LazyModuleMixin, _BatchNorm):
    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, False, False)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                self.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = cnnx.tensor(0, dtype=cnnx.int64, device=device)

    def reset_parameters(self) -> None:
        """Resets statistics and parameters, once they have shapes."""
        if not self.has_uninitialized_params() and self.num_features:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Gives parameters and statistics shapes and values."""
        _check_tensor(self, input)
        members = (self.weight, self.bias, self.running_mean, self.running_var)
        if not self.num_features:
            self._check_input_dim(input)
            single = isinstance(self, _InstanceNorm) and input.ndim == min(self._dims)
            self.num_features = input.shape[0 if single else 1]
        if self.has_uninitialized_params():
            with cnnx.no_grad():
                for member in members:
                    _materialize(member, self.num_features)
                self.reset_parameters()


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """`BatchNorm1d` that takes `num_features` from its first input; the other arguments are the same."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """`BatchNorm2d` that takes `num_features` from its first input; the other arguments are the same.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> layer = nn.LazyBatchNorm2d()
    >>> _ = layer(cnnx.randn(4, 6, 3, 3))
    >>> layer.weight.shape
    cnnx.Size([6])
    """

    cls_to_become = BatchNorm2d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """`InstanceNorm1d` that takes `num_features` from its first input.

    As in PyTorch, `affine` and `track_running_stats` are True by default.
    """

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """`InstanceNorm2d` that takes `num_features` from its first input.

    As in PyTorch, `affine` and `track_running_stats` are True by default.
    """

    cls_to_become = InstanceNorm2d
