"""Baselines without convolutions: what a random forest and a dense net make of MNIST's pixels.

Both are scikit-learn's, and both see 784 numbers in a row, without knowing which are
neighbours. What a convolutional net is worth shows in the distance: these reach 97 to
98 % of the test images, LeNet-5 (see lenet5.py) 99 % with 61,706 weights.

    python examples/baselines.py --data-dir path/to/mnist
"""

from __future__ import annotations

import sys
import time
import warnings

from common import confusion, mnist, report, start

import cnnx
from cnnx import plot

try:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
except ImportError:
    sys.exit("the baselines are scikit-learn's: pip install scikit-learn")

# The number of passes is a setting here, no failure to converge.
warnings.filterwarnings("ignore", category=ConvergenceWarning)

args = start(__doc__, epochs=10, needs_mnist=True)
train, test = (mnist(args, train=part).to("cpu") for part in (True, False))
x, y = train.data.flatten(1).numpy() / 255, train.targets.numpy()
x_test, y_test = test.data.flatten(1).numpy() / 255, test.targets.numpy()
print(f"{len(x):,} rows of {x.shape[1]} pixels to train, {len(x_test):,} to test")

models = {
    "random forest": RandomForestClassifier(n_estimators=100, n_jobs=-1, random_state=args.seed),
    "dense net": MLPClassifier(
        (128, 64), batch_size=64, max_iter=args.epochs, n_iter_no_change=args.epochs, random_state=args.seed
    ),
}
figures = []
for name, model in models.items():
    print(f"{model} ...", flush=True)
    begin = time.perf_counter()
    model.fit(x, y)
    classes = model.predict(x_test)
    accuracy = (classes == y_test).mean()
    print(f"{name}: test accuracy {accuracy:.4f} after {time.perf_counter() - begin:.0f} s", flush=True)
    path = args.out / f"confusion_{name.replace(' ', '_')}.png"
    title = f"a {name} on pixels: {accuracy:.2%} of {len(y_test):,} test images"
    plot.confusion_matrix(
        confusion(cnnx.from_numpy(y_test), cnnx.from_numpy(classes)), path=path, title=title
    )
    figures.append((f"test accuracy, {name}", None, float(accuracy)))
report(args, figures)
