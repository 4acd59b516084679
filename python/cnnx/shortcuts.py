"""Whether a native shortcut would do what an object does: the one question to ask before taking one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MISSING = object()
_GETATTRIBUTE = vars(object)["__getattribute__"]


def lookup(kind: type, name: str, default: Any = None) -> Any:
    """What the class itself has under `name`, unbound, as Python finds it for special methods."""
    for cls in kind.__mro__:
        if name in cls.__dict__:
            return cls.__dict__[name]
    return default


class AsShipped:
    """The methods of a class that a shortcut stands for, and the attributes that it reads.

    They are remembered as they are now, so that a subclass's methods, replaced ones, ones put on an object
    and attributes that have become properties are all told apart. A subclass that changes anything else
    still passes; a proxy, which is no subclass, never does.

    Parameters
    ----------
    cls
        The class.
    methods
        Names of methods and properties (or of what the class must not have).
    attributes
        Names of what its objects hold, or the class for them where they do not.
    """

    def __init__(self, cls: type, methods: Iterable[str], attributes: Iterable[str] = ()) -> None:
        self._cls = cls
        self._methods = {name: lookup(cls, name) for name in methods}
        self._attributes = {name: lookup(cls, name, MISSING) for name in attributes}

    def holds_for(self, value: Any) -> bool:
        """True if `value` runs these methods and holds these attributes itself."""
        kind = type(value)  # not __class__, which a proxy forwards
        if self._cls not in kind.__mro__ or lookup(kind, "__getattribute__") is not _GETATTRIBUTE:
            return False
        own = value.__dict__
        for name in self._methods:
            if not self.runs(value, name):
                return False
        return all(_holds(own, kind, name, default) for name, default in self._attributes.items())

    def runs(self, value: Any, name: str) -> bool:
        """True if this one of the methods is the class's own, unchanged, in `value`."""
        return name not in value.__dict__ and lookup(type(value), name) is self._methods[name]


def _holds(own: dict[str, Any], kind: type, name: str, default: Any) -> bool:
    found = lookup(kind, name, MISSING)
    if name not in own:
        return found is default and found is not MISSING
    # A property or the like comes before what the object holds.
    return not hasattr(type(found), "__set__") and not hasattr(type(found), "__delete__")
