"""`cnnx train`: the loop, with signals and resume."""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import cnnx
from cnnx import nn
from cnnx.cli import SIGNALLED, CommandError, StoppedError
from cnnx.cli.data import choose_dataset, class_names, data_folder, load_images, refuse_folder
from cnnx.cli.figures import Figures
from cnnx.cli.picture import drawing_size
from cnnx.cli.run_folder import CHECKPOINT_VERSION, Epoch, RunFolder, read_history
from cnnx.cli.settings import (
    EVALUATION_BATCH,
    PROFILED_STEPS,
    Settings,
    make_loaders,
    make_optimizer,
    new_settings,
    resumed_settings,
    transform_of,
)
from cnnx.cli.summary import format_table, summarize
from cnnx.cli.tensorboard import Board
from cnnx.cli.terminal import OutputClosedError, say, say_lines
from cnnx.datasets.images import ImageDataset
from cnnx.models import build_model
from cnnx.profiler import profile, schedule
from cnnx.utils.data import DataLoader


class Interrupt:
    """Notes the first signal to end within its block; a second one ends the command at once.

    These are SIGINT (Ctrl-C), SIGTERM (`kill`, a shutdown, a batch system) and SIGHUP (the terminal was
    closed), but for those that the process was started to ignore, as under `nohup`. Signals come to the main
    thread alone: in another one nothing is noted.
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

    def check(self) -> None:
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


class Sums:
    """Loss and hits summed over the images of an epoch."""

    def __init__(self, loss: float = 0.0, hits: int = 0, images: int = 0, seconds: float = 0.0) -> None:
        self.loss, self.hits, self.images, self.seconds = loss, hits, images, seconds

    def add(self, loss: float, hits: int, images: int) -> None:
        """Takes a batch in, given its mean loss."""
        self.loss += loss * images
        self.hits += hits
        self.images += images

    def means(self) -> tuple[float, float]:
        """Loss and accuracy per image."""
        return self.loss / self.images, self.hits / self.images


class Bar:
    """A progress bar of images with the running loss; without tqdm or a terminal nothing is drawn."""

    def __init__(self, label: str, total: int, done: int) -> None:
        self._bar: Any = None
        try:
            from tqdm import tqdm
        except ImportError:
            return
        self._bar = tqdm(
            desc=label,
            total=total,
            initial=done,
            unit="img",
            unit_scale=True,
            leave=False,
            disable=None,
            dynamic_ncols=True,
        )

    def update(self, images: int, loss: float) -> None:
        """Moves on by a batch."""
        if self._bar is not None and not self._bar.disable:
            try:
                self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
                self._bar.update(images)
            except OSError:  # the terminal has gone, which must not cost what has been trained
                self._bar.disable = True

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()


class Trainer:
    """A run: net, optimizer, data, and how far it is."""

    def __init__(self, settings: Settings, images: Any, run: RunFolder, interrupt: Interrupt) -> None:
        cnnx.manual_seed(settings.seed)
        self.settings = settings
        self.run = run
        self.interrupt = interrupt
        self.shape = _shape(settings)
        self.device = cnnx.device(settings.device)
        self.model = build_model(settings.model, self.shape, len(settings.classes)).to(self.device)
        self.optimizer = make_optimizer(settings, self.model.parameters())
        self.loss = nn.CrossEntropyLoss()
        self._score, self._step = self._plans()
        images.transform = transform_of(settings.normalize)
        self.drawing = drawing_size(images.data.numpy())
        self.loaders = make_loaders(images.to(self.device), settings)
        self.epoch = 0  # the one under way, from 0
        self.trained = False  # its training pass is complete
        self.sums = Sums()
        self.history: list[Epoch] = []
        self.board: Board | None = None
        self.profile: profile | None = None

    def state(self) -> dict[str, Any]:
        """All that the rest of the run depends on."""
        return {
            "version": CHECKPOINT_VERSION,
            "settings": self.settings.as_dict(),
            "epoch": self.epoch,
            "trained": self.trained,
            "sums": [self.sums.loss, self.sums.hits, self.sums.images, self.sums.seconds],
            "history": [list(row) for row in self.history],
            "random": cnnx.get_rng_state(),
            "order": self.loaders.generator.get_state(),
            "loader": self.loaders.train.state_dict(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up a saved state."""
        try:
            self.epoch, self.trained = state["epoch"], state["trained"]
            self.sums = Sums(*state["sums"])
            self.history = read_history(state["history"])
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.loaders.generator.set_state(state["order"])
            self.loaders.train.load_state_dict(state["loader"])
            cnnx.set_rng_state(state["random"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CommandError(f"{self.run.checkpoint} does not fit the run: {error}") from error

    def save(self) -> None:
        """Writes the run folder: the checkpoint, and then what follows from it."""
        self.run.commit(self.state())
        self.derive()

    def derive(self, **results: Any) -> None:
        """Brings the other files in line with the checkpoint, with results if there are any."""
        about = {"cnnx": cnnx.__version__, **self.settings.as_dict(), "drawing": self.drawing, **results}
        self.run.derive(about, self.model.state_dict(), self.history)

    def fit(self) -> None:
        """Trains what is left of the epochs; raises StopRequestedError after a signal."""
        while self.epoch < self.settings.epochs:
            if not self.trained:
                self._train_epoch()
            validation = self.evaluate(self.loaders.validation)
            speed = self.sums.images / self.sums.seconds if self.sums.seconds > 0 else 0.0
            row = Epoch(self.epoch + 1, *self.sums.means(), *validation, round(speed, 1))
            self.history.append(row)
            self.epoch, self.trained, self.sums = self.epoch + 1, False, Sums()
            self.save()
            if self.board is not None:
                self.board.add(row)
            say(
                f"epoch {row.epoch}/{self.settings.epochs}  "
                f"train loss {row.train_loss:.4f} accuracy {row.train_accuracy:.4f}  "
                f"validation loss {row.validation_loss:.4f} accuracy {row.validation_accuracy:.4f}  "
                f"{speed:,.0f} images/s"
            )

    def _plans(self) -> tuple[Any, Any]:
        """Loss and outputs of a batch, without and with an update, both replayed."""
        model, optimizer, loss_of = self.model, self.optimizer, self.loss

        def score(images: Any, labels: Any) -> tuple[Any, Any]:
            output = model(images)
            return loss_of(output, labels), output

        def step(images: Any, labels: Any) -> tuple[Any, Any]:
            optimizer.zero_grad()
            loss, output = score(images, labels)
            loss.backward()
            optimizer.step()
            return loss, output

        return tuple(cnnx.compile(f, static=True) for f in (score, step))

    def _train_epoch(self) -> None:
        self.model.train()
        total = len(self.loaders.train.sampler)  # type: ignore[arg-type]
        bar = Bar(f"epoch {self.epoch + 1}/{self.settings.epochs}", total, self.sums.images)
        started = time.perf_counter() - self.sums.seconds
        try:
            for images, labels in self.loaders.train:
                images, labels = images.to(self.device), labels.to(self.device)
                loss, output = self._step(images, labels)
                value = loss.item()
                if not math.isfinite(value):
                    raise CommandError(
                        f"the loss became {value} in epoch {self.epoch + 1}; a smaller --lr may help"
                    )
                self.sums.add(value, count_hits(output, labels), len(labels))
                self.sums.seconds = time.perf_counter() - started
                bar.update(len(labels), self.sums.loss / self.sums.images)
                self.interrupt.check()
                if self.profile is not None:
                    self.profile.step()
        finally:
            bar.close()
            if self.profile is not None:
                self.profile.stop()
        self.trained = True

    def evaluate(self, loader: DataLoader) -> tuple[float, float]:
        """Mean loss and accuracy over a loader; raises StopRequestedError after a signal."""
        sums = Sums()
        self.model.eval()
        with cnnx.no_grad():
            for images, labels in loader:
                images, labels = images.to(self.device), labels.to(self.device)
                loss, output = self._score(images, labels)
                sums.add(loss.item(), count_hits(output, labels), len(labels))
                self.interrupt.check()
        return sums.means()


def say_profile(run: profile) -> None:
    """What the steps went into."""
    table = run.key_averages()
    if not table:
        say("profile: there were too few steps")
        return
    steps = max(row.count for row in table if row.key.endswith("_step"))
    say(f"profile of {steps} training steps on {cnnx.get_num_threads()} threads:")
    say_lines(table.table())


def count_hits(output: Any, labels: Any) -> int:
    """Images whose largest output is at their label."""
    return int((output.detach().argmax(1) == labels).sum().item())


def train(options: argparse.Namespace) -> int:
    """The command `cnnx train`; returns the exit code."""
    if options.threads is not None:
        cnnx.set_num_threads(options.threads)
    if options.resume is not None:
        run = RunFolder.existing(options.resume)
        with run.locked(new=False):
            return _resume(options, run)
    folder = data_folder(options.data_dir)
    dataset, line = choose_dataset(options.dataset, folder, options.data_dir is not None)
    refuse_folder(options.data_dir, dataset)
    say(line)
    images = load_images(dataset, folder, True, size=options.image_size)
    settings = new_settings(options, dataset, folder, images)
    test = _load_test(settings)
    run = RunFolder.create(options.out, settings.model, Path(dataset).name)
    with run.locked(new=True):
        return _run(options, settings, images, test, run, None)


def _resume(options: argparse.Namespace, run: RunFolder) -> int:
    saved = run.load()
    settings = resumed_settings(options, saved["settings"])
    say(f"data: {settings.dataset}; going on with the run in {run.path}")
    images = load_images(settings.dataset, data_folder(settings.data_dir), True, _shape(settings))
    if (classes := class_names(images)) != settings.classes:
        here, there = ", ".join(classes), ", ".join(settings.classes)
        raise CommandError(f"{settings.dataset}: the classes are {here}; the run in {run.path} has {there}")
    return _run(options, settings, images, _load_test(settings), run, saved)


def _shape(settings: Settings) -> tuple[int, int, int]:
    channels, height, width = settings.shape
    return channels, height, width


def _load_test(settings: Settings) -> ImageDataset:
    """The test images: before the training, since it would be late to find a damaged file after it."""
    test = load_images(settings.dataset, data_folder(settings.data_dir), False, _shape(settings))
    test.transform = transform_of(settings.normalize)
    return test


def _run(
    options: argparse.Namespace,
    settings: Settings,
    images: ImageDataset,
    test: ImageDataset,
    run: RunFolder,
    saved: dict[str, Any] | None,
) -> int:
    """Trains what is left of a run, new or saved, and tests it; returns the exit code."""
    with Interrupt() as interrupt:
        trainer = Trainer(settings, images, run, interrupt)
        if saved is not None:
            trainer.restore(saved)
            trainer.derive()
        if options.tensorboard:
            trainer.board = Board(run.path / "tensorboard", trainer.history)
        if options.profile:
            trainer.profile = profile(schedule=schedule(wait=0, warmup=3, active=PROFILED_STEPS, repeat=1))
            trainer.profile.start()
        loaders = trainer.loaders
        training, validation = len(loaders.train.dataset), len(loaders.validation.dataset)
        say(
            f"images: {training:,} to train, {validation:,} to validate, {len(test):,} to test, of "
            f"{len(settings.classes)} classes: {', '.join(settings.classes)}"
        )
        say(
            f"model: {settings.model}, {settings.optimizer} lr {settings.lr:g}, "
            f"batch {settings.batch_size}, seed {settings.seed}, {settings.device}"
        )
        say_lines(format_table(summarize(trainer.model, trainer.shape)))
        try:
            trainer.fit()
            if trainer.profile is not None:
                say_profile(trainer.profile)
            loss, accuracy = trainer.evaluate(DataLoader(test, batch_size=EVALUATION_BATCH))
        except StopRequestedError as stop:
            trainer.save()
            with contextlib.suppress(OutputClosedError):  # after SIGHUP there is no terminal
                say()
                say(f"interrupted in epoch {min(trainer.epoch + 1, settings.epochs)}; saved in {run.path}")
                say(f"go on with: cnnx train --resume {run.path}")
            return SIGNALLED + stop.number
        finally:
            if trainer.board is not None:
                trainer.board.close()
    # JSON has no NaN, and a net that has diverged has no loss.
    trainer.derive(test={"accuracy": accuracy, "loss": loss if math.isfinite(loss) else None})
    say(f"run: {run.path}")
    figures = Figures(optional=True)
    run.draw(trainer.history, figures)
    say(f"test accuracy {accuracy:.4f}, loss {loss:.4f}")
    return int(figures.failed)
