"""Scenarios that write down what was called with what: run on cnnx and on PyTorch, the logs are equal."""

import numpy as np
import pytest

import cnnx


class Scenarios(dict):
    """Those of a file by name; as a decorator it takes in another, a function of the library."""

    def __call__(self, function):
        self[function.__name__] = function
        return function

    def check(self, name):
        torch = pytest.importorskip("torch")
        ours, theirs = self[name](cnnx), self[name](torch)
        assert alike(ours, theirs), f"{ours}\n{theirs}"


def values(x):
    if isinstance(x, tuple | list):
        return [values(v) for v in x]
    return x.tolist() if hasattr(x, "tolist") else x


def linear(lib, *sizes, kind=None):
    """A dense layer with small whole numbers for weights."""
    layer = (kind or lib.nn.Linear)(*sizes)
    with lib.no_grad():
        for parameter in layer.parameters():
            parameter.copy_((lib.arange(parameter.numel()) % 5 - 2.0).reshape(parameter.shape))
    return layer


def data(lib, *shape, grad=False):
    x = (lib.arange(int(np.prod(shape))) % 7 - 3.0).reshape(shape)
    return x.requires_grad_() if grad else x


def alike(ours, theirs):
    """The same, but for the rounding of floats."""
    if isinstance(ours, (list, tuple)) and type(ours) is type(theirs):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(alike(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, float) and isinstance(theirs, float):
        return ours == pytest.approx(theirs, rel=1e-4, abs=2e-5, nan_ok=True)
    return ours == theirs
