"""A call of the model is recorded once; later traces add its operations and give the same numbers."""

import contextlib
import operator

import keras
import numpy as np
import pytest

import lab
from lab import routines, taps
from lab.environment import tf
from lab.network import Network
from lab.recording import Recording
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


def count_convolutions(network, reads=()):
    """How many convolutions a later trace of the network has: int."""
    trace = tf.function(lambda x: network.trace(x, reads).logits(), autograph=False)
    operations = trace.get_concrete_function(network.spec).graph.get_operations()
    return sum(operation.type in ("Conv2D", "DepthwiseConv2dNative") for operation in operations)


def test_what_nobody_reads_is_in_no_later_trace():
    network = networks.network(networks.flat())
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    folded = count_convolutions(network)
    assert folded == sum(isinstance(layer, kinds) for layer in network.tree.values()) and network._folded
    assert count_convolutions(network, [network.readable[-1]]) == folded


class Beside(keras.layers.Layer):
    """Computes one output on the device of another, which nothing reads."""

    def call(self, x):
        square = tf.square(x)
        with tf.compat.v1.colocate_with(square):
            beside = x + 1.0
        return 2 * beside, square


class Sloped(keras.layers.Layer):
    """Adds a gradient of its own, whose operations lie beside those that they are the gradients of."""

    def call(self, x):
        if tf.executing_eagerly():
            return x + 2 * tf.tanh(x) * (1 - tf.tanh(x) ** 2)
        return x + tf.gradients(tf.reduce_sum(tf.tanh(x) ** 2), x)[0]


class BesideWeights(keras.layers.Layer):
    """Computes its output on the device of a weight, which a loop computes before its turns."""

    def build(self, shape):
        self.slope = self.add_weight(shape=(shape[-1],), name="slope", initializer="ones")

    def call(self, x):
        slope = tf.tanh(self.slope.value)
        with tf.compat.v1.colocate_with(slope):
            return x * slope


@pytest.mark.parametrize("layer, parts", [(Beside, 2), (Sloped, 1), (BesideWeights, 1)])
def test_operations_beside_others_are_added_without_them(layer, parts, reference):
    inputs = keras.Input((8, 8, 3))
    outputs = layer()(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu")(outputs[0] if parts == 2 else outputs)
    model = networks.filled(keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Flatten()(x))))
    network, photographs = networks.network(model), networks.images(2, side=8)
    for method in ("gradient", "gradcam", "smoothgrad"):
        assert np.isfinite(lab.explain(network, photographs, lab.logit(1), method=method).maps).all()
    exact = reference(model, photographs, np.array([1, 1]))
    np.testing.assert_allclose(lab.gradient(network, photographs, lab.logit(1)), exact, rtol=1e-4, atol=1e-6)


class WithConstant(keras.Model):
    """Returns a constant that it holds beside its scores."""

    def __init__(self):
        super().__init__()
        self.dense, self.held = keras.layers.Dense(3), tf.constant([[1.0, 2.0]])

    def call(self, x):
        return {"scores": self.dense(x), "held": self.held}


def test_a_constant_among_the_outputs_is_no_obstacle():
    model, rows = WithConstant(), np.ones((2, 4), "float32")
    model(rows)
    gradient = lab.gradient(lab.load(model), rows, lab.logit(1, output="scores"))
    np.testing.assert_allclose(gradient, np.tile(model.dense.get_weights()[0][:, 1], (2, 1)), rtol=1e-6)


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


class Scaled(keras.layers.Layer):
    """Multiplies by what is kept under several kinds of attributes."""

    def __init__(self, **options):
        super().__init__(**options)
        self.number, self._hidden, self.pair, self.list = np.float32(2), 2.0, (1.0, 2.0), [2.0]
        self.table, self.array, self.function = {"factor": 2.0}, np.float32([1, 2, 3, 4]), tf.nn.relu

    def call(self, x):
        factor = self.number * self._hidden * self.pair[1] * self.list[0] * self.table["factor"]
        return self.function(x) * factor * self.array


def dense_network(*layers):
    inputs = keras.Input((4,))
    x = inputs
    for layer in layers:
        x = layer(x)
    return networks.network(keras.Model(inputs, keras.layers.Dense(3, name="last")(x)))


CHANGES = {
    "a number": lambda network: setattr(network.tree["scaled"], "number", np.float32(7)),
    "a private one": lambda network: setattr(network.tree["scaled"], "_hidden", 7.0),
    "a pair": lambda network: setattr(network.tree["scaled"], "pair", (1.0, 7.0)),
    "an item of a list": lambda network: operator.setitem(network.tree["scaled"].list, 0, 7.0),
    "an item of a dict": lambda network: operator.setitem(network.tree["scaled"].table, "factor", 7.0),
    "an item of an array": lambda network: operator.setitem(network.tree["scaled"].array, 0, 7.0),
    "a function": lambda network: setattr(network.tree["scaled"], "function", tf.nn.tanh),
    "the dtype": lambda network: setattr(network.tree["last"], "dtype_policy", "bfloat16"),
    "quantized weights": lambda network: network.tree["last"].quantize("int8"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_kind_of_attribute_counts(change):
    network, inputs = (
        dense_network(Scaled(name="scaled")),
        np.random.default_rng(3).normal(size=(2, 4)).astype("float32"),
    )
    before = routines.logits(network, inputs)
    change(network)
    exact = np.asarray(network.model(inputs))
    assert np.abs(exact - before).max() > 1e-3
    np.testing.assert_allclose(routines.logits(network, inputs), exact, rtol=1e-5, atol=1e-5)
    gradient = lab.gradient(network, inputs, lab.logit(1))
    np.testing.assert_allclose(gradient, traced(network, inputs)["gradient"], rtol=1e-5, atol=1e-5)


class Noting(keras.layers.Layer):
    """Writes down numbers and tensors of its last call."""

    calls = 0

    def call(self, x):
        self.calls, self.last, self.scale = self.calls + 1, x, 1.0 / x.shape[-1]
        return x * self.scale


def test_what_a_call_writes_down_needs_no_new_trace():
    network = dense_network(Noting(), keras.layers.Activation("silu"))
    inputs, before = np.ones((2, 4), "float32"), network.traces
    for _ in range(3):
        lab.gradient(network, inputs, lab.logit(1))
    assert network.traces == before + 1


class OfOne(keras.Model):
    """A model that reads one of two inputs."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs["first"])


def test_an_input_that_the_model_ignores():
    model, inputs = OfOne(), {"first": np.ones((2, 4), "float32"), "second": np.ones((2, 2), "float32")}
    exact = np.asarray(model(inputs))
    spec = {name: tf.TensorSpec([None, *array.shape[1:]]) for name, array in inputs.items()}
    np.testing.assert_allclose(routines.logits(Network(model, spec=spec), inputs), exact, rtol=1e-6)


class Waiting(keras.layers.Layer):
    """Doubles once its input was computed."""

    def call(self, x):
        with tf.control_dependencies([x]):
            return tf.constant(2.0) * x


def test_operations_that_wait_for_an_input():
    network, inputs = dense_network(Waiting()), np.ones((2, 4), "float32")
    np.testing.assert_allclose(routines.logits(network, inputs), np.asarray(network.model(inputs)), rtol=1e-6)


class Shaped(keras.layers.Layer):
    """Says the shape of a tensor from which it cannot be inferred."""

    def call(self, x):
        free = tf.reshape(x, tf.concat([tf.shape(x)[:1], [-1], tf.shape(x)[2:]], 0) * 1)
        free.set_shape(x.shape)
        return free + 1

    def compute_output_shape(self, shape):
        return shape


def test_shapes_that_a_layer_says_stay_known():
    inputs = keras.Input((6, 4))
    x = keras.layers.Flatten()(Shaped(name="shaped")(keras.layers.Dense(4)(inputs)))
    network, arrays = networks.network(keras.Model(inputs, keras.layers.Dense(3)(x))), np.ones((2, 6, 4), "float32")
    means, _ = routines.peaks(network, arrays, "shaped")
    exact = traced(network, arrays, ["shaped"])["shaped"].mean(axis=1)
    np.testing.assert_allclose(means, exact, rtol=1e-5, atol=1e-6)


def test_inputs_from_outside_of_a_loop_are_brought_into_it():
    inputs = {"image": keras.Input((8, 8, 3), name="image"), "other": keras.Input((4,), name="other")}
    x = keras.layers.Concatenate()([keras.layers.Flatten()(inputs["image"]), inputs["other"]])
    network = networks.network(networks.filled(keras.Model(inputs, keras.layers.Dense(3)(x))))
    image, other = networks.images(2, side=8), np.ones((2, 4), "float32")

    @tf.function(autograph=False)
    def in_a_loop(image, other):
        def turn(step, _):
            return step + 1, network.trace({"image": image, "other": other}).logits()

        shapes = (tf.TensorShape([]), tf.TensorShape([None, 3]))
        return tf.while_loop(lambda step, _: step < 1, turn, (0, tf.zeros((2, 3))), shapes)[1]

    exact = routines.logits(network, {"image": image, "other": other})
    free = [tf.TensorSpec([None, 8, 8, 3]), tf.TensorSpec([None, 4])]
    values = in_a_loop.get_concrete_function(*free)(tf.constant(image), tf.constant(other))
    np.testing.assert_allclose(values, exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layers", [(), (keras.layers.Softmax(),)])
def test_the_survey_gives_the_logits_to_the_bit(layers, monkeypatch):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(inputs))
    x = keras.layers.Dense(5)(keras.layers.Flatten()(x))
    for layer in layers:
        x = layer(x)
    network = networks.network(networks.filled(keras.Model(inputs, x)))
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("float32")
    before = network.traces
    (surveyed,) = routines.outputs(network, images).values()
    assert network.traces == before
    network.compiled.clear()
    monkeypatch.setattr(network, "surveyed_logits", lambda spec: None)
    (anew,) = routines.outputs(network, images).values()
    assert network.traces == before + 1 and surveyed.tobytes() == anew.tobytes()
    probabilities = routines.outputs(network, images, logits=False)
    assert np.allclose(next(iter(probabilities.values())), network.model(images), atol=1e-5)


def test_the_survey_does_not_answer_for_another_wiring():
    network = counted()
    images = np.ones((2, 8, 8, 3), "float32")
    (before,) = routines.outputs(network, images).values()
    network.tree[PATH].slope = 5.0
    (after,) = routines.outputs(network, images).values()
    assert np.allclose(after, network.model(images), atol=1e-4) and not np.allclose(after, before, atol=1e-3)


# Loops --------------------------------------------------------------------------------------------------------------------


def with_shared_weights(network, work, monkeypatch):
    """What some work returns, and the weights that were computed before each of its loops."""
    add_weights, added = type(network._recording).add_weights, []

    def note(recording):
        added.append(add_weights(recording))
        return added[-1]

    monkeypatch.setattr(type(network._recording), "add_weights", note)
    network.compiled.clear()
    return work(), added


def each_turn_by_itself(network, work, monkeypatch):
    """What some work returns where each turn of its loop computes the weights."""
    monkeypatch.setattr(type(network), "weights_before_loop", lambda _: contextlib.nullcontext())
    network.compiled.clear()
    return work()


@pytest.mark.parametrize("make", [networks.flat, networks.subclassed])
def test_turns_of_a_loop_share_folded_weights_bit_by_bit(make, monkeypatch):
    network, inputs = networks.network(make()), networks.images()

    def work():
        pictures = lab.maximize(network, lab.logit(range(3)), steps=4, seed=0, snapshots=[2])
        maps = lab.smoothgrad(network, inputs, lab.logit(1), samples=5, seed=0)
        return maps, pictures.images, pictures.curves, pictures.snapshots

    together, added = with_shared_weights(network, work, monkeypatch)
    # Two kernels times a scale, and two shifts.
    assert len(added) == 2 and all(sum("mul" in name or "add" in name for name in names) >= 3 for names in added)
    for one, other in zip(together, each_turn_by_itself(network, work, monkeypatch)):
        np.testing.assert_array_equal(one, other)


def test_shared_weights_are_those_of_the_call():
    """Weights that are swapped later are seen by the same trace."""
    network, inputs = networks.network(networks.flat()), networks.images()

    def explain():
        return lab.smoothgrad(network, inputs, lab.logit(1), samples=3, seed=0)

    before, traces = explain(), network.traces
    name = next(name for name in network.variables if name.endswith("moving_variance"))
    with network.weights({name: 4 * network.state([name])[name]}):
        swapped = explain()
    assert network.traces == traces and np.abs(swapped - before).max() > 1e-3 * np.abs(before).max()
    np.testing.assert_array_equal(explain(), before)


def test_what_draws_is_not_shared():
    """Random numbers that a variable seeds are drawn in each turn, and plain reads are left where they are."""
    variable = tf.Variable([1.0, 2.0])

    @tf.function
    def call(x):
        noise = tf.random.normal([2]) * variable
        return x * tf.square(variable) + noise + variable

    graph = call.get_concrete_function(tf.TensorSpec([None, 2])).graph
    recording = Recording(graph, graph.outputs, None)
    assert [graph.as_graph_element(name).op.type for name in recording.weight_names] == ["Square"]


def test_arrays_that_a_model_holds_are_left_where_they_are(monkeypatch):
    """The mean of a Normalization is an array and no variable. It was asked for among what is computed, and no map was drawn."""
    inputs = keras.Input((networks.SIDE, networks.SIDE, 3))
    scaled = keras.layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(inputs)
    network = networks.network(networks.filled(keras.Model(inputs, networks.through(networks.parts(), scaled))))
    images = networks.images()

    def work():
        maps = lab.smoothgrad(network, images, lab.logit(1), samples=3, seed=0)
        return maps, lab.maximize(network, lab.logit(range(2)), steps=2, seed=0).images

    together, added = with_shared_weights(network, work, monkeypatch)
    # The root of the variance, of which the largest of it and a small number is taken, is one of them.
    assert len(added) == 2 and all(any("Maximum" in name for name in names) for names in added)
    for one, other in zip(together, each_turn_by_itself(network, work, monkeypatch)):
        np.testing.assert_array_equal(one, other)


def test_a_loop_holds_only_what_its_turns_read():
    """Of a folded network a turn reads kernels that were computed before, and no variable of a BatchNormalization."""
    network = networks.network(networks.flat())

    @tf.function(autograph=False)
    def in_a_loop(images):
        def turn(step, _):
            return step + 1, network.trace(images).logits()

        start, shapes = (0, tf.zeros((1, 5))), (tf.TensorShape([]), tf.TensorShape([None, 5]))
        with network.weights_before_loop():
            return tf.while_loop(lambda step, _: step < 1, turn, start, shapes)[1]

    images = networks.images(2)
    compiled = in_a_loop.get_concrete_function(tf.TensorSpec([None, *images.shape[1:]]))
    graph = compiled.graph
    (loop,) = (op for op in graph.get_operations() if op.type in ("While", "StatelessWhile"))
    variables = [tensor for tensor in loop.inputs if tensor.dtype == tf.resource]
    scaled = [layer for layer in network.tree.values() if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(scaled) == 2 and len(variables) <= len(network.model.variables) - 4 * len(scaled)
    exact = routines.logits(network, images)
    np.testing.assert_allclose(compiled(tf.constant(images)), exact, rtol=1e-5, atol=1e-6)


class Bounded(keras.layers.Layer):
    """Asserts that no number is above 100."""

    def call(self, x):
        tf.raw_ops.Assert(condition=tf.reduce_all(x < 100.0), data=["above 100"])
        return x


def test_assertions_of_a_layer_are_run_in_each_turn():
    inputs = keras.Input((networks.SIDE, networks.SIDE, 3))
    network = networks.network(
        networks.filled(keras.Model(inputs, networks.through(networks.parts(), Bounded()(inputs))))
    )
    images = networks.images()
    assert (
        network._recording.can_replay
        and np.isfinite(lab.smoothgrad(network, images, lab.logit(1), samples=2, seed=0)).all()
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="above 100"):
        lab.smoothgrad(network, 1000 + images, lab.logit(1), samples=2, seed=0)


def test_a_climb_of_one_stretch_gives_the_bytes_of_one_with_snapshots():
    network = networks.network(networks.flat())
    alone = lab.maximize(network, lab.logit(range(2)), steps=5, seed=0)
    beside = lab.maximize(network, lab.logit(range(2)), steps=5, seed=0, snapshots=[2])
    np.testing.assert_array_equal(alone.images, beside.images)
    np.testing.assert_array_equal(alone.curves, beside.curves)
    assert alone.snapshots is None and beside.snapshots.shape[1] == 2
