"""Calls with odd arguments, from a fixed seed (see fuzz/calls.py)."""

import sys
from pathlib import Path

import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn

sys.path.insert(0, str(Path(__file__).parent / "fuzz"))
import calls

pytestmark = [pytest.mark.once, pytest.mark.cpu("child processes with tensors on the CPU")]


def test_odd_arguments():
    """Whoever changes a function may have to run `fuzz/calls.py` for longer than this."""
    found = list(calls.run(seed=20, first=0, last=600))
    assert not found, found


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: cnnx.hypot(None, 3), "hypot: input must be Tensor, got NoneType"),
        (lambda: cnnx.diff(cnnx.rand(3), 1.5), "diff: n must be int, got float"),
        (lambda: cnnx.zeros_like([1]), "zeros_like: input must be Tensor, got list"),
        (
            lambda: cnnx.broadcast_tensors(cnnx.rand(2), 1),
            "broadcast_tensors: tensors must be Tensor, got int",
        ),
        (lambda: cnnx.vstack([cnnx.rand(2), 1]), r"vstack: tensors must be Sequence\[Tensor\], got list"),
        (lambda: cnnx.einsum("i,i", cnnx.rand(2), 3), "einsum: operand must be a Tensor, got int"),
        (lambda: F.linear(cnnx.rand(2), None), "linear: weight must be a Tensor, got NoneType"),
        (lambda: F.glu("x"), "glu: input must be Tensor, got str"),
        (lambda: F.conv1d(cnnx.rand(1, 1, 3), [1.0]), "conv1d: weight must be a Tensor, got list"),
        (lambda: nn.GLU()(3), "glu: input must be Tensor, got int"),
        (lambda: nn.BatchNorm2d(2)(None), "BatchNorm2d: forward: input must be Tensor, got NoneType"),
        (lambda: nn.Conv2d(1, 1, 1)(None), "Conv2d: forward: input must be Tensor, got NoneType"),
        (lambda: nn.Linear(3, 2)([1, 2, 3]), "Linear: forward: input must be Tensor, got list"),
        (lambda: nn.NLLLoss()(cnnx.ones(1, 2), 1), "NLLLoss: forward: target must be Tensor, got int"),
        (lambda: nn.AdaptiveAvgPool2d(2)("x"), "adaptive_avg_pool2d: input must be a Tensor, got str"),
        (
            lambda: cnnx.autograd.gradgradcheck(lambda x: [2.0], cnnx.rand(1)),
            "gradgradcheck: the function must return tensors, returned float",
        ),
    ],
)
def test_the_error_names_function_and_argument(call, text):
    with pytest.raises(TypeError, match=f"^{text}$"):
        call()


def test_errors_of_others_pass():
    """What a user's own layer or loop does wrong is not told as a wrong argument."""

    class Own(nn.Module):
        def forward(self, input: cnnx.Tensor) -> cnnx.Tensor:
            return input.no_such_thing()

    with pytest.raises(AttributeError, match="no_such_thing"):
        Own()(3)
    with pytest.raises(IndexError, match=r"kthvalue: dim 5 is out of range for 1 dimensions"):
        cnnx.kthvalue(cnnx.rand(3), 1, 5)
    with pytest.raises(TypeError, match=r"hypot: missing a required argument: 'other'"):
        cnnx.hypot(cnnx.rand(3))


def test_the_search_finds_what_is_wrong(monkeypatch):
    """Else a check that never finds anything would look the same."""

    def broken(input):
        return input.shape

    monkeypatch.setattr(calls, "ALL", [("cnnx", "broken", broken)])
    assert any("AttributeError" in calls.call(number, 0)[1] for number in range(30))
