"""Training steps on the device, for NVIDIA's tools: `short_training.py NET [--profile]`.

Eager steps and replays, for compute-sanitizer and nsys; with --profile the last of three steps at batch 64
alone is what `ncu --profile-from-start off` sees.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cnnx
import cnnx.nn.functional as F
from cnnx.bench.nets import NETS, batch_of, make_step

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("net", choices=NETS)
parser.add_argument("--profile", action="store_true")
args = parser.parse_args()

net = NETS[args.net]
cnnx.manual_seed(0)
model = net.build(cnnx.nn).to("cuda")
optimizer = net.optimizer(cnnx.optim, model.parameters())


def step_of(batch: int):
    """A step on images of this number."""
    x, y = (cnnx.from_numpy(values).to("cuda") for values in batch_of(net, batch))
    return make_step(model, optimizer, F.cross_entropy, x, y)


if args.profile:
    emulated = "emulated" in cnnx.cuda.build_info()
    step = step_of(5 if emulated else 64)
    for _ in range(2):
        step()
    cnnx.cuda.synchronize()
    driver = None if emulated else ctypes.CDLL("libcuda.so.1")
    if driver is not None and driver.cuProfilerStart() != 0:
        sys.exit("the driver does not start a profile")
    step()
    cnnx.cuda.synchronize()
    if driver is not None:
        driver.cuProfilerStop()
else:
    for batch in (33, 64, 5):  # no multiples of a warp, one of a block
        step = step_of(batch)
        print(batch, step().item())
    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        loss = step()
    for _ in range(2):
        graph.replay()
        print("replayed", loss.item())
print("trained")
