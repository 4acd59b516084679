"""The rounding error of convolutions that take Winograd's way, against float64."""

from __future__ import annotations

import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import _C


def relative_error(result: cnnx.Tensor, expected: cnnx.Tensor) -> float:
    difference = (result.double() - expected).abs().max().item()
    return float(difference / expected.abs().max().item())


@pytest.mark.parametrize("batch", ["one", "few", "lanes"])
@pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "padding", "extent"),
    [(32, 64, 3, 0, 26), (32, 64, 5, 2, 14), (16, 17, 3, 1, 9), (19, 16, 5, 1, 11)],
)
def test_error_is_bounded(
    batch: str, channels: int, outputs: int, kernel: int, padding: int, extent: int
) -> None:
    cnnx.manual_seed(0)
    images = {"one": 1, "few": max(_C.lane_count() // 2 - 1, 1), "lanes": _C.lane_count() + 1}[batch]
    x = cnnx.randn(images, channels, extent, extent, requires_grad=True)
    weight = cnnx.randn(outputs, channels, kernel, kernel, requires_grad=True)
    bias = cnnx.randn(outputs)
    y = F.conv2d(x, weight, bias, padding=padding)
    grad = cnnx.randn(*y.shape)
    y.backward(grad)

    x64 = x.detach().double().requires_grad_()
    weight64 = weight.detach().double().requires_grad_()
    y64 = F.conv2d(x64, weight64, bias.double(), padding=padding)
    y64.backward(grad.double())

    errors = (
        relative_error(y.detach(), y64.detach()),
        relative_error(x.grad, x64.grad),
        relative_error(weight.grad, weight64.grad),
    )
    print(f"{channels}->{outputs} {kernel}x{kernel}: " + ", ".join(f"{error:.1e}" for error in errors))
    assert max(errors) < 1e-5
