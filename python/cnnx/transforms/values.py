"""Transforms that change values, and those that are done now and then."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from cnnx import _C
from cnnx.creation import as_tensor
from cnnx.dtypes import dtype as DType
from cnnx.random import randn
from cnnx.tensor import Tensor
from cnnx.transforms import arguments
from cnnx.transforms.base import ImageTransform, below, draws_as, is_native, listed, native, uniform
from cnnx.transforms.color import convert_image_dtype, grey


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Tensor | float, inplace: bool = False) -> Tensor:
    """A rectangle of a tensor overwritten.

    Parameters
    ----------
    img
        (..., H, W).
    i, j, h, w
        Top, left, height and width of the rectangle.
    v
        What is written: anything that broadcasts to (..., h, w).
    inplace
        Write into `img` itself.
    """
    if not isinstance(img, Tensor):
        raise TypeError(f"erase: needs a tensor, got {type(img).__name__}")
    result = img if inplace else img.clone()
    result[..., i : i + h, j : j + w] = v
    return result


@native
class Grayscale(ImageTransform):
    """A colour image in grey (0.299 red, 0.587 green, 0.114 blue).

    Parameters
    ----------
    num_output_channels
        1, or 3 for three equal channels.
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise ValueError(f"Grayscale: num_output_channels must be 1 or 3, got {num_output_channels}")
        self.num_output_channels = num_output_channels

    def _step(self, pillow: bool) -> _C.ImageStep:
        return _C.grayscale_step(self.num_output_channels, pillow)

    def forward(self, img: Any) -> Any:
        """The grey image."""
        if not isinstance(img, Tensor) or img.ndim <= 3:
            return super().forward(img)
        if img.shape[-3] not in (1, 3):  # the native step takes leading dimensions for channels
            raise ValueError(f"Grayscale: the images must have 1 or 3 channels, got {tuple(img.shape)}")
        lead, (height, width) = img.shape[:-3], img.shape[-2:]
        return grey(img).expand(*lead, self.num_output_channels, height, width)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_output_channels={self.num_output_channels})"


class ConvertImageDtype(ImageTransform):
    """A tensor in another type, its values in proportion; see `functional.convert_image_dtype`.

    Parameters
    ----------
    dtype
        The type.
    """

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        """The tensor in that type."""
        return convert_image_dtype(image, self.dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dtype={self.dtype})"


class LinearTransformation(ImageTransform):
    """(image - mean) times a matrix, of an image as one row of values: whitening, for one.

    Parameters
    ----------
    transformation_matrix
        (D, D), for images of D = C * H * W values.
    mean_vector
        (D,).

    Raises
    ------
    ValueError
        If the shapes do not fit each other, or when called, the image.
    TypeError
        If an argument is not a tensor, or the image is of another dtype or on another device than they.
    """

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        op = "LinearTransformation"
        for name, value in (("transformation_matrix", transformation_matrix), ("mean_vector", mean_vector)):
            if not isinstance(value, Tensor):
                raise TypeError(f"{op}: {name} must be a Tensor, got {type(value).__name__}")
        matrix, mean = tuple(transformation_matrix.shape), tuple(mean_vector.shape)
        if len(matrix) != 2 or matrix[0] != matrix[1] or mean != matrix[:1]:
            raise ValueError(f"{op}: needs a matrix (D, D) and a vector (D,), got {matrix} and {mean}")
        if transformation_matrix.device != mean_vector.device:
            raise ValueError(f"{op}: the matrix is on {transformation_matrix.device}, the mean is not")
        if transformation_matrix.dtype != mean_vector.dtype:
            raise ValueError(f"{op}: the matrix is {transformation_matrix.dtype}, the mean is not")
        self.transformation_matrix, self.mean_vector = transformation_matrix, mean_vector

    def forward(self, tensor: Tensor) -> Tensor:
        """The transformed tensor (..., C, H, W)."""
        op, matrix = "LinearTransformation", self.transformation_matrix
        if not isinstance(tensor, Tensor) or tensor.ndim < 3:
            shape = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise TypeError(f"{op}: needs a tensor of shape (..., C, H, W), got {shape}")
        if math.prod(tensor.shape[-3:]) != len(matrix):
            raise ValueError(
                f"{op}: the matrix is for images of {len(matrix)} values, got {tuple(tensor.shape)}"
            )
        if tensor.device != matrix.device or tensor.dtype != matrix.dtype:
            raise TypeError(
                f"{op}: the image is {tensor.dtype} on {tensor.device}, the matrix {matrix.dtype} on "
                f"{matrix.device}"
            )
        rows = tensor.reshape(-1, len(matrix)) - self.mean_vector
        return rows.mm(matrix).reshape(tensor.shape)

    def __repr__(self) -> str:
        matrix, mean = self.transformation_matrix.tolist(), self.mean_vector.tolist()
        return f"{type(self).__name__}(transformation_matrix={matrix}, mean_vector={mean})"


@native
class RandomErasing(ImageTransform):
    """A random rectangle of a tensor overwritten (Zhong et al., https://arxiv.org/abs/1708.04896).

    Parameters
    ----------
    p
        Probability that it is done.
    scale, ratio
        Ranges of the rectangle's share of the area, and of its height / width.
    value
        What is written: a number, one per channel, or `"random"` for normal noise.
    inplace
        Write into the given tensor.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float | str | Sequence[float] = 0,
        inplace: bool = False,
    ) -> None:
        op = "RandomErasing"
        self.p = arguments.probability(op, p)
        low, high = arguments.numbers(op, "scale", scale, (2,))
        if not 0 <= low <= high <= 1:
            raise ValueError(f"{op}: scale must be a range between 0 and 1, got {scale}")
        if not 0 < arguments.numbers(op, "ratio", ratio, (2,))[0] <= ratio[1]:
            raise ValueError(f"{op}: ratio must be a range of positive numbers, got {ratio}")
        if isinstance(value, str) and value != "random":
            raise ValueError(f"{op}: value as a string must be 'random', got {value!r}")
        self.scale, self.ratio, self.value, self.inplace = scale, ratio, value, inplace
        self._step(True)  # checks the rest

    @staticmethod
    def get_params(
        img: Tensor, scale: Sequence[float], ratio: Sequence[float], value: Sequence[float] | None = None
    ) -> tuple[int, int, int, int, Tensor]:
        """(top, left, height, width) of a random rectangle, and the content: `value` per channel, or noise.

        The whole image with itself, if ten rectangles did not fit. One that a subclass or an object defines
        is asked for each image that is erased.
        """
        channels, height, width = img.shape[-3:]
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            aspect = math.exp(uniform(math.log(ratio[0]), math.log(ratio[1])))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if not (h < height and w < width):
                continue
            if value is None:
                content = randn(channels, h, w, dtype=img.dtype, device=img.device)
            else:
                content = as_tensor(list(value), dtype=img.dtype, device=img.device).reshape(-1, 1, 1)
            top, left = below(height - h + 1), below(width - w + 1)
            return top, left, h, w, content
        return 0, 0, height, width, img

    def _values(self) -> list[float] | None:
        noise = isinstance(self.value, str) and self.value == "random"
        return None if noise else arguments.fill_values("RandomErasing", self.value)

    def _step(self, pillow: bool) -> _C.ImageStep:
        return self._erase(self._values() or [])

    def _erase(self, values: list[float]) -> _C.ImageStep:
        scale, ratio = (self.scale[0], self.scale[1]), (self.ratio[0], self.ratio[1])
        return _C.erase_step(self.p, scale, ratio, values)

    def _in_batches(self) -> bool:
        return self._values() is not None

    def forward(self, img: Any) -> Any:
        """The tensor with its rectangle."""
        if not isinstance(img, Tensor) or not img.is_floating_point():
            what = img.dtype if isinstance(img, Tensor) else type(img).__name__
            raise TypeError(
                f"RandomErasing: needs a floating-point tensor, got {what}; put ToTensor() before it"
            )
        if not draws_as(RandomErasing, self):
            if uniform(0, 1) >= self.p:
                return img
            return erase(img, *self.get_params(img, self.scale, self.ratio, self._values()), self.inplace)
        if self._values() is None:
            # The rectangle is what the step has made NaN.
            plain = img.detach()
            marked = _C.transform_image(plain, self._erase([float("nan")]))
            noise = randn(img.shape, dtype=img.dtype, device=img.device)
            result = img.where((marked == marked) | (plain != plain), noise)
        else:
            result = super().forward(img)
        return img.copy_(result) if self.inplace else result

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, value={self.value}, "
            f"inplace={self.inplace})"
        )


@native
class RandomApply(ImageTransform):
    """Transforms done together with probability `p`.

    Parameters
    ----------
    transforms
        Callables; each gets what the one before returned.
    p
        Between 0 and 1.
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        self.transforms = list(transforms)
        self.p = arguments.probability("RandomApply", p)

    def _step(self, pillow: bool) -> _C.ImageStep:
        return _C.sometimes_step([step._step(pillow) for step in self.transforms], self.p)  # type: ignore[attr-defined]

    def _in_batches(self) -> bool:
        return all(is_native(transform) for transform in self.transforms)

    def forward(self, img: Any) -> Any:
        """The image, transformed or as it is."""
        if uniform(0, 1) > self.p:
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(\n    p={self.p}{listed(self.transforms)}\n)"
