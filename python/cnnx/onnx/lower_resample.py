"""ONNX forms of resizing and of reading images by a grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx.onnx.graph import Graph, lowers, no_counterpart
from cnnx.onnx.lower_pointwise import one
from cnnx.tracing.program import Call


@lowers("interpolate")
def interpolate(g: Graph, call: Call) -> str:
    """Resizing to a size, or by factors where they are not those of the sizes."""
    if call["transposed"]:
        raise no_counterpart(f"the gradient of {call.place}")
    x, axes, mode = one(call), call["axes"], call["mode"]
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": "half_pixel"}
    if mode == "nearest":
        attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    elif mode == "nearest-exact":
        attributes |= {"mode": "nearest", "nearest_mode": "round_prefer_ceil"}
    elif call["align_corners"]:
        attributes["coordinate_transformation_mode"] = "align_corners"
    if mode == "cubic":
        attributes["cubic_coeff_a"] = -0.75
    if call["antialias"]:
        g.needs("Resize", 18)
        attributes |= {"antialias": 1, "exclude_outside": 1}
        if mode == "cubic":
            attributes["cubic_coeff_a"] = -0.5
    factors, sizes, results = (call[of][-axes:] for of in ("factors", "in", "out"))
    if any(factors) and not call["align_corners"]:
        each = [scale(f or m / n, n, m) for f, n, m in zip(factors, sizes, results, strict=True)]
        scales = np.asarray([1, 1, *each], dtype=np.float32)
        return g.op("Resize", x, None, scales, None, **attributes)
    return g.op("Resize", x, None, None, g.extents(*g.out.shape), **attributes)


def scale(factor: float, size: int, result: int) -> Any:
    """The factor in single precision, or the next number where it would fall short of the result's size."""
    single = np.float32(factor)
    return single if int(float(single) * size) == result else np.nextafter(single, np.float32(np.inf))


@lowers("grid_sample")
def grid_sample(g: Graph, call: Call) -> str:
    """Samples at the places of a grid; before opset 20 the modes had names that not all runtimes know."""
    g.needs("GridSample", 20)
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(call["shape.mode"], call["shape.mode"])
    return g.op(
        "GridSample",
        *call.inputs[:2],
        mode=mode,
        padding_mode=call["shape.padding"],
        align_corners=int(call["shape.align_corners"]),
    )
