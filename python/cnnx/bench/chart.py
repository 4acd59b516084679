"""The picture of a run: a group of bars for each row, a bar for each peer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnx.bench.measure import Result
from cnnx.bench.report import time_text
from cnnx.plot.drawing import PALETTE, as_text, finish, new_figure, plainly

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@plainly
def chart(
    results: Sequence[Result], path: str | os.PathLike[str] | None = None, *, title: str | None = None
) -> Figure:
    """How many times as long as cnnx each peer takes, by minima, with the times; of loads, by busy medians.

    Parameters
    ----------
    results
        The rows, from top to bottom.
    path
        Where to write the picture (PNG unless the suffix says otherwise).
    title
        Above it.

    Raises
    ------
    ValueError
        If there is nothing to draw.
    """
    if not results:
        raise ValueError("chart: there are no results")
    from matplotlib.ticker import LogLocator, NullLocator

    names = list(dict.fromkeys(name for result in results for name in result.figures["quiet"]))
    thickness = 0.8 / len(names)
    bars: dict[str, list[tuple[float, float]]] = {name: [] for name in names}  # place and ratio
    figure = new_figure(9.0, 1.2 + 0.25 * len(results) * (len(names) + 1))
    axes = figure.subplots()
    axes.axvline(1, color="black", linewidth=0.8, zorder=0)
    for place, result in enumerate(results):
        found = result.figures.get("busy", result.figures["quiet"])
        kind = "median" if "busy" in result.figures else "minimum"
        there = [name for name in names if name in found]
        for number, name in enumerate(there):
            seconds, ours = getattr(found[name], kind), getattr(found["cnnx"], kind)
            at = place + (number - (len(there) - 1) / 2) * thickness
            bars[name].append((at, seconds / ours))
            axes.annotate(
                time_text(seconds),
                (seconds / ours, at),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                clip_on=False,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # above the line at 1
            )
    for number, name in enumerate(names):
        places, ratios = zip(*bars[name], strict=True) if bars[name] else ((), ())
        round_, colour = divmod(number, len(PALETTE))
        hatch = "/" * 3 * round_ or None
        axes.barh(places, ratios, thickness, label=as_text(name), color=PALETTE[colour], hatch=hatch)
    labels = [f"{r.row}\n{r.threads} thread{'s' * (r.threads > 1)}" for r in results]
    axes.set_yticks(range(len(results)), [as_text(label) for label in labels])
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.12)
    beside = ", beside processes that never rest" if "busy" in results[0].figures else ""
    axes.set_xlabel(f"times as long as cnnx{beside} (fewer is faster)")
    figure.legend(loc="outside right upper", fontsize=8)
    return finish(figure, title, path)
