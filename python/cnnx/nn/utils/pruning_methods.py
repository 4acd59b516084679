"""Ways to prune: classes that say which entries of a tensor stay."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import cnnx

from ...tensor import Tensor
from ..module import Module
from .checks import check_modules

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
]


def _names(name: str) -> tuple[str, str]:
    return name + "_orig", name + "_mask"


class BasePruningMethod(ABC):
    """Base class of ways to prune: a subclass says by `compute_mask` what stays.

    Attributes
    ----------
    PRUNING_TYPE : str
        What `compute_mask` gets when something is pruned already: ``"unstructured"``: the entries that are
        left, as a vector; ``"structured"``: the slices along ``dim`` of which something is
        left; ``"global"``: all.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> from cnnx.nn.utils import prune
    >>> class EveryOther(prune.BasePruningMethod):
    ...     PRUNING_TYPE = "unstructured"
    ...     def compute_mask(self, t, default_mask):
    ...         mask = default_mask.clone()
    ...         mask.view(-1)[::2] = 0
    ...         return mask
    >>> layer = nn.Linear(3, 1)
    >>> method = EveryOther.apply(layer, "weight")
    >>> layer.weight_mask
    tensor([[0., 1., 0.]])
    """

    PRUNING_TYPE: ClassVar[str]
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        """Computes the pruned tensor; the hook before each call."""
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of a tensor, within `default_mask`."""

    def apply_mask(self, module: Module) -> Tensor:
        """The original times the mask."""
        orig, mask = (getattr(module, name) for name in _names(self._tensor_name))
        result: Tensor = mask.to(orig.dtype) * orig
        return result

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any
    ) -> BasePruningMethod:
        """Prunes a parameter by this method, beside those that have pruned it.

        Parameters
        ----------
        module : Module
            The module.
        name : str
            Its parameter.
        *args, **kwargs
            Of the method.
        importance_scores : Tensor, optional
            What the mask is computed from, of the parameter's shape. Default: the parameter.

        Returns
        -------
        BasePruningMethod
            The method, or a `PruningContainer` of it and earlier ones.
        """
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        orig_name, mask_name = _names(name)
        found = hooks_of(module, name)
        if found:
            number, old = found[0]
            container = old if isinstance(old, PruningContainer) else PruningContainer(old)
            container.add_pruning_method(method)
            method = container
        tensor = getattr(module, name)
        scores = tensor if importance_scores is None else importance_scores
        if not isinstance(tensor, Tensor) or not isinstance(scores, Tensor):
            wrong = scores if isinstance(tensor, Tensor) else tensor
            raise TypeError(f"{cls.__name__}: expected tensors, got {type(wrong).__name__}")
        if scores.shape != tensor.shape:
            raise ValueError(
                f"{cls.__name__}: importance_scores {tuple(scores.shape)} must have the shape of {name}, "
                f"{tuple(tensor.shape)}"
            )
        if found:
            default_mask = getattr(module, mask_name).detach().clone()
        else:
            default_mask = cnnx.ones_like(tensor).detach()
        mask = method.compute_mask(scores.detach(), default_mask)
        if found:
            del module._forward_pre_hooks[number]
        else:
            parameter = module._parameters.pop(name)
            module.register_parameter(orig_name, parameter)
        module.register_buffer(mask_name, mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(
        self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None
    ) -> Tensor:
        """The tensor times the mask that the method computes, without a module."""
        if importance_scores is None:
            importance_scores = t
        elif importance_scores.shape != t.shape:
            raise ValueError(
                f"prune: importance_scores {tuple(importance_scores.shape)} must have the shape of t, "
                f"{tuple(t.shape)}"
            )
        if default_mask is None:
            default_mask = cnnx.ones_like(t)
        return t * self.compute_mask(importance_scores, default_mask)

    def remove(self, module: Module) -> None:
        """Makes the pruning permanent: a parameter again, of the pruned values. The hook stays."""
        orig_name, mask_name = _names(self._tensor_name)
        if orig_name not in module._parameters:
            raise ValueError(f"remove: {self._tensor_name!r} of {type(module).__name__} is not pruned")
        value = self.apply_mask(module)
        if hasattr(module, self._tensor_name):
            delattr(module, self._tensor_name)
        orig: Any = module._parameters.pop(orig_name)
        orig._set_data(value.detach())
        del module._buffers[mask_name]
        setattr(module, self._tensor_name, orig)


def hooks_of(module: Module, name: str | None = None) -> list[tuple[int, BasePruningMethod]]:
    """The hooks of a module that prune, with their numbers."""
    check_modules("prune", module)
    return [
        (number, hook)
        for number, hook in module._forward_pre_hooks.items()
        if isinstance(hook, BasePruningMethod) and name in (None, hook._tensor_name)
    ]


class PruningContainer(BasePruningMethod):
    """Methods that have pruned one tensor, one after the other.

    Parameters
    ----------
    *args : BasePruningMethod
        All for the same tensor.
    """

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod | None) -> None:
        """Adds one that is for the same tensor.

        Raises
        ------
        TypeError
            If it is no method.
        ValueError
            If it is for another tensor.
        """
        if method is None:
            return
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if not self._pruning_methods:
            self._tensor_name = method._tensor_name
        elif method._tensor_name != self._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: Any) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """What the last method leaves of what the others have left."""
        method: Any = self._pruning_methods[-1]
        mask = default_mask.clone()
        kind = method.PRUNING_TYPE
        if kind == "unstructured":
            left: Any = default_mask == 1
        elif kind == "structured":
            dim = method.dim % t.ndim
            others = [axis for axis in range(t.ndim) if axis != dim]
            left = [slice(None)] * t.ndim
            left[dim] = cnnx.nonzero(default_mask.sum(others) != 0).flatten()
            left = tuple(left)
        elif kind == "global":
            left = (slice(None),) * t.ndim
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {kind}")
        mask[left] = method.compute_mask(t[left], default_mask=mask[left]).to(mask.dtype)
        return mask


class Identity(BasePruningMethod):
    """Prunes nothing, but makes the names of what is pruned."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask that is there."""
        return default_mask


class RandomUnstructured(BasePruningMethod):
    """Prunes entries at random.

    Parameters
    ----------
    amount : int or float
        How many, or as a float within [0, 1], which share of those that are left.
    """

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: float) -> None:
        self.amount = _amount(amount)

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Zeros at random places."""
        return _without(default_mask, cnnx.rand(t.numel(), device=t.device), _count(self.amount, t.numel()))


class L1Unstructured(RandomUnstructured):
    """Prunes the entries of the smallest absolute values.

    Parameters
    ----------
    amount : int or float
        How many, or as a float within [0, 1], which share of those that are left.
    """

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Zeros where the values are smallest."""
        return _without(default_mask, t.abs().flatten(), _count(self.amount, t.numel()))


class RandomStructured(BasePruningMethod):
    """Prunes slices at random.

    Parameters
    ----------
    amount : int or float
        How many, or as a float within [0, 1], which share of those that are left.
    dim : int
        Along which dimension. Default: -1.
    """

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        self.amount = _amount(amount)
        self.dim = dim

    def _scores(self, t: Tensor) -> Tensor:
        return cnnx.rand(t.shape[self.dim], device=t.device)

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Zeros in the slices of the least scores."""
        if t.ndim <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
                f"{tuple(t.shape)} with {t.ndim} dims"
            )
        if not -t.ndim <= self.dim < t.ndim:
            raise IndexError(f"Invalid index {self.dim} for tensor of size {tuple(t.shape)}")
        extents = [1] * t.ndim
        extents[self.dim] = extent = t.shape[self.dim]
        left = _without(cnnx.ones(extent, device=t.device), self._scores(t), _count(self.amount, extent))
        return default_mask * left.reshape(extents).to(default_mask.dtype)


class LnStructured(RandomStructured):
    """Prunes the slices of the smallest norms.

    Parameters
    ----------
    amount : int or float
        How many, or as a float within [0, 1], which share of those that are left.
    n : int, float or str
        Order of the norm: a number, ``inf``, ``-inf`` or ``"fro"``.
    dim : int
        Along which dimension. Default: -1.
    """

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t: Tensor) -> Tensor:
        others = [axis for axis in range(t.ndim) if axis != self.dim % t.ndim]
        return t.norm(self.n, others)


class CustomFromMask(BasePruningMethod):
    """Prunes where a mask is 0.

    Parameters
    ----------
    mask : Tensor
        Of the tensor's shape.
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Both masks together."""
        if default_mask.shape != self.mask.shape:
            raise ValueError(
                f"custom_from_mask: the mask is {tuple(self.mask.shape)}, the tensor "
                f"{tuple(default_mask.shape)}"
            )
        return default_mask * self.mask.to(default_mask.device, default_mask.dtype)


def _amount(amount: Any) -> Any:
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    number = float(amount)
    if not number >= 0 or (number > 1 and not isinstance(amount, numbers.Integral)):
        raise ValueError(
            f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer"
        )
    return amount


def _count(amount: Any, size: int) -> int:
    if not isinstance(amount, numbers.Integral):
        return round(float(amount) * size)
    if int(amount) > size:
        raise ValueError(f"amount={amount} should be smaller than the number of parameters to prune={size}")
    return int(amount)


def _without(mask: Tensor, scores: Tensor, count: int) -> Tensor:
    """A copy of the mask with zeros where the `count` least scores are."""
    flat = mask.flatten().clone()
    if count:
        flat[cnnx.topk(scores, count, largest=False).indices] = 0
    return flat.reshape(mask.shape)
