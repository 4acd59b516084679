"""Times ops that scripts use beside their nets, and float64 training, against PyTorch on one thread.

Both take turns; reported are the fastest of the rounds, in microseconds, and their ratio: below 1 is faster
than PyTorch.

    python benchmarks/pace.py
    python benchmarks/pace.py --only median,randn
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import cnnx
import cnnx.nn.functional
from cnnx.models import MODELS

ROUNDS, ROUND = 7, 0.02  # of each library, and seconds of one
Call = Callable[[], Any]


def time_both(ours: Call, theirs: Call) -> tuple[float, float]:
    """Seconds of a call of each: the fastest of rounds that take turns."""
    best = [float("inf")] * 2
    for _ in range(ROUNDS):
        for which, call in enumerate((ours, theirs)):
            count, start = 0, time.perf_counter()
            while (spent := time.perf_counter() - start) < ROUND or not count:
                call()
                count += 1
            best[which] = min(best[which], spent / count)
    return best[0], best[1]


def both(values: Any, dtype: str = "float32") -> tuple[cnnx.Tensor, torch.Tensor]:
    return cnnx.tensor(values.astype(dtype)), torch.tensor(values.astype(dtype))


def ranks(rng: np.random.Generator) -> Iterator[tuple[str, Call, Call]]:
    """Sorting and what picks by rank."""
    for shape in ((1_000,), (1_000_000,), (64, 1_000)):
        x, y = both(rng.standard_normal(shape))
        size = "x".join(f"{extent:,}" for extent in shape)
        yield f"median of {size}", lambda x=x: x.median(-1), lambda y=y: y.median(-1)
        for k in (5, 50):
            yield f"top {k} of {size}", lambda x=x, k=k: x.topk(k), lambda y=y, k=k: y.topk(k)
        yield f"sort {size}", lambda x=x: x.sort(), lambda y=y: y.sort()


def products(rng: np.random.Generator) -> Iterator[tuple[str, Call, Call]]:
    """A matrix times a vector."""
    for extent in (100, 512, 4096):
        for dtype in ("float32", "float64"):
            (a, b), (u, v) = (
                both(rng.standard_normal(shape), dtype) for shape in ((extent, extent), (extent,))
            )
            size = f"{extent}x{extent}, {dtype}"
            yield f"matrix-vector {size}", lambda a=a, u=u: a @ u, lambda b=b, v=v: b @ v
            yield f"vector-matrix {size}", lambda a=a, u=u: u @ a, lambda b=b, v=v: v @ b


def random_numbers(rng: np.random.Generator) -> Iterator[tuple[str, Call, Call]]:
    """Normal and uniform numbers."""
    for count in (1_000, 1_000_000):
        yield f"randn {count:,}", lambda n=count: cnnx.randn(n), lambda n=count: torch.randn(n)
        yield f"rand {count:,}", lambda n=count: cnnx.rand(n), lambda n=count: torch.rand(n)


def pointwise(rng: np.random.Generator) -> Iterator[tuple[str, Call, Call]]:
    """Convolutions of 1x1, forward and with both gradients."""
    for batch, inputs, side, outputs in ((64, 256, 14, 256), (32, 256, 7, 512), (64, 256, 1, 256)):
        x, y = both(rng.standard_normal((batch, inputs, side, side)))
        w, v = both(rng.standard_normal((outputs, inputs, 1, 1)) * 0.1)
        for t in (x, y, w, v):
            t.requires_grad_()

        def step(functional: Any, image: Any, weight: Any) -> None:
            image.grad = weight.grad = None
            functional.conv2d(image, weight).sum().backward()

        yield (
            f"1x1 convolution {batch}x{inputs}x{side}x{side} to {outputs}",
            lambda x=x, w=w: step(cnnx.nn.functional, x, w),
            lambda y=y, v=v: step(torch.nn.functional, y, v),
        )


def training(rng: np.random.Generator) -> Iterator[tuple[str, Call, Call]]:
    """A step with Adam on a batch of 64 images of 28x28 in float64."""
    images, targets = rng.standard_normal((64, 1, 28, 28)), rng.integers(0, 10, 64)
    for name in ("mlp", "lenet5", "cnn-32-64-5x5", "cnn-32-32-bn", "pictures"):
        steps = []
        for library, layers in ((cnnx, cnnx.nn), (torch, torch.nn)):
            net = MODELS[name].build((1, 28, 28), 10, layers).double()
            optimizer = library.optim.Adam(net.parameters(), lr=1e-3)
            x, t = library.tensor(images), library.tensor(targets)

            def step(
                net: Any = net, optimizer: Any = optimizer, x: Any = x, t: Any = t, nn: Any = layers
            ) -> None:
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x), t).backward()
                optimizer.step()

            steps.append(step)
        yield f"training {name}, float64", steps[0], steps[1]


def main() -> None:
    """Prints a line for each op."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", default="", metavar="A,B", help="ops whose names have one of these words")
    words = parser.parse_args().only.split(",")
    torch.set_num_threads(1)
    cnnx.set_num_threads(1)
    rng = np.random.default_rng(0)
    print(f"{'':44}{'cnnx':>12}{'PyTorch':>12}{'ratio':>8}")
    for rows in (ranks, products, random_numbers, pointwise, training):
        for name, ours, theirs in rows(rng):
            if any(word in name for word in words):
                mine, other = time_both(ours, theirs)
                print(f"{name:44}{mine * 1e6:12,.1f}{other * 1e6:12,.1f}{mine / other:8.2f}", flush=True)


if __name__ == "__main__":
    main()
