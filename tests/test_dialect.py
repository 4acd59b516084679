"""Scripts as PyTorch's users write them (tests/dialect) run on cnnx when only their import lines change.

On PyTorch, where it is installed, they print the same but for the numbers, which lie near each other (APART).
"""

import gzip
import importlib.util
import re
import struct
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx import datasets

FOLDER = Path(__file__).parent / "dialect"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))
NEEDED = ("matplotlib", "sklearn", "tqdm")
NUMBER = r"[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?"

# How far numbers may lie apart on the two libraries, relatively and absolutely; none: they are not compared.
APART = {
    # the same weights, from NumPy, and the same order: what rounding makes of them
    "csv_lenet": 2e-3,
    "dcgan": 2e-3,
    "distillation": 2e-3,
    "grad_cam": 2e-3,
    "pruning": 2e-3,
    "siamese": 2e-3,
    "swa": 2e-3,
    "vae": 2e-3,
    # at the identity it reads images just where the gradient of the grid jumps, so rounding chooses a side
    "stn": 0.1,
    # draws of the library's own, and workers in any order: what is reached
    "hogwild": 0.2,
    # nothing random in them
    "filters": 0,
    "functions": 0,
    "tensors": 0,
}

pytestmark = [
    pytest.mark.cpu("scripts that name no device"),
    pytest.mark.skipif(
        cnnx._C.active_target() == "reference", reason="training in the reference's plain loops takes minutes"
    ),
]


def with_cnnx(line):
    """The import line of PyTorch or torchvision as that of cnnx; any other line as it is."""
    line = re.sub(r"^import (torch|torchvision)(?:\.[\w.]+)?$", r"import cnnx as \1", line)
    line = re.sub(r"^import (?:torch|torchvision)\.([\w.]+) as (\w+)$", r"import cnnx.\1 as \2", line)
    return re.sub(r"^from (?:torch|torchvision)((?:\.\w+)*) import", r"from cnnx\1 import", line)


@pytest.fixture
def mnist_files(tmp_path, monkeypatch):
    """A folder with few images in MNIST's files: the 8x8 digits, enlarged."""
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, train, count in [("train", True, 300), ("t10k", False, 100)]:
        digits = datasets.Digits(train=train)
        images = np.kron(digits.data.numpy()[:count] * np.uint8(15), np.ones((1, 3, 3), np.uint8))
        images = np.pad(images, ((0, 0), (2, 2), (2, 2)))
        labels = digits.targets.numpy()[:count].astype(np.uint8)
        for kind, array in [("images-idx3", images), ("labels-idx1", labels)]:
            header = struct.pack(">HBB" + "I" * array.ndim, 0, 8, array.ndim, *array.shape)
            (raw / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
            (raw / f"{name}-{kind}-ubyte").write_bytes(header + array.tobytes())
    yield tmp_path
    import matplotlib.pyplot as plt

    plt.close("all")


def stand_in_for_torchvision():
    """A torchvision whose MNIST and transforms are cnnx's, with PyTorch's tensors."""
    import torch

    class MNIST(torch.utils.data.Dataset):
        def __init__(self, *args, **kwargs):
            self.inner = datasets.MNIST(*args, **kwargs)
            self.classes = self.inner.classes
            self.data = torch.from_numpy(self.inner.data.numpy().copy())
            self.targets = torch.from_numpy(self.inner.targets.numpy().copy())

        def __len__(self):
            return len(self.inner)

        def __getitem__(self, index):
            image, label = self.inner[index]
            return torch.from_numpy(image.numpy().copy()), label

    def make_grid(images, **kwargs):
        return torch.from_numpy(cnnx.utils.make_grid(cnnx.from_numpy(images.numpy()), **kwargs).numpy())

    def save_image(images, file, **kwargs):
        cnnx.utils.save_image(cnnx.from_numpy(images.numpy()), file, **kwargs)

    names = ("torchvision", "torchvision.datasets", "torchvision.utils")
    package, folder, utils = (types.ModuleType(name) for name in names)
    folder.MNIST = MNIST
    utils.make_grid, utils.save_image = make_grid, save_image
    package.datasets, package.transforms, package.utils = folder, cnnx.transforms, utils
    return {
        "torchvision": package,
        "torchvision.datasets": folder,
        "torchvision.transforms": cnnx.transforms,
        "torchvision.utils": utils,
    }


def output(source, name, capsys):
    exec(compile(source, name, "exec"), {"__name__": "__main__"})
    return capsys.readouterr().out


def masked(text):
    """The text with every number and device replaced, and runs of blanks as one."""
    text = re.sub(r"\b(cuda(:\d)?|cpu)\b", "DEVICE", text)
    text = re.sub(NUMBER, "#", text)
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.filterwarnings("ignore:DataLoader. num_workers has no effect")  # asked for where there is a GPU
def test_script_runs_with_its_import_lines_changed(script, mnist_files, monkeypatch, capsys):
    source = (FOLDER / f"{script}.py").read_text()
    for package in NEEDED:
        if re.search(rf"^(import|from) {package}\b", source, re.MULTILINE):
            pytest.importorskip(package)
    changed = "\n".join(with_cnnx(line) for line in source.split("\n"))
    assert not re.search(r"^(import|from) torch", changed, re.MULTILINE)
    printed = output(changed, f"{script} on cnnx", capsys)
    assert printed

    if importlib.util.find_spec("torch") is None:
        return
    for name, module in stand_in_for_torchvision().items():
        monkeypatch.setitem(sys.modules, name, module)
    for path in mnist_files.glob("*.p*"):  # the weights and pictures written above
        path.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PyTorch's tensors make NumPy say is not cnnx's affair
        theirs = output(source, f"{script} on PyTorch", capsys)
    printed = printed.replace("cnnx.", "torch.")
    assert masked(printed) == masked(theirs)
    margin = APART.get(script)
    if margin == 0:
        assert printed == theirs
    elif margin is not None:
        ours, expected = (np.array(re.findall(NUMBER, text), float) for text in (printed, theirs))
        np.testing.assert_allclose(ours, expected, rtol=margin, atol=margin)
