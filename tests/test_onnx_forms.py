"""Operators of ONNX in the forms of old opsets, and what their own tests leave out, beside ONNX Runtime."""

import numpy as np
import pytest

import cnnx
from cnnx import _C

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
helper, TYPES = onnx.helper, onnx.TensorProto

pytestmark = pytest.mark.cpu("the nets are those of the files, on the CPU")
random = np.random.default_rng(0)


def reals(*shape):
    return random.normal(size=shape).round(2).astype(np.float32)


def ints(*values, dtype=np.int64):
    return np.array(values, dtype)


X, IMAGE, ROW = reals(3, 4, 5), reals(2, 3, 7, 6), reals(2, 3, 9)
STATISTICS = [reals(3), reals(3), reals(3), np.abs(reals(3)) + 1]
# Operator, opset, inputs (None: left out; a list: a constant of the file), attributes, number of outputs.
FORMS = [
    ("Slice", 9, [X], {"starts": [1, -3], "ends": [9, -1], "axes": [0, 2]}, 1),
    ("Slice", 13, [X, [ints(4, -1)], [ints(-(2**62), -9)], [ints(2, 1)], [ints(-2, -1)]], {}, 1),
    ("Slice", 13, [X, [ints(0)], [ints(0)]], {}, 1),
    ("Split", 11, [X], {"axis": 1, "split": [1, 3]}, 2),
    ("Split", 18, [X], {"axis": 2, "num_outputs": 2}, 2),
    ("Squeeze", 11, [reals(1, 3, 1)], {"axes": [0]}, 1),
    ("Squeeze", 13, [reals(1, 3, 1)], {}, 1),
    ("Unsqueeze", 11, [X], {"axes": [0, 4]}, 1),
    ("ReduceSum", 11, [X], {"axes": [0, -1], "keepdims": 0}, 1),
    ("ReduceMean", 17, [X], {"axes": [1]}, 1),
    ("ReduceProd", 11, [X], {"axes": [0, 2]}, 1),
    ("ReduceMax", 11, [X], {}, 1),
    ("Clip", 7, [X], {"min": -0.5, "max": 0.5}, 1),
    ("Clip", 13, [X, None, [np.float32(0.3)]], {}, 1),
    ("Clip", 13, [ints(1, 5, 9), None, ints(6)[0]], {}, 1),
    ("Dropout", 7, [X], {"ratio": 0.3}, 1),
    ("Dropout", 13, [X], {}, 2),
    ("Pad", 9, [IMAGE], {"pads": [0, 0, 1, 2, 0, 0, 0, 1], "mode": "constant", "value": 2.5}, 1),
    ("Pad", 9, [IMAGE], {"pads": [0, 0, 1, 2, 0, 0, 3, 1], "mode": "reflect"}, 1),
    ("Pad", 13, [X, [ints(1, 0, 2, 0, 2, 1)]], {"mode": "edge"}, 1),
    ("Pad", 19, [X, [ints(2, 1, 0, 1, 0, 4)]], {"mode": "wrap"}, 1),
    ("Pad", 13, [IMAGE, [ints(0, 0, -1, 1, 0, 0, 1, -2)]], {}, 1),
    ("Softmax", 11, [X], {"axis": 1}, 1),
    ("LogSoftmax", 11, [X], {}, 1),
    ("Hardmax", 13, [X], {"axis": 1}, 1),
    ("TopK", 9, [X], {"k": 2, "axis": 1}, 2),
    ("Upsample", 7, [IMAGE], {"scales": [1.0, 1.0, 2.0, 3.0]}, 1),
    ("Upsample", 9, [IMAGE, [np.array([1, 1, 2, 2], np.float32)]], {"mode": "linear"}, 1),
    ("Resize", 10, [IMAGE, [np.array([1, 1, 1.5, 0.5], np.float32)]], {}, 1),
    ("BatchNormalization", 7, [IMAGE, *STATISTICS], {"momentum": 0.9}, 1),
    ("BatchNormalization", 9, [IMAGE, *STATISTICS], {"epsilon": 0.1}, 1),
    ("InstanceNormalization", 7, [IMAGE, reals(3), reals(3)], {}, 1),
    ("LRN", 13, [IMAGE], {"size": 5, "alpha": 0.3, "beta": 0.6, "bias": 1.5}, 1),
    ("Gemm", 7, [reals(5, 3), reals(5, 4), reals(1, 4)], {"transA": 1, "alpha": 0.5, "beta": 2.0}, 1),
    ("Gemm", 13, [reals(2, 3), reals(4, 3)], {"transB": 1}, 1),
    ("Pow", 13, [ints(16777217, 2**31 + 1, -3), np.array([1, 1, 3], np.float32)], {}, 1),
    ("Slice", 13, [X, [ints(-9)], [ints(-9)], [ints(1)], [ints(-1)]], {}, 1),
    ("Slice", 13, [X, [ints(-9)], [ints(-9)], [ints(1)], [ints(-2)]], {}, 1),
    ("Slice", 13, [X, [ints(9)], [ints(-9)], [ints(1)], [ints(-3)]], {}, 1),
    ("Slice", 13, [X, [ints(-4)], [ints(2)], [ints(1)], [ints(-1)]], {}, 1),
    ("Scatter", 9, [X, ints(0, 2, 1).reshape(1, 3, 1), reals(1, 3, 1)], {"axis": 0}, 1),
    ("PRelu", 7, [IMAGE, reals(3, 1, 1)], {}, 1),
    ("Selu", 7, [X], {"alpha": 2.0, "gamma": 3.0}, 1),
    ("HardSigmoid", 7, [X], {"alpha": 0.3, "beta": 0.4}, 1),
    ("Conv", 11, [IMAGE, reals(6, 1, 3, 2), reals(6)],
     {"group": 3, "pads": [2, 0, 1, 3], "strides": [2, 1]}, 1),
    ("Conv", 11, [ROW, reals(4, 3, 2)], {"auto_pad": "SAME_LOWER", "strides": [2]}, 1),
    ("Conv", 11, [IMAGE, reals(2, 3, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [3, 2]}, 1),
    ("ConvTranspose", 11, [IMAGE, reals(3, 2, 3, 2), reals(2)],
     {"strides": [2, 3], "pads": [1, 0, 0, 1], "output_padding": [1, 2]}, 1),
    ("ConvTranspose", 11, [IMAGE, reals(3, 2, 3, 3), reals(2)],
     {"strides": [2, 2], "output_shape": [15, 14]}, 1),
    ("ConvTranspose", 11, [IMAGE, reals(3, 2, 2, 2)], {"strides": [2, 2], "auto_pad": "SAME_UPPER"}, 1),
    ("ConvTranspose", 11, [ROW, reals(3, 2, 4), reals(2)], {"strides": [2], "dilations": [2]}, 1),
    ("MaxPool", 12, [IMAGE], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [0, 1, 2, 0]}, 2),
    ("MaxPool", 12, [IMAGE], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, 2),
    ("MaxPool", 12, [ROW], {"kernel_shape": [2], "dilations": [3], "pads": [1, 1]}, 1),
    ("AveragePool", 11, [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 0, 2]}, 1),
    ("AveragePool", 11, [IMAGE],
     {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 0, 2], "count_include_pad": 1}, 1),
    ("AveragePool", 11, [ROW], {"kernel_shape": [4], "auto_pad": "SAME_LOWER"}, 1),
    ("GlobalLpPool", 7, [IMAGE], {"p": 1}, 1),
    ("Einsum", 12, [reals(2, 3, 4), reals(4, 5, 2)], {"equation": "abc, cda -> bd"}, 1),
    ("Einsum", 12, [reals(2, 3, 4), reals(5, 4)], {"equation": "...jk,lk->...l"}, 1),
    ("Einsum", 12, [reals(2, 3), reals(3, 4), reals(4)], {"equation": "ij,jk,k"}, 1),
    ("Einsum", 12, [reals(3, 3, 2)], {"equation": "iij->ji"}, 1),
    ("LSTM", 14, [reals(5, 2, 3), reals(2, 16, 3), reals(2, 16, 4), reals(2, 32), ints(5, 3, dtype=np.int32)],
     {"hidden_size": 4, "direction": "bidirectional"}, 3),
    ("LSTM", 7, [reals(5, 2, 3), reals(1, 16, 3), reals(1, 16, 4), None, None, reals(1, 2, 4), reals(1, 2, 4),
                 reals(1, 12)], {"hidden_size": 4, "direction": "reverse"}, 3),
    ("LSTM", 7, [reals(5, 2, 3), reals(1, 16, 3), reals(1, 16, 4)], {"hidden_size": 4, "clip": 0.7}, 3),
    ("LSTM", 7, [reals(5, 2, 3), reals(1, 16, 3), reals(1, 16, 4), None, None, reals(1, 2, 4),
                 9 * reals(1, 2, 4)], {"hidden_size": 4, "clip": 0.3}, 3),
    ("GRU", 14, [reals(5, 2, 3), reals(2, 12, 3), reals(2, 12, 4), reals(2, 24)],
     {"hidden_size": 4, "direction": "bidirectional", "linear_before_reset": 1}, 2),
    ("GRU", 7, [reals(5, 2, 3), reals(1, 12, 3), reals(1, 12, 4), reals(1, 24), ints(2, 5, dtype=np.int32)],
     {"hidden_size": 4}, 2),
    ("RNN", 14, [reals(5, 2, 3), reals(1, 4, 3), reals(1, 4, 4)],
     {"hidden_size": 4, "activations": ["LeakyRelu"], "activation_alpha": [0.3]}, 2),
]  # fmt: skip
RESIZES = [
    ({"mode": mode, "coordinate_transformation_mode": rule, **more}, scales, sizes)
    for scales, sizes in (([1, 1, 1.7, 2.0], None), ([1, 1, 0.6, 0.5], None), (None, [2, 3, 10, 3]))
    for rule in ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel")
    if sizes is not None or rule != "align_corners"  # of fractions of pixels ONNX Runtime knows nothing
    for mode, more in (
        ("nearest", {"nearest_mode": "round_prefer_floor"}),
        ("nearest", {"nearest_mode": "ceil"}),
        ("linear", {}),
        ("cubic", {}),
        ("cubic", {"cubic_coeff_a": -0.5, "exclude_outside": 1}),
    )
]


def model_of(op, opset, inputs, attributes, outputs):
    """A model of one node, and what it is fed with: inputs in a list are constants."""
    feed, initializers, names = {}, [], []
    for i, value in enumerate(inputs):
        names.append("" if value is None else f"x{i}")
        if isinstance(value, list):
            initializers.append(onnx.numpy_helper.from_array(np.asarray(value[0]), f"x{i}"))
        elif value is not None:
            feed[f"x{i}"] = np.asarray(value)
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in feed.items()
    ]
    results = [helper.make_empty_tensor_value_info(f"y{i}") for i in range(outputs)]
    node = helper.make_node(op, names, [f"y{i}" for i in range(outputs)], **attributes)
    model = helper.make_model(
        helper.make_graph([node], op, infos, results, initializers),
        opset_imports=[helper.make_opsetid("", opset)],
    )
    model.ir_version = 8
    return model, feed


def run_model(model, feed):
    for result in model.graph.output:
        result.type.tensor_type.elem_type = TYPES.FLOAT
    net = _C.parse_onnx(model.SerializeToString(), "test")
    return net.run([cnnx.tensor(x) for x in feed.values()], [weight for _, weight in net.weights], False)


def run_node(op, opset, inputs, attributes):
    (found,) = run_model(*model_of(op, opset, inputs, attributes, 1))
    return found.numpy()


def compare(op, opset, inputs, attributes, outputs):
    model, feed = model_of(op, opset, inputs, attributes, outputs)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, feed)
    found = run_model(model, feed)
    for got, wanted in zip(found, expected, strict=True):
        assert tuple(got.shape) == wanted.shape
        assert got.numpy().dtype == wanted.dtype
        np.testing.assert_allclose(got.numpy(), wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("op", "opset", "inputs", "attributes", "outputs"),
    FORMS,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_forms(op, opset, inputs, attributes, outputs):
    compare(op, opset, inputs, attributes, outputs)


@pytest.mark.parametrize(("attributes", "scales", "sizes"), RESIZES)
def test_resize(attributes, scales, sizes):
    inputs = [IMAGE, None, None if scales is None else [np.array(scales, np.float32)]]
    if sizes is not None:
        inputs.append([np.array(sizes)])
    compare("Resize", 13, inputs, attributes, 1)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
@pytest.mark.parametrize("rule", ["half_pixel", "pytorch_half_pixel", "asymmetric"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("sizes", [[7, 4], [4, 9], [11, 13], [3, 3]])
def test_resize_keeps_the_aspect_ratio(policy, rule, mode, sizes):
    attributes = {
        "mode": mode,
        "coordinate_transformation_mode": rule,
        "keep_aspect_ratio_policy": policy,
        "axes": [2, 3],
    }
    compare("Resize", 18, [IMAGE, None, None, [np.array(sizes)]], attributes, 1)


def test_cubic_resizing_of_bytes_ends_at_their_range():
    """The curve goes below 0 and above 255."""
    x = np.array([[[[0, 0, 255, 255, 0, 0, 255]]]], np.uint8)
    scales = [np.array([1, 1, 1, 2.5], np.float32)]
    found, exact = (
        run_node("Resize", 13, [value, None, scales], {"mode": "cubic"})
        for value in (x, x.astype(np.float32))
    )
    assert found.dtype == np.uint8
    assert exact.min() < -1
    assert exact.max() > 256
    np.testing.assert_allclose(found, exact.clip(0, 255), atol=0.501)


def test_functions_of_the_model_are_expanded():
    """With attributes by reference and by default, within each other; those in a circle are refused."""
    scaled = helper.make_function(
        "own",
        "Scaled",
        ["a"],
        ["b"],
        [
            helper.make_node("Elu", ["a"], ["c"]),
            helper.make_node("LeakyRelu", ["c"], ["b"]),
        ],
        [helper.make_opsetid("", 13)],
        ["alpha"],
        [helper.make_attribute("slope", 0.5)],
    )
    for node, name in zip(scaled.node, ("alpha", "slope"), strict=True):
        reference = node.attribute.add()
        reference.name, reference.ref_attr_name, reference.type = "alpha", name, onnx.AttributeProto.FLOAT
    twice = helper.make_function(
        "own",
        "Twice",
        ["a"],
        ["b", "a2"],
        [
            helper.make_node("Scaled", ["a"], ["c"], domain="own", alpha=2.0),
            helper.make_node("Scaled", ["c"], ["b"], domain="own", alpha=3.0, slope=0.25),
            helper.make_node("Identity", ["a"], ["a2"]),
        ],
        [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)],
    )
    shape = [helper.make_tensor_value_info(name, TYPES.FLOAT, [5]) for name in ("x", "y", "z")]
    graph = helper.make_graph(
        [
            helper.make_node("Twice", ["x"], ["h", "same"], domain="own"),
            helper.make_node("Twice", ["h"], ["y"], domain="own"),
            helper.make_node("Add", ["h", "same"], ["z"]),
        ],
        "net",
        shape[:1],
        shape[1:],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=[scaled, twice], ir_version=9)
    net = _C.parse_onnx(model.SerializeToString(), "functions")
    x = reals(5)

    def elu(x, alpha, slope):
        y = np.where(x > 0, x, alpha * np.expm1(x))
        return np.where(y > 0, y, slope * y)

    def both(x):
        return elu(elu(x, 2, 0.5), 3, 0.25)

    y, z = net.run([cnnx.tensor(x)], [weight for _, weight in net.weights], False)
    np.testing.assert_allclose(y.numpy(), both(both(x)), rtol=1e-5)
    np.testing.assert_allclose(z.numpy(), both(x) + x, rtol=1e-5)

    circle = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Twice", ["a"], ["b"], domain="own")], opsets
    )
    del model.functions[:]
    model.functions.append(circle)
    del model.graph.node[:]
    del model.graph.output[1:]
    model.graph.node.append(helper.make_node("Twice", ["x"], ["y"], domain="own"))
    with pytest.raises(ValueError, match="its functions call each other without end"):
        _C.parse_onnx(model.SerializeToString(), "circle")


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "error", "words"),
    [
        ("Gather", [X, [ints(3)]], {}, IndexError, r"3 is out of range for a dimension of 3"),
        ("GatherND", [X, ints(0, -5).reshape(1, 2)], {}, IndexError, r"-5 is out of range"),
        ("Concat", [X, IMAGE], {"axis": 0}, RuntimeError, r"onnx: Concat of 'y0': cat"),
        ("Squeeze", [X, [ints(0)]], {}, ValueError, r"axis 0 of an input of shape \(3, 4, 5\) is not 1"),
        ("Softmax", [X], {"axis": 3}, ValueError, r"axis 3 of 3 dimensions"),
        ("Slice", [X, [ints(0)], [ints(1)], [ints(0)], [ints(0)]], {}, ValueError, r"a step of 0"),
        ("Resize", [IMAGE, None, [np.array([1, 1, 0, 2], np.float32)]], {}, ValueError, r"a scale of 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_errors_name_the_node(op, inputs, attributes, error, words):
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    constants = [
        onnx.numpy_helper.from_array(x[0], f"x{i}") for i, x in enumerate(inputs) if isinstance(x, list)
    ]
    given = {f"x{i}": x for i, x in enumerate(inputs) if isinstance(x, np.ndarray)}
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y0"], **attributes)],
        op,
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for name, x in given.items()
        ],
        [helper.make_tensor_value_info("y0", TYPES.FLOAT, None)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    net = _C.parse_onnx(model.SerializeToString(), op)
    with pytest.raises(error, match=words):
        net.run([cnnx.tensor(x) for x in given.values()], [weight for _, weight in net.weights], False)
