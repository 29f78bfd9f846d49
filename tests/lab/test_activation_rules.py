"""Rules of activations against the rule written out by hand, in every build of a network."""

import keras
import numpy as np
import pytest

import lab
from lab.activation_rules import ruled_gradient
from lab.environment import tf
from tests import networks
from tests.networks import distance

GOAL = lab.logit([0, 1, 2])


def by_hand(model, inputs, index, kind, top=np.inf):
    """The rule written out: every ReLU replaced by a function with its own gradient, on a plain tape."""

    @tf.custom_gradient
    def relu(x):
        y = tf.clip_by_value(x, 0.0, top)

        def slope(dy):
            gate = tf.cast((x > 0) & (x < top), x.dtype) if kind == "guided" else 1.0
            return tf.nn.relu(dy) * gate

        return y, slope

    x = tf.convert_to_tensor(inputs)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x
        for layer in model.layers[1:]:
            y = relu(y) if isinstance(layer, keras.layers.ReLU) else layer(y)
        score = tf.gather(y, index, axis=1, batch_dims=1)
    return tape.gradient(score, x).numpy()


def relu_network(max_value=None):
    inputs = keras.Input((12, 12, 3))
    x = inputs
    for width in (6, 8):
        x = keras.layers.Conv2D(width, 3, padding="same")(x)
        x = keras.layers.ReLU(max_value)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return networks.filled(keras.Model(inputs, keras.layers.Dense(4)(x)))


@pytest.mark.parametrize("method, kind", [("guided_backprop", "guided"), ("deconvnet", "deconv")])
@pytest.mark.parametrize("max_value, top", [(None, np.inf), (6.0, 6.0)])
def test_the_rule_is_that_of_the_paper(method, kind, max_value, top):
    model, inputs = relu_network(max_value), 3 * networks.images(3, side=12)
    expected = by_hand(model, inputs, [0, 1, 2], kind, top)
    maps = lab.explain(networks.network(model), inputs, GOAL, method=method).maps
    assert distance(maps, expected) < 1e-5
    assert distance(maps, lab.gradient(networks.network(model), inputs, GOAL)) > 1e-3


@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
def test_every_build_gives_one_map_and_the_gradient_stays_plain(method):
    inputs = networks.images(3)
    flat = networks.network(networks.flat())
    expected, plain = lab.explain(flat, inputs, GOAL, method=method).maps, lab.gradient(flat, inputs, GOAL)
    for build in (networks.nested, networks.sequential, networks.subclassed):
        network = networks.network(build())
        assert distance(lab.explain(network, inputs, GOAL, method=method).maps, expected) < 1e-5, build
        assert distance(lab.gradient(network, inputs, GOAL), plain) < 1e-5, build


def test_a_network_without_a_relu_is_refused():
    for network in (
        networks.network(networks.linear(np.ones((4, 3), "float32"), np.zeros(3, "float32"))),
        networks.network(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="gelu")])),
    ):
        with pytest.raises(ValueError, match="needs an activation such as ReLU"):
            lab.explain(network, np.ones((2, 4), "float32"), lab.logit(0), method="guided_backprop")


def test_a_network_whose_operations_cannot_be_seen_is_refused():
    """A ReLU may hide in it, which would pass a plain gradient."""

    class Hidden(keras.layers.Layer):
        def call(self, inputs):
            return tf.function(tf.nn.relu)(inputs)

    network = networks.network(
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu"), Hidden(name="hidden")])
    )
    with pytest.raises(ValueError, match="needs to see every one. Received: .*'hidden'"):
        lab.explain(network, np.ones((2, 4), "float32"), lab.logit(0), method="guided_backprop")


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="guided, deconv.*'guide'.*guided"):
        ruled_gradient(tf.ones([2]), [], "guide", operations=[])


def test_what_the_inputs_choose_and_what_a_library_passes_back_stays_a_gradient():
    """A choice among values and a custom gradient have no rule of relevance, and are no hindrance here."""

    @tf.custom_gradient
    def doubled(x):
        return x, lambda slope: 2 * slope

    class Chosen(keras.layers.Layer):
        def call(self, inputs):
            return tf.where(inputs > 0.5, doubled(inputs), 3 * inputs)

    inputs = np.float32([[0.2, 0.7, 0.9, 0.1]])
    weights = np.float32([[1], [1], [-1], [1]])
    model = keras.Sequential([keras.Input((4,)), Chosen(), keras.layers.ReLU(), keras.layers.Dense(1, use_bias=False)])
    model.layers[-1].set_weights([weights])
    maps = lab.explain(networks.network(model), inputs, lab.logit(0), method="guided_backprop").maps
    assert np.array_equal(maps, [[3, 2, 0, 3]])


def test_a_dead_unit_is_redirected_and_the_others_are_not():
    def slopes(x):
        graph = tf.compat.v1.get_default_graph()
        scores = tf.reduce_sum(tf.nn.relu(x) * [[2.0, 3.0]], axis=1)
        return ruled_gradient(scores, [x], "redirected", operations=graph.get_operations())[0]

    inputs = tf.constant([[-1.0, -2.0], [-1.0, 2.0]])
    assert np.array_equal(tf.function(slopes, autograph=False)(inputs), [[2, 3], [0, 3]])
