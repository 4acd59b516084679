"""What all pictures share: the figure, its size, its texts and how it is written."""

from __future__ import annotations

import functools
import io
import os
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from cnnx import _C
from cnnx.files import write_file
from cnnx.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

DPI = 120
# Of Okabe and Ito, told apart in every kind of colour blindness; without yellow, which is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LONGEST = 80  # characters of a name

PathName = str | os.PathLike[str]
Array = np.ndarray[Any, Any]
P = ParamSpec("P")


def plainly(function: Callable[P, Figure]) -> Callable[P, Figure]:
    """Text means itself in what the function draws: `$` begins no formula, and nothing goes through TeX.

    Names of classes and files come from anywhere; as a formula most are an error.
    """

    @functools.wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        try:
            import matplotlib.figure
        except ImportError as error:
            raise ImportError("plot: matplotlib is not installed (pip install 'cnnx[cli]')") from error
        from cycler import cycler

        plain: dict[Any, Any] = {
            "text.parse_math": False,
            "text.usetex": False,
            "axes.formatter.use_mathtext": False,
            "axes.prop_cycle": cycler(color=PALETTE),
        }
        with matplotlib.rc_context(plain):
            return function(*args, **kwargs)

    return drawn


def as_text(text: Any) -> str:
    """Text as a picture can show it, in one line or several."""
    return printable(str(text), lines=True)


def as_name(name: Any) -> str:
    """A name in one line; of a very long one the two ends."""
    text = printable(str(name))
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}…{text[1 - LONGEST // 2 :]}"


def as_array(value: Any) -> Array:
    """A tensor of any device, an array or a nested list as an array."""
    if isinstance(value, _C.TensorBase):
        value = _C.numpy(_C.to_device(value._detach(), "cpu"))
    return np.asarray(value)


def new_figure(width: float, height: float) -> Figure:
    """A figure of a size in inches, which belongs to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=DPI)


@functools.lru_cache(maxsize=1)
def _ruler() -> Figure:
    from matplotlib.figure import Figure

    return Figure(dpi=DPI)


def width_of(lines: Iterable[str], size: float) -> float:
    """How wide the widest of some lines is, in inches, in letters of so many points."""
    text = _ruler().text(0, 0, "\n".join(lines), fontsize=size)
    width = float(text.get_window_extent().width / DPI)
    text.remove()
    return width


def fit(figure: Figure, axes: Axes, width: float, height: float) -> None:
    """Makes the figure as large as the axes need for so many inches, whatever stands around them."""
    layout = figure.get_layout_engine()
    assert layout is not None
    for _ in range(4):  # what stands around them may depend on the size, too
        layout.execute(figure)
        given = axes.get_position(original=True)
        across, up = figure.get_size_inches()
        more = width - given.width * across, height - given.height * up
        if max(map(abs, more)) < 0.02:
            return
        figure.set_size_inches(across + more[0], up + more[1])


def broken(text: str, room: float, size: float) -> str:
    """The text with line breaks such that in letters of so many points it fits into so many inches."""
    lines = text.split("\n")
    letters = max(map(len, lines))
    while letters > 8 and (width := width_of(text.split("\n"), size)) > room:
        letters = max(8, min(letters - 1, int(letters * room / width)))
        text = "\n".join(part for line in lines for part in textwrap.wrap(line, letters) or [""])
    return text


def wrap(figure: Figure, text: Text) -> None:
    """Breaks the lines of a text that are wider than the figure."""
    text.set_text(broken(text.get_text(), 0.97 * figure.get_figwidth(), float(text.get_fontsize())))


def finish(
    figure: Figure,
    title: str | None,
    path: PathName | None,
    note: str | None = None,
    inner: tuple[Axes, float, float] | None = None,
) -> Figure:
    """Puts the title above the picture and the note below it, and writes it; `inner` is for `fit`."""
    if inner is not None:
        fit(figure, *inner)
    if title:
        wrap(figure, figure.suptitle(as_text(title), fontsize=12))
    if note:
        wrap(figure, figure.supxlabel(as_text(note), fontsize=9, x=0.01, ha="left"))
    if inner is not None:  # again, with the texts
        fit(figure, *inner)
    if path is not None:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=Path(path).suffix[1:] or "png")
        write_file(path, buffer.getvalue())
    return figure
