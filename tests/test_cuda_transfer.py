"""Pinned memory, and copies between it and a device that nobody waits for.

With CNNX_EMU_DEFER=1 the emulation's work runs so late that a missing dependency shows.
"""

from __future__ import annotations

import gc

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx.utils.data import DataLoader, TensorDataset
from foreign import (
    DTYPES,
    two_devices,
)

pytestmark = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")


def test_pinned_memory() -> None:
    x = cnnx.arange(24, dtype=cnnx.float32).reshape(2, 3, 4)
    assert not x.is_pinned()
    pinned = x.transpose(0, 2).pin_memory()
    assert pinned.is_pinned()
    assert pinned.is_contiguous()
    assert pinned.pin_memory() is pinned
    assert pinned.tolist() == x.transpose(0, 2).tolist()
    assert pinned[1:].is_pinned()
    assert not (pinned + 1).is_pinned()
    address = pinned.data_ptr()
    del pinned
    assert x.pin_memory().data_ptr() == address
    assert not cnnx.empty(0).pin_memory().is_pinned()
    with pytest.raises(RuntimeError, match="pin_memory"):
        x.to("cuda").pin_memory()


@pytest.mark.parametrize("dtype", DTYPES)
def test_copies_without_a_wait(dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 2, (37, 5)).astype(dtype)
    source = cnnx.tensor(values).pin_memory()
    for tensor in (source, source.T, cnnx.tensor(values)):
        there = tensor.to("cuda", non_blocking=True)
        assert there.is_cuda
        back = there.to("cpu", non_blocking=True)
        assert back.is_pinned()
        cnnx.cuda.synchronize()
        assert back.tolist() == tensor.tolist()
    assert source.cuda(non_blocking=True).tolist() == values.tolist()
    for arguments in (("cpu", cnnx.float64, True), ("cpu", cnnx.float64, True, True)):
        as_double = source.to("cuda").to(*arguments)
        assert as_double.is_pinned()
        cnnx.cuda.synchronize()
        assert as_double.tolist() == values.astype(np.float64).tolist()


def test_a_loop_that_reads_ahead() -> None:
    """Each batch is copied while the step before it is under way, into the same few blocks."""
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=(64, 33)).astype(np.float32) for _ in range(12)]
    weight = cnnx.tensor(rng.normal(size=(33, 33)).astype(np.float32)).to("cuda")
    results, addresses = [], set()
    ahead = cnnx.tensor(batches[0]).pin_memory().to("cuda", non_blocking=True)
    for i in range(12):
        x = ahead
        addresses.add(x.data_ptr())
        y = x @ weight
        if i + 1 < 12:  # the pinned tensor goes at once, its memory stays until the copy is done
            ahead = cnnx.tensor(batches[i + 1]).pin_memory().to("cuda", non_blocking=True)
        results.append(y.sum(0).to("cpu", non_blocking=True))
    cnnx.cuda.synchronize()
    assert len(addresses) <= 4
    for batch, result in zip(batches, results, strict=True):
        expected = (batch.astype(np.float64) @ weight.cpu().numpy()).sum(0)
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-4, atol=1e-3)


def test_pinned_memory_is_not_reused_before_its_copy_is_done() -> None:
    copies = [cnnx.full((5000,), i).pin_memory().to("cuda", non_blocking=True) for i in range(4)]
    assert [copy.unique().tolist() for copy in copies] == [[0], [1], [2], [3]]
    result = copies[3]
    for _ in range(5):
        result = result + 1
    result.to("cpu", non_blocking=True)  # nobody wants it
    other = cnnx.zeros_like(result, device="cpu").pin_memory()
    cnnx.cuda.synchronize()
    assert not other.any()


@pytest.mark.parametrize("part", [slice(None), slice(4000, None)])
@pytest.mark.parametrize("in_place", [False, True])
def test_pinned_memory_is_uploaded_after_it_is_written(part: slice, in_place: bool) -> None:
    y = cnnx.zeros(5000, device="cuda")
    y[part].to("cpu").pin_memory().to("cuda", non_blocking=True)  # leaves a block whose last use is over
    cnnx.cuda.synchronize()
    for _ in range(8):
        y = y + 1
    host = y.to("cpu", non_blocking=True)[part]
    if in_place:
        back = cnnx.empty(*host.shape, device="cuda").copy_(host, non_blocking=True)
    else:
        back = host.to("cuda", non_blocking=True)
    assert back.unique().tolist() == [8]


@two_devices
def test_pinned_memory_is_uploaded_to_another_device_after_it_is_written() -> None:
    y = cnnx.zeros(3000, device="cuda:0")
    for _ in range(8):
        y = y + 1
    assert y.to("cpu", non_blocking=True).to("cuda:1", non_blocking=True).unique().tolist() == [8]


def test_copy_in_place_without_a_wait() -> None:
    source = cnnx.arange(6, dtype=cnnx.float32).pin_memory()
    target = cnnx.zeros(6, device="cuda")
    assert target.copy_(source, non_blocking=True) is target
    back = cnnx.empty(6).pin_memory()
    version = back._version
    back.copy_(target, non_blocking=True)
    assert back._version > version
    cnnx.cuda.synchronize()
    assert back.tolist() == [0, 1, 2, 3, 4, 5]
    wide = cnnx.empty(2, 6).pin_memory()
    wide.copy_(target, non_blocking=True)  # has to be broadcast, so it waits
    assert wide[1].tolist() == [0, 1, 2, 3, 4, 5]


def test_gradients_pass_through_a_copy_without_a_wait() -> None:
    x = cnnx.ones(3).pin_memory().requires_grad_()
    (x.to("cuda", non_blocking=True) * 3).sum().backward()
    assert x.grad.device.type == "cpu"
    assert x.grad.tolist() == [3, 3, 3]
    y = cnnx.ones(3, device="cuda", requires_grad=True)
    z = y.to("cpu", non_blocking=True)
    cnnx.cuda.synchronize()
    z.sum().backward()
    assert y.grad.is_cuda


def test_memory_of_copies_is_counted() -> None:
    gc.collect()  # graphs of other tests, which may lie in cycles, hold blocks of their own
    cnnx.cuda.empty_cache()
    before = cnnx.cuda.memory_allocated()
    source = cnnx.zeros(100_000).pin_memory()
    x = source.to("cuda", non_blocking=True)
    assert cnnx.cuda.memory_allocated() - before >= 400_000
    address = x.data_ptr()
    del x
    assert cnnx.cuda.memory_allocated() == before
    assert cnnx.cuda.memory_reserved() - before >= 400_000
    assert source.to("cuda", non_blocking=True).data_ptr() == address
    cnnx.cuda.synchronize()
    cnnx.cuda.empty_cache()
    assert cnnx.cuda.memory_reserved() == cnnx.cuda.memory_allocated()


def test_a_loader_with_pinned_batches() -> None:
    data = TensorDataset(cnnx.arange(10, dtype=cnnx.float32).reshape(5, 2), cnnx.arange(5))
    loader = DataLoader(data, batch_size=2, pin_memory=True)
    batches = list(loader)
    assert all(t.is_pinned() for batch in batches for t in batch)
    assert [y.tolist() for _, y in batches] == [[0, 1], [2, 3], [4]]
    samples = [{"a": cnnx.ones(2), "b": [1, "text"]}] * 3
    (batch,) = DataLoader(samples, batch_size=3, pin_memory=True)
    assert batch["a"].is_pinned()
    assert batch["b"][1] == ["text"] * 3
    assert not next(iter(DataLoader(data)))[0].is_pinned()


def test_a_loss_that_is_read_a_step_later() -> None:
    """As in docs/cuda.md."""
    cnnx.manual_seed(0)
    model = cnnx.nn.Linear(4, 1).to("cuda")
    optimizer = cnnx.optim.SGD(model.parameters(), lr=0.1)
    x = cnnx.randn(32, 4).to("cuda")
    y = x.sum(1, keepdim=True)
    losses, pending = [], None
    for _ in range(10):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        copy, ready = loss.detach().to("cpu", non_blocking=True), cnnx.cuda.Event()
        ready.record()
        if pending is not None:
            pending[1].synchronize()
            losses.append(pending[0].item())
        pending = copy, ready
    assert len(losses) == 9
    assert losses[-1] < losses[0] / 5
    assert losses == sorted(losses, reverse=True)


def test_a_module_moves_without_a_wait() -> None:
    net = cnnx.nn.Linear(50, 30)
    expected = [p.tolist() for p in net.parameters()]
    for parameter in net.parameters():
        parameter.data = parameter.data.pin_memory()
    net.to("cuda", non_blocking=True)
    copies = [p.detach().cpu().tolist() for p in net.parameters()]
    assert copies == expected
    net.to("cpu", non_blocking=True)
    cnnx.cuda.synchronize()
    assert [p.tolist() for p in net.parameters()] == expected
    assert all(p.is_pinned() for p in net.parameters())
