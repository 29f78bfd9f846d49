"""What a method did to its network is noticed, named and undone."""

import threading

import keras
import numpy as np
import pytest

import lab
from lab import routines
from lab.environment import tf
from tests import networks
from tests.networks import distance, filled, network


@pytest.fixture
def net():
    return network(networks.flat())


def test_nothing_done_is_nothing_found(net):
    before = net.snapshot()
    lab.gradient(net, networks.images(2), lab.logit(1))
    with net.weights({name: value * 0 for name, value in net.state().items()}):
        pass
    assert net.restore(before) == []


def test_weights_are_put_back_nan_and_in_place_writes_included(net):
    weights, before = net.state(), net.snapshot()
    kernel, mean = net.tree["first"].kernel, net.tree["first_bn"].moving_mean
    kernel.assign(kernel.value * np.nan)
    mean._value.assign_add(tf.ones_like(mean.value))
    assert sorted(net.restore(before)) == ["first/kernel", "first_bn/moving_mean"]
    assert all(np.array_equal(weights[name], value) for name, value in net.state().items())
    assert net.restore(before) == []


def test_training_is_undone(net):
    net.model.compile("adam", "mse", metrics=["mae"])
    net.model.fit(networks.images(4), np.ones((4, networks.CLASSES)), verbose=0)
    weights, steps, before = net.state(), int(net.model.optimizer.iterations), net.snapshot()
    net.model.fit(networks.images(4), np.ones((4, networks.CLASSES)), verbose=0)
    differing = net.restore(before)
    assert "first_bn/moving_mean" in differing and any("iteration" in name for name in differing)
    assert int(net.model.optimizer.iterations) == steps
    assert all(np.array_equal(weights[name], value) for name, value in net.state().items())


def test_states_and_seeds_are_put_back():
    inputs = keras.Input(batch_shape=(2, 4, 3))
    lstm = keras.layers.LSTM(5, stateful=True)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dropout(0.5, seed=1)(lstm(inputs))))
    net, x = network(filled(model)), np.ones((2, 4, 3), "float32")
    lstm.reset_states()
    before, seeds = net.snapshot(), [variable.numpy() for variable in model.layers[-2].variables]
    model(x, training=True)
    assert any(np.asarray(state).any() for state in lstm.states)
    # Any call of a model moves them: nobody has changed anything.
    assert net.restore(before) == []
    assert not any(np.asarray(state).any() for state in lstm.states)
    assert all(np.array_equal(seed, now.numpy()) for seed, now in zip(seeds, model.layers[-2].variables)) and seeds


def test_activations_calls_and_training_switches_are_put_back(net):
    x = networks.images(2)
    right, before = lab.gradient(net, x, lab.logit(1)), net.snapshot()
    net.tree["last"].activation = keras.activations.tanh
    net.tree["pool"].call = lambda inputs: tf.reduce_max(inputs, (1, 2))
    net.tree["logits"].trainable = False
    changed = lab.gradient(net, x, lab.logit(1))
    differing = net.restore(before)
    assert {"last.activation", "pool.call", "logits.trainable"} <= set(differing)
    assert distance(changed, right) > 0.1 and np.array_equal(lab.gradient(net, x, lab.logit(1)), right)
    assert net.tree["logits"].trainable and net.tree["logits"].kernel.trainable


def test_a_trace_is_not_kept_for_another_activation(net):
    x = networks.images(2)
    net.tree["last"].activation, activation = keras.activations.tanh, net.tree["last"].activation
    lab.gradient(net, x, lab.logit(1))
    net.tree["last"].activation = activation
    fresh = lab.gradient(network(net.model), x, lab.logit(1))
    assert np.array_equal(lab.gradient(net, x, lab.logit(1)), fresh)


def test_another_thread_never_sees_swapped_weights(net):
    x, goal = networks.images(2), lab.logit(1)
    right, weights = routines.scores(net, x, goal), net.state()
    scores, swapped, released = [], threading.Event(), threading.Event()

    def ask():
        swapped.wait(10)
        released.set()
        scores.append(routines.scores(net, x, goal))

    thread = threading.Thread(target=ask)
    thread.start()
    with net.weights({name: value * 0 for name, value in weights.items()}):
        swapped.set()
        released.wait(10)
        # Long enough for a question that does not wait to be answered.
        thread.join(0.3)
        assert not routines.scores(net, x, goal).any()
    thread.join(30)
    assert np.array_equal(scores[0], right)
