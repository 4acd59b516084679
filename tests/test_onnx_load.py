"""Nets from ONNX files as modules: other exporters' and cnnx's own, fine-tuned, as sessions, and refused."""

import copy
from pathlib import Path

import numpy as np
import pytest

import border
import cnnx
from cnnx import nn, optim
from cnnx.models import build_model

# Places that a net computes are looked at before they are used, for which a device's session cannot wait.
LOOKED_UP = ("sklearn_digits", "sklearn_two")
FILES = sorted((Path(__file__).parent / "onnx_files").glob("*.onnx"))


def arrays(path):
    held = np.load(path.with_suffix(".npz"))
    inputs = [held[name] for name in sorted(held) if name.startswith("in")]
    return inputs, [held[name] for name in sorted(held) if name.startswith("out")]


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)


def assert_equal_outputs(results, expected, tolerance=2e-5):
    assert len(results) == len(expected)
    for got, wanted in zip(results, expected, strict=True):
        got = got.detach().cpu().numpy() if isinstance(got, cnnx.Tensor) else got
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_of_other_exporters(path):
    """What ONNX Runtime computes, with gradients on, by a plan, with another batch, and in a session."""
    inputs, expected = arrays(path)
    net = cnnx.onnx.load(path)
    tensors = [cnnx.tensor(x) for x in inputs]
    assert_equal_outputs(as_tuple(net(*tensors)), expected)
    with cnnx.no_grad():
        for _ in range(2):
            assert_equal_outputs(as_tuple(net(*tensors)), expected)
        one = net(*[x[:1] for x in tensors])
    assert_equal_outputs(as_tuple(one), [y[:1] for y in expected])
    if border.DEVICE != "cpu" and path.stem in LOOKED_UP:
        with pytest.raises(RuntimeError, match=r"ArrayFeatureExtractor.*has to wait for the device"):
            cnnx.onnx.Session(path, batch=len(inputs[0]))
        return
    session = cnnx.onnx.Session(path, batch=len(inputs[0]), threads=1)
    for _ in range(2):
        assert_equal_outputs(as_tuple(session.run(*inputs)), expected)


@pytest.mark.parametrize(
    "name", ["dynamo_vgg", "keras_graph", "sklearn_digits", "torch_mobilenet", "torch_unet"]
)
def test_they_can_be_exported_again(name, tmp_path):
    pytest.importorskip("onnx")
    (path,) = [path for path in FILES if path.stem == name]
    inputs, expected = arrays(path)
    tensors = [cnnx.tensor(x) for x in inputs]
    again = tmp_path / "again.onnx"
    cnnx.onnx.export(cnnx.onnx.load(path), tensors, again)
    assert_equal_outputs(as_tuple(cnnx.onnx.load(again)(*tensors)), expected)


def test_there_are_files():
    assert len(FILES) >= 10


def net_with_everything():
    cnnx.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 7 * 7, 10),
    )


@pytest.fixture
def exported(tmp_path):
    pytest.importorskip("onnx")
    model = net_with_everything()
    model.train()
    model(cnnx.randn(32, 1, 14, 14))  # running statistics of their own
    path = tmp_path / "net.onnx"
    cnnx.onnx.export(model, cnnx.zeros(1, 1, 14, 14), path)
    return model.eval(), path


def test_a_round_trip_keeps_names_and_values(exported):
    model, path = exported
    net = cnnx.onnx.load(path)
    theirs = {name: value for name, value in model.state_dict().items() if "num_batches" not in name}
    ours = net.state_dict()
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name].cpu().numpy(), value.cpu().numpy())
    assert {name for name, _ in net.named_parameters()} == {name for name, _ in model.named_parameters()}
    assert net.inputs == [("input", cnnx.float32, ("batch", 1, 14, 14))]
    x = cnnx.randn(5, 1, 14, 14)
    np.testing.assert_array_equal(net(x).detach().cpu().numpy(), model(x).detach().cpu().numpy())
    again = path.with_name("again.onnx")
    cnnx.onnx.export(net, cnnx.zeros(1, 1, 14, 14), again)
    second = cnnx.onnx.load(again)
    np.testing.assert_array_equal(second(x).detach().cpu().numpy(), model(x).detach().cpu().numpy())
    assert set(second.state_dict()) == set(theirs)


def test_fine_tuning_is_that_of_the_model_itself(exported):
    """The same losses, step by step, running statistics among them."""
    model, path = exported
    net = cnnx.onnx.load(path)
    assert not net.training
    x, y = cnnx.randn(40, 1, 14, 14), cnnx.arange(40) % 10
    losses = []
    for trained in (model, net):
        trained.train()
        optimizer = optim.SGD(trained.parameters(), lr=0.05, momentum=0.9)
        losses.append([])
        for _ in range(6):
            loss = nn.functional.cross_entropy(trained(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    assert losses[0][-1] < losses[0][0]
    for name, value in net.state_dict().items():
        np.testing.assert_allclose(
            value.cpu().numpy(), model.state_dict()[name].cpu().numpy(), rtol=1e-4, atol=1e-6
        )
    model.eval(), net.eval()
    with cnnx.no_grad():
        np.testing.assert_allclose(net(x).cpu().numpy(), model(x).cpu().numpy(), rtol=1e-4, atol=1e-5)


def test_weights_that_change_change_the_plan(exported):
    _, path = exported
    net, x = cnnx.onnx.load(path), cnnx.randn(3, 1, 14, 14)
    other = copy.deepcopy(net)
    with cnnx.no_grad():
        before = net(x).clone()
        for parameter in net.parameters():
            parameter.mul_(0)
        assert net(x).abs().sum().item() == 0
        np.testing.assert_array_equal(other(x).cpu().numpy(), before.cpu().numpy())
        net.load_state_dict(other.state_dict())
        np.testing.assert_array_equal(net(x).cpu().numpy(), before.cpu().numpy())
        for name, _ in list(net.named_parameters()):
            holder, last = net.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
            setattr(holder, last, nn.Parameter(getattr(holder, last) * 0))
        assert net(x).abs().sum().item() == 0


@pytest.mark.big
@pytest.mark.parametrize("name", ["lenet5", "s1", "s4", "s6", "s7", "s11"])
def test_models_of_cnnx(name, tmp_path):
    pytest.importorskip("onnx")
    cnnx.manual_seed(0)
    model = build_model(name).eval()
    shape = (28, 28) if name != "s10" else (784,)
    sample = cnnx.randn(2, 1, *shape)
    try:
        expected = model(sample)
    except RuntimeError:
        pytest.skip("a model of another input")
    path = tmp_path / "net.onnx"
    cnnx.onnx.export(model, sample, path)
    net = cnnx.onnx.load(path)
    np.testing.assert_allclose(
        net(sample).detach().cpu().numpy(), expected.detach().cpu().numpy(), rtol=1e-5, atol=1e-6
    )


def test_what_does_not_fit_is_refused(exported, tmp_path):
    _, path = exported
    net = cnnx.onnx.load(path)
    for inputs, error, words in [
        ((), ValueError, "the net has 1 inputs, got 0"),
        ((np.zeros((1, 1, 14, 14)),), TypeError, "inputs must be tensors, got ndarray"),
        ((cnnx.zeros(1, 1, 14, 14, dtype=cnnx.float64),), TypeError, "'input' is of float32, got float64"),
        (
            (cnnx.zeros(1, 2, 14, 14),),
            RuntimeError,
            r"'input' has the shape \(batch, 1, 14, 14\), got \(1, 2, 14, 14\)",
        ),
    ]:
        with pytest.raises(error, match=words):
            net(*inputs)
    session = cnnx.onnx.Session(path, batch=2)
    assert session.input_shapes == {"input": (2, 1, 14, 14)}
    assert session.output_shapes == [(2, 10)]
    for arrays_in, error, words in [
        ((), ValueError, "has 1 inputs, got 0"),
        (([1.0],), TypeError, "must be an array of float32, got list"),
        ((np.zeros((2, 1, 14, 14)),), TypeError, "must be an array of float32, got float64"),
        ((np.zeros((1, 1, 14, 14), np.float32),), ValueError, r"has the shape \(2, 1, 14, 14\), got \(1,"),
    ]:
        with pytest.raises(error, match=words):
            session.run(*arrays_in)
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"this is no net")
    with pytest.raises(ValueError, match=r"bad\.onnx"):
        cnnx.onnx.load(bad)
    with pytest.raises(FileNotFoundError):
        cnnx.onnx.load(tmp_path / "nowhere.onnx")
    with pytest.raises(TypeError, match=r"onnx\.load: path must be a path, got int"):
        cnnx.onnx.load(3)
    for options, error, words in [
        ({"threads": 0}, ValueError, "threads must be at least 1"),
        ({"fold_batch_norm": 1}, TypeError, "fold_batch_norm must be a bool, got int"),
        ({"device": "warp"}, RuntimeError, "onnx.Session|warp"),
    ]:
        with pytest.raises(error, match=words):
            cnnx.onnx.Session(path, **options)


def test_options_of_a_session(exported):
    """Where it runs, and whether batch normalisation goes into the weights."""
    model, path = exported
    x = cnnx.randn(2, 1, 14, 14)
    expected = model(x).detach().cpu().numpy()
    for device in {"cpu", border.DEVICE}:
        steps = []
        for fold in (True, False):
            session = cnnx.onnx.Session(path, batch=2, device=device, fold_batch_norm=fold)
            found = session.run(x.cpu().numpy())
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
            turned = x.cpu().numpy().transpose(0, 1, 3, 2)  # in no order that a run could copy
            np.testing.assert_array_equal(session.run(turned), session.run(turned.copy()))
            steps.append(str(session._session))
        if device == "cpu":
            assert steps[0] != steps[1]


@pytest.mark.skipif(border.DEVICE == "cpu", reason="there is one device")
def test_a_net_on_the_cpu_refuses_inputs_on_a_device(exported):
    net = cnnx.onnx.load(exported[1])
    assert next(net.parameters()).is_cuda
    net.cpu()
    with pytest.raises(
        RuntimeError, match=r"onnx: an input is on a CUDA device, '0.weight'|'weight' on the CPU"
    ):
        net(cnnx.zeros(1, 1, 14, 14))


def made(nodes, inputs, outputs, initializers=(), opset=18, **more):
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], **more)


def loaded(tmp_path, proto):
    path = tmp_path / "made.onnx"
    path.write_bytes(proto.SerializeToString())
    return cnnx.onnx.load(path)


def test_missing_operators_are_named_all_at_once(tmp_path):
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node
    proto = made(
        [
            node("Nonsense", ["x"], ["a"]),
            node("Relu", ["a"], ["b"]),
            node("Strange", ["b"], ["y"], domain="other"),
        ],
        [("x", [2])],
        [("y", [2])],
    )
    with pytest.raises(NotImplementedError, match=r"cnnx has no Nonsense, other.Strange of opset 18"):
        loaded(tmp_path, proto)


def test_what_else_is_missing_is_named_with_them(tmp_path):
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Nonsense", ["x"], ["a"]),
        helper.make_node("Cast", ["a"], ["b"], to=types.FLOAT16),
        helper.make_node("Conv", ["b", "w"], ["y"], dialect=1),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", types.BFLOAT16, [2])],
        [helper.make_tensor_sequence_value_info("y", types.FLOAT, [2])],
        [helper.make_tensor("w", types.UINT16, [1], [3])],
    )
    with pytest.raises(NotImplementedError) as caught:
        loaded(tmp_path, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))
    assert str(caught.value).partition(".onnx: ")[2] == (
        "cnnx has no Nonsense of opset 18; cnnx has no tensors of bfloat16, float16, uint16; "
        "cnnx has no sequences; attributes that cnnx does not know: Conv.dialect"
    )


FLOATS = np.random.default_rng(0).standard_normal
REFUSED = {
    "kernel_shape of Conv": (
        ("Conv", {"kernel_shape": [3, 2]}, [(1, 2, 5, 5), (4, 2, 3, 3)]),
        ValueError,
        r"Conv of 'y': attribute 'kernel_shape' is \(3, 2\), the weight \(4, 2, 3, 3\)",
    ),
    "kernel_shape of ConvTranspose": (
        ("ConvTranspose", {"kernel_shape": [3]}, [(1, 2, 5, 5), (2, 4, 3, 3)]),
        ValueError,
        r"attribute 'kernel_shape' is \(3,\), the weight \(2, 4, 3, 3\)",
    ),
    "hidden_size": (
        ("GRU", {"hidden_size": 3}, [(5, 2, 3), (1, 12, 3), (1, 12, 4)]),
        ValueError,
        r"GRU of 'y': attribute 'hidden_size' is 3, the weights \(1, 12, 4\) have 4",
    ),
    "the size of a bias": (
        ("RNN", {"hidden_size": 4}, [(5, 2, 3), (1, 4, 3), (1, 4, 4), (1, 9)]),
        ValueError,
        r"input 3 of shape \(1, 9\) where \(1, 8\) is expected",
    ),
    "too many activations": (
        ("RNN", {"hidden_size": 4, "activations": ["Tanh", "Relu"]}, [(5, 2, 3), (1, 4, 3), (1, 4, 4)]),
        ValueError,
        "2 activations where 1 are expected",
    ),
    "stash_type": (
        ("LayerNormalization", {"stash_type": 16}, [(2, 3), (3,)]),
        NotImplementedError,
        "attribute 'stash_type' of bfloat16",
    ),
    "statistics without training": (
        ("BatchNormalization", {}, [(4, 2), (2,), (2,), (2,), (2,)], ["y", "mean"]),
        ValueError,
        "outputs of statistics without training_mode",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_attributes_that_do_not_agree_with_the_inputs(case, tmp_path):
    """Of those there are, none is passed over."""
    (op, attributes, shapes, *outputs), error, words = REFUSED[case]
    onnx = pytest.importorskip("onnx")
    names = ["x", *(f"w{i}" for i in range(1, len(shapes)))]
    weights = [
        onnx.numpy_helper.from_array(FLOATS(shape).astype(np.float32), name)
        for name, shape in zip(names[1:], shapes[1:], strict=True)
    ]
    node = onnx.helper.make_node(op, names, *(outputs or [["y"]]), **attributes)
    net = loaded(tmp_path, made([node], [("x", shapes[0])], [("y", None)], weights))
    with pytest.raises(error, match=words):
        net(cnnx.zeros(*shapes[0]))


def test_a_node_in_training_mode_moves_the_statistics_in_training(tmp_path):
    """It normalises by the batch in both modes, and says what would follow."""
    onnx = pytest.importorskip("onnx")
    values = [np.array(v, np.float32) for v in ([1, 2], [0.5, 0], [0.1, 0.2], [1, 3])]
    names = ["scale", "bias", "mean", "var"]
    node = onnx.helper.make_node(
        "BatchNormalization", ["x", *names], ["y", "new_mean", "new_var"], training_mode=1, momentum=0.8
    )
    weights = [onnx.numpy_helper.from_array(v, name) for v, name in zip(values, names, strict=True)]
    outputs = [("y", None), ("new_mean", None), ("new_var", None)]
    net = loaded(tmp_path, made([node], [("x", ["n", 2, 3, 3])], outputs, weights))
    x = cnnx.randn(5, 2, 3, 3)
    per_channel = x.cpu().numpy().transpose(1, 0, 2, 3).reshape(2, -1)
    mean = 0.8 * values[2] + 0.2 * per_channel.mean(1)
    var = 0.8 * values[3] + 0.2 * per_channel.var(1)
    module = nn.BatchNorm2d(2, momentum=0.2)
    module.load_state_dict(
        {
            "weight": cnnx.tensor(values[0]),
            "bias": cnnx.tensor(values[1]),
            "running_mean": cnnx.tensor(values[2]),
            "running_var": cnnx.tensor(values[3]),
            "num_batches_tracked": cnnx.tensor(0),
        }
    )
    expected = module(x)
    for training in (False, True):
        y, new_mean, new_var = net.train(training)(x)
        np.testing.assert_allclose(y.detach().cpu().numpy(), expected.detach().cpu().numpy(), atol=1e-5)
        np.testing.assert_allclose(new_mean.detach().cpu().numpy(), mean, rtol=1e-5)
        np.testing.assert_allclose(new_var.detach().cpu().numpy(), var, rtol=1e-5)
        kept = module.running_mean if training else cnnx.tensor(values[2])
        np.testing.assert_allclose(net.mean.cpu().numpy(), kept.cpu().numpy(), rtol=1e-5)


def test_constants_have_a_limit(tmp_path):
    onnx = pytest.importorskip("onnx")
    node, tensor = onnx.helper.make_node, onnx.helper.make_tensor
    proto = made(
        [node("ConstantOfShape", ["shape"], ["much"], "much"), node("Add", ["x", "much"], ["y"])],
        [("x", [1])],
        [("y", None)],
        [tensor("shape", onnx.TensorProto.INT64, [1], [2**32])],
    )
    net = loaded(tmp_path, proto)
    with pytest.raises(ValueError, match=r"onnx: ConstantOfShape 'much': .* above the limit"):
        net(cnnx.zeros(1))


def test_names_that_python_or_the_module_needs(tmp_path):
    onnx = pytest.importorskip("onnx")
    node, tensor = onnx.helper.make_node, onnx.helper.make_tensor
    names = ["forward", "a.b", "a", "a..c", "onnx::MatMul_7", "x/y:0"]
    nodes = [node("Mul", ["x" if i == 0 else f"t{i}", name], [f"t{i + 1}"]) for i, name in enumerate(names)]
    values = [tensor(name, onnx.TensorProto.FLOAT, [2], [i + 1.0, 2.0]) for i, name in enumerate(names)]
    net = loaded(tmp_path, made(nodes, [("x", [2])], [(f"t{len(names)}", [2])], values))
    assert len(list(net.parameters())) == len(names)
    assert net(cnnx.ones(2)).tolist() == [720.0, 64.0]
    assert {"forward_", "a.b", "onnx::MatMul_7", "x/y:0"} < set(net.state_dict())
    net.load_state_dict(net.state_dict())


def test_dropout_drops_in_training_alone(tmp_path):
    onnx = pytest.importorskip("onnx")
    net = loaded(
        tmp_path, made([onnx.helper.make_node("Dropout", ["x"], ["y"])], [("x", [1000])], [("y", [1000])])
    )
    x = cnnx.ones(1000)
    assert net(x).tolist() == x.tolist()
    net.train()
    assert 300 < (net(x) == 0).sum().item() < 700
    seeded = onnx.helper.make_node("Dropout", ["x"], ["y"], seed=3)
    net = loaded(tmp_path, made([seeded], [("x", [1000])], [("y", [1000])]))
    assert net(x).tolist() == x.tolist()
    with pytest.raises(NotImplementedError, match="Dropout of 'y': attribute 'seed'"):
        net.train()(x)
