"""Comparisons that the tests of ops share: against PyTorch and finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import cnnx
from cnnx import _C

TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-11}


def tensor(array: Any, requires_grad: bool = False) -> cnnx.Tensor:
    """Make a tensor that owns a copy of the array."""
    result = _C.from_numpy(np.ascontiguousarray(array).reshape(np.shape(array)), True)
    if requires_grad:
        result.requires_grad = True
    return result


def array(value: cnnx.Tensor) -> np.ndarray:
    """Return the values of a tensor."""
    return np.array(_C.numpy(value.detach()))


def assert_same(got: cnnx.Tensor, want: Any, tolerance: float | None = None, what: str = "") -> None:
    """Check dtype, shape and values against an array or a PyTorch tensor; NaN equals NaN."""
    expected = want.detach().numpy() if hasattr(want, "detach") else np.asarray(want)
    result = array(got)
    assert result.dtype == expected.dtype, f"{what}: dtype {result.dtype}, expected {expected.dtype}"
    assert result.shape == expected.shape, f"{what}: shape {result.shape}, expected {expected.shape}"
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(result, expected, err_msg=what)
        return
    tolerance = TOLERANCE[expected.dtype] if tolerance is None else tolerance
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance, err_msg=what)


def assert_gradients_match_torch(
    ours: Callable[..., cnnx.Tensor],
    theirs: Callable[..., Any],
    arrays: list[np.ndarray],
    tolerance: float | None = None,
    what: str = "",
) -> None:
    """Check result and gradients of a function of float arrays, with a random upstream gradient."""
    import torch

    mine = [tensor(a, a.dtype.kind == "f") for a in arrays]
    other = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    result, expected = ours(*mine), theirs(*other)
    assert_same(result, expected, tolerance, what)
    upstream = np.array(np.random.default_rng(7).normal(size=tuple(expected.shape))).astype(
        result.detach().numpy().dtype
    )
    _C.backward(result, tensor(upstream), False)
    expected.backward(torch.tensor(upstream))
    for a, b in zip(mine, other, strict=True):
        if b.requires_grad and b.grad is not None:
            assert_same(a.grad, b.grad, tolerance, f"{what}: gradient")
    assert_second_gradients_match_torch(ours, theirs, arrays, upstream, tolerance, what)


def assert_second_gradients_match_torch(
    ours: Callable[..., cnnx.Tensor],
    theirs: Callable[..., Any],
    arrays: list[np.ndarray],
    upstream: np.ndarray,
    tolerance: float | None = None,
    what: str = "",
) -> None:
    """Check the gradients of a random combination of the gradients, where PyTorch has them."""
    import torch

    def second(lib: Any, function: Callable[..., Any], inputs: list[Any], upstream: Any) -> list[Any]:
        rng = np.random.default_rng(11)
        upstream.requires_grad = True
        wanted = [x for x in inputs if x.requires_grad]
        result = function(*inputs)
        grads = lib.autograd.grad(result, wanted, upstream, create_graph=True, allow_unused=True)
        total = 0
        for grad in grads:
            weights = rng.normal(size=() if grad is None else tuple(grad.shape))
            if grad is not None and grad.requires_grad:
                total = total + (grad * lib.tensor(weights, dtype=grad.dtype)).sum()
        if isinstance(total, int):
            return [None] * (len(wanted) + 1)
        return list(lib.autograd.grad(total, [*wanted, upstream], allow_unused=True))

    floating = [a.dtype.kind == "f" for a in arrays]
    try:
        expected = second(
            torch,
            theirs,
            [torch.tensor(a, requires_grad=f) for a, f in zip(arrays, floating, strict=True)],
            torch.tensor(upstream),
        )
    except RuntimeError:
        return  # not differentiable twice there
    found = second(
        cnnx, ours, [tensor(a, f) for a, f in zip(arrays, floating, strict=True)], tensor(upstream)
    )
    # Differences of differences: in float32 they tell a wrong formula from a right one, in float64 more.
    single = any(a.dtype == np.float32 for a in arrays)
    tolerance = 1e-2 if single else max(1e-9, 40 * (tolerance or 0))
    for got, want in zip(found, expected, strict=True):
        if want is None or not want.any():
            assert got is None or np.allclose(array(got), 0, atol=tolerance), f"{what}: second gradient"
            continue
        assert got is not None, f"{what}: second gradient is missing"
        scale = float(want.abs().max()) or 1.0
        np.testing.assert_allclose(
            array(got) / scale,
            want.detach().numpy() / scale,
            rtol=tolerance,
            atol=tolerance,
            err_msg=f"{what}: second gradient",
        )


def assert_gradient_matches_differences(
    function: Callable[[cnnx.Tensor], cnnx.Tensor],
    at: np.ndarray,
    step: float = 1e-6,
    tolerance: float = 1e-6,
) -> None:
    """Check the gradient of a random combination of the results against central differences, in float64."""
    x = tensor(at.astype(np.float64), True)
    result = function(x)
    upstream = np.array(np.random.default_rng(3).normal(size=tuple(result.shape)))
    _C.backward(result, tensor(upstream), False)
    expected = np.zeros(at.shape)
    for index in np.ndindex(*at.shape):
        values = []
        for sign in (1, -1):
            moved = at.astype(np.float64).copy()
            moved[index] += sign * step
            values.append(float((array(function(tensor(moved))) * upstream).sum()))
        expected[index] = (values[0] - values[1]) / (2 * step)
    np.testing.assert_allclose(array(x.grad), expected, rtol=tolerance, atol=tolerance)


def leaf(*values):
    """A float64 vector that wants a gradient."""
    return cnnx.tensor(values, dtype=cnnx.float64, requires_grad=True)
