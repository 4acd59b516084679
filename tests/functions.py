"""The functions of one tensor and the activations, for every test that goes through all of them.

What they are is the library's own list; what they give, PyTorch's functions of the same names say.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import numpy as np

import cnnx.nn.functional as F
from cnnx import _C

UNARY = [*_C.unary, "logit", "round"]  # these two have arguments, and so are not of the list
KEEPS_INTEGERS = {"neg", "abs", "sign", "square", "floor", "ceil", "round", "trunc", "relu"}
# Those that ONNX has not, nor a few nodes that make them.
WITHOUT_ONNX = {"erfinv", "lgamma", "digamma"}
# Where PyTorch's own derivatives in float64 have fewer digits than the others.
FEWER_DIGITS = {"digamma": 1e-8}
# Where a function is defined, if not everywhere.
BOUNDS = {
    **dict.fromkeys(["asin", "acos", "atanh", "erfinv"], (-0.9, 0.9)),
    **dict.fromkeys(["lgamma", "digamma"], (0.3, 4.0)),
    "acosh": (1.1, 4.0),
    **dict.fromkeys(["log", "log1p", "log2", "log10", "sqrt", "rsqrt"], (0.1, 3.1)),
    "logit": (0.1, 0.9),
}


def arguments(name: str, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Where the function is defined and its gradient is neither tiny nor huge."""
    if name in BOUNDS:
        return np.array(rng.uniform(*BOUNDS[name], size=shape))
    return np.array(rng.normal(size=shape) * 2)


class Activation(NamedTuple):
    """A function of `nn.functional`, the options to test it with, and its class in `nn` with the same."""

    name: str
    options: dict[str, Any]
    layer: str

    @property
    def label(self) -> str:
        """The name with the values of the options."""
        return " ".join([self.name, *map(str, self.options.values())])

    @property
    def in_place(self) -> bool:
        """Whether it can overwrite its input."""
        return "inplace" in inspect.signature(getattr(F, self.name)).parameters

    def __call__(self, functional: Any, input: Any, **more: Any) -> Any:
        """The function of cnnx's or PyTorch's `nn.functional`."""
        return getattr(functional, self.name)(input, **self.options, **more)


ACTIVATIONS = [
    Activation("relu", {}, "ReLU"),
    Activation("relu6", {}, "ReLU6"),
    Activation("leaky_relu", {}, "LeakyReLU"),
    Activation("leaky_relu", {"negative_slope": 0.2}, "LeakyReLU"),
    Activation("hardtanh", {}, "Hardtanh"),
    Activation("hardtanh", {"min_val": -0.5, "max_val": 2.0}, "Hardtanh"),
    Activation("elu", {}, "ELU"),
    Activation("elu", {"alpha": 0.3}, "ELU"),
    Activation("celu", {}, "CELU"),
    Activation("celu", {"alpha": 2.0}, "CELU"),
    Activation("selu", {}, "SELU"),
    Activation("silu", {}, "SiLU"),
    Activation("mish", {}, "Mish"),
    Activation("gelu", {}, "GELU"),
    Activation("gelu", {"approximate": "tanh"}, "GELU"),
    Activation("softplus", {}, "Softplus"),
    Activation("softplus", {"beta": 2.0, "threshold": 3.0}, "Softplus"),
    Activation("logsigmoid", {}, "LogSigmoid"),
    Activation("softsign", {}, "Softsign"),
    Activation("tanhshrink", {}, "Tanhshrink"),
    Activation("hardsigmoid", {}, "Hardsigmoid"),
    Activation("hardswish", {}, "Hardswish"),
    Activation("hardshrink", {}, "Hardshrink"),
    Activation("softshrink", {"lambd": 0.7}, "Softshrink"),
    Activation("threshold", {"threshold": 0.1, "value": -3.0}, "Threshold"),
    Activation("tanh", {}, "Tanh"),
    Activation("sigmoid", {}, "Sigmoid"),
]


def label(activation: Activation) -> str:
    """The id of a test's case."""
    return activation.label
