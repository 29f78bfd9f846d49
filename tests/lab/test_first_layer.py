"""First layers: the gradient of a weighted sum of samples, against the sum of their gradients."""

import keras
import numpy as np
import pytest

import lab
from lab import chunks, first_layer, routines
from lab.environment import tf
from tests import networks
from tests.networks import distance

GOAL = lab.logit([0, 3, 4, 1])


def behind(entrance):
    """The small function behind some layers."""
    inputs = keras.Input((networks.SIDE, networks.SIDE, 3))
    return networks.filled(keras.Model(inputs, networks.through([*entrance, *networks.parts()], inputs)))


def read_twice():
    """A network whose first convolution is not all that reads its input."""
    inputs = keras.Input((networks.SIDE, networks.SIDE, 3))
    convolved = keras.layers.Conv2D(3, 3, padding="same")(inputs)
    joined = keras.layers.Add()([inputs, convolved])
    return networks.filled(keras.Model(inputs, networks.through(networks.parts(), joined)))


# What is built, and the operations that are taken together.
ENTRANCES = {
    "a convolution": (networks.flat, ["Conv2D"]),
    "one of a nested model": (networks.nested, ["Conv2D"]),
    "one behind zeros": (lambda: behind([keras.layers.ZeroPadding2D(2)]), ["Pad", "Conv2D"]),
    "one behind a scale": (lambda: behind([keras.layers.Rescaling(0.5, 0.1)]), ["Mul", "AddV2", "Conv2D"]),
    "an activation": (lambda: behind([keras.layers.Activation("tanh")]), []),
    "two readers": (read_twice, []),
}


def operations_of(network, monkeypatch):
    """A list to which the kinds of first operations of each trace are added."""
    lists, first_operations = [], first_layer.first_operations

    def note(*tensors):
        lists.append(first_operations(*tensors))
        return lists[-1]

    monkeypatch.setattr(first_layer, "first_operations", note)
    return lists


@pytest.mark.parametrize("name", ENTRANCES)
def test_a_sum_of_slopes_goes_through_the_first_layer_once(name, monkeypatch):
    make, kinds = ENTRANCES[name]
    network, inputs = networks.network(make()), networks.images()
    lists = operations_of(network, monkeypatch)

    def explain():
        return (
            lab.smoothgrad(network, inputs, GOAL, samples=5, seed=1),
            lab.integrated_gradients(network, inputs, GOAL, steps=5, baseline=0.2),
        )

    together = explain()
    assert [[op.type for op in operations] for operations in lists] == [kinds, kinds]
    monkeypatch.setattr(first_layer, "first_operations", lambda *_: [])
    network.compiled.clear()
    for one, other in zip(together, explain()):
        assert distance(one, other) < 1e-6 and np.abs(other).max() > 0


def test_a_sum_of_slopes_is_the_mean_of_gradients():
    """By gradients of single samples, which do not know of first layers."""
    network, inputs, steps = networks.network(networks.flat()), networks.images(), 4
    where = (np.arange(steps) + 0.5) / steps
    slopes = [lab.gradient(network, (place * inputs).astype("float32"), GOAL) for place in where]
    together = lab.integrated_gradients(network, inputs, GOAL, steps=steps, nodes="midpoint")
    assert distance(together, inputs * np.mean(slopes, 0)) < 1e-5


def test_what_needs_each_slope_gets_it(monkeypatch):
    """Squares and factors of each slope are no function of their sum."""
    network, inputs = networks.network(networks.flat()), networks.images()
    lists = operations_of(network, monkeypatch)
    lab.smoothgrad(network, inputs, GOAL, samples=3, variant="variance", seed=1)
    lab.gradient_shap(network, inputs, GOAL, samples=3, references=[0.0, 0.5], seed=1)
    assert lists == []


def test_rows_are_not_mixed_by_padding():
    """A constant that differs between rows, and zeros between rows, are no first operation."""

    @tf.function
    def trace(leaf):
        kernel = tf.ones((3, 3, 3, 2))
        rows = leaf * tf.reshape(tf.range(2.0), (2, 1, 1, 1))
        padded = tf.pad(leaf, [[0, 1], [0, 0], [0, 0], [0, 0]])
        return [
            first_layer.first_operations(tensor, tf.reduce_sum(tf.nn.conv2d(changed, kernel, 1, "SAME")))
            for tensor, changed in ((leaf, rows), (leaf, padded))
        ] == [[], []]

    assert trace(tf.ones((2, 4, 4, 3)))


def test_rows_that_become_another_axis_are_no_rows():
    """A constant with one axis more than the input makes the rows the height of one picture."""

    @tf.function
    def trace(leaf):
        convolved = tf.nn.conv2d(leaf + tf.ones((1, 1, 4, 3)), tf.ones((3, 3, 3, 2)), 1, "SAME")
        return first_layer.first_operations(leaf, tf.reduce_sum(convolved)) == []

    assert trace(tf.ones((2, 4, 3)))


def test_a_score_that_no_gradient_reaches_is_refused():
    inputs = keras.Input((networks.SIDE, networks.SIDE, 3))
    stopped = keras.layers.Lambda(tf.stop_gradient, output_shape=(networks.SIDE, networks.SIDE, 8))(
        keras.layers.Conv2D(8, 3, padding="same")(inputs)
    )
    pooled = keras.layers.GlobalAveragePooling2D()(stopped)
    network = networks.network(keras.Model(inputs, keras.layers.Dense(5)(pooled)))
    with pytest.raises(ValueError, match="no gradient connects"):
        lab.smoothgrad(network, networks.images(), GOAL, samples=2, seed=0)
    assert routines.scores(network, networks.images(), GOAL).shape == (4,)


def test_a_turn_takes_several_samples_of_a_row_where_rows_would_fill_a_chunk(monkeypatch):
    """With as many rows as fit there is one sample in a turn, and no sum to go through the first layer once."""
    network, inputs = networks.network(networks.flat()), networks.images(16)
    whole = lab.smoothgrad(network, inputs, lab.logit(1), samples=8, seed=0)
    monkeypatch.setattr(chunks, "size", lambda network, samples=1: 16)
    widths, run = [], routines.run
    monkeypatch.setattr(
        routines, "run", lambda *args, **options: widths.append((args[4][-1], options)) or run(*args, **options)
    )
    parts = lab.smoothgrad(network, inputs, lab.logit(1), samples=8, seed=0)
    # Two turns are under way at once, and fill the chunk together.
    assert network.turns_at_once == 2 and [(int(width), options) for width, options in widths] == [(4, {"most": 2})]
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max())
