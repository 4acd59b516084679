"""Whether the C++ API of an installed cnnx does what Python does, to the bit: parity.py FOLDER-OF-PROGRAMS.

Layers, optimizers, schedules and batches beside those of the program `parity`, and the losses of
examples/cpp/train_lenet5.py beside those of `train_lenet5`, on a few digits.
"""

from __future__ import annotations

import itertools
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import cnnx
from cnnx import nn, optim, transforms
from cnnx.datasets import MNIST, Digits
from cnnx.models import MODELS, build_model
from cnnx.optim import lr_scheduler as schedules
from cnnx.utils.data import DataLoader, TensorDataset

ROOT = Path(__file__).resolve().parents[2]
results: dict[str, cnnx.Tensor] = {}
texts: dict[str, str] = {}  # of layers


def write_digits(folder: Path) -> None:
    """The IDX files of MNIST, with enlarged 8x8 digits."""
    for train, part in ((True, "train"), (False, "t10k")):
        digits = Digits(train=train)
        pixels = digits.data.numpy()[:320].repeat(3, axis=1).repeat(3, axis=2) * 15
        pixels = np.pad(pixels, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
        labels = digits.targets.numpy()[:320].astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(
            struct.pack(">4I", 0x803, *pixels.shape) + pixels.tobytes()
        )
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            struct.pack(">2I", 0x801, len(labels)) + labels.tobytes()
        )


def layer(name: str, module: nn.Module, *shape: int) -> None:
    for key, tensor in module.state_dict().items():
        results[f"{name}.{key}"] = tensor.clone()
    texts[name] = repr(module)
    results[name] = module(cnnx.empty(*shape).normal_(0, 1)).detach()


def layers() -> None:
    cnnx.manual_seed(7)
    layer("conv1d", nn.Conv1d(3, 4, 3, stride=2, padding=1, dilation=2), 2, 3, 11)
    layer("conv2d", nn.Conv2d(4, 6, (3, 5), stride=(1, 2), padding=(2, 1), groups=2), 3, 4, 9, 10)
    layer("same", nn.Conv2d(1, 2, 4, padding="same", bias=False), 1, 1, 6, 7)
    layer("full", nn.Conv1d(1, 2, 3, padding="full", activation="relu"), 2, 1, 5)
    layer("circular", nn.Conv2d(1, 2, 3, padding=(1, 0), padding_mode="circular"), 2, 1, 5, 4)
    layer("transposed1d", nn.ConvTranspose1d(2, 3, 4, stride=3, padding=1), 2, 2, 5)
    layer("transposed2d", nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=(1, 0), groups=2), 2, 4, 3, 4)
    layer("linear", nn.Linear(7, 5), 3, 7)
    layer("batch_norm", nn.BatchNorm2d(3, eps=1e-3, momentum=None), 4, 3, 5, 2)
    layer("layer_norm", nn.LayerNorm((3, 4)), 2, 3, 4)
    layer("group_norm", nn.GroupNorm(2, 6, affine=False), 2, 6, 5)
    layer("dropout", nn.Dropout(0.3), 5, 7)
    layer("dropout2d", nn.Dropout2d(), 3, 4, 2, 2)
    layer("max_pool", nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), 2, 3, 8, 7)
    layer("avg_pool", nn.AvgPool2d((2, 3)), 2, 3, 8, 7)
    layer("adaptive", nn.AdaptiveAvgPool2d((3, 2)), 2, 3, 8, 7)
    layer("nearest", nn.Upsample(scale_factor=1.6), 2, 3, 5)
    layer("bilinear", nn.Upsample(size=(9, 4), mode="bilinear", align_corners=True), 1, 2, 5, 6)
    activations = [nn.LeakyReLU(0.2), nn.ELU(), nn.GELU(), nn.SiLU(), nn.Mish(), nn.Softplus(), nn.Hardtanh()]
    layer("activations", nn.Sequential(*activations, nn.Hardswish(), nn.LogSoftmax(1)), 4, 9)
    table = nn.Embedding(6, 3, padding_idx=2)
    results["embedding"] = table(cnnx.arange(6, dtype=cnnx.int32)).detach()


def models() -> None:
    """The nets known by name: initial values, and what they give."""
    for name in MODELS:
        cnnx.manual_seed(3)
        net = build_model(name, (2, 24, 28), 7).eval()
        for key, tensor in net.state_dict().items():
            if tensor.numel() < 50_000:
                results[f"{name}.{key}"] = tensor.clone()
        results[name] = net(cnnx.empty(2, 2, 24, 28).normal_(0, 1)).detach()


Options = dict[str, Any]
Schedule = Callable[[optim.Optimizer], Any]

# The cases of parity.cpp: optimizer, options of the two groups, schedule.
OPTIMIZERS: dict[str, tuple[type[optim.Optimizer], Options, Options, Schedule]] = {
    "sgd": (
        optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"lr": 0.2, "momentum": 0.8, "dampening": 0.1, "weight_decay": 0.01},
        lambda o: schedules.StepLR(o, 2, 0.3),
    ),
    "adam": (
        optim.Adam,
        {"amsgrad": True},
        {"lr": 0.01, "betas": (0.8, 0.99), "weight_decay": 0.1},
        lambda o: schedules.CosineAnnealingLR(o, 3, 1e-4),
    ),
    "adamw": (
        optim.AdamW,
        {},
        {"lr": 0.02, "maximize": True},
        lambda o: schedules.LinearLR(o, 0.25, total_iters=4),
    ),
    "adadelta": (
        optim.Adadelta,
        {},
        {"lr": 0.5, "rho": 0.8},
        lambda o: schedules.MultiStepLR(o, [2, 4, 4], 0.7),
    ),
    "rmsprop": (
        optim.RMSprop,
        {"momentum": 0.5, "centered": True},
        {"lr": 0.003},
        lambda o: schedules.ExponentialLR(o, 0.9),
    ),
    "adagrad": (
        optim.Adagrad,
        {"lr_decay": 0.1},
        {"initial_accumulator_value": 0.2},
        lambda o: schedules.StepLR(o, 2, 0.3),
    ),
    "nadam": (
        optim.NAdam,
        {},
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
        lambda o: schedules.OneCycleLR(o, 0.1, 8, three_phase=True),
    ),
    "radam": (
        optim.RAdam,
        {},
        {"betas": (0.5, 0.6)},
        lambda o: schedules.OneCycleLR(o, 0.2, 9, anneal_strategy="linear"),
    ),
    "adamax": (optim.Adamax, {}, {"lr": 0.1}, lambda o: schedules.StepLR(o, 2, 0.3)),
    "rprop": (
        optim.Rprop,
        {},
        {"etas": (0.4, 1.5), "step_sizes": (1e-5, 0.1)},
        lambda o: schedules.StepLR(o, 2, 0.3),
    ),
}


def made(name: str, p: list[nn.Parameter]) -> optim.Optimizer:
    cls, first, second, _ = OPTIMIZERS[name]
    groups: Any = [{"params": p[:2], **first}, {"params": p[2:], **second}]
    return cls(groups)  # type: ignore[call-arg]


def optimizers(folder: Path) -> None:
    for name, (*_, schedule_of) in OPTIMIZERS.items():
        cnnx.manual_seed(11)
        net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
        p = list(net.parameters())
        x, y = cnnx.empty(8, 6).normal_(0, 1), cnnx.randint(0, 3, (8,))
        optimizer = made(name, p)
        schedule = schedule_of(optimizer)
        for i in range(7):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
            schedule.step()
            results[f"{name}.lr{i}"] = cnnx.tensor([optimizer.param_groups[1]["lr"]], dtype=cnnx.float64)
        cnnx.save(optimizer.state_dict(), folder / f"{name}.py.safetensors")
        for i, parameter in enumerate(p):
            results[f"{name}.{i}"] = parameter.detach().clone()
        optimizer.step()
        for i, parameter in enumerate(p):
            results[f"{name}.resumed.{i}"] = parameter.detach()


def check_states(folder: Path) -> None:
    """What C++ has saved of optimizers, Python loads."""
    for name in OPTIMIZERS:
        mine, theirs = (cnnx.load(folder / f"{name}.{end}.safetensors") for end in ("py", "cpp"))
        assert mine["state"].keys() == theirs["state"].keys(), name
        for number, entry in mine["state"].items():
            assert entry.keys() == theirs["state"][number].keys(), (name, entry.keys())
            for key, value in entry.items():
                same(f"{name}.state.{number}.{key}", theirs["state"][number][key], value)
        p = [nn.Parameter(cnnx.zeros(shape)) for shape in ((5, 6), (5,), (3, 5), (3,))]
        optimizer = made(name, p)
        optimizer.load_state_dict(theirs)
        for group, saved in zip(optimizer.param_groups, mine["param_groups"], strict=True):
            for key, value in saved.items():
                if key not in ("params", "max_lr", "min_lr", "max_momentum", "base_momentum"):
                    assert group[key] == value, (name, key, group[key], value)


def plateau() -> None:
    optimizer = optim.SGD([cnnx.zeros(1)], lr=1)
    schedule = schedules.ReduceLROnPlateau(optimizer, factor=0.3, patience=1, cooldown=1, min_lr=0.05)
    metrics = (0.5, 0.4, 0.45, 0.41, 0.40001, 0.4, 0.39, 0.39, 0.38999, 0.4, 0.4, 0.4, 0.4)
    for i, metric in enumerate(metrics):
        schedule.step(metric)
        results[f"plateau{i}"] = cnnx.tensor([optimizer.param_groups[0]["lr"]], dtype=cnnx.float64)


def batches(folder: Path) -> None:
    cnnx.manual_seed(13)
    chain = transforms.Compose(
        [
            transforms.RandomCrop(26, padding=1),
            transforms.RandomHorizontalFlip(),
            transforms.RandomRotation(10, transforms.InterpolationMode.BILINEAR),
            transforms.ToTensor(),
            transforms.Normalize([0.25], [0.5]),
        ]
    )
    digits = MNIST(folder, train=False, transform=chain)
    loader = DataLoader(digits, batch_size=50, shuffle=True, drop_last=True)
    number = itertools.count()
    for images, labels in itertools.chain(loader, loader):
        i = next(number)
        results[f"images{i}"], results[f"labels{i}"] = images, labels
    rows = TensorDataset(cnnx.empty(7, 3).normal_(0, 1), cnnx.empty(7).normal_(0, 1))
    generator = cnnx.Generator().manual_seed(5)
    for x, y in DataLoader(rows, batch_size=3, shuffle=True, generator=generator):
        i = next(number)
        results[f"rows{i}"], results[f"targets{i}"] = x, y


def same(name: str, theirs: cnnx.Tensor, mine: cnnx.Tensor) -> None:
    assert (theirs.dtype, theirs.shape) == (mine.dtype, mine.shape), (name, theirs.shape, mine.shape)
    assert theirs.numpy().tobytes() == mine.numpy().tobytes(), (name, theirs, mine)


def main() -> None:
    programs = Path(sys.argv[1]).resolve()
    folder = programs / "digits"
    folder.mkdir(exist_ok=True)
    write_digits(folder)
    layers()
    models()
    optimizers(folder)
    plateau()
    batches(folder)
    subprocess.run([programs / "parity", folder], check=True)
    theirs = cnnx.load(folder / "parity.safetensors")
    for name, tensor in results.items():
        same(name, theirs[name], tensor)
    assert theirs.keys() == results.keys(), theirs.keys() ^ results.keys()
    check_states(folder)
    data = (folder / "parity.safetensors").read_bytes()
    described = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    for name, text in described.items():
        # C++ has one name for modes of any number of axes.
        assert text.replace("'linear'", "'bilinear'") == texts[name], (text, texts[name])
    assert len(described) > 15, described

    script = [sys.executable, str(ROOT / "examples/cpp/train_lenet5.py")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    lines, weights = [], []
    for program in ([str(programs / "train_lenet5")], script):
        done = subprocess.run(
            [*program, str(folder), "2", "3"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        lines.append(done.stdout)
        weights.append((folder / "lenet5.safetensors").read_bytes())
    assert lines[0] == lines[1], lines
    assert weights[0] == weights[1]
    print(f"C++ and Python agree on {len(results)} tensors; LeNet-5: {lines[0].splitlines()[-1]}")


if __name__ == "__main__":
    main()
