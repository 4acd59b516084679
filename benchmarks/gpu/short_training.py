"""Training steps on the device, eager and captured, for compute-sanitizer: `short_training.py NET`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from nets import NETS

import cnnx
import cnnx.nn.functional as F

net = NETS[sys.argv[1]]
rng = np.random.default_rng(0)
cnnx.manual_seed(0)
model = net.build(cnnx.nn).to("cuda")
optimizer = net.optimizer(cnnx.optim, model.parameters())


def step(x: cnnx.Tensor, y: cnnx.Tensor) -> cnnx.Tensor:
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


for batch in (33, 64, 5):  # no multiples of a warp, one of a block
    shape = (batch, 784) if net.flat else (batch, 1, 28, 28)
    x = cnnx.tensor(rng.random(shape, dtype=np.float32), device="cuda")
    y = cnnx.tensor(rng.integers(0, 10, batch), device="cuda")
    print(batch, step(x, y).item())
graph = cnnx.cuda.CUDAGraph()
with cnnx.cuda.graph(graph):
    loss = step(x, y)
for _ in range(2):
    graph.replay()
    print("replayed", loss.item())
print("trained")
