"""Several draws of a distribution as one."""

from __future__ import annotations

from cnnx.distributions.distribution import Distribution, Sizes
from cnnx.tensor import Tensor


class Independent(Distribution):
    """A distribution whose last dimensions of `batch_shape` are taken as parts of one draw.

    Parameters
    ----------
    base_distribution : Distribution
        Of the parts.
    reinterpreted_batch_ndims : int
        How many dimensions are taken.
    validate_args : bool, optional
        Default: True.

    Raises
    ------
    ValueError
        If there are fewer dimensions.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.distributions import Independent, Normal
    >>> vectors = Independent(Normal(cnnx.zeros(5, 3), 1.0), 1)
    >>> vectors.batch_shape, vectors.event_shape, vectors.log_prob(cnnx.zeros(5, 3)).shape
    (cnnx.Size([5]), cnnx.Size([3]), cnnx.Size([5]))
    """

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        batch, event = base_distribution.batch_shape, base_distribution.event_shape
        if not 0 <= reinterpreted_batch_ndims <= len(batch):
            raise ValueError(
                f"Independent: reinterpreted_batch_ndims must be within [0, {len(batch)}], "
                f"got {reinterpreted_batch_ndims}"
            )
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        kept = len(batch) - reinterpreted_batch_ndims
        super().__init__(batch[:kept], (*batch[kept:], *event), validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether the parts have."""
        return self.base_dist.has_rsample

    @property
    def mean(self) -> Tensor:
        """Of the parts."""
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        """Of the parts."""
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        """Of the parts."""
        return self.base_dist.variance

    def sample(self, sample_shape: Sizes = ()) -> Tensor:
        """Draws of the parts."""
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Sizes = ()) -> Tensor:
        """Draws of the parts as functions of the parameters."""
        return self.base_dist.rsample(sample_shape)

    def summed(self, parts: Tensor) -> Tensor:
        """The sum of what holds for each part."""
        count = self.reinterpreted_batch_ndims
        return parts.sum(tuple(range(-count, 0))) if count else parts

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum over the parts."""
        return self.summed(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        """The sum over the parts."""
        return self.summed(self.base_dist.entropy())

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Those of the parts, if no dimension is taken."""
        if self.reinterpreted_batch_ndims:
            raise NotImplementedError("Independent: the values of several parts together are not enumerated")
        return self.base_dist.enumerate_support(expand)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"
