"""Tables of vectors."""

from __future__ import annotations

from typing import Any

from ..autograd import no_grad
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter, empty_parameter


class Embedding(Module):
    """A vector for each index. See `functional.embedding`.

    Parameters
    ----------
    num_embeddings : int
        How many indices there are.
    embedding_dim : int
        Numbers of a vector.
    padding_idx : int, optional
        A row of zeros that gets no gradient.
    max_norm : float, optional
        Rows that are used and longer are first made as long as this.
    norm_type : float
        Which p-norm is meant. Default: 2.
    scale_grad_by_freq, sparse : bool
        False: not there.
    device, dtype : optional
        Of the weight. Default: CPU, the default dtype.

    Attributes
    ----------
    weight : Parameter
        (num_embeddings, embedding_dim), standard normal numbers at first.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.Embedding(10, 3)(cnnx.tensor([[1, 2], [9, 0]])).shape
    cnnx.Size([2, 2, 3])
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if scale_grad_by_freq or sparse:
            raise RuntimeError("Embedding: gradients scaled by frequency and sparse ones are not there")
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"Embedding: padding_idx {padding_idx} is no index of {num_embeddings} rows")
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is None:
            self.weight = empty_parameter(device, dtype, num_embeddings, embedding_dim)
            self.reset_parameters()
        else:
            shape = (num_embeddings, embedding_dim)
            if tuple(_weight.shape) != shape:
                raise ValueError(f"Embedding: the weight must be {shape}, got {tuple(_weight.shape)}")
            self.weight = Parameter(_weight)
        self.weight.requires_grad_(not _freeze)

    def reset_parameters(self) -> None:
        """Draws the weight anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)

    def forward(self, input: Tensor) -> Tensor:
        """The vectors of indices (...): (..., embedding_dim)."""
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type)

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        parts = [f"{self.num_embeddings}, {self.embedding_dim}"]
        if self.padding_idx is not None:
            parts.append(f"padding_idx={self.padding_idx}")
        if self.max_norm is not None:
            parts.append(f"max_norm={self.max_norm}")
        if self.norm_type != 2:
            parts.append(f"norm_type={self.norm_type}")
        return ", ".join(parts)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer with this table (count, D), which is not trained unless `freeze` is False."""
        if embeddings.ndim != 2:
            raise ValueError(f"Embedding: a table must be (count, D), got shape {tuple(embeddings.shape)}")
        count, dim = embeddings.shape
        return cls(
            count,
            dim,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
            _weight=embeddings,
            _freeze=freeze,
        )
