"""Transforms that choose, windows of any size, and pictures of tensors."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import transforms as T
from cnnx.transforms import functional as TF

PIL = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (9, 12, 3)).astype(np.uint8)


def add(n):
    return lambda x: [*x, n]


def test_one_of_several():
    cnnx.manual_seed(0)
    drawn = [T.RandomChoice([add(0), add(1), add(2)], p=[1, 0, 3])([])[0] for _ in range(4000)]
    assert set(drawn) == {0, 2}
    assert drawn.count(2) / 4000 == pytest.approx(0.75, abs=0.03)
    drawn = [T.RandomChoice([add(0), add(1)])([])[0] for _ in range(2000)]
    assert drawn.count(1) / 2000 == pytest.approx(0.5, abs=0.05)


def test_all_in_any_order():
    cnnx.manual_seed(0)
    orders = {tuple(T.RandomOrder([add(0), add(1), add(2)])([])) for _ in range(200)}
    assert len(orders) == 6
    assert T.RandomOrder([])([5]) == [5]


def test_grey_now_and_then():
    cnnx.manual_seed(0)
    colour = PIL.fromarray(PICTURE)
    results = [np.asarray(T.RandomGrayscale(0.3)(colour)) for _ in range(600)]
    grey = [bool((r[..., 0] == r[..., 1]).all() and (r[..., 1] == r[..., 2]).all()) for r in results]
    assert sum(grey) / 600 == pytest.approx(0.3, abs=0.08)
    assert (results[grey.index(True)][..., 0] == np.asarray(colour.convert("L"))).all()
    assert T.RandomGrayscale(1.0)(colour).mode == "RGB"


def test_five_and_ten():
    image = cnnx.tensor(PICTURE).permute(2, 0, 1)
    five, ten = T.FiveCrop(4)(image), T.TenCrop((4, 5), vertical_flip=True)(image)
    assert [part.shape for part in five] == [(3, 4, 4)] * 5
    assert (five[1] == image[:, :4, -4:]).all()
    assert len(ten) == 10
    assert (ten[5] == image.flip(1)[:, :4, :5]).all()


@pytest.mark.parametrize("kind", ["tensor", "picture"])
def test_windows_of_any_size(kind):
    cnnx.manual_seed(0)
    image = cnnx.rand(3, 40, 60) if kind == "tensor" else PIL.fromarray(PICTURE).resize((60, 40))
    crop = T.RandomResizedCrop((8, 10), scale=(0.2, 0.5), ratio=(0.5, 2.0))
    shares, proportions = [], []
    for _ in range(300):
        top, left, height, width = crop.get_params(image, crop.scale, crop.ratio)
        assert 0 <= top <= 40 - height
        assert 0 <= left <= 60 - width
        shares.append(height * width / 2400)
        proportions.append(width / height)
    assert 0.19 < min(shares) < 0.25 < 0.45 < max(shares) < 0.52
    assert 0.45 < min(proportions) < 0.7 < 1.5 < max(proportions) < 2.1
    result = crop(image)
    assert (result.shape if kind == "tensor" else (3, *result.size[::-1])) == (3, 8, 10)
    cnnx.manual_seed(7)
    window = T.RandomResizedCrop.get_params(image, (0.2, 0.5), (0.5, 2.0))
    cnnx.manual_seed(7)
    same = TF.resized_crop(image, *window, (8, 10))
    assert np.array_equal(np.asarray(crop(image)), np.asarray(same))


def test_windows_that_never_fit_take_the_middle():
    assert T.RandomResizedCrop.get_params(cnnx.zeros(1, 10, 100), (1.0, 1.0), (1.0, 2.0)) == (0, 40, 10, 20)
    assert T.RandomResizedCrop.get_params(cnnx.zeros(1, 100, 10), (1.0, 1.0), (1.0, 2.0)) == (45, 0, 10, 10)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "HSV", "YCbCr", "CMYK"])
def test_pictures_of_arrays_and_tensors(mode):
    bands = len(PIL.new(mode, (1, 1)).getbands())
    array = RNG.integers(0, 256, (5, 6, bands)).astype(np.uint8)
    for given in (array, cnnx.tensor(array).permute(2, 0, 1)):
        made = T.ToPILImage(mode)(given)
        assert made.mode == mode
        assert np.array_equal(np.asarray(made).reshape(array.shape), array)


def test_pictures_of_floats():
    values = cnnx.tensor([[[0.0, 0.5, 1.0]]])
    assert np.asarray(T.ToPILImage()(values)).tolist() == [[0, 127, 255]]
    assert np.asarray(T.ToPILImage("F")(values)).tolist() == [[0.0, 0.5, 1.0]]
    assert T.ToPILImage()(values[0]).size == (3, 1)
    assert T.ToPILImage()(np.ones((2, 3), np.int32)).mode == "I"
    back = T.ToTensor()(T.ToPILImage()(T.ToTensor()(PICTURE)))
    assert (back == T.ToTensor()(PICTURE)).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: T.RandomChoice([]), ValueError, "needs a transform"),
        (lambda: T.RandomChoice([add(1)], p=[0.0]), ValueError, "not all 0"),
        (lambda: T.RandomChoice([add(1)], p=[1, 2]), ValueError, "must have 1 values"),
        (lambda: T.RandomGrayscale(2), ValueError, "between 0 and 1"),
        (lambda: T.FiveCrop(0), ValueError, "must be positive"),
        (lambda: T.RandomResizedCrop(4, scale=(0.5, 0.2)), ValueError, "scale must be a range"),
        (lambda: T.RandomResizedCrop(4, ratio=(0, 1)), ValueError, "ratio must be a range"),
        (lambda: T.RandomResizedCrop(4, interpolation=17), (ValueError, TypeError), "interpolation"),
        (lambda: T.ToPILImage()("x"), TypeError, "takes a tensor or an array"),
        (lambda: T.ToPILImage()(cnnx.ones(3)), ValueError, "takes tensors"),
        (lambda: T.ToPILImage()(np.ones((2, 2, 7))), ValueError, "1 to 4 channels"),
        (lambda: T.ToPILImage()(np.ones((2, 2, 3))), TypeError, "are of uint8"),
        (lambda: T.ToPILImage()(np.ones((2, 2))), TypeError, "no picture of float64"),
        (lambda: T.ToPILImage("L")(np.ones((2, 2, 3), np.uint8)), ValueError, "mode L is not for"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_how_they_print():
    assert repr(T.RandomResizedCrop(8)) == (
        "RandomResizedCrop(size=(8, 8), scale=(0.08, 1.0), ratio=(0.75, 1.3333), interpolation=bilinear, "
        "antialias=True)"
    )
    assert repr(T.RandomChoice([T.ToTensor()])) == "RandomChoice(\n    ToTensor()\n)(p=None)"
    assert [repr(t) for t in (T.RandomGrayscale(), T.FiveCrop(2), T.TenCrop(2), T.ToPILImage("L"))] == [
        "RandomGrayscale(p=0.1)",
        "FiveCrop(size=(2, 2))",
        "TenCrop(size=(2, 2), vertical_flip=False)",
        "ToPILImage(mode=L)",
    ]
