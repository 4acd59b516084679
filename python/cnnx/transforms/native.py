"""Chains of transforms as one native function of a batch."""

from __future__ import annotations

from typing import Any

from cnnx import _C
from cnnx.transforms.base import is_native, is_shipped
from cnnx.transforms.compose import Compose
from cnnx.transforms.tensors import Normalize, ToTensor
from cnnx.transforms.values import RandomApply, RandomErasing


def batch_transform(transform: Any, channels: int, max_value: int) -> _C.BatchTransform | None:
    """`transform` as a native function of batches of bytes, or None.

    It is one if it is `ToTensor`, with native transforms before it (on bytes, as on PIL images) and behind
    it (on floats).

    Parameters
    ----------
    transform
        The data set's transform.
    channels
        Of its images.
    max_value
        What `ToTensor` divides by.
    """
    chain = _flatten(transform)
    at = next((i for i, step in enumerate(chain) if _makes_tensors(step)), None)
    if at is None:
        return None
    before, after = chain[:at], chain[at + 1 :]
    if not all(map(is_native, before + after)) or any(map(_needs_floats, before)):
        return None
    # Normalising to another number of channels is left to the single images, where shapes are checked.
    values = [step.values() for step in after if type(step) is Normalize]
    if any(len(numbers) not in (1, channels) for pair in values for numbers in pair):
        return None
    steps = [step._step(True) for step in before]
    mean: list[float] = []
    std: list[float] = []
    if max_value != 255:  # what a transform gets is divided already
        floats, steps = steps, []
    else:
        floats = []
    if not floats and after and type(after[0]) is Normalize:
        mean, std = after[0].values()
        after = after[1:]
    return _C.BatchTransform(
        steps, float(max_value), mean, std, floats + [step._step(False) for step in after]
    )


def split_fixed(transform: Any) -> tuple[list[Any], Compose | None]:
    """The native transforms without randomness that `transform` begins with, and the others.

    The others are None if they do not make a native function of batches (whatever the images).
    """
    chain = _flatten(transform)
    count = 0
    while count < len(chain) and is_native(chain[count]) and not _is_random(chain[count]):
        count += 1
    others = [step for step in chain if not _makes_tensors(step)]
    native = len(others) < len(chain) and all(map(is_native, others))
    return chain[:count], Compose(chain[count:]) if native else None


def state_of(step: Any) -> tuple[type, str]:
    """What a native transform without randomness does, to compare: its parameters are plain values."""
    return type(step), repr(vars(step))


def _flatten(transform: Any) -> list[Any]:
    if type(transform) is Compose and is_shipped(transform) and type(transform.transforms) in (list, tuple):
        return [step for inner in transform.transforms for step in _flatten(inner)]
    return [transform]


def _makes_tensors(step: Any) -> bool:
    return type(step) is ToTensor and is_shipped(step)


def _needs_floats(step: Any) -> bool:
    """Whether a transform refuses images, so that it cannot stand before `ToTensor`."""
    if type(step) is RandomApply:
        return any(map(_needs_floats, step.transforms))
    return type(step) in (Normalize, RandomErasing)


def _is_random(step: Any) -> bool:
    return type(step) is RandomApply or step._step(True).random
