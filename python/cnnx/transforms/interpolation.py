"""How pixels between pixels are found."""

from __future__ import annotations

from enum import Enum
from typing import Any


class InterpolationMode(Enum):
    """Names of the interpolations, as in torchvision.

    Examples
    --------
    >>> InterpolationMode.BILINEAR.value
    'bilinear'
    """

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


_PILLOW = {0: InterpolationMode.NEAREST, 2: InterpolationMode.BILINEAR, 3: InterpolationMode.BICUBIC}


def interpolation_mode(op: str, value: Any, allowed: tuple[InterpolationMode, ...]) -> InterpolationMode:
    """The mode that `value` stands for: a mode, its name, or one of Pillow's constants.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If the mode is unknown, or `op` has it not.
    """
    mode: InterpolationMode | None
    if isinstance(value, InterpolationMode):
        mode = value
    elif isinstance(value, str):
        mode = {mode.value: mode for mode in InterpolationMode}.get(value)
    elif isinstance(value, int):
        mode = _PILLOW.get(int(value))
    else:
        raise TypeError(
            f"{op}: interpolation must be an InterpolationMode or Pillow's constant, got {value!r}"
        )
    if mode not in allowed:
        names = " or ".join(m.value for m in allowed)
        raise ValueError(f"{op}: interpolation must be {names}, got {mode.value if mode else value!r}")
    return mode


def mode_name(value: Any) -> str:
    """How a mode prints, whatever it was set to."""
    return str(getattr(value, "value", value))
