"""`cnnx bench`: lines of a worker, statistics, rows that are run again, peers that are missing, wrong use."""

import contextlib
import dataclasses
import json
import re
import sys

import numpy as np
import pytest

import cnnx
from cnnx.bench import chart, machine, measure, process, report, rows, run
from cnnx.bench.machine import Reach
from cnnx.bench.peers import OURS, PEERS, Entry
from cnnx.bench.peers.ours import Cnnx
from cnnx.bench.process import PeerError, Worker
from cnnx.bench.rows import COMMANDS, GRADIENT, OUTPUTS, STEP, Row
from cnnx.bench.worker import Server, inputs_in
from cnnx.cli import main

pytestmark = [pytest.mark.once, pytest.mark.cpu("the command names its device: --device")]

TINY = Row("4-64-64-2", 64, STEP)
WORKS = [TINY, Row("24-8-2", 8, GRADIENT), Row("lenet5", 2, OUTPUTS)]


@pytest.fixture(autouse=True)
def same_threads():
    threads = cnnx.get_num_threads()
    yield
    cnnx.set_num_threads(threads)


# --- workers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n, entry in PEERS.items() if n != "cnnx" and not entry.slow])
def test_peers_compute_the_same(name, tmp_path):
    if lacking := PEERS[name].lacking():
        pytest.skip(lacking)
    ours = Server(Cnnx("cnnx", 1, "cpu"))
    with contextlib.closing(Worker(name, 1)) as worker:
        for row in WORKS:
            if PEERS[name].takes(row):
                process.write_inputs(row, tmp_path, onnx="onnx" in PEERS[name].packages)
                command = {"do": "prepare", "row": [*vars(row).values()], "folder": str(tmp_path)}
                expected = ours.answer(command)["values"]
                assert not measure.compare(row, {"cnnx": expected, name: worker.prepare(row, tmp_path)})
                assert all(seconds > 0 for seconds in worker.run(samples=3, calls=2, warm=0.0))


def test_dropout_is_left_out_of_the_comparison_alone(tmp_path):
    assert [name for name, net in rows.NETS.items() if net.random] == ["s6", "s11"]
    row = Row("s6", 2, STEP)
    process.write_inputs(row, tmp_path, onnx=False)
    peer, inputs = Cnnx("cnnx", 1, "cpu"), inputs_in(tmp_path)
    first, second = (peer.prepare(row, inputs, dropout=False).run() for _ in range(2))
    assert first == second != peer.prepare(row, inputs, dropout=True).run()


def fake(code):
    return Worker("fake", 1, command=[sys.executable, "-S", "-c", code])


def test_a_worker_answers_samples():
    code = """
import sys
print('{"version": "7"}', flush=True)
for line in sys.stdin:
    print('{"seconds": [0.5, 0.25]}', flush=True)
"""
    with contextlib.closing(fake(code)) as worker:
        assert worker.version == "7"
        assert worker.run(2, 1, 0.0) == [0.5, 0.25]


@pytest.mark.parametrize(
    "code, message",
    [
        ('print(\'{"error": "ValueError: no\\\\nmore"}\')', "fake: ValueError: no ..."),
        (
            "import sys; sys.exit('first\\nOSError: it is gone')",
            "fake: its process ended: OSError: it is gone",
        ),
        ("pass", "fake: its process ended: without a word"),
        ("print('noise')", "fake: no answer but 'noise'"),
    ],
)
def test_a_worker_that_fails_says_so_in_one_line(code, message):
    with pytest.raises(PeerError) as raised:
        fake(code)
    assert str(raised.value) == message


def test_a_worker_that_is_silent_is_given_up(monkeypatch):
    monkeypatch.setattr(process, "PATIENCE", 0.05)
    with pytest.raises(PeerError, match=r"^fake: no answer within 0.05 s$"):
        fake("import time; time.sleep(60)")


def test_what_a_library_prints_is_no_answer():
    code = """
from cnnx.bench import worker
from cnnx.bench.peers import ours
version = ours.Cnnx.version
ours.Cnnx.version = lambda self: print('noise') or version(self)
worker.main()"""
    command = [sys.executable, "-c", code, "cnnx", "1", "cpu"]
    with contextlib.closing(Worker("cnnx", 1, command=command)) as worker:
        assert worker.version == cnnx.__version__


# --- figures ---------------------------------------------------------------------------------------------


def test_bursts_of_short_and_long_calls():
    assert measure.amounts(0.02, burst=0.1) == (5, 1)
    assert measure.amounts(10.0, burst=0.1) == (3, 1)
    samples, calls = measure.amounts(5e-6, burst=0.1)
    assert calls * 5e-6 >= measure.SHORTEST_SAMPLE
    assert samples * calls * 5e-6 == pytest.approx(0.1)


class FakeRunner:
    def __init__(self, name, seconds, log):
        self.name, self.seconds, self.log = name, seconds, log

    def run(self, samples, calls, warm):
        self.log.append(self.name)
        return [self.seconds] * samples


def test_peers_take_turns_and_begin_in_turn():
    log = []
    pace = measure.Pace(rounds=3, burst=0.01, warm=0.0, warm_up=0.0, reach=0.0)
    held = []

    @contextlib.contextmanager
    def load():
        held.append(len(log))
        yield

    conditions = {"quiet": contextlib.nullcontext, "busy": load}
    found = measure.take_turns([FakeRunner("a", 0.002, log), FakeRunner("b", 0.001, log)], pace, conditions)
    turns = "".join(log[4:])  # after two to find the sizes of bursts
    assert turns == "abab" + "baba" + "abab"
    assert held == [6, 10, 14]
    for condition in conditions:
        assert {name: len(s) for name, s in found[condition].items()} == {"a": 15, "b": 30}


def reaching(*peaks):
    values = iter(peaks)
    return lambda: Reach(next(values), 10.0)


def found(*seconds):
    return {"quiet": {"cnnx": list(seconds), "torch": [2 * s for s in seconds]}}


def test_a_quiet_row_is_run_once():
    result = measure.until_quiet(TINY, 1, 1e6, lambda: found(1.0, 2.0, 3.0), reaching(100.0, 109.0))
    assert (result.attempts, result.quiet, result.moved) == (1, True, 0.09)
    assert result.ratio("torch") == 2
    assert result.share("torch") == pytest.approx(1e6 / 2 / 109)


def test_a_row_whose_machine_moves_is_run_again():
    turns = iter([found(1.0), found(5.0)])
    result = measure.until_quiet(TINY, 1, 1e6, lambda: next(turns), reaching(100.0, 120.0, 120.0, 121.0))
    assert (result.attempts, result.quiet) == (2, True)
    assert result.figures["quiet"]["cnnx"].minimum == 5


def test_a_row_that_is_never_quiet_is_marked_and_the_best_is_kept():
    turns = iter([found(1.0), found(2.0), found(3.0)])
    reach = reaching(100.0, 200.0, 100.0, 120.0, 100.0, 50.0)
    result = measure.until_quiet(TINY, 1, 1e6, lambda: next(turns), reach)
    assert (result.attempts, result.quiet, result.moved) == (3, False, 0.2)
    assert result.figures["quiet"]["cnnx"].minimum == 2
    first = next(iter(report.lines(result)))
    assert first.endswith("run 3 times  NOT QUIET: the machine moved by 20%")


def test_memory_counts_as_the_machine_too():
    assert machine.moved(Reach(1.0, 10.0), Reach(1.0, 5.0)) == 0.5


def test_steal_is_read_from_the_system(tmp_path, monkeypatch):
    stat = tmp_path / "stat"
    stat.write_text("cpu  1 2 3 4 5 6 7 100 0 0\n")
    now = iter([0.0, 10.0])
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(now))
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(machine.os, "sysconf", lambda name: 100)
    steal = machine.Steal(str(stat))
    stat.write_text("cpu  1 2 3 4 5 6 7 300 0 0\n")
    assert steal.share() == pytest.approx(0.1)  # 2 s of 2 x 10 s
    monkeypatch.undo()
    assert machine.Steal(str(tmp_path / "none")).share() is None


@pytest.mark.parametrize(
    "values, message",
    [
        ([1.0, 2.1], "4-64-64-2 batch 64: torch computes something else: 2.1 where cnnx has 2"),
        ([1.0, float("nan")], "4-64-64-2 batch 64: torch computes something else: nan where cnnx has 2"),
        ([1.0], "4-64-64-2 batch 64: torch computes 1 values, cnnx 2"),
    ],
)
def test_a_peer_that_differs_is_an_error(values, message):
    measure.compare(TINY, {"cnnx": [1.0, 2.0], "torch": [1.0, 2.00001]})
    with pytest.raises(PeerError) as raised:
        measure.compare(TINY, {"cnnx": [1.0, 2.0], "torch": values})
    assert str(raised.value) == message
    # One of several is left out; cnnx's own forms never are.
    others = {"cnnx": [1.0, 2.0], "jax": [1.0, 2.0], "torch": values}
    assert measure.compare(TINY, others) == {"torch": message.removeprefix("4-64-64-2 batch 64: torch ")}
    with pytest.raises(PeerError):
        measure.compare(TINY, {"cnnx": [1.0, 2.0], "cnnx-plan": values, "jax": [1.0, 2.0]})


def test_a_load_is_compared_by_medians():
    seconds = {
        "quiet": {"cnnx": [1.0, 1.0, 1.0], "torch": [2.0, 2.0, 2.0]},
        "busy": {"cnnx": [1.0, 1.5, 9.0], "torch": [2.0, 8.0, 9.0]},
    }
    result = measure.until_quiet(TINY, 2, 1e6, lambda: seconds, reaching(1.0, 1.0))
    assert (result.slowdown("cnnx"), result.slowdown("torch")) == (1.5, 4.0)
    assert result.as_dict()["seconds"]["torch"]["slowdown"] == 4
    lines = list(report.lines(result))
    assert lines[1].split()[-3:] == ["quiet", "x", "cnnx"]
    assert lines[3].split()[-3:] == ["s", "4.00", "5.33"] or lines[3].split()[-2:] == ["4.00", "5.33"]
    assert lines[4] == "  torch takes 2.00 times as long as cnnx"


def test_times_have_three_digits():
    texts = [report.time_text(s) for s in (12.3456, 0.0214, 0.0021449, 3.125e-4, 5.7e-6, 9e-8)]
    assert texts == ["12346 ms", "21.4 ms", "2.14 ms", "312 us", "5.70 us", "0.09 us"]


def test_a_chart_has_a_bar_for_each_peer():
    pytest.importorskip("matplotlib")
    quiet = measure.until_quiet(TINY, 1, 1e6, lambda: found(1.0), reaching(1.0, 1.0))
    figure = chart.chart([quiet, dataclasses.replace(quiet, figures={"quiet": {}})], title="$x")
    assert len(figure.axes[0].patches) == 2
    names = [f"peer {i}" for i in range(9)]
    figures = dict.fromkeys(("cnnx", *names), quiet.figures["quiet"]["cnnx"])
    few = dict(list(figures.items())[:3:2])  # without those between
    many = [dataclasses.replace(quiet, figures={"quiet": found_}) for found_ in (figures, few)]
    bars = chart.chart(many).axes[0].patches
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in bars}) == 10
    second = sorted(bar.get_y() for bar in bars if bar.get_y() > 0.5)
    np.testing.assert_allclose(second, [1 - 0.08, 1])  # side by side, around the row's place
    with pytest.raises(ValueError, match="there are no results"):
        chart.chart([])


# --- which rows and peers --------------------------------------------------------------------------------


def test_rows_of_the_commands():
    assert [str(row) for row in COMMANDS["train"].rows()] == [f"{name} batch 64" for name in rows.NETS]
    assert len(COMMANDS["infer"].rows()) == 21
    assert [(row.model, row.batch, row.work) for row in COMMANDS["tiny"].rows()] == [
        ("24-8-2", 200, GRADIENT),
        ("4-64-64-2", 64, STEP),
    ]
    assert COMMANDS["infer"].rows(["s7"], [5, 6]) == [Row("s7", 5, OUTPUTS), Row("s7", 6, OUTPUTS)]
    growth = [str(row) for row in COMMANDS["growth"].rows(["lenet5"])]
    assert growth[-2:] == ["lenet5 batch 64 of 56x56", "lenet5 batch 64 of 112x112"]
    assert len(growth) == 7
    larger = COMMANDS["growth"].rows(["s7"])[-1].net
    assert larger.input_shape == (1, 112, 112)
    assert larger.build(cnnx.nn)(cnnx.zeros(1, 1, 112, 112)).shape == (1, 10)
    for command in COMMANDS.values():
        assert set(command.quick) <= set(command.models)
        assert len(command.rows(quick=True)) <= 2
        assert set(command.peers) <= set(PEERS) - set(OURS)


def test_peers_that_are_missing_are_named():
    everything = frozenset({STEP})
    table = {
        "there": Entry("m", "C", ("json",), everything),
        "absent": Entry("m", "C", ("json", "no_such_package"), everything),
        "elsewhere": Entry("m", "C", (), everything, devices=("cuda",)),
        "images": Entry("m", "C", (), everything, flat=False),
        "compiler": Entry("m", "C", (), everything, slow=True),
    }
    assert run.choose(list(table), [TINY], "cpu", without_slow=True, table=table) == (
        ["there"],
        {
            "absent": "not installed (pip install no_such_package)",
            "elsewhere": "nothing of it runs on cpu",
            "images": "it takes part in none of these rows",
            "compiler": "left out by --quick",
        },
    )


# --- the command -----------------------------------------------------------------------------------------


def quick(*arguments):
    return main(["bench", *arguments, "--quick", "--threads", "1"])


@pytest.fixture
def any_machine(monkeypatch):
    """A row is run once, however the machine moves."""
    monkeypatch.setattr(measure, "QUIET", float("inf"))


@pytest.mark.usefixtures("any_machine")
def test_cnnx_alone(capsys, tmp_path):
    file = tmp_path / "tiny.json"
    assert quick("tiny", "--against", "none", "--json", str(file)) == 0
    out = capsys.readouterr().out
    assert "24-8-2 batch 200, 1 thread; " in out
    assert "SimpleChains.jl" in out
    assert "Candle" in out
    content = json.loads(file.read_text())
    assert content["machine"]["target"] == cnnx._C.active_target()
    assert content["versions"] == dict.fromkeys(OURS, cnnx.__version__)
    assert [row["model"] for row in content["rows"]] == ["24-8-2", "4-64-64-2"]
    for row in content["rows"]:
        assert list(row["seconds"]) == list(OURS)
        ours = row["seconds"]["cnnx"]
        assert 0 < ours["minimum"] <= ours["median"]
        assert row["flops"] > 1e4
        assert row["before"]["peak"] > 0
        assert row["quiet"]


@pytest.mark.usefixtures("any_machine")
def test_missing_and_failing_peers_are_said(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(PEERS, "jax", dataclasses.replace(PEERS["jax"], packages=("no_such_package",)))
    monkeypatch.setitem(PEERS, "torch", dataclasses.replace(PEERS["torch"], packages=()))
    # A worker has its own table: whatever it finds there, this name is not in it.
    monkeypatch.setitem(PEERS, "unknown", dataclasses.replace(PEERS["torch"], packages=()))
    file = tmp_path / "out.json"
    code = quick("train", "--models", "s10", "--against", "jax,unknown", "--json", str(file))
    said = capsys.readouterr()
    assert code == 1
    assert "not measured: jax: not installed (pip install no_such_package)" in said.out
    assert said.err == "cnnx bench: unknown fails: KeyError: 'unknown'\n"
    content = json.loads(file.read_text())
    assert list(content["missing"]) == ["jax", "unknown"]
    assert list(content["rows"][0]["seconds"]) == list(OURS)


@pytest.mark.usefixtures("any_machine")
def test_beside_a_load(capsys, tmp_path):
    file = tmp_path / "load.json"
    assert quick("load", "--models", "mlp", "--against", "none", "--json", str(file)) == 0
    assert "busy median" in capsys.readouterr().out
    (row,) = json.loads(file.read_text())["rows"]
    assert row["model"] == "s10"
    assert list(row["seconds"]) == list(OURS)
    assert row["seconds"]["cnnx"]["slowdown"] > 0


@pytest.mark.usefixtures("any_machine")
def test_against_torch(capsys):
    pytest.importorskip("torch")
    assert quick("infer", "--models", "s10", "--batch", "1", "--against", "torch") == 0
    out = capsys.readouterr().out
    assert re.search(r"^  torch +[\d.]+ [mu]s +[\d.]+ [mu]s +\d+% +[\d.]+ +[\d.]+%$", out, re.MULTILINE)
    assert re.search(r"^  torch takes [\d.]+ times as long as cnnx", out, re.MULTILINE)


@pytest.mark.parametrize("setting", ["0", "check"])
def test_plans_that_are_switched_off_are_not_measured(setting, capsys, monkeypatch):
    monkeypatch.setenv("CNNX_COMPILE", setting)
    assert main(["bench", "train"]) == 2
    assert f"CNNX_COMPILE={setting} is set" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train", "--models", "s2"], "--models: there is no s2; known are s1, s4, s6, s7, s10, s11, lenet5"),
        (["tiny", "--models", "s1"], "--models: there is no s1; known are 24-8-2, 4-64-64-2"),
        (["train", "--against", "caffe"], "--against: there is no caffe; known are torch, "),
        (["train", "--against", "cnnx"], "--against: there is no cnnx; known are torch, "),
        (["infer", "--busy", "1"], "--busy is for load, not for infer"),
        (["train", "--batch", "0"], "argument --batch: '0' is not a positive whole number"),
        (["train", "--threads", "1,x"], "argument --threads: 'x' is not a positive whole number"),
        (["train", "--models", ""], "argument --models: the name is empty"),
        (["swim"], "argument WHAT: invalid choice: 'swim'"),
        ([], "the following arguments are required: WHAT"),
    ],
)
def test_wrong_use_is_one_line(arguments, message, capsys):
    try:
        code = main(["bench", *arguments])
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith(f"cnnx bench: {message}")
    assert error.count("\n") == 1


def test_a_chart_without_matplotlib_is_refused_before_anything_is_measured(capsys, monkeypatch):
    from cnnx.cli import bench

    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None)
    assert main(["bench", "train", "--chart", "chart.png"]) == 1
    assert capsys.readouterr().err == "cnnx bench: --chart needs matplotlib (pip install 'cnnx[bench]')\n"


def test_a_folder_that_is_not_there_is_said_before_anything_is_measured(capsys, tmp_path):
    file = tmp_path / "none" / "file.json"
    assert main(["bench", "train", "--json", str(file)]) == 1
    assert capsys.readouterr().err == f"cnnx bench: {file}: there is no such folder\n"


def test_busy_processes_end():
    with process.busy(2):
        pass
    assert np.isfinite(machine.reach(0.01)).all()
