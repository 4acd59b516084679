"""Training steps beside PyTorch: eager, with its default precision, and under CUDA graphs."""

from __future__ import annotations

from functools import partial
from typing import Any

from cnnx.bench.nets import NETS, Net
from gpu.runner import Part
from gpu.steps import (
    Step,
    capture_cnnx,
    capture_torch,
    cnnx_step,
    in_precision,
    in_turns,
    libraries,
    tf32,
    torch_step,
    weights_of,
)
from gpu.store import Case, Results, Row, Setting, table

NAMES = ["cnnx", "cnnx graph", "torch", "torch tf32", "torch graph"]
RATIOS = [("torch", "cnnx"), ("torch tf32", "cnnx"), ("torch graph", "cnnx graph")]


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


def medians(results: Results, part: str, names: list[str], ratios: list[tuple[str, str]]) -> list[str]:
    """The table of a part: medians, and ratios of theirs to ours."""
    rows = [
        [case, *(median(row, name) for name in names), *(ratio(row, a, b) for a, b in ratios)]
        for case, row in results.measured(part)
    ]
    title = "milliseconds a training step, medians; ratios above 1: cnnx is faster"
    return table(title, [part, *names, *(f"{a} / {b}" for a, b in ratios)], rows)


def cases(setting: Setting) -> dict[str, Case]:
    """Every net at every batch size."""
    return {
        f"{net} {batch}": partial(eager_case, setting, NETS[net], batch)
        for batch in setting.choose([8], [64, 1024], [64, 1024, 256, 4096])
        for net in setting.choose(["s10", "lenet5"], list(NETS), list(NETS))
    }


def show(results: Results) -> list[str]:
    """Medians and ratios."""
    return medians(results, "train", NAMES, RATIOS)


def summary(results: Results) -> list[str]:
    """The table at the two batch sizes that the first look measures."""
    rows = [
        [case, *(median(row, name) for name in NAMES), *(ratio(row, a, b) for a, b in RATIOS)]
        for case, row in results.measured("train")
        if not case.endswith((" 256", " 4096"))
    ]
    head = ["ms a step", "cnnx", "graph", "torch", "tf32", "graph", "ratios:", "tf32", "graphs"]
    bad = [f"  {case}: {row['error'][:120]}" for case, row in results.of("train").items() if "error" in row]
    return table("", head, rows) + bad[:2]


PART = Part("train", cases, show, summary, seconds=60, timed=True)
