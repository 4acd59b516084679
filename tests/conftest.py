"""What holds for every test."""

import os
import signal
import sys

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes: a thread each, unless told otherwise
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import border
import cnnx
import drawn

drawn.profiles()

if border.DEVICE != "cpu":
    border.use(border.DEVICE)


def pytest_configure() -> None:
    """Hears the signals that a shell lets its background jobs ignore: tests send them, to children too."""
    for number, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        if hasattr(signal, number) and signal.getsignal(getattr(signal, number)) is signal.SIG_IGN:
            signal.signal(getattr(signal, number), usual)


def pytest_runtest_setup() -> None:
    """Starts every test from the same random numbers, whichever ran before it."""
    cnnx.manual_seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_runtest_teardown() -> None:
    """Undoes what a test sets, so that the next one is on the device again."""
    cnnx.set_default_device(border.DEVICE)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what takes minutes unless asked for, and what is about the CPU alone on another device."""
    if "long" not in config.option.markexpr:
        short = [item for item in items if item.get_closest_marker("long") is None]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(short)])
        items[:] = short
    if border.DEVICE == "cpu":
        return
    for item in items:
        if item.path.name.startswith("test_cuda"):
            item.add_marker(pytest.mark.skip(reason="names its devices: to be run without CNNX_TEST_DEVICE"))
        for mark in item.iter_markers("cpu"):
            item.add_marker(pytest.mark.skip(reason=f"CPU alone: {mark.args[0]}"))
