"""The profiler: what it counts, how calls nest, its table and its trace."""

from __future__ import annotations

import json
import threading

import pytest

import cnnx
from cnnx import nn
from cnnx.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)


def lenet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 14 * 14, 10)
    )


def test_a_training_step_call_by_call() -> None:
    net = lenet()
    optimizer = cnnx.optim.SGD(net.parameters(), lr=0.1)
    images, labels = cnnx.randn(8, 1, 28, 28), cnnx.randint(0, 10, (8,))
    with profile() as run:
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images), labels).backward()
            optimizer.step()
    rows = {row.key: row for row in run.key_averages()}
    for name in (
        "conv2d",
        "max_pool2d",
        "linear",
        "cross_entropy",
        "class_loss_backward",
        "conv_backward_weight",
    ):
        assert rows[name].count == 3, name
    # Two operations for each multiply-add, counted by hand.
    assert rows["conv2d"].flops == 3 * 2 * 8 * 6 * 28 * 28 * 25
    assert rows["linear"].flops == 3 * 2 * 8 * 6 * 14 * 14 * 10
    assert rows["conv2d"].bytes == 3 * 4 * (8 * 784 + 6 * 25 + 6 + 8 * 6 * 784)
    total = sum(row.self_cpu_time_total for row in rows.values())
    assert 0 < total < 60e6
    for row in rows.values():
        assert row.self_cpu_time_total <= row.cpu_time_total + 1e-6
        assert row.cpu_time == pytest.approx(row.cpu_time_total / row.count)
    table = run.key_averages().table(sort_by="flops", row_limit=2)
    lines = table.splitlines()
    assert lines[1].split()[:3] == ["Name", "Self", "CPU"]
    assert "conv" in lines[3]
    assert lines[6].startswith("Self CPU time total: ")
    assert len(lines) == (8 if any(row.device_time_total for row in rows.values()) else 7)


def test_shapes() -> None:
    with profile(record_shapes=True, with_flops=True, activities=[ProfilerActivity.CPU]) as run:
        for n in (2, 3, 3):
            cnnx.matmul(cnnx.ones(n, 4), cnnx.ones(4, 5))
    by_shape = [row for row in run.key_averages(group_by_input_shape=True) if row.key == "matmul"]
    assert sorted((row.input_shapes, row.count, row.flops) for row in by_shape) == [
        (((2, 4), (4, 5)), 1, 80.0),
        (((3, 4), (4, 5)), 2, 240.0),
    ]
    assert "[[3, 4], [4, 5]]" in run.key_averages(group_by_input_shape=True).table()


def test_labels_hold_the_calls_within_and_threads_are_apart() -> None:
    x = cnnx.ones(64, 64)

    @record_function("decorated")
    def work() -> None:
        cnnx.matmul(x, x)

    with profile() as run:
        with record_function("outer"), record_function("inner"):
            cnnx.exp(x)
        work()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    events = run.events()
    named = {event.name: event for event in events}
    assert named["outer"].start <= named["inner"].start <= named["exp"].start
    assert named["exp"].end <= named["inner"].end <= named["outer"].end
    assert named["outer"].self_time <= named["outer"].cpu_time - named["inner"].cpu_time + 1e-3
    assert named["outer"].is_label
    assert not named["exp"].is_label
    assert {event.thread for event in events if event.name == "decorated"} == {0, 1}
    rows = {row.key: row for row in run.key_averages()}
    assert rows["decorated"].count == 2


def test_nothing_is_taken_down_without_a_profile_and_a_second_is_refused() -> None:
    with record_function("nobody looks"):
        cnnx.ones(2)
    with profile() as run:
        cnnx.ones(2).exp()
        with pytest.raises(RuntimeError, match="under way"), profile():
            pass
    cnnx.ones(2).log()
    assert [row.key for row in run.key_averages() if row.key in {"exp", "log"}] == ["exp"]
    assert profile().key_averages() == []
    assert "Self CPU time total" in profile().key_averages().table(sort_by="count")


def test_a_call_that_throws_leaves_no_trace() -> None:
    with profile() as run:
        with pytest.raises(RuntimeError):
            cnnx.matmul(cnnx.ones(2, 3, 4), cnnx.ones(5, 4, 2))
        cnnx.ones(3).exp()
    assert "matmul" not in {row.key for row in run.key_averages()}
    assert "exp" in {row.key for row in run.key_averages()}


def test_trace(tmp_path) -> None:
    with profile() as run:
        cnnx.ones(2, 3).sum()
    path = tmp_path / "trace.json"
    run.export_chrome_trace(path)
    events = json.loads(path.read_text())["traceEvents"]
    (total,) = [event for event in events if event["name"] == "sum"]
    assert total["ph"] == "X"
    assert total["dur"] > 0
    assert total["args"]["Input Dims"] == [[2, 3]]


def test_schedule(tmp_path) -> None:
    plan = schedule(skip_first=1, wait=1, warmup=1, active=2, repeat=2)
    none, warm, record, save = ProfilerAction
    assert [plan(i) for i in range(11)] == [
        none,
        none,
        warm,
        record,
        save,
        none,
        warm,
        record,
        save,
        none,
        none,
    ]
    counts = []
    handler = tensorboard_trace_handler(str(tmp_path / "log"), "worker")

    def ready(run: profile) -> None:
        counts.append(sum(event.name == "exp" for event in run.events()))
        handler(run)

    with profile(schedule=plan, on_trace_ready=ready) as run:
        for _ in range(11):
            cnnx.ones(2).exp()
            run.step()
    assert counts == [2, 2]
    assert sorted(p.name for p in (tmp_path / "log").iterdir()) == [
        "worker.0.pt.trace.json",
        "worker.1.pt.trace.json",
    ]
    with pytest.raises(ValueError, match="active"):
        schedule(wait=0, warmup=0, active=0)


def test_misuse() -> None:
    with pytest.raises(NotImplementedError, match="with_stack"):
        profile(with_stack=True)
    with pytest.raises(TypeError, match="ProfilerActivity"):
        profile(activities=["cpu"])  # type: ignore[list-item]
    with profile() as run:
        cnnx.ones(2).exp()
    with pytest.raises(ValueError, match="sort by 'beauty'"):
        run.key_averages().table(sort_by="beauty")


@pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")
def test_on_a_device_calls_are_timed_there() -> None:
    net, x = nn.Linear(64, 64).to("cuda"), cnnx.randn(32, 64, device="cuda")
    with profile(activities=[ProfilerActivity.CUDA]) as run:
        net(x).relu().sum().backward()
    rows = {row.key: row for row in run.key_averages()}
    assert rows["linear"].device_time_total > 0
    assert rows["linear"].cuda_time_total == rows["linear"].device_time_total
    assert "CUDA time avg" in run.key_averages().table(sort_by="cuda_time_total")


def test_train_prints_the_table(capsys, tmp_path) -> None:
    from cnnx.cli import main

    arguments = ["train", "--dataset", "digits", "--epochs", "1", "--profile", "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "training steps on" in text
    assert "conv_backward_weight" in text
    assert "Self CPU time total" in text
