"""Steps of every net on the device: against the CPU, against float64, and as a CUDA graph, to the bit."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np

import cnnx
import cnnx.nn
import cnnx.nn.functional as F
import cnnx.optim
from cnnx.bench.nets import NETS, Net, batch_of, make_step
from gpu.runner import Part
from gpu.store import Case, Results, Row, Setting, line_of, table

# A float64 result may differ by the order of its sums; a float32 one by that and by its functions' rounding.
BOUNDS = {"float64": 1e-10, "float32": 2e-4}
NO_NUMBER = 1e300  # a difference that is NaN or infinite, which JSON has not
REPLAYS = 3
Arrays = dict[str, np.ndarray]


def gradients(net: Net, batch: int, device: str, dtype: Any, start: Arrays) -> Arrays:
    """The logits, loss and gradients of one step, without dropout: its mask is not what is compared here."""
    model = net.build(cnnx.nn).to(device=device, dtype=dtype)
    model.load_state_dict({key: cnnx.tensor(values, device=device) for key, values in start.items()})
    for module in model.modules():
        if isinstance(module, cnnx.nn.Dropout):
            module.eval()
    images, labels = batch_of(net, batch)
    logits = model(cnnx.tensor(images, dtype=dtype, device=device))
    loss = F.cross_entropy(logits, cnnx.tensor(labels, device=device))
    loss.backward()
    found = {"logits": logits, "loss": loss, **{f"grad {k}": p.grad for k, p in model.named_parameters()}}
    return {key: value.detach().double().cpu().numpy() for key, value in found.items()}


def largest(got: Arrays, want: Arrays) -> tuple[float, str]:
    """The largest difference relative to the largest value of its array, and where.

    A gradient that is zero but for rounding (of a bias before batch norm) is measured by the others.
    """
    floor = 1e-3 * max(float(np.abs(values).max()) for key, values in want.items() if key.startswith("grad"))
    differences = {
        key: float(np.abs(got[key] - values).max()) / max(float(np.abs(values).max()), floor)
        for key, values in want.items()
    }
    # No comparison with a NaN is true, so one would be passed over.
    differences = {key: d if np.isfinite(d) else NO_NUMBER for key, d in differences.items()}
    worst = max(differences, key=lambda key: differences[key])
    return differences[worst], worst


def agreement(net: Net, batch: int) -> Row:
    """The device in float32 and float64, and the CPU in float32, against the CPU in float64."""
    cnnx.manual_seed(0)
    start = {key: value.numpy() for key, value in net.build(cnnx.nn).state_dict().items()}
    exact = gradients(net, batch, "cpu", cnnx.float64, start)
    row: Row = {"bounds": BOUNDS}
    for name, device, dtype in (
        ("cuda float32", "cuda", cnnx.float32),
        ("cpu float32", "cpu", cnnx.float32),
        ("cuda float64", "cuda", cnnx.float64),
    ):
        row[name], row[f"{name} at"] = largest(gradients(net, batch, device, dtype, start), exact)
    again = [gradients(net, batch, "cuda", cnnx.float32, start) for _ in range(2)]
    row["same bits"] = all(again[0][key].tobytes() == again[1][key].tobytes() for key in again[0])
    # What float32 loses on the CPU, as in batch norm of few images, it may lose here.
    allowed = max(BOUNDS["float32"], 3 * row["cpu float32"])
    exactly = row["cuda float64"] <= BOUNDS["float64"]
    row["passed"] = bool(row["cuda float32"] <= allowed and exactly and row["same bits"])
    row["says"] = (
        f"float32 {row['cuda float32']:.1e} (CPU {row['cpu float32']:.1e}), float64 {row['cuda float64']:.1e}"
        + ("" if row["same bits"] else ", other bits the second time")
    )
    return row


class Training:
    """A net on a device, after a step that the CPU made: so its optimizer has its state already."""

    def __init__(self, net: Net, batch: int, device: str, start: tuple[Any, Any] | None = None) -> None:
        cnnx.manual_seed(1)
        self.model = net.build(cnnx.nn).to(device)
        self.optimizer = net.optimizer(cnnx.optim, self.model.parameters())
        x, y = (cnnx.from_numpy(values).to(device) for values in batch_of(net, batch))
        if start is not None:
            self.model.load_state_dict(start[0])
            self.optimizer.load_state_dict(copy.deepcopy(start[1]))
        self.step = make_step(self.model, self.optimizer, F.cross_entropy, x, y)

    def state(self) -> tuple[Any, Any]:
        """What another training may start from."""
        return self.model.state_dict(), self.optimizer.state_dict()

    def everything(self, loss: Any) -> Arrays:
        """All numbers that steps change."""
        found = {"loss": loss, "generator": cnnx.rand(3), **self.model.state_dict()}
        for index, entry in self.optimizer.state_dict()["state"].items():
            found |= {f"{index} {key}": value for key, value in entry.items() if value is not None}
        return {
            key: value.detach().cpu().numpy() if isinstance(value, cnnx.Tensor) else np.asarray(value)
            for key, value in found.items()
        }


def replay(net: Net, batch: int, cold: bool) -> Row:
    """Replays of a captured step against eager steps: the same bits in all that they change.

    Cold, the capture is the first that this process asks of the device, so CUDA has loaded no kernel yet.
    """
    before = Training(net, batch, "cpu")
    before.step()
    start = before.state()
    if not cold:
        Training(net, batch, "cuda", start).step().item()

    captured = Training(net, batch, "cuda", start)
    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        loss = captured.step()
    for _ in range(REPLAYS):
        graph.replay()
    got = captured.everything(loss)

    eager = Training(net, batch, "cuda", start)
    for _ in range(REPLAYS):
        loss = eager.step()
    want = eager.everything(loss)
    other = [key for key in want if got[key].tobytes() != want[key].tobytes()]
    says = (
        f"{REPLAYS} replays leave other bits than steps in {', '.join(other)}" if other else "the same bits"
    )
    return {"passed": not other, "compared": len(want), "says": says}


def cases(setting: Setting) -> dict[str, Case]:
    """A capture with cold kernels, one with warm kernels, and the agreement of each net."""
    nets = setting.choose(["s10", "lenet5"], list(NETS), list(NETS))
    batch = setting.choose(5, 64, 64)
    found: dict[str, Case] = {}
    for name in nets:
        for size in setting.choose([5], [64], [64, 1000]):
            found[f"agreement {name} {size}"] = partial(agreement, NETS[name], size)
        for how in ("cold", "warm"):
            found[f"{how} capture {name}"] = partial(replay, NETS[name], batch, how == "cold")
    return found


def show(results: Results) -> list[str]:
    """The differences."""
    columns = ("cuda float32", "cpu float32", "cuda float64")
    return table(
        "largest relative difference from the CPU in float64, over logits, loss and gradients of a step",
        ["net, batch", *columns, "same bits twice"],
        [
            [case[10:], *(f"{row[key]:.1e}" for key in columns), str(row["same bits"])]
            for case, row in results.measured("agree")
            if case.startswith("agreement")
        ],
    )


def summary(results: Results) -> list[str]:
    """How many nets agree and replay, and those that do not."""
    rows = results.of("agree")
    said = []
    for kind in ("agreement", "cold capture", "warm capture"):
        of_kind = [row for case, row in rows.items() if case.startswith(kind)]
        said.append(f"{kind} {sum(bool(row.get('passed')) for row in of_kind)} of {len(of_kind)}")
    bad = [f"  {line_of(case, row)}" for case, row in rows.items() if not row.get("passed")]
    return [", ".join(said), *bad[:3]]


PART = Part("agree", cases, show, summary, seconds=60)
