"""`cnnx bench`: cnnx against other libraries."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import cnnx
from cnnx.bench.measure import QUICK, Pace, Result
from cnnx.bench.peers import OURS, PEERS
from cnnx.bench.process import PeerError
from cnnx.bench.report import as_dict, lines, write_json
from cnnx.bench.rows import COMMANDS
from cnnx.bench.run import Run, choose
from cnnx.cli import MOST, MOST_THREADS, CommandError, UsageError, device_name, path_name, up_to
from cnnx.cli.figures import Figures
from cnnx.cli.info import cpu_name
from cnnx.cli.terminal import say

MOST_BUSY = 64


def listed(read: Callable[[str], object]) -> Callable[[str], list[object]]:
    """What reads an option's value as a list, with commas in between."""

    def values(text: str) -> list[object]:
        return [read(part) for part in text.split(",")]

    return values


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    about = "; ".join(f"{name}: {command.about}" for name, command in COMMANDS.items())
    parser.add_argument("what", choices=list(COMMANDS), metavar="WHAT", help=about)
    parser.add_argument("--models", type=listed(path_name), metavar="A,B", help="the nets; default: all")
    parser.add_argument(
        "--batch", type=listed(up_to(MOST)), metavar="N,M", help="batch sizes; default: 64; infer: 1,64,1000"
    )
    parser.add_argument(
        "--threads",
        type=listed(up_to(MOST_THREADS)),
        metavar="N,M",
        help="of all libraries alike; default: the CPUs this process may use; tiny: 1",
    )
    parser.add_argument(
        "--against",
        type=listed(path_name),
        metavar="A,B",
        help=f"peers ({', '.join(name for name in PEERS if name not in OURS)}), or none; "
        "default: those that fit and are installed",
    )
    parser.add_argument(
        "--device", type=device_name, metavar="NAME", default="cpu", help="cpu (the default) or cuda"
    )
    parser.add_argument(
        "--busy",
        type=up_to(MOST_BUSY),
        metavar="N",
        help="of load: how many processes never rest; default: 1",
    )
    parser.add_argument("--quick", action="store_true", help="a few rows, briefly: that it works, no figures")
    parser.add_argument("--json", type=path_name, metavar="FILE", help="write all figures to this file")
    parser.add_argument("--chart", type=path_name, metavar="FILE", help="draw them into this file")


def asked_for(option: str, names: Sequence[str] | None, known: Sequence[str]) -> list[str] | None:
    """The names of an option; UsageError if one is unknown."""
    for name in names or ():
        if name not in known:
            raise UsageError(f"{option}: there is no {name}; known are {', '.join(known)}")
    return list(dict.fromkeys(names)) if names else None


def bench(options: argparse.Namespace) -> int:
    """The command `cnnx bench`; returns the exit code."""
    command = COMMANDS[options.what]
    models = asked_for("--models", options.models, list(command.models))
    fitting = [name for name in PEERS if name not in OURS]
    against = [] if options.against == ["none"] else asked_for("--against", options.against, fitting)
    if options.busy and options.what != "load":
        raise UsageError(f"--busy is for load, not for {options.what}")
    if options.chart and importlib.util.find_spec("matplotlib") is None:
        raise CommandError("--chart needs matplotlib (pip install 'cnnx[bench]')")
    rows = command.rows(models, options.batch, options.quick)
    names, missing = choose(
        [*OURS, *(command.peers if against is None else against)],
        options.device,
        asked=against is not None,
        quick=options.quick,
    )
    load = (options.busy or 1) if options.what == "load" else 0
    versions: dict[str, str] = {}
    results: list[Result] = []

    def keep() -> None:
        if options.json:
            write_json(options.json, as_dict(options.what, results, versions, missing, command.notes))

    try:
        for threads in options.threads or [command.threads or cnnx.get_num_threads()]:
            with Run(names, threads, options.device, QUICK if options.quick else Pace(), load) as run:
                versions |= run.versions
                missing |= run.missing
                if not results:
                    say(", ".join(f"{name} {version}" for name, version in versions.items()))
                for result in run.measure(rows):
                    results.append(result)
                    say()
                    for line in lines(result):
                        say(line)
                    keep()  # a long run that is stopped keeps what it has
    except PeerError as error:
        raise CommandError(str(error)) from error
    say()
    for name, why in missing.items():
        say(f"not measured: {name}: {why}")
    for note in command.notes:
        say(note)
    if options.json:
        say(f"figures: {options.json}")
    figures = Figures(links=True)
    if options.chart:
        from cnnx.bench.chart import chart

        title = f"cnnx bench {options.what}, {cpu_name()}"
        figures.draw("chart", Path(options.chart), chart, results, title=title)
    return int(figures.failed)
