"""Cells of recurrent layers: one step along a sequence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import cnnx

from .. import _C
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter, empty_parameter

States = tuple[Tensor, ...]


# One step: what the input gives to the gates, the states before, and the weight and bias of the hidden state.
def _tanh_step(gates: Tensor, states: States, weight: Tensor, bias: Tensor | None) -> States:
    return (_C.tanh(_C.add(gates, _C.linear(states[0], weight, bias))),)


def _relu_step(gates: Tensor, states: States, weight: Tensor, bias: Tensor | None) -> States:
    return (_C.relu(_C.add(gates, _C.linear(states[0], weight, bias))),)


def _lstm_step(gates: Tensor, states: States, weight: Tensor, bias: Tensor | None) -> States:
    hidden, cell = states
    gates = _C.add(gates, _C.linear(hidden, weight, bias))
    enter, forget, new, out = _C.split_copy(gates, cell.shape[-1], -1)
    kept = _C.mul(_C.sigmoid(forget), cell)
    cell = _C.add(kept, _C.mul(_C.sigmoid(enter), _C.tanh(new)))
    return _C.mul(_C.sigmoid(out), _C.tanh(cell)), cell


def _gru_step(gates: Tensor, states: States, weight: Tensor, bias: Tensor | None) -> States:
    (hidden,) = states
    size = hidden.shape[-1]
    reset, update, new = _C.split_copy(gates, size, -1)
    reset_h, update_h, new_h = _C.split_copy(_C.linear(hidden, weight, bias), size, -1)
    reset, update = _C.sigmoid(_C.add(reset, reset_h)), _C.sigmoid(_C.add(update, update_h))
    new = _C.tanh(_C.add(new, _C.mul(reset, new_h)))
    return (_C.add(new, _C.mul(update, _C.sub(hidden, new))),)


class Mode(NamedTuple):
    """A kind of recurrence: rows of its weights for each hidden number, its states, and one step."""

    gates: int
    states: int
    step: Callable[[Tensor, States, Tensor, Tensor | None], States]


MODES = {
    "RNN_TANH": Mode(1, 1, _tanh_step),
    "RNN_RELU": Mode(1, 1, _relu_step),
    "LSTM": Mode(4, 2, _lstm_step),
    "GRU": Mode(3, 1, _gru_step),
}


def rnn_mode(op: str, nonlinearity: str) -> str:
    """The mode of a plain recurrence.

    Raises
    ------
    ValueError
        If the nonlinearity is not "tanh" or "relu".
    """
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{op}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return f"RNN_{nonlinearity.upper()}"


def draw_uniform(module: Module, hidden_size: int) -> None:
    """Draws all parameters of a module anew, uniform within 1 / sqrt(hidden_size)."""
    bound = 1 / math.sqrt(hidden_size) if hidden_size > 0 else 0.0
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound)


class RNNCellBase(Module):
    """What `RNNCell`, `LSTMCell` and `GRUCell` share.

    Parameters
    ----------
    input_size : int
        Features of the input.
    hidden_size : int
        Features of the hidden state.
    bias : bool
        Whether there are biases.
    num_chunks : int
        Rows of the weights for each hidden feature.
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.
    """

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = empty_parameter(device, dtype, rows, input_size)
        self.weight_hh = empty_parameter(device, dtype, rows, hidden_size)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, empty_parameter(device, dtype, rows) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        draw_uniform(self, self.hidden_size)

    def extra_repr(self) -> str:
        """Sizes, and what differs from the defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        if not self.bias:
            text += f", bias={self.bias}"
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return text if nonlinearity == "tanh" else f"{text}, nonlinearity={nonlinearity}"

    def _stepped(self, mode: Mode, input: Tensor, given: States | None) -> States:
        """The states after an input (N, input_size) or (input_size,); those before are zeros by default."""
        op = type(self).__name__
        if input.ndim not in (1, 2):
            raise ValueError(f"{op}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(f"{op}: input has {input.shape[-1]} features, expected {self.input_size}")
        wanted = (*input.shape[:-1], self.hidden_size)
        if given is None:
            zeros = cnnx.zeros(*wanted, dtype=input.dtype, device=input.device)
            given = (zeros,) * mode.states
        for state in given:
            if state.ndim not in (1, 2):
                raise ValueError(f"{op}: Expected hidden to be 1D or 2D, got {state.ndim}D instead")
            if tuple(state.shape) != wanted:
                raise RuntimeError(f"{op}: hidden has shape {tuple(state.shape)}, expected {wanted}")
        is_one = input.ndim == 1
        if is_one:
            input, given = input.unsqueeze(0), tuple(state.unsqueeze(0) for state in given)
        gates = _C.linear(input, self.weight_ih, self.bias_ih)
        states = mode.step(gates, given, self.weight_hh, self.bias_hh)
        return tuple(state.squeeze(0) for state in states) if is_one else states


class RNNCell(RNNCellBase):
    """One step of a plain recurrence: ``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)``.

    Parameters
    ----------
    input_size : int
        Features of the input.
    hidden_size : int
        Features of the hidden state.
    bias : bool
        Default: True.
    nonlinearity : str
        "tanh" or "relu". Default: "tanh".
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.

    Attributes
    ----------
    weight_ih, weight_hh : Parameter
        (hidden_size, input_size) and (hidden_size, hidden_size), uniform within 1 / sqrt(hidden_size).
    bias_ih, bias_hh : Parameter or None
        (hidden_size,), the same distribution.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.RNNCell(10, 20)(cnnx.zeros(3, 10), cnnx.zeros(3, 20)).shape
    cnnx.Size([3, 20])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        rnn_mode("RNNCell", nonlinearity)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(N, input_size) or (input_size,), and the state before, zeros by default, to the state."""
        mode = MODES[rnn_mode("RNNCell", self.nonlinearity)]
        return self._stepped(mode, input, None if hx is None else (hx,))[0]


class LSTMCell(RNNCellBase):
    """One step of a long short-term memory.

    The gates i, f and o are the sigmoid, and g the tanh, of ``W_ih x + b_ih + W_hh h + b_hh`` in the order
    i, f, g, o; ``c' = f c + i g`` and ``h' = o tanh(c')``.

    Parameters
    ----------
    input_size : int
        Features of the input.
    hidden_size : int
        Features of the hidden state.
    bias : bool
        Default: True.
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.

    Attributes
    ----------
    weight_ih, weight_hh : Parameter
        (4 hidden_size, input_size) and (4 hidden_size, hidden_size), uniform within 1 / sqrt(hidden_size).
    bias_ih, bias_hh : Parameter or None
        (4 hidden_size,), the same distribution.

    Notes
    -----
    Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997).

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> hidden, cell = nn.LSTMCell(10, 20)(cnnx.zeros(3, 10))
    >>> hidden.shape, cell.shape
    (cnnx.Size([3, 20]), cnnx.Size([3, 20]))
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """(N, input_size) or (input_size,), and (h, c) before, zeros by default, to (h, c)."""
        if hx is not None and len(hx) != 2:
            raise ValueError(f"LSTMCell: hx must be a pair (h, c), got {len(hx)} tensors")
        hidden, cell = self._stepped(MODES["LSTM"], input, None if hx is None else tuple(hx))
        return hidden, cell


class GRUCell(RNNCellBase):
    """One step of a gated recurrent unit.

    Of the products of the input and of the hidden state, in the order r, z, n: ``r = sigmoid(x_r + h_r)``,
    ``z = sigmoid(x_z + h_z)``, ``n = tanh(x_n + r h_n)`` and ``h' = (1 - z) n + z h``.

    Parameters
    ----------
    input_size : int
        Features of the input.
    hidden_size : int
        Features of the hidden state.
    bias : bool
        Default: True.
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.

    Attributes
    ----------
    weight_ih, weight_hh : Parameter
        (3 hidden_size, input_size) and (3 hidden_size, hidden_size), uniform within 1 / sqrt(hidden_size).
    bias_ih, bias_hh : Parameter or None
        (3 hidden_size,), the same distribution.

    Notes
    -----
    Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014; `r` acts behind the
    product, as in PyTorch and cuDNN.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.GRUCell(10, 20)(cnnx.zeros(10)).shape
    cnnx.Size([20])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(N, input_size) or (input_size,), and the state before, zeros by default, to the state."""
        return self._stepped(MODES["GRU"], input, None if hx is None else (hx,))[0]
