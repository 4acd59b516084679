"""Convolution against the machine's peak: forward and both gradients, for the shapes of small nets.

Each is timed as an op is called: on activations as the op before leaves them, padding, layout and threads
included. The peak is measured in the same run, by multiply-adds in registers. Counted are the operations of
the definition, so that a convolution that takes Winograd's way can exceed the peak.

    python benchmarks/conv.py
    python benchmarks/conv.py --grouped    # depthwise, grouped and strided ones, beside the dense one
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cnnx
import cnnx.nn.functional as F
from cnnx import _C

# in channels, out channels, kernel, padding, input extent: S7's four, LeNet-5's second, S4's and S6's second.
SHAPES = [
    (1, 4, 3, 1, 28),
    (4, 8, 3, 1, 28),
    (8, 8, 5, 1, 14),
    (8, 8, 5, 1, 12),
    (6, 16, 5, 0, 14),
    (32, 64, 3, 0, 26),
    (32, 64, 5, 2, 14),
]

# The same and groups, stride.
GROUPED = [
    (8, 8, 3, 1, 14, 1, 1),
    (8, 8, 3, 1, 14, 8, 1),
    (16, 16, 3, 1, 28, 16, 1),
    (16, 16, 3, 1, 28, 4, 1),
    (8, 8, 5, 2, 14, 1, 1),
    (8, 8, 5, 2, 14, 8, 1),
    (8, 8, 3, 1, 14, 1, 2),
    (16, 32, 3, 1, 14, 1, 2),
    (1, 8, 5, 2, 28, 1, 2),
]


def activation(*shape: int) -> cnnx.Tensor:
    """Random values in the layout in which a spatial op leaves its result."""
    return F.max_pool2d(cnnx.randn(*shape), 1)


def calls_of(
    x: cnnx.Tensor, weight: cnnx.Tensor, grad: cnnx.Tensor, **options: int
) -> list[Callable[[], object]]:
    """The forward pass and the two gradients, each as a call without arguments."""
    inputs = x.detach().requires_grad_()
    weights = weight.detach().requires_grad_()
    of_inputs = F.conv2d(inputs, weight, **options)
    of_weights = F.conv2d(x, weights, **options)
    return [
        lambda: F.conv2d(x, weight, **options),
        lambda: cnnx.autograd.grad(of_inputs, inputs, grad, retain_graph=True),
        lambda: cnnx.autograd.grad(of_weights, weights, grad, retain_graph=True),
    ]


def best_seconds(call: Callable[[], object], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 4]  # the lower quartile: a busy machine only adds time


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--grouped", action="store_true", help="depthwise, grouped and strided ones")
    args = parser.parse_args()
    if args.threads:
        cnnx.set_num_threads(args.threads)

    peak = _C.measure_peak(0.5)
    threads = cnnx.get_num_threads()
    print(f"{_C.active_target()}, {threads} threads, batch {args.batch_size}, peak {peak / 1e9:.0f} GFLOP/s")
    print(f"{'convolution':28}{'forward':>18}{'input gradient':>18}{'weight gradient':>18}")
    shapes = GROUPED if args.grouped else [(*shape, 1, 1) for shape in SHAPES]
    for inputs, outputs, kernel, padding, extent, groups, stride in shapes:
        options = {"padding": padding, "groups": groups, "stride": stride}
        x = activation(args.batch_size, inputs, extent, extent)
        weight = cnnx.randn(outputs, inputs // groups, kernel, kernel)
        y = F.conv2d(x, weight, **options)
        grad = activation(*y.shape)
        operations = 2.0 * y.numel() * inputs // groups * kernel * kernel

        cells = []
        for call in calls_of(x, weight, grad, **options):
            rate = operations / best_seconds(call, args.repeats)
            cells.append(f"{rate / 1e9:7.0f} ({100 * rate / peak:3.0f} %)")
        name = f"{inputs}->{outputs} {kernel}x{kernel} p{padding} on {extent}x{extent}"
        name += f" g{groups}" * (groups > 1) + f" s{stride}" * (stride > 1)
        print(f"{name:28}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
