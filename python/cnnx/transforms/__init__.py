"""Transforms of images, as in torchvision.

They take PIL images, arrays and tensors. A `DataLoader` over one of cnnx's image data sets recognises
`ToTensor`, with any of these transforms before it and behind it, and then does all of it for whole batches in
native code; all but `Lambda`, functions of the user's own, subclasses, `RandomResizedCrop`, those that choose
among transforms, and those of colours, blur, perspective and elastic maps, which take image by image. Their
attributes may be changed between passes. A subclass may have a `forward` of its own, or where parameters are
random a `get_params`.
"""

from __future__ import annotations

from cnnx.absent import names_of as _names_of
from cnnx.transforms import functional
from cnnx.transforms.augment import (
    ColorJitter,
    ElasticTransform,
    GaussianBlur,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomEqualize,
    RandomInvert,
    RandomPerspective,
    RandomPosterize,
    RandomSolarize,
)
from cnnx.transforms.autoaugment import AutoAugment, AutoAugmentPolicy, RandAugment, TrivialAugmentWide
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
from cnnx.transforms.values import (
    ConvertImageDtype,
    Grayscale,
    LinearTransformation,
    RandomApply,
    RandomErasing,
)
from cnnx.transforms.windows import CenterCrop, Pad, RandomCrop, Resize

__all__ = [
    "AutoAugment",
    "AutoAugmentPolicy",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConvertImageDtype",
    "ElasticTransform",
    "FiveCrop",
    "GaussianBlur",
    "Grayscale",
    "InterpolationMode",
    "Lambda",
    "LinearTransformation",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomChoice",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomOrder",
    "RandomPerspective",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
    "ToPILImage",
    "ToTensor",
    "TrivialAugmentWide",
    "functional",
]

__getattr__ = _names_of(__name__)
