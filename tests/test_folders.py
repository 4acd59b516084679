"""Folders of images by class, and folders of IDX files."""

import gzip
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx import datasets, transforms
from cnnx.utils.data import ConcatDataset, DataLoader, Subset, random_split
from cnnx.utils.data.native import native_batches
from test_idx import idx_bytes

Image = pytest.importorskip("PIL.Image")

STEPS = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.25)])


def make_folder(root, sizes=((6, 5),), mode="RGB", counts=(3, 4, 2)):
    """PNG files in three classes, sizes in turns."""
    rng = np.random.default_rng(0)
    number = 0
    for name, count in zip(("cat", "ant", "dog"), counts, strict=True):
        (root / name / "more").mkdir(parents=True)
        for i in range(count):
            shape = sizes[number % len(sizes)] + ((3,) if mode == "RGB" else ())
            picture = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
            picture.save(root / name / ("more" if i == 1 else ".") / f"{i}.png")
            number += 1
    (root / "readme.txt").write_text("not a class")
    return root


def singles(data):
    samples = [data[i] for i in range(len(data))]
    return np.stack([x.numpy() for x, _ in samples]), [y for _, y in samples]


def test_classes_and_samples(tmp_path):
    root = make_folder(tmp_path)
    (root / "cat" / "notes.txt").write_text("not an image")
    data = datasets.ImageFolder(root)
    assert data.classes == ["ant", "cat", "dog"]
    assert data.class_to_idx == {"ant": 0, "cat": 1, "dog": 2}
    assert data.targets == [0] * 4 + [1] * 3 + [2] * 2
    assert data.imgs is data.samples
    assert [Path(path).name for path, _ in data.samples[:4]] == ["0.png", "2.png", "3.png", "1.png"]
    image, label = data[-1]
    assert image.mode == "RGB"
    assert image.size == (5, 6)
    assert label == 2
    assert data.data.shape == (9, 3, 6, 5)
    np.testing.assert_array_equal(data.data.numpy()[-1].transpose(1, 2, 0), np.asarray(image))
    assert "Number of datapoints: 9" in repr(data)
    assert datasets.ImageFolder(root, target_transform=lambda label: label + 10)[0][1] == 10
    with pytest.raises(IndexError, match="ImageFolder: index 9"):
        data[9]


def test_as_torchvision(tmp_path):
    torchvision = pytest.importorskip("torchvision", exc_type=ImportError)
    root = make_folder(tmp_path)
    ours, theirs = datasets.ImageFolder(root), torchvision.datasets.ImageFolder(str(root))
    assert (ours.classes, ours.samples, ours.targets) == (theirs.classes, theirs.samples, theirs.targets)


def test_functions_of_folders(tmp_path):
    """Under the names that scripts take from torchvision.datasets.folder."""
    from cnnx.datasets import folder

    root = make_folder(tmp_path)
    data = datasets.ImageFolder(root)
    assert folder.find_classes(root) == (data.classes, data.class_to_idx)
    assert folder.make_dataset(str(root), extensions=folder.IMG_EXTENSIONS) == data.samples
    assert folder.make_dataset(root, data.class_to_idx, is_valid_file=folder.is_image_file) == data.samples
    path = data.samples[0][0]
    for loader in (folder.default_loader, folder.pil_loader):
        assert np.array_equal(np.asarray(loader(path)), np.asarray(data[0][0]))
    assert datasets.DatasetFolder(root, folder.default_loader, ".png")[0][1] == 0
    assert folder.has_file_allowed_extension("a/B.PNG", ".png")
    assert folder.is_image_file("x.jpeg")
    assert not folder.is_image_file("x.txt")
    with pytest.raises(ValueError, match="make_dataset: class_to_idx has no class"):
        folder.make_dataset(root, {}, ".png")
    with pytest.raises(ValueError, match=r"pil_loader: .*readme.txt cannot be read as an image"):
        folder.pil_loader(root / "readme.txt")


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [1, 4, 64])
def test_batches_are_native_and_equal_single_samples(tmp_path, mode, size):
    data = datasets.ImageFolder(make_folder(tmp_path, mode=mode), STEPS, mode=None)
    assert native_batches(data) is not None
    expected, labels = singles(data)
    assert expected.shape == (9, 3 if mode == "RGB" else 1, 6, 5)
    batches = list(DataLoader(data, size))
    np.testing.assert_array_equal(np.concatenate([x.numpy() for x, _ in batches]), expected)
    assert [label for _, y in batches for label in y.tolist()] == labels
    shuffled = Subset(ConcatDataset([data, data]), [17, 3, 9])
    ((x, y),) = DataLoader(shuffled, 3)
    np.testing.assert_array_equal(x.numpy(), expected[[8, 3, 0]])
    assert y.tolist() == [2, 0, 0]
    assert all(native_batches(part) is not None for part in random_split(data, [5, 4]))


def test_other_sizes_need_a_resize(tmp_path):
    root = make_folder(tmp_path, sizes=((6, 5), (9, 9)))
    data = datasets.ImageFolder(root, STEPS)
    assert native_batches(data) is None
    with pytest.raises(ValueError, match="not of one size"):
        _ = data.data
    with pytest.raises(RuntimeError, match="different shapes"):
        list(DataLoader(data, 4))
    for steps in ([transforms.Resize((4, 7))], [transforms.Resize(6), transforms.CenterCrop(6)]):
        data = datasets.ImageFolder(root, transforms.Compose([*steps, transforms.Grayscale(), STEPS]))
        assert native_batches(data) is not None
        ((x, _),) = DataLoader(data, 9)
        np.testing.assert_array_equal(x.numpy(), singles(data)[0])
    data.transform = transforms.Compose([transforms.Resize((4, 7)), transforms.RandomRotation(20), STEPS])
    assert native_batches(data).random
    data.cache_bytes = 9 * 3 * 4 * 7 - 1
    data._cache = None
    assert native_batches(data) is None


def test_grey_and_colour(tmp_path):
    grey, mixed = make_folder(tmp_path / "grey", mode="L"), make_folder(tmp_path / "mixed", mode="L")
    Image.new("RGB", (5, 6), (255, 0, 0)).save(mixed / "dog" / "red.png")
    assert datasets.ImageFolder(grey, mode=None)[0][0].mode == "L"
    assert datasets.ImageFolder(mixed, mode=None)[0][0].mode == "RGB"
    assert datasets.ImageFolder(grey)[0][0].mode == "RGB"
    with pytest.raises(ValueError, match="mode must be"):
        datasets.ImageFolder(grey, mode="P")


def test_bad_folders(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        datasets.ImageFolder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no folder"):
        datasets.ImageFolder(tmp_path)
    root = make_folder(tmp_path / "images")
    (root / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no file in the classes empty"):
        datasets.ImageFolder(root)
    assert len(datasets.ImageFolder(root, allow_empty=True).classes) == 4
    assert len(datasets.ImageFolder(root, is_valid_file=lambda path: "more" in path, allow_empty=True)) == 3
    own = datasets.ImageFolder(root, STEPS, loader=lambda path: np.zeros((2, 2), np.uint8), allow_empty=True)
    assert own[0][0].shape == (1, 2, 2)
    assert native_batches(own) is None
    (root / "empty" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    data = datasets.ImageFolder(root, STEPS)
    for read in (lambda: data[-1], lambda: [data[i] for i in range(10)], lambda: list(DataLoader(data, 2))):
        with pytest.raises(ValueError, match=r"damaged\.png cannot be read as an image"):
            read()
    whole = (root / "cat" / "0.png").read_bytes()
    (root / "empty" / "damaged.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged"):
        list(DataLoader(data, 2))
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match="needs Pillow"):
        datasets.ImageFolder(root)


def store_idx(root, names, count=7, classes=26):
    root.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 6, 4), dtype=np.uint8)
    labels = (np.arange(count) % classes).astype(np.uint8)
    for name in names:
        content = idx_bytes(images if "image" in name else labels)
        (root / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return images, labels


def test_idx_folder(tmp_path):
    names = [
        "emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-train-labels-idx1-ubyte.gz",
        "emnist-letters-test-images-idx3-ubyte", "emnist-letters-test-labels-idx1-ubyte",
    ]  # fmt: skip
    images, labels = store_idx(tmp_path, names)
    (tmp_path / "notes.txt").write_text("letters")
    assert datasets.IDXFolder.is_available(tmp_path)
    for train in (True, False):
        data = datasets.IDXFolder(str(tmp_path), train, STEPS)
        np.testing.assert_array_equal(data.data.numpy(), images)
        assert data.targets.tolist() == labels.tolist()
        assert data.classes == [str(i) for i in range(7)]
        assert native_batches(data) is not None
        ((x, y),) = DataLoader(data, 7)
        assert x.shape == (7, 1, 6, 4)
        assert y.tolist() == labels.tolist()
    (tmp_path / "train-images-2").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"2 files .* with 'image' and 'train' in the name"):
        datasets.IDXFolder(tmp_path)
    assert not datasets.IDXFolder.is_available(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no file in .*nowhere"):
        datasets.IDXFolder(tmp_path / "nowhere")
    (tmp_path / names[3]).write_bytes(idx_bytes(np.arange(6, dtype=np.uint8)))
    with pytest.raises(ValueError, match=r"7 images, .* 6 labels"):
        datasets.IDXFolder(tmp_path, train=False)


@pytest.mark.parametrize("kind", [datasets.FashionMNIST, datasets.KMNIST])
def test_relatives_of_mnist(tmp_path, kind):
    names = [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ]
    (tmp_path / kind.__name__).mkdir()
    images, _ = store_idx(tmp_path / kind.__name__ / "raw", names)
    data = kind(tmp_path, transform=STEPS)
    np.testing.assert_array_equal(data.data.numpy(), images)
    assert len(data.classes) == 10
    assert kind.is_available(tmp_path)
    assert not datasets.MNIST.is_available(tmp_path)
    with pytest.raises(RuntimeError, match=f"{kind.__name__}: train-images"):
        kind(tmp_path / "nowhere")
    assert cnnx.is_tensor(data[0][0])
