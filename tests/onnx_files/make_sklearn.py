"""Writes the files of scikit-learn's MLPs. Run it as a script; it needs skl2onnx and onnxruntime."""

from pathlib import Path

import numpy as np
from expected import write
from skl2onnx import to_onnx
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

HERE = Path(__file__).parent


def main():
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 8)).astype(np.float32)
    scores = x @ random.normal(size=(8, 3)).astype(np.float32)
    nets = {
        "sklearn_digits": (
            make_pipeline(StandardScaler(), MLPClassifier((12,), max_iter=30)),
            scores.argmax(1),
        ),
        "sklearn_two": (
            MLPClassifier((6, 5), activation="tanh", max_iter=30),
            (scores[:, 0] > 0).astype(int),
        ),
        "sklearn_values": (
            make_pipeline(MinMaxScaler(), MLPRegressor(hidden_layer_sizes=(7,), max_iter=30)),
            scores[:, 0],
        ),
    }
    for name, (model, y) in nets.items():
        model.fit(x, y)
        options = {"zipmap": False} if "values" not in name else {}
        classifier = model if not hasattr(model, "steps") else model.steps[-1][1]
        proto = to_onnx(model, x[:1], options={id(classifier): options} if options else None, target_opset=18)
        write(HERE / name, proto, [random.normal(size=(5, 8)).astype(np.float32)])


if __name__ == "__main__":
    main()
