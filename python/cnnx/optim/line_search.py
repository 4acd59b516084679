"""The search along a line for a step that meets the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..tensor import Tensor


@dataclass
class Point:
    """A place on the line: the step there, the loss, its gradient, and its slope along the line."""

    step: np.float64
    loss: np.float64
    grad: Tensor
    slope: np.float64


def least_of_cubic(a: Point, b: Point, low: np.float64, high: np.float64) -> np.float64:
    """Where the cubic with these losses and slopes is least, between the bounds."""
    left, right = (a, b) if a.step <= b.step else (b, a)
    mixed = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.step - b.step)
    square = mixed**2 - a.slope * b.slope
    if not square >= 0:
        middle: np.float64 = (low + high) / 2
        return middle
    root = np.sqrt(square)
    share = (right.slope + root - mixed) / (right.slope - left.slope + 2 * root)
    least: np.float64 = min(max(right.step - (right.step - left.step) * share, low), high)
    return least


class StrongWolfe:
    """Looks for a step after which the loss has fallen enough and is flat enough.

    Enough: loss <= loss_0 + 1e-4 * step * slope_0 and abs(slope) <= 0.9 * abs(slope_0). Nocedal & Wright,
    "Numerical optimization" (2006), algorithms 3.5 and 3.6.

    Parameters
    ----------
    evaluate : callable
        The point at a step.
    start : Point
        That at step 0.
    size : float
        The largest element of the direction: ends that are less than 1e-9 apart in every element are one.
    limit : int
        Trials after the first at most.
    """

    def __init__(
        self, evaluate: Callable[[np.float64], Point], start: Point, size: float, limit: int
    ) -> None:
        self.evaluate, self.start, self.size, self.limit = evaluate, start, size, limit
        self.evaluations = 0
        self.tries = 0

    def search(self, step: float) -> Point:
        """The best point found, from a first `step`."""
        with np.errstate(all="ignore"):  # a loss that is not finite is one to step back from
            before, now = self.start, self._at(np.float64(step))
            while self.tries < self.limit:
                if self._is_high(now) or (self.tries > 1 and now.loss >= before.loss):
                    return self._between(before, now)
                if self._is_flat(now):
                    return now
                if now.slope >= 0:
                    return self._between(before, now)
                low, high = now.step + 0.01 * (now.step - before.step), now.step * 10
                before, now = now, self._at(least_of_cubic(before, now, low, high))
                self.tries += 1
            return self.start if self.start.loss <= now.loss else now

    def _between(self, first: Point, last: Point) -> Point:
        """Narrows an interval that holds such a step."""
        ends = [first, last]
        was_close = False
        best = 0 if first.loss <= last.loss else 1
        while self.tries < self.limit and not abs(ends[1].step - ends[0].step) * self.size < 1e-9:
            low, high = sorted((ends[0].step, ends[1].step))
            step = least_of_cubic(ends[0], ends[1], low, high)
            margin = 0.1 * (high - low)
            is_close = bool(min(high - step, step - low) < margin)
            if is_close and (was_close or step >= high or step <= low):
                step = high - margin if abs(step - high) < abs(step - low) else low + margin
                is_close = False
            was_close = is_close
            now = self._at(step)
            self.tries += 1
            if self._is_high(now) or now.loss >= ends[best].loss:
                ends[1 - best] = now
                best = 0 if ends[0].loss <= ends[1].loss else 1
                continue
            if self._is_flat(now):
                return now
            if now.slope * (ends[1 - best].step - ends[best].step) >= 0:
                ends[1 - best] = ends[best]
            ends[best] = now
        return ends[best]

    def _at(self, step: np.float64) -> Point:
        self.evaluations += 1
        return self.evaluate(step)

    def _is_high(self, point: Point) -> bool:
        return bool(point.loss > self.start.loss + 1e-4 * point.step * self.start.slope)

    def _is_flat(self, point: Point) -> bool:
        return bool(abs(point.slope) <= -0.9 * self.start.slope)
