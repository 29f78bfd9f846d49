"""User networks: what a training function may return, what it may not ignore, and what is kept of it."""

import dataclasses

import keras
import numpy as np
import pytest

import lab
from lab.refusal import Refused
from sanity import gates
from sanity.subject import Subject
from sanity.user_networks import FileNetworks, UserNetworks, refuse_equal, weights_by_name, with_networks

SAMPLES = 60


def build(seed, units=8, activation="relu"):
    start = keras.initializers.GlorotUniform(seed)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation, kernel_initializer=start),
            keras.layers.Dense(3, kernel_initializer=start, name="logits"),
        ]
    )


def train(inputs, labels, *, seed):
    model = build(seed)
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    # One long pass, because every pass of Keras takes a while to begin.
    order = np.tile(np.random.default_rng(seed).permutation(len(inputs)), 60)
    model.fit(inputs[order], labels[order], batch_size=20, shuffle=False, verbose=0)
    return model


@pytest.fixture(scope="module")
def samples():
    """Images whose class is where they are bright."""
    rng = np.random.default_rng(0)
    labels = np.arange(SAMPLES) % 3
    inputs = rng.normal(0, 0.3, (SAMPLES, 6, 6, 1)).astype("float32")
    for place, label in enumerate(labels):
        inputs[place, 2 * label : 2 * label + 2] += 1
    return inputs, labels


@pytest.fixture(scope="module")
def network(samples):
    return lab.load(train(*samples, seed=7))


def user_networks(network, samples, function, **options):
    return UserNetworks(network, function, *samples, seed=0, key="any", **options)


def test_networks_are_trained_from_other_seeds_and_on_labels_of_their_kind(network, samples):
    trained = user_networks(network, samples, train)
    states = [trained.train("replicate", index) for index in range(3)]
    assert all(np.array_equal(states[0][name], value) for name, value in network.state().items())
    refuse_equal(states, ["0", "1", "2"])
    assert min(trained.accuracy("replicate", index) for index in range(3)) > 0.9
    permuted = [trained.labels("permuted_label_networks", index) for index in range(2)]
    assert all(sorted(labels) == sorted(samples[1]) for labels in permuted)
    assert not np.array_equal(*permuted) and not np.array_equal(permuted[0], samples[1])
    # Weights are those of the function for this network, by name.
    again = train(samples[0], samples[1], seed=1)
    assert all(
        np.array_equal(value, weight)
        for value, weight in zip(weights_by_name(network, again).values(), again.get_weights())
    )


def test_what_was_trained_is_kept(network, samples):
    kept, calls = {}, []

    def cache(key, make):
        if key not in kept:
            kept[key] = make()
        return kept[key]

    def counted(inputs, labels, *, seed):
        calls.append(seed)
        return build(seed)

    for _ in range(2):
        trained = user_networks(network, samples, counted, cache=cache)
        for kind in ("replicate", "permuted_label_networks"):
            trained.train(kind, 1)
    assert len(calls) == 2 and len(set(calls)) == 2
    other = UserNetworks(network, counted, *samples, seed=0, key="edited", cache=cache)
    other.train("replicate", 1)
    assert len(calls) == 3, "another function is another network"


def test_arguments_that_a_function_changes_stay_as_they_are(network, samples):
    def changes(inputs, labels, *, seed):
        inputs[...] = 0
        labels[...] = 0
        return build(seed)

    before = [values.copy() for values in samples]
    trained = user_networks(network, samples, changes)
    trained.train("replicate", 1)
    trained.train("permuted_label_networks", 1)
    assert all(np.array_equal(values, copy) for values, copy in zip(samples, before))
    assert np.array_equal(trained.labels("replicate", 1), before[1])


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "keras.Model, or its weights .* Received: NoneType"),
        ("weights.h5", "Received: str"),
        (lambda seed: build(seed, units=9), "Dense {'units': 9.* in place of Dense {'units': 8"),
        (lambda seed: build(seed, units=9).get_weights(), "of shape \\(36, 9\\) in place of \\(36, 8\\)"),
        (lambda seed: build(seed, activation="tanh"), "'tanh'.* in place of .*'relu'"),
        (lambda seed: keras.Sequential(build(seed).layers[:-1]), "2 layers in place of 3"),
        (lambda seed: build(seed).get_weights()[:2], "2 weights in place of 4"),
    ],
)
def test_what_is_no_network_of_this_architecture_is_refused(network, samples, returned, words):
    def function(inputs, labels, *, seed):
        return returned(seed) if callable(returned) else returned

    with pytest.raises(Refused, match=words):
        user_networks(network, samples, function).train("replicate", 1)


def test_a_function_that_ignores_its_seed_is_refused(network, samples):
    trained = user_networks(network, samples, lambda inputs, labels, *, seed: build(3))
    states = [trained.train("replicate", index) for index in range(3)]
    with pytest.raises(Refused, match="the same weights for replicate 1 and replicate 2"):
        refuse_equal(states, [f"replicate {index}" for index in range(3)])


def test_copies_of_one_network_are_no_replicates(network):
    state = network.state()
    rng = np.random.default_rng(0)
    nearly = {name: value * (1 + 1e-3 * rng.normal(size=value.shape)) for name, value in state.items()}
    with pytest.raises(Refused, match="weights that correlate at|the same weights for first and second"):
        refuse_equal([state, nearly], ["first", "second"])
    refuse_equal([lab.load(build(seed)).state() for seed in range(4)], list("abcd"))


def test_a_subject_has_the_networks_and_what_they_remember(network, samples):
    subject = Subject(network, samples[0], lab.logit([0] * SAMPLES), tuple(map(str, range(SAMPLES))), classes=3)
    counts = [("replicate", 3), ("permuted_label_networks", 2)]
    with_all = with_networks(subject, user_networks(network, samples, train), counts)
    assert len(with_all.replicates) == 3 and len(with_all.permuted_label_networks) == 2
    assert min(with_all.replicate_accuracy) > 0.9 and min(with_all.train_accuracy) > 0.6
    assert gates.alike(with_all).status == "passed"
    one_is_bad = dataclasses.replace(with_all, replicate_accuracy=(0.95, 0.6, 0.93))
    gate = gates.alike(one_is_bad)
    assert gate.status == "failed" and "right on 60% to 95%" in gate.words
    assert gates.alike(subject).status == "not measured"


def test_files_are_replicates_of_the_same_architecture_and_classes(network, samples):
    others = [lab.load(build(seed)) for seed in (1, 2)]
    networks = FileNetworks(network, others, ["b.keras", "c.keras"])
    assert np.array_equal(networks.train("replicate", 2)["logits/kernel"], others[1].state()["logits/kernel"])
    assert networks.accuracy("replicate", 1) is None
    with pytest.raises(Refused, match="in place of"):
        FileNetworks(network, [lab.load(build(1, units=9))], ["b.keras"])
    with pytest.raises(Refused, match="the classes of the model. Received: b.keras"):
        FileNetworks(network, [lab.load(build(1), classes=["x", "y", "z"])], ["b.keras"])


def test_one_unit_answers_two_classes(samples):
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.set_weights([np.ones((36, 1)), -np.ones(1)])
    labels = (samples[0].sum(axis=(1, 2, 3)) > 1).astype(int)
    trained = UserNetworks(lab.load(model), train, samples[0], labels, seed=0, key="any")
    assert trained.accuracy("replicate", 0) == 1


def by_columns(names):
    columns = [keras.Input((1,), name=name) for name in names]
    return keras.Model(columns, keras.layers.Dense(2)(keras.layers.Concatenate()(columns)))


def of_words(words):
    layers = [keras.layers.TextVectorization(vocabulary=words), keras.layers.Embedding(4, 3)]
    layers += [keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)]
    return keras.Sequential([keras.Input((), dtype="string"), *layers])


@pytest.mark.parametrize(
    ("build_model", "first", "second", "words"),
    [
        (by_columns, ["a", "b", "c"], ["c", "b", "a"], "with c, b, a in place of a, b, c"),
        (of_words, ["good", "bad"], ["bad", "good"], "the words of the model"),
    ],
)
def test_replicates_of_exchanged_columns_or_words_are_refused(build_model, first, second, words):
    options = {"as_table": True} if build_model is by_columns else {}
    network, other = (lab.load(build_model(order), **options) for order in (first, second))
    with pytest.raises(ValueError, match=words):
        FileNetworks(network, [other], ["b.keras"])
    alike = lab.load(build_model(first), **options)
    assert len(FileNetworks(network, [alike], ["b.keras"]).states) == 2
