"""Images read by a grid: against PyTorch and finite differences, every mode and padding; bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from oracles import array, assert_gradients_match_torch, assert_same, tensor

MODES, PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
# Images, and the height and width of the grid.
SHAPES = [((2, 3, 6, 5), (4, 7)), ((1, 1, 1, 3), (3, 2)), ((1, 19, 9, 4), (9, 13)), ((9, 2, 3, 8), (1, 5))]


def images_and_grid(shape: tuple[int, ...], size: tuple[int, int], dtype: Any) -> list[np.ndarray]:
    """Places reach beyond the images, so far that they are reflected several times."""
    rng = np.random.default_rng(0)
    grid = rng.uniform(-1.5, 1.5, size=(shape[0], *size, 2))
    grid[0, 0] *= 4
    return [rng.normal(size=shape).astype(dtype), grid.astype(dtype)]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_as_pytorch(mode: str, padding: str, align_corners: bool) -> None:
    torch = pytest.importorskip("torch")
    for shape, size in SHAPES:
        for dtype in (np.float32, np.float64):
            arrays = images_and_grid(shape, size, dtype)
            options = {"mode": mode, "padding_mode": padding, "align_corners": align_corners}
            assert_gradients_match_torch(
                lambda x, grid, o=options: F.grid_sample(x, grid, **o),
                lambda x, grid, o=options: torch.nn.functional.grid_sample(x, grid, **o),
                arrays,
                5e-4 if dtype == np.float32 else 1e-10,
                f"{shape} {size} {options}",
            )


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_of_the_images_is_the_adjoint(mode: str, padding: str) -> None:
    """<samples(x), g> = <x, gradient(g)>, and its own gradients are those of the other."""
    images, places = (tensor(a) for a in images_and_grid((2, 3, 6, 5), (4, 7), np.float64))
    rng = np.random.default_rng(1)
    g, h = (tensor(rng.normal(size=shape), True) for shape in ((2, 3, 4, 7), (2, 3, 6, 5)))
    options = {"mode": mode, "padding_mode": padding, "align_corners": False}
    x = images.clone().requires_grad_()
    (grad,) = cnnx.autograd.grad(F.grid_sample(x, places, **options), x, g, create_graph=True)
    np.testing.assert_allclose(
        (grad * x).sum().item(), (F.grid_sample(x, places, **options) * g).sum().item(), rtol=1e-10
    )
    (again,) = cnnx.autograd.grad((grad * h).sum(), g)
    assert_same(again, array(F.grid_sample(h, places, **options)), 1e-12)


def test_the_gradient_of_the_grid_by_way_of_the_images() -> None:
    """d/d grid of <gradient(g), h> is the gradient of the grid where h is sampled and g comes back."""
    images, places = (tensor(a) for a in images_and_grid((2, 3, 6, 5), (4, 7), np.float64))
    rng = np.random.default_rng(1)
    g, h = (tensor(rng.normal(size=shape)) for shape in ((2, 3, 4, 7), (2, 3, 6, 5)))
    for mode in MODES:
        x, grid = images.clone().requires_grad_(), places.clone().requires_grad_()
        samples = F.grid_sample(x, grid, mode, align_corners=True)
        (grad,) = cnnx.autograd.grad(samples, x, g, create_graph=True)
        (found,) = cnnx.autograd.grad((grad * h).sum(), grid)
        other = places.clone().requires_grad_()
        (F.grid_sample(h, other, mode, align_corners=True) * g).sum().backward()
        assert_same(found, array(other.grad), 1e-12)


def test_third_derivatives_in_the_grid_are_refused() -> None:
    images, places = (tensor(a, True) for a in images_and_grid((1, 1, 3, 3), (2, 2), np.float64))
    (grad,) = cnnx.autograd.grad(
        F.grid_sample(images, places, align_corners=False).sum(), places, create_graph=True
    )
    with pytest.raises(RuntimeError, match="grid_sample_double_backward"):
        cnnx.autograd.grad(grad.square().sum(), places, create_graph=True)


@pytest.mark.filterwarnings("ignore:Since version 1.3.0:UserWarning")
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (1, 1, 1, 6), (3, 2, 7, 1)])
def test_affine_grid(size: tuple[int, ...], align_corners: bool) -> None:
    torch = pytest.importorskip("torch")
    for dtype in (np.float32, np.float64):
        assert_gradients_match_torch(
            lambda t: F.affine_grid(t, size, align_corners),
            lambda t: torch.nn.functional.affine_grid(t, size, align_corners),
            [np.random.default_rng(0).normal(size=(size[0], 2, 3)).astype(dtype)],
            what=f"affine_grid {size}",
        )


def test_a_spatial_transformer_learns_a_shift() -> None:
    """The grid's gradient brings a blob back to where it was."""
    at = cnnx.linspace(-1, 1, 16)
    blob = (-8 * (at[:, None] ** 2 + at[None] ** 2)).exp().reshape(1, 1, 16, 16)
    shift = F.affine_grid(cnnx.tensor([[[1, 0, 0.3], [0, 1, -0.2]]]), (1, 1, 16, 16), False)
    moved = F.grid_sample(blob, shift, align_corners=False)
    theta = cnnx.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]).requires_grad_()
    optimizer = cnnx.optim.Adam([theta], lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        loss = F.mse_loss(
            F.grid_sample(moved, F.affine_grid(theta, (1, 1, 16, 16), False), align_corners=False), blob
        )
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3
    np.testing.assert_allclose(array(theta)[0, :, 2], [-0.3, 0.2], atol=0.05)


def test_numbers_that_are_none_lie_outside() -> None:
    grid = cnnx.full((1, 1, 1, 2), float("nan"))
    x = cnnx.ones(1, 1, 2, 2).requires_grad_()
    for mode in ("nearest", "bicubic"):
        F.grid_sample(x, grid, mode, "zeros", False).sum().backward()
    assert F.grid_sample(x, grid, "nearest", "border", False).item() == 1


def test_align_corners_is_asked_for() -> None:
    x, grid = cnnx.zeros(1, 1, 2, 2), cnnx.zeros(1, 1, 1, 2)
    with pytest.warns(UserWarning, match="align_corners"):
        F.grid_sample(x, grid)
    with pytest.warns(UserWarning, match="align_corners"):
        F.affine_grid(cnnx.zeros(1, 2, 3), (1, 1, 2, 2))


X, GRID = cnnx.zeros(2, 1, 3, 4), cnnx.zeros(2, 5, 6, 2)
SAMPLE = {
    "mode": (
        lambda: F.grid_sample(X, GRID, "linear", align_corners=True),
        ValueError,
        "mode must be .*'linear'",
    ),
    "padding": (
        lambda: F.grid_sample(X, GRID, "nearest", "edge", True),
        ValueError,
        "padding_mode must be .*'edge'",
    ),
    "rank": (lambda: F.grid_sample(X[0], GRID, align_corners=True), RuntimeError, r"needs .*\(1, 3, 4\)"),
    "grid": (lambda: F.grid_sample(X, GRID[..., :1], align_corners=True), RuntimeError, "needs images"),
    "batch": (lambda: F.grid_sample(X, GRID[:1], align_corners=True), RuntimeError, "needs images"),
    "volume": (
        lambda: F.grid_sample(cnnx.zeros(1, 1, 2, 2, 2), GRID, align_corners=True),
        NotImplementedError,
        "input must be",
    ),
    "dtypes": (lambda: F.grid_sample(X, GRID.double(), align_corners=True), TypeError, "one dtype"),
    "integers": (lambda: F.grid_sample(X.long(), GRID.long(), align_corners=True), TypeError, "int64"),
    "no pixels": (lambda: F.grid_sample(X[:, :, :0], GRID, align_corners=True), RuntimeError, "no pixels"),
    "None": (lambda: F.grid_sample(X, None, align_corners=True), TypeError, "grid"),
}
AFFINE = {
    "theta": (lambda: F.affine_grid(X, (2, 1, 3, 4), True), ValueError, r"theta must be \(N, 2, 3\)"),
    "batch": (lambda: F.affine_grid(cnnx.zeros(1, 2, 3), (2, 1, 3, 4), True), RuntimeError, "batch of 2"),
    "dtype": (
        lambda: F.affine_grid(cnnx.zeros(1, 2, 3).long(), (1, 1, 3, 4), True),
        ValueError,
        "floating-point",
    ),
    "size": (lambda: F.affine_grid(cnnx.zeros(1, 2, 3), (1, 1, 0, 4), True), ValueError, "positive"),
    "volume": (
        lambda: F.affine_grid(cnnx.zeros(1, 2, 3), (1, 1, 2, 2, 2), True),
        NotImplementedError,
        "size must be",
    ),
    "no size": (lambda: F.affine_grid(cnnx.zeros(1, 2, 3), 4, True), TypeError, "size"),
    "fractions": (
        lambda: F.affine_grid(cnnx.zeros(1, 2, 3), (1, 1, 2.5, 2), True),
        TypeError,
        "size must be",
    ),
}


@pytest.mark.parametrize(
    "op, case", [*(("grid_sample", c) for c in SAMPLE), *(("affine_grid", c) for c in AFFINE)]
)
def test_bad_input(op: str, case: str) -> None:
    call, error, text = (SAMPLE if op == "grid_sample" else AFFINE)[case]
    with pytest.raises(error, match=f"^{op}: .*{text}"):
        call()
