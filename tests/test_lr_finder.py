"""`training.find_lr`: the range test, what it suggests, and that it leaves everything as it was."""

import copy
import math

import numpy as np
import pytest

import cnnx
from cnnx import datasets, nn, optim, training
from cnnx.utils.data import DataLoader, RandomSampler, TensorDataset

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def digits():
    found = []
    for train in (True, False):
        data = datasets.Digits(train=train)
        found += [cnnx.tensor(data.data.numpy()[:, None] / np.float32(16)), cnnx.tensor(data.targets.numpy())]
    return found


def dense(seed=0):
    cnnx.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def convolutional(seed=0):
    cnnx.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.2),
        nn.Linear(72, 10),
    )  # fmt: skip


def momentum(parameters, lr=0.1):
    return optim.SGD(parameters, lr=lr, momentum=0.9)


@pytest.mark.parametrize("make", [dense, convolutional])
@pytest.mark.parametrize("optimizer", [optim.Adam, momentum])
def test_the_suggested_rate_trains_well(digits, make, optimizer):
    """Better than rates far below and far above it, and about as well as the best of all."""
    x, y, test, labels = digits
    found = training.find_lr(make(), (x, y), optimizer=optimizer, seed=1)

    def reached(lr):
        model = make()
        try:
            cnnx.fit(model, (x, y), optimizer=optimizer, lr=lr, epochs=6, seed=2, verbose=False)
        except FloatingPointError:
            return 0.0
        with cnnx.no_grad():
            return (model(test).argmax(1) == labels).float().mean().item()

    suggested = reached(found.suggestion)
    others = [reached(found.suggestion * factor) for factor in (0.03, 0.3, 3, 30)]
    assert suggested > 0.93
    assert suggested > max(others) - 0.02
    assert suggested > max(others[0], others[-1])


def test_everything_is_as_it_was(digits):
    x, y = digits[:2]
    model = convolutional()
    optimizer = optim.Adam(
        [{"params": model[0].parameters(), "lr": 0.01}, {"params": model[6].parameters(), "lr": 0.001}]
    )
    order = cnnx.Generator().manual_seed(7)
    loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True, generator=order)
    loss = nn.CrossEntropyLoss()
    for inputs, targets in loader:  # so that there are a state, statistics and gradients
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()
    model.eval()
    model[5].train()
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}

    def everything():
        return copy.deepcopy(
            {
                "model": {name: t.cpu().numpy() for name, t in model.state_dict().items()},
                "gradients": {name: p.grad.cpu().numpy() for name, p in model.named_parameters()},
                "optimizer": {
                    i: {name: cnnx.as_tensor(v).cpu().numpy() for name, v in state.items()}
                    for i, state in optimizer.state_dict()["state"].items()
                },
                "groups": [repr({**group, "params": None}) for group in optimizer.param_groups],
                "random": cnnx.get_rng_state().numpy(),
                "order": order.get_state().numpy(),
                "modes": [module.training for module in model.modules()],
            }
        )

    before = everything()
    first = training.find_lr(model, loader, optimizer=optimizer, steps=40)
    np.testing.assert_equal(everything(), before)
    assert dict(model.named_parameters()) | dict(model.named_buffers()) == tensors
    assert all(p.grad is gradients[name] for name, p in model.named_parameters())
    # The same order and dropout again, so the same losses; also after an error within.
    assert training.find_lr(model, loader, optimizer=optimizer, steps=40) == first

    def failing(output, target):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        training.find_lr(model, loader, optimizer=optimizer, loss=failing)
    np.testing.assert_equal(everything(), before)


def test_what_lies_beside_the_model_is_as_it_was(digits):
    class Scaled(nn.Module):
        """A loss with a parameter of its own, and statistics."""

        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(cnnx.ones(10))
            self.norm = nn.BatchNorm1d(10, affine=False)

        def forward(self, output, target):
            return nn.functional.cross_entropy(self.norm(output) * self.scale, target)

    x, y = digits[:2]
    model, loss, far = dense(), Scaled().eval(), nn.Parameter(cnnx.ones(3))
    loss.norm.train()
    gradient = far.grad = cnnx.ones(3)
    optimizer = optim.SGD([*model.parameters(), loss.scale, far], lr=0.1, weight_decay=0.1)
    before = {name: tensor.cpu().numpy().copy() for name, tensor in loss.state_dict().items()}
    found = training.find_lr(model, (x, y), loss=loss, optimizer=optimizer, steps=20, seed=0)
    assert len(found.losses) > 5
    np.testing.assert_equal(
        {name: tensor.cpu().numpy() for name, tensor in loss.state_dict().items()}, before
    )
    assert [module.training for module in loss.modules()] == [False, True]
    assert far.tolist() == [1, 1, 1]
    assert far.grad is gradient
    assert gradient.tolist() == [1, 1, 1]
    assert loss.scale.grad is None
    assert found == training.find_lr(model, (x, y), loss=loss, optimizer=optimizer, steps=20, seed=0)


def test_a_loader_is_where_it_was(digits):
    data = TensorDataset(digits[0][:60], digits[1][:60])

    def order(loader):
        return [target.tolist() for _, target in loader]

    def loader():
        return DataLoader(data, batch_size=20, shuffle=True, generator=cnnx.Generator().manual_seed(3))

    first, second = loader(), loader()
    for each in (first, second):  # a look at a batch, behind which a new pass begins
        next(iter(each))
    state = first.state_dict()
    training.find_lr(dense(), first, steps=5)
    assert first.state_dict()["position"] == state["position"] == 1
    assert order(first) == order(second)
    for each in (first, second):  # here the pass goes on
        each.load_state_dict(state)
    training.find_lr(dense(), first, steps=5)
    assert order(first) == order(second)
    assert len(order(first)) == 3
    third, fourth = loader(), loader()
    passes = iter(third), iter(fourth)
    for each in passes:
        next(each)
    training.find_lr(dense(), third, steps=5)
    assert [target.tolist() for _, target in passes[0]] == [target.tolist() for _, target in passes[1]]
    assert third.state_dict() == fourth.state_dict()


def test_the_seed_decides(digits):
    x, y = digits[:2]
    model = convolutional()
    cnnx.manual_seed(3)
    found = [training.find_lr(model, (x, y), seed=seed, steps=30) for seed in (5, 5, 6)]
    assert found[0] == found[1]
    assert found[0].losses != found[2].losses
    assert found[0] == training.find_lr(model, (x, y), seed=5, steps=30, plan=None)
    sampler = RandomSampler(range(len(x)), generator=cnnx.Generator().manual_seed(1))
    loader = DataLoader(TensorDataset(x, y), batch_size=32, sampler=sampler)
    assert training.find_lr(model, loader, steps=30) == training.find_lr(model, loader, steps=30)


@pytest.mark.parametrize("plan", ["auto", None])
def test_steps_by_hand(digits, plan):
    """The same as the formulas say, with the rates of two groups in their ratio."""
    x, y = digits[0][:50], digits[1][:50]
    model, loss = dense(), nn.CrossEntropyLoss()
    loader = DataLoader(TensorDataset(x, y), batch_size=20)

    def groups():
        return [{"params": model[1].parameters(), "lr": 0.1}, {"params": model[3].parameters(), "lr": 0.05}]

    found = training.find_lr(
        model, loader, optimizer=optim.SGD(groups()), min_lr=1e-3, max_lr=1, steps=7, smoothing=0.5, plan=plan
    )
    assert found.rates == pytest.approx(np.geomspace(1e-3, 1, 7))
    optimizer, losses, batches = optim.SGD(groups()), [], [*loader, *loader, *loader]
    for rate, (inputs, targets) in zip(found.rates, batches, strict=False):
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = rate, rate / 2
        optimizer.zero_grad()
        value = loss(model(inputs), targets)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert found.losses == pytest.approx(losses, rel=1e-5)
    weights = [0.5 ** (7 - i) for i in range(7)]
    for i in range(7):
        part = np.array(weights[6 - i :])
        assert found.smoothed[i] == pytest.approx((part * losses[: i + 1]).sum() / part.sum(), rel=1e-5)
    assert not found.diverged
    assert found.best == int(np.argmin(found.smoothed))
    falls = np.diff(found.smoothed)[: found.best]
    assert found.steepest == found.rates[int(falls.argmin()) + 1]
    assert found.suggestion == min(found.rates[found.best] / 10, found.steepest)


def test_losses_that_never_fall_and_no_numbers(digits):
    x, y = digits[0][:64], digits[1][:64]
    model = dense()
    seen = training.find_lr(model, (x, y), optimizer=optim.SGD, min_lr=1e3, max_lr=1e8, smoothing=0.0)
    assert seen.diverged
    assert (seen.best, seen.suggestion, seen.steepest) == (0, None, None)
    assert len(seen.losses) < 100
    assert all(map(math.isfinite, seen.losses))
    with pytest.raises(FloatingPointError, match="find_lr: the loss of the first batch is nan"):
        training.find_lr(model, (x * math.nan, y))
    # A loss below 0 is not taken for one that has risen.
    below = training.find_lr(
        model, (x, y), loss=lambda output, target: nn.functional.cross_entropy(output, target) - 9, steps=20,
        max_lr=1e-3,
    )  # fmt: skip
    assert len(below.losses) == 20
    assert not below.diverged


def test_regression_in_steps_of_batches():
    x = cnnx.rand(40, 3)
    y = x.sum(1, keepdim=True)
    model = nn.Linear(3, 1)
    found = training.find_lr(model, [(x, y)] * 3, loss=nn.MSELoss(), steps=50)
    assert found.suggestion > 1e-4
    with pytest.raises(ValueError, match="find_lr: the targets are no integers: give a loss"):
        training.find_lr(model, (x, y))


def test_the_picture(digits, tmp_path):
    pytest.importorskip("matplotlib")
    found = training.find_lr(dense(), digits[:2], seed=0)
    figure = found.plot(tmp_path / "x.png", title="a test")
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert [len(line.get_xdata()) for line in axes.lines[:2]] == [len(found.rates)] * 2
    assert axes.lines[2].get_xdata()[0] == found.suggestion
    assert found.as_dict()["losses"] == found.losses
    for rates, losses in (([], []), ([1, 2], [1]), ([[1]], [[1]])):
        with pytest.raises(ValueError, match="lr_range: needs a loss for each rate"):
            cnnx.plot.lr_range(rates, losses)


X, Y = np.zeros((8, 64), np.float32), np.arange(8) % 2
WRONG = {
    "model": ({"model": 3}, TypeError, "find_lr: model must be a Module, got int"),
    "data": ({"data": 5}, TypeError, "find_lr: data must be a pair .*, got int"),
    "no data": ({"data": None}, TypeError, "find_lr: there are no data"),
    "empty": ({"data": (X[:0], Y[:0])}, ValueError, "find_lr: there are no training data"),
    "no batches": ({"data": []}, TypeError, "find_lr: data must give pairs"),
    "lengths": ({"data": (X, Y[:3])}, ValueError, "find_lr: 8 inputs and 3 targets"),
    "samples": ({"data": [1], "loss": nn.MSELoss()}, TypeError, "find_lr: a batch must be a pair"),
    "batch": ({"batch_size": 0}, ValueError, "find_lr: batch_size must be a positive whole number, got 0"),
    "loss": ({"loss": "mse"}, TypeError, "find_lr: loss must be a function"),
    "optimizer": ({"optimizer": "adam"}, TypeError, "find_lr: optimizer must be an object of Optimizer"),
    "other": (
        {"optimizer": optim.SGD(dense().parameters(), lr=1.0)},
        ValueError,
        "find_lr: the optimizer has no parameter of the model",
    ),
    "least": ({"min_lr": 0}, ValueError, "find_lr: min_lr must be a positive number, got 0"),
    "most": ({"max_lr": 1e-9}, ValueError, "find_lr: max_lr must be a number above min_lr, got 1e-09"),
    "endless": ({"max_lr": math.inf}, ValueError, "find_lr: max_lr must be"),
    "steps": ({"steps": 1}, ValueError, "find_lr: steps must be a whole number from 2 on, got 1"),
    "half": ({"steps": 2.5}, ValueError, "find_lr: steps must be a whole number"),
    "smoothing": ({"smoothing": 1}, ValueError, "find_lr: smoothing must be from 0 to below 1, got 1"),
    "threshold": ({"threshold": "x"}, ValueError, "find_lr: threshold must be above 1, got 'x'"),
    "plan": ({"plan": "fast"}, ValueError, "plan must be auto, static, matched or None, got 'fast'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use(name):
    changed, error, words = WRONG[name]
    arguments = {"model": dense(), "data": (X, Y), **changed}
    with pytest.raises(error, match=words):
        training.find_lr(arguments.pop("model"), arguments.pop("data"), **arguments)
