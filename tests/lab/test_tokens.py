"""Tokens of a picture: which belongs to which patch, wherever a class token stands, and maps against the same network of convolutions."""

import keras
import numpy as np
import pytest

import lab
from lab import routines
from tests.networks import distance, filled, network

ROWS, COLUMNS, WIDTH = 3, 4, 6
METHODS = (
    "gradcam",
    "hirescam",
    "layercam",
    "gradcam_plus_plus",
    "xgradcam",
    "elementwise_gradcam",
    "eigencam",
    "ablationcam",
)


class Beside(keras.layers.Layer):
    """Adds tokens of its own, for the class or for storage, before or behind the patches."""

    def __init__(self, before, behind, **options):
        super().__init__(**options)
        self.sides = before, behind

    def build(self, shape):
        self.own = [self.add_weight(shape=(1, side, shape[-1]), initializer="normal") for side in self.sides]

    def call(self, x):
        before, behind = (keras.ops.repeat(ends, keras.ops.shape(x)[0], axis=0) for ends in self.own)
        return keras.ops.concatenate([before, x, behind], axis=1)


def of_tokens(before=0, behind=0, turned=False):
    inputs = keras.Input((4 * ROWS, 4 * COLUMNS, 3))
    x = keras.layers.Conv2D(WIDTH, 4, strides=4, name="patches")(inputs)
    x = keras.ops.transpose(x, (0, 2, 1, 3)) if turned else x
    x = keras.layers.Reshape((ROWS * COLUMNS, WIDTH))(x)
    x = Beside(before, behind, name="beside")(x) if before + behind else x
    x = keras.layers.Dense(5, activation="relu", name="mixed")(x)
    return inputs, x, x[:, before : before + ROWS * COLUMNS]


def pooled(*build, **options):
    inputs, _, patches = of_tokens(*build, **options)
    return network(filled(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(patches)))))


def of_convolutions(like):
    inputs = keras.Input((4 * ROWS, 4 * COLUMNS, 3))
    x = keras.layers.Conv2D(WIDTH, 4, strides=4)(inputs)
    x = keras.layers.Dense(5, activation="relu", name="mixed")(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    for layer, other in zip([model.layers[1], model.layers[2], model.layers[-1]], ("patches", "mixed", None)):
        layer.set_weights((like.tree[other] if other else like.model.layers[-1]).get_weights())
    return network(model)


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(2).uniform(-1, 1, (3, 4 * ROWS, 4 * COLUMNS, 3)).astype("float32")


@pytest.mark.parametrize(
    "options",
    [{}, {"before": 1}, {"before": 1, "behind": 3}, {"behind": 1}, {"turned": True}, {"before": 2, "turned": True}],
    ids=str,
)
def test_maps_of_tokens_are_those_of_the_same_convolutions(pictures, options):
    attention = pooled(**options)
    same = of_convolutions(attention)
    assert attention.last_spatial() == "mixed"
    for method in METHODS:
        one, two = (lab.explain(net, pictures, lab.logit([0, 1, 1]), method=method) for net in (attention, same))
        assert one.layer == "mixed" and one.maps.shape == (3, ROWS, COLUMNS)
        assert distance(one.maps, two.maps) < 1e-4, method


def test_behind_the_last_attention_only_the_class_is_asked(pictures):
    inputs, x, _ = of_tokens(before=1)
    x = keras.layers.Add(name="last")([x, keras.layers.MultiHeadAttention(2, 3, name="first")(x, x)])
    x = keras.layers.Add(name="after")([x, keras.layers.MultiHeadAttention(2, 3, name="second")(x, x)])
    x = keras.layers.LayerNormalization(name="norm")(x)
    net = network(filled(keras.Model(inputs, keras.layers.Dense(2)(x[:, 0]))))
    assert net.last_spatial() == "last"
    record = lab.explain(net, pictures, lab.logit(1), method="hirescam", relu=False)
    assert record.maps.shape == (3, ROWS, COLUMNS) and record.maps.any()


def test_tokens_in_no_order_of_rows_are_not_taken_for_a_grid():
    inputs = keras.Input((4 * ROWS, 4 * COLUMNS, 3))
    x = keras.layers.Reshape((ROWS * COLUMNS, WIDTH))(keras.layers.Conv2D(WIDTH, 4, strides=4, name="patches")(inputs))
    x = keras.layers.Dense(5, name="mixed")(
        keras.ops.take(x, np.random.default_rng(0).permutation(ROWS * COLUMNS), axis=1)
    )
    net = network(filled(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(x)))))
    assert net.last_spatial() != "mixed" and "mixed" not in net.grids


def test_patches_that_are_cut_without_a_layer_are_found_as_a_square():
    inputs = keras.Input((12, 12, 1))
    cut = keras.ops.transpose(keras.ops.reshape(inputs, (-1, 3, 4, 3, 4)), (0, 1, 3, 2, 4))
    x = keras.layers.Dense(5, activation="relu", name="mixed")(keras.ops.reshape(cut, (-1, 9, 16)))
    net = network(filled(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(x)))))
    picture = np.random.default_rng(0).uniform(size=(1, 12, 12, 1)).astype("float32")
    assert net.last_spatial() == "mixed"
    kernel, last = np.asarray(net.tree["mixed"].kernel), np.asarray(net.model.layers[-1].kernel)[:, 1]
    expected = np.zeros((3, 3))
    for row in range(3):
        for column in range(3):
            patch = picture[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].ravel()
            values = np.maximum(patch @ kernel + np.asarray(net.tree["mixed"].bias), 0)
            expected[row, column] = values @ last / 9
    record = lab.explain(net, picture, lab.logit(1), method="hirescam", relu=False)
    assert distance(record.maps[0], expected) < 1e-4


def test_a_neuron_of_a_token_is_named_by_the_tokens_place(pictures):
    net = pooled(1)
    activations = routines.activations(net, pictures, "mixed")
    np.testing.assert_allclose(routines.scores(net, pictures, lab.neuron("mixed", 2, 0, 12)), activations[:, 12, 2])
    for row, column in ((1, 0), (0, 13)):
        with pytest.raises(lab.Refused, match="of mixed is between 0 and"):
            routines.scores(net, pictures, lab.neuron("mixed", 2, row, column))
