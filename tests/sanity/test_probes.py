"""The check of probes: false alarms, power, probes that learn by heart, erasure, and units, on activations that are drawn."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

import lab
from lab.refusal import Refused
from sanity.checks import checks
from sanity.checks.probe import compare, probe_evidence
from sanity.checks.probe_use import use_evidence
from sanity.evidence import Evidence
from sanity.examination import examine
from sanity.probes.baselines import input_features, position_features, position_types
from sanity.probes.control_tasks import control_labels, input_types
from sanity.probes.dissection import dissect
from sanity.probes.encoding import balanced_accuracies, exchanged_accuracies, fit_and_tally, tally
from sanity.probes.label_sets import label_set
from sanity.probes.use import measure_use
from sanity.statistics import exchange_p, wilson_interval
from sanity.subject import Subject
from sanity.verdict import judge
from tests import probe_worlds

WORLDS = (probe_worlds.alone, probe_worlds.copies, probe_worlds.patients)


# What the rule says ---------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("is_large", [False, True], ids=["linear", "large"])
def test_a_large_probe_is_right_and_not_selective(is_large, monkeypatch):
    """Hewitt and Liang 2019: what the probe learns by heart is no property of the layer."""
    rows, labels, types = probe_worlds.types_and_labels(np.random.default_rng(0))
    labelled = label_set("part of speech", labels, range(len(labels)))
    options = {"learning_rate_init": 5e-3, "max_iter": 20, "n_iter_no_change": 20, "batch_size": 100, "random_state": 0}
    estimator = MLPClassifier((256,), **options) if is_large else None
    monkeypatch.setattr("sanity.shortcuts.classifier.FOLDS", 2)
    probe, _ = fit_and_tally(rows, labelled, 0, estimator=estimator)
    control, _ = fit_and_tally(
        rows, labelled, 0, labels=control_labels(types, labelled.labels, seed=0), estimator=estimator
    )
    nothing = tally(labelled.labels, 0 * labelled.labels, labelled.groups, 5)
    samples = {"probe": probe, "control": control, "random": nothing[None], "inputs": nothing}
    samples |= {"exchanged": exchanged_accuracies(rows, labelled, 0, 39), "calibration": np.zeros(3)}
    samples |= dict.fromkeys(("code", "code/random"), np.ones((2, 4)))
    record = probe_evidence("net", "layer", labelled, samples, {})
    numbers, verdict = compare(record, 0), judge([record])[0]
    if is_large:
        assert numbers["probe"].mean > 0.99 and abs(numbers["selectivity"].mean) < 0.01
        assert (verdict.outcome, verdict.finding) == ("INVALID", "NOT SELECTIVE")
    else:
        assert numbers["probe"].mean == pytest.approx(0.88, abs=0.04)
        assert numbers["selectivity"].mean == pytest.approx(0.38, abs=0.04)
        assert verdict.finding == "ENCODED"


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.__name__)
def test_labels_without_a_relation_are_told_no_oftener_than_they_may(world):
    """Encoded needs p: the exchanges alone bound its false alarms."""
    alarms = 0
    for seed in range(200):
        labelled, layers, *_ = probe_worlds.draw(world, seed, count=48, channels=8)
        values = [exchanged_accuracies(rows[labelled.rows], labelled, seed, 39) for rows in layers]
        alarms += exchange_p(np.stack(values)).min() <= 0.05
    assert wilson_interval(alarms, 200).low <= 0.05


def test_what_is_planted_is_found_in_its_layer_and_nowhere_else():
    findings = [
        [verdict.finding for verdict in judge(probe_worlds.evidence(WORLDS[0], seed, 3.0, count=64))]
        for seed in range(3)
    ]
    assert [row[-1] for row in findings] == ["ENCODED"] * 3
    assert sum("ENCODED" in row[:-1] for row in findings) == 0


def evidence_of(**tallies):
    """Evidence of 60 sources of two classes, of which shares are told."""
    labels = np.arange(60) % 2
    rng = np.random.default_rng(0)
    counts = {
        name: tally(labels, np.where(rng.permutation(60) < share * 60, labels, 1 - labels), np.arange(60), 2)
        for name, share in {"probe": 0.9, "control": 0.5, "random": 0.5, "inputs": 0.5, **tallies}.items()
    }
    counts["random"] = counts["random"][None]
    drawn = np.random.default_rng(1).uniform(0.4, 0.6, 200)
    drawn[0] = counts["probe"][1].sum() / 60
    code = np.array([[0, 30, 30.0, 0.5], [30, 30, 10.0, 0.9]])
    samples = {
        **counts,
        "exchanged": drawn,
        "code": code,
        "code/random": code,
        "calibration": np.array([0.05, 0.0, 0.1]),
    }
    return Evidence("probe", "any", "net", {"images": 60, "networks": 1}, samples, ())


@pytest.mark.parametrize(
    "shares, finding",
    [
        ({}, "ENCODED"),
        ({"probe": 0.5}, "NOT SHOWN"),
        ({"probe": 1.0, "control": 1.0}, "NOT SELECTIVE"),
        ({"probe": 1.0, "control": 0.98}, "NOT SELECTIVE"),
        ({"random": 0.95}, "NO BETTER THAN BASELINES"),
        ({"inputs": 0.97}, "NO BETTER THAN BASELINES"),
        ({"inputs": 0.85}, "UNDECIDED"),
    ],
)
def test_each_comparison_decides(shares, finding):
    assert judge([evidence_of(**shares)])[0].finding == finding


# What is measured -----------------------------------------------------------------------------------------------------------


def test_balanced_accuracies_are_those_of_the_rows():
    rng = np.random.default_rng(0)
    labels, predicted, groups = rng.integers(0, 3, 50), rng.integers(0, 3, 50), rng.integers(0, 12, 50)
    accuracies = balanced_accuracies(tally(labels, predicted, groups, 3), seed=0, draws=5)
    expected = np.mean([(predicted[labels == label] == label).mean() for label in range(3)])
    assert accuracies.shape == (6,) and accuracies[0] == pytest.approx(expected)


def test_a_control_task_has_one_label_a_type_and_the_shares_of_the_labels():
    rng = np.random.default_rng(0)
    types, labels = rng.integers(0, 60, 900), rng.choice(3, 900, p=[0.6, 0.3, 0.1])
    control = control_labels(types, labels, seed=0)
    assert all(len(set(control[types == kind])) == 1 for kind in range(60))
    np.testing.assert_allclose(np.bincount(control) / 900, np.bincount(labels) / 900, atol=0.03)
    assert not np.array_equal(control, control_labels(types, labels, seed=1))


def test_inputs_that_are_alike_are_of_one_type():
    rng = np.random.default_rng(0)
    kinds = np.arange(64) % 8
    types = input_types(5 * rng.normal(size=(8, 30))[kinds] + 0.1 * rng.normal(size=(64, 30)), seed=0)
    assert len({(kind, name) for kind, name in zip(kinds, types)}) == 8


def test_inputs_of_every_kind_are_rows_of_numbers():
    rng = np.random.default_rng(0)
    for inputs, width in (
        (rng.random((5, 24, 20, 3)), 12 * 12 * 3),
        (rng.random((5, 40, 2)), 32 * 2),
        (rng.random((5, 7)), 7),
        (rng.integers(0, 4, (5, 9)), 4),
        ([rng.random((5, 7)), rng.random((5, 2))], 9),
    ):
        assert input_features(inputs).shape == (5, width)
    ids = np.array([[3, 4, 4], [5, 3, 4]])
    owners, positions = np.array([0, 0, 1]), np.array([0, 1, 0])
    assert position_types(ids, owners, positions, ids.shape[1]).tolist() == [0, 1, 2]
    assert position_features(ids, owners, positions, ids.shape[1]).shape == (3, 3)
    images = rng.random((2, 4, 4, 3))
    # A cell of a layer sees more than a pixel.
    np.testing.assert_allclose(position_features(images, owners, positions, 4), input_features(images)[owners])
    series = rng.random((2, 6, 3)).astype("float32")
    np.testing.assert_allclose(position_features(series, owners, positions, series.shape[1]), series[owners, positions])


def test_positions_stay_in_the_group_of_their_input():
    labelled = label_set("a", ["x", None, *"xy" * 6], range(14)).of_positions(np.repeat(np.arange(14), 3))
    assert len(labelled.rows) == 39 and labelled.groups.max() == 12
    by_input = labelled.groups.reshape(13, 3)
    assert (by_input == by_input[:, :1]).all() and len(set(by_input[:, 0])) == 13 and 3 not in labelled.rows


# Use ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network():
    """A network of positions whose score reads the first of eight channels alone."""
    entry = keras.Input([5, 8])
    held = keras.layers.Dense(8, use_bias=False, name="held")(entry)
    model = keras.Model(entry, keras.layers.Dense(1, name="score")(keras.layers.GlobalAveragePooling1D()(held)))
    model.get_layer("held").set_weights([np.eye(8)])
    model.get_layer("score").set_weights([np.eye(8)[:, :1], np.zeros(1)])
    return lab.load(model)


@pytest.mark.parametrize("channel, finding", [(0, "USED"), (1, "UNUSED")])
def test_what_is_encoded_is_used_only_where_the_score_reads_it(network, channel, finding):
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 2
    inputs = rng.normal(size=(2000, 5, 8)).astype("float32")
    inputs[..., channel] += 4 * labels[:, None]
    if channel:
        inputs[..., 0] *= 6  # The score varies by itself.
    labelled = label_set("label", labels, range(2000))
    samples = measure_use(network, inputs, lab.logit(0), "held", inputs.mean(axis=1), labelled, seed=0)
    assert samples["use"].shape == (40, 64) and len(samples["use/groups"]) == 64
    verdict = judge([Evidence("probe_use", "label in held", "net", {"images": 64}, samples, ())])[0]
    assert verdict.finding == finding, (verdict.sentence, verdict.also)


# The check as others see it -------------------------------------------------------------------------------------------------


def test_the_check_is_one_of_concepts_and_asks_a_subject(network):
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 2
    inputs = rng.normal(size=(48, 5, 8)).astype("float32")
    inputs[:, ::2, 0] += 3 * labels[:, None]
    subject = Subject(network, inputs, lab.logit(0), tuple(map(str, range(48))), labels=labels)
    assert checks.tag(checks.get("probe"), "claim") == "concepts"
    settings, before = {"layers": ["held"], "networks": 2, "exchanges": 39, "erasures": 19}, network.fingerprint()
    (record,) = checks.get("probe")(subject, seed=0, **settings)
    assert record.samples["random"].shape == (2, 2, 48, 2) and record.samples["use"].shape == (20, 24)
    # A linear layer that was never trained holds what its inputs hold.
    judged = examine("probe", {}, subject, seed=0, settings={**settings, "erasures": 0})
    assert judged.verdicts[0].finding in ("NO BETTER THAN BASELINES", "UNDECIDED")
    assert network.fingerprint() == before
    with pytest.raises(lab.Refused, match="19 random erasures or more.* Received: erasures=5"):
        checks.get("probe_use")(subject, seed=0, **{**settings, "erasures": 5})


def test_use_is_asked_only_where_a_label_is_encoded(network):
    """The same evidence, once with baselines that tell the label, and once with baselines by chance."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    inputs = rng.normal(size=(200, 5, 8)).astype("float32")
    inputs[..., 0] += 3 * labels[:, None]
    subject = Subject(network, inputs, lab.logit(0), tuple(map(str, range(200))), labels=labels)
    settings = {"layers": ["held"], "networks": 1, "exchanges": 39}
    (verdict,) = examine("probe_use", {}, subject, seed=0, settings=settings).verdicts
    assert (verdict.finding, verdict.gates[0]["status"]) == ("NOT APPLICABLE", "not applicable")
    (record,) = checks.get("probe")(subject, seed=0, erasures=39, **settings)
    chance = tally(labels, rng.permutation(labels), np.arange(200), 2)
    by_chance = {"random": chance[None], "inputs": chance, "control": chance}
    (encoded,) = use_evidence([replace(record, samples={**record.samples, **by_chance})], 0)
    assert set(encoded.samples) == {"use", "use/groups", "use/scores"} and encoded.sizes == {"images": 64}
    assert judge([encoded])[0].finding == "USED"


def test_units_that_hold_a_label_are_found_and_others_are_not():
    labelled, (rows, *_), ((random, *_), _), *_ = probe_worlds.draw(probe_worlds.alone, 0)
    rows = rows[labelled.rows]
    rows[:, 5] += 3 * labelled.labels
    layers = np.repeat([0, 1], 8)
    result = dissect(rows, [random[labelled.rows]], layers, labelled, seed=0)
    assert np.argwhere(result.above()).tolist() == [[0, 5], [1, 5]] and result.auc[1, 5] > 0.9
    assert 0.1 < result.bound < 0.3 and (result.untrained[:, 0] == result.untrained[:, 7]).all()


def test_units_of_noise_are_found_no_oftener_than_they_may():
    alarms = 0
    for seed in range(100):
        labelled, (rows, *_), *_ = probe_worlds.draw(probe_worlds.copies, seed)
        layers = np.zeros(rows.shape[1], int)
        alarms += dissect(rows[labelled.rows], [], layers, labelled, seed=seed, exchanges=39).above().any()
    assert wilson_interval(alarms, 100).low <= 0.05


@pytest.mark.parametrize(
    "labels, message",
    [
        (["a"] * 20, "two classes or more apart. Received: 'colour' with 'a' alone"),
        ([None] * 20, "two classes or more apart. Received: 'colour' with no label"),
        (["a"] * 17 + ["b"] * 3, "6 sources each. Received: 'colour', where 'b' is in 3"),
    ],
)
def test_labels_that_cannot_be_told_apart_are_refused(labels, message):
    with pytest.raises(Refused, match=message):
        label_set("colour", labels, range(20))


def test_rare_classes_are_left_out_and_sources_count_once():
    labelled = label_set("colour", [*"ab" * 8, "c", "c"], range(18))
    assert labelled.classes == ("a", "b") and labelled.left_out == ("c",) and len(labelled.rows) == 16
    with pytest.raises(Refused, match="where 'b' is in 2"):
        label_set("colour", ["a"] * 10 + ["b"] * 10, [*range(10), *[10, 11] * 5])


def test_a_layer_without_the_positions_of_its_text_is_compared_with_the_whole_text():
    """Its only position is not the first token."""
    ids = np.random.default_rng(0).integers(0, 5, size=(6, 8))
    owners, first = np.arange(6), np.zeros(6, int)
    np.testing.assert_array_equal(position_features(ids, owners, first, 1), input_features(ids))
    assert position_types(ids, owners, first, 1) is None
    series = np.random.default_rng(0).normal(size=(6, 16, 2)).astype("float32")
    np.testing.assert_array_equal(position_features(series, owners, first, 4), input_features(series))
