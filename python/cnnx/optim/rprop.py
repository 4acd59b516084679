"""Rprop."""

from __future__ import annotations

import math
from typing import Any

from .. import _C
from .fused import FusedOptimizer, check_range
from .optimizer import Params


class Rprop(FusedOptimizer):
    """Resilient backpropagation: the gradient's sign alone counts, and every element has a step of its own.

    A step grows while the sign of the gradient stays and shrinks where it turns. s = clamp(s * (eta_plus if g
    * g_before > 0, eta_minus if < 0, else 1)); g = 0 where it has turned; p -= s * sign(g). It is for whole
    batches.

    Parameters
    ----------
    params : iterable of Tensor, dict or (str, Tensor)
        See `Optimizer`.
    lr : float
        The first s. Default: 0.01.
    etas : pair of float
        (eta_minus, eta_plus), below and above 1. Default: (0.5, 1.2).
    step_sizes : pair of float
        The smallest and the largest s. Default: (1e-6, 50).
    capturable : bool
        Taken for compatibility: a step can be captured in a CUDA graph in either case.
    foreach : bool, optional
        Taken for compatibility: every step is one fused pass.
    maximize : bool
        Go up instead of down. Default: False.
    differentiable : bool
        Only False.

    Raises
    ------
    ValueError
        If lr is negative or not finite, or the etas are not on either side of 1.

    Notes
    -----
    Riedmiller & Braun, "A direct adaptive method for faster backpropagation learning" (1993).

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn, optim
    >>> p = nn.Parameter(cnnx.ones(1))
    >>> opt = optim.Rprop([p], lr=0.25)
    >>> (3 * p).sum().backward()
    >>> opt.step()
    >>> p.item()
    0.75
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        for name in ("etas", "step_sizes"):
            if len(group[name]) != 2:
                raise ValueError(f"Invalid {name}: {group[name]}")
            for number in group[name]:
                check_range(f"{name} value", number, -math.inf)
        if not 0.0 < group["etas"][0] < 1.0 < group["etas"][1]:
            raise ValueError(f"Invalid eta values: {group['etas'][0]}, {group['etas'][1]}")

    def _update(self, group: dict[str, Any]) -> None:
        shrink, grow = group["etas"]
        smallest, largest = group["step_sizes"]
        _C.rprop_step(
            group["params"],
            self.state,
            float(group["lr"]),
            shrink,
            grow,
            smallest,
            largest,
            group["maximize"],
        )
