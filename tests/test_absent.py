"""Names that are not there: why, and the nearest one; memory formats, which change nothing."""

from __future__ import annotations

import functools
import importlib
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx import absent, layouts, nn

# Room, name, what is said of it, the nearest name.
MISSING = (
    ("cnnx", "complex64", "no complex numbers", None),
    ("cnnx", "sparse_coo_tensor", "no sparse tensors", None),
    ("cnnx", "float16", "no floats of 16 bits or fewer but bfloat16 under autocast", "bfloat16"),
    ("cnnx", "multiprocessing", "no work shared by processes", None),
    ("cnnx", "sigmoyd", None, "sigmoid"),
    ("cnnx.nn", "Conv2D", None, "Conv2d"),
    ("cnnx.nn", "Conv3d", "images and signals, no volumes", "Conv2d"),
    ("cnnx.nn", "MultiheadAttention", "no attention", None),
    ("cnnx.nn.functional", "cross_entropi", None, "cross_entropy"),
    ("cnnx.nn.init", "xavier_unifrom_", None, "xavier_uniform_"),
    ("cnnx.nn.utils", "clip_grad_values", None, "clip_grad_value_"),
    ("cnnx.optim", "Adm", None, "Adam"),
    ("cnnx.optim.lr_scheduler", "StepLr", None, "StepLR"),
    ("cnnx.datasets", "MNISt", None, "MNIST"),
    ("cnnx.transforms", "Totensor", None, "ToTensor"),
    ("cnnx.utils.data", "Dataloader", None, "DataLoader"),
    ("cnnx.linalg", "svd", "no decompositions and inverses of matrices", None),
    ("cnnx.cuda", "is_availabel", None, "is_available"),
    ("cnnx.distributions", "Nomal", None, "Normal"),
)


@pytest.mark.parametrize(("room", "name", "why", "near"), MISSING)
def test_a_missing_name_says_why_and_what_is_near(room, name, why, near) -> None:
    module = importlib.import_module(room)
    with pytest.raises(AttributeError) as caught:
        getattr(module, name)
    middle = f": cnnx has {why}" if why else ""
    end = f"did you mean {near!r}?" if near else f"see dir({room})"
    text = f"{room} has no {name!r}{middle}; {end}"
    assert str(caught.value) == text
    assert not hasattr(module, name)
    for way in (f"from {room} import {name}", f"from {room} import __name__, {name} as other"):
        with pytest.raises(ImportError) as caught:
            exec(way, {})
        assert str(caught.value) == text
        assert caught.value.name == room


def test_files_of_a_room_are_no_names_of_it() -> None:
    importlib.import_module("cnnx.utils.data.dataloader")
    with pytest.raises(AttributeError, match=r"did you mean 'DataLoader'\?"):
        cnnx.utils.data.Dataloader  # noqa: B018
    with pytest.raises(AttributeError, match=r"did you mean 'functional'\?"):
        nn.functionl  # noqa: B018


def test_imports_of_what_is_there() -> None:
    from cnnx import onnx
    from cnnx.cuda import amp
    from cnnx.nn import Conv2d, utils  # a class and a room
    from cnnx.nn.utils import rnn

    assert (Conv2d, utils, onnx.__name__, amp.__name__) == (nn.Conv2d, nn.utils, "cnnx.onnx", "cnnx.cuda.amp")
    assert rnn is nn.utils.rnn
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'cnnx\.nn\.nothing'"):
        import cnnx.nn.nothing  # noqa: F401


def test_tensors_say_it_too() -> None:
    with pytest.raises(AttributeError, match=r"^cnnx.Tensor has no 'argmaxx'; did you mean 'argmax'\?$"):
        cnnx.ones(2).argmaxx()
    with pytest.raises(
        AttributeError, match=r"^cnnx.Tensor has no 'half': cnnx has no complex numbers|floats"
    ):
        cnnx.ones(2).half()


def test_the_error_is_pickled() -> None:
    error = pickle.loads(pickle.dumps(absent.MissingNameError("cnnx.nn", "Conv", tuple)))
    assert str(error) == "cnnx.nn has no 'Conv'; see dir(cnnx.nn)"


def test_functions_in_place() -> None:
    x = cnnx.tensor([-1.0, 2.0])
    assert cnnx.relu_(x) is x
    assert x.tolist() == [0.0, 2.0]
    assert cnnx.exp_(x).tolist() == pytest.approx([1.0, np.exp(2.0)])
    with pytest.raises(AttributeError, match="cnnx has no 'reluu_'"):
        cnnx.reluu_  # noqa: B018


def test_memory_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "_told", False)
    x, model = cnnx.ones(2, 3, 4, 4), nn.Conv2d(3, 2, 3)
    with pytest.warns(cnnx.PerformanceWarning, match="channels_last changes nothing"):
        found = x.to(memory_format=cnnx.channels_last)
    assert found is x
    with warnings.catch_warnings():  # it has been said
        warnings.simplefilter("error")
        assert x.contiguous(memory_format=cnnx.channels_last) is x
        assert model.to(memory_format=cnnx.channels_last) is model
        assert x.clone(memory_format=cnnx.preserve_format).tolist() == x.tolist()
    assert x.is_contiguous()
    assert x.is_contiguous(memory_format=cnnx.contiguous_format)
    assert not x.is_contiguous(memory_format=cnnx.channels_last)
    assert repr(cnnx.channels_last) == "cnnx.channels_last"
    assert isinstance(cnnx.channels_last, cnnx.memory_format)
    for like in ("empty", "zeros", "ones", "rand", "randn"):
        function = getattr(cnnx, f"{like}_like")
        assert function(x, memory_format=cnnx.channels_last).shape == x.shape
        assert function(x, dtype=cnnx.float64, memory_format=cnnx.preserve_format).dtype == cnnx.float64
    assert cnnx.full_like(x, 2.0, memory_format=cnnx.contiguous_format).sum() == 2.0 * x.numel()
    assert cnnx.randint_like(x, 3, memory_format=cnnx.preserve_format).shape == x.shape
    likes = [functools.partial(like, x) for like in (cnnx.zeros_like, cnnx.rand_like, cnnx.ones_like)]
    for call in (x.to, x.contiguous, x.clone, x.is_contiguous, model.to, *likes):
        with pytest.raises(TypeError, match=r"memory_format must be a cnnx.memory_format, got str"):
            call(memory_format="channels_last")


@pytest.mark.once
def test_the_table_is_that_of_both_libraries() -> None:
    torch = pytest.importorskip("torch")
    if not torch.__version__.startswith("2.13.0"):
        pytest.skip("the table is of PyTorch 2.13.0")
    tool = Path(__file__).parent.parent / "tools" / "names.py"
    done = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
