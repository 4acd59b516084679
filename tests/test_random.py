"""Random numbers: Philox against its published vectors, distributions, seeds, generators."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import cnnx


def philox(key: int, call: int, counter: int) -> list[int]:
    """Philox4x32-10 in Python, from the paper."""
    words = [counter & 0xFFFFFFFF, counter >> 32, call & 0xFFFFFFFF, call >> 32]
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * words[0], 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * words[2], 1 << 32)
        words = [high1 ^ words[1] ^ k0, low1, high0 ^ words[3] ^ k1, low0]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return words


def test_philox_known_answers() -> None:
    # From the Random123 distribution's known-answer file.
    assert philox(0, 0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = (1 << 64) - 1
    assert philox(ones, ones, ones) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def test_uniform_is_philox_at_the_element() -> None:
    cnnx.manual_seed(12345678901234567)
    cnnx.rand(3)
    drawn = cnnx.rand(11)  # call 1
    want = [philox(12345678901234567, 1, i // 4)[i % 4] >> 8 for i in range(11)]
    assert [int(v * 2**24) for v in drawn.tolist()] == want


def test_seed_repeats_and_calls_differ() -> None:
    cnnx.manual_seed(3)
    a, b = cnnx.randn(5), cnnx.randn(5)
    assert cnnx.manual_seed(3) is cnnx.default_generator
    assert cnnx.equal(a, cnnx.randn(5))
    assert cnnx.equal(b, cnnx.randn(5))
    assert not cnnx.equal(a, b)
    assert cnnx.initial_seed() == 3
    cnnx.manual_seed(-1)
    assert cnnx.initial_seed() == 2**64 - 1
    with pytest.raises(TypeError, match="manual_seed"):
        cnnx.manual_seed("x")


def test_a_fresh_process_state_can_be_saved() -> None:
    state = cnnx.get_rng_state()
    assert state.dtype == cnnx.uint8
    first = cnnx.rand(4)
    cnnx.set_rng_state(state)
    assert cnnx.equal(first, cnnx.rand(4))
    with pytest.raises(TypeError, match="set_state"):
        cnnx.set_rng_state(cnnx.zeros(3))


def test_layout_does_not_matter() -> None:
    cnnx.manual_seed(1)
    whole = cnnx.empty(6, 5).uniform_()
    cnnx.manual_seed(1)
    turned = cnnx.empty(5, 6).T.uniform_()
    assert not turned.is_contiguous()
    assert cnnx.equal(whole, turned)


def test_threads_do_not_matter() -> None:
    before = cnnx.get_num_threads()
    drawn = []
    try:
        for count in (1, 2, 3):
            cnnx.set_num_threads(count)
            cnnx.manual_seed(1)
            drawn.append(cnnx.randn(300_000))
    finally:
        cnnx.set_num_threads(before)
    assert cnnx.equal(drawn[0], drawn[1])
    assert cnnx.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("dtype", [cnnx.float32, cnnx.float64])
def test_distributions(dtype) -> None:
    stats = pytest.importorskip("scipy.stats")
    cnnx.manual_seed(0)
    uniform = cnnx.empty(100_000, dtype=dtype).uniform_(-2, 3).numpy()
    assert uniform.min() >= -2
    assert uniform.max() < 3
    assert stats.kstest(uniform, stats.uniform(-2, 5).cdf).pvalue > 1e-3
    normal = cnnx.empty(100_000, dtype=dtype).normal_(1, 2).numpy()
    assert stats.kstest(normal, stats.norm(1, 2).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(normal[:-1], normal[1:])[0, 1]) < 0.02
    coin = cnnx.empty(100_000, dtype=dtype).bernoulli_(0.3).numpy()
    assert set(np.unique(coin)) == {0.0, 1.0}
    assert abs(coin.mean() - 0.3) < 0.01
    integers = cnnx.randint(-3, 4, (70_000,)).numpy()
    assert stats.chisquare(np.bincount(integers + 3, minlength=7)).pvalue > 1e-3
    assert cnnx.randint(5, (2, 3)).dtype == cnnx.int64
    assert cnnx.randint(5, size=(2, 3)).shape == cnnx.randint(0, 5, size=(2, 3)).shape == (2, 3)
    assert cnnx.rand(size=(2, 3)).shape == cnnx.randn(size=[2, 3]).shape == (2, 3)
    wide = cnnx.randint(-(2**63), 2**63 - 1, (1000,)).numpy()
    assert (wide < 0).any()
    assert (wide > 0).any()


def test_uniform_never_reaches_high() -> None:
    # Between two neighbouring floats rounding would reach the upper one half of the time.
    low, high = 1.0, float(np.nextafter(np.float32(1), np.float32(2)))
    assert (cnnx.empty(1000).uniform_(low, high).numpy() == low).all()


def test_randperm() -> None:
    cnnx.manual_seed(0)
    perm = cnnx.randperm(1000)
    assert perm.dtype == cnnx.int64
    assert sorted(perm.tolist()) == list(range(1000))
    assert perm.tolist() != list(range(1000))
    assert cnnx.randperm(0).shape == (0,)
    assert cnnx.randperm(3, dtype=cnnx.int32).dtype == cnnx.int32
    counts = np.zeros((4, 4))
    for _ in range(2000):
        counts[np.arange(4), cnnx.randperm(4).numpy()] += 1
    assert abs(counts - 500).max() < 100
    with pytest.raises(ValueError, match="randperm"):
        cnnx.randperm(-1)


def test_generators_are_streams_of_their_own() -> None:
    g = cnnx.Generator().manual_seed(5)
    cnnx.manual_seed(7)
    a = cnnx.randperm(20, generator=g)
    b = cnnx.rand(3)
    cnnx.manual_seed(7)
    assert cnnx.equal(b, cnnx.rand(3))
    state = g.get_state()
    c = cnnx.randn(3, generator=g)
    g.set_state(state)
    assert cnnx.equal(c, cnnx.randn(3, generator=g))
    assert cnnx.equal(a, cnnx.randperm(20, generator=cnnx.Generator().manual_seed(5)))
    assert g.initial_seed() == 5
    twin = pickle.loads(pickle.dumps(g))
    assert cnnx.equal(cnnx.rand(2, generator=copy.deepcopy(g)), cnnx.rand(2, generator=twin))
    assert isinstance(g.seed(), int)
    assert g.device == "cpu"
    with pytest.raises(TypeError, match="rand"):
        cnnx.rand(2, generator=5)
    with pytest.raises(RuntimeError):
        cnnx.Generator("cuda:99")


def test_like_and_tensor_arguments() -> None:
    like = cnnx.zeros(2, 3, dtype=cnnx.float64)
    assert cnnx.rand_like(like).dtype == cnnx.float64
    assert cnnx.randn_like(like).shape == (2, 3)
    assert cnnx.randint_like(like, 3).max() < 3
    assert cnnx.normal(cnnx.zeros(3), 1e-6).abs().max() < 1e-4
    assert cnnx.normal(2.0, 1e-6, size=(4,)).mean().item() == pytest.approx(2.0, abs=1e-4)
    assert cnnx.bernoulli(cnnx.tensor([0.0, 1.0])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda: cnnx.empty(2).uniform_(3, 1), ValueError),
        (lambda: cnnx.empty(2).uniform_(0, float("nan")), ValueError),
        (lambda: cnnx.empty(2).uniform_(0, float("inf")), ValueError),
        (lambda: cnnx.empty(2).normal_(0, -1), ValueError),
        (lambda: cnnx.empty(2).bernoulli_(1.5), ValueError),
        (lambda: cnnx.bernoulli(cnnx.tensor([0.5, -3.0], device="cpu")), RuntimeError),
        (lambda: cnnx.bernoulli(cnnx.tensor([7.0], device="cpu")), RuntimeError),
        (lambda: cnnx.bernoulli(cnnx.tensor([float("nan")], device="cpu")), RuntimeError),
        (lambda: cnnx.empty(2).random_(0), ValueError),
        (lambda: cnnx.empty(2).random_(0, 0), ValueError),
        (lambda: cnnx.empty(2, dtype=cnnx.int64).uniform_(), TypeError),
        (lambda: cnnx.randint(3, 3, (2,)), ValueError),
        (lambda: cnnx.rand(2, dtype=cnnx.int64), TypeError),
        (lambda: cnnx.rand(-1), RuntimeError),
        (lambda: cnnx.rand("a"), TypeError),
        (lambda: cnnx.ones(2, requires_grad=True).uniform_(), RuntimeError),
    ],
)
def test_bad_arguments(call, error) -> None:
    with pytest.raises(error):
        call()
