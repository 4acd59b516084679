"""Recorded calls: what a thread computes, as ops with attributes, inputs and results."""

import threading

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import _C, nn


def calls_of(function, *args):
    _C.start_recording()
    try:
        function(*args)
    finally:
        calls = _C.stop_recording()
    return calls


X = cnnx.rand(2, 3, 6, 5)
M = cnnx.rand(4, 6)
# (what is called, the op, some of its attributes)
CASES = [
    (lambda: F.conv2d(X, cnnx.rand(4, 3, 3, 2), stride=(2, 1), padding=1), "conv2d",
     {"shape.kernel_width": 2, "shape.stride_height": 2, "shape.pad_left": 1, "shape.activation": "none"}),
    (lambda: F.conv_transpose1d(X[0, 0], cnnx.rand(6, 2, 3)), "conv_transpose1d",
     {"transposed": True, "single": True}),
    (lambda: F.max_pool2d(X, 2), "max_pool2d", {"shape.stride_width": 2, "with_index": False}),
    (lambda: F.adaptive_avg_pool2d(X, 1), "adaptive_avg_pool2d", {"shape.adaptive": False}),
    (lambda: F.linear(M, cnnx.rand(2, 6)), "linear", {"shape.in_features": 6, "shape.out_features": 2}),
    (lambda: F.batch_norm(X, cnnx.zeros(3), cnnx.ones(3)), "batch_norm", {"eps": 1e-5, "training": False}),
    (lambda: F.layer_norm(M, (6,)), "layer_norm", {"parameters": [6], "images": False}),
    (lambda: F.softmax(M, 1), "softmax", {"dim": 1, "log": False}),
    (lambda: M.logsumexp(1), "logsumexp", {"first": 1, "last": 1}),
    (lambda: F.pad(M, (1, 2), mode="reflect"), "pad", {"mode": "reflect", "in": [4, 6], "out": [4, 9]}),
    (lambda: F.leaky_relu(M, 0.25), "leaky_relu", {"a": 0.25}),
    (lambda: M * 2.5, "mul", {"is_number": [0, 1], "numbers.real": [0.0, 2.5]}),
    (lambda: M.long() + 3, "add", {"numbers.integer": [0, 3]}),
    (lambda: M.double(), "to", {"value": "float64"}),
    (lambda: M[1:, ::2], "slice", {"shape": [3, 3], "start": [1, 0], "step": [1, 2], "cut": 0}),
    (lambda: M[:, 2:99], "slice", {"shape": [4, 4], "cut": 2}),
    (lambda: M.split(5, dim=1)[1], None, {"shape": [4, 1], "cut": 2}),
    (lambda: M.narrow(1, 2, 4), "narrow", {"shape": [4, 4], "cut": 0}),
    (lambda: M.t(), "transpose", {"count": 2, "order": [1, 0, 0, 0, 0, 0, 0, 0]}),
    (lambda: M.view(-1), "view", {"shape": [24], "strides": [1]}),
    (lambda: M[:, cnnx.tensor([0, 2])], "index", {"count": 1, "distinct": False}),
    (lambda: M.sum(1, keepdim=True), "sum", {"first": 1, "last": 1, "keepdim": True}),
    (lambda: M.std(0, correction=0), "std", {"scale": 0.25, "root": True}),
    (lambda: cnnx.zeros(2, 3), "full", {"shape": [2, 3], "options.dtype": "float32"}),
    (lambda: cnnx.arange(4), "arange", {"n": 4, "start": 0, "step": 1}),
    (lambda: cnnx.where(M > 1, M, 0.0), "where", {"dtype": "float32"}),
    (lambda: F.cross_entropy(M, cnnx.arange(4)), "cross_entropy", {"shape.classes": 6, "reduction": 1}),
    (lambda: F.unfold(X, 2), "unfold", {"kernel": [2, 2], "positions": [5, 4]}),
]  # fmt: skip


@pytest.mark.cpu("the devices in the attributes")
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case[1]))
def test_attributes_are_values(case):
    function, op, expected = case
    calls = [call for call in calls_of(function) if op is None or call.op == op]
    attributes = calls[-1].attributes
    assert {name: attributes.get(name) for name in expected} == expected
    for value in attributes.values():
        for item in value if isinstance(value, list) else [value]:
            assert type(item) in (bool, int, float, str)
    # The same call again is equal, to the last attribute, and prints what it is.
    again = [call for call in calls_of(function) if op is None or call.op == op][-1]
    assert again.attributes == attributes
    assert repr(again) == repr(calls[-1])
    assert repr(again).startswith(f"{again.op}(")
    assert all(f"{name}=" in repr(again) for name in attributes)


def test_every_call_of_training_lists_its_attributes():
    """Forward, backward and update; what is random or counts differs, and only that."""

    def step():
        cnnx.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(8, 3),
        )  # fmt: skip
        optimizer = cnnx.optim.Adam(net.parameters(), lr=0.1)
        F.cross_entropy(net(X), cnnx.tensor([0, 2])).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

    first, second = calls_of(step), calls_of(step)
    assert [repr(call) for call in first] == [repr(call) for call in second]
    assert {"conv_backward_weight", "batch_norm_backward", "adam_step", "clip_grad_norm", "dropout"} <= {
        c.op for c in first
    }
    adam = next(call for call in first if call.op == "adam_step")
    assert adam.attributes["step.lr"] == 0.1


def test_inputs_and_results_are_told_apart_by_memory_and_version():
    x = cnnx.zeros(3)
    double, view, change = calls_of(lambda: (x * 2).view(3, 1).add_(1))
    assert double.inputs[0].storage == _C.RecordedTensor(x).storage
    assert double.inputs[1] is None  # the number
    assert view.is_view
    assert not change.is_view
    assert view.results[0].storage == double.results[0].storage == change.results[0].storage
    assert change.inputs[0].version == double.results[0].version
    assert change.results[0].version > change.inputs[0].version
    np.testing.assert_array_equal(change.results[0].tensor.numpy(), [[1], [1], [1]])


def test_calls_within_calls_are_part_of_them():
    x = cnnx.rand(32, 3, 6, 6)
    assert [c.op for c in calls_of(lambda: F.relu(F.conv2d(x, cnnx.ones(2, 3, 3, 3))))] == [
        "full",
        "conv2d",
        "relu",
    ]


def test_what_leaves_the_library_is_noted():
    x = cnnx.tensor([1.0, 2.0])
    assert [c.op for c in calls_of(lambda: (x.sum().item(), x.tolist(), bool(x[0]))) if c.is_read] == [
        "item", "numpy", "item"]  # fmt: skip
    assert [c.op for c in calls_of(lambda: x[x > 1]) if c.is_read] == ["nonzero"]


def test_a_call_that_fails_is_none():
    def fails():
        with pytest.raises(RuntimeError, match="do not broadcast"):
            cnnx.ones(2, 3, 4) @ cnnx.ones(5, 4, 3)

    assert [call.op for call in calls_of(fails)] == ["full", "full"]


def test_threads_record_for_themselves():
    start, done, found = threading.Barrier(2), threading.Barrier(2), {}

    def work(name, function):
        start.wait()
        _C.start_recording()
        for _ in range(20):
            function(cnnx.ones(2))
        done.wait()
        found[name] = {call.op for call in _C.stop_recording()}

    other = threading.Thread(target=work, args=("exp", cnnx.exp))
    other.start()
    work("sin", cnnx.sin)
    other.join()
    assert found == {"sin": {"full", "sin"}, "exp": {"full", "exp"}}


def test_one_recording_at_a_time():
    _C.start_recording()
    with pytest.raises(RuntimeError, match="this thread records already"):
        _C.start_recording()
    with pytest.raises(RuntimeError, match="profile: a profile or a recording of calls is under way already"):
        _C.profiler_start()
    _C.stop_recording()
    with pytest.raises(RuntimeError, match="does not record"):
        _C.stop_recording()
    with (
        cnnx.profiler.profile(),
        pytest.raises(RuntimeError, match="recording: a profile or a recording of calls is under way"),
    ):
        _C.start_recording()
    assert _C.recorded_calls() == 0
