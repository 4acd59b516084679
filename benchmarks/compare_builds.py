"""Times training steps of two builds of cnnx in turns, each in a process of its own.

python benchmarks/compare_builds.py BEFORE NOW --nets s10 lenet5

BEFORE and NOW are folders that hold a package `cnnx` with its native code. Prints the minimum, 5th percentile
and median of a step in ms for both, their ratios, and the median of the ratios of neighbouring bursts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

BATCH = 64
BURST = 0.1  # seconds


def serve(name: str, threads: int) -> None:
    """Runs as many steps as a line asks for and answers with their times in ms."""
    import cnnx
    from cnnx import nn, optim

    sys.path.append(str(Path(__file__).resolve().parents[1] / "python/cnnx/bench"))
    from nets import NETS, batch_of, make_step  # of this tree: an older build has others, or none

    if name not in NETS:
        sys.exit(f"compare_builds: there is no net {name}; known are {', '.join(NETS)}")
    cnnx.set_num_threads(threads)
    cnnx.manual_seed(0)
    net = NETS[name]
    model = net.build(nn)
    images, labels = (cnnx.from_numpy(array) for array in batch_of(net, BATCH))
    step = make_step(
        model, net.optimizer(optim, model.parameters()), nn.functional.cross_entropy, images, labels
    )
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            began = time.perf_counter()
            step().item()
            times.append(1e3 * (time.perf_counter() - began))
        print(*times, flush=True)


class Build:
    """A build at work in its process."""

    def __init__(self, folder: Path, net: str, threads: int) -> None:
        command = [sys.executable, __file__, "--serve", net, "--threads", str(threads)]
        pipe = subprocess.PIPE
        environment = {**os.environ, "PYTHONPATH": str(folder.resolve())}
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.times: list[float] = []
        self.burst(5)
        self.times.clear()

    def burst(self, steps: int) -> float:
        """The median of so many steps."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        times = [float(t) for t in self.process.stdout.readline().split()]
        if not times:
            raise SystemExit("compare_builds: a build ended before it answered")
        self.times += times
        return statistics.median(times)

    def figures(self) -> tuple[float, float, float]:
        """Minimum, 5th percentile and median of all steps."""
        ordered = sorted(self.times)
        return ordered[0], ordered[len(ordered) // 20], statistics.median(ordered)


def compare(folders: list[Path], net: str, threads: int, rounds: int) -> None:
    before, now = (Build(folder, net, threads) for folder in folders)
    steps = max(3, int(1e3 * BURST / before.burst(3)))
    paired = []
    for _ in range(rounds):
        first = before.burst(steps)
        paired.append(now.burst(steps) / first)
    old, new = before.figures(), now.figures()
    texts = ["  ".join(f"{value:8.3f}" for value in row) for row in (old, new)]
    ratios = "  ".join(f"{b / a:.3f}" for a, b in zip(old, new, strict=True))
    print(
        f"{net:7}  before {texts[0]}  now {texts[1]}  ratio {ratios}  paired {statistics.median(paired):.3f}"
    )
    for build in (before, now):
        build.process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description="Times training steps of two builds of cnnx in turns.")
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="BEFORE and NOW")
    parser.add_argument("--nets", nargs="+", default=["s10", "lenet5", "s7", "s1", "s4", "s6"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.threads)
        return
    if len(options.folders) != 2:
        parser.error("needs two folders, BEFORE and NOW")
    for folder in options.folders:
        if not (folder / "cnnx" / "__init__.py").is_file():
            parser.error(f"{folder} holds no package cnnx")
    for net in options.nets:
        compare(options.folders, net, options.threads, options.rounds)


if __name__ == "__main__":
    main()
