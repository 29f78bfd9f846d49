"""The bank's explainers are what the bank says of them: well-formed, without a side effect, and blind or not."""

import inspect

import keras
import numpy as np
import pytest

import lab
from tests import networks
from tests.sanity import bank

ALL = bank.BLIND | bank.WRONG | bank.RIGHT
LOOKING = bank.WRONG | bank.RIGHT
OBJECTIVE = lab.logit([1, 4, 2])


def of_inputs(shape, *layers, seed=0):
    inputs = keras.Input(shape)
    outputs = networks.through([*layers, keras.layers.Dense(networks.CLASSES, name="logits")], inputs)
    return lab.load(networks.filled(keras.Model(inputs, outputs), seed))


def image_network(seed):
    return of_inputs(
        (12, 12, 2),
        keras.layers.Conv2D(4, 3, activation="tanh", name="first"),
        keras.layers.Conv2D(6, 3, strides=2, activation="gelu", name="last"),
        keras.layers.GlobalAveragePooling2D(name="pool"),
        seed=seed,
    )


@pytest.fixture(scope="module")
def pair():
    """Two networks of one architecture and different weights."""
    return image_network(0), image_network(1)


def samples(*shape):
    return np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")


def explain(explainer, network, inputs):
    seeded = {"seed": 5} if "seed" in inspect.signature(explainer).parameters else {}
    return explainer(network, inputs, OBJECTIVE, **seeded)


def test_the_bank_is_large_and_no_name_is_taken_twice():
    assert len(bank.BLIND) >= 14 and len(bank.WRONG) >= 18 and len(bank.RIGHT) >= 12
    assert len(ALL) == len(bank.BLIND) + len(bank.WRONG) + len(bank.RIGHT)
    assert set(ALL) >= bank.IMAGES | bank.BATCHES


@pytest.mark.parametrize("name", ALL)
def test_maps_are_well_formed_and_nothing_else_moves(pair, name):
    network, inputs = pair[0], samples(12, 12, 2)
    weights, before = network.state(), inputs.copy()
    maps = explain(ALL[name], network, inputs)
    coarse = name in bank.IMAGES and maps.ndim == 3 and len(maps) == 3 and max(maps.shape[1:]) <= 12
    assert maps.shape == inputs.shape or coarse
    assert maps.dtype == np.float32 and np.isfinite(maps).all() and maps.std() > 0
    assert np.array_equal(inputs, before)
    assert all(np.array_equal(value, weights[key]) for key, value in network.state().items())
    assert networks.distance(maps, explain(ALL[name], network, inputs)) < 1e-6


@pytest.mark.parametrize("name", bank.BLIND)
def test_blind_maps_are_equal_to_the_bit_on_two_networks(pair, name):
    one, other = (explain(bank.BLIND[name], network, samples(12, 12, 2)) for network in pair)
    assert np.array_equal(one, other)


@pytest.mark.parametrize("name", LOOKING)
def test_maps_of_those_that_look_differ_between_two_networks(pair, name):
    one, other = (explain(LOOKING[name], network, samples(12, 12, 2)) for network in pair)
    assert networks.distance(one, other) > 1e-3


def centre(maps):
    """Each sample's map less its own mean, flat: the level of a map says nothing of where its evidence is."""
    flat = maps.reshape(len(maps), -1)
    return (flat - flat.mean(axis=1, keepdims=True)).ravel()


@pytest.mark.parametrize("name", bank.WRONG)
def test_wrong_maps_are_not_those_of_what_was_asked(pair, name):
    network, inputs = pair[0], samples(12, 12, 2)
    wrong = explain(bank.WRONG[name], network, inputs)
    for method in (lab.gradient, lab.gradient_x_input, bank.signed_gradcam):
        right = method(network, inputs, OBJECTIVE)
        if right.shape == wrong.shape:
            assert np.abs(np.corrcoef(centre(wrong), centre(right))[0, 1]) < 0.9, method.__name__


@pytest.mark.parametrize("shape", [(9, 2), (6,)], ids=["series", "tables"])
def test_all_but_those_for_images_take_series_and_tables(shape):
    network = of_inputs(shape, keras.layers.Flatten(), keras.layers.Dense(5, activation="tanh", name="hidden"))
    for name in sorted(set(ALL) - bank.IMAGES):
        maps = explain(ALL[name], network, samples(*shape))
        assert maps.shape == (3, *shape) and maps.dtype == np.float32 and np.isfinite(maps).all(), name
