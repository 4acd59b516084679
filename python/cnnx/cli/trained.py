"""A run that has been trained: its net and what is needed to use it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cnnx
from cnnx import nn
from cnnx.cli import CommandError, UsageError, as_path
from cnnx.cli.augment import transform_of
from cnnx.cli.data import (
    as_dataset,
    class_names,
    folder_of_run,
    has_test_part,
    load_images,
    refuse_folder,
)
from cnnx.cli.named import NAMES
from cnnx.cli.own_model import OwnModel, allowed, is_own, of_program
from cnnx.cli.run_folder import RunFolder
from cnnx.cli.run_schema import load_net, read_about
from cnnx.cli.settings import EVALUATION_BATCH
from cnnx.cli.terminal import say
from cnnx.datasets.images import ImageDataset
from cnnx.utils.data import DataLoader

Array = np.ndarray[Any, Any]


@dataclass
class Trained:
    """What a run folder holds.

    `drawing` is how much of an image's side its drawing fills, None if the images are no drawings.
    """

    folder: Path
    model: nn.Module
    name: str
    dataset: str
    shape: tuple[int, int, int]
    classes: list[str]
    normalize: list[float] | None
    drawing: float | None
    data_dir: str | None
    own: OwnModel | None  # the program that makes the net

    @classmethod
    def open(cls, option: str, trust: bool = False, given: OwnModel | None = None) -> Trained:
        """The run in a folder, its net in eval mode; if a program makes it that may be run (`allowed`)."""
        run = RunFolder(as_path(option))
        for path in (run.about, run.model):
            if not path.exists() and run.checkpoint.exists():
                told = " --trust" if run.program.exists() else ""
                raise CommandError(
                    f"{option}: there is no {path}, the training was ended as it saved: "
                    f"cnnx train --resume {option}{told} writes it"
                )
            if not path.exists():
                raise UsageError(f"{option} is no run folder of cnnx train: there is no {path}")
        try:
            about = read_about(run.about)
            own = None
            if is_own(about["model"]):
                own = allowed(run.program, about["model"], trust, given)
            model = load_net(about, run.model, own).eval()
        except (OSError, ValueError) as error:
            raise CommandError(f"{option} cannot be read as a run: {error}") from error
        channels, height, width = about["shape"]
        return cls(
            run.path,
            model,
            about["model"],
            about["dataset"],
            (channels, height, width),
            about["classes"],
            about["normalize"],
            about["drawing"],
            about["data_dir"],
            own,
        )

    def test_images(self, data_dir: str | None, dataset: str | None = None) -> ImageDataset:
        """The test images of the run's data set, or of what the options --data-dir and --dataset name.

        Other data without a test part test as a whole, which a line says; the run's own, and what is named
        where they are gone, as in training.
        """
        given, dataset = dataset, self.dataset if dataset is None else as_dataset(dataset)
        refuse_folder(data_dir, dataset)
        folder = folder_of_run(dataset, data_dir, self.data_dir)
        moved = self.dataset not in NAMES and not Path(self.dataset).exists()
        foreign = dataset != self.dataset and not moved
        images = load_images(dataset, folder, False, self.shape, foreign=foreign)
        if given is not None and not has_test_part(dataset):
            number = f"test images: {len(images):,} of {given}"
            if foreign:
                say(f"{number}, all of them: it is not the run's own data and has no test part")
            else:
                why = f", which takes the place of {self.dataset}" if moved else ", the run's own data"
                say(f"{number}{why}: the fifth of each class that did not train")
        images.transform = transform_of(self.normalize)
        return images

    def training_images(self, data_dir: str | None, dataset: str | None = None) -> ImageDataset:
        """The training images of the run's data set, or of what the options name in its stead."""
        dataset = self.dataset if dataset is None else as_dataset(dataset)
        refuse_folder(data_dir, dataset)
        folder = folder_of_run(dataset, data_dir, self.data_dir)
        images = load_images(dataset, folder, True, self.shape)
        images.transform = transform_of(self.normalize)
        return images

    def labels(self, images: ImageDataset) -> Array:
        """The run's label of each class of a data set, by name; UsageError if there is none."""
        names = class_names(images)
        if unknown := [name for name in names if name not in self.classes]:
            raise UsageError(
                f"the data set has a class {unknown[0]!r}, the run knows {', '.join(self.classes)}"
            )
        return np.array([self.classes.index(name) for name in names])

    def inputs(self, pictures: Array) -> cnnx.Tensor:
        """Pictures (N, C, H, W) with values in [0, 1] as the net takes them."""
        mean, std = self.normalize or (0.0, 1.0)
        return cnnx.from_numpy(((pictures - mean) / std).astype(np.float32))

    def probabilities(self, inputs: cnnx.Tensor) -> Array:
        """Softmax of the outputs (N, classes)."""
        with cnnx.no_grad(), of_program(self.own):
            if self.own is None:
                scores = self.model(inputs)
            else:
                scores = self.own.scores(self.model, inputs, len(self.classes))
            found: Array = scores.softmax(1).numpy()
        return found

    def classify(self, images: ImageDataset) -> tuple[Array, Array]:
        """Probabilities (N, classes) and true classes (N,) of a data set."""
        parts, labels = [], []
        for inputs, targets in DataLoader(images, batch_size=EVALUATION_BATCH):
            parts.append(self.probabilities(inputs))
            labels.append(targets.numpy())
        return np.concatenate(parts), np.concatenate(labels)


def output_folder(option: str | None, trained: Trained) -> Path:
    """Where pictures go: the option, else the run folder."""
    folder = as_path(option) if option else trained.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"cannot make {folder}: {error}") from error
    return folder
