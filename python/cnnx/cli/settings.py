"""What a run is: its settings, from the options and the defaults, and the data it uses."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cnnx
from cnnx import optim, transforms
from cnnx.cli import CommandError, UsageError, as_path, device_name, in_float32
from cnnx.cli.data import NAMED, class_names, image_shape, is_idx, refuse_folder
from cnnx.datasets.images import ImageDataset
from cnnx.models import MODELS, default_model
from cnnx.utils.data import DataLoader, Subset, random_split

OPTIMIZERS = {"adam": 1e-3, "adamw": 1e-3, "sgd": 1e-2, "adadelta": 1.0}  # with their default learning rates
OPTIMIZER = "adam"
MOMENTUM = 0.9  # of sgd
BATCH_SIZE = 64
SEED = 0
EPOCHS = {"mnist": 5}  # of other data sets, which are smaller:
MORE_EPOCHS = 30
VALIDATION = 0.1  # of the training images
EVALUATION_BATCH = 250
PROFILED_STEPS = 50


@dataclass(frozen=True)
class Settings:
    """Everything that decides the weights a run ends with, and where its data lie."""

    model: str
    dataset: str
    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    seed: int
    device: str
    shape: list[int]  # channels, height, width of the images
    classes: list[str]
    normalize: list[float] | None  # mean and standard deviation, of values in [0, 1]
    data_dir: str | None  # where mnist was

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, for a checkpoint."""
        return asdict(self)


def new_settings(options: argparse.Namespace, dataset: str, folder: Path, images: ImageDataset) -> Settings:
    """The settings of a new run."""
    shape = image_shape(images)
    if options.image_size is not None and (dataset in NAMED or is_idx(Path(dataset))):
        raise UsageError(f"--image-size is for folders of images by class; {dataset} has images of one size")
    size = shape[1:]
    model = options.model or default_model(size)
    smallest = MODELS[model].smallest()
    if min(size) < smallest:
        raise UsageError(
            f"--model {model} takes images of {smallest}x{smallest} or more, "
            f"{dataset} has {size[0]}x{size[1]}"
        )
    if options.normalize is not None:
        mean, std = options.normalize
        if not (math.isfinite(in_float32(mean)) and 0 < in_float32(std) < math.inf):
            raise UsageError(
                f"--normalize {mean:g} {std:g}: needs a mean and a positive standard deviation, of float32"
            )
    optimizer = options.optimizer or OPTIMIZER
    return Settings(
        model=model,
        dataset=dataset,
        epochs=options.epochs or EPOCHS.get(dataset, MORE_EPOCHS),
        batch_size=options.batch_size or BATCH_SIZE,
        optimizer=optimizer,
        lr=options.lr if options.lr is not None else OPTIMIZERS[optimizer],
        seed=options.seed if options.seed is not None else SEED,
        device=options.device or device_name("auto"),
        shape=list(shape),
        classes=class_names(images),
        normalize=options.normalize,
        data_dir=str(folder.resolve()) if dataset == "mnist" else None,
    )


def resumed_settings(options: argparse.Namespace, saved: Any) -> Settings:
    """The settings of a run that goes on: those saved, with more epochs if wanted."""
    if not isinstance(saved, dict) or set(saved) != {field.name for field in fields(Settings)}:
        raise CommandError(
            f"the checkpoint in {options.resume} has no settings of this version of cnnx train"
        )
    refuse_folder(options.data_dir, saved["dataset"])
    for name, value in saved.items():
        given = getattr(options, name, None)
        if name == "dataset" and given not in (None, *NAMED):
            given = str(as_path(given).resolve())
        if name not in ("epochs", "device", "data_dir") and given is not None and given != value:
            raise UsageError(f"--{name.replace('_', '-')} {given} does not fit --resume: the run has {value}")
    if options.image_size is not None:
        raise UsageError("--image-size does not fit --resume: the run's images have their size")
    if options.out is not None:
        raise UsageError("--out does not fit --resume: the run stays in its folder")
    epochs = options.epochs or saved["epochs"]
    if epochs < saved["epochs"]:
        raise UsageError(f"--epochs {epochs} does not fit --resume: the run has {saved['epochs']}")
    device = options.device or saved["device"]
    data_dir = options.data_dir or saved["data_dir"]
    return Settings(**{**saved, "epochs": epochs, "device": device, "data_dir": data_dir})


def transform_of(normalize: Sequence[float] | None) -> Any:
    """What makes tensors of images: values in [0, 1], or normalised by (mean, standard deviation)."""
    if normalize is None:
        return transforms.ToTensor()
    mean, std = normalize
    return transforms.Compose([transforms.ToTensor(), transforms.Normalize((mean,), (std,))])


@dataclass
class Loaders:
    """The batches of one run."""

    train: DataLoader
    validation: DataLoader
    generator: Any  # of the training order


def make_loaders(images: ImageDataset, settings: Settings) -> Loaders:
    """Loaders of nine tenths to train and one tenth to validate; the split follows from the seed alone."""
    split = cnnx.Generator().manual_seed(settings.seed)
    parts: list[Subset[Any]]
    if len(images) < 2:
        raise CommandError("a run needs at least two images, one to train and one to validate")
    held_out = max(1, round(len(images) * VALIDATION))
    parts = random_split(images, [len(images) - held_out, held_out], generator=split)
    order = cnnx.Generator().manual_seed(settings.seed + 1)
    return Loaders(
        DataLoader(parts[0], batch_size=settings.batch_size, shuffle=True, generator=order),
        DataLoader(parts[1], batch_size=EVALUATION_BATCH),
        order,
    )


def make_optimizer(settings: Settings, parameters: Any) -> optim.Optimizer:
    """The optimizer by name."""
    if settings.optimizer == "sgd":
        return optim.SGD(parameters, lr=settings.lr, momentum=MOMENTUM)
    if settings.optimizer == "adamw":
        return optim.AdamW(parameters, lr=settings.lr)
    if settings.optimizer == "adadelta":
        return optim.Adadelta(parameters, lr=settings.lr)
    return optim.Adam(parameters, lr=settings.lr)
