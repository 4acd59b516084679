"""Weights as a length times a direction, in the older way: computed before each call of the module."""

from __future__ import annotations

import warnings
from typing import Any

from ...pointwise import is_tensor
from ...shaping import axis_of
from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter
from .checks import check_modules

__all__ = ["norm_except_dim", "remove_weight_norm", "weight_norm"]


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norms of the slices along a dimension, which stays beside dimensions of 1; of all for -1."""
    if dim == -1:
        return v.norm(pow)
    kept = axis_of("weight_norm", v, dim)
    rest = [axis for axis in range(v.ndim) if axis != kept]
    return v.norm(pow, rest, keepdim=True) if rest else v.abs()


class WeightNorm:
    """The hook that computes a weight: ``weight_g * weight_v / norm(weight_v)``."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Any:
        """The weight."""
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return v * (g / norm_except_dim(v, 2, self.dim))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learns a weight as its length and its direction: ``g * v / norm(v)``.

    The older way, for files of weights with its names. `parametrizations.weight_norm` is the newer.

    Parameters
    ----------
    module : Module
        Its parameter `name` becomes ``name_g`` and ``name_v``, and is computed before each call.
    name : str
        Default: "weight".
    dim : int, optional
        The norm is taken over all other dimensions; None: over all. Default: 0.

    Returns
    -------
    Module
        The module.

    Notes
    -----
    Salimans, Kingma, "Weight normalization: a simple reparameterization to accelerate training of deep neural
    networks", NeurIPS 2016.

    Examples
    --------
    >>> import warnings
    >>> from cnnx import nn
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     layer = nn.utils.weight_norm(nn.Linear(3, 2))
    >>> list(layer.state_dict())
    ['bias', 'weight_g', 'weight_v']
    """
    warnings.warn(
        "weight_norm: the hook before each call is deprecated, use nn.utils.parametrizations.weight_norm",
        FutureWarning,
        stacklevel=2,
    )
    check_modules("weight_norm", module)
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm) and hook.name == name:
            raise RuntimeError(
                f"weight_norm: cannot register two weight_norm hooks on the same parameter {name}"
            )
    weight = getattr(module, name)
    if not is_tensor(weight):
        raise TypeError(f"weight_norm: {name!r} must be a tensor, got {type(weight).__name__}")
    fn = WeightNorm(name, dim)
    module._parameters.pop(name, None)
    module.register_parameter(name + "_g", Parameter(norm_except_dim(weight.detach(), 2, fn.dim)))
    module.register_parameter(name + "_v", Parameter(weight.detach()))
    setattr(module, name, fn.compute_weight(module))
    module.register_forward_pre_hook(fn)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Takes `weight_norm` back: the weight is a parameter again, of its present value.

    Raises
    ------
    ValueError
        If there is none.
    """
    check_modules("remove_weight_norm", module)
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            weight = hook.compute_weight(module)
            delattr(module, name)
            del module._parameters[name + "_g"], module._parameters[name + "_v"]
            setattr(module, name, Parameter(weight.detach()))
            del module._forward_pre_hooks[number]
            return module
    raise ValueError(f"remove_weight_norm: weight_norm of {name!r} not found in {module}")
