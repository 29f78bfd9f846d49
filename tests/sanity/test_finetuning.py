"""Fine-tuning: what stays and what is drawn anew, what is held out, and what untrained networks have in common with them."""

import copy
import dataclasses

import keras
import numpy as np
import pytest

import lab
from lab import routines
from lab.refusal import Refused
from sanity import gates
from sanity.checks import labels as labels_check
from sanity.checks.parameters import prepare
from sanity.finetuning import FinetunedNetworks, Labelled, about_finetuned, hold_out
from sanity.streamed import from_arrays
from sanity.subject import Subject
from sanity.user_networks import refuse_equal, with_networks
from sanity.verdict import judge
from sanity.worlds.trainable import UpperPart

SAMPLES = 120
BEHIND = ["second/kernel", "norm/gamma", "norm/beta", "logits/kernel", "logits/bias"]


def build(shared=False):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 1))
    first = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="first")(inputs)
    convolution = keras.layers.Conv2D(6, 3, padding="same", use_bias=False, name="second")
    second = keras.layers.BatchNormalization(name="norm")(convolution(convolution(first) if shared else first))
    added = keras.layers.ReLU(name="relu")(second)
    return keras.Model(inputs, keras.layers.Dense(5, name="logits")(keras.layers.Flatten(name="flat")(added)))


@pytest.fixture(scope="module")
def samples():
    """Images whose class is where they are bright."""
    rng = np.random.default_rng(0)
    labels = np.arange(SAMPLES) % 3
    inputs = rng.normal(0, 0.3, (SAMPLES, 8, 8, 1)).astype("float32")
    for place, label in enumerate(labels):
        inputs[place, 2 * label : 2 * label + 3] += 1
    return inputs, labels


def make(samples, layer="first", model=None):
    inputs, labels = samples
    trained, held_out = hold_out(labels, range(SAMPLES), seed=0)
    parts = [Labelled(from_arrays(inputs[places]), labels[places]) for places in (trained, held_out)]
    return FinetunedNetworks(lab.load(model or build()), layer, *parts, seed=0, key="any")


@pytest.fixture(scope="module")
def networks(samples):
    return make(samples)


def test_what_lies_before_the_layer_stays_and_what_lies_behind_is_drawn_anew(networks):
    assert networks.part.names == BEHIND
    before = networks.network.state()
    states = [networks.train("replicate", index) for index in range(3)]
    assert all(set(state) == {*BEHIND, "norm/moving_mean", "norm/moving_variance"} for state in states)
    refuse_equal(states, ["0", "1", "2"])
    # The weights that the network had are nowhere to be seen: replicates begin as untrained networks do.
    refuse_equal([*states, {name: before[name] for name in states[0]}], ["0", "1", "2", "the network"])
    start = networks._start(1)
    again = networks._start(1)
    assert all(np.array_equal(start[name], again[name]) for name in start)
    assert not np.array_equal(start["second/kernel"], networks._start(2)["second/kernel"])
    # Nothing is left in the network itself.
    after = networks.network.state()
    assert all(np.array_equal(after[name], value) for name, value in before.items())


def test_statistics_are_estimated_for_the_initial_weights_and_then_stay(networks):
    start = networks._start(5)
    with networks.network.weights(start):
        activations = routines.activations(networks.network, networks._some_inputs, "norm")
    assert np.abs(activations.mean(axis=(0, 1, 2))).max() < 0.01
    assert np.abs(activations.std(axis=(0, 1, 2)) - 1).max() < 0.05
    assert not np.allclose(start["norm/moving_mean"], networks.network.state()["norm/moving_mean"])
    trained = networks._trainer_of(networks.part).fit(start, networks._features, networks.true_labels, 0)
    assert not any("moving" in name for name in trained)


def test_networks_are_right_on_samples_held_out_and_remember_permuted_labels(networks):
    assert len(networks.held_out.labels) == SAMPLES // 3
    assert min(networks.accuracy("replicate", index) for index in range(2)) > 0.9
    permuted = networks.labels("permuted_label_networks", 0)
    assert sorted(permuted) == sorted(networks.true_labels) and not np.array_equal(permuted, networks.true_labels)
    assert networks.accuracy("permuted_label_networks", 0) > 0.95
    # The accuracy of the whole network, and not of activations that were kept, is the same.
    with networks.network.weights(networks.train("replicate", 1)):
        predicted = routines.class_logits(networks.network, networks.held_out.inputs.load()).argmax(axis=1)
    assert np.array_equal(predicted == networks.held_out.labels, networks.correct(1))


def test_what_was_trained_is_kept_by_all_that_decides_it(networks):
    keys = []

    def cache(key, compute):
        keys.append(key)
        return {}

    for changed in ({}, {"key": "other samples"}, {"seed": 1}):
        others = copy.copy(networks)
        vars(others).update(_states={}, cache=cache, **changed)
        for _ in range(2):
            # What was looked up once is not looked up again.
            others.train("replicate", 0)
        others.train("replicate", 1)
        others.train("permuted_label_networks", 0)
    assert len(keys) == len(set(keys)) == 9
    again = copy.copy(networks)
    vars(again).update(_states={}, cache=cache)
    again.train("replicate", 0)
    assert keys[-1] == keys[0]


def test_untrained_networks_differ_behind_the_layer_alone(networks, samples):
    subject = Subject(networks.network, samples[0][:8], lab.logit([0] * 8), tuple("abcdefgh"), classes=5)
    subject = with_networks(
        about_finetuned(subject, networks), networks, [("replicate", 2), ("permuted_label_networks", 0)]
    )
    # The commonest class is as often right as chance may be.
    assert subject.chance == pytest.approx(0.35) and len(subject.correct) == SAMPLES // 3
    runs = prepare(subject, seed=0, seeds=2, mode="top_down").runs
    assert [stage.name for stage in runs[0]] == ["logits", "norm", "second"]
    drawn = runs[0][-1].state
    assert set(drawn) == set(subject.replicates[0])
    everything = prepare(Subject(**{**vars(subject), "part": None}), seed=0, seeds=2).runs
    assert "first/kernel" in everything[0][-1].state
    assert np.array_equal(everything[0][-1].state["second/kernel"], drawn["second/kernel"])


def test_a_verdict_says_what_was_trained_and_gates_say_what_to_do(networks, samples):
    networks.network.adopt(networks.train("replicate", 0))
    inputs = networks.held_out.inputs.load()[:10]
    target = networks.held_out.labels[:10]
    subject = Subject(networks.network, inputs, lab.logit(target.tolist()), tuple("abcdefghij"), classes=5)
    counts = [("replicate", 3), ("permuted_label_networks", 3)]
    subject = with_networks(about_finetuned(subject, networks), networks, counts)
    evidence = labels_check.labels(lab.gradient, subject, seed=0)
    verdict = judge([evidence], seed=0)[0]
    assert verdict.scope == "training from first on" and f", {verdict.scope}: " in verdict.sentence
    forgot = labels_check._memorization_gate(Subject(**{**vars(subject), "train_accuracy": (0.5, 1.0)}))
    assert forgot.status == "failed" and "50% at the least" in forgot.words and "earlier layer" in forgot.words
    wrong = gates.competence(Subject(**{**vars(subject), "correct": np.zeros(40, bool)}))
    assert wrong.status == "failed" and "another layer" in wrong.words
    others = Subject(**{**vars(subject), "correct": np.zeros(40, bool), "part": None})
    assert "another layer" not in gates.competence(others).words


@pytest.mark.parametrize(
    ("layer", "words"),
    [("logits", "none behind it"), ("secnd", "second"), ("second", "shares no weights .* second/kernel")],
)
def test_layers_that_cannot_be_trained_from_are_refused(layer, words):
    with pytest.raises(Refused, match=words):
        UpperPart(lab.load(build(shared=layer == "second")), layer)


def test_a_layer_before_two_calls_of_one_that_follows_may_be_trained_from():
    inputs = keras.Input((8, 8, 1))
    before = keras.layers.Conv2D(3, 3, padding="same", name="before")(inputs)
    twice = keras.layers.Conv2D(3, 3, padding="same", name="twice")
    head = keras.layers.Dense(3, name="head")(keras.layers.GlobalAveragePooling2D()(twice(twice(before))))
    network = lab.load(keras.Model(inputs, head))
    assert UpperPart(network, "before").layers == ["twice", "head"]


def test_samples_are_held_out_by_class_and_by_whole_sources():
    labels, groups = np.arange(90) % 3, [f"source {place // 2}" for place in range(90)]
    trained, held_out = hold_out(labels, groups, seed=0)
    assert sorted([*trained, *held_out]) == list(range(90))
    assert not {groups[place] for place in trained} & {groups[place] for place in held_out}
    assert np.bincount(labels[held_out]).min() >= 8 and 28 <= len(held_out) <= 32
    assert not np.array_equal(held_out, hold_out(labels, groups, seed=1)[1])
    assert np.array_equal(held_out, hold_out(labels, groups, seed=0)[1])
    with pytest.raises(Refused, match="2 classes or more.* Received: 1 classes"):
        hold_out(np.zeros(9, int), range(9), seed=0)
    with pytest.raises(Refused, match="3 samples of different sources.* one with 2 sources"):
        hold_out(np.array([0, 0, 0, 1, 1, 1]), [0, 1, 2, 3, 3, 4], seed=0)


def test_a_network_of_several_inputs_needs_a_function(samples):
    inputs = [keras.Input((8, 8, 1), name="image"), keras.Input((2,), name="row")]
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(inputs[0]), inputs[1]])
    with pytest.raises(Refused, match="one input and one output"):
        make(samples, model=keras.Model(inputs, keras.layers.Dense(3)(joined)))


def test_a_large_source_does_not_take_the_place_of_a_third():
    labels = np.repeat([0, 1], [58, 30])
    groups = [0] * 50 + list(range(1, 39))
    for seed in range(5):
        trained, held_out = hold_out(labels, groups, seed)
        assert len(trained) > len(held_out) and not {groups[place] for place in trained} & {
            groups[place] for place in held_out
        }


def test_always_the_commonest_class_is_no_competence(networks, samples):
    inputs, labels = samples
    subject = Subject(lab.load(build()), inputs[:40], lab.logit(0), tuple(map(str, range(40))), classes=2)
    common = np.zeros(40, bool) | (np.arange(40) >= 2)
    assert gates.competence(dataclasses.replace(subject, correct=common, chance=0.95)).status == "failed"
    assert gates.competence(dataclasses.replace(subject, correct=common, chance=0.5)).status == "passed"
