"""What is measured: rows, and the table of commands with their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cnnx.bench.nets import NETS, TINY, Net

STEP, GRADIENT, OUTPUTS = "step", "gradient", "outputs"
WORK = {
    STEP: "a training step: zero_grad, forward, loss, backward, optimizer, reading the loss",
    GRADIENT: "loss and gradient, reading the loss",
    OUTPUTS: "outputs without gradients, as a NumPy array",
}


@dataclass(frozen=True)
class Row:
    """A line of the table: a net, how many samples, the work (a key of `WORK`), the side of its images."""

    model: str
    batch: int
    work: str
    size: int = 28

    @property
    def net(self) -> Net:
        """The net by its name."""
        return replace({**NETS, **TINY}[self.model], size=self.size)

    def __str__(self) -> str:
        """As the table and errors say it."""
        return f"{self.model} batch {self.batch}" + f" of {self.size}x{self.size}" * (self.size != 28)


@dataclass(frozen=True)
class Command:
    """What `cnnx bench NAME` measures, unless options say otherwise.

    Attributes
    ----------
    about : str
    models : dict of str to (str, tuple of int)
        The work and the batches of each.
    quick : tuple of str
        Those of the short form, each with the first batch that is not 1.
    peers : tuple of str
        Whom it is measured against.
    notes : tuple of str
        Lines below the table.
    threads : int or None
        None: as many as this process may use.
    sizes : tuple of int
        Beside the usual images, such of other sides, in batches of 64.
    """

    about: str
    models: dict[str, tuple[str, tuple[int, ...]]]
    quick: tuple[str, ...]
    peers: tuple[str, ...]
    notes: tuple[str, ...] = ()
    threads: int | None = None
    sizes: tuple[int, ...] = ()

    def rows(
        self, models: Sequence[str] | None = None, batches: Sequence[int] | None = None, quick: bool = False
    ) -> list[Row]:
        """The rows for these models and batches; by default all of them, or the few of the short form."""
        rows = []
        for model in models or (self.quick if quick else self.models):
            work, usual = self.models[model]
            if quick:
                usual = tuple(batch for batch in usual if batch > 1)[:1]
            rows += [Row(model, batch, work) for batch in batches or usual]
            if not (batches or quick):
                rows += [Row(model, 64, work, size) for size in self.sizes]
        return rows


TRAINERS = ("torch", "torch-channels-last", "torch-compile", "jax")
COMMANDS = {
    "train": Command(
        "training steps",
        dict.fromkeys(NETS, (STEP, (64,))),
        ("s10", "lenet5"),
        TRAINERS,
    ),
    "infer": Command(
        "outputs without gradients; ONNX Runtime and OpenVINO get what cnnx exports",
        dict.fromkeys(NETS, (OUTPUTS, (1, 64, 1000))),
        ("s10", "lenet5"),
        ("torch", "onnxruntime", "openvino"),
    ),
    "tiny": Command(
        "calls so small that what lies around the arithmetic decides",
        {"24-8-2": (GRADIENT, (200,)), "4-64-64-2": (STEP, (64,))},
        ("24-8-2", "4-64-64-2"),
        ("torch", "torch-compile", "jax"),
        (
            "published by others, on their machines, not measured here: SimpleChains.jl, loss and gradient "
            "of 24-8-2 for 200 observations, 5.7 us; Candle, a DQN step of 4-64-64-2, 98 us",
        ),
        threads=1,
    ),
    "growth": Command(
        "training steps of more and more images, and of larger ones: the share of the peak should stay",
        dict.fromkeys(("s7", "lenet5"), (STEP, (16, 64, 256, 1024, 4096))),
        ("lenet5",),
        (),
        sizes=(56, 112),
    ),
    "load": Command(
        "training steps on a quiet machine and beside processes that never rest",
        dict.fromkeys(NETS, (STEP, (64,))),
        ("s10",),
        ("torch", "torch-channels-last"),
    ),
}
