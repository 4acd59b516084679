"""How a tensor looks in the interpreter: the options of what `csrc/ops/printing.cpp` writes."""

from __future__ import annotations

from typing import Any

from cnnx import _C
from cnnx.signatures import checked

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": 2**63 - 1, "edgeitems": 3, "linewidth": 80},
}


@checked
def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Sets how tensors are printed.

    Parameters
    ----------
    precision
        Digits after the point (4).
    threshold
        Tensors of more elements are shown by their edges (1000).
    edgeitems
        Entries shown at each end of a dimension then (3).
    linewidth
        Characters in a line (80).
    profile
        `"default"`, `"short"` (precision 2, edgeitems 2) or `"full"` (no threshold) before the others apply.
    sci_mode
        Scientific notation: True, False, or by the range of the values (None).
    """
    options = dict(zip(_PROFILES["default"], _C.print_options(), strict=False))
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"set_printoptions: profile is one of {', '.join(_PROFILES)}, got {profile!r}")
        options.update(_PROFILES[profile])
    if threshold is not None:
        threshold = int(min(threshold, 2**63 - 1))  # which may be infinite
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    options.update({name: value for name, value in given.items() if value is not None})
    _C.set_printoptions(**options, sci_mode=sci_mode)
