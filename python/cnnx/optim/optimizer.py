"""The base class of optimizers: parameter groups, state, saving and loading."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import cnnx

from .. import _C, cuda_graph, dtypes
from ..tensor import Tensor

Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


def check_range(what: str, value: Any, low: float, high: float = math.inf, below: bool = False) -> None:
    """Raises ValueError naming `what` unless value is in [low, high] (`below`: [low, high)) and finite."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"Invalid {what}: {value!r}") from None
    if not (math.isfinite(number) and low <= number and (number < high if below else number <= high)):
        raise ValueError(f"Invalid {what}: {value}")


def refuse(op: str, **options: bool) -> None:
    """Raises NotImplementedError for an option that is switched on."""
    for name, value in options.items():
        if value:
            raise NotImplementedError(f"{op}: {name}=True is not available")


class _Lists:
    """A group's parameters and state as the lists that the native update takes."""

    __slots__ = ("count", "params", "state", "states", "updated")

    def __init__(self, params: list[Tensor], state: dict[Tensor, Any], names: tuple[str, ...]) -> None:
        self.params = params
        self.count = len(params)
        self.state = state
        self.updated = len(state)
        entries = [state.get(p, {}) for p in params]
        self.states = [[entry.get(name) for entry in entries] for name in names]

    def fits(self, params: list[Tensor], state: dict[Tensor, Any]) -> bool:
        return (
            self.params is params
            and self.count == len(params)
            and self.state is state
            and self.updated == len(state)
        )


class Optimizer:
    """Base class of all optimizers.

    A subclass names its per-parameter state in ``_state_names`` and defines ``_update``, one native call per
    group.

    Parameters
    ----------
    params : iterable of Tensor, of dict, or of (str, Tensor)
        The parameters; or groups of them, each a dict with ``"params"`` and the options that differ.
    defaults : dict
        Options of groups that do not set them.

    Attributes
    ----------
    param_groups : list of dict
        The groups, each with ``"params"`` and all options; a change takes effect at the next step.
    state : dict
        State by parameter.

    Raises
    ------
    TypeError
        If `params` is a tensor, or something in it is none.
    ValueError
        If there is no parameter, one is the result of an op, or one is in two groups.
    """

    _state_names: tuple[str, ...] = ()
    _opt_called = False

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                + type(params).__name__
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._lists: dict[int, _Lists] = {}
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _check(self, group: dict[str, Any]) -> None:
        """Raises ValueError for an option that makes no sense."""
        check_range("learning rate", group["lr"], 0.0)
        check_range("weight_decay value", group["weight_decay"], 0.0)

    def _update(self, group: dict[str, Any], params: list[Tensor], states: list[list[Tensor | None]]) -> bool:
        """One native update of a group. True if it made state, which is then in `states`."""
        raise NotImplementedError

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of parameters, for example of a layer that is unfrozen later.

        Parameters
        ----------
        param_group : dict
            ``"params"`` and the options that differ from the defaults.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = dict(param_group)
        params = group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, (set, frozenset)):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of "
                "tensors in sets "
                "will change between runs. Please use a list instead."
            )
        params = list(params)
        if params and all(isinstance(p, tuple) and len(p) == 2 for p in params):
            group["param_names"] = [name for name, _ in params]
            params = [p for _, p in params]
        taken = {id(p) for other in self.param_groups for p in other["params"]}
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}"
                )
            if not param.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
            if id(param) in taken:
                raise ValueError("some parameters appear in more than one parameter group, or twice in one")
            taken.add(id(param))
        group["params"] = params
        for name, default in self.defaults.items():
            group.setdefault(name, default)
        self._check(group)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the gradients of all parameters, or sets them to zero.

        Parameters
        ----------
        set_to_none : bool
            Default: True.
        """
        for group in self.param_groups:
            _C.zero_grads(group["params"], set_to_none)

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
        self._opt_called = True
        self._update_groups()
        if (capture := cuda_graph.current()) is not None:
            capture.refresh_by(self._update_groups)
        return loss

    def _update_groups(self) -> None:
        for i, group in enumerate(self.param_groups):
            params = group["params"]
            lists = self._lists.get(i)
            if lists is None or not lists.fits(params, self.state):
                lists = self._lists[i] = _Lists(params, self.state, self._state_names)
            if self._update(group, params, lists.states):
                for name, values in zip(self._state_names, lists.states, strict=True):
                    for param, value in zip(params, values, strict=True):
                        if value is not None:
                            self.state[param][name] = value
                lists.updated = len(self.state)

    def state_dict(self) -> dict[str, Any]:
        """State and options, in PyTorch's form: parameters are numbered in the order of the groups.

        Returns
        -------
        dict
            ``"state"``: number to dict of tensors, sharing memory with the optimizer; ``"param_groups"``:
            options, with the numbers as ``"params"``.
        """
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for param in group["params"]:
                numbers.setdefault(id(param), len(numbers))
            packed = {name: value for name, value in group.items() if name != "params"}
            packed["params"] = [numbers[id(param)] for param in group["params"]]
            groups.append(packed)
        state = {numbers.get(id(param), param): entry for param, entry in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict` returned. Values are copied, and cast to the dtype of their parameter.

        Raises
        ------
        ValueError
            If the groups or their sizes differ. Nothing is changed then.
        """
        saved_groups = state_dict["param_groups"]
        if len(saved_groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            if len(group["params"]) != len(saved["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    "optimizer's group"
                )
        by_number = {
            number: param
            for group, saved in zip(self.param_groups, saved_groups, strict=True)
            for number, param in zip(saved["params"], group["params"], strict=True)
        }
        state: defaultdict[Tensor, Any] = defaultdict(dict)
        for number, entry in state_dict["state"].items():
            param = by_number.get(int(number) if isinstance(number, str) else number)
            if param is None:
                state[number] = entry
                continue
            state[param] = {name: self._load_value(name, value, param) for name, value in entry.items()}
        groups = []
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            loaded = {name: value for name, value in saved.items() if name != "params"}
            for name in ("betas",):  # JSON and its like know no tuples
                if isinstance(loaded.get(name), list):
                    loaded[name] = tuple(loaded[name])
            for name, default in self.defaults.items():
                loaded.setdefault(name, default)
            self._check(loaded)
            if "param_names" in group:
                loaded["param_names"] = group["param_names"]
            groups.append({"params": group["params"], **loaded})
        self.state = state
        self.param_groups[:] = groups
        self._lists.clear()

    @staticmethod
    def _load_value(name: str, value: Any, param: Tensor) -> Any:
        if name == "step":
            return cnnx.tensor(float(value), dtype=dtypes.float32, device="cpu")
        if isinstance(value, Tensor):
            return value.detach().clone().to(param.device, param.dtype)
        return value

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["_lists"] = {}
        return state

    def __repr__(self) -> str:
        text = type(self).__name__ + " ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            text += "".join(f"    {name}: {group[name]}\n" for name in sorted(group) if name != "params")
        return text + ")"
