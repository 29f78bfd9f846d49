"""Classes: one sigmoid unit is two of them, and each is found by its name, its index or its text."""

import keras
import numpy as np
import pytest

import lab
import lab.defaults
from lab import routines
from tests import networks
from tests.networks import distance, filled, network


def classifier(units, activation=None, axes=(6,), **options):
    inputs = keras.Input(axes)
    hidden = keras.layers.Dense(9, activation="tanh", name="hidden")(inputs)
    return network(filled(keras.Model(inputs, keras.layers.Dense(units, activation)(hidden))), **options)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(size=(7, 6)).astype("float32")


@pytest.fixture(scope="module")
def pets():
    return classifier(1, "sigmoid", classes=["cat", "dog"])


def test_one_sigmoid_unit_is_two_classes(pets):
    assert pets.binary and pets.class_count == 2
    for name, index in (
        ("cat", 0),
        ("DOG", 1),
        (0, 0),
        (1, 1),
        ("0", 0),
        ("1", 1),
        (np.int64(1), 1),
        (1.0, 1),
        (True, 1),
    ):
        assert pets.class_index(name) == index, name
    assert [pets.class_name(index) for index in (0, 1)] == ["cat", "dog"]
    assert classifier(1, classes=["cat", "dog"]).class_count == classifier(1, "sigmoid").class_count == 2
    assert not classifier(1).binary and classifier(1).class_count == 1


@pytest.mark.parametrize("bad", [2, "2", -1, "bird", 0.5, float("nan"), "²", None])
def test_what_is_no_class_is_refused(pets, bad):
    with pytest.raises(lab.Refused, match="Received"):
        pets.class_index(bad)


def test_names_are_found_as_they_are_written_and_never_guessed():
    net = classifier(4, classes=["10", "crane", "Crane", "crane"])
    assert net.class_index("10") == 0 and net.class_index("Crane") == 2 and net.class_index("3") == 3
    with pytest.raises(lab.Refused, match=r"\[1, 3\]"):
        net.class_index("crane")
    few = classifier(3, classes=["only"])
    assert few.class_name(0) == "only" and few.class_name(2) == "2"


def test_scores_of_the_two_classes_are_the_unit_and_its_opposite(pets, x):
    p = np.asarray(pets.model(x))[:, 0].astype("float64")
    z = np.log(p / (1 - p))
    np.testing.assert_allclose(routines.scores(pets, x, lab.class_score(1)), z, rtol=1e-3, atol=1e-4)
    mixed = lab.class_score([0, 1, 1, 0, 1, 0, 0])
    np.testing.assert_allclose(
        routines.scores(pets, x, mixed), np.where(mixed.terms[0][1].numbers[0], z, -z), rtol=1e-3, atol=1e-4
    )
    assert np.array_equal(lab.gradient(pets, x, lab.class_score(0)), -lab.gradient(pets, x, lab.logit(0)))
    np.testing.assert_allclose(routines.probabilities(pets, x), np.stack([1 - p, p], 1), rtol=1e-4)
    assert np.array_equal(routines.class_logits(pets, x).argmax(1), p > 0.5)
    for objective, expected in ((lab.class_score(0), 1 - p), (lab.class_score(1), p), (lab.logit(0), p)):
        np.testing.assert_allclose(routines.class_probability(pets, x, objective), expected, rtol=1e-4)
    traces = pets.traces
    routines.scores(pets, x, lab.class_score(0))
    assert pets.traces == traces
    for bad in (lab.class_score(2), lab.logit(1)):
        with pytest.raises(lab.Refused, match="class_score"):
            lab.gradient(pets, x, bad)


def test_an_explanation_of_either_class_is_told_of_its_own_saturation(x):
    pets = classifier(1, "sigmoid")
    pets.model.layers[-1].bias.assign([40.0])
    said = [lab.explain(pets, x, lab.class_score(index), method="gradient").flags[0] for index in (0, 1)]
    assert said == [(), ("saturated softmax",)]


def test_scores_of_many_classes_are_the_logits(x):
    several, exclusive = classifier(4, "sigmoid"), classifier(4, "softmax")
    for net in (several, exclusive, classifier(4)):
        assert np.array_equal(routines.scores(net, x, lab.class_score(2)), routines.scores(net, x, lab.logit(2)))
        assert np.array_equal(routines.class_logits(net, x), routines.logits(net, x))
    for net in (several, exclusive):
        np.testing.assert_allclose(routines.probabilities(net, x), net.model(x), rtol=1e-3, atol=1e-6)


def test_a_unit_without_an_axis_is_a_unit(x):
    inputs = keras.Input((6,))
    unit = keras.layers.Activation("sigmoid")(keras.ops.squeeze(keras.layers.Dense(1)(inputs), -1))
    net = network(filled(keras.Model(inputs, unit)))
    assert net.binary and routines.class_logits(net, x).shape == (7, 2)
    np.testing.assert_allclose(routines.probabilities(net, x)[:, 1], net.model(x), rtol=1e-4)


def test_probabilities_of_a_closed_model_are_its_own(x, tmp_path):
    for units, head in ((1, "sigmoid"), (3, "softmax")):
        model = classifier(units, head).model
        model.export(tmp_path / head, verbose=False)
        closed, p = lab.load(tmp_path / head, allow_code=True), np.asarray(model(x))
        expected = np.concatenate([1 - p, p], 1) if units == 1 else p
        np.testing.assert_allclose(routines.probabilities(closed, x), expected, rtol=1e-3, atol=1e-6)


# Where a method looks by itself --------------------------------------------------------------------------------------------


def test_a_method_at_a_layer_takes_the_last_hidden_one_of_a_table(x):
    for head in (None, "softmax"):
        net = classifier(3, head)
        assert net.last_hidden() == "hidden"
        slow = np.asarray(net.tree["hidden"](x)) * np.asarray(net.model.layers[-1].kernel)[:, 1]
        record = lab.explain(net, x, lab.logit(1), method="layer_gradient_x_activation")
        assert record.layer == "hidden" and distance(record.maps, slow) < 1e-5
        for method in ("layer_conductance", "internal_influence", "layer_integrated_gradients"):
            record = lab.explain(net, x, lab.logit(1), method=method)
            assert record.layer == "hidden" and record.maps.shape == (7, 9)
            assert record.gap is None or np.abs(record.gap).max() < 1e-2
        with pytest.raises(lab.Refused, match="No layer has positions"):
            lab.explain(net, x, lab.logit(1), method="gradcam")


def test_a_softmax_that_is_a_layer_is_no_part_of_what_is_hidden(x):
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(4, activation="relu", name="hidden")(inputs)
    logits = keras.layers.Dropout(0.5)(keras.layers.Dense(3, name="logits")(hidden))
    model = keras.Model(inputs, keras.layers.Activation("softmax", dtype="float32")(logits))
    assert network(filled(model)).last_hidden() == "hidden"


def test_a_hidden_layer_leads_to_every_output(x):
    inputs = keras.Input((6,))
    trunk = keras.layers.Dense(5, activation="relu", name="trunk")(inputs)
    heads = [
        keras.layers.Dense(2, name=name)(keras.layers.Dense(4, activation="relu", name=f"{name}_hidden")(trunk))
        for name in ("kind", "age")
    ]
    net = network(filled(keras.Model(inputs, heads)))
    assert net.last_hidden() == "trunk"
    for name in ("kind", "age"):
        record = lab.explain(net, x, lab.logit(0, output=name), method="layer_conductance")
        assert record.layer == "trunk" and record.maps.any()


def test_a_cam_of_images_takes_what_it_took():
    net = network(networks.flat())
    assert net.default_layer("layer") == net.default_layer("activation") == "last"
    assert net.last_hidden() == "pool"


class Block(keras.layers.Layer):
    """A block of a user's own: what its parts do is its own affair."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = keras.layers.Conv2D(4, 3, padding="same", name="inner")

    def call(self, x):
        return keras.ops.relu(self.inner(x))


def images_through(*layers, axes=(12, 12, 3)):
    inputs = keras.Input(axes)
    return network(filled(keras.Model(inputs, keras.layers.Dense(2)(networks.through(layers, inputs)))))


def test_a_cam_looks_at_what_a_block_puts_out_and_never_inside():
    pooled = keras.layers.GlobalAveragePooling2D()
    net = images_through(Block(name="block"), pooled)
    assert net.last_spatial() == "block"
    attention = keras.layers.MultiHeadAttention(2, 4, attention_axes=(1, 2), name="attention")
    inputs = keras.Input((6, 6, 3))
    mixed = attention(keras.layers.Conv2D(4, 3, name="first")(inputs), keras.layers.Conv2D(4, 3, name="second")(inputs))
    net = network(filled(keras.Model(inputs, keras.layers.Dense(2)(pooled(mixed)))))
    assert net.last_spatial() == "attention" and not any("/" in address for address in lab.defaults.candidates(net))


@pytest.mark.parametrize("kind", ["ConvLSTM", "TimeDistributed", "inside"])
def test_layers_of_another_rank_are_offered_and_can_be_looked_at(kind):
    if kind == "ConvLSTM":
        axes, layers = (3, 8, 8, 1), [keras.layers.ConvLSTM2D(3, 3, name="there"), keras.layers.Flatten()]
    elif kind == "TimeDistributed":
        frame = keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 3), keras.layers.GlobalAveragePooling2D()]
        )
        axes, layers = (3, 8, 8, 1), [keras.layers.TimeDistributed(frame, name="there"), keras.layers.Flatten()]
    else:
        axes = (40, 1)
        layers = [keras.layers.Reshape((8, 5, 1)), keras.layers.Conv2D(3, 3, name="there"), keras.layers.Flatten()]
    net = images_through(*layers, axes=axes)
    x = np.random.default_rng(0).normal(size=(2, *axes)).astype("float32")
    with pytest.raises(lab.Refused, match="'there'"):
        lab.explain(net, x, lab.logit(1), method="gradcam")
    for address in lab.defaults.candidates(net):
        if len(net.shapes[address]) > 2:
            assert len(lab.explain(net, x, lab.logit(1), method="gradcam", layer=address).maps) == 2


def test_what_is_still_on_a_score_is_told(x, tmp_path):
    """A sigmoid inside a closed model, and a softmax behind a softmax."""
    inputs = keras.Input((6,))
    twice = keras.layers.Softmax()(keras.layers.Dense(3, activation="softmax")(inputs))
    classifier(1, "sigmoid").model.export(str(tmp_path / "closed"), verbose=False)
    closed = lab.load(tmp_path / "closed", allow_code=True)
    for net, words in ((network(filled(keras.Model(inputs, twice))), "a softmax"), (closed, "a sigmoid")):
        flags = lab.explain(net, x, lab.class_score(0), method="gradient").flags
        assert all(f"{words} that could not be taken off" in words_of_sample for words_of_sample in flags)
    for plain in (classifier(3, "softmax"), classifier(1, "sigmoid"), classifier(3)):
        assert not any(lab.explain(plain, x, lab.class_score(0), method="gradient").flags)


def test_a_unit_without_an_axis_is_told_of_its_saturation(x):
    inputs = keras.Input((6,))
    unit = keras.layers.Dense(1, bias_initializer=keras.initializers.Constant(40.0))(inputs)
    net = network(keras.Model(inputs, keras.layers.Activation("sigmoid")(keras.ops.squeeze(unit, -1))))
    assert lab.explain(net, x, lab.class_score(1), method="gradient").flags[0] == ("saturated softmax",)


def test_names_are_of_the_output_that_has_as_many_classes():
    inputs = keras.Input((4,))
    outputs = {"kind": keras.layers.Dense(3, name="kind")(inputs), "age": keras.layers.Dense(5, name="age")(inputs)}
    outputs["seen"] = keras.layers.Dense(1, name="seen")(inputs)
    model = keras.Model(inputs, outputs)
    kinds, ages = lab.load(model, classes=["a", "b", "c"]), lab.load(model, classes=list("pqrst"))
    assert kinds.class_name(1, "kind") == "b" and kinds.class_name(1, "age") == "1" and kinds.names_in("age") is None
    assert ages.class_index("t", "age") == ages.class_index(4, "age") == 4 and ages.class_name(0, "kind") == "0"
    for net, name, output in ((kinds, "b", "age"), (ages, "p", "kind"), (ages, 4, "kind")):
        with pytest.raises(lab.Refused):
            net.class_index(name, output)


def test_two_names_of_another_output_make_no_two_classes_of_one_unit():
    inputs = keras.Input((4,))
    sex, age = keras.layers.Dense(2, name="sex")(inputs), keras.layers.Dense(1, name="age")(inputs)
    net = lab.load(keras.Model(inputs, {"sex": sex, "age": age}), classes=["f", "m"])
    assert not net.two_classes("age") and net.classes_in("age") == 1 and net.classes_in("sex") == 2


def test_one_sigmoid_at_each_position_tells_two_classes_apart():
    inputs = keras.Input((8, 8, 3))
    mask = keras.layers.Conv2D(1, 1, activation="sigmoid")(inputs)
    net = lab.load(keras.Model(inputs, mask), classes=["ground", "crop"])
    assert net.two_classes() and net.class_index("crop") == 1 and net.class_index("ground") == 0


@pytest.mark.parametrize("head", [None, "softmax"])
def test_scores_of_classes_are_taken_from_outputs_that_are_known(head):
    net = network(networks.flat(head=head))
    inputs = np.random.default_rng(0).uniform(-1, 1, (3, networks.SIDE, networks.SIDE, 3)).astype("float32")
    computed = routines.outputs(net, inputs)
    for objective in (lab.logit([0, 1, 2]), lab.class_score(1), lab.logit(2) - lab.logit(1), 2 * lab.logit(1)):
        expected = routines.scores(net, inputs, objective)
        np.testing.assert_array_equal(routines.scores(net, inputs, objective, computed=computed), expected)
    shifted = {name: values + 1 for name, values in computed.items()}
    scores = routines.scores(net, inputs, lab.logit(0), computed=shifted)
    np.testing.assert_array_equal(scores, next(iter(shifted.values()))[:, 0])
