"""Whole trainings beside PyTorch's: equal weights, equal batches, and the losses of every step compared.

In float64 the libraries stay together for 60 steps, in float32 for the first 10. Each net is the system's;
the batches are small, so that float64's plain loops stay quick.
"""

import numpy as np
import pytest

import cnnx

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.skipif(
    cnnx._C.active_target() == "reference", reason="training in the reference's plain loops takes minutes"
)


@pytest.fixture(autouse=True)
def one_thread():
    """Two OpenMP runtimes in one process fight for few cores."""
    ours, theirs = cnnx.get_num_threads(), torch.get_num_threads()
    cnnx.set_num_threads(1)
    torch.set_num_threads(1)
    yield
    cnnx.set_num_threads(ours)
    torch.set_num_threads(theirs)


def s1(lib):
    nn = lib.nn
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 1024), nn.Tanh(), nn.Linear(1024, 1024), nn.Tanh(), nn.Linear(1024, 10),
        nn.LogSoftmax(dim=1),
    )  # fmt: skip


def s4(lib):
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10), nn.LogSoftmax(dim=1),
    )  # fmt: skip


def s6(lib):
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 1024), nn.ReLU(), nn.Dropout(0.0), nn.Linear(1024, 10),
    )  # fmt: skip


def s7(lib):
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 5, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 5, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(200, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def s10(lib):
    nn = lib.nn
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )


def s11(lib):
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(32),
        nn.Flatten(), nn.Linear(4608, 128), nn.ReLU(), nn.Dropout(0.0), nn.Linear(128, 10),
    )  # fmt: skip


def s12(lib):
    nn = lib.nn

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv1d(1, 16, 3, padding=1)
            self.down = nn.Conv1d(16, 32, 3, stride=2, padding=1)
            self.up = nn.ConvTranspose1d(32, 16, 3, stride=2, padding=1, output_padding=1)
            self.last = nn.Conv1d(32, 1, 3, padding=1)

        def forward(self, x):
            first = self.first(x).relu()
            up = self.up(self.down(first).relu()).relu()
            return lib.sigmoid(self.last(lib.cat([up, first], dim=1)))

    return UNet()


#: System: the net, the loss, the optimizer, the batch of float64 (float32 takes S's 64).
TRAININGS = {
    "s1": (s1, lambda lib: lib.nn.NLLLoss(), lambda lib, p: lib.optim.SGD(p, lr=0.001), 8),
    "s4": (s4, lambda lib: lib.nn.NLLLoss(), lambda lib, p: lib.optim.Adadelta(p, lr=0.1), 2),
    "s6": (s6, lambda lib: lib.nn.CrossEntropyLoss(), lambda lib, p: lib.optim.Adam(p, lr=0.001), 2),
    "s7": (s7, lambda lib: lib.nn.CrossEntropyLoss(), lambda lib, p: lib.optim.Adam(p, lr=0.001), 8),
    "s10": (
        s10,
        lambda lib: lib.nn.CrossEntropyLoss(),
        lambda lib, p: lib.optim.SGD(p, lr=0.003, momentum=0.9),
        8,
    ),
    "s11": (s11, lambda lib: lib.nn.CrossEntropyLoss(), lambda lib, p: lib.optim.Adadelta(p), 4),
    "s12": (s12, lambda lib: lib.nn.BCELoss(), lambda lib, p: lib.optim.Adam(p, lr=0.001), 10),
}


def batches(system, steps, size, dtype):
    """Images like handwriting (mostly zeros) with labels, or S12's sequences with masks."""
    rng = np.random.default_rng(5)
    for _ in range(steps):
        if system == "s12":
            x = rng.normal(size=(size, 1, 100))
            yield x.astype(dtype), (rng.random((size, 1, 100)) < 0.3).astype(dtype)
        else:
            x = rng.random((size, 1, 28, 28)) * (rng.random((size, 1, 28, 28)) < 0.25)
            yield x.astype(dtype), rng.integers(0, 10, size)


def losses(lib, system, weights, data, dtype):
    build, loss_function, optimizer, _ = TRAININGS[system]
    model = build(lib).to(getattr(lib, dtype))
    model.load_state_dict({name: lib.from_numpy(value.copy()) for name, value in weights.items()})
    update = optimizer(lib, model.parameters())
    result = []
    for x, y in data:
        update.zero_grad()
        loss = loss_function(lib)(model(lib.from_numpy(x)), lib.from_numpy(y))
        loss.backward()
        update.step()
        result.append(loss.item())
    return np.array(result)


@pytest.mark.parametrize(
    ("system", "dtype", "steps", "bound"),
    # float64 runs the same plain loops on every target: once is enough.
    [pytest.param(system, "float64", 60, 1e-8, marks=pytest.mark.slow) for system in TRAININGS]
    # Batch norm amplifies rounding: S11 is compared in float64 alone.
    + [(system, "float32", 10, 1e-4) for system in TRAININGS if system != "s11"],
)
def test_losses_are_those_of_pytorch(system, dtype, steps, bound):
    torch.manual_seed(0)
    reference = TRAININGS[system][0](torch).to(getattr(torch, dtype))
    weights = {name: value.numpy() for name, value in reference.state_dict().items()}
    size = TRAININGS[system][3] if dtype == "float64" else 64
    data = list(batches(system, steps, size, dtype))
    ours = losses(cnnx, system, weights, data, dtype)
    theirs = losses(torch, system, weights, data, dtype)
    assert np.abs(ours - theirs).max() <= bound
    assert len(set(ours)) == steps  # they do change
