"""Mechanism: erasures from a layer against slow formulas, and networks that were trained where a column is of use or not."""

import tomllib
from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.covariance import OAS

from lab.concepts import erase_targets, leace
from lab.concepts.erasure import whitening
from lab.models import load
from lab.refusal import Refused
from sanity.audit import audit
from sanity.audit.layers import Layer, find_layer, inner_layers
from sanity.audit.margin import rows_to_settle
from sanity.audit.mechanism import bends, read_erased, slope_interval, slopes
from sanity.audit.rows import Column
from sanity.checks.proxy_mechanism import UNSETTLED, proxy_mechanism
from sanity.checks.proxy_use import DEPENDS, UNUSED, USED
from sanity.statistics import Interval, wilson_interval
from sanity.verdict import judge
from tests import audit_files
from tests.audit_worlds.measures import mechanism_of, naive_erasure_p
from tests.audit_worlds.mechanisms import Network, folding, skipping, subject_of, trained, world
from tests.readability import longest


def verdict_of(subject, **options):
    return judge(proxy_mechanism(subject, seed=0, **{"draws": 99, "tries": 20} | options))[0]


# Oracles ------------------------------------------------------------------------------------------------------------------


def test_erasures_of_numbers_are_the_formula_of_the_paper():
    """x - S^(1/2) P S^(-1/2) (x - m), where P projects on S^(-1/2) cov(x, z), and S is shrunk in deviations of channels."""
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(size=(4000, 5)) @ rng.normal(size=(5, 5)), rng.normal(size=(4000, 2))
    targets += rows[:, :2]
    spreads = rows.std(axis=0)
    colour = np.real(sqrtm(OAS().fit(rows / spreads).covariance_ * np.outer(spreads, spreads)))
    whiten = np.linalg.inv(colour)
    for erasure, target in zip(erase_targets(rows, targets), targets.T):
        crossed = whiten @ (rows - rows.mean(axis=0)).T @ (target - target.mean())
        projector = colour @ np.outer(crossed, crossed) @ whiten / (crossed @ crossed)
        np.testing.assert_allclose(erasure(rows), rows - (rows - rows.mean(axis=0)) @ projector.T, atol=1e-8)
        np.testing.assert_allclose((erasure(rows) - rows.mean(axis=0)).T @ (target - target.mean()), 0, atol=1e-6)


def test_an_erasure_of_three_columns_by_hand_holds_on_other_rows_whatever_their_units():
    """Where S is diagonal, the change is cov(x, z) times the sum of cov(x, z) x / S, over the sum of cov(x, z)^2 / S."""
    rng = np.random.default_rng(0)
    scales = np.array([1e4, 1.0, 1e-4])
    rows = rng.normal(size=(2, 4000, 3))
    targets = 0.5 * rows[..., 1] + rows[..., 2] + 0.1 * rng.normal(size=(2, 4000))
    (erasure,) = erase_targets(rows[0] * scales, targets[0][:, None])
    expected = rows[1] - (rows[1] @ [0, 0.5, 1.0])[:, None] * [0, 0.5, 1.0] / 1.25
    erased = erasure(rows[1] * scales) / scales
    np.testing.assert_allclose(erased, expected, atol=0.15)
    assert max(abs(np.corrcoef(channel, targets[1])[0, 1]) for channel in erased.T) < 0.05


def test_an_erasure_of_two_classes_is_that_of_their_numbers():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(200, 6)), rng.integers(2, size=200)
    (erasure,) = erase_targets(rows, labels[:, None] * 3.0 - 1)
    np.testing.assert_allclose(erasure(rows), leace(rows, labels)(rows), atol=1e-9)


def test_slopes_are_those_of_least_squares_and_bounds_those_of_a_bootstrap_by_unit():
    rng = np.random.default_rng(0)
    units = np.arange(600) // 3
    surplus = rng.normal(size=200)[units]
    changes = 0.1 * surplus + rng.normal(size=200)[units] + 0.1 * rng.normal(size=600)
    expected = np.linalg.lstsq(surplus[:, None], changes, rcond=None)[0][0]
    assert slopes(surplus[None], changes[None])[0] == pytest.approx(expected)
    drawn = []
    for _ in range(400):
        rows = (3 * rng.integers(200, size=200)[:, None] + np.arange(3)).ravel()
        drawn.append(surplus[rows] @ changes[rows] / (surplus[rows] @ surplus[rows]))
    slope, low, high = slope_interval(surplus, changes, units, 0.95)
    assert slope == pytest.approx(expected) and high - low == pytest.approx(2 * 1.96 * np.std(drawn), rel=0.15)


@pytest.mark.parametrize("persons, rows, share", [(300, 1, 0.5), (75, 4, 0.5), (100, 10, 0.5), (300, 1, 0.1)])
def test_bounds_hold_where_few_decisions_turn_by_person_and_in_small_groups(persons, rows, share):
    """With one row more in place of one unit the upper bound was below the truth in .21 to .30 of samples, in place of .025."""
    below, truth, rng = 0, 0.04, np.random.default_rng(0)
    for _ in range(400):
        members = (rng.random(persons) < share) * 1.0
        changes = (rng.random(persons) < truth * members) - share * truth
        repeated = (np.repeat(part, rows) for part in (members - share, changes, np.arange(persons)))
        below += slope_interval(*repeated, 0.95)[2] < truth
    assert below <= 24, below


def test_a_column_is_erased_from_a_half_that_did_not_learn_its_direction():
    mechanism = mechanism_of(world(0, "used", 400))
    surplus = mechanism.members - mechanism.odds.chance
    (hidden,) = mechanism.erased(mechanism.members[None])
    for side in (mechanism.first, ~mechanism.first):
        (erasure,) = erase_targets(mechanism.hidden[side], surplus[side][:, None])
        np.testing.assert_allclose(hidden[~side], erasure(mechanism.hidden[~side]))
        assert np.abs(hidden[side] - erasure(mechanism.hidden[side])).max() > 1e-3


def test_the_share_is_the_slope_of_decisions_that_an_erasure_turns():
    mechanism = mechanism_of(world(0, "used", 1000))
    erased = mechanism.measure(19, 2, 0.02, 0.95)
    (hidden,) = mechanism.erased(mechanism.members[None])
    before, after = (log[:, 1] > log[:, 0] for log in (mechanism.logits, mechanism.layer.resume(None, hidden)))
    surplus = mechanism.members - mechanism.odds.chance
    plain = surplus @ (before * 1.0 - after) / (surplus @ surplus)
    assert erased.share[0] == pytest.approx(plain, abs=0.03) and erased.share[0] > 0.1
    known = [(part == mechanism.rows.labels).mean() for part in (before, after)]
    np.testing.assert_allclose(erased.accuracy[:2], known)


# Layers of a network ------------------------------------------------------------------------------------------------------


def branched():
    """A network with a way around its first layers, and statistics that are folded into weights."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    first = keras.layers.Dense(6, "relu", name="first")(inputs)
    normal = keras.layers.BatchNormalization(name="normal")(first)
    second = keras.layers.Dense(5, "tanh", name="second")(normal)
    joined = keras.layers.Concatenate(name="joined")([second, inputs])
    last = keras.layers.Dense(4, "relu", name="hidden")(joined)
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid", name="out")(last))
    model.get_layer("normal").set_weights([np.linspace(0.5, 2, 6), np.ones(6), np.full(6, 0.2), np.full(6, 0.7)])
    return model


def test_layers_are_read_and_replaced_as_parts_of_the_model_are():
    model, inputs = branched(), np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
    layers = {layer.name: layer for layer in inner_layers(load(model, as_table=True), 2)}
    assert "hidden" not in layers and {"first", "second"} <= set(layers)
    rest = keras.Model([model.get_layer("second").output, model.inputs[0]], model.output)
    for name in ("first", "second"):
        expected = keras.Model(model.inputs[0], model.get_layer(name).output)(inputs).numpy()
        np.testing.assert_allclose(layers[name].read(inputs), expected, atol=1e-5)
    hidden = layers["second"].read(inputs)
    chance = rest([hidden[::-1], inputs]).numpy()[:, 0]
    logits = layers["second"].resume(inputs, hidden[::-1])
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], np.log(chance / (1 - chance)), atol=1e-4)
    first = layers["first"]
    plain = model(inputs).numpy()[:, 0]
    logits = first.resume(inputs, first.read(inputs))
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], np.log(plain / (1 - plain)), atol=1e-4)


def test_the_first_layer_whose_weights_join_inputs_is_asked():
    keras.utils.set_random_seed(0)
    normalize = keras.layers.Normalization(name="scaled")
    normalize.adapt(np.random.default_rng(0).normal(size=(20, 3)))
    layers = [
        normalize,
        keras.layers.Dense(4, name="a"),
        keras.layers.ReLU(name="b"),
        keras.layers.Dense(4, "relu", name="c"),
    ]
    layers = inner_layers(load(keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2)]), as_table=True), 2)
    assert find_layer(layers, None).name == "a" and find_layer(layers, "b").name == "b"
    with pytest.raises(Refused, match="Received: 'c'"):
        find_layer(layers, "c")
    assert find_layer((), None) is None


def test_what_follows_the_last_hidden_layer_is_linear():
    subject = world(0, "used", 300)
    first, last = subject.layers
    inputs = subject.test.inputs
    assert bends(first, inputs, first.read(inputs)) and not bends(last, inputs, last.read(inputs))
    row = verdict_of(subject, layer="last")
    assert row.finding == "NOT APPLICABLE" and "name an earlier layer" in row.sentence


# The three arms -----------------------------------------------------------------------------------------------------------


def test_a_network_that_learned_from_a_stand_in_uses_what_its_layer_holds():
    row = verdict_of(world(0, "used", 3000))
    assert (row.outcome, row.finding) == ("FAIL", USED) and "sex = m" in row.sentence and "layer first" in row.sentence
    assert row.effect.mean > 0.1 and row.settings["layer"] == "first"
    words = row.also["log odds by which groups differ given the legitimate columns"]
    before, after = (float(word.strip("+,")) for word in words.split()[:3:2])
    assert 0 < after < before / 2


@pytest.mark.parametrize("arm", ["none", "encoded"])
def test_what_is_not_used_passes_where_planted_use_would_be_found(arm):
    row = verdict_of(world(0, arm, 10_000))
    assert (row.outcome, row.finding) == ("PASS", UNUSED) and "of 20 tries" in row.sentence


@pytest.mark.parametrize("subject", [skipping(2, 10_000), folding(2, 10_000)], ids=["around the layer", "not linear"])
def test_use_that_an_erasure_does_not_reach_is_no_pass(subject):
    """Before, both were a PASS: groups differ by half of decisions, and the erasure moves none of it."""
    (row,) = judge(proxy_mechanism(subject, seed=0, draws=49, tries=20))
    assert (row.outcome, row.finding) == ("INCONCLUSIVE", DEPENDS), row.sentence
    assert row.effect.high < 0.02 and "in a way that is not linear" in row.sentence and len(longest(row.sentence)) <= 25
    left = float(row.also["share of decisions by which groups differ after the erasure"].split()[0])
    assert left > 0.1


def test_no_number_of_rows_is_named_that_would_not_be_looked_at():
    """Of 10,000 rows that are looked at, 13,000 more "would settle it"; and of 8,000 that there are, 6,800 would."""
    (evidence,) = proxy_mechanism(world(0, "none", 2000), seed=0, draws=19, tries=20)
    assert evidence.settings["needed"] == 0 or 2000 < evidence.settings["needed"] <= 10_000
    parts = ((5000, 0.015), (5000, 0.02), (8000, 0.011))
    counts = [rows_to_settle(rows, Interval(0.01, -half, half), 0.02, 10_000) for rows, half in parts]
    assert counts == [7813, 0, 0]


@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_units_of_channels_do_not_matter(size):
    """A rectifier of a scaled channel is the scaled rectifier, so that the network is the same."""
    subject, network = world(0, "used", 1000), trained(0, "used")
    scales = np.where(np.arange(32) % 2, size, 1.0)
    weights = [network.weights[0] * scales, network.weights[1] / scales[:, None], network.weights[2]]
    scaled = Network(weights, [network.biases[0] * scales, *network.biases[1:]])
    rows = subject.test
    scaled = subject_of(scaled, rows.inputs.astype(float), rows.protected[0].values, rows.labels, rows.units)
    plain, other = (mechanism_of(part).measure(19, 2, 0.02, 0.95) for part in (subject, scaled))
    np.testing.assert_allclose(plain.share, other.share, atol=2e-3)
    np.testing.assert_allclose(plain.slopes, other.slopes, atol=1e-3)


def test_erasing_the_column_itself_moves_every_network_and_erasing_the_rest_does_not():
    """What the column shares with legitimate ones is used by all, so that the naive erasure alarms everywhere."""
    alarms, naive = [], []
    for seed in range(12):
        subject = world(seed, "none", 1000)
        erased = mechanism_of(subject, seed).measure(39, 1, 0.02, 0.95)
        alarms.append(read_erased([erased], 0.05, 1)[0][0, :2].max() <= 0.05)
        naive.append(naive_erasure_p(subject, seed, 39) <= 0.05)
    assert wilson_interval(sum(alarms), 12).low <= 0.05 and sum(naive) >= 11, (alarms, naive)


def test_planted_use_turns_as_many_decisions_as_it_says():
    mechanism = mechanism_of(world(0, "none", 8000))
    whiten, mean = whitening(mechanism.hidden)[0], mechanism.hidden.mean(axis=0)
    for share in (0.02, 0.1):
        turned = []
        for seed in range(8):
            code = (mechanism.hidden - mean) @ mechanism._readout(whiten, mean, seed)
            members = mechanism._members_along(code, seed)
            weight = mechanism._weight(code, members, share)
            change = (mechanism.scores + weight * code >= 0) * 1.0 - (mechanism.scores >= 0)
            # Another column of the same law, which the weight was not fitted to.
            surplus = mechanism._members_along(code, seed + 100) - mechanism.odds.chance
            turned.append(surplus @ change / (surplus @ surplus))
        assert np.mean(turned) == pytest.approx(share, rel=0.25)


def test_use_that_other_directions_share_or_the_output_does_not_show_is_open():
    (evidence,) = proxy_mechanism(world(0, "used", 3000), seed=0, draws=99, tries=20)
    for name in ("direction p", "output p"):
        (row,) = judge([replace(evidence, samples={**evidence.samples, name: np.array([0.4])})])
        assert (row.outcome, row.finding) == ("INCONCLUSIVE", UNSETTLED)


def test_sentences_are_short_and_promise_nothing():
    forbidden = ("fair", "unbiased", "compliant", "safe", "robust", "discriminates", "causes", "caused by")
    for arm in ("none", "used"):
        row = verdict_of(world(1, arm, 400), draws=39)
        assert len(longest(row.sentence)) <= 25 and row.cannot.startswith("Cannot conclude"), row.sentence
        assert "not linear" in row.cannot and not any(word in row.sentence.lower() for word in forbidden)


# Edges --------------------------------------------------------------------------------------------------------------------


def squares(_, hidden):
    """Logits of two classes from squares of activations: float64 [rows, 2]."""
    logits = (np.asarray(hidden, "float64") ** 2).sum(axis=1) - 1
    return np.stack([-logits, logits], axis=1)


def edge_cases():
    subject = world(0, "used", 200)

    def protected(values):
        column = Column("sex", np.asarray(values, float), ("f", "m", "unseen"))
        return replace(subject, test=replace(subject.test, protected=(column,)))

    yield "one group", protected(np.zeros(200)), "INVALID"
    yield "group of 1", protected(np.arange(200) == 0), "INVALID"
    yield "all missing", protected(np.full(200, np.nan)), "INVALID"
    yield "half missing", protected(np.r_[np.full(100, np.nan), np.arange(100) % 2]), "INCONCLUSIVE"
    yield "one unit", replace(subject, test=replace(subject.test, units=np.zeros(200, int))), "INVALID"
    yield "few units", replace(subject, test=replace(subject.test, units=np.arange(200) // 50)), "INVALID"
    yield "no layer", replace(subject, layers=()), "INVALID"
    yield "few rows", replace(subject, test=subject.test.take(np.arange(9))), "INVALID"
    idle = Network([np.zeros((4, 3)), np.ones((3, 3)), np.ones((3, 1))], [np.zeros(3)] * 2 + [np.zeros(1)])
    yield "dead layer", replace(subject, layers=idle.layers), "INVALID"
    one = Network([np.ones((4, 1)), np.ones((1, 3)), np.ones((3, 1))], [np.zeros(1), np.full(3, -1.0), np.zeros(1)])
    yield "one channel", replace(subject, layers=one.layers), "INCONCLUSIVE"
    alone = Layer("first", True, lambda inputs: (inputs == subject.test.inputs[10])[:, :2] * 2.0, squares)
    yield "half of the units alike", replace(subject, layers=(alone,)), "INVALID"
    positive = Layer("first", True, np.exp, lambda _, hidden: squares(_, np.where(hidden > 0, hidden, np.nan)))
    yield "no answers after it", replace(subject, layers=(positive,)), "INVALID"
    columns = [replace(column, values=np.full(200, np.nan)) for column in subject.test.columns]
    yield "legitimate missing", replace(subject, test=replace(subject.test, columns=tuple(columns))), "FAIL"


@pytest.mark.parametrize(
    "name, subject, outcome", list(edge_cases()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_edges_end_in_a_verdict(name, subject, outcome):
    for row in judge(proxy_mechanism(subject, seed=0, draws=19, tries=2)):
        assert row.outcome == outcome and row.sentence.endswith((".", ")")), row.sentence
        assert row.p is None or row.p > 0


def test_a_contrast_without_numbers_takes_no_verdict_of_another_away():
    """Activations differ among people of known sex, and are all the same among those of known age."""
    subject = world(0, "used", 400)
    first, sex = subject.layers[0], subject.test.protected[0]
    known = np.arange(400) < 200
    age = Column("age", np.where(known, np.arange(400) % 2, np.nan), ("young", "old"))
    bad = subject.test.inputs[known][:, 0]

    def read(inputs):
        return np.where(np.isin(inputs[:, :1], bad), np.float32(1), first.read(inputs))

    sheet = subject.sheet.model_copy(update={"columns": subject.sheet.columns | {"age": subject.sheet.column("sex")}})
    layers = (replace(first, read=read),)
    subject = replace(subject, test=replace(subject.test, protected=(sex, age)), sheet=sheet, layers=layers)
    rows = judge(proxy_mechanism(subject, seed=0, draws=19, tries=2))
    assert [(row.method, row.outcome == "INVALID") for row in rows] == [("sex = m", False), ("age = old", True)]
    assert "erasures give numbers" in rows[1].sentence


def test_several_groups_are_compared_with_the_rest_and_persons_are_units():
    subject = world(0, "used", 900, persons=3)
    ages = np.random.default_rng(0).integers(3, size=300)[np.arange(900) // 3]
    column = Column("age", ages.astype(float), ("young", "middle", "old"))
    subject = replace(subject, test=replace(subject.test, protected=(*subject.test.protected, column)))
    sheet = subject.sheet.model_copy(update={"columns": subject.sheet.columns | {"age": subject.sheet.column("sex")}})
    rows = judge(proxy_mechanism(replace(subject, sheet=sheet), seed=0, draws=99, tries=4))
    assert [row.method for row in rows] == ["sex = m", "age = young", "age = middle", "age = old"]
    assert rows[0].sizes["units"] <= 150 and all(row.finding != USED for row in rows[1:])


def test_the_same_seed_gives_the_same_bytes_and_the_order_of_rows_does_not_matter():
    subject = world(0, "used", 800)
    first, again = (proxy_mechanism(subject, seed=3, draws=49, tries=2)[0] for _ in range(2))
    assert all(first.samples[name].tobytes() == again.samples[name].tobytes() for name in first.samples)
    order = np.random.default_rng(1).permutation(800)
    shuffled = replace(subject, test=subject.test.take(order))
    assert verdict_of(shuffled).finding == verdict_of(subject).finding


# Python ---------------------------------------------------------------------------------------------------------------------


def test_python_asks_the_first_layer_and_refuses_one_that_is_not_there():
    frame, sheet = audit_files.applications(600), audit_files.APPLICATIONS
    options = {"sheet": tomllib.loads(sheet), "questions": ["proxies"], "draws": 99, "tries": 4}
    (row,) = [row for row in audit(audit_files.deep(), frame, **options) if row.check == "proxy_mechanism"]
    assert row.settings["layer"] == "dense" and row.finding not in ("NOT APPLICABLE", "FAULT"), row.sentence
    with pytest.raises(Refused, match="Received: 'dens'. Nearest: dense"):
        audit(audit_files.deep(), frame, layer="dens", **options)
    with pytest.raises(Refused, match="Ask proxies too"):
        audit(audit_files.deep(), frame, layer="dense", **options | {"questions": ["failures"]})
