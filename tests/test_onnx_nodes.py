"""ONNX's own tests of its operators: all whose operators and dtypes cnnx has pass; the others are named."""

import re
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx import _C

pytest.importorskip("onnx")

# What cnnx says that it has not, by the error.
REASONS = {
    "operators": r"cnnx has no ([\w., ]+) of opset|functions of the model's own",
    "other opsets": r": opset (\d+); cnnx takes",
    "dtypes": r"cnnx has no tensors of (\w+)|: strings|attribute 'value_string",
    "sequences and optionals": r"cnnx has no (?:sequences|maps|optionals|sparse tensors)",
    "three spatial axes": r"spatial axes|images of 3 axes",
    "attributes": r"attributes that cnnx does not know: ([\w., ]+)",
}
# By the values of another generator of random numbers.
RANDOM = re.compile(r"test_training_dropout(?!_zero_ratio).*|test_bernoulli.*")


def cases():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, about values that overflow on purpose
        from onnx.backend.test.loader import load_model_tests

        return load_model_tests(kind="node")


def reason(error):
    for name, pattern in REASONS.items():
        if found := re.search(pattern, str(error)):
            return name, next((group for group in found.groups() if group), "")
    return None


def as_array(value):
    onnx = pytest.importorskip("onnx")
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def tensor(value):
    array = as_array(value)
    return cnnx.tensor(array.copy() if array.flags.c_contiguous else np.ascontiguousarray(array))


def check(case):
    net = _C.parse_onnx(case.model.SerializeToString(), case.name)
    weights = [weight for _, weight in net.weights]
    for inputs, outputs in case.data_sets:
        given = [tensor(value) for value in inputs]
        found = net.run(given, weights, False)
        assert len(found) == len(outputs)
        for a, b in zip(found, outputs, strict=True):
            got, wanted = a.numpy(), as_array(b)
            assert got.shape == wanted.shape, f"shape {got.shape} instead of {wanted.shape}"
            assert got.dtype == wanted.dtype, f"dtype {got.dtype} instead of {wanted.dtype}"
            np.testing.assert_allclose(got, wanted, rtol=case.rtol, atol=case.atol)


def test_the_documentation_lists_the_operators():
    text = (Path(__file__).parent.parent / "docs" / "onnx.md").read_text()
    listed = re.findall(r"`(\w+)`", text.partition("## Operators")[2])
    assert listed == _C.onnx_ops()


@pytest.mark.once
@pytest.mark.cpu("the nets are those of the files, on the CPU")
def test_node_tests_of_onnx():
    passed, random, wrong = [], [], []
    missing = defaultdict(lambda: defaultdict(list))
    for case in cases():
        if RANDOM.fullmatch(case.name):
            random.append(case.name)
            continue
        try:
            check(case)
        except NotImplementedError as error:
            if found := reason(error):
                missing[found[0]][found[1]].append(case.name)
            else:
                wrong.append(f"{case.name}: {error}")
        except Exception as error:
            wrong.append(f"{case.name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        else:
            passed.append(case.name)
    print(f"{len(passed)} passed, {len(random)} draw random numbers, {len(wrong)} wrong")
    for kind, whats in missing.items():
        print(f"{kind}: {sum(map(len, whats.values()))} tests")
        for what, names in sorted(whats.items()):
            examples = ", ".join(names[:3])
            print(f"  {what or 'of any kind'}: {len(names)} tests, such as {examples}")
    assert not wrong, "\n".join(wrong)
    assert len(passed) >= 1000


# Why a session is refused: what becomes of the first input's values, or of the ones that it begins with.
NO_PLAN = re.compile(r"cannot be planned: (values of a tensor are read or written|it draws random numbers)")


def with_constants(case):
    """The model with the first set of inputs, but for the first of them, as constants."""
    onnx = pytest.importorskip("onnx")
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    for value, given in zip(list(model.graph.input)[1:], case.data_sets[0][0][1:], strict=True):
        array = np.array(as_array(given), order="C")
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
        model.graph.input.remove(value)
    return model.SerializeToString()


@pytest.mark.once
@pytest.mark.cpu("the nets are those of the files, on the CPU")
def test_node_tests_in_sessions():
    """Whatever runs op by op runs in a session, unless its course depends on what it is given."""
    passed, refused, wrong = 0, [], []
    for case in cases():
        if RANDOM.fullmatch(case.name) or not case.data_sets or not case.data_sets[0][0]:
            continue
        try:
            _C.parse_onnx(case.model.SerializeToString(), case.name)
        except NotImplementedError:  # the last test says why
            continue
        net = _C.parse_onnx(with_constants(case), case.name)
        inputs, outputs = case.data_sets[0]
        x = np.array(as_array(inputs[0]), order="C")
        try:
            session = _C.Session(net, 1, 1, [x.shape] if net.inputs else [], "cpu", True)
        except NotImplementedError:
            continue
        except RuntimeError as error:
            (refused if NO_PLAN.search(str(error)) else wrong).append(f"{case.name}: {error}")
            continue
        results = [np.empty_like(session.output(i).numpy()) for i in range(session.outputs)]
        session.run([x] if net.inputs else [], results)
        for got, value in zip(results, outputs, strict=True):
            wanted = as_array(value)
            if got.shape != wanted.shape or not np.allclose(
                got, wanted, case.rtol, case.atol, equal_nan=True
            ):
                wrong.append(f"{case.name}: {got} instead of {wanted}")
        passed += 1
    print(f"{passed} in sessions; refused:", *refused, sep="\n  ")
    assert not wrong, "\n".join(wrong)
    assert len(refused) <= 12
    assert passed >= 1000
