"""Parameters and buffers: tensors that a module owns."""

from __future__ import annotations

from typing import Any

import cnnx

from .. import _C
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that is learned: assigned to a module's attribute, it appears in ``parameters()``.

    Parameters
    ----------
    data : Tensor, optional
        The initial value, of any shape. Its memory is shared, not copied. Default: an empty tensor.
    requires_grad : bool
        Whether a gradient is wanted. Default: True.

    Examples
    --------
    >>> import cnnx
    >>> p = cnnx.nn.Parameter(cnnx.zeros(2, 3))
    >>> p.requires_grad, p.is_leaf
    (True, True)
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        if data is None:
            data = cnnx.empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(f"Parameter: data must be a Tensor, got {type(data).__name__}")
        _C.TensorBase.__init__(self, data)
        if requires_grad:
            self.requires_grad = True

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that belongs to a module's state but is not learned.

    Assigned to a module's attribute, it is registered as a buffer.

    Parameters
    ----------
    data : Tensor, optional
        The initial value; its memory is shared, not copied. Default: an empty tensor.
    persistent : bool
        Whether it is part of ``state_dict()``. Default: True.
    """

    persistent: bool

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        if data is None:
            data = cnnx.empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(f"Buffer: data must be a Tensor, got {type(data).__name__}")
        _C.TensorBase.__init__(self, data)
        self.persistent = persistent

    def __deepcopy__(self, memo: dict[int, Any]) -> Buffer:
        known = memo.get(id(self))
        if known is None:
            known = type(self)(self.detach().clone(), persistent=self.persistent)
            memo[id(self)] = known
        return known


#: Stands for the parameters of a layer whose class is a user's and may have another `weight`, a property for
#: example: `forward` finds none here and takes the attributes. So it does where a parameter was taken out.
NO_SHORTCUT: dict[str, Any] = {}


def empty_parameter(device: Any, dtype: Any, *shape: int) -> Parameter:
    """A parameter of that shape, not yet initialised."""
    return Parameter(cnnx.empty(*shape, device=device, dtype=dtype))
