"""Baselines without convolutions on MNIST: a random forest and a dense net of scikit-learn, both on pixels.

python examples/baselines.py --data-dir path/to/mnist
"""

from __future__ import annotations

import sys
import time
import warnings

from training import confusion, mnist, report, start

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

args = start(__doc__, epochs=10)
train, test = (mnist(args, train=part).to("cpu") for part in (True, False))
x, y = train.data.flatten(1).numpy() / 255, train.targets.numpy()
x_test, y_test = test.data.flatten(1).numpy() / 255, test.targets.numpy()

models = {
    "random forest": RandomForestClassifier(n_estimators=100, n_jobs=-1, random_state=args.seed),
    "dense net": MLPClassifier(
        (128, 64), batch_size=64, max_iter=args.epochs, n_iter_no_change=args.epochs, random_state=args.seed
    ),
}
figures = []
for name, model in models.items():
    begin = time.perf_counter()
    model.fit(x, y)
    classes = model.predict(x_test)
    accuracy = (classes == y_test).mean()
    print(f"{name}: test accuracy {accuracy:.4f} after {time.perf_counter() - begin:.0f} s", flush=True)
    path = args.out / f"confusion_{name.replace(' ', '_')}.png"
    title = f"{name}: accuracy {accuracy:.4f} on {len(y_test):,} images"
    plot.confusion_matrix(
        confusion(cnnx.from_numpy(y_test), cnnx.from_numpy(classes)), path=path, title=title
    )
    figures.append((f"test accuracy, {name}", None, float(accuracy)))
report(args, figures)
