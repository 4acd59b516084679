"""Times a full training step of cnnx, and of PyTorch beside it.

A step is zero_grad, forward, loss, backward, optimizer step and reading the loss, with the batch in memory.
The libraries take turns in short bursts, so that a busy machine disturbs them alike; reported are medians
over all steps, and the ratio of PyTorch's better one of eager and channels_last to plain eager cnnx.

    python benchmarks/train_step.py --against torch
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time

import numpy as np

import cnnx
import cnnx.nn
import cnnx.nn.functional
import cnnx.optim
from cnnx.bench.nets import NETS, Net, Step, batch_of, make_step


def cnnx_step(net: Net, batch: int, weights: dict[str, np.ndarray] | None) -> Step:
    model = net.build(cnnx.nn)
    if weights is not None:
        model.load_state_dict({name: cnnx.from_numpy(values) for name, values in weights.items()})
    x, y = (cnnx.from_numpy(a) for a in batch_of(net, batch))
    optimizer = net.optimizer(cnnx.optim, model.parameters())
    return make_step(model, optimizer, cnnx.nn.functional.cross_entropy, x, y)


def torch_steps(net: Net, batch: int) -> tuple[dict[str, Step], dict[str, np.ndarray]]:
    import torch

    steps = {}
    torch.manual_seed(0)
    first = net.build(torch.nn)
    weights = {name: p.numpy().copy() for name, p in first.state_dict().items()}
    for variant in ["eager"] if net.flat else ["eager", "channels_last"]:
        model = net.build(torch.nn)
        model.load_state_dict(first.state_dict())
        x, y = (torch.from_numpy(a) for a in batch_of(net, batch))
        if variant == "channels_last":
            model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
        optimizer = net.optimizer(torch.optim, model.parameters())
        steps[f"torch {variant}"] = make_step(model, optimizer, torch.nn.functional.cross_entropy, x, y)
    return steps, weights


def measure(steps: dict[str, Step], rounds: int, burst: int) -> dict[str, dict[str, float]]:
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(5):
            step().item()
    for _ in range(rounds):
        for name, step in steps.items():
            step().item()  # the other library's threads go to sleep meanwhile
            for _ in range(burst):
                start = time.perf_counter()
                step().item()
                times[name].append(time.perf_counter() - start)
    return {
        name: {"median_ms": statistics.median(t) * 1e3, "min_ms": min(t) * 1e3, "steps": len(t)}
        for name, t in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", choices=["torch"], help="also time this library")
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=list(NETS))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=8, help="times that each library gets its turn")
    parser.add_argument("--burst", type=int, default=8, help="timed steps in a turn")
    parser.add_argument("--threads", type=int, help="threads of both libraries (default: all)")
    parser.add_argument("--json", help="write the results to this file")
    args = parser.parse_args()

    if args.threads:
        cnnx.set_num_threads(args.threads)
    if args.against == "torch":
        import torch

        torch.set_num_threads(args.threads or cnnx.get_num_threads())

    print(f"batch {args.batch_size}, {cnnx.get_num_threads()} threads, medians in ms")
    results = {}
    for name in args.nets:
        net = NETS[name]
        steps: dict[str, Step] = {}
        weights = None
        if args.against == "torch":
            steps, weights = torch_steps(net, args.batch_size)
        steps = {"cnnx": cnnx_step(net, args.batch_size, weights), **steps}
        row = measure(steps, args.rounds, args.burst)
        line = f"{name:8}" + "".join(f"  {key} {value['median_ms']:8.3f}" for key, value in row.items())
        if args.against:
            best = min(value["median_ms"] for key, value in row.items() if key != "cnnx")
            line += f"  ratio {best / row['cnnx']['median_ms']:.2f}"
        print(line, flush=True)
        results[name] = row
    if args.json:
        with open(args.json, "w") as file:
            about = {"machine": platform.processor() or platform.machine(), "batch": args.batch_size}
            json.dump({**about, "threads": cnnx.get_num_threads(), "results": results}, file, indent=1)


if __name__ == "__main__":
    main()
