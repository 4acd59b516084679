"""Probability distributions: samples, log-probabilities, entropies and divergences."""

from cnnx.absent import names_of as _names_of

from .bernoulli import Bernoulli
from .categorical import Categorical
from .distribution import Distribution
from .kl import kl_divergence, register_kl
from .normal import Normal

__all__ = ["Bernoulli", "Categorical", "Distribution", "Normal", "kl_divergence", "register_kl"]

__getattr__ = _names_of(__name__)
