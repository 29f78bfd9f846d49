"""Networks of every build: paths, shapes, reading, folding, swapping."""

import contextlib
import threading

import keras
import numpy as np
import pytest

import lab
from lab import routines
from lab.environment import tf
from lab.refusal import Refused
from tests import networks
from tests.networks import CLASSES, SIDE, distance

BUILDS = {
    "flat": ("", networks.flat),
    "nested": ("backbone/", networks.nested),
    "sequential": ("features/", networks.sequential),
    "subclassed": (None, networks.subclassed),
}
GOAL = [0, 3, 4, 1]


def last(build):
    prefix, _ = BUILDS[build]
    return "blocks/6" if prefix is None else f"{prefix}last"


@pytest.fixture(scope="module", params=BUILDS)
def built(request):
    return request.param, networks.network(BUILDS[request.param][1]())


def test_layers_are_listed_with_path_shape_and_parameters(built):
    name, network = built
    rows = {row.path: row for row in network.layers()}
    assert rows[last(name)].shape == (None, SIDE // 2, SIDE // 2, 12)
    assert rows[last(name)].parameters == 8 * 12 + 12
    assert (
        sum(
            variable.shape.num_elements() if hasattr(variable.shape, "num_elements") else int(np.prod(variable.shape))
            for variable in network.variables.values()
        )
        == network.model.count_params()
    )


def test_every_build_gives_one_map(built, small):
    name, network = built
    inputs = networks.images()
    reference = lab.gradient(small, inputs, lab.logit(GOAL))
    assert distance(lab.gradient(network, inputs, lab.logit(GOAL)), reference) < 1e-5
    cam = lab.gradcam(network, inputs, lab.logit(GOAL), layer=last(name))
    assert distance(cam, lab.gradcam(small, inputs, lab.logit(GOAL), layer="last")) < 1e-5


def test_default_cam_layer_is_the_last_with_extent(built):
    name, network = built
    assert network.last_spatial() == last(name)


def test_activations_equal_a_cut_model(small):
    inputs = networks.images()
    cut = keras.Model(small.model.inputs[0], small.model.get_layer("depthwise_gelu").output)
    assert distance(routines.activations(small, inputs, "depthwise_gelu"), cut(inputs)) < 1e-6


def test_shared_layers_are_addressed_by_call_and_structures_come_back():
    network = networks.network(networks.shared())
    inputs = {"left": networks.images(seed=1), "right": networks.images(seed=2)}
    alone = keras.Model(
        network.model.get_layer("encoder").inputs[0], network.model.get_layer("encoder").get_layer("last").output
    )
    assert distance(routines.activations(network, inputs, "encoder/last@1"), alone(inputs["right"])) < 1e-6
    assert distance(routines.activations(network, inputs, "encoder/last"), alone(inputs["left"])) < 1e-6
    maps = lab.gradient(network, inputs, lab.logit(1, output="kind") - lab.logit(0, output="size"))
    assert set(maps) == {"left", "right"} and maps["left"].shape == inputs["left"].shape
    record = lab.explain(network, inputs, lab.logit(1, output="kind"), method="integrated_gradients", steps=64)
    assert record.head == "Softmax" and np.abs(record.gap).max() < 1e-2 * np.abs(record.scores).max() + 1e-3


def test_several_outputs_must_be_named():
    network = networks.network(networks.shared())
    inputs = {"left": networks.images(1), "right": networks.images(1)}
    with pytest.raises(ValueError, match="several outputs.*kind"):
        lab.gradient(network, inputs, lab.logit(0))
    with pytest.raises(ValueError, match="Unknown output.*'knd'.*kind"):
        lab.gradient(network, inputs, lab.logit(0, output="knd"))


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_softmax_head_or_logits_head_one_explanation(head, small):
    network = networks.network(networks.flat(head=head))
    inputs = networks.images()
    assert distance(lab.gradient(network, inputs, lab.logit(GOAL)), lab.gradient(small, inputs, lab.logit(GOAL))) < 1e-6
    assert network.heads == {"head": head.capitalize()}
    assert lab.explain(network, inputs, lab.logit(0), method="gradient").head == head.capitalize()


def test_softmax_inside_the_last_dense_and_inside_call():
    inputs = keras.Input((6,))
    dense = keras.layers.Dense(3, activation="softmax")
    inside = networks.network(networks.filled(keras.Model(inputs, dense(inputs))))

    class Bare(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return tf.nn.softmax(self.dense(x))

    bare = Bare()
    bare(np.zeros((1, 6), "float32"))
    bare.set_weights(inside.model.get_weights())
    inputs = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    for network in (inside, networks.network(bare)):
        maps = lab.gradient(network, inputs, lab.logit(2))
        np.testing.assert_allclose(maps, np.tile(inside.model.get_weights()[0][:, 2], (4, 1)), rtol=1e-5)


def test_folding_fires_and_changes_nothing(reference):
    model = networks.flat("float64")
    folded, plain = networks.network(model), networks.network(model, fold=False)
    inputs = networks.images().astype("float64")
    counts = {}

    @tf.function(autograph=False)
    def count(x):
        counts["folded"] = folded.trace(x).folded
        return x

    count.get_concrete_function(folded.spec)
    assert counts == {"folded": 2}
    goal = lab.logit(GOAL)
    _, a = routines.gradient(folded, inputs, goal)
    _, b = routines.gradient(plain, inputs, goal)
    assert a.dtype == np.float64 and distance(a, b) < 1e-10
    assert distance(a, reference(model, inputs, GOAL)) < 1e-10


@pytest.mark.parametrize("change", ["activation", "dtype", "training", "branch", "groups", "bias"])
def test_folding_is_guarded(change, reference):
    """Where folding would be wrong it does not happen; where it may, the answer is the same."""
    inputs = keras.Input((SIDE, SIDE, 4), dtype="float64")
    options = {"activation": "tanh"} if change == "activation" else {"groups": 2} if change == "groups" else {}
    convolution = keras.layers.Conv2D(
        4, 3, padding="same", dilation_rate=2, use_bias=change == "bias", dtype="float64", **options
    )
    convolved = convolution(inputs)
    norm = keras.layers.BatchNormalization(
        dtype="float32" if change == "dtype" else "float64", center=False, scale=change != "bias"
    )
    outputs = norm(convolved)
    if change == "training":
        norm.trainable = False
    if change == "branch":
        outputs = keras.layers.Add(dtype="float64")([outputs, convolved])
    outputs = keras.layers.GlobalAveragePooling2D(dtype="float64")(
        keras.layers.Activation("tanh", dtype="float64")(outputs)
    )
    network = networks.network(networks.filled(keras.Model(inputs, outputs)))
    arrays = np.random.default_rng(0).normal(size=(3, SIDE, SIDE, 4))
    tolerance = 1e-6 if change == "dtype" else 1e-10
    assert (
        distance(
            routines.gradient(network, arrays, lab.logit([0, 1, 2]))[1], reference(network.model, arrays, [0, 1, 2])
        )
        < tolerance
    )


def test_a_convolution_that_is_read_is_not_folded(small):
    inputs = networks.images()
    cut = keras.Model(small.model.inputs[0], small.model.get_layer("first").output)
    assert distance(routines.activations(small, inputs, "first"), cut(inputs)) < 1e-6
    direction = np.eye(8)[3]
    slope = lab.gradient(small, inputs, lab.direction("first", direction))
    assert np.abs(slope).max() > 0


def test_mixed_precision_runs_and_agrees(small):
    network = networks.network(networks.flat("mixed_float16"))
    inputs = networks.images()
    maps = lab.gradient(network, inputs, lab.logit(GOAL))
    assert maps.dtype == np.float32
    assert distance(maps, lab.gradient(small, inputs, lab.logit(GOAL))) < 1e-2
    assert lab.gradcam(network, inputs, lab.logit(GOAL)).dtype == np.float32


def test_a_compiled_call_inside_the_model_is_seen_through(small):
    class Compiled(networks.Subclassed):
        @tf.function
        def call(self, inputs):
            return networks.Subclassed.call(self, inputs)

    model = Compiled()
    inputs = networks.images()
    model(inputs)
    model.set_weights(small.model.get_weights())
    network = networks.network(model)
    assert "blocks/6" in network.shapes
    assert (
        distance(routines.activations(network, inputs, "blocks/6"), routines.activations(small, inputs, "last")) < 1e-6
    )
    assert "call" not in model.__dict__


def test_taps_come_off_whatever_happens(small):
    class Broken(keras.layers.Layer):
        fail = False

        def call(self, x):
            if self.fail:
                raise KeyError("inside")
            return x

    layer = Broken()
    inputs = keras.Input((4,))
    network = networks.network(keras.Model(inputs, keras.layers.Dense(2)(layer(inputs))))
    layer.fail = True
    with pytest.raises(KeyError):
        lab.gradient(network, np.zeros((1, 4), "float32"), lab.logit(0))
    assert all("call" not in layer.__dict__ for layer in network.tree.values())


def test_other_threads_do_not_see_a_tap(small):
    from lab import taps

    tapped = []
    inputs = networks.images(1)
    with taps.intercept(
        small.tree.values(), lambda layer, call, args, kwargs: (tapped.append(layer.name), call(*args, **kwargs))[1]
    ):
        thread = threading.Thread(target=lambda: small.model(inputs))
        thread.start()
        thread.join()
        assert not tapped
        small.model(inputs)
    assert "last" in tapped


def test_layers_inside_loops_are_refused():
    inputs = keras.Input((3, 8, 8, 3))
    outputs = keras.layers.TimeDistributed(keras.layers.Conv2D(2, 3, name="inner"), name="steps")(inputs)
    network = networks.network(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(outputs))))
    with pytest.raises(ValueError, match="loop of 'steps'"):
        routines.activations(network, np.zeros((1, 3, 8, 8, 3), "float32"), "steps/layer")
    assert routines.activations(network, np.zeros((1, 3, 8, 8, 3), "float32"), "steps").shape == (1, 3, 6, 6, 2)


def test_recurrent_models_run():
    inputs = keras.Input((7, 3))
    network = networks.network(
        networks.filled(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.LSTM(4)(inputs))))
    )
    series = np.random.default_rng(0).normal(size=(3, 7, 3)).astype("float32")
    maps = lab.integrated_gradients(network, series, lab.logit(1), steps=32)
    gap = maps.sum((1, 2)) - (
        routines.scores(network, series, lab.logit(1)) - routines.scores(network, 0 * series, lab.logit(1))
    )
    assert np.abs(gap).max() < 1e-4


def test_weights_are_swapped_in_place_and_put_back(small):
    before = small.fingerprint()
    inputs = networks.images()
    trained = lab.gradient(small, inputs, lab.logit(0))
    traces = small.traces
    other = {name: np.zeros_like(value) if name.endswith("kernel") else value for name, value in small.state().items()}
    with small.intact(), small.weights(other):
        assert not np.abs(lab.gradient(small, inputs, lab.logit(0))).any()
    assert small.fingerprint() == before and small.traces == traces
    assert np.array_equal(lab.gradient(small, inputs, lab.logit(0)), trained)


class Named(keras.Model):
    """Scores of classes, and beside them what is no row of numbers: the name of the best class, or one number for all."""

    def __init__(self, is_text):
        super().__init__()
        self.dense, self.is_text = keras.layers.Dense(3), is_text

    def call(self, inputs):
        scores = self.dense(tf.reduce_mean(inputs, axis=(1, 2)))
        best = tf.gather(tf.constant(["cat", "dog", "fox"]), tf.argmax(scores, axis=1))
        return {"beside": best if self.is_text else tf.reduce_mean(scores), "scores": scores}


@pytest.mark.parametrize("is_text", [True, False])
def test_outputs_that_are_no_rows_of_numbers_are_left_out(is_text):
    model, images = Named(is_text), networks.images(3)
    model(images)
    network = networks.network(model, spec=tf.TensorSpec([None, SIDE, SIDE, 3]))
    goal = lab.logit(1, output="scores")
    for logits in (True, False):
        values = routines.outputs(network, images, logits=logits)
        assert list(values) == ["scores"] and np.allclose(values["scores"], model(images)["scores"], atol=1e-6)
    pictures = lab.maximize(network, goal, steps=2, seed=0, transforms="none")
    assert np.allclose(pictures.scores, routines.scores(network, pictures.inputs, goal), atol=1e-6)
    assert lab.explain(network, images, goal, method="gradient").maps.any()


def test_weights_that_were_taken_do_not_follow_the_arrays_that_held_them():
    network, inputs = networks.network(networks.flat()), networks.images(2)
    before, state = routines.logits(network, inputs), network.state()
    network.adopt(state)
    with network.weights(state):
        for value in state.values():
            value[...] = 7
        assert np.array_equal(routines.logits(network, inputs), before)
    assert np.array_equal(routines.logits(network, inputs), before)


@pytest.mark.parametrize("value", [np.nan, 1.0])
def test_weights_are_put_back_after_an_exception(small, value):
    before = small.fingerprint()
    with (
        pytest.raises(RuntimeError, match="stop"),
        small.weights({"first/kernel": np.full(small.variables["first/kernel"].shape, value)}),
    ):
        raise RuntimeError("stop")
    assert small.fingerprint() == before


def test_a_kept_change_is_noticed():
    network = networks.network(networks.flat())
    with pytest.raises(RuntimeError, match="not what they were"), network.intact():
        network.variables["logits/bias"].assign(np.ones(CLASSES))


def test_swapping_refuses_what_does_not_fit(small):
    with pytest.raises(ValueError, match="first/kernel"), small.weights({"frist/kernel": np.zeros(3)}):
        pass
    with pytest.raises(ValueError, match="keeps its shape"), small.weights({"first/kernel": np.zeros(3)}):
        pass


def test_bad_inputs_are_refused_by_name(small):
    inputs = networks.images()
    bad = inputs.copy()
    bad[2, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"NaN.*samples \[2\]"):
        lab.gradient(small, bad, lab.logit(0))
    with pytest.raises(ValueError, match="shape"):
        lab.gradient(small, inputs[:, :8], lab.logit(0))
    with pytest.raises(ValueError, match="at least one"):
        lab.gradient(small, inputs[:0], lab.logit(0))
    with pytest.raises(ValueError, match="between 0 and 4"):
        lab.gradient(small, inputs, lab.logit(5))
    with pytest.raises(ValueError, match="one per sample"):
        lab.gradient(small, inputs, lab.logit([0, 1]))
    with pytest.raises(ValueError, match="Unknown layer.*'lst'.*last"):
        lab.gradient(small, inputs, lab.channel("lst", 0))
    with pytest.raises(ValueError, match="rows and columns.*'pool'"):
        lab.gradcam(small, inputs, lab.logit(0), layer="pool")
    with pytest.raises(ValueError, match="no gradient"):
        lab.gradcam(small, inputs, lab.channel("first_relu", 0), layer="last")


def test_nan_weights_are_refused():
    model = networks.flat()
    model.get_layer("logits").bias.assign([0, np.nan, 0, 0, 0])
    with pytest.raises(ValueError, match="NaN or infinity in 'logits/bias'"):
        networks.network(model)


def test_ids_are_differentiated_where_they_are_embedded():
    tokens = keras.Input((5,), dtype="int32")
    network = networks.network(
        keras.Model(tokens, keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.Embedding(9, 3)(tokens))))
    )
    assert routines.scores(network, np.ones((2, 5), "int32"), lab.logit(0)).shape == (2,)
    assert lab.gradient(network, np.ones((2, 5), "int32"), lab.logit(0)).shape == (2, 5)
    with pytest.raises(ValueError, match="floating"):
        routines.gradient(network, np.ones((2, 5), "int32"), lab.logit(0))


def test_an_unbuilt_model_needs_a_spec():
    model = networks.Subclassed()
    with pytest.raises(ValueError, match="spec="):
        lab.load(model)
    network = lab.load(networks.Subclassed(), spec=tf.TensorSpec([None, SIDE, SIDE, 3]))
    assert network.outputs == {"output": (None, CLASSES)}


# Copies -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [networks.flat, networks.nested, networks.subclassed])
def test_a_copy_has_the_same_answers_and_weights_of_its_own(build):
    network, inputs = networks.network(build()), networks.images(3)
    before = routines.outputs(network, inputs)
    copy = network.copy()
    assert copy.fingerprint() == network.fingerprint() and copy.preprocessing == network.preprocessing
    for weights in copy.variables.values():
        weights.assign(weights + 1.0)
    after = routines.outputs(network, inputs)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    changed = routines.outputs(copy, inputs)
    assert not any(np.allclose(before[name], changed[name]) for name in before)


def test_a_model_that_keras_does_not_clone_is_not_copied():
    class Scaled(keras.Model):
        def __init__(self, size):
            super().__init__()
            self.dense = keras.layers.Dense(size)

        def call(self, inputs):
            return self.dense(inputs)

    model = Scaled(3)
    model(np.zeros((1, 4), "float32"))
    with pytest.raises(Refused, match="Give the path of a saved model"):
        lab.load(model, spec=tf.TensorSpec([None, 4])).copy()


def test_functions_that_run_eagerly_are_refused(small):
    tf.config.run_functions_eagerly(True)
    try:
        for call in (lambda: lab.load(small.model), lambda: lab.explain(small, networks.images(), method="gradient")):
            with pytest.raises(lab.Refused, match=r"tf.config.run_functions_eagerly\(True\)"):
                call()
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("what", ["scores", "load"])
def test_a_call_inside_a_function_of_tensorflow_is_refused(small, what):
    @tf.function(autograph=False)
    def call(inputs):
        calls = {
            "scores": lambda: routines.scores(small, networks.images(), lab.logit(1)),
            "load": lambda: lab.load(small.model),
        }
        calls[what]()
        return inputs

    with pytest.raises(Refused, match="inside a tf.function"):
        call(tf.zeros(3))


@pytest.mark.parametrize("place", ["inside", "outside"])
def test_a_model_that_a_strategy_spreads_is_explained_inside_of_its_scope_and_outside(place):
    strategy, inputs = tf.distribute.MirroredStrategy(["CPU:0"]), networks.images()
    with strategy.scope():
        model = networks.flat()
        network = lab.load(model)
    plain = networks.flat()
    plain.set_weights(model.get_weights())
    expected = lab.gradient(lab.load(plain), inputs, lab.logit(1))
    with strategy.scope() if place == "inside" else contextlib.nullcontext():
        maps = lab.explain(network, inputs, lab.logit(1), method="gradient").maps
        with network.weights({name: value * 0 for name, value in network.state().items()}):
            assert not lab.gradient(network, inputs, lab.logit(1)).any()
    assert np.allclose(maps, expected, atol=1e-6)
