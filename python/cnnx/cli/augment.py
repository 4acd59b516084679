"""What training images go through, besides becoming tensors: small random changes, normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnx import transforms
from cnnx.cli.data import is_by_class
from cnnx.datasets.images import ImageDataset

KINDS = ("none", "digits", "pictures")
FEW = 10_000  # images up to which a folder by class is augmented unless an option says otherwise


def augmentations(kind: str) -> list[Any]:
    """Random changes after which an image still shows the same thing.

    Digits are turned by up to 10 degrees, moved by up to a tenth and scaled by up to a tenth. Pictures are
    mirrored, turned by up to 15 degrees, moved by up to a tenth and scaled by up to a fifth, and their
    brightness and contrast vary by up to two fifths.
    """
    if kind == "digits":
        return [transforms.RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1))]
    if kind == "pictures":
        return [
            transforms.RandomHorizontalFlip(),
            transforms.RandomAffine(15, translate=(0.1, 0.1), scale=(0.8, 1.2)),
            transforms.ColorJitter(brightness=0.4, contrast=0.4),
        ]
    return []


def choose(images: ImageDataset, drawing: float | None) -> str:
    """What fits: something for up to 10,000 images in a folder by class, nothing for other data."""
    if not is_by_class(images) or len(images) > FEW:
        return "none"
    return "pictures" if drawing is None else "digits"


def transform_of(normalize: Sequence[float] | None, augment: str = "none") -> Any:
    """What makes tensors of images: values in [0, 1], or normalised by (mean, standard deviation)."""
    steps = [*augmentations(augment), transforms.ToTensor()]
    if normalize is not None:
        mean, std = normalize
        steps.append(transforms.Normalize((mean,), (std,)))
    return transforms.Compose(steps) if len(steps) > 1 else steps[0]
