"""What a training did, epoch by epoch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, float]
PARTS = ("train", "validation")
WHY = (
    "Validation can be the better one: training values are means over the epoch, of changing weights with "
    "dropout and augmentation (if any) on; validation follows, without them."
)


def is_lower_better(name: str) -> bool:
    """Whether less of a quantity is better: of what is called a loss or an error."""
    return name.endswith(("loss", "error"))


def remark(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> str | None:
    """Why a validation is better than the training, where one is in the same epoch; else None.

    Parameters
    ----------
    panels
        Values by quantity and part, as `History.curves` gives them; whatever else begins with
        ``"validation"`` is one, too.
    """
    for quantity, parts in panels.items():
        sign = -1 if is_lower_better(quantity) else 1
        for name, values in parts.items():
            if name.startswith(PARTS[1]) and any(
                sign * ours > sign * theirs
                for ours, theirs in zip(values, parts.get(PARTS[0], ()), strict=False)
            ):
                return WHY
    return None


class History:
    """The epochs of a training: losses and metrics of both parts, learning rate and pace.

    A row holds ``epoch`` (from 1), ``train_loss``, ``validation_loss`` and the metrics named in the same way
    (means over the samples of the epoch; those of training are taken while the weights change), ``lr`` and
    ``samples_per_second`` (of training). Text of it is a table.

    Parameters
    ----------
    rows
        To begin with.

    Examples
    --------
    >>> history = History([{"epoch": 1, "train_loss": 0.9}, {"epoch": 2, "train_loss": 0.25}])
    >>> history["train_loss"]
    [0.9, 0.25]
    >>> history.best("train_loss")["epoch"]
    2
    >>> print(history)
    epoch  train_loss
        1      0.9000
        2      0.2500
    """

    def __init__(self, rows: Sequence[Mapping[str, float]] = ()) -> None:
        self.rows: list[Row] = [dict(row) for row in rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @overload
    def __getitem__(self, name: str) -> list[float]: ...
    @overload
    def __getitem__(self, name: int) -> Row: ...

    def __getitem__(self, name: str | int) -> list[float] | Row:
        """The values of a name, an item for each epoch; or, of a number, the row at that place.

        Raises
        ------
        KeyError
            If there is no such name.
        """
        if isinstance(name, int):
            return self.rows[name]
        if name not in self.names:
            raise KeyError(f"History: there is no {name!r}, there are {', '.join(self.names) or 'no epochs'}")
        return [row[name] for row in self.rows]

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"History of {len(self)} epochs: {', '.join(self.names)}"

    @property
    def names(self) -> list[str]:
        """What a row holds."""
        return list(self.rows[0]) if self.rows else []

    def best(self, monitor: str = "validation_loss") -> Row:
        """The row of the best epoch, the first one of several alike.

        Parameters
        ----------
        monitor
            By which name; less is better of a loss or an error, more of anything else.

        Raises
        ------
        KeyError
            If there is no such name.
        """
        values = self[monitor]
        choose = min if is_lower_better(monitor) else max
        return self.rows[values.index(choose(values))]

    def as_dict(self) -> dict[str, list[float]]:
        """The values by name: what `pandas.DataFrame` takes."""
        return {name: self[name] for name in self.names}

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """Values by quantity and part, for `cnnx.plot.curves`."""
        panels: dict[str, dict[str, list[float]]] = {}
        for name in self.names:
            part, _, quantity = name.partition("_")
            if part in PARTS:
                panels.setdefault(quantity, {})[part] = self[name]
        return panels

    def plot(self, path: str | os.PathLike[str] | None = None, *, title: str | None = None) -> Figure:
        """Draws the curves (`cnnx.plot.curves`) and, given a path, writes them there.

        Where validation is better than training, a line says why it can be.
        """
        from cnnx import plot

        panels = self.curves()
        return plot.curves(panels, path, title=title, note=remark(panels))

    def table(self) -> str:
        """The rows as lines of text below their names."""
        if not self.rows:
            return "no epochs"
        cells = [self.names] + [[_text(name, row[name]) for name in self.names] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [[text.rjust(width) for text, width in zip(row, widths, strict=True)] for row in cells]
        return "\n".join(map("  ".join, lines))


def _text(name: str, value: Any) -> str:
    if name == "epoch":
        return str(value)
    if name == "samples_per_second":
        return f"{value:,.0f}"
    return f"{value:.3g}" if name == "lr" else f"{value:.4f}"
