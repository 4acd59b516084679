"""Training steps beside PyTorch: eager, with its default precision, as CUDA graphs, and compiled."""

from __future__ import annotations

from typing import Any

import torch
from nets import NETS, Net

import cnnx
from gpu.steps import (
    Step,
    capture_cnnx,
    capture_torch,
    cnnx_step,
    in_precision,
    in_turns,
    torch_step,
    weights_of,
)
from gpu.store import Part, Row, Setting, table, tf32

BATCHES = [64, 256, 1024, 4096]
COMPILED = ["s6", "lenet5"]


def libraries(setting: Setting) -> tuple[Any, Any]:
    """Whose events measure cnnx and PyTorch; None is the host's clock."""
    return cnnx.cuda, None if setting.smoke else torch.cuda


def ours(setting: Setting, net: Net, batch: int, weights: dict[str, Any]) -> dict[str, tuple[Any, Step]]:
    """The steps of cnnx, eager and captured."""
    clock, _ = libraries(setting)
    return {
        "cnnx": (clock, cnnx_step(net, batch, weights)),
        "cnnx graph": (clock, capture_cnnx(cnnx_step(net, batch, weights))),
    }


def eager_case(setting: Setting, net: Net, batch: int) -> Row:
    """One net at one batch size."""
    weights, device = weights_of(net), setting.torch_device
    _, clock = libraries(setting)
    steps = ours(setting, net, batch, weights)
    steps["torch"] = (clock, in_precision(torch_step(net, batch, weights, device), False))
    steps["torch tf32"] = (clock, in_precision(torch_step(net, batch, weights, device), True))
    if not setting.smoke:
        with tf32(False):
            captured = capture_torch(torch_step(net, batch, weights, device, capturable=True))
        steps["torch graph"] = (clock, captured)
    row = in_turns(steps, setting.smoke)
    return {**row, "says": says(row)}


def compiled_case(setting: Setting, net: Net, batch: int, defaults: bool) -> Row:
    """One net at one batch size against torch.compile, with TF32 off or with PyTorch's defaults."""
    weights, device = weights_of(net), setting.torch_device
    _, clock = libraries(setting)
    how = {"backend": "eager"} if setting.smoke else {"mode": "max-autotune"}
    torch.compiler.reset()  # what was compiled for the other precision must not serve this one
    wrapped = torch_step(net, batch, weights, device, wrap=lambda model: torch.compile(model, **how))
    steps = ours(setting, net, batch, weights)
    steps["torch compiled"] = (clock, in_precision(wrapped, defaults))
    row = in_turns(steps, setting.smoke)
    return {**row, "says": says(row)}


def says(row: Row) -> str:
    """The medians in one line."""
    return ", ".join(f"{name} {value['median_ms']:.3f} ms" for name, value in row.items())


def ratio(row: Row, theirs: str, mine: str) -> str:
    """How many times as long they take."""
    if theirs not in row or mine not in row:
        return "-"
    return f"{row[theirs]['median_ms'] / row[mine]['median_ms']:.2f}"


def median(row: Row, name: str) -> str:
    """Milliseconds of a step."""
    return f"{row[name]['median_ms']:.3f}" if name in row else "-"


def show(part: Part, names: list[str], ratios: list[tuple[str, str]]) -> None:
    """The table of a part: medians, and ratios of theirs to ours."""
    head = [part.name, *names, *(f"{a} / {b}" for a, b in ratios)]
    rows = [
        [case, *(median(row, name) for name in names), *(ratio(row, a, b) for a, b in ratios)]
        for case, row in part.measured()
    ]
    table("milliseconds a training step, medians; ratios above 1: cnnx is faster", head, rows)


def train(part: Part) -> None:
    """Every net at every batch size."""
    setting = part.setting
    for batch in [8] if setting.smoke else BATCHES:
        for net in ["s10", "s11"] if setting.smoke else NETS:
            part.run(f"{net} {batch}", lambda net=net, batch=batch: eager_case(setting, NETS[net], batch))
    show(
        part,
        ["cnnx", "cnnx graph", "torch", "torch tf32", "torch graph"],
        [("torch", "cnnx"), ("torch tf32", "cnnx"), ("torch graph", "cnnx graph")],
    )


def compile(part: Part) -> None:
    """Two nets against torch.compile(mode="max-autotune")."""
    setting = part.setting
    for batch in [8] if setting.smoke else [64, 1024]:
        for net in ["s10"] if setting.smoke else COMPILED:
            for defaults, name in ((False, f"{net} {batch}"), (True, f"{net} {batch} tf32")):
                part.run(
                    name,
                    lambda net=net, batch=batch, defaults=defaults: compiled_case(
                        setting, NETS[net], batch, defaults
                    ),
                )
    show(
        part,
        ["cnnx", "cnnx graph", "torch compiled"],
        [("torch compiled", "cnnx"), ("torch compiled", "cnnx graph")],
    )
