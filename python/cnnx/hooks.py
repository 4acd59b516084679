"""Handles of registered hooks, of modules and tensors."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any

from cnnx import _C


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
        self._places = [hooks]
        hooks[self.id] = hook
        if prepend:
            hooks.move_to_end(self.id, last=False)

    def flag(self, numbers: OrderedDict[int, bool]) -> None:
        """Notes the hook's number there too, until it is removed."""
        numbers[self.id] = True
        self._places.append(numbers)

    def remove(self) -> None:
        """Removes the hook; a second call does nothing."""
        for place in self._places:
            place.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class _LeafHooks(OrderedDict[int, Any]):
    """The hooks of a leaf by number. Copies of the tensor have none."""

    def __reduce__(self) -> Any:
        return (_LeafHooks, ())

    def __deepcopy__(self, memo: dict[int, Any]) -> _LeafHooks:
        return _LeafHooks()


class TensorHook(RemovableHandle):
    """Calls `hook` with the gradient of `tensor` in every backward pass; `after`: with the leaf itself.

    The graph holds the hook of a result, and drops it when it is freed. A leaf holds its hooks in Python,
    where the garbage collector sees them, since a hook often refers to its tensor.
    """

    def __init__(self, tensor: Any, hook: Any, after: bool = False) -> None:
        if not tensor.is_leaf and not after:
            super().__init__(OrderedDict(), None)
            self._native = _C.register_hook(tensor, hook)
            return
        hooks = tensor.__dict__.setdefault("_backward_hooks", _LeafHooks())
        super().__init__(hooks, hook)
        weak, number = weakref.ref(hooks), self.id

        def call(gradient: Any) -> Any:
            held = weak()
            found = None if held is None else held.get(number)
            return None if found is None else found(gradient)

        register = _C.register_post_accumulate_grad_hook if after else _C.register_hook
        self._native = register(tensor, call)

    def remove(self) -> None:
        """Removes the hook; a second call does nothing."""
        self._native.remove()
        super().remove()
