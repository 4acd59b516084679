"""Weights divided by their largest singular value, in the older way: before each call of the module."""

from __future__ import annotations

from typing import Any

import cnnx

from ...tensor import Tensor
from .. import functional as F
from ..conv import _ConvTranspose
from ..module import Module
from ..parameter import Parameter
from .checks import check_modules

__all__ = ["as_matrix", "iterate", "output_dim", "remove_spectral_norm", "spectral_norm"]


def output_dim(module: Module) -> int:
    """Which dimension of a module's weight counts the outputs."""
    return 1 if isinstance(module, _ConvTranspose) else 0


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """A weight as a matrix with a row for each index of `dim`."""
    return weight.movedim(dim, 0).flatten(1)


def iterate(matrix: Tensor, u: Tensor, v: Tensor, steps: int, eps: float) -> None:
    """Moves u and v, in place, towards the left and right vectors of the largest singular value."""
    with cnnx.no_grad():
        for _ in range(steps):
            v.copy_(F.normalize(matrix.t().mv(u), dim=0, eps=eps))
            u.copy_(F.normalize(matrix.mv(v), dim=0, eps=eps))


class SpectralNorm:
    """The hook that computes a weight. In training mode it takes `n_power_iterations` steps each time."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        self.name = name
        self.dim = dim
        self.n_power_iterations = n_power_iterations
        self.eps = eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The weight, after steps if asked for."""
        weight, u, v = (getattr(module, self.name + end) for end in ("_orig", "_u", "_v"))
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            iterate(matrix.detach(), u, v, self.n_power_iterations, self.eps)
            u, v = u.clone(), v.clone()  # a later step leaves what the backward pass reads
        sigma = u.dot(matrix.mv(v))
        result: Tensor = weight / sigma
        return result

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


class _Version:
    """Writes the version of the state beside it, as PyTorch reads it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: Module, state_dict: Any, prefix: str, local_metadata: dict[str, Any]) -> None:
        versions = local_metadata.setdefault("spectral_norm", {})
        versions[self.name + ".version"] = 1


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divides a weight by an estimate of its largest singular value before each call of the module.

    The older way, for files of weights with its names. `parametrizations.spectral_norm` is the newer.

    Parameters
    ----------
    module : Module
        Its parameter `name` becomes ``name_orig``, beside the buffers ``name_u`` and ``name_v``.
    name : str
        Default: "weight".
    n_power_iterations : int
        Steps of the power method at each call in training mode. Default: 1.
    eps : float
        The least norm that a vector is divided by. Default: 1e-12.
    dim : int, optional
        Which dimension of the weight counts the outputs. Default: 1 for transposed convolutions, else 0.

    Returns
    -------
    Module
        The module.

    Notes
    -----
    Miyato et al., "Spectral normalization for generative adversarial networks", ICLR 2018.

    Examples
    --------
    >>> from cnnx import nn
    >>> list(nn.utils.spectral_norm(nn.Linear(3, 2)).state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    check_modules("spectral_norm", module)
    if n_power_iterations <= 0:
        raise ValueError(
            f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
        )
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            raise RuntimeError(
                f"spectral_norm: cannot register two spectral_norm hooks on the same parameter {name}"
            )
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(f"spectral_norm: there is no parameter {name!r} in {type(module).__name__}")
    fn = SpectralNorm(name, n_power_iterations, output_dim(module) if dim is None else dim, eps)
    matrix = as_matrix(weight.detach(), fn.dim)
    ends = [
        F.normalize(cnnx.randn(extent, dtype=weight.dtype, device=weight.device), dim=0, eps=eps)
        for extent in matrix.shape
    ]
    del module._parameters[name]
    module.register_parameter(name + "_orig", weight)
    setattr(module, name, weight.detach())  # for what looks at its shape; each call makes it anew
    for end, vector in zip(("_u", "_v"), ends, strict=True):
        module.register_buffer(name + end, vector)
    module.register_forward_pre_hook(fn)
    module._register_state_dict_hook(_Version(name))
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Takes `spectral_norm` back: the weight is a parameter again, of its present value.

    Raises
    ------
    ValueError
        If there is none.
    """
    check_modules("remove_spectral_norm", module)
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            with cnnx.no_grad():
                weight = hook.compute_weight(module, do_power_iteration=False)
            delattr(module, name)
            for end in ("_orig", "_u", "_v"):
                delattr(module, name + end)
            module.register_parameter(name, Parameter(weight))
            del module._forward_pre_hooks[number]
            break
    else:
        raise ValueError(f"remove_spectral_norm: spectral_norm of {name!r} not found in {module}")
    for number, hook in module._state_dict_hooks.items():
        if isinstance(hook, _Version) and hook.name == name:
            del module._state_dict_hooks[number]
            break
    return module
