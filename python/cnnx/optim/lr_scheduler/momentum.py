"""What the schedules share that move momentum the other way round than the learning rate."""

from __future__ import annotations

from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """A value for each group, or the list of them that was given."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, "
            f"param_groups has {count}."
        )
    return list(value)


class MomentumScheduler(LRScheduler):
    """Base of schedules that set momentum, or beta1."""

    def _find_momentum(self, optimizer: Optimizer, wanted: bool) -> None:
        """Which of the two the optimizer has; ValueError if neither and it is `wanted`."""
        self.cycle_momentum = wanted
        self.use_beta1 = "betas" in optimizer.defaults
        if wanted and not self.use_beta1 and "momentum" not in optimizer.defaults:
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value
