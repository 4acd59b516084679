"""A net of handwritten digits for a microcontroller: one C file of whole numbers.

Three convolutions of stride 2 learn from shifted and turned digits; cnnx.export_c then
gives each weight and each value between layers 8 bits and writes C99 that allocates
nothing and needs no library. What it costs: accuracy, bytes of flash (code and
constants, compiled for a Cortex-M4 if arm-none-eabi-gcc is installed, else for this
machine) and bytes of workspace. The C is compiled here and classifies the test images:
it must give the bytes that cnnx foretells. Beside it what BakeNN says of its net.

    python examples/microcontroller.py
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import matplotlib.pyplot as plt
import numpy as np
from common import mnist, report, seconds_of, start

import cnnx
import cnnx.nn as nn
from cnnx import optim, transforms
from cnnx.utils.data import DataLoader

args = start(__doc__, epochs=20, needs_mnist=True)
moved = transforms.Compose([transforms.RandomAffine(8, (0.07, 0.07)), transforms.ToTensor()])
train = DataLoader(mnist(args, train=True, transform=moved), batch_size=128, shuffle=True)
typical = next(iter(DataLoader(mnist(args, train=True, transform=transforms.ToTensor()), batch_size=1000)))[0]
images, labels = next(
    iter(DataLoader(mnist(args, train=False, transform=transforms.ToTensor()), batch_size=10000))
)


def block(inputs: int, outputs: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


model = nn.Sequential(
    *block(1, 8), *block(8, 20), *block(20, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)
).to(args.device)
optimizer = optim.Adam(model.parameters(), lr=0.01)
schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=args.epochs * len(train))
history = cnnx.fit(model, train, epochs=args.epochs, optimizer=optimizer, scheduler=schedule)

with cnnx.no_grad():
    scores = model(images).cpu()
made = cnnx.export_c(model, images[:1], args.out / "net.c", int8=True, calibration=typical)
images, labels = images.cpu(), labels.cpu()
foretold = made.simulate(images)
accuracy, accuracy_int8 = ((s.argmax(dim=1) == labels).float().mean().item() for s in (scores, foretold))
compiled = made.flash()
print(f"\n{made}\n{args.out / 'net.c'}: int net_run(const float *input, float *output)")
print("compiled by", compiled[1] if compiled else "nothing: no C compiler is there")


def run_c() -> np.ndarray:
    """What the compiled file says to the test images."""
    library = args.out / "net.so"
    command = [shutil.which("cc") or "gcc", "-std=c99", "-O2", "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([*command, str(args.out / "net.c")], check=True)
    function = ctypes.CDLL(str(library.resolve())).net_run
    given = np.ascontiguousarray(images.numpy())
    found = np.empty((len(given), 10), np.float32)
    for image, row in zip(given, found, strict=True):
        function(image.ctypes.data_as(ctypes.c_void_p), row.ctypes.data_as(ctypes.c_void_p))
    return found


same: float | str | None = None
if shutil.which("cc") or shutil.which("gcc"):
    equal = (run_c() == foretold.numpy()).all(axis=1)
    same = f"{int(equal.sum())} of {len(equal)}"
    assert equal.all()

flash = compiled[0] if compiled else made.weight_bytes
figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained", width_ratios=[1, 1])
axes[0].plot([-30, 30], [-30, 30], color="0.7", linewidth=1)
axes[0].plot(*(s[:300].numpy().ravel() for s in (scores, foretold)), ".", markersize=3, color="tab:blue")
low, high = float(scores[:300].min()), float(scores[:300].max())
axes[0].set(xlabel="score in float32", ylabel="score in int8", xlim=(low, high), ylim=(low, high))
axes[0].set_title("300 images, 10 scores each")
parts = {"weights": made.weight_bytes, "code": flash - made.weight_bytes, "workspace": made.workspace_bytes}
rows = axes[1].barh(list(parts), list(parts.values()), color=["tab:blue", "tab:orange", "tab:green"])
axes[1].bar_label(rows, [f"{count:,}" for count in parts.values()], padding=4)
axes[1].set(xlabel="bytes", xlim=(0, 1.2 * max(parts.values())))
axes[1].invert_yaxis()
axes[1].set_title(f"all of the net: {flash:,} bytes of flash")
figure.suptitle(
    f"A net of 8-bit whole numbers: {100 * accuracy_int8:.2f} % of MNIST's test images", fontsize=14
)
figure.savefig(args.out / "microcontroller.png", dpi=144)
report(
    args,
    [
        ("test accuracy in float32", None, accuracy),
        ("test accuracy in int8", 0.9702, accuracy_int8),
        ("bytes of flash", 12088, flash),
        ("bytes of workspace", 4064, made.workspace_bytes),
        ("multiply-adds", None, made.multiply_adds),
        ("images of which the C gives the bytes foretold", "all", same or "no compiler"),
    ],
    seconds_of(history, train),
)
