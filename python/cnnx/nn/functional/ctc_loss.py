"""The loss of sequences whose labels are not aligned with them, as a function."""

from __future__ import annotations

from typing import Any

import numpy as np

import cnnx

from ... import _C
from ...signatures import checked
from ...tensor import Tensor
from .loss import _reduced

# Logarithms of what is impossible: finite, so that differences are numbers.
_NEVER = -1e30


@checked
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability of labels, whenever in a sequence each of them comes.

    At each time there is a label or a blank; a label may be repeated, and what is left without repetitions
    and blanks must be the target. The loss counts all such ways.

    Parameters
    ----------
    log_probs : Tensor
        Logarithms of probabilities (T, N, C), as of `log_softmax`; of one sequence (T, C).
    targets : Tensor
        Labels (N, S), or all of them in a row; of one sequence (S,). None of them is `blank`.
    input_lengths, target_lengths : Tensor or sequence of int
        How many times and labels count, of each sequence (N,); of one an int or a single one.
    blank : int
        Which of the C classes is the blank. Default: 0.
    reduction : {"mean", "sum", "none"}
        The mean is that of losses divided by the number of labels. Default: ``"mean"``.
    zero_infinity : bool
        Whether the loss of a target that is impossible, being too long, is 0 instead of infinite.
        Default: False.

    Returns
    -------
    Tensor
        A scalar, or with ``reduction="none"`` (N,). What is impossible has no gradient.

    Raises
    ------
    RuntimeError
        If shapes or lengths do not fit.

    Notes
    -----
    Graves et al., "Connectionist temporal classification", ICML 2006. The gradient is that of the formula;
    PyTorch's differs by what `log_softmax` takes away again.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> even = cnnx.zeros(2, 1, 3).log_softmax(2)  # of "aa", "a-" and "-a" each has 1/9
    >>> round(F.ctc_loss(even, cnnx.tensor([[1]]), [2], [1]).exp().item(), 4)
    3.0
    """
    if log_probs.ndim not in (2, 3):
        raise RuntimeError(f"ctc_loss: log_probs must be (T, N, C) or (T, C), got {tuple(log_probs.shape)}")
    is_one = log_probs.ndim == 2
    if is_one:
        log_probs = log_probs.unsqueeze(1)
    times, batch, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise RuntimeError(f"ctc_loss: blank must be within [0, {classes}), got {blank}")
    lasts = _lengths("input_lengths", input_lengths, batch, times)
    counts = _lengths("target_lengths", target_lengths, batch, None)
    labels = _padded(targets, counts, is_one).to(log_probs.device).long()
    device = log_probs.device

    # The labels with blanks around each, (N, 2 S + 1), and logarithms of their probabilities.
    blanks = cnnx.full_like(labels, blank)
    last = cnnx.full((batch, 1), blank, device=device)
    states = _C.cat([cnnx.stack([blanks, labels], 2).flatten(1), last], 1)
    width = states.shape[1]
    try:
        known = log_probs.gather(2, states.unsqueeze(0).expand(times, batch, width))
    except IndexError as error:
        raise IndexError(f"ctc_loss: targets must be within [0, {classes})") from error
    known = known.clamp(min=_NEVER)
    before = _C.cat([cnnx.full((batch, 2), blank, device=device), states[:, :-2]], 1) if width > 1 else states
    skips = states != before  # a blank between different labels may be left out
    never = cnnx.full((batch, 2), _NEVER, dtype=log_probs.dtype, device=device)
    ways = _C.cat([cnnx.zeros_like(never[:, :1]), never[:, :1].expand(batch, width - 1)], 1)
    steps = _C.split_copy(known, 1, 0) if times else []
    for t, step in enumerate(steps):
        around = _C.cat([never, ways], 1)
        skipping = cnnx.where(skips, around[:, :-2], _NEVER)
        new = cnnx.stack([ways, around[:, 1:-1], skipping]).logsumexp(0) + step.squeeze(0)
        goes_on = cnnx.tensor(t < lasts, device=device).unsqueeze(1)
        ways = cnnx.where(goes_on, new, ways)
    ends = np.stack([2 * counts, np.maximum(2 * counts - 1, 0)], 1)
    final = ways.gather(1, cnnx.tensor(ends, dtype=cnnx.int64, device=device))
    has_label = cnnx.tensor(np.stack([counts >= 0, counts > 0], 1), device=device)
    losses = -cnnx.where(has_label, final, _NEVER).logsumexp(1)
    losses = losses.masked_fill(losses > -_NEVER / 2, 0.0 if zero_infinity else float("inf"))
    if reduction == "mean":
        losses = losses / cnnx.tensor(np.maximum(counts, 1), dtype=losses.dtype, device=device)
    return _reduced("ctc_loss", losses.squeeze(0) if is_one else losses, reduction)


def _lengths(name: str, given: Any, batch: int, most: int | None) -> np.ndarray[Any, Any]:
    """A length for each sequence."""
    listed = given.tolist() if isinstance(given, Tensor) else given
    values = np.atleast_1d(np.asarray(listed))
    if values.dtype.kind not in "iu" and values.size:
        raise RuntimeError(f"ctc_loss: {name} must be integers, got {given!r}")
    if values.shape != (batch,):
        raise RuntimeError(
            f"ctc_loss: {name} must have a length for each of {batch} sequences, got {given!r}"
        )
    if (values < 0).any() or (most is not None and (values > most).any()):
        bounds = "0 or more" if most is None else f"within [0, {most}]"
        raise RuntimeError(f"ctc_loss: {name} must be {bounds}, got {values.tolist()}")
    return values


def _padded(targets: Tensor, counts: np.ndarray[Any, Any], is_one: bool) -> Tensor:
    """The labels (N, S) without what does not count, in whose place the first label, or 0, stands."""
    longest, total = int(counts.max(initial=0)), int(counts.sum())
    if is_one and targets.ndim == 1 and len(targets) >= total:
        targets = targets.unsqueeze(0)
    fits = targets.ndim == 2 and targets.shape[0] == len(counts) and targets.shape[1] >= longest
    if not fits and not (targets.ndim == 1 and len(targets) == total):
        raise RuntimeError(
            f"ctc_loss: targets of shape {tuple(targets.shape)} do not fit the lengths {counts.tolist()}"
        )
    counted = np.arange(longest)[None, :] < counts[:, None]
    rows = targets.shape[1] if targets.ndim == 2 else 0
    index = np.zeros(counted.shape, dtype=np.int64)
    places = np.nonzero(counted)
    index[counted] = places[0] * rows + places[1] if rows else np.arange(total)
    flat = targets.reshape(-1)
    if not total:
        return cnnx.zeros(*counted.shape, dtype=cnnx.int64, device=targets.device)
    return _C.index_select(flat, 0, cnnx.tensor(index.ravel(), device=targets.device)).reshape(*counted.shape)
