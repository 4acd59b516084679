"""Recurrent layers and cells against PyTorch: results, states, gradients, state dicts."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest

import cnnx
from cnnx import _C, nn
from oracles import array, assert_gradients_match_torch, assert_same

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

LAYERS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2}),
    ("RNN", {"bias": False, "bidirectional": True}),
    ("LSTM", {}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ("LSTM", {"bias": False, "batch_first": True}),
    ("LSTM", {"proj_size": 2}),
    ("LSTM", {"proj_size": 1, "num_layers": 3, "bidirectional": True, "batch_first": True}),
    ("GRU", {}),
    ("GRU", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    ("GRU", {"bias": False, "num_layers": 3}),
]
CELLS = [
    ("RNNCell", {}),
    ("RNNCell", {"nonlinearity": "relu", "bias": False}),
    ("LSTMCell", {}),
    ("LSTMCell", {"bias": False}),
    ("GRUCell", {}),
    ("GRUCell", {"bias": False}),
]
DTYPES = ["float32", "float64"]


def twins(name: str, options: dict[str, Any], dtype: str, sizes: tuple[int, int] = (3, 5)) -> tuple[Any, Any]:
    """The layer in both libraries, with the same parameters."""
    torch.manual_seed(3)
    ours = getattr(nn, name)(*sizes, **options, dtype=getattr(cnnx, dtype))
    theirs = getattr(torch.nn, name)(*sizes, **options, dtype=getattr(torch, dtype))
    ours.load_state_dict({k: cnnx.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    return ours, theirs


def flat(results: Any) -> list[Any]:
    """All tensors of nested tuples."""
    if hasattr(results, "shape"):
        return [results]
    return [x for part in results if part is not None for x in flat(part)]


def given(lib: Any, values: Any) -> Any:
    """Arrays as leaves, in the same nest."""
    if values is None or isinstance(values, np.ndarray):
        return None if values is None else lib.tensor(values, requires_grad=values.dtype.kind == "f")
    return tuple(given(lib, v) for v in values)


def assert_agree(ours: Any, theirs: Any, inputs: list[Any], tolerance: float | None = None) -> None:
    """Results, and the gradients of inputs and parameters by a random combination of all results."""
    gradients = []
    results = []
    for lib, layer in ((cnnx, ours), (torch, theirs)):
        rng = np.random.default_rng(5)
        arguments = [given(lib, x) for x in inputs]
        found = flat(layer(*arguments))
        total = sum((r * lib.tensor(rng.normal(size=tuple(r.shape)), dtype=r.dtype)).sum() for r in found)
        total.backward()
        results.append(found)
        leaves = [("input", x) for x in flat(arguments) if x.requires_grad] + list(layer.named_parameters())
        gradients.append([(name, x.grad) for name, x in leaves])
        layer.zero_grad()
    for mine, other in zip(*results, strict=True):
        assert_same(mine, other, tolerance, "result")
    for (name, mine), (_, other) in zip(*gradients, strict=True):
        if other is None:
            assert mine is None, name
        else:
            assert_same(mine, other, tolerance, f"gradient of {name}")


def states(name: str, options: dict[str, Any], batch: int | None, dtype: str) -> Any:
    """First states for a layer of 5 features."""
    rng = np.random.default_rng(8)
    count = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    middle = () if batch is None else (batch,)
    sizes = [options.get("proj_size") or 5, 5] if name == "LSTM" else [5]
    made = [rng.normal(size=(count, *middle, size)).astype(dtype) for size in sizes]
    return tuple(made) if name == "LSTM" else made[0]


@pytest.mark.parametrize("name, options", LAYERS)
@pytest.mark.parametrize("length, batch", [(1, 1), (7, 1), (4, 3), (3, 17), (6, None)])
@pytest.mark.parametrize("with_states", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_layers(name, options, length, batch, with_states, dtype):
    ours, theirs = twins(name, options, dtype)
    shape = (length, 3) if batch is None else (length, batch, 3)
    if batch is not None and options.get("batch_first"):
        shape = (batch, length, 3)
    x = np.random.default_rng(1).normal(size=shape).astype(dtype)
    hx = states(name, options, batch, dtype) if with_states else None
    assert_agree(ours, theirs, [x, hx])


@pytest.mark.parametrize("name, options", LAYERS)
@pytest.mark.parametrize("lengths", [[4, 2, 1], [1, 5, 3, 5], [3]])
@pytest.mark.parametrize("with_states", [False, True])
def test_packed_sequences(name, options, lengths, with_states):
    ours, theirs = twins(name, options, "float64")
    rng = np.random.default_rng(2)
    x = rng.normal(size=(max(lengths), len(lengths), 3))
    hx = states(name, options, len(lengths), "float64") if with_states else None

    def packed(lib: Any, layer: Any) -> Any:
        def call(x: Any, hx: Any) -> Any:
            batch = lib.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
            output, last = layer(batch, hx)
            assert type(output) is lib.nn.utils.rnn.PackedSequence
            return lib.nn.utils.rnn.pad_packed_sequence(output)[0], last

        call.named_parameters, call.zero_grad = layer.named_parameters, layer.zero_grad
        return call

    assert_agree(packed(cnnx, ours), packed(torch, theirs), [x, hx])


@pytest.mark.parametrize("name, options", CELLS)
@pytest.mark.parametrize("batch", [1, 4, 17, None])
@pytest.mark.parametrize("with_states", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_cells(name, options, batch, with_states, dtype):
    ours, theirs = twins(name, options, dtype)
    rng = np.random.default_rng(4)
    middle = () if batch is None else (batch,)
    x = rng.normal(size=(*middle, 3)).astype(dtype)
    one, two = (rng.normal(size=(*middle, 5)).astype(dtype) for _ in range(2))
    hx = None if not with_states else (one, two) if name == "LSTMCell" else one
    assert_agree(ours, theirs, [x, hx])


@pytest.mark.parametrize("name, options", LAYERS + CELLS)
def test_names_text_and_state_dicts_both_ways(name, options):
    ours, theirs = twins(name, options, "float32")
    assert repr(ours) == repr(theirs)
    state, other = ours.state_dict(), theirs.state_dict()
    assert {k: tuple(v.shape) for k, v in state.items()} == {k: tuple(v.shape) for k, v in other.items()}
    assert list(state) == list(other)
    back = copy.deepcopy(theirs)
    torch.nn.init.zeros_(next(iter(back.parameters())))
    back.load_state_dict({k: torch.tensor(array(v)) for k, v in state.items()})
    assert all(torch.equal(v, other[k]) for k, v in back.state_dict().items())
    if "Cell" not in name:
        shapes = [[[tuple(p.shape) for p in part] for part in m.all_weights] for m in (ours, theirs)]
        assert shapes[0] == shapes[1]
        ours.flatten_parameters()
        assert ours.mode == theirs.mode


def test_first_parameters():
    cnnx.manual_seed(0)
    for layer in (nn.LSTM(30, 100, 2), nn.GRUCell(30, 100)):
        for name, parameter in layer.named_parameters():
            values = array(parameter)
            assert np.abs(values).max() <= 0.1, name
            assert values.std() == pytest.approx(0.1 / 3**0.5, rel=0.2), name
    before = layer.weight_ih.detach().clone()
    layer.reset_parameters()
    assert not cnnx.equal(before, layer.weight_ih)


def test_dropout_acts_between_layers_while_training():
    cnnx.manual_seed(0)
    layer = nn.GRU(3, 5, num_layers=2, dropout=0.5)
    x = cnnx.randn(4, 2, 3)
    assert not cnnx.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert cnnx.equal(layer(x)[0], layer(x)[0])
    first = nn.GRU(3, 5)
    first.load_state_dict({k: v for k, v in layer.state_dict().items() if k.endswith("l0")})
    layer.train().dropout = 1.0
    # What the second layer reads is all zeros, what the first remembers is not.
    assert cnnx.equal(layer(x)[1][0], first(x)[1][0])
    assert cnnx.equal(layer(x)[0], layer(x * 2)[0])
    with pytest.warns(UserWarning, match="GRU: dropout acts between layers"):
        nn.GRU(3, 5, dropout=0.5)


def test_a_batch_without_sequences():
    output, (hidden, cell) = nn.LSTM(3, 5)(cnnx.zeros(2, 0, 3))
    assert (output.shape, hidden.shape, cell.shape) == ((2, 0, 5), (1, 0, 5), (1, 0, 5))


def test_parametrized_weights_and_others_are_read_anew():
    ours, theirs = twins("GRU", {}, "float64")
    nn.utils.parametrizations.weight_norm(ours, "weight_hh_l0")
    torch.nn.utils.parametrizations.weight_norm(theirs, "weight_hh_l0")
    assert_agree(ours, theirs, [np.random.default_rng(0).normal(size=(3, 2, 3))])


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_rows_of_images_are_learned_and_plans_agree(kind):
    """Whether the larger half of a sequence is its first or its last."""

    def trained(static: bool) -> tuple[list[float], float]:
        cnnx.manual_seed(1)
        layer, head = getattr(nn, kind)(4, 16, batch_first=True), nn.Linear(16, 2)
        optimizer = cnnx.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.02)
        x = cnnx.randn(64, 6, 4)
        y = (x[:, :3].sum((1, 2)) > x[:, 3:].sum((1, 2))).long()

        def step():
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(head(layer(x)[0][:, -1]), y)
            loss.backward()
            optimizer.step()
            return loss

        step = cnnx.compile(step, static=True) if static else step
        losses = [step().item() for _ in range(60)]
        return losses, (head(layer(x)[0][:, -1]).argmax(1) == y).float().mean().item()

    losses, accuracy = trained(False)
    assert losses[-1] < 0.2 < losses[0]
    assert accuracy > 0.95
    assert trained(True)[0] == losses


def test_many_steps_take_time_in_proportion():
    """The gradient of the parts of a sequence is one call, not one of the whole for each part."""
    layer, x = nn.GRU(2, 3), cnnx.randn(300, 1, 2)
    with cnnx.profiler.profile() as profile:
        layer(x)[0].sum().backward()
    calls = {row.key: row.count for row in profile.key_averages()}
    assert not any("slice_backward" in name for name in calls), calls


@pytest.mark.parametrize(
    "shape, size, dim", [((6,), 2, 0), ((7, 3), 2, 0), ((2, 5, 3), 2, 1), ((2, 8), 1, -1)]
)
@pytest.mark.parametrize("used", [slice(None), slice(1, None, 2)])
def test_parts_of_their_own(shape, size, dim, used):
    """What the layers are made of: parts as copies, of which some may get no gradient."""

    def total(parts: Any) -> Any:
        return sum((part * (i + 1)).sum() ** 2 for i, part in enumerate(list(parts)[used]))

    x = np.random.default_rng(0).normal(size=shape)
    for view in (lambda x: x, lambda x: x.flip(0).transpose(0, -1)):
        assert_gradients_match_torch(
            lambda x, view=view: total(_C.split_copy(view(x), size, dim)),
            lambda x, view=view: total(view(x).split(size, dim)),
            [x],
        )


X = (2, 2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.LSTM(3, 0), ValueError, "LSTM: input_size, hidden_size and num_layers"),
        (lambda: nn.LSTM(3, 4, num_layers=0), ValueError, "LSTM: input_size, hidden_size and num_layers"),
        (lambda: nn.GRU(0, 5), ValueError, "GRU: input_size, hidden_size and num_layers must be above 0"),
        (lambda: nn.RNN(3.0, 5), TypeError, "RNN: input_size must be int, got float"),
        (lambda: nn.LSTM(3, 4.0), TypeError, "LSTM: hidden_size must be int, got float"),
        (lambda: nn.LSTM(3, 4, dropout=2), ValueError, "LSTM: dropout must be a probability"),
        (lambda: nn.LSTM(3, 4, dropout=True), ValueError, "LSTM: dropout must be a probability"),
        (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, r"LSTM: proj_size must be within \[0, 4\)"),
        (lambda: nn.LSTM(3, 4, proj_size=-1), ValueError, r"LSTM: proj_size must be within \[0, 4\)"),
        (lambda: nn.RNNBase("GRU", 3, 4, proj_size=1), ValueError, "RNNBase: proj_size is for LSTM alone"),
        (lambda: nn.RNNBase("LSTN", 3, 4), ValueError, "RNNBase: mode must be one of RNN_TANH"),
        (lambda: nn.RNN(3, 4, nonlinearity="x"), ValueError, "RNN: nonlinearity must be 'tanh' or 'relu'"),
        (lambda: nn.RNNCell(3, 4, nonlinearity="x"), ValueError, "RNNCell: nonlinearity must be"),
        (lambda: nn.GRU(3, 4)(cnnx.zeros(0, 2, 3)), RuntimeError, "GRU: a sequence must have a length above"),
        (lambda: nn.GRU(3, 4)(cnnx.zeros(2, 2, 4)), RuntimeError, "GRU: input has 4 features, expected 3"),
        (lambda: nn.GRU(3, 4)(cnnx.zeros(3)), ValueError, "GRU: Expected input to be 2D or 3D, got 1D"),
        (lambda: nn.GRU(3, 4)(cnnx.zeros(*X).double()), ValueError, "GRU: the input is cnnx.float64"),
        (
            lambda: nn.GRU(3, 4)(cnnx.zeros(*X), cnnx.zeros(1, 4)),
            RuntimeError,
            r"GRU: hx has shape \(1, 4\), expected \(1, 2, 4\)",
        ),
        (lambda: nn.LSTM(3, 4)(cnnx.zeros(*X), cnnx.zeros(1, 2, 4)), TypeError, "LSTM: hx must be a pair"),
        (
            lambda: nn.LSTM(3, 4)(cnnx.zeros(*X), (cnnx.zeros(1, 2, 4), cnnx.zeros(1, 2, 5))),
            RuntimeError,
            r"LSTM: hx has shape \(1, 2, 5\), expected \(1, 2, 4\)",
        ),
        (lambda: nn.GRU(3, 4)([1.0]), TypeError, "GRU: input must be a Tensor or a PackedSequence"),
        (
            lambda: nn.GRUCell(3, 4)(cnnx.zeros(2, 4)),
            RuntimeError,
            "GRUCell: input has 4 features",
        ),
        (
            lambda: nn.GRUCell(3, 4)(cnnx.zeros(*X)),
            ValueError,
            "GRUCell: Expected input to be 1D",
        ),
        (
            lambda: nn.GRUCell(3, 4)(cnnx.zeros(2, 3), cnnx.zeros(3, 4)),
            RuntimeError,
            r"GRUCell: hidden has shape \(3, 4\), expected \(2, 4\)",
        ),
        (
            lambda: nn.LSTMCell(3, 4)(cnnx.zeros(3), (cnnx.zeros(4),)),
            ValueError,
            "LSTMCell: hx must be a pair",
        ),
    ],
)
def test_bad_input(call, error, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(error, match=message):
            call()
