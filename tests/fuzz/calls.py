"""Calls of every public function, method, layer, optimizer and transform with odd arguments.

    python tests/fuzz/calls.py --seed 1 --calls 20000        # or --seconds 120

Each call starts from arguments that its parameters' names suggest, and gets one to three odd ones: None,
texts, floats for ints, nested lists, numbers beyond 64 bits, objects, a wrong arity. It may succeed, or raise
an error that is meant: TypeError, ValueError, RuntimeError, an IndexError or OverflowError with a text of
ours. Anything else is a finding: an AttributeError, KeyError or AssertionError from within, a process that
dies or hangs. Calls run in child processes with limits of memory and time, and each can be repeated alone by
its number.
"""

from __future__ import annotations

import argparse
import collections
import inspect
import io
import json
import random
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np  # noqa: F401

import cnnx
import cnnx.amp
import cnnx.attribution
import cnnx.linalg
import cnnx.nn.functional as F
import cnnx.nn.utils
import cnnx.optim
import cnnx.signal
import cnnx.transforms
import cnnx.utils.data
from cnnx import autograd, nn

# What ends the process, changes the state of all calls after it, reads and writes files, or runs code that
# it is given.
LEFT_OUT = {
    "save", "load", "compile", "manual_seed", "seed", "set_rng_state", "share_memory_", "apply", "map_",
    "inference_mode",
    "set_default_device", "set_default_dtype", "set_printoptions", "set_num_threads",
    "use_deterministic_algorithms",
    "set_grad_enabled", "set_float32_matmul_precision", "Timer", "no_grad", "enable_grad",
    "set_detect_anomaly", "set_flush_denormal", "InterpolationMode", "AutoAugmentPolicy",
}  # fmt: skip


def public(module: Any) -> SimpleNamespace:
    """What a module names in its `__all__`, without what it imports."""
    return SimpleNamespace(**{name: getattr(module, name) for name in module.__all__})


ROOMS: dict[str, Any] = {
    "cnnx": cnnx,
    "cnnx.Tensor": cnnx.Tensor,
    "nn": nn,
    "nn.functional": F,
    "nn.init": nn.init,
    "nn.utils": cnnx.nn.utils,
    "optim": cnnx.optim,
    "optim.lr_scheduler": cnnx.optim.lr_scheduler,
    "optim.swa_utils": public(cnnx.optim.swa_utils),
    "cnnx.amp": public(cnnx.amp),
    "transforms": cnnx.transforms,
    "transforms.functional": cnnx.transforms.functional,
    "utils.data": cnnx.utils.data,
    "autograd": autograd,
    "linalg": cnnx.linalg,
    "signal": cnnx.signal,
    "attribution": public(cnnx.attribution),
}
MEANT = (TypeError, ValueError, RuntimeError, MemoryError, OverflowError, ImportError, OSError, BufferError)
# Texts of Python's own that tell the caller nothing.
INCIDENTAL = ("index out of range", "pop from empty", "string index", "assignment index")


class Odd:
    """An object of a kind that nothing takes."""

    def __repr__(self) -> str:
        return "Odd()"


# Source text, evaluated anew for each call, so that a report can be pasted into Python.
ODD = (
    "None", "True", "False", "'x'", "''", "b'x'", "0", "1", "-1", "2", "3", "7", "2**31", "2**63", "-2**63-1",
    "10**30", "0.0", "1.5", "-2.5", "1e40", "float('nan')", "float('inf')", "1j", "[]", "[1]", "[1, 2]",
    "(1, 2)",
    "(2, 3, 4)", "[[1], [2, 3]]", "[1.5, 'x']", "[None]", "()", "{}", "{'x': 1}", "{1, 2}", "range(3)",
    "Odd()",
    "Odd", "len", "lambda *a: None", "slice(1, 2)", "...", "np.int64(2)", "np.float32(1.5)", "np.bool_(True)",
    "np.array([1.0, 2.0])", "np.array(2)", "np.array([[1, 2]])", "np.array(['x'])", "np.array([None])",
    "cnnx.float32", "cnnx.int64", "'float32'", "cnnx.Generator()", "cnnx.zeros(0)", "cnnx.tensor(1.5)",
    "cnnx.tensor(2)", "cnnx.rand(2, 3)", "cnnx.rand(2, 3, requires_grad=True)", "cnnx.arange(6)",
    "cnnx.tensor([True, False])", "cnnx.rand(1, 2, 4, 4)", "cnnx.rand(3, dtype=cnnx.float64)",
    "cnnx.tensor([[1, 2]], dtype=cnnx.uint8)", "[cnnx.rand(2), cnnx.rand(3)]", "[cnnx.rand(2), None]",
    "nn.Linear(3, 2)", "nn.Parameter(cnnx.rand(2))",
)  # fmt: skip
TENSORS = ("cnnx.rand(2, 3)", "cnnx.rand(3)", "cnnx.rand(1, 2, 4, 4)", "cnnx.rand(2, 3, requires_grad=True)")
IMAGES = ("cnnx.rand(1, 4, 4)", "cnnx.rand(3, 5, 4)")
# What a parameter of that name may want.
PLAUSIBLE = {
    "0": "dim dim0 start low padding top left diagonal source",
    "1": "dim1 k stride dilation groups num_groups step chunks destination num_parameters",
    "2": "kernel_size in_channels out_channels out_features num_features output_size num_channels batch_size "
    "repeats num_samples m fill_value step_size height width times",
    "3": "steps n in_features normalized_shape end T_max",
    "4": "bins total_steps",
    "7": "num_classes high",
    "0.5": "p mean std q max_lr",
    "0.1": "lr eps",
    "0.9": "gamma",
    "1.5": "value max_norm scale",
    "30": "degrees angle shear",
    "False": "drop_last",
    "[]": "transforms schedulers",
    "(0, 0)": "translate",
    "(1, 1)": "pad",
    "(2, 3)": "size shape",
    "(1, 3)": "sizes",
    "(0, 1)": "dims",
    "[1, 2]": "milestones lengths",
    "[1, 2, 3]": "dataset data_source",
    "[0, 1, 2]": "sampler",
    "nn.Linear(3, 2)": "model",
    "[cnnx.rand(2, 3)]": "loader",
    "lambda x: 1.0 * x": "lr_lambda lambd function func",
    "cnnx.tensor([0])": "index",
    "cnnx.tensor([0, 1])": "target",
    "cnnx.tensor([[0, 1]])": "indices",
    "cnnx.tensor([True, False, True])": "mask condition",
    "cnnx.rand(2, 2, 2, 2)": "weight",
    "[cnnx.rand(2, 3), cnnx.rand(2, 3)]": "tensors",
    "[nn.Parameter(cnnx.rand(2))]": "params parameters",
    "cnnx.optim.SGD([nn.Parameter(cnnx.rand(2))], lr=0.1)": "optimizer",
    "cnnx.rand(2, 3).requires_grad_()": "inputs",
    "cnnx.rand(2, 3).requires_grad_().sum()": "outputs",
}
WANTED = {name: text for text, names in PLAUSIBLE.items() for name in names.split()}


def plausible(name: str, room: str, draw: random.Random) -> str:
    """What a parameter of that name may want."""
    if name in WANTED and draw.random() < 0.9 and not (name == "weight" and room != "nn.functional"):
        return WANTED[name]
    return draw.choice(IMAGES if room.startswith("transforms") else TENSORS)


def made(text: str) -> Any:
    """The value of a source text."""
    return eval(text, globals())


def _attribute(room: Any, name: str) -> Any:
    """None for a part whose library is not installed."""
    try:
        return getattr(room, name)
    except ImportError:
        return None


def callables() -> list[tuple[str, str, Any]]:
    """(room, name, function or class) of all that is public, in a fixed order."""
    found = []
    for room, where in ROOMS.items():
        for name in sorted(dir(where)):
            if name.startswith("_") or name in LEFT_OUT:
                continue
            thing = inspect.getattr_static(where, name) if inspect.isclass(where) else _attribute(where, name)
            if not callable(thing) or (
                inspect.isclass(thing) and issubclass(thing, (BaseException, cnnx.Tensor))
            ):
                continue
            if getattr(thing, "__module__", "cnnx").partition(".")[0] != "cnnx":
                continue
            found.append((room, name, thing))
    return found


def arguments(thing: Any, room: str, draw: random.Random) -> tuple[list[str], dict[str, str]]:
    """Plausible arguments with some odd ones among them, as source."""
    try:
        parameters = list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    if inspect.isclass(thing) and parameters and parameters[0].name == "self":
        parameters = parameters[1:]
    given: list[str] = []
    named: dict[str, str] = {}
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            given += [plausible(parameter.name, room, draw) for _ in range(draw.randint(0, 2))]
        elif parameter.kind is parameter.VAR_KEYWORD:
            continue
        elif parameter.kind is parameter.KEYWORD_ONLY:
            if draw.random() < 0.2:
                named[parameter.name] = draw.choice(ODD)
        elif parameter.default is parameter.empty or draw.random() < 0.3:
            given.append(plausible(parameter.name, room, draw))
        elif draw.random() < 0.3:
            break
        else:
            given.append(repr(parameter.default) if _plain(parameter.default) else "None")
    own = int(room == "cnnx.Tensor")  # a method is called on a tensor
    if own:
        given[:1] = [plausible("self", room, draw)]
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        change = draw.random()
        if change < 0.8 and len(given) > own:
            given[draw.randrange(own, len(given))] = draw.choice(ODD)
        elif change < 0.9:
            given.append(draw.choice(ODD))
        elif len(given) > own:
            given.pop()
    return given, named


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def follow(result: Any, draw: random.Random) -> str:
    """How to use what a class made: layers and transforms are called, loaders and samplers run."""
    if isinstance(result, cnnx.optim.Optimizer):
        return ".step()"
    if isinstance(result, cnnx.optim.lr_scheduler.LRScheduler):
        return draw.choice((".step()", f".step({draw.choice(ODD)})"))
    if isinstance(result, (cnnx.utils.data.DataLoader, cnnx.utils.data.Sampler)):
        return ".__iter__().__next__()"
    if callable(result):
        inputs = ("cnnx.rand(2, 2, 4, 4)", "cnnx.rand(2, 3)", "cnnx.rand(1, 4, 4)", *ODD)
        return "(" + ", ".join(draw.choice(inputs) for _ in range(draw.choice((1, 1, 1, 2)))) + ")"
    return ""


def call(number: int, seed: int) -> tuple[str, str, str]:
    """The call of that number: its name, what came of it ("" if nothing is wrong) and its source."""
    draw = random.Random(f"{seed} {number}")
    cnnx.manual_seed(number)
    room, name, thing = draw.choice(ALL)
    label = f"{room}.{name}"
    given, named = arguments(thing, room, draw)
    source = f"{label}({', '.join([*given, *(f'{k}={v}' for k, v in named.items())])})"
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            result = thing(*map(made, given), **{key: made(text) for key, text in named.items()})
            if inspect.isclass(thing):
                after = follow(result, draw)
                source += after
                if after:
                    eval(f"result{after}", globals(), {"result": result})
        except Exception as error:
            return label, verdict(error), source
    return label, "", source


def verdict(error: BaseException) -> str:
    """What is wrong with an error; "" if it is meant."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MEANT) and not isinstance(error, (UnicodeError, RecursionError)):
        return ""
    if isinstance(error, KeyError) and "initial_lr" in text:
        return ""  # PyTorch's words
    if isinstance(error, IndexError) and str(error) and not any(part in str(error) for part in INCIDENTAL):
        return ""
    deepest = error.__traceback__
    while deepest is not None and deepest.tb_next is not None:
        deepest = deepest.tb_next
    place = "" if deepest is None else f"{Path(deepest.tb_frame.f_code.co_filename).name}:{deepest.tb_lineno}"
    if place.startswith(("calls.py", "<string>")):
        return ""  # a function given as an argument, or the end of a run through what was made
    if isinstance(error, KeyError) and place.startswith("sources.py"):
        return ""  # what a data set's own [] raises
    return f"{text.splitlines()[0][:120]} ({place})"


ALL = callables()


def child(seed: int, first: int, last: int) -> None:
    """Runs calls and writes one line for each that is found, and its number before each."""
    room = 3 << 30
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
    out = sys.stdout
    for number in range(first, last):
        print(f"at {number}", file=out, flush=True)
        began = time.monotonic()
        label, wrong, where = call(number, seed)
        if not wrong and time.monotonic() - began > 10:
            wrong = f"took {time.monotonic() - began:.0f} s"
        if wrong:
            print("found " + json.dumps([number, label, wrong, where]), file=out, flush=True)


def run(
    seed: int, first: int, last: int, chunk: int = 500, patience: float = 60
) -> Iterator[tuple[int, str, str, str]]:
    """Findings among calls first ... last - 1: (number, name, what is wrong, the call)."""
    while first < last:
        end = min(first + chunk, last)
        command = [sys.executable, __file__, "--child", str(seed), str(first), str(end)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
            output, ending = done.stdout, f"the process ended with {done.returncode}: {done.stderr[-200:]}"
            whole = done.returncode == 0
        except subprocess.TimeoutExpired as slow:
            output, ending, whole = (slow.stdout or b"").decode(), f"no end within {patience:.0f} s", False
        at = first
        for line in output.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "at":
                at = int(rest)
            elif kind == "found":
                yield tuple(json.loads(rest))
        if not whole:
            yield at, "?", ending, f"call {at}"
        first = end if whole else at + 1


def main(arguments: list[str] | None = None) -> int:
    """Reports how many calls were made and each finding; 1 if there is one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calls", type=int, default=10000)
    parser.add_argument("--seconds", type=float, help="go on until then, instead of a number of calls")
    parser.add_argument("--child", type=int, nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--only", type=int, help="the call of this number, here and with its traceback")
    options = parser.parse_args(arguments)
    if options.child:
        child(*options.child)
        return 0
    if options.only is not None:
        print(call(options.only, options.seed))
        return 0
    began, made, found = time.monotonic(), 0, []
    kinds: collections.Counter[str] = collections.Counter()
    while made < options.calls if options.seconds is None else time.monotonic() - began < options.seconds:
        count = 2000 if options.seconds is not None else min(2000, options.calls - made)
        for number, name, wrong, where in run(options.seed, made, made + count):
            found.append(number)
            kinds[f"{name}: {wrong}"] += 1
            print(f"{number}: {where}: {wrong}", flush=True)
        made += count
    took = time.monotonic() - began
    print(f"{made} calls of {len(ALL)} functions, methods and classes in {took:.0f} s: {len(found)} findings")
    for kind, count in kinds.most_common():
        print(f"{count:6} {kind}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
