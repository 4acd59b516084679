"""What the optimizers of cnnx have in common: a step is one native call for each group."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cnnx

from .. import cuda_graph, dtypes
from ..overrides import refuse_overrides
from ..tensor import Tensor
from .optimizer import Optimizer


def check_range(what: str, value: Any, low: float, high: float = math.inf, below: bool = False) -> None:
    """Raises ValueError naming `what` unless value is in [low, high] (`below`: [low, high)) and finite."""
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"Invalid {what}: {value!r}") from None
    if not (math.isfinite(number) and low <= number and (number < high if below else number <= high)):
        raise ValueError(f"Invalid {what}: {value}")


class FusedOptimizer(Optimizer):
    """Base class of the optimizers of cnnx. A subclass defines `_update` and adds to `_check`.

    Nothing is kept beside ``param_groups`` and ``state``: each step reads them. State that is missing, of a
    parameter or a single value, starts anew.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.step is FusedOptimizer.step:  # an own one may well call a method of that name
            refuse_overrides(cls, {"_init_group": "define step instead, or edit the state"})

    def _check(self, group: dict[str, Any]) -> None:
        check_range("learning rate", group["lr"], 0.0)
        check_range("weight_decay value", group["weight_decay"], 0.0)
        if group["differentiable"]:
            raise NotImplementedError(f"{type(self).__name__}: differentiable=True is not available")
        if group["foreach"] and group.get("fused"):
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")

    def _update(self, group: dict[str, Any]) -> None:
        """One native update of a group."""
        raise NotImplementedError

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates all parameters that have a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients; called first.

        Returns
        -------
        What `closure` returned, or None.
        """
        loss = None
        if closure is not None:
            with cnnx.enable_grad():
                loss = closure()
        if (capture := cuda_graph.current()) is not None:
            params = [p for group in self.param_groups for p in group["params"]]
            capture.optimizer_step(type(self).__name__, self._update_groups, params)
        else:
            self._update_groups()
        return loss

    def _update_groups(self) -> None:
        for group in self.param_groups:
            self._update(group)

    def _loaded(self, value: Any, param: Tensor, key: Any) -> Any:
        if key == "step":  # a number in old files
            return cnnx.tensor(float(value), dtype=dtypes.float32, device="cpu")
        return super()._loaded(value, param, key)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, default in self.defaults.items():
                group.setdefault(name, default)
