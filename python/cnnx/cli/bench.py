"""`cnnx bench`: cnnx against other libraries."""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Sequence

import cnnx
from cnnx.bench.measure import QUICK, Pace, Result
from cnnx.bench.peers import OURS, PEERS
from cnnx.bench.process import PeerError
from cnnx.bench.report import as_dict, lines, write_json
from cnnx.bench.rows import COMMANDS
from cnnx.bench.run import Run, choose
from cnnx.cli import CommandError, UsageError, as_path
from cnnx.cli.figures import Figures
from cnnx.cli.info import cpu_name
from cnnx.cli.terminal import complain, say
from cnnx.models import canonical


def asked_for(option: str, names: Sequence[str] | None, known: Sequence[str]) -> list[str] | None:
    """The names of an option; UsageError if one is unknown."""
    for name in names or ():
        if name not in known:
            raise UsageError(f"{option}: there is no {name}; known are {', '.join(known)}")
    return list(dict.fromkeys(names)) if names else None


def bench(options: argparse.Namespace) -> int:
    """The command `cnnx bench`; returns the exit code."""
    if (setting := os.environ.get("CNNX_COMPILE") or "1") != "1":
        raise UsageError(f"CNNX_COMPILE={setting} is set, with which plans are not what is measured")
    command = COMMANDS[options.what]
    rows_of = {canonical(name): name for name in command.models}
    wanted = options.models and [rows_of.get(name, name) for name in options.models]
    models = asked_for("--models", wanted, list(command.models))
    fitting = [name for name in PEERS if name not in OURS]
    against = [] if options.against == ["none"] else asked_for("--against", options.against, fitting)
    if options.busy and options.what != "load":
        raise UsageError(f"--busy is for load, not for {options.what}")
    for file in (options.json, options.chart):  # not after minutes
        if file and not as_path(file).resolve().parent.is_dir():
            raise CommandError(f"{file}: there is no such folder")
        if file and as_path(file).is_dir():
            raise CommandError(f"{file}: is a folder")
    if options.chart and importlib.util.find_spec("matplotlib") is None:
        raise CommandError("--chart needs matplotlib (pip install 'cnnx[bench]')")
    rows = command.rows(models, options.batch, options.quick)
    names, missing = choose(
        [*OURS, *(command.peers if against is None else against)],
        rows,
        options.device,
        without_slow=options.quick and against is None,
    )
    load = (options.busy or 1) if options.what == "load" else 0
    versions: dict[str, str] = {}
    failed: dict[str, str] = {}
    results: list[Result] = []

    def keep() -> None:
        if options.json:
            write_json(
                as_path(options.json),
                as_dict(options.what, results, versions, missing | failed, command.notes),
            )

    keep()  # a file that cannot be written is no matter of minutes either
    try:
        for threads in options.threads or [command.threads or cnnx.get_num_threads()]:
            with Run(names, threads, options.device, QUICK if options.quick else Pace(), load) as run:
                versions |= run.versions
                if not results:
                    say(", ".join(f"{name} {version}" for name, version in versions.items()))
                for result in run.measure(rows):
                    results.append(result)
                    say()
                    for line in lines(result):
                        say(line)
                    keep()  # a long run that is stopped keeps what it has
                failed |= run.failed
    except PeerError as error:
        raise CommandError(str(error)) from error
    keep()
    say()
    for name, why in missing.items():
        say(f"not measured: {name}: {why}")
    for name, why in failed.items():
        complain(f"cnnx bench: {name} fails: {why}")
    for note in command.notes:
        say(note)
    if options.json:
        say(f"figures: {options.json}")
    figures = Figures(links=True)
    if options.chart:
        from cnnx.bench.chart import chart

        title = f"cnnx bench {options.what}, {cpu_name()}"
        figures.draw("chart", as_path(options.chart), chart, results, title=title)
    return int(figures.failed or bool(failed))
