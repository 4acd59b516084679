"""Pictures beside a result: one that cannot be drawn costs neither the result nor the other pictures."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnx.cli.terminal import complain, say


class Figures:
    """Draws a command's pictures and notes whether one failed.

    Parameters
    ----------
    optional
        They are an extra: it is no failure if matplotlib is not installed.
    links
        Whether a file may be a link: only where the user named the file itself.
    """

    def __init__(self, optional: bool = False, links: bool = False) -> None:
        self.optional, self.links = optional, links
        self.failed = False

    def draw(self, what: str, path: Path, function: Callable[..., Any], *arguments: Any, **more: Any) -> None:
        """Calls `function` of `cnnx.plot` with a path, and says where the picture is or why there is none."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                if path.is_symlink() and not self.links:
                    raise OSError("it is a link, and what it leads to would be lost")
                function(*arguments, path=path, **more)
            except (
                Exception
            ) as error:  # matplotlib may raise anything: of fonts, of sizes, of its own settings
                missing = self.optional and isinstance(error, ImportError)
                self.failed = self.failed or not missing
                (say if missing else complain)(f"{path}: not drawn: {str(error) or type(error).__name__}")
                return
        for message in dict.fromkeys(str(warning.message) for warning in caught):
            complain(f"{path}: {message}")
        say(f"{what}: {path}")
