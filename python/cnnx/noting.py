"""A plan while it is noted: what only Python knows of it, and has to look at before each replay."""

from __future__ import annotations

import functools
import os
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from cnnx import _C
from cnnx.tensor import Tensor

if TYPE_CHECKING:
    from cnnx.nn.module import Module

P = ParamSpec("P")
R = TypeVar("R")

#: How many plans are being noted, by all threads: whoever is to tell a plan something looks here first.
active = 0


class _Thread(threading.local):
    noting: Noting | None = None
    live = 0  # how deep in live work: a plan under way can't be replayed once more


thread = _Thread()
_lock = threading.Lock()

_REGISTRIES = ("_parameters", "_buffers", "_modules")
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks")


class Noting:
    """A plan while the calling thread notes it, and what only Python knows of it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.plan, self.guard = _C.Plan(), _C.Guard()
        self.refused = ""
        self.modules: set[int] = set()
        self.watched: set[int] = set()
        self.works: list[Callable[[], None]] = []
        self.results: Any = None
        self._watch_function(function)

    def refuse(self, why: str) -> None:
        """There can be no plan; the first reason counts."""
        self.refused = self.refused or why

    def meet(self, module: Module) -> None:
        """A module is called: its attributes, parameters and hooks have to stay what they are."""
        if id(module) in self.modules:
            return
        from cnnx.nn.hooks import everywhere

        if not self.modules:
            self.guard.watch_dict(everywhere.numbers)  # type: ignore[arg-type]
        self.modules.add(id(module))
        self._watch_module(module)
        if any(module.__dict__[name] for name in _HOOKS) or everywhere.numbers:
            self.refuse(f"a hook of {type(module).__name__} would have to be called")

    def try_replay(self, arguments: list[Tensor]) -> list[Tensor] | None:
        """The results for these arguments; None where a replay would not do what the function does."""
        return self.plan.try_replay(arguments)

    def is_current(self) -> bool:
        """Whether what it works on is as it was."""
        return self.plan.is_current()

    def run_live(self, args: Any, work: Callable[[], None]) -> None:
        """Does what every replay does too, at this place: `work`, a call with these arguments."""
        # The plan knows what to do by its number alone: what it held, no collector of garbage would see.
        number, by, grad = len(self.works), weakref.ref(self), _C.is_grad_enabled()
        self.works.append(work)
        self.plan.live(lambda: _work(by, number, grad))

    def watch_groups(self, groups: list[dict[str, Any]]) -> None:
        """An optimizer that drops gradients has to have the same parameters."""
        self.guard.watch_list(groups, "param_groups")
        for group in groups:
            self.guard.watch_item(group, "params")
            self.guard.watch_list(group["params"], "params")

    def _watch_module(self, module: Module) -> None:
        """It and all below, for a container's forward need not be called."""
        if id(module) in self.watched:
            return
        self.watched.add(id(module))
        own = module.__dict__
        for names in (own, *(own[name] for name in (*_REGISTRIES, *_HOOKS))):
            self.guard.watch_dict(names)
        for name, value in own.items():
            if type(value) is list:
                self.guard.watch_list(value, name)
            elif type(value) is dict and name not in _REGISTRIES:
                self.guard.watch_dict(value)
        for child in own["_modules"].values():
            if child is not None:
                self._watch_module(child)
        self._watch_value(getattr(type(module), "forward", None))
        for kind in type(module).__mro__:
            if id(kind) not in self.watched and not _is_library_class(kind):
                self.watched.add(id(kind))
                for name in vars(kind):
                    if not name.startswith("__"):
                        self.guard.watch_item(vars(kind), name)

    def _watch_function(self, function: Any) -> None:
        """What a function finds outside of itself has to stay what it is."""
        code = getattr(function, "__code__", None)
        if code is None or id(function) in self.watched:
            return
        self.watched.add(id(function))
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self.guard.watch_cell(cell, name)
            self._watch_value(_contents(cell))
        own = getattr(function, "__self__", None)
        attributes: dict[str, Any] = {}
        if isinstance(own, module_class()):
            self._watch_module(own)
        elif own is not None and not isinstance(own, type):
            attributes = getattr(own, "__dict__", {})
        names = _names(code)
        for name in names:
            for variables in (attributes, function.__globals__):
                if name in variables:
                    self.guard.watch_item(variables, name)
                    self._watch_value(variables[name])

    def _watch_value(self, value: Any) -> None:
        """A module or function that a variable stands for."""
        if _is_plan(value):
            value = value._function
        if isinstance(value, module_class()):
            self._watch_module(value)
        elif isinstance(value, types.FunctionType | types.MethodType) and not _is_of_library(value):
            self._watch_function(value)


@functools.cache
def _library_paths() -> tuple[str, ...]:
    import sysconfig  # not at start-up

    paths = {sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib")}
    return (os.path.dirname(os.path.abspath(__file__)), *paths)


def _is_library_class(kind: type) -> bool:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return kind.__module__ == "builtins" or str(file).startswith(_library_paths())


def _is_of_library(function: Any) -> bool:
    """Whether its variables are nobody's to change."""
    return str(function.__code__.co_filename).startswith(_library_paths())


def _is_plan(value: Any) -> bool:
    return getattr(type(value), "is_plan", False) is True


def module_class() -> type[Module]:
    """`cnnx.nn.Module`, which imports this."""
    from cnnx.nn.module import Module

    return Module


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _names(code: types.CodeType) -> set[str]:
    """Those that code looks up, and code that is defined in it."""
    return set(code.co_names).union(*(_names(c) for c in code.co_consts if isinstance(c, types.CodeType)))


def current() -> Noting | None:
    """What the calling thread notes, if anything."""
    return thread.noting


def refuse(why: str) -> None:
    """What the calling thread notes, if anything, no plan can repeat."""
    if active and (made := thread.noting) is not None:
        made.refuse(why)


@contextmanager
def noted(made: Noting, arguments: list[Tensor], leaves: list[Tensor]) -> Iterator[None]:
    """What the thread runs within is noted."""
    global active
    before = thread.noting
    with _lock:
        active += 1
    made.plan.begin(arguments, leaves)
    thread.noting = made
    try:
        yield
    finally:
        thread.noting = before
        made.plan.abandon()
        with _lock:
            active -= 1


def live(function: Callable[P, R]) -> Callable[P, R]:
    """For what Python has to do in every replay too: updates of optimizers, steps of schedules."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not active or (made := thread.noting) is None:
            return function(*args, **kwargs)
        results: list[R] = []

        def work() -> None:
            before, thread.noting = thread.noting, None
            try:
                results[:] = [function(*args, **kwargs)]
            finally:
                thread.noting = before

        if any(callable(a) for a in (*args[1:], *kwargs.values())):
            made.refuse(f"{function.__qualname__} was given a function to call")
        made.run_live(args, work)
        return results[0] if results else cast(R, None)  # of what is done after a captured step: nothing yet

    return call


def _work(by: weakref.ref[Noting], number: int, grad: bool) -> None:
    if (made := by()) is not None:
        do_live(made.works[number], grad)


def do_live(work: Callable[[], None], grad: bool) -> None:
    """Live work of a replay, which itself has no gradients."""
    before = _C.is_grad_enabled()
    _C.set_grad_enabled(grad)
    thread.live += 1
    try:
        work()
    finally:
        thread.live -= 1
        _C.set_grad_enabled(before)
