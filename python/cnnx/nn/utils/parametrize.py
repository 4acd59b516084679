"""Parametrizations: parameters and buffers as functions of others, computed when they are read."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import cnnx

from ...tensor import Tensor
from ..container import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter
from .checks import check_modules

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

# Values by module and name while `cached` is open, how often says the count.
_open = 0
_values: dict[tuple[int, str], Tensor] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Within it every parametrized tensor is computed once, when it is first read.

    For a model that reads a tensor several times in a pass: recurrent ones, or shared weights.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> from cnnx.nn.utils import parametrize, parametrizations
    >>> layer = parametrizations.weight_norm(nn.Linear(2, 2))
    >>> with parametrize.cached():
    ...     layer.weight is layer.weight
    True
    """
    global _open
    _open += 1
    try:
        yield
    finally:
        _open -= 1
        if not _open:
            _values.clear()


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _refuse_change(what: str, dtype: Any, shape: Any, new: Any) -> None:
    """Raises unless `new` is a tensor of that dtype and shape."""
    if not isinstance(new, Tensor):
        raise ValueError(f"register_parametrization: {what} must give a tensor, got {type(new).__name__}")
    if new.dtype != dtype:
        raise ValueError(
            f"register_parametrization: {what} may not change the dtype of the tensor, from {dtype} to "
            f"{new.dtype}, unless unsafe=True"
        )
    if new.shape != shape:
        raise ValueError(
            f"register_parametrization: {what} may not change the shape of the tensor, from "
            f"{tuple(shape)} to {tuple(new.shape)}, unless unsafe=True"
        )


def _inverse(modules: Sequence[Module], value: Any) -> Any:
    """What the modules would have to be called on to give `value`, as far as they say so."""
    for module in reversed(modules):
        inverse = getattr(module, "right_inverse", None)
        if inverse is not None:
            with suppress(NotImplementedError):  # one that is declared alone counts as the identity
                value = inverse(value)
    return value


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, called in order on what is learned in its stead.

    It stands at ``module.parametrizations[name]``; `register_parametrization` makes it.

    Parameters
    ----------
    modules : sequence of Module
        The parametrizations.
    original : Parameter or Tensor
        The tensor that they are to give.
    unsafe : bool
        Do not check that they keep dtype and shape. Default: False.

    Attributes
    ----------
    original : Parameter or Tensor
        What the first parametrization gets: the original tensor, or what ``right_inverse`` made of it.
    original0, original1, ... : Parameter or Tensor
        In its stead, where ``right_inverse`` gives several tensors.
    is_tensor : bool
        Whether it is one.
    """

    original: Tensor
    unsafe: bool

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        with cnnx.no_grad():
            new = _inverse(modules, original)
        if not isinstance(new, (Tensor, Sequence)):
            raise ValueError(
                "register_parametrization: right_inverse must give a tensor or a sequence of tensors, got "
                f"{type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if isinstance(new, Tensor) else len(new)
        if isinstance(new, Tensor):
            if new.dtype != dtype:
                raise ValueError(
                    "register_parametrization: right_inverse may not change the dtype of the one tensor that "
                    f"it gives, from {dtype} to {new.dtype}"
                )
            if new.device != original.device:
                raise ValueError(
                    "register_parametrization: right_inverse may not move the one tensor that it gives, from "
                    f"{original.device} to {new.device}"
                )
            if new is not original:  # the parameter itself stays, an optimizer may know it
                original._set_data(new)
            _register(self, "original", original)
        else:
            for i, tensor in enumerate(new):
                if not isinstance(tensor, Tensor):
                    raise ValueError(
                        "register_parametrization: right_inverse must give a tensor or a sequence of "
                        f"tensors, got a sequence with {type(tensor).__name__} at {i}"
                    )
                if isinstance(original, Parameter):
                    tensor = Parameter(tensor, original.requires_grad)
                _register(self, f"original{i}", tensor)
        if not unsafe:
            _refuse_change("a parametrization", dtype, shape, self())

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Makes the originals such that the parametrizations give `value`; ``module.name = value`` calls it.

        It calls the ``right_inverse`` of the parametrizations, the last first; one without it counts as the
        identity.

        Raises
        ------
        ValueError
            If what they give differs in kind from the originals.
        RuntimeError
            If a parametrization has no ``right_inverse`` and takes several tensors.
        """
        with cnnx.no_grad():
            for module in reversed(list(self)):
                inverse = getattr(module, "right_inverse", None)
                if inverse is None:
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse, so no "
                        "value can be assigned"
                    )
                value = inverse(value)
            values = [value] if self.is_tensor else value
            if not isinstance(values, Sequence) or len(values) != self.ntensors:
                raise ValueError(
                    f"right_inverse: expected {self.ntensors} tensors, as when the parametrization was "
                    f"registered, got {type(value).__name__}"
                )
            for original, new in zip(self._originals(), values, strict=True):
                if not isinstance(new, Tensor):
                    raise ValueError(f"right_inverse: must give tensors, got {type(new).__name__}")
                if new.dtype != original.dtype:
                    raise ValueError(
                        f"right_inverse: the parameter is {original.dtype}, but it gave {new.dtype}"
                    )
                original._set_data(new)

    def forward(self) -> Tensor:
        """The tensor that is parametrized."""
        first, *rest = self
        value: Tensor = first(*self._originals())
        for module in rest:
            value = module(value)
        return value


def _make_class(base: type[Module], names: Sequence[str]) -> type[Module]:
    """A subclass for one module, with a property for every parametrized tensor."""

    def refuse_pickle(self: Module) -> Any:
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(); see "
            "cnnx.nn.utils.parametrize.remove_parametrizations"
        )

    def deepcopy(self: Module, memo: dict[int, Any]) -> Module:
        if id(self) in memo:
            known: Module = memo[id(self)]
            return known
        other = object.__new__(_make_class(base, list(self.parametrizations)))
        memo[id(self)] = other
        other.__dict__ = copy.deepcopy(self.__dict__, memo)
        return other

    own = {"__getstate__": refuse_pickle, "__module__": base.__module__, "_before_parametrizations": base}
    if not hasattr(base, "__deepcopy__"):
        own["__deepcopy__"] = deepcopy
    cls = type(f"Parametrized{base.__name__}", (base,), own)
    for name in names:
        _add_property(cls, name)
    return cls


def _add_property(cls: type[Module], name: str) -> None:
    def get(self: Module) -> Any:
        if not _open:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _values:
            _values[key] = self.parametrizations[name]()
        return _values[key]

    def put(self: Module, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(cls, name, property(get, put))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Makes a parameter or buffer a function of what is learned in its stead.

    ``module.weight`` is from then on ``parametrization(module.parametrizations.weight.original)``, computed
    at every reading (see `cached`). A second one is called on the result of the first. What is assigned to
    ``module.weight`` goes through ``parametrization.right_inverse``, which may be left out as long as nothing
    is assigned; it may give several tensors, which ``forward`` then takes.

    Parameters
    ----------
    module : Module
        Its class becomes one of its own, a subclass.
    tensor_name : str
        A parameter, a buffer, or what is parametrized already.
    parametrization : Module
        Takes the original and gives the tensor.
    unsafe : bool
        Allow that dtype or shape change. Default: False.

    Returns
    -------
    Module
        The module.

    Raises
    ------
    ValueError
        If there is no such tensor, or dtype or shape change without `unsafe`.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> from cnnx.nn.utils import parametrize
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).t()
    >>> layer = parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.t()).all())
    True
    >>> list(layer.state_dict())
    ['bias', 'parametrizations.weight.original']
    """
    check_modules("register_parametrization", module, parametrization)
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        entry: Any = module.parametrizations[tensor_name]
        if not unsafe:
            value = getattr(module, tensor_name)
            made = parametrization(value)
            _refuse_change("a parametrization", value.dtype, value.shape, made)
            inverted = _inverse([parametrization], made)
            _refuse_change("right_inverse", value.dtype, value.shape, inverted)
        entry.append(parametrization)
        entry.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        if original is None:
            raise ValueError(f"register_parametrization: {tensor_name!r} of {type(module).__name__} is None")
        made = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            module.__class__ = _make_class(type(module), [])
            module.parametrizations = ModuleDict()
        _add_property(type(module), tensor_name)
        module.parametrizations[tensor_name] = made
    else:
        raise ValueError(
            f"register_parametrization: {type(module).__name__} has no parameter, buffer or parametrized "
            f"tensor named {tensor_name!r}"
        )
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of the module, or any if no name is given, is parametrized."""
    found = getattr(module, "parametrizations", None)
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Takes back all parametrizations of a tensor.

    Parameters
    ----------
    module : Module
        The module.
    tensor_name : str
        The tensor.
    leave_parametrized : bool
        Keep what the parametrizations give at last; else the original tensor. Default: True.

    Returns
    -------
    Module
        The module, of its former class if nothing else is parametrized.

    Raises
    ------
    ValueError
        If the tensor is not parametrized, or there is no one original tensor to go back to.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(
            f"remove_parametrizations: {type(module).__name__} does not have a parametrization on "
            f"{tensor_name}"
        )
    entry: Any = module.parametrizations[tensor_name]
    if not entry.is_tensor and not leave_parametrized:
        raise ValueError(
            "remove_parametrizations: leave_parametrized=False needs one original tensor, "
            f"{tensor_name!r} has {entry.ntensors}"
        )
    if entry.is_tensor:
        tensor = entry.original
        if leave_parametrized:
            with cnnx.no_grad():
                value = getattr(module, tensor_name)
            if value.dtype != tensor.dtype:
                raise ValueError(
                    f"remove_parametrizations: {tensor_name!r} was made {value.dtype} of {tensor.dtype}; "
                    "only leave_parametrized=False can go back"
                )
            tensor._set_data(value)
    else:
        value = getattr(module, tensor_name)
        tensor = Parameter(value.detach()) if value.requires_grad else value
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, tensor)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type_before_parametrizations(module)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class of the module without its parametrizations."""
    kind: type = type(module)
    before: type = vars(kind).get("_before_parametrizations", kind)
    return before


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Gives a module the parametrizations and originals of another, of one tensor or of all.

    Returns
    -------
    Module
        `to_module`, which shares the parametrizations.
    """
    if not is_parametrized(from_module):
        return to_module
    for name in [tensor_name] if tensor_name is not None else list(from_module.parametrizations):
        source: Any = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name)))
        for parametrization in source:
            register_parametrization(to_module, name, parametrization)
        target: Any = to_module.parametrizations[name]
        for key in ["original"] if source.is_tensor else [f"original{i}" for i in range(source.ntensors)]:
            setattr(target, key, getattr(source, key))
    return to_module
