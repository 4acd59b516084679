"""ONNX forms of the activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from cnnx.onnx.graph import Graph, lowers, no_counterpart
from cnnx.tracing.program import Call

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

# By name: from the input and the two numbers that some activations have.
Form = Callable[[Graph, Any, float, float], str]


def elu(g: Graph, x: Any, alpha: float, rate: float) -> str:
    """Below zero alpha * (exp(rate * x) - 1)."""
    if rate == 1:
        return g.op("Elu", x, alpha=alpha)
    if math.isclose(alpha * rate, 1):
        return g.op("Celu", x, alpha=alpha)
    raise no_counterpart(f"{g.call.place} of alpha {alpha:g} and rate {rate:g}")


def gelu(g: Graph, x: Any, approximate: str) -> str:
    """Gelu; before opset 20 by its definition."""
    if g.opset >= 20:
        return g.op("Gelu", x, approximate=approximate)

    def number(value: float) -> Any:
        return g.scalar(value, x.dtype)

    if approximate == "tanh":
        cube = g.op("Mul", g.op("Mul", x, x), x)
        inner = g.op("Add", x, g.op("Mul", cube, number(0.044715)))
        gate = g.op("Tanh", g.op("Mul", inner, number(math.sqrt(2 / math.pi))))
    else:
        gate = g.op("Erf", g.op("Mul", x, number(math.sqrt(0.5))))
    return g.op("Mul", g.op("Mul", x, number(0.5)), g.op("Add", gate, number(1)))


def softplus(g: Graph, x: Any, beta: float, threshold: float) -> str:
    """Log(1 + exp(beta * x)) / beta; above the threshold it is x but for less than exp(-threshold)."""
    if threshold < 15:
        raise no_counterpart(f"{g.call.place} with a threshold of {threshold:g}")
    if beta == 1:
        return g.op("Softplus", x)
    factor = g.scalar(beta, x.dtype)
    return g.op("Div", g.op("Softplus", g.op("Mul", x, factor)), factor)


def hardsigmoid(g: Graph, x: Any) -> str:
    """Clip(x / 6 + 1 / 2) to [0, 1]."""
    return g.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)


FORMS: dict[str, Form] = {
    "elu": elu,
    "leaky_relu": lambda g, x, a, b: g.op("LeakyRelu", x, alpha=a),
    "gelu": lambda g, x, a, b: gelu(g, x, "none"),
    "gelu_tanh": lambda g, x, a, b: gelu(g, x, "tanh"),
    "hardsigmoid": lambda g, x, a, b: hardsigmoid(g, x),
    "hardswish": lambda g, x, a, b: g.op("Mul", x, hardsigmoid(g, x)),
    "hardtanh": lambda g, x, a, b: g.op("Clip", x, g.scalar(a, x.dtype), g.scalar(b, x.dtype)),
    "log_sigmoid": lambda g, x, a, b: g.op("Neg", g.op("Softplus", g.op("Neg", x))),
    "mish": lambda g, x, a, b: g.op("Mul", x, g.op("Tanh", g.op("Softplus", x))),
    "selu": lambda g, x, a, b: g.op("Selu", x, alpha=SELU_ALPHA, gamma=SELU_SCALE),
    "silu": lambda g, x, a, b: g.op("Mul", x, g.op("Sigmoid", x)),
    "softplus": softplus,
    "softsign": lambda g, x, a, b: g.op("Softsign", x),
    "tanhshrink": lambda g, x, a, b: g.op("Sub", x, g.op("Tanh", x)),
}


@lowers(*FORMS)
def activation(g: Graph, call: Call) -> str:
    """The activation of that name."""
    return FORMS[call.op](g, call.inputs[0], call["a"], call["b"])
