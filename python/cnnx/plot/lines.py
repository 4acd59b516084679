"""Curves over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnx.plot.drawing import PathName, as_array, as_name, as_text, finish, new_figure, plainly

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@plainly
def curves(
    history: Mapping[str, Mapping[str, Sequence[float]]],
    path: PathName | None = None,
    *,
    xlabel: str = "epoch",
    title: str | None = None,
) -> Figure:
    """Curves over the epochs, one panel per quantity and one line per part in it.

    Parameters
    ----------
    history
        Values by quantity and part: ``{"loss": {"train": [...], "validation": [...]}, "accuracy": ...}``;
        the first value of each list belongs to epoch 1.
    path
        Where to write the picture (PNG unless the suffix says otherwise).
    xlabel
        What the values are counted by. Default: ``"epoch"``.
    title
        Above the panels.

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

    figure = new_figure(4.6 * len(history), 3.6)
    panels = figure.subplots(1, len(history), squeeze=False)[0]
    for axes, (quantity, parts) in zip(panels, history.items(), strict=True):
        for part, values in parts.items():
            numbers = as_array(values)
            marker = "o" if len(numbers) <= 60 else None
            label = as_name(part)
            axes.plot(np.arange(1, len(numbers) + 1), numbers, marker=marker, markersize=3, label=label)
        axes.set(xlabel=as_text(xlabel), ylabel=as_text(quantity))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if max(map(max, parts.values())) <= 1 < axes.get_ylim()[1]:  # no room above an accuracy of 1
            axes.set_ylim(top=1.005)
        axes.grid(alpha=0.3)
        axes.legend()
    return finish(figure, title, path)
