"""No device, and several of them (CNNX_EMU_DEVICES=2 on the emulation)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import cnnx
from foreign import (
    Foreign,
    Producer,
    emulation,
    two_devices,
)

pytestmark = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")


# --- no device ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_is_told_so() -> None:
    x = cnnx.ones(2, device="cuda")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for act in (lambda: x + 1, lambda: cnnx.ones(2, device="cuda"), cnnx.cuda.current_device):
                with pytest.raises(RuntimeError) as caught:
                    act()
                os.write(writing, f"{caught.value}\n".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        texts = pipe.read().splitlines()
    assert len(texts) == 3
    assert all("forked after CUDA was used" in text for text in texts), texts
    assert (x + 1).tolist() == [2, 2]


@emulation
def test_why_there_is_no_device() -> None:
    program = "import cnnx, cnnx.cli.info as i; print(i.cuda_text()); cnnx.ones(2, device='cuda')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"CNNX_EMU_DEVICES": "0", "CNNX_TEST_DEVICE": ""},
        capture_output=True,
        text=True,
    )
    assert "no CUDA-capable device is detected" in done.stdout
    assert "no CUDA device is available: no CUDA-capable device is detected" in done.stderr


# --- several devices -----------------------------------------------------------------------------------


@two_devices
def test_the_current_device() -> None:
    assert cnnx.cuda.current_device() == 0
    with cnnx.cuda.device(1):
        assert cnnx.cuda.current_device() == 1
        assert cnnx.ones(2, device="cuda").device.index == 1
        assert cnnx.ones(2).cuda().get_device() == 1
        assert cnnx.cuda.current_stream().device.index == 1
        with cnnx.cuda.device_of(cnnx.ones(1, device="cuda:0")), cnnx.cuda.device(None):
            assert cnnx.ones(2, device="cuda").get_device() == 0
        seen = []
        thread = threading.Thread(target=lambda: seen.append(cnnx.ones(1, device="cuda").get_device()))
        thread.start()
        thread.join()
        assert seen == [0]  # each thread has its own
    assert cnnx.cuda.current_device() == 0
    cnnx.cuda.set_device("cuda:1")
    assert cnnx.cuda.current_device() == 1
    cnnx.cuda.set_device(-1)
    assert cnnx.cuda.current_device() == 1
    cnnx.cuda.set_device(0)
    with pytest.raises(RuntimeError, match="cuda:99"):
        cnnx.cuda.set_device(99)
    with pytest.raises(ValueError, match="CUDA device"):
        cnnx.cuda.set_device("cpu")


@two_devices
def test_work_on_another_device_leaves_the_current_one() -> None:
    """PyTorch and CuPy in the same thread rely on it, and change it as they like between our calls."""
    here, there = cnnx.randn(9, 5).to("cuda:0"), cnnx.randn(9, 5).to("cuda:1")
    for current in (0, 1, 0):
        cnnx.cuda.set_device(current)
        for x in (here, there, here):
            y = (x.relu() @ x.T).sum(0)
            assert y.device == x.device
            assert cnnx.cuda.current_device() == current
            np.testing.assert_allclose(
                y.cpu().numpy(),
                (np.maximum(x.cpu().numpy(), 0) @ x.cpu().numpy().T).sum(0),
                rtol=1e-4,
                atol=1e-5,
            )
    cnnx.cuda.set_device(0)


@two_devices
def test_between_devices() -> None:
    x = cnnx.arange(6, device="cuda:0").reshape(2, 3)
    y = x.to("cuda:1")
    assert y.device.index == 1
    assert y.tolist() == x.tolist()
    assert y.T.to("cuda:0").tolist() == x.T.tolist()
    with pytest.raises(RuntimeError, match=r"cuda:0.*cuda:1"):
        x + y
    x.copy_(y * 2)
    assert x.tolist() == [[0, 2, 4], [6, 8, 10]]
    model = cnnx.nn.Linear(3, 2).to("cuda:1")
    model(y.float()).sum().backward()
    assert model.weight.grad.device.index == 1
    before = cnnx.cuda.memory_allocated(0)
    big = cnnx.empty(10_000, device="cuda:1")
    assert cnnx.cuda.memory_allocated(0) == before
    assert cnnx.cuda.memory_allocated(big.device) >= 40_000
    assert y.__dlpack_device__() == (2, 1)
    assert cnnx.from_dlpack(Producer(y)).device.index == 1
    assert cnnx.from_dlpack(x.__dlpack__(dl_device=(2, 1))).device.index == 1
    assert cnnx.from_cuda_array(y).device.index == 1
    assert y.__cuda_array_interface__["stream"] == cnnx.cuda.current_stream(1).cuda_stream
    pinned = cnnx.ones(4).pin_memory()
    assert (pinned.to("cuda:1", non_blocking=True) + 1).tolist() == [2] * 4
    event = cnnx.cuda.current_stream(1).record_event()
    cnnx.cuda.current_stream(0).wait_event(event)
    cnnx.cuda.current_stream(0).wait_stream(cnnx.cuda.current_stream(1))
    with pytest.raises(RuntimeError, match="belongs to cuda:1"):
        event.record(cnnx.cuda.current_stream(0))


@emulation
def test_emptying_the_cache_uses_no_other_device() -> None:
    program = """if True:
        import ctypes, cnnx
        x = cnnx.ones(3, device="cuda:0")
        cnnx.cuda.empty_cache()
        count = ctypes.CDLL(cnnx._C.__file__).cuda_on_cpu_stream_count
        assert (count(0), count(1)) == (1, 0), (count(0), count(1))
        assert x.tolist() == [1, 1, 1]
    """
    subprocess.run([sys.executable, "-c", program], env=os.environ | {"CNNX_EMU_DEVICES": "2"}, check=True)


@two_devices
@emulation
def test_an_array_of_another_device() -> None:
    array = Foreign(device=1).array(np.arange(3.0))
    assert cnnx.as_tensor(array).device.index == 1
