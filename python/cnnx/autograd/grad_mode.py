"""Switching recording off and on."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, TypeVar

from cnnx import _C

_Function = TypeVar("_Function", bound=Callable[..., Any])

is_grad_enabled = _C.is_grad_enabled


class _Switched:
    """A mode of the thread inside a `with` block or a decorated function.

    Here it is whether calls are recorded.
    """

    _mode = False
    _is_enabled = staticmethod(_C.is_grad_enabled)
    _enable = staticmethod(_C.set_grad_enabled)

    def __new__(cls, function: Any = None, *args: Any, **kwargs: Any) -> Any:
        instance = super().__new__(cls)
        if callable(function):  # @no_grad without parentheses
            instance._previous = []
            return instance(function)
        return instance

    def __init__(self) -> None:
        self._previous: list[bool] = []

    def __enter__(self) -> None:
        self._previous.append(self._is_enabled())
        self._enable(self._mode)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enable(self._previous.pop())

    def _again(self) -> _Switched:
        return type(self)()

    def __call__(self, function: _Function) -> _Function:
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generate(*args: Any, **kwargs: Any) -> Generator[Any, None, Any]:
                # Switched for the body alone, not for whoever consumes what it yields.
                steps = function(*args, **kwargs)
                while True:
                    with self._again():
                        try:
                            item = next(steps)
                        except StopIteration as stop:
                            return stop.value
                    yield item

            return generate  # type: ignore[return-value]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return call  # type: ignore[return-value]


class no_grad(_Switched):  # noqa: N801
    """Switches recording off in a `with` block or, as a decorator, in a function.

    For evaluation and for updates in place.

    Examples
    --------
    >>> import cnnx
    >>> w = cnnx.ones(2, requires_grad=True)
    >>> with no_grad():
    ...     w -= 0.5
    >>> w
    tensor([0.5000, 0.5000], requires_grad=True)
    """

    _mode = False


class enable_grad(_Switched):  # noqa: N801
    """Switches recording on inside `no_grad`."""

    _mode = True


class inference_mode(_Switched):  # noqa: N801
    """Like `no_grad`; `inference_mode(False)` is `enable_grad`."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._mode = not mode

    def _again(self) -> _Switched:
        return type(self)(not self._mode)


class set_grad_enabled(_Switched):  # noqa: N801
    """Switches recording on or off at once; in a `with` block, until its end."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self._mode = bool(mode)
        self._before = _C.is_grad_enabled()
        _C.set_grad_enabled(self._mode)

    def __enter__(self) -> None:
        self._previous.append(self._before)
        _C.set_grad_enabled(self._mode)

    def _again(self) -> _Switched:
        return type(self)(self._mode)

    def __call__(self, function: _Function) -> _Function:  # noqa: D102
        _C.set_grad_enabled(self._before)  # as a decorator it acts inside the function alone
        return super().__call__(function)
