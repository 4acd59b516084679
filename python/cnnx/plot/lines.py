"""Curves over epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnx.plot.drawing import (
    PALETTE,
    PathName,
    as_array,
    as_name,
    as_text,
    finish,
    new_figure,
    plainly,
    width_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 4.2, 3.0  # inches of a panel
BESIDE = 1.1  # of them beside the panel, for its numbers
STYLES = ("-", "--", "-.", ":")  # one for each round of the colours
FEW = 60  # points, which are marked


@plainly
def curves(
    history: Mapping[str, Mapping[str, Sequence[float]]],
    path: PathName | None = None,
    *,
    xlabel: str = "epoch",
    title: str | None = None,
    note: str | None = None,
) -> Figure:
    """Curves over the epochs, one panel per quantity and one line per part in it.

    Parameters
    ----------
    history
        Values by quantity and part: ``{"loss": {"train": [...], "validation": [...]}, "accuracy": ...}``;
        the first value of each list belongs to epoch 1. A part has one colour in all panels.
    path
        Where to write the picture (PNG unless the suffix says otherwise).
    xlabel
        What the values are counted by. Default: ``"epoch"``.
    title
        Above the panels.
    note
        A line below them.

    Raises
    ------
    ValueError
        If there is nothing to draw.

    Examples
    --------
    >>> figure = curves({"loss": {"train": [0.9, 0.4], "validation": [0.8, 0.5]}})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss']
    """
    if not history or not all(parts for parts in history.values()):
        raise ValueError("curves: the history is empty")
    from matplotlib.ticker import MaxNLocator

    names = list(dict.fromkeys(part for parts in history.values() for part in parts))
    entry = width_of(map(as_name, names), 10) + 0.7
    width = max(WIDTH, entry + BESIDE)
    columns = max(1, int((width - BESIDE) / entry))
    rows = math.ceil(max(map(len, history.values())) / columns)
    figure = new_figure(width * len(history), HEIGHT + 0.7 + 0.2 * rows)
    panels = figure.subplots(1, len(history), squeeze=False)[0]
    for axes, (quantity, parts) in zip(panels, history.items(), strict=True):
        longest = max(map(len, parts.values()))
        for part, values in parts.items():
            place = names.index(part)
            axes.plot(
                np.arange(1, len(values) + 1),
                as_array(values),
                color=PALETTE[place % len(PALETTE)],
                linestyle=STYLES[place // len(PALETTE) % len(STYLES)],
                marker="o" if len(values) <= FEW else None,
                markersize=3 if len(values) > 1 else 6,
                label=as_name(part),
            )
        axes.set(xlabel=as_text(xlabel), ylabel=as_text(quantity))
        beside = 0.04 * (longest - 1) or 0.5
        axes.set_xlim(max(0.5, 1 - beside), longest + beside)  # there is no epoch 0
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.yaxis.set_major_formatter("{x:.6g}")
        if max(map(max, parts.values())) <= 1 < axes.get_ylim()[1]:  # no room above an accuracy of 1
            axes.set_ylim(top=1.005)
        axes.grid(alpha=0.3)
        # Above the panel, where it hides no curve.
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize=10)
    return finish(figure, title, path, note)
