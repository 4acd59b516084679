"""Writes the files of Keras nets by tf2onnx. Run it as a script; it needs tensorflow and onnxruntime."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from expected import write
from keras import layers

HERE = Path(__file__).parent


def nets():
    """Nets by name, of pictures (28, 28, 1)."""
    yield (
        "keras_cnn",
        keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Conv2D(6, 3, activation="relu", padding="same", strides=2),
                layers.MaxPooling2D(2),
                layers.Conv2D(8, 3, activation="elu"),
                layers.Flatten(),
                layers.Dropout(0.5),
                layers.Dense(10, activation="softmax"),
            ]
        ),
    )
    x = image = keras.Input((28, 28, 1))
    x = layers.SeparableConv2D(6, 3, padding="same")(x)
    x = y = layers.LeakyReLU()(layers.BatchNormalization()(x))
    x = layers.AveragePooling2D(2, padding="same")(x)
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="tanh")(x)
    x = layers.Add()([layers.UpSampling2D(1)(x), y])
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.GlobalAveragePooling2D()(layers.ZeroPadding2D(1)(x))
    yield "keras_graph", keras.Model(image, layers.Dense(10)(x))


def main():
    random = np.random.default_rng(0)
    for name, model in nets():
        keras.utils.set_random_seed(0)
        signature = [tf.TensorSpec([None, 28, 28, 1], tf.float32, name="image")]
        function = tf.function(lambda x, model=model: model(x, training=False), input_signature=signature)
        proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=15)
        write(HERE / name, proto, [random.normal(size=(3, 28, 28, 1)).round(1).astype(np.float32)])


if __name__ == "__main__":
    main()
