"""The loader: native batches against single samples, orders, resuming, user data sets, bad input."""

import importlib
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest

import cnnx
from cnnx import datasets, transforms
from cnnx.datasets.images import ImageDataset
from cnnx.utils import data as tud
from cnnx.utils.data import DataLoader, Dataset, Subset, TensorDataset, random_split
from cnnx.utils.data.native import native_batches

PIPELINES = {
    "to tensor": transforms.ToTensor(),
    "composed": transforms.Compose([transforms.ToTensor()]),
    "normalised": transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]),
    "nested": transforms.Compose(
        [transforms.Compose([transforms.ToTensor()]), transforms.Normalize(0.5, 0.5)]
    ),
}


class Images(ImageDataset):
    classes = ("a", "b")


def images(count=37, height=5, width=7, **arguments):
    rng = np.random.default_rng(2)
    data = cnnx.tensor(rng.integers(0, 256, (count, height, width)).astype(np.uint8))
    return Images(data, cnnx.arange(count), arguments.get("transform"), arguments.get("target_transform"))


def singles(dataset, indices):
    samples = [dataset[i] for i in indices]
    return np.stack([image.numpy() for image, _ in samples]), np.array([label for _, label in samples])


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("batch_size", [1, 2, 7, 8, 16, 17, 33, 64])
def test_native_batches_equal_single_samples(pipeline, batch_size):
    dataset = images(transform=PIPELINES[pipeline])
    assert native_batches(dataset) is not None
    expected, labels = singles(dataset, range(len(dataset)))
    batches = list(DataLoader(dataset, batch_size=batch_size))
    assert len(batches) == -(-len(dataset) // batch_size)
    assert all(isinstance(batch, list) and batch[0].dtype == cnnx.float32 for batch in batches)
    assert all(batch[1].dtype == cnnx.int64 for batch in batches)
    np.testing.assert_array_equal(np.concatenate([x.numpy() for x, _ in batches]), expected)
    np.testing.assert_array_equal(np.concatenate([y.numpy() for _, y in batches]), labels)


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (8, 8), (28, 28), (9, 7), (16, 4), (3, 67)])
def test_native_batches_of_any_size(size):
    dataset = images(20, *size, transform=PIPELINES["normalised"])
    (x, _), *_ = DataLoader(dataset, batch_size=20)
    np.testing.assert_array_equal(x.numpy(), singles(dataset, range(20))[0])


def test_every_byte_value_is_scaled_exactly():
    data = cnnx.tensor(np.arange(256, dtype=np.uint8).reshape(1, 16, 16)).expand(16, 16, 16).contiguous()
    for mean, std in ((0.1307, 0.3081), (0.5, 0.5), (-3.0, 7.0)):
        pipeline = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
        ((x, _),) = DataLoader(Images(data, cnnx.arange(16), pipeline, None), batch_size=16)
        bytes_ = np.arange(256, dtype=np.float32).reshape(16, 16)
        expected = (bytes_ / np.float32(255) - np.float32(mean)) / np.float32(std)
        for image in x.numpy():
            np.testing.assert_array_equal(image[0], expected)


def test_digits_scale_by_sixteen():
    digits = datasets.Digits(train=False, transform=transforms.ToTensor())
    ((x, y),) = DataLoader(digits, batch_size=360)
    np.testing.assert_array_equal(x.numpy()[:, 0], digits.data.numpy() / np.float32(16))
    np.testing.assert_array_equal(y.numpy(), digits.targets.numpy())


def test_batches_come_in_lanes():
    loader = DataLoader(images(64, transform=transforms.ToTensor()), batch_size=64)
    ((x, _),) = loader
    assert x._in_lanes == (cnnx._C.lane_count() > 1)


@pytest.mark.parametrize("target", ["reference", "v2", "v3", "v4"])
def test_every_target_gives_the_same_bits(target):
    if target not in cnnx._C.available_targets():
        pytest.skip(f"this CPU or build has no {target}")
    script = """
import hashlib, numpy as np
from cnnx import datasets, transforms
from cnnx.utils.data import DataLoader
h = hashlib.sha256()
t = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
for size in (3, 64, 100):
    for x, y in DataLoader(datasets.Digits(transform=t), batch_size=size):
        h.update(x.numpy().tobytes() + y.numpy().tobytes())
print(h.hexdigest())
"""
    import hashlib
    import os

    pipeline = PIPELINES["normalised"]
    digest = hashlib.sha256()
    for size in (3, 64, 100):
        for x, y in DataLoader(datasets.Digits(transform=pipeline), batch_size=size):
            digest.update(x.numpy().tobytes() + y.numpy().tobytes())
    environment = {**os.environ, "CNNX_TARGET": target}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == digest.hexdigest()


def test_what_is_not_native_goes_sample_by_sample():
    class Doubled(Images):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return image * 2, label

    base = images(transform=transforms.ToTensor())
    for dataset, factor in (
        (Doubled(base.data, base.targets, transforms.ToTensor(), None), 2),
        (
            images(transform=transforms.Compose([transforms.ToTensor(), transforms.Lambda(lambda t: t * 3)])),
            3,
        ),
        (images(transform=lambda image: transforms.ToTensor()(image)), 1),
        (images(transform=transforms.ToTensor(), target_transform=lambda label: -label), 1),
    ):
        assert native_batches(dataset) is None
        x, y = next(iter(DataLoader(dataset, batch_size=5)))
        np.testing.assert_array_equal(
            x.numpy(), base.data.numpy()[:5, None] / np.float32(255) * np.float32(factor)
        )
        assert y.dtype == cnnx.int64
        assert abs(y.numpy()).tolist() == [0, 1, 2, 3, 4]


def test_replaced_data_and_targets_are_used():
    dataset = images(transform=transforms.ToTensor())
    dataset.data, dataset.targets = dataset.data[10:20], dataset.targets[10:20]
    ((_, y),) = DataLoader(dataset, batch_size=64)
    assert y.tolist() == list(range(10, 20))


def test_shuffling_is_a_seedable_permutation():
    dataset = TensorDataset(cnnx.arange(50))
    loader = DataLoader(dataset, batch_size=8, shuffle=True)

    def epoch():
        return [i for (batch,) in loader for i in batch.tolist()]

    cnnx.manual_seed(3)
    first, second = epoch(), epoch()
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first != sorted(first)
    cnnx.manual_seed(3)
    assert [epoch(), epoch()] == [first, second]
    loader.sampler.generator = cnnx.Generator().manual_seed(7)
    own = epoch()
    loader.sampler.generator.manual_seed(7)
    cnnx.manual_seed(99)
    assert epoch() == own


@pytest.mark.parametrize("orders", ["sampler", "lists"])
def test_a_sample_that_comes_twice_is_changed_anew(orders):
    dataset = images(
        1, transform=transforms.Compose([transforms.RandomHorizontalFlip(), transforms.ToTensor()])
    )
    assert native_batches(dataset) is not None
    sampler = tud.RandomSampler(dataset, replacement=True, num_samples=64)
    own = {"sampler": sampler, "batch_size": 16} if orders == "sampler" else {"batch_sampler": [[0] * 16] * 4}
    cnnx.manual_seed(0)
    seen = {x.numpy().tobytes() for batch, _ in DataLoader(dataset, **own) for x in batch}
    assert len(seen) == 2


def test_native_and_sampled_orders_agree():
    native = images(transform=transforms.ToTensor())
    slow = images(transform=lambda image: transforms.ToTensor()(image))
    orders = []
    for dataset in (native, slow):
        generator = cnnx.Generator().manual_seed(5)
        loader = DataLoader(dataset, batch_size=9, shuffle=True, generator=generator)
        orders.append([y.tolist() for _ in range(2) for _, y in loader])
    assert orders[0] == orders[1]


def test_drop_last_and_lengths():
    dataset = TensorDataset(cnnx.arange(10))
    for drop, sizes in ((False, [4, 4, 2]), (True, [4, 4])):
        loader = DataLoader(dataset, batch_size=4, drop_last=drop)
        assert len(loader) == len(sizes)
        assert [len(batch) for (batch,) in loader] == sizes
    assert len(DataLoader(dataset)) == 10
    assert list(DataLoader(TensorDataset(cnnx.arange(3)), batch_size=4, drop_last=True)) == []


@pytest.mark.parametrize(
    "kind", [list, tuple, np.array, cnnx.tensor, lambda i: cnnx.tensor(i, dtype=cnnx.int32)]
)
def test_subsets(kind):
    dataset = images(transform=transforms.ToTensor())
    indices = [5, 0, 36, 5, 7, -1]
    subset = Subset(dataset, kind(indices))
    assert native_batches(subset) is not None
    assert len(subset) == 6
    expected, labels = singles(dataset, indices)
    ((x, y),) = DataLoader(subset, batch_size=6)
    np.testing.assert_array_equal(x.numpy(), expected)
    assert y.tolist() == labels.tolist()
    inner = Subset(subset, cnnx.tensor([2, 0]))
    assert [y for _, y in (inner[0], inner[1])] == [36, 5]
    ((_, y),) = DataLoader(inner, batch_size=6)
    assert y.tolist() == [36, 5]


def test_subset_out_of_range():
    with pytest.raises(IndexError, match="index 50 is out of range for 37"):
        list(DataLoader(Subset(images(transform=transforms.ToTensor()), [1, 50])))
    with pytest.raises(IndexError, match="index -38 is out of range for 37"):
        list(DataLoader(Subset(images(transform=transforms.ToTensor()), [1, -38])))


def test_a_mask_is_no_list_of_indices():
    rows = tud.TensorDataset(cnnx.arange(3))
    part = Subset(rows, [True, False])
    assert [t.shape for (t,) in (part[0], part[1])] == [(1, 3), (0, 3)]
    with pytest.raises(RuntimeError, match=r"shapes \[\(0, 3\), \(1, 3\)\]"):
        list(DataLoader(part, batch_size=2))


def test_subset_of_what_is_no_index():
    with pytest.raises(TypeError, match="Subset: indices must be integers"):
        Subset(images(), cnnx.tensor([0.5]))
    with pytest.raises(TypeError, match="Subset: indices must be integers"):
        Subset(images(), cnnx.tensor([[1]]))


@pytest.mark.parametrize("module", ["dataset", "sampler", "dataloader"])
def test_names_of_pytorchs_modules(module):
    theirs = pytest.importorskip(f"torch.utils.data.{module}")
    ours = importlib.import_module(f"cnnx.utils.data.{module}")
    for name in theirs.__all__:
        assert getattr(ours, name) is getattr(cnnx.utils.data, name)


@pytest.mark.parametrize("count", [1, 5, 6, 13])
@pytest.mark.parametrize("replicas", [1, 2, 3, 7])
@pytest.mark.parametrize("drop_last", [False, True])
def test_shares_of_processes(count, replicas, drop_last):
    theirs = pytest.importorskip("torch.utils.data.distributed").DistributedSampler
    arguments = {"num_replicas": replicas, "shuffle": False, "drop_last": drop_last}
    for rank in range(replicas):
        ours = tud.DistributedSampler(range(count), rank=rank, **arguments)
        expected = theirs(range(count), rank=rank, **arguments)
        assert list(ours) == list(expected)
        assert len(ours) == len(expected) == ours.num_samples
        assert ours.total_size == expected.total_size
    shares = [
        tud.DistributedSampler(range(count), replicas, rank, drop_last=drop_last) for rank in range(replicas)
    ]
    orders = []
    for epoch in (0, 1, 1):
        for share in shares:
            share.set_epoch(epoch)
        orders.append([i for share in shares for i in share])
    assert orders[1] == orders[2]
    assert len(set(orders[0])) == (len(orders[0]) if drop_last else count)
    if count == 13 and not drop_last:
        assert orders[0] != orders[1]


def test_shares_of_processes_refuse():
    with pytest.raises(RuntimeError, match="DistributedSampler: num_replicas and rank must be given"):
        tud.DistributedSampler(range(3))
    for replicas, rank in ((2, 2), (2, -1), (0, 0)):
        with pytest.raises(ValueError, match="DistributedSampler: rank must be one of num_replicas"):
            tud.DistributedSampler(range(3), replicas, rank)
    loader = DataLoader(range(10), 2, sampler=tud.DistributedSampler(range(10), 2, 1, shuffle=False))
    assert [batch.tolist() for batch in loader] == [[1, 3], [5, 7], [9]]


def test_random_split():
    dataset = TensorDataset(cnnx.arange(100))
    parts = random_split(dataset, [70, 30], generator=cnnx.Generator().manual_seed(1))
    assert [len(part) for part in parts] == [70, 30]
    values = [[int(x) for (x,) in part] for part in (list(map(p.__getitem__, range(len(p)))) for p in parts)]
    assert sorted(values[0] + values[1]) == list(range(100))
    again = random_split(dataset, [0.7, 0.3], generator=cnnx.Generator().manual_seed(1))
    assert list(again[0].indices) == list(parts[0].indices)
    assert [len(p) for p in random_split(TensorDataset(cnnx.arange(10)), [1 / 3, 1 / 3, 1 / 3])] == [4, 3, 3]
    for lengths in ([70, 20], [0.7, 0.2], [-1, 101], [50.5, 49.5]):
        with pytest.raises(ValueError, match="random_split"):
            random_split(dataset, lengths)
    with pytest.warns(UserWarning, match="part 1"):
        random_split(TensorDataset(cnnx.arange(2)), [1.0, 0.0])
    one = TensorDataset(cnnx.arange(1))
    with pytest.warns(UserWarning, match="is empty"):
        assert [len(part) for part in random_split(one, [0.8, 0.2])] == [1, 0]


class Words(Dataset):
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


Point = namedtuple("Point", "x y")


def test_default_collate_structures():
    samples = [
        {
            "image": cnnx.full((2,), float(i)),
            "array": np.ones(3) * i,
            "n": i,
            "f": i / 2,
            "b": i > 0,
            "s": str(i),
        }
        for i in range(3)
    ]
    (batch,) = DataLoader(Words(samples), batch_size=3)
    assert batch["image"].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert batch["array"].dtype == batch["f"].dtype == cnnx.float64
    assert batch["n"].dtype == cnnx.int64
    assert batch["b"].tolist() == [False, True, True]
    assert batch["s"] == ["0", "1", "2"]
    (batch,) = DataLoader(Words([Point(1, [2, 3]), Point(4, [5, 6])]), batch_size=2)
    assert isinstance(batch, Point)
    assert batch.x.tolist() == [1, 4]
    assert [t.tolist() for t in batch.y] == [[2, 5], [3, 6]]
    (batch,) = DataLoader(Words([np.float32(1), np.float32(2)]), batch_size=2)
    assert batch.dtype == cnnx.float32


def test_collate_matches_torch():
    torch_data = pytest.importorskip("torch.utils.data")
    samples = [(np.ones((2, 2), np.float32) * i, i, {"a": i * 0.5}) for i in range(4)]
    ours = tud.default_collate(samples)
    theirs = torch_data.default_collate(samples)
    assert type(ours) is type(theirs)
    for a, b in ((ours[0], theirs[0]), (ours[1], theirs[1]), (ours[2]["a"], theirs[2]["a"])):
        assert a.numpy().dtype == b.numpy().dtype
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize(
    "samples",
    [
        [1, 2.5],
        [1.5, 2],
        [True, 2],
        [2, True],
        [1, float("nan")],
        [1, np.float32(2.5)],
        [np.int64(1), 2],
        [np.uint8(3)],
    ],
    ids=str,
)
def test_collated_numbers_are_not_cut(samples):
    torch_data = pytest.importorskip("torch.utils.data")
    ours, theirs = tud.default_collate(samples).numpy(), torch_data.default_collate(samples).numpy()
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("samples", [[1, "2"], [1.5, "2"], [1, None]], ids=str)
def test_collated_numbers_are_numbers(samples):
    with pytest.raises(TypeError, match=r"^default_collate: cannot make a tensor from list"):
        tud.default_collate(samples)


def test_collate_fn_and_getitems():
    asked = []

    class Many(Words):
        def __getitems__(self, indices):
            asked.append(indices)
            return [self.samples[i] for i in indices]

    loader = DataLoader(Many([3, 1, 2, 5]), batch_size=2, collate_fn=lambda batch: sorted(batch))
    assert list(loader) == [[1, 3], [2, 5]]
    assert asked == [[0, 1], [2, 3]]


def test_samplers():
    dataset = images(transform=transforms.ToTensor())
    loader = DataLoader(dataset, batch_size=2, sampler=[3, 1, -1])
    assert [y.tolist() for _, y in loader] == [[3, 1], [36]]
    loader = DataLoader(dataset, batch_sampler=[[0, 5], [7]])
    assert [y.tolist() for _, y in loader] == [[0, 5], [7]]
    assert len(loader) == 2
    loader = DataLoader(Words({"a": 1, "b": 2}), batch_sampler=[["b", "a"]])
    assert [batch.tolist() for batch in loader] == [[2, 1]]
    assert sorted(tud.SubsetRandomSampler([4, 8, 6])) == [4, 6, 8]
    drawn = list(tud.RandomSampler(range(5), replacement=True, num_samples=100))
    assert len(drawn) == 100
    assert set(drawn) == set(range(5))
    assert len(set(tud.RandomSampler(range(10), num_samples=4))) == 4
    with pytest.raises(ValueError, match="the data set is empty"):
        list(tud.RandomSampler([], replacement=False, num_samples=2))
    longer = list(tud.RandomSampler(range(3), num_samples=7))
    assert len(longer) == 7
    assert sorted(longer[:3]) == [0, 1, 2]
    assert list(tud.BatchSampler(tud.SequentialSampler(range(5)), 2, True)) == [[0, 1], [2, 3]]


def test_single_samples_and_streams():
    loader = DataLoader(Words([np.ones(2), np.zeros(2)]), batch_size=None)
    assert [sample.tolist() for sample in loader] == [[1, 1], [0, 0]]

    class Stream(tud.IterableDataset):
        def __iter__(self):
            return iter(range(5))

    assert [batch.tolist() for batch in DataLoader(Stream(), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert [batch.tolist() for batch in DataLoader(Stream(), batch_size=2, drop_last=True)] == [
        [0, 1],
        [2, 3],
    ]
    with pytest.raises(ValueError, match="IterableDataset"):
        DataLoader(Stream(), shuffle=True)


def test_concatenation():
    both = TensorDataset(cnnx.arange(3)) + TensorDataset(cnnx.arange(2))
    assert [int(both[i][0]) for i in range(-5, 5)] == [0, 1, 2, 0, 1] * 2
    with pytest.raises(IndexError):
        both[5]


@pytest.mark.parametrize("stop", [1, 3, 5, 6])
@pytest.mark.parametrize("shuffle", [False, True])
def test_resuming(stop, shuffle):
    dataset = TensorDataset(cnnx.arange(22))

    def make():
        generator = cnnx.Generator().manual_seed(4)
        return DataLoader(dataset, batch_size=4, shuffle=shuffle, generator=generator), generator

    loader, _ = make()
    whole = [[batch.tolist() for (batch,) in loader] for _ in range(3)]
    loader, generator = make()
    list(loader)
    seen = []
    for (batch,) in loader:
        seen.append(batch.tolist())
        if len(seen) == stop:
            state, random = loader.state_dict(), generator.get_state()
            break
    other, other_generator = make()
    other.load_state_dict(state)
    other_generator.set_state(random)
    assert other.state_dict()["position"] == stop
    rest = [batch.tolist() for (batch,) in other]
    assert seen + rest == whole[1]
    assert [batch.tolist() for (batch,) in other] == whole[2]
    assert other.state_dict() == {"order": None, "position": 0}


def test_resuming_what_does_not_fit():
    loader = DataLoader(TensorDataset(cnnx.arange(5)), batch_size=2)
    with pytest.raises(ValueError, match="the order has 4 samples"):
        loader.load_state_dict({"order": cnnx.arange(4), "position": 0})
    with pytest.raises(ValueError, match="position 4"):
        loader.load_state_dict({"order": cnnx.arange(5), "position": 4})
    with pytest.raises(NotImplementedError):
        DataLoader(TensorDataset(cnnx.arange(5)), sampler=[1, 2]).state_dict()


def test_tensor_datasets():
    x, y = cnnx.arange(12).reshape(6, 2).float(), cnnx.arange(6)
    dataset = TensorDataset(x, y)
    assert [t.tolist() for t in dataset[4]] == [[8, 9], 4]
    batches = list(DataLoader(dataset, batch_size=4))
    assert batches[1][0].tolist() == [[8, 9], [10, 11]]
    assert batches[1][1].tolist() == [4, 5]
    x.requires_grad_()
    ((a, _),) = DataLoader(dataset, batch_size=6)
    a.sum().backward()
    assert x.grad.tolist() == [[1, 1]] * 6
    for dtype in (cnnx.bool, cnnx.uint8, cnnx.int32, cnnx.int64, cnnx.float64):
        values = cnnx.tensor(np.arange(6).reshape(3, 2) % 3).to(dtype)
        ((b,),) = DataLoader(TensorDataset(values.T), batch_size=2)
        assert b.dtype == dtype
        np.testing.assert_array_equal(b.numpy(), values.numpy().T)
    with pytest.raises(ValueError, match=r"first extent, got shapes \[\(3,\), \(4,\)\]"):
        TensorDataset(cnnx.ones(3), cnnx.ones(4))
    with pytest.raises(ValueError, match="at least one"):
        TensorDataset()
    with pytest.raises(TypeError, match="needs tensors"):
        TensorDataset([1, 2])


def test_bad_arguments():
    dataset = TensorDataset(cnnx.arange(3))
    for arguments in (
        {"batch_size": 0},
        {"batch_size": -1},
        {"batch_size": 2.5},
        {"batch_size": True},
        {"batch_size": None, "drop_last": True},
        {"num_workers": -1},
        {"timeout": -1},
        {"sampler": [0], "shuffle": True},
        {"batch_sampler": [[0]], "batch_size": 2},
    ):
        with pytest.raises(ValueError, match="DataLoader"):
            DataLoader(dataset, **arguments)


def test_empty_data_sets():
    empty = TensorDataset(cnnx.zeros(0, 3))
    assert list(DataLoader(empty, batch_size=4)) == []
    with pytest.raises(ValueError, match="the data set is empty"):
        DataLoader(empty, shuffle=True)


def test_samples_that_do_not_fit_together():
    with pytest.raises(RuntimeError, match=r"shapes \[\(1,\), \(2,\)\]"):
        list(DataLoader(Words([cnnx.ones(1), cnnx.ones(2)]), batch_size=2))
    with pytest.raises(RuntimeError, match="numbers of fields"):
        list(DataLoader(Words([(1, 2), (1,)]), batch_size=2))
    with pytest.raises(TypeError, match=r"got builtins\.object"):
        list(DataLoader(Words([object()])))


def test_pil_images_need_a_transform():
    image = pytest.importorskip("PIL.Image").new("L", (2, 2))
    with pytest.raises(TypeError, match="ToTensor"):
        list(DataLoader(Words([(image, 1)])))


def test_workers_warn_once():
    script = """
import warnings, cnnx
from cnnx.utils.data import DataLoader, TensorDataset
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(3):
        DataLoader(TensorDataset(cnnx.arange(3)), num_workers=2, pin_memory=True, persistent_workers=True)
assert [str(w.message) for w in caught] == [
    "DataLoader: num_workers, persistent_workers have no effect: batches are made in this process"
], [str(w.message) for w in caught]
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.cpu("a device notes a bad index and raises at the next wait: test_cuda_dense.py")
def test_gather_checks_its_arguments():
    source, index = cnnx.zeros(4, 3, 3, dtype=cnnx.uint8), cnnx.tensor([0, 1, 2, 4])
    gather = cnnx._C.gather_images
    with pytest.raises(IndexError, match="gather_images: index 4 is out of range for 4 samples"):
        gather(source, index, 0, 4)
    with pytest.raises(IndexError, match="positions 2 to 6"):
        gather(source, index, 2, 4)
    with pytest.raises(IndexError, match="gather_rows: index -1"):
        cnnx._C.gather_rows(source, cnnx.tensor([-1]), 0, 1)
    with pytest.raises(TypeError, match="images must be uint8"):
        gather(source.float(), index, 0, 1)
    with pytest.raises(RuntimeError, match=r"\(4, 3\)"):
        gather(cnnx.zeros(4, 3, dtype=cnnx.uint8), index, 0, 1)
    with pytest.raises(TypeError, match="index must be int64"):
        gather(source, cnnx.tensor([0], dtype=cnnx.int32), 0, 1)
    with pytest.raises(ValueError, match="stddev"):
        gather(source, index, 0, 1, 255.0, [0.0], [0.0])
    with pytest.raises(RuntimeError, match="2 values of mean"):
        gather(source, index, 0, 1, 255.0, [0.0, 1.0], [1.0, 1.0])
    for missing in ((None, index), (source, None)):
        with pytest.raises(TypeError, match="is undefined"):
            gather(*missing, 0, 1)
    assert tuple(gather(source, index, 0, 0).shape) == (0, 1, 3, 3)


def test_gather_of_several_channels_and_strided_sources():
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (9, 3, 5, 4)).astype(np.uint8)
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    order = rng.permutation(9)
    planes = [np.float32(v).reshape(3, 1, 1) for v in (mean, std)]
    expected = (array[order] / np.float32(255) - planes[0]) / planes[1]
    source = cnnx.tensor(np.ascontiguousarray(array.transpose(1, 0, 2, 3))).transpose(0, 1)
    result = cnnx._C.gather_images(source, cnnx.tensor(order), 0, 9, 255.0, mean, std)
    np.testing.assert_array_equal(result.numpy(), expected)


def test_a_script_in_the_dialect(tmp_path):
    """The imports of a PyTorch script with their first word changed, and what it does with its data."""
    import cnnx as torch
    import cnnx as torchvision
    from test_datasets import small_files, store

    store(tmp_path / "MNIST" / "raw", small_files(50))
    transform = torchvision.transforms.Compose(
        [torchvision.transforms.ToTensor(), torchvision.transforms.Normalize((0.1307,), (0.3081,))]
    )
    train = torchvision.datasets.MNIST(root=str(tmp_path), train=True, download=True, transform=transform)
    train, validation = torch.utils.data.random_split(train, [40, 10])
    loader = torch.utils.data.DataLoader(train, batch_size=16, shuffle=True, drop_last=True, pin_memory=True)
    seen = 0
    for batch_idx, (data, target) in enumerate(loader):
        seen += len(data)
        assert data.shape == (16, 1, 6, 4)
        assert target.dtype == torch.int64
        assert 0 <= batch_idx < len(loader) == 2
    assert seen == 32
    images, labels = next(iter(torch.utils.data.DataLoader(validation, batch_size=len(validation))))
    assert images.view(10, -1).mean(dim=1).shape == labels.shape
