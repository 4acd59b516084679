"""Nets of the user's own, `--model FILE.py:NAME`, and the copy of their program that a run folder keeps.

A program that the user names is run. The copy in a run folder is not, unless `--trust` says so or the user
names the same program: the folder may come from anywhere.
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import cnnx
from cnnx import nn
from cnnx.cli import CommandError, UsageError, as_path, nearest
from cnnx.modelinfo.running import unchanged
from cnnx.models import Shape
from cnnx.nn import functional as F
from cnnx.reading import one_line

OWN = re.compile(r"[^/\\:\x00]{1,250}\.py:[^\W\d]\w{0,250}")
LARGEST = 1 << 20  # bytes of a program
OF_LAYERS = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)  # what layers raise


def is_own(model: str) -> bool:
    """Whether a model's name, as settings and run.json have it, is that of a program."""
    return OWN.fullmatch(model) is not None


class OwnModelError(ValueError):
    """A program makes no net that can be trained."""


class OwnModel:
    """A program, and the class or function in it that makes a net; making the object runs the program.

    The class or function is called with those of these arguments that it names: ``classes`` or
    ``num_classes``, ``in_channels``, and ``shape``, (channels, height, width) of the images.

    Parameters
    ----------
    source
        The program.
    path
        Where it lies, for messages.
    model
        Its file and the class or function in it: ``"net.py:Net"``.

    Raises
    ------
    OwnModelError
        If it fails or has no such class or function; the message names the line.
    """

    def __init__(self, source: str, path: Path, model: str) -> None:
        self.source, self.path, self.model = source, path, model
        self.name = model.rpartition(":")[2]
        module = ModuleType(f"_cnnx_model_{path.stem}")
        module.__file__ = str(path)
        sys.modules[module.__name__] = module  # where pickles and annotations look for a class's module
        try:
            exec(compile(source.removeprefix("\ufeff"), str(path), "exec"), module.__dict__)
        except (Exception, SystemExit) as error:
            raise self.failed(error) from error
        there = [name for name, value in vars(module).items() if callable(value)]
        if self.name not in vars(module):
            raise OwnModelError(f"{path} has no {self.name}{nearest(self.name, there)}")
        self._make: Any = vars(module)[self.name]
        if isinstance(self._make, nn.Module):
            raise OwnModelError(
                f"{self.name} of {path} is a net already; a class or function must make it, anew for each "
                "training"
            )
        if not callable(self._make):
            raise OwnModelError(
                f"{self.name} of {path} is no class or function, but a {type(self._make).__name__}"
            )

    @classmethod
    def given(cls, option: str) -> OwnModel:
        """The one that the option `--model` names."""
        file, _, name = option.rpartition(":")
        path = as_path(file)
        model = f"{path.name}:{name}"
        if not is_own(model):
            raise UsageError(
                f"--model {option}: a run cannot keep this name; one such as net.py:Net has no colon or "
                "backslash in it, something before .py, and is not very long"
            )
        try:
            return cls(read_program(path), path, model)
        except (OSError, OwnModelError) as error:
            what = f"there is no {file}" if isinstance(error, FileNotFoundError) else str(error)
            raise UsageError(f"--model {option}: {what}") from error

    def build(self, shape: Shape, classes: int) -> nn.Module:
        """A new net.

        Raises
        ------
        OwnModelError
            If it cannot be made, or does not take such images to a score of each class.
        """
        offered = {"classes": classes, "num_classes": classes, "in_channels": shape[0], "shape": shape}
        parameters = inspect.signature(self._make).parameters
        needed = [
            p.name
            for p in parameters.values()
            if p.default is p.empty
            and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            and (p.name not in offered or p.kind is p.POSITIONAL_ONLY)
        ]
        if needed:
            raise OwnModelError(
                f"{self.name} of {self.path} needs {needed[0]}, but is given {', '.join(offered)} alone"
            )
        arguments = {name: value for name, value in offered.items() if name in parameters}
        try:
            model = self._make(**arguments)
        except (Exception, SystemExit) as error:
            raise self.failed(error) from error
        if not isinstance(model, nn.Module):
            kind = f"{type(model).__module__}.{type(model).__qualname__}".removeprefix("builtins.")
            raise OwnModelError(f"{self.name} of {self.path} makes a {kind}, not a cnnx.nn.Module")
        self._try(model, shape, classes)
        return model

    def _try(self, model: nn.Module, shape: Shape, classes: int) -> None:
        """Runs two images through a net, which also initialises lazy layers."""
        with unchanged(model), cnnx.no_grad():
            self.scores(model.eval(), cnnx.zeros(2, *shape), classes)
        for name, value in model.state_dict().items():
            if not isinstance(value, cnnx.Tensor):
                raise OwnModelError(
                    f"{self.name} of {self.path} keeps a {type(value).__name__} as {name}; runs hold tensors"
                )

    def rehearse(self, shape: Shape, classes: int) -> None:
        """Makes a net, and has it do once what a run will: to train on two images, and to look at one.

        Raises
        ------
        OwnModelError
            If it cannot.
        """
        model = self.build(shape, classes)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise OwnModelError(f"{self.name} of {self.path} makes a net that has no parameters to train")
        scores = self.scores(model.train(), cnnx.zeros(2, *shape), classes)
        try:
            F.cross_entropy(scores, cnnx.zeros(2, dtype=cnnx.int64)).backward()
        except (Exception, SystemExit) as error:
            raise self.failed(error, " (a training step)") from error
        with cnnx.no_grad():
            self.scores(model.eval(), cnnx.zeros(1, *shape), classes)

    def scores(self, model: nn.Module, images: cnnx.Tensor, classes: int) -> cnnx.Tensor:
        """What a net makes of images (N, C, H, W): a score of each class (N, classes).

        Raises
        ------
        OwnModelError
            If it fails, or makes anything else.
        """
        count, *shape = images.shape
        try:
            scores = model(images)
        except (Exception, SystemExit) as error:
            raise self.failed(error, f" (images are {_extents(shape)})") from error
        found = tuple(scores.shape) if isinstance(scores, cnnx.Tensor) else f"a {type(scores).__name__}"
        if found != (count, classes):
            these = {1: "one image", 2: "two images"}.get(count, f"{count:,} images")
            raise OwnModelError(
                f"{self.name} of {self.path} makes {found} of {these} of {_extents(shape)}, where a score of "
                f"each class is needed: {(count, classes)}"
            )
        assert isinstance(scores, cnnx.Tensor)
        if not scores.is_floating_point():
            raise OwnModelError(f"{self.name} of {self.path} makes scores of {scores.dtype}, not of floats")
        return scores

    def is_in(self, error: BaseException) -> bool:
        """Whether an error came of the program."""
        return bool(self._lines(error))

    def _lines(self, error: BaseException) -> list[int | None]:
        """The lines of the program that led to an error, or to what caused it, the last one behind."""
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(self.path)]
        return lines if lines or error.__cause__ is None else self._lines(error.__cause__)

    def failed(self, error: BaseException, more: str = "") -> OwnModelError:
        """The error for one within the program, with the last line of it that was run."""
        lines = self._lines(error)
        what = one_line(error)
        if isinstance(error, SyntaxError) and error.filename == str(self.path):
            lines, what = [error.lineno], f"{type(error).__name__}: {error.msg}"
        elif isinstance(error, ModuleNotFoundError) and error.name:
            beside = self.path.parent / error.name.partition(".")[0]
            if beside.is_dir() or beside.with_suffix(".py").exists():
                what += f" ({beside.name} lies beside it, but a run keeps one file: put it all in that)"
        place = f"{self.path}, line {lines[-1]}" if lines else f"{self.name} of {self.path}"
        return OwnModelError(f"{place}: {what}{more}")


@contextmanager
def of_program(own: OwnModel | None) -> Iterator[None]:
    """Has what a program's net does wrong within the block end the command in one line that says where.

    Raises
    ------
    CommandError
        For any error of the program's lines, and for such as layers raise.
    """
    try:
        yield
    except (CommandError, UsageError):
        raise
    except OwnModelError as error:
        raise CommandError(str(error)) from error
    except (Exception, SystemExit) as error:
        if own is None or not (own.is_in(error) or isinstance(error, OF_LAYERS)):
            raise
        raise CommandError(str(own.failed(error))) from error


def _extents(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def read_program(path: Path) -> str:
    """The text of a program.

    Raises
    ------
    OwnModelError
        If it is no file, too large or no text.
    OSError
        If it cannot be read.
    """
    if path.exists() and not path.is_file():  # a pipe that nobody writes to would be waited for
        raise OwnModelError(f"{path} is no file")
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise OwnModelError(f"{path} is larger than {LARGEST:,} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OwnModelError(f"{path} is no text in UTF-8") from error


def allowed(
    path: Path, model: str, trust: bool, given: OwnModel | None, source: str | None = None
) -> OwnModel:
    """What makes the net of a run, if it may be run.

    Parameters
    ----------
    path
        The copy of the program in the run folder.
    model
        Its file's name and the class or function, as the run has it.
    trust
        Whether the user has said `--trust`.
    given
        What `--model` names; if it is the same, that is said as well.
    source
        The program that the checkpoint has, if that is used. What is run must lie in the folder for all to
        read.

    Raises
    ------
    UsageError
        If it may not.
    """
    if given is not None and given.model == model:
        if source is None and path.exists():
            source = read_program(path)
        if given.source == source:
            return given
        raise UsageError(f"--model {given.path}:{given.name}: the run has another program, {path}")
    if not path.exists():
        raise UsageError(f"the run's net is {model}, but there is no {path}; --model names the program")
    if not trust:
        raise UsageError(
            f"the run's net is {model}, of the program {path}; read it if it is not yours, and add --trust "
            "to run it"
        )
    copy = read_program(path)
    if source not in (None, copy):
        raise UsageError(f"{path} is not the program of the checkpoint; --model names that")
    return OwnModel(copy, path, model)
