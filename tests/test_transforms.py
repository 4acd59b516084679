"""Transforms of single images, against NumPy and torchvision's rules."""

import numpy as np
import pytest

import cnnx
from cnnx import transforms


def random_image(shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (1, 1)])
def test_to_tensor(shape):
    image = random_image(shape)
    tensor = transforms.ToTensor()(image)
    planes = image.reshape(shape[0], shape[1], -1).transpose(2, 0, 1)
    assert tensor.dtype == cnnx.float32
    np.testing.assert_array_equal(tensor.numpy(), planes.astype(np.float32) / np.float32(255))
    assert tensor.is_contiguous()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_to_tensor_scales_bytes_alone(dtype):
    image = random_image((3, 4, 2), dtype)
    tensor = transforms.ToTensor()(image)
    assert tensor.dtype == cnnx.from_numpy(image).dtype
    np.testing.assert_array_equal(tensor.numpy(), image.transpose(2, 0, 1))


def test_to_tensor_does_not_share_memory():
    image = random_image((2, 2), np.float32)
    tensor = transforms.ToTensor()(image)
    before = tensor.numpy().copy()
    image[:] = -1
    np.testing.assert_array_equal(tensor.numpy(), before)


@pytest.mark.parametrize("mode, shape", [("L", (4, 6)), ("RGB", (4, 6, 3))])
def test_to_tensor_of_pil_images(mode, shape):
    pil = pytest.importorskip("PIL.Image")
    image = random_image(shape)
    tensor = transforms.ToTensor()(pil.fromarray(image))
    np.testing.assert_array_equal(tensor.numpy(), transforms.ToTensor()(image).numpy())
    black_and_white = pil.fromarray(image[..., 0] if mode == "RGB" else image).convert("1")
    assert set(np.unique(transforms.ToTensor()(black_and_white).numpy())) <= {0.0, 1.0}


def test_normalize():
    tensor = transforms.ToTensor()(random_image((4, 5, 3)))
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    expected = (tensor.numpy() - np.float32(mean).reshape(3, 1, 1)) / np.float32(std).reshape(3, 1, 1)
    before = tensor.numpy().copy()
    np.testing.assert_array_equal(transforms.Normalize(mean, std)(tensor).numpy(), expected)
    np.testing.assert_array_equal(tensor.numpy(), before)
    assert transforms.Normalize(mean, std, inplace=True)(tensor) is tensor
    np.testing.assert_array_equal(tensor.numpy(), expected)
    batch = cnnx.ones(2, 3, 2, 2)
    np.testing.assert_allclose(
        transforms.Normalize(mean, std)(batch).numpy()[0, :, 0, 0], [1.8, 3.2, 0.35], rtol=1e-6
    )


def test_compose_and_repr():
    pipeline = transforms.Compose([transforms.ToTensor(), transforms.Lambda(lambda t: t * 2)])
    assert pipeline(np.full((1, 1), 255, np.uint8)).item() == 2
    text = "Compose(\n    ToTensor()\n    Normalize(mean=(0.5,), std=(0.5,))\n)"
    assert repr(transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])) == text


def test_sizes_may_be_numpys():
    image = np.zeros((4, 6), np.uint8)
    assert transforms.Resize(np.int64(2))(image).shape == (2, 3)
    assert transforms.Resize((np.int32(2), np.int64(5)))(image).shape == (2, 5)


def test_bad_input():
    with pytest.raises(TypeError, match="ToTensor: needs a PIL image or a NumPy array, got Tensor"):
        transforms.ToTensor()(cnnx.ones(2, 2))
    with pytest.raises(ValueError, match=r"ToTensor: .*\(2, 2, 2, 2\)"):
        transforms.ToTensor()(np.ones((2, 2, 2, 2)))
    with pytest.raises(TypeError, match="put ToTensor"):
        transforms.Normalize(0.5, 0.5)(np.ones((1, 2, 2)))
    with pytest.raises(TypeError, match="uint8"):
        transforms.Normalize(0.5, 0.5)(cnnx.ones(1, 2, 2, dtype=cnnx.uint8))
    with pytest.raises(ValueError, match="Normalize: needs a tensor of shape"):
        transforms.Normalize(0.5, 0.5)(cnnx.ones(2, 2))
    with pytest.raises(ValueError, match="zero"):
        transforms.Normalize(0.5, 0.0)(cnnx.ones(1, 2, 2))
    with pytest.raises(TypeError, match="Lambda: needs a callable"):
        transforms.Lambda(3)


def test_normalize_of_other_channels() -> None:
    with pytest.raises(ValueError, match="3 values of mean for the channels of"):
        transforms.Normalize((0.1, 0.2, 0.3), (1, 1, 1))(cnnx.zeros(1, 4, 4))
