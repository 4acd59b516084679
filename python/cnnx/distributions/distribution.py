"""The base class of distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from cnnx.autograd import no_grad
from cnnx.creation import arange, tensor
from cnnx.dtypes import finfo
from cnnx.shaping import broadcast_tensors
from cnnx.size import Size
from cnnx.tensor import Tensor

Sizes = Sequence[int]
Own = TypeVar("Own", bound="Distribution")


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
    def mode(self) -> Tensor:
        """The likeliest value."""
        raise NotImplementedError(f"{type(self).__name__} has no mode")

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

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a number up to `value`."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The number up to which the probability is `value`."""
        raise NotImplementedError(f"{type(self).__name__} has no icdf")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values there are, along a first dimension; with `expand` for each place of `batch_shape`."""
        raise NotImplementedError(f"{type(self).__name__} has not finitely many values")

    def expand(self: Own, batch_shape: Sizes, _instance: Any = None) -> Own:
        """The same for more places: of this `batch_shape`."""
        new: Own = type(self).__new__(type(self)) if _instance is None else _instance
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                value = value.expand(*batch_shape, *value.shape[len(self._batch_shape) :])
            elif isinstance(value, Distribution):
                value = value.expand((*batch_shape, *value._batch_shape[len(self._batch_shape) :]))
            setattr(new, name, value)
        new._batch_shape = Size(batch_shape)
        return new

    def entropy(self) -> Tensor:
        """In nats, of shape `batch_shape`."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy")

    def perplexity(self) -> Tensor:
        """The exponential of the entropy."""
        return self.entropy().exp()

    def _extended(self, sample_shape: Sizes) -> tuple[int, ...]:
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    def _enumerated(self, count: int, like: Tensor, expand: bool) -> Tensor:
        """0, 1, ... as `enumerate_support` gives them."""
        values = arange(count, dtype=like.dtype, device=like.device)
        values = values.reshape(count, *(1 for _ in self._batch_shape))
        return values.expand(count, *self._batch_shape) if expand else values

    def _require(self, holds: Tensor, what: str) -> None:
        """ValueError unless a condition holds for all elements."""
        if self._validate_args and not bool(holds.all()):
            raise ValueError(f"{type(self).__name__}: {what}")

    def __repr__(self) -> str:
        shapes = f"batch_shape={tuple(self._batch_shape)}, event_shape={tuple(self._event_shape)}"
        return f"{type(self).__name__}({shapes})"


def broadcast(*values: Any) -> tuple[Tensor, ...]:
    """Parameters of one shape; numbers have the dtype and device of the first tensor."""
    like = next((value for value in values if isinstance(value, Tensor)), None)
    return broadcast_tensors(*(as_parameter(value, like) for value in values))


def as_parameter(value: Any, like: Tensor | None = None) -> Tensor:
    """A tensor as it is, a number as one."""
    if isinstance(value, Tensor):
        return value
    if like is None:
        return tensor(float(value))
    return tensor(float(value), dtype=like.dtype, device=like.device)


def logits_or_probs(op: str, probs: Any, logits: Any) -> tuple[Tensor, bool]:
    """Whichever of the two parameters is given, and whether it is the probabilities."""
    if (probs is None) == (logits is None):
        raise ValueError(f"{op}: needs either probs or logits")
    return as_parameter(probs if logits is None else logits), logits is None


def inside(probs: Tensor) -> Tensor:
    """Probabilities, 0 and 1 taken as a rounding error away from there."""
    tiny = finfo(probs.dtype).eps
    return probs.clamp(min=tiny, max=1 - tiny)
