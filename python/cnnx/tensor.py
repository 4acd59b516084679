"""The class Tensor. The functions of the package that take a tensor first are its methods as well."""

from __future__ import annotations

import builtins
import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cnnx import _C, creation, dlpack, dtypes
from cnnx.absent import MissingNameError
from cnnx.conversions import Conversions
from cnnx.devices import device, device_of
from cnnx.hooks import RemovableHandle, TensorHook
from cnnx.inplace import InPlace
from cnnx.methods import Methods
from cnnx.operators import Operators
from cnnx.overrides import refuse_overrides
from cnnx.size import Size

_NEVER_CALLED = {
    "__torch_function__": "define the methods and operators of the class themselves",
    "__torch_dispatch__": "define the methods and operators of the class themselves",
    "module_load": "define nn.Module._load_from_state_dict of the module instead",
}


class GradFn:
    """What `Tensor.grad_fn` shows: the op that made a tensor."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        """The op's name, for example `Conv2dBackward`."""
        return "".join(part[:1].upper() + part[1:] for part in self._name.split("_")) + "Backward"

    def __repr__(self) -> str:
        return f"<{self.name()}>"


class Tensor(Operators, InPlace, Methods, Conversions, _C.TensorBase):
    """A multi-dimensional array of one dtype that autograd can follow.

    Make one with `cnnx.tensor`, `cnnx.zeros` and their like. `Tensor(data)` takes a tensor, array or nested
    list as float32, and `Tensor(2, 3)` gives a tensor of that shape with unspecified content, as in PyTorch.
    The results of ops are plain tensors, also where the operands are of a subclass.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, _NEVER_CALLED)

    def __init__(self, *data: Any) -> None:
        if len(data) == 1 and isinstance(data[0], _C.TensorBase):
            source = data[0]
        elif not data:
            source = creation.empty(0)
        elif all(isinstance(extent, int) for extent in data) or isinstance(data[0], Size):
            source = creation.empty(*data)
        elif len(data) == 1:
            source = creation.tensor(data[0], dtype=dtypes.get_default_dtype())
        else:
            raise TypeError(f"Tensor: expected one array or list, or the ints of a shape, got {data!r}")
        super().__init__(source)

    # What it is.

    @property
    def device(self) -> device:
        """Where the tensor lives."""
        return device_of(self)

    @property
    def is_cuda(self) -> bool:
        """Whether it lives on a GPU."""
        return self._cuda_index >= 0

    @property
    def layout(self) -> str:
        """`"strided"`: cnnx has dense tensors alone."""
        return "strided"

    @property
    def is_cpu(self) -> bool:
        """Whether the tensor is in the CPU's memory."""
        return self._cuda_index < 0

    def get_device(self) -> int:
        """The number of the GPU, -1 on the CPU."""
        return int(self._cuda_index)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the extent of one dimension."""
        if dim is None:
            return self.shape
        try:
            return self.shape[dim]
        except IndexError:
            raise IndexError(f"size: dim {dim} is out of range for {self.ndim} dimensions") from None

    def dim(self) -> int:
        """The number of dimensions."""
        return self.ndim

    ndimension = dim

    def nelement(self) -> int:
        """The number of elements."""
        return self.numel()

    def element_size(self) -> int:
        """The bytes of one element."""
        return int(self.dtype.itemsize)

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return int(self.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.numel() * self.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        return int(_C.data_pointer(self))

    def is_floating_point(self) -> bool:
        """Whether the dtype is float32 or float64."""
        return bool(self.dtype.is_floating_point)

    def is_complex(self) -> bool:
        """False: there are no complex numbers."""
        return False

    def is_nonzero(self: Any) -> bool:
        """Whether the single element differs from 0."""
        return bool(self)

    @property
    def is_sparse(self) -> bool:
        """False."""
        return False

    @property
    def is_mps(self) -> bool:
        """False."""
        return False

    def stride(self, dim: int | None = None) -> Any:
        """The steps, in elements, of all dimensions or of one."""
        strides = super().stride()
        if dim is None:
            return strides
        try:
            return strides[dim]
        except IndexError:
            raise IndexError(f"stride: dim {dim} is out of range for {self.ndim} dimensions") from None

    def pin_memory(self: Any, device: Any = None) -> Tensor:
        """A copy in pinned (page-locked) memory, which a GPU reads by itself.

        `to("cuda", non_blocking=True)` does not wait then. The tensor itself if it is pinned, or where there
        is no GPU.

        Raises
        ------
        RuntimeError
            If it is on a GPU.
        """
        if not _C.cuda_device_count():
            return self  # type: ignore[no-any-return]
        return _C.pin_memory(self)

    def is_pinned(self: Any, device: Any = None) -> bool:
        """Whether the memory is pinned."""
        return bool(_C.is_pinned(self))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise MissingNameError("cnnx.Tensor", name, lambda: dir(Tensor))

    # Out of the tensor.

    def item(self) -> Any:
        """The one element as a Python number.

        Raises
        ------
        RuntimeError
            If there is not exactly one element.
        """
        return _C.item(self)

    def tolist(self) -> Any:
        """Nested lists of Python numbers; a number for a scalar."""
        return _C.numpy(_C.to_device(self, "cpu")).tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """A NumPy array that shares the tensor's memory.

        Parameters
        ----------
        force
            Detach and move to the CPU first, so that a tensor that requires a gradient or lives on a GPU is
            taken too.

        Raises
        ------
        RuntimeError
            If the tensor requires a gradient.
        TypeError
            If it is not on the CPU.
        """
        if self.requires_grad and not force:
            raise RuntimeError(
                "numpy: can't be called on a tensor that requires grad; use tensor.detach().numpy() instead"
            )
        array: np.ndarray[Any, Any] = _C.numpy(_C.to_device(self, "cpu") if force else self)
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(
                    f"__array__: {self.dtype} as {np.dtype(dtype)} needs a copy, but copy=False was asked for"
                )
            return array.astype(dtype)
        return array.copy() if copy else array

    __dlpack__ = dlpack.export

    def __dlpack_device__(self) -> tuple[builtins.int, builtins.int]:
        return (dlpack.CUDA, self.get_device()) if self.is_cuda else dlpack.CPU_DEVICE

    __cuda_array_interface__ = property(dlpack.cuda_array_interface)

    # Before ndarray's own operators, so that array + tensor is a tensor.
    __array_priority__ = 1000

    def __repr__(self) -> str:
        return _C.to_string(self)

    def __format__(self, spec: str) -> str:
        if self.ndim == 0:  # PyTorch too writes the number, not tensor(...)
            return format(self.item(), spec)
        return format(str(self), spec)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len: a tensor without dimensions has no length")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iter: a tensor without dimensions cannot be iterated over")
        return iter(_C.unbind(self, 0))

    def __bool__(self) -> bool:
        if self.numel() != 1:
            raise RuntimeError(
                f"bool: the truth of a tensor of shape {tuple(self.shape)} is ambiguous; use any() or all()"
            )
        return bool(_C.item(self))

    def __int__(self) -> int:
        return int(_C.item(self))

    def __float__(self) -> float:
        return float(_C.item(self))

    def __index__(self) -> int:
        if self.dtype.is_floating_point or self.numel() != 1:
            raise TypeError("index: only integer tensors of one element can be used as an index")
        return int(_C.item(self))

    __hash__ = object.__hash__

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (
            _rebuild,
            (
                type(self),
                np.array(self.numpy(force=True)),
                self.requires_grad,
                self.__dict__ or None,
                str(self.device),
            ),
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError("deepcopy: only leaf tensors can be copied deeply; call detach() first")
        if id(self) in memo:
            found: Tensor = memo[id(self)]
            return found
        copied = self.detach().clone()
        if type(self) is not Tensor:
            copied = type(self)(copied)
        copied.requires_grad = self.requires_grad
        if self.grad is not None:
            copied.grad = self.grad.detach().clone()
        if self.__dict__:
            copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        memo[id(self)] = copied
        return copied

    # Autograd.

    def retain_grad(self) -> None:
        """Keeps the gradient of a result of an op in `.grad` on the next backward pass."""
        self._retain_grad()

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Calls `hook` with the tensor's gradient in every backward pass that computes it.

        Parameters
        ----------
        hook : callable
            Gets the gradient, must not change it, and may return one to go on with in its place. Hooks run in
            the order they were added; those of a leaf once per pass, on the whole gradient.

        Returns
        -------
        RemovableHandle
            Its `remove()` takes the hook away.

        Raises
        ------
        RuntimeError
            If the tensor does not require a gradient.

        Examples
        --------
        >>> import cnnx
        >>> x = cnnx.ones(2, requires_grad=True)
        >>> handle = x.register_hook(lambda grad: grad * 10)
        >>> x.sum().backward()
        >>> x.grad
        tensor([10., 10.])
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: the tensor does not require a gradient")
        return TensorHook(self, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Calls `hook` with the tensor itself when a backward pass has added to its `.grad`.

        Parameters
        ----------
        hook : callable
            Gets the tensor once per pass, at its end, and must return None. It may use and drop `.grad`.

        Returns
        -------
        RemovableHandle
            Its `remove()` takes the hook away.

        Raises
        ------
        RuntimeError
            If the tensor does not require a gradient or is the result of an op.

        Examples
        --------
        >>> import cnnx
        >>> x = cnnx.ones(2, requires_grad=True)
        >>> handle = x.register_post_accumulate_grad_hook(lambda leaf: print(leaf.grad))
        >>> (x * 3).sum().backward()
        tensor([3., 3.])
        """
        return TensorHook(self, hook, after=True)

    def detach_(self) -> Tensor:
        """Drops the history of this tensor itself."""
        self._detach_()
        return self

    @property
    def grad_fn(self) -> GradFn | None:
        """The op that made the tensor; None for a leaf."""
        name = self._grad_fn_name
        return GradFn(name) if name else None

    @property
    def data(self) -> Tensor:
        """The same memory without history; assigning gives the tensor another's memory.

        A backward pass does not notice when it is changed in place, as it does of what `detach` gives.
        """
        return self._uncounted()

    @data.setter
    def data(self, source: Tensor) -> None:
        from cnnx import noting

        noting.refuse("a tensor is given other memory")
        self._set_data(source)

    def detach(self) -> Tensor:
        """A view of the same memory without history."""
        return self._detach()

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Sets whether autograd follows the tensor, and returns it."""
        self.requires_grad = requires_grad
        return self

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Adds the gradients of this tensor to the `.grad` of every leaf it was made from.

        Parameters
        ----------
        gradient
            The gradient of the tensor itself, of its shape; may be left out for a scalar.
        retain_graph
            Keep the graph for another backward pass. Default: `create_graph`.
        create_graph
            Record the pass, so that the gradients can be differentiated themselves. A leaf and its `.grad`
            then keep each other alive until `.grad` is None; with `cnnx.autograd.grad` nothing does.
            Default: False.

        Raises
        ------
        RuntimeError
            If the tensor has no history, the graph was freed by an earlier pass, a value that is needed was
            changed in place since, or with `create_graph` a gradient is not differentiable.
        NotImplementedError
            For `inputs`.
        """
        if inputs is not None:
            raise NotImplementedError("backward: inputs is not supported; use cnnx.autograd.grad")
        if create_graph:
            from cnnx.autograd.engine import warn_of_cycles

            warn_of_cycles()
        _C.backward(self, gradient, bool(retain_graph), bool(create_graph))

    def where(self, condition: Tensor, other: Any) -> Tensor:
        """The tensor's elements where `condition` holds, else those of `other`."""
        return _C.where(condition, self, other)

    @property
    def T(self) -> Tensor:  # noqa: N802
        """A view with the order of the dimensions reversed."""
        return _C.permute(self, list(range(self.ndim - 1, -1, -1)))

    @property
    def mT(self) -> Tensor:  # noqa: N802
        """A view with the last two dimensions swapped."""
        if self.ndim < 2:
            raise RuntimeError(f"mT: needs at least two dimensions, got shape {tuple(self.shape)}")
        return _C.transpose(self, -2, -1)


def _rebuild(
    cls: Any,
    array: np.ndarray[Any, Any],
    requires_grad: bool,
    attributes: dict[str, Any] | None,
    device: str = "cpu",
) -> Tensor:
    result: Tensor = _C.to_device(_C.from_numpy(array, True), device)
    if cls is not Tensor:
        result = cls(result)
    result.requires_grad = requires_grad
    if attributes:
        result.__dict__.update(attributes)
    return result


_C.set_tensor_class(Tensor)
_C.set_size_class(Size)
