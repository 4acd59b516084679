"""The first minutes on a card: the parts by their value, each within a share of the time; what they found."""

from __future__ import annotations

from typing import NamedTuple

from gpu.store import Results, line_of

LINES = 40


class Stage(NamedTuple):
    """Parts that run at the same time, and the seconds that they may take."""

    parts: tuple[str, ...]
    seconds: float


# What is right comes before what is fast. While something is measured nothing else runs.
STAGES = [
    Stage(("agree",), 60),
    Stage(("test", "sanitize"), 75),
    Stage(("cost",), 40),
    Stage(("train",), 150),
    Stage(("mnist",), 60),
    Stage(("profile",), 60),
]


def summary(
    results: Results, parts: list[str], said: dict[str, list[str]], left: list[str], took: float
) -> str:
    """All in at most 40 lines; `said` is what each part says itself."""
    lines = ["", "== summary =="]
    if results.about:
        lines.append(" | ".join(str(results.about[key]) for key in ("device", "cnnx", "torch", "python")))
    for case, row in results.of("install").items():
        lines.append(line_of(f"install for {case}", row))
    for part in parts:
        if not results.of(part):
            lines.append(f"{part}: nothing was run")
        lines += said.get(part, [])
    failed = results.failed()
    end = [
        f"failed: {len(failed)}: {', '.join(failed)}"[:300] if failed else "failed: nothing",
        f"left for the same command: {', '.join(left)}"[:300] if left else "left: nothing",
        f"{took:.0f} s; everything is in {results.path}",
    ]
    room = LINES - len(end)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"and {len(lines) - room + 1} more lines"]
    return "\n".join([*lines, *end])
