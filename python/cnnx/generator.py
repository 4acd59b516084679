"""Random streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnx import _C, devices
from cnnx.devices import CPU, check_device
from cnnx.dtypes import uint8

if TYPE_CHECKING:
    from cnnx.tensor import Tensor

_MASK = (1 << 64) - 1


def _refuse_plans(why: str) -> None:
    from cnnx import noting

    noting.refuse(why)


def _seed(op: str, seed: Any) -> int:
    try:
        number = int(seed)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{op}: the seed must be an int, got {seed!r}") from None
    if not -(1 << 63) <= number <= _MASK:
        raise RuntimeError(f"{op}: the seed must lie in [-2**63, 2**64), got {number}")
    return number & _MASK


def _pack(seed: int, calls: int) -> Tensor:
    from cnnx.creation import tensor

    return tensor(list(seed.to_bytes(8, "little") + calls.to_bytes(8, "little")), dtype=uint8, device="cpu")


def _unpack(op: str, state: Any) -> tuple[int, int]:
    if not isinstance(state, _C.TensorBase) or state.dtype != uint8 or state.shape != (16,):
        raise TypeError(f"{op}: a random state is a uint8 tensor of 16 elements, got {state!r}")
    data = _C.numpy(state).tobytes()
    return int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")


class Generator(_C.GeneratorBase):
    """A random stream of its own, for `randperm`, `DataLoader`, `random_split` and their like.

    Parameters
    ----------
    device
        `"cpu"`.

    Examples
    --------
    >>> import cnnx
    >>> bool(cnnx.rand(1, generator=cnnx.Generator().manual_seed(1)) < 1)
    True
    """

    def __init__(self, device: Any = "cpu") -> None:
        check_device("Generator", device)
        super().__init__(67280421310721)

    @property
    def device(self) -> devices.device:
        """Where the generator lives."""
        return CPU

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream anew from `seed` and returns the generator."""
        self._manual_seed(_seed("manual_seed", seed))
        return self

    def seed(self) -> int:
        """Starts the stream anew from a seed of the system's entropy and returns that seed."""
        seed: int = _C.entropy_seed()
        self._manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed that the stream started from."""
        return int(self._state()[0])

    def get_state(self) -> Tensor:
        """The state as a uint8 tensor of 16 elements."""
        return _pack(*self._state())

    def set_state(self, state: Tensor) -> None:
        """Goes on from a state that `get_state` returned."""
        self._set_state(*_unpack("set_state", state))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore_generator, self._state())


def _restore_generator(seed: int, calls: int) -> Generator:
    generator = Generator()
    generator._set_state(seed, calls)
    return generator


class _DefaultGenerator(Generator):
    """The generator that functions use when they get none."""

    def _manual_seed(self, seed: int) -> None:
        _refuse_plans("random numbers are seeded anew")
        _C.manual_seed(seed)

    def _state(self) -> tuple[int, int]:
        return _C.random_state()

    def _set_state(self, seed: int, calls: int) -> None:
        _refuse_plans("random numbers are seeded anew")
        _C.set_random_state(seed, calls)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore_generator, self._state())


default_generator = _DefaultGenerator()


def native_generator(op: str, generator: Any) -> Any:
    """The native object of a generator, None for the default one."""
    if generator is None or isinstance(generator, _DefaultGenerator):
        return None
    if not isinstance(generator, _C.GeneratorBase):
        raise TypeError(f"{op}: generator must be a cnnx.Generator, got {type(generator).__name__}")
    _refuse_plans(f"{op} draws from a generator of its own")
    return generator
