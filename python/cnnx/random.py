"""Random numbers: the seed, generators, and tensors drawn from distributions.

Everything is drawn from Philox4x32-10 keyed by the seed, the number of the call and the element's index, so
neither the number of threads, nor the memory layout, nor the device changes a draw (normal numbers differ by
the last place of a device's logarithm, sine and cosine). The numbers differ from PyTorch's for the same seed;
the distributions are the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from cnnx import _C, creation, reduction, sorting
from cnnx.creation import _create, _dtype_or_default, _marked, _shape, full
from cnnx.devices import as_device, device_of
from cnnx.dtypes import as_dtype, int64
from cnnx.generator import Generator, default_generator, native_generator
from cnnx.layouts import accept, preserve_format
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


def manual_seed(seed: int) -> Generator:
    """Seeds the default generator.

    Initialisation, dropout, shuffling and the functions below repeat from here.

    Parameters
    ----------
    seed
        Any int from -2**63 to 2**64 - 1; negative ones stand for seed + 2**64, as in PyTorch.
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seeds the default generator from the system's entropy and returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator, a uint8 tensor of 16 elements."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Puts the default generator into a state that `get_rng_state` returned."""
    default_generator.set_state(new_state)


def _empty(op: str, shape: Any, dtype: _C.DType, device: Any) -> Tensor:
    """What is filled where it is wanted."""
    return _create(op, _C.empty, shape, dtype, device=device, requires_grad=False)


def rand(
    *shape: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers uniform in [0, 1); `dtype` float32 (default) or float64."""
    result = _empty("rand", _shape("rand", shape, size), _dtype_or_default(dtype), device)
    _C.uniform_(result, 0.0, 1.0, native_generator("rand", generator))
    return _marked(result, requires_grad)


def randn(
    *shape: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers of the standard normal distribution; `dtype` float32 (default) or float64."""
    result = _empty("randn", _shape("randn", shape, size), _dtype_or_default(dtype), device)
    _C.normal_(result, 0.0, 1.0, native_generator("randn", generator))
    return _marked(result, requires_grad)


@checked
def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers uniform from `low` to `high` - 1.

    `randint(high, size)` starts at 0. `dtype` defaults to int64.

    Raises
    ------
    ValueError
        If there is no integer in the range.
    """
    if size is None:
        low, high, size = 0, low, high
    if size is None:
        raise TypeError("randint: the shape is missing")
    if high is None:  # randint(high, size=...)
        low, high = 0, low
    chosen = int64 if dtype is None else as_dtype(dtype)
    result = _empty("randint", _shape("randint", (size,)), chosen, device)
    _C.randint_(result, int(low), int(high), native_generator("randint", generator))
    return _marked(result, requires_grad)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The integers 0 ... n - 1 in random order; `dtype` defaults to int64.

    The order is drawn on the CPU, since each step depends on the one before, and copied once.
    """
    where = str(as_device("randperm", device))
    chosen = int64 if dtype is None else as_dtype(dtype)
    if chosen != int64 and n > 0:
        full((), n - 1, dtype=chosen)  # an Error if it does not fit
    result: Tensor = _C.randperm(n, native_generator("randperm", generator), where)
    return _marked(_C.to(result, chosen), requires_grad)


@checked
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers with the given mean and standard deviation.

    Numbers and a `size`, or tensors that broadcast; `device` and `requires_grad` are for the former.
    """
    if size is None:
        shape = _C.broadcast_shapes(getattr(mean, "shape", ()), getattr(std, "shape", ()))
        where = next((device_of(t) for t in (mean, std) if isinstance(t, _C.TensorBase)), None)
        return _C.add(_C.mul(randn(shape, generator=generator, dtype=dtype, device=where), std), mean)
    result = _empty("normal", _shape("normal", (size,)), _dtype_or_default(dtype), device)
    _C.normal_(result, float(mean), float(std), native_generator("normal", generator))
    return _marked(result, requires_grad)


@checked
def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that stands in `input`, else 0; same shape and dtype."""
    # On a device one would have to wait for the answer.
    if not input.is_cuda and not ((input >= 0) & (input <= 1)).all():
        raise RuntimeError("bernoulli: probabilities must lie between 0 and 1")
    drawn = rand(input.shape, generator=generator, dtype=input.dtype, device=input.device)
    return (drawn < input.detach()).to(input.dtype)


@checked
def rand_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """`rand` of `input`'s shape and, unless told otherwise, its dtype."""
    accept("rand_like", memory_format, 4)
    return rand(
        input.shape,
        dtype=dtype or input.dtype,
        device=input.device if device is None else device,
        requires_grad=requires_grad,
    )


@checked
def randn_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """`randn` of `input`'s shape and, unless told otherwise, its dtype."""
    accept("randn_like", memory_format, 4)
    return randn(
        input.shape,
        dtype=dtype or input.dtype,
        device=input.device if device is None else device,
        requires_grad=requires_grad,
    )


@checked
def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """`randint` of `input`'s shape and, unless told otherwise, its dtype."""
    accept("randint_like", memory_format, 4)
    if high is None:
        low, high = 0, low
    return randint(
        low,
        high,
        input.shape,
        dtype=dtype or input.dtype,
        device=input.device if device is None else device,
        requires_grad=requires_grad,
    )


@checked
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with the probabilities that a row of weights stands for.

    Parameters
    ----------
    input : Tensor
        Weights that are not negative, (C,) or (N, C).
    num_samples : int
        Indices per row.
    replacement : bool
        Whether an index can be drawn twice. Default: False.
    generator : Generator, optional
        Default: the global one.

    Returns
    -------
    Tensor
        int64, (num_samples,) or (N, num_samples).
    """
    weights = input.detach()
    if weights.ndim not in (1, 2) or not weights.dtype.is_floating_point:
        raise RuntimeError(f"multinomial: needs one or two dimensions of floats, got {tuple(input.shape)}")
    if not bool(_C.logical_and(_C.isfinite(weights), _C.ge(weights, 0)).all()):
        raise RuntimeError("multinomial: probability tensor contains either `inf`, `nan` or element < 0")
    classes = weights.shape[-1]
    if bool(_C.le(reduction.sum(weights, -1), 0).any()):
        raise RuntimeError("multinomial: invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement:
        enough = reduction.sum(_C.gt(weights, 0), -1)
        if bool(_C.lt(enough, num_samples).any()):
            raise RuntimeError(f"multinomial: cannot draw {num_samples} of {classes} without replacement")
        # The order of exponential waiting times with these rates.
        times = _C.neg(
            _C.log(
                _C.sub(
                    1.0, rand(*weights.shape, generator=generator, dtype=weights.dtype, device=weights.device)
                )
            )
        )
        waits = _C.where(_C.gt(weights, 0), _C.div(times, weights), math.inf)
        return sorting.topk(waits, num_samples, -1, False).indices
    edges = _C.cumsum(weights, -1, None)
    share = rand(
        *weights.shape[:-1], num_samples, generator=generator, dtype=weights.dtype, device=weights.device
    )
    drawn = _C.mul(share, _C.narrow(edges, -1, classes - 1, 1))
    # How many edges each has passed, from the order of both together; of equal ones the edge comes first.
    order = sorting.sort(_C.cat([edges, drawn], -1), -1, stable=True).indices
    counts = _C.cumsum(_C.to(_C.lt(order, classes), _C.DType.int64), -1, None)
    places = _C.scatter(creation.zeros_like(order), -1, order, counts, False)
    passed = _C.narrow(places, -1, classes, num_samples)
    # Rounding must not lead past the last class with a weight.
    possible = _C.to(_C.gt(weights, 0), _C.DType.int64)
    last = reduction.argmax(
        _C.mul(possible, creation.arange(1, classes + 1, device=weights.device)), -1, True
    )
    return _C.minimum(passed, last)


__all__ = [
    "Generator", "bernoulli", "default_generator", "get_rng_state", "initial_seed", "manual_seed",
    "multinomial", "normal", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like",
    "randperm", "seed", "set_rng_state",
]  # fmt: skip
