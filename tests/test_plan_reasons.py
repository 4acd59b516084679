"""Why a function has no plan, and what `cnnx.compile` takes."""

from __future__ import annotations

import re

import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn, plans

pytestmark = pytest.mark.cpu("plans run on the CPU")


def test_a_result_that_gradients_could_go_through_has_no_plan() -> None:
    cnnx.manual_seed(0)
    backbone, head = nn.Linear(4, 8), nn.Linear(8, 2)
    x, y = cnnx.randn(16, 4), cnnx.arange(16) % 2

    def trained(compiled):
        cnnx.manual_seed(1)
        for layer in (backbone, head):
            layer.reset_parameters()
        optimizer = cnnx.optim.SGD([*backbone.parameters(), *head.parameters()], lr=0.5)
        for _ in range(8):
            optimizer.zero_grad()
            loss = F.cross_entropy(head(compiled(x)), y)
            loss.backward()
            optimizer.step()
        return loss.item()

    with pytest.warns(UserWarning, match="gradients could go through a result"):
        found = trained(cnnx.compile(backbone, static=True))
    assert found == trained(backbone)
    run = cnnx.compile(backbone, static=True, fullgraph=True)
    with cnnx.no_grad():
        for _ in range(3):
            run(x)
    assert [case.noting is not None for case in run._cases.values()] == [True]

    @cnnx.compile(static=True, fullgraph=True)
    def step(x, y):
        out = head(backbone(x))
        loss = F.cross_entropy(out, y)
        loss.backward()
        return loss, out  # their history is used up

    for _ in range(3):
        step(x, y)


@pytest.mark.parametrize(
    "read",
    [
        lambda t: t.sum().item(),
        lambda t: bool(t.sum() > 0),
        lambda t: t.numpy(),
        lambda t: t.tolist(),
        lambda t: t[t > 0],
    ],
)
def test_the_reason_names_the_line_that_reads(read) -> None:
    run = cnnx.compile(lambda t: (read(t * 2), t * 3)[1], static=True)
    where = f"{re.escape(__file__)}:{read.__code__.co_firstlineno}"
    with pytest.warns(UserWarning, match=rf"outside its operations \({where}\); it runs as it is"):
        run(cnnx.ones(3))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (["abc"], {}, TypeError, "needs a function or a module, got str"),
        ([[nn.ReLU()]], {"static": True}, TypeError, "needs a function or a module, got list"),
        ([abs], {"static": "yes"}, TypeError, "static must be a bool, got 'yes'"),
        ([abs], {"fullgraph": 1}, TypeError, "fullgraph must be a bool, got 1"),
        ([abs], {"disable": None}, TypeError, "disable must be a bool, got None"),
        ([abs], {"mode": "warp"}, ValueError, "mode must be one of default, reduce-overhead"),
        ([abs], {"backend": 7}, TypeError, "backend must be a name or a function, got 7"),
        ([abs], {"options": 5}, TypeError, "options must be a dict, got 5"),
    ],
)
def test_wrong_arguments_of_compile(arguments, options, error, message) -> None:
    with pytest.raises(error, match=message):
        cnnx.compile(*arguments, **options)


def test_settings_of_pytorch_are_taken() -> None:
    for mode in (None, "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"):
        assert cnnx.compile(abs, mode=mode, backend="inductor", dynamic=True, options={})(-3) == 3


def test_modes_of_a_compiled_module_and_an_empty_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    run = cnnx.compile(model, static=True)
    assert run.eval() is run
    assert not model.training
    assert run.train() is run
    assert run.train(False) is run
    assert not model[1].training
    monkeypatch.setenv("CNNX_COMPILE", "")
    assert isinstance(cnnx.compile(model, static=True), plans.Static)
    with pytest.raises(AttributeError):
        cnnx.compile(abs, static=True).eval()
    for repeats in (0, -1, "a", True):
        with pytest.raises(ValueError, match="repeats must be a positive whole number"):
            run.explain(cnnx.ones(2, 3), repeats=repeats)
