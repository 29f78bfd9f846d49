"""Networks that scale their images by themselves."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L

import lab
from lab import entrance

SHAPE = (8, 8, 3)
IMAGENET = {"mean": [123.7, 116.3, 103.5], "variance": [58.4**2, 57.1**2, 57.4**2]}


def through(*first):
    inputs = L.Input(SHAPE)
    outputs = inputs
    for layer in first:
        outputs = layer(outputs)
    return keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(L.Conv2D(2, 3)(outputs))))


def ends(network):
    return network.preprocessing.apply(np.array([[0.0] * 3, [255.0] * 3]))[:, 0].tolist()


def augmented():
    return keras.Sequential([L.RandomFlip(), L.RandomRotation(0.1), L.Resizing(8, 8), L.Rescaling(1 / 255)])


@pytest.mark.parametrize(
    "first, expected",
    [
        (lambda: [L.Rescaling(1 / 255)], (0, 255)),
        (lambda: [L.Rescaling(1 / 127.5, -1)], (0, 255)),
        (lambda: [L.Rescaling(-1 / 255, 1)], (0, 255)),
        (lambda: [L.Rescaling(2, -1)], (0, 1)),
        (lambda: [L.Rescaling(255.0)], (0, 1)),
        (lambda: [L.Rescaling(0.5, 0.5)], (-1, 1)),
        (lambda: [L.Normalization(**IMAGENET)], (0, 255)),
        (lambda: [L.Normalization(mean=IMAGENET["mean"], variance=[1.0] * 3)], (0, 255)),
        (lambda: [L.Normalization(mean=[0.48, 0.45, 0.4], variance=[0.05] * 3)], (0, 1)),
        (lambda: [L.Normalization(axis=None, mean=127.0, variance=64.0**2)], (0, 255)),
        (lambda: [augmented()], (0, 255)),
    ],
)
def test_the_entrance_decides_the_range(first, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = through(*first())
        network = lab.load(model)
        np.testing.assert_allclose(ends(network), expected, rtol=1e-6)
        # The same range said by hand is no contradiction.
        np.testing.assert_allclose(ends(lab.load(model, input_range=expected)), expected, rtol=1e-6)


def test_adapted_subclassed_and_uint8_networks():
    norm = L.Normalization()
    norm.adapt(np.random.default_rng(0).uniform(0, 255, (16, *SHAPE)))
    assert ends(lab.load(through(norm)))[1] == 255

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.scale, self.convolution = L.Rescaling(1 / 255), L.Conv2D(2, 3)

        def call(self, inputs):
            return tf.reduce_mean(self.convolution(self.scale(inputs)), [1, 2])

    subclassed = Own()
    subclassed(np.zeros((1, *SHAPE), "float32"))
    assert ends(lab.load(subclassed))[1] == 255
    bytes_in = L.Input(SHAPE, dtype="uint8")
    assert ends(lab.load(keras.Model(bytes_in, L.Flatten()(L.Rescaling(1 / 255)(bytes_in)))))[1] == 255


@pytest.mark.parametrize(
    "first",
    [
        lambda: [],
        lambda: [L.Rescaling(1.0)],
        lambda: [L.Normalization()],
        lambda: [L.Conv2D(3, 1), L.Rescaling(1 / 255)],
        lambda: [L.Rescaling(1 / 17, 3)],
    ],
)
def test_what_says_nothing_decides_nothing(first):
    assert lab.load(through(*first())).preprocessing is None


@pytest.mark.parametrize(
    "first, wrong, right",
    [
        (lambda: L.Rescaling(1 / 255), (0, 1), "0, 255"),
        (lambda: L.Rescaling(1 / 127.5, -1), (-1, 1), "0, 255"),
        (lambda: L.Rescaling(2, -1), (0, 255), "0, 1"),
        (lambda: L.Rescaling(2, -1), (-1, 1), "0, 1"),
        (lambda: L.Rescaling(0.5, 0.5), (0, 1), "-1, 1"),
        (lambda: L.Rescaling(255.0), (0, 255), "0, 1"),
        (lambda: L.Normalization(**IMAGENET), (0, 1), "0, 255"),
        (lambda: L.Normalization(mean=[0.48, 0.45, 0.4], variance=[0.05] * 3), (0, 255), "0, 1"),
    ],
)
def test_a_range_that_contradicts_the_entrance_is_said_at_once(first, wrong, right):
    with pytest.warns(UserWarning, match=rf"scales its images by itself.*input_range=\({right}\)"):
        lab.load(through(first()), input_range=wrong)


def test_networks_of_keras_that_scale_by_themselves_are_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ends(lab.load("MobileNetV3Small", weights=None)) == [0, 255]
        model = keras.applications.MobileNetV3Small(weights=None, input_shape=(32, 32, 3))
        assert ends(lab.load(model)) == [0, 255]
        assert entrance.scaling(lab.load("MobileNetV2", weights=None)) is None
