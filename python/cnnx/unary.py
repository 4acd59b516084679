"""Functions of one tensor, each with a method and one in place, made of the rows of csrc/kernels/unary.def.

Type checkers find them in the stubs of the native module, which tools/make_stubs.py writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cnnx import _C
from cnnx.signatures import misused

if TYPE_CHECKING:
    from cnnx._C import *  # noqa: F403
    from cnnx.tensor import Tensor


class _Unary:
    """The functions as methods."""

    __slots__ = ()


def _function(name: str, documentation: str) -> Callable[[Tensor], Tensor]:
    native: Callable[[Tensor], Tensor] = getattr(_C, name)

    def function(input: Tensor) -> Tensor:
        try:
            return native(input)
        except TypeError as error:
            misuse = misused(function, (input,), {})
            if misuse is None:
                raise
            raise misuse from error

    function.__name__ = function.__qualname__ = name
    function.__doc__ = documentation
    return function


def _in_place(name: str) -> Callable[[Tensor], Tensor]:
    native: Callable[[Tensor], Tensor] = getattr(_C, f"{name}_")

    def method(self: Tensor) -> Tensor:
        return native(self)

    method.__name__ = f"{name}_"
    method.__qualname__ = f"_Unary.{name}_"
    method.__doc__ = f"`{name}` in place."
    return method


for _name, _documentation in _C.unary.items():
    globals()[_name] = _function(_name, _documentation)
    setattr(_Unary, _name, globals()[_name])
    setattr(_Unary, f"{_name}_", _in_place(_name))

if not TYPE_CHECKING:  # which the stubs tell type checkers
    __all__ = list(_C.unary)
