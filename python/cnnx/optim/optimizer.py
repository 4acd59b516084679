"""The base class of optimizers: parameter groups, state, hooks, saving and loading."""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from .. import _C, noting
from ..hooks import RemovableHandle
from ..nn.uninitialized import is_lazy
from ..tensor import Tensor

Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
P = ParamSpec("P")
R = TypeVar("R")


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()
"""As a default: every group has to give this option itself."""

_global_pre_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
_global_post_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """As `Optimizer.register_step_pre_hook`, for all optimizers."""
    return RemovableHandle(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable[..., None]) -> RemovableHandle:
    """As `Optimizer.register_step_post_hook`, for all optimizers."""
    return RemovableHandle(_global_post_hooks, hook)


def has_step_hooks(optimizer: Optimizer) -> bool:
    """Whether hooks are called around its steps."""
    return bool(optimizer._has_step_hooks or _global_pre_hooks or _global_post_hooks)


def _call_with_hooks(step: Callable[..., R], optimizer: Optimizer, args: Any, kwargs: Any) -> R:
    if "_in_step" in optimizer.__dict__:  # a step that calls that of its base class is one step
        return step(*args, **kwargs)
    optimizer._in_step = True
    try:
        for hook in (*_global_pre_hooks.values(), *optimizer._optimizer_step_pre_hooks.values()):
            changed = hook(optimizer, args, kwargs)
            if changed is not None:
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise RuntimeError(
                        f"step: a pre-hook must return None or (new_args, new_kwargs), but got {changed!r}"
                    )
                args, kwargs = changed
        result = step(*args, **kwargs)
        for hook in (*optimizer._optimizer_step_post_hooks.values(), *_global_post_hooks.values()):
            hook(optimizer, args, kwargs)
        return result
    finally:
        del optimizer._in_step


def _drop_grads(params: list[Tensor], set_to_none: bool) -> None:
    try:
        _C.zero_grads(params, set_to_none)
    except ValueError:  # some are of lazy modules that were not called yet
        _C.zero_grads([param for param in params if not is_lazy(param)], set_to_none)


class Optimizer:
    """Base class of all optimizers; an own one is derived from it and defines `step`.

    Parameters
    ----------
    params : iterable of Tensor, of dict, or of (str, Tensor)
        The parameters; or groups of them, each a dict with ``"params"`` and the options that differ. The
        dicts themselves become the groups.
    defaults : dict
        Options of groups that do not set them, of any names.

    Attributes
    ----------
    param_groups : list of dict
        The groups, each with ``"params"`` and all options; a change takes effect at the next step.
    state : dict
        State by parameter: a dict of tensors for each. What is changed, replaced or removed there counts at
        the next step.

    Raises
    ------
    TypeError
        If `params` is a tensor, or something in it is none.
    ValueError
        If there is no parameter, one is the result of an op, or one is in two groups.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn, optim
    >>> class SignSGD(optim.Optimizer):
    ...     def __init__(self, params, lr):
    ...         super().__init__(params, {"lr": lr})
    ...
    ...     @cnnx.no_grad()
    ...     def step(self, closure=None):
    ...         for group in self.param_groups:
    ...             for p in group["params"]:
    ...                 if p.grad is not None:
    ...                     p.add_(p.grad.sign(), alpha=-group["lr"])
    >>> p = nn.Parameter(cnnx.ones(2))
    >>> opt = SignSGD([p], lr=0.5)
    >>> (p * cnnx.tensor([3.0, -2.0])).sum().backward()
    >>> opt.step()
    >>> p.tolist()
    [0.5, 1.5]
    """

    # Here rather than in __init__, so that wrappers need not call it.
    _opt_called = False
    _has_step_hooks = False
    _in_step: bool
    _optimizer_step_pre_hooks: Mapping[int, Any] = MappingProxyType({})
    _optimizer_step_post_hooks: Mapping[int, Any] = MappingProxyType({})
    _optimizer_state_dict_pre_hooks: Mapping[int, Any] = MappingProxyType({})
    _optimizer_state_dict_post_hooks: Mapping[int, Any] = MappingProxyType({})
    _optimizer_load_state_dict_pre_hooks: Mapping[int, Any] = MappingProxyType({})
    _optimizer_load_state_dict_post_hooks: Mapping[int, Any] = MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._hook_step()

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self._hook_step()  # again: step may have been set since the class was made
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                + type(params).__name__
            )
        if not isinstance(defaults, Mapping):
            raise TypeError(f"Optimizer: defaults must be a dict, got {type(defaults).__name__}")
        self.defaults = defaults
        self.state: defaultdict[Tensor, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    # The step and its hooks.

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates all parameters that have a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients; called first.

        Returns
        -------
        What `closure` returned, or None.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define step")

    @staticmethod
    def profile_hook_step(func: Callable[P, R]) -> Callable[P, R]:
        """Makes a step call the hooks. The `step` of every subclass is wrapped so."""

        @functools.wraps(func)
        def step(*args: P.args, **kwargs: P.kwargs) -> R:
            optimizer: Any = args[0]
            optimizer._opt_called = True
            if noting.active and noting.current() is not None:
                return noting.live(step)(*args, **kwargs)
            if has_step_hooks(optimizer):
                return _call_with_hooks(func, optimizer, args, kwargs)
            return func(*args, **kwargs)

        setattr(step, "hooked", step)  # noqa: B010 (functions have no such attribute for mypy)
        return step

    @classmethod
    def _hook_step(cls) -> None:
        # Not a mere flag, which functools.wraps would hand on to another function.
        if inspect.isfunction(cls.step) and getattr(cls.step, "hooked", None) is not cls.step:
            setattr(cls, "step", cls.profile_hook_step(cls.step))  # noqa: B010

    def _register(self, when: str, hook: Any, prepend: bool = False) -> RemovableHandle:
        hooks = self.__dict__.setdefault(f"_optimizer_{when}_hooks", OrderedDict())
        self._has_step_hooks |= when.startswith("step")
        return RemovableHandle(hooks, hook, prepend)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` before every step.

        `args` begin with the optimizer. A result that is not None has to be ``(args, kwargs)`` and replaces
        them.
        """
        return self._register("step_pre", hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` after every step."""
        return self._register("step_post", hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[[Optimizer], None], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer)`` before `state_dict`; with `prepend`, before the hooks that are there."""
        return self._register("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[[Optimizer, dict[str, Any]], dict[str, Any] | None], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)`` after `state_dict`; a result but None replaces the dict."""
        return self._register("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[[Optimizer, dict[str, Any]], dict[str, Any] | None], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)`` before `load_state_dict` with a shallow copy.

        The hook may change the copy, or return a dict to load in its place.
        """
        return self._register("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[[Optimizer], None], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer)`` after `load_state_dict`."""
        return self._register("load_state_dict_post", hook, prepend)

    # Groups and gradients.

    def _check(self, group: dict[str, Any]) -> None:
        """Raises for options that make no sense; the optimizers of cnnx do."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of parameters, for example of a layer that is unfrozen later.

        Parameters
        ----------
        param_group : dict
            ``"params"`` and the options that differ from the defaults. The others are added to it.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, (set, frozenset)):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of "
                "tensors in sets will change between runs. Please use a list instead."
            )
        options = {name: default for name, default in self.defaults.items() if name not in param_group}
        params = list(params)
        named = [param for param in params if isinstance(param, tuple) and len(param) == 2]
        if named:
            if len(named) != len(params):
                raise ValueError(
                    "all optimizer params should be with/without names. Some param names are missing"
                )
            options["param_names"] = [name for name, _ in named]
            params = [param for _, param in named]
        names = bool(named) or "param_names" in param_group
        if any(("param_names" in other) != names for other in self.param_groups):
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group "
                f"{'with' if names else 'without'} names to the optimizer"
            )
        taken = {id(p) for other in self.param_groups for p in other["params"]}
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}"
                )
            if not (param.is_leaf or param.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
            if id(param) in taken:
                raise ValueError("some parameters appear in more than one parameter group, or twice in one")
            taken.add(id(param))
        for name, value in options.items():
            if value is required:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter {name}"
                )
        self._check({**param_group, **options, "params": params})
        # The dict itself and no copy: wrappers share groups, and a changed option reaches both optimizers.
        param_group.update(options)
        param_group["params"] = params
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the gradients of all parameters, or sets them to zero.

        Parameters
        ----------
        set_to_none : bool
            Default: True.
        """
        if noting.active and (made := noting.current()) is not None:
            made.watch_groups(self.param_groups)
        for group in self.param_groups:
            _drop_grads(group["params"], set_to_none)

    # Saving and loading.

    def state_dict(self) -> dict[str, Any]:
        """State and options, in PyTorch's form: parameters are numbered in the order of the groups.

        Returns
        -------
        dict
            ``"state"``: number to dict of tensors, sharing memory with the optimizer; ``"param_groups"``:
            options, with the numbers as ``"params"``.
        """
        for before in self._optimizer_state_dict_pre_hooks.values():
            before(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for param in group["params"]:
                numbers.setdefault(id(param), len(numbers))
            packed = {name: value for name, value in group.items() if name != "params"}
            packed["params"] = [numbers[id(param)] for param in group["params"]]
            groups.append(packed)
        state = {numbers.get(id(param), param): entry for param, entry in self.state.items()}
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for after in self._optimizer_state_dict_post_hooks.values():
            changed = after(self, result)
            if changed is not None:
                result = changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict` returned. Values are copied, and cast to the dtype of their parameter.

        Raises
        ------
        ValueError
            If the groups or their sizes differ. Nothing is changed then.
        """
        state_dict = dict(state_dict)
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            changed = before(self, state_dict)
            if changed is not None:
                state_dict = changed
        saved_groups = state_dict["param_groups"]
        if len(saved_groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            if len(group["params"]) != len(saved["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    "optimizer's group"
                )
        by_number = {
            number: param
            for group, saved in zip(self.param_groups, saved_groups, strict=True)
            for number, param in zip(saved["params"], group["params"], strict=True)
        }
        state: defaultdict[Any, Any] = defaultdict(dict)
        for number, entry in state_dict["state"].items():
            # JSON and its like know no numbers as keys, and no tuples.
            key = int(number) if isinstance(number, str) and number.isdecimal() else number
            param = by_number.get(key)
            state[number if param is None else param] = (
                entry if param is None else self._loaded(entry, param, None)
            )
        groups = []
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            loaded = {name: deepcopy(value) for name, value in saved.items() if name != "params"}
            for name, default in self.defaults.items():
                if isinstance(default, tuple) and isinstance(loaded.get(name), list):
                    loaded[name] = tuple(loaded[name])
                # Flags are newer than some files.
                if (
                    name not in loaded
                    and isinstance(default, (int, float, tuple))
                    and not isinstance(default, bool)
                ):
                    own = type(self).__name__
                    raise ValueError(
                        f"{own}: load_state_dict: a group of another optimizer: it has no {name!r}"
                    )
                if default is not required:
                    loaded.setdefault(name, default)
            self._check(loaded)
            if "param_names" in group:
                loaded.setdefault("param_names", group["param_names"])
            groups.append({"params": group["params"], **loaded})
        self.param_groups[:] = groups  # the list itself, which a wrapper may share
        self.__setstate__({"state": state, "param_groups": self.param_groups})
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def _loaded(self, value: Any, param: Tensor, key: Any) -> Any:
        if isinstance(value, Tensor):
            if key == "step":
                return value.detach().clone()
            dtype = param.dtype if param.is_floating_point() else None
            return value.detach().clone().to(param.device, dtype)
        if isinstance(value, dict):
            return {name: self._loaded(item, param, name) for name, item in value.items()}
        if type(value) in (list, tuple, set):
            return type(value)(self._loaded(item, param, None) for item in value)
        return deepcopy(value)

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in self.__dict__.items()
            if name != "_in_step" and not (name.startswith("_optimizer_") and name.endswith("_hooks"))
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes what `load_state_dict`, pickle and deepcopy bring; hooks are not copied."""
        self.__dict__.update(state)
        self._hook_step()

    def __repr__(self) -> str:
        text = type(self).__name__ + " ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            text += "".join(f"    {name}: {group[name]}\n" for name in sorted(group) if name != "params")
        return text + ")"
