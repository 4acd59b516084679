"""Pruning: a parameter is multiplied by a mask of zeros and ones before each call of its module.

The parameter `weight` becomes ``weight_orig``, its mask the buffer ``weight_mask``. What is pruned again is
pruned of what is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cnnx
from cnnx.signatures import checked

from ...tensor import Tensor
from ..module import Module
from .checks import check_modules
from .pruning_methods import (
    BasePruningMethod,
    CustomFromMask,
    Identity,
    L1Unstructured,
    LnStructured,
    PruningContainer,
    RandomStructured,
    RandomUnstructured,
    hooks_of,
)
from .pruning_methods import __all__ as _methods

__all__ = [
    *_methods,
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


@checked
def identity(module: Module, name: str) -> Module:
    """Makes ``name_orig`` and ``name_mask`` of a parameter, a mask of ones. Returns the module."""
    Identity.apply(module, name)
    return module


@checked
def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prunes entries of a parameter at random.

    Parameters
    ----------
    module : Module
        The module.
    name : str
        Its parameter.
    amount : int or float
        How many, or as a float within [0, 1], which share of those that are left.

    Returns
    -------
    Module
        The module.

    Examples
    --------
    >>> from cnnx import nn
    >>> from cnnx.nn.utils import prune
    >>> layer = prune.random_unstructured(nn.Linear(2, 3), name="weight", amount=1)
    >>> int((layer.weight_mask == 0).sum())
    1
    """
    RandomUnstructured.apply(module, name, amount)
    return module


@checked
def l1_unstructured(
    module: Module, name: str, amount: float, importance_scores: Tensor | None = None
) -> Module:
    """Prunes the entries of a parameter that have the smallest absolute values.

    Parameters
    ----------
    module : Module
        The module.
    name : str
        Its parameter.
    amount : int or float
        How many, or as a float within [0, 1], which share of those that are left.
    importance_scores : Tensor, optional
        Whose absolute values count, of the parameter's shape. Default: the parameter.

    Returns
    -------
    Module
        The module.

    Examples
    --------
    >>> from cnnx import nn
    >>> from cnnx.nn.utils import prune
    >>> layer = prune.l1_unstructured(nn.Linear(2, 3), "weight", amount=0.2)
    >>> list(layer.state_dict())
    ['bias', 'weight_orig', 'weight_mask']
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


@checked
def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prunes slices of a parameter along `dim` at random.

    Parameters
    ----------
    module : Module
        The module.
    name : str
        Its parameter.
    amount : int or float
        How many, or as a float within [0, 1], which share of those that are left.
    dim : int
        0: outputs.

    Returns
    -------
    Module
        The module.
    """
    RandomStructured.apply(module, name, amount, dim)
    return module


@checked
def ln_structured(
    module: Module, name: str, amount: float, n: Any, dim: int, importance_scores: Tensor | None = None
) -> Module:
    """Prunes the slices of a parameter along `dim` that have the smallest norms.

    Parameters
    ----------
    module : Module
        The module.
    name : str
        Its parameter.
    amount : int or float
        How many, or as a float within [0, 1], which share of those that are left.
    n : int, float or str
        Order of the norm: a number, ``inf``, ``-inf`` or ``"fro"``.
    dim : int
        0: outputs.
    importance_scores : Tensor, optional
        Whose norms count, of the parameter's shape. Default: the parameter.

    Returns
    -------
    Module
        The module.

    Examples
    --------
    >>> from cnnx import nn
    >>> from cnnx.nn.utils import prune
    >>> layer = prune.ln_structured(nn.Conv2d(5, 3, 2), "weight", amount=0.3, n=2, dim=0)
    >>> layer.weight_mask.sum((1, 2, 3)).sort().values.tolist()
    [0.0, 20.0, 20.0]
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


@checked
def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prunes parameters of several modules together: the method sees all their entries as one vector.

    Parameters
    ----------
    parameters : iterable of (Module, str)
        Modules and names.
    pruning_method : type
        A class whose `PRUNING_TYPE` is ``"unstructured"``, such as `L1Unstructured`.
    importance_scores : dict, optional
        For some of them by (module, name), what counts in the parameter's stead.
    **kwargs
        Of the method, such as ``amount``.

    Raises
    ------
    TypeError
        If the method is not unstructured.

    Examples
    --------
    >>> from cnnx import nn
    >>> from cnnx.nn.utils import prune
    >>> net = nn.Sequential(nn.Linear(10, 4), nn.Linear(4, 1))
    >>> prune.global_unstructured([(net[0], "weight"), (net[1], "weight")], prune.L1Unstructured, amount=10)
    >>> sum(int((mask == 0).sum()) for mask in net.buffers())
    10
    """
    places = list(parameters)
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    kind = getattr(pruning_method, "PRUNING_TYPE", None)
    if kind != "unstructured":
        raise TypeError(
            f'global_unstructured: only an "unstructured" method can prune several parameters together, '
            f"{pruning_method} is {kind}"
        )
    if not places:
        raise ValueError("global_unstructured: no parameters given")
    values, masks = [], []
    for module, name in places:
        values.append(scores.get((module, name), getattr(module, name)).detach().flatten())
        mask = getattr(module, name + "_mask", None)
        masks.append(cnnx.ones_like(values[-1]) if mask is None else mask.flatten())
    container = PruningContainer()
    container._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    container.add_pruning_method(method)
    final = container.compute_mask(cnnx.cat(values), cnnx.cat(masks))
    start = 0
    for module, name in places:
        parameter = getattr(module, name)
        end = start + parameter.numel()
        custom_from_mask(module, name, mask=final[start:end].reshape(parameter.shape))
        start = end


@checked
def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prunes a parameter where `mask`, of its shape, is 0. Returns the module.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> from cnnx.nn.utils import prune
    >>> layer = prune.custom_from_mask(nn.Linear(5, 3), "bias", mask=cnnx.tensor([0, 1, 0]))
    >>> layer.bias_mask
    tensor([0., 1., 0.])
    """
    CustomFromMask.apply(module, name, mask)
    return module


@checked
def remove(module: Module, name: str) -> Module:
    """Makes the pruning of a parameter permanent: one of the pruned values. Returns the module.

    Raises
    ------
    ValueError
        If it is not pruned.
    """
    for number, hook in hooks_of(module, name):
        hook.remove(module)
        del module._forward_pre_hooks[number]
        return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")


@checked
def is_pruned(module: Module) -> bool:
    """Whether something in the module or below it is pruned.

    Examples
    --------
    >>> from cnnx import nn
    >>> from cnnx.nn.utils import prune
    >>> layer = nn.Linear(5, 7)
    >>> prune.is_pruned(layer), prune.is_pruned(prune.identity(layer, "weight"))
    (False, True)
    """
    check_modules("is_pruned", module)
    return any(hooks_of(child) for child in module.modules())
