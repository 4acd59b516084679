"""ONNX forms of ops on single elements."""

from __future__ import annotations

import math
from typing import Any

from cnnx import _C, dtypes
from cnnx.onnx.graph import Graph, Operand, lowers, no_counterpart

SAME = {
    "abs": "Abs", "ceil": "Ceil", "cos": "Cos", "cosh": "Cosh", "erf": "Erf", "exp": "Exp", "floor": "Floor",
    "isinf": "IsInf", "isnan": "IsNaN", "log": "Log", "logical_not": "Not", "neg": "Neg",
    "reciprocal": "Reciprocal", "relu": "Relu", "round": "Round", "sigmoid": "Sigmoid",
    "sign": "Sign", "sin": "Sin", "sinh": "Sinh", "sqrt": "Sqrt", "tanh": "Tanh",
}  # fmt: skip
ARITHMETIC = {"add": "Add", "sub": "Sub", "mul": "Mul", "maximum": "Max", "minimum": "Min"}
COMPARISONS = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}
LOGIC = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}
BITS = {"bitwise_and": "And", "bitwise_or": "Or", "bitwise_xor": "Xor"}


def kind_of(g: Graph, table: dict[str, str]) -> str:
    """The ONNX operator of the op being lowered."""
    return table[g.call.split(" ")[0]]


def number_or(g: Graph, operand: Operand, dtype: Any) -> Operand:
    """An operand in a dtype; numbers become constants."""
    if isinstance(operand, (bool, int, float)):
        return g.scalar(operand, dtype)
    return g.cast(operand, operand.dtype, dtype)


def common(a: Operand, b: Operand) -> Any:
    """The dtype in which two operands, one of which may be a number, are compared."""
    if isinstance(a, (bool, int, float)):
        a, b = b, a
    if isinstance(b, (bool, int, float)):
        return dtypes.float32 if isinstance(b, float) and not a.dtype.is_floating_point else a.dtype
    return _C.promote(a.dtype, b.dtype)


@lowers(*SAME)
def same(g: Graph, input: Any) -> str:
    """Ops that ONNX has; integers become what the op makes of them."""
    kind = kind_of(g, SAME)
    if kind == "Not":
        return g.op("Not", g.cast(input, input.dtype, dtypes.bool))
    keeps = kind in ("Abs", "Neg", "Sign", "Relu", "IsInf", "IsNaN")
    x = input if keeps else g.cast(input, input.dtype, g.out.dtype)
    return g.op(kind, x)


@lowers("square")
def square(g: Graph, input: Any) -> str:
    """X * x."""
    return g.op("Mul", input, input)


@lowers("logit")
def logit(g: Graph, input: Any) -> str:
    """Log(x / (1 - x)), with the loss of digits around 1/2 that ONNX cannot avoid."""
    x = g.cast(input, input.dtype, g.out.dtype)
    return g.op("Log", g.op("Div", x, g.op("Sub", g.scalar(1, g.out.dtype), x)))


@lowers("hypot")
def hypot(g: Graph, input: Operand, other: Operand) -> str:
    """Sqrt(a * a + b * b), scaled by the larger so that no square is too large or too small."""
    a, b = (g.op("Abs", number_or(g, operand, g.out.dtype)) for operand in (input, other))
    larger, smaller = g.op("Max", a, b), g.op("Min", a, b)
    zero, one = g.scalar(0, g.out.dtype), g.scalar(1, g.out.dtype)
    ratio = g.op("Div", smaller, g.op("Where", g.op("Equal", larger, zero), one, larger))
    return g.op("Mul", larger, g.op("Sqrt", g.op("Add", one, g.op("Mul", ratio, ratio))))


@lowers("xlogy")
def xlogy(g: Graph, input: Operand, other: Operand) -> str:
    """A * log(b), 0 where a is 0."""
    a, b = number_or(g, input, g.out.dtype), number_or(g, other, g.out.dtype)
    zero = g.scalar(0, g.out.dtype)
    return g.op("Where", g.op("Equal", a, zero), zero, g.op("Mul", a, g.op("Log", b)))


@lowers("rsqrt")
def rsqrt(g: Graph, input: Any) -> str:
    """1 / sqrt(x)."""
    return g.op("Reciprocal", g.op("Sqrt", g.cast(input, input.dtype, g.out.dtype)))


@lowers("expm1")
def expm1(g: Graph, input: Any) -> str:
    """Exp(x) - 1, with the loss of digits near 0 that ONNX cannot avoid."""
    x = g.cast(input, input.dtype, g.out.dtype)
    return g.op("Sub", g.op("Exp", x), g.scalar(1, g.out.dtype))


@lowers("log1p")
def log1p(g: Graph, input: Any) -> str:
    """Log(1 + x)."""
    x = g.cast(input, input.dtype, g.out.dtype)
    return g.op("Log", g.op("Add", x, g.scalar(1, g.out.dtype)))


@lowers("log2", "log10")
def log_base(g: Graph, input: Any) -> str:
    """Log(x) / log(base)."""
    base = 2 if g.call.startswith("log2") else 10
    x = g.op("Log", g.cast(input, input.dtype, g.out.dtype))
    return g.op("Mul", x, g.scalar(1 / math.log(base), g.out.dtype))


@lowers("trunc")
def trunc(g: Graph, input: Any) -> str:
    """Sign(x) * floor(|x|)."""
    return g.op("Mul", g.op("Sign", input), g.op("Floor", g.op("Abs", input)))


@lowers("isfinite")
def isfinite(g: Graph, input: Any) -> str:
    """Neither infinite nor NaN."""
    return g.op("Not", g.op("Or", g.op("IsInf", input), g.op("IsNaN", input)))


@lowers("leaky_relu")
def leaky_relu(g: Graph, input: Any, negative_slope: float) -> str:
    """LeakyRelu."""
    return g.op("LeakyRelu", input, alpha=negative_slope)


@lowers(*ARITHMETIC)
def arithmetic(g: Graph, input: Operand, other: Operand, alpha: Any = 1) -> str:
    """Sums, differences, products and extremes, broadcast."""
    dtype = g.out.dtype
    a, b = number_or(g, input, dtype), number_or(g, other, dtype)
    if alpha != 1:
        b = g.op("Mul", b, g.scalar(alpha, dtype))
    return g.op(kind_of(g, ARITHMETIC), a, b)


@lowers("pow")
def power(g: Graph, input: Operand, exponent: Operand) -> str:
    """A power."""
    return g.op("Pow", number_or(g, input, g.out.dtype), number_or(g, exponent, g.out.dtype))


@lowers("div")
def div(g: Graph, input: Operand, other: Operand, rounding_mode: str = "") -> str:
    """A quotient, as it is or rounded."""
    dtype = g.out.dtype
    if rounding_mode and not dtype.is_floating_point:
        raise no_counterpart(f"{g.call} of integers with rounding")
    quotient: str = g.op("Div", number_or(g, input, dtype), number_or(g, other, dtype))
    if rounding_mode == "floor":
        return g.op("Floor", quotient)
    return trunc(g, quotient) if rounding_mode == "trunc" else quotient


@lowers("floor_divide")
def floor_divide(g: Graph, input: Operand, other: Operand) -> str:
    """A quotient rounded down."""
    return div(g, input, other, "floor")


@lowers("remainder", "fmod")
def remainder(g: Graph, input: Operand, other: Operand) -> str:
    """What a division leaves: `fmod` with the dividend's sign, `remainder` with the divisor's."""
    dtype = g.out.dtype
    a, b = number_or(g, input, dtype), number_or(g, other, dtype)
    if g.call.startswith("fmod"):
        return g.op("Mod", a, b, fmod=1)
    if not dtype.is_floating_point:
        return g.op("Mod", a, b)
    return g.op("Sub", a, g.op("Mul", g.op("Floor", g.op("Div", a, b)), b))


@lowers(*COMPARISONS, "ne")
def compare(g: Graph, input: Operand, other: Operand) -> str:
    """Comparisons, broadcast."""
    dtype = common(input, other)
    a, b = number_or(g, input, dtype), number_or(g, other, dtype)
    if g.call.startswith("ne"):
        return g.op("Not", g.op("Equal", a, b))
    return g.op(kind_of(g, COMPARISONS), a, b)


@lowers(*LOGIC)
def logic(g: Graph, input: Any, other: Any) -> str:
    """Logic on what differs from 0."""
    a, b = number_or(g, input, dtypes.bool), number_or(g, other, dtypes.bool)
    return g.op(kind_of(g, LOGIC), a, b)


@lowers(*BITS)
def bits(g: Graph, input: Any, other: Any) -> str:
    """Logic on booleans; integers' bits from opset 18 on."""
    dtype = g.out.dtype
    a, b = number_or(g, input, dtype), number_or(g, other, dtype)
    kind = kind_of(g, BITS)
    return g.op(kind if dtype == dtypes.bool else f"Bitwise{kind}", a, b)


@lowers("bitwise_not")
def bitwise_not(g: Graph, input: Any) -> str:
    """Not of booleans; of integers' bits from opset 18 on."""
    return g.op("Not" if input.dtype == dtypes.bool else "BitwiseNot", input)


@lowers("clamp")
def clamp(g: Graph, input: Any, min: Operand = None, max: Operand = None) -> str:
    """Limits, numbers or tensors."""
    dtype = g.out.dtype
    name = g.name_of(g.cast(input, input.dtype, dtype))
    for bound, kind in ((min, "Max"), (max, "Min")):
        if bound is not None:
            name = g.op(kind, name, number_or(g, bound, dtype))
    return name


@lowers("where")
def where(g: Graph, condition: Any, input: Operand, other: Operand) -> str:
    """One or the other."""
    dtype = g.out.dtype
    chosen = number_or(g, condition, dtypes.bool)
    return g.op("Where", chosen, number_or(g, input, dtype), number_or(g, other, dtype))


@lowers("masked_fill")
def masked_fill(g: Graph, input: Any, mask: Any, value: Operand) -> str:
    """A number where the mask holds."""
    return where(g, mask, value, input)


@lowers("to", "copy_to")
def to(g: Graph, input: Any, dtype: Any) -> str:
    """Another dtype."""
    return g.name_of(g.cast(input, input.dtype, dtype))


@lowers("copy")
def copy(g: Graph, input: Any, source: Any) -> str:
    """The elements of another tensor, in this one's shape and dtype."""
    if tuple(source.shape) != tuple(input.shape):
        raise no_counterpart(f"{g.call} with broadcasting")
    return g.name_of(g.cast(source, source.dtype, input.dtype))


@lowers("clone", "contiguous", "detach")
def alias(g: Graph, input: Any) -> str:
    """The same elements."""
    return g.name_of(input)
