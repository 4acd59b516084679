"""Weights travel between cnnx and PyTorch: every layer's state has the same names, shapes and dtypes."""

import io
import sys

import numpy as np
import pytest

import cnnx
from cnnx import models, nn

torch = pytest.importorskip("torch")

# What a layer with state is made with. Layers that have no state need no line here.
SPECS = {
    "BatchNorm1d": [(4,), {}],
    "BatchNorm2d": [(4,), {}],
    "Bilinear": [(2, 3, 4), {}],
    "Conv1d": [(2, 4, 3), {"groups": 2}],
    "Conv2d": [(2, 4, 3), {"bias": False}],
    "ConvTranspose1d": [(4, 6, 3), {"groups": 2}],
    "ConvTranspose2d": [(4, 6, 3), {}],
    "Embedding": [(5, 3), {}],
    "GRU": [(3, 4), {"num_layers": 2, "bidirectional": True}],
    "GRUCell": [(3, 4), {}],
    "GroupNorm": [(2, 4), {}],
    "InstanceNorm1d": [(4,), {"affine": True}],
    "InstanceNorm2d": [(4,), {"affine": True}],
    "LSTM": [(3, 4), {"num_layers": 2, "proj_size": 2}],
    "LSTMCell": [(3, 4), {"bias": False}],
    "LayerNorm": [((3, 4),), {}],
    "Linear": [(3, 4), {}],
    "PReLU": [(3,), {}],
    "RMSNorm": [(3,), {}],
    "RNN": [(3, 4), {"bias": False}],
    "RNNBase": [("LSTM", 3, 4), {}],
    "RNNCell": [(3, 4), {}],
    "RNNCellBase": [(3, 4, True, 2), {}],
}
PLAIN_ARGUMENTS = ((), (2,), (2, 2), (1, 4), ((2, 2), 2), (1, (2, 2)))


def is_layer(kind):  # lazy ones become others
    if not isinstance(kind, type) or kind is nn.Module:
        return False
    return issubclass(kind, nn.Module) and not issubclass(kind, nn.lazy.LazyModuleMixin)


def arrays(state):
    return {name: np.asarray(tensor.detach().numpy()) for name, tensor in state.items()}


def assert_same(left, right):
    left, right = arrays(left), arrays(right)
    assert list(left) == list(right)
    for name in left:
        assert left[name].dtype == right[name].dtype, name
        assert left[name].shape == right[name].shape, name
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def exchange(ours, theirs, folder):
    """Writes and reads the state of a pair of modules in every direction and format."""
    numbers = pytest.importorskip("safetensors.torch")
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim > 1:  # outputs of the size of the inputs
            tensor.uniform_(-1, 1).mul_(2 / tensor[0].numel() ** 0.5)
        elif tensor.is_floating_point():
            tensor.uniform_(0.1, 1.0)
        else:
            tensor.fill_(7)
    path = folder / "theirs.safetensors"
    numbers.save_file(theirs.state_dict(), path)
    for file in (path, folder / "theirs.pth", folder / "old.pth"):
        if file.suffix == ".pth":
            torch.save(theirs.state_dict(), file, _use_new_zipfile_serialization=file.stem != "old")
        for tensor in ours.state_dict().values():
            tensor.zero_()
        assert str(ours.load_state_dict(cnnx.load(file))) == "<All keys matched successfully>"
        assert_same(ours.state_dict(), theirs.state_dict())
    cnnx.save(ours.state_dict(), folder / "ours.safetensors")
    for tensor in theirs.state_dict().values():
        tensor.zero_()
    theirs.load_state_dict(numbers.load_file(folder / "ours.safetensors"))
    assert_same(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize("name", [name for name in nn.__all__ if is_layer(getattr(nn, name))])
def test_every_layer(name, tmp_path):
    kind = getattr(nn, name)
    if name in SPECS:
        args, kwargs = SPECS[name]
        exchange(kind(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs), tmp_path)
        return
    for args in PLAIN_ARGUMENTS:
        try:
            layer = kind(*args)
        except (TypeError, ValueError):
            continue
        assert list(layer.state_dict()) == [], f"add {name} to SPECS"
        return
    pytest.fail(f"add {name} to SPECS")


@pytest.mark.parametrize("name", models.MODELS)
def test_every_named_net(name, tmp_path):
    shape = (1, 8, 8) if name == "digits" else (1, 28, 28)
    ours, theirs = models.build_model(name, shape), models.MODELS[name].build(shape, nn=torch.nn)
    exchange(ours, theirs, tmp_path)
    x = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    with torch.no_grad(), cnnx.no_grad():
        expected = theirs.eval()(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(ours.eval()(cnnx.from_numpy(x)).numpy(), expected, rtol=1e-5, atol=1e-5)


def test_nested_plain_values_in_a_pth(tmp_path):
    state = {
        "epoch": 3,
        "name": "a",
        "w": [torch.ones(2), (torch.arange(3), None)],
        "t": torch.ones(2, 3).t(),
    }
    torch.save(state, tmp_path / "x.pth")
    found = cnnx.load(tmp_path / "x.pth", weights_only=False, map_location="cpu")
    assert (found["epoch"], found["name"], found["w"][1][1]) == (3, "a", None)
    assert found["w"][1][0].dtype == cnnx.int64
    assert found["t"].shape == (3, 2)
    torch.save(torch.ones(2), tmp_path / "y.pt")
    assert cnnx.load(tmp_path / "y.pt").tolist() == [1, 1]
    buffer = io.BytesIO(b"skipped" + (tmp_path / "y.pt").read_bytes())
    buffer.seek(7)
    assert cnnx.load(buffer).tolist() == [1, 1]


def test_the_loaded_tensors_are_copies(tmp_path):
    torch.save({"a": torch.zeros(3)}, tmp_path / "x.pth")
    first, second = cnnx.load(tmp_path / "x.pth"), cnnx.load(tmp_path / "x.pth")
    first["a"].fill_(1)
    assert second["a"].tolist() == [0, 0, 0]
    assert not first["a"].requires_grad


def test_what_a_pth_must_not_hold(tmp_path):
    path = tmp_path / "x.pth"
    for value, message in (
        (
            torch.nn.Linear(2, 2),
            "torch.nn.modules.linear.Linear, which is more than tensors and plain values",
        ),
        ({"a": torch.ones(2, dtype=torch.float16)}, "torch.float16, which cnnx has not"),
        ({"a": torch.ones(2, dtype=torch.bfloat16)}, "torch.bfloat16, which cnnx has not"),
        ({"a": torch.ones(2).to_sparse()}, "not dense"),
        ({"a": torch.device("cpu")}, "holds a torch.device"),
    ):
        torch.save(value, path)
        with pytest.raises(ValueError, match=message) as caught:
            cnnx.load(path)
        assert str(path) in str(caught.value)
    torch.save(torch.ones(1000), path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="cannot be read as a file of PyTorch: BadZipFile"):
        cnnx.load(path)


def test_a_pth_without_torch(tmp_path, monkeypatch):
    torch.save({"a": torch.zeros(3)}, tmp_path / "x.pth")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert cnnx.load(tmp_path / "x.pth")["a"].tolist() == [0, 0, 0]
