"""Games: networks set by hand whose attributions are known in closed form: a linear one, and an additive one with a product."""

import numpy as np

from lab.environment import keras
from sanity.worlds import worlds
from sanity.worlds.world import Samples, World

SIDE, PIXELS = 6, 36


def weights():
    """Weights of the linear game: float64 [36, 3]; each class looks at four pixels of its own, with both signs."""
    matrix = np.zeros((PIXELS, 3))
    for index in range(3):
        matrix[index * 12 + np.array([1, 4, 7, 10]), index] = [3.0, -2.0, 1.5, -1.0]
    return matrix


def factors(rng, count):
    """Pixels, independent and uniform.

    Args:
        rng: `numpy.random.Generator`.
        count: int, how many samples.

    Returns:
        dict of pixels, float64 [count, 6, 6, 1] in -1..1.
    """
    return {"pixels": rng.uniform(-1, 1, (count, SIDE, SIDE, 1))}


def render(drawn):
    """The class with the highest score; the mask is where that class's weights are."""
    inputs = drawn["pixels"].astype("float32")
    labels = (inputs.reshape(len(inputs), -1) @ weights()).argmax(1)
    return Samples(inputs, labels, (weights().T[labels] != 0).reshape(-1, SIDE, SIDE))


def build():
    """scores = pixels @ weights."""
    inputs = keras.Input((SIDE, SIDE, 1))
    dense = keras.layers.Dense(3, use_bias=False, name="logits")
    model = keras.Model(inputs, dense(keras.layers.Flatten(name="flat")(inputs)), name="linear")
    dense.set_weights([weights()])
    return model


@worlds.register
def linear():
    """A linear network: gradient = w, gradient x input = w * x, integrated gradients = w * (x - baseline)."""
    return World(
        "linear", "each pixel adds its weight times its value", factors, render, build, ("pixels",), training=None
    )


@keras.saving.register_keras_serializable("lab")
class Game(keras.layers.Layer):
    """x -> [x0 x1 + 2 x2, sum of x^2, x3^3]: for a baseline of zero the Shapley values are known."""

    def call(self, x):
        """The three scores of each sample.

        Args:
            x: tensor [batch, 6].

        Returns:
            tensor [batch, 3].
        """
        ops = keras.ops
        scores = [x[:, 0] * x[:, 1] + 2 * x[:, 2], ops.sum(x**2, axis=1), x[:, 3] ** 3]
        return ops.stack(scores, axis=1)


def shapley(inputs):
    """Shapley values of the game's three scores against a baseline of zero.

    Args:
        inputs: float [samples, 6].

    Returns:
        float64 [samples, 3, 6].
    """
    x = np.asarray(inputs, "float64")
    values = np.zeros((len(x), 3, x.shape[1]))
    values[:, 0, 0] = values[:, 0, 1] = x[:, 0] * x[:, 1] / 2
    values[:, 0, 2] = 2 * x[:, 2]
    values[:, 1] = x**2
    values[:, 2, 3] = x[:, 3] ** 3
    return values


def _draw_values(rng, count):
    return {"values": rng.uniform(0.2, 1, (count, 6)) * rng.choice([-1, 1], (count, 6))}


def _render_game(drawn):
    inputs = drawn["values"].astype("float32")
    return Samples(inputs, shapley(inputs).sum(-1).argmax(1))


def _build_game():
    inputs = keras.Input((6,))
    return keras.Model(inputs, Game(name="game")(inputs), name="additive")


@worlds.register
def additive():
    """A sum of functions of one input each, a product, and a cube: Shapley values in closed form, dead inputs included."""
    return World(
        "additive", "Shapley values in closed form", _draw_values, _render_game, _build_game, ("values",), training=None
    )
