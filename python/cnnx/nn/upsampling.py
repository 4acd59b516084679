"""Layers that resize signals and images."""

from __future__ import annotations

from collections.abc import Sequence

from ..tensor import Tensor
from . import functional as F
from .module import Module


class Upsample(Module):
    """Resizes signals (N, C, W) or images (N, C, H, W). See `functional.interpolate`.

    Parameters
    ----------
    size : int or sequence of int, optional
        Of the result.
    scale_factor : float or sequence of float, optional
        Instead of a size: how many times the input's.
    mode : str
        ``"nearest"``, ``"nearest-exact"``, ``"linear"`` (of signals), ``"bilinear"`` and ``"bicubic"`` (of
        images) or ``"area"``. Default: ``"nearest"``.
    align_corners : bool, optional
        Of the linear and cubic modes: whether the centres of the corners meet. Default: False.
    recompute_scale_factor : bool, optional
        Whether coordinates follow from the sizes where a scale factor is given.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.Upsample(scale_factor=2, mode="bilinear")(cnnx.zeros(64, 16, 8, 8)).shape
    cnnx.Size([64, 16, 16, 16])
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        self.scale_factor: float | tuple[float, ...] | None
        if isinstance(scale_factor, (tuple, list)):
            self.scale_factor = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None  # type: ignore[arg-type]
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """Resizes."""
        return F.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            recompute_scale_factor=self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        """The size or the factor, and the mode."""
        size = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{size}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Images (N, C, H, W) resized by copying pixels: `Upsample` with ``mode="nearest"``.

    Parameters
    ----------
    size : int or pair, optional
        Of the result.
    scale_factor : float or pair, optional
        Instead of a size: how many times the input's.
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Images (N, C, H, W) resized by means of four pixels: `Upsample` with ``align_corners=True``.

    Parameters
    ----------
    size : int or pair, optional
        Of the result.
    scale_factor : float or pair, optional
        Instead of a size: how many times the input's.
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
