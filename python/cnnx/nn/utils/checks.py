"""What the helpers of modules ask of their arguments."""

from __future__ import annotations

from typing import Any

from ..module import Module


def check_modules(op: str, *given: Any) -> None:
    """Raises TypeError, naming the function, for what is no module."""
    for value in given:
        if not isinstance(value, Module):
            raise TypeError(f"{op}: expected a Module, got {type(value).__name__}")
