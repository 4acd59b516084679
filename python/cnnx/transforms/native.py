"""Chains of transforms as one native function of a batch."""

from __future__ import annotations

from typing import Any

from cnnx import _C
from cnnx.transforms.base import is_native
from cnnx.transforms.compose import Compose
from cnnx.transforms.tensors import Normalize, ToTensor


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
    at = next((i for i, step in enumerate(chain) if type(step) is ToTensor), None)
    if at is None:
        return None
    before, after = chain[:at], chain[at + 1 :]
    if not all(map(is_native, before + after)) or any(type(step) is Normalize for step in before):
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
    while count < len(chain) and is_native(chain[count]) and not chain[count]._step(True).random:
        count += 1
    native = any(type(step) is ToTensor for step in chain) and all(
        type(step) is ToTensor or is_native(step) for step in chain
    )
    return chain[:count], Compose(chain[count:]) if native else None


def _flatten(transform: Any) -> list[Any]:
    if type(transform) is Compose:
        return [step for inner in transform.transforms for step in _flatten(inner)]
    return [transform]
