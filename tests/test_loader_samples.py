"""A loader gives what the samples are: subclasses, proxies, edits and samplers of all kinds, drawn."""

from __future__ import annotations

import contextlib
import functools
import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx import datasets, transforms
from cnnx.datasets.images import ImageDataset
from cnnx.utils import data as tud
from cnnx.utils.data import ConcatDataset, DataLoader, Dataset, StackDataset, Subset, TensorDataset
from drawn import given, st

pytestmark = pytest.mark.once

COUNT = 7


# What the loader is compared with: samples one by one, put together.


def one_by_one(dataset, lists):
    getitems = next(
        (vars(c)["__getitems__"] for c in type(dataset).__mro__ if "__getitems__" in vars(c)), None
    )
    own = vars(dataset).get("__getitems__")
    for indices in map(list, lists):
        if own is not None:
            samples = own(indices)
        else:
            samples = [dataset[i] for i in indices] if getitems is None else getitems(dataset, indices)
        yield tud.default_collate(samples)


def outcome(batches):
    """All batches, or the kind of error."""
    try:
        return [flat(batch) for batch in batches]
    except Exception as error:
        return "LookupError" if isinstance(error, LookupError) else type(error).__name__


def flat(batch):
    if isinstance(batch, dict):
        return {key: flat(value) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return [flat(field) for field in batch]
    return batch.numpy() if isinstance(batch, cnnx.Tensor) else batch


def assert_equal(got, want):
    assert type(got) is type(want), (got, want)
    if isinstance(want, list):
        assert len(got) == len(want)
        for a, b in zip(got, want, strict=True):
            assert_equal(a, b)
    elif isinstance(want, dict):
        assert got.keys() == want.keys()
        for key in want:
            assert_equal(got[key], want[key])
    elif isinstance(want, np.ndarray):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)
    else:
        assert got == want


# Data sets that have native batches.


class Images(ImageDataset):
    classes = ("a", "b")


class Pictures(Images):
    pictures = True


FIXED = [
    lambda: transforms.ToTensor(),
    lambda: transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.25)]),
    lambda: transforms.Compose([transforms.Pad(1, 3), transforms.Resize((4, 5)), transforms.ToTensor()]),
    lambda: transforms.Compose([transforms.RandomHorizontalFlip(1.0), transforms.ToTensor()]),
]


def pixels(seed, *shape):
    return cnnx.tensor(np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8))


def tensors(cls, transform):
    return cls(cnnx.tensor(np.arange(2 * COUNT, dtype=np.float32).reshape(COUNT, 2)), cnnx.arange(COUNT))


def images(cls, transform):
    return cls(pixels(1, COUNT, 4, 5), cnnx.arange(COUNT), transform, None)


def colours(cls, transform):
    return cls(pixels(2, COUNT, 3, 4, 5), cnnx.arange(COUNT), transform, None)


@functools.cache
def folder_of_images():
    picture = pytest.importorskip("PIL.Image")
    root = Path(tempfile.mkdtemp(prefix="cnnx-loader-"))
    for i in range(COUNT):
        place = root / "abc"[i % 3]
        place.mkdir(exist_ok=True)
        picture.fromarray(pixels(i, 4, 5, 3).numpy(force=True)).save(place / f"{i}.png")
    return root


def folder(cls, transform):
    return cls(folder_of_images(), transform)


BASES = {
    "tensors": (TensorDataset, tensors),
    "images": (Images, images),
    "pictures": (Pictures, images),
    "colours": (Pictures, colours),
    "folder": (datasets.ImageFolder, folder),
}


# What a subclass may change.


def other_label(sample):
    return (sample[0], sample[1] + 100)


def own_getitem(base):
    return {"__getitem__": lambda self, i: other_label(base.__getitem__(self, i))}


def own_getitems(base):
    return {"__getitems__": lambda self, rows: [other_label(base.__getitem__(self, i)) for i in rows]}


def shorter(base):
    return {"__len__": lambda self: 4}


def own_attribute_access(base):
    def get(self, name):
        value = object.__getattribute__(self, name)
        return value[::-1] if name in ("tensors", "samples") else value

    return {"__getattribute__": get}


def labels_as_a_property(base):
    return {"targets": property(lambda self: [7] * COUNT, lambda self, value: None)}


def transform_as_a_property(base):
    turns = itertools.cycle([transforms.ToTensor(), transforms.Compose([transforms.ToTensor(), lambda t: t])])
    return {"transform": property(lambda self: next(turns), lambda self, value: None)}


def own_image(base):
    return {"_image": lambda self, image: 255 - image}


def harmless(base):
    return {"__repr__": lambda self: "mine", "extra": 3, "extra_repr": lambda self: "mine"}


SUBCLASSES = [
    None, harmless, own_getitem, own_getitems, shorter, own_attribute_access, labels_as_a_property,
    transform_as_a_property, own_image,
]  # fmt: skip


# What may stand around a data set.


class Proxy(Dataset):
    """Passes on whatever it has not."""

    def __init__(self, base):
        self.base = base

    def __len__(self):
        return len(self.base)

    def __getitem__(self, i):
        return other_label(self.base[i])

    def __getattr__(self, name):
        if name == "base":
            raise AttributeError(name)
        return getattr(self.base, name)


class Disguised:
    """Says that it is what it wraps."""

    def __init__(self, base):
        self.base = base

    @property
    def __class__(self):
        return type(self.base)

    def __len__(self):
        return len(self.base)

    def __getitem__(self, i):
        return other_label(self.base[i])

    def __getattr__(self, name):
        return getattr(object.__getattribute__(self, "base"), name)


class OwnSubset(Subset):
    def __getitem__(self, i):
        return other_label(super().__getitem__(i))


WRAPPERS = {
    "part": lambda d: Subset(d, [2, 0, 3, -1]),
    "part by a tuple": lambda d: Subset(d, (1, 3)),
    "part by an array": lambda d: Subset(d, np.array([1, 0, 2], np.uint8)),
    "part by a range": lambda d: Subset(d, range(0, len(d), 2)),
    "part by names": lambda d: Subset(d, ["1", "2"]),
    "part that is out of range": lambda d: Subset(d, [0, 50]),
    "sum": lambda d: ConcatDataset([d, d]),
    "sum with others": lambda d: ConcatDataset([d, TensorDataset(cnnx.zeros(2, 2), cnnx.arange(2))]),
    "stack": lambda d: StackDataset(d, d),
    "named stack": lambda d: StackDataset(first=d, second=d),
    "proxy": Proxy,
    "disguise": Disguised,
    "own part": lambda d: OwnSubset(d, [1, 0, 2]),
}


# What may be changed between two passes.


def has(*names):
    """For data sets that hold these themselves."""

    def decorate(edit):
        def edited(dataset):
            while isinstance(dataset, Subset | Proxy | Disguised) and not all(
                n in vars(dataset) for n in names
            ):
                dataset = vars(dataset).get("dataset", vars(dataset).get("base"))
            # What an earlier edit has made of another kind may not take this one.
            if all(name in vars(dataset) for name in names):
                with contextlib.suppress(AttributeError, TypeError, IndexError, ValueError):
                    edit(dataset)

        edited.__name__ = edit.__name__
        return edited

    return decorate


def put(name, make, *needs):
    @has(*(needs or (name,)))
    def edit(dataset):
        setattr(dataset, name, make(dataset))

    edit.__name__ = f"put {name}"
    return edit


@has("data")
def write_into_the_data(d):
    d.data[0] = 9


@has("transform")
def edit_the_steps(d):
    if isinstance(d.transform, transforms.Compose):
        for step in d.transform.transforms:
            for name, value in (("mean", 0.25), ("size", (6, 3)), ("fill", 200), ("p", 0.0)):
                if hasattr(step, name):
                    setattr(step, name, value)


@has("transform")
def put_a_step_of_my_own(d):
    if isinstance(d.transform, transforms.Compose):
        d.transform.transforms.append(lambda t: t + 1)


@has("transform")
def patch_a_step(d):
    steps = getattr(d.transform, "transforms", [d.transform])
    steps[0].forward = lambda image: image


@has("samples", "mode")
def drop_the_first_file(d):
    d.samples.pop(0)
    d.targets.pop(0)


@has("samples", "mode")
def labels_of_other_types(d):
    d.samples[0] = (d.samples[0][0], True)


def other_loader(d):
    picture = pytest.importorskip("PIL.Image")
    return lambda path: picture.new("RGB", (5, 4), (7, 8, 9))


EDITS = [
    put("tensors", lambda d: (d.tensors[0] * 2, d.tensors[1])),
    put("tensors", lambda d: [d.tensors[0][:5], d.tensors[1][:5]]),
    put("tensors", lambda d: (d.tensors[0], d.tensors[1][:5])),
    put("data", lambda d: 255 - d.data),
    put("data", lambda d: d.data[:5]),
    put("data", lambda d: np.array(d.data.numpy(force=True))),
    put("data", lambda d: pixels(8, COUNT, 2, 4, 5)),
    put("targets", lambda d: [5] * COUNT, "data"),
    put("targets", lambda d: d.targets.to(cnnx.int32), "data"),
    put("targets", lambda d: -d.targets, "data"),
    put("target_transform", lambda d: lambda label: label * 0.5, "transform"),
    put("transforms", lambda d: lambda image, label: (transforms.ToTensor()(image), label + 5), "transform"),
    put("transform", lambda d: FIXED[3]()),
    put("transform", lambda d: transforms.Compose([transforms.RandomErasing(0.0), transforms.ToTensor()])),
    put("max_value", lambda d: 16, "data"),
    put("pictures", lambda d: False, "data"),
    put("_image", lambda d: lambda image: image // 2, "data"),
    put("__getitem__", lambda d: lambda i: None, "transform"),
    put("__getitems__", lambda d: lambda rows: [(cnnx.zeros(1), 3) for _ in rows], "transform"),
    put("samples", lambda d: d.samples[::-1]),
    put("samples", lambda d: [(path, 5 - label) for path, label in d.samples]),
    put("samples", lambda d: [(path, str(label)) for path, label in d.samples]),
    put("samples", lambda d: tuple(d.samples)),
    put("imgs", lambda d: d.imgs[:4], "samples"),
    put("targets", lambda d: [9] * COUNT, "samples"),
    put("loader", other_loader, "samples"),
    put("mode", lambda d: "L"),
    put("indices", lambda d: [1, 0]),
    put("datasets", lambda d: d.datasets[::-1], "cumulative_sizes"),
    put("cumulative_sizes", lambda d: [1, 3], "cumulative_sizes"),
    write_into_the_data, edit_the_steps, put_a_step_of_my_own, patch_a_step, drop_the_first_file,
    labels_of_other_types,
]  # fmt: skip


# In which order the samples come. Each makes (keywords of the loader, the lists of a pass), anew.


class Backwards(tud.SequentialSampler):
    def __iter__(self):
        return reversed(range(len(self.data_source)))


class WithOrder(tud.Sampler):
    """Has something called `order`, which means nothing to a loader."""

    def __init__(self, source):
        self.source = source

    def order(self):
        raise AssertionError("nobody may call this")

    def __iter__(self):
        return iter([1, 0, 1])

    def __len__(self):
        return 3


class FirstOnly(tud.RandomSampler):
    def __iter__(self):
        yield 0


class Fewer(tud.RandomSampler):
    @property
    def num_samples(self):
        return 2


class Pairs(tud.BatchSampler):
    def __iter__(self):
        for i in self.sampler:
            yield [i, i]


class Forwarding:
    """Passes on whatever a sampler has, but goes its own way."""

    def __init__(self, sampler):
        self.sampler = sampler

    def __iter__(self):
        return iter([1, 1, 0])

    def __len__(self):
        return 3

    def __getattr__(self, name):
        return getattr(self.sampler, name)


def seeded():
    return cnnx.Generator().manual_seed(11)


def edited(sampler, **attributes):
    for name, value in attributes.items():
        setattr(sampler, name, value)
    return sampler


def batched(sampler, size=2, drop_last=False):
    return tud.BatchSampler(sampler, size, drop_last)


SAMPLERS = {
    "a list": lambda d: [1, 0, -1],
    "names": lambda d: ["1", "0"],
    "backwards": Backwards,
    "order": WithOrder,
    "first only": FirstOnly,
    "fewer": lambda d: Fewer(d, generator=seeded()),
    "random": lambda d: tud.RandomSampler(d, generator=seeded()),
    "replacement": lambda d: tud.RandomSampler(d, True, 9, seeded()),
    "of a subset": lambda d: tud.SubsetRandomSampler([0, -1, 1], seeded()),
    "of a tensor": lambda d: tud.SubsetRandomSampler(cnnx.tensor([0, 1]), seeded()),
    "of names": lambda d: tud.SubsetRandomSampler(["1", "0"], seeded()),
    "a proxy": lambda d: Forwarding(tud.SequentialSampler(d)),
    "edited": lambda d: edited(tud.SequentialSampler(d), data_source=range(2)),
}
BATCH_SAMPLERS = {
    "lists": lambda d: [[0, 1], [1], [-1, 0]],
    "an empty list": lambda d: [[0], []],
    "tuples": lambda d: [(1, 0)],
    "arrays": lambda d: [np.array([1, 0])],
    "pairs of ints": lambda d: [[(0, 1), (1, 0)]],
    "bools": lambda d: [[True, False]],
    "floats": lambda d: [[1.0]],
    "generators": lambda d: ((i for i in (0, 1)) for _ in range(2)),
    "pairs": lambda d: Pairs(tud.SequentialSampler(d), 2, False),
    "drop last": lambda d: batched(tud.SequentialSampler(d), 3, True),
    "a proxy": lambda d: Forwarding(batched(tud.SequentialSampler(d))),
    "of my own": lambda d: batched(Backwards(d)),
    "of order": lambda d: batched(WithOrder(d), 2, True),
    "edited": lambda d: edited(batched(tud.SequentialSampler(d)), batch_size=3, drop_last=True),
}


def check_a_pass(dataset, kind, name, size, drop_last, loader=None):
    """One pass of the loader, or of a new one, against single samples."""
    make = BATCH_SAMPLERS[name] if kind == "batch_sampler" else SAMPLERS.get(name)
    if kind == "batch_sampler":
        arguments, lists = {"batch_sampler": make(dataset)}, make(dataset)
    elif kind == "sampler":
        arguments = {"sampler": make(dataset), "batch_size": size, "drop_last": drop_last}
        lists = batched(make(dataset), size, drop_last)
    else:
        arguments = {"batch_size": size, "drop_last": drop_last}
        lists = batched(range(len(dataset)), size, drop_last)
    loader = loader or DataLoader(dataset, **arguments)
    want = outcome(one_by_one(dataset, lists))
    got = outcome(loader)
    assert_equal(got, want)
    return loader


def made(base, change, transform, wrappers):
    cls, make = BASES[base]
    own = cls if change is None else type("Own", (cls,), change(cls))
    dataset = make(own, FIXED[transform]())
    for name in wrappers:
        dataset = WRAPPERS[name](dataset)
    return dataset


orders = st.one_of(
    st.tuples(st.just("none"), st.just("")),
    st.tuples(st.just("sampler"), st.sampled_from(list(SAMPLERS))),
    st.tuples(st.just("batch_sampler"), st.sampled_from(list(BATCH_SAMPLERS))),
)


@given(
    st.sampled_from(list(BASES)), st.sampled_from(SUBCLASSES), st.integers(0, len(FIXED) - 1),
    st.lists(st.sampled_from(list(WRAPPERS)), max_size=2), orders, st.integers(1, 4), st.booleans(),
    st.lists(st.sampled_from(EDITS), max_size=3),
)  # fmt: skip
def test_a_loader_gives_the_samples(base, change, transform, wrappers, order, size, drop_last, edits):
    dataset = made(base, change, transform, wrappers)
    loader = check_a_pass(dataset, *order, size, drop_last)
    for edit in edits:
        edit(dataset)
        check_a_pass(dataset, *order, size, drop_last, loader if order[0] == "none" else None)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_every_edit_counts_from_the_next_pass_on(base, edit):
    """Of the data set itself, and where it is a part."""
    for transform, wrappers in ((1, []), (2, ["part"]), (3, ["sum"])):
        dataset = made(base, None, transform, wrappers)
        loader = check_a_pass(dataset, "none", "", 3, False)
        for part in [dataset, *getattr(dataset, "datasets", [])]:
            edit(part)
        check_a_pass(dataset, "none", "", 3, False, loader)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("change", SUBCLASSES[1:], ids=lambda change: change.__name__)
def test_every_subclass_and_wrapper(base, change):
    for wrappers in ([], ["part"], ["sum"], ["proxy", "part"], ["disguise"], ["stack"]):
        check_a_pass(made(base, change, 1, wrappers), "none", "", 3, False)


@pytest.mark.parametrize("base", ["tensors", "images"])
@pytest.mark.parametrize("kind", ["sampler", "batch_sampler"])
def test_every_sampler(base, kind):
    for name in SAMPLERS if kind == "sampler" else BATCH_SAMPLERS:
        for wrappers in ([], ["sum"], ["proxy"]):
            check_a_pass(made(base, None, 1, wrappers), kind, name, 2, False)
