"""What the files of a run folder must hold: types, ranges, and that they agree with each other.

A run folder may come from anywhere, and much is made after what it says. So each value is looked at once,
here, before it is used; what passes needs no further care.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import cnnx
from cnnx import nn
from cnnx.cli.augment import KINDS
from cnnx.cli.own_model import OwnModel, is_own
from cnnx.cli.settings import OPTIMIZERS, SCHEDULES, Settings, make_optimizer, make_schedule
from cnnx.cli.values import in_float32
from cnnx.models import MODELS, Shape, build_model, canonical, count_values
from cnnx.reading import reading

LARGEST_SIDE = 1 << 16  # pixels
MANY = (1 << 31) - 1
LARGEST_COUNT = 1 << 30  # of updates
STATE_NAMES = {  # what the optimizers keep of a parameter
    "adam": {"step", "exp_avg", "exp_avg_sq"},
    "adamw": {"step", "exp_avg", "exp_avg_sq"},
    "sgd": {"momentum_buffer"},
    "adadelta": {"step", "square_avg", "acc_delta"},
}


class Rule(NamedTuple):
    """What a value must be, in words and as a test."""

    words: str
    fits: Callable[[Any], bool]


def integer(low: int, high: int = MANY) -> Rule:
    """A whole number from `low` to `high`."""
    return Rule(f"a whole number from {low} to {high}", lambda v: type(v) is int and low <= v <= high)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return type(value) in (int, float) and -1e300 < value < 1e300


def is_float32(value: Any) -> bool:
    """Whether a value is a number that float32 holds: not beyond it, and no 0 unless it is 0 itself."""
    return is_number(value) and math.isfinite(kept := in_float32(value)) and (kept != 0) == (value != 0)


def list_of(fits: Callable[[Any], bool], *counts: int) -> Callable[[Any], bool]:
    """Whether a value is a list of such values, of one of these lengths if any are given."""
    return lambda v: type(v) is list and (not counts or len(v) in counts) and all(map(fits, v))


def or_none(rule: Rule) -> Rule:
    """The same, or nothing."""
    return Rule(f"{rule.words} or null", lambda v: v is None or rule.fits(v))


def one_of(names: Sequence[str]) -> Rule:
    """A string among these."""
    return Rule(f"one of {', '.join(names)}", lambda v: type(v) is str and v in names)


TEXT = Rule("a string", lambda v: type(v) is str)
PATH = Rule("the name of a folder", lambda v: type(v) is str and "\0" not in v)
FLAG = Rule("true or false", lambda v: type(v) is bool)
COUNT = integer(0)

# What run.json and the settings in a checkpoint say.
SETTINGS = {
    "model": Rule(
        f"one of {', '.join(MODELS)}, or a program and a name in it",
        lambda v: type(v) is str and (canonical(v) in MODELS or is_own(v)),
    ),
    "dataset": PATH,
    "epochs": integer(1),
    "batch_size": integer(1),
    "optimizer": one_of(list(OPTIMIZERS)),
    "lr": Rule("a positive number", lambda v: is_float32(v) and v > 0),
    "schedule": one_of(SCHEDULES),
    "seed": integer(0, 2**63 - 1),
    "device": Rule(
        "the name of a device", lambda v: type(v) is str and bool(re.fullmatch(r"cpu|cuda(:\d{1,3})?", v))
    ),
    "shape": Rule(
        f"1 or 3 channels, height and width up to {LARGEST_SIDE}",
        lambda v: list_of(integer(1, LARGEST_SIDE).fits, 3)(v) and v[0] in (1, 3),
    ),
    "classes": Rule(
        "a list of different names", lambda v: list_of(TEXT.fits)(v) and 0 < len(v) == len(set(v))
    ),
    "normalize": or_none(
        Rule("a mean and a positive standard deviation", lambda v: list_of(is_float32, 2)(v) and v[1] > 0)
    ),
    "augment": one_of(KINDS),
    "validations": integer(1),
    "patience": integer(1),
    "start": or_none(PATH),
    "data_dir": or_none(PATH),
}
DRAWING = {"drawing": or_none(Rule("a part of 1", lambda v: is_number(v) and 0 < v <= 1))}
NEEDED = ("model", "dataset", "shape", "classes", "normalize", "drawing", "data_dir")  # to use a run

MEANS = Rule(
    "sums of loss and accuracy, a count and seconds from 0 on",
    lambda v: (
        type(v) is dict
        and set(v) == {"sums", "count", "seconds"}
        and type(v["count"]) is int
        and 0 <= v["count"] <= MANY
        and is_number(v["seconds"])
        and v["seconds"] >= 0
        and type(v["sums"]) is dict
        and set(v["sums"]) == ({"loss", "accuracy"} if v["count"] else set())
        and all(is_number(value) and value >= 0 for value in v["sums"].values())
        and v["sums"].get("accuracy", 0) <= v["count"]
    ),
)
COLUMNS = ("epoch", "train_loss", "train_accuracy", "lr", "samples_per_second")
VALIDATION = ("validation_loss", "validation_accuracy")


def _is_row(row: Any) -> bool:
    """Whether it is an epoch: a whole number, accuracies, and any other floats (a loss may be no number)."""
    if type(row) is not dict or {*row} not in ({*COLUMNS}, {*COLUMNS, *VALIDATION}):
        return False
    floats = all(type(value) is float for name, value in row.items() if name != "epoch")
    return floats and all(0 <= row[name] <= 1 for name in row if name.endswith("accuracy"))


HISTORY = Rule(
    "rows of numbers by name, with the epochs from 1 on",
    lambda v: (
        list_of(_is_row)(v)
        and all(row.keys() == v[0].keys() for row in v)
        and [(type(row["epoch"]), row["epoch"]) for row in v] == [(int, n) for n in range(1, len(v) + 1)]
    ),
)
PART = {
    "epoch": integer(1),
    "images": integer(1),
    "hits": COUNT,
    "history": HISTORY,
}
TENSORS = Rule(
    "tensors by name",
    lambda v: type(v) is dict and all(type(k) is str and isinstance(t, cnnx.Tensor) for k, t in v.items()),
)
DICTIONARY = Rule("a dictionary", lambda v: type(v) is dict)
STOPPING = {  # what early stopping keeps
    "best": or_none(Rule("a number", is_number)),
    "reference": or_none(Rule("a number", is_number)),
    "best_epoch": COUNT,
    "weights": TENSORS,
    "waited": COUNT,
}
RANDOM = Rule("a random state", lambda v: _is_tensor(v, cnnx.uint8, (16,)))
STATE = {
    "stage": COUNT,
    "parts": Rule("a list of dictionaries", list_of(lambda v: type(v) is dict)),
    "epoch": COUNT,
    "trained": FLAG,
    "stopped": or_none(TEXT),
    "split": Rule("null", lambda v: v is None),
    "means": MEANS,
    "history": HISTORY,
    "random": RANDOM,
    "order": RANDOM,
    "loader": DICTIONARY,
    "model": TENSORS,
    "optimizer": DICTIONARY,
    "scheduler": or_none(DICTIONARY),
    "callbacks": Rule(
        "the state of early stopping, or none",
        lambda v: (
            list_of(lambda pair: list_of(lambda _: True, 2)(pair) and pair[0] == "EarlyStopping")(v)
            and len(v) <= 1
        ),
    ),
}
LOADER = {
    "order": or_none(Rule("a permutation", lambda v: _is_permutation(v))),
    "position": COUNT,
}


class RunError(ValueError):
    """A file of a run folder says something that cannot be."""


def check(path: Path, rules: dict[str, Rule], found: Any, needed: Sequence[str] | None = None) -> None:
    """Holds the members of a dictionary against their rules; those `needed` (default: all) must be there."""
    if type(found) is not dict:
        raise RunError(f"{path}: there is a {type(found).__name__} where a dictionary must be")
    for name, rule in rules.items():
        if name not in found:
            if needed is None or name in needed:
                raise RunError(f"{path}: {name!r} is missing")
        elif not rule.fits(found[name]):
            raise RunError(f"{path}: {name!r} must be {rule.words}, it is {_shown(found[name])}")


def read_about(path: Path) -> dict[str, Any]:
    """What run.json says.

    Raises
    ------
    ValueError
        If it is no JSON or says what cannot be; the message names the file.
    OSError
        If it cannot be read.
    """
    with reading("", path, "JSON"):
        about = json.loads(
            path.read_bytes().decode("utf-8"), object_pairs_hook=_without_repeats, parse_constant=_refuse
        )
    check(path, {**SETTINGS, **DRAWING}, about, NEEDED)
    _check_size(path, about)
    return {**about, "model": canonical(about["model"])}


def count_saved(about: dict[str, Any], path: Path) -> int:
    """How many values the net that `about` names has; of a program's, how many a file has.

    Raises
    ------
    ValueError
        If the file is damaged; the message names it.
    OSError
        If it cannot be read.
    """
    if not is_own(about["model"]):
        return count_values(about["model"], _shape(about), len(about["classes"]))
    return sum(tensor.numel() for tensor in load_weights(path).values())


def load_weights(path: Path) -> dict[str, cnnx.Tensor]:
    """The tensors in a file of weights, whatever net they are of.

    Raises
    ------
    ValueError
        If the file is damaged; the message names it.
    OSError
        If it cannot be read.
    """
    state = cnnx.load(path)
    check(path, {"weights": TENSORS}, {"weights": state})
    weights: dict[str, cnnx.Tensor] = state
    return weights


def load_net(about: dict[str, Any], path: Path, own: OwnModel | None = None) -> nn.Module:
    """The net that `about` names, made by a program if it is one's, with the weights of a file.

    Raises
    ------
    ValueError
        If the file is damaged or holds the weights of another net; the message names it.
    OSError
        If it cannot be read.
    """
    return _net(path, about, cnnx.load(path), own)


def make_net(about: dict[str, Any], own: OwnModel | None) -> nn.Module:
    """A new net as `about` names it, made by a program if it is one's."""
    if own is not None:
        return own.build(_shape(about), len(about["classes"]))
    return build_model(about["model"], _shape(about), len(about["classes"]))


def _shape(about: dict[str, Any]) -> Shape:
    channels, height, width = about["shape"]
    return channels, height, width


def _net(path: Path, about: dict[str, Any], state: Any, own: OwnModel | None) -> nn.Module:
    """The net that `about` names, with the weights in `state`; these are counted before the net is made."""
    check(path, {"weights": TENSORS}, {"weights": state})
    if own is None:
        expected = count_values(about["model"], _shape(about), len(about["classes"]))
        found = sum(tensor.numel() for tensor in state.values())
        if found != expected:
            raise RunError(f"{path}: holds {found} values, the run's net has {expected}")
    model = make_net(about, own)
    for name, tensor in model.state_dict().items():
        if name in state and state[name].dtype != tensor.dtype:
            raise RunError(f"{path}: {name!r} is of {state[name].dtype}, not {tensor.dtype}")
    with reading("", path, f"the weights of {about['model']}"):
        model.load_state_dict(state)
    return model


def check_settings(path: Path, state: dict[str, Any]) -> None:
    """Holds the settings of a checkpoint against their rules, and whether it has the program of its net.

    Raises
    ------
    ValueError
        If something cannot be; the message names the file.
    """
    settings = state["settings"]
    if type(settings) is not dict or set(settings) != {f.name for f in fields(Settings)}:
        raise RunError(f"{path} has no settings of this version of cnnx train")
    check(path, SETTINGS, settings)
    _check_size(path, settings)
    if is_own(settings["model"]):
        check(path, {"program": TEXT}, state)


def check_checkpoint(path: Path, state: dict[str, Any], own: OwnModel | None = None) -> None:
    """Holds a checkpoint against its rules, and what it says against each other.

    Parameters
    ----------
    path, state
        The checkpoint, whose settings have been checked.
    own
        The program that makes its net, if one does.

    Raises
    ------
    ValueError
        If something cannot be; the message names the file.
    """
    settings, words = state["settings"], f"{path}: "
    check(path, STATE, state)
    model = _net(path, settings, state["model"], own)
    if state["epoch"] > settings["epochs"] or len(state["history"]) != state["epoch"]:
        raise RunError(
            f"{words}epoch {state['epoch']} of {settings['epochs']}, history of {len(state['history'])}"
        )
    _check_parts(path, state, settings)
    _check_stopping(path, state, settings, own)
    loader = state["loader"]
    check(path, LOADER, loader)
    if loader.get("call") is not None:
        check(path, {"call": RANDOM}, loader)
    order, images = loader["order"], state["means"]["count"]
    seen = 0 if order is None else min(loader["position"] * settings["batch_size"], len(order))
    if (images == 0 or order is not None) if state["trained"] else images != seen:
        raise RunError(f"{words}{images} images are counted in the epoch under way, {seen} were handed out")
    _check_optimizer(path, state, Settings(**settings), list(model.parameters()))
    _check_schedule(path, state, Settings(**settings))


def _check_parts(path: Path, state: dict[str, Any], settings: dict[str, Any]) -> None:
    """Holds the trainings that are complete against the number of those that there are."""
    last, parts = (0 if settings["validations"] == 1 else settings["validations"]), state["parts"]
    if state["stage"] > last or len(parts) != state["stage"]:
        raise RunError(f"{path}: training {state['stage'] + 1} of {last + 1} behind {len(parts)} others")
    for part in parts:
        check(path, PART, part)
        if not part["epoch"] <= len(part["history"]) <= settings["epochs"] or part["hits"] > part["images"]:
            raise RunError(f"{path}: a part has epoch {part['epoch']} of {len(part['history'])}")
        if not {*VALIDATION} <= {*part["history"][0]}:
            raise RunError(f"{path}: a part has no validation")


def _check_stopping(
    path: Path, state: dict[str, Any], settings: dict[str, Any], own: OwnModel | None
) -> None:
    """Holds what early stopping keeps against the training under way."""
    validates = settings["validations"] == 1 or state["stage"] < settings["validations"]
    if len(state["callbacks"]) != validates:
        raise RunError(f"{path}: early stopping is {'missing' if validates else 'out of place'}")
    if state["history"] and validates != ({*VALIDATION} <= {*state["history"][0]}):
        raise RunError(f"{path}: the history is that of another training")
    for _, kept in state["callbacks"]:
        check(path, STOPPING, kept)
        epoch, rows = kept["best_epoch"], state["history"]
        best = rows[epoch - 1]["validation_loss"] if 0 < epoch <= len(rows) and validates else None
        if epoch > len(rows) or kept["best"] != best or bool(kept["weights"]) != (epoch > 0):
            raise RunError(f"{path}: the best epoch is {epoch} of {len(rows)}")
        if kept["weights"]:
            _net(path, settings, kept["weights"], own)
    if state["stopped"] is not None and not (validates and state["epoch"]):
        raise RunError(f"{path}: stopped at epoch {state['epoch']}")


def _check_schedule(path: Path, state: dict[str, Any], settings: Settings) -> None:
    """Holds the schedule's state against that of a new one."""
    saved = state["scheduler"]
    if (saved is None) != (settings.schedule == "none"):
        raise RunError(f"{path}: the schedule is not that of the run")
    if saved is None:
        return
    fresh = make_schedule(settings, make_optimizer(settings, [cnnx.zeros(1)]), settings.epochs)
    assert fresh is not None
    rules = {
        **{name: _equal_to(value) for name, value in fresh.state_dict().items()},
        "last_epoch": COUNT,
        "_step_count": COUNT,
        "_last_lr": Rule("a learning rate", list_of(lambda v: is_number(v) and 0 <= v <= settings.lr, 1)),
    }
    check(path, rules, saved)
    if set(saved) != set(fresh.state_dict()) or saved["last_epoch"] != state["epoch"]:
        raise RunError(f"{path}: the schedule is at epoch {saved['last_epoch']} of {state['epoch']}")


def _check_optimizer(
    path: Path, state: dict[str, Any], settings: Settings, parameters: list[nn.Parameter]
) -> None:
    """Holds the optimizer's state against that of a new one."""
    saved = state["optimizer"]
    check(
        path,
        {"state": DICTIONARY, "param_groups": Rule("one group", list_of(DICTIONARY.fits, 1))},
        saved,
    )
    (group,) = saved["param_groups"]
    optimizer = make_optimizer(settings, [cnnx.zeros(1)])
    make_schedule(settings, optimizer, settings.epochs)
    (fresh,) = optimizer.param_groups
    fresh = {**fresh, "params": list(range(len(parameters)))}
    if {*group} != {*fresh}:
        raise RunError(f"{path}: the optimizer's settings are {', '.join(map(str, group))}")
    check(path, {"lr": Rule("a learning rate", lambda v: is_number(v) and 0 <= v <= settings.lr)}, group)
    for name, value in group.items():
        if name == "lr":
            continue
        if name not in fresh or not _is_option(value) or _plain(value) != _plain(fresh[name]):
            raise RunError(f"{path}: the optimizer's {name!r} is {_shown(value)}, not that of the run")
    numbers = list(saved["state"])
    whole = numbers in ([], fresh["params"])
    if is_own(settings.model):  # some of its parameters may get no gradient, and so have no state
        whole = {*numbers} <= {*fresh["params"]}
    if not whole or any(type(number) is not int for number in numbers):
        raise RunError(f"{path}: the optimizer's state is not of the {len(parameters)} parameters of the run")
    names = STATE_NAMES[settings.optimizer]
    for number, entry in saved["state"].items():
        kept = _like(parameters[number])
        rules = {name: _COUNT if name == "step" else kept for name in names}
        check(path, rules, entry)
        if {*entry} != names:
            raise RunError(f"{path}: the optimizer keeps {sorted(map(str, entry))} of a parameter")
        for name in names & {"exp_avg_sq", "square_avg", "acc_delta"}:
            if not bool((entry[name] >= 0).all()):
                raise RunError(f"{path}: the optimizer's {name!r} is negative somewhere")


def _equal_to(value: Any) -> Rule:
    return Rule(f"{value}", lambda v: _is_same(v, value))


def _is_same(found: Any, value: Any) -> bool:
    """Whether a value is another one, of the same types throughout."""
    if type(found) is not type(value):
        return False
    if isinstance(value, list):
        return len(found) == len(value) and all(map(_is_same, found, value))
    return bool(found == value)


def _like(parameter: nn.Parameter) -> Rule:
    """A tensor that an optimizer keeps of a parameter."""
    dtype, shape = parameter.dtype, tuple(parameter.shape)
    name = str(dtype).removeprefix("cnnx.")
    return Rule(f"a {name} tensor of shape {shape}", lambda v: _is_tensor(v, dtype, shape))


# Of updates: float32, which holds every whole number up to 2 ** 24.
_COUNT = Rule(
    "a float32 scalar that is a whole number from 0",
    lambda v: (
        _is_tensor(v, cnnx.float32, ()) and 0 <= v.item() <= LARGEST_COUNT and v.item() == int(v.item())
    ),
)


def _check_size(path: Path, about: dict[str, Any]) -> None:
    if is_own(about["model"]):
        return
    smallest, (_, height, width) = MODELS[canonical(about["model"])].smallest(), about["shape"]
    if min(height, width) < smallest:
        raise RunError(
            f"{path}: {about['model']} takes images of {smallest}x{smallest} or more, not {height}x{width}"
        )


def _is_tensor(value: Any, dtype: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(value, cnnx.Tensor) and value.dtype == dtype and tuple(value.shape) == shape


def _is_permutation(value: Any) -> bool:
    if not isinstance(value, cnnx.Tensor) or value.dtype != cnnx.int64 or value.ndim != 1:
        return False
    return bool((np.sort(value.numpy()) == np.arange(len(value))).all())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    text = f"a {type(value).__name__}" if isinstance(value, dict | cnnx.Tensor) else ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _is_option(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(type(item) in (int, float) for item in value)
    return value is None or type(value) in (bool, int, float, str)


def _without_repeats(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a name is given twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")
