"""Parameters and buffers of lazy modules: without a tensor until the first batch gives them shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import cnnx

from .. import _C
from ..tensor import Tensor
from .parameter import Buffer, Parameter

__all__ = ["UninitializedBuffer", "UninitializedParameter", "is_lazy"]


class _WithoutTensor(type(_C.TensorBase)):  # type: ignore[misc]
    """Makes objects without a native part: whatever native gets them raises ValueError."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made: Any = cls.__new__(cls)
        made.__init__(*args, **kwargs)
        return made


class _Uninitialized:
    """What such parameters and buffers share: all that is known before there is a tensor."""

    cls_to_become: type[Tensor]
    grad: Any = None
    is_leaf = True
    grad_fn = None

    def _set_kind(self, requires_grad: bool, device: Any, dtype: Any) -> None:
        like = cnnx.empty(0, device=device, dtype=dtype)
        self.__dict__.update(requires_grad=requires_grad, device=like.device, dtype=like.dtype)

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Becomes an ordinary one of that shape, not yet initialised.

        Parameters
        ----------
        shape : sequence of int
            Its shape.
        device, dtype : optional
            Default: those it was made with.
        """
        known = dict(self.__dict__)
        for name in ("requires_grad", "device", "dtype"):
            del self.__dict__[name]
        device = known["device"] if device is None else device
        dtype = known["dtype"] if dtype is None else dtype
        _C.TensorBase.__init__(self, cnnx.empty(tuple(shape), device=device, dtype=dtype))  # type: ignore[arg-type]
        self.__class__ = self.cls_to_become  # type: ignore[assignment]
        self.requires_grad = known["requires_grad"]

    def _convert(self, function: Callable[[Tensor], Tensor]) -> None:
        """Moves to the dtype and device that a function would move a tensor to."""
        like = function(cnnx.empty(0, device=self.__dict__["device"], dtype=self.__dict__["dtype"]))
        self.__dict__.update(device=like.device, dtype=like.dtype)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Says whether a gradient will be wanted."""
        self.__dict__["requires_grad"] = requires_grad
        return self

    @property
    def shape(self) -> NoReturn:
        """Not there yet."""
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call "
            "`forward` to initialize the parameters before accessing their attributes."
        )

    def is_floating_point(self) -> bool:
        """Whether the dtype is float32 or float64."""
        return bool(self.__dict__["dtype"].is_floating_point)

    def __getattribute__(self, name: str) -> Any:
        own = object.__getattribute__(self, "__dict__")  # before the properties of tensors
        return own[name] if name in own else object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "requires_grad":
            self.__dict__[name] = value
        elif name == "grad":
            if value is not None:
                raise ValueError("grad: an uninitialized parameter has none; call the lazy module once")
        else:
            super().__setattr__(name, value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = self._again()
        return memo[id(self)]

    def _again(self) -> Any:
        make, arguments = self.__reduce_ex__(2)
        return make(*arguments)

    def __reduce_ex__(self, protocol: Any) -> Any:
        own = self.__dict__
        return type(self), (own["requires_grad"], own["device"], own["dtype"])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(_Uninitialized, Parameter, metaclass=_WithoutTensor):
    """A parameter whose shape is not known yet: that of a lazy module before its first call.

    `materialize` makes a `Parameter` of it, the same object, so that an optimizer may have it already.

    Parameters
    ----------
    requires_grad : bool
        Default: True.
    device, dtype : optional
        Default: CPU, the default dtype.

    Raises
    ------
    ValueError
        When an op gets it.

    Examples
    --------
    >>> from cnnx import nn
    >>> p = nn.UninitializedParameter()
    >>> p
    <UninitializedParameter>
    >>> p.materialize((2, 3))
    >>> type(p).__name__, p.shape
    ('Parameter', cnnx.Size([2, 3]))
    """

    cls_to_become = Parameter

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        self._set_kind(requires_grad, device, dtype)


class UninitializedBuffer(_Uninitialized, Buffer, metaclass=_WithoutTensor):
    """A buffer whose shape is not known yet. As `UninitializedParameter`; it becomes a plain tensor.

    Parameters
    ----------
    requires_grad : bool
        Default: False.
    device, dtype : optional
        Default: CPU, the default dtype.
    persistent : bool
        Whether it is part of ``state_dict()``. Default: True.
    """

    cls_to_become = Tensor

    def __init__(
        self, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> None:
        self._set_kind(requires_grad, device, dtype)
        self.persistent = persistent


def is_lazy(param: Any) -> bool:
    """Whether a parameter or buffer is not initialised yet."""
    return isinstance(param, _Uninitialized)
