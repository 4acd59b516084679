"""Transforms of images, as in torchvision.

They take PIL images, arrays and tensors. A `DataLoader` over one of cnnx's image data sets recognises
`ToTensor`, with any of these transforms before it and behind it, and then does all of it for whole batches in
native code; all but `Lambda`, functions of the user's own, subclasses, `RandomResizedCrop` and those that
choose among transforms. Their attributes may be changed between passes. A subclass may have a `forward` of
its own, or where parameters are random a `get_params`.
"""

from __future__ import annotations

from cnnx.transforms import functional
from cnnx.transforms.choice import (
    FiveCrop,
    RandomChoice,
    RandomGrayscale,
    RandomOrder,
    RandomResizedCrop,
    TenCrop,
)
from cnnx.transforms.compose import Compose, Lambda
from cnnx.transforms.geometry import RandomAffine, RandomHorizontalFlip, RandomRotation, RandomVerticalFlip
from cnnx.transforms.interpolation import InterpolationMode
from cnnx.transforms.pillow import ToPILImage
from cnnx.transforms.tensors import Normalize, PILToTensor, ToTensor
from cnnx.transforms.values import Grayscale, RandomApply, RandomErasing
from cnnx.transforms.windows import CenterCrop, Pad, RandomCrop, Resize

__all__ = [
    "CenterCrop",
    "Compose",
    "FiveCrop",
    "Grayscale",
    "InterpolationMode",
    "Lambda",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandomAffine",
    "RandomApply",
    "RandomChoice",
    "RandomCrop",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomOrder",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
    "ToPILImage",
    "ToTensor",
    "functional",
]
