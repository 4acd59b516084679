"""Times training steps on two threads against one, on a quiet machine and on a busy one.

Both take turns in short bursts. Reported are low percentile, median and 95th percentile of each, and their
ratios: how many times faster two threads are. "paired" is the median of the ratios of neighbouring bursts,
which the slow wandering of clocks disturbs least. The share of the time that the host of a virtual machine
took (steal, from /proc/stat) stands beside them.

    python benchmarks/thread_scaling.py
    python benchmarks/thread_scaling.py --busy 1         # beside a process that never rests
    python benchmarks/thread_scaling.py --quota 150      # with 1.5 CPUs, by an own control group (as root)
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import cnnx
import cnnx.nn
import cnnx.nn.functional
import cnnx.optim
from cnnx.bench.nets import NETS, Net, Step, batch_of, make_step

PERCENTILES = (5, 50, 95)


def step_of(net: Net, batch: int) -> Step:
    model = net.build(cnnx.nn)
    x, y = (cnnx.from_numpy(a) for a in batch_of(net, batch))
    optimizer = net.optimizer(cnnx.optim, model.parameters())
    return make_step(model, optimizer, cnnx.nn.functional.cross_entropy, x, y)


def measure(step: Step, steps: int, burst_seconds: float) -> tuple[dict[int, list[float]], float]:
    """Milliseconds of at least `steps` steps on each number of threads, and the paired ratio."""
    times: dict[int, list[float]] = {1: [], 2: []}
    ratios = []
    while min(len(t) for t in times.values()) < steps:
        medians = []
        for threads, found in times.items():
            cnnx.set_num_threads(threads)
            for _ in range(3):
                step().item()
            before, end = len(found), time.perf_counter() + burst_seconds
            while (start := time.perf_counter()) < end:
                step().item()
                found.append((time.perf_counter() - start) * 1e3)
            medians.append(statistics.median(found[before:]))
        ratios.append(medians[0] / medians[1])
    return times, statistics.median(ratios)


def steal() -> float:
    """CPU seconds that the host has taken since the machine started."""
    return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Beside `count` processes that never rest."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


@contextlib.contextmanager
def quota(percent: int | None) -> Iterator[None]:
    """With this share of a CPU in each tenth of a second, by a control group for this process."""
    if percent is None:
        yield
        return
    one = Path("/sys/fs/cgroup/cpu")  # version 1 of control groups, else 2
    group = (one if one.is_dir() else Path("/sys/fs/cgroup")) / f"cnnx-{os.getpid()}"
    group.mkdir()
    limits = {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": f"{percent * 1000}"}
    for name, value in limits.items() if one.is_dir() else [("cpu.max", f"{percent * 1000} 100000")]:
        (group / name).write_text(value)
    try:
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=["lenet5", "s1", "s4", "s6", "s7"])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=500, help="on each number of threads, at least")
    parser.add_argument("--burst", type=float, default=0.1, help="seconds of a turn")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="beside N processes that never rest")
    parser.add_argument("--quota", type=int, metavar="PERCENT", help="with this share of one CPU")
    parser.add_argument("--json", help="write the results to this file")
    args = parser.parse_args()
    results = {}
    with busy(args.busy), quota(args.quota):
        for name in args.nets:
            taken, start = steal(), time.perf_counter()
            times, paired = measure(step_of(NETS[name], args.batch_size), args.steps, args.burst)
            share = (steal() - taken) / (time.perf_counter() - start) / (os.cpu_count() or 1)
            found = {t: np.percentile(ms, PERCENTILES) for t, ms in times.items()}
            ratios = found[1] / found[2]
            print(
                f"{name:7}"
                + "".join(
                    f"  {t} thread{'s' * (t > 1)} " + " ".join(f"{v:7.3f}" for v in found[t]) for t in found
                )
                + "  ratio "
                + " ".join(f"{r:5.2f}" for r in ratios)
                + f"  paired {paired:5.2f}  steal {share:.0%}",
                flush=True,
            )
            results[name] = {str(t): list(map(float, v)) for t, v in found.items()} | {
                "paired": paired,
                "steal": share,
            }
    if args.json:
        Path(args.json).write_text(
            json.dumps({**vars(args), "percentiles": PERCENTILES, "ms": results}, indent=1)
        )


if __name__ == "__main__":
    main()
