"""Colours, blur, perspective and elastic maps, against Pillow, PyTorch, and torchvision where it is."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

import cnnx
from cnnx import transforms as T
from cnnx.transforms import InterpolationMode
from cnnx.transforms import functional as TF

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (13, 18, 3)).astype(np.uint8)
SMOOTH = np.add.outer(np.arange(24) * 7, np.arange(20) * 4)[..., None].repeat(3, 2).astype(np.uint8)
SMOOTH[..., 1] //= 2
SMOOTH[..., 2] = 255 - SMOOTH[..., 2]


def planes(array):
    """A picture's array as a tensor (C, H, W)."""
    return cnnx.tensor(np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1)))


def pixels(tensor):
    array = tensor.numpy(force=True)
    return array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0)


def enhanced(name):
    return lambda image, factor: getattr(pytest.importorskip("PIL.ImageEnhance"), name)(image).enhance(factor)


def operated(name):
    return lambda image, *rest: getattr(pytest.importorskip("PIL.ImageOps"), name)(image, *rest)


# Function, arguments, what Pillow calls it, and how far a tensor of bytes may be from a picture.
CASES = [
    *(("adjust_brightness", (f,), enhanced("Brightness"), 1) for f in (0, 0.4, 1, 1.8)),
    *(("adjust_contrast", (f,), enhanced("Contrast"), 1) for f in (0, 0.4, 1, 1.8)),
    *(("adjust_saturation", (f,), enhanced("Color"), 2) for f in (0, 0.4, 1, 1.8)),
    *(("adjust_sharpness", (f,), enhanced("Sharpness"), 1) for f in (0, 0.4, 1, 1.8)),
    ("invert", (), operated("invert"), 0),
    *(("posterize", (bits,), operated("posterize"), 0) for bits in (1, 3, 8)),
    *(("solarize", (limit,), operated("solarize"), 0) for limit in (1, 100, 255)),
    ("autocontrast", (), operated("autocontrast"), 1),
    ("equalize", (), operated("equalize"), 0),
]


@pytest.mark.parametrize(
    ("name", "arguments", "pillow", "far"), CASES, ids=lambda v: getattr(v, "__name__", str(v))
)
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    "content", [PICTURE, SMOOTH, PICTURE[:1, :1], PICTURE[:2, :5]], ids=["noise", "smooth", "one", "two"]
)
def test_as_pillow(name, arguments, pillow, far, mode, content):
    image = Image.fromarray(content).convert(mode)
    function, array = getattr(TF, name), np.asarray(image)
    expected = np.asarray(pillow(image, *arguments))
    result = function(image, *arguments)
    assert result.mode == mode
    np.testing.assert_array_equal(np.asarray(result), expected)
    np.testing.assert_array_equal(function(array, *arguments), expected)
    with_channel = function(array.reshape(*array.shape[:2], -1), *arguments)
    np.testing.assert_array_equal(with_channel.reshape(array.shape), expected)
    given = planes(array)
    before = given.clone()
    made = function(given, *arguments)
    assert made.dtype == cnnx.uint8
    assert (given == before).all()
    if min(content.shape[:2]) > 2 or name != "adjust_sharpness":  # of which tensors leave the border as it is
        assert np.abs(pixels(made).astype(int) - expected).max() <= far


@pytest.mark.parametrize(("name", "arguments"), [(case[0], case[1]) for case in CASES])
def test_batches_are_images_one_by_one(name, arguments):
    function = getattr(TF, name)
    batch = cnnx.tensor(RNG.integers(0, 256, (2, 3, 3, 6, 5)).astype(np.uint8))
    made = function(batch, *arguments)
    for i in range(2):
        for j in range(3):
            assert (made[i, j] == function(batch[i, j], *arguments)).all()


@pytest.mark.parametrize("shift", [-0.5, -0.21, 0.0, 0.13, 0.5])
def test_hue(shift):
    values = np.linspace(0, 1, 3 * 5 * 7, dtype=np.float64)
    values = np.random.default_rng(1).permutation(values).reshape(3, 5, 7)
    values[:, 0, 0] = 0.4
    values[:, 0, 1] = (0, 0, 0)
    expected = np.empty_like(values)
    for place in np.ndindex(5, 7):
        h, s, v = colorsys.rgb_to_hsv(*values[(slice(None), *place)])
        expected[(slice(None), *place)] = colorsys.hsv_to_rgb((h + shift) % 1.0, s, v)
    made = TF.adjust_hue(cnnx.tensor(values), shift)
    assert made.dtype == cnnx.float64
    np.testing.assert_allclose(made.numpy(force=True), expected, atol=2e-6)
    image = Image.fromarray(PICTURE)
    h, s, v = image.convert("HSV").split()
    turned = Image.fromarray(((np.asarray(h).astype(int) + int(shift * 255)) % 256).astype(np.uint8))
    expected = np.asarray(Image.merge("HSV", (turned, s, v)).convert("RGB"))
    np.testing.assert_array_equal(np.asarray(TF.adjust_hue(image, shift)), expected)
    for grey in (image.convert("L"), planes(PICTURE[..., 0])):
        assert np.array_equal(np.asarray(TF.adjust_hue(grey, shift)), np.asarray(grey))


@pytest.mark.parametrize(("gamma", "gain"), [(1, 1), (0.4, 1), (2.2, 1), (0, 1), (1.5, 2.5)])
def test_gamma(gamma, gain):
    values = np.random.default_rng(1).random((3, 4, 5))
    made = TF.adjust_gamma(cnnx.tensor(values), gamma, gain)
    np.testing.assert_allclose(made.numpy(force=True), np.clip(gain * values**gamma, 0, 1), rtol=1e-12)
    table = np.clip((255.999 * gain * (np.arange(256) / 255) ** gamma).astype(int), 0, 255)
    for mode in ("L", "RGB"):
        image = Image.fromarray(PICTURE).convert(mode)
        made = TF.adjust_gamma(image, gamma, gain)
        assert made.mode == mode
        np.testing.assert_array_equal(np.asarray(made), table[np.asarray(image)])
        of_tensor = pixels(TF.adjust_gamma(planes(np.asarray(image)), gamma, gain)).astype(int)
        assert np.abs(of_tensor - np.asarray(made)).max() <= 1


def test_floats_have_values_from_0_to_1():
    values = np.random.default_rng(1).random((2, 3, 6, 5))
    image = cnnx.tensor(values)
    grey = np.tensordot([0.2989, 0.587, 0.114], values.transpose(1, 0, 2, 3), 1)[:, None]
    expected = {
        "adjust_brightness": np.clip(1.7 * values, 0, 1),
        "adjust_contrast": np.clip(1.7 * values - 0.7 * grey.mean((1, 2, 3), keepdims=True), 0, 1),
        "adjust_saturation": np.clip(1.7 * values - 0.7 * grey, 0, 1),
    }
    for name, wanted in expected.items():
        np.testing.assert_allclose(getattr(TF, name)(image, 1.7).numpy(force=True), wanted, atol=1e-7)
    np.testing.assert_allclose(TF.invert(image).numpy(force=True), 1 - values)
    np.testing.assert_array_equal(
        TF.solarize(image, 0.5).numpy(force=True), np.where(values >= 0.5, 1 - values, values)
    )
    low, high = values.min((-2, -1), keepdims=True), values.max((-2, -1), keepdims=True)
    np.testing.assert_allclose(
        TF.autocontrast(image).numpy(force=True), (values - low) / (high - low), atol=1e-12
    )
    assert (TF.autocontrast(cnnx.full((1, 2, 2), 0.3)) == 0.3).all()
    assert TF.invert(cnnx.tensor([[[True, False]]])).tolist() == [[[False, True]]]
    for channels in (1, 3):
        assert TF.rgb_to_grayscale(image, channels).shape == (2, channels, 6, 5)
        np.testing.assert_allclose(
            TF.rgb_to_grayscale(image, channels).numpy(force=True), grey.repeat(channels, 1), atol=1e-7
        )


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "sharpness", "gamma", "hue"])
def test_gradients(name):
    base = cnnx.tensor([0.2, 0.5, 0.8], dtype=cnnx.float64).reshape(
        3, 1, 1
    )  # far from where colours change order
    image = (cnnx.rand(3, 4, 5, dtype=cnnx.float64) * 0.05 + base).requires_grad_()
    assert cnnx.autograd.gradcheck(
        lambda x: getattr(TF, f"adjust_{name}")(x, 0.2).double(), [image], eps=1e-3, atol=1e-2
    )


BLURS = [(3, None), ([5, 3], None), ((7, 5), (0.4, 2.5)), (1, 1.0), (5, [1.5])]


@pytest.mark.parametrize(("size", "sigma"), BLURS)
@pytest.mark.parametrize("shape", [(3, 11, 9), (9, 12), (2, 2, 1, 7, 8)])
def test_blur(size, sigma, shape):
    ndimage = pytest.importorskip("scipy.ndimage")
    values = np.random.default_rng(2).random(shape)
    sizes = [size, size] if isinstance(size, int) else list(size)
    sigmas = [0.15 * s + 0.35 for s in sizes] if sigma is None else list(np.broadcast_to(sigma, 2))
    expected = values
    for axis, s, deviation in zip((-1, -2), sizes, sigmas, strict=True):
        weights = np.exp(-0.5 * (np.arange(-(s // 2), s // 2 + 1) / deviation) ** 2)
        expected = ndimage.correlate1d(expected, weights / weights.sum(), axis, mode="mirror")
    made = TF.gaussian_blur(cnnx.tensor(values), size, sigma)
    np.testing.assert_allclose(made.numpy(force=True), expected, atol=1e-12)
    made = TF.gaussian_blur(cnnx.tensor((values * 255).astype(np.uint8)), size, sigma)
    assert made.dtype == cnnx.uint8


def test_blur_of_pictures_and_arrays():
    for mode in ("L", "RGB", "RGBA"):
        image = Image.fromarray(PICTURE).convert(mode)
        made = TF.gaussian_blur(image, (5, 3), (1.0, 2.0))
        assert made.mode == mode
        expected = TF.gaussian_blur(planes(np.asarray(image)), (5, 3), (1.0, 2.0))
        np.testing.assert_array_equal(np.asarray(made), pixels(expected))
        np.testing.assert_array_equal(
            TF.gaussian_blur(np.asarray(image), (5, 3), (1.0, 2.0)), np.asarray(made)
        )


CORNERS = [[0, 0], [17, 0], [17, 12], [0, 12]]
MOVED = [[2, 3], [15, 1], [16, 11], [1, 9]]
MODES = {"nearest": InterpolationMode.NEAREST, "bilinear": InterpolationMode.BILINEAR}


def grid_sampled(torch, values, places, mode, fill):
    """What PyTorch's grid_sample makes of (C, H, W); with a fill once more by the share that is inside."""
    image = torch.tensor(values)[None]
    mask = torch.ones_like(image[:, :1])
    sample = torch.nn.functional.grid_sample
    made, inside = (
        sample(x, torch.tensor(places)[None].to(x.dtype), mode=mode, align_corners=False)
        for x in (image, mask)
    )
    return (made if fill is None else made * inside + (1 - inside) * fill)[0].numpy()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fill", [None, 0.25])
def test_elastic_as_grid_sample(mode, fill):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    values = rng.random((3, 8, 11))
    by = rng.normal(0, 0.3, (1, 8, 11, 2))
    x, y = (np.linspace((1 - n) / n, (n - 1) / n, n) for n in (11, 8))
    places = np.stack(np.broadcast_arrays(x, y[:, None]), -1) + by[0]
    made = TF.elastic_transform(cnnx.tensor(values), cnnx.tensor(by), MODES[mode], fill)
    expected = grid_sampled(torch, values, places, mode, fill)
    np.testing.assert_allclose(made.numpy(force=True), expected, atol=1e-5)
    batch = cnnx.tensor(np.stack([values, values[::-1]]))
    both = TF.elastic_transform(batch, cnnx.tensor(by), MODES[mode], fill)
    assert (both[0] == made).all()
    assert (both[1] == made.flip(0)).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fill", [None, 0.25])
def test_perspective_as_grid_sample(mode, fill):
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(3).random((3, 13, 18))
    rows = []
    for (x, y), (u, v) in zip(MOVED, CORNERS, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    a = np.linalg.solve(np.array(rows, float), np.array(CORNERS, float).reshape(8))
    x, y = np.arange(18) + 0.5, np.arange(13)[:, None] + 0.5
    depth = a[6] * x + a[7] * y + 1
    places = np.stack(
        [(a[0] * x + a[1] * y + a[2]) / depth / 9 - 1, (a[3] * x + a[4] * y + a[5]) / depth / 6.5 - 1], -1
    )
    made = TF.perspective(cnnx.tensor(values), CORNERS, MOVED, MODES[mode], fill).numpy(force=True)
    expected = grid_sampled(torch, values, places, mode, fill)
    if mode == "nearest":  # at the edge of two pixels either will do
        assert (made != expected).mean() < 0.02
    else:
        np.testing.assert_allclose(made, expected, atol=1e-5)


@pytest.mark.parametrize("mode", ["NEAREST", "BILINEAR", "BICUBIC"])
@pytest.mark.parametrize("kind", ["L", "RGB"])
def test_perspective_of_pictures(mode, kind):
    image = Image.fromarray(PICTURE).convert(kind)
    identity = TF.perspective(image, CORNERS, CORNERS, InterpolationMode[mode])
    assert np.abs(np.asarray(identity).astype(int) - np.asarray(image)).max() <= 1  # Pillow rounds down
    made = TF.perspective(
        image, CORNERS, MOVED, InterpolationMode[mode], fill=[9, 8, 7] if kind == "RGB" else 9
    )
    assert made.mode == kind
    assert np.asarray(made)[0, 0].tolist() == ([9, 8, 7] if kind == "RGB" else 9)
    array = TF.perspective(np.asarray(image), CORNERS, MOVED, getattr(Image.Resampling, mode), 9)
    same = TF.perspective(image, CORNERS, MOVED, InterpolationMode[mode], 9)
    np.testing.assert_array_equal(array, np.asarray(same))
    if mode == "NEAREST":
        of_tensor = TF.perspective(planes(np.asarray(image)), CORNERS, MOVED, InterpolationMode.NEAREST, 9)
        assert (pixels(of_tensor) != array).mean() < 0.02


@pytest.mark.big
def test_gradients_of_what_reads_between_pixels():
    image = cnnx.rand(2, 2, 5, 6, dtype=cnnx.float64, requires_grad=True)
    by = cnnx.rand(1, 5, 6, 2, dtype=cnnx.float64) * 0.3
    corners, moved = [[0, 0], [5, 0], [5, 4], [0, 4]], [[1, 0], [5, 1], [4, 4], [0, 3]]
    for change in (
        lambda x: TF.gaussian_blur(x, 3, 0.8),
        lambda x: TF.elastic_transform(x, by, fill=0.5),
        lambda x: TF.perspective(x, corners, moved, fill=[0.5, 0.1]),
        lambda x: TF.perspective(x, corners, moved, InterpolationMode.NEAREST),
    ):
        assert cnnx.autograd.gradcheck(change, [image])


def test_identity_and_shift_of_tensors():
    image = cnnx.tensor(PICTURE).permute(2, 0, 1)
    for mode in MODES.values():
        assert (TF.perspective(image, CORNERS, CORNERS, mode) == image).all()
    shifted = TF.perspective(
        image, CORNERS, [[x + 2, y + 1] for x, y in CORNERS], InterpolationMode.NEAREST, 5
    )
    assert (shifted[:, 1:, 2:] == image[:, :-1, :-2]).all()
    assert (shifted[:, 0] == 5).all()
    assert (TF.elastic_transform(image, cnnx.zeros(1, 13, 18, 2)) == image).all()


DTYPES = "uint8 float32, float32 uint8, uint8 int32, int32 uint8, int64 int32, float64 int32, float32 float64"


@pytest.mark.parametrize("pair", [*DTYPES.split(", "), "uint8 uint8", "int32 float64"])
def test_dtypes_of_images(pair):
    pair = pair.split()
    largest = {"uint8": 255, "int32": 2**31 - 1, "int64": 2**63 - 1}
    have, want = (largest.get(name, 1) for name in pair)
    ends = cnnx.tensor(np.array([0, have], pair[0]))
    made = TF.convert_image_dtype(ends, getattr(cnnx, pair[1]))
    assert str(made.dtype).endswith(pair[1])
    bottom, top = made.tolist()
    assert bottom == 0
    assert top == pytest.approx(want, rel=0.01)
    assert (T.ConvertImageDtype(getattr(cnnx, pair[1]))(ends) == made).all()


def test_white_is_white():
    back = TF.convert_image_dtype(TF.convert_image_dtype(cnnx.arange(256).to(cnnx.uint8)), cnnx.uint8)
    assert back.tolist() == list(range(256))
    for dtype, want in ((cnnx.float32, cnnx.int32), (cnnx.float64, cnnx.int64)):
        with pytest.raises(RuntimeError, match=r"convert_image_dtype: .*too few digits"):
            TF.convert_image_dtype(cnnx.ones(2, dtype=dtype), want)
    assert TF.get_image_num_channels(Image.fromarray(PICTURE)) == 3


def test_a_linear_transformation():
    torch = pytest.importorskip("torch")
    matrix, mean, images = (np.random.default_rng(4).random(shape) for shape in ((12, 12), 12, (5, 3, 2, 2)))
    made = T.LinearTransformation(cnnx.tensor(matrix), cnnx.tensor(mean))(cnnx.tensor(images))
    expected = (torch.tensor(images).reshape(5, 12) - torch.tensor(mean)) @ torch.tensor(matrix)
    np.testing.assert_allclose(made.numpy(force=True).reshape(5, 12), expected.numpy(), rtol=1e-12)


def test_jitter_draws_within_its_ranges_and_in_any_order():
    cnnx.manual_seed(0)
    jitter = T.ColorJitter(0.4, (0.5, 0.8), 2, hue=0.1)
    assert (jitter.brightness, jitter.contrast, jitter.saturation) == ((0.6, 1.4), (0.5, 0.8), (0.0, 3.0))
    drawn = [
        jitter.get_params(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
        for _ in range(400)
    ]
    assert len({tuple(order.tolist()) for order, *_ in drawn}) == 24
    for at, (low, high) in enumerate((jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue), 1):
        values = [parameters[at] for parameters in drawn]
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < max(values) <= high
    assert T.ColorJitter().get_params(None, None, None, None)[1:] == (None,) * 4
    image = planes(PICTURE)
    assert (T.ColorJitter()(image) == image).all()
    cnnx.manual_seed(3)
    order, b, c, s, h = jitter.get_params(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    expected = image
    for i in order.tolist():
        name = ("brightness", "contrast", "saturation", "hue")[i]
        expected = getattr(TF, f"adjust_{name}")(expected, (b, c, s, h)[i])
    cnnx.manual_seed(3)
    assert (jitter(image) == expected).all()


CHANCES = [
    (T.RandomInvert, (), "invert"),
    (T.RandomPosterize, (2,), "posterize"),
    (T.RandomSolarize, (90,), "solarize"),
    (T.RandomAdjustSharpness, (2.5,), "adjust_sharpness"),
    (T.RandomAutocontrast, (), "autocontrast"),
    (T.RandomEqualize, (), "equalize"),
]


@pytest.mark.parametrize(("kind", "arguments", "name"), CHANCES)
def test_now_and_then(kind, arguments, name):
    cnnx.manual_seed(0)
    content = np.tile(PICTURE // 2 + 20, (3, 2, 1))  # of few pixels equalize makes nothing
    image = planes(content)
    changed = getattr(TF, name)(image, *arguments)
    assert (changed != image).any()
    assert (kind(*arguments, p=1.0)(image) == changed).all()
    assert (kind(*arguments, p=0.0)(image) == image).all()
    transform = kind(*arguments, p=0.3)
    done = sum(bool((transform(image) == changed).all()) for _ in range(300))
    assert done / 300 == pytest.approx(0.3, abs=0.1)
    picture = Image.fromarray(content)
    assert np.array_equal(
        np.asarray(kind(*arguments, p=1)(picture)), np.asarray(getattr(TF, name)(picture, *arguments))
    )


def test_perspective_by_chance():
    cnnx.manual_seed(0)
    ends = [T.RandomPerspective.get_params(18, 13, 0.5)[1] for _ in range(300)]
    assert T.RandomPerspective.get_params(18, 13, 0.5)[0] == CORNERS
    for at, (x, y) in enumerate(CORNERS):
        assert {abs(end[at][0] - x) for end in ends} == set(range(5))
        assert {abs(end[at][1] - y) for end in ends} == set(range(4))
    for image in (planes(PICTURE), Image.fromarray(PICTURE), PICTURE):
        cnnx.manual_seed(1)
        made = T.RandomPerspective(0.8, p=1, fill=3)(image)
        cnnx.manual_seed(1)
        cnnx.rand(1)
        expected = TF.perspective(image, *T.RandomPerspective.get_params(18, 13, 0.8), fill=3)
        assert np.array_equal(np.asarray(made), np.asarray(expected))


def test_blur_and_elastic_by_chance():
    cnnx.manual_seed(0)
    blur = T.GaussianBlur((5, 3), (0.5, 1.5))
    drawn = [blur.get_params(*blur.sigma) for _ in range(200)]
    assert 0.5 <= min(drawn) < 0.6 < 1.4 < max(drawn) <= 1.5
    assert T.GaussianBlur(3, 2).sigma == (2.0, 2.0)
    image = cnnx.rand(3, 30, 34)
    assert (T.GaussianBlur((5, 3), 1.0)(image) == TF.gaussian_blur(image, (5, 3), 1.0)).all()
    elastic = T.ElasticTransform(alpha=40.0, sigma=(2.0, 3.0))
    field = elastic.get_params(elastic.alpha, elastic.sigma, [30, 34])
    assert field.shape == (1, 30, 34, 2)
    assert 0.001 < field.abs().mean().item() < 0.5
    steps = (field[0, :, 1:] - field[0, :, :-1]).abs().mean() / field.abs().mean()
    assert steps.item() < 0.5  # smooth from pixel to pixel
    for sample in (image, Image.fromarray(PICTURE).resize((34, 30))):
        cnnx.manual_seed(2)
        made = elastic(sample)
        cnnx.manual_seed(2)
        expected = TF.elastic_transform(
            sample, elastic.get_params(elastic.alpha, elastic.sigma, [30, 34]), fill=0
        )
        assert np.array_equal(np.asarray(made), np.asarray(expected))
    assert T.ElasticTransform(sigma=0.0)(cnnx.rand(1, 5, 5)).shape == (1, 5, 5)


def test_own_methods_are_called():
    class Fixed(T.ColorJitter):
        @staticmethod
        def get_params(*ranges):
            return cnnx.tensor([1, 0, 2, 3]), 0.5, None, None, None

    class Never(T.RandomGrayscale):
        def forward(self, img):
            return "mine"

    image = planes(PICTURE)
    assert (Fixed(0.1)(image) == TF.adjust_brightness(image, 0.5)).all()
    assert Never(1.0)(image) == "mine"


def test_in_a_loader():
    from cnnx.datasets import FakeData
    from cnnx.utils.data import DataLoader

    steps = T.Compose(
        [T.ColorJitter(0.2, 0.2, 0.2, 0.1), T.RandomEqualize(), T.GaussianBlur(3), T.ToTensor()]
    )
    images, _ = next(iter(DataLoader(FakeData(6, (3, 8, 8), transform=steps), 6)))
    assert images.shape == (6, 3, 8, 8)


GREY, COLOUR = cnnx.zeros(1, 4, 4), cnnx.zeros(3, 4, 4)
BAD = [
    (
        lambda: TF.adjust_brightness(COLOUR, -1),
        ValueError,
        "adjust_brightness: brightness_factor must be at least 0",
    ),
    (
        lambda: TF.adjust_contrast(COLOUR, "x"),
        TypeError,
        "adjust_contrast: contrast_factor must be float, got str",
    ),
    (lambda: TF.adjust_saturation(COLOUR, float("nan")), ValueError, "saturation_factor must be"),
    (lambda: TF.adjust_hue(COLOUR, 0.6), ValueError, "adjust_hue: hue_factor must be between -0.5 and 0.5"),
    (lambda: TF.adjust_gamma(COLOUR, -1), ValueError, "adjust_gamma: gamma"),
    (lambda: TF.adjust_sharpness(cnnx.zeros(2, 4, 4), 1), TypeError, "1 or 3 channels"),
    (lambda: TF.adjust_brightness(cnnx.zeros(4), 1), TypeError, "adjust_brightness: needs a tensor of shape"),
    (lambda: TF.invert(cnnx.zeros(4, 4)), TypeError, "invert: needs a tensor of 3 dimensions"),
    (lambda: TF.invert("x"), TypeError, "invert: needs a PIL image, a NumPy array or a tensor"),
    (lambda: TF.invert(np.zeros((4, 4))), TypeError, "invert: needs an array of uint8"),
    (lambda: TF.invert(Image.new("F", (2, 2))), TypeError, "invert: cannot be done to a picture of mode F"),
    (lambda: TF.posterize(Image.new("F", (2, 2)), 3), TypeError, "posterize: cannot be done to .* F"),
    (lambda: TF.posterize(COLOUR, 3), TypeError, "posterize: needs a tensor of uint8"),
    (lambda: TF.posterize(COLOUR, 9), ValueError, "bits must be between 0 and 8"),
    (lambda: TF.equalize(COLOUR), TypeError, "equalize: needs a tensor of uint8"),
    (lambda: TF.solarize(COLOUR, 2), TypeError, "solarize: threshold 2 is beyond"),
    (lambda: TF.gaussian_blur(COLOUR, 2), ValueError, "gaussian_blur: kernel_size must be one or two odd"),
    (lambda: TF.gaussian_blur(COLOUR, 9), ValueError, "is too large for an image of"),
    (lambda: TF.gaussian_blur(COLOUR, 3, 0), ValueError, "sigma must be positive"),
    (lambda: TF.perspective(COLOUR, CORNERS[:3], MOVED), ValueError, "startpoints must be four points"),
    (
        lambda: TF.perspective(COLOUR, CORNERS, MOVED, 3),
        ValueError,
        "interpolation must be nearest or bilinear",
    ),
    (lambda: TF.perspective(COLOUR, CORNERS, MOVED, fill=[1, 2]), ValueError, "fill has 2 values"),
    (
        lambda: TF.perspective(Image.new("RGB", (4, 4)), CORNERS, MOVED, fill=[1, 2]),
        ValueError,
        "fill has 2 values",
    ),
    (
        lambda: TF.elastic_transform(COLOUR, cnnx.zeros(1, 4, 5, 2)),
        ValueError,
        "displacement must have shape",
    ),
    (lambda: TF.elastic_transform(COLOUR, "x"), TypeError, "displacement must be Tensor"),
    (lambda: TF.rgb_to_grayscale(cnnx.zeros(2, 2, 4, 4)), ValueError, "1 or 3 channels"),
    (lambda: TF.convert_image_dtype(COLOUR, "x"), TypeError, "dtype must be a dtype"),
    (lambda: T.ColorJitter(-1), ValueError, "ColorJitter: brightness must be at least 0"),
    (lambda: T.ColorJitter(hue=0.6), ValueError, "ColorJitter: hue must be a range"),
    (lambda: T.ColorJitter(contrast=(0.5, 0.2)), ValueError, "contrast must be a range"),
    (lambda: T.ColorJitter(saturation="x"), TypeError, "saturation must be a sequence"),
    (lambda: T.RandomPosterize(9), ValueError, "RandomPosterize: bits"),
    (lambda: T.RandomInvert(1.5), ValueError, "RandomInvert: p"),
    (lambda: T.RandomPerspective(1.5), ValueError, "distortion_scale must be between 0 and 1"),
    (lambda: T.GaussianBlur(4), ValueError, "GaussianBlur: kernel_size"),
    (lambda: T.GaussianBlur(3, (2, 1)), ValueError, "GaussianBlur: sigma"),
    (lambda: T.ElasticTransform(sigma=-1), ValueError, "sigma must not be negative"),
    (lambda: T.LinearTransformation(cnnx.zeros(3, 2), cnnx.zeros(3)), ValueError, "needs a matrix"),
    (lambda: T.LinearTransformation(cnnx.eye(4), cnnx.zeros(4))(COLOUR), ValueError, "images of 4 values"),
]


@pytest.mark.parametrize("at", range(len(BAD)))
def test_bad_input(at):
    call, error, message = BAD[at]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_how_they_print():
    shown = (T.RandomInvert(), T.RandomPosterize(2), T.RandomSolarize(9, 0.1), T.GaussianBlur(3),
             T.RandomPerspective(), T.ColorJitter(hue=0.25), T.ConvertImageDtype(cnnx.float32))  # fmt: skip
    assert [repr(transform) for transform in shown] == [
        "RandomInvert(p=0.5)",
        "RandomPosterize(bits=2,p=0.5)",
        "RandomSolarize(threshold=9,p=0.1)",
        "GaussianBlur(kernel_size=(3, 3), sigma=(0.1, 2.0))",
        "RandomPerspective(p=0.5)",
        "ColorJitter(brightness=None, contrast=None, saturation=None, hue=(-0.25, 0.25))",
        "ConvertImageDtype(dtype=cnnx.float32)",
    ]


TORCHVISION = [
    *((name, arguments, {}) for name, arguments, *_ in CASES),
    *(("adjust_hue", (f,), {}) for f in (-0.5, -0.1, 0.3)),
    *(("adjust_gamma", (f,), {}) for f in (0.3, 2)),
    ("gaussian_blur", ([3, 5], [1.0, 0.7]), {}),
    ("perspective", (CORNERS, MOVED), {"fill": [3.0]}),
    ("rgb_to_grayscale", (3,), {}),
]


@pytest.mark.parametrize(("name", "arguments", "named"), TORCHVISION)
@pytest.mark.parametrize("kind", ["uint8", "float32", "batch", "picture"])
def test_as_torchvision(name, arguments, named, kind):
    torch = pytest.importorskip("torch")
    theirs = getattr(pytest.importorskip("torchvision.transforms.functional", exc_type=ImportError), name)
    ours = getattr(TF, name)
    if kind == "picture":
        image = Image.fromarray(PICTURE)
        np.testing.assert_array_equal(
            np.asarray(ours(image, *arguments, **named)), np.asarray(theirs(image, *arguments, **named))
        )
        return
    values = np.ascontiguousarray(PICTURE.transpose(2, 0, 1))
    if kind == "batch":
        values = np.stack([values, values[::-1]])
    elif kind == "float32":
        if name in ("posterize", "equalize") or (name == "solarize" and arguments[0] > 1):
            pytest.skip("of bytes alone")
        values = values.astype(np.float32) / 255
    expected = theirs(torch.tensor(values), *arguments, **named).numpy()
    made = ours(cnnx.tensor(values), *arguments, **named).numpy(force=True)
    assert made.dtype == expected.dtype
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-6 if kind == "float32" else 1)
    assert (made != expected).mean() < 0.01 or kind == "float32"
