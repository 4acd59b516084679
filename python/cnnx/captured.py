"""Plans on a GPU: a CUDA graph takes down what a function runs there."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cnnx import _C
from cnnx.cuda_graph import CUDAGraph, graph
from cnnx.noting import Noting, do_live
from cnnx.streams import current_stream
from cnnx.tensor import Tensor


class Captured(Noting):
    """A function while it is captured, and from then on its graph.

    Kernels work on the memory that they were captured with. So a replay copies its arguments to where they
    were then, and hands out copies of the results. Optimizers make their steps anew in it, for their numbers
    alone (`CUDAGraph`); schedules step after it, so they must not step before an optimizer does.
    """

    def __init__(self, function: Callable[..., Any], arguments: list[Tensor], leaves: list[Tensor]) -> None:
        super().__init__(function)
        self.graph = CUDAGraph()
        self.arguments = [_copy(t) for t in arguments]
        self.found: list[Tensor] = []
        self._grads = [(leaf, leaf.grad) for leaf in leaves]
        self._optimizers: list[Any] = []
        self._after: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._is_stale = False

    def run_live(self, args: Any, work: Callable[[], None]) -> None:
        """An optimizer's step is captured; all else is done after the replays."""
        from cnnx.optim.fused import FusedOptimizer
        from cnnx.optim.optimizer import Optimizer, has_step_hooks

        if not isinstance(args[0], Optimizer):
            self._after.append(functools.partial(do_live, work, _C.is_grad_enabled()))
            self.plan.live(_nothing)  # its place, for who compares plans
            return
        if type(args[0]).step is not FusedOptimizer.step:
            raise RuntimeError(f"{type(args[0]).__name__} has a step of its own")
        if has_step_hooks(args[0]):
            raise RuntimeError("a hook of an optimizer would have to be called")
        if self._after:
            raise RuntimeError("a schedule steps before an optimizer does")
        self._optimizers.append(args[0])
        self.plan.live(work)

    @contextmanager
    def captures(self) -> Iterator[None]:
        """What the thread gives to the device of the arguments within is captured instead of run."""
        device = next((t.device for t in self.arguments if t.is_cuda), None)
        with graph(self.graph, stream=current_stream(device)):
            yield

    def keep_grads(self) -> None:
        """The gradients of now, at the end of the capture, are those that replays write and leave behind."""
        self._grads = [(leaf, leaf.grad) for leaf in self.plan.changed_grads]

    def give_back_grads(self) -> None:
        """The gradients that a replay leaves behind; after a capture that failed, those before it."""
        for leaf, grad in self._grads:
            if leaf.grad is not grad:
                leaf.grad = grad

    def is_current(self) -> bool:
        """As of a `Noting`; not, either, once an optimizer has other state, parameters or hooks."""
        from cnnx.optim.optimizer import has_step_hooks

        if any(map(has_step_hooks, self._optimizers)):
            self._is_stale = True
        return not self._is_stale and self.plan.is_current()

    def try_replay(self, arguments: list[Tensor]) -> list[Tensor] | None:
        """As of a `Noting`. One replay at a time; others wait."""
        with self._lock:
            return self.replay(arguments) if self.is_current() and self.plan.fits(arguments) else None

    def replay(self, arguments: list[Tensor]) -> list[Tensor] | None:
        """Runs what was captured, with these arguments; copies of the results.

        None where an optimizer would do something else than was captured: then nothing has happened.
        """
        before = _C.is_grad_enabled()
        _C.set_grad_enabled(False)
        try:
            for own, given in zip(self.arguments, arguments, strict=True):
                own.copy_(given)
            try:
                self.graph.replay()
            except RuntimeError:
                if not self._optimizers:
                    raise
                self._is_stale = True
                return None
            self.give_back_grads()
            for i in self.plan.changed_arguments:
                arguments[i].copy_(self.arguments[i])
            self.plan.was_replayed()
            results = [_copy(t) for t in self.found]
        finally:
            _C.set_grad_enabled(before)
        for work in self._after:
            work()
        return results


def _copy(t: Tensor) -> Tensor:
    return t.detach().clone()


def _nothing() -> None:
    pass
