"""Checking gradients against differences."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import _C
from cnnx.autograd.engine import grad
from cnnx.creation import tensor

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


class GradcheckError(RuntimeError):
    """The gradients do not agree."""


def _results(name: str, returned: Any) -> list[Any]:
    """The tensors that a function returned."""
    results: list[Any] = [returned] if isinstance(returned, _C.TensorBase) else list(returned)
    for y in results:
        if not isinstance(y, _C.TensorBase):
            raise TypeError(f"{name}: the function must return tensors, returned {type(y).__name__}")
    return results


def _numerical(function: Callable[[], list[Any]], x: Any, eps: float) -> list[np.ndarray[Any, Any]]:
    """The Jacobians (elements of x, elements of each result) by central differences."""
    values = x.detach()  # shares memory: changes below are seen by the function
    columns: list[list[np.ndarray[Any, Any]]] = []
    for index in np.ndindex(*x.shape):
        element, ends = values[index], []
        original = element.item()
        for step in (eps, -eps):
            element.fill_(original + step)
            ends.append([np.array(y.detach().numpy(force=True), np.float64).ravel() for y in function()])
        element.fill_(original)
        columns.append([(up - down) / (2 * eps) for up, down in zip(*ends, strict=True)])
    return [np.array(rows) for rows in zip(*columns, strict=True)] if columns else []


def _analytical(results: list[Any], k: int, x: Any) -> np.ndarray[Any, Any]:
    """The Jacobian of result k by one backward pass per element."""
    y, rows = results[k], []
    for i in range(y.numel()):
        unit = np.zeros(y.numel())
        unit[i] = 1
        upstream = tensor(unit.reshape(tuple(y.shape)), dtype=y.dtype, device=y.device)
        (gradient,) = grad(y, x, upstream, retain_graph=True, allow_unused=True)
        rows.append(np.zeros(x.numel()) if gradient is None else np.array(gradient.numpy(force=True)).ravel())
    jacobian = np.zeros((y.numel(), x.numel()))
    if rows:
        jacobian[:] = rows
    transposed: np.ndarray[Any, Any] = jacobian.T
    return transposed


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compares the gradients of a function with central differences, element by element.

    Parameters
    ----------
    func : callable
        Takes `inputs` and returns a tensor or several.
    inputs : tuple of Tensor
        Those that require a gradient are checked; they should be float64.
    eps : float
        The step of the differences. Default: 1e-6.
    atol, rtol : float
        What may differ. Default: 1e-5 and 1e-3.
    raise_exception : bool
        Raise, and not return False, if the gradients do not agree. Default: True.
    nondet_tol : float
        How far the gradients of two passes may differ. Default: 0.
    check_undefined_grad, check_grad_dtypes, fast_mode, masked
        Taken for compatibility: gradients always have the dtype of their input, and every element is checked.
    check_batched_grad, check_batched_forward_grad, check_forward_ad
        Only False.

    Returns
    -------
    bool
        Whether the gradients agree.

    Raises
    ------
    GradcheckError
        If they do not.
    ValueError
        If no input requires a gradient.
    """
    if check_batched_grad or check_batched_forward_grad or check_forward_ad:
        raise NotImplementedError("gradcheck: batched gradients and forward mode are not available")
    given = (inputs,) if isinstance(inputs, _C.TensorBase) else tuple(inputs)
    checked = [(i, x) for i, x in enumerate(given) if isinstance(x, _C.TensorBase) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck expects at least one input tensor to require gradient")
    for i, x in checked:
        if x.dtype != _C.DType.float64:
            warnings.warn(f"gradcheck: input #{i} is not float64; differences will be inexact", stacklevel=2)
        if not x.is_contiguous():
            raise RuntimeError(f"gradcheck: input #{i} must be contiguous, to be changed in place")

    def results() -> list[Any]:
        return [y for y in _results("gradcheck", func(*given)) if y.dtype.is_floating_point]

    def fail(text: str) -> bool:
        if raise_exception:
            raise GradcheckError(text)
        return False

    outputs = results()
    if not any(y.requires_grad for y in outputs):
        return fail("gradcheck: no result requires a gradient")
    for i, x in checked:
        expected = _numerical(results, x, eps)
        outputs = results()  # x is what it was, but counts as changed since the last ones
        for k, numerical in enumerate(expected):
            if not outputs[k].requires_grad:
                if np.abs(numerical).max(initial=0) > atol:
                    return fail(f"Numerical gradient for function expected to be zero: output {k}, input {i}")
                continue
            if not check_backward_ad:
                continue
            found, again = (_analytical(outputs, k, x) for _ in range(2))
            if np.abs(found - again).max(initial=0) > nondet_tol:
                return fail(f"Backward is not reentrant: two passes differ for output {k}, input {i}")
            if not np.allclose(found, numerical, rtol, atol, equal_nan=True):
                return fail(
                    f"Jacobian mismatch for output {k} with respect to input {i},\nnumerical:{numerical}\n"
                    f"analytical:{found}\n"
                )
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Compares the gradients of a function's gradients with central differences.

    Parameters
    ----------
    func : callable
        As of `gradcheck`.
    inputs : tuple of Tensor
        As of `gradcheck`.
    grad_outputs : Tensor or tuple of Tensor, optional
        The gradients of the results. Default: random numbers.
    eps, atol, rtol, raise_exception, nondet_tol
        As of `gradcheck`.
    gen_non_contig_grad_outputs, check_undefined_grad, check_grad_dtypes, check_rev_over_rev
        Taken for compatibility, as are fast_mode and masked.
    check_batched_grad, check_fwd_over_rev
        Only False.

    Returns
    -------
    bool
        Whether they agree.

    Raises
    ------
    GradcheckError
        If they do not.
    """
    if check_batched_grad or check_fwd_over_rev:
        raise NotImplementedError("gradgradcheck: batched gradients and forward mode are not available")
    given: tuple[Any, ...] = (inputs,) if isinstance(inputs, _C.TensorBase) else tuple(inputs)
    results = _results("gradgradcheck", func(*given))
    places = [i for i, y in enumerate(results) if y.requires_grad]
    upstream: list[Any]
    if grad_outputs is None:
        generator = np.random.default_rng(0)
        upstream = [
            tensor(generator.normal(size=tuple(y.shape)), dtype=y.dtype, device=y.device, requires_grad=True)
            for y in (results[i] for i in places)
        ]
    else:
        upstream = [grad_outputs] if isinstance(grad_outputs, _C.TensorBase) else list(grad_outputs)

    def gradients(*arguments: Any) -> tuple[Any, ...]:
        own, grads = arguments[: len(given)], arguments[len(given) :]
        outputs = _results("gradgradcheck", func(*own))
        wanted: list[Any] = [x for x in own if isinstance(x, _C.TensorBase) and x.requires_grad]
        found = grad([outputs[i] for i in places], wanted, list(grads), create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradients,
        (*given, *upstream),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_grad_dtypes=check_grad_dtypes,
    )
