"""The backward hooks of one call of a module."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import _C
from ..devices import device_of

if TYPE_CHECKING:
    from .module import Module

Gradients = tuple[Any, ...]  # None for what is no tensor, and for results that no gradient came back from


class BackwardHooks:
    """Taps the gradients of a module's arguments and results, and calls its hooks with both.

    Arguments and results are replaced by views that record where the gradient passes. The results' tap runs
    first in a backward pass and keeps their gradients for the hooks, which the arguments' tap calls.
    """

    def __init__(self, module: Module, pre_hooks: list[Any], hooks: list[Any]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_output: Gradients | None = None
        self.without_inputs: int | None = None  # how many arguments, if none of them requires a gradient

    def tap_arguments(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The positional arguments as `forward` gets them."""
        self.kinds = [
            (tuple(a.shape), a.dtype, str(device_of(a)))
            if isinstance(a, _C.TensorBase) and a.dtype.is_floating_point
            else None
            for a in args
        ]
        tapped, found = _tap(args, self._at_arguments)
        if not found:
            self.without_inputs = len(args)
        return tapped

    def tap_results(self, result: Any) -> Any:
        """The module's result as the caller gets it."""
        if not isinstance(result, _C.TensorBase | tuple):
            warnings.warn(
                "backward hooks are called for modules that return a tensor or a tuple of tensors, "
                f"{type(self.module).__name__} returned {type(result).__name__}",
                stacklevel=4,
            )
        several = isinstance(result, tuple)
        tapped, _ = _tap(result if several else (result,), self._at_results)
        if not several:
            return tapped[0]
        return tapped if type(result) is tuple else type(result)(*tapped)  # a named tuple

    def _at_results(self, grads: Gradients) -> Gradients:
        for hook in self.pre_hooks:
            changed = hook(self.module, grads)
            if changed is not None:
                grads = _checked("pre-hook returned an invalid number of grad_output", changed, len(grads))
        if self.without_inputs is None:
            self.grad_output = grads
        elif self.hooks:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module outputs "
                "since no inputs require gradients.",
                stacklevel=2,
            )
            for hook in self.hooks:
                changed = hook(self.module, (None,) * self.without_inputs, grads)
                if changed is not None and any(grad is not None for grad in changed):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return "
                        "None or None for all gradients."
                    )
        return grads

    def _at_arguments(self, grads: Gradients) -> Gradients:
        if self.grad_output is None:  # the gradient came past the module's results
            return grads
        grads = tuple(
            _C.zeros(*kind) if grad is None and kind is not None else grad
            for grad, kind in zip(grads, self.kinds, strict=True)
        )
        for hook in self.hooks:
            changed = hook(self.module, grads, self.grad_output)
            if changed is not None:
                grads = _checked("hook returned an invalid number of grad_input", changed, len(grads))
        self.grad_output = None
        return grads


def _checked(what: str, changed: Any, expected: int) -> Gradients:
    grads = (changed,) if isinstance(changed, _C.TensorBase) else tuple(changed)
    if len(grads) != expected:
        raise RuntimeError(f"Backward {what}, got {len(grads)}, but expected {expected}")
    return grads


def _tap(values: tuple[Any, ...], run: Callable[[Gradients], Gradients]) -> tuple[tuple[Any, ...], bool]:
    """The values, those that require a gradient as views whose gradients pass through `run`."""
    places = [i for i, v in enumerate(values) if isinstance(v, _C.TensorBase) and v.requires_grad]
    if not places or not _C.is_grad_enabled():
        return values, False
    tensors = [values[i] for i in places]
    _C.set_grad_enabled(False)
    try:
        views = [tensor.view_as(tensor) for tensor in tensors]  # views, which are not to be changed in place
    finally:
        _C.set_grad_enabled(True)

    def backward(_: Any, *arrived: Any) -> list[Any]:
        grads: list[Any] = [None] * len(values)
        for i, grad in zip(places, arrived, strict=True):
            grads[i] = grad
        passed = run(tuple(grads))
        return [passed[i] for i in places]

    _C.record("BackwardHook", views, tensors, [], backward)
    result = list(values)
    for i, view in zip(places, views, strict=True):
        result[i] = view
    return tuple(result), True
