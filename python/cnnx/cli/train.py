"""`cnnx train`: a run of trainings, with signals and resume."""

from __future__ import annotations

import argparse
import contextlib
import copy
import math
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import cnnx
from cnnx import nn
from cnnx.cli import SIGNALLED, CommandError, StoppedError, UsageError
from cnnx.cli.augment import transform_of
from cnnx.cli.data import (
    choose_dataset,
    class_names,
    data_folder,
    folder_of_run,
    load_images,
    refuse_folder,
)
from cnnx.cli.ending import effort, next_steps, setting
from cnnx.cli.figures import Figures
from cnnx.cli.own_model import OwnModel, OwnModelError, of_program
from cnnx.cli.picture import drawing_size
from cnnx.cli.run_folder import CHECKPOINT_VERSION, RunFolder
from cnnx.cli.run_schema import load_weights, make_net
from cnnx.cli.settings import (
    EVALUATION_BATCH,
    PROFILED_STEPS,
    Settings,
    make_optimizer,
    make_schedule,
    new_settings,
    resumed_settings,
    stages,
)
from cnnx.cli.tensorboard import Board
from cnnx.cli.terminal import OutputClosedError, can_say, heard, hushed, is_hushed, say, say_lines
from cnnx.cli.trained import Trained
from cnnx.datasets.images import ImageDataset
from cnnx.models import MODELS
from cnnx.optim.lr_scheduler import LambdaLR
from cnnx.profiler import profile, schedule
from cnnx.training import Callback, EarlyStopping, History, Progress, Trainer
from cnnx.training.history import Row
from cnnx.training.metrics import Share, accuracy
from cnnx.utils.data import DataLoader, Subset

LINES = 40  # of epochs, at most
WIDTH = 80  # of a table, in characters

Weights = dict[str, cnnx.Tensor] | None


class Interrupt(Callback):
    """Notes the first signal to end within its block; a second one ends the command at once.

    These are SIGINT (Ctrl-C), SIGTERM (`kill`, a shutdown, a batch system) and SIGHUP (the terminal was
    closed), but for those that the process was started to ignore, as under `nohup`. Signals come to the main
    thread alone: in another one nothing is noted. As a callback it ends a training after the batch.
    """

    def __init__(self) -> None:
        self.requested: int | None = None  # the signal's number
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *unused: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def on_batch_end(self, trainer: Trainer) -> None:
        """Raises StopRequestedError if there was a signal."""
        if self.requested is not None:
            raise StopRequestedError(self.requested)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            raise StoppedError(number)
        self.requested = number


class StopRequestedError(Exception):
    """A signal to end came; everything is at a point where it can be saved."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Profile(Callback):
    """Notes what the first training steps go into."""

    def __init__(self) -> None:
        self.noted = profile(schedule=schedule(wait=0, warmup=3, active=PROFILED_STEPS, repeat=1))
        self.noted.start()

    def on_batch_end(self, trainer: Trainer) -> None:
        """Counts a training step."""
        if trainer.model.training:
            self.noted.step()

    def say(self) -> None:
        """Ends it, and says what the steps went into."""
        self.noted.stop()
        table = self.noted.key_averages()
        if not table:
            say("profile: there were too few steps")
            return
        steps = max(row.count for row in table if row.key.endswith("_step"))
        say(f"profile of {steps} training steps on {cnnx.get_num_threads()} threads:")
        say_lines(table.table())


class Saver(Callback):
    """Saves the run after each epoch."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Writes the run folder."""
        self._run.save()


class Run:
    """A run: its trainings one after the other, and how far it is.

    Where images are few, each part of them validates a training on the others, and then all train together,
    for as many epochs as were best on average. Else there is one training.
    """

    def __init__(
        self,
        settings: Settings,
        images: ImageDataset,
        folder: RunFolder,
        more: list[Callback],
        start: Weights,
        own: OwnModel | None,
    ) -> None:
        self.settings, self.folder, self._more, self._start = settings, folder, more, start
        self.own = own
        self.shape = shape_of(settings)
        self.drawing = drawing_size(images.data.numpy())
        targets = images.targets.numpy()
        self.stages = stages(targets, settings)
        # A device makes batches of what its kernels do; light is changed image by image, by Pillow.
        self._images = images if settings.augment == "pictures" else images.to(settings.device)
        self.stage = 0
        self.parts: list[dict[str, Any]] = []  # of each training that has validated a part
        self.best: Share | None = None  # of a single training: what its best epoch reached
        self.still_better = False  # and whether that was its last
        self._begin()

    @property
    def is_last(self) -> bool:
        """Whether this is the training whose net is kept."""
        return self.stage == len(self.stages) - 1

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to train."""
        return self.is_last and self.trainer.is_over

    @property
    def validated(self) -> Share | None:
        """The accuracy on all images that have validated, by the best epoch of each part; None before."""
        if not self.parts:
            return self.best
        return Share(*(sum(part[name] for part in self.parts) for name in ("hits", "images")))

    def state(self) -> dict[str, Any]:
        """All that the rest of the run depends on."""
        return {
            "version": CHECKPOINT_VERSION,
            "settings": self.settings.as_dict(),
            "stage": self.stage,
            "parts": self.parts,
            **({} if self.own is None else {"program": self.own.source}),
            **self.trainer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up a saved state."""
        try:
            self.stage, self.parts = state["stage"], state["parts"]
            self._begin()
            self.trainer.load_state_dict(state)
            self._go_on(state["settings"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CommandError(f"{self.folder.checkpoint} does not fit the run: {error}") from error

    def _go_on(self, before: dict[str, Any]) -> None:
        """Follows other settings than those that the state was saved with: more epochs, more patience."""
        trainer, scheduler = self.trainer, self.trainer.scheduler
        if self.settings.epochs > before["epochs"] and isinstance(scheduler, LambdaLR):
            # The schedule is another one, and the rate that was saved is a point of the old one.
            for group, base, rate in zip(
                trainer.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
            ):
                group["lr"] = base * rate(scheduler.last_epoch)
        waits = self.stopping is not None and self.stopping.waited < self.settings.patience
        if waits or self.settings.epochs > before["epochs"]:
            trainer.why_stopped = None

    def save(self) -> None:
        """Writes the run folder: the program of the net, the checkpoint, and then what follows from it."""
        self.keep_program()
        self.folder.commit(self.state())
        self.derive()

    def keep_program(self) -> None:
        """Writes the program of the net, if one makes it: without it no checkpoint can be used."""
        if self.own is not None:
            self.folder.keep(self.own.source)

    def derive(self, **results: Any) -> None:
        """Brings the other files in line with the checkpoint, with results if there are any."""
        about = {"cnnx": cnnx.__version__, **self.settings.as_dict(), "drawing": self.drawing, **results}
        weights = (self.stopping.weights if self.stopping else {}) or self.trainer.model.state_dict()
        self.folder.derive(about, weights, self.rows())

    def rows(self) -> list[Row]:
        """The history of all trainings; where there are several, they are numbered."""
        if len(self.stages) == 1:
            return self.trainer.history.rows
        histories = [part["history"] for part in self.parts] + [self.trainer.history.rows]
        return [{"training": i + 1, **row} for i, rows in enumerate(histories) for row in rows]

    def panels(self) -> dict[str, dict[str, list[float]]]:
        """The curves: of the last training, and the validation of those before."""
        panels = self.trainer.history.curves()
        for number, part in enumerate(self.parts, 1):
            for quantity, curves in History(part["history"]).curves().items():
                panels[quantity][f"validation {number}"] = curves["validation"]
        return panels

    def fit(self) -> None:
        """Trains what is left; raises StopRequestedError after a signal."""
        while True:
            if len(self.stages) > 1:
                part = f"part {self.stage + 1} of {len(self.stages) - 1} validates"
                count = self.trainer.epochs
                epochs = "1 epoch" if count == 1 else f"{count} epochs"
                if not self.is_complete:
                    say(f"all images train, for {epochs}" if self.is_last else part)
            try:
                with of_program(self.own):
                    self.trainer.fit(self.trainer.epochs)
            except FloatingPointError as error:
                text = str(error).removeprefix("fit: ").replace("a smaller learning rate", "a smaller --lr")
                raise CommandError(text) from error
            finally:
                self._progress.close()
            if self.stopping is not None:
                self._note_validation()
            if self.is_last:
                return
            self.stage += 1
            self._begin()
            self.save()

    def _note_validation(self) -> None:
        history, stage = self.trainer.history, self.stages[self.stage]
        assert self.stopping is not None
        assert stage.validation is not None
        epoch = self.stopping.best_epoch or len(history)  # none is best if no loss was a number
        images = len(stage.validation)
        hits = round(history.rows[epoch - 1]["validation_accuracy"] * images)
        if len(self.stages) > 1:
            part = {"epoch": epoch, "images": images, "hits": hits, "history": history.rows}
            self.parts = [*self.parts, part]
        else:
            self.best = Share(hits, images)
            self.still_better = epoch == len(history) == self.trainer.epochs
            say(f"the best epoch is {epoch} of {len(history)}: validation accuracy {self.best}")

    def _begin(self) -> None:
        """Makes the training of this stage, at its beginning."""
        settings, stage = self.settings, self.stages[self.stage]
        cnnx.manual_seed(settings.seed)
        epochs = settings.epochs
        if stage.validation is None:
            epochs = max(1, round(float(np.mean([part["epoch"] for part in self.parts]))))
        device = cnnx.device(settings.device)
        with of_program(self.own):
            model = make_net(settings.as_dict(), self.own).to(device)
            take_over(model, self._start)
            optimizer = make_optimizer(settings, model.parameters())
        order = cnnx.Generator().manual_seed(settings.seed + 1)
        augmented, plain = (
            with_transform(self._images, transform_of(settings.normalize, augment))
            for augment in (settings.augment, "none")
        )
        train = DataLoader(
            Subset(augmented, stage.train), batch_size=settings.batch_size, shuffle=True, generator=order
        )
        validation, self.stopping = None, None
        if stage.validation is not None:
            validation = DataLoader(Subset(plain, stage.validation), batch_size=EVALUATION_BATCH)
            self.stopping = EarlyStopping(settings.patience, "validation_loss")
        later = settings.epochs * (len(self.stages) - 1 - self.stage)
        every = -(-settings.epochs // LINES)
        self._progress = Progress(say, every=every, bar=not is_hushed(), later=later)
        callbacks = [*([self.stopping] if self.stopping else []), Saver(self), *self._more, self._progress]
        self.trainer = Trainer(
            model,
            train,
            validation,
            loss=nn.CrossEntropyLoss(),
            optimizer=optimizer,
            scheduler=make_schedule(settings, optimizer, epochs),
            metrics={"accuracy": accuracy},
            callbacks=callbacks,
            device=device,
        )
        self.trainer.epochs = epochs


def with_transform(images: ImageDataset, transform: Any) -> ImageDataset:
    """The same images with another transform."""
    images = copy.copy(images)
    images.transform = transform
    return images


def take_over(model: nn.Module, weights: Weights) -> None:
    """Gives a net those weights of another one that have the same name and shape in it."""
    own = model.state_dict()
    fitting = {k: t for k, t in (weights or {}).items() if k in own and own[k].shape == t.shape}
    model.load_state_dict({**own, **fitting})


def train(options: argparse.Namespace) -> int:
    """The command `cnnx train`; returns the exit code."""
    if options.threads is not None:
        cnnx.set_num_threads(options.threads)
    with hushed(options.quiet):
        return _train(options)


def _train(options: argparse.Namespace) -> int:
    own = program_of(options)
    if options.resume is not None:
        run = RunFolder.existing(options.resume)
        with run.locked(new=False):
            return _resume(options, run, own)
    settings, images, start, own = prepare(options, own)
    if start is not None and start.dataset == settings.dataset:
        say(f"note: the run in {start.folder} has seen these images, so the validation will be too good")
    test = _load_test(settings)
    run = RunFolder.create(options.out, settings.model, Path(settings.dataset).name)
    try:
        with run.locked(new=True, program=None if own is None else own.source):
            return _run(options, settings, images, test, run, None, weights_of(start), own)
    except BaseException:
        run.drop()
        raise


def program_of(options: argparse.Namespace) -> OwnModel | None:
    """The program that --model names, if it names one."""
    if options.model is None or options.model in MODELS:
        return None
    own = OwnModel.given(options.model)
    options.model = own.model  # as the settings have it
    return own


def prepare(
    options: argparse.Namespace, own: OwnModel | None
) -> tuple[Settings, ImageDataset, Trained | None, OwnModel | None]:
    """What is to be trained, and on what, the run whose weights it begins with, and the net's program.

    Says where the data are.
    """
    if options.trust and options.start is None:
        of = "--resume or --from" if "resume" in options else "--from"
        raise UsageError(f"--trust is for a run that is there, of {of}")
    start = None if options.start is None else Trained.open(options.start, options.trust, own)
    if start is not None:
        if options.image_size is not None:
            raise UsageError("--image-size does not fit --from: images get the size that the run's net takes")
        if options.model not in (None, start.name):
            raise UsageError(f"--model {options.model} does not fit --from: the run's net is {start.name}")
    folder = data_folder(options.data_dir)
    dataset, line = choose_dataset(options.dataset, folder, options.data_dir is not None)
    refuse_folder(options.data_dir, dataset)
    say(line)
    images = load_images(dataset, folder, True, None if start is None else start.shape, options.image_size)
    settings = new_settings(options, dataset, folder, images, start)
    own = own if start is None else start.own
    if own is not None:
        what = f"--model {own.path}:{own.name}" if start is None else f"--from {options.start}"
        _try(own, settings, what)
    return settings, images, start, own


def _try(own: OwnModel, settings: Settings, what: str) -> None:
    """Tries the net that an option brings, to know that it can be trained before the run has a folder."""
    try:
        own.rehearse(shape_of(settings), len(settings.classes))
    except OwnModelError as error:
        raise UsageError(f"{what}: {error}") from error


def _resume(options: argparse.Namespace, run: RunFolder, given: OwnModel | None) -> int:
    saved, own = run.load(options.trust, given)
    settings = resumed_settings(options, saved)
    say(f"data: {settings.dataset}; going on with the run in {run.path}")
    folder = folder_of_run(settings.dataset, options.data_dir, settings.data_dir)
    images = load_images(settings.dataset, folder, True, shape_of(settings))
    if (classes := class_names(images)) != settings.classes:
        here, there = ", ".join(classes), ", ".join(settings.classes)
        raise CommandError(f"{settings.dataset}: the classes are {here}; the run in {run.path} has {there}")
    # Only the trainings that have not begun yet need the weights of another run.
    begun = settings.start is None or settings.validations == 1 or saved["stage"] == settings.validations
    start = None if begun else _saved_weights(str(settings.start))
    return _run(options, settings, images, _load_test(settings), run, saved, start, own)


def _saved_weights(start: str) -> Weights:
    """Those of the run that a checkpoint names; no program is run for it, which may be any folder's."""
    try:
        return load_weights(RunFolder(Path(start)).model)
    except (OSError, ValueError) as error:
        raise CommandError(f"the weights that the run began with cannot be read: {error}") from error


def weights_of(start: Trained | None) -> Weights:
    """Those that a new run begins with."""
    return None if start is None else start.model.state_dict()


def shape_of(settings: Settings) -> tuple[int, int, int]:
    """(channels, height, width) of the run's images."""
    channels, height, width = settings.shape
    return channels, height, width


def _load_test(settings: Settings) -> ImageDataset:
    """The test images: before the training, since it would be late to find a damaged file after it."""
    test = load_images(settings.dataset, data_folder(settings.data_dir), False, shape_of(settings))
    test.transform = transform_of(settings.normalize)
    return test


def _run(
    options: argparse.Namespace,
    settings: Settings,
    images: ImageDataset,
    test: ImageDataset,
    folder: RunFolder,
    saved: dict[str, Any] | None,
    start: Weights,
    own: OwnModel | None,
) -> int:
    """Trains what is left of a run, new or saved, and tests it; returns the exit code."""
    began = time.perf_counter()
    with Interrupt() as interrupt, contextlib.ExitStack() as closing:
        more: list[Callback] = [interrupt]
        board = Board(folder.path / "tensorboard", new=saved is None) if options.tensorboard else None
        if board is not None:
            more.append(board)
            closing.callback(board.close)
        profiled = Profile() if options.profile else None
        if profiled is not None:
            more.append(profiled)
        run = Run(settings, images, folder, more, start, own)
        if saved is not None:
            run.restore(saved)
            run.keep_program()
            run.derive()
        if board is not None:
            board.follow(run.rows)
        _introduce(run, test)
        if saved is not None and run.is_complete:
            say("the run is complete")
        try:
            run.fit()
            if profiled is not None:
                profiled.say()
            with of_program(own):
                found = run.trainer.evaluate(DataLoader(test, batch_size=EVALUATION_BATCH))
        except StopRequestedError as stop:
            if not run.is_complete:
                run.save()
            with contextlib.suppress(OutputClosedError):  # after SIGHUP there is no terminal
                say()
                where = "the test" if run.is_complete else f"epoch {run.trainer.epoch + 1}"
                say(f"interrupted in {where}; saved in {folder.path}")
                trust = "" if own is None else " --trust"
                say(f"go on with: cnnx train --resume {folder.path}{trust}")
            return SIGNALLED + stop.number
    say(effort(time.perf_counter() - began, run.rows()))
    return _conclude(run, test, found)


def _introduce(run: Run, test: ImageDataset) -> None:
    """Says what is trained on what."""
    settings, validation = run.settings, run.stages[0].validation
    images = f"{len(run.stages[-1].train):,} to train"
    if len(run.stages) > 1:
        images += f" ({settings.validations} parts in turn to validate)"
    elif validation is not None:
        images += f", {len(validation):,} to validate"
    classes = f"{len(settings.classes)} classes: {', '.join(settings.classes)}"
    say(f"images: {images}, {len(test):,} to test, of {classes}")
    counts = np.bincount(test.targets.numpy(), minlength=len(settings.classes))
    if not counts.all():
        none = ", ".join(name for name, n in zip(settings.classes, counts, strict=True) if n == 0)
        say(f"note: there are no test images of {none}")
    mean_and_std = settings.normalize
    normalized = "none" if mean_and_std is None else "mean {:g}, deviation {:g}".format(*mean_and_std)
    extents = "x".join(map(str, settings.shape))
    say(f"pixels: {extents}, normalised: {normalized}, augmented: {settings.augment}")
    say(f"model: {setting(settings)}")
    with of_program(run.own):
        table = describe(run.trainer.model, run.shape)
    say_lines(table)


def describe(model: nn.Module, shape: tuple[int, int, int]) -> str:
    """The layers of a net and what they cost for one image, as a table."""
    rows = ["depth"] if can_say("├─│└") else ["depth", "ascii_only"]
    columns = ("output_size", "num_params", "mult_adds")
    found = cnnx.summary(model, (1, *shape), col_names=columns, row_settings=rows, verbose=0)
    return str(found.table(WIDTH))


def _conclude(run: Run, test: ImageDataset, found: dict[str, float]) -> int:
    """Writes and says how good the net is; returns the exit code."""
    loss, share = found["loss"], Share(round(found["accuracy"] * len(test)), len(test))
    # JSON has no NaN, and a net that has diverged has no loss.
    results: dict[str, Any] = {
        "test": {
            "accuracy": found["accuracy"],
            "error": share.error,
            "loss": loss if math.isfinite(loss) else None,
            "images": len(test),
        }
    }
    if run.validated is not None:
        if run.parts:
            say(f"validation accuracy {run.validated} on all {run.validated.total:,} images, each once")
        results["validation"] = {"accuracy": run.validated.value, "error": run.validated.error}
    run.derive(**results)
    say(f"settings: {setting(run.settings)}")
    say(f"run: {run.folder.path}")
    figures = Figures(optional=True)
    run.folder.draw(run.panels(), figures)
    chance = Share(int(np.bincount(test.targets.numpy()).max()), len(test))
    for line in next_steps(run.folder.path, run.settings, run.still_better):
        say(line)
    judged = run.validated if run.parts and run.validated else share
    if judged.value <= chance.value + 2 * judged.error:
        say("note: hardly better than guessing; more images, epochs or --from RUN may help")
    with heard():
        say(f"test accuracy {share}, chance {100 * chance.value:.2f} %, loss {loss:.4f}")
    return int(figures.failed)
