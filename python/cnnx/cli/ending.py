"""What `cnnx train` says at its end, besides the accuracy: what it took, what was set, what comes next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cnnx.cli.own_model import is_own
from cnnx.cli.settings import Settings
from cnnx.training.history import Row
from cnnx.training.progress import duration

COLUMNS = 80


def effort(seconds: float, rows: Sequence[Row]) -> str:
    """How long the command has trained, and of all epochs how many there are, and their mean pace.

    Examples
    --------
    >>> effort(75, [{"epoch": 1, "samples_per_second": 1000.0}, {"epoch": 2, "samples_per_second": 3000.0}])
    'trained for 1:15; 2 epochs in all, 1,500 images a second'
    """
    epochs = "1 epoch" if len(rows) == 1 else f"{len(rows)} epochs"
    paces = [row["samples_per_second"] for row in rows if row["samples_per_second"] > 0]
    pace = f", {len(paces) / sum(1 / pace for pace in paces):,.0f} images a second" if paces else ""
    return f"trained for {duration(seconds)}; {epochs} in all{pace}"


def setting(settings: Settings) -> str:
    """The settings that matter most."""
    return (
        f"{settings.model}, {settings.optimizer} lr {settings.lr:g} ({settings.schedule}), "
        f"batch {settings.batch_size}, seed {settings.seed}, {settings.device}"
        + ("" if settings.start is None else f", from {settings.start}")
    )


def next_steps(folder: Path, settings: Settings, still_better: bool) -> Iterator[str]:
    """Commands that go on from a run; `still_better`: its last epoch was the best."""
    trust = " --trust" if is_own(settings.model) else ""
    steps = [
        (f"cnnx eval {folder}{trust}", "precision and recall of each class"),
        (f"cnnx mistakes {folder}{trust}", "the test images it gets wrong"),
        (f"cnnx predict {folder} IMAGE{trust}", "what is on an image"),
    ]
    if still_better:
        more = f"cnnx train --resume {folder} --epochs {2 * settings.epochs}{trust}"
        steps.append((more, "the last epoch was the best"))
    width = max(len(command) for command, _ in steps)
    for number, (command, about) in enumerate(steps):
        line = f"{'next:' if number == 0 else '':6}{command:<{width}}  {about}"
        yield line if len(line) <= COLUMNS else line[: 6 + width].rstrip()
