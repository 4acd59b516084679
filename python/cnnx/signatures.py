"""Errors of wrong arguments, told from the annotations of the function that was called.

Annotations are looked at only where a call has failed, so they cost nothing where it succeeds.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from cnnx import _C

Function = TypeVar("Function", bound=Callable[..., Any])

# Errors that come of an argument of another kind than was reckoned with.
INCIDENTAL = (AttributeError, TypeError, KeyError, IndexError)


def checked(function: Function) -> Function:
    """The function, but that errors from within become a TypeError that names it if an argument caused them.

    For functions that look into their arguments before native code does. Not for those of a training step, as
    the wrapper is a call more, nor for those that warn, as it is a frame more.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except INCIDENTAL as error:
            misuse = misused(function, args, kwargs)
            if misuse is None:
                raise
            raise misuse from error

    return call  # type: ignore[return-value]


def misused(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> TypeError | None:
    """What is wrong with the arguments of a call by the function's annotations; None if they agree."""
    signature = inspect.signature(function)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        return TypeError(f"{function.__name__}: {error}")
    for name, value in bound.arguments.items():
        parameter = signature.parameters[name]
        wanted = str(parameter.annotation).replace("builtins.", "")
        values = value if parameter.kind is parameter.VAR_POSITIONAL else (value,)
        for given in values:
            if parameter.annotation is not parameter.empty and not _is_one_of(given, wanted):
                array = "Tensor" in wanted and isinstance(given, np.ndarray)
                hint = ": cnnx.from_numpy() or cnnx.tensor() makes a tensor of it" if array else ""
                return TypeError(
                    f"{function.__name__}: {name} must be {wanted}, got {type(given).__name__}{hint}"
                )
    return None


def not_tensors(op: str, **arguments: Any) -> TypeError:
    """The error for arguments of which one should be a tensor and is none."""
    for name, value in arguments.items():
        if not isinstance(value, _C.TensorBase):
            return TypeError(f"{op}: {name} must be a Tensor, got {type(value).__name__}")
    return TypeError(f"{op}: expected tensors")


def _is_one_of(value: Any, wanted: str) -> bool:
    return any(_is(value, kind) for kind in _alternatives(wanted))


def _alternatives(wanted: str) -> Iterator[str]:
    depth, start = 0, 0
    for at, letter in enumerate(wanted):
        depth += (letter == "[") - (letter == "]")
        if letter == "|" and depth == 0:
            yield wanted[start:at].strip()
            start = at + 1
    yield wanted[start:].strip()


def _is(value: Any, kind: str) -> bool:
    """Whether a value is of a kind of annotation; what is not known here agrees."""
    outer, bracket, inner = kind.partition("[")
    if bracket and outer in ("Sequence", "Iterable", "list", "tuple"):
        if (
            isinstance(value, (str, bytes))
            or not hasattr(value, "__iter__")
            or getattr(value, "ndim", 1) == 0
        ):
            return False
        item = inner[:-1].removesuffix(", ...")
        plain = "," not in item and hasattr(value, "__len__")  # not what can be read but once
        return not plain or all(_is_one_of(element, item) for element in value)
    if kind == "None":
        return value is None
    if kind == "Tensor":
        return isinstance(value, _C.TensorBase)
    if kind == "int":
        return hasattr(value, "__index__") and not isinstance(value, type)
    if kind in ("float", "bool"):
        number = hasattr(value, "__float__") or hasattr(value, "__index__")
        return number and not isinstance(value, type)
    if kind == "str":
        return isinstance(value, str)
    return not (kind == "Optimizer" and not hasattr(value, "param_groups"))
