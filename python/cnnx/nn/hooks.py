"""Handles of registered hooks."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


class RemovableHandle:
    """Removes a hook. The ``register_*_hook`` methods return it; as a context manager it removes at the end.

    Parameters
    ----------
    hooks : OrderedDict
        Where the hook is kept.
    prepend : bool
        Whether the hook goes before those that are there. Default: False.
    """

    _next_id = 0

    def __init__(self, hooks: OrderedDict[int, Any], hook: Any, prepend: bool = False) -> None:
        self.id = RemovableHandle._next_id
        RemovableHandle._next_id += 1
        self._hooks = hooks
        hooks[self.id] = hook
        if prepend:
            hooks.move_to_end(self.id, last=False)

    def remove(self) -> None:
        """Removes the hook; a second call does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()
