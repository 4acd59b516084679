"""Training in one call: `cnnx.fit`, what it returns, and what can be hooked into it."""

from __future__ import annotations

from cnnx.training.callbacks import BestWeights, Callback, Checkpoint, EarlyStopping
from cnnx.training.fit import fit
from cnnx.training.history import History
from cnnx.training.lr_finder import LRRangeTest, find_lr
from cnnx.training.metrics import accuracy, top_k_accuracy
from cnnx.training.progress import Progress
from cnnx.training.trainer import Trainer

__all__ = [
    "BestWeights",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "LRRangeTest",
    "Progress",
    "Trainer",
    "accuracy",
    "find_lr",
    "fit",
    "top_k_accuracy",
]
