"""Functions of one element: their C, by the name of the op."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import cnnx
from cnnx import _C
from cnnx.c_export.writer import real

Array = np.ndarray[Any, Any]
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

# By op, from the two numbers that some have: an expression of x.
Form = Callable[[float, float], str]
SOFTPLUS = "({0} > 0.0f ? {0} + log1pf(expf(-{0})) : log1pf(expf({0})))"
HARDSIGMOID = "(x <= -3.0f ? 0.0f : x >= 3.0f ? 1.0f : x * 0.166666667f + 0.5f)"
NAMES = (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "erf", "erfc", "exp", "expm1",
    "floor", "lgamma", "log", "log10", "log1p", "log2", "sin", "sinh", "sqrt", "tanh", "trunc",
)  # fmt: skip
FORMS: dict[str, str | Form] = {
    **{name: f"{name}f(x)" for name in NAMES},
    "abs": "fabsf(x)",
    "clamp": lambda a, b: clamped(a, b),
    "elu": lambda a, b: f"x > 0.0f ? x : {real(a)} * expm1f({f'{real(b)} * ' if b != 1 else ''}x)",
    "gelu": "0.5f * x * erfcf(-0.707106781f * x)",
    "gelu_tanh": "x / (1.0f + expf(-1.59576912f * (x + 0.044715f * x * x * x)))",
    "hardsigmoid": HARDSIGMOID,
    "hardswish": f"x * {HARDSIGMOID}",
    "hardtanh": lambda a, b: clamped(a, b),
    "leaky_relu": lambda a, b: f"x > 0.0f ? x : {real(a)} * x",
    "log_sigmoid": "x > 0.0f ? -log1pf(expf(-x)) : x - log1pf(expf(x))",
    "logical_not": "x == 0.0f ? 1.0f : 0.0f",
    "logit": "logf(x / (1.0f - x))",
    "mish": "x * tanhf(" + SOFTPLUS.format("x") + ")",
    "neg": "-x",
    "pow": lambda a, b: f"powf(x, {real(a)})",
    "reciprocal": "1.0f / x",
    "relu": "x < 0.0f ? 0.0f : x",
    "round": "nearbyintf(x)",
    "rsqrt": "1.0f / sqrtf(x)",
    "selu": f"{real(SELU_SCALE)} * (x > 0.0f ? x : {real(SELU_ALPHA)} * expm1f(x))",
    "sigmoid": "1.0f / (1.0f + expf(-x))",
    "sign": "x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : 0.0f",
    "silu": "x / (1.0f + expf(-x))",
    "softplus": lambda a, b: (
        f"{real(a)} * x > {real(b)} ? x : " + SOFTPLUS.format(f"({real(a)} * x)") + f" / {real(a)}"
    ),
    "softsign": "x / (1.0f + fabsf(x))",
    "square": "x * x",
    "tanhshrink": "x - tanhf(x)",
}


def clamped(low: float, high: float) -> str:
    """Limits, of which either may be infinite; where they cross, the upper one. NaN stays NaN."""
    upper = f"x > {real(high)} ? {real(high)} : " if high < math.inf else ""
    lower = f"x < {real(low)} ? {real(min(low, high))} : " if low > -math.inf else ""
    return f"{upper}{lower}x"


@dataclass(frozen=True)
class Function:
    """An op on one element, with its numbers."""

    op: str
    a: float = 0.0
    b: float = 0.0

    @property
    def code(self) -> str:
        """It in C, an expression of x."""
        form = FORMS[self.op]
        return form if isinstance(form, str) else form(self.a, self.b)

    def __str__(self) -> str:
        numbers = {"clamp": 2, "hardtanh": 2, "elu": 1, "leaky_relu": 1, "pow": 1, "softplus": 2}
        given = [f"{n:g}" for n in (self.a, self.b)[: numbers.get(self.op, 0)]]
        return f"{self.op}({', '.join(given)})" if given else self.op

    def __call__(self, x: Array) -> Array:
        """Its values, as the model computes them."""
        if self.op == "logical_not":
            return np.asarray(x == 0, x.dtype)
        found = _C.activation(self.op, cnnx.from_numpy(np.ascontiguousarray(x)), self.a, self.b)
        return np.asarray(found.numpy())

    def bounds(self) -> tuple[float, float] | None:
        """The limits that are all it does, if so."""
        if self.op == "relu":
            return 0.0, math.inf
        if self.op in ("hardtanh", "clamp"):
            return min(self.a, self.b), self.b
        return None
