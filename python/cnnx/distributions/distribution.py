"""The base class of distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from cnnx.autograd import no_grad
from cnnx.creation import tensor
from cnnx.dtypes import finfo
from cnnx.size import Size
from cnnx.tensor import Tensor

Sizes = Sequence[int]


class Distribution:
    """Many distributions of one kind side by side, one for each place of `batch_shape`.

    Parameters
    ----------
    batch_shape : sequence of int
        Of the parameters, broadcast.
    event_shape : sequence of int
        Of one draw; () for numbers.
    validate_args : bool, optional
        Whether parameters and values are checked. Default: True.
    """

    has_rsample: ClassVar[bool] = False
    """Whether `rsample` passes gradients to the parameters."""

    def __init__(
        self, batch_shape: Sizes = (), event_shape: Sizes = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        self._validate_args = True if validate_args is None else validate_args

    @property
    def batch_shape(self) -> Size:
        """Of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """Of one draw."""
        return self._event_shape

    @property
    def mean(self) -> Tensor:
        """The expected value."""
        raise NotImplementedError(f"{type(self).__name__} has no mean")

    @property
    def variance(self) -> Tensor:
        """The square of `stddev`."""
        raise NotImplementedError(f"{type(self).__name__} has no variance")

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def rsample(self, sample_shape: Sizes = ()) -> Tensor:
        """Draws as functions of the parameters, which get gradients: (*sample_shape, *batch_shape, ...)."""
        raise NotImplementedError(
            f"{type(self).__name__} has no rsample: its draws are no smooth function of its parameters"
        )

    def sample(self, sample_shape: Sizes = ()) -> Tensor:
        """Draws of shape (*sample_shape, *batch_shape, *event_shape), without history."""
        with no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability, or of its density, of values."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def entropy(self) -> Tensor:
        """In nats, of shape `batch_shape`."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy")

    def perplexity(self) -> Tensor:
        """The exponential of the entropy."""
        return self.entropy().exp()

    def _extended(self, sample_shape: Sizes) -> tuple[int, ...]:
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    def _require(self, holds: Tensor, what: str) -> None:
        """ValueError unless a condition holds for all elements."""
        if self._validate_args and not bool(holds.all()):
            raise ValueError(f"{type(self).__name__}: {what}")

    def __repr__(self) -> str:
        shapes = f"batch_shape={tuple(self._batch_shape)}, event_shape={tuple(self._event_shape)}"
        return f"{type(self).__name__}({shapes})"


def as_parameter(value: Any) -> Tensor:
    """A tensor as it is, a number as one."""
    return value if isinstance(value, Tensor) else tensor(float(value))


def logits_or_probs(op: str, probs: Any, logits: Any) -> tuple[Tensor, bool]:
    """Whichever of the two parameters is given, and whether it is the probabilities."""
    if (probs is None) == (logits is None):
        raise ValueError(f"{op}: needs either probs or logits")
    return as_parameter(probs if logits is None else logits), logits is None


def inside(probs: Tensor) -> Tensor:
    """Probabilities, 0 and 1 taken as a rounding error away from there."""
    tiny = finfo(probs.dtype).eps
    return probs.clamp(min=tiny, max=1 - tiny)
