"""Gradients through the transforms of tensors. All are affine in the pixels, so differences are exact."""

import numpy as np
import pytest

import cnnx
from cnnx import transforms
from cnnx.transforms import functional as F
from oracles import assert_gradients_match_torch

MODES = ("nearest", "bilinear", "bicubic")
CASES = {
    "hflip": F.hflip,
    "vflip": F.vflip,
    "crop": lambda x: F.crop(x, 1, 2, 5, 4),
    "crop beyond the rim": lambda x: F.crop(x, -2, 5, 6, 7),
    "center_crop": lambda x: F.center_crop(x, (4, 5)),
    "center_crop of a smaller image": lambda x: F.center_crop(x, 12),
    "five_crop": lambda x: cnnx.stack(F.five_crop(x, (3, 4))),
    "ten_crop": lambda x: cnnx.stack(F.ten_crop(x, 4)),
    "resized_crop": lambda x: F.resized_crop(x, 1, 1, 5, 6, (4, 9)),
    "rgb_to_grayscale": F.rgb_to_grayscale,
    "rgb_to_grayscale of 3": lambda x: F.rgb_to_grayscale(x, 3),
    "normalize": lambda x: F.normalize(x, [0.1, 0.2, 0.3], [0.5, 2, 3]),
    "erase": lambda x: F.erase(x, 1, 2, 3, 4, 0.5),
    "erase with a tensor": lambda x: F.erase(x, 1, 2, 3, 4, cnnx.ones(3, 1, 1, dtype=cnnx.float64)),
    "rotate about a point": lambda x: F.rotate(x, 33, "bilinear", center=[1, 2]),
    "RandomHorizontalFlip": transforms.RandomHorizontalFlip(),
    "RandomVerticalFlip": transforms.RandomVerticalFlip(),
    "RandomCrop": transforms.RandomCrop(9, padding=2, pad_if_needed=True, padding_mode="reflect"),
    "RandomRotation": transforms.RandomRotation(60, "bilinear"),
    "RandomAffine": transforms.RandomAffine(40, (0.2, 0.2), (0.7, 1.4), (-9, 9, -5, 5)),
    "RandomErasing": transforms.RandomErasing(1.0, (0.1, 0.3)),
    "RandomErasing per channel": transforms.RandomErasing(1.0, (0.1, 0.3), value=[1, 2, 3]),
    "RandomErasing with noise": transforms.RandomErasing(1.0, (0.1, 0.3), value="random"),
    "RandomApply": transforms.RandomApply([transforms.Pad(1, 7), transforms.RandomRotation(50)], 0.7),
    "Compose": transforms.Compose([transforms.Resize(10), transforms.CenterCrop(7), transforms.Grayscale()]),
}
for mode in ("constant", "edge", "reflect", "symmetric"):
    CASES[f"pad {mode}"] = lambda x, mode=mode: F.pad(x, (3, 2, 1, 4), 0.5, mode)
CASES["pad that cuts"] = lambda x: F.pad(x, (-2, 1, 3, -1))
for mode in MODES:
    for size in ((4, 5), (13, 17), (8, 3), 6):
        for antialias in (True, False):
            CASES[f"resize {mode} {size} {antialias}"] = lambda x, options=(size, mode, None, antialias): (
                F.resize(x, *options)
            )
for mode in MODES[:2]:
    for fill in (None, [1.0, 2.0, 3.0]):
        CASES[f"rotate {mode} {fill}"] = lambda x, options=(25, mode, False, None, fill): F.rotate(
            x, *options
        )
        CASES[f"affine {mode} {fill}"] = lambda x, mode=mode, fill=fill: F.affine(
            x, 15, [1, -2], 1.3, [4, 3], mode, fill
        )
    CASES[f"rotate and expand {mode}"] = lambda x, mode=mode: F.rotate(x, 25, mode, True)


def image(*shape, dtype=np.float64):
    return np.random.default_rng(1).normal(size=shape or (3, 8, 9)).astype(dtype)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradient_is_that_of_differences(name, seed):
    def run(x):
        cnnx.manual_seed(seed)
        return CASES[name](x)

    rng = np.random.default_rng(seed)
    at = image()
    x = cnnx.tensor(at).requires_grad_()
    result = run(x)
    plain = run(cnnx.tensor(at))
    np.testing.assert_array_equal(result.detach().numpy(), plain.numpy())  # what it gives does not change
    assert not plain.requires_grad
    upstream = rng.normal(size=tuple(result.shape))
    result.backward(cnnx.tensor(upstream))
    for _ in range(3):
        direction = rng.normal(size=at.shape)
        change = (run(cnnx.tensor(at + direction)) - plain).numpy()
        np.testing.assert_allclose((upstream * change).sum(), (x.grad.numpy() * direction).sum(), rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_of_the_gradient_is_the_linear_part(name):
    def run(x):
        cnnx.manual_seed(1)
        return CASES[name](x)

    rng = np.random.default_rng(2)
    at, direction = image(), cnnx.tensor(rng.normal(size=(3, 8, 9)))
    x = cnnx.tensor(at).requires_grad_()
    result = run(x)
    upstream = cnnx.tensor(rng.normal(size=tuple(result.shape))).requires_grad_()
    (first,) = cnnx.autograd.grad(result, x, upstream, create_graph=True)
    (second,) = cnnx.autograd.grad(first, upstream, direction, create_graph=True)
    moved = run(cnnx.tensor(at) + direction)
    np.testing.assert_allclose(second.detach().numpy(), (moved - result.detach()).numpy(), atol=1e-12)
    assert not second.requires_grad  # it depends on neither


@pytest.mark.parametrize(
    "name", ["pad edge", "resize bilinear (4, 5) True", "rotate bilinear None", "RandomCrop"]
)
@pytest.mark.parametrize("shape", [(8, 9), (2, 3, 8, 9), (1, 8, 9)])
def test_shapes_and_float32(name, shape):
    x = cnnx.tensor(image(*shape, dtype=np.float32)).requires_grad_()
    cnnx.manual_seed(3)
    result = CASES[name](x * 1)
    assert result.dtype == cnnx.float32
    result.sum().backward()
    exact = cnnx.tensor(image(*shape)).requires_grad_()
    cnnx.manual_seed(3)
    CASES[name](exact).sum().backward()
    assert x.grad.dtype == cnnx.float32
    np.testing.assert_allclose(x.grad.numpy(), exact.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_as_pytorch_where_the_formula_is_the_same():
    torch = pytest.importorskip("torch")
    other = torch.nn.functional
    pads = {"constant": "constant", "edge": "replicate", "reflect": "reflect"}
    pairs = [
        (lambda x, m=mine: F.pad(x, (2, 1, 3, 4), 0, m), lambda x, m=theirs: other.pad(x, (2, 3, 1, 4), m))
        for mine, theirs in pads.items()
    ]
    for mode in MODES:
        for antialias in (False,) if mode == "nearest" else (True, False):
            options = {} if mode == "nearest" else {"antialias": antialias, "align_corners": False}
            pairs += [
                (
                    lambda x, size=size, mode=mode, antialias=antialias: F.resize(
                        x, size, mode, antialias=antialias
                    ),
                    lambda x, size=size, mode=mode, options=options: other.interpolate(
                        x[None], size, mode=mode, **options
                    )[0],
                )
                for size in ((4, 5), (13, 17))
            ]
    for mine, theirs in pairs:
        assert_gradients_match_torch(mine, theirs, [image()])


def test_what_holds_no_gradient():
    x = cnnx.tensor(image()).requires_grad_()
    with cnnx.no_grad():
        assert not F.hflip(x).requires_grad
    assert not F.hflip(x.detach()).requires_grad
    pixels = cnnx.arange(12, dtype=cnnx.uint8).reshape(3, 4)
    assert not F.hflip(pixels).requires_grad
    with pytest.raises(RuntimeError, match="leaf"):
        transforms.RandomErasing(1.0, inplace=True)(x)
    y = x * 1
    transforms.RandomErasing(1.0, inplace=True)(y)
    y.sum().backward()
    assert 0 < float(x.grad.sum()) < x.numel()


def test_a_gradient_that_is_not_finite_stays_where_it_belongs():
    x = cnnx.tensor(image(1, 4, 4)).requires_grad_()
    upstream = np.zeros((1, 6, 6))
    upstream[0, 0, 0] = np.nan  # in the padding
    upstream[0, 1, 1] = np.inf
    F.pad(x, 1).backward(cnnx.tensor(upstream))
    expected = np.zeros((1, 4, 4))
    expected[0, 0, 0] = np.inf
    np.testing.assert_array_equal(x.grad.numpy(), expected)
