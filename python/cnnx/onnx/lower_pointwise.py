"""ONNX forms of ops on single elements."""

from __future__ import annotations

import math
from typing import Any

from cnnx import dtypes
from cnnx.onnx.graph import TYPES, Graph, Operand, lowers, no_counterpart
from cnnx.tracing.program import Call, Value

SAME = {
    "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "asin": "Asin", "asinh": "Asinh", "atan": "Atan",
    "atanh": "Atanh", "ceil": "Ceil", "cos": "Cos", "cosh": "Cosh", "erf": "Erf", "exp": "Exp",
    "floor": "Floor",
    "isinf": "IsInf", "isnan": "IsNaN", "log": "Log", "neg": "Neg", "reciprocal": "Reciprocal",
    "relu": "Relu", "round": "Round", "sigmoid": "Sigmoid", "sign": "Sign", "sin": "Sin", "sinh": "Sinh",
    "sqrt": "Sqrt", "tanh": "Tanh",
}  # fmt: skip
ARITHMETIC = {"sub": "Sub", "mul": "Mul", "maximum": "Max", "minimum": "Min", "div": "Div"}
COMPARISONS = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual"}
LOGIC = {"bitwise_and": "And", "bitwise_or": "Or", "bitwise_xor": "Xor"}
NAMED = {str(dtype).removeprefix("cnnx."): dtype for dtype in TYPES}


def operands(g: Graph, call: Call) -> tuple[Operand, Operand]:
    """Both operands of a binary op; numbers become constants of the other's dtype."""
    dtype = next(value for value in call.inputs if value is not None).dtype
    numbers = "numbers.real" if dtype.is_floating_point else "numbers.integer"
    a, b = (
        value if value is not None else g.scalar(call[numbers][i], dtype)
        for i, value in enumerate(call.inputs[:2])
    )
    return a, b


@lowers(*SAME)
def same(g: Graph, call: Call) -> str:
    """Ops that ONNX has."""
    return g.op(SAME[call.op], call.inputs[0])


@lowers("logical_not")
def logical_not(g: Graph, call: Call) -> str:
    """Not of what differs from 0."""
    x = one(call)
    return g.op("Not", g.cast(x, x.dtype, dtypes.bool))


def one(call: Call) -> Value:
    """The first input."""
    value = call.inputs[0]
    assert value is not None
    return value


@lowers("square")
def square(g: Graph, call: Call) -> str:
    """X * x."""
    return g.op("Mul", call.inputs[0], call.inputs[0])


@lowers("logit")
def logit(g: Graph, call: Call) -> str:
    """Log(x / (1 - x)), with the loss of digits around 1/2 that ONNX cannot avoid."""
    x = one(call)
    return g.op("Log", g.op("Div", x, g.op("Sub", g.scalar(1, x.dtype), x)))


@lowers("erfc")
def erfc(g: Graph, call: Call) -> str:
    """1 - erf(x), with the loss of digits in the tail that ONNX cannot avoid."""
    return g.op("Sub", g.scalar(1, g.out.dtype), g.op("Erf", call.inputs[0]))


@lowers("rsqrt")
def rsqrt(g: Graph, call: Call) -> str:
    """1 / sqrt(x)."""
    return g.op("Reciprocal", g.op("Sqrt", call.inputs[0]))


@lowers("expm1")
def expm1(g: Graph, call: Call) -> str:
    """Exp(x) - 1, with the loss of digits near 0 that ONNX cannot avoid."""
    return g.op("Sub", g.op("Exp", call.inputs[0]), g.scalar(1, g.out.dtype))


@lowers("log1p")
def log1p(g: Graph, call: Call) -> str:
    """Log(1 + x)."""
    return g.op("Log", g.op("Add", call.inputs[0], g.scalar(1, g.out.dtype)))


@lowers("log2", "log10")
def log_base(g: Graph, call: Call) -> str:
    """Log(x) / log(base)."""
    base = 2 if call.op == "log2" else 10
    return g.op("Mul", g.op("Log", call.inputs[0]), g.scalar(1 / math.log(base), g.out.dtype))


@lowers("trunc")
def trunc(g: Graph, call: Call) -> str:
    """Sign(x) * floor(|x|)."""
    return towards_zero(g, call.inputs[0])


def towards_zero(g: Graph, x: Operand) -> str:
    """Without the fraction."""
    return g.op("Mul", g.op("Sign", x), g.op("Floor", g.op("Abs", x)))


@lowers("isfinite")
def isfinite(g: Graph, call: Call) -> str:
    """Neither infinite nor NaN."""
    return g.op("Not", g.op("Or", g.op("IsInf", call.inputs[0]), g.op("IsNaN", call.inputs[0])))


@lowers("add")
def add(g: Graph, call: Call) -> str:
    """The sum of two operands, the second perhaps times a number."""
    if "value" in call.attributes:
        x, y = call.inputs
        factor = call["value"]
        return g.op("Add", x, y if factor == 1 else g.op("Mul", y, g.scalar(factor, g.out.dtype)))
    return g.op("Add", *operands(g, call))


@lowers(*ARITHMETIC)
def arithmetic(g: Graph, call: Call) -> str:
    """Differences, products, quotients and extremes, broadcast."""
    return g.op(ARITHMETIC[call.op], *operands(g, call))


@lowers("pow")
def power(g: Graph, call: Call) -> str:
    """A power, the exponent perhaps a number."""
    if "a" in call.attributes:
        return g.op("Pow", call.inputs[0], g.scalar(call["a"], g.out.dtype))
    return g.op("Pow", *operands(g, call))


@lowers("div_trunc", "floor_divide")
def rounded_quotient(g: Graph, call: Call) -> str:
    """A quotient without its fraction, or rounded down."""
    if not g.out.dtype.is_floating_point:
        raise no_counterpart(f"{call.place} of integers")
    quotient = g.op("Div", *operands(g, call))
    return g.op("Floor", quotient) if call.op == "floor_divide" else towards_zero(g, quotient)


@lowers("remainder", "fmod")
def remainder(g: Graph, call: Call) -> str:
    """What a division leaves: `fmod` with the dividend's sign, `remainder` with the divisor's."""
    a, b = operands(g, call)
    if call.op == "fmod":
        return g.op("Mod", a, b, fmod=1)
    if not g.out.dtype.is_floating_point:
        return g.op("Mod", a, b)
    return g.op("Sub", a, g.op("Mul", g.op("Floor", g.op("Div", a, b)), b))


@lowers("hypot")
def hypot(g: Graph, call: Call) -> str:
    """Sqrt(a * a + b * b), scaled by the larger so that no square is too large or too small."""
    a, b = (g.op("Abs", operand) for operand in operands(g, call))
    larger, smaller = g.op("Max", a, b), g.op("Min", a, b)
    zero, unit = g.scalar(0, g.out.dtype), g.scalar(1, g.out.dtype)
    ratio = g.op("Div", smaller, g.op("Where", g.op("Equal", larger, zero), unit, larger))
    return g.op("Mul", larger, g.op("Sqrt", g.op("Add", unit, g.op("Mul", ratio, ratio))))


@lowers("xlogy")
def xlogy(g: Graph, call: Call) -> str:
    """A * log(b), 0 where a is 0."""
    a, b = operands(g, call)
    zero = g.scalar(0, g.out.dtype)
    return g.op("Where", g.op("Equal", a, zero), zero, g.op("Mul", a, g.op("Log", b)))


@lowers("atan2")
def atan2(g: Graph, call: Call) -> str:
    """The angle by the quotient, turned by pi to the left of 0. ONNX cannot tell the signs of zeros."""
    y, x = operands(g, call)
    zero, pi = g.scalar(0, g.out.dtype), g.scalar(math.pi, g.out.dtype)
    up = g.op("Less", y, zero)
    half = g.op("Where", up, g.scalar(-math.pi / 2, g.out.dtype), g.scalar(math.pi / 2, g.out.dtype))
    no_width = g.op("Equal", x, zero)
    angle = g.op("Atan", g.op("Div", y, g.op("Where", no_width, g.scalar(1, g.out.dtype), x)))
    turned = g.op("Where", up, g.op("Sub", angle, pi), g.op("Add", angle, pi))
    upright = g.op("Where", g.op("Equal", y, zero), zero, half)
    return g.op("Where", no_width, upright, g.op("Where", g.op("Less", x, zero), turned, angle))


@lowers(*COMPARISONS, "ne")
def compare(g: Graph, call: Call) -> str:
    """Comparisons, broadcast."""
    a, b = operands(g, call)
    if call.op == "ne":
        return g.op("Not", g.op("Equal", a, b))
    return g.op(COMPARISONS[call.op], a, b)


@lowers(*LOGIC)
def bits(g: Graph, call: Call) -> str:
    """Logic on booleans; integers' bits from opset 18 on."""
    kind = LOGIC[call.op]
    return g.op(kind if g.out.dtype == dtypes.bool else f"Bitwise{kind}", *operands(g, call))


@lowers("clamp")
def clamp(g: Graph, call: Call) -> str:
    """Limits, numbers or tensors."""
    x, dtype = one(call), g.out.dtype
    name = g.name_of(x)
    if "a" in call.attributes:
        for bound, kind in ((call["a"], "Max"), (call["b"], "Min")):
            if math.isfinite(bound):
                name = g.op(kind, name, g.scalar(bound, dtype))
        return name
    numbers = call["numbers.real" if dtype.is_floating_point else "numbers.integer"]
    for i, kind in enumerate(("Max", "Min")):
        if call["has"][i]:
            bound = call.inputs[1 + i]
            name = g.op(kind, name, bound if bound is not None else g.scalar(numbers[i], dtype))
    return name


@lowers("where")
def where(g: Graph, call: Call) -> str:
    """One or the other."""
    dtype = g.out.dtype
    numbers = call["numbers.real" if dtype.is_floating_point else "numbers.integer"]
    condition, *values = call.inputs
    chosen = [v if v is not None else g.scalar(numbers[i], dtype) for i, v in enumerate(values)]
    return g.op("Where", condition, *chosen)


@lowers("to")
def to(g: Graph, call: Call) -> str:
    """Another dtype; another device is none of ONNX's business."""
    x: Value = one(call)
    return g.name_of(g.cast(x, x.dtype, NAMED.get(call["value"], x.dtype)))


@lowers("copy")
def copy(g: Graph, call: Call) -> str:
    """The elements of another tensor, in this one's shape and dtype."""
    source: Any = one(call)
    x = g.cast(source, source.dtype, g.out.dtype)
    return g.name_of(x) if source.shape == g.out.shape else g.op("Expand", x, g.extents(*g.out.shape))


@lowers("clone", "contiguous")
def alias(g: Graph, call: Call) -> str:
    """The same elements."""
    return g.name_of(call.inputs[0])
