"""What a user may override or register around a loader: each is called, as in PyTorch, or refused."""

from __future__ import annotations

import collections
import copy
import os
import pickle

import numpy as np
import pytest

import cnnx
from cnnx import datasets, transforms
from cnnx.datasets.images import ImageDataset
from cnnx.transforms import functional as F
from cnnx.utils import data as tud
from cnnx.utils.data import collate
from cnnx.utils.data.native import native_batches


class Images(ImageDataset):
    classes = ("a", "b")


def images(cls=Images, transform=None, count=5):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 6, 6)).astype(np.uint8)
    return cls(cnnx.tensor(pixels), cnnx.arange(count), transform or transforms.ToTensor(), None)


# The same programs on both libraries: `d` is utils.data, `t` the library.


def getitems(t, d):
    class Own(d.TensorDataset):
        def __getitems__(self, rows):
            return [(t.tensor(100 + r),) for r in rows]

    own = Own(t.arange(4))
    return [
        d.DataLoader(own, 2), d.DataLoader(d.Subset(own, [3, 1]), 2), d.DataLoader(own, None),
        d.DataLoader(d.ConcatDataset([own, own]), 3), d.DataLoader(d.StackDataset(own, own), 3),
        d.DataLoader(d.StackDataset(a=own), 3),
    ]  # fmt: skip


def samplers(t, d):
    class Backwards(d.SequentialSampler):
        def __iter__(self):
            return reversed(range(len(self.data_source)))

    class Doubles(d.BatchSampler):
        def __iter__(self):
            return ([i, i] for i in self.sampler)

        def __len__(self):
            return 77

    rows = d.TensorDataset(t.arange(5))
    last = d.DataLoader(rows, batch_sampler=d.BatchSampler(d.SequentialSampler(rows), 2, True))
    last.batch_sampler.batch_size = 3
    own = d.DataLoader(rows, batch_sampler=Doubles(d.SequentialSampler(rows), 2, False))
    return [
        d.DataLoader(rows, 2, sampler=Backwards(rows)), last, own, [[len(own)], [len(last)]],
        d.DataLoader(rows, batch_size=None, sampler=Backwards(rows)),
        d.DataLoader(rows, sampler=d.SubsetRandomSampler([2])),
    ]  # fmt: skip


def streams(t, d):
    class Stream(d.IterableDataset):
        def __init__(self, *values):
            self.values = values

        def __iter__(self):
            return iter(self.values)

        def __len__(self):
            return len(self.values)

    both = Stream(1, 2) + Stream(3)
    whole = d.DataLoader(d.ChainDataset([both, Stream(4, 5)]), 2, drop_last=True)
    return [d.DataLoader(both, 2), whole, [[len(both), len(whole)]], [[d.get_worker_info() is None]]]


def collating(t, d):
    class Word(str):
        __slots__ = ()

    class Bag(collections.UserDict):
        note = "kept"

    table = (collate if t is cnnx else d._utils.collate).default_collate_fn_map
    rows, words = d.TensorDataset(t.arange(3)), [Word("ab"), Word("c")]
    samples = [
        collections.OrderedDict(a=1, b=[2, (3.5, "x")]),
        collections.OrderedDict(a=4, b=[5, (6.5, "y")]),
    ]
    bags = [Bag(n=np.float32(2)), Bag(n=np.float32(3))]
    results = [d.DataLoader(samples, 2), [[d.default_collate(bags).note, d.default_collate(bags)["n"]]]]
    results.append([[type(batch).__name__ for batch in d.DataLoader(samples, 2)]])
    results.append([[type(d.default_convert(samples[0])).__name__, d.default_convert([np.float32(3)])]])
    shipped = dict(table)
    try:
        table[Word] = lambda batch, *, collate_fn_map=None: sum(map(len, batch))
        results.append([d.default_collate(words), list(d.DataLoader(words, 2))])
        table[t.Tensor] = lambda batch, *, collate_fn_map=None: [10 * int(x) for x in batch]
        results.append(list(d.DataLoader(rows, 2)))
    finally:
        table.clear()
        table.update(shipped)
    results.append(list(d.DataLoader(rows, 2)))
    results.append(list(d.DataLoader(rows, 2, collate_fn=len)))
    return results


def plain(value):
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, collections.abc.Mapping):
        return {key: plain(field) for key, field in value.items()}
    if isinstance(value, str | int | float):
        return value
    return [plain(part) for part in value]


@pytest.mark.parametrize("program", [getitems, samplers, streams, collating], ids=lambda p: p.__name__)
def test_as_in_pytorch(program):
    torch = pytest.importorskip("torch")
    import torch.utils.data as theirs

    for got, want in zip(program(cnnx, tud), program(torch, theirs), strict=True):
        assert plain(got) == plain(want)


# What stays native, and what does not.


class Harmless(Images):
    classes = ("c", "d")
    transform = None

    def __init__(self, *arguments):
        self.mine = 3
        super().__init__(*arguments)

    def __repr__(self):
        return "harmless"

    def helper(self):
        return self.mine


class WithoutInit(Images):
    def __init__(self, data, targets, transform, target_transform):
        self.data, self.targets, self.transform = data, targets, transform


class Elsewhere(datasets.MNIST):
    mirrors = ("https://example.org/",)

    @classmethod
    def _places(cls, root):
        return super()._places(root)


@pytest.mark.parametrize("cls", [Images, Harmless, WithoutInit])
def test_what_changes_no_sample_stays_native(cls):
    dataset = images(cls)
    for data in (dataset, copy.copy(dataset), copy.deepcopy(dataset), tud.Subset(dataset, [1, 2])):
        assert native_batches(data) is not None


def test_a_subclass_with_another_place_stays_native(tmp_path):
    from test_datasets import small_files, store

    store(tmp_path, small_files())
    assert native_batches(Elsewhere(tmp_path, transform=transforms.ToTensor())) is not None


def test_replaced_methods_of_the_package(monkeypatch):
    dataset, sampler = images(), tud.SequentialSampler(range(3))
    monkeypatch.setattr(ImageDataset, "__getitem__", lambda self, i: (cnnx.zeros(1), i + 50))
    monkeypatch.setattr(tud.SequentialSampler, "__iter__", lambda self: iter([2]))
    ((_, labels),) = tud.DataLoader(dataset, 4, sampler=sampler)
    assert labels.tolist() == [52]


# Transforms.


class Forward(transforms.RandomHorizontalFlip):
    def forward(self, img):
        return img[::-1]


class Call(transforms.ToTensor):
    def __call__(self, pic):
        return super().__call__(pic) * 0


class Backwards(transforms.Compose):
    def __call__(self, img):
        for step in reversed(self.transforms):
            img = step(img)
        return img


def on_the_object(step):
    step.forward = lambda img: img[:3]
    return step


@pytest.mark.parametrize(
    ("make", "changed"),
    [
        (lambda: [Forward(), transforms.ToTensor()], lambda x: x[::-1]),
        (lambda: [Call()], lambda x: x * 0),
        (lambda: Backwards([transforms.ToTensor(), lambda x: x[1:]]), lambda x: x[1:]),
        (lambda: [on_the_object(transforms.Pad(1)), transforms.ToTensor()], lambda x: x[:3]),
        (lambda: [transforms.RandomApply([Forward()], 1.0), transforms.ToTensor()], lambda x: x[::-1]),
    ],
)
def test_own_methods_of_transforms_are_called(make, changed):
    steps = make()
    dataset = images(transform=steps if callable(steps) else transforms.Compose(steps))
    expected = np.stack([changed(x.numpy()) for x in dataset.data])[:, None] / np.float32(255)
    ((batch, _),) = tud.DataLoader(dataset, 5)
    np.testing.assert_array_equal(batch.numpy(), expected)


class Angle(transforms.RandomRotation):
    @staticmethod
    def get_params(degrees):
        return 90.0


class Map(transforms.RandomAffine):
    @staticmethod
    def get_params(degrees, translate, scale_ranges, shears, img_size):
        assert (translate, scale_ranges, shears, img_size) == ((0.5, 0.25), None, None, [7, 6])
        return 0.0, (2, -1), 1.0, (0.0, 0.0)


class Corner(transforms.RandomCrop):
    @staticmethod
    def get_params(img, output_size):
        return (1, 2, *output_size)


class Rectangle(transforms.RandomErasing):
    @staticmethod
    def get_params(img, scale, ratio, value=None):
        return 1, 2, 3, 4, cnnx.full((1, 1, 1), value[0])


def test_own_parameters_of_random_transforms_are_used():
    pixels = np.arange(42, dtype=np.uint8).reshape(6, 7)
    np.testing.assert_array_equal(Angle(5, expand=True)(pixels), F.rotate(pixels, 90, expand=True))
    moved = Map(0, translate=(0.5, 0.25))(pixels)
    np.testing.assert_array_equal(moved, F.affine(pixels, 0, (2, -1), 1.0, 0))
    padded = np.pad(pixels, 1, constant_values=9)
    np.testing.assert_array_equal(Corner((3, 4), padding=1, fill=9)(pixels), padded[1:4, 2:6])
    wide = Corner((9, 4), pad_if_needed=True)(pixels)
    np.testing.assert_array_equal(wide, np.pad(pixels, ((3, 3), (0, 0)))[1:10, 2:6])
    erased = Rectangle(1.0, value=5.0)(cnnx.ones(2, 6, 7)).numpy()
    assert (erased[:, 1:4, 2:6] == 5).all()
    assert erased.sum() == 2 * (42 + 12 * 4)
    assert Rectangle(0.0)(cnnx.ones(1, 6, 7)).numpy().sum() == 42
    for step in (Angle(5), Map(0, (0.5, 0.25)), Corner(3)):
        assert native_batches(images(transform=transforms.Compose([step, transforms.ToTensor()]))) is None


def test_parameters_replaced_on_the_class_or_the_object_are_used(monkeypatch):
    pixels = np.arange(36, dtype=np.uint8).reshape(6, 6)
    on_the_object = transforms.RandomCrop(3)
    on_the_object.get_params = Corner.get_params
    monkeypatch.setattr(transforms.RandomRotation, "get_params", staticmethod(lambda degrees: 90))
    on_the_class = transforms.RandomRotation(5)
    for step, expected in ((on_the_object, pixels[1:4, 2:5]), (on_the_class, F.rotate(pixels, 90))):
        np.testing.assert_array_equal(step(pixels), expected)
        dataset = images(transform=transforms.Compose([step, transforms.ToTensor()]))
        ((batch, _),) = tud.DataLoader(dataset, 5)
        np.testing.assert_array_equal(batch.numpy(), np.stack([dataset[i][0].numpy() for i in range(5)]))
        assert native_batches(dataset) is None


def test_parameters_for_use_elsewhere():
    """As scripts call them, to change an image and its mask alike."""
    image = cnnx.zeros(3, 20, 30)
    for _ in range(50):
        top, left, height, width = transforms.RandomCrop.get_params(image, (18, 7))
        assert (height, width) == (18, 7)
        assert 0 <= top <= 2
        assert 0 <= left <= 23
        assert -3 <= transforms.RandomRotation.get_params([-3, 3]) <= 3
        angle, (x, y), scale, shear = transforms.RandomAffine.get_params(
            [0, 5], (0.1, 0.2), (1, 2), [3, 4], [30, 20]
        )
        assert 0 <= angle <= 5
        assert abs(x) <= 3
        assert abs(y) <= 4
        assert 1 <= scale <= 2
        assert 3 <= shear[0] <= 4
        assert shear[1] == 0
        top, left, height, width, value = transforms.RandomErasing.get_params(
            image, (0.1, 0.3), (0.5, 2), [1, 2, 3]
        )
        assert 40 <= height * width <= 200
        assert top + height <= 20
        assert left + width <= 30
        assert value.shape == (3, 1, 1)
    assert transforms.RandomErasing.get_params(image, (1, 1), (1, 1), [0])[:4] == (0, 0, 20, 30)
    with pytest.raises(ValueError, match="larger than the image"):
        transforms.RandomCrop.get_params(image, (21, 3))


def test_edited_transforms_do_what_they_say():
    pixels = np.arange(36, dtype=np.uint8).reshape(6, 6)
    for step, name, value, same in (
        (transforms.Resize(3), "size", (4, 5), transforms.Resize((4, 5))),
        (transforms.Resize((3, 3)), "interpolation", "nearest", transforms.Resize((3, 3), "nearest")),
        (transforms.Pad(1), "padding", 2, transforms.Pad(2)),
        (transforms.Pad(1), "fill", 7, transforms.Pad(1, 7)),
        (transforms.Pad(1), "padding_mode", "edge", transforms.Pad(1, padding_mode="edge")),
        (transforms.RandomCrop(6), "size", 9, None),
        (transforms.RandomCrop(6), "fill", (1, 2), None),
        (transforms.RandomRotation((45, 45)), "fill", 9, transforms.RandomRotation((45, 45), fill=9)),
        (transforms.RandomAffine((45, 45)), "shear", 0, transforms.RandomAffine((45, 45))),
        (transforms.RandomAffine((45, 45)), "fill", 9, transforms.RandomAffine((45, 45), fill=9)),
    ):
        setattr(step, name, value)
        if same is None:
            with pytest.raises(ValueError, match=r"larger than|fill has 2 values"):
                step(pixels)
        else:
            np.testing.assert_array_equal(step(pixels), same(pixels), err_msg=f"{step} {name}")
    erase = transforms.RandomErasing(1.0, (0.5, 0.5), (1, 1))
    erase.value = 4.0
    assert erase(cnnx.zeros(1, 8, 8)).max().item() == 4
    erase.value = "noise"
    with pytest.raises(TypeError, match="fill must be a number"):
        erase(cnnx.zeros(1, 8, 8))


# Folders.


@pytest.fixture
def root(tmp_path):
    picture = pytest.importorskip("PIL.Image")
    for number, name in enumerate("abc"):
        (tmp_path / name).mkdir()
        for i in range(2):
            picture.new("RGB", (4, 4), (10 * number + i,) * 3).save(tmp_path / name / f"{i}.png")
    return tmp_path


def values(dataset, size=4):
    batches = [(x, y) for x, y in tud.DataLoader(dataset, size)]
    return [
        (round(float(v.max()) * 255), int(label)) for x, y in batches for v, label in zip(x, y, strict=True)
    ]


ALL = [(0, 0), (1, 0), (10, 1), (11, 1), (20, 2), (21, 2)]


def test_own_ways_to_find_classes_and_files(root):
    class Two(datasets.ImageFolder):
        def find_classes(self, directory):
            return ["c", "b"], {"c": 0, "b": 1}

    class Some(datasets.ImageFolder):
        @staticmethod
        def make_dataset(directory, class_to_idx, extensions=None, is_valid_file=None, allow_empty=False):
            return [(os.path.join(directory, "b", "1.png"), 9)]

    assert values(Two(root, transforms.ToTensor())) == [(10, 1), (11, 1), (20, 0), (21, 0)]
    some = Some(root, transforms.ToTensor())
    assert values(some) == [(11, 9)]
    assert some.targets == [9]
    assert native_batches(some) is not None
    chosen = datasets.ImageFolder(root, transforms.ToTensor(), is_valid_file=lambda path: "1.png" in path)
    assert values(chosen) == ALL[1::2]


def test_files_that_change_are_read_again(root):
    data = datasets.ImageFolder(root, transforms.Compose([transforms.Resize((4, 4)), transforms.ToTensor()]))
    assert values(data) == ALL
    assert native_batches(data) is not None
    decoded = data._cache
    assert values(data) == ALL
    assert data._cache is decoded  # once, while nothing changes
    pytest.importorskip("PIL.Image").new("RGB", (4, 4), (99,) * 3).save(root / "a" / "0.png")
    assert values(data) == [(99, 0), *ALL[1:]]
    os.remove(root / "a" / "1.png")
    with pytest.raises(ValueError, match=r"1\.png cannot be read"):
        values(data)


def test_copies_of_a_folder_are_their_own(root):
    data = datasets.ImageFolder(root, transforms.ToTensor())
    values(data)
    for other in (copy.copy(data), copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        assert native_batches(other) is not None
        other.samples = other.samples[2:4]
        assert values(other) == ALL[2:4]
        other.mode = "L"
        assert next(iter(tud.DataLoader(other)))[0].shape == (1, 1, 4, 4)
    assert values(data) == ALL


def test_folders_of_other_files(tmp_path):
    for name, value in (("x", 1.5), ("y", 2.5)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "0.npy", np.full(3, value))
        (tmp_path / name / "0.txt").write_text("no")
    data = datasets.DatasetFolder(tmp_path, np.load, ".npy", target_transform=lambda label: label + 1)
    ((rows, labels),) = tud.DataLoader(data, 2)
    assert rows.tolist() == [[1.5] * 3, [2.5] * 3]
    assert labels.tolist() == [1, 2]
    assert "Classes: 2" in repr(data)
    for arguments in ({}, {"extensions": ".npy", "is_valid_file": bool}):
        with pytest.raises(ValueError, match="either extensions or is_valid_file"):
            datasets.DatasetFolder(tmp_path, np.load, **arguments)


def test_transforms_of_image_and_target_together():
    class Own(datasets.VisionDataset):
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return self.transforms(i, i) if self.transforms is not None else (i, i)

        def extra_repr(self):
            return "Mine: yes"

    assert Own("~/x").root == os.path.expanduser("~/x")
    assert Own()[1] == (1, 1)
    assert Own(transform=float, target_transform=str)[1] == (1.0, "1")
    assert Own(transforms=lambda image, target: (target + 1, image))[1] == (2, 1)
    assert repr(Own(transform=abs)).splitlines()[2:] == [
        "    Mine: yes",
        "    Transform: <built-in function abs>",
    ]
    assert "Target transform: <built-in function abs>" in repr(Own(target_transform=abs).transforms)
    with pytest.raises(ValueError, match="Own: transforms excludes"):
        Own(transforms=max, transform=abs)


# What is refused.


@pytest.mark.parametrize("name", ["dataset", "batch_size", "sampler", "batch_sampler", "drop_last"])
def test_what_was_settled_cannot_be_set(name):
    loader = tud.DataLoader(images(), 2)
    with pytest.raises(ValueError, match=f"DataLoader: {name} cannot be set"):
        setattr(loader, name, getattr(loader, name))
    loader.collate_fn = len
    assert list(loader) == [2, 2, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prefetch_factor": 2}, "prefetch_factor needs num_workers > 0"),
        ({"persistent_workers": True}, "persistent_workers needs num_workers > 0"),
        ({"multiprocessing_context": "fork"}, "multiprocessing_context needs num_workers > 0"),
        ({"multiprocessing_context": "knife", "num_workers": 1}, "'knife' is no start method"),
        ({"timeout": 3}, "timeout needs num_workers > 0"),
        ({"pin_memory_device": "xpu"}, "pin_memory_device must be on CUDA, got 'xpu'"),
    ],
)
def test_arguments_of_workers_are_refused_without(arguments, message):
    with pytest.raises(ValueError, match=message):
        tud.DataLoader([1, 2], **arguments)


def test_settings_can_be_read():
    loader = tud.DataLoader([1, 2], in_order=False, pin_memory_device="cuda")
    assert (loader.in_order, loader.pin_memory_device) == (False, "cuda")


def test_a_function_for_workers_is_not_passed_over_in_silence(monkeypatch):
    monkeypatch.setattr(tud.loader, "_warned", set())
    assert len(list(tud.DataLoader([1, 2], worker_init_fn=lambda worker: 1 / 0))) == 2
    with pytest.warns(UserWarning, match="worker_init_fn have no effect.*; worker_init_fn is not called"):
        tud.DataLoader([1, 2], num_workers=1, worker_init_fn=print)


@pytest.mark.parametrize(
    "name", ["resources", "raw_folder", "processed_folder", "_load_data", "_check_exists"]
)
def test_what_mnist_does_not_use_is_refused(name):
    with pytest.raises(TypeError, match=f"Own: cnnx never uses {name}; "):
        type("Own", (datasets.MNIST,), {name: property(lambda self: [])})


def test_a_proxy_that_forwards_getitems_is_asked_for_its_own_samples():
    class Many(tud.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return i

        def __getitems__(self, indices):
            return [self[i] for i in indices]

    class Proxy:
        def __init__(self, wrapped):
            self.wrapped = wrapped

        def __getattr__(self, name):
            return getattr(self.wrapped, name)

        def __len__(self):
            return len(self.wrapped)

        def __getitem__(self, i):
            return self.wrapped[i] + 100

    for dataset in (Proxy(Many()), tud.Subset(Proxy(Many()), range(3)), tud.ConcatDataset([Proxy(Many())])):
        (batch,) = tud.DataLoader(dataset, batch_size=3)
        assert batch.tolist() == [100, 101, 102]


class WithProperty(tud.TensorDataset):
    asked = 0

    @property
    def tensors(self):
        self.asked += 1
        return tuple(t + 100 * self.asked for t in self.__dict__["tensors"])

    @tensors.setter
    def tensors(self, tensors):
        self.__dict__["tensors"] = tensors


class WithGetattribute(tud.TensorDataset):
    asked = 0

    def __getattribute__(self, name):
        value = super().__getattribute__(name)
        if name != "tensors":
            return value
        self.asked += 1
        return tuple(t + 100 * self.asked for t in value)


@pytest.mark.parametrize("cls", [WithProperty, WithGetattribute])
def test_what_stands_before_the_attributes_is_asked_for_each_sample(cls):
    ((batch,),) = tud.DataLoader(cls(cnnx.arange(3)), batch_size=3)
    assert len(set((batch // 100).tolist())) == 3


@pytest.mark.parametrize("base", [tud.Subset, tud.StackDataset])
def test_own_samples_of_parts_and_stacks_need_no_getitems(base):
    class Own(base):
        def __getitem__(self, i):
            return 100 + super().__getitem__(i)[0]

    rows = tud.TensorDataset(cnnx.arange(3))
    dataset = Own(rows, [2, 0]) if base is tud.Subset else Own([2, 0], [7, 7])
    (batch,) = tud.DataLoader(dataset, batch_size=2)
    assert batch.tolist() == [102, 100]


def test_combinations_that_cannot_be():
    stream = type("Stream", (tud.IterableDataset,), {})()
    for make, error, message in (
        (lambda: tud.ConcatDataset([stream]), TypeError, "ChainDataset"),
        (lambda: list(tud.ChainDataset([[1]])), TypeError, "needs IterableDatasets, got list"),
        (lambda: tud.StackDataset(), ValueError, "got none"),
        (lambda: tud.StackDataset([1], a=[1]), ValueError, "not both"),
        (lambda: tud.StackDataset([1], [1, 2]), ValueError, r"one length, got \[1, 2\]"),
        (lambda: tud.default_collate([]), IndexError, "no sample"),
        (lambda: tud.default_collate([cnnx.ones(1), 2]), TypeError, "tensors and int in one field"),
        (lambda: next(iter(stream)), NotImplementedError, "Stream: an iterable data set needs __iter__"),
    ):
        with pytest.raises(error, match=message):
            make()
