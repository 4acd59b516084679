"""Recurrent layers: RNN, LSTM and GRU."""

from __future__ import annotations

import warnings
from typing import Any

import cnnx

from .. import _C
from ..tensor import Tensor
from . import functional as F
from .module import Module
from .parameter import Parameter, empty_parameter
from .recurrent_cells import MODES, States, draw_uniform, rnn_mode
from .utils.rnn import PackedSequence, padded_steps


class RNNBase(Module):
    """What `RNN`, `LSTM` and `GRU` share.

    Parameters
    ----------
    mode : str
        "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".
    input_size, hidden_size : int
        Features of the input and of the hidden state.
    num_layers : int
        Layers, each of which reads the outputs of the one before. Default: 1.
    bias : bool
        Default: True.
    batch_first : bool
        Whether inputs and outputs are (N, L, features) instead of (L, N, features). Default: False.
    dropout : float
        The probability by which elements of what a layer gives to the next are dropped. Default: 0.
    bidirectional : bool
        Whether each layer also goes through the sequence from its end. Default: False.
    proj_size : int
        Of an LSTM: features that the hidden state is projected to; 0 for none. Default: 0.
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.

    Raises
    ------
    ValueError
        If a size or the dropout is out of range, or the mode unknown.
    TypeError
        If `input_size` or `hidden_size` is no int.
    """

    mode: str
    bias: bool
    bidirectional: bool
    proj_size: int

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        op = type(self).__name__
        if mode not in MODES:
            raise ValueError(f"{op}: mode must be one of {', '.join(MODES)}, got {mode!r}")
        chance: Any = dropout
        if isinstance(chance, bool) or not isinstance(chance, (int, float)) or not 0 <= chance <= 1:
            raise ValueError(f"{op}: dropout must be a probability within [0, 1], got {dropout!r}")
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if not isinstance(size, int):
                raise TypeError(f"{op}: {name} must be int, got {type(size).__name__}")
        if min(input_size, hidden_size, num_layers) <= 0:
            raise ValueError(
                f"{op}: input_size, hidden_size and num_layers must be above 0, got {input_size}, "
                f"{hidden_size} and {num_layers}"
            )
        if proj_size and mode != "LSTM":
            raise ValueError(f"{op}: proj_size is for LSTM alone")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"{op}: proj_size must be within [0, {hidden_size}), got {proj_size}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"{op}: dropout acts between layers, and there is but one (dropout={dropout}, num_layers=1)",
                stacklevel=3,
            )
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        rows, size = MODES[mode].gates * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else size * self._directions
            for end in self._ends(layer):
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width), "weight_hh": (rows, size)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for name, shape in shapes.items():
                    setattr(self, name + end, empty_parameter(device, dtype, *shape))
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _ends(self, layer: int) -> list[str]:
        """What the names of a layer's parameters end with, for each direction."""
        return [f"_l{layer}{direction}" for direction in ("", "_reverse")[: self._directions]]

    def _names(self, end: str) -> list[str]:
        names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else [])]
        return [name + end for name in (names if not self.proj_size else [*names, "weight_hr"])]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, a list for each layer and direction."""
        ends = (end for layer in range(self.num_layers) for end in self._ends(layer))
        return [[getattr(self, name) for name in self._names(end)] for end in ends]

    def flatten_parameters(self) -> None:
        """Does nothing: PyTorch puts the parameters side by side for cuDNN, here each has its own memory."""

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        draw_uniform(self, self.hidden_size)

    def extra_repr(self) -> str:
        """Sizes, and what differs from the defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {
            "proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
            "bidirectional": False,
        }  # fmt: skip
        for name, default in defaults.items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> tuple[Any, Any]:
        """The outputs of the last layer at all times, and the last states of all layers and directions.

        Parameters
        ----------
        input : Tensor or PackedSequence
            (L, N, input_size), with `batch_first` (N, L, input_size); of one sequence (L, input_size).
        hx : Tensor or tuple of Tensor, optional
            The states before: (num_layers * directions, N, hidden_size), without N of one sequence; of an
            LSTM a pair, the first of `proj_size` features if there is a projection. Default: zeros.

        Returns
        -------
        output : Tensor or PackedSequence
            As the input, of directions * hidden_size features (`proj_size`, if there is a projection).
        hx : Tensor or tuple of Tensor
            As that which is given.
        """
        op = type(self).__name__
        if isinstance(input, PackedSequence):
            data, masks, pack = padded_steps(input)
            states = self._begin(op, data, hx, 3)
            if input.sorted_indices is not None:
                states = tuple(_C.index_select(state, 1, input.sorted_indices) for state in states)
            output, states = self._pass(data, states, masks)
            if input.unsorted_indices is not None:
                states = tuple(_C.index_select(state, 1, input.unsorted_indices) for state in states)
            return pack(output), self._as_given(states)
        if not isinstance(input, Tensor):
            raise TypeError(f"{op}: input must be a Tensor or a PackedSequence, got {type(input).__name__}")
        if input.ndim not in (2, 3):
            raise ValueError(f"{op}: Expected input to be 2D or 3D, got {input.ndim}D instead")
        is_one, turned = input.ndim == 2, self.batch_first and input.ndim == 3
        data = _C.unsqueeze(input, 1) if is_one else _C.transpose(input, 0, 1) if turned else input
        states = self._begin(op, data, hx, input.ndim)
        output, states = self._pass(data, states, None)
        if is_one:
            states = tuple(_C.squeeze(state, [1]) for state in states)
            return _C.squeeze(output, [1]), self._as_given(states)
        return _C.transpose(output, 0, 1) if turned else output, self._as_given(states)

    def _begin(self, op: str, data: Tensor, hx: Any, ndim: int) -> States:
        """The states (layers * directions, N, features) to begin with, after checks of all that is given."""
        length, batch, width = data.shape
        weight = getattr(self, self._names("_l0")[0])
        if data.dtype != weight.dtype:
            raise ValueError(f"{op}: the input is {data.dtype}, the weights are {weight.dtype}")
        if width != self.input_size:
            raise RuntimeError(f"{op}: input has {width} features, expected {self.input_size}")
        if length == 0:
            raise RuntimeError(f"{op}: a sequence must have a length above 0")
        count = self.num_layers * self._directions
        features = (self.proj_size or self.hidden_size, self.hidden_size)[: MODES[self.mode].states]
        if hx is None:
            return tuple(
                cnnx.zeros(count, batch, size, dtype=data.dtype, device=data.device) for size in features
            )
        if len(features) == 2 and not (isinstance(hx, (tuple, list)) and len(hx) == 2):
            raise TypeError(f"{op}: hx must be a pair (h_0, c_0)")
        states = tuple(hx) if len(features) == 2 else (hx,)
        for state, size in zip(states, features, strict=True):
            wanted = (count, batch, size) if ndim == 3 else (count, size)
            if tuple(state.shape) != wanted:
                raise RuntimeError(f"{op}: hx has shape {tuple(state.shape)}, expected {wanted}")
        return states if ndim == 3 else tuple(_C.unsqueeze(state, 1) for state in states)

    def _as_given(self, states: States) -> Any:
        return states if len(states) > 1 else states[0]

    def _pass(self, data: Tensor, states: States, masks: list[Tensor] | None) -> tuple[Tensor, States]:
        """All layers: (L, N, features) and the first states, to the outputs and the last states."""
        before = [_C.split_copy(state, 1, 0) for state in states]
        after: list[States] = []
        for layer in range(self.num_layers):
            if layer > 0 and self.dropout > 0:
                data = F.dropout(data, self.dropout, self.training)
            outputs = []
            for end in self._ends(layer):
                at = len(after)
                output, last = self._one_way(end, data, tuple(state[at] for state in before), masks)
                outputs.append(output)
                after.append(last)
            data = outputs[0] if len(outputs) == 1 else _C.cat(outputs, 2)
        return data, tuple(_C.cat(list(parts), 0) for parts in zip(*after, strict=True))

    def _one_way(
        self, end: str, data: Tensor, states: States, masks: list[Tensor] | None
    ) -> tuple[Tensor, States]:
        """One layer in one direction; what the input gives to the gates is one product for all times."""
        step = MODES[self.mode].step
        bias_ih, bias_hh = (
            (getattr(self, "bias_ih" + end), getattr(self, "bias_hh" + end)) if self.bias else (None, None)
        )
        weight = getattr(self, "weight_hh" + end)
        project = getattr(self, "weight_hr" + end) if self.proj_size else None
        gates = _C.split_copy(_C.linear(data, getattr(self, "weight_ih" + end), bias_ih), 1, 0)
        order = range(len(gates))
        outputs = list(gates)
        for t in reversed(order) if end.endswith("_reverse") else order:
            new = step(gates[t], states, weight, bias_hh)
            if project is not None:
                new = (_C.linear(new[0], project, None), *new[1:])
            if masks is not None:  # a sequence that is over, or has not begun from its end, stays as it is
                new = tuple(_C.where(masks[t], a, b) for a, b in zip(new, states, strict=True))
            states = new
            outputs[t] = states[0]
        return _C.cat(outputs, 0), states


class RNN(RNNBase):
    """Plain recurrence: ``h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)``, in one or more layers.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input and of the hidden state.
    num_layers : int
        Layers, each of which reads the outputs of the one before. Default: 1.
    nonlinearity : str
        "tanh" or "relu". Default: "tanh".
    bias : bool
        Default: True.
    batch_first : bool
        Whether inputs and outputs are (N, L, features) instead of (L, N, features). Default: False.
    dropout : float
        The probability by which elements of what a layer gives to the next are dropped. Default: 0.
    bidirectional : bool
        Whether each layer also goes through the sequence from its end. Default: False.
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.

    Attributes
    ----------
    weight_ih_l[k], weight_hh_l[k] : Parameter
        Of layer k: (hidden_size, features of its input) and (hidden_size, hidden_size), uniform within
        1 / sqrt(hidden_size); with ``_reverse`` behind, of the other direction.
    bias_ih_l[k], bias_hh_l[k] : Parameter
        (hidden_size,), the same distribution.

    Notes
    -----
    Elman, "Finding structure in time", Cognitive Science 14 (1990).

    `onnx.export` with its default `dynamic_batch=True` takes the first dimension as the batch: it needs
    `batch_first=True`; with (L, N, features) export with `dynamic_batch=False`, for one size.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> output, hidden = nn.RNN(10, 20, num_layers=2)(cnnx.zeros(5, 3, 10))
    >>> output.shape, hidden.shape
    (cnnx.Size([5, 3, 20]), cnnx.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            rnn_mode("RNN", nonlinearity), input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, 0, device, dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory, in one or more layers.

    At each time the gates i, f and o are the sigmoid, and g the tanh, of ``W_ih x + b_ih + W_hh h + b_hh`` in
    the order i, f, g, o; ``c' = f c + i g`` and ``h' = o tanh(c')``, with a projection ``W_hr`` of that.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input and of the states.
    num_layers : int
        Layers, each of which reads the outputs of the one before. Default: 1.
    bias : bool
        Default: True.
    batch_first : bool
        Whether inputs and outputs are (N, L, features) instead of (L, N, features). Default: False.
    dropout : float
        The probability by which elements of what a layer gives to the next are dropped. Default: 0.
    bidirectional : bool
        Whether each layer also goes through the sequence from its end. Default: False.
    proj_size : int
        Features that h is projected to; 0 for none. Default: 0.
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.

    Attributes
    ----------
    weight_ih_l[k], weight_hh_l[k] : Parameter
        Of layer k: (4 hidden_size, features of its input) and (4 hidden_size, features of h), uniform within
        1 / sqrt(hidden_size); with ``_reverse`` behind, of the other direction.
    bias_ih_l[k], bias_hh_l[k] : Parameter
        (4 hidden_size,), the same distribution.
    weight_hr_l[k] : Parameter
        (proj_size, hidden_size), the same distribution, if there is a projection.

    Notes
    -----
    Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997).

    `onnx.export` with its default `dynamic_batch=True` takes the first dimension as the batch: it needs
    `batch_first=True`; with (L, N, features) export with `dynamic_batch=False`, for one size.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> lstm = nn.LSTM(10, 20, batch_first=True, bidirectional=True)
    >>> output, (hidden, cell) = lstm(cnnx.zeros(3, 5, 10))
    >>> output.shape, hidden.shape, cell.shape
    (cnnx.Size([3, 5, 40]), cnnx.Size([2, 3, 20]), cnnx.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
            device, dtype,
        )  # fmt: skip


class GRU(RNNBase):
    """Gated recurrent unit, in one or more layers.

    Of the products of the input and of the hidden state, in the order r, z, n: ``r = sigmoid(x_r + h_r)``,
    ``z = sigmoid(x_z + h_z)``, ``n = tanh(x_n + r h_n)`` and ``h' = (1 - z) n + z h``.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input and of the hidden state.
    num_layers : int
        Layers, each of which reads the outputs of the one before. Default: 1.
    bias : bool
        Default: True.
    batch_first : bool
        Whether inputs and outputs are (N, L, features) instead of (L, N, features). Default: False.
    dropout : float
        The probability by which elements of what a layer gives to the next are dropped. Default: 0.
    bidirectional : bool
        Whether each layer also goes through the sequence from its end. Default: False.
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.

    Attributes
    ----------
    weight_ih_l[k], weight_hh_l[k] : Parameter
        Of layer k: (3 hidden_size, features of its input) and (3 hidden_size, hidden_size), uniform within
        1 / sqrt(hidden_size); with ``_reverse`` behind, of the other direction.
    bias_ih_l[k], bias_hh_l[k] : Parameter
        (3 hidden_size,), the same distribution.

    Notes
    -----
    Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014; `r` acts behind the
    product, as in PyTorch and cuDNN.

    `onnx.export` with its default `dynamic_batch=True` takes the first dimension as the batch: it needs
    `batch_first=True`; with (L, N, features) export with `dynamic_batch=False`, for one size.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> output, hidden = nn.GRU(10, 20)(cnnx.zeros(5, 10))
    >>> output.shape, hidden.shape
    (cnnx.Size([5, 20]), cnnx.Size([1, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device,
            dtype,
        )  # fmt: skip
