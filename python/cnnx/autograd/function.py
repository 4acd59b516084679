"""Functions whose gradient the user writes in Python."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from cnnx import _C
from cnnx.devices import device_of

if TYPE_CHECKING:
    from cnnx.tensor import Tensor

_Function = TypeVar("_Function", bound=Callable[..., Any])

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What `forward` leaves for `backward`: saved tensors, and any attributes.

    Attributes
    ----------
    needs_input_grad : tuple of bool
        For each argument of `apply`, whether it is a tensor that requires a gradient.
    """

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self) -> None:
        self._to_save: tuple[Any, ...] = ()
        self._recorded: list[Any] | None = None
        self._saved: tuple[
            tuple[Any, int, bool] | None, ...
        ] = ()  # tensor (None: a hook has it), version, ...
        self._dirty: tuple[Any, ...] = ()
        self._non_differentiable: tuple[Any, ...] = ()
        self._materialize_grads = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors, arguments and results among them, for `saved_tensors`.

        A tensor kept as an attribute works too, but a result kept so would never be freed, and a change in
        place would not be noticed.
        """
        for i, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, _C.TensorBase):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {i} is of type "
                    f"{type(tensor).__name__}"
                )
        self._to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keeps nothing: the tensors are for `jvp`, and there is no forward mode that would call it."""

    def mark_dirty(self, *args: Tensor) -> None:
        """Says which arguments `forward` changes in place. It must return them."""
        self._dirty = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Says which results have no gradient. Those of integer types never have one."""
        self._non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default) or None for results that no gradient came back from."""
        self._materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` kept, cut off from the graph unless `backward` is recorded itself.

        Raises
        ------
        RuntimeError
            If one was changed in place since.
        """
        if self._recorded is not None:
            recorded = iter(self._recorded)
            found = [None if kept is None else next(recorded) for kept in self._saved]
            if not _C.is_grad_enabled():
                found = [
                    _cut(value, kept[2]) if kept else None
                    for value, kept in zip(found, self._saved, strict=True)
                ]
            return tuple(found)
        tensors: list[Tensor | None] = []
        for kept in self._saved:
            if kept is None:
                tensors.append(None)
                continue
            value, version, requires_grad = kept
            if value._version != version:
                raise RuntimeError(
                    f"saved_tensors: a tensor of shape {tuple(value.shape)} was changed in place "
                    f"after it was saved (version {value._version}, expected {version})"
                )
            tensors.append(_cut(value, requires_grad))
        return tuple(tensors)

    def _seal(self) -> None:
        """Keeps aliases without history: a result would otherwise hold its own node, and nothing ends."""
        packed = _C.has_saved_hooks()
        self._saved = tuple(
            None if t is None else (None if packed else t._detach(), t._version, t.requires_grad)
            for t in self._to_save
        )
        self._to_save = self._dirty = self._non_differentiable = ()


def _cut(value: Any, requires_grad: bool) -> Any:
    """An alias without history."""
    value = value._detach()
    value.requires_grad = requires_grad
    return value


def _among(tensor: Any, others: Sequence[Any]) -> bool:
    return any(tensor is other for other in others)


class Function:
    """An operation with a gradient of its own: a subclass defines `forward` and `backward`, both static.

    ``forward(ctx, *args)`` gets what `apply` was called with and computes results without being recorded;
    ``backward(ctx, *grad_outputs)`` gets the gradient of every result and returns one for every argument
    of `forward`, None for what is no tensor or needs none. Or `forward` comes without ``ctx``, and
    ``setup_context(ctx, inputs, output)`` does what it would do with it. There is neither a forward mode nor
    vmap, so `jvp`, `vmap` and `generate_vmap_rule` may be defined and have no use.

    Examples
    --------
    >>> import cnnx
    >>> class Cube(cnnx.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return grad * 3 * x**2
    >>> x = cnnx.tensor([1.0, 2.0], requires_grad=True)
    >>> Cube.apply(x).sum().backward()
    >>> x.grad
    tensor([ 3., 12.])
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.backward is not Function.backward and cls.vjp is not Function.vjp:
            raise TypeError(
                f"{cls.__name__}: backward and vjp are two names of one method; define one of them"
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Not there: a function has no instances."""
        raise RuntimeError(
            f"{type(self).__name__}: functions have static methods and no instances; call "
            f"{type(self).__name__}.apply(...)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Computes a tensor, or a tuple of tensors and other things."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Saves what `backward` needs, where `forward` takes no ``ctx``."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Computes the gradient of every argument of `forward`."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use "
            "it with backward mode AD."
        )

    vjp = backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Calls `forward`, and records the call if an argument requires a gradient.

        With `setup_context`, arguments may be named or left to their defaults; `backward` returns gradients
        for all of them.

        Returns
        -------
        What `forward` returned. An argument among it comes back as an alias, unless it is marked dirty.

        Raises
        ------
        RuntimeError
            If a leaf that requires a gradient, or a view, is changed in place.
        """
        own_context = cls.setup_context is not Function.setup_context
        code = getattr(cls.forward, "__code__", None)
        if own_context and (kwargs or code is None or code.co_argcount != len(args)):
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs
        if kwargs:
            raise TypeError(f"{cls.__name__}: apply takes no keyword arguments, got {', '.join(kwargs)}")
        ctx = FunctionCtx()
        ctx.needs_input_grad = tuple(isinstance(a, _C.TensorBase) and a.requires_grad for a in args)
        before = _C.is_grad_enabled()
        _C.set_grad_enabled(False)
        try:
            if own_context:
                returned = cls.forward(*args)
                cls.setup_context(ctx, args, returned)
            else:
                returned = cls.forward(ctx, *args)
        finally:
            _C.set_grad_enabled(before)
        single = not isinstance(returned, tuple)
        if single and not isinstance(returned, _C.TensorBase):
            raise TypeError(
                f"{cls.__name__}: expected Tensor or tuple of Tensors (got {type(returned).__name__}) for "
                "return"
            )
        results = [returned] if single else list(returned)
        for tensor in ctx._dirty:
            if not _among(tensor, args):
                raise RuntimeError(f"{cls.__name__}: mark_dirty got a tensor that is no argument")
            if not _among(tensor, results):
                raise RuntimeError(f"{cls.__name__}: forward must return the arguments that are marked dirty")
        differentiable = []
        for i, result in enumerate(results):
            if not isinstance(result, _C.TensorBase):
                continue
            dirty, final = _among(result, ctx._dirty), _among(result, ctx._non_differentiable)
            # What has a history or is an argument comes back under a name of its own.
            if not dirty and (result.requires_grad or _among(result, args) or _among(result, results[:i])):
                results[i] = result._detach()
            if result.dtype.is_floating_point and not final:
                differentiable.append(i)
        if before and any(ctx.needs_input_grad) and differentiable:
            cls._record(ctx, args, results, differentiable)
        return results[0] if single else tuple(results)

    @classmethod
    def _record(cls, ctx: FunctionCtx, args: tuple[Any, ...], results: list[Any], places: list[int]) -> None:
        saved = [t for t in ctx._to_save if t is not None]
        ctx._seal()
        name = cls.__name__
        inputs = [a for a in args if isinstance(a, _C.TensorBase)]
        wanted = [(tuple(a.shape), a.dtype) if isinstance(a, _C.TensorBase) else None for a in args]
        made = [
            (tuple(r.shape), r.dtype, str(device_of(r))) if isinstance(r, _C.TensorBase) else None
            for r in results
        ]

        def run(recorded: list[Any] | None, *arrived: Tensor | None) -> list[Tensor | None]:
            grads: list[Any] = [None] * len(made)
            for place, grad in zip(places, arrived, strict=True):
                grads[place] = grad
            if ctx._materialize_grads:
                for i, kind in enumerate(made):
                    if grads[i] is None and kind is not None:
                        grads[i] = _C.zeros(*kind)
            backward = cls.backward if cls.backward is not Function.backward else cls.vjp
            ctx._recorded = recorded
            try:
                return _checked(name, ctx, wanted, backward(ctx, *grads))
            finally:
                ctx._recorded = None

        _C.record(name, [results[i] for i in places], inputs, saved, run)


def _checked(name: str, ctx: FunctionCtx, wanted: list[Any], returned: Any) -> list[Tensor | None]:
    """What `backward` returned, as one gradient for each argument that is a tensor."""
    grads = list(returned) if isinstance(returned, tuple) else [returned]
    if len(grads) > len(wanted) and all(grad is None for grad in grads[len(wanted) :]):
        del grads[len(wanted) :]
    if len(grads) != len(wanted):
        raise RuntimeError(
            f"function {name}Backward returned an incorrect number of gradients (expected {len(wanted)}, got "
            f"{len(grads)})"
        )
    result: list[Tensor | None] = []
    for i, (grad, kind, needed) in enumerate(zip(grads, wanted, ctx.needs_input_grad, strict=True)):
        if grad is not None and not isinstance(grad, _C.TensorBase):
            raise TypeError(
                f"function {name}Backward: expected a tensor or None at position {i + 1}, got "
                f"{type(grad).__name__}"
            )
        if kind is None:
            if grad is not None:
                raise RuntimeError(
                    f"function {name}Backward returned a gradient different from None at position {i + 1}, "
                    "but the corresponding forward input was not a Variable"
                )
            continue
        result.append(_fitted(name, i, grad, *kind) if grad is not None and needed else None)
    return result


def _fitted(name: str, i: int, grad: Any, shape: tuple[int, ...], dtype: Any) -> Tensor:
    """A gradient of the argument's shape and dtype: what was broadcast is summed."""
    if tuple(grad.shape) != shape:
        extra = grad.ndim - len(shape)
        pairs = list(zip(grad.shape[extra:], shape, strict=True)) if extra >= 0 else [(0, 1)]
        if extra < 0 or any(theirs not in (ours, 1) for ours, theirs in pairs):
            raise RuntimeError(
                f"Function {name}Backward returned an invalid gradient at index {i} - got {list(grad.shape)} "
                f"but expected shape compatible with {list(shape)}"
            )
        dims = list(range(extra)) + [extra + k for k, (ours, theirs) in enumerate(pairs) if ours != theirs]
        grad = _C.reshape(_C.sum(grad, dims, True), shape)
    result: Tensor = grad if grad.dtype == dtype else _C.to(grad, dtype)
    return result


def once_differentiable(function: _Function) -> _Function:
    """Marks a `backward` that cannot be differentiated again: a pass through its gradients raises.

    Raises
    ------
    RuntimeError
        In that pass.
    """

    @functools.wraps(function)
    def once(ctx: FunctionCtx, *grads: Any) -> Any:
        before = _C.is_grad_enabled()
        saved = [t for t in ctx.saved_tensors if t is not None] if before else []
        _C.set_grad_enabled(False)
        try:
            returned = function(ctx, *grads)
        finally:
            _C.set_grad_enabled(before)
        sources = [t for t in (*grads, *saved) if isinstance(t, _C.TensorBase) and t.requires_grad]
        if not before or not sources:
            return returned
        results = list(returned) if isinstance(returned, tuple) else [returned]
        made = [t._detach() if isinstance(t, _C.TensorBase) else t for t in results]

        def refuse(*_: Any) -> Any:
            raise RuntimeError(
                "trying to differentiate twice a function that was marked with @once_differentiable"
            )

        _C.record("once_differentiable", [t for t in made if t is not None], sources, [], refuse)
        return tuple(made) if isinstance(returned, tuple) else made[0]

    return once  # type: ignore[return-value]
