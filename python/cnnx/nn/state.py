"""A module's state as a dictionary: `state_dict`, `load_state_dict`, and what a module may say of its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import cnnx

from ..hooks import RemovableHandle
from ..tensor import Tensor
from .parameter import Parameter
from .uninitialized import is_lazy

if TYPE_CHECKING:
    from .module import Module

EXTRA_STATE = "_extra_state"


class _Keys(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


class IncompatibleKeys(_Keys):
    """What ``load_state_dict`` returns: the names the module lacks values for, and those it does not know."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"

    __str__ = __repr__


class _Entries(OrderedDict[str, Any]):
    """The part of a state dict that a module loads. `undo` takes back what was written, if loading fails."""

    undo: list[Callable[[], Any]]


class State:
    """A base of Module: everything about its state dict."""

    #: Of the state that `_save_to_state_dict` writes; `_load_from_state_dict` is told that of a file.
    _version: ClassVar[int] = 1

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]
    _state_dict_hooks: OrderedDict[int, Any]
    _state_dict_hooks_returning: OrderedDict[int, bool]
    _state_dict_pre_hooks: OrderedDict[int, Any]
    _load_state_dict_pre_hooks: OrderedDict[int, Any]
    _load_state_dict_pre_hooks_with_module: OrderedDict[int, bool]
    _load_state_dict_post_hooks: OrderedDict[int, Any]

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """The parameters and persistent buffers by name, sharing memory with the module.

        Parameters
        ----------
        destination : dict, optional
            Where to put them. Default: a new ``OrderedDict``.
        prefix : str
            Put before every name. Default: "".
        keep_vars : bool
            Return the parameters themselves, not detached tensors. Default: False.
        """
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()  # each module's version, as PyTorch keeps them
        local = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for number, hook in self._state_dict_hooks.items():
            changed = hook(self, destination, prefix, local)
            if changed is None:
                continue
            if number not in self._state_dict_hooks_returning:
                raise RuntimeError("state_dict post-hook must return None")
            destination = changed
        result: dict[str, Any] = destination
        return result

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Puts the module's own state, without its children's, into `destination`."""
        for name, member in [*self._parameters.items(), *self._buffers.items()]:
            if member is not None and name not in self._non_persistent_buffers_set:
                whole = keep_vars or is_lazy(member)
                destination[prefix + name] = member if whole else member.detach()
        if type(self).get_extra_state is not State.get_extra_state:
            destination[prefix + EXTRA_STATE] = self.get_extra_state()

    def get_extra_state(self) -> Any:
        """What else belongs to the state dict; a subclass defines it together with `set_extra_state`."""
        raise RuntimeError(
            "Reached a code path in Module.get_extra_state() that should never be called: "
            f"{type(self).__name__} does not define it"
        )

    def set_extra_state(self, state: Any) -> None:
        """Takes what `get_extra_state` gave."""
        raise RuntimeError(
            "Reached a code path in Module.set_extra_state() that should never be called: "
            f"{type(self).__name__} does not define it"
        )

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copies values into the parameters and buffers.

        State of BatchNorm layers from before they counted batches (version 1, or without a version) may lack
        ``num_batches_tracked``; the layer's own stays.

        Parameters
        ----------
        state_dict : mapping
            Tensors by name, as `state_dict` returns them.
        strict : bool
            Whether the names must be exactly those of the module. Default: True.
        assign : bool
            Take the tensors themselves instead of copying their values. Default: False.

        Returns
        -------
        IncompatibleKeys
            ``missing_keys`` and ``unexpected_keys``.

        Raises
        ------
        RuntimeError
            If names (when `strict`) or shapes do not match. Parameters and buffers are then as before.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        metadata: Mapping[str, Any] = getattr(state_dict, "_metadata", None) or {}
        keys = IncompatibleKeys([], [key for key in state_dict if not isinstance(key, str)])
        errors: list[str] = []
        entries = _Entries((key, value) for key, value in state_dict.items() if isinstance(key, str))
        entries.undo = []
        try:
            _load(self, entries, "", metadata, assign, keys, errors)
            if strict:
                for what, names in reversed(list(zip(("Missing", "Unexpected"), keys, strict=True))):
                    if names:
                        listed = ", ".join(f'"{name}"' for name in names)
                        errors.insert(0, f"{what} key(s) in state_dict: {listed}. ")
            if errors:
                raise RuntimeError(
                    f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(errors)
                )
        except BaseException:
            for put_back in reversed(entries.undo):
                put_back()
            raise
        return keys

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Loads the module's own state, without its children's.

        A subclass may change `state_dict`, whose keys begin with `prefix`, and then call this.
        ``local_metadata.get("version")`` is the `_version` of the module that wrote the state, None if
        unknown.
        """
        for number, hook in list(self._load_state_dict_pre_hooks.items()):
            first = (self,) if number in self._load_state_dict_pre_hooks_with_module else ()
            hook(
                *first, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
            )
        own: dict[str, tuple[dict[str, Any], Any]] = {}
        for registry in (self._parameters, self._buffers):
            for name, target in registry.items():
                if target is not None and name not in self._non_persistent_buffers_set:
                    own[name] = (registry, target)
        assign = local_metadata.get("assign_to_params_buffers", False)
        undo = getattr(state_dict, "undo", [])
        for name, (registry, target) in own.items():
            key = prefix + name
            if key not in state_dict:
                if strict:
                    missing_keys.append(key)
            elif error := self._load_member(name, registry, target, key, state_dict[key], assign, undo):
                error_msgs.append(error)
        extra = prefix + EXTRA_STATE
        if type(self).set_extra_state is not State.set_extra_state:
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        if strict:
            for key in state_dict:
                name, dot, _ = key[len(prefix) :].partition(".")
                if key.startswith(prefix) and key != extra and name not in (self._modules if dot else own):
                    unexpected_keys.append(key)

    def _load_member(
        self,
        name: str,
        registry: dict[str, Any],
        target: Any,
        key: str,
        value: Any,
        assign: bool,
        undo: list[Any],
    ) -> str | None:
        """Writes one parameter or buffer; returns what is wrong."""
        if not isinstance(value, Tensor):
            return (
                f'While copying the parameter named "{key}", expected a cnnx.Tensor from checkpoint '
                f"but received {type(value)}"
            )
        if is_lazy(target):
            if is_lazy(value):
                return None
            target.materialize(value.shape)
        if target.ndim == 0 and tuple(value.shape) == (1,):  # scalars of PyTorch 0.3
            value = value[0]
        if tuple(value.shape) != tuple(target.shape):
            return (
                f"size mismatch for {key}: copying a param with shape {tuple(value.shape)} from checkpoint, "
                f"the shape in current model is {tuple(target.shape)}."
            )
        with cnnx.no_grad():
            if not assign:
                before = target.detach().clone()
                undo.append(lambda: target.detach().copy_(before))
                target.copy_(value)
                return None
            if isinstance(target, Parameter):
                if isinstance(value, Parameter):
                    value.requires_grad_(target.requires_grad)
                else:
                    value = Parameter(value, target.requires_grad)
            elif isinstance(value, Parameter):
                value = value.detach()
            undo.append(lambda: registry.__setitem__(name, target))
            setattr(self, name, value)
        return None

    # Hooks.

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls ``hook(module, prefix, keep_vars)`` before `state_dict` collects the module's state."""
        return RemovableHandle(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls ``hook(module, state_dict, prefix, local_metadata)`` when `state_dict` has collected it.

        The hook may change the dictionary, and must return None.
        """
        return RemovableHandle(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The same for a hook that may return another dictionary, which counts for the root module."""
        handle = RemovableHandle(self._state_dict_hooks, hook)
        handle.flag(self._state_dict_hooks_returning)
        return handle

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook` before the module loads its own state.

        Its arguments are ``(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)``; it may change the dictionary and the lists.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        handle = RemovableHandle(self._load_state_dict_pre_hooks, hook)
        if with_module:
            handle.flag(self._load_state_dict_pre_hooks_with_module)
        return handle

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls ``hook(module, incompatible_keys)`` when the module and its children are loaded.

        It may change the lists in `incompatible_keys`, before they are judged, and must return None.
        """
        return RemovableHandle(self._load_state_dict_post_hooks, hook)


def _load(
    module: State,
    entries: _Entries,
    prefix: str,
    metadata: Mapping[str, Any],
    assign: bool,
    keys: IncompatibleKeys,
    errors: list[str],
) -> None:
    local = dict(metadata.get(prefix[:-1], {}))
    if assign:
        local["assign_to_params_buffers"] = True
    module._load_from_state_dict(entries, prefix, local, True, *keys, errors)
    for name, child in module._modules.items():
        if child is not None:
            inner = f"{prefix}{name}."
            part = _Entries((key, value) for key, value in entries.items() if key.startswith(inner))
            part.undo = entries.undo
            _load(child, part, inner, metadata, assign, keys, errors)
    for hook in list(module._load_state_dict_post_hooks.values()):
        if hook(module, keys) is not None:
            raise AssertionError(
                "load_state_dict: a post-hook must return None; it changes incompatible_keys in place"
            )
