"""Nets as scikit-learn classifiers: `CNNClassifier`. Needs scikit-learn (`pip install 'cnnx[sklearn]'`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("sklearn: scikit-learn 1.6 is not installed (pip install 'cnnx[sklearn]')") from error

import cnnx
from cnnx import nn, optim
from cnnx.models import MODELS, build_model, canonical, default_model
from cnnx.training import Trainer
from cnnx.utils.data import DataLoader, TensorDataset

__all__ = ["CNNClassifier"]

OPTIMIZERS: dict[str, tuple[Callable[..., optim.Optimizer], float]] = {
    "adam": (optim.Adam, 1e-3),
    "adamw": (optim.AdamW, 1e-3),
    "sgd": (lambda parameters, lr: optim.SGD(parameters, lr=lr, momentum=0.9), 1e-2),
    "adadelta": (optim.Adadelta, 1.0),
}
EVALUATION_BATCH = 256
FLOATS = [np.float32, np.float64]

Array = np.ndarray[Any, Any]


class CNNClassifier(ClassifierMixin, BaseEstimator):
    """A convolutional or dense net with scikit-learn's interface.

    Samples are rows of numbers, or images (N, H, W) or (N, C, H, W). Rows become images by `image_shape`;
    without it, rows whose length is a square from 16 (4x4) on become square grey images, and others images of
    one line. Training is in float32, with cross-entropy.

    Parameters
    ----------
    model
        A name in `cnnx.models.MODELS`, or a function (shape, classes) -> module that gets the shape
        (channels, height, width) of an image and gives a net with one output (a logit) for each class.
        Default: ``"auto"``, by the size of the images.
    epochs
        Passes over the samples. Default: 10.
    batch_size
        Samples per step. Default: 32.
    optimizer
        ``"adam"``, ``"adamw"``, ``"sgd"`` (momentum 0.9) or ``"adadelta"``. Default: ``"adam"``.
    lr
        Learning rate. Default: 0.001 of ``"adam"`` and ``"adamw"``, 0.01 of ``"sgd"``, 1 of ``"adadelta"``.
    image_shape
        (H, W) or (C, H, W) that rows are brought to. Default: see above.
    standardize
        Subtract the mean of all training pixels and divide by their standard deviation. Default: True.
    random_state
        Seed of weights, order and dropout: an int, a `numpy.random.RandomState`, or None for chance.

    Attributes
    ----------
    classes_
        The labels, sorted.
    model_
        The trained net, in eval mode.
    loss_curve_
        Mean loss of each epoch.
    n_features_in_
        Numbers per sample.
    image_shape_
        (C, H, W) of what the net takes.

    Examples
    --------
    >>> from cnnx import datasets
    >>> digits = datasets.Digits(train=True)
    >>> x, y = digits.data.numpy()[:300], digits.targets.numpy()[:300]
    >>> net = CNNClassifier(epochs=5, random_state=0).fit(x, y)
    >>> net.predict_proba(x).shape
    (300, 10)
    >>> net.score(x, y) > 0.8
    True
    """

    def __init__(
        self,
        model: str | Callable[[tuple[int, int, int], int], nn.Module] = "auto",
        *,
        epochs: int = 10,
        batch_size: int = 32,
        optimizer: str = "adam",
        lr: float | None = None,
        image_shape: Sequence[int] | None = None,
        standardize: bool = True,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.image_shape = image_shape
        self.standardize = standardize
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> CNNClassifier:  # noqa: N803 - scikit-learn's name
        """Trains a new net.

        Parameters
        ----------
        X
            Samples (N, features), (N, H, W) or (N, C, H, W).
        y
            Labels (N,) of any kind that scikit-learn takes.

        Raises
        ------
        ValueError
            If the samples or a parameter do not fit.
        """
        self._check_parameters()
        rows, own = _rows(X)
        samples, labels = validate_data(self, rows, y, dtype=FLOATS)
        check_classification_targets(labels)
        self.classes_, targets = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("CNNClassifier: needs samples of two or more classes, there is only one class")
        self.image_shape_ = self._image_shape(own or samples.shape[1:])
        mean, deviation = 0.0, 1.0
        if self.standardize:
            mean = float(samples.mean(dtype=np.float64))
            deviation = float(samples.std(dtype=np.float64)) or 1.0
        self.mean_, self.deviation_ = mean, deviation
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        # Weights and dropout come from the global stream, which a user's script goes on with undisturbed.
        state = cnnx.get_rng_state()
        try:
            cnnx.manual_seed(seed)
            self.model_ = self._build()
            self._train(cnnx.as_tensor(targets.astype(np.int64)), self._images(samples), seed)
        finally:
            cnnx.set_rng_state(state)
        return self

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Probabilities (N, classes), in the order of `classes_`."""
        scores = self._scores(X)
        shifted = np.exp(scores - scores.max(1, keepdims=True))
        found: Array = shifted / shifted.sum(1, keepdims=True)
        return found

    def predict(self, X: Any) -> Array:  # noqa: N803
        """The most probable labels (N,)."""
        scores = self._scores(X)
        labels: Array = self.classes_[scores.argmax(1)]
        return labels

    def _scores(self, samples: Any) -> Array:
        check_is_fitted(self)
        images = self._images(validate_data(self, _rows(samples)[0], reset=False, dtype=FLOATS))
        self.model_.eval()
        with cnnx.no_grad():
            starts = range(0, len(images), EVALUATION_BATCH)
            parts = [self.model_(images[start : start + EVALUATION_BATCH]) for start in starts]
            scores: Array = cnnx.cat(parts).cpu().numpy().astype(np.float64)
        return scores

    def _check_parameters(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"CNNClassifier: {name} must be a positive whole number, got {value!r}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"CNNClassifier: optimizer must be one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}"
            )
        if not callable(self.model) and self.model != "auto" and canonical(self.model) not in MODELS:
            raise ValueError(
                f"CNNClassifier: model must be auto, a function or one of {', '.join(MODELS)}, "
                f"got {self.model!r}"
            )

    def _image_shape(self, own: tuple[int, ...]) -> tuple[int, int, int]:
        size = math.prod(own)
        if self.image_shape is not None:
            shape = tuple(int(extent) for extent in self.image_shape)
            if len(shape) not in (2, 3) or math.prod(shape) != size:
                raise ValueError(f"CNNClassifier: image_shape {shape} does not fit samples of {size} numbers")
        elif len(own) == 1:
            side = math.isqrt(size)
            shape = (side, side) if side * side == size and side >= 4 else (1, size)
        elif len(own) in (2, 3):
            shape = own
        else:
            raise ValueError(f"CNNClassifier: needs rows or images of 2 or 3 dimensions, got samples {own}")
        channels, height, width = shape if len(shape) == 3 else (1, *shape)
        return channels, height, width

    def _images(self, samples: Array) -> cnnx.Tensor:
        scaled = ((samples.astype(np.float64) - self.mean_) / self.deviation_).astype(np.float32)
        return cnnx.as_tensor(np.ascontiguousarray(scaled.reshape(-1, *self.image_shape_)))

    def _build(self) -> nn.Module:
        shape, classes = self.image_shape_, len(self.classes_)
        if callable(self.model):
            return self.model(shape, classes)
        return build_model(default_model(shape[1:]) if self.model == "auto" else self.model, shape, classes)

    def _train(self, targets: cnnx.Tensor, images: cnnx.Tensor, seed: int) -> None:
        make, rate = OPTIMIZERS[self.optimizer]
        trainer = Trainer(
            self.model_,
            DataLoader(
                TensorDataset(images, targets),
                batch_size=int(self.batch_size),
                shuffle=True,
                generator=cnnx.Generator().manual_seed(seed),
            ),
            loss=nn.CrossEntropyLoss(),
            optimizer=make(self.model_.parameters(), lr=rate if self.lr is None else self.lr),
        )
        try:
            history = trainer.fit(int(self.epochs))
        except FloatingPointError as error:
            text = str(error).removeprefix("fit: ").replace("learning rate", "lr")
            raise ValueError(f"CNNClassifier: {text}") from error
        self.loss_curve_ = history["train_loss"]
        self.n_iter_ = trainer.epoch

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        tags.input_tags.three_d_array = True
        return tags


def _rows(samples: Any) -> tuple[Any, tuple[int, ...]]:
    """Images as rows of numbers, and the shape of one; rows as they are, and an empty shape."""
    if getattr(samples, "ndim", 0) <= 2:
        return samples, ()
    array = np.asarray(samples)
    return array.reshape(len(array), -1), array.shape[1:]
