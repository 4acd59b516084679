"""Data on the CUDA backend, beside the CPU: transforms of batches, loaders, random tensors, sorting.

Needs a device, or the emulation.
"""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import _C, transforms
from cnnx.datasets.images import ImageDataset
from cnnx.transforms import functional as F
from cnnx.transforms.native import batch_transform
from cnnx.utils.data import ConcatDataset, DataLoader, RandomSampler, Subset, TensorDataset

pytestmark = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")
RNG = np.random.default_rng(7)

# On bytes, before ToTensor.
ON_BYTES = {
    "flip": [transforms.RandomHorizontalFlip()],
    "flip always": [transforms.RandomVerticalFlip(1.0)],
    "flip never": [transforms.RandomVerticalFlip(0.0)],
    "pad": [transforms.Pad((1, 2, 3, 0), fill=9)],
    "pad reflect": [transforms.Pad(2, padding_mode="reflect")],
    "pad symmetric": [transforms.Pad((4, 3), padding_mode="symmetric")],
    "pad edge": [transforms.Pad((1, 0, 5, 2), padding_mode="edge")],
    "center crop": [transforms.CenterCrop((5, 4))],
    "center crop larger": [transforms.CenterCrop(13)],
    "crop": [transforms.RandomCrop((5, 6), padding=2)],
    "crop reflect": [transforms.RandomCrop(6, padding=(2, 1), padding_mode="reflect")],
    "crop needed": [transforms.RandomCrop(12, pad_if_needed=True, fill=3)],
    "rotate": [transforms.RandomRotation(30)],
    "rotate right": [transforms.RandomRotation((90, 90), fill=5)],
    "rotate bilinear": [transforms.RandomRotation(180, interpolation="bilinear", fill=77)],
    "rotate center": [transforms.RandomRotation(40, center=(1, 2))],
    "affine": [transforms.RandomAffine(20, translate=(0.2, 0.3), scale=(0.7, 1.4), shear=(-10, 10, -5, 5))],
    "affine bilinear": [
        transforms.RandomAffine(20, (0.2, 0.3), (0.7, 1.4), 8, interpolation="bilinear", fill=30)
    ],
    "translate": [transforms.RandomAffine(0, translate=(0.3, 0.3))],
    "zoom": [transforms.RandomAffine(0, scale=(0.3, 2.5))],
    "resize": [transforms.Resize((6, 13))],
    "resize wider": [transforms.Resize((9, 12))],
    "resize nearest": [transforms.Resize((4, 15), interpolation="nearest")],
    "resize bicubic": [transforms.Resize(17, interpolation="bicubic")],
    "grey": [transforms.Grayscale()],
    "grey thrice": [transforms.Grayscale(3)],
    "apply": [
        transforms.RandomApply([transforms.RandomHorizontalFlip(), transforms.RandomRotation(15)], p=0.6)
    ],
    "nested": [
        transforms.RandomApply(
            [transforms.RandomApply([transforms.RandomCrop((9, 8), padding=1)]), transforms.RandomRotation(9)]
        )
    ],
    "nothing": [],
}
# On floats, behind it.
ON_FLOATS = {
    "flip": [transforms.RandomHorizontalFlip()],
    "crop": [transforms.RandomCrop((5, 6), padding=2, fill=0.3)],
    "rotate": [transforms.RandomRotation(30, fill=0.2)],
    "rotate bilinear": [transforms.RandomRotation(30, interpolation="bilinear")],
    "affine": [transforms.RandomAffine(15, (0.2, 0.2), (0.7, 1.4), (-9, 9, -7, 7))],
    "affine bilinear": [transforms.RandomAffine(15, (0.2, 0.2), (0.7, 1.4), 8, "bilinear", fill=0.5)],
    "resize": [transforms.Resize((6, 13))],
    "resize plain": [transforms.Resize((6, 13), antialias=False)],
    "resize bicubic": [transforms.Resize((14, 5), interpolation="bicubic", antialias=False)],
    "resize nearest": [transforms.Resize((6, 13), interpolation="nearest")],
    "grey": [transforms.Grayscale()],
    "erase": [transforms.RandomErasing(value=0.7)],
    "erase rarely": [transforms.RandomErasing(p=0.1)],
    "normalize": [transforms.RandomErasing(), transforms.Normalize((0.4,), (0.3,))],
    "apply": [transforms.RandomApply([transforms.RandomErasing(p=1.0)], p=0.5)],
}
CHAINS = {
    **{f"bytes: {name}": [*steps, transforms.ToTensor()] for name, steps in ON_BYTES.items()},
    **{f"floats: {name}": [transforms.ToTensor(), *steps] for name, steps in ON_FLOATS.items()},
    "s7": [
        transforms.RandomHorizontalFlip(),
        transforms.RandomRotation(10),
        transforms.ToTensor(),
        transforms.Normalize((0.5,), (0.5,)),
    ],
    "long": [
        transforms.RandomCrop((9, 8), padding=2),
        transforms.RandomHorizontalFlip(),
        transforms.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), 5, "bilinear"),
        transforms.Resize((11, 10)),
        transforms.ToTensor(),
        transforms.Normalize((0.5,), (0.5,)),
        transforms.RandomRotation(5, interpolation="bilinear"),
        transforms.RandomErasing(),
    ],
}


def batches(chain, shape, count=20, max_value=255):
    """One batch as the CPU and as the device make it."""
    images = cnnx.tensor(np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8))
    transform = transforms.Compose(chain)
    native = batch_transform(transform, shape[1] if len(shape) == 4 else 1, max_value)
    assert native is not None
    index = cnnx.tensor(np.random.default_rng(4).integers(0, shape[0], count + 2))
    keys = cnnx.arange(count + 2) * 3 + 5
    arguments = (1, count, native, (11, 22))
    one = _C.transform_images(images, index, *arguments, keys)
    other = _C.transform_images(images.to("cuda"), index.to("cuda"), *arguments, keys.to("cuda"))
    assert other.device.type == "cuda"
    assert other.dtype == cnnx.float32
    return one.numpy(), other.cpu().numpy()


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("shape", [(5, 9, 8), (7, 3, 9, 8)], ids=str)
def test_transforms_are_the_cpus_to_the_bit(name: str, shape: tuple[int, ...]) -> None:
    one, other = batches(CHAINS[name], shape)
    assert one.shape == other.shape
    np.testing.assert_array_equal(other, one)


@pytest.mark.parametrize("name", ["s7", "long", "bytes: affine", "floats: affine bilinear"])
@pytest.mark.parametrize("shape", [(3, 1, 1), (2, 1, 28, 28), (3, 3, 75, 64)], ids=str)
@pytest.mark.parametrize("count", [1, 13])
def test_transforms_of_other_sizes(name: str, shape: tuple[int, ...], count: int) -> None:
    """One pixel, and images whose buffers do not fit into shared memory."""
    chain = CHAINS[name]
    one, other = batches(chain[1:] if shape[-1] == 1 and name == "long" else chain, shape, count)
    np.testing.assert_array_equal(other, one)


def test_values_that_are_divided_by_another_number() -> None:
    """Steps before ToTensor then run on floats, by Pillow's rules."""
    for name in ("rotate", "rotate bilinear", "translate", "zoom", "resize", "resize nearest", "grey"):
        one, other = batches([*ON_BYTES[name], transforms.ToTensor()], (5, 3, 9, 8), max_value=16)
        np.testing.assert_array_equal(other, one, err_msg=name)


def test_transforms_with_bad_input() -> None:
    images = cnnx.tensor(RNG.integers(0, 256, (4, 9, 8)).astype(np.uint8)).to("cuda")
    native = batch_transform(transforms.Compose(CHAINS["s7"]), 1, 255)
    index = cnnx.tensor([0, 4, 1])

    def run(index, transform=native):
        return _C.transform_images(images, index, 0, len(index), transform, (1, 2), index)

    assert run(cnnx.tensor([], dtype=cnnx.int64)).shape == (0, 1, 9, 8)
    with pytest.raises(IndexError, match="index 4 is out of range"):
        run(index)
    made = run(index.to("cuda"))  # no wait, so no error yet
    with pytest.raises(IndexError, match="index of samples"):
        made.cpu()
    made = made.cpu().numpy()
    assert np.abs(made[0]).sum() > 0
    assert np.abs(made[1]).sum() == 0
    with pytest.raises(IndexError, match="out of range"):  # looked at on the CPU, where the data are
        _C.gather_rows(cnnx.arange(3), index.to("cuda"), 0, 3)
    for chain, error in (
        ([transforms.RandomCrop(20), transforms.ToTensor()], "larger than the image"),
        ([transforms.Pad(9, padding_mode="reflect"), transforms.ToTensor()], "reflect"),
        ([transforms.Grayscale(), transforms.ToTensor(), transforms.RandomErasing(value=(1, 2))], "values"),
    ):
        with pytest.raises(ValueError, match=error):
            run(index.to("cuda"), batch_transform(transforms.Compose(chain), 1, 255))


def dataset(name: str = "s7") -> ImageDataset:
    generator = np.random.default_rng(5)
    pixels = cnnx.tensor(generator.integers(0, 256, (37, 9, 8)).astype(np.uint8))
    return ImageDataset(pixels, cnnx.arange(37), transforms.Compose(CHAINS[name]), None)


def passes(data, **options) -> list[np.ndarray]:
    """Two passes of a loader, seeded."""
    cnnx.manual_seed(3)
    loader = DataLoader(data, batch_size=8, **options)
    return [field.cpu().numpy() for _ in range(2) for batch in loader for field in batch]


@pytest.mark.parametrize("kind", ["whole", "subset", "concat", "replacement", "drop_last", "tensors"])
def test_loaders_over_data_on_the_device_give_the_same_batches(kind: str) -> None:
    found = []
    for device in ("cpu", "cuda"):
        data = dataset().to(device)
        options = {"shuffle": True}
        if kind == "subset":
            data = Subset(Subset(data, range(30, 0, -1)), [*range(3, 20), -1])
        elif kind == "concat":
            data = ConcatDataset([data, Subset(data, [1, 2, 3])])
        elif kind == "replacement":
            options = {"sampler": RandomSampler(data, replacement=True, num_samples=41)}
        elif kind == "drop_last":
            options |= {"drop_last": True}
        elif kind == "tensors":
            data = TensorDataset(data.data, data.targets)
        assert next(iter(DataLoader(data)))[0].device.type == device
        found.append(passes(data, **options))
    assert len(found[0]) == len(found[1])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(other, one)


def test_single_samples_and_places_of_data_on_the_device() -> None:
    data = dataset("bytes: nothing").to("cuda")
    assert data.data.device.type == data.targets.device.type == "cuda"
    np.testing.assert_array_equal(data[3][0].numpy(), dataset("bytes: nothing")[3][0].numpy())
    assert data[3][1] == 3
    cnnx.manual_seed(1)
    loader = DataLoader(data, batch_size=8, shuffle=True)
    first = iter(loader)
    next(first)
    state = loader.state_dict()
    rest = [labels.tolist() for _, labels in first]
    other = DataLoader(data, batch_size=8, shuffle=True)
    other.load_state_dict(state)
    assert [labels.tolist() for _, labels in other] == rest
    batches_of_lists = DataLoader(data, batch_sampler=[[1, 2], [-1]])
    assert [labels.tolist() for _, labels in batches_of_lists] == [[1, 2], [36]]


def drawn(device: str) -> dict[str, cnnx.Tensor]:
    cnnx.manual_seed(5)
    where = {"device": device}
    like = cnnx.zeros(3, 5, **where)
    made = {
        "rand": cnnx.rand(7, 5, **where),
        "rand double": cnnx.rand(7, dtype=cnnx.float64, **where),
        "randn": cnnx.randn(33, **where),
        "randn double": cnnx.randn(6, 3, dtype=cnnx.float64, **where),
        "randint": cnnx.randint(-3, 9, (4, 9), **where),
        "randint bytes": cnnx.randint(256, (9,), dtype=cnnx.uint8, **where),
        "randperm": cnnx.randperm(19, **where),
        "randperm int32": cnnx.randperm(8, dtype=cnnx.int32, **where),
        "normal": cnnx.normal(2.0, 3.0, (5, 4), **where),
        "normal tensors": cnnx.normal(cnnx.ones(4, **where), cnnx.full((3, 1), 0.1, **where)),
        "bernoulli": cnnx.bernoulli(cnnx.full((50,), 0.3, **where)),
        "rand_like": cnnx.rand_like(like),
        "randn_like": cnnx.randn_like(like, dtype=cnnx.float64),
        "randint_like": cnnx.randint_like(like, 5, dtype=cnnx.int64),
        "empty": cnnx.rand(0, 3, **where),
    }
    assert all(tensor.device.type == device for tensor in made.values())
    return made


def test_random_tensors_are_the_cpus() -> None:
    one, other = drawn("cpu"), drawn("cuda")
    for name, expected in one.items():
        assert other[name].dtype == expected.dtype
        result, values = other[name].cpu().numpy(), expected.numpy()
        if name.startswith(("randn", "normal")):
            np.testing.assert_allclose(result, values, rtol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(result, values, err_msg=name)


def test_random_tensors_and_the_default_device() -> None:
    cnnx.set_default_device("cuda")
    try:
        assert cnnx.rand(2).device.type == cnnx.randperm(3).device.type == "cuda"
        assert cnnx.randn(2, device="cpu").device.type == "cpu"
        assert cnnx.normal(0.0, 1.0, (2,)).device.type == "cuda"
        assert cnnx.rand(2, requires_grad=True).requires_grad
        loader = DataLoader(TensorDataset(cnnx.arange(5)), batch_size=2, shuffle=True)
        assert sorted(value for (batch,) in loader for value in batch.tolist()) == [0, 1, 2, 3, 4]
    finally:
        cnnx.set_default_device(None)


def test_new_tensors_beside_one() -> None:
    x = cnnx.ones(2, dtype=cnnx.float64, device="cuda")
    for made in (
        x.new_zeros(2, 3),
        x.new_ones((2, 3)),
        x.new_empty(2, 3),
        x.new_full((2, 3), 4),
        x.new_tensor([1]),
    ):
        assert made.device == x.device
        assert made.dtype == x.dtype
    made = x.new_zeros(2, dtype=cnnx.float32, device="cpu", requires_grad=True)
    assert (made.device.type, made.dtype, made.requires_grad) == ("cpu", cnnx.float32, True)
    made = cnnx.ones(2).new_full((2,), 3, device="cuda")
    assert made.tolist() == [3, 3]
    assert made.device.type == "cuda"


SINGLE = {
    "flip": lambda x: F.hflip(x),
    "pad": lambda x: F.pad(x, [1, 2, 3, 0], fill=3),
    "crop": lambda x: F.center_crop(x, [5, 12]),
    "rotate": lambda x: F.rotate(x, 33, fill=7),
    "rotate bilinear": lambda x: F.rotate(x, -10.5, "bilinear", fill=2.5),
    "rotate expand": lambda x: F.rotate(x, 45, "bilinear", expand=True),
    "random expand": lambda x: transforms.RandomRotation(60, expand=True)(x),
    "affine": lambda x: F.affine(x, 20, (1, -2), 1.3, (5, -4)),
    "affine bilinear": lambda x: F.affine(x, 20, (1, -2), 0.8, (5, -4), "bilinear", fill=5),
    "resize": lambda x: F.resize(x, [6, 13]),
    "resize one way": lambda x: F.resize(x, [9, 13], antialias=False),
    "resize other way": lambda x: F.resize(x, [5, 8]),
    "resize nearest": lambda x: F.resize(x, [4, 19], "nearest"),
    "resize bicubic": lambda x: F.resize(x, [17, 5], "bicubic"),
    "resize to the same": lambda x: F.resize(x, [9, 8]),
    "grey": lambda x: transforms.Grayscale(3)(x),
    "random": lambda x: transforms.RandomAffine(20, (0.2, 0.3), (0.7, 1.4), 8)(x),
    "maybe": lambda x: transforms.RandomHorizontalFlip()(x),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int32])
@pytest.mark.parametrize("name", SINGLE)
def test_single_images_are_the_cpus_to_the_bit(name: str, dtype: type) -> None:
    pixels = (np.random.default_rng(6).random((3, 9, 8)) * 255).astype(dtype)
    for seed in range(3):
        found = []
        for device in ("cpu", "cuda"):
            cnnx.manual_seed(seed)
            result = SINGLE[name](cnnx.tensor(pixels, device=device))
            assert result.device.type == device
            found.append(result.cpu().numpy())
        assert found[0].dtype == dtype
        np.testing.assert_array_equal(found[1], found[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SINGLE)
def test_gradients_of_single_images_are_the_cpus_to_the_bit(name: str, dtype: type) -> None:
    rng = np.random.default_rng(6)
    pixels, noise = (rng.normal(size=(3, size, size)).astype(dtype) for size in (8, 40))
    found = []
    for device in ("cpu", "cuda"):
        cnnx.manual_seed(1)
        x = cnnx.tensor(pixels, device=device).requires_grad_()
        result = SINGLE[name](x)
        channels, height, width = result.shape
        upstream = cnnx.tensor(noise[:channels, :height, :width], device=device).requires_grad_()
        (grad,) = cnnx.autograd.grad(result, x, upstream, create_graph=True)
        (again,) = cnnx.autograd.grad(grad, upstream, cnnx.tensor(pixels[:, ::-1].copy(), device=device))
        found.append((grad.detach().cpu().numpy(), again.cpu().numpy()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(other, one)


def test_erasing_and_bad_single_images() -> None:
    values = RNG.random((3, 9, 8), dtype=np.float32)
    image = cnnx.tensor(values, device="cuda")
    for erase in (transforms.RandomErasing(1.0), transforms.RandomErasing(1.0, value="random")):
        found = []
        for x in (image.cpu(), image):
            cnnx.manual_seed(2)
            found.append(erase(x).cpu().numpy())
        np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
        assert (found[0] != values).any()
    with pytest.raises(ValueError, match="1 or 3 channels"):
        transforms.Grayscale()(image[:2])
    with pytest.raises(ValueError, match="no pixels"):
        F.hflip(image[:, :0])


def test_a_transform_of_images_of_several_sizes() -> None:
    chains = ([transforms.ToTensor()], [transforms.ToTensor(), transforms.RandomRotation(10)])
    plain, rotated = (batch_transform(transforms.Compose(chain), 1, 255) for chain in chains)
    pixels, index = cnnx.tensor(RNG.integers(0, 256, (2, 5, 5)).astype(np.uint8)), cnnx.arange(2)
    for transform in (plain, rotated, plain):
        for source in (pixels, pixels[:, :3]):
            one, other = (
                _C.transform_images(images, index, 0, 2, transform, (1, 2), index)
                for images in (source, source.to("cuda"))
            )
            np.testing.assert_array_equal(other.cpu().numpy(), one.numpy())


def same(function, *arrays: np.ndarray) -> None:
    """The same values and dtypes on both devices."""
    one, other = (function(*(cnnx.tensor(a).to(device) for a in arrays)) for device in ("cpu", "cuda"))
    pairs = zip(one, other, strict=True) if isinstance(one, tuple) else [(one, other)]
    for expected, result in pairs:
        assert result.device.type == "cuda"
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result.cpu().numpy(), expected.numpy())


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("shape", [(5,), (256,), (257,), (3, 511), (2, 1025), (700, 2), (1, 3000)], ids=str)
def test_sorting_rows_of_all_lengths(shape: tuple[int, ...], descending: bool) -> None:
    few = RNG.integers(0, 20, shape)  # many ties, so that only a stable order is the CPU's
    many = RNG.normal(size=shape)
    many.reshape(-1)[::7] = np.nan
    many.reshape(-1)[3::11] = np.inf
    for values in (few, few.astype(np.uint8), few > 9, many.astype(np.float32), many):
        same(lambda t: tuple(cnnx.sort(t, 0, descending)), values)
        same(lambda t: tuple(cnnx.sort(t, -1, descending)), values)
        same(lambda t: cnnx.argsort(t, -1, descending), values)
    same(lambda t: tuple(cnnx.topk(t, min(4, shape[-1]), largest=descending)), many)


def test_unique_values() -> None:
    for values in (RNG.integers(0, 300, 2000), RNG.integers(0, 3, (7, 9)).astype(np.float32)):
        same(lambda t: cnnx.unique(t, return_inverse=True, return_counts=True), values)


@pytest.mark.parametrize("count", [1, 300, 2000])
def test_many_values_on_few_places(count: int) -> None:
    index, values = RNG.integers(0, 9, count), RNG.normal(size=(count, 3)).astype(np.float32)

    def put(x, index, values):
        x = x.clone()
        x[index] = values
        return x

    def added(x, index, values):  # the gradient of indexing adds what falls on one place
        x = x.clone().requires_grad_()
        x[index].backward(values)
        return x.grad

    for function in (put, added):
        same(function, np.ones((9, 3), np.float32), index, values)


def test_masked_fill_keeps_the_dtype() -> None:
    mask = RNG.random((4, 5)) < 0.5
    for dtype in (np.float32, np.float64, np.int64, np.int32, np.uint8):
        same(lambda t, m: t.masked_fill(m, 7), RNG.integers(0, 9, (4, 5)).astype(dtype), mask)
    same(lambda t, m: t.masked_fill(m, -np.inf), RNG.normal(size=(4, 1)), mask)
    same(lambda t, m: t.masked_fill(m, True), mask, mask)
    same(lambda t, m: t.masked_fill(m, 1), ~mask, mask)
