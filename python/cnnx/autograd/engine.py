"""Gradients on demand."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnx import _C
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


def _listed(tensors: Any) -> list[Any]:
    return [tensors] if tensors is None or isinstance(tensors, _C.TensorBase) else list(tensors)


def warn_of_cycles() -> None:
    """Says what `backward(create_graph=True)` leaves, as PyTorch does."""
    warnings.warn(
        "backward with create_graph=True: a leaf and its .grad then keep each other alive, and their memory "
        "with them; set .grad to None when it is done with, or use autograd.grad",
        stacklevel=3,
    )


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of `outputs` with respect to `inputs`; no `.grad` changes.

    Parameters
    ----------
    outputs
        A tensor or several.
    inputs
        Tensors that the outputs were made from: leaves or results.
    grad_outputs
        The gradient of each output, of its shape; None for scalars.
    retain_graph
        Keep the graph for another pass. Default: `create_graph`.
    create_graph
        Record the pass, so that the gradients can be differentiated themselves. Default: False.
    allow_unused
        Give None for an input that the outputs do not depend on, instead of raising.

    Raises
    ------
    RuntimeError
        If an input needs no gradient or was not used, or if with `create_graph` a gradient is not
        differentiable.

    Examples
    --------
    The second derivative of a cube:

    >>> import cnnx
    >>> x = cnnx.tensor(2.0, requires_grad=True)
    >>> (slope,) = cnnx.autograd.grad(x**3, x, create_graph=True)
    >>> cnnx.autograd.grad(slope, x)
    (tensor(12.),)
    """
    given = [] if grad_outputs is None else _listed(grad_outputs)
    return tuple(
        _C.grad(
            _listed(outputs),
            _listed(inputs),
            given,
            bool(retain_graph),
            bool(allow_unused),
            bool(create_graph),
        )
    )


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """`backward()` of every tensor given; with `create_graph` recorded, as in `grad`."""
    if create_graph:
        warn_of_cycles()
    roots = _listed(tensors)
    given = [None] * len(roots) if grad_tensors is None else _listed(grad_tensors)
    if len(given) != len(roots):
        raise RuntimeError(f"backward: {len(given)} gradients for {len(roots)} tensors")
    for i, (root, gradient) in enumerate(zip(roots, given, strict=True)):
        # A later root may share the graph of this one.
        _C.backward(root, gradient, bool(retain_graph) or i + 1 < len(roots), bool(create_graph))


@checked
def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:  # noqa: N802
    """`data` itself, from the days when tensors and variables were two things."""
    if requires_grad:
        data.requires_grad = True
    return data
