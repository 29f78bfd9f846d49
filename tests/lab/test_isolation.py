"""Whatever a method does, the network, the inputs and the process are afterwards what they were."""

import os
import random
import signal
import sys
import threading
import warnings

import keras
import numpy as np
import pytest

import lab
from lab.attribution.calls import attribute
from lab.environment import tf
from lab.isolation import MethodFault, preserve_process_state
from tests import networks
from tests.recipes import external

GOAL = lab.logit(1)

MISBEHAVING = {
    "writes": "wrote into its inputs",
    "assigns": "which changed",
    "trains": "moving_",
    "swaps_activations": "activation",
    "softens": "first_bn.epsilon",
    "patches": "network.trace",
    "renames": "network.classes",
    "wraps_ours": "wrote into its inputs",
    "leaves": "sys.exit",
    "abandons": "raised Abandoned: half way",
    "transposed": "Maps are numbers",
    "empty": "Maps are numbers",
    "words": "Maps are numbers.*str",
    "nothing": "Maps are numbers.*NoneType",
}


@pytest.fixture
def network():
    return networks.network(networks.flat())


@pytest.mark.parametrize("name", MISBEHAVING)
def test_a_method_that_misbehaves_is_a_fault_and_leaves_nothing_behind(network, name):
    inputs, before = networks.images(), network.fingerprint()
    passed, reference = inputs.copy(), lab.gradient(network, inputs, GOAL)
    activations = [getattr(layer, "activation", None) for layer in network.tree.values()]
    with pytest.raises(MethodFault, match=MISBEHAVING[name]):
        lab.explain(network, passed, GOAL, method=getattr(external, name))
    assert network.fingerprint() == before and np.array_equal(passed, inputs)
    assert [getattr(layer, "activation", None) for layer in network.tree.values()] == activations
    assert np.array_equal(lab.gradient(network, inputs, GOAL), reference)


def test_what_was_compiled_while_layers_computed_otherwise_answers_nobody_later(network):
    inputs = networks.images()
    expected = lab.integrated_gradients(networks.network(network.model), inputs, GOAL, steps=3)
    with pytest.raises(MethodFault):
        lab.explain(network, inputs, GOAL, method=external.softens)
    assert np.array_equal(lab.integrated_gradients(network, inputs, GOAL, steps=3), expected)


def test_maps_are_those_of_their_own_call(network):
    first, second = (attribute(external.reuses, network, networks.images(), GOAL) for _ in range(2))
    assert not np.array_equal(first, second)


def test_what_a_method_masked_is_no_number(network):
    def masks(network, inputs, objective):
        return np.ma.masked_array(np.abs(inputs), mask=np.arange(inputs.size).reshape(inputs.shape) == 5)

    maps = lab.explain(network, networks.images(), GOAL, method=masks)
    assert np.isnan(maps.maps).sum() == 1 and maps.flags[0] == ("not finite",)


def test_what_all_of_a_process_share_is_kept_from_a_method(network):
    def shared():
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        settings = (keras.config.floatx(), keras.config.image_data_format(), keras.config.dtype_policy().name)
        process = (sys.stdout, sys.stderr, dict(os.environ), list(sys.path), list(warnings.filters), np.geterr())
        return handlers, settings, process, tf.config.functions_run_eagerly()

    before = shared()
    lab.explain(network, networks.images(), GOAL, method=external.meddles)
    assert shared() == before and not sys.stdout.closed and not sys.stderr.closed
    assert lab.gradient(network, networks.images(), GOAL).dtype == "float32"


def test_two_threads_leave_the_process_as_it_was():
    """One goes in before the other, and comes out before it."""
    entered, inside, outside, before = threading.Event(), threading.Event(), threading.Event(), sys.stdout

    def first():
        with preserve_process_state():
            entered.set()
            inside.wait()
        outside.set()

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait()
    with preserve_process_state():
        inside.set()
        outside.wait()
    thread.join()
    assert sys.stdout is before


@pytest.mark.parametrize("name", ["raises", "raises_without_words", "assigns_and_raises"])
def test_what_a_method_raises_is_its_own_and_no_refusal(network, name):
    before = network.fingerprint()
    with pytest.raises(Exception) as error:  # noqa: PT011
        lab.explain(network, networks.images(), GOAL, method=getattr(external, name))
    assert not isinstance(error.value, lab.Refused) and network.fingerprint() == before


def test_global_random_states_folder_and_output_are_kept_from_a_method(network, capsys):
    def draws():
        return random.random(), np.random.rand(), float(tf.random.uniform([])), os.getcwd()

    random.seed(5), np.random.seed(5), tf.random.set_seed(5)
    expected = draws()
    random.seed(5), np.random.seed(5), tf.random.set_seed(5)
    lab.explain(network, networks.images(), GOAL, method=external.seeds)
    lab.explain(network, networks.images(), GOAL, method=external.prints)
    assert draws() == expected
    assert capsys.readouterr().out == ""


def test_a_network_that_is_changed_on_swapped_weights_goes_back_to_these(network):
    other = {name: value + 1 for name, value in network.state().items()}
    fingerprint = network.fingerprint()
    with network.weights(other):
        with pytest.raises(MethodFault):
            attribute(external.assigns, network, networks.images(), GOAL)
        assert all(np.array_equal(value, other[name]) for name, value in network.state().items())
    assert network.fingerprint() == fingerprint


@pytest.mark.parametrize(
    "sides, extent, fits",
    [
        ((7, 7), (224, 224), True),
        ((4, 5), (16, 20), True),
        ((5, 4), (16, 20), False),
        ((16, 20), (16, 20), True),
        ((20, 16), (16, 20), False),
        ((0, 0), (16, 20), False),
        ((3,), (12,), True),
        ((24,), (12,), False),
        ((4, 8, 8), (8, 16, 16), True),
        ((8, 4, 8), (8, 16, 16), False),
    ],
)
def test_a_map_matches_extent_the_positions_in_their_own_proportions(sides, extent, fits):
    from lab.attribution.calls import _matches_extent

    assert _matches_extent(sides, extent) == fits


def test_seeds_and_states_that_any_call_moves_are_put_back_and_no_fault():
    """A stranger who calls a model that draws, or one that remembers, has changed nothing that is anybody's."""
    import keras

    drawing = keras.Sequential([keras.Input((6,)), keras.layers.Dropout(0.5), keras.layers.Dense(3)])
    inputs = keras.Input(batch_shape=(4, 5, 2))
    remembering = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.LSTM(4, stateful=True)(inputs)))

    def calls(network, inputs, objective):
        network.model(inputs, training=True)
        return np.abs(inputs)

    for model, shape in ((drawing, (4, 6)), (remembering, (4, 5, 2))):
        network, x = lab.load(model), np.random.default_rng(0).normal(size=shape).astype("float32")
        before = [variable.numpy() for variable in model.variables]
        maps = lab.explain(network, x, lab.logit(0), method=calls).maps
        assert np.array_equal(maps, np.abs(x))
        assert all(np.array_equal(one, other.numpy()) for one, other in zip(before, model.variables))


def test_a_layer_of_free_sides_takes_maps_of_any_sides():
    import keras

    inputs = keras.Input((None, None, 3))
    hidden = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu", name="c")(inputs))
    network = networks.network(networks.filled(keras.Model(inputs, keras.layers.Dense(3)(hidden))))
    for method in ("layer_gradient_x_activation", "internal_influence", "layer_conductance", "gradcam"):
        maps = lab.explain(network, networks.images(2), GOAL, method=method, layer="c").maps
        assert maps.shape[:3] == (2, 14, 14)


def test_a_method_that_asks_in_threads_works_alone_and_is_refused_under_swapped_weights(network, monkeypatch):
    """Its threads wait for the weights of the thread that waits for them: refused, and never a hang."""
    from concurrent.futures import ThreadPoolExecutor

    import lab.network

    def threaded(network, inputs, objective):
        def one(row):
            return lab.gradient(network, inputs[row : row + 1], objective.rows([row]))

        with ThreadPoolExecutor(2) as pool:
            return np.concatenate(list(pool.map(one, range(len(inputs)))))

    inputs = networks.images()
    maps = lab.explain(network, inputs, GOAL, method=threaded).maps
    assert networks.distance(maps, lab.gradient(network, inputs, GOAL)) < 1e-3
    monkeypatch.setattr(lab.network, "PATIENCE", 0.5)
    with network.weights(network.state()), pytest.raises(lab.Refused, match="Use one thread"):
        lab.explain(network, inputs, GOAL, method=threaded)
    assert networks.distance(lab.explain(network, inputs, GOAL, method=threaded).maps, maps) < 1e-3
