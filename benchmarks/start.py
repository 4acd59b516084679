#!/usr/bin/env python3
"""What a script waits for before it trains: NumPy, `import cnnx` beyond it, the first training step."""

from __future__ import annotations

import importlib
import time


def main() -> None:
    """Times a process's own start; run it a few times."""
    begun = time.perf_counter()
    importlib.import_module("numpy")
    with_numpy = time.perf_counter()
    import cnnx
    from cnnx import nn

    with_cnnx = time.perf_counter()
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 13 * 13, 10)
    )
    optimizer = cnnx.optim.SGD(model.parameters(), lr=0.1)
    images, labels = cnnx.randn(64, 1, 28, 28), cnnx.arange(64) % 10
    ready = time.perf_counter()
    loss = nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    loss.item()
    done = time.perf_counter()
    print(
        f"import numpy {with_numpy - begun:.3f} s, cnnx beyond it {with_cnnx - with_numpy:.3f} s, "
        f"first step {1e3 * (done - ready):.1f} ms"
    )


if __name__ == "__main__":
    main()
