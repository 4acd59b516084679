"""The picture of a run: a group of bars for each row, a bar for each peer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnx.bench.measure import Result
from cnnx.bench.report import time_text
from cnnx.plot.drawing import as_text, finish, new_figure, plainly

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
    figure = new_figure(9.0, 1.2 + 0.25 * len(results) * (len(names) + 1))
    axes = figure.subplots()
    for number, name in enumerate(names):
        places, ratios = [], []
        for place, result in enumerate(results):
            found = result.figures.get("busy", result.figures["quiet"])
            if name not in found:
                continue
            kind = "median" if "busy" in result.figures else "minimum"
            seconds, ours = getattr(found[name], kind), getattr(found["cnnx"], kind)
            places.append(place + (number - (len(names) - 1) / 2) * thickness)
            ratios.append(seconds / ours)
            axes.annotate(
                f" {time_text(seconds)}", (ratios[-1], places[-1]), va="center", fontsize=7, clip_on=False
            )
        axes.barh(places, ratios, thickness, label=as_text(name))
    labels = [f"{r.row}\n{r.threads} thread{'s' * (r.threads > 1)}" for r in results]
    axes.set_yticks(range(len(results)), [as_text(label) for label in labels])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.12)
    beside = ", beside processes that never rest" if "busy" in results[0].figures else ""
    axes.set_xlabel(f"times as long as cnnx{beside} (fewer is faster)")
    axes.axvline(1, color="black", linewidth=0.8)
    figure.legend(loc="outside right upper", fontsize=8)
    return finish(figure, title, path)
