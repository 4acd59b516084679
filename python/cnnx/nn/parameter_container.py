"""Modules that hold parameters by number or by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, overload

from ..tensor import Tensor
from .container import position
from .module import Module
from .parameter import Parameter


class _Parameters(Module):
    """What both share: an entry is an attribute, so that parameters, modules and buffers are registered."""

    def _names(self) -> Iterable[str]:
        raise NotImplementedError

    def _put(self, name: str, value: Any) -> None:
        plain = isinstance(value, Tensor) and not isinstance(value, Parameter)
        setattr(self, name, Parameter(value) if plain else value)

    def extra_repr(self) -> str:
        """One line for each entry."""
        lines = []
        for name in self._names():
            value = getattr(self, name)
            what = f"Object of type: {type(value).__name__}"
            if isinstance(value, Tensor):
                kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
                what = f"{kind} containing: [{value.dtype} of size {'x'.join(map(str, value.shape))}]"
            lines.append(f"  ({name}): {what}")
        return "\n".join(lines)


class ParameterList(_Parameters):
    """A list of parameters, all registered. Tensors become parameters; other values are kept as they are.

    Parameters
    ----------
    values : iterable of Tensor or anything else, optional

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> scales = nn.ParameterList([cnnx.ones(2), cnnx.zeros(3, 1)])
    >>> scales
    ParameterList(
        (0): Parameter containing: [cnnx.float32 of size 2]
        (1): Parameter containing: [cnnx.float32 of size 3x1]
    )
    >>> [name for name, _ in scales.named_parameters()]
    ['0', '1']
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _names(self) -> Iterable[str]:
        return map(str, range(self._size))

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> ParameterList: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return getattr(self, str(position("ParameterList", index, self._size)))

    def __setitem__(self, index: int, value: Any) -> None:
        self._put(str(position("ParameterList", index, self._size)), value)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return (getattr(self, name) for name in self._names())

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def append(self, value: Any) -> ParameterList:
        """Adds one at the end; returns the list."""
        self._put(str(self._size), value)
        self._size += 1
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Adds several at the end; returns the list."""
        if isinstance(values, Tensor) or not isinstance(values, Iterable):
            raise TypeError(f"ParameterList.extend: needs an iterable, got {type(values).__name__}")
        for value in values:
            self.append(value)
        return self


class ParameterDict(_Parameters, MutableMapping[str, Any]):
    """Parameters by name, all registered. Tensors become parameters; other values are kept as they are.

    Parameters
    ----------
    parameters : mapping of str, or iterable of pairs, optional
    """

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    # A module is itself alone, whatever it holds.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def _names(self) -> Iterable[str]:
        return self._keys

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"ParameterDict: keys must be strings, got {type(key).__name__}")
        if key not in self._keys and hasattr(self, key):
            raise KeyError(f"ParameterDict: attribute {key!r} already exists")
        self._put(key, value)
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def copy(self) -> ParameterDict:
        """Another one with the same entries."""
        return type(self)([(key, self[key]) for key in self._keys])

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new one with these names, all of one value."""
        return type(self)([(key, default) for key in keys])

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __or__(self, other: Mapping[str, Any]) -> ParameterDict:
        copied = self.copy()
        copied.update(other)
        return copied

    def __ror__(self, other: Mapping[str, Any]) -> ParameterDict:
        copied = type(self)(other)
        copied.update(self)
        return copied

    def __ior__(self, other: Mapping[str, Any]) -> ParameterDict:
        self.update(other)
        return self

    def popitem(self) -> tuple[str, Any]:
        """Removes the entry that was added last; returns its name and value."""
        key = next(reversed(self._keys), None)
        if key is None:
            raise KeyError("popitem: the ParameterDict is empty")
        return key, self.pop(key)
