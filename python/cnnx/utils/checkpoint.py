"""Checkpoints: parts of a forward pass that keep nothing and are computed again in the backward pass."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

from cnnx import _C, amp
from cnnx.autograd.grad_mode import enable_grad, no_grad
from cnnx.autograd.graph import saved_tensors_hooks
from cnnx.devices import device_of
from cnnx.nn.container import Sequential
from cnnx.random import get_rng_state, set_rng_state

__all__ = [
    "CheckpointError",
    "checkpoint",
    "checkpoint_sequential",
    "noop_context_fn",
    "set_checkpoint_early_stop",
]

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


class CheckpointError(RuntimeError):
    """The computation made again was not that of the forward pass."""


class _Done(BaseException):
    """All that the backward pass needs is there again. No `except Exception` of the function may stop it."""


def noop_context_fn() -> Contexts:
    """Two contexts that do nothing: the default of `checkpoint`."""
    return nullcontext(), nullcontext()


_early_stop: bool | None = None


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Any:
    """Within it, `enable` stands for the argument `early_stop` of every `checkpoint`."""
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


class _Saved:
    """Stands for one saved tensor; the graph holds it, and it the tensor once that is computed again."""

    def __init__(self, call: _Call, value: Any) -> None:
        self.call = call
        self.kind = _kind(value)
        self.value: Any = None


def _kind(value: Any) -> tuple[Any, ...]:
    return tuple(value.shape), value.dtype, str(device_of(value))


class _Call:
    """A call of a function, which can be made again."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        again: AbstractContextManager[Any],
        preserve_rng_state: bool,
        check: bool,
        early_stop: bool,
    ) -> None:
        self.function, self.args, self.kwargs, self.again = function, args, kwargs, again
        self.check, self.early_stop = check, early_stop
        self.versions = [a._version if isinstance(a, _C.TensorBase) else 0 for a in args]
        self.rng = get_rng_state() if preserve_rng_state else None
        self.autocast = _C.is_autocast_enabled()
        self.saved: list[weakref.ref[_Saved]] = []

    def pack(self, value: Any) -> _Saved:
        saved = _Saved(self, value)
        self.saved.append(weakref.ref(saved))
        return saved

    def unpack(self, saved: _Saved) -> Any:
        if saved.value is None:
            self.run_again()
        if saved.value is None:
            raise CheckpointError(
                "checkpoint: the function saved other tensors when it was called again in the backward pass"
            )
        return saved.value

    def _inputs(self) -> tuple[Any, ...]:
        inputs = []
        for i, (value, version) in enumerate(zip(self.args, self.versions, strict=True)):
            if isinstance(value, _C.TensorBase):
                if value._version != version:
                    raise RuntimeError(
                        f"checkpoint: argument {i}, of shape {tuple(value.shape)}, was changed in place "
                        "after the forward pass, which the backward pass needs to repeat"
                    )
                requires_grad = value.requires_grad
                value = value._detach()
                value.requires_grad = requires_grad
            inputs.append(value)
        return tuple(inputs)

    def run_again(self) -> None:
        inputs, count = self._inputs(), 0

        def pack(value: Any) -> Any:
            nonlocal count
            if count < len(self.saved) and (saved := self.saved[count]()) is not None:
                if self.check and _kind(value) != saved.kind:
                    raise CheckpointError(
                        f"checkpoint: tensor {count} that the function saves was {saved.kind} in the forward "
                        f"pass, and {_kind(value)} when it was called again"
                    )
                saved.value = value
            count += 1
            if self.early_stop and count == len(self.saved):
                raise _Done
            return value

        with ExitStack() as stack:
            if self.rng is not None:
                stack.callback(set_rng_state, get_rng_state())
                set_rng_state(self.rng)
            stack.enter_context(enable_grad())
            stack.enter_context(amp.autocast("cpu", enabled=self.autocast))
            stack.enter_context(self.again)
            stack.enter_context(saved_tensors_hooks(pack, lambda value: value))
            try:
                self.function(*inputs, **self.kwargs)
            except _Done:
                return
        if self.check and count != len(self.saved):
            raise CheckpointError(
                f"checkpoint: the function saved {len(self.saved)} tensors in the forward pass, and {count} "
                "when it was called again in the backward pass"
            )


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Calls a function whose intermediate results are not kept, but computed again in the backward pass.

    It takes less memory and, for the part that is called so, one forward pass more.

    Parameters
    ----------
    function : callable
        What to call; called again with the same arguments it must do the same.
    *args
        Its arguments. Tensors among them are kept.
    use_reentrant : bool, optional
        There is one implementation, which can do what PyTorch's with False can: named arguments,
        `autograd.grad`, second derivatives. With True, results have no history unless an argument requires
        a gradient, with a warning. Default: True, with a warning that it should be said.
    context_fn : callable, optional
        Gives two context managers, for the first call and the second.
    determinism_check : str
        ``"default"``: shapes, dtypes and devices of what the function saves must be the same; or ``"none"``.
    debug : bool
        Not supported. Default: False.
    early_stop : bool
        End the second call when all is there that the backward pass needs. Default: True.
    preserve_rng_state : bool
        Draw the same random numbers again, for dropout. Default: True.
    **kwargs
        Named arguments of the function.

    Returns
    -------
    What the function returned.

    Raises
    ------
    CheckpointError
        In the backward pass, if the second call differs.

    Notes
    -----
    Chen et al., "Training deep nets with sublinear memory cost", arXiv:1604.06174 (2016).

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.utils.checkpoint import checkpoint
    >>> block = cnnx.nn.Sequential(cnnx.nn.Linear(4, 8), cnnx.nn.ReLU(), cnnx.nn.Linear(8, 1))
    >>> x = cnnx.ones(2, 4, requires_grad=True)
    >>> checkpoint(block, x, use_reentrant=False).sum().backward()
    >>> x.grad.shape
    cnnx.Size([2, 4])
    """
    if use_reentrant is None:
        _warn_unsaid("checkpoint")
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if debug:
        raise NotImplementedError("checkpoint: debug=True, a trace of all ops, is not supported")
    if determinism_check not in ("default", "none"):
        raise RuntimeError(
            f"checkpoint: determinism_check must be 'default' or 'none', got {determinism_check!r}"
        )
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        if _C.is_grad_enabled() and not any(isinstance(a, _C.TensorBase) and a.requires_grad for a in args):
            warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)
            with no_grad():
                return function(*args)
    if _early_stop is not None:
        early_stop = _early_stop
    first, again = context_fn()
    check = determinism_check == "default" and not use_reentrant
    call = _Call(function, args, kwargs, again, preserve, check, early_stop)
    with saved_tensors_hooks(call.pack, call.unpack), first:
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Sequential | Sequence[Callable[..., Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Calls the modules of a Sequential in segments, each but the last through `checkpoint`.

    Parameters
    ----------
    functions : Sequential or sequence of callable
        Each takes what the one before returns.
    segments : int
        How many.
    input : Tensor
        What the first takes.
    use_reentrant : bool, optional
        As in `checkpoint`.
    preserve_rng_state : bool
        As in `checkpoint`. Default: True.

    Returns
    -------
    What the last returned.

    Raises
    ------
    ValueError
        If there are more segments than functions, or none.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.utils.checkpoint import checkpoint_sequential
    >>> net = cnnx.nn.Sequential(*(cnnx.nn.Linear(4, 4) for _ in range(6)))
    >>> checkpoint_sequential(net, 3, cnnx.ones(2, 4, requires_grad=True), use_reentrant=False).shape
    cnnx.Size([2, 4])
    """
    if use_reentrant is None:
        _warn_unsaid("checkpoint_sequential")
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    steps: list[Any] = list(functions.children()) if isinstance(functions, Sequential) else list(functions)
    if not 1 <= segments <= len(steps):
        raise ValueError(f"checkpoint_sequential: segments must lie in [1, {len(steps)}], got {segments}")
    size = len(steps) // segments
    last = size * (segments - 1)
    for start in range(0, last, size):
        part = _chain(steps[start : start + size])
        input = checkpoint(part, input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return _chain(steps[last:])(input)


def _chain(steps: list[Callable[..., Any]]) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return run


def _warn_unsaid(name: str) -> None:
    warnings.warn(
        f"{name}: use_reentrant should be passed explicitly; use_reentrant=False is recommended", stacklevel=3
    )
