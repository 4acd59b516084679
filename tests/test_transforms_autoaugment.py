"""AutoAugment, RandAugment and TrivialAugment: what they draw, and what becomes of an image."""

from __future__ import annotations

import math

import numpy as np
import pytest

import cnnx
from cnnx import transforms as T
from cnnx.transforms import functional as TF
from cnnx.transforms.autoaugment import CHANGES, AutoAugmentPolicy

Image = pytest.importorskip("PIL.Image")
PICTURE = np.random.default_rng(0).integers(0, 256, (37, 32, 3)).astype(np.uint8)
TENSOR = cnnx.tensor(np.ascontiguousarray(PICTURE.transpose(2, 0, 1)))
KINDS = {"tensor": TENSOR, "picture": Image.fromarray(PICTURE), "array": PICTURE}
MEANING = {
    "Identity": lambda x, m: x,
    "ShearX": lambda x, m: TF.affine(x, 0, [0, 0], 1, [math.degrees(math.atan(m)), 0], fill=5, center=[0, 0]),
    "ShearY": lambda x, m: TF.affine(x, 0, [0, 0], 1, [0, math.degrees(math.atan(m))], fill=5, center=[0, 0]),
    "TranslateX": lambda x, m: TF.affine(x, 0, [int(m), 0], 1, 0, fill=5),
    "TranslateY": lambda x, m: TF.affine(x, 0, [0, int(m)], 1, 0, fill=5),
    "Rotate": lambda x, m: TF.rotate(x, m, fill=5),
    "Brightness": lambda x, m: TF.adjust_brightness(x, 1 + m),
    "Color": lambda x, m: TF.adjust_saturation(x, 1 + m),
    "Contrast": lambda x, m: TF.adjust_contrast(x, 1 + m),
    "Sharpness": lambda x, m: TF.adjust_sharpness(x, 1 + m),
    "Posterize": lambda x, m: TF.posterize(x, int(m)),
    "Solarize": lambda x, m: TF.solarize(x, m),
    "AutoContrast": lambda x, m: TF.autocontrast(x),
    "Equalize": lambda x, m: TF.equalize(x),
    "Invert": lambda x, m: TF.invert(x),
}


def test_the_published_chains():
    for policy in AutoAugmentPolicy:
        chains = T.AutoAugment(policy).policies
        assert len(chains) == 25
        for chain in chains:
            for name, p, which in chain:
                assert name in CHANGES
                assert 0 <= p <= 1
                assert which is None or 0 <= which < 10
    assert T.AutoAugment().policies[0] == (("Posterize", 0.4, 8), ("Rotate", 0.6, 9))
    assert T.AutoAugment(AutoAugmentPolicy.CIFAR10).policies[3] == (
        ("ShearY", 0.5, 8),
        ("TranslateY", 0.7, 9),
    )
    assert T.AutoAugment(AutoAugmentPolicy.SVHN).policies[-1] == (("ShearX", 0.7, 2), ("Invert", 0.1, None))


def test_the_magnitudes():
    usual = T.RandAugment()._augmentation_space(31, (64, 331))
    wide = T.TrivialAugmentWide()._augmentation_space(31)
    assert usual.keys() == wide.keys() == MEANING.keys() - {"Invert"}
    for space, shear, shift, angle, factor, bits in (
        (usual, 0.3, 150.0, 30.0, 0.9, 4),
        (wide, 0.99, 32.0, 135.0, 0.99, 2),
    ):
        ends = {name: magnitudes[-1].item() for name, (magnitudes, _) in space.items() if magnitudes.ndim}
        assert ends["ShearX"] == ends["ShearY"] == pytest.approx(shear)
        assert ends["TranslateX"] == pytest.approx(shift)
        assert ends["Rotate"] == angle
        assert (
            ends["Brightness"]
            == ends["Color"]
            == ends["Contrast"]
            == ends["Sharpness"]
            == pytest.approx(factor)
        )
        assert ends["Posterize"] == bits
        assert ends["Solarize"] == 0
        either = "ShearX ShearY TranslateX TranslateY Rotate Brightness Color Contrast Sharpness"
        assert {name for name, (_, signed) in space.items() if signed} == set(either.split())
    assert usual["Posterize"][0].tolist()[:6] == [8, 8, 8, 8, 7, 7]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MEANING)
def test_each_change(kind, name):
    image, transform = KINDS[kind], T.TrivialAugmentWide(fill=5)
    magnitudes, signed = {**transform._augmentation_space(31), "Invert": (cnnx.tensor(0.0), False)}[name]
    for magnitude in magnitudes[[0, 7, 30]].tolist() if magnitudes.ndim else [0.0]:
        for negative in (False, True)[: 1 + signed]:
            made = transform._change(image, name, magnitude, negative)
            expected = MEANING[name](image, -magnitude if negative else magnitude)
            assert type(made) is type(image)
            np.testing.assert_array_equal(np.asarray(made), np.asarray(expected))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "transform",
    [T.AutoAugment(AutoAugmentPolicy.CIFAR10), T.RandAugment(3, 20), T.TrivialAugmentWide()],
    ids=repr,
)
def test_drawn_from_the_generator(kind, transform):
    image = KINDS[kind]
    results = []
    for seed in (1, 1, *range(2, 12)):
        cnnx.manual_seed(seed)
        results.append(np.asarray(transform(image)))
        assert results[-1].shape == np.asarray(image).shape
    assert np.array_equal(results[0], results[1])
    assert len({result.tobytes() for result in results}) > 5


def test_what_is_drawn():
    cnnx.manual_seed(0)
    seen = []

    class Noted(T.TrivialAugmentWide):
        def _change(self, img, name, magnitude, negative):
            seen.append((name, magnitude, negative))
            return img

    noted = Noted()
    for _ in range(1500):
        noted(TENSOR)
    names = [name for name, _, _ in seen]
    assert all(names.count(name) > 60 for name in MEANING if name != "Invert")
    assert {magnitude for name, magnitude, _ in seen if name == "AutoContrast"} == {0.0}
    assert len({magnitude for name, magnitude, _ in seen if name == "Rotate"}) > 20
    assert {negative for name, _, negative in seen if name == "Rotate"} == {False, True}
    assert {negative for name, _, negative in seen if name == "Solarize"} == {False}
    policies, chances, signs = zip(*(T.AutoAugment.get_params(25) for _ in range(400)), strict=True)
    assert set(policies) == set(range(25))
    assert 0 <= min(c.min().item() for c in chances) < max(c.max().item() for c in chances) < 1
    assert {sign for pair in signs for sign in pair.tolist()} == {0, 1}


def test_own_parameters_are_taken():
    class Own(T.AutoAugment):
        @staticmethod
        def get_params(transform_num):
            return 3, cnnx.tensor([0.9, 0.5]), cnnx.tensor([1, 0])

    made = Own(AutoAugmentPolicy.CIFAR10)(TENSOR)  # its fourth chain: ShearY 0.5 8, TranslateY 0.7 9
    assert (made == TF.affine(TENSOR, 0, [0, -int(150 / 331 * 37)], 1, 0)).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: T.AutoAugment("imagenet"), ValueError, "policy must be an AutoAugmentPolicy"),
        (
            lambda: T.AutoAugment(interpolation="bicubic"),
            ValueError,
            "interpolation must be nearest or bilinear",
        ),
        (lambda: T.RandAugment(magnitude=31), ValueError, "magnitude below 31"),
        (lambda: T.RandAugment(-1), ValueError, "num_ops must not be negative"),
        (lambda: T.TrivialAugmentWide(1), ValueError, "num_magnitude_bins must be 2 or more"),
        (lambda: T.RandAugment(fill="x"), TypeError, "fill must be"),
        (lambda: T.TrivialAugmentWide()("x"), TypeError, "TrivialAugmentWide: needs a PIL image"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_how_they_print():
    assert repr(T.AutoAugment()) == "AutoAugment(policy=AutoAugmentPolicy.IMAGENET, fill=None)"
    assert repr(T.RandAugment()) == (
        "RandAugment(num_ops=2, magnitude=9, num_magnitude_bins=31, interpolation=nearest, fill=None)"
    )
