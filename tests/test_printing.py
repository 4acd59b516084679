"""Tensors as text: repr, format and the print options."""

from __future__ import annotations

import pytest

import cnnx

pytestmark = pytest.mark.cpu("a tensor on a device names it in its text: test_cuda.py")


def test_formatting() -> None:
    t = cnnx.tensor(3.14159)
    assert f"{t:.2f}" == "3.14"
    assert f"{t:8.3f}" == "   3.142"
    assert f"{cnnx.tensor(42):5d}" == "   42"
    assert f"{cnnx.tensor(0.5)}" == "0.5"  # the number, as in PyTorch
    assert f"{cnnx.tensor([1.0])}" == "tensor([1.])"
    assert f"{t:.1f}" == "3.1"
    with pytest.raises((TypeError, ValueError)):
        f"{cnnx.zeros(2):.2f}"


PRINTED = {
    "floats": lambda lib: lib.tensor([[1.0, 2.5], [-3.0, 4.25]]),
    "whole": lambda lib: lib.tensor([[1.0, 2.0], [3.0, 4.0]]),
    "scalar": lambda lib: lib.tensor(1.5),
    "ints": lambda lib: lib.tensor([1, -20, 300]),
    "bools": lambda lib: lib.tensor([True, False]),
    "empty": lambda lib: lib.zeros(0),
    "empty_2d": lambda lib: lib.zeros(0, 3),
    "small": lambda lib: lib.tensor([1e-6, 1.0]),
    "large": lambda lib: lib.tensor([1e10, 1.0]),
    "tiny": lambda lib: lib.tensor([1e-8, 2e-8]),
    "special": lambda lib: lib.tensor([float("nan"), float("inf"), -1.5]),
    "grad": lambda lib: lib.tensor([1.0], requires_grad=True),
    "three": lambda lib: (
        lib.arange(12.0).reshape(2, 3, 2) if lib is not cnnx else cnnx.arange(12.0).reshape(2, 3, 2)
    ),
    "long": lambda lib: lib.arange(30),
    "wide": lambda lib: lib.arange(40.0) / 3,
    "summary": lambda lib: lib.arange(2000.0),
    "summary_2d": lambda lib: lib.zeros(50, 40),
    "summary_3d": lambda lib: lib.zeros(20, 10, 10),
    "zeros": lambda lib: lib.zeros(2, 2),
    "negative_zero": lambda lib: lib.tensor([-0.0, 0.5]),
    "mixed": lambda lib: lib.tensor([[0.001, 1000.0]]),
    "whole_large": lambda lib: lib.tensor([123456.0, 1.0]),
}


@pytest.mark.parametrize("name", PRINTED)
def test_repr_as_in_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    assert repr(PRINTED[name](cnnx)) == repr(PRINTED[name](torch))


@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2},
        {"profile": "short"},
        {"profile": "full"},
        {"threshold": 5, "edgeitems": 2},
        {"linewidth": 40},
        {"linewidth": 3},
        {"sci_mode": True},
        {"sci_mode": False},
        {"precision": 0},
    ],
)
def test_options_as_in_torch(options: dict[str, object]) -> None:
    torch = pytest.importorskip("torch")
    try:
        for name, make in PRINTED.items():
            for lib in (cnnx, torch):
                lib.set_printoptions(**options)
            assert repr(make(cnnx)) == repr(make(torch)), name
    finally:
        for lib in (cnnx, torch):
            lib.set_printoptions(profile="default")


def test_options_that_make_no_sense() -> None:
    for options in ({"precision": -1}, {"edgeitems": 0}, {"linewidth": -1}, {"threshold": -1}):
        with pytest.raises(ValueError, match=r"^set_printoptions: "):
            cnnx.set_printoptions(**options)
    with pytest.raises(TypeError, match=r"^set_printoptions: "):
        cnnx.set_printoptions(precision="2")
    cnnx.set_printoptions(threshold=float("inf"))
    assert "..." not in repr(cnnx.zeros(1001))
    cnnx.set_printoptions(profile="default")
    assert "..." in repr(cnnx.zeros(1001))


def test_repr_of_views_and_lanes() -> None:
    x = cnnx.arange(24.0).reshape(4, 6)
    for view in (x.t(), x[1:, ::2], x.expand(2, 4, 6), x.flip(0)):
        assert repr(view) == repr(view.contiguous())


def test_repr_names_dtype_and_history() -> None:
    assert repr(cnnx.zeros(2, dtype=cnnx.float64)) == "tensor([0., 0.], dtype=cnnx.float64)"
    assert repr(cnnx.ones(1, requires_grad=True) * 2) == "tensor([2.], grad_fn=<MulBackward>)"
    cnnx.set_printoptions(precision=2)
    try:
        assert repr(cnnx.tensor([1.2345])) == "tensor([1.23])"
    finally:
        cnnx.set_printoptions(profile="default")
    with pytest.raises(ValueError):
        cnnx.set_printoptions(profile="nope")
