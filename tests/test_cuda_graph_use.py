"""CUDA graphs: their memory, what they refuse, threads, and what is left when a capture or a replay fails."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import cnnx
from cnnx import _C, optim, transforms
from cnnx.transforms.native import batch_transform
from foreign import emulation
from graphs import Training, assert_same, captured

pytestmark = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")


def test_memory_is_flat_over_replays_and_comes_back():
    gc.collect()
    training = Training().run(0, 2)
    before = cnnx.cuda.memory_allocated()
    training.capture()
    inside = cnnx.cuda.memory_allocated()
    training.run(2, 3)  # takes what copying a batch needs, for a capture begins with an empty cache
    reserved = cnnx.cuda.memory_reserved()
    training.run(3, 12)
    assert cnnx.cuda.memory_allocated() == inside
    assert cnnx.cuda.memory_reserved() == reserved
    training.run(12, 14, eager=True)  # with gradients of its own, in eager memory
    training.run(14, 16)
    training.optimizer.zero_grad()
    del training.loss
    training.graph.reset()
    training.run(16, 18, eager=True)
    assert cnnx.cuda.memory_allocated() == before
    cnnx.cuda.empty_cache()
    assert cnnx.cuda.memory_reserved() == before


def test_eager_work_gets_no_block_of_a_graph():
    training = Training().run(0, 1).capture()
    sizes = [1 << k for k in range(6, 18)]
    others = [cnnx.full((n,), float(n), device="cuda") for n in sizes for _ in range(20)]
    training.run(1, 3)
    for tensor in others:
        assert (tensor == tensor.numel()).all()


def test_a_graph_outlives_what_it_works_on():
    training = Training().run(0, 1)
    a = cnnx.arange(1000.0, device="cuda")
    b = a * 2
    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        c = a + b[3]
    del a, b
    others = [cnnx.full((1000,), -1.0, device="cuda") for _ in range(8)]
    graph.replay()
    np.testing.assert_array_equal(c.cpu().numpy(), np.arange(1000) + 6)
    del graph
    gc.collect()
    np.testing.assert_array_equal(c.cpu().numpy(), np.arange(1000) + 6)
    others += [cnnx.full((1000,), -1.0, device="cuda") for _ in range(8)]
    np.testing.assert_array_equal(c.cpu().numpy(), np.arange(1000) + 6)
    training.capture()
    graph = training.graph
    loss = training.loss
    training.graph = None
    del training
    gc.collect()
    graph.replay()
    assert np.isfinite(loss.item())


ERRORS = {
    "item": (lambda x: x.sum().item(), "item"),
    "bool": (lambda x: bool(x.sum() > 0), "item"),
    "print": (str, "captured"),
    "cpu": (lambda x: x.cpu(), "to"),
    "copy_": (lambda x: x.copy_(cnnx.ones(4, device="cpu")), "to"),
    "tensor": (lambda x: cnnx.tensor([1.0, 2.0], device="cuda"), "captured"),
    "nonzero": (lambda x: x.nonzero(), "captured"),
    "mask": (lambda x: x[x > 0], "captured"),
    "index": (lambda x: x[cnnx.tensor([0, 1])], "captured"),
    "synchronize": (lambda x: cnnx.cuda.synchronize(), "synchronize"),
    "stream": (lambda x: cnnx.cuda.current_stream().synchronize(), "captured"),
    "event": (lambda x: cnnx.cuda.Event().record(), "Event.record"),
    "non_blocking": (lambda x: cnnx.ones(3, device="cpu").pin_memory().to("cuda", non_blocking=True), "to"),
    "empty_cache": (lambda x: cnnx.cuda.empty_cache(), "empty_cache"),
    "memory": (lambda x: cnnx.empty(1 << 42, device="cuda"), "out of memory"),
    "manual_seed": (lambda x: cnnx.manual_seed(3), "manual_seed"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_needs_the_device_is_refused_and_the_program_goes_on(name):
    function, text = ERRORS[name]
    training = Training().run(0, 1)
    x = cnnx.arange(4.0, device="cuda")
    before = cnnx.cuda.memory_allocated()
    graph = cnnx.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match=text):
        captured(lambda: function(x * 2), graph)
    assert not cnnx.cuda.is_current_stream_capturing()
    assert cnnx.cuda.memory_allocated() == before
    with pytest.raises(RuntimeError, match="no captured work"):
        graph.replay()
    cnnx.manual_seed(2)
    if name != "memory":
        function(x)
    with cnnx.cuda.graph(graph):  # the same graph may be tried again, also after an error that was caught
        with pytest.raises(RuntimeError, match=text):
            function(x)
        y = x * 3
    graph.replay()
    assert y.tolist() == (x * 3).tolist()
    eager = Training().run(0, 4).everything()
    training = Training().run(0, 1).capture()
    assert_same(eager, training.run(1, 4).everything())


def test_an_error_of_the_program_ends_the_capture():
    x = cnnx.ones(4, device="cuda")
    with pytest.raises(ZeroDivisionError):
        captured(lambda: x.mul_(2) if 1 / 0 else None)
    with pytest.raises(ZeroDivisionError):
        captured(lambda: (x.mul_(2), 1 / 0))
    assert x.tolist() == [1, 1, 1, 1]
    graph = cnnx.cuda.CUDAGraph()
    graph.capture_begin()
    x.mul_(2)
    graph.capture_end()
    graph.replay()
    graph.replay()
    assert x.tolist() == [4, 4, 4, 4]


def test_misuse():
    x = cnnx.ones(4, device="cuda")
    graph, other = cnnx.cuda.CUDAGraph(), cnnx.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match=r"^replay: the graph holds no captured work"):
        graph.replay()
    with pytest.raises(RuntimeError, match="capture_end"):
        graph.capture_end()
    with cnnx.cuda.graph(graph):
        x.add_(1)
        with pytest.raises(RuntimeError, match="capture_begin: this thread"):
            other.capture_begin()
        with pytest.raises(RuntimeError, match="reset"):
            graph.reset()
    with pytest.raises(RuntimeError, match="capture_begin: the graph holds"):
        graph.capture_begin()
    with pytest.raises(RuntimeError, match="inside a capture"):
        captured(graph.replay, other)
    graph.replay()
    assert x.tolist() == [2, 2, 2, 2]
    graph.reset()
    graph.reset()
    with pytest.raises(RuntimeError, match="no captured work"):
        graph.replay()
    with pytest.raises(NotImplementedError):
        cnnx.cuda.CUDAGraph(keep_graph=True)
    with pytest.raises(NotImplementedError, match="pool"), cnnx.cuda.graph(graph, pool=(0, 1)):
        pass
    stream = cnnx.cuda.ExternalStream(1)
    with pytest.raises(NotImplementedError, match="stream"):
        cnnx.cuda.graph(graph, stream=stream)
    with cnnx.cuda.graph(graph, stream=cnnx.cuda.current_stream()):
        x.add_(1)
    graph.replay()
    assert x.tolist() == [3, 3, 3, 3]
    graph.reset()
    with pytest.raises(ValueError, match="capture_error_mode"):
        graph.capture_begin(capture_error_mode="none")


def test_steps_that_cannot_be_captured_or_replayed():
    training = Training("dense", "Adam")
    with pytest.raises(
        RuntimeError, match="makes its state in its first step; one has to run before one is captured"
    ):
        training.capture()
    training.run(0, 1).capture().run(1, 2)
    training.optimizer.load_state_dict(training.optimizer.state_dict())
    with pytest.raises(RuntimeError, match="adam_step: the exp_avg of parameter 0 has changed since"):
        training.graph.replay()
    training.run(2, 3, eager=True).capture().run(3, 4)
    more = cnnx.ones(3, device="cuda").requires_grad_()
    training.optimizer.add_param_group({"params": [more]})
    training.graph.replay()  # without a gradient it takes no part, as in an eager step
    more.sum().backward()
    with pytest.raises(RuntimeError, match="capture"):
        training.graph.replay()

    training = Training("dense", "momentum").run(0, 1).capture()
    training.optimizer.param_groups[0]["momentum"] = 0
    with pytest.raises(RuntimeError, match="sgd_step: the momentum_buffer of parameter 0 has changed"):
        training.graph.replay()

    weight = cnnx.ones(3, device="cpu").requires_grad_()
    weight.sum().backward()
    on_cpu = optim.SGD([weight], lr=1.0)
    with pytest.raises(RuntimeError, match="SGD: parameter 0 is on cpu"):
        captured(on_cpu.step)
    assert weight.tolist() == [1, 1, 1]


def test_generators_in_one_state_are_refused():
    x = cnnx.empty(8, device="cuda")
    cnnx.manual_seed(4)
    other = cnnx.Generator().manual_seed(4)
    with pytest.raises(RuntimeError, match="two generators in the same state"):
        captured(lambda: (x.normal_(), x.normal_(0, 1, generator=other)))


def test_other_threads_are_refused_meanwhile():
    x = cnnx.ones(4, device="cuda")
    caught = []

    def work():
        assert not cnnx.cuda.is_current_stream_capturing()
        try:
            x + 1
        except RuntimeError as error:
            caught.append(str(error))

    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        y = x + 2
    graph.replay()
    assert y.tolist() == [3, 3, 3, 3]

    def begin():
        cnnx.cuda.CUDAGraph().capture_begin()
        x.add_(1)

    thread = threading.Thread(target=begin)  # whose capture ends with it
    thread.start()
    thread.join()
    gc.collect()
    assert x.tolist() == [1, 1, 1, 1]
    assert len(caught) == 1
    assert "another thread is capturing" in caught[0]


@pytest.mark.parametrize("aborted", [False, True])
def test_a_transform_first_met_in_a_capture(aborted):
    pixels = np.random.default_rng(3).integers(0, 256, (4, 3, 9, 8)).astype(np.uint8)
    chain = transforms.Compose([transforms.RandomCrop((5, 6), padding=2), transforms.ToTensor()])
    native = batch_transform(chain, 3, 255)
    index = cnnx.arange(4)

    def gathered(device):
        images = cnnx.tensor(pixels).to(device)
        return lambda: _C.transform_images(images, where, 0, 4, native, (1, 2), where)

    where = index
    want = gathered("cpu")().numpy()
    where = index.to("cuda")
    run = gathered("cuda")
    graph = cnnx.cuda.CUDAGraph()
    if aborted:
        with pytest.raises(ZeroDivisionError):
            captured(lambda: (run(), 1 / 0), graph)
    else:
        made = captured(run, graph)
    np.testing.assert_array_equal(run().cpu().numpy(), want)
    if not aborted:
        graph.replay()
        np.testing.assert_array_equal(made.cpu().numpy(), want)


def steps_of(optimizer):
    return [float(entry["step"]) for entry in optimizer.state_dict()["state"].values()]


def test_a_replay_that_is_refused_leaves_all_as_it_was():
    def train(replays):
        training = Training("dense", "Adam")
        weight = cnnx.ones(3, device="cuda").requires_grad_()
        other = optim.Adam([weight], lr=0.1)
        step = training.step

        def both():
            loss = step()
            training.optimizer.step()  # twice in a step: the second counts on from the first
            other.zero_grad()
            (weight**2).sum().backward()
            other.step()
            return loss

        training.step = both
        training.run(0, 2)
        if replays:
            training.capture().run(2, 3)
            other.load_state_dict(other.state_dict())
            before = cnnx.get_rng_state().tolist(), training.net.state_dict()["1.weight"].tolist()
            for _ in range(2):
                with pytest.raises(RuntimeError, match="capture it again"):
                    training.graph.replay()
            assert (cnnx.get_rng_state().tolist(), training.net.state_dict()["1.weight"].tolist()) == before
            assert set(steps_of(training.optimizer)) == {6.0}
            training.capture().run(3, 5)
        else:
            training.run(2, 5)
        return [*training.everything(), weight.detach().cpu().numpy(), np.array(steps_of(other))]

    assert_same(train(False), train(True))


def in_a_process(program, **variables):
    """Runs the program with other settings of the emulation."""
    return subprocess.run(
        [sys.executable, "-c", "import gc, threading, cnnx\n" + program],
        env={**os.environ, **variables},
        check=True,
        timeout=120,
    )


@emulation
def test_a_replay_that_fails_on_the_device_counts_nothing():
    in_a_process(
        """
import ctypes
from cnnx import _C
library = ctypes.CDLL(_C.__file__)
library.cuda_on_cpu_malloc.restype = ctypes.c_void_p
block = library.cuda_on_cpu_malloc(0, 12)
class Array:  # larger than its block, so that writing to it is a fault
    __cuda_array_interface__ = dict(shape=(40,), typestr="<f4", data=(block, False), version=3)
theirs = cnnx.as_tensor(Array())
weight = cnnx.ones(3, device="cuda").requires_grad_()
optimizer = cnnx.optim.Adam([weight], lr=0.1)
def step():
    optimizer.zero_grad()
    cnnx.nn.functional.dropout(weight).sum().backward()
    optimizer.step()
def numbers():
    return optimizer.state_dict()["state"][0]["step"].item(), cnnx.get_rng_state().tolist()
step()
graph = cnnx.cuda.CUDAGraph()
with cnnx.cuda.graph(graph):
    step()
    theirs.fill_(2)
before = numbers()
assert before[0] == 1
try:
    graph.replay()
except RuntimeError as error:
    assert str(error).startswith("replay: "), error
else:
    raise AssertionError
assert numbers() == before
""",
        CNNX_EMU_DEFER="0",
    )


@emulation
def test_a_capture_has_the_memory_that_is_cached():
    in_a_process(
        """
x = cnnx.ones(6 << 20, device="cuda")
del x
graph = cnnx.cuda.CUDAGraph()
with cnnx.cuda.graph(graph):
    y = cnnx.ones(11 << 20, device="cuda")
graph.replay()
assert y[-1].item() == 1
""",
        CNNX_EMU_MEMORY="64",
    )


@emulation
def test_memory_of_another_device_that_comes_back_during_a_capture():
    in_a_process(
        """
x = cnnx.ones(1000, device="cuda:1")
before = cnnx.cuda.memory_allocated(1)
y = x + 1
assert y.__cuda_array_interface__["data"]  # somebody may use it on the legacy default stream
with cnnx.cuda.graph(cnnx.cuda.CUDAGraph()):
    z = cnnx.ones(3, device="cuda:0") + 1
    del y
assert cnnx.cuda.memory_allocated(1) == before
""",
        CNNX_EMU_DEVICES="2",
    )


@emulation
def test_a_capture_is_dropped_by_a_thread_that_captures_another_device():
    in_a_process(
        """
graphs = [cnnx.cuda.CUDAGraph()]
x, z = (cnnx.ones(100, device=device) for device in ("cuda:0", "cuda:1"))
cnnx.manual_seed(3)
first = cnnx.nn.functional.dropout(x).tolist()
cnnx.manual_seed(3)
def begin():
    graphs[0].capture_begin()
    cnnx.nn.functional.dropout(x)
thread = threading.Thread(target=begin)
thread.start()
thread.join()
graph = cnnx.cuda.CUDAGraph()
with cnnx.cuda.device(1), cnnx.cuda.graph(graph):
    graphs.clear()
    gc.collect()
    y = z * 2
graph.replay()
assert y.tolist() == [2] * 100
assert cnnx.nn.functional.dropout(x).tolist() == first
""",
        CNNX_EMU_DEVICES="2",
    )
