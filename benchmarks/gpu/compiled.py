"""Training steps against torch.compile(mode="max-autotune")."""

from __future__ import annotations

from functools import partial

import torch

from cnnx.bench.nets import NETS, Net
from gpu.runner import Part
from gpu.steps import in_precision, in_turns, libraries, torch_step, weights_of
from gpu.store import Case, Results, Row, Setting
from gpu.train import medians, ours, says

NAMES = ["cnnx", "cnnx graph", "torch compiled"]
RATIOS = [("torch compiled", "cnnx"), ("torch compiled", "cnnx graph")]


def compiled_case(setting: Setting, net: Net, batch: int, defaults: bool) -> Row:
    """One net at one batch size, with TF32 off or with PyTorch's defaults."""
    weights, device = weights_of(net), setting.torch_device
    _, clock = libraries(setting)
    how = {"backend": "eager"} if setting.smoke else {"mode": "max-autotune"}
    wrapped = torch_step(net, batch, weights, device, wrap=lambda model: torch.compile(model, **how))
    steps = ours(setting, net, batch, weights)
    steps["torch compiled"] = (clock, in_precision(wrapped, defaults))
    row = in_turns(steps, setting.smoke)
    return {**row, "says": says(row)}


def cases(setting: Setting) -> dict[str, Case]:
    """Two nets."""
    return {
        f"{net} {batch}{' tf32' if defaults else ''}": partial(
            compiled_case, setting, NETS[net], batch, defaults
        )
        for batch in setting.choose([8], [64], [64, 1024])
        for net in setting.choose(["s10"], ["s6", "lenet5"], ["s6", "lenet5"])
        for defaults in (False, True)
    }


def show(results: Results) -> list[str]:
    """Medians and ratios."""
    return medians(results, "compile", NAMES, RATIOS)


PART = Part("compile", cases, show, show, seconds=240, timed=True)
