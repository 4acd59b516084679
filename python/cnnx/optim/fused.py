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


def check_betas(betas: Any) -> None:
    """Raises ValueError unless these are two numbers in [0, 1)."""
    if len(betas) != 2:
        raise ValueError(f"Invalid betas: {betas}")
    for i, beta in enumerate(betas):
        check_range(f"beta parameter at index {i}", beta, 0.0, 1.0, below=True)


class FusedOptimizer(Optimizer):
    """Base class of the optimizers of cnnx. A subclass defines `_update` and adds to `_check`.

    Nothing is kept beside ``param_groups`` and ``state``: each step reads them. State that is missing, of a
    parameter or a single value, starts anew.
    """

    #: Names of states that are one number, on the CPU wherever the parameter is.
    _numbers: tuple[str, ...] = ("step",)

    #: Whether `_update` is made of native updates, whose numbers a replay of a CUDA graph takes anew.
    _is_native = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.step is FusedOptimizer.step:  # an own one may well call a method of that name
            refuse_overrides(cls, {"_init_group": "define step instead, or edit the state"})

    def _check(self, group: dict[str, Any]) -> None:
        check_range("learning rate", group["lr"], 0.0)
        check_range("weight_decay value", group.get("weight_decay", 0), 0.0)
        check_range("epsilon value", group.get("eps", 0), 0.0)
        check_betas(group.get("betas", (0, 0)))
        if group.get("differentiable"):
            raise NotImplementedError(f"{type(self).__name__}: differentiable=True is not available")
        if group.get("foreach") and group.get("fused"):
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")

    def _update(self, group: dict[str, Any]) -> None:
        """One update of a group."""
        raise NotImplementedError

    def _entry(self, param: Tensor) -> Any:
        """The state of a parameter, which is made where there is none."""
        try:
            return self.state[param]
        except KeyError:  # of a plain dict
            self.state[param] = {}
            return self.state[param]

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
            if not self._is_native:
                raise RuntimeError(
                    f"{type(self).__name__}: a CUDA graph cannot hold a step, whose numbers differ each time"
                )
            params = [p for group in self.param_groups for p in group["params"]]
            capture.optimizer_step(type(self).__name__, self._update_groups, params)
        else:
            self._update_groups()
        return loss

    def _update_groups(self) -> None:
        for group in self.param_groups:
            self._update(group)

    def _loaded(self, value: Any, param: Tensor, key: Any) -> Any:
        if key in self._numbers:  # no tensor in old files
            dtype = dtypes.float32 if key == "step" else param.dtype
            return cnnx.tensor(float(value), dtype=dtype, device="cpu")
        return super()._loaded(value, param, key)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, default in self.defaults.items():
                group.setdefault(name, default)
