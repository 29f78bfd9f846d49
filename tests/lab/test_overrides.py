"""Gradient overrides against the rule written out by hand, in every build of a network."""

import threading

import keras
import numpy as np
import pytest

import lab
from lab.environment import tf
from lab.overrides import override
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


def test_an_activation_made_elsewhere_is_refused_and_unknown_rules_too():
    def outside(inputs):
        rectified = tf.nn.relu(inputs)
        with override("guided"):
            return tf.gradients(tf.reduce_sum(tf.nn.relu(rectified)), inputs)[0]

    with pytest.raises(ValueError, match="made without it"):
        tf.function(outside, autograph=False)(tf.ones([3]))
    with pytest.raises(ValueError, match="guided, deconv.*'guide'"), override("guide"):
        pass


def test_each_thread_has_rules_of_its_own():
    """One thread enters a rule while another is between the entering and the gradient: neither counts for the other."""
    entered, counts = threading.Barrier(2, timeout=30), {}

    def trace(rule):
        def body(x):
            with override(rule) as fired:
                entered.wait()
                slopes = tf.gradients(tf.nn.relu(x), x)
                entered.wait()
            counts[rule] = len(fired)
            return slopes

        tf.function(body, autograph=False).get_concrete_function(tf.TensorSpec([2]))

    threads = [threading.Thread(target=trace, args=(rule,)) for rule in ("guided", "deconv")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counts == {"guided": 1, "deconv": 1}
