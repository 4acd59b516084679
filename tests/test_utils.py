"""Grids of images, weighted samplers and cyclic schedules, against torchvision's rules and PyTorch."""

from __future__ import annotations

import io

import numpy as np
import pytest

import cnnx
from cnnx.utils import make_grid, save_image
from cnnx.utils.data import DataLoader, TensorDataset, WeightedRandomSampler


def images(*shape: int) -> cnnx.Tensor:
    return cnnx.tensor(np.random.default_rng(0).uniform(-1, 3, shape).astype(np.float32))


def test_a_grid_has_each_image_at_its_place():
    batch = images(5, 3, 4, 6)
    grid = make_grid(batch, nrow=2, padding=1, pad_value=7.0)
    assert grid.shape == (3, 3 * 5 + 1, 2 * 7 + 1)
    for i, (y, x) in enumerate([(1, 1), (1, 8), (6, 1), (6, 8), (11, 1)]):
        assert (grid[:, y : y + 4, x : x + 6] == batch[i]).all()
    left = grid.cpu().numpy().copy()
    for y, x in [(1, 1), (1, 8), (6, 1), (6, 8), (11, 1)]:
        left[:, y : y + 4, x : x + 6] = 7.0
    assert (left == 7.0).all()


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        (images(4, 5), (3, 4, 5)),
        (images(1, 4, 5), (3, 4, 5)),
        (images(3, 4, 5), (3, 4, 5)),
        (images(1, 1, 4, 5), (3, 4, 5)),
        (images(2, 1, 4, 5), (3, 8, 16)),
        (images(2, 2, 4, 5), (2, 8, 16)),
        ([images(1, 4, 5), images(1, 4, 5)], (3, 8, 16)),
        (images(9, 3, 4, 5), (3, 14, 58)),
    ],
)
def test_shapes_of_grids(given, shape):
    assert make_grid(given).shape == shape


def test_grids_are_normalized_as_asked():
    batch = images(3, 3, 4, 5)
    whole = make_grid(batch, normalize=True, padding=0)
    assert whole.min().item() == 0.0
    assert whole.max().item() == pytest.approx(1.0)
    fixed = make_grid(batch, normalize=True, value_range=(0, 2), padding=0)
    expected = make_grid((batch.clamp(0, 2) / 2), padding=0)
    assert cnnx.allclose(fixed, expected)
    each = make_grid(batch, normalize=True, scale_each=True, padding=0)
    for i in range(3):
        part = each[:, :, 5 * i : 5 * i + 5]
        assert part.min().item() == 0.0
        assert part.max().item() == pytest.approx(1.0)
    assert (
        make_grid(cnnx.ones(2, 3, 2, 2), normalize=True, padding=0).tolist() == np.zeros((3, 2, 4)).tolist()
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: make_grid("pictures"), TypeError, "takes a tensor or some of them"),
        (lambda: make_grid([]), TypeError, "takes a tensor or some of them"),
        (lambda: make_grid(cnnx.ones(3)), ValueError, "takes images"),
        (lambda: make_grid(cnnx.ones(0, 3, 4, 4)), ValueError, "there is no pixel"),
        (lambda: make_grid(cnnx.ones(1, 2, 3, 4, 5)), ValueError, "takes images"),
        (lambda: make_grid(cnnx.ones(2, 3, 4, 4), nrow=0), ValueError, "nrow must be 1 or more"),
        (lambda: make_grid(cnnx.ones(2, 3, 4, 4), value_range=(0, 1)), ValueError, "belong to normalize"),
        (lambda: make_grid(cnnx.ones(2, 3, 4, 4), normalize=True, value_range=[0, 1]), TypeError, "a tuple"),
    ],
)
def test_wrong_grids(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_images_are_saved(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    batch = cnnx.tensor(np.random.default_rng(0).integers(0, 256, (3, 3, 8, 9)) / 255.0).float()
    save_image(batch, tmp_path / "grid.png", nrow=2, padding=3)
    with pillow.open(tmp_path / "grid.png") as picture:
        expected = make_grid(batch, nrow=2, padding=3).cpu().numpy().transpose(1, 2, 0) * 255
        assert np.abs(np.asarray(picture) - expected).max() < 1e-3
    buffer = io.BytesIO()
    save_image(cnnx.tensor([[-1.0, 0.5, 2.0]]), buffer, format="png")
    with pillow.open(buffer) as picture:
        assert np.asarray(picture)[0, :, 0].tolist() == [0, 128, 255]


def test_weighted_samples():
    cnnx.manual_seed(3)
    sampler = WeightedRandomSampler([0.0, 1.0, 3.0], 4000)
    drawn = list(sampler)
    assert len(sampler) == len(drawn) == 4000
    assert set(drawn) == {1, 2}
    assert drawn.count(2) / 4000 == pytest.approx(0.75, abs=0.03)  # four standard errors
    once = list(WeightedRandomSampler([1, 2, 3, 4], 4, replacement=False))
    assert sorted(once) == [0, 1, 2, 3]
    first = list(WeightedRandomSampler([1.0] * 9, 9, generator=cnnx.Generator().manual_seed(1)))
    assert first == list(WeightedRandomSampler([1.0] * 9, 9, generator=cnnx.Generator().manual_seed(1)))
    data = TensorDataset(cnnx.arange(3), cnnx.arange(3))
    for x, _ in DataLoader(data, batch_size=10, sampler=WeightedRandomSampler([0, 0, 1], 20)):
        assert x.tolist() == [2] * 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], 0), "num_samples must be a positive integer, got 0"),
        (([1.0], True), "num_samples must be a positive integer"),
        (([1.0], 1, 2), "replacement must be a bool"),
        (([[1.0]], 1), "weights must be a list"),
    ],
)
def test_wrong_weighted_samplers(arguments, message):
    with pytest.raises(ValueError, match=message):
        WeightedRandomSampler(*arguments)
