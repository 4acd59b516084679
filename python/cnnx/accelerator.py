"""The accelerator, if there is one: this build has none."""

from __future__ import annotations


def is_available() -> bool:
    """Whether there is an accelerator: not in this build."""
    return False


def device_count() -> int:
    """The number of accelerators: 0 in this build."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """The accelerator's device: None in this build."""
    return
