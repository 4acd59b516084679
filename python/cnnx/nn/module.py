"""Module: the base class of layers and networks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar, overload

import cnnx

from .. import dtypes, noting, plans
from ..conversions import Conversion
from ..overrides import refuse_overrides
from ..signatures import misused
from ..tensor import Tensor
from .hooks import CallHooks, everywhere
from .hooks import register_module_buffer_registration_hook as register_module_buffer_registration_hook
from .hooks import register_module_forward_hook as register_module_forward_hook
from .hooks import register_module_forward_pre_hook as register_module_forward_pre_hook
from .hooks import register_module_full_backward_hook as register_module_full_backward_hook
from .hooks import register_module_full_backward_pre_hook as register_module_full_backward_pre_hook
from .hooks import register_module_module_registration_hook as register_module_module_registration_hook
from .hooks import register_module_parameter_registration_hook as register_module_parameter_registration_hook
from .parameter import Buffer, Parameter
from .state import State
from .uninitialized import is_lazy

T = TypeVar("T", bound="Module")

# What is registered, by the name of the attribute that holds it.
_REGISTRIES: dict[str, Callable[[], Any]] = {
    "_parameters": dict, "_buffers": dict, "_modules": dict, "_non_persistent_buffers_set": set,
    "_forward_hooks": OrderedDict, "_forward_hooks_with_kwargs": OrderedDict,
    "_forward_hooks_always_called": OrderedDict, "_forward_pre_hooks": OrderedDict,
    "_forward_pre_hooks_with_kwargs": OrderedDict, "_backward_hooks": OrderedDict,
    "_backward_pre_hooks": OrderedDict, "_state_dict_hooks": OrderedDict,
    "_state_dict_hooks_returning": OrderedDict, "_state_dict_pre_hooks": OrderedDict,
    "_load_state_dict_pre_hooks": OrderedDict, "_load_state_dict_pre_hooks_with_module": OrderedDict,
    "_load_state_dict_post_hooks": OrderedDict,
}  # fmt: skip

_hooks_everywhere = everywhere.numbers

_NEVER_CALLED = dict.fromkeys(
    ("_call_impl", "_wrapped_call_impl", "_slow_forward"), "define forward or __call__ instead"
)


def _forward_missing(self: Module, *args: Any, **kwargs: Any) -> Any:
    """Computes the module's output. Every subclass defines it."""
    raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')


class Module(CallHooks, State):
    """Base class of all layers and networks.

    A subclass calls ``super().__init__()``, assigns parameters and other modules to its attributes, and
    defines ``forward``. The instance is then called like a function.

    Attributes
    ----------
    training : bool
        Whether the module is in training mode (dropout acts). Set by `train` and `eval`.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc = nn.Linear(4, 2)
    ...     def forward(self, x):
    ...         return self.fc(x)
    >>> Net()
    Net(
      (fc): Linear(in_features=4, out_features=2, bias=True)
    )
    >>> [name for name, _ in Net().named_parameters()]
    ['fc.weight', 'fc.bias']
    """

    training: bool
    #: Whether ``Module.__init__`` calls the next class's, for a module that is something else as well.
    call_super_init: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, _NEVER_CALLED)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if (args or kwargs) and not self.call_super_init:
            raise TypeError(
                f"{type(self).__name__}: Module.__init__ takes no arguments, got {args or kwargs}"
            )
        d = self.__dict__
        d["training"] = True
        for name, make in _REGISTRIES.items():
            d[name] = make()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes a pickle's state; one of an older version may lack registries."""
        self.__dict__.update(state)
        for name, make in _REGISTRIES.items():
            if name not in self.__dict__:
                self.__dict__[name] = make()

    _compiled: plans.Matched | None = None  # by `cnnx.compile`

    # A callable of any signature, so that a subclass may define its own.
    forward: Callable[..., Any] = _forward_missing

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the hooks, if any, and `forward`."""
        if noting.active and (made := noting.current()) is not None:
            made.meet(self)
        compiled = self._compiled
        if compiled is not None and not compiled.is_inside:
            compiled.is_inside = True
            try:
                return compiled(self, args, kwargs)
            finally:
                compiled.is_inside = False
        if (
            self._forward_pre_hooks
            or self._forward_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or _hooks_everywhere
        ):
            return self._call_with_hooks(args, kwargs)
        try:
            return self.forward(*args, **kwargs) if kwargs else self.forward(*args)
        except (AttributeError, IndexError, TypeError) as error:
            if isinstance(error, TypeError) and "\n" not in str(error):
                raise  # pybind's own list all signatures and arguments
            # A layer of ours tells what it wants; what others' code does is theirs to tell.
            forward = type(self).forward
            ours = getattr(forward, "__module__", "").startswith("cnnx.")
            misuse = misused(forward, (self, *args), kwargs) if ours else None
            if misuse is None:
                raise
            raise type(misuse)(f"{type(self).__name__}: {misuse}") from error

    # Attributes.

    def _own(self) -> dict[str, Any]:
        if "_modules" not in self.__dict__:
            raise AttributeError("cannot assign parameters or modules before Module.__init__() call")
        return self.__dict__

    def __getattr__(self, name: str) -> Any:
        d = self.__dict__
        for registry in ("_parameters", "_modules", "_buffers"):
            entries = d.get(registry)
            if entries is not None and name in entries:
                return entries[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        d = self.__dict__
        if isinstance(value, Parameter):
            self._own()
            self._forget(name)
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._own()
            if name not in d["_modules"]:
                self._forget(name)
            if everywhere.module_registration:
                value = everywhere.registered("module", self, name, value)
            d["_modules"][name] = value
        elif isinstance(value, plans.Static) and value.module is not None and value.module is not self:
            raise TypeError(
                f"cannot assign a compiled module as '{name}': its parameters would be no part of this one; "
                "compile the whole, or leave static=True out"
            )
        elif isinstance(value, Buffer) and "_buffers" in d:
            if name not in d["_buffers"]:  # whose order stays
                self._forget(name)
            self.register_buffer(name, value, value.persistent)
        elif name in d.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as parameter '{name}' (cnnx.nn.Parameter or "
                    f"None expected)"
                )
            d["_parameters"][name] = None
        elif name in d.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as child module '{name}' (cnnx.nn.Module or "
                    f"None expected)"
                )
            d["_modules"][name] = None
        elif name in d.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as buffer '{name}' (cnnx.Tensor or None "
                    f"expected)"
                )
            d["_buffers"][name] = value
        else:
            object.__setattr__(self, name, value)

    def _forget(self, name: str) -> None:
        d = self.__dict__
        d.pop(name, None)
        for registry in ("_parameters", "_buffers", "_modules"):
            if not (registry == "_parameters" and name in d[registry]):
                d[registry].pop(name, None)
        d["_non_persistent_buffers_set"].discard(name)

    def __delattr__(self, name: str) -> None:
        for registry in (self._parameters, self._buffers, self._modules):
            if name in registry:
                del registry[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = set(object.__dir__(self))
        names.update(self._parameters, self._buffers, self._modules)
        return sorted(name for name in names if name.isidentifier())

    def _check_name(self, kind: str, name: str, registry: Mapping[str, Any]) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in registry:
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter, or None for one that is absent.

        Raises
        ------
        KeyError
            If the name is empty, holds a dot, or belongs to another attribute.
        TypeError
            If `param` is not a `Parameter`.
        """
        self._check_name("parameter", name, self.__dict__.get("_parameters", {}))
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' (cnnx.nn.Parameter "
                f"or None required)"
            )
        if param is not None and not param.is_leaf:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                f"explicitly. "
                f"To express '{name}' as a function of another Tensor, compute the value in the forward() "
                f"method."
            )
        if everywhere.parameter_registration:
            param = everywhere.registered("parameter", self, name, param)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a buffer: state that is not learned. If `persistent`, it is part of ``state_dict()``."""
        self._check_name("buffer", name, self.__dict__.get("_buffers", {}))
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (cnnx.Tensor or None "
                f"required)"
            )
        if everywhere.buffer_registration:
            tensor = everywhere.registered("buffer", self, name, tensor)
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a child module under the given name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._check_name("module", name, self.__dict__.get("_modules", {}))
        if everywhere.module_registration:
            module = everywhere.registered("module", self, name, module)
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """`add_module` by another name."""
        self.add_module(name, module)

    # Iteration.

    def _named_members(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for module_prefix, module in modules:
            for name, member in getattr(module, registry).items():
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield (module_prefix + "." if module_prefix else "") + name, member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Iterates over (name, parameter); with `recurse`, also over those of all submodules."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Iterates over the parameters; with `recurse`, also over those of all submodules."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Iterates over (name, buffer)."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Iterates over the buffers."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Iterates over (name, module) of the direct children."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """Iterates over the direct children."""
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Iterates over (name, module), the module itself first."""
        if memo is None:
            memo = set()
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(
                    memo, prefix + ("." if prefix else "") + name, remove_duplicate
                )

    def modules(self) -> Iterator[Module]:
        """Iterates over the module and all its submodules."""
        for _, module in self.named_modules():
            yield module

    def get_submodule(self, target: str) -> Module:
        """The submodule with the given dotted name; the module itself for ""."""
        module: Module = self
        for name in target.split(".") if target else ():
            found = module._modules.get(name)
            if found is None:
                raise AttributeError(f"{type(module).__name__} has no submodule `{name}`")
            module = found
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Puts a module at a dotted name, in place of one that is there or beside the others.

        Parameters
        ----------
        target : str
            The name.
        module : Module
            The module.
        strict : bool
            Replace one that is there, else raise. Default: False.

        Raises
        ------
        ValueError
            If the name is empty or `module` is none.
        AttributeError
            If there is no such parent, or with `strict` no such module.

        Examples
        --------
        >>> from cnnx import nn
        >>> net = nn.Sequential(nn.Sequential(nn.Linear(2, 2)))
        >>> net.set_submodule("0.0", nn.Identity())
        >>> net[0][0]
        Identity()
        """
        if target == "":
            raise ValueError("set_submodule: the name must not be empty")
        if not isinstance(module, Module):
            raise ValueError(f"set_submodule: expected a Module, got {type(module).__name__}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and name not in parent._modules:
            raise AttributeError(f"{type(parent).__name__} has no attribute `{name}`")
        if not isinstance(getattr(parent, name, module), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with the given dotted name."""
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._parameters.get(name)
        if found is None:
            raise AttributeError(f"{type(self).__name__} has no parameter `{target}`")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with the given dotted name."""
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._buffers.get(name)
        if found is None:
            raise AttributeError(f"{type(self).__name__} has no buffer `{target}`")
        return found

    # Mode, dtype, device.

    def train(self: T, mode: bool = True) -> T:
        """Switches the module and all submodules to training (or, with False, evaluation) mode."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: T) -> T:
        """Switches to evaluation mode."""
        return self.train(False)

    def requires_grad_(self: T, requires_grad: bool = True) -> T:
        """Sets whether the parameters want gradients."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the gradients of all parameters, or sets them to zero."""
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                parameter.grad = cnnx.zeros_like(parameter.grad)

    def apply(self: T, fn: Callable[[Module], Any]) -> T:
        """Calls `fn` on every submodule, children first, then on the module itself."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self: T, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> T:
        """Replaces what parameters, their gradients and buffers hold by `fn` of it, the children's first."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if is_lazy(parameter):
                parameter._convert(fn)  # type: ignore[union-attr]
            elif parameter is not None:
                grad = parameter.grad
                parameter.grad = None
                parameter._set_data(fn(parameter.detach()))
                if grad is not None:
                    parameter.grad = fn(grad.detach())
        for name, buffer in self._buffers.items():
            if is_lazy(buffer):
                buffer._convert(fn)  # type: ignore[union-attr]
            elif buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    @overload
    def to(self: T, device: Any = ..., dtype: Any = ..., non_blocking: bool = ...) -> T: ...
    @overload
    def to(self: T, dtype: Any, non_blocking: bool = ...) -> T: ...
    @overload
    def to(self: T, tensor: Tensor, non_blocking: bool = ...) -> T: ...

    def to(self: T, *args: Any, **kwargs: Any) -> T:
        """Moves parameters and buffers to a device or floating-point dtype, in place.

        Takes ``to(device)``, ``to(dtype)``, ``to(device, dtype)`` or ``to(tensor)``; integer buffers keep
        their dtype. `non_blocking` as in `Tensor.to`.

        Raises
        ------
        TypeError
            If the dtype is not floating-point, or `copy` is asked for.
        """
        wanted = Conversion.parse(args, kwargs, "tensor")
        if wanted.dtype is not None and not wanted.dtype.is_floating_point:
            raise TypeError(
                f"nn.Module.to only accepts floating point dtypes, but got desired dtype={wanted.dtype}"
            )
        if wanted.copy:
            raise TypeError("nn.Module.to: a module changes in place; copy.deepcopy(module) makes another")

        def convert(t: Tensor) -> Tensor:
            dtype = wanted.dtype if t.is_floating_point() else None
            return t.to(wanted.device, dtype, non_blocking=wanted.non_blocking)

        return self._apply(convert)

    def type(self: T, dst_type: Any) -> T:
        """Casts all parameters and buffers to a dtype."""
        return self._apply(lambda t: t.to(dst_type))

    def float(self: T) -> T:
        """Casts floating-point parameters and buffers to float32."""
        return self._apply(lambda t: t.to(dtypes.float32) if t.is_floating_point() else t)

    def double(self: T) -> T:
        """Casts floating-point parameters and buffers to float64."""
        return self._apply(lambda t: t.to(dtypes.float64) if t.is_floating_point() else t)

    def to_empty(self: T, *, device: Any, recurse: bool = True) -> T:
        """Moves parameters and buffers to a device without their values, which are then unspecified."""
        return self._apply(lambda t: cnnx.empty_like(t, device=device), recurse=recurse)

    def cpu(self: T) -> T:
        """Moves the module to the CPU."""
        return self._apply(lambda t: t.cpu())

    def cuda(self: T, device: Any = None) -> T:
        """Moves the module to a CUDA device; raises if there is none."""
        return self._apply(lambda t: t.cuda(device))

    # Printing.

    def extra_repr(self) -> str:
        """What stands between the parentheses of the printed module."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        child_lines = [
            f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()
        ]
        lines = extra_lines + child_lines
        if not lines:
            return self._get_name() + "()"
        if len(extra_lines) == 1 and not child_lines:
            return f"{self._get_name()}({extra_lines[0]})"
        return self._get_name() + "(\n  " + "\n  ".join(lines) + "\n)"
