"""ONNX export of nets that compute with the size of the batch: right at every size, or refused."""

import numpy as np
import pytest

import cnnx
from cnnx import nn
from cnnx.nn import functional as F
from drawn import given, settings, st

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
check = pytest.importorskip("cnnx.onnx.check")
extent = pytest.importorskip("cnnx.tracing.extent")

SIZES = (1, 2, 3, 4, 5, 8, 16, 31, 37, 64, 100)


def of(function):
    """A function as a model."""

    class Net(nn.Module):
        def forward(self, *inputs):
            return function(*inputs)

    return Net()


def run(proto, *inputs):
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {given.name: x.numpy() for given, x in zip(session.get_inputs(), inputs, strict=True)}
    return session.run(None, feed)[0]


def right_or_refused(function, shape=(6,), own=4, sizes=SIZES):
    """Exports and compares at many sizes. Returns whether it was exported."""
    net = of(function)
    try:
        proto = cnnx.onnx.export(net, cnnx.ones(own, *shape))
    except (ValueError, NotImplementedError) as error:
        text = str(error)
        assert text.startswith("onnx.export: ")
        assert "\n" not in text
        return False
    for size in (*sizes, own):
        x = cnnx.rand(size, *shape)
        try:
            want = function(x).numpy()
        except RuntimeError:  # the model itself has no meaning at this size
            continue
        got = run(proto, x)
        assert got.shape == want.shape, size
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5, err_msg=f"size {size}")
    return True


BAKED = {
    "first half": lambda x: x[: x.size(0) // 2],
    "second half": lambda x: x[x.size(0) // 2 :],
    "halves subtracted": lambda x: x[: len(x) // 2].sum() - x[len(x) // 2 :].sum(),
    "roll": lambda x: x.roll(len(x) // 2, 0),
    "narrow": lambda x: x.narrow(0, 0, len(x) // 2 + 1),
    "narrow from the end": lambda x: x.narrow(0, -(len(x) // 2), 1),
    "times": lambda x: x * (len(x) // 4 + 1),
    "plus a remainder": lambda x: x + len(x) // 2 % 2,
    "power": lambda x: x ** (1 + len(x) // 3 % 2),
    "a step": lambda x: x[:: len(x) // 2],
    "min": lambda x: x * min(len(x), 2),
    "max": lambda x: x * max(len(x), 3),
    "index": lambda x: x[len(x) // 2],
    "select": lambda x: x.select(0, len(x) // 2),
    "reshape": lambda x: x.reshape(len(x) // 2 + 1, -1) if len(x) < 4 else x[:1],
    "arange": lambda x: x[:, :1] + cnnx.arange(len(x) // 2 + 1.0).sum(),
    "eye": lambda x: x + cnnx.eye(len(x) // 2).sum(),
    "linspace": lambda x: x + cnnx.linspace(0, 1, len(x) // 2 + 1).sum(),
    "full": lambda x: x + cnnx.full((len(x) // 2,), 2.0).sum(),
    "mean of half by hand": lambda x: x.sum(0) / (len(x) // 2),
    "chunk by size": lambda x: x.split(len(x) // 2 + 1)[0],
    "split in two": lambda x: cnnx.stack([x.split(2)[0].sum(), x.sum()]),
    "chunk": lambda x: x.chunk(2)[0],
    "repeat": lambda x: x.repeat(len(x) // 2, 1),
    "expand": lambda x: x[:1].expand(len(x) // 2, -1),
    "repeat_interleave": lambda x: x.repeat_interleave(len(x) // 2, 0),
    "cumulated": lambda x: x.cumsum(0)[len(x) // 2],
    "top": lambda x: x.topk(len(x) // 2, dim=0)[0],
    "if it is more than two": lambda x: x if len(x) > 2 else -x,
    "if it is more than five": lambda x: x if len(x) > 5 else -x,
    "if it is even": lambda x: x if len(x) // 2 % 2 else 2 * x,
    "dropout by size": lambda x: F.dropout(x, 0.5, training=len(x) > 5),
    "pool by size": lambda x: F.avg_pool1d(x[:, None], 1 + len(x) // 4),
    "adaptive by size": lambda x: F.adaptive_avg_pool1d(x[:, None], 1 + len(x) // 4),
    "pad by size": lambda x: F.pad(x, (0, len(x) // 2)),
    "squeeze": lambda x: x[: len(x) // 2].squeeze(),
    "permuted": lambda x: x[cnnx.arange(len(x) // 2)],
    "a table": lambda x: x + cnnx.arange(10.0)[len(x) // 2],
    "clamped": lambda x: x.clamp(max=1 / (1 + len(x) // 4)),
    "a bit": lambda x: x * (len(x) >> 1),
    "log": lambda x: x * len(x).bit_length(),
}  # fmt: skip


@pytest.mark.parametrize("name", BAKED)
def test_sizes_that_two_passes_cannot_tell(name):
    assert not right_or_refused(BAKED[name])


RIGHT = {
    "view": lambda x: x.view(x.size(0), 2, 3).sum(2),
    "mean": lambda x: x - x.mean(0),
    "rows": lambda x: x.reshape(len(x) * 2, 3),
    "steps": lambda x: x[::2],
    "reversed": lambda x: x.flip(0),
    "rolled": lambda x: x.roll(1, 0),
    "last": lambda x: x[-1],
    "but the last": lambda x: x[:-1],
    "at most two": lambda x: x[: min(len(x), 2)],
    "products": lambda x: x @ x.t(),
    "cat": lambda x: cnnx.cat([x, x[:1]], 0),
    "two extents": lambda x: (x[:, None] - x[None]).abs().sum(2),
    "max": lambda x: x.max(0)[0],
    "std": lambda x: x.std(0, correction=0),
    "half of the features": lambda x: x[:, : x.size(1) // 2],
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_follows_the_batch(name):
    assert right_or_refused(RIGHT[name], sizes=[s for s in SIZES if s > 2])


ARITHMETIC = [
    lambda n, k: n // k,
    lambda n, k: n % k,
    lambda n, k: min(n, k),
    lambda n, k: max(n, k),
    lambda n, k: n - k,
    lambda n, k: -(n // -k),
    lambda n, k: int(n > k),
    lambda n, k: (n * n) // k,
]
MORE_ARITHMETIC = [
    lambda n, k: n // k * k,
    lambda n, k: n // k // k,
    lambda n, k: (3 * n + 1) // k,
    lambda n, k: n >> k,
    lambda n, k: n.bit_length() + k,
    lambda n, k: int(n**0.5) * k,
    lambda n, k: len(range(0, n, k)),
    lambda n, k: abs(n - k),
    lambda n, k: n * n,
]
USES = [
    lambda x, m: x[:m],
    lambda x, m: x[m:],
    lambda x, m: x[:: m + 1],
    lambda x, m: x * m,
    lambda x, m: x + m,
    lambda x, m: x.roll(m, 0),
    lambda x, m: x / (m + 1),
    lambda x, m: x.sum(0) / (m + 1),
    lambda x, m: x.narrow(0, 0, min(abs(m), len(x))),
    lambda x, m: x + cnnx.arange(float(abs(m))).sum(),
    lambda x, m: x if m > 1 else -x,
    lambda x, m: F.pad(x, (abs(m), 0)),
    lambda x, m: x[m % len(x)],
    lambda x, m: x.clamp(max=0.1 * m),
]


@settings(max_examples=60)
@given(
    size=st.sampled_from(ARITHMETIC),
    k=st.integers(1, 12),
    use=st.sampled_from(USES),
    own=st.sampled_from([1, 2, 3, 4, 7]),
)
def test_arithmetic_on_the_size_is_right_or_refused(size, k, use, own):
    right_or_refused(lambda x: use(x, size(len(x), k)), own=own, sizes=(2, 3, 37))


VIEWS = [
    lambda y, i, j: y[:, i:j],
    lambda y, i, j: y[:, i],
    lambda y, i, j: y[i],
    lambda y, i, j: y[i:, :j],
    lambda y, i, j: y.t()[i:j],
    lambda y, i, j: y.view(-1, 2, 3)[:, i % 2],
    lambda y, i, j: y.view(-1),
    lambda y, i, j: y[-1:, i:],
    lambda y, i, j: y.unsqueeze(1)[..., i:j].squeeze(1),
]
CHANGES = [
    lambda v, x: v.mul_(2),
    lambda v, x: v.add_(x.mean()),
    lambda v, x: v.zero_(),
    lambda v, x: v.copy_(x[0, 0]),
    lambda v, x: v.neg_(),
    lambda v, x: v.clamp_(max=0.3),
    lambda v, x: v.__setitem__(0, 5.0),
    lambda v, x: v.sub_(v * 0.5),
]
STEPS = st.lists(
    st.tuples(st.sampled_from(VIEWS), st.integers(0, 2), st.integers(3, 5), st.sampled_from(CHANGES)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60)
@given(steps=STEPS, last=st.sampled_from(VIEWS), early=st.booleans())
def test_changes_in_place_are_right_or_refused(steps, last, early):
    def forward(x):
        y = x * 1
        kept = last(y, 1, 4) if early else None
        for view, i, j, change in steps:
            change(view(y, i, j), x)
        return (kept if early else last(y, 1, 4)) + y.sum()

    assert right_or_refused(forward, sizes=(3, 5, 23))


@pytest.mark.parametrize(
    "function", [lambda x: x * float("nan"), lambda x: F.pad(x, (1, 1), value=float("nan"))]
)
def test_a_nan_does_not_depend_on_the_size(function):
    """It differs from itself, as what follows the size would."""
    assert right_or_refused(function)


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"input_names": [1]}, TypeError, "input_names must be strings, got int"),
        ({"output_names": [""]}, ValueError, "a name among the output_names is empty"),
        ({"opset": "x"}, TypeError, "opset must be an integer, got str"),
        ({"opset": 18.0}, TypeError, "opset must be an integer, got float"),
    ],
)
def test_odd_options(options, error, words):
    with pytest.raises(error, match=f"onnx.export: {words}"):
        cnnx.onnx.export(nn.Linear(4, 3), cnnx.ones(2, 4), **options)


def test_what_a_model_raises_is_one_line():
    def forward(x):
        if x.size(0) == extent.SIZES[-1]:
            raise KeyError("two\nlines")
        return x * 2

    with pytest.raises(ValueError, match=r"the model itself fails .*: KeyError: ") as caught:
        cnnx.onnx.export(of(forward), cnnx.ones(2, 4))
    assert "\n" not in str(caught.value)


def test_an_error_says_where():
    net = nn.Sequential(nn.Linear(3, 3), of(lambda x: x[: len(x) // 2]))
    with pytest.raises(ValueError, match=r"an argument of slice \(1\) depends on the size of the batch"):
        cnnx.onnx.export(net, cnnx.ones(4, 3))
    with pytest.raises(ValueError, match=r"an argument of mul depends on the size of the batch"):
        cnnx.onnx.export(of(lambda x: x * (1 + len(x) // 10)), cnnx.ones(4, 3))
    with pytest.raises(ValueError, match=r"the model itself fails for inputs of shape \(37, 3\)"):
        cnnx.onnx.export(of(lambda x: x.view(-1, 6) if len(x) > 30 else x), cnnx.ones(4, 3))
    with pytest.raises(
        ValueError, match=r"inputs of shape \(1, 3\), 'y' of the exported net is float32 \(1, 3\)"
    ):
        cnnx.onnx.export(of(lambda x: x.squeeze()), cnnx.ones(4, 3), output_names=["y"])
    with pytest.raises(ValueError, match=r"\(2, 3\), 6 of 6 values of 'output' are not those of the model"):
        cnnx.onnx.export(of(lambda x: x if len(x) != 2 else x + 1), cnnx.ones(4, 3))
    other = cnnx.onnx.export(of(lambda x: x.view(-1, 2, 2)), cnnx.ones(4, 4))
    with pytest.raises(ValueError, match=r"the exported net fails for inputs of shape \(5, 3\) \("):
        check.compare(of(lambda x: x), other, [cnnx.ones(4, 3)], 5)


def test_nothing_is_written_when_it_is_refused(tmp_path):
    with pytest.raises(ValueError, match="depends on the size"):
        cnnx.onnx.export(of(lambda x: x[: len(x) // 2]), cnnx.ones(4, 3), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("k", range(1, 60))
def test_no_arithmetic_is_mistaken_for_a_multiple(k):
    """What is the same at all recorded sizes, or a multiple and something, is so at every size between."""
    sizes = extent.SIZES if k < extent.SIZES[-1] else (*extent.SIZES, extent.LARGE)
    more = range(sizes[0], sizes[-1] + 1)
    for arithmetic in (*ARITHMETIC, *MORE_ARITHMETIC):
        found = extent.fit([arithmetic(n, k) for n in sizes], sizes)
        if not isinstance(found, extent.Varies):
            assert extent.in_passes(found, more) == [arithmetic(n, k) for n in more]


def test_a_single_image():
    """It counts whatever the sample's size is; where the net has no meaning for it, the others count."""
    for own in (1, 2, 5):
        with pytest.raises(ValueError, match=r"\(1, 3\)"):
            cnnx.onnx.export(of(lambda x: x.squeeze()), cnnx.ones(own, 3))
    cnnx.onnx.export(of(lambda x: x[1] + x), cnnx.ones(2, 3))


def test_without_a_dynamic_batch_sizes_are_numbers():
    proto = cnnx.onnx.export(of(lambda x: x[: len(x) // 2] * len(x)), cnnx.ones(6, 3), dynamic_batch=False)
    x = cnnx.rand(6, 3)
    np.testing.assert_allclose(run(proto, x), x[:3].numpy() * 6)


def test_indices_stay_within_those_of_the_sample():
    table = nn.Embedding(5, 3) if hasattr(nn, "Embedding") else None
    weight = cnnx.rand(5, 3)
    net = of((lambda i: table(i)) if table is not None else (lambda i: weight[i]))
    proto = cnnx.onnx.export(net, cnnx.tensor([4, 0, 1]))
    indices = cnnx.tensor([1, 1, 4, 0])
    np.testing.assert_allclose(run(proto, indices), net(indices).detach().numpy())


def test_the_model_is_left_as_it_was():
    net = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).train()
    state = cnnx.get_rng_state().tolist()
    with pytest.raises(ValueError, match="depends on the size"):
        cnnx.onnx.export(nn.Sequential(net, of(lambda x: x[: len(x) // 2])), cnnx.ones(4, 3))
    assert net.training
    assert net[1].training
    assert cnnx.get_rng_state().tolist() == state
