"""What all data sets of pictures share: a folder, transforms of image and target, and how they print."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from cnnx.utils.data.sources import Dataset


class StandardTransform:
    """A transform of the image and one of the target as a function of both.

    Parameters
    ----------
    transform, target_transform
        Applied to image and target; None leaves them as they are.
    """

    def __init__(
        self,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        """The transformed image and target."""
        image = input if self.transform is None else self.transform(input)
        return image, target if self.target_transform is None else self.target_transform(target)

    def __repr__(self) -> str:
        lines = [
            f"{name}: {step}"
            for name, step in (("Transform", self.transform), ("Target transform", self.target_transform))
            if step is not None
        ]
        return "\n    ".join([type(self).__name__, *lines])


class VisionDataset(Dataset[tuple[Any, Any]]):
    """Base of data sets of pictures: a subclass has `__getitem__` and `__len__`, and may have `extra_repr`.

    Parameters
    ----------
    root
        The folder of the files, or None.
    transforms
        A function of image and target, in place of the following.
    transform, target_transform
        Applied to each image and each target; None leaves them as they are.

    Attributes
    ----------
    transforms
        What is applied to image and target: what was given or set, else the other two together; None if there
        is nothing to apply.

    Raises
    ------
    ValueError
        If both kinds are given.
    """

    # For a subclass that does without this class's __init__.
    root: Any = None
    transform: Callable[[Any], Any] | None = None
    target_transform: Callable[[Any], Any] | None = None
    _transforms: Callable[[Any, Any], tuple[Any, Any]] | None = None

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transforms: Callable[[Any, Any], tuple[Any, Any]] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ValueError(f"{type(self).__name__}: transforms excludes transform and target_transform")
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        self.transform = transform
        self.target_transform = target_transform
        self._transforms = transforms

    @property
    def transforms(self) -> Callable[[Any, Any], tuple[Any, Any]] | None:
        """What is applied to image and target; what is set here takes the place of the two others."""
        if self._transforms is None and (self.transform is not None or self.target_transform is not None):
            return StandardTransform(self.transform, self.target_transform)
        return self._transforms

    @transforms.setter
    def transforms(self, transforms: Callable[[Any, Any], tuple[Any, Any]] | None) -> None:
        self._transforms = transforms

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}: a data set needs __len__")

    def extra_repr(self) -> str:
        """Lines that a subclass adds to how the data set prints."""
        return ""

    def __repr__(self) -> str:
        lines = [f"Dataset {type(self).__name__}", f"    Number of datapoints: {len(self)}"]
        if self.root is not None:
            lines.append(f"    Root location: {self.root}")
        lines += [f"    {line}" for line in self.extra_repr().splitlines()]
        if self._transforms is not None:
            lines.append(f"    Transforms: {self._transforms}")
        elif self.transform is not None:
            lines.append(f"    Transform: {self.transform}")
        return "\n".join(lines)


def plain_transform(dataset: VisionDataset) -> bool:
    """True if the images are transformed by `transform` alone, and targets stay as they are."""
    return dataset._transforms is None and dataset.target_transform is None


#: The attributes that decide what a sample of a `VisionDataset` goes through.
TRANSFORMS = ("transform", "target_transform", "_transforms")
