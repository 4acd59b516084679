"""Counts what a training step gives to the device: `python benchmarks/gpu/launches.py [NET ...]`.

Needs a build for the emulation (docs/cuda.md), whose CNNX_EMU_TRACE names each launch; the counts are those
of a GPU, since the choice of kernels depends on the shapes alone. On a GPU `nsys` tells it. Columns: the
kernels of the forward pass with the loss, of the backward pass and of the optimizer; copies and memsets, of
which the read of the loss is one; the total; and that of a step in which the activations are the layers' own
(`activation="relu"`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cnnx
import cnnx.nn.functional as F
from cnnx import nn
from cnnx.bench.nets import NETS, batch_of, make_step

PHASES = ("forward", "backward", "optimizer", "read")
FUSED = {nn.ReLU: "relu", nn.Tanh: "tanh"}


def with_activations(model: nn.Sequential) -> nn.Sequential:
    """The net with each activation that follows a convolution or dense layer in that layer."""
    layers: list[nn.Module] = []
    for layer in model:
        if type(layer) in FUSED and layers and isinstance(layers[-1], (nn.Conv2d, nn.Linear)):
            layers[-1].activation = FUSED[type(layer)]
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


def step(name: str, fused: bool, batch: int) -> None:
    """Trains two steps; the second one's phases are announced on stderr, between the traces."""
    net = NETS[name]
    model = net.build(nn)
    model = (with_activations(model) if fused else model).to("cuda")
    optimizer = net.optimizer(cnnx.optim, model.parameters())
    images, labels = batch_of(net, batch)
    x, y = cnnx.tensor(images, device="cuda"), cnnx.tensor(labels, device="cuda")
    make_step(model, optimizer, F.cross_entropy, x, y)()  # makes the optimizer's state
    optimizer.zero_grad()
    announce("forward")
    loss = F.cross_entropy(model(x), y)
    announce("backward")
    loss.backward()
    announce("optimizer")
    optimizer.step()
    announce("read")
    loss.item()


def announce(phase: str) -> None:
    """Says on stderr, where the traces are, what comes next."""
    print(f"phase: {phase}", file=sys.stderr, flush=True)


def count(name: str, fused: bool, batch: int) -> dict[str, Counter[str]]:
    """What a step gives to the device: for each phase, how often which kernel, copy or memset."""
    command = [sys.executable, __file__, "--step", name, "--batch", str(batch)] + ["--fused"] * fused
    environment = os.environ | {"CNNX_EMU_TRACE": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(f"the step of {name} failed:\n{run.stderr[-2000:]}")
    counts: dict[str, Counter[str]] = {phase: Counter() for phase in PHASES}
    phase = None
    for line in run.stderr.splitlines():
        if line.startswith("phase: "):
            phase = line.removeprefix("phase: ")
        elif line.startswith("trace: ") and phase is not None:
            counts[phase][line.removeprefix("trace: ").split()[0]] += 1
    return counts


def print_table(nets: list[str], batch: int) -> None:
    """A row for each net."""
    print("| net | forward | backward | optimizer | copies, memsets | total | with `activation=` |")
    print("|---|---|---|---|---|---|---|")
    for name in nets:
        counts = count(name, False, batch)
        copies = sum(c["memcpy"] + c["memset"] for c in counts.values())
        kernels = [sum(c.values()) - c["memcpy"] - c["memset"] for c in counts.values()]
        fused = sum(sum(c.values()) for c in count(name, True, batch).values())
        columns = [*kernels[:3], copies, sum(kernels) + copies, fused]
        print(f"| {name} | {' | '.join(map(str, columns))} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("nets", nargs="*", metavar="NET", help=f"of {', '.join(NETS)}; default: all")
    parser.add_argument("--batch", type=int, default=64, help="default: 64, a minute on the emulation")
    parser.add_argument("--step", metavar="NET", help=argparse.SUPPRESS)
    parser.add_argument("--fused", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if unknown := set(args.nets) - set(NETS):
        parser.error(f"no such net: {', '.join(sorted(unknown))}; there are {', '.join(NETS)}")
    if not cnnx.cuda.is_available() or "emulated" not in cnnx.cuda.build_info():
        parser.error(f"needs a build for the emulation; this one is for: {cnnx.cuda.build_info()}")
    if args.step:
        step(args.step, args.fused, args.batch)
    else:
        print_table(args.nets or list(NETS), args.batch)


if __name__ == "__main__":
    main()
