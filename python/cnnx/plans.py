"""Plans: what a function of tensors runs is noted once, and then run again without Python."""

from __future__ import annotations

import functools
import os
import sys
import time
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from cnnx import _C
from cnnx.noting import Noting, module_class, noted, thread
from cnnx.tensor import Tensor

if TYPE_CHECKING:
    from cnnx.explain import Explanation
    from cnnx.nn.module import Module

P = ParamSpec("P")
R = TypeVar("R")

#: Of signatures, and of the times that one is noted anew; beyond that a function runs as it is.
LIMIT = 8

# Arguments and results: tensors in tuples, lists and dicts, and constants beside them.

_CONSTANTS = (type(None), bool, int, float, complex, str, bytes)


class _Constant:
    """Beside what tells it from others."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Constant)

    def __hash__(self) -> int:
        return 0


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
    if isinstance(value, _CONSTANTS):  # 0.0 == -0.0, and no nan is equal to itself
        return (object, type(value), repr(value), _Constant(value))
    raise _NoPlanError(f"an argument or result is a {type(value).__name__}")


def _put_together(form: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(form, type):
        return next(tensors)
    kind, *parts = form
    if kind is object:
        return parts[2].value
    if kind is dict:
        return dict(zip(parts[0], (_put_together(f, tensors) for f in parts[1:]), strict=True))
    return kind(_put_together(f, tensors) for f in parts)


def _key_of(form: Any, tensors: list[Tensor]) -> Any:
    signature = _C.plan_signature(tensors)
    return form, signature, _C.is_grad_enabled(), _C.is_autocast_enabled(), _C.default_dtype()


def _modes() -> Any:
    """What decides besides its arguments what a call computes, and how."""
    return _C.is_grad_enabled(), _C.is_autocast_enabled(), _C.default_dtype(), _C.get_num_threads()


def _left_behind(arguments: list[Tensor], modes: Any) -> str:
    """What a call did besides computing that no replay does."""
    if any(t.requires_grad or t.grad is not None for t in arguments):
        return "an argument requires a gradient"
    return (
        ""
        if _modes() == modes
        else "it leaves another grad mode, autocast, dtype or number of threads behind"
    )


class _Case:
    """A function for arguments of one signature."""

    def __init__(self, function: Callable[..., Any], form: Any, name: str) -> None:
        self.function, self.form, self.name = function, form, name
        self.leaves: list[Tensor] | None = None  # those that the first call met
        self.noting: Noting | None = None
        self.is_on_device = False
        #: For calls with tensors alone that return one, or a tuple of them. The plan reaches its live work
        #: through what noted it.
        self.quick: tuple[_C.Replay, Noting] | None = None
        self.refused = ""
        self.noted = 0

    def __call__(self, tensors: list[Tensor]) -> Any:
        if self.is_on_device and _C.cuda_is_capturing():  # a part of somebody's own graph
            return self._call(tensors)
        made = self.noting
        if made is not None:
            if made.guard.holds():
                if _setting() == "check" and made.plan.is_current() and made.plan.fits(tensors):
                    return self._check(made, tensors)
                if (results := made.try_replay(tensors)) is not None:
                    return _put_together(made.results, iter(results))
                if made.is_current():  # arguments share memory with each other, or with what it works on
                    return self._call(tensors)
            self.noting = self.leaves = self.quick = None  # what has changed may have changed what it meets
        if self.refused:
            return self._call(tensors)
        if self.noted >= LIMIT:
            return self._refuse(f"what it works on has changed {LIMIT} times", self._call(tensors))
        if self.leaves is None:
            return self._meet(tensors)
        return self._capture(tensors) if self.is_on_device else self._note(tensors)

    def _call(self, tensors: list[Tensor]) -> Any:
        args, kwargs = _put_together(self.form, iter(tensors))
        return self.function(*args, **kwargs)

    def _refuse(self, why: str, result: Any) -> Any:
        self.refused = why
        return result

    def _check(self, made: Noting, tensors: list[Tensor]) -> Any:
        """Runs the function where its plan would be replayed, and compares the two."""
        again, found = Noting(self.function), list[Tensor]()
        with noted(again, tensors, self.leaves or []):
            result = self._call(tensors)
            _taken_apart(result, found)
            why = again.refused or again.plan.end(found) or made.plan.difference(again.plan)
        if why:
            raise RuntimeError(f"compile: {self.name}: a replay would not do what the function does: {why}")
        return result

    def _meet(self, tensors: list[Tensor]) -> Any:
        """As ever, but for a look at the leaves: a plan has to know their gradients before it is noted."""
        made, modes = Noting(self.function), _modes()
        with noted(made, tensors, []):
            result = self._call(tensors)
            why = made.refused or _left_behind(tensors, modes) or made.plan.end([])
        self.leaves, self.is_on_device = made.plan.leaves(), made.plan.is_on_device
        if not why and self.is_on_device and (name := made.guard.changed()):  # before a capture runs it twice
            why = f"{name} changes while it runs"
        return self._refuse(why, result) if why else result

    def _note(self, tensors: list[Tensor]) -> Any:
        made, modes = Noting(self.function), _modes()
        found: list[Tensor] = []
        with noted(made, tensors, self.leaves or []):
            result = self._call(tensors)
            try:
                form = _taken_apart(result, found)
                why = made.refused or _left_behind(tensors, modes) or made.plan.end(found)
            except _NoPlanError as no:
                why = str(no)
        self.noted += 1
        if not why and (name := made.guard.changed()):
            why = f"{name} changes while it runs"
        if why:
            return self._refuse(why, result)
        made.results = form
        given = _put_together(form, (t.detach().clone() for t in found))
        self.noting = made  # from here on another thread may write over the results
        args, kwargs = self.form[1:]
        single = isinstance(form, type)
        several = not single and form[0] is tuple and all(isinstance(f, type) for f in form[1:])
        quick = (single or several) and kwargs == (dict, ()) and all(isinstance(a, type) for a in args[1:])
        if quick and _setting() != "check":
            self.quick = _C.Replay(made.plan, made.guard, tuple(tensors), single), made
        return given

    def _capture(self, tensors: list[Tensor]) -> Any:
        """On a GPU a function is captured, which runs nothing, and replayed at once."""
        from cnnx.captured import Captured  # not at start-up

        made, modes, form = Captured(self.function, tensors, self.leaves or []), _modes(), None
        self.noted += 1
        try:
            with noted(made, made.arguments, self.leaves or []):
                with made.captures():
                    form = _taken_apart(self._call(made.arguments), made.found)
                why = made.refused or _left_behind(made.arguments, modes) or made.plan.end(made.found)
        except _NoPlanError as no:
            why = str(no)
        except RuntimeError as error:  # of the function itself, or of what cannot be captured
            why = str(error).partition("\n")[0]
        except BaseException:
            made.give_back_grads()
            raise
        if not why and (name := made.guard.changed()):
            why = f"{name} changes while it runs"
        if why:
            made.give_back_grads()
            return self._refuse(why, self._call(tensors))
        if not made.plan.fits(tensors):  # arguments share memory with each other, or with what it works on
            made.give_back_grads()
            return self._call(tensors)
        made.keep_grads()
        made.results = form
        self.noting = made
        results = made.replay(tensors)
        return self._call(tensors) if results is None else _put_together(form, iter(results))


class _MethodOf:
    """A function for an object, which it does not keep."""

    def __init__(self, function: Callable[..., Any], owner: weakref.ref[Any]) -> None:
        functools.update_wrapper(self, function, updated=())
        self._function, self._owner = function, owner

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(self._owner(), *args, **kwargs)

    @property
    def __self__(self) -> Any:
        return self._owner()

    def __getattr__(self, name: str) -> Any:
        if name == "_function":
            raise AttributeError(name)
        return getattr(self._function, name)


class _Method:
    """A method with its object, for a call."""

    is_plan = True

    def __init__(self, static: Static, owner: Any) -> None:
        self.__wrapped__, self.__self__ = static, owner
        self.__doc__, self.__name__ = static.__doc__, static._name()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "__wrapped__":
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)


class Matched:
    """Runs functions as ever, and fuses calls that came together the time before: see `cnnx.compile`.

    One for each function or module; it keeps what was seen by the kinds of arguments.
    """

    def __init__(self) -> None:
        self._seen: dict[Any, _C.Foresight] = {}
        self.is_inside = False  # of a module: its own call goes on

    def __call__(self, function: Callable[..., R], args: Any, kwargs: Any) -> R:
        """``function(*args, **kwargs)``."""
        tensors = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]
        key = _C.plan_signature(tensors), _C.is_grad_enabled(), _C.is_autocast_enabled()
        seen = self._seen.get(key)
        if seen is None and len(self._seen) < LIMIT:
            seen = self._seen[key] = _C.Foresight()
        if seen is None or not seen.begin():
            return function(*args, **kwargs)
        try:
            return function(*args, **kwargs)
        finally:
            seen.end()

    @property
    def fused(self) -> int:
        """Pairs of calls that were made one, in the last call of each kind."""
        return sum(seen.fused for seen in self._seen.values())

    def __reduce__(self) -> Any:
        """A copy has seen nothing yet."""
        return (Matched, ())


def _matched(function: Callable[P, R]) -> Callable[P, R]:
    matched = Matched()

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return matched(function, args, kwargs)

    setattr(call, "matched", matched)  # noqa: B010 (functions have no such attribute for mypy)
    return call


class Static:
    """A function that is noted in its second call and replayed from then on: see `cnnx.compile`."""

    is_plan = True

    def __init__(self, function: Callable[..., Any], fullgraph: bool = False) -> None:
        functools.update_wrapper(self, function, updated=())
        self._function, self._fullgraph = function, fullgraph
        #: By the objects that it is a method of.
        self._methods: dict[int, tuple[weakref.ref[Any], Static]] = {}
        self._cases: dict[Any, _Case] = {}
        self._quick: tuple[_C.Replay, Noting] | None = None  # that of the last call
        self._said = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function, or replays it."""
        if thread.live or _C.has_saved_hooks():  # which a replay would not call
            return self._function(*args, **kwargs)
        quick = self._quick  # another thread may change it
        if quick is not None and not kwargs:
            result = quick[0](args)
            if result is not None:
                return result
        self._quick = None
        if thread.noting is not None:  # a part of another plan
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
            case = self._cases[key] = _Case(self._function, form, self._name())
        result = case(tensors)
        self._quick = case.quick
        if case.refused:
            self._say(case.refused)
        return result

    def eval(self) -> Any:
        """As of the module, and this; of anything else its own."""
        return self._or_this(self.__getattr__("eval")())

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As of the module, and this; of anything else its own."""
        return self._or_this(self.__getattr__("train")(*args, **kwargs))

    def _or_this(self, result: Any) -> Any:
        return self if result is self._function else result

    @property
    def module(self) -> Module | None:
        """What is compiled, if it is a module."""
        return self._function if isinstance(self._function, module_class()) else None

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        """As a function in a class: the method of an object, with plans of its own."""
        if owner is None:
            return self
        known = self._methods.get(id(owner))
        if known is None or known[0]() is not owner:
            number, methods = id(owner), self._methods
            try:
                alive = weakref.ref(owner, lambda _: methods.pop(number, None))
            except TypeError:  # by an object with __slots__, say
                return types.MethodType(self._function, owner)
            known = methods[number] = alive, Static(_MethodOf(self._function, alive), self._fullgraph)
        return _Method(known[1], owner)

    def __reduce__(self) -> Any:
        """Copies and pickles are those of the function, and note it anew."""
        name = getattr(self._function, "__qualname__", "")
        if getattr(sys.modules.get(self._function.__module__), name, None) is self:
            return name
        return Static, (self._function, self._fullgraph)

    def explain(self, *args: Any, repeats: int = 20, **kwargs: Any) -> Explanation:
        """What each step of the plan for such arguments costs: `print` it.

        The function is called three times and twice for each of `repeats`, with all that it does: a training
        step trains, schedules in it go on.

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

        if not isinstance(repeats, int) or isinstance(repeats, bool) or repeats < 1:
            raise ValueError(f"explain: repeats must be a positive whole number, got {repeats!r}")

        for _ in range(3):  # met, noted, replayed
            self(*args, **kwargs)
        plan = self._plan(args, kwargs)
        runs, best = [], float("inf")
        for _ in range(repeats):
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
        if case.is_on_device:
            raise RuntimeError(f"{self._name()}: what runs on a GPU is one graph, without steps to look at")
        return case.noting.plan

    def _name(self) -> str:
        return getattr(self._function, "__qualname__", type(self._function).__name__)

    def __getattr__(self, name: str) -> Any:
        if name == "_function" or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        return getattr(self._function, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """What a module has is set there, where it counts."""
        if name.startswith("_") or not isinstance(self._function, module_class()):
            super().__setattr__(name, value)
        else:
            setattr(self._function, name, value)

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
    """A function or module that computes the same faster, and with ``static=True`` without Python.

    By default Python runs as ever, with all that it does. The first call is watched; from then on a call of
    an op whose result went into the next one and nowhere else (a convolution before its relu) is held back
    until that comes, and both are computed at once. If something else comes, or somebody asks for the values,
    they are computed as if nothing had been. Compile the whole training step, and gradients are fused too.
    A module is compiled as it is and returned.

    With ``static=True`` the second call is noted, kernel by kernel, and later calls with arguments of the
    same shapes and dtypes replay that in C++: a whole training step, say, with forward and backward pass and
    the optimizer. Steps are fused on the way, and what lies between them shares one piece of memory.

    The results are those of the function, to the bit, in both ways. The contract of ``static=True`` is much
    that of a CUDA graph:

    - The function takes tensors and constants and returns them, also in tuples, lists and dicts. Results of a
      replay are fresh tensors without history, so a function whose result gradients could go through has no
      plan: ``backward()`` belongs inside, or ``no_grad()`` around the call. What it changes in its arguments
      is changed. Gradients keep their memory: ``p.grad`` of one step is overwritten by the next, and so is
      any tensor that the function puts elsewhere than into its result (into a list, say).
    - Random numbers are drawn anew, running statistics move, and ``step()`` of optimizers and schedules in it
      is called in each replay, with the learning rates of that moment. Whatever else
      Python does in the function (prints, numbers that it computes, lists that it appends to) was done when
      it was noted, and is not done again: ``n["steps"] += 1`` stands still, and a number that is taken from
      a dict, a list or an object (``cfg["scale"]``, ``args.scale``) stays what it was. Hand such numbers
      over as arguments, or keep them in variables or attributes of modules, which are looked at.
    - A replay is made only if all is as it was that can be looked at: shapes, dtypes, grad mode; the
      variables and global names of the function, and of functions that these stand for, stand for the same
      objects, as do the attributes of its object that a method uses; modules that were called or that a
      variable stands for, and all below, have the same attributes (so mode and numbers), parameters, buffers
      and submodules, and no hooks; parameters have their memory, and gradients or none as before; an
      optimizer that drops gradients has the same groups. Otherwise the function is noted anew. Values of
      tensors may change, as when a state dict is loaded.
    - What cannot be repeated runs as it is, and a warning says once why: values that are read or come from
      outside (``item()``, indexing by tensors, ``from_numpy``), variables and attributes that the function
      itself changes, hooks, arguments that require gradients or are made to, ``data`` that is assigned,
      random numbers that are seeded or drawn from a generator of its own, work on the CPU and on a GPU in
      one function, more than 8 kinds of arguments.

    What runs on a GPU is captured as a CUDA graph (`cnnx.cuda.CUDAGraph`) in the second call and replayed as
    one launch. There optimizers have to be those of cnnx, without hooks, and schedules to step behind them.

    Parameters
    ----------
    model : callable or Module, optional
        Left out: for use as a decorator.
    fullgraph : bool
        With ``static=True``: raises RuntimeError instead of running what cannot be replayed.
    dynamic, backend, mode, options
        For compatibility: they choose among PyTorch's compilers, which promise equal results.
    disable : bool
        Returns `model` as it is. So does ``CNNX_COMPILE=0`` in the environment. With ``CNNX_COMPILE=check``
        no plan is replayed: the function runs in its place, and RuntimeError is raised if it does anything
        else.
    static : bool
        See above. Default: False.

    Returns
    -------
    callable
        A module is returned itself. With ``static=True`` it is an object (no Module) with all attributes of
        `model` and a method ``explain(*args)``, which returns what each step costs
        (`cnnx.explain.Explanation`).

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
    for name, value in (("fullgraph", fullgraph), ("disable", disable), ("static", static)):
        if not isinstance(value, bool):
            raise TypeError(f"compile: {name} must be a bool, got {value!r}")
    if mode is not None and mode not in _MODES_OF_PYTORCH:
        raise ValueError(f"compile: mode must be one of {', '.join(_MODES_OF_PYTORCH)}, got {mode!r}")
    if backend is not None and not isinstance(backend, str) and not callable(backend):
        raise TypeError(f"compile: backend must be a name or a function, got {backend!r}")
    if options is not None and not isinstance(options, dict):
        raise TypeError(f"compile: options must be a dict, got {options!r}")
    if model is None:
        return lambda function: compile(function, fullgraph=fullgraph, disable=disable, static=static)
    if not callable(model):
        raise TypeError(f"compile: needs a function or a module, got {type(model).__name__}")
    if disable or _setting() == "0":
        return model
    if static:
        return Static(model, fullgraph)
    if isinstance(model, type) or not hasattr(model, "_compiled"):
        return _matched(model)
    model._compiled = Matched()
    return model


_MODES_OF_PYTORCH = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


def _setting() -> str:
    value = os.environ.get("CNNX_COMPILE") or "1"
    if value not in ("0", "1", "check"):
        raise ValueError(f"CNNX_COMPILE={value}: 0, 1 or check")
    return value
