"""The hooks around a module's call: how they are registered, and the call of a module that has some."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..hooks import RemovableHandle
from .backward_hooks import BackwardHooks

if TYPE_CHECKING:
    from .module import Module


class _Everywhere:
    """The hooks of all modules, by number."""

    def __init__(self) -> None:
        self.numbers: OrderedDict[int, bool] = OrderedDict()  # of those around calls: whether there are any
        self.forward_pre: OrderedDict[int, Any] = OrderedDict()
        self.forward: OrderedDict[int, Any] = OrderedDict()
        self.forward_with_kwargs: OrderedDict[int, bool] = OrderedDict()
        self.forward_always_called: OrderedDict[int, bool] = OrderedDict()
        self.backward_pre: OrderedDict[int, Any] = OrderedDict()
        self.backward: OrderedDict[int, Any] = OrderedDict()
        self.parameter_registration: OrderedDict[int, Any] = OrderedDict()
        self.buffer_registration: OrderedDict[int, Any] = OrderedDict()
        self.module_registration: OrderedDict[int, Any] = OrderedDict()

    def add(self, hooks: OrderedDict[int, Any], hook: Callable[..., Any]) -> RemovableHandle:
        """Adds one that is called around calls."""
        handle = RemovableHandle(hooks, hook)
        handle.flag(self.numbers)
        return handle

    def registered(self, kind: str, module: Any, name: str, value: Any) -> Any:
        """What the hooks make of a parameter, buffer or module that is being registered."""
        for hook in list(getattr(self, kind + "_registration").values()):
            changed = hook(module, name, value)
            if changed is not None:
                value = changed
        return value


everywhere = _Everywhere()


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """As `Module.register_forward_pre_hook`, for all modules and before their own."""
    return everywhere.add(everywhere.forward_pre, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """As `Module.register_forward_hook`, for all modules and before their own."""
    handle = everywhere.add(everywhere.forward, hook)
    if with_kwargs:
        handle.flag(everywhere.forward_with_kwargs)
    if always_call:
        handle.flag(everywhere.forward_always_called)
    return handle


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """As `Module.register_full_backward_pre_hook`, for all modules and before their own."""
    return everywhere.add(everywhere.backward_pre, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """As `Module.register_full_backward_hook`, for all modules and before their own."""
    return everywhere.add(everywhere.backward, hook)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Calls ``hook(module, name, parameter)`` when one is registered; a result but None replaces it."""
    return RemovableHandle(everywhere.parameter_registration, hook)


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Calls ``hook(module, name, buffer)`` when one is registered; a result but None replaces it."""
    return RemovableHandle(everywhere.buffer_registration, hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Calls ``hook(module, name, submodule)`` when one is registered; a result but None replaces it."""
    return RemovableHandle(everywhere.module_registration, hook)


class CallHooks:
    """A base of Module. The flags of forward hooks stand beside them, under the same numbers."""

    _forward_hooks: OrderedDict[int, Any]
    _forward_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks_always_called: OrderedDict[int, bool]
    _forward_pre_hooks: OrderedDict[int, Any]
    _forward_pre_hooks_with_kwargs: OrderedDict[int, bool]
    _backward_hooks: OrderedDict[int, Any]
    _backward_pre_hooks: OrderedDict[int, Any]

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Calls ``hook(module, args, output)`` after `forward`; a result but None replaces the output.

        Parameters
        ----------
        hook : callable
            With `with_kwargs` it gets ``(module, args, kwargs, output)``.
        prepend : bool
            Before the hooks that are registered. Default: False.
        with_kwargs : bool
            Default: False.
        always_call : bool
            Also when `forward` or a hook raises, with the output as far as there is one, else None. What such
            a hook raises itself is a warning then. Default: False.
        """
        handle = RemovableHandle(self._forward_hooks, hook, prepend)
        if with_kwargs:
            handle.flag(self._forward_hooks_with_kwargs)
        if always_call:
            handle.flag(self._forward_hooks_always_called)
        return handle

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, args)`` before `forward`; a result that is not None replaces the arguments.

        With `with_kwargs`, ``hook(module, args, kwargs)`` may return ``(args, kwargs)``.
        """
        handle = RemovableHandle(self._forward_pre_hooks, hook, prepend)
        if with_kwargs:
            handle.flag(self._forward_pre_hooks_with_kwargs)
        return handle

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(module, grad_input, grad_output)`` in every backward pass through the module.

        Parameters
        ----------
        hook : callable
            Gets the gradients of the positional arguments and of the results as tuples, None for what is no
            tensor and for results that no gradient came back from. It must not change them; what it returns
            but None goes on as `grad_input`. If no argument requires a gradient, it is called when the
            gradients of the results are there, with a warning. Arguments and results become views, which
            must not be changed in place.
        prepend : bool
            Before the hooks that are registered. Default: False.

        Examples
        --------
        >>> import cnnx
        >>> from cnnx import nn
        >>> layer = nn.ReLU()
        >>> handle = layer.register_full_backward_hook(lambda module, grads, _: print(grads))
        >>> x = cnnx.tensor([-1.0, 2.0], requires_grad=True)
        >>> layer(x).sum().backward()
        (tensor([0., 1.]),)
        """
        return RemovableHandle(self._backward_hooks, hook, prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, grad_output)`` before a backward pass goes through the module.

        `grad_output` is a tuple; what the hook returns but None goes on in its place.
        """
        return RemovableHandle(self._backward_pre_hooks, hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Not available, as its gradients were those of the module's last op: use the full one."""
        raise NotImplementedError("register_backward_hook: use register_full_backward_hook")

    def _call_with_hooks(self: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # type: ignore[misc]
        result = None
        called = set()
        try:
            for number, hook in [*everywhere.forward_pre.items(), *self._forward_pre_hooks.items()]:
                if number in self._forward_pre_hooks_with_kwargs:
                    changed = hook(self, args, kwargs)
                    if changed is not None:
                        if not isinstance(changed, tuple) or len(changed) != 2:
                            raise RuntimeError(
                                "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                                f"but got {changed}."
                            )
                        args, kwargs = changed
                else:
                    changed = hook(self, args)
                    if changed is not None:
                        args = changed if isinstance(changed, tuple) else (changed,)
            before = [*everywhere.backward_pre.values(), *self._backward_pre_hooks.values()]
            after = [*everywhere.backward.values(), *self._backward_hooks.values()]
            watch = BackwardHooks(self, before, after) if before or after else None
            if watch is not None:
                args = watch.tap_arguments(args)
            result = self.forward(*args, **kwargs)
            for number, hook in [*everywhere.forward.items(), *self._forward_hooks.items()]:
                called.add(number)
                changed = self._run_forward_hook(number, hook, args, kwargs, result)
                if changed is not None:
                    result = changed
            return result if watch is None else watch.tap_results(result)
        except Exception:
            for number, hook in [*everywhere.forward.items(), *self._forward_hooks.items()]:
                always = (
                    number in self._forward_hooks_always_called or number in everywhere.forward_always_called
                )
                if not always or number in called:
                    continue
                try:
                    changed = self._run_forward_hook(number, hook, args, kwargs, result)
                except Exception as error:
                    warnings.warn(
                        "module forward hook with ``always_call=True`` raised an exception that was silenced "
                        f"as another error was raised in forward: {error}",
                        stacklevel=3,
                    )
                else:
                    result = result if changed is None else changed
            raise

    def _run_forward_hook(
        self, number: int, hook: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> Any:
        if number in self._forward_hooks_with_kwargs or number in everywhere.forward_with_kwargs:
            return hook(self, args, kwargs, result)
        return hook(self, args, result)
