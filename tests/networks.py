"""Small networks for tests: one function built in every way that Keras allows."""

import functools

import keras
import numpy as np
import pytest

from lab.environment import tf
from lab.network import Network
from lab.preprocessing import linear_preprocessing

SIDE, CLASSES = 16, 5
GREY = linear_preprocessing(-1, 1)


@functools.cache
def runs_channels_first():
    """Whether TensorFlow runs channels-first convolutions here: on processors it has them for some kinds alone."""
    image = tf.ones((1, 2, 4, 4))
    try:
        with tf.GradientTape() as tape:
            tape.watch(image)
            out = tf.function(tf.nn.conv2d)(image, tf.ones((3, 3, 2, 1)), 1, "SAME", data_format="NCHW")
        return bool(np.isfinite(tape.gradient(out, image)).all())
    except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError):
        return False


def needs_channels_first():
    """Skip a test where TensorFlow cannot run what it tests, and say so."""
    if not runs_channels_first():
        pytest.skip("TensorFlow does not run channels-first convolutions on this processor")


def parts(dtype=None, side=SIDE):
    """The layers of the function, fresh and untrained."""
    kind = {"dtype": dtype} if dtype else {}
    return [
        keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name="first", **kind),
        keras.layers.BatchNormalization(epsilon=1e-3, name="first_bn", **kind),
        keras.layers.ReLU(name="first_relu", **kind),
        keras.layers.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise", **kind),
        keras.layers.BatchNormalization(name="depthwise_bn", **kind),
        keras.layers.Activation("gelu", name="depthwise_gelu", **kind),
        keras.layers.Conv2D(12, 1, activation="relu", name="last", **kind),
        keras.layers.GlobalAveragePooling2D(name="pool", **kind),
        keras.layers.Dense(CLASSES, name="logits", **kind),
    ]


def through(layers, x):
    for layer in layers:
        x = layer(x)
    return x


def flat(dtype=None, head=None):
    inputs = keras.Input((SIDE, SIDE, 3), dtype=dtype if dtype == "float64" else None)
    outputs = through(parts(dtype), inputs)
    if head:
        outputs = keras.layers.Activation(head, name="head")(outputs)
    return filled(keras.Model(inputs, outputs, name="flat"))


def nested():
    made = parts()
    inside = keras.Input((SIDE, SIDE, 3))
    backbone = keras.Model(inside, through(made[:7], inside), name="backbone")
    inputs = keras.Input((SIDE, SIDE, 3))
    return filled(keras.Model(inputs, through([backbone, *made[7:]], inputs), name="nested"))


def sequential():
    made = parts()
    return filled(
        keras.Sequential(
            [keras.Input((SIDE, SIDE, 3)), keras.Sequential(made[:7], name="features"), *made[7:]], name="sequential"
        )
    )


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """The same function, with layers in an attribute and in a list."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = parts()[:7]
        self.tail = {"pool": parts()[7], "dense": parts()[8]}

    def call(self, inputs):
        return self.tail["dense"](self.tail["pool"](through(self.blocks, inputs)))


def subclassed():
    model = Subclassed(name="subclassed")
    model(np.zeros((1, SIDE, SIDE, 3), "float32"))
    return filled(model)


def shared():
    """Two inputs through one encoder, called twice; outputs in a dict."""
    encoder = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), *parts()[:7], keras.layers.GlobalAveragePooling2D()], name="encoder"
    )
    left, right = keras.Input((SIDE, SIDE, 3), name="left"), keras.Input((SIDE, SIDE, 3), name="right")
    both = keras.layers.Concatenate(name="both")([encoder(left), encoder(right)])
    outputs = {
        "kind": keras.layers.Dense(3, activation="softmax", name="kind")(both),
        "size": keras.layers.Dense(1, name="size")(both),
    }
    return filled(keras.Model({"left": left, "right": right}, outputs, name="shared"))


def linear(weights, bias):
    """scores = inputs @ weights + bias."""
    inputs = keras.Input((len(weights),))
    dense = keras.layers.Dense(weights.shape[1], name="dense")
    model = keras.Model(inputs, dense(inputs), name="linear")
    dense.set_weights([weights, bias])
    return model


def filled(model, seed=0):
    """The model with weights and BatchNormalization statistics that are drawn, not at their starting values."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        value = rng.normal(0, 0.5, variable.shape) / np.sqrt(max(1, np.prod(variable.shape[:-1])) / 4)
        variable.assign(np.abs(value) + 0.5 if variable.name in ("moving_variance", "gamma") else value)
    return model


def network(model, **options):
    return Network(model, preprocessing=GREY, **options)


def images(count=4, side=SIDE, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, side, side, 3)).astype("float32")


def distance(a, b):
    """Relative L2."""
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    return np.linalg.norm(a - b) / max(np.linalg.norm(a), np.linalg.norm(b), 1e-300)
