"""How native work on the CPU runs: its threads, and what becomes of vanishing numbers."""

from __future__ import annotations

from cnnx import _C

__all__ = ["get_num_threads", "set_flush_denormal", "set_num_threads"]


def get_num_threads() -> int:
    """The number of threads that the kernels of the CPU share their work among.

    By default as many as the processors that this process may use, by its affinity and by the quota of its
    container or control group; `OMP_NUM_THREADS` in the environment sets another number.

    Results are the same to the bit for any number.
    """
    return _C.get_num_threads()


def set_num_threads(count: int) -> None:
    """Set the number of threads for the whole process.

    Parameters
    ----------
    count
        From 1 to 1024, the calling thread among them. Where sharing has not paid of late, because other
        programs keep the processors busy, work runs on the calling thread all the same.

    Raises
    ------
    ValueError
        If `count` is out of range.
    RuntimeError
        If this process may not start so many threads.
    """
    _C.set_num_threads(count)


def set_flush_denormal(mode: bool) -> bool:
    """Take denormal numbers as zero in native work on the CPU, or keep them (the default).

    Numbers below 1.2e-38 in float32 (2.2e-308 in float64) are denormal; x86 processors take a hundred cycles
    and more over each, so convolutions and products of such values run a hundred times slower. In this mode
    they count as zero, as operands and as results.

    The mode holds for what cnnx computes alone, on any thread; the processor's own mode is put back at the
    end of each operation, so NumPy and other libraries keep theirs. Optimizers take denormal numbers as zero
    in either mode: averages of a gradient that has become zero decay into them and would slow down every
    later step.

    Parameters
    ----------
    mode
        Whether to take denormal numbers as zero.

    Returns
    -------
    bool
        Whether the processor has such a mode (x86-64 and AArch64 do); if not, nothing is changed.

    Examples
    --------
    >>> import cnnx
    >>> tiny = cnnx.tensor([1e-39])
    >>> cnnx.set_flush_denormal(True)
    True
    >>> tiny * 0.5
    tensor([0.])
    >>> cnnx.set_flush_denormal(False)
    True
    >>> (tiny * 0.5).item() > 0
    True
    """
    return _C.set_flush_denormal(mode)
