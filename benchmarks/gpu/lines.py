"""A pytest plugin: a line of JSON for every test, as it happens, and a share of the tests.

    pytest -p gpu.lines --lines FILE [--share 1/3]

What is written until a crash or a time limit tells what passed and which test was running.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lines", type=Path, help="the file of results")
    parser.addoption("--share", default="1/1", help="K/N: the tests K, K + N, K + 2N and so on")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Lines(config.getoption("--lines")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    number, count = map(int, config.getoption("--share").split("/"))
    items[:] = items[number - 1 :: count]


class Lines:
    """Writes what happens."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w", buffering=1)

    def write(self, **what: Any) -> None:
        """Adds a line."""
        self.file.write(json.dumps(what) + "\n")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self.write(begun=nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file was read."""
        if report.failed:
            self.write(test=report.nodeid, outcome="failed", message=str(report.longrepr)[-500:])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has ended, or could not begin."""
        message = ""
        if report.outcome == "failed":
            crash = getattr(report.longrepr, "reprcrash", None)
            message = crash.message if crash else report.longreprtext[-500:]
        elif report.outcome == "skipped":
            message = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if report.when == "call" or report.outcome != "passed":
            self.write(test=report.nodeid, outcome=report.outcome, message=message[:500])
