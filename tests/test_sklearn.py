"""CNNClassifier beside scikit-learn's own tools."""

import pickle
import warnings

import numpy as np
import pytest

import cnnx
from cnnx import nn

sklearn = pytest.importorskip("sklearn", minversion="1.6")
from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

from cnnx.sklearn import CNNClassifier  # noqa: E402


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.data[:500] / 16, data.target[:500]


def quick(**options):
    return CNNClassifier(**{"model": "mlp", "epochs": 8, "lr": 5e-3, "random_state": 0, **options})


def test_check_estimator():
    with warnings.catch_warnings():
        # Checks of array libraries that are not installed skip themselves with a warning.
        warnings.simplefilter("ignore")
        results = check_estimator(CNNClassifier(epochs=30, batch_size=16, lr=5e-3), on_fail=None)
    assert {r["check_name"]: repr(r["exception"]) for r in results if r["status"] == "failed"} == {}
    assert sum(r["status"] == "passed" for r in results) > 40


def test_cross_validation_search_and_pipeline(digits):
    x, y = digits
    assert cross_val_score(quick(), x, y, cv=3).mean() > 0.85
    search = GridSearchCV(quick(), {"lr": [1e-5, 5e-3], "epochs": [4]}, cv=2).fit(x, y)
    assert search.best_params_ == {"lr": 5e-3, "epochs": 4}
    pipeline = make_pipeline(StandardScaler(), quick()).fit(x, y)
    assert pipeline.score(x, y) > 0.9


def test_rows_and_images_are_the_same(digits):
    x, y = (part[:100] for part in digits)
    expected = quick(model="digits", epochs=2).fit(x, y).predict_proba(x)
    for images, options in (
        (x.reshape(-1, 8, 8), {}),
        (x.reshape(-1, 1, 8, 8), {}),
        (x, {"image_shape": (8, 8)}),
        (x.astype(np.float32), {"image_shape": (1, 8, 8)}),
        (cnnx.from_numpy(x), {}),
    ):
        net = quick(model="digits", epochs=2, **options).fit(images, y)
        assert net.image_shape_ == (1, 8, 8)
        np.testing.assert_allclose(net.predict_proba(x), expected, atol=1e-4)
        np.testing.assert_allclose(net.predict_proba(images), expected, atol=1e-4)
    assert quick(image_shape=(4, 4, 4)).fit(x, y).image_shape_ == (4, 4, 4)
    assert quick().fit(x[:, :6], y).image_shape_ == (1, 1, 6)


def test_probabilities_labels_and_losses(digits):
    x, y = digits
    names = np.array([f"digit {i}" for i in range(10)])[y]
    net = quick().fit(x, names)
    shares = net.predict_proba(x)
    assert list(net.classes_) == sorted(set(names))
    np.testing.assert_allclose(shares.sum(1), 1)
    np.testing.assert_array_equal(net.predict(x), net.classes_[shares.argmax(1)])
    assert net.loss_curve_[-1] < net.loss_curve_[0]
    assert len(net.loss_curve_) == net.n_iter_ == 8


def test_random_state(digits):
    x, y = digits
    before = cnnx.get_rng_state()
    a, b, c = (quick(epochs=1, random_state=seed).fit(x, y).predict_proba(x) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    assert cnnx.get_rng_state().tolist() == before.tolist()
    shared = np.random.RandomState(0)
    d, e = (quick(epochs=1, random_state=shared).fit(x, y).predict_proba(x) for _ in range(2))
    assert (d != e).any()
    quick(epochs=1, random_state=None).fit(x, y)


def conv_net(shape, classes):
    return nn.Sequential(nn.Conv2d(shape[0], 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, classes))


def test_own_model_clone_and_pickle(digits):
    x, y = digits
    net = clone(quick(model=conv_net, optimizer="sgd", lr=0.05)).fit(x, y)
    assert isinstance(net.model_[0], nn.Conv2d)
    assert net.score(x, y) > 0.9
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.predict_proba(x), net.predict_proba(x))


def test_bad_use(digits):
    x, y = digits
    for options, message in (
        ({"epochs": 0}, "epochs must be a positive"),
        ({"batch_size": 1.5}, "batch_size must be a positive"),
        ({"optimizer": "best"}, "optimizer must be one of adam"),
        ({"model": "resnet"}, "model must be auto"),
        ({"model": "lenet5"}, "12x12 or more"),
        ({"image_shape": (3, 3)}, "does not fit samples of 64"),
    ):
        with pytest.raises(ValueError, match=message):
            quick(**options).fit(x, y)
    with pytest.raises(ValueError, match=r"the loss became (nan|inf) in epoch \d+; a smaller lr may help"):
        quick(lr=1e30).fit(x, y)
    with pytest.raises(ValueError, match="only one class"):
        quick().fit(x, np.zeros(500))
    with pytest.raises(ValueError, match="images of 2 or 3 dimensions"):
        quick().fit(x.reshape(-1, 2, 4, 4, 2), y)
    net = quick(epochs=1).fit(x.reshape(-1, 8, 8), y)
    with pytest.raises(ValueError, match="X has 32 features, but CNNClassifier is expecting 64"):
        net.predict(x.reshape(-1, 8, 8)[:, :4])
