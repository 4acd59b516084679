"""What a run is: its settings, from the options and the defaults, and the data it uses."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import cnnx
from cnnx import optim
from cnnx.cli import CommandError, UsageError, as_path
from cnnx.cli.augment import choose
from cnnx.cli.data import class_names, image_shape, is_by_class, refuse_folder
from cnnx.cli.named import NAMES, STORED
from cnnx.cli.own_model import is_own
from cnnx.cli.picture import drawing_size
from cnnx.cli.values import device_name, in_float32
from cnnx.datasets.images import ImageDataset
from cnnx.models import MODELS, canonical, default_model
from cnnx.optim.lr_scheduler import LambdaLR
from cnnx.training.split import default_batch_size, folds, held_out

if TYPE_CHECKING:
    from cnnx.cli.trained import Trained

Array = np.ndarray[Any, Any]

OPTIMIZERS = {"adam": 2e-3, "adamw": 2e-3, "sgd": 1e-2, "adadelta": 1.0}  # with their default learning rates
OPTIMIZER = "adam"
MOMENTUM = 0.9  # of sgd
SCHEDULES = ("cosine", "none")
SEED = 0
UPDATES = 1500  # what the default number of epochs comes to
FEWEST_EPOCHS, MOST_EPOCHS = 5, 200
VALIDATION = 0.1  # of the training images
FEW = 500  # training images below which the validation is repeated
REPEATS = 4  # times, then
PATIENCE = 0.3  # of the epochs
SHORTEST_PATIENCE = 5
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
    schedule: str
    seed: int
    device: str
    shape: list[int]  # channels, height, width of the images
    classes: list[str]
    normalize: list[float] | None  # mean and standard deviation, of values in [0, 1]
    augment: str
    validations: int  # parts that are held out in turn; 1: only one part is
    patience: int  # epochs without a better validation loss that end the training
    start: str | None  # the run that the weights came from
    data_dir: str | None  # the data folder, of a data set that is looked for there

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, for a checkpoint."""
        return asdict(self)


def new_settings(
    options: argparse.Namespace, dataset: str, folder: Path, images: ImageDataset, start: Trained | None
) -> Settings:
    """The settings of a new run; `start` is the run whose weights it begins with."""
    shape, drawing = image_shape(images), drawing_size(images.data.numpy())
    if options.image_size is not None and not is_by_class(images):
        raise UsageError(f"--image-size is for folders of images by class; {dataset} has images of one size")
    size = shape[1:]
    photographs = drawing is None and (is_by_class(images) or shape[0] == 3)
    model = options.model or (start.name if start else default_model(size, photographs))
    smallest = 1 if is_own(model) else MODELS[model].smallest()
    if min(size) < smallest:
        raise UsageError(
            f"--model {model} takes images of {smallest}x{smallest} or more, "
            f"{dataset} has {size[0]}x{size[1]}"
        )
    few = len(images) < FEW
    validations = options.validations or (min(REPEATS, len(images)) if few else 1)
    if validations > len(images):
        raise UsageError(f"--validations {validations}: there are {len(images)} training images")
    trained_on = len(images) - round(len(images) * VALIDATION)
    batch_size = options.batch_size or default_batch_size(trained_on)
    epochs = options.epochs or default_epochs(trained_on, batch_size)
    optimizer = options.optimizer or OPTIMIZER
    return Settings(
        model=model,
        dataset=dataset,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=options.lr if options.lr is not None else OPTIMIZERS[optimizer],
        schedule=options.schedule or SCHEDULES[0],
        seed=options.seed if options.seed is not None else SEED,
        device=options.device or device_name("auto"),
        shape=list(shape),
        classes=class_names(images),
        normalize=_normalize(options.normalize, images, start),
        augment=options.augment if options.augment not in (None, "auto") else choose(images, drawing),
        validations=validations,
        patience=options.patience or max(SHORTEST_PATIENCE, round(PATIENCE * epochs)),
        start=None if start is None else str(start.folder.resolve()),
        data_dir=str(folder.resolve()) if dataset in STORED else None,
    )


def default_epochs(images: int, batch_size: int) -> int:
    """Epochs that come to about 1,500 updates, from 5 to 200.

    Examples
    --------
    >>> [default_epochs(images, batch) for images, batch in ((54_000, 64), (1_200, 64), (72, 8))]
    [5, 79, 167]
    """
    steps = -(-images // batch_size)
    return min(max(FEWEST_EPOCHS, -(-UPDATES // steps)), MOST_EPOCHS)


def _normalize(option: Any, images: ImageDataset, start: Trained | None) -> list[float] | None:
    """Mean and standard deviation: of the option, of the run that the weights came from, of the images."""
    if option is not None:
        return _given_normalize(option)
    if start is not None:
        return start.normalize
    values = images.data.numpy()
    mean, std = (float(f(values, dtype=np.float64)) / images.max_value for f in (np.mean, np.std))
    return [round(mean, 4), round(std, 4) or 1.0]


def _given_normalize(option: list[str]) -> list[float] | None:
    """What the option says: none, or a mean and a positive standard deviation."""
    if option == ["none"]:
        return None
    try:
        mean, std = map(float, option)
    except ValueError:
        mean = std = math.nan
    if not (math.isfinite(in_float32(mean)) and 0 < in_float32(std) < math.inf):
        raise UsageError(
            f"--normalize {' '.join(option)}: needs none, or a mean and a positive standard deviation, of "
            "float32"
        )
    return [mean, std]


def resumed_settings(options: argparse.Namespace, state: dict[str, Any]) -> Settings:
    """The settings of a run that goes on: those saved, with more epochs or other patience if wanted."""
    saved = state["settings"]
    if not isinstance(saved, dict) or set(saved) != {field.name for field in fields(Settings)}:
        raise CommandError(
            f"the checkpoint in {options.resume} has no settings of this version of cnnx train"
        )
    saved = {**saved, "model": canonical(saved["model"])}
    refuse_folder(options.data_dir, saved["dataset"])
    moved = saved["dataset"]
    for name, value in saved.items():
        given = getattr(options, name, None)
        if name == "dataset" and given is not None and given not in NAMES:
            given = str(as_path(given).resolve())
            if value not in NAMES and not Path(value).exists():
                moved = given
                continue
        if name == "normalize" and given is not None:
            given = _given_normalize(given)
            if given is None and value is not None:
                given = "none"
        if (
            name not in ("epochs", "device", "data_dir", "patience", "start")
            and given not in (None, "auto")
            and given != value
        ):
            raise UsageError(f"--{name.replace('_', '-')} {given} does not fit --resume: the run has {value}")
    for option, why in (
        ("image_size", "the run's images have their size"),
        ("out", "the run stays in its folder"),
        ("start", "the run has begun"),
    ):
        if getattr(options, option) is not None:
            name = "from" if option == "start" else option.replace("_", "-")
            raise UsageError(f"--{name} does not fit --resume: {why}")
    epochs = options.epochs or saved["epochs"]
    if epochs < saved["epochs"]:
        raise UsageError(f"--epochs {epochs} does not fit --resume: the run has {saved['epochs']}")
    if epochs > saved["epochs"] and state["stage"] > 0:
        raise UsageError(f"--epochs {epochs} does not fit --resume: a part has validated {saved['epochs']}")
    changed = {
        "epochs": epochs,
        "patience": options.patience or saved["patience"],
        "dataset": moved,
    }
    changed["data_dir"] = options.data_dir or saved["data_dir"]
    try:
        changed["device"] = options.device or device_name(saved["device"])
    except argparse.ArgumentTypeError as error:
        where = Path(options.resume) / "checkpoint.safetensors"
        raise CommandError(f"{where}: {error}; --device names another one") from error
    return Settings(**{**saved, **changed})


@dataclass
class Stage:
    """The images of one training of a run: which ones train, and which ones validate, if any."""

    train: Array
    validation: Array | None


def stages(targets: Array, settings: Settings) -> list[Stage]:
    """The trainings of a run; what is held out follows from the seed alone.

    With one validation it is a single training, with a tenth of each class held out. Else each part is held
    out once, and at last all images train.
    """
    split = cnnx.Generator().manual_seed(settings.seed)
    if len(targets) < max(2, settings.validations):
        raise CommandError(
            f"a run needs at least two images, and {settings.validations} to validate in as many parts; "
            f"there are {len(targets)}"
        )
    everything = np.arange(len(targets))
    if settings.validations == 1:
        out = held_out(targets, VALIDATION, split)
        return [Stage(everything[~out], everything[out])]
    part = folds(targets, settings.validations, split)
    turns = [Stage(everything[part != i], everything[part == i]) for i in range(settings.validations)]
    return [*turns, Stage(everything, None)]


def make_schedule(settings: Settings, optimizer: optim.Optimizer, epochs: int) -> LambdaLR | None:
    """The learning rate falls along half a cosine (Loshchilov and Hutter, 2017), or stays."""
    if settings.schedule == "none":
        return None
    return LambdaLR(optimizer, lambda epoch: (1 + math.cos(math.pi * min(epoch / epochs, 1))) / 2)


def make_optimizer(settings: Settings, parameters: Any) -> optim.Optimizer:
    """The optimizer by name."""
    if settings.optimizer == "sgd":
        return optim.SGD(parameters, lr=settings.lr, momentum=MOMENTUM)
    if settings.optimizer == "adamw":
        return optim.AdamW(parameters, lr=settings.lr)
    if settings.optimizer == "adadelta":
        return optim.Adadelta(parameters, lr=settings.lr)
    return optim.Adam(parameters, lr=settings.lr)
