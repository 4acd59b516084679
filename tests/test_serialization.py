"""cnnx.save and cnnx.load: nested containers, file objects, what is refused."""

import io
import math
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import cnnx
from cnnx import nn, optim
from cnnx.serialization import STRUCTURE_KEY, save_file


def same(a, b):
    if isinstance(a, cnnx.Tensor):
        return isinstance(b, cnnx.Tensor) and a.dtype == b.dtype and np.array_equal(a.numpy(), b.numpy())
    if isinstance(a, dict):
        return type(b) is dict and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b


NESTED = {
    "model": {"conv.weight": cnnx.ones(2, 3), "conv.bias": cnnx.zeros(2)},
    "optimizer": {
        "state": {0: {"step": 3, "exp_avg": cnnx.ones(2)}, 1: {}},
        "param_groups": [{"betas": (0.9, 0.999), "lr": 1e-3}],
    },
    "best": 0.1 + 0.2,
    "limits": [math.inf, -math.inf, math.nan, -0.0, 1e-320],
    "name": 'LeNet é " \\ \n',
    "flags": (True, False, None),
    "empty": [{}, [], (), ""],
    3: "int key",
    None: "none key",
    2.5: "float key",
    True: "bool key",
    "big": 2**100,
    "seed": cnnx.ones(3, dtype=cnnx.uint8),
}
VALUES = [
    NESTED,
    cnnx.ones(2, 2),
    [cnnx.ones(1), cnnx.zeros(1)],
    (),
    {},
    None,
    3,
    "text",
    1.5,
    {"a": {"b": cnnx.ones(1)}, "a.b": cnnx.zeros(1)},
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_round_trip(tmp_path, value):
    cnnx.save(value, tmp_path / "c")
    assert same(value, cnnx.load(tmp_path / "c"))
    buffer = io.BytesIO()
    cnnx.save(value, buffer)
    buffer.seek(0)
    assert same(value, cnnx.load(buffer))


def test_state_dict_is_a_plain_file(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(4, 2))
    cnnx.save(net.state_dict(), tmp_path / "m.safetensors")
    loaded = library.load_file(tmp_path / "m.safetensors")
    assert sorted(loaded) == ["0.bias", "0.weight", "1.bias", "1.weight"]
    np.testing.assert_array_equal(loaded["0.weight"], net[0].weight.detach().numpy())
    back = cnnx.load(tmp_path / "m.safetensors", map_location="cpu", weights_only=True)
    assert list(back) == list(net.state_dict())
    assert not back["0.weight"].requires_grad


def test_model_and_optimizer_go_on_alike(tmp_path):
    def make():
        cnnx.manual_seed(1)
        net = nn.Linear(3, 2)
        return net, optim.Adam(net.parameters(), lr=0.1)

    def step(net, optimizer):
        optimizer.zero_grad()
        (net(cnnx.ones(4, 3)) ** 2).sum().backward()
        optimizer.step()

    net, optimizer = make()
    step(net, optimizer)
    cnnx.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c")
    step(net, optimizer)
    other, other_optimizer = make()
    saved = cnnx.load(tmp_path / "c")
    other.load_state_dict(saved["net"])
    other_optimizer.load_state_dict(saved["optimizer"])
    step(other, other_optimizer)
    np.testing.assert_array_equal(net.weight.detach().numpy(), other.weight.detach().numpy())


def test_subclasses_come_back_plain(tmp_path):
    cnnx.save({"o": OrderedDict(a=1), "n": np.float32(0.5), "i": np.int64(3)}, tmp_path / "c")
    assert cnnx.load(tmp_path / "c") == {"o": {"a": 1}, "n": 0.5, "i": 3}


def test_what_cannot_be_saved(tmp_path):
    cycle = []
    cycle.append({"x": cycle})
    for value, error, words in [
        ({"a": {"b": [object()]}}, TypeError, r"at a\.b\.0: object cannot be saved"),
        (nn.Linear(1, 1), TypeError, "state_dict"),
        ({"a": {1, 2}}, TypeError, "set"),
        ({"a": 1 + 2j}, TypeError, "complex"),
        ({"a": np.ones(2)}, TypeError, "from_numpy"),
        ({(1, 2): 3}, TypeError, "key"),
        (cycle, ValueError, "holds itself"),
    ]:
        with pytest.raises(error, match=words):
            cnnx.save(value, tmp_path / "c")
    assert not (tmp_path / "c").exists()
    with pytest.raises(TypeError, match="path or a file"):
        cnnx.save({}, 3)
    with pytest.raises(TypeError, match="path or a file"):
        cnnx.load(3)


def test_one_tensor_in_two_places(tmp_path):
    shared = cnnx.ones(2)
    cnnx.save({"a": [shared], "b": (shared,)}, tmp_path / "c")
    loaded = cnnx.load(tmp_path / "c")
    assert loaded["a"][0].tolist() == loaded["b"][0].tolist() == [1, 1]


class Bomb:
    def __reduce__(self):
        return (print, ("boom",))


def test_pickles_stay_closed(tmp_path, capsys):
    (tmp_path / "p").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="not a safetensors file"):
        cnnx.load(tmp_path / "p", weights_only=False)
    with pytest.raises(ValueError, match="pickle"):
        cnnx.load(tmp_path / "p", pickle_module=pickle)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"tensor":"b"}', '{"dict":[[1]]}', '{"x":1,"y":2}', '{"call":"print"}', '{"tensor":[]}'],
)
def test_damaged_structure(tmp_path, text):
    save_file({"a": cnnx.ones(1)}, tmp_path / "c", {STRUCTURE_KEY: text})
    with pytest.raises(ValueError, match="damaged"):
        cnnx.load(tmp_path / "c")


def test_devices(tmp_path):
    cnnx.save({"a": cnnx.ones(1)}, tmp_path / "c")
    for where in ("tpu", "cuda:99"):
        with pytest.raises(RuntimeError, match=where):
            cnnx.load(tmp_path / "c", map_location=where)
    for where in (None, "cpu", cnnx.device("cpu"), lambda storage, where: storage, {"cuda:0": "cpu"}):
        assert cnnx.load(tmp_path / "c", map_location=where)["a"].tolist() == [1]
