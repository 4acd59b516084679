"""Sees that nothing has become slow: ratios within one run, which the speed of the machine hardly changes.

Each row is a quotient of two times of this run: of a kernel's rate and the peak of multiply-adds in
registers, of eager steps and plans, of the plain loops of the reference and the kernels. The second column is
somewhat below what an AMD EPYC (Zen 5) gave as v4 and as v3; a row that falls by a third of that, three times
in turn, fails. One thread.

    python benchmarks/guard.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from conv import activation, calls_of

import cnnx
import cnnx.nn.functional as F
from cnnx import _C, nn, optim
from cnnx.bench.nets import NETS, TINY, batch_of, training_step
from cnnx.bench.peers.ours import planned

ATTEMPTS = 3
MAY_FALL_TO = 2 / 3


def best(run: Callable[[], Any], seconds: float = 0.25) -> float:
    """The fastest call, in seconds; short ones are timed several together."""
    run()
    start = time.perf_counter()
    run()
    calls = max(1, int(3e-4 / (time.perf_counter() - start)))
    fastest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(calls):
            run()
        fastest = min(fastest, (time.perf_counter() - start) / calls)
    return fastest


def share(flops: float, call: Callable[[], Any]) -> float:
    """The share of the peak that a call reaches, the peak being measured beside it."""
    peak = _C.measure_peak(0.1)
    rate = flops / best(call)
    return rate / max(peak, _C.measure_peak(0.1))


def convolution(which: int, inputs: int, outputs: int, kernel: int, padding: int, extent: int) -> float:
    """Of a convolution, batch 64: forward (0), gradient of the input (1) or of the weights (2)."""
    x, weight = activation(64, inputs, extent, extent), cnnx.randn(outputs, inputs, kernel, kernel)
    y = F.conv2d(x, weight, padding=padding)
    flops = 2.0 * y.numel() * inputs * kernel**2
    return share(flops, calls_of(x, weight, activation(*y.shape), padding=padding)[which])


def dense(batch: int, inputs: int, outputs: int) -> float:
    """Of a dense layer."""
    x, weight = cnnx.rand(batch, inputs), cnnx.rand(outputs, inputs)
    return share(2.0 * batch * inputs * outputs, lambda: F.linear(x, weight))


def step_of(name: str, batch: int) -> tuple[Callable[..., Any], tuple[cnnx.Tensor, cnnx.Tensor]]:
    """A training step of a net, and its arguments."""
    net = {**NETS, **TINY}[name]
    model = net.build(nn)
    x, y = map(cnnx.from_numpy, batch_of(net, batch))
    optimizer = net.optimizer(optim, model.parameters())
    return training_step(model, optimizer, getattr(F, net.loss)), (x, y)


def plan_over_eager(name: str, batch: int) -> float:
    """How many times faster a step is as a plan."""
    step, arguments = step_of(name, batch)
    plan = planned(step)
    for _ in range(3):
        plan(*arguments)
    return best(lambda: step(*arguments)) / best(lambda: plan(*arguments))


def kernels_over_reference(name: str, batch: int) -> float:
    """How many times faster an eager step is than in the plain loops of the reference."""
    step, arguments = step_of(name, batch)
    ours = best(lambda: step(*arguments))
    code = (
        f"import guard; guard.cnnx.set_num_threads(1); step, arguments = guard.step_of({name!r}, {batch}); "
        "print(guard.best(lambda: step(*arguments)))"
    )
    environment = {**os.environ, "CNNX_TARGET": "reference"}
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=os.path.dirname(os.path.abspath(__file__)),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(found.stdout) / ours


def one_image_over_many() -> float:
    """The time of an image in a batch of 64 over that of one alone, LeNet-5 as a plan."""
    model = planned(NETS["lenet5"].build(nn).eval())
    many, one = cnnx.rand(64, 1, 28, 28), cnnx.rand(1, 1, 28, 28)
    with cnnx.no_grad():
        for x in (many, one) * 3:
            model(x)
        return best(lambda: model(many)) / 64 / best(lambda: model(one))


ROWS: list[tuple[str, float, Callable[[], float]]] = [
    ("conv 4->8 3x3 on 28x28, share of peak", 0.60, lambda: convolution(0, 4, 8, 3, 1, 28)),
    ("conv 8->8 5x5 on 14x14, share of peak", 0.65, lambda: convolution(0, 8, 8, 5, 1, 14)),
    ("conv 6->16 5x5, input gradient", 0.55, lambda: convolution(1, 6, 16, 5, 0, 14)),
    ("conv 6->16 5x5, weight gradient", 0.60, lambda: convolution(2, 6, 16, 5, 0, 14)),
    ("conv 32->64 3x3 by Winograd", 1.20, lambda: convolution(0, 32, 64, 3, 0, 26)),
    ("dense 64x784 -> 1024", 0.65, lambda: dense(64, 784, 1024)),
    ("plan over eager, LeNet-5", 1.05, lambda: plan_over_eager("lenet5", 64)),
    ("plan over eager, 24-8-2, one sample", 2.0, lambda: plan_over_eager("24-8-2", 1)),
    ("kernels over reference, LeNet-5", 15.0, lambda: kernels_over_reference("lenet5", 64)),
    ("image of 64 over one alone, LeNet-5", 0.25, one_image_over_many),
]


def main() -> int:
    """Measures all rows; the exit code says whether one has fallen."""
    cnnx.set_num_threads(1)
    failed = []
    print(f"{_C.active_target()}, peak {_C.measure_peak(0.2) / 1e9:.0f} GFLOP/s a thread")
    print(f"{'':40} {'found':>8} {'known':>8}")
    for name, known, measure in ROWS:
        found = max_until(measure, known * MAY_FALL_TO)
        bad = found < known * MAY_FALL_TO
        failed += [name] * bad
        print(f"{name:40} {found:8.2f} {known:8.2f}{'  FALLEN' if bad else ''}", flush=True)
    return int(bool(failed))


def max_until(measure: Callable[[], float], enough: float) -> float:
    """The best of a few measurements; the first that is enough ends them."""
    found = 0.0
    for _ in range(ATTEMPTS):
        found = max(found, measure())
        if found >= enough:
            break
    return found


if __name__ == "__main__":
    sys.exit(main())
