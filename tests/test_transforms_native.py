"""Geometric transforms against Pillow and PyTorch, single and in batches; seeds, keys, threads; bad input."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

import cnnx
from cnnx import transforms
from cnnx.datasets.images import ImageDataset
from cnnx.transforms import functional as F
from cnnx.utils.data import ConcatDataset, DataLoader, RandomSampler, Subset
from cnnx.utils.data.native import native_batches

MODES = ("nearest", "bilinear")
ANGLES = (0, 90, 180, 270, 45, 10, -10, 3.3, 359.9, -200.123)


def image(shape=(28, 28), seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def pil():
    return pytest.importorskip("PIL.Image")


@pytest.mark.parametrize("shape", [(28, 28), (9, 70), (13, 31, 3), (1, 1)])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", [{}, {"fill": 7}, {"center": (3, 5)}, {"expand": True}])
def test_rotation_is_pillows_to_the_bit(pil, shape, mode, options):
    pixels = image(shape)
    arguments = {"expand": options.get("expand", False), "center": options.get("center")}
    fill = options.get("fill", 0)
    fill = (fill,) * 3 if len(shape) == 3 else fill
    for angle in ANGLES:
        expected = pil.fromarray(pixels).rotate(
            angle, getattr(pil.Resampling, mode.upper()), fillcolor=fill, **arguments
        )
        result = F.rotate(pil.fromarray(pixels), angle, mode, **options)
        assert result.mode == expected.mode
        np.testing.assert_array_equal(np.asarray(result), np.asarray(expected), err_msg=str(angle))
        np.testing.assert_array_equal(F.rotate(pixels, angle, mode, **options), np.asarray(expected))


@pytest.mark.parametrize("mode", MODES)
def test_rotation_of_an_image_beyond_fixed_point(pil, mode):
    pixels = image((3, 40000))
    expected = pil.fromarray(pixels).rotate(1e-3, getattr(pil.Resampling, mode.upper()))
    np.testing.assert_array_equal(F.rotate(pixels, 1e-3, mode), np.asarray(expected))


def affine_matrix(size, angle, translate, scale, shear, center=None):
    """The output to input matrix of torchvision's documentation, by products of 3 x 3 matrices."""
    cx, cy = center or (size[0] * 0.5, size[1] * 0.5)
    a, sx, sy = (math.radians(v) for v in (angle, *shear))
    move = np.array([[1, 0, translate[0]], [0, 1, translate[1]], [0, 0, 1]], float)
    to_center = np.array([[1, 0, cx], [0, 1, cy], [0, 0, 1]], float)
    turn = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    along_y = np.array([[1, 0, 0], [-math.tan(sy), 1, 0], [0, 0, 1]])
    along_x = np.array([[1, -math.tan(sx), 0], [0, 1, 0], [0, 0, 1]])
    m = move @ to_center @ turn @ np.diag([scale, scale, 1.0]) @ along_y @ along_x @ np.linalg.inv(to_center)
    return np.linalg.inv(m)


@pytest.mark.parametrize("shape", [(28, 28), (20, 33, 3)])
@pytest.mark.parametrize("mode", MODES)
def test_affine_is_pillows(pil, shape, mode):
    pixels = pil.fromarray(image(shape))
    rng = np.random.default_rng(1)
    for _ in range(20):
        parameters = (
            rng.uniform(-90, 90), (int(rng.integers(-5, 6)), int(rng.integers(-5, 6))), rng.uniform(0.5, 2),
            tuple(rng.uniform(-20, 20, 2)),
        )  # fmt: skip
        matrix = affine_matrix(pixels.size, *parameters)[:2].reshape(-1)
        expected = pixels.transform(
            pixels.size, pil.Transform.AFFINE, matrix, getattr(pil.Resampling, mode.upper()), fillcolor=0
        )
        result = np.asarray(F.affine(pixels, *parameters, interpolation=mode))
        # The matrix is multiplied up in another order: a pixel on the edge may fall on the other side.
        differing = np.abs(result.astype(int) - np.asarray(expected)) > 1
        assert differing.mean() < 0.003


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fill", [None, 0.5])
def test_tensors_follow_grid_sample(mode, fill):
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(2).random((2, 17, 23), dtype=np.float32)
    height, width = values.shape[1:]
    for angle in (10.0, -33.3, 123.4):
        a = math.radians(angle)
        # Coordinates are normalised by half the extents, so a rotation is one only on square pixels.
        theta = torch.tensor(
            [[math.cos(a), -math.sin(a) * height / width, 0], [math.sin(a) * width / height, math.cos(a), 0]],
            dtype=torch.float64,
        )
        grid = torch.nn.functional.affine_grid(theta[None], (1, 1, height, width), align_corners=False)
        source = torch.from_numpy(values.astype(np.float64))[None]
        ones = torch.ones_like(source[:, :1])
        sampled, inside = (
            torch.nn.functional.grid_sample(x, grid, mode=mode, align_corners=False)[0]
            for x in (source, ones)
        )
        if fill is not None:
            sampled = sampled * inside + (1 - inside) * fill
        result = F.rotate(cnnx.from_numpy(values), angle, mode, fill=fill)
        np.testing.assert_allclose(result.numpy(), sampled.numpy(), atol=1e-5)
        exact = F.rotate(cnnx.from_numpy(values.astype(np.float64)), angle, mode, fill=fill)
        assert exact.dtype == cnnx.float64
        np.testing.assert_allclose(exact.numpy(), sampled.numpy(), atol=1e-12)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(28, 28), (7, 9), (32, 32), (50, 10), 14, 40])
def test_resize(pil, mode, size):
    pixels = pil.fromarray(image((20, 28, 3)))
    height, width = size if isinstance(size, tuple) else (size, size * 28 // 20)
    expected = np.asarray(pixels.resize((width, height), getattr(pil.Resampling, mode.upper())))
    np.testing.assert_array_equal(np.asarray(F.resize(pixels, size, mode)), expected)
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(3).random((2, 20, 28), dtype=np.float32)
    for antialias in (True, False):
        options = {} if mode == "nearest" else {"antialias": antialias, "align_corners": False}
        reference = torch.nn.functional.interpolate(
            torch.from_numpy(values)[None], (height, width), mode=mode, **options
        )[0]
        result = F.resize(cnnx.from_numpy(values), size, mode, antialias=antialias)
        np.testing.assert_allclose(result.numpy(), reference.numpy(), atol=1e-4)


def test_resize_limits():
    assert F.get_dimensions(F.resize(image((20, 40)), 30, max_size=50)) == [1, 25, 50]
    for arguments in (((4, 5), "bilinear", 9), (8, "bilinear", 8), (0,), ((1, 2, 3),), (4, "lanczos")):
        with pytest.raises(ValueError, match="Resize"):
            transforms.Resize(*arguments)


@pytest.mark.parametrize("padding", [1, (2, 3), (1, 2, 3, 4), 0])
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 3)])
def test_pad_is_numpys(padding, mode, shape):
    pixels = image(shape)
    left, top, right, bottom = np.broadcast_to(np.tile(padding, 4), (4 * np.size(padding),))[:4]
    widths = [(top, bottom), (left, right), (0, 0)][: len(shape)]
    options = {"constant_values": 9} if mode == "constant" else {}
    expected = np.pad(pixels, widths, mode, **options)
    np.testing.assert_array_equal(F.pad(pixels, padding, 9, mode), expected)


def test_crops():
    pixels = image((9, 12))
    np.testing.assert_array_equal(F.crop(pixels, 2, 3, 4, 5), pixels[2:6, 3:8])
    np.testing.assert_array_equal(F.crop(pixels, -1, 10, 3, 4)[1:, :2], pixels[:2, 10:])
    assert F.crop(pixels, -1, 10, 3, 4)[0].sum() == 0
    np.testing.assert_array_equal(F.center_crop(pixels, (4, 6)), pixels[2:6, 3:9])
    # The odd pixel is where torchvision has it: a half is rounded to even, the smaller part of padding first.
    np.testing.assert_array_equal(F.center_crop(pixels, (9, 9)), pixels[:, 2:11])
    larger = F.center_crop(pixels, (12, 12))
    np.testing.assert_array_equal(larger[1:10], pixels)
    seen = set()
    crop = transforms.RandomCrop(9, padding=1)
    padded = np.pad(pixels, 1)
    for _ in range(100):
        window = crop(pixels)
        places = [
            (y, x) for y in range(3) for x in range(6) if np.array_equal(window, padded[y : y + 9, x : x + 9])
        ]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) > 12
    with pytest.raises(ValueError, match=r"random_crop: the crop of \(10, 10\) is larger than the image"):
        transforms.RandomCrop(10)(pixels)
    assert transforms.RandomCrop((20, 30), pad_if_needed=True, padding_mode="symmetric")(pixels).shape == (
        20,
        30,
    )


def test_flips_keep_the_kind_of_the_image(pil):
    pixels = image((4, 5, 3))
    for flip, expected in ((F.hflip, pixels[:, ::-1]), (F.vflip, pixels[::-1])):
        np.testing.assert_array_equal(flip(pixels), expected)
        np.testing.assert_array_equal(np.asarray(flip(pil.fromarray(pixels))), expected)
        for dtype in (np.float32, np.float64, np.int64, np.uint8):
            planes = pixels.transpose(2, 0, 1).astype(dtype)
            result = flip(cnnx.tensor(planes))
            assert result.dtype == cnnx.tensor(planes).dtype
            np.testing.assert_array_equal(result.numpy(), expected.transpose(2, 0, 1))
        batch = cnnx.tensor(np.stack([planes, planes + 1]))
        np.testing.assert_array_equal(flip(batch).numpy()[1], expected.transpose(2, 0, 1).astype(dtype) + 1)
    assert F.hflip(cnnx.tensor([[1, 2]])).tolist() == [[2, 1]]
    with pytest.raises(TypeError, match="mode L, RGB, F, got RGBA"):
        F.hflip(pil.fromarray(pixels).convert("RGBA"))


def test_grayscale(pil):
    pixels = pil.fromarray(image((6, 7, 3)))
    np.testing.assert_array_equal(np.asarray(F.rgb_to_grayscale(pixels)), np.asarray(pixels.convert("L")))
    assert np.asarray(transforms.Grayscale(3)(pixels)).shape == (6, 7, 3)


def test_erasing():
    erase = transforms.RandomErasing(p=1.0, value=7.0)
    ones = cnnx.ones(2, 20, 20)
    shares = []
    for _ in range(50):
        result = erase(ones).numpy()
        np.testing.assert_array_equal(result[0], result[1])
        rows, columns = np.nonzero(result[0] == 7)
        assert (result[0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == 7).all()
        shares.append(len(rows) / 400)
    assert 0.01 < min(shares) < max(shares) < 0.36
    assert np.unique(transforms.RandomErasing(1.0, value="random")(ones).numpy()).size > 3
    assert transforms.RandomErasing(1.0, inplace=True)(ones) is ones
    with pytest.raises(TypeError, match="put ToTensor"):
        erase(image())


# Batches.


class Images(ImageDataset):
    classes = ("a", "b")

    def __init__(self, transform, count=37, shape=(9, 11), max_value=255):
        rng = np.random.default_rng(5)
        data = cnnx.tensor(rng.integers(0, max_value + 1, (count, *shape)).astype(np.uint8))
        super().__init__(data, cnnx.arange(count), transform, None)
        self.max_value = max_value


BILINEAR = transforms.InterpolationMode.BILINEAR
RANDOM = {
    "flip": [transforms.RandomHorizontalFlip(), transforms.RandomVerticalFlip(0.3)],
    "rotation": [transforms.RandomRotation(30)],
    "bilinear": [transforms.RandomRotation((0, 60), BILINEAR, fill=40)],
    "affine": [transforms.RandomAffine(20, (0.2, 0.1), (0.8, 1.2), (-5, 5, -3, 3))],
    "crop": [transforms.RandomCrop((7, 8), 2, padding_mode="reflect")],
    "apply": [transforms.RandomApply([transforms.RandomRotation(90)], 0.5)],
    "s7": [transforms.RandomHorizontalFlip(0.5), transforms.RandomRotation(10)],
}
FIXED = {
    "resize": [transforms.Resize((5, 6))],
    "pad and crop": [transforms.Pad((1, 2), 3), transforms.CenterCrop(8), transforms.Grayscale()],
    "rotation": [transforms.RandomRotation((33, 33), BILINEAR)],
    "flip": [transforms.RandomHorizontalFlip(1.0)],
}
NORMALIZE = transforms.Normalize((0.5,), (0.25,))


def chain(steps, where):
    """The steps before ToTensor, behind it, or behind Normalize."""
    parts = {"before": [], "behind": [], "last": []}
    parts[where] = steps
    return transforms.Compose(
        [*parts["before"], transforms.ToTensor(), *parts["behind"], NORMALIZE, *parts["last"]]
    )


def batches(dataset, size=64, **options):
    return np.concatenate([x.numpy() for x, _ in DataLoader(dataset, batch_size=size, **options)])


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("where", ["before", "behind", "last"])
@pytest.mark.parametrize("max_value", [255, 16])
@pytest.mark.parametrize("size", [1, 13, 64])
def test_batches_equal_single_samples(name, where, max_value, size):
    dataset = Images(chain(FIXED[name], where), max_value=max_value)
    native = native_batches(dataset)
    assert native is not None
    assert not native.random
    expected = np.stack([dataset[i][0].numpy() for i in range(len(dataset))])
    np.testing.assert_allclose(batches(dataset, size), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("where", ["before", "behind"])
def test_colour_batches_equal_single_samples(where):
    steps = [transforms.RandomRotation((20, 20)), transforms.RandomHorizontalFlip(1.0)]
    means = transforms.Normalize((0.1, 0.2, 0.3), (1, 2, 3))
    steps = [*steps, transforms.ToTensor()] if where == "before" else [transforms.ToTensor(), *steps]
    dataset = Images(transforms.Compose([*steps, means]), shape=(3, 9, 11))
    expected = np.stack([dataset[i][0].numpy() for i in range(len(dataset))])
    assert expected.shape == (37, 3, 9, 11)
    assert native_batches(dataset) is not None
    np.testing.assert_array_equal(batches(dataset, 16), expected)


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("where", ["before", "behind"])
def test_what_an_image_gets_depends_on_pass_and_index_alone(name, where):
    dataset = Images(chain(RANDOM[name], where))
    assert native_batches(dataset).random
    cnnx.manual_seed(1)
    whole = batches(dataset)
    again = batches(dataset)
    assert not np.array_equal(whole, again)
    for size in (1, 5, 16):
        for threads in (1, 2, 3):
            cnnx.set_num_threads(threads)
            cnnx.manual_seed(1)
            np.testing.assert_array_equal(batches(dataset, size), whole)
    cnnx.set_num_threads(2)
    order = cnnx.Generator().manual_seed(9)
    cnnx.manual_seed(1)
    mixed = [(x.numpy(), y.numpy()) for x, y in DataLoader(dataset, 7, shuffle=True, generator=order)]
    labels = np.concatenate([y for _, y in mixed])
    assert not np.array_equal(labels, np.arange(37))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in mixed]), whole[labels])


@pytest.mark.parametrize("name", RANDOM)
def test_every_image_gets_its_own_parameters(name):
    data = cnnx.tensor(np.tile(image((9, 11)), (64, 1, 1)))
    dataset = Images(chain(RANDOM[name], "before"))
    dataset.data, dataset.targets = data, cnnx.arange(64)
    results = {x.tobytes() for x in batches(dataset)}
    assert len(results) == 4 if name == "flip" else len(results) > 15


def test_batches_draw_as_single_images_do():
    """The bytes of a batch are those of functions called with the drawn parameters."""
    dataset = Images(
        transforms.Compose([transforms.RandomRotation((-80, 80)), transforms.ToTensor()]), 64, (15, 15)
    )
    flipped = Images(transforms.Compose([transforms.RandomHorizontalFlip(0.25), transforms.ToTensor()]), 4000)
    pictures = batches(dataset)
    for i in range(0, 64, 7):
        pixels = dataset.data[i].numpy()
        distances = [
            np.abs(F.rotate(pixels, angle) / np.float32(255) - pictures[i, 0]).mean()
            for angle in np.linspace(-80, 80, 1601)
        ]
        assert min(distances) < 0.02
    turned = (batches(flipped)[:, 0] != flipped.data.numpy() / np.float32(255)).any((1, 2))
    assert 0.22 < turned.mean() < 0.28


def test_samples_that_come_twice_differ():
    base = Images(chain([transforms.RandomRotation(30, BILINEAR)], "before"))
    for dataset in (Subset(base, [3] * 40), ConcatDataset([base, base])):
        assert native_batches(dataset).random
        assert len({x.tobytes() for x in batches(dataset)}) == len(dataset)
    sampler = RandomSampler(base, replacement=True, num_samples=200)
    assert len({x.tobytes() for x in batches(base, 64, sampler=sampler)}) > 190
    own = [[3, 3, 4], [3, 5]]
    assert len({x.tobytes() for x in batches(base, 1, batch_sampler=own)}) == 5


def test_concatenations_are_native():
    first, second = Images(chain(FIXED["flip"], "before")), Images(chain([], "before"), count=20)
    whole = ConcatDataset([first, second])
    assert native_batches(whole) is not None
    generator = cnnx.Generator().manual_seed(0)
    got = [(x.numpy(), y.numpy()) for x, y in DataLoader(whole, 16, shuffle=True, generator=generator)]
    order = cnnx.randperm(57, generator=cnnx.Generator().manual_seed(0)).tolist()
    np.testing.assert_array_equal(np.concatenate([y for _, y in got]), [whole[i][1] for i in order])
    np.testing.assert_array_equal(
        np.concatenate([x for x, _ in got]), np.stack([whole[i][0].numpy() for i in order])
    )
    assert native_batches(ConcatDataset([first, [1, 2]])) is None


def test_resuming_within_a_pass():
    dataset = Images(chain(RANDOM["s7"], "before"))
    cnnx.manual_seed(4)
    loader = DataLoader(dataset, 8, shuffle=True)
    whole = [[x.numpy() for x, _ in loader] for _ in range(2)]
    cnnx.manual_seed(4)
    loader = DataLoader(dataset, 8, shuffle=True)
    iterator = iter(loader)
    seen = [next(iterator)[0].numpy() for _ in range(2)]
    state, random = loader.state_dict(), cnnx.get_rng_state()
    cnnx.manual_seed(99)
    other = DataLoader(dataset, 8, shuffle=True)
    other.load_state_dict(state)
    cnnx.set_rng_state(random)
    seen += [x.numpy() for x, _ in other]
    for passed, expected in ((seen, whole[0]), ([x.numpy() for x, _ in other], whole[1])):
        assert len(passed) == len(expected)
        assert all(np.array_equal(a, b) for a, b in zip(passed, expected, strict=True))


def test_a_function_of_the_users_own_goes_image_by_image():
    steps = [*RANDOM["s7"], transforms.Lambda(lambda pixels: pixels), transforms.ToTensor()]
    dataset = Images(transforms.Compose(steps))
    assert native_batches(dataset) is None
    cnnx.manual_seed(2)
    first = batches(dataset)
    cnnx.manual_seed(2)
    np.testing.assert_array_equal(batches(dataset), first)

    class Own(transforms.RandomHorizontalFlip):
        def __call__(self, img):
            return img

    for step in (Own(), transforms.RandomRotation(5, expand=True), transforms.RandomErasing(value="random")):
        assert native_batches(Images(transforms.Compose([step, transforms.ToTensor()]))) is None


@pytest.mark.parametrize("target", ["reference", "v2", "v3", "v4"])
def test_every_target_gives_the_same_bits(target):
    if target not in cnnx._C.available_targets():
        pytest.skip(f"this CPU or build has no {target}")
    script = """
import hashlib, cnnx
from cnnx import datasets, transforms as t
from cnnx.utils.data import DataLoader
h = hashlib.sha256()
cnnx.manual_seed(0)
data = datasets.Digits(train=None)
data.max_value = 255
for step in (t.RandomRotation(30), t.RandomRotation(30, 2, fill=9), t.RandomAffine(9, (.1, .1), (.7, 2), 5)):
    steps = [t.RandomHorizontalFlip(), step, t.RandomCrop(8, 2), t.ToTensor(), t.Normalize(.5, .5)]
    data.transform = t.Compose(steps)
    for x, _ in DataLoader(data, 100):
        h.update(x.numpy().tobytes())
print(h.hexdigest())
"""
    digests = {
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True,
            env={**os.environ, "CNNX_TARGET": chosen},
        ).stdout
        for chosen in ("reference", target)
    }  # fmt: skip
    assert len(digests) == 1


def test_bad_parameters():
    t = transforms
    for make, message in (
        (lambda: t.RandomHorizontalFlip(1.5), "RandomHorizontalFlip: p must be"),
        (lambda: t.RandomRotation(-3), "RandomRotation: degrees as a single number"),
        (lambda: t.RandomRotation((1, 2, 3)), "RandomRotation: degrees must have 2 values"),
        (
            lambda: t.RandomRotation(3, interpolation="bicubic"),
            "RandomRotation: interpolation must be nearest or",
        ),
        (lambda: t.RandomAffine(0, translate=(0.1, 2)), "RandomAffine: translate must lie between"),
        (lambda: t.RandomAffine(0, scale=(0, 1)), "RandomAffine: scale must be positive"),
        (lambda: t.RandomAffine(0, shear=(1, 2, 3)), "RandomAffine: shear must have 2 or 4"),
        (lambda: t.Pad((1, 2, 3)), "Pad: padding must have 1, 2 or 4"),
        (lambda: t.Pad(1, padding_mode="wrap"), "Pad: padding_mode must be"),
        (lambda: t.RandomCrop((0, 3)), "RandomCrop: size must be positive"),
        (lambda: t.Grayscale(2), "Grayscale: num_output_channels"),
        (lambda: t.RandomErasing(value="noise"), "RandomErasing: value"),
        (lambda: F.rotate(image(), float("nan")), "rotate: a parameter is not a finite number"),
        (lambda: F.affine(image(), 0, (0, 0), 0.0, 0), "affine: scale must be positive"),
        (lambda: F.rotate(image(), 3, fill=(1, 2)), "rotate: fill has 2 values, the image has 1 channels"),
        (lambda: F.pad(image((3, 3)), 3, 0, "reflect"), "pad: reflect pads less than the extent 3"),
        (lambda: F.pad(image((3, 3)), -2), "pad: nothing is left of the image"),
        (lambda: F.hflip(np.zeros((0, 3), np.uint8)), "no pixels"),
        (
            lambda: F.hflip(np.zeros((1, 2, 3, 4), np.uint8)),
            "hflip|RandomHorizontalFlip: needs an array of shape",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    for make, message in (
        (lambda: t.RandomRotation("ten"), "RandomRotation: degrees must be a sequence"),
        (lambda: t.RandomRotation(3, interpolation=2.5), "RandomRotation: interpolation must be an"),
        (lambda: t.RandomRotation(3, fill="black"), "RandomRotation: fill must be a number"),
        (lambda: t.Resize("big"), "Resize: size must be an int"),
        (lambda: F.rotate(image(), "ten"), "rotate: angle must be a number"),
        (lambda: F.hflip([[1, 2]]), "needs a PIL image, a NumPy array or a tensor, got list"),
        (
            lambda: F.hflip(np.zeros((2, 2), np.int32)),
            "needs an array of uint8, float32 or float64, got int32",
        ),
    ):
        with pytest.raises(TypeError, match=message):
            make()
