"""Fuzzes every reader of files: broken ones must end in one documented error that names the file.

    python tests/fuzz/files.py --seconds 3600 --seed 7       # new cases for an hour
    python tests/fuzz/files.py --seed 7 --case 1234          # one of them again, in this process

A finding is a crash, a hang, memory beyond a bound in proportion to the file, anything that a pickle made
happen, an exception that is not documented, a message of more than one line or without the file's name, and a
traceback from the command line. The files of each are kept. Exit status: 1 if there is any.
"""

from __future__ import annotations

import argparse
import bz2
import contextlib
import importlib.util
import io
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # children are forked
sys.path.insert(0, str(Path(__file__).parent))

import child
import mutate
import samples
from child import MIB, Finding, Outcome

import cnnx
from cnnx import datasets
from cnnx.cli import SIGNALLED
from cnnx.cli import main as command_line
from cnnx.cli.table import read_table
from cnnx.datasets.idx_file import read_idx
from cnnx.datasets.svhn import read_svhn
from cnnx.datasets.usps import read_usps
from cnnx.serialization import load_file

EXPANSION, ALLOWED = 200, 96 * MIB  # memory for a file of so many bytes
PICTURE_MEMORY = (
    1024 * MIB
)  # a few bytes may be 16 million pixels: of these a drawing in colour takes half of it
LIMITS = child.Limits(memory=2048 * MIB)
OTHER_ENDS = (
    "the loss became",
    "[Errno ",
    "new place",
)  # of a run that goes on from odd weights, or whose data are elsewhere


class OwnCIFAR(datasets.CIFAR10):
    """Somebody's own files in CIFAR's format, without checksums."""

    train_list: ClassVar[list[Any]] = [["train", None]]
    test_list: ClassVar[list[Any]] = [["test", None]]
    meta: ClassVar[dict[str, Any]] = {"filename": "meta", "key": "label_names", "md5": None}


class Case(NamedTuple):
    """Files to write into an empty folder, and what to do with them there."""

    kind: str
    files: dict[str, bytes]
    act: Callable[[Path], Outcome]


class Fuzzer:
    """Makes cases of a seed, and carries them out."""

    def __init__(self, seed: int, kinds: list[str] | None = None) -> None:
        self.seed = seed
        self.base = Path(tempfile.mkdtemp(prefix="cnnx-fuzz-"))
        self.watch: child.Watch | None = None
        self.idx = samples.idx_files()
        self.zeros = samples.compressed(bytes(MIB))
        self.labelled = samples.labelled_idx()
        self.flat, self.nested = samples.saved(samples.flat()), samples.saved(samples.nested())
        self.archive, self.old = samples.torch_archive(), samples.torch_old()
        self.cifar = {"train": samples.cifar_batch(3), "test": samples.cifar_batch(2, seed=1)}
        self.cifar["meta"] = samples.cifar_names()
        self.usps = samples.usps(3)
        self.mat = samples.svhn(2)
        self.tables = samples.tables()
        self.nets = samples.onnx_nets()
        data = self.base / "data"
        data.mkdir()
        for name, content in self.labelled.items():
            (data / name).write_bytes(content)
        # Drawing would take most of the time. The children keep it so.
        self.matplotlib = sys.modules.get("matplotlib")
        sys.modules["matplotlib"] = None  # type: ignore[assignment]
        self.runs = samples.runs(data)
        interrupted = ("interrupted", "second")
        self.states = {name: cnnx.load(data / name / "checkpoint.safetensors") for name in interrupted}
        try:
            self.pictures = samples.pictures()
        except ImportError:
            self.pictures = {}
        makers: dict[str, tuple[int, Callable[[random.Random], Case]]] = {
            "idx": (3, self.make_idx),
            "idx.gz": (3, self.make_idx_gz),
            "idx folder": (1, self.make_idx_folder),
            "safetensors": (4, self.make_safetensors),
            "saved": (3, self.make_saved),
            "pth": (6, self.make_pth),
            "old pth": (2, self.make_old_pth),
            "cifar": (3, self.make_cifar),
            "usps": (1, self.make_usps),
            "mat": (2, self.make_mat),
            "table": (2, self.make_table),
            "onnx": (4, self.make_onnx),
            "resume": (2, self.make_resume),
        }
        if self.pictures:
            makers |= {
                "picture": (4, self.make_picture),
                "predict": (2, self.make_predict),
                "run": (3, self.make_run),
            }
        if unknown := set(kinds or ()) - set(makers):
            self.close()
            sys.exit(f"no kind of file is called {', '.join(unknown)}; there are {', '.join(makers)}")
        self.makers = {kind: maker for kind, (_, maker) in makers.items() if not kinds or kind in kinds}
        self.weights = [makers[kind][0] for kind in self.makers]

    def close(self) -> None:
        """Removes the samples, and lets matplotlib be imported again."""
        del sys.modules["matplotlib"]
        if self.matplotlib is not None:
            sys.modules["matplotlib"] = self.matplotlib
        shutil.rmtree(self.base, ignore_errors=True)

    def case(self, index: int) -> Case:
        """The case of a number."""
        rng = random.Random(f"{self.seed}/{index}")
        (kind,) = rng.choices(list(self.makers), self.weights)
        return self.makers[kind](rng)

    def work(self, index: int) -> Outcome:
        """Carries out the case of a number."""
        case = self.case(index)
        folder = self.base / f"case-{os.getpid()}"
        folder.mkdir()
        try:
            for name, content in case.files.items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(content)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome = case.act(folder)
        finally:
            shutil.rmtree(folder)
        text = None if outcome.finding is None else f"{case.kind}: {outcome.finding}"
        return Outcome(f"{case.kind}: {outcome.label}", text)

    # How a case ended.

    def call(
        self,
        function: Callable[[Path], Any],
        path: Path,
        memory: int | None = None,
        named: Path | None = None,
    ) -> Outcome:
        """Reads a file, which must succeed or end in a documented error of one line with its name."""
        size = path.stat().st_size if path.is_file() else 0
        with self.watching(writes=False) as seen, child.memory_bound(memory or ALLOWED + EXPANSION * size):
            try:
                function(path)
                outcome = Outcome("read")
            except (ValueError, OSError) as error:
                text = str(error)
                flaw = None
                if str(named or path) not in text:
                    flaw = f"the file is not named: {type(error).__name__}: {text}"
                elif "\n" in text:
                    flaw = f"more than one line: {text}"
                elif "allocate" in text or "MemoryError" in text:
                    flaw = f"memory: {text}"
                outcome = Outcome("refused", flaw)
            except MemoryError:
                outcome = Outcome("memory", f"memory: a file of {size} bytes\n{_where()}")
            except Exception:
                outcome = Outcome("undocumented", _where())
        marker = path.parent / "marker"
        if seen or marker.exists():
            return Outcome("executed", f"it made happen: {seen} {marker.exists()}")
        return outcome

    def command(self, arguments: list[Any], folder: Path, memory: int = 1024 * MIB) -> Outcome:
        """A command, which must succeed or end in one line that names a file of the folder."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with self.watching() as seen, child.memory_bound(memory):
            try:
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                    code = command_line([str(argument) for argument in arguments])
            except SystemExit as error:
                code = int(error.code or 0)
            except Exception:
                return Outcome("traceback", _where())
        said = err.buffer.getvalue().decode()
        if seen:
            return Outcome("executed", f"it made happen: {seen}")
        if code in (0, SIGNALLED + signal.SIGINT):
            return Outcome("read")
        flaw = None
        if said.count("\n") != 1 or not said.startswith("cnnx "):
            flaw = f"exit code {code} without one line: {said[:2000]}"
        elif str(folder) not in said and not any(words in said for words in OTHER_ENDS):
            flaw = f"the file is not named: {said}"
        elif "MemoryError" in said:
            flaw = f"memory: {said}"
        return Outcome("refused", flaw)

    def watching(self, writes: bool = True) -> contextlib.AbstractContextManager[list[str]]:
        """Notes what no case may do."""
        if self.watch is None:
            self.watch = child.Watch()
        return self.watch(writes)

    # Cases, kind by kind.

    def make_idx(self, rng: random.Random) -> Case:
        data = mutate.of_bytes(rng, rng.choice(self.idx), rng.choice(self.idx), front=20)
        return Case("idx", {"images": data}, lambda folder: self.call(read_idx, folder / "images"))

    def make_idx_gz(self, rng: random.Random) -> Case:
        data = rng.choice(self.idx)
        match rng.randrange(3):
            case 0:
                data = samples.compressed(mutate.of_bytes(rng, data, front=20))
            case 1:
                data = mutate.of_bytes(rng, samples.compressed(data))
            case _:  # much behind few bytes
                data = samples.compressed(mutate.of_bytes(rng, data, front=20))
                data += self.zeros * rng.choice((1, 10, 1000))
        return Case("idx.gz", {"images.gz": data}, lambda folder: self.call(read_idx, folder / "images.gz"))

    def make_idx_folder(self, rng: random.Random) -> Case:
        files = dict(self.labelled)
        name = rng.choice(list(files))
        files[name] = mutate.of_bytes(rng, files[name], rng.choice(list(files.values())), front=16)

        def read(folder: Path) -> Any:
            return [datasets.IDXFolder(folder, train=part)[0] for part in (True, False)]

        def act(folder: Path) -> Outcome:
            try:
                return self.call(read, folder)
            except IndexError:  # of a part without images
                return Outcome("read")

        return Case("idx folder", files, act)

    def make_safetensors(self, rng: random.Random) -> Case:
        data = rng.choice((self.flat, self.nested))
        size = int.from_bytes(data[:8], "little")
        if rng.random() < 0.5:
            data = mutate.of_bytes(rng, data, front=size + 8)
        else:
            data = _with_header(data, mutate.of_json(rng, _header(data)).encode("utf-8", "surrogatepass"))
        reader = rng.choice((cnnx.load, load_file))
        return Case("safetensors", {"x": data}, lambda folder: self.call(reader, folder / "x"))

    def make_saved(self, rng: random.Random) -> Case:
        header = _header(self.nested)
        text = mutate.of_json(rng, _json(header["__metadata__"]["cnnx.structure"]))
        header["__metadata__"]["cnnx.structure"] = text
        data = _with_header(self.nested, _text(header).encode("utf-8", "replace"))
        return Case("saved", {"x": data}, lambda folder: self.call(cnnx.load, folder / "x"))

    def make_pth(self, rng: random.Random) -> Case:
        data = mutate.of_archive(rng, self.archive, str(self.base / "marker"))
        return Case("pth", {"x.pth": data}, lambda folder: self.pickled(folder / "x.pth"))

    def make_old_pth(self, rng: random.Random) -> Case:
        head, body, rest = self.old
        if rng.random() < 0.7:
            data = head + mutate.of_pickle(rng, body, str(self.base / "marker")) + rest
        else:
            data = head[:15] + mutate.of_bytes(rng, head[15:] + body + rest)
        return Case("old pth", {"x.pth": data}, lambda folder: self.pickled(folder / "x.pth"))

    def pickled(self, path: Path, reader: Callable[[Path], Any] = cnnx.load) -> Outcome:
        """Reads a pickle that would write the marker."""
        outcome = self.call(reader, path)
        if (self.base / "marker").exists():
            (self.base / "marker").unlink()
            return Outcome("executed", "the marker was written")
        return outcome

    def make_cifar(self, rng: random.Random) -> Case:
        files = dict(self.cifar)
        name = rng.choice(list(files))
        if rng.random() < 0.5:
            files[name] = mutate.of_pickle(rng, files[name], str(self.base / "marker"))
        else:
            files[name] = mutate.of_bytes(rng, files[name], rng.choice(list(files.values())), front=400)

        def read(folder: Path) -> Any:
            return [OwnCIFAR(folder, train=part)[0] for part in (True, False)]

        def act(folder: Path) -> Outcome:
            try:
                return self.pickled(folder, read)
            except IndexError:  # of a batch without images
                return Outcome("read")

        return Case("cifar", {f"{OwnCIFAR.base_folder}/{key}": data for key, data in files.items()}, act)

    def make_usps(self, rng: random.Random) -> Case:
        if rng.random() < 0.5:
            data = bz2.compress(mutate.of_bytes(rng, self.usps, front=200))
        else:
            data = mutate.of_bytes(rng, bz2.compress(self.usps))
        return Case("usps", {"usps.bz2": data}, lambda folder: self.call(read_usps, folder / "usps.bz2"))

    def make_mat(self, rng: random.Random) -> Case:
        inner = [mutate.of_bytes(rng, part, front=80) if rng.random() < 0.5 else part for part in self.mat]
        data = samples.mat(inner, packed=rng.random() < 0.5)
        if rng.random() < 0.3:
            data = mutate.of_bytes(rng, data, front=400)
        return Case("mat", {"x.mat": data}, lambda folder: self.call(read_svhn, folder / "x.mat"))

    def make_table(self, rng: random.Random) -> Case:
        data = mutate.of_bytes(rng, rng.choice(self.tables), rng.choice(self.tables), front=200)
        return Case("table", {"x.csv": data}, lambda folder: self.call(read_table, folder / "x.csv"))

    def make_onnx(self, rng: random.Random) -> Case:
        data = rng.choice(self.nets)
        for _ in range(rng.choice((1, 1, 2, 4))):
            data = mutate.of_message(rng, data) if rng.random() < 0.8 else mutate.of_bytes(rng, data)
        return Case("onnx", {"net.onnx": data}, lambda folder: self.call(_load_onnx, folder / "net.onnx"))

    def picture(self, rng: random.Random) -> tuple[str, bytes]:
        name = rng.choice(list(self.pictures))
        data = self.pictures[name]
        if name.endswith(".png") and rng.random() < 0.7:
            return name, mutate.of_png(rng, data)
        return name, mutate.of_bytes(rng, data, rng.choice(list(self.pictures.values())), front=200)

    def make_picture(self, rng: random.Random) -> Case:
        name, data = self.picture(rng)
        mode = rng.choice(("RGB", "L", None))

        def read(path: Path) -> Any:
            return datasets.ImageFolder(path.parent.parent, mode=mode, is_valid_file=bool)[0]

        return Case(
            "picture",
            {f"a/{name}": data},
            lambda folder: self.call(read, folder / "a" / name, PICTURE_MEMORY),
        )

    def make_predict(self, rng: random.Random) -> Case:
        name, data = self.picture(rng)
        files = {name: data, **self.runs["complete"].files}
        if rng.random() < 0.5:  # of a run of drawings
            files["run.json"] = files["run.json"].replace(b'"drawing": null', b'"drawing": 0.75')
        as_is = ["--as-is"] * rng.randrange(2)
        return Case(
            "predict",
            files,
            lambda folder: self.command(["predict", *as_is, folder, folder / name], folder, PICTURE_MEMORY),
        )

    def broken_run(self, rng: random.Random, names: list[str]) -> dict[str, bytes]:
        files = dict(self.runs[rng.choice(list(self.runs))].files)
        name = rng.choice(names)
        data = files[name]
        if rng.random() < 0.03:
            del files[name]
        elif name.endswith(".json") and rng.random() < 0.8:
            files[name] = mutate.of_json(rng, _json(data.decode())).encode("utf-8", "surrogatepass")
        elif name.endswith(".safetensors") and rng.random() < 0.5:
            header = mutate.of_json(rng, _header(data)).encode("utf-8", "surrogatepass")
            files[name] = _with_header(data, header)
        else:
            files[name] = mutate.of_bytes(rng, data, rng.choice(list(files.values())), front=2000)
        return files

    def make_run(self, rng: random.Random) -> Case:
        files = self.broken_run(rng, ["run.json", "run.json", "model.safetensors"])
        files["x.ppm"] = b"P5 4 4 255\n" + bytes(range(0, 160, 10))
        if rng.random() < 0.1 and importlib.util.find_spec("onnx") is not None:
            return Case(
                "run", files, lambda folder: self.command(["export", folder, folder / "x.onnx"], folder)
            )
        return Case("run", files, lambda folder: self.command(["predict", folder, folder / "x.ppm"], folder))

    def make_resume(self, rng: random.Random) -> Case:
        if rng.random() < 0.7:
            name = rng.choice(list(self.states))
            files, state = dict(self.runs[name].files), _copied(self.states[name])
            for _ in range(rng.choice((1, 1, 2))):
                _change(rng, state)
            with contextlib.suppress(TypeError, ValueError):  # what cannot be saved is left as it was
                files["checkpoint.safetensors"] = samples.saved(state)
        else:
            files = self.broken_run(rng, ["checkpoint.safetensors"])

        def act(folder: Path) -> Outcome:
            with samples.interrupting(50):  # it may have been told to train for many epochs
                return self.command(["train", "--resume", folder], folder)

        return Case("resume", files, act)


def _load_onnx(path: Path) -> None:
    """Reads a net and runs it once, on ones: what comes of that may be an error of any op."""
    try:
        net = cnnx.onnx.load(path)
    except NotImplementedError as error:  # what cnnx lacks, which is documented too
        raise ValueError(str(error)) from error
    shapes = [[size if isinstance(size, int) else 1 for size in shape or ()] for _, _, shape in net.inputs]
    if any(math.prod(shape) > 1 << 14 for shape in shapes):
        return
    types = [dtype for _, dtype, _ in net.inputs]
    with contextlib.suppress(RuntimeError, ValueError, TypeError, IndexError), cnnx.no_grad():
        net(*[cnnx.ones(shape, dtype=dtype) for shape, dtype in zip(shapes, types, strict=True)])


def _where() -> str:
    return "".join(traceback.format_exc(limit=-3)).strip()


def _json(text: str) -> Any:
    import json

    return json.loads(text)


def _text(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def _header(data: bytes) -> Any:
    size = int.from_bytes(data[:8], "little")
    return _json(data[8 : 8 + size].decode())


def _with_header(data: bytes, header: bytes) -> bytes:
    size = int.from_bytes(data[:8], "little")
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


ODD_TENSORS = (
    lambda t: t.reshape(-1),
    lambda t: t[:0],
    lambda t: t.reshape(1, *t.shape),
    lambda t: t.double(),
    lambda t: t.to(cnnx.int64) * -7,
    lambda t: t.to(cnnx.int64) + (1 << 40),
    lambda t: t.to(cnnx.uint8),
    lambda t: t.float() * float("nan"),
    lambda t: t.float() + 1e38,
    lambda t: cnnx.zeros(0),
    lambda t: cnnx.cat([t.reshape(-1), t.reshape(-1)]),
)


def _change(rng: random.Random, state: Any) -> None:
    """Replaces, removes or renames something within a checkpoint."""
    node = state
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = rng.choice(keys)
        if not isinstance(node[key], dict | list) or rng.random() < 0.15:
            break
        node = node[key]
    value = node[key]
    if isinstance(value, cnnx.Tensor) and rng.random() < 0.8:
        with contextlib.suppress(RuntimeError, ValueError, TypeError, IndexError):
            node[key] = rng.choice(ODD_TENSORS)(value)
    elif rng.random() < 0.15:
        del node[key]
    elif rng.random() < 0.1 and isinstance(node, dict):
        node[rng.choice(("a", 0, None, "__metadata__"))] = node.pop(key)
    elif isinstance(value, int | float) and rng.random() < 0.5:
        node[key] = rng.choice((value + 1, value - 1, -value, value * 1000, float(value), str(value)))
    else:
        node[key] = rng.choice((mutate.odd(rng), mutate.odd(rng), cnnx.zeros(2), (1, 2)))


def run(
    seconds: float,
    seed: int,
    *,
    first: int = 0,
    last: int | None = None,
    kinds: list[str] | None = None,
    keep: Path | None = None,
) -> child.Result:
    """Runs cases until the time is over or the last is done; prints findings and keeps their files."""
    fuzzer = Fuzzer(seed, kinds)

    def report(finding: Finding) -> None:
        print(f"seed {seed}, case {finding.index}: {finding.text}", flush=True)
        if keep is not None:
            place = keep / f"files-{seed}-{finding.index}"
            for name, content in fuzzer.case(finding.index).files.items():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(content)

    try:
        return child.run(fuzzer.work, seconds=seconds, limits=LIMITS, first=first, last=last, report=report)
    finally:
        fuzzer.close()


def table(counts: Counter[str]) -> str:
    """The counts by kind of file: how many were read, refused, and anything else."""
    labels = sorted(
        {key.rpartition(": ")[2] for key in counts}, key=lambda word: (word not in ("read", "refused"), word)
    )
    kinds = sorted({key.rpartition(": ")[0] for key in counts})
    lines = [f"{'':12}" + "".join(f"{label:>13}" for label in labels)]
    for kind in kinds:
        values = [counts[f"{kind}: {label}" if kind else label] for label in labels]
        lines.append(f"{kind or '-':12}" + "".join(f"{value:13,}" for value in values))
    return "\n".join(lines)


def main() -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long; default: 60")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("--cases", type=int, help="no more than these, so that any machine runs the same")
    parser.add_argument("--case", type=int, help="only this one, in this process, with its result")
    parser.add_argument("--kind", action="append", help="only this kind of file; may be given again")
    parser.add_argument(
        "--keep", type=Path, default=Path("build/fuzz-findings"), help="where the files of findings go"
    )
    options = parser.parse_args()
    if options.case is not None:
        fuzzer = Fuzzer(options.seed, options.kind)
        try:
            print(fuzzer.work(options.case))
        finally:
            fuzzer.close()
        return 0
    result = run(options.seconds, options.seed, last=options.cases, kinds=options.kind, keep=options.keep)
    print(table(result.counts))
    print(
        f"{result.cases:,} files in {result.seconds:.0f} s (seed {options.seed}): "
        f"{len(result.findings)} findings"
        + (f", their files are in {options.keep}" if result.findings else "")
    )
    return 1 if result.findings else 0


if __name__ == "__main__":
    sys.exit(main())
