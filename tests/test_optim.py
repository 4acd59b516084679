"""Optimizers against PyTorch, step by step in float64, and their state, groups and bad input."""

import copy
import math

import numpy as np
import pytest

import cnnx
from cnnx import nn, optim

SHAPES = [(3, 4), (5,), (2, 3, 3, 3), (), (40, 333)]

CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-4, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True, "maximize": True}),
    ("AdamW", {"lr": 0.02}),
    ("AdamW", {"lr": 0.02, "weight_decay": 0.3, "amsgrad": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-5, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1, "momentum": 0.8}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "maximize": True}),
    ("Adagrad", {}),
    (
        "Adagrad",
        {
            "lr": 0.1,
            "lr_decay": 0.05,
            "weight_decay": 0.1,
            "initial_accumulator_value": 0.3,
            "maximize": True,
        },
    ),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1, "momentum_decay": 0.3}),
    ("NAdam", {"weight_decay": 0.3, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.98), "eps": 1e-4, "weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.3, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {"betas": (0.9, 0.5)}),  # never rectified
    ("Adamax", {}),
    ("Adamax", {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 1.5), "step_sizes": (0.05, 0.2), "maximize": True}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.1, "lambd": 0.05, "alpha": 0.5, "t0": 2, "weight_decay": 0.1, "maximize": True}),
]


def parameters(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]


def gradients(step, dtype=np.float64):
    return parameters(dtype, seed=100 + step)


def ours(arrays):
    return [nn.Parameter(cnnx.from_numpy(np.array(a))) for a in arrays]


def set_grads(params, arrays):
    for p, a in zip(params, arrays, strict=True):
        p.grad = cnnx.from_numpy(np.array(a))


def trajectory(name, options, dtype, steps=6):
    params = ours(parameters(dtype))
    opt = getattr(optim, name)(params, **options)
    for step in range(steps):
        set_grads(params, gradients(step, dtype))
        opt.step()
    return [p.detach().numpy() for p in params]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_trajectory_is_pytorchs(name, options):
    torch = pytest.importorskip("torch")
    theirs = [torch.nn.Parameter(torch.from_numpy(a)) for a in parameters()]
    params = ours(parameters())
    their_opt, opt = getattr(torch.optim, name)(theirs, **options), getattr(optim, name)(params, **options)
    for step in range(6):
        for p, a in zip(theirs, gradients(step), strict=True):
            p.grad = torch.from_numpy(a)
        set_grads(params, gradients(step))
        if step == 3:  # a parameter without a gradient keeps its value and state
            theirs[1].grad = params[1].grad = None
        their_opt.step()
        opt.step()
        for p, q in zip(params, theirs, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-12, atol=1e-14)
    mine, other = opt.state_dict(), their_opt.state_dict()
    assert [list(g) for g in mine["param_groups"]] == [list(g) for g in other["param_groups"]]
    assert list(mine["state"]) == list(other["state"])
    for number, entry in other["state"].items():
        assert set(mine["state"][number]) == set(entry)
        for key, value in entry.items():
            np.testing.assert_allclose(
                mine["state"][number][key].numpy(), value.numpy(), rtol=1e-12, atol=1e-14
            )


@pytest.mark.parametrize(("name", "options"), CASES)
def test_float32_follows_float64(name, options):
    for single, double in zip(
        trajectory(name, options, np.float32), trajectory(name, options, np.float64), strict=True
    ):
        np.testing.assert_allclose(single, double, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_threads_do_not_change_bits(name, options):
    before = cnnx.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            cnnx.set_num_threads(threads)
            results.append(trajectory(name, options, np.float32))
    finally:
        cnnx.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_strided_parameters_and_gradients():
    base = np.arange(24.0).reshape(4, 6)
    p = nn.Parameter(cnnx.from_numpy(base.copy())[:, ::2])
    g = np.random.default_rng(1).standard_normal((3, 4))
    p.grad = cnnx.from_numpy(g).t()
    optim.SGD([p], lr=0.5).step()
    np.testing.assert_allclose(p.detach().numpy(), base[:, ::2] - 0.5 * g.T)


def test_step_bumps_the_version_and_keeps_identity():
    p = nn.Parameter(cnnx.ones(3))
    loss = (p * p).sum()
    p.grad = cnnx.ones(3)
    opt = optim.SGD([p], lr=0.1)
    opt.step()
    assert opt.param_groups[0]["params"][0] is p
    with pytest.raises(RuntimeError):
        loss.backward()


def test_zero_grad():
    p = nn.Parameter(cnnx.ones(3))
    opt = optim.SGD([p], lr=0.1)
    p.grad = cnnx.ones(3)
    opt.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0, 0]
    opt.zero_grad()
    assert p.grad is None


def test_groups_and_learning_rates_of_their_own():
    p, q = nn.Parameter(cnnx.ones(2)), nn.Parameter(cnnx.ones(2))
    opt = optim.SGD([{"params": [p]}, {"params": q, "lr": 1.0}], lr=0.5)
    assert [g["lr"] for g in opt.param_groups] == [0.5, 1.0]
    set_grads([p, q], [np.ones(2, np.float32)] * 2)
    opt.step()
    assert p.tolist() == [0.5, 0.5]
    assert q.tolist() == [0, 0]
    opt.param_groups[1]["lr"] = 0.25
    opt.step()
    assert q.tolist() == [-0.25, -0.25]
    extra = nn.Parameter(cnnx.ones(1))
    opt.add_param_group({"params": [extra], "momentum": 0.9})
    assert opt.param_groups[2]["lr"] == 0.5
    with pytest.raises(ValueError, match="more than one"):
        opt.add_param_group({"params": [p]})


def test_named_parameters():
    net = nn.Linear(2, 1)
    opt = optim.SGD(net.named_parameters(), lr=0.1)
    assert opt.param_groups[0]["param_names"] == ["weight", "bias"]
    assert opt.param_groups[0]["params"][0] is net.weight


def test_closure():
    p = nn.Parameter(cnnx.ones(1))
    opt = optim.SGD([p], lr=0.1)

    def closure():
        opt.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert opt.step(closure).item() == 1
    assert p.item() == pytest.approx(0.8)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_resume_is_exact(name, options):
    whole = trajectory(name, options, np.float32, steps=6)
    params = ours(parameters(np.float32))
    opt = getattr(optim, name)(params, **options)
    for step in range(3):
        set_grads(params, gradients(step, np.float32))
        opt.step()
    saved = copy.deepcopy(opt.state_dict())
    params = ours([p.detach().numpy() for p in params])
    opt = getattr(optim, name)(params, lr=123.0)
    opt.load_state_dict(saved)
    for step in range(3, 6):
        set_grads(params, gradients(step, np.float32))
        opt.step()
    for a, p in zip(whole, params, strict=True):
        np.testing.assert_array_equal(a, p.detach().numpy())
    # Loaded state is a copy.
    assert all(entry.get("step") is None or entry["step"].item() == 3 for entry in saved["state"].values())


def test_state_dict_that_does_not_fit():
    a = optim.SGD([nn.Parameter(cnnx.ones(1))], lr=0.1)
    b = optim.SGD([nn.Parameter(cnnx.ones(1)), nn.Parameter(cnnx.ones(1))], lr=0.1)
    with pytest.raises(ValueError, match="size"):
        a.load_state_dict(b.state_dict())
    b = optim.SGD([{"params": p} for p in b.param_groups[0]["params"]], lr=0.1)
    with pytest.raises(ValueError, match="number of parameter groups"):
        a.load_state_dict(b.state_dict())


def test_repr_is_pytorchs():
    torch = pytest.importorskip("torch")
    for name in sorted({name for name, _ in CASES} | {"LBFGS"}):
        mine = getattr(optim, name)([nn.Parameter(cnnx.ones(1))])
        assert repr(mine) == repr(getattr(torch.optim, name)([torch.nn.Parameter(torch.ones(1))]))


@pytest.mark.parametrize(
    "cls",
    [optim.SGD, optim.Adam, optim.AdamW, optim.Adadelta, optim.NAdam, optim.RAdam, optim.Adamax, optim.ASGD],
)
def test_bad_options(cls):
    p = nn.Parameter(cnnx.ones(1))
    for lr in (math.nan, -0.1, math.inf):
        with pytest.raises(ValueError, match="learning rate"):
            cls([p], lr=lr)
    with pytest.raises(TypeError, match=r"Invalid learning rate: '0.1'"):
        cls([p], lr="0.1")
    with pytest.raises(ValueError, match="learning rate"):
        cls([{"params": [p], "lr": math.nan}], lr=0.1)
    with pytest.raises(ValueError, match="weight_decay"):
        cls([p], weight_decay=-1)
    with pytest.raises(ValueError, match="empty parameter list"):
        cls([])
    with pytest.raises(TypeError, match="iterable of Tensors"):
        cls(p)
    with pytest.raises(TypeError, match="only optimize Tensors"):
        cls([1.0])
    with pytest.raises(TypeError, match="ordered collections"):
        cls([{"params": {p}}])
    with pytest.raises(ValueError, match="non-leaf"):
        cls([p * 2])
    with pytest.raises(NotImplementedError, match="differentiable"):
        cls([p], differentiable=True)
    opt = cls([p])
    p.grad = cnnx.ones(1)
    opt.param_groups[0]["lr"] = math.nan
    with pytest.raises(ValueError, match=r"lr must be a finite number|learning rate: nan"):
        opt.step()
    assert p.item() == 1


def test_more_bad_options():
    p = nn.Parameter(cnnx.ones(1))
    with pytest.raises(ValueError, match="momentum"):
        optim.SGD([p], momentum=-1)
    with pytest.raises(ValueError, match="Nesterov"):
        optim.SGD([p], nesterov=True)
    with pytest.raises(ValueError, match="index 1"):
        optim.Adam([p], betas=(0.9, 1.0))
    with pytest.raises(ValueError, match="epsilon"):
        optim.Adam([p], eps=-1)
    with pytest.raises(ValueError, match="rho"):
        optim.Adadelta([p], rho=1.5)
    with pytest.raises(ValueError, match="momentum_decay"):
        optim.NAdam([p], momentum_decay=-1)
    with pytest.raises(ValueError, match="index 0"):
        optim.RAdam([p], betas=(-0.1, 0.9))
    with pytest.raises(ValueError, match="Invalid betas"):
        optim.Adamax([p], betas=(0.1, 0.9, 0.9))
    with pytest.raises(ValueError, match=r"Invalid eta values: 0\.5, 0\.9"):
        optim.Rprop([p], etas=(0.5, 0.9))
    with pytest.raises(ValueError, match="Invalid step_sizes"):
        optim.Rprop([p], step_sizes=(0.5,))
    with pytest.raises(ValueError, match="t0 value"):
        optim.ASGD([p], t0=math.nan)
    with pytest.raises(NotImplementedError, match="ASGD: capturable=True is not available"):
        optim.ASGD([p], capturable=True)


def test_state_of_another_shape_is_refused():
    p = nn.Parameter(cnnx.ones(3))
    opt = optim.SGD([p], lr=0.1, momentum=0.9)
    state = opt.state_dict()
    state["state"] = {0: {"momentum_buffer": cnnx.ones(2)}}
    opt.load_state_dict(state)
    p.grad = cnnx.ones(3)
    with pytest.raises(RuntimeError, match="momentum_buffer"):
        opt.step()
    assert p.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "options"),
    [("Adam", {"amsgrad": True}), ("NAdam", {}), ("RAdam", {}), ("Adamax", {}), ("Rprop", {}), ("ASGD", {})],
)
def test_nan_gradients_spread_as_in_pytorch(name, options, dtype):
    torch = pytest.importorskip("torch")
    start = np.ones(4, dtype)
    p, q = nn.Parameter(cnnx.from_numpy(start.copy())), torch.nn.Parameter(torch.from_numpy(start.copy()))
    opt, other = getattr(optim, name)([p], **options), getattr(torch.optim, name)([q], **options)
    for values in ([math.nan, 1.0, 2.0, math.inf], [1.0, 1.0, math.nan, 1.0], [-1.0, 0.0, 1.0, 1.0]):
        p.grad = cnnx.from_numpy(np.array(values, dtype))
        q.grad = torch.tensor(values, dtype=q.dtype)
        opt.step()
        other.step()
    np.testing.assert_allclose(p.detach().cpu().numpy(), q.detach().numpy(), rtol=1e-5)
    assert math.isnan(p[0].item()) == (name != "Rprop")  # which takes signs alone
    assert math.isfinite(p[1].item())


def test_clip_grad_norm():
    torch = pytest.importorskip("torch")
    for norm_type in (2.0, 1.0, 3.0, math.inf):
        params = ours(parameters())
        theirs = [torch.nn.Parameter(torch.from_numpy(a)) for a in parameters()]
        set_grads(params, gradients(0))
        for p, a in zip(theirs, gradients(0), strict=True):
            p.grad = torch.from_numpy(a)
        norm = nn.utils.clip_grad_norm_(params, 2.0, norm_type)
        assert norm.item() == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, 2.0, norm_type).item())
        for p, q in zip(params, theirs, strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12)
    params[0].grad = cnnx.full((3, 4), math.inf, dtype=cnnx.float64)
    with pytest.raises(RuntimeError, match="norm"):
        nn.utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    nn.utils.clip_grad_value_(params, 0.5)
    assert params[0].grad.max().item() == 0.5


def test_vector_to_parameters():
    net = nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert tuple(vector.shape) == (8,)
    nn.utils.vector_to_parameters(cnnx.arange(8.0), net.parameters())
    assert net.bias.tolist() == [6, 7]
