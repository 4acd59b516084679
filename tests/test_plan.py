"""cnnx.compile(static=True): a plan's replays give what the function gives, to the bit."""

from __future__ import annotations

import ctypes
import threading
import warnings

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import _C, nn, plans
from cnnx.optim import lr_scheduler

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.cpu("plans run on the CPU")]


class Lenet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 5, padding=2, activation="relu"),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(24, 10),
        )

    def forward(self, x):
        return self.layers(x)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(196, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 10))


def grouped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2),
        nn.GroupNorm(2, 8),
        nn.SiLU(),
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


OPTIMIZERS = {
    "sgd": lambda p: cnnx.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adam": lambda p: cnnx.optim.Adam(p, lr=0.01),
    "rmsprop": lambda p: cnnx.optim.RMSprop(p, lr=0.01, centered=True),
    "nadam": lambda p: cnnx.optim.NAdam(p, lr=0.01),
    "radam": lambda p: cnnx.optim.RAdam(p, lr=0.01),
    "asgd": lambda p: cnnx.optim.ASGD(p, lr=0.05, lambd=0.01, t0=3),  # made of tensor operations
}
NETS = {"lenet": Lenet, "mlp": mlp, "grouped": grouped}


def batches(n: int, size: int = 9):
    rng = np.random.default_rng(5)
    for _ in range(n):
        x = cnnx.from_numpy(rng.standard_normal((size, 1, 14, 14)).astype(np.float32))
        yield x, cnnx.from_numpy(rng.integers(0, 10, size))


def trained(build, optimizer, static: bool, steps: int = 7, schedule=None, clip: bool = False):
    cnnx.manual_seed(3)
    model = build()
    opt = OPTIMIZERS[optimizer](model.parameters())
    scheduler = schedule(opt) if schedule else None

    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y, label_smoothing=0.1)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        opt.step()
        if scheduler:
            scheduler.step()
        return loss

    run = cnnx.compile(step, static=True, fullgraph=True) if static else step
    losses = [run(x, y).item() for x, y in batches(steps)]
    state = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    grads = [p.grad.numpy().copy() for p in model.parameters()]
    return losses, state, grads, run, opt


def assert_same(a, b) -> None:
    assert a[0] == b[0]
    for key, value in a[1].items():
        np.testing.assert_array_equal(value, b[1][key], err_msg=key)
    for x, y in zip(a[2], b[2], strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
@pytest.mark.parametrize("net", list(NETS))
def test_training_has_the_same_bits(net: str, optimizer: str) -> None:
    eager, plan = (trained(NETS[net], optimizer, static) for static in (False, True))
    assert_same(eager, plan)
    assert plan[3]._cases
    assert all(c.noting is not None for c in plan[3]._cases.values())


def test_schedules_and_clipping() -> None:
    def schedule(opt):
        return lr_scheduler.ExponentialLR(opt, 0.7)

    eager, plan = (trained(Lenet, "adam", s, schedule=schedule, clip=True) for s in (False, True))
    assert_same(eager, plan)
    assert eager[4].param_groups[0]["lr"] == plan[4].param_groups[0]["lr"]


def test_inference_sees_edited_weights_and_returns_fresh_tensors() -> None:
    cnnx.manual_seed(1)
    model = Lenet().eval()
    fast = cnnx.compile(model, static=True, fullgraph=True)
    data = list(batches(6))
    with cnnx.no_grad():
        before = [fast(x) for x, _ in data]
        expected = [model(x) for x, _ in data]
        for got, want in zip(before, expected, strict=True):  # none was overwritten by a later call
            np.testing.assert_array_equal(got.numpy(), want.numpy())
        model.layers[0].weight.mul_(2.0)
        np.testing.assert_array_equal(fast(data[0][0]).numpy(), model(data[0][0]).numpy())
        model.load_state_dict(Lenet().state_dict())
        np.testing.assert_array_equal(fast(data[1][0]).numpy(), model(data[1][0]).numpy())
    assert list(fast.state_dict()) == list(model.state_dict())


def test_weights_laid_out_beforehand_follow_every_change() -> None:
    """One image: a plan lays out weights of convolutions once, and again when somebody changed them."""
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3),
        nn.ReLU(),
        nn.Conv2d(16, 20, 3),
        nn.BatchNorm2d(20),
        nn.Flatten(),
        nn.Linear(80, 3),
    ).eval()
    compiled = cnnx.compile(model, static=True, fullgraph=True)
    x = cnnx.rand(1, 1, 6, 6)

    def check() -> None:
        with cnnx.no_grad():
            np.testing.assert_array_equal(compiled(x).numpy(), model(x).numpy())

    def by_hand(change) -> None:
        with cnnx.no_grad():
            change()

    conv, norm = model[2], model[3]
    changes = [
        lambda: conv.weight.mul_(2),
        lambda: conv.weight.data.add_(1),
        lambda: conv.weight.view(-1)[3:5].zero_(),
        lambda: norm.running_var.add_(1),
        lambda: model.load_state_dict({k: v + v for k, v in model.state_dict().items()}),
    ]
    for _ in range(4):
        check()
    for change in changes:
        by_hand(change)
        check()
    model.requires_grad_(True)
    model(x).sum().backward()
    cnnx.optim.SGD(model.parameters(), lr=0.1, momentum=0.9).step()
    check()
    numbers = conv.weight.detach().numpy()  # from now on changes leave no trace
    for _ in range(3):
        numbers[0] += 1
        check()
    pointer = model[0].weight.data_ptr()
    ctypes.c_float.from_address(pointer).value += 1
    check()
    ctypes.c_float.from_address(pointer).value += 1
    check()


def test_other_modes_shapes_and_parameters_are_noted_anew() -> None:
    cnnx.manual_seed(1)
    model = Lenet()
    fast = cnnx.compile(model, static=True, fullgraph=True)
    x, _ = next(batches(1))
    with cnnx.no_grad():
        for _ in range(4):
            fast(x)
        model.eval()
        for _ in range(4):
            np.testing.assert_array_equal(fast(x).numpy(), model(x).numpy())
            np.testing.assert_array_equal(fast(x[:3]).numpy(), model(x[:3]).numpy())
        model.layers[8] = nn.Linear(24, 3)
        for _ in range(3):
            assert fast(x).shape == (9, 3)
            np.testing.assert_array_equal(fast(x).numpy(), model(x).numpy())


def test_gradients_that_add_up() -> None:
    def run(static: bool):
        cnnx.manual_seed(2)
        model = mlp()

        def accumulate(x, y):
            F.cross_entropy(model(x), y).backward()

        step = cnnx.compile(accumulate, static=True, fullgraph=True) if static else accumulate
        seen = []
        for i, (x, y) in enumerate(batches(9)):
            if i in (0, 5):
                for p in model.parameters():
                    p.grad = None
            step(x, y)
            seen.append([p.grad.numpy().copy() for p in model.parameters()])
        return seen

    for a, b in zip(run(False), run(True), strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def test_what_no_plan_repeats_runs_as_it_is_and_says_why_once() -> None:
    calls = []

    def reads(x):
        calls.append(x.sum().item())
        return x * 2 if calls[-1] > 0 else x

    run = cnnx.compile(reads, static=True)
    with pytest.warns(UserWarning, match=r"reads: values of a tensor are read .*; it runs as it is") as seen:
        results = [run(cnnx.full((3,), sign)).tolist() for sign in (1.0, -1.0, 1.0)]
    assert results == [[2.0] * 3, [-1.0] * 3, [2.0] * 3]
    assert len(seen) == 1
    assert calls == [3.0, -3.0, 3.0]
    with pytest.raises(RuntimeError, match="there is no plan of it"):
        cnnx.compile(reads, static=True, fullgraph=True)(cnnx.ones(3))


def test_hooks_are_called() -> None:
    model, calls = nn.Linear(2, 2), []
    model.register_forward_hook(lambda *a: calls.append(1))
    run = cnnx.compile(model, static=True)
    with pytest.warns(UserWarning, match="a hook of Linear"):
        run(cnnx.ones(1, 2))
    for _ in range(3):
        run(cnnx.ones(1, 2))
    assert len(calls) == 4


def test_bad_targets_in_a_replay() -> None:
    model = nn.Linear(4, 3)
    run = cnnx.compile(lambda x, y: F.cross_entropy(model(x), y).detach(), static=True, fullgraph=True)
    x = cnnx.randn(2, 4)
    for _ in range(3):
        run(x, cnnx.tensor([0, 2]))
    with pytest.raises(
        IndexError, match="cross_entropy: target 3 at position 1 is out of range for 3 classes"
    ):
        run(x, cnnx.tensor([0, 3]))
    assert run(x, cnnx.tensor([1, 2])).item() == F.cross_entropy(model(x), cnnx.tensor([1, 2])).item()


def test_forms_of_arguments_and_results() -> None:
    def f(pair, *, scale, extra=None):
        a, b = pair
        return {"sum": a + b, "all": (a * scale, [b]), "text": "x", "none": extra}

    run = cnnx.compile(f, static=True, fullgraph=True)
    for i in range(5):
        a, b = cnnx.full((2,), float(i)), cnnx.ones(2)
        out = run((a, b), scale=2.0)
        assert out["sum"].tolist() == [i + 1.0] * 2
        assert out["all"][0].tolist() == [2.0 * i] * 2
        assert out["all"][1][0].tolist() == [1.0, 1.0]
        assert out["text"] == "x"
        assert out["none"] is None
    assert run((a, b), scale=3.0)["all"][0].tolist() == [12.0, 12.0]  # another number is another plan
    with pytest.warns(UserWarning, match="an argument or result is a ndarray"):
        cnnx.compile(lambda x: x, static=True)(np.ones(2))


def test_batches_of_a_loader() -> None:
    images = cnnx.from_numpy(np.random.default_rng(0).integers(0, 255, (80, 1, 14, 14), dtype=np.uint8))
    data = cnnx.utils.data.TensorDataset(images, cnnx.arange(80) % 10)
    for build in (Lenet, mlp):
        model = build().eval()
        run = cnnx.compile(lambda x, model=model: model(x.float()), static=True, fullgraph=True)
        with cnnx.no_grad():
            for _ in range(2):
                for x, _ in cnnx.utils.data.DataLoader(data, batch_size=20):
                    np.testing.assert_array_equal(run(x).numpy(), model(x.float()).numpy())


def test_a_plan_within_a_plan_is_a_part_of_it() -> None:
    inner = cnnx.compile(lambda x: x * 2, static=True, fullgraph=True)
    for _ in range(3):
        inner(cnnx.ones(3))
    outer = cnnx.compile(lambda x: inner(x) + 1, static=True, fullgraph=True)
    for i in range(4):
        assert outer(cnnx.full((3,), float(i))).tolist() == [2.0 * i + 1] * 3


def test_explain(tmp_path) -> None:
    model = Lenet().eval()
    run = cnnx.compile(model, static=True)
    x, _ = next(batches(1))
    with cnnx.no_grad():
        told = run.explain(x, repeats=3)
    names = [step.name for step in told.steps if step.name not in ("pack", "unpack")]
    first = ["conv2d_max_pool2d"] if _C.lane_count() > 1 else ["conv2d", "max_pool2d"]
    assert names == [*first, "conv2d", "avg_pool2d", "linear", "clone"]
    conv = next(step for step in told.steps if step.name == first[0])
    assert conv.input_shapes[0] == (9, 1, 14, 14)
    assert conv.flops == 2 * 9 * 4 * 14 * 14 * 25
    assert told.peak > 0
    assert told.bandwidth > 0
    assert told.memory > 0
    assert "of peak" in str(told)
    assert f"{len(told.steps)} steps" in str(told)
    told.save_trace(tmp_path / "trace.json")
    assert "conv2d" in (tmp_path / "trace.json").read_text()
    reads = cnnx.compile(lambda x: x if x.sum().item() > 0 else x * 2, static=True)
    with (
        pytest.warns(UserWarning, match="it runs as it is"),
        pytest.raises(RuntimeError, match="has no plan: values of a tensor are read"),
    ):
        reads.explain(x)


def test_threads_share_a_plan() -> None:
    model = mlp().eval()
    fast = cnnx.compile(model, static=True, fullgraph=True)
    data = [x for x, _ in batches(8)]
    with cnnx.no_grad():
        expected = [model(x).numpy() for x in data]
        fast(data[0]), fast(data[0])
    wrong: list[int] = []

    def work(first: int) -> None:
        with cnnx.no_grad():
            for i in range(40):
                k = (first + i) % len(data)
                if not np.array_equal(fast(data[k]).numpy(), expected[k]):
                    wrong.append(k)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x):
        return x

    assert cnnx.compile(f, static=True, disable=True) is f
    monkeypatch.setenv("CNNX_COMPILE", "0")
    assert cnnx.compile(f, static=True) is f
    monkeypatch.setenv("CNNX_COMPILE", "maybe")
    with pytest.raises(ValueError, match="CNNX_COMPILE=maybe"):
        cnnx.compile(f, static=True)


def test_too_many_kinds_of_arguments() -> None:
    run = cnnx.compile(lambda x: x + 1, static=True)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for n in range(1, plans.LIMIT + 4):
            assert run(cnnx.zeros(n)).tolist() == [1.0] * n
    assert [str(w.message) for w in seen] == [seen[0].message.args[0]]
    assert "more than 8" in str(seen[0].message)


CONVOLUTIONS = {
    "few channels": lambda: nn.Conv2d(3, 5, 3, padding=1),
    "winograd": lambda: nn.Conv2d(16, 20, 3, bias=False),
    "groups": lambda: nn.Conv2d(4, 8, 5, groups=2),
    "strided": lambda: nn.Conv2d(3, 17, 3, stride=2),
}


def step_names(run, x) -> list[str]:
    return [step.name for step in run.explain(x, repeats=1).steps if step.name not in ("pack", "unpack")]


@pytest.mark.parametrize("batch", [1, 3, 17])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("activation", [nn.Identity, nn.ReLU, nn.Tanh, nn.Sigmoid])
@pytest.mark.parametrize("layer", list(CONVOLUTIONS))
def test_convolutions_normalise_by_running_statistics(layer, activation, affine: bool, batch: int) -> None:
    cnnx.manual_seed(4)
    conv = CONVOLUTIONS[layer]()
    norm = nn.BatchNorm2d(conv.out_channels, affine=affine)
    model = nn.Sequential(conv, norm, activation())
    model(cnnx.randn(20, conv.in_channels, 12, 13))  # statistics that are not 0 and 1
    if affine:
        nn.init.uniform_(norm.weight, -1, 1)
        nn.init.uniform_(norm.bias, -1, 1)
    model.eval()
    run = cnnx.compile(model, static=True, fullgraph=True)
    x = cnnx.randn(batch, conv.in_channels, 12, 13)
    with cnnx.no_grad():
        assert step_names(run, x) == ["conv2d", "clone"]
        np.testing.assert_array_equal(run(x).numpy(), model(x).numpy())
        norm.running_mean.add_(0.5)  # what is edited in between is seen
        norm.running_var.mul_(2.0)
        conv.weight.mul_(0.5)
        np.testing.assert_array_equal(run(x).numpy(), model(x).numpy())


def test_what_no_convolution_normalises() -> None:
    """Statistics of the batch, a result that others see, a dense layer."""
    cnnx.manual_seed(4)
    conv, norm = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
    x = cnnx.randn(9, 2, 8, 8)

    def twice(x):
        y = conv(x)
        return norm(y) + y

    with cnnx.no_grad():
        training = cnnx.compile(nn.Sequential(conv, norm), static=True, fullgraph=True)
        assert step_names(training, x).count("batch_norm") == 1
        norm.eval()
        for function, data in (
            (twice, x),
            (nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4)).eval(), cnnx.randn(9, 8)),
        ):
            run = cnnx.compile(function, static=True, fullgraph=True)
            assert "batch_norm" in step_names(run, data)
            np.testing.assert_array_equal(run(data).numpy(), function(data).numpy())


OTHER_CHANNELS = {
    "flat": (nn.Conv2d(2, 4, 3), lambda y: y.flatten(1), nn.BatchNorm1d(4 * 36), (2, 8, 8)),
    "more images": (nn.Conv2d(2, 8, 3), lambda y: y.reshape(-1, 4, 6, 6), nn.BatchNorm2d(4), (2, 8, 8)),
    "fewer channels": (nn.Conv2d(2, 4, 3), lambda y: y.reshape(-1, 8, 3, 6), nn.BatchNorm2d(8), (2, 8, 8)),
    "planes": (nn.Conv1d(2, 4, 3), lambda y: y.reshape(-1, 4, 2, 3), nn.BatchNorm2d(4), (2, 8)),
}


@pytest.mark.parametrize("batch", [1, 3, 17])
@pytest.mark.parametrize("case", list(OTHER_CHANNELS))
def test_what_is_normalised_as_another_shape(case: str, batch: int) -> None:
    conv, view, norm, shape = OTHER_CHANNELS[case]
    nn.init.uniform_(norm.running_mean, -1, 1)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    norm.eval()
    run = cnnx.compile(lambda x: norm(view(conv(x))), static=True, fullgraph=True)
    for _ in range(3):
        x = cnnx.randn(batch, *shape)
        with cnnx.no_grad():
            np.testing.assert_array_equal(run(x).numpy(), norm(view(conv(x))).numpy())


def test_a_signal_alone_whose_channels_are_a_batch() -> None:
    conv, norm = nn.Conv1d(2, 8, 3), nn.BatchNorm1d(6).eval()
    nn.init.uniform_(norm.running_mean, -1, 1)
    run = cnnx.compile(lambda x: norm(conv(x)), static=True, fullgraph=True)
    for _ in range(3):
        x = cnnx.randn(2, 8)
        with cnnx.no_grad():
            np.testing.assert_array_equal(run(x).numpy(), norm(conv(x)).numpy())


def test_an_update_between_a_convolution_and_its_normalisation() -> None:
    def build():
        cnnx.manual_seed(2)
        conv, norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3).eval()
        norm.weight.grad, norm.bias.grad = cnnx.ones(3), cnnx.ones(3)
        opt = cnnx.optim.SGD(norm.parameters(), lr=0.1)

        def step(x):
            y = conv(x)
            opt.step()
            return norm(y)

        return step

    eager, run = build(), cnnx.compile(build(), static=True, fullgraph=True)
    x = cnnx.randn(4, 1, 6, 6)
    with cnnx.no_grad():
        for _ in range(5):
            np.testing.assert_array_equal(run(x).numpy(), eager(x).numpy())


def test_batch_norm_in_training_applies_the_activation_behind_it() -> None:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 144, 10),
            nn.BatchNorm1d(10), nn.Tanh(),
        )  # fmt: skip

    eager, plan = (trained(build, "sgd", static) for static in (False, True))
    assert_same(eager, plan)
    x, y = next(batches(1))
    names = [step.name for step in plan[3].explain(x, y, repeats=1).steps]
    assert names.count("batch_norm") == 2
    assert "relu" not in names
    assert "tanh" not in names
