"""Plans: what a function of tensors runs is noted once, and then run again without Python."""

from __future__ import annotations

import functools
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from cnnx import _C
from cnnx.tensor import Tensor

if TYPE_CHECKING:
    from cnnx.explain import Explanation
    from cnnx.nn.module import Module

P = ParamSpec("P")
R = TypeVar("R")

#: Of signatures, and of the times that one is noted anew; beyond that a function runs as it is.
LIMIT = 8

#: How many plans are being noted, by all threads: whoever is to tell a plan something looks here first.
active = 0


class _Thread(threading.local):
    noting: Noting | None = None


_thread = _Thread()
_lock = threading.Lock()

_REGISTRIES = ("_parameters", "_buffers", "_modules")
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks")


class Noting:
    """A plan while the calling thread notes it, and what only Python knows of it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.plan, self.guard = _C.Plan(), _C.Guard()
        self.refused = ""
        self.modules: set[int] = set()
        _watch_variables(self.guard, function)

    def refuse(self, why: str) -> None:
        """There can be no plan; the first reason counts."""
        self.refused = self.refused or why

    def meet(self, module: Module) -> None:
        """A module is called: its attributes, parameters and hooks have to stay what they are."""
        if id(module) in self.modules:
            return
        self.modules.add(id(module))
        own = module.__dict__
        self.guard.watch_dict(own)
        for name in (*_REGISTRIES, *_HOOKS):
            self.guard.watch_dict(own[name])
        if any(own[name] for name in _HOOKS):
            self.refuse(f"a hook of {type(module).__name__} would have to be called")


def _watch_variables(guard: _C.Guard, function: Callable[..., Any]) -> None:
    """What the function finds outside of itself has to stay what it is."""
    code = getattr(function, "__code__", None)
    if code is None:
        return
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        guard.watch_cell(cell, name)
    for name in code.co_names:
        if name in function.__globals__:
            guard.watch_item(function.__globals__, name)


def noting() -> Noting | None:
    """What the calling thread notes, if anything."""
    return _thread.noting


@contextmanager
def _noted(made: Noting, arguments: list[Tensor], leaves: list[Tensor]) -> Iterator[None]:
    global active
    before = _thread.noting
    with _lock:
        active += 1
    made.plan.begin(arguments, leaves)
    _thread.noting = made
    try:
        yield
    finally:
        _thread.noting = before
        made.plan.abandon()
        with _lock:
            active -= 1


def live(function: Callable[P, R]) -> Callable[P, R]:
    """For what Python has to do in every replay too: updates of optimizers, steps of schedules."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not active or (made := _thread.noting) is None:
            return function(*args, **kwargs)
        results: list[R] = []

        def work() -> None:
            before, _thread.noting = _thread.noting, None
            try:
                results[:] = [function(*args, **kwargs)]
            finally:
                _thread.noting = before

        if any(callable(a) for a in (*args[1:], *kwargs.values())):
            made.refuse(f"{function.__qualname__} was given a function to call")
        made.plan.live(work)
        return results[0]

    return call


# Arguments and results: tensors in tuples, lists and dicts, and constants beside them.

_CONSTANTS = (type(None), bool, int, float, complex, str, bytes)


class _NoPlanError(Exception):
    pass


def _taken_apart(value: Any, tensors: list[Tensor]) -> Any:
    """What `value` is made of, with its tensors put into a list."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return type(value)
    if type(value) in (tuple, list):
        return (type(value), *(_taken_apart(v, tensors) for v in value))
    if type(value) is dict:
        return (dict, tuple(value), *(_taken_apart(v, tensors) for v in value.values()))
    if isinstance(value, _CONSTANTS):
        return (object, type(value), value)
    raise _NoPlanError(f"an argument or result is a {type(value).__name__}")


def _put_together(form: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(form, type):
        return next(tensors)
    kind, *parts = form
    if kind is object:
        return parts[1]
    if kind is dict:
        return dict(zip(parts[0], (_put_together(f, tensors) for f in parts[1:]), strict=True))
    return kind(_put_together(f, tensors) for f in parts)


def _key_of(form: Any, tensors: list[Tensor]) -> Any:
    return (form, _C.plan_signature(tensors), _C.is_grad_enabled(), _C.default_dtype())


class _Case:
    """A function for arguments of one signature."""

    def __init__(self, function: Callable[..., Any], form: Any) -> None:
        self.function, self.form = function, form
        self.leaves: list[Tensor] | None = None  # those that the first call met
        self.noting: Noting | None = None
        self.results: Any = None
        self.quick: _C.Replay | None = None  # for calls with tensors alone that return one
        self.refused = ""
        self.noted = 0

    def __call__(self, tensors: list[Tensor]) -> Any:
        made = self.noting
        if made is not None:
            if made.plan.is_current() and made.guard.holds():
                if not made.plan.fits(
                    tensors
                ):  # they share memory with each other, or with what the plan works on
                    return self._call(tensors)
                return _put_together(self.results, iter(made.plan.replay(tensors)))
            self.noting = self.leaves = self.quick = None  # what has changed may have changed what it meets
        if self.refused:
            return self._call(tensors)
        if self.noted >= LIMIT:
            return self._refuse(f"what it works on has changed {LIMIT} times", self._call(tensors))
        return self._meet(tensors) if self.leaves is None else self._note(tensors)

    def _call(self, tensors: list[Tensor]) -> Any:
        args, kwargs = _put_together(self.form, iter(tensors))
        return self.function(*args, **kwargs)

    def _refuse(self, why: str, result: Any) -> Any:
        self.refused = why
        return result

    def _meet(self, tensors: list[Tensor]) -> Any:
        """As ever, but for a look at the leaves: a plan has to know their gradients before it is noted."""
        made = Noting(self.function)
        with _noted(made, tensors, []):
            result = self._call(tensors)
            why = made.refused or made.plan.end([])
        self.leaves = made.plan.leaves()
        return self._refuse(why, result) if why else result

    def _note(self, tensors: list[Tensor]) -> Any:
        self.noted += 1
        made = Noting(self.function)
        found: list[Tensor] = []
        with _noted(made, tensors, self.leaves or []):
            result = self._call(tensors)
            try:
                form = _taken_apart(result, found)
                why = made.refused or made.plan.end(found)
            except _NoPlanError as no:
                why = str(no)
        if not why and (name := made.guard.changed()):
            why = f"{name} changes while it runs"
        if why:
            return self._refuse(why, result)
        self.noting, self.results = made, form
        args, kwargs = self.form[1:]
        if isinstance(form, type) and kwargs == (dict, ()) and all(isinstance(a, type) for a in args[1:]):
            self.quick = _C.Replay(made.plan, made.guard, tuple(tensors), True)
        return _put_together(form, (t.detach().clone() for t in found))


class Static:
    """A function that is noted in its second call and replayed from then on: see `cnnx.compile`."""

    def __init__(self, function: Callable[..., Any], fullgraph: bool = False) -> None:
        functools.update_wrapper(self, function, updated=())
        self._function, self._fullgraph = function, fullgraph
        self._cases: dict[Any, _Case] = {}
        self._quick: _C.Replay | None = None  # that of the last call
        self._said = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function, or replays it."""
        quick = self._quick  # another thread may change it
        if quick is not None and not kwargs and (result := quick(args)) is not None:
            return result
        self._quick = None
        if _thread.noting is not None:  # a part of another plan
            return self._function(*args, **kwargs)
        tensors: list[Tensor] = []
        try:
            form = _taken_apart((args, kwargs), tensors)
        except _NoPlanError as no:
            self._say(str(no))
            return self._function(*args, **kwargs)
        key = _key_of(form, tensors)
        case = self._cases.get(key)
        if case is None:
            if len(self._cases) >= LIMIT:
                self._say(f"it has been called with more than {LIMIT} kinds of arguments")
                return self._function(*args, **kwargs)
            case = self._cases[key] = _Case(self._function, form)
        result = case(tensors)
        self._quick = case.quick
        if case.refused:
            self._say(case.refused)
        return result

    def explain(self, *args: Any, repeats: int = 20, **kwargs: Any) -> Explanation:
        """What each step of the plan for such arguments costs: `print` it.

        The function is called `repeats` times and more, with all that it does: a training step trains.

        Parameters
        ----------
        *args, **kwargs
            As of a call.
        repeats : int
            Default: 20.

        Returns
        -------
        cnnx.explain.Explanation

        Raises
        ------
        RuntimeError
            If there is no plan of the function.
        """
        from cnnx.explain import Explanation
        from cnnx.profiler import profile

        for _ in range(3):  # met, noted, replayed
            self(*args, **kwargs)
        plan = self._plan(args, kwargs)
        runs, best = [], float("inf")
        for _ in range(max(repeats, 1)):
            with profile() as run:
                self(*args, **kwargs)
            runs.append(run)
            start = time.perf_counter()
            self(*args, **kwargs)
            best = min(best, time.perf_counter() - start)
        return Explanation(runs, 1e6 * best, plan.bytes)

    def _plan(self, args: Any, kwargs: Any) -> _C.Plan:
        """That of calls with these arguments."""
        tensors: list[Tensor] = []
        case = self._cases.get(_key_of(_taken_apart((args, kwargs), tensors), tensors))
        if case is None or case.noting is None:
            raise RuntimeError(f"{self._name()} has no plan: {case.refused if case else 'see the warning'}")
        return case.noting.plan

    def _name(self) -> str:
        return getattr(self._function, "__qualname__", type(self._function).__name__)

    def __getattr__(self, name: str) -> Any:
        if name == "_function":
            raise AttributeError(name)
        return getattr(self._function, name)

    def _say(self, why: str) -> None:
        text = f"compile: {self._name()}: {why}"
        if self._fullgraph:
            raise RuntimeError(f"{text}; there is no plan of it")
        if not self._said:
            self._said = True
            warnings.warn(f"{text}; it runs as it is", UserWarning, stacklevel=3)


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
    static: bool = False,
) -> Any:
    """A function or module that computes the same, and with ``static=True`` without Python.

    By default it is returned as it is. With ``static=True`` its second call is noted, kernel by kernel, and
    later calls with arguments of the same shapes and dtypes replay that in C++: a whole training step, say,
    with forward and backward pass and the optimizer. Steps are fused on the way, and what lies between them
    shares one piece of memory. The results are those of the function, to the bit. The contract is much that
    of a CUDA graph:

    - The function takes tensors and constants and returns them, also in tuples, lists and dicts. Results of a
      replay are fresh tensors without history; what it changes in its arguments is changed. Gradients keep
      their memory: ``p.grad`` of one step is overwritten by the next.
    - Random numbers are drawn anew, running statistics move, and ``step()`` of optimizers and schedules in it
      is called in each replay, with the learning rates of that moment. Whatever else Python does in the
      function (prints, numbers that it computes, lists that it appends to) was done when it was noted, and is
      not done again.
    - A replay is made only if all is as it was that can be looked at: shapes, dtypes, grad mode; the
      function's own variables and global names stand for the same objects; modules that were called have the
      same attributes (so mode and numbers), parameters, buffers and submodules, and no hooks; parameters have
      their memory, and gradients or none as before. Otherwise the function is noted anew. Values of tensors
      may change, as when a state dict is loaded.
    - What cannot be repeated runs as it is, and a warning says once why: values that are read or come from
      outside (``item()``, indexing by tensors, ``from_numpy``), variables and attributes that the function
      itself changes, hooks, arguments that require gradients, a device, more than 8 kinds of arguments.

    Parameters
    ----------
    model : callable or Module, optional
        Left out: for use as a decorator.
    fullgraph : bool
        With ``static=True``: raises RuntimeError instead of running what cannot be replayed.
    dynamic, backend, mode, options
        For compatibility: they choose among PyTorch's compilers, which promise equal results.
    disable : bool
        Returns `model` as it is. So does ``CNNX_COMPILE=0`` in the environment.
    static : bool
        See above. Default: False.

    Returns
    -------
    callable
        With ``static=True`` it has a method ``explain(*args)``, which returns what each step costs
        (`cnnx.explain.Explanation`), and all attributes of `model`.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> net = nn.Linear(3, 1)
    >>> sgd = cnnx.optim.SGD(net.parameters(), lr=0.1)
    >>> @cnnx.compile(static=True)
    ... def step(x, y):
    ...     sgd.zero_grad()
    ...     loss = nn.functional.mse_loss(net(x), y)
    ...     loss.backward()
    ...     sgd.step()
    ...     return loss
    >>> x, y = cnnx.randn(8, 3), cnnx.randn(8, 1)
    >>> losses = [step(x, y).item() for _ in range(20)]
    >>> losses[-1] < losses[0]
    True
    """
    if not static or disable or are_off():
        return model if model is not None else lambda function: function
    if model is None:
        return lambda function: Static(function, fullgraph)
    return Static(model, fullgraph)


def are_off() -> bool:
    """Whether the environment says so."""
    value = os.environ.get("CNNX_COMPILE", "1")
    if value not in ("0", "1"):
        raise ValueError(f"CNNX_COMPILE={value}: 0 or 1")
    return value == "0"
