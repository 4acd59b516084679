"""Run every system in full for several seeds, judge the figures, print the table of docs/results.md.

Each run's figures stay in runs/results/<system>/seed<k>/figures.json beside its log and pictures: a second
call goes on where the first one stopped, and --only runs some systems alone. The table has all systems whose
runs are there.

    python examples/results.py --data-dir path/to/mnist [--only s4,s7] [--write docs/results.md]

Where the text's figure is not what the net gives, PyTorch's is the measure, from the same weights on the same
batches: those figures are in benchmarks/results/same_start.json, which benchmarks/same_start.py writes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SAME_START = HERE.parent / "benchmarks" / "results" / "same_start.json"
BEGIN, END = "<!-- made by examples/results.py -->", "<!-- end -->"


@dataclass(frozen=True)
class Goal:
    """A figure of a script's report, and when it is reached: relation is `>=`, `<=` or `=` (to 1e-6)."""

    figure: str
    relation: str
    target: float
    digits: int = 4

    def reached(self, value: float) -> bool:
        """Whether the value is good enough."""
        if self.relation == "=":
            return abs(value - self.target) <= 1e-6
        return value >= self.target if self.relation == ">=" else value <= self.target


@dataclass(frozen=True)
class System:
    """A row of the table: `also` is shown only, `as_pytorch` judged against PyTorch from the same starts."""

    script: str
    what: str
    text: str
    goals: tuple[Goal, ...]
    also: tuple[str, ...] = ()
    as_pytorch: tuple[str, ...] = ()
    seeds: int = 3  # one where nothing is random, more where the spread is wide and a run takes seconds


SYSTEMS = {
    "s1": System(
        "s01_mlp_sgd",
        "MLP 784-1024-1024-10, tanh, SGD, every random number NumPy's",
        "train 0.80437505, validation 0.7725",
        (Goal("train accuracy", "=", 0.804375, 6), Goal("validation accuracy", "=", 0.7725)),
        seeds=1,
    ),
    "s2": System(
        "s02_filter_demo",
        "two fixed filters on a cross and two diagonals",
        "nine probabilities",
        (Goal("largest difference of a probability", "<=", 1e-6),),
        seeds=1,
    ),
    "s3": System(
        "s03_smoothing",
        "noisy sine smoothed by a box of 10",
        "a picture",
        (Goal("largest difference from numpy.convolve", "<=", 1e-12),),
        seeds=1,
    ),
    "s4": System(
        "s04_cnn_adadelta",
        "CNN 32-64 of 3x3, Adadelta 0.1, 8,000 images, 10 epochs",
        "loss of the last batch 0.073",
        (Goal("loss of the last batch", "<=", 0.11, 3),),
        ("validation accuracy",),
    ),
    "s5": System(
        "s05_convolution_arithmetic",
        "convolution arithmetic on small arrays",
        "sizes, losses, pooled arrays",
        (
            Goal("largest difference from the text", "<=", 5e-5),
            Goal("largest difference from NumPy", "<=", 1e-12),
        ),
        seeds=1,
    ),
    "s6": System(
        "s06_cnn_dropout_adam",
        "CNN 32-64 of 5x5, dropout 0.5, Adam, 50,000 images, 20 epochs",
        "test 0.9914",
        (Goal("test accuracy", ">=", 0.9914),),
        ("train accuracy, last epoch", "validation accuracy, last epoch"),
    ),
    "s7": System(
        "s07_cnn_augmented",
        "CNN 4-8-8-8, flipped and rotated images, Adam, 5 epochs",
        "test 0.9705",
        (Goal("test accuracy, flipped and rotated", ">=", 0.9705),),
        ("test accuracy, images as they are",),
    ),
    "s8": System(
        "s08_own_layer",
        "own convolution layer over autograd, 8x8 digits, SGD 0.1, 10 epochs",
        "falling loss",
        (Goal("last over first", "<=", 1.0, 3), Goal("largest difference of a batch's loss", "<=", 1e-5)),
        seeds=10,
    ),
    "s9": System(
        "s09_image_filters",
        "image filters by hand-set convolution layers",
        "pictures",
        (Goal("largest difference of layer and filter", "<=", 1e-5),),
        seeds=1,
    ),
    "s10": System(
        "s10_mlp_momentum",
        "MLP 784-128-64-10, SGD 0.003 with momentum, 10 epochs",
        "loss 0.659 → 0.0815, test 0.9775",
        (),
        ("test accuracy", "mean loss, epoch 1", "mean loss, last epoch"),
        ("test accuracy", "mean loss, epoch 1", "mean loss, last epoch"),
    ),
    "s11": System(
        "s11_cnn_batch_norm",
        "CNN 32-32, batch norm, dropout 0.2, Adadelta, 10 epochs",
        "loss 0.0496 → 0.0057, test 0.9897, 79 steps/s on a laptop's GPU",
        (Goal("test accuracy", ">=", 0.9897),),
        ("mean loss, epoch 1", "mean loss, last epoch", "steps per second"),
    ),
    "s12": System(
        "s12_unet_1d",
        "1-D U-Net on generated sequences, BCE, Adam, 20 epochs",
        "loss of the last batch 0.549 → about 0.07",
        (Goal("mean loss, last epoch", "<=", 0.07),),
        ("loss of the last batch",),
        seeds=10,
    ),
    "lenet5": System(
        "lenet5",
        "LeNet-5, Adam, 60,000 images, 5 epochs",
        "PyTorch, one seed: 0.9722, 0.9825, 0.9853, 0.9899, 0.9907",
        (),
        ("test accuracy",),
        ("test accuracy",),
    ),
    "baselines": System(
        "baselines",
        "scikit-learn's random forest and dense net on pixels",
        "-",
        (),
        ("test accuracy, random forest", "test accuracy, dense net"),
    ),
}


def finished(name: str, seed: int, args: argparse.Namespace) -> dict[str, Any] | None:
    """The figures of a run that is complete, and as quick or full as wanted."""
    figures = args.out / name / f"seed{seed}" / "figures.json"
    if not figures.exists():
        return None
    content: dict[str, Any] = json.loads(figures.read_text())
    return content if content["quick"] == args.quick else None


def run(name: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """The figures of one run, from its folder or from running it now."""
    folder = args.out / name / f"seed{seed}"
    if finished(name, seed, args) is None:
        shutil.rmtree(folder, ignore_errors=True)  # a run interrupted, or a quick one
        folder.mkdir(parents=True)
        command = [sys.executable, "-u", str(HERE / f"{SYSTEMS[name].script}.py"), "--seed", str(seed)]
        command += ["--device", args.device, "--out", str(folder)] + (["--quick"] if args.quick else [])
        environment = {**os.environ, "CNNX_DATA_DIR": args.data_dir} if args.data_dir else None
        print(f"== {name}, seed {seed}", file=sys.stderr, flush=True)
        with (folder / "log.txt").open("w") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                log.flush()
                print(line, end="", file=sys.stderr, flush=True)
        if process.wait() != 0:
            sys.exit(
                f"{name}, seed {seed}: exit code {process.returncode}; {folder / 'log.txt'} holds its output"
            )
    content = finished(name, seed, args)
    assert content is not None
    return content


def shown(values: list[float], digits: int = 4) -> str:
    """The mean, and the range where there are several."""
    mean = statistics.fmean(values)
    if abs(mean) < 0.1**digits:
        return f"{max(values):.1g}"
    text = f"{mean:.{digits}f}"
    return text + (f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else "")


def judge(goal: Goal, values: list[float]) -> str:
    """`reached`, or by how much the mean misses the target, and whether that is within the spread."""
    mean = statistics.fmean(values)
    if goal.reached(mean):
        return "reached"
    missed = abs(mean - goal.target)
    within = "less" if missed < max(values) - min(values) else "not less"
    return f"missed by {missed:.{goal.digits}f}, {within} than the spread"


def against_pytorch(name: str) -> list[tuple[str, str]]:
    """Each figure of `as_pytorch` beside PyTorch's: reached if they differ by two standard errors or less."""
    if not SYSTEMS[name].as_pytorch:
        return []
    kept = json.loads(SAME_START.read_text()) if SAME_START.exists() else {}
    if name not in kept:
        return [("-", f"not known: benchmarks/same_start.py --net {name} --json has not been run")]
    runs, judged = kept[name]["figures"], []
    for figure in SYSTEMS[name].as_pytorch:
        ours, theirs = ([run[figure] for run in runs[library]] for library in ("cnnx", "PyTorch"))
        pairs = [a - b for a, b in zip(ours, theirs, strict=True)]
        difference, error = statistics.fmean(pairs), statistics.stdev(pairs) / len(pairs) ** 0.5
        equal = abs(difference) <= 2 * error
        verdict = (
            "reached"
            if equal
            else f"differs by {difference:+.1g}, {abs(difference) / error:.1f} standard errors"
        )
        judged.append(
            (f"**{figure} {shown(ours)}**, PyTorch's {shown(theirs)} (same {len(pairs)} starts)", verdict)
        )
    return judged


def row(name: str, runs: list[dict[str, Any]]) -> str:
    """The table's row of a system."""
    system = SYSTEMS[name]

    def column(figure: str) -> list[float]:
        return [run["figures"][figure] for run in runs]

    pytorch = against_pytorch(name)
    own = [f"**{goal.figure} {shown(column(goal.figure), goal.digits)}**" for goal in system.goals]
    own += [figure for figure, _ in pytorch]
    origin = " from own starts" if pytorch else ""
    own += [
        f"{figure}{origin} {shown(column(figure), 1 if 'per second' in figure else 4)}"
        for figure in system.also
    ]
    signs = {">=": "≥", "<=": "≤", "=": "="}
    wanted = [f"{signs[goal.relation]} {goal.target:g}" for goal in system.goals]
    wanted += ["= PyTorch's from the same starts, to two standard errors"] if pytorch else []
    verdicts = {judge(goal, column(goal.figure)) for goal in system.goals} | {
        verdict for _, verdict in pytorch
    }
    seconds = [second for run in runs for second in run["seconds"]]
    # The fastest, since other work on the machine can only add to it.
    pace = f"{min(seconds):.2g}" if seconds else "-"
    title = name.upper() if name.startswith("s") else name
    goals, verdict = "; ".join(wanted) or "-", "; ".join(sorted(verdicts)) or "-"
    figures = "; ".join(own)
    cells = [f"[{title}](../examples/{system.script}.py)", system.what, system.text, figures, goals, verdict]
    cells += [str(len(runs)), pace]
    return "| " + " | ".join(cells) + " |"


HEADER = """| | system | the text | cnnx | reached when | verdict | seeds | s per epoch |
|---|---|---|---|---|---|---|---|
"""


def write(path: Path, table: str) -> None:
    """Put the table between its two marks in a file."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{path} has no lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{table}{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="the folder with MNIST")
    parser.add_argument("--only", type=lambda text: text.lower().split(","), help=f"of {','.join(SYSTEMS)}")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: 0 1 2, fewer or more for some systems")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--quick", action="store_true", help="short runs on little data, to see that all works"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/results"), help="default: runs/results")
    parser.add_argument("--write", type=Path, help="a file to put the table into, between its marks")
    args = parser.parse_args()
    names = args.only or list(SYSTEMS)
    if unknown := set(names) - set(SYSTEMS):
        parser.error(f"--only {','.join(sorted(unknown))}: known are {','.join(SYSTEMS)}")
    seeds = {
        name: args.seeds[: system.seeds] if args.seeds else list(range(system.seeds))
        for name, system in SYSTEMS.items()
    }
    for name in names:
        for seed in seeds[name]:
            run(name, seed, args)
    table = HEADER
    for name in SYSTEMS:
        runs = [content for seed in seeds[name] if (content := finished(name, seed, args)) is not None]
        if len(runs) == len(seeds[name]):
            table += row(name, runs) + "\n"
    print(table)
    if args.write:
        write(args.write, table)


if __name__ == "__main__":
    main()
