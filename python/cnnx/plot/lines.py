"""Curves: over epochs, and over learning rates."""

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
    for quantity, parts in history.items():
        if empty := [part for part, values in parts.items() if len(values) == 0]:
            raise ValueError(f"curves: {as_text(quantity)} of {as_name(empty[0])} has no values")
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


@plainly
def lr_range(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float] | None = None,
    suggestion: float | None = None,
    path: PathName | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """Losses over the learning rates of a range test (`cnnx.training.find_lr`).

    Parameters
    ----------
    rates, losses
        The learning rate and the loss of each step.
    smoothed
        The running mean of the losses.
    suggestion
        A rate to mark.
    path
        Where to write the picture.
    title
        Above it.

    Raises
    ------
    ValueError
        If there is nothing to draw, or not as many losses as rates.

    Examples
    --------
    >>> figure = lr_range([0.001, 0.01, 0.1], [2.0, 1.0, 3.0], suggestion=0.005)
    >>> figure.axes[0].get_xlabel()
    'learning rate'
    """
    x, y = as_array(rates), as_array(losses)
    lines = [y] if smoothed is None else [y, as_array(smoothed)]
    if x.ndim != 1 or x.size == 0 or any(line.shape != x.shape for line in lines):
        raise ValueError(f"lr_range: needs a loss for each rate, got {x.shape} and {lines[-1].shape}")
    figure = new_figure(6.0, 3.8)
    axes = figure.subplots()
    axes.plot(x, y, color=PALETTE[0], alpha=0.35 if len(lines) > 1 else 1.0, label="loss")
    if len(lines) > 1:
        axes.plot(x, lines[1], color=PALETTE[0], label="smoothed")
    if suggestion is not None:
        axes.axvline(suggestion, color=PALETTE[1], linestyle="--", label=f"suggested: {suggestion:.2g}")
    low, first = min(float(line.min()) for line in lines), float(lines[-1][0])
    if first > low:  # where the loss has gone after that matters to nobody
        axes.set_ylim(low - 0.05 * (first - low), first + 0.4 * (first - low))
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axes.xaxis.set_major_formatter("{x:g}")  # that of the scale writes formulas
    axes.xaxis.set_minor_formatter("")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return finish(figure, title, path)
