"""Times single images, in C++ by benchmarks/latency.cpp and in ONNX Runtime, in one run, from the same files.

Bursts of both take turns, with a pause before each, so that the threads of the one sleep when the other
begins. Outputs of both are compared first. Printed are median and least time of a call in microseconds, as
rows of a table of docs/performance.md.

    python benchmarks/latency.py build/consumer/latency              # on one thread and on two
    CNNX_TARGET=v3 python benchmarks/latency.py build/consumer/latency --threads 1
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

import cnnx
from cnnx.models import build_model

NETS = ("lenet5", "s7", "s4", "s6")
PAUSE = 0.1  # seconds: longer than the threads of either watch for work (ONNX Runtime 1.32: 35 ms)


class Ours:
    """The C++ program."""

    def __init__(self, program: Path, threads: int, files: list[Path]) -> None:
        command = [str(program), str(threads), *map(str, files)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line: str) -> list[float]:
        """The numbers that it answers this line with."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"latency: the program ended with {self.process.wait()}")
        return [float(number) for number in answer.split()]

    def close(self) -> None:
        """Ends it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Theirs:
    """ONNX Runtime."""

    def __init__(self, path: Path, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        pixels = np.arange(784, dtype=np.float32) % 17 / np.float32(17)
        self.feed = {"input": pixels.reshape(1, 1, 28, 28)}

    def run(self) -> Any:
        """The outputs."""
        return self.session.run(None, self.feed)[0]

    def burst(self, count: int) -> list[float]:
        """The nanoseconds of each of so many calls."""
        times = []
        for _ in range(count):
            begin = time.perf_counter_ns()
            self.run()
            times.append(float(time.perf_counter_ns() - begin))
        return times


def measure(
    program: Path, threads: int, rounds: int, count: int
) -> list[tuple[str, list[float], list[float]]]:
    cnnx.manual_seed(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.onnx" for name in NETS]
        for name, path in zip(NETS, files, strict=True):
            model = build_model(name).eval()
            path.write_bytes(cnnx.onnx.export(model, cnnx.rand(1, 1, 28, 28)).SerializeToString())
        ours = Ours(program, threads, files)
        for i, name in enumerate(NETS):
            theirs = Theirs(files[i], threads)
            np.testing.assert_allclose(ours.ask(f"{i}"), theirs.run().ravel(), rtol=1e-4, atol=1e-5)
            sides: tuple[list[float], list[float]] = ([], [])
            for turn in range(rounds + 2):  # the first two warm up
                time.sleep(PAUSE)
                mine = ours.ask(f"{i} {count}")
                time.sleep(PAUSE)
                other = theirs.burst(count)
                if turn > 1:
                    sides[0].extend(mine)
                    sides[1].extend(other)
            rows.append((name, *sides))
        ours.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--count", type=int, default=200, help="calls of a burst")
    args = parser.parse_args()
    print(f"microseconds, ONNX Runtime {ort.__version__}")
    print("| net | threads | cnnx p50 | least | ONNX Runtime p50 | least |\n|---|---|---|---|---|---|")
    for threads in args.threads:
        for name, *sides in measure(args.program, threads, args.rounds, args.count):
            cells = (f"{f(side) / 1000:.1f}" for side in sides for f in (statistics.median, min))
            print(f"| {name} | {threads} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
