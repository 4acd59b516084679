"""Threads and processes: the same bits for any number of threads, Python threads, forks, flat memory."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn, optim

pytestmark = pytest.mark.cpu("threads of the CPU backend")


def lenet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Dropout(0.25),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def batch(size: int, seed: int = 0) -> tuple[cnnx.Tensor, cnnx.Tensor]:
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(size, 1, 28, 28)).astype(np.float32)
    return cnnx.from_numpy(images), cnnx.from_numpy(rng.integers(0, 10, size))


def train(size: int, steps: int, make_optimizer) -> tuple[list[float], str]:
    """Losses, and a digest of all parameters at the end."""
    cnnx.manual_seed(3)
    net = lenet()
    optimizer = make_optimizer(net.parameters())
    losses = []
    for step in range(steps):
        images, labels = batch(size, step)
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    digest = hashlib.sha256()
    for parameter in net.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return losses, digest.hexdigest()


@pytest.fixture
def threads():
    """Set the number of threads; the old one comes back."""
    before = cnnx.get_num_threads()
    yield cnnx.set_num_threads
    cnnx.set_num_threads(before)


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=1e-3),
    "adadelta": lambda p: optim.Adadelta(p, lr=0.1),
}


@pytest.mark.parametrize("size", [1, 5, 64, 67])
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_training_gives_the_same_bits_for_any_number_of_threads(threads, size: int, name: str) -> None:
    threads(1)
    expected = train(size, 3, OPTIMIZERS[name])
    for count in (2, 3, 7):
        threads(count)
        assert train(size, 3, OPTIMIZERS[name]) == expected, f"{count} threads"


def test_training_gives_the_same_bits_in_another_process(tmp_path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_threads import OPTIMIZERS, train\n"
        "print(train(64, 3, OPTIMIZERS['sgd'])[1])"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, os.path.dirname(__file__)],
            env={**os.environ, "OMP_NUM_THREADS": count},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for count in ("1", "2", "3")
    }
    assert len(digests) == 1


def test_the_number_of_threads_is_checked(threads) -> None:
    for wrong in (0, -1, 1025, 100_000, 2**31 - 1):
        with pytest.raises(ValueError, match="set_num_threads"):
            threads(wrong)
    with pytest.raises(TypeError):
        threads(2**40)
    with pytest.raises(TypeError):
        threads("two")


def in_threads(count: int, work) -> list:
    """Results of work(i) for i < count, each from a thread of its own that starts with the others."""
    results: list = [None] * count
    errors: list[BaseException] = []
    barrier = threading.Barrier(count)

    def body(i: int) -> None:
        try:
            barrier.wait()
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=body, args=(i,)) for i in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors, errors
    return results


def test_two_threads_infer_with_one_net() -> None:
    cnnx.manual_seed(0)
    net = lenet().eval()
    inputs = [batch(48, seed)[0] for seed in range(2)]
    with cnnx.no_grad():
        expected = [net(x).numpy().copy() for x in inputs]

    def infer(i: int) -> bool:
        with cnnx.no_grad():
            return all(np.array_equal(net(inputs[i]).numpy(), expected[i]) for _ in range(20))

    assert in_threads(2, infer) == [True, True]


def test_threads_share_one_input_whose_layout_is_converted() -> None:
    pool = nn.MaxPool2d(2)
    for _ in range(20):
        shared = pool(cnnx.ones(40, 3, 8, 8)) + 1  # in lanes where there are any
        sums = in_threads(4, lambda i, t=shared: float(t[i * 10 : i * 10 + 10].numpy().sum()))
        assert sums == [2.0 * 10 * 3 * 16] * 4


def test_each_thread_trains_its_own_net() -> None:
    def work(i: int) -> list[float]:
        net = nn.Linear(5, 3)
        with cnnx.no_grad():
            for parameter in net.parameters():
                parameter.fill_(0.1)
        optimizer = optim.SGD(net.parameters(), lr=0.1)
        x = cnnx.ones(7, 5) * (i + 1)
        losses = []
        for _ in range(30):
            optimizer.zero_grad()
            loss = (net(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    together = in_threads(3, work)
    assert together == [work(i) for i in range(3)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_trains_after_the_parent_did_parallel_work(threads) -> None:
    threads(2)
    make = OPTIMIZERS["sgd"]
    expected = train(64, 2, make)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # no pytest machinery in the child
        try:
            os.write(writing, train(64, 2, make)[1].encode())
        finally:
            os._exit(0)
    os.close(writing)
    timer = threading.Timer(60, lambda: os.kill(child, 9))
    timer.start()
    with os.fdopen(reading) as pipe:
        digest = pipe.read()
    _, status = os.waitpid(child, 0)
    timer.cancel()
    assert status == 0, "the child hung"
    assert digest == expected[1]
    assert train(64, 2, make) == expected  # the parent goes on


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_forks_while_another_thread_computes(threads) -> None:
    threads(2)
    a = cnnx.rand(300, 300)
    expected = (a @ a).numpy().tobytes()
    stop = threading.Event()
    wrong = []

    def compute() -> None:
        while not stop.is_set():
            if (a @ a).numpy().tobytes() != expected:
                wrong.append("parent")

    worker = threading.Thread(target=compute)
    worker.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                os._exit(0 if (a @ a).numpy().tobytes() == expected else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        worker.join()
    assert not wrong


def test_a_number_of_threads_that_the_process_may_not_start(tmp_path) -> None:
    """An error of one line where OpenMP would end the process; and the default works with fewer."""
    resource = pytest.importorskip("resource")
    code = (
        "import cnnx\n"
        "try: cnnx.set_num_threads(1000)\n"
        "except RuntimeError as error: print(error)\n"
        "a = cnnx.ones(300, 300)\n"
        "for _ in range(5): b = a @ a\n"
        "print(b[0, 0].item(), cnnx.get_num_threads() < 1000)"
    )
    limit = 3 << 30  # bytes of addresses: a thread takes eight megabytes of them for its stack
    for _ in range(5):  # how threads end differs from run to run
        shown = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OMP_NUM_THREADS": "900"},
            cwd=tmp_path,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout.splitlines()
        assert shown[0].startswith("set_num_threads: this process may start ")
        assert shown[1] == "300.0 True"


def test_flushing_denormals_leaves_the_callers_mode_alone() -> None:
    tiny = np.full(1000, 1e-39, np.float32)
    if not cnnx.set_flush_denormal(True):
        pytest.skip("this processor has no such mode")
    try:
        assert (cnnx.from_numpy(tiny) * 0.5).tolist() == [0.0] * 1000
        assert (cnnx.from_numpy(tiny).reshape(25, 40) @ cnnx.ones(40, 3)).sum().item() == 0
        assert (cnnx.from_numpy(np.full(1000, 1e-310)) * 0.5).sum().item() == 0
        assert (tiny * np.float32(0.5) > 0).all()
    finally:
        cnnx.set_flush_denormal(False)
    assert (cnnx.from_numpy(tiny) * 0.5 > 0).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, lr=0.1, momentum=0.5),
        lambda p: optim.Adam(p, betas=(0.5, 0.5)),
        lambda p: optim.RMSprop(p, alpha=0.5, momentum=0.5, centered=True),
        lambda p: optim.Adadelta(p, rho=0.5),
        lambda p: optim.NAdam(p, betas=(0.5, 0.5)),
        lambda p: optim.RAdam(p, betas=(0.5, 0.5)),
        lambda p: optim.Adamax(p, betas=(0.5, 0.5)),
    ],
    ids=["sgd", "adam", "rmsprop", "adadelta", "nadam", "radam", "adamax"],
)
def test_averages_of_a_vanished_gradient_become_zero_and_not_denormal(make) -> None:
    """Steps on denormal numbers would be several times slower for good."""
    parameter = nn.Parameter(cnnx.ones(1000))
    optimizer = make([parameter])
    parameter.grad = cnnx.rand(1000) * 1e-18
    optimizer.step()
    parameter.grad = cnnx.zeros(1000)
    smallest = np.finfo(np.float32).tiny
    for _ in range(150):
        optimizer.step()
        for value in optimizer.state[parameter].values():
            if isinstance(value, cnnx.Tensor) and value.ndim == 1:
                held = np.abs(value.numpy())
                assert not ((held > 0) & (held < smallest)).any()
    assert np.abs(parameter.detach().numpy()).max() < 2


def resident_kib() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


@pytest.mark.big
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.parametrize("steps", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_resident_memory_stays_flat(threads, steps: int) -> None:
    if steps > 1000:
        threads(1)  # on a busy machine the many short parallel regions would wait for their turn, each time
    net = lenet()
    optimizer = optim.Adam(net.parameters())
    images, labels = batch(16)

    def run(count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()
            loss.item()

    run(50)
    before = resident_kib()
    run(steps)
    assert resident_kib() - before < 2048


def test_an_exception_in_mid_graph_leaves_nothing_behind() -> None:
    net = lenet()
    images, _ = batch(16)
    before = None
    for i in range(60):
        with pytest.raises(RuntimeError, match="cross_entropy"):
            F.cross_entropy(net(images), cnnx.zeros(3, dtype=cnnx.int64))
        if i == 20:
            before = cnnx._C.pool_stats()[0]
    assert cnnx._C.pool_stats()[0] <= before
