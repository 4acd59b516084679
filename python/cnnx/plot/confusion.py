"""The confusion matrix: what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx.plot.drawing import Array, PathName, as_array, as_name, finish, new_figure, plainly

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 10.0  # inches of the matrix, while its cells are within these
SMALLEST, LARGEST = 0.22, 0.5
NARROWEST = 3.0  # inches of the whole matrix
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
    errors = matrix - np.diag(np.diag(matrix))
    shares = errors / np.maximum(matrix.sum(1, keepdims=True), 1)
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
    counts = as_array(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
        raise ValueError(f"confusion_matrix: needs a square matrix, got shape {counts.shape}")
    if counts.dtype.kind not in "buif" or not np.all(np.isfinite(counts)) or counts.min() < 0:
        raise ValueError("confusion_matrix: counts must be finite numbers that are not negative")
    counts = counts + 0  # of bool: numbers
    names = [as_name(name) for name in (range(len(counts)) if classes is None else classes)]
    if len(names) != len(counts):
        raise ValueError(f"confusion_matrix: {len(names)} names for {len(counts)} classes")
    size, totals, right = len(names), counts.sum(axis=1), np.diag(counts)
    shares = counts / np.maximum(totals, 1)[:, None]
    side = max(NARROWEST, size * min(LARGEST, max(SMALLEST, SIDE / size)))
    points = 72 * side / size  # of a cell
    around = 3 + max(map(len, names)) * DIGIT * 10 / 72  # more than it takes, which `fit` corrects
    figure = new_figure(side + around, side + around)
    axes = figure.subplots()
    wrong = np.where(np.eye(size, dtype=bool) | (counts == 0), np.nan, shares)
    axes.imshow(np.ma.masked_invalid(wrong), cmap=_shades(), vmin=0, vmax=_largest(wrong))
    axes.imshow(np.ma.masked_equal(np.eye(size), 0), cmap="Greys", vmin=0, vmax=6)
    _ticks(axes, names, points)
    recall = axes.secondary_yaxis("right")
    parts = zip(right, totals, strict=True)
    found = [f"{100 * part / whole:.1f} %" if whole else "-" for part, whole in parts]
    recall.set_yticks(range(size), found, fontsize=min(9.0, 0.55 * points))
    recall.tick_params(length=0)
    recall.set_ylabel("recall")
    _write_counts(axes, counts, shares, points)
    mistakes = counts.sum() - right.sum()
    heading = f"accuracy {right.sum() / max(counts.sum(), 1):.4f} on {counts.sum():,.0f} images"
    heading += f", {mistakes:,.0f} mistake" + ("" if mistakes == 1 else "s")
    lines = [
        f"  {names[row]} taken for {names[column]}, {count:,.15g} of {totals[row]:,.15g}"
        for count, row, column in most_confused(counts)
    ]
    if lines:
        darkest = f"{100 * _largest(wrong):.2g} %"
        lines = [f"mistakes: the darker, the larger their share of the true class, at most {darkest}", *lines]
        lines.insert(1, "most confused:")
    return finish(figure, title or heading, path, "\n".join(lines), (axes, side, side))


def _shades() -> Any:
    """White is for none alone: even the smallest share is seen."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    return ListedColormap(matplotlib.colormaps["Oranges"](np.linspace(0.15, 0.9, 256)))


def _largest(shares: Array) -> float:
    return 1.0 if np.all(np.isnan(shares)) else float(np.nanmax(shares))


def _ticks(axes: Any, names: list[str], points: float) -> None:
    """The classes' names at both sides and lines between the cells, each `points` wide."""
    font = min(10.0, 0.55 * points)
    turned = max(map(len, names)) * DIGIT * font > 0.95 * points
    places = range(len(names))
    axes.set_xticks(
        places,
        names,
        rotation=45 if turned else 0,
        ha="right" if turned else "center",
        rotation_mode="anchor" if turned else "default",
        fontsize=font,
    )
    axes.set_yticks(places, names, fontsize=font)
    edges = np.arange(len(names) - 1) + 0.5
    for lines in (axes.hlines, axes.vlines):
        lines(edges, -0.5, len(names) - 0.5, color="0.9", linewidth=0.5)
    axes.set(xlabel="predicted class", ylabel="true class")


def _write_counts(axes: Any, counts: Array, shares: Array, points: float) -> None:
    """Numbers as large as fit: one size for mistakes, which have few digits, and one for the diagonal."""
    diagonal = np.eye(len(counts), dtype=bool)
    largest = _largest(np.where(diagonal, np.nan, shares)) or 1.0
    for where in (diagonal, ~diagonal):
        texts = {
            (row, column): f"{counts[row, column]:.15g}" for row, column in np.argwhere(where & (counts > 0))
        }
        longest = max(map(len, texts.values()), default=1)
        font = min(10.0, 0.55 * points, 0.88 * points / (DIGIT * longest))
        for (row, column), text in texts.items():
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
