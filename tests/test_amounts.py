"""Arguments that decide an amount are checked before anything of that amount happens."""

import json
import subprocess
import sys

import pytest

import cnnx

pytestmark = pytest.mark.cpu("limits of the address space")

# What asks for more than there is: one line, at once, without a table growing first.
REFUSED = """
torch.tensor([1, 2]).repeat_interleave(10**12)
torch.tensor([1, 2]).repeat_interleave(2**62)
torch.tensor([1, 2]).repeat_interleave(torch.tensor([2**62, 2**62]))
torch.tensor([1, 2]).repeat_interleave(torch.tensor([2**40, 1]))
torch.zeros(10**6).repeat_interleave(10**6)
torch.tensor([1, 2]).repeat_interleave(torch.tensor([1, -1]))
torch.tensor([1, 2]).repeat_interleave(1.5)
torch.ones(2).repeat(2**62)
torch.ones(2).repeat(2**31, 2**31, 2**31)
torch.ones(2).tile((2**62,))
torch.ones(1).expand(2**62).contiguous()
torch.ones(1).expand(2**62) + 1
torch.ones(1).expand(2**62, 2**62)
torch.ones(1).expand(2**31, 2**31, 4).clone()
torch.ones(1).expand(10**12).sort()
torch.ones(1).expand(10**12).unbind()
torch.ones(1).expand(10**12).split(1)
torch.ones(1).expand(10**12).chunk(10**12)
torch.ones(0).chunk(2**62)
list(torch.ones(1).expand(10**12))
torch.arange(2**62)
torch.arange(0, 1, 1e-300)
torch.arange(0, 1e13, 1.0)
torch.linspace(0, 1, 2**62)
torch.linspace(0, 1, 2**63)
torch.logspace(0, 1, 2**62)
torch.eye(2**31)
torch.eye(2**63)
F.one_hot(torch.tensor([0]), 2**62)
F.one_hot(torch.tensor([2**63 - 1]))
torch.randperm(10**12)
torch.tensor([0]).bincount(minlength=2**62)
torch.tensor([2**62]).bincount()
torch.tensor([2**63 - 1]).bincount()
torch.histc(torch.ones(4), bins=10**12)
torch.multinomial(torch.ones(4), 10**12, replacement=True)
torch.zeros(2**62)
torch.zeros(2**63)
torch.empty(0, 2**62, 2**62)
torch.ones(2**40)
torch.rand(2**40)
torch.ByteTensor(2**63)
F.pad(torch.ones(2), (2**62, 0))
F.pad(torch.ones(2), (0, 10**12))
F.pad(torch.ones(2), (2**63, 0))
F.pad(torch.ones(1, 1, 2, 2), (2**40, 0, 2**40, 0))
F.pad(torch.ones(1, 1, 2, 2), (2**40, 0, 0, 0), mode="replicate")
F.pad(torch.ones(1, 1, 2, 2, dtype=torch.int64), (2**40, 0, 0, 0), mode="replicate")
F.unfold(torch.ones(1, 1, 4, 4), 2**31)
F.unfold(torch.ones(1, 1, 4, 4), 1, padding=2**30)
F.unfold(torch.ones(1, 1, 4, 4), 2, padding=2**61, dilation=2**62)
F.unfold(torch.ones(1, 1, 4, 4), 1, stride=2**62)
F.fold(torch.ones(1, 4, 9), (2**31, 2**31), 2)
F.conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2), padding=10**6)
F.conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2), padding=2**62)
F.conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2), stride=2**62)
F.conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2), padding="same", dilation=2**62)
F.conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2), padding=2**61, dilation=2**62)
F.conv_transpose2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2), stride=10**5)
F.conv_transpose2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2), stride=2**62)
F.conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2), dilation=2**30, padding=2**29)
F.conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2), dilation=2**31 - 2, padding=2**30 - 1)
F.max_pool2d(torch.ones(1, 1, 4, 4), 2**62, padding=2**61)
F.avg_pool2d(torch.ones(1, 1, 4, 4), 2**62, ceil_mode=True, padding=2**61)
F.avg_pool2d(torch.ones(1, 1, 4, 4), 2, stride=2**62, ceil_mode=True)
F.adaptive_avg_pool2d(torch.ones(1, 1, 4, 4), 10**6)
F.adaptive_max_pool1d(torch.ones(1, 1, 4), 10**12)
torch.cat([torch.ones(1).expand(2**62)] * 4)
torch.stack([torch.ones(1).expand(2**40)] * 4)
torch.ones(4).view(2**62, 4)
torch.ones(4).reshape(-1, 2**63)
torch.ones(4).unflatten(0, (2**32, 2**32, -1))
torch.ones(2).diag(2**62)
torch.ones(2).diag(-(2**63))
torch.randint(0, 2**63, (2,))
torch.Generator().manual_seed(2**64)
torch.manual_seed(-(2**63) - 1)
nn.Linear(10**9, 10**9)
nn.Linear(2**63, 1)
nn.Conv2d(1, 1, 2**31)
nn.BatchNorm2d(10**12)
nn.LayerNorm((2**40, 2**40))
T.Resize(2**31)(torch.ones(1, 4, 4))
T.Resize(10**6)(torch.ones(1, 4, 4))
T.functional.resize(torch.ones(1, 4, 4), [2**62, 1])
T.Pad(2**31)(torch.ones(1, 4, 4))
T.Pad(2**62)(torch.ones(1, 4, 4))
T.CenterCrop(2**31)(torch.ones(1, 4, 4))
T.functional.crop(torch.ones(1, 4, 4), 0, 0, 2**31, 2**31)
""".strip().splitlines()

# Large numbers that decide no amount.
FINE = {
    "torch.ones(2, 2).tril(2**62).sum().item()": 4.0,
    "torch.ones(2, 2).triu(2**63 - 1).sum().item()": 0.0,
    "torch.ones(2, 2).roll(2**62).sum().item()": 4.0,
    "len(torch.ones(2, 2).diagonal(2**62))": 0,
    "torch.ones(4)[2**62 : 2**63].numel()": 0,
    "len(torch.ones(4).chunk(2**62))": 4,
    "len(torch.ones(4).split(2**62))": 1,
    "torch.ones(4).diff(n=2**62).numel()": 0,
    "torch.tensor([1, 2]).repeat_interleave(torch.tensor([0, 3])).tolist()": [2, 2, 2],
    "torch.arange(4.0).reshape(2, 2).repeat_interleave(2, 1).tolist()": [[0, 0, 1, 1], [2, 2, 3, 3]],
    "F.max_pool2d(torch.ones(1, 1, 4, 4), 2**30, padding=2**29 - 2, stride=2**30, ceil_mode=True).numel()": 1,
    "F.unfold(torch.ones(1, 1, 4, 4), 2, padding=2**29, dilation=2**30).sum().item()": 0.0,
    "torch.Generator().manual_seed(2**64 - 1).initial_seed() == 2**64 - 1": True,
}

CHILD = """
import json, resource, sys, time, warnings
import cnnx as torch
import cnnx.nn.functional as F, cnnx.transforms as T
from cnnx import nn
warnings.simplefilter("ignore")
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
for source in json.load(sys.stdin):
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    try:
        kind, text = "", eval(source)
    except Exception as error:
        kind, text = type(error).__name__, str(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    text = text if isinstance(text, (str, int, float, list)) else ""
    print(json.dumps([source, kind, text, grown]), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes():
    """What came of each source: (kind of error or "", text or value, kB that the process grew by)."""
    sources = [*REFUSED, *FINE]
    done = subprocess.run(
        [sys.executable, "-c", CHILD], input=json.dumps(sources), capture_output=True, text=True, check=False
    )
    got = {source: rest for source, *rest in map(json.loads, done.stdout.splitlines())}
    missing = [source for source in sources if source not in got]
    assert not missing, f"{missing[0]} ended the process: {done.returncode} {done.stderr[-500:]}"
    return got


@pytest.mark.parametrize("source", REFUSED)
def test_too_much_is_refused_at_once(outcomes, source):
    kind, text, grown = outcomes[source]
    assert kind in ("RuntimeError", "MemoryError", "ValueError", "IndexError", "TypeError"), (kind, text)
    assert text
    assert "\n" not in text
    assert "std::" not in text
    assert "vector" not in text
    assert grown < 100_000  # of 1 GB


@pytest.mark.parametrize("source", FINE)
def test_large_numbers_that_are_no_amounts(outcomes, source):
    kind, value, grown = outcomes[source]
    assert (kind, value) == ("", FINE[source])
    assert grown < 100_000


def test_repeat_interleave_and_its_gradient():
    torch = pytest.importorskip("torch")
    for shape, repeats, dim in (
        ((3, 2), 3, None), ((3, 2), 0, 1), ((3, 2), [1, 0, 2], 0), ((3, 2), [2, 1], -1), ((), 2, None),
        ((4,), [3], 0),
    ):  # fmt: skip
        both = []
        for m in (cnnx, torch):
            x = m.arange(float(max(1, cnnx.zeros(shape).numel()))).reshape(shape).requires_grad_()
            times = m.tensor(repeats) if isinstance(repeats, list) else repeats
            y = m.repeat_interleave(x, times, dim)
            (y * y).sum().backward()
            both.append((y.tolist(), x.grad.tolist()))
        assert both[0] == both[1], (shape, repeats, dim)
