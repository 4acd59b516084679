"""Memory of functions made of others: in proportion to what goes in and comes out, with gradients too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cnnx

pytestmark = [pytest.mark.big, pytest.mark.cpu("the memory of the process")]

# Per function: the shapes of its arguments and the call. Each has some 4 MB of arguments and results.
CASES = {
    "cdist": ((400, 784), (400, 784), "cnnx.cdist(x, y)"),
    "cdist 1": ((400, 784), (400, 784), "cnnx.cdist(x, y, p=1)"),
    "cdist 3": ((400, 784), (400, 784), "cnnx.cdist(x, y, p=3)"),
    "cdist inf": ((400, 784), (400, 784), "cnnx.cdist(x, y, p=float('inf'))"),
    "cdist of a batch": ((8, 100, 300), (1, 100, 300), "cnnx.cdist(x, y)"),
    "var": ((1000, 1000), None, "x.var(1)"),
    "std of columns": ((1000, 1000), None, "x.std(0)"),
    "norm": ((1000, 1000), None, "x.norm(2, 1)"),
    "norm 3": ((1000, 1000), None, "x.norm(3, 1)"),
    "normalize": ((1000, 1000), None, "F.normalize(x)"),
    "cosine_similarity": ((1000, 500), (1000, 500), "F.cosine_similarity(x, y)"),
    "pairwise_distance": ((1000, 500), (1000, 500), "F.pairwise_distance(x, y)"),
    "cov": ((300, 3000), None, "cnnx.cov(x)"),
    "corrcoef": ((300, 3000), None, "cnnx.corrcoef(x)"),
    "sinh": ((1000, 1000), None, "cnnx.sinh(x)"),
    "logit": ((1000, 1000), None, "cnnx.logit(x, 1e-3)"),
    "hypot": ((1000, 500), (1000, 500), "cnnx.hypot(x, y)"),
    "hypot, broadcast": ((1000, 1), (1, 1000), "cnnx.hypot(x, y)"),
    "xlogy": ((1000, 500), (1000, 500), "cnnx.xlogy(x, y)"),
    "logaddexp": ((1000, 500), (1000, 500), "cnnx.logaddexp(x, y)"),
    "fmax": ((1000, 500), (1000, 500), "cnnx.fmax(x, y)"),
    "lerp": ((1000, 500), (1000, 500), "cnnx.lerp(x, y, 0.7)"),
    "tan": ((1000, 1000), None, "cnnx.tan(x)"),
    "nansum": ((1000, 1000), None, "cnnx.nansum(x, 1)"),
    "median": ((1000, 1000), None, "x.median(1).values"),
    "median of all": ((1000, 1000), None, "x.median()"),
    "quantile": ((1000, 1000), None, "x.quantile(0.3, 1)"),
    "histc": ((1000, 1000), None, "x.histc()"),
    "diff": ((1000, 1000), None, "x.diff()"),
    "multinomial": ((10, 20_000), None, "x.abs().multinomial(20_000, replacement=True)"),
    "softshrink": ((1000, 1000), None, "F.softshrink(x)"),
    "threshold": ((1000, 1000), None, "F.threshold(x, 0.1, 2.0)"),
    "glu": ((1000, 1000), None, "F.glu(x)"),
    "cross_entropy of probabilities": ((1000, 500), (1000, 500), "F.cross_entropy(x, y)"),
    "kl_div": ((1000, 500), (1000, 500), "F.kl_div(x, y, reduction='batchmean')"),
    "einsum": ((300, 1000), (300, 1000), "cnnx.einsum('ik,jk->ij', x, y)"),
    "tensordot": ((300, 1000), (300, 1000), "cnnx.tensordot(x, y, ([1], [1]))"),
}  # fmt: skip

# Every case in a child of its own, so that no memory is at hand from one before. The peak is set back first.
MEASURE = """
import os, sys, warnings
import cnnx, cnnx.nn.functional as F
warnings.simplefilter("ignore")
cnnx.set_num_threads(1)
def status(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) * 1024
for name, (first, second, call) in eval(sys.stdin.read()).items():
    for gradient in (False, True):
        reader, writer = os.pipe()
        if os.fork():
            os.close(writer)
            with os.fdopen(reader) as results:
                print(name, gradient, results.read(), sep="\\t", flush=True)
            os.wait()
            continue
        x = cnnx.randn(*first).requires_grad_(gradient)
        y = cnnx.randn(*(second or (1,))).abs_().requires_grad_(gradient)
        open("/proc/self/clear_refs", "w").write("5")
        before = status("VmRSS:")
        result = eval(call)
        if gradient and result.requires_grad:
            result.sum().backward()
        grown = status("VmHWM:") - before
        os.write(writer, f"{grown} {x.nbytes + y.nbytes + result.nbytes}".encode())
        os._exit(0)
"""


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak cannot be set back here"
)
def test_memory_is_in_proportion():
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        input=repr(CASES),
        env={**os.environ, "PYTHONPATH": str(Path(cnnx.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(lines) == 2 * len(CASES)
    wrong = []
    for name, gradient, measured in lines:
        grown, size = (int(number) for number in measured.split())
        # Some arrays of the size of all, for what the steps make and keep; places in a sort are int64.
        allowed = 14 * size + (4 << 20)
        if grown > allowed:
            wrong.append(
                f"{name}{' with its gradient' if gradient == 'True' else ''}: {grown / size:.1f} times"
            )
    assert not wrong, "\n".join(wrong)
