"""A factor on the loss that keeps small gradients from vanishing, found while a net trains."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import cnnx

from . import noting
from .optim.fused import check_range
from .optim.optimizer import Optimizer
from .performance import warn_caller
from .tensor import Tensor


class _Checked:
    """What is known of an optimizer since the last `update`."""

    def __init__(self, found_inf: list[Tensor]) -> None:
        self.found_inf = found_inf
        self.stepped = False


class GradScaler:
    """Scales a loss before its gradients are taken, and skips steps whose gradients are not finite.

    Gradients of float32 do not need it: it is here for scripts that have it, and does in them what PyTorch's
    does. Scales are powers of two unless they are set otherwise, so a gradient that stays in the range of
    float32 is scaled and unscaled without rounding, and a step is the same with and without.

    Parameters
    ----------
    device : str
        ``"cuda"`` or ``"cpu"``. Without a GPU a scaler for "cuda" says so in a warning and is not enabled.
        Default: "cuda".
    init_scale : float
        The first factor. Default: 65536.
    growth_factor : float
        Times the factor after `growth_interval` steps in a row that were made. Default: 2.
    backoff_factor : float
        Times the factor after a step that was skipped. Default: 0.5.
    growth_interval : int
        Default: 2000.
    enabled : bool
        Default: True. Otherwise `step` is the optimizer's, and nothing else does anything.

    Raises
    ------
    ValueError
        If the growth factor is not above 1 or the backoff factor not below it.
    RuntimeError
        If methods are called in an order that makes no sense, or `step` with a closure.

    Notes
    -----
    Micikevicius et al., "Mixed precision training" (2018). `step` looks at the gradients, so a GPU is waited
    for. A plan cannot hold the scaler: a function with one runs as it is, and a warning says so.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import amp, nn, optim
    >>> p = nn.Parameter(cnnx.ones(1))
    >>> opt, scaler = optim.SGD([p], lr=0.25), amp.GradScaler("cpu")
    >>> for factor in (3.0, float("inf")):
    ...     opt.zero_grad()
    ...     scaler.scale((p * factor).sum()).backward()
    ...     scaler.step(opt)  # the second is skipped
    ...     scaler.update()
    >>> p.item(), scaler.get_scale()
    (0.25, 32768.0)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if device not in ("cuda", "cpu"):
            raise ValueError(f"GradScaler: device must be 'cuda' or 'cpu', got {device!r}")
        if not isinstance(enabled, bool):
            raise TypeError(f"GradScaler: enabled must be a bool, got {enabled!r}")
        self._device = device
        self._enabled = enabled
        if enabled and device == "cuda" and not cnnx.cuda.is_available():
            warn_caller("GradScaler: there is no CUDA device, so it is not enabled", UserWarning)
            self._enabled = False
        check_range("init_scale", init_scale, 0.0)
        self._init_scale = float(init_scale)
        # On the device of the first loss, so that what is captured or noted sees what they are by then.
        self._scale: Tensor | None = None
        self._growth_tracker = 0
        self._optimizers: dict[int, _Checked] = {}
        self.set_growth_factor(growth_factor)
        self.set_backoff_factor(backoff_factor)
        self.set_growth_interval(growth_interval)

    def scale(self, outputs: Any) -> Any:
        """The loss, or each tensor of a list, tuple or other iterable of them, times the factor.

        Raises
        ------
        ValueError
            If it is none of these.
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._scale = cnnx.full((), self._init_scale, dtype=cnnx.float32, device=outputs.device)
            return outputs * self._scale.to(outputs.device)
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(t) for t in outputs)
        if isinstance(outputs, Iterable):
            return map(self.scale, outputs)
        raise ValueError("GradScaler: outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divides the gradients of an optimizer's parameters by the factor, to clip them for example.

        Once between two calls of `update`, and before `step`, which otherwise does it.
        """
        if not self._enabled:
            return
        scale = self._known("unscale_")
        state = self._optimizers.get(id(optimizer))
        if state is not None:
            raise RuntimeError(
                "unscale_() is being called after step()."
                if state.stepped
                else "unscale_() has already been called on this optimizer since the last update()."
            )
        grads: dict[str, list[Tensor]] = {}
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    grads.setdefault(str(p.grad.device), []).append(p.grad)
        found = []
        with cnnx.no_grad():
            for on_device in grads.values():
                device = on_device[0].device
                factor = (1 / scale.double()).float().to(device)
                found.append(~cnnx.stack([g.isfinite().all() for g in on_device]).all())
                for g in on_device:
                    g.mul_(factor)
        self._optimizers[id(optimizer)] = _Checked(found)

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Calls `unscale_`, unless that was done, and ``optimizer.step()`` if all gradients are finite.

        Parameters
        ----------
        optimizer : Optimizer
            Whose step it is.
        *args, **kwargs
            For its `step`; no closure.

        Returns
        -------
        What the optimizer's step returned, None where it was skipped.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or any(map(callable, args)):
            raise RuntimeError("GradScaler: step: a closure cannot be used while scaling is enabled")
        if getattr(optimizer, "_step_supports_amp_scaling", False):
            raise NotImplementedError(
                f"GradScaler: step: {type(optimizer).__name__} would scale by itself, which is not available"
            )
        self._known("step")
        if id(optimizer) not in self._optimizers:
            self.unscale_(optimizer)
        state = self._optimizers[id(optimizer)]
        if state.stepped:
            raise RuntimeError("step() has already been called since the last update().")
        if not state.found_inf:
            raise RuntimeError("GradScaler: step: no parameter of the optimizer has a gradient")
        result = None
        if not any(bool(found) for found in state.found_inf):
            result = optimizer.step(*args, **kwargs)
        state.stepped = True
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Changes the factor by what the steps since the last call have found.

        Parameters
        ----------
        new_scale : float or Tensor, optional
            The factor from now on, instead.
        """
        if not self._enabled:
            return
        scale = self._known("update")
        if new_scale is not None:
            number = new_scale.item() if isinstance(new_scale, Tensor) else new_scale
            check_range("new_scale", number, 0.0)
            scale.fill_(float(number))
        else:
            found = [f for state in self._optimizers.values() for f in state.found_inf]
            if not found:
                raise RuntimeError("GradScaler: update: no gradients were looked at since the last call")
            if any(bool(f) for f in found):
                scale.mul_(self._backoff_factor)
                self._growth_tracker = 0
            else:
                self._growth_tracker += 1
                if self._growth_tracker == self._growth_interval:
                    grown = scale * self._growth_factor
                    if bool(grown.isfinite()):
                        scale.copy_(grown)
                    self._growth_tracker = 0
        self._optimizers.clear()

    def get_scale(self) -> float:
        """The factor; 1 if scaling is not enabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else self._scale.item()

    def get_growth_factor(self) -> float:
        """The growth factor."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Sets the growth factor, which must be above 1."""
        check_range("growth_factor", new_factor, 0.0)
        if new_factor <= 1.0:
            raise ValueError(f"GradScaler: the growth factor must be above 1, got {new_factor}")
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """The backoff factor."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Sets the backoff factor, which must be below 1."""
        check_range("backoff_factor", new_factor, 0.0)
        if new_factor >= 1.0:
            raise ValueError(f"GradScaler: the backoff factor must be below 1, got {new_factor}")
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """The steps after which the factor grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Sets the steps after which the factor grows."""
        check_range("growth_interval", new_interval, 1.0, math.inf)
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether it does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The factor, the options and the steps since it has changed; empty if scaling is not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict` returned; nothing if scaling is not enabled.

        Raises
        ------
        RuntimeError
            If it is empty, from a scaler that was not enabled.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "GradScaler: load_state_dict: the state is empty, as that of a scaler that was not enabled"
            )
        self._init_scale = float(state_dict["scale"])
        if self._scale is not None:
            self._scale.fill_(self._init_scale)
        self.set_growth_factor(state_dict["growth_factor"])
        self.set_backoff_factor(state_dict["backoff_factor"])
        self.set_growth_interval(state_dict["growth_interval"])
        self._growth_tracker = int(state_dict["_growth_tracker"])

    def _known(self, method: str) -> Tensor:
        """The factor, which the first `scale` has put on a device."""
        noting.refuse("a GradScaler looks at gradients before it decides on a step")
        if self._scale is None:
            raise RuntimeError(f"GradScaler: {method}: scale() has not been called yet")
        return self._scale

    def __getstate__(self) -> dict[str, Any]:
        if self._optimizers:
            raise RuntimeError("GradScaler: it can be copied and pickled after update() alone")
        return {**self.__dict__, "_init_scale": self.get_scale() if self._enabled else 1.0, "_scale": None}
