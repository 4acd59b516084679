"""Muon and L-BFGS, whose steps are made of tensor operations, against PyTorch, and what cannot hold them."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

import cnnx
from cnnx import nn, optim
from cnnx.optim.muon import orthogonalized

MATRICES = [(3, 4), (5, 5), (9, 2), (1, 7), (40, 33)]

MUON = [
    {},
    {"lr": 0.05, "momentum": 0.8, "nesterov": False, "weight_decay": 0.0},
    {"lr": 0.05, "adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.3},
    {"lr": 0.05, "adjust_lr_fn": "original", "ns_steps": 3, "ns_coefficients": (2.0, -1.5, 0.5), "eps": 0.5},
    {"momentum": 0.0},
]


def arrays(shapes: Any, dtype: Any, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def pairs(shapes: Any, dtype: Any) -> tuple[list[Any], list[Any]]:
    """Parameters of both libraries."""
    torch = pytest.importorskip("torch")
    found = arrays(shapes, dtype)
    return (
        [nn.Parameter(cnnx.from_numpy(a.copy())) for a in found],
        [torch.nn.Parameter(torch.from_numpy(a.copy())) for a in found],
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("options", MUON)
def test_muon_is_pytorchs_but_for_its_rounding(options, dtype, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)  # PyTorch's iteration, unrounded
    params, theirs = pairs(MATRICES, dtype)
    opt, other = optim.Muon(params, **options), torch.optim.Muon(theirs, **options)
    for step in range(4):
        for p, q, g in zip(params, theirs, arrays(MATRICES, dtype, 10 + step), strict=True):
            p.grad, q.grad = cnnx.from_numpy(g.copy()), torch.from_numpy(g.copy())
        if step == 2:
            params[1].grad = theirs[1].grad = None
        opt.step()
        other.step()
        for p, q in zip(params, theirs, strict=True):
            exact = {"rtol": 1e-10, "atol": 1e-12} if dtype is np.float64 else {"rtol": 1e-3, "atol": 1e-4}
            np.testing.assert_allclose(p.detach().cpu().numpy(), q.detach().numpy(), **exact)
    mine, expected = opt.state_dict(), other.state_dict()
    assert [list(g) for g in mine["param_groups"]] == [list(g) for g in expected["param_groups"]]
    assert {n: set(e) for n, e in mine["state"].items()} == {n: set(e) for n, e in expected["state"].items()}


def test_muon_and_pytorchs_bfloat16():
    torch = pytest.importorskip("torch")
    params, theirs = pairs([(16, 24)], np.float32)
    g = arrays([(16, 24)], np.float32, 1)[0]
    params[0].grad, theirs[0].grad = cnnx.from_numpy(g.copy()), torch.from_numpy(g.copy())
    optim.Muon(params, lr=1.0).step()
    torch.optim.Muon(theirs, lr=1.0).step()
    np.testing.assert_allclose(params[0].detach().cpu().numpy(), theirs[0].detach().numpy(), atol=0.02)


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_muon_makes_singular_values_alike(shape):
    matrix = cnnx.from_numpy(arrays([shape], np.float64)[0])
    found = orthogonalized(matrix, (3.4445, -4.775, 2.0315), 12, 1e-7).cpu().numpy()
    values = np.linalg.svd(found, compute_uv=False)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_muon_resumes_and_takes_matrices_alone():
    def trained(steps: range, params: list[Any], opt: Any) -> None:
        for step in steps:
            for p, g in zip(params, arrays(MATRICES, np.float32, step), strict=True):
                p.grad = cnnx.from_numpy(g)
            opt.step()

    whole = [nn.Parameter(cnnx.from_numpy(a)) for a in arrays(MATRICES, np.float32)]
    trained(range(4), whole, optim.Muon(whole))
    half = [nn.Parameter(cnnx.from_numpy(a)) for a in arrays(MATRICES, np.float32)]
    opt = optim.Muon(half)
    trained(range(2), half, opt)
    saved = copy.deepcopy(opt.state_dict())
    saved["param_groups"][0]["ns_coefficients"] = list(saved["param_groups"][0]["ns_coefficients"])  # JSON
    again = optim.Muon(half, lr=7.0)
    again.load_state_dict(saved)
    assert again.param_groups[0]["ns_coefficients"] == (3.4445, -4.775, 2.0315)
    trained(range(2, 4), half, again)
    for p, q in zip(whole, half, strict=True):
        np.testing.assert_array_equal(p.detach().cpu().numpy(), q.detach().cpu().numpy())

    layer = nn.Linear(2, 3)
    for params in ([layer.bias], layer.parameters(), [{"params": iter([layer.weight, layer.bias])}]):
        with pytest.raises(ValueError, match=r"Muon: parameters must be matrices, got one of shape \(3,\)"):
            optim.Muon(params)
    for options, words in (
        ({"lr": -1}, "learning rate"),
        ({"momentum": -1}, "momentum"),
        ({"ns_steps": 100}, "ns_steps"),
        ({"ns_coefficients": (1, 2)}, "ns_coefficients"),
        ({"adjust_lr_fn": "other"}, "adjust_lr_fn must be 'original' or 'match_rms_adamw', got 'other'"),
        ({"weight_decay": math.nan}, "weight_decay"),
    ):
        with pytest.raises(ValueError, match=words):
            optim.Muon([layer.weight], **options)


# L-BFGS.


def rosenbrock(params: list[Any]) -> Any:
    """A valley in many dimensions, of all parameters together."""
    total = 0.0
    for p in params:
        x = p.reshape(-1)
        total = total + ((1 - x[:-1]) ** 2).sum() + 20 * ((x[1:] - x[:-1] ** 2) ** 2).sum()
    return total


def quadratic(params: list[Any]) -> Any:
    return sum(((p - 0.5) ** 2 * (i + 1)).sum() for i, p in enumerate(params)) * 0.1


def minimised(lib: Any, params: list[Any], loss_of: Any, options: dict[str, Any], steps: int) -> Any:
    """The losses that the steps return, the number of calls, and the optimizer."""
    opt = lib.optim.LBFGS(params, **options)
    calls = [0]

    def closure() -> Any:
        opt.zero_grad()
        loss = loss_of(params)
        loss.backward()
        calls[0] += 1
        return loss

    return [opt.step(closure).item() for _ in range(steps)], calls[0], opt, closure


LBFGS: list[tuple[Any, dict[str, Any], int]] = [
    (rosenbrock, {"line_search_fn": "strong_wolfe"}, 4),
    (rosenbrock, {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 7, "lr": 0.5}, 5),
    (rosenbrock, {"line_search_fn": "strong_wolfe", "max_eval": 5}, 6),
    (rosenbrock, {"lr": 0.05, "max_iter": 4}, 4),
    (quadratic, {}, 3),
    (quadratic, {"line_search_fn": "strong_wolfe", "max_iter": 1}, 4),
    (quadratic, {"tolerance_grad": 1.0}, 2),
    (quadratic, {"lr": 0.3, "max_iter": 3, "history_size": 2, "tolerance_change": 1e-3}, 5),
    (quadratic, {"max_iter": 0}, 2),
]


@pytest.mark.parametrize(("loss_of", "options", "steps"), LBFGS)
def test_lbfgs_is_pytorchs(loss_of, options, steps):
    torch = pytest.importorskip("torch")
    params, theirs = pairs([(3, 2), (4,), (5, 1)], np.float64)
    losses, calls, opt, _ = minimised(cnnx, params, loss_of, options, steps)
    expected, their_calls, other, _ = minimised(torch, theirs, loss_of, options, steps)
    np.testing.assert_allclose(losses, expected, rtol=1e-6, atol=1e-12)
    assert calls == their_calls
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.detach().cpu().numpy(), q.detach().numpy(), rtol=1e-5, atol=1e-8)
    mine, reference = opt.state_dict(), other.state_dict()
    assert [list(g) for g in mine["param_groups"]] == [list(g) for g in reference["param_groups"]]
    kept, expected = ({k for k, v in s["state"][0].items() if v is not None} for s in (mine, reference))
    assert kept == expected
    for name in ("func_evals", "n_iter"):
        assert mine["state"][0][name] == reference["state"][0][name]
    assert len(mine["state"][0].get("old_dirs") or ()) == len(reference["state"][0].get("old_dirs") or ())


def test_lbfgs_in_float32_finds_the_minimum():
    params = [nn.Parameter(cnnx.from_numpy(a)) for a in arrays([(3,), (4,)], np.float32)]
    minimised(cnnx, params, rosenbrock, {"line_search_fn": "strong_wolfe"}, 10)
    for p in params:
        np.testing.assert_allclose(p.detach().cpu().numpy(), 1.0, atol=1e-3)


def test_lbfgs_resumes_also_from_pytorchs_state():
    torch = pytest.importorskip("torch")
    options = {"line_search_fn": "strong_wolfe", "max_iter": 3}
    _, theirs = pairs([(3, 2), (4,)], np.float64)
    _, _, other, their_closure = minimised(torch, theirs, rosenbrock, options, 2)

    def converted(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return cnnx.tensor(value.detach().numpy())
        if isinstance(value, dict):
            return {k: converted(v) for k, v in value.items()}
        return [converted(v) for v in value] if isinstance(value, list) else value

    params = [nn.Parameter(cnnx.tensor(q.detach().numpy())) for q in theirs]
    opt = optim.LBFGS(params)
    opt.load_state_dict(converted(other.state_dict()))

    def closure() -> Any:
        opt.zero_grad()
        loss = rosenbrock(params)
        loss.backward()
        return loss

    back = copy.deepcopy(opt.state_dict())
    opt.step(closure)
    other.step(their_closure)
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.detach().cpu().numpy(), q.detach().numpy(), rtol=1e-8)
    again = [nn.Parameter(cnnx.tensor(q.detach().numpy())) for q in theirs]
    last = optim.LBFGS(again)
    last.load_state_dict(back)
    assert last.state_dict()["state"][0]["n_iter"] == back["state"][0]["n_iter"]


def test_lbfgs_steps_back_from_losses_that_are_not_finite():
    """log is not defined beyond the first step, which is far too long."""
    torch = pytest.importorskip("torch")
    found = []
    for lib in (cnnx, torch):
        p = lib.nn.Parameter(lib.tensor([3.0, 4.0], dtype=lib.float64))
        options = {"line_search_fn": "strong_wolfe", "lr": 20.0}
        minimised(lib, [p], lambda params: (params[0] - params[0].log()).sum(), options, 2)
        found.append(p.detach().tolist())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


def test_lbfgs_of_parameters_without_gradients_and_bad_input():
    p, q = nn.Parameter(cnnx.ones(2)), nn.Parameter(cnnx.ones(3))
    opt = optim.LBFGS([p, q], lr=0.5)

    def closure() -> Any:
        opt.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    assert opt.step(closure).item() == 2
    assert q.tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match="closure"):
        opt.step()
    with pytest.raises(TypeError, match="LBFGS: step needs a closure, got float"):
        opt.step(1.0)
    for groups in ([{"params": [p]}, {"params": [q]}],):
        with pytest.raises(ValueError, match="doesn't support per-parameter options"):
            optim.LBFGS(groups)
    with pytest.raises(ValueError, match="doesn't support per-parameter options"):
        opt.add_param_group({"params": [nn.Parameter(cnnx.ones(1))]})
    with pytest.raises(RuntimeError, match="line_search_fn must be 'strong_wolfe' or None, got 'armijo'"):
        optim.LBFGS([p], line_search_fn="armijo")
    for options in ({"lr": -1}, {"max_iter": -1}, {"history_size": 0}, {"tolerance_grad": math.nan}):
        with pytest.raises(ValueError, match="Invalid"):
            optim.LBFGS([p], **options)


# Plans.


def compiled(make: Any, steps: int, **options: Any) -> tuple[list[float], Any]:
    cnnx.manual_seed(2)
    model = nn.Linear(6, 5, bias=False)
    opt = make(model.parameters())

    def step(x: Any) -> Any:
        opt.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        opt.step()
        return loss

    run = cnnx.compile(step, **options) if options else step
    return [run(cnnx.ones(3, 6) * (i + 1)).item() for i in range(steps)], model.weight.tolist()


@pytest.mark.cpu("a plan on a GPU is a graph, which cannot hold these")
@pytest.mark.parametrize(
    "make", [lambda p: optim.Muon(p, lr=0.1), lambda p: optim.ASGD(p, lr=0.1, lambd=0.1, t0=2)]
)
def test_plans_make_the_same_steps(make):
    eager = compiled(make, 6)
    assert compiled(make, 6, static=True, fullgraph=True) == eager
    assert compiled(make, 6, static=False) == eager


def test_no_plan_holds_a_step_with_a_closure():
    p = nn.Parameter(cnnx.tensor([3.0, 4.0]))
    opt = optim.LBFGS([p], lr=0.1, max_iter=2)

    def step(x: Any) -> Any:
        def closure() -> Any:
            opt.zero_grad()
            loss = ((p - x) ** 2).sum()
            loss.backward()
            return loss

        return opt.step(closure)

    run = cnnx.compile(step, static=True)
    with pytest.warns(UserWarning, match="was given a function to call"):
        losses = [run(cnnx.ones(2)).item() for _ in range(4)]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == 4
