"""cnnx.compile(static=True) on a GPU: a captured step gives the bits of an eager one. Device or emulation."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn, optim

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device"),
]


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.3),
        nn.Linear(4 * 25, 10),
    )  # fmt: skip


def batches(n: int, size: int = 6):
    rng = np.random.default_rng(5)
    for _ in range(n):
        x = cnnx.from_numpy(rng.standard_normal((size, 1, 12, 12)).astype(np.float32))
        yield x.to("cuda"), cnnx.from_numpy(rng.integers(0, 10, size)).to("cuda")


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adadelta": lambda p: optim.Adadelta(p),
}


def trained(optimizer: str, static: bool, schedule: bool = False, clip: bool = False, drop: bool = True):
    cnnx.manual_seed(3)
    model = net().to("cuda")
    opt = OPTIMIZERS[optimizer](model.parameters())
    scheduler = optim.lr_scheduler.ExponentialLR(opt, 0.7) if schedule else None

    def step(x, y):
        if drop:
            opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        opt.step()
        if scheduler:
            scheduler.step()
        return loss

    run = cnnx.compile(step, static=True, fullgraph=True) if static else step
    losses = [run(x, y).item() for x, y in batches(7)]
    state = [v.cpu().numpy() for v in model.state_dict().values()]
    grads = [p.grad.cpu().numpy() for p in model.parameters()]
    return losses, state, grads, opt.param_groups[0]["lr"], run


def assert_same(a, b) -> None:
    assert a[0] == b[0]
    assert a[3] == b[3]
    for x, y in zip((*a[1], *a[2]), (*b[1], *b[2]), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
@pytest.mark.parametrize("schedule", [False, True])
def test_training_has_the_same_bits(optimizer: str, schedule: bool) -> None:
    eager, plan = (trained(optimizer, static, schedule) for static in (False, True))
    assert_same(eager, plan)
    assert [case.noted for case in plan[4]._cases.values()] == [1]


def test_gradients_that_are_clipped_or_gathered() -> None:
    assert_same(*(trained("sgd", static, clip=True) for static in (False, True)))
    assert_same(*(trained("sgd", static, drop=False) for static in (False, True)))


def test_inference_sees_edited_weights_and_returns_fresh_tensors() -> None:
    model = net().to("cuda").eval()
    fast = cnnx.compile(model, static=True, fullgraph=True)
    data = list(batches(5))
    with cnnx.no_grad():
        got = [fast(x) for x, _ in data]
        for result, (x, _) in zip(got, data, strict=True):
            np.testing.assert_array_equal(result.cpu().numpy(), model(x).cpu().numpy())
        model[0].weight.mul_(2.0)
        np.testing.assert_array_equal(fast(data[0][0]).cpu().numpy(), model(data[0][0]).cpu().numpy())


def test_what_changes_is_captured_anew() -> None:
    cnnx.manual_seed(0)
    model = net().to("cuda")
    fast = cnnx.compile(model, static=True, fullgraph=True)
    x = next(batches(1))[0]
    with cnnx.no_grad():
        for _ in range(3):
            fast(x)
        model.eval()
        for _ in range(3):
            np.testing.assert_array_equal(fast(x).cpu().numpy(), model(x).cpu().numpy())
        model[6] = nn.Linear(100, 3).to("cuda")
        for _ in range(3):
            np.testing.assert_array_equal(fast(x).cpu().numpy(), model(x).cpu().numpy())
        assert fast(x[:2]).shape == (2, 3)


def test_what_is_changed_in_an_argument_is_changed_there() -> None:
    @cnnx.compile(static=True, fullgraph=True)
    def add(a, b):
        a.add_(b)
        return a * 2

    a, b = cnnx.zeros(4, device="cuda"), cnnx.ones(4, device="cuda")
    for i in range(1, 5):
        assert add(a, b).tolist() == [2.0 * i] * 4
        assert a.tolist() == [float(i)] * 4


def test_arguments_that_share_memory_run_as_they_are() -> None:
    @cnnx.compile(static=True, fullgraph=True)
    def add(a, b):
        a.add_(b)
        return a + b

    for shared_at in (1, 4):  # where it would be captured, and where it would be replayed
        for i in range(6):
            a, b = cnnx.ones(3, device="cuda"), cnnx.ones(3, device="cuda")
            if i == shared_at:
                b = a
            assert add(a, b).tolist() == [4.0 if b is a else 3.0] * 3
            assert a.tolist() == [2.0] * 3


def test_gradients_that_it_does_not_touch_stay() -> None:
    model = net().to("cuda")
    fast = cnnx.compile(model, static=True, fullgraph=True)
    data = list(batches(4))
    model.eval()
    with cnnx.no_grad():
        for x, _ in data:
            fast(x)
    F.cross_entropy(model(data[0][0]), data[0][1]).backward()
    before = [(p.grad, p.grad.cpu().numpy()) for p in model.parameters()]
    with cnnx.no_grad():
        fast(data[1][0])
    for p, (grad, values) in zip(model.parameters(), before, strict=True):
        assert p.grad is not None
        assert p.grad.data_ptr() == grad.data_ptr()
        np.testing.assert_array_equal(p.grad.cpu().numpy(), values)


def test_an_optimizer_that_gets_other_state_or_hooks() -> None:
    def train(static: bool):
        cnnx.manual_seed(1)
        model = nn.Linear(4, 3).to("cuda")
        opt = optim.Adam(model.parameters(), lr=0.1)

        def step(x):
            opt.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            opt.step()
            return loss

        run = cnnx.compile(step, static=True) if static else step
        x = cnnx.from_numpy(np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)).to("cuda")
        losses, seen = [run(x).item() for _ in range(4)], []
        opt.load_state_dict(opt.state_dict())
        losses += [run(x).item() for _ in range(4)]
        opt.register_step_post_hook(lambda *_: seen.append(1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            losses += [run(x).item() for _ in range(3)]
        return losses, len(seen)

    assert train(True) == train(False)


def test_two_threads_may_run_one() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh()).to("cuda").eval()
    fast = cnnx.compile(model, static=True, fullgraph=True)
    data = [cnnx.full((4, 8), float(i)).to("cuda") for i in range(8)]
    with cnnx.no_grad():
        expected = [model(x).cpu().numpy() for x in data]
        for x in data[:3]:
            fast(x)
    wrong = []

    def work(i: int) -> None:
        with cnnx.no_grad():
            found = [fast(data[i]).cpu().numpy() for _ in range(40)]
        wrong.extend(i for values in found if not np.array_equal(values, expected[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_within_a_graph_of_ones_own() -> None:
    model = nn.Linear(3, 2).to("cuda").eval()
    fast = cnnx.compile(model, static=True, fullgraph=True)
    x = cnnx.ones(2, 3, device="cuda")
    with cnnx.no_grad():
        for _ in range(3):
            fast(x)
        own = cnnx.cuda.CUDAGraph()
        with cnnx.cuda.graph(own):
            y = fast(x)
        x.fill_(2.0)
        own.replay()
        np.testing.assert_array_equal(y.cpu().numpy(), model(x).cpu().numpy())


def test_check_compares_schedules_too(monkeypatch) -> None:
    monkeypatch.setenv("CNNX_COMPILE", "check")
    checked = trained("sgd", True, schedule=True)
    monkeypatch.delenv("CNNX_COMPILE")
    assert_same(trained("sgd", False, schedule=True), checked)


class OwnSGD(optim.Optimizer):
    def __init__(self, params) -> None:
        super().__init__(params, {"lr": 0.1})

    @cnnx.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.add_(p.grad, alpha=-group["lr"])


def refusals():
    weight = nn.Parameter(cnnx.ones(3, device="cuda"))
    sgd, own = optim.SGD([weight], lr=0.1), OwnSGD([weight])
    hooked = optim.SGD([weight], lr=0.1)
    hooked.register_step_post_hook(lambda *_: None)
    schedule = optim.lr_scheduler.ExponentialLR(sgd, 0.5)

    def gradient(x):
        weight.grad = None
        (weight * x).sum().backward()

    def steps(*works):
        def step(x):
            gradient(x)
            for work in works:
                work.step()
            return weight * 1

        return step

    return weight, {
        "item: has to wait for the device": lambda x: x * x.sum().item(),
        "it runs on the CPU and on a device": lambda x: x * 2 + (cnnx.ones(3) * 2).to("cuda"),
        "OwnSGD has a step of its own": steps(own),
        "a hook of an optimizer would have to be called": steps(hooked),
        "a schedule steps before an optimizer does": steps(sgd, schedule, sgd),
    }


@pytest.mark.parametrize(
    "why",
    [
        "item: has to wait for the device",
        "it runs on the CPU and on a device",
        "OwnSGD has a step of its own",
        "a hook of an optimizer would have to be called",
        "a schedule steps before an optimizer does",
    ],
)
def test_what_no_graph_can_hold_runs_as_it_is(why: str) -> None:
    x = cnnx.tensor([1.0, 2.0, 3.0]).to("cuda")
    weight, functions = refusals()
    expected = [functions[why](x).tolist() for _ in range(4)]
    last = weight.tolist()
    weight, functions = refusals()
    run = cnnx.compile(functions[why], static=True)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert [run(x).tolist() for _ in range(4)] == expected
    assert weight.tolist() == last
    assert len(said) == 1
    assert why in str(said[0].message)


def test_an_error_of_the_function_is_its_own() -> None:
    calls = []

    def function(x):
        calls.append(1)
        if len(calls) > 1:
            raise KeyError("own")
        return x * 2

    run = cnnx.compile(function, static=True)
    x = cnnx.ones(3, device="cuda")
    run(x)
    with pytest.raises(KeyError, match="own"):
        run(x)


def test_there_are_no_steps_to_explain() -> None:
    run = cnnx.compile(lambda x: x * 2, static=True)
    with pytest.raises(RuntimeError, match="one graph, without steps"):
        run.explain(cnnx.ones(3, device="cuda"))
