"""Loading a state dict into a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import cnnx

from ..tensor import Tensor
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module


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


def load_state_dict(
    module: Module, state_dict: Mapping[str, Any], strict: bool, assign: bool
) -> IncompatibleKeys:
    """Implements `Module.load_state_dict`. Everything is checked before anything is written."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    targets: dict[str, tuple[dict[str, Any], str]] = {}
    for prefix, child in module.named_modules(remove_duplicate=False):
        dot = prefix + "." if prefix else ""
        for name, parameter in child._parameters.items():
            if parameter is not None:
                targets[dot + name] = (child._parameters, name)
        for name, buffer in child._buffers.items():
            if buffer is not None and name not in child._non_persistent_buffers_set:
                targets[dot + name] = (child._buffers, name)
    missing = [name for name in targets if name not in state_dict]
    unexpected = [name for name in state_dict if name not in targets]
    errors = []
    if strict and unexpected:
        errors.append("Unexpected key(s) in state_dict: " + ", ".join(f'"{k}"' for k in unexpected) + ". ")
    if strict and missing:
        errors.insert(0, "Missing key(s) in state_dict: " + ", ".join(f'"{k}"' for k in missing) + ". ")
    for name, (owner, key) in targets.items():
        if name not in state_dict:
            continue
        value, target = state_dict[name], owner[key]
        if not isinstance(value, Tensor):
            errors.append(
                f'While copying the parameter named "{name}", expected a cnnx.Tensor from checkpoint '
                f"but received {type(value)}"
            )
        elif tuple(value.shape) != tuple(target.shape):
            errors.append(
                f"size mismatch for {name}: copying a param with shape {tuple(value.shape)} from checkpoint, "
                f"the shape in current model is {tuple(target.shape)}."
            )
    if errors:
        raise RuntimeError(
            f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(errors)
        )
    with cnnx.no_grad():
        for name, (owner, key) in targets.items():
            if name not in state_dict:
                continue
            value, target = state_dict[name], owner[key]
            if not assign:
                target.copy_(value)
            elif isinstance(target, Parameter):
                owner[key] = value if isinstance(value, Parameter) else Parameter(value, target.requires_grad)
            else:
                owner[key] = value
    return IncompatibleKeys(missing, unexpected)
