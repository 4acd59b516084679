"""Plans that run a few images, or elements, through several steps at a time: the same bits."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import _C, nn
from cnnx.bench.nets import training_step

pytestmark = [
    pytest.mark.big,
    pytest.mark.filterwarnings("error"),
    pytest.mark.cpu("plans run on the CPU"),
]

HAS_LANES = _C.lane_count() > 1


class Residual(nn.Module):
    """Convolutions around which the input is added, with elements in between."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.dense = nn.Linear(6 * 36, 5)

    def forward(self, x):
        h = F.relu(self.first(x))
        h = h + 0.5 * F.silu(self.second(h))
        return self.dense(F.avg_pool2d(h, 2).flatten(1))


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 5, padding=2, activation="relu"),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(6, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(32, 20),
        nn.ReLU(),
        nn.Linear(20, 5),
    )


def wide() -> nn.Module:
    """Enough channels for Winograd's way."""
    return nn.Sequential(
        nn.Conv2d(2, 17, 3),
        nn.ReLU(),
        nn.Conv2d(17, 18, 3),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(3),
        nn.Flatten(),
        nn.Linear(162, 5),
    )


def transposed() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.ConvTranspose2d(4, 3, 3, stride=2),
        nn.Sigmoid(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3 * 36, 5),
    )


class Branches(nn.Module):
    """Branches whose channels are put together."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.three = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 4, 3, padding=1)
        self.last, self.dense = nn.Conv2d(9, 5, 3), nn.Linear(5 * 25, 5)

    def forward(self, x):
        h = cnnx.cat([F.relu(self.one(x)), x, self.three(x).tanh()], dim=1)
        return self.dense(F.max_pool2d(self.last(h), 2).flatten(1))


class Sampled(nn.Module):
    """Images made smaller and larger again, and read where the net says."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.dense = nn.Conv2d(2, 6, 3, padding=1), nn.Linear(6 * 36, 5)
        self.where = nn.Linear(6 * 16, 6)

    def forward(self, x):
        h = F.relu(self.first(F.interpolate(x, scale_factor=0.5, mode="bicubic")))
        theta = self.where(F.interpolate(h, 4, mode="bilinear", antialias=True).flatten(1))
        grid = F.affine_grid(theta.reshape(-1, 2, 3), (x.shape[0], 6, 6, 6), False)
        return self.dense(
            F.grid_sample(F.interpolate(h, scale_factor=2), grid, align_corners=False).flatten(1)
        )


NETS = {
    "branches": Branches,
    "residual": Residual,
    "lenet": lenet,
    "wide": wide,
    "transposed": transposed,
    "sampled": Sampled,
}


def batch_of(n: int):
    rng = np.random.default_rng(n)
    x = cnnx.tensor(rng.standard_normal((n, 2, 12, 12), dtype=np.float32))
    return x, cnnx.tensor(rng.integers(0, 5, n))


def steps_of(run, *arguments) -> list[str]:
    return [step.name for step in run.explain(*arguments, repeats=1).steps if step.blocks > 1]


@pytest.fixture
def threads():
    before = cnnx.get_num_threads()
    yield
    cnnx.set_num_threads(before)


@pytest.mark.parametrize("batch", [700, 1283])
@pytest.mark.parametrize("net", list(NETS))
def test_training_has_the_same_bits(net: str, batch: int, threads) -> None:
    x, y = batch_of(batch)

    def train(count: int, static: bool):
        cnnx.set_num_threads(count)
        cnnx.manual_seed(0)
        model = NETS[net]()
        optimizer = cnnx.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

        step = training_step(model, optimizer, F.cross_entropy)
        run = cnnx.compile(step, static=True, disable=not static)
        losses = [float(run(x, y)) for _ in range(4)]
        parameters = [p.detach().numpy().copy() for p in model.parameters()]
        return losses, parameters, steps_of(run, x, y) if static else []

    losses, parameters, _ = train(1, False)
    for count in (1, 2, 3):
        found, others, blocks = train(count, True)
        assert found == losses
        assert all(np.array_equal(a, b) for a, b in zip(parameters, others, strict=True))
        if HAS_LANES and net != "lenet":  # statistics of the whole batch part its steps
            assert {"conv2d", "conv_backward_weight"} <= set(blocks) or net == "transposed"


@pytest.mark.parametrize("batch", [517, 1024])
@pytest.mark.parametrize("net", list(NETS))
def test_inference_has_the_same_bits(net: str, batch: int, threads) -> None:
    cnnx.manual_seed(0)
    model = NETS[net]().eval()
    run = cnnx.compile(model, static=True)
    with cnnx.no_grad():
        for seed in range(4):
            x = batch_of(batch + seed)[0][:batch]
            for count in (1, 2, 3):
                cnnx.set_num_threads(count)
                assert np.array_equal(run(x).numpy(), model(x).numpy())
        assert "conv2d" in steps_of(run, x)


def test_gradients_that_are_added_to_what_is_there() -> None:
    """Of a sum over many images the whole is made first, in a plan and without one."""
    x, y = batch_of(900)
    cnnx.manual_seed(0)
    model = NETS["wide"]()

    def step(x, y):
        F.cross_entropy(model(x), y).backward()

    run = cnnx.compile(step, static=True)
    found = []
    for call in (step, run, run, run):
        for p in model.parameters():
            p.grad = None if call is step else p.grad
        call(x, y)
        found.append([p.grad.numpy().copy() for p in model.parameters()])
    for times in (2, 3):
        for one, all_of_them in zip(found[0], found[times], strict=True):
            np.testing.assert_allclose(all_of_them, (times + 1) * one, rtol=1e-5, atol=1e-6)


def test_less_memory_lies_between() -> None:
    model = NETS["wide"]().eval()
    run = cnnx.compile(model, static=True)
    memory = {}
    with cnnx.no_grad():
        for batch in (512, 2048):
            x, _ = batch_of(batch)
            memory[batch] = run.explain(x, repeats=1).memory
    assert memory[2048] < 1.5 * memory[512]


def test_explain_adds_up_the_blocks() -> None:
    model = NETS["wide"]().eval()
    run = cnnx.compile(model, static=True)
    x, _ = batch_of(1000)
    with cnnx.no_grad():
        explanation = run.explain(x, repeats=3)
    whole = {step.name: step for step in explanation.steps}
    layers = [step for step in explanation.steps if step.name == "conv2d"]
    assert [step.blocks for step in layers] == [31, 31]
    assert [step.flops for step in layers] == [2 * 1000 * 100 * 17 * 18, 2 * 1000 * 64 * 18 * 17 * 9]
    assert "conv2d x 31" in str(explanation)
    assert whole["linear"].flops == 2 * 1000 * 162 * 5
    assert 0 < sum(step.time for step in explanation.steps) < 10 * explanation.call_time


def test_chains_of_elements() -> None:
    rng = np.random.default_rng(0)
    x = cnnx.tensor(rng.standard_normal((600, 1001), dtype=np.float32))
    row = cnnx.tensor(rng.standard_normal(1001, dtype=np.float32))
    column = cnnx.tensor(rng.standard_normal((600, 1), dtype=np.float32))

    def gelu(x):
        return 0.5 * x * (1 + cnnx.tanh(0.79788456 * (x + 0.044715 * x * x * x)))

    def in_place(x):
        h = x.exp()
        h *= 0.5
        h += x
        return h.clamp_(min=0)

    def with_rows(x):
        return cnnx.where(x * row > 0, (x + row).tanh(), x * column)

    def doubles(x):
        return (x.double() * 2).sin() + 1

    for f in (gelu, in_place, with_rows, doubles):
        run = cnnx.compile(f, static=True)
        for seed in range(4):
            y = cnnx.tensor(np.random.default_rng(seed).standard_normal((600, 1001), dtype=np.float32))
            assert np.array_equal(run(y).numpy(), f(y).numpy()), f.__name__
        assert "by_blocks" in {step.name for step in run.explain(x, repeats=1).steps} or steps_of(run, x), (
            f.__name__
        )


def test_profile_sees_the_steps_within() -> None:
    model = NETS["wide"]().eval()
    run = cnnx.compile(model, static=True)
    x, _ = batch_of(640)
    with cnnx.no_grad():
        for _ in range(3):
            run(x)
        with cnnx.profiler.profile() as profile:
            run(x)
    rows = {row.key: row for row in profile.key_averages()}
    assert rows["conv2d"].count == 2 * 20
    assert next(row.count for key, row in rows.items() if key.startswith("by_blocks(")) == 1
