"""What a subclass may define in PyTorch and cnnx never uses: refused where the class is defined."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["refuse_overrides"]


def refuse_overrides(cls: type, names: Mapping[str, str]) -> None:
    """Raises if `cls` has one of `names`, of its own or from another base; for ``__init_subclass__``.

    Parameters
    ----------
    cls
        The class being defined.
    names
        Attributes that no class of cnnx has and nothing looks at, and for each what to do instead.

    Raises
    ------
    TypeError
        Naming the attribute.
    """
    for name, instead in names.items():
        if hasattr(cls, name):
            raise TypeError(f"{cls.__name__}: cnnx never uses {name}; {instead}")
