"""The confusion matrix: what is taken for what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx.plot.drawing import Array, PathName, as_array, as_name, finish, new_figure, plainly

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 10.0  # inches of the matrix, while its cells are within these
SMALLEST, LARGEST = 0.22, 0.5
NARROWEST, WIDEST = 3.0, 24.0  # inches of the whole matrix
FINEST = 4.5  # points of letters: of smaller ones there are fewer names and no numbers
DIGIT = 0.64  # of a font's size
NAMED = 5  # pairs


def most_confused(matrix: Array, limit: int = NAMED) -> list[tuple[int, int, int]]:
    """The commonest mistakes as (count, true class, predicted class), the commonest first.

    Of pairs as common the one with the larger share of its true class comes first.

    Parameters
    ----------
    matrix
        Counts (C, C): rows are true classes, columns predicted ones.
    limit
        How many at most.
    """
    matrix = _as_counts(matrix)
    errors = matrix - np.diag(np.diag(matrix))
    totals = matrix.sum(1, keepdims=True)
    shares = errors / np.where(totals > 0, totals, 1)
    order = np.lexsort((-shares.ravel(), -errors.ravel()))[:limit]
    places = [divmod(int(place), len(matrix)) for place in order]
    return [(errors[row, column].item(), row, column) for row, column in places if errors[row, column]]


@plainly
def confusion_matrix(
    matrix: Any,
    classes: Sequence[str] | None = None,
    path: PathName | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """A confusion matrix as counts: what is right on grey, mistakes on a scale of their own.

    The shade of a mistake is its share of the true class, from the faintest that can be seen to the largest
    there is; the recall of each class stands on the right, and the commonest mistakes below.

    Parameters
    ----------
    matrix
        Shape (C, C): rows are true classes, columns predicted ones, as scikit-learn gives it.
    classes
        Names of the classes. Default: their numbers.
    path
        Where to write the picture.
    title
        Default: the accuracy.

    Raises
    ------
    ValueError
        If the matrix is not square or holds anything but counts, or the names do not fit it.

    Examples
    --------
    >>> figure = confusion_matrix([[8, 2], [0, 5]], ["cat", "dog"])
    >>> figure.get_suptitle()
    'accuracy 0.8667 on 15 images, 2 mistakes'
    >>> print(figure.get_supxlabel())
    mistakes: the darker, the larger their share of the true class, at most 20 %
    most confused:
      cat taken for dog, 2 of 10
    """
    counts = _as_counts(as_array(matrix))
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
        raise ValueError(f"confusion_matrix: needs a square matrix, got shape {counts.shape}")
    if counts.dtype.kind not in "buif" or not np.all(np.isfinite(counts)) or counts.min() < 0:
        raise ValueError("confusion_matrix: counts must be finite numbers that are not negative")
    names = [as_name(name) for name in (range(len(counts)) if classes is None else classes)]
    if len(names) != len(counts):
        raise ValueError(f"confusion_matrix: {len(names)} names for {len(counts)} classes")
    size, totals, right = len(names), counts.sum(axis=1), np.diag(counts)
    shares = counts / np.where(totals > 0, totals, 1)[:, None]
    side = min(WIDEST, max(NARROWEST, size * min(LARGEST, max(SMALLEST, SIDE / size))))
    points = 72 * side / size  # of a cell
    around = 3 + max(map(len, names)) * DIGIT * 10 / 72  # more than it takes, which `fit` corrects
    figure = new_figure(side + around, side + around)
    axes = figure.subplots()
    wrong = np.where(np.eye(size, dtype=bool) | (counts == 0), np.nan, shares)
    axes.imshow(np.ma.masked_invalid(wrong), cmap=_shades(), vmin=0, vmax=_largest(wrong))
    axes.imshow(np.ma.masked_equal(np.eye(size), 0), cmap="Greys", vmin=0, vmax=6)
    _ticks(axes, names, points)
    parts = zip(right, totals, strict=True)
    _recall(axes, [f"{100 * part / whole:.1f} %" if whole else "-" for part, whole in parts], points)
    _write_counts(axes, counts, shares, points)
    mistakes = counts.sum() - right.sum()
    heading = f"accuracy {right.sum() / (counts.sum() or 1):.4f} on {counts.sum():,.0f} images"
    heading += f", {mistakes:,.0f} mistake" + ("" if mistakes == 1 else "s")
    lines = [
        f"  {names[row]} taken for {names[column]}, {_number(count)} of {_number(totals[row])}"
        for count, row, column in most_confused(counts)
    ]
    if lines:
        darkest = f"{100 * _largest(wrong):.2g} %"
        lines = [f"mistakes: the darker, the larger their share of the true class, at most {darkest}", *lines]
        lines.insert(1, "most confused:")
    return finish(figure, title or heading, path, "\n".join(lines), (axes, side, side))


def _as_counts(matrix: Array) -> Array:
    """Integers of any kind, and bools, as ones that can be subtracted and summed."""
    return matrix.astype(np.int64) if matrix.dtype.kind in "bui" else matrix


def _number(count: Any) -> str:
    return f"{count:.0f}" if count == round(count) else f"{count:.3g}"


def _shades() -> Any:
    """White is for none alone: even the smallest share is seen."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    return ListedColormap(matplotlib.colormaps["Oranges"](np.linspace(0.15, 0.9, 256)))


def _largest(shares: Array) -> float:
    return 1.0 if np.all(np.isnan(shares)) else float(np.nanmax(shares))


def _ticks(axes: Any, names: list[str], points: float) -> None:
    """The classes' names at both sides and lines between the cells, each `points` wide."""
    shown, font = _spread(len(names), points, 10)
    labels = [names[place] for place in shown]
    turned = max(map(len, labels)) * DIGIT * font > 0.95 * points * shown.step
    axes.set_xticks(
        shown,
        labels,
        rotation=45 if turned else 0,
        ha="right" if turned else "center",
        rotation_mode="anchor" if turned else "default",
        fontsize=font,
    )
    axes.set_yticks(shown, labels, fontsize=font)
    edges = np.arange(len(names) - 1) + 0.5
    for lines in (axes.hlines, axes.vlines):
        lines(edges, -0.5, len(names) - 0.5, color="0.9", linewidth=0.5)
    axes.set(xlabel="predicted class", ylabel="true class")


def _recall(axes: Any, texts: list[str], points: float) -> None:
    shown, font = _spread(len(texts), points, 9)
    recall = axes.secondary_yaxis("right")
    recall.set_yticks(shown, [texts[place] for place in shown], fontsize=font)
    recall.tick_params(length=0)
    recall.set_ylabel("recall")


def _spread(size: int, points: float, largest: float) -> tuple[range, float]:
    """Which of so many cells have a line of text beside them, and the size of its letters."""
    step = math.ceil(FINEST / (0.55 * points))
    return range(0, size, step), min(largest, 0.55 * points * step)


def _write_counts(axes: Any, counts: Array, shares: Array, points: float) -> None:
    """Numbers as large as fit: one size for mistakes, which have few digits, and one for the diagonal."""
    diagonal = np.eye(len(counts), dtype=bool)
    largest = _largest(np.where(diagonal, np.nan, shares)) or 1.0
    for where in (diagonal, ~diagonal):
        places = np.argwhere(where & (counts > 0))
        texts = {(row, column): _number(counts[row, column]) for row, column in places}
        longest = max(map(len, texts.values()), default=1)
        font = min(10.0, 0.55 * points, 0.88 * points / (DIGIT * longest))
        for (row, column), text in texts.items() if font >= FINEST else ():
            dark = where is not diagonal and shares[row, column] > 0.6 * largest
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize=font,
                color="white" if dark else "black",
                in_layout=False,
            )
