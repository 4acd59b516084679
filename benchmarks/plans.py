"""Times training steps as they are and as plans, in turns in one process.

python benchmarks/plans.py --threads 1
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cnnx
import cnnx.nn.functional as F
from cnnx import nn, optim
from cnnx.bench.nets import NETS, batch_of


def mean_time(step: Callable[..., object], batch: tuple[cnnx.Tensor, ...], calls: int) -> float:
    """Microseconds of a call, over so many."""
    start = time.perf_counter()
    for _ in range(calls):
        step(*batch)
    return (time.perf_counter() - start) / calls * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=list(NETS))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=40, help="turns of each")
    args = parser.parse_args()
    cnnx.set_num_threads(args.threads)
    for name in args.nets:
        net = NETS[name]
        model = net.build(nn)
        x, y = (cnnx.from_numpy(a) for a in batch_of(net, args.batch_size))
        optimizer = net.optimizer(optim, model.parameters())

        def step(x: cnnx.Tensor, y: cnnx.Tensor, model=model, optimizer=optimizer) -> cnnx.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        planned = cnnx.compile(step, static=True, fullgraph=True)
        for _ in range(5):
            step(x, y)
            planned(x, y)
        start = time.perf_counter()
        planned(x, y)
        calls = max(1, int(0.01 / (time.perf_counter() - start)))
        pairs = [
            (mean_time(step, (x, y), calls), mean_time(planned, (x, y), calls)) for _ in range(args.rounds)
        ]
        eager, plan = (min(times) for times in zip(*pairs, strict=True))
        print(f"{name:8} eager {eager:9.1f} us   plan {plan:9.1f} us   {eager / plan:5.2f} times", flush=True)


if __name__ == "__main__":
    main()
