"""Writes what lenet5.cpp reads into the folder given, and prints what it must print."""

import sys
from pathlib import Path

import cnnx
from cnnx.models import build_model

folder = Path(sys.argv[1])
cnnx.manual_seed(5)
model = build_model("lenet5")
for parameter in model.parameters():
    parameter.data.mul_(2)  # so that the probabilities differ
cnnx.save(model.state_dict(), folder / "lenet5.safetensors")
image = cnnx.randint(0, 256, (1, 28, 28), dtype=cnnx.uint8)
(folder / "image").write_bytes(image.numpy().tobytes())
with cnnx.no_grad():
    probability, digit = model(image[None] / 255).softmax(1).max(1)
print(f"{digit.item()} with probability {probability.item():.4f}")
