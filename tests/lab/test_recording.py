"""A call of the model is recorded once; later traces add its operations and give the same numbers."""

import keras
import numpy as np
import pytest

import lab
from lab import routines, taps
from lab.environment import tf
from tests import networks

PATH = "counted"


class Counted(keras.layers.Layer):
    """Multiplies by a slope, and counts its calls in Python."""

    slope = 2.0
    calls = 0

    def call(self, x):
        type(self).calls += 1
        return x * self.slope


def counted(*layers):
    inputs = keras.Input((8, 8, 3))
    x = Counted(name=PATH)(keras.layers.Conv2D(4, 3, activation="relu", name="first")(inputs))
    for layer in layers:
        x = layer(x)
    return networks.network(networks.filled(keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Flatten()(x)))))


def traced(network, inputs, reads=()):
    """Outputs, activations and the gradient at the inputs of a trace that calls the model: dict of float arrays."""

    @tf.function(autograph=False)
    def trace(x):
        result = network.trace(x, reads, interceptors=[taps.Folder()])
        logits = result.logits()
        return {**result.activations, "logits": logits, "gradient": tf.gradients(logits[:, 1], x)[0]}

    return {name: value.numpy() for name, value in trace(tf.constant(inputs)).items()}


def test_methods_do_not_call_the_model_again():
    network = counted()
    inputs, before = networks.images(2, side=8), Counted.calls
    network.compiled.clear()
    outputs, _ = routines.outputs(network, inputs), lab.gradcam(network, inputs, lab.logit(1))
    gradient, activation = lab.gradient(network, inputs, lab.logit(1)), routines.activations(network, inputs, PATH)
    assert Counted.calls == before
    exact = traced(network, inputs, [PATH])
    assert Counted.calls == before + 1
    np.testing.assert_array_equal(next(iter(outputs.values())), exact["logits"])
    np.testing.assert_array_equal(gradient, exact["gradient"])
    np.testing.assert_array_equal(activation, exact[PATH])


def test_an_attribute_that_was_changed_later_counts():
    network, inputs = counted(), networks.images(2, side=8)
    before = routines.activations(network, inputs, PATH)
    network.tree[PATH].slope = 6.0
    np.testing.assert_allclose(routines.activations(network, inputs, PATH), 3 * before, rtol=1e-6)
    network.tree[PATH].slope = 2.0
    np.testing.assert_array_equal(routines.activations(network, inputs, PATH), before)


def test_weights_are_read_anew():
    network, inputs = counted(), networks.images(2, side=8)
    before = routines.activations(network, inputs, PATH)
    kernel, bias = network.tree["first"].get_weights()
    network.tree["first"].set_weights([kernel, bias + 1e3])
    after = routines.activations(network, inputs, PATH)
    assert (after > before + 1e3).all()


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [keras.layers.Activation("silu")],
        lambda: [keras.layers.Reshape((36, 4)), keras.layers.GRU(6, return_sequences=True)],
        lambda: [keras.layers.Lambda(lambda x: tf.ensure_shape(tf.numpy_function(abs, [x], tf.float32), x.shape) + x)],
    ],
    ids=["a gradient of its own", "a loop", "a Python function"],
)
def test_what_knows_its_graph_is_traced_anew(layers):
    network, inputs = counted(*layers()), networks.images(2, side=8)
    before = Counted.calls
    gradient = lab.gradient(network, inputs, lab.logit(1))
    assert Counted.calls > before
    np.testing.assert_array_equal(gradient, traced(network, inputs)["gradient"])


def test_inputs_of_another_shape_are_traced_anew():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(Counted(name=PATH)(keras.layers.Conv2D(4, 3)(inputs)))
    network = networks.network(networks.filled(keras.Model(inputs, keras.layers.Dense(5)(x))))
    photographs, before = networks.images(2, side=9), Counted.calls
    gradient = lab.gradient(network, photographs, lab.logit(1))
    assert Counted.calls > before
    np.testing.assert_allclose(gradient, traced(network, photographs)["gradient"], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("build", ["flat", "nested", "sequential", "subclassed", "shared"])
def test_folding_hides_no_layer_from_the_survey(build):
    model = getattr(networks, build)()
    folded, plain = networks.network(model), networks.network(model, fold=False)
    assert folded.leading == plain.leading and folded.readable == plain.readable
    assert folded.shapes == plain.shapes and folded.heads == plain.heads


def test_a_convolution_that_was_folded_is_read_unfolded():
    model = networks.flat()
    network, plain = networks.network(model), networks.network(model, fold=False)
    inputs = networks.images(2)
    for path in sorted(plain.leading):
        np.testing.assert_allclose(
            routines.activations(network, inputs, path),
            routines.activations(plain, inputs, path),
            rtol=1e-4,
            atol=1e-5,
            err_msg=path,
        )


def test_channels_first_networks_are_surveyed_alike():
    networks.needs_channels_first()
    inputs = keras.Input((3, 8, 8))
    x = keras.layers.Conv2D(4, 3, data_format="channels_first", name="first")(inputs)
    x = keras.layers.BatchNormalization(axis=1)(x)
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    model = networks.filled(keras.Model(inputs, keras.layers.Dense(5)(x)))
    folded, plain = networks.network(model), networks.network(model, fold=False)
    assert "first" in folded.leading and folded.leading == plain.leading
    photographs = networks.images(2, side=8)
    np.testing.assert_allclose(
        lab.gradient(folded, photographs, lab.logit(1)), lab.gradient(plain, photographs, lab.logit(1)), atol=1e-6
    )
