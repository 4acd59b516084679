"""Expressions in both libraries over one set of tensors: values, and gradients of what has one."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from oracles import assert_same

NAN, INF = float("nan"), float("inf")
DATA = {
    "x": np.random.default_rng(0).normal(size=(3, 4)),
    "y": np.random.default_rng(1).normal(size=(3, 4)),
    "c": np.random.default_rng(2).normal(size=(2, 3, 4)),
    "d": np.random.default_rng(3).normal(size=(2, 4, 5)),
    "v": np.random.default_rng(4).normal(size=4),
    "w": np.random.default_rng(5).random(7),
    "n": np.array([[1, NAN, 3], [INF, -INF, 0.5]]),
    "i": np.array([[3, -1, 7], [0, 5, 5]]),
    "k": np.array([0, 2, 2]),
    "b": np.array([[True, False, True, True], [False] * 4, [True] * 4]),
}


def tensors(lib, grad):
    made = {name: lib.tensor(values.tolist(), dtype=dtype_of(lib, values)) for name, values in DATA.items()}
    for value in made.values():
        if grad and value.is_floating_point():
            value.requires_grad_()
    return made


def dtype_of(lib, values):
    return {"f": lib.float64, "i": lib.int64, "b": lib.bool}[values.dtype.kind]


def flat(result):
    """Every tensor or plain value of a result."""
    if isinstance(result, (tuple, list)) and not hasattr(result, "numel"):
        return [leaf for part in result for leaf in flat(part)]
    return [result]


def compare_expression(expression):
    """An expression in `t`, the library, and the tensors above."""
    torch = pytest.importorskip("torch")
    results = []
    for lib in (cnnx, torch):
        names = tensors(lib, grad=True)
        result = flat(eval(expression, {"t": lib, "NAN": NAN, "INF": INF, **names}))
        loss = [r.sum() for r in result if hasattr(r, "requires_grad") and r.requires_grad]
        if loss and "n." not in expression and "(n" not in expression:
            sum(loss[1:], loss[0]).backward()
        results.append((result, {k: v.grad for k, v in names.items() if v.is_floating_point()}))
    (mine, my_grads), (other, other_grads) = results
    assert len(mine) == len(other)
    for a, b in zip(mine, other, strict=True):
        if isinstance(b, torch.Tensor):
            assert_same(a, b, 1e-6 if b.dtype == torch.float32 else 1e-11, expression)
        else:
            assert a == b or (isinstance(b, float) and a == pytest.approx(b, rel=1e-12)), expression
    for name, expected in other_grads.items():
        if expected is not None and expected.abs().sum() > 0:
            assert my_grads[name] is not None, name
            assert_same(my_grads[name], expected, 1e-9, f"{expression}: gradient of {name}")
