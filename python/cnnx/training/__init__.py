"""Training in one call: `cnnx.fit`, what it returns, and what can be hooked into it."""

from __future__ import annotations

from cnnx.training.callbacks import BestWeights, Callback, Checkpoint, EarlyStopping
from cnnx.training.fit import fit
from cnnx.training.history import History
from cnnx.training.metrics import accuracy, top_k_accuracy
from cnnx.training.progress import Progress
from cnnx.training.trainer import Trainer

__all__ = [
    "BestWeights",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "Progress",
    "Trainer",
    "accuracy",
    "fit",
    "top_k_accuracy",
]
