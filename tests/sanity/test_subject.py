"""Subject: which score stands for the target that is asked, by the kind of output."""

import keras
import numpy as np
import pytest

import lab
from lab import routines
from sanity import gates
from sanity.subject import subject
from tests.networks import filled, network

IMAGES = tuple(np.random.default_rng(3).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8))


def data(labels=None):
    return lab.Data(tuple("abcd"), IMAGES, labels)


def pooled_network(units, activation=None, squeezed=False, **options):
    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.Dense(units)(keras.layers.GlobalAveragePooling2D()(inputs))
    outputs = keras.ops.squeeze(outputs, -1) if squeezed else outputs
    model = filled(keras.Model(inputs, keras.layers.Activation(activation)(outputs) if activation else outputs))
    # Below zero for every image.
    model.layers[2].bias.assign(np.full(units, -9.0))
    return network(model, **options)


def segmentation_network(units, activation, **options):
    inputs = keras.Input((16, 16, 3))
    return network(filled(keras.Model(inputs, keras.layers.Conv2D(units, 3, activation=activation)(inputs))), **options)


def explained_scores(on):
    return routines.scores(on.network, on.inputs, on.objective)


def test_a_number_is_explained_as_it_is_and_never_its_negative():
    network = pooled_network(1)
    for target in ("top", 0):
        on = subject(network, data(), target=target)
        outputs = np.asarray(network.model(on.inputs))[:, 0]
        assert (outputs < 0).all() and np.allclose(explained_scores(on), outputs, rtol=1e-5)
        assert on.classes == 1 and not on.targets.any()


@pytest.mark.parametrize(
    "network, labels",
    [
        (pooled_network(1, "sigmoid"), None),
        (pooled_network(1, "sigmoid", squeezed=True), None),
        (pooled_network(1, classes=["cat", "dog"]), None),
        (pooled_network(1), (0, 0, 1, 0)),
    ],
)
def test_one_unit_of_two_classes_stands_for_both(network, labels):
    on = subject(network, data(labels))
    assert on.classes == 2 and not on.targets.any() and (explained_scores(on) > 0).all()
    assert np.allclose(explained_scores(on), -routines.logits(network, on.inputs).ravel())
    network.model.layers[2].bias.assign([9.0])
    assert subject(network, data(labels)).targets.all()


def test_one_sigmoid_at_each_position_is_predicted_where_it_is_above_one_half():
    network = segmentation_network(1, "sigmoid", classes=["background", "lesion"])
    on = subject(network, data(), region="predicted")
    unit = routines.logits(network, on.inputs)
    inside = [values[values > 0].mean() for values in unit]
    assert all(0 < (values > 0).mean() < 1 for values in unit)
    assert np.allclose(explained_scores(on), inside, rtol=1e-4) and on.targets.all()
    everywhere = subject(network, data(), region="all")
    assert np.allclose(explained_scores(everywhere), unit.mean(axis=(1, 2, 3)), rtol=1e-4)
    other = subject(network, data(), region="predicted", target="background")
    assert np.allclose(explained_scores(other), [-values[values <= 0].mean() for values in unit], rtol=1e-4)
    with pytest.raises(lab.Refused, match="region='all'"):
        subject(segmentation_network(1, None), data(), region="predicted")


def test_chance_is_higher_where_several_classes_are_right():
    """Any answer is right for three of four classes: being right so often is no competence."""
    network, rng = pooled_network(4, "sigmoid"), np.random.default_rng(0)
    images = tuple(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(60))
    rows = np.ones((60, 4), int)
    rows[np.arange(60), rng.integers(0, 4, 60)] = 0
    on = subject(network, lab.Data(tuple(map(str, range(60))), images, rows))
    assert on.chance == 0.75 and 0.6 < on.correct.mean() < 0.85
    assert gates.competence(on).status == "failed"
    single = subject(network, data((0, 1, 2, 3)))
    assert single.chance == 1 / 4
