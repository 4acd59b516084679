"""Ready-made parametrizations: weights by their length or largest singular value, and orthogonal ones."""

from __future__ import annotations

from typing import Any

import cnnx

from ...tensor import Tensor
from .. import functional as F
from ..module import Module
from .checks import check_modules
from .orthogonal import orthogonal
from .parametrize import register_parametrization
from .spectral_norm import as_matrix, iterate, output_dim
from .weight_norm import norm_except_dim

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """Length times direction."""
        return weight_v * (weight_g / norm_except_dim(weight_v, 2, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Length, and a vector of the direction."""
        return norm_except_dim(weight, 2, self.dim), weight


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        ndim = weight.ndim
        if dim >= ndim or dim < -ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % ndim
        self.eps = eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            for name, extent in zip(("_u", "_v"), matrix.shape, strict=True):
                vector = cnnx.randn(extent, dtype=weight.dtype, device=weight.device)
                self.register_buffer(name, F.normalize(vector, dim=0, eps=eps))
            iterate(matrix.t(), self._v, self._u, 15, eps)  # u first, then v

    def forward(self, weight: Tensor) -> Any:
        """The weight divided by its largest singular value; a vector by its length."""
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            iterate(matrix.detach().t(), self._v, self._u, self.n_power_iterations, self.eps)
        u, v = self._u.clone(), self._v.clone()  # a later step leaves what the backward pass reads
        return weight / u.dot(matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself."""
        return value


def _read_old_names(
    state_dict: dict[str, Any], prefix: str, local_metadata: Any, strict: bool, *lists: list[str]
) -> None:
    """State of the older `weight_norm` fits too."""
    old = [f"{prefix}weight_g", f"{prefix}weight_v"]
    if all(key in state_dict for key in old):
        for i, key in enumerate(old):
            state_dict[f"{prefix}parametrizations.weight.original{i}"] = state_dict.pop(key)


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learns a weight as its length and its direction: ``original0 * original1 / norm(original1)``.

    Parameters
    ----------
    module : Module
        Whose parameter `name` is parametrized (see `parametrize.register_parametrization`).
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
    networks", NeurIPS 2016. State that the older `nn.utils.weight_norm` wrote can be loaded.

    Examples
    --------
    >>> from cnnx import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(20, 40))
    >>> layer.parametrizations.weight.original0.shape, layer.parametrizations.weight.original1.shape
    (cnnx.Size([40, 1]), cnnx.Size([40, 20]))
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    module._register_load_state_dict_pre_hook(_read_old_names)
    return module


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divides a weight by an estimate of its largest singular value.

    Parameters
    ----------
    module : Module
        Whose parameter `name` is parametrized (see `parametrize.register_parametrization`).
    name : str
        Default: "weight".
    n_power_iterations : int
        Steps of the power method at each reading in training mode; 15 are made at first. Default: 1.
    eps : float
        The least norm that a vector is divided by. Default: 1e-12.
    dim : int, optional
        Which dimension of the weight counts the outputs. Default: 1 for transposed convolutions, else 0.

    Returns
    -------
    Module
        The module.

    Raises
    ------
    ValueError
        If there is no such tensor, or `n_power_iterations` is not positive.

    Notes
    -----
    Miyato et al., "Spectral normalization for generative adversarial networks", ICLR 2018.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> layer = nn.Linear(2, 2)
    >>> _ = layer.weight.data.copy_(cnnx.tensor([[3.0, 0.0], [0.0, 1.0]]))
    >>> layer = nn.utils.parametrizations.spectral_norm(layer)
    >>> (layer.weight - cnnx.tensor([[1.0, 0.0], [0.0, 1 / 3]])).abs().max().item() < 1e-4
    True
    """
    check_modules("spectral_norm", module)
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    axis = output_dim(module) if dim is None else dim
    register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, axis, eps))
    return module
