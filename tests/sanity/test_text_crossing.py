"""Texts under the crossings: words alone count, whatever the length of a text, with and without a gradient."""

import keras
import numpy as np
import pytest
from scipy import stats

import lab
from lab.attribution import explainers
from lab.data import Data
from sanity.checks import checks
from sanity.effects import CHANGE, REMOVAL, agreement, cells_of, effects, occupied_positions, reduce_to_cells
from sanity.removal import fills
from sanity.subject import subject as subject_of
from sanity.verdict import judge
from tests import own_data

TEXTS = own_data.reviews()
CROSSINGS = ("class_crossing", "image_crossing")


def unmasked():
    """The network of strings with padding that it reads as a word without weight."""
    model = own_data.sentiment()
    lookup, embedding, mean, dense = model.layers
    plain = keras.layers.Embedding(*embedding.get_weights()[0].shape)
    copy = keras.Sequential([keras.Input((1,), dtype="string"), lookup, plain, mean, keras.layers.Dense(2, "softmax")])
    plain.set_weights(embedding.get_weights())
    copy.layers[-1].set_weights(dense.get_weights())
    return copy


def ids_alone():
    """The layers behind the lookup, without a vocabulary."""
    layers = own_data.sentiment().layers
    return keras.Sequential([keras.Input((10,), dtype="int32"), *layers[1:]])


BUILDERS = {
    "masked": lambda: lab.load(own_data.sentiment()),
    "unmasked": lambda: lab.load(unmasked()),
    "function": lambda: lab.function(own_data.mood, TEXTS),
}


@pytest.fixture(scope="module", params=[*BUILDERS, "ids alone"])
def texts(request):
    """A subject of texts, and the effects that its network shows."""
    names = tuple(map(str, range(len(TEXTS))))
    if request.param == "ids alone":
        ids = np.asarray(lab.load(own_data.sentiment()).tokenize(TEXTS))
        subject = subject_of(lab.load(ids_alone()), Data(names, ids, kind="tokens"))
    else:
        subject = subject_of(BUILDERS[request.param](), lab.open_data(TEXTS))
    return subject, checks.tag(checks.get("class_crossing"), "prepare")(subject, seed=0)


def judge_one(check, method, texts):
    subject, prepared = texts
    return judge([checks.get(check)(explainers.get(method), subject, seed=0, prepared=prepared)])[0]


# Explainers that look at no network --------------------------------------------------------------------------------------


def of_the_word(network, inputs, objective):
    """A number of every word, whatever the network is."""
    return np.sin(7.0 * np.asarray(inputs)).astype("float32")


def of_the_place(network, inputs, objective):
    """A number of every place, and one that tells padding from words."""
    places = np.arange(inputs.shape[1]) ** 2 % 7 + 1.0
    return np.where(np.asarray(inputs) == 0, -50, places).astype("float32")


def of_the_next_text(network, inputs, objective):
    return lab.feature_ablation(network, np.roll(inputs, 1, axis=0), objective)


def one_row_late(network, inputs, objective):
    return np.roll(lab.feature_ablation(network, inputs, objective), 1, axis=0)


def turned(network, inputs, objective):
    return -lab.feature_ablation(network, inputs, objective)


@pytest.mark.parametrize("check", CROSSINGS)
def test_removing_words_passes(texts, check):
    verdict = judge_one(check, "feature_ablation", texts)
    assert verdict.outcome == "PASS", verdict.sentence
    assert verdict.effect.mean > 0.8 * verdict.ceiling.mean


@pytest.mark.parametrize("method", [of_the_word, of_the_place, "edges", "noise"])
def test_what_looks_at_no_network_scores_exactly_zero(texts, method):
    verdict = judge_one("class_crossing", method, texts)
    # Of two mirrored classes of a function a right map without signs is zero, too.
    outcome = "FAIL" if CHANGE in texts[1].halves else "INCONCLUSIVE"
    assert (verdict.outcome, verdict.effect.mean, verdict.p) == (outcome, 0, 1), verdict.sentence


def unsigned(network, inputs, objective):
    return np.abs(np.asarray(lab.feature_ablation(network, inputs, objective)))


@pytest.mark.parametrize("check", CROSSINGS)
def test_magnitudes_of_mirrored_classes_are_undecided(check):
    subject = subject_of(BUILDERS["function"](), lab.open_data(TEXTS))
    verdict = judge([checks.get(check)(unsigned, subject, seed=0)])[0]
    assert (verdict.outcome, verdict.effect.mean) == ("INCONCLUSIVE", 0), verdict.sentence
    assert "mirrored" in verdict.sentence and "cannot be told from none" in verdict.sentence


def test_zero_is_failed_where_three_classes_are_not_mirrored():
    """The evidence of one class is not that of another with the sign turned."""

    def three(texts):
        words = [text.split() for text in texts]
        counts = [[sum(word in group for word in row) for group in (own_data.GOOD, own_data.BAD)] for row in words]
        return np.array([[good, bad, 0.5] for good, bad in counts])

    subject = subject_of(lab.function(three, TEXTS), lab.open_data(TEXTS))
    verdict = judge([checks.get("class_crossing")(of_the_word, subject, seed=0)])[0]
    assert "mirrored" not in verdict.sentence and verdict.outcome in ("FAIL", "INVALID"), verdict.sentence


def test_what_is_the_same_for_every_text_scores_exactly_zero(texts):
    """Its padding tells lengths apart, which must not count."""
    verdict = judge_one("image_crossing", of_the_place, texts)
    assert (verdict.effect.mean, verdict.p) == (0, 1) and verdict.outcome != "PASS", verdict.sentence


@pytest.mark.parametrize(("check", "method"), [("class_crossing", turned), ("image_crossing", of_the_next_text)])
def test_wrong_maps_do_not_pass(texts, check, method):
    assert judge_one(check, method, texts).outcome != "PASS"


def test_maps_of_another_row_do_not_pass_both(texts):
    """Of two classes, a map of another text for the other class may tell texts apart, but not classes."""
    assert any(judge_one(check, one_row_late, texts).outcome != "PASS" for check in CROSSINGS)


# Effects -----------------------------------------------------------------------------------------------------------------


def test_a_word_is_worth_what_it_adds():
    network = lab.function(own_data.mood, TEXTS)
    subject = subject_of(network, lab.open_data(TEXTS))
    measured = effects(subject, [lab.logit(1)], seed=0)
    assert list(measured.halves) == [REMOVAL]
    for row, text in enumerate(TEXTS):
        words = text.split()
        worth = [(word in own_data.GOOD) - (word in own_data.BAD) for word in words]
        np.testing.assert_allclose(measured.halves[REMOVAL][0, 0, row, : len(words)], worth, atol=1e-6)
        assert np.isnan(measured.halves[REMOVAL][:, 0, row, len(words) :]).all()


def test_small_changes_are_of_the_vectors():
    """A sum of words: the response is the noise in a word's vector, whose deviation is a share of the text's range."""
    model = keras.Sequential([keras.Input((10,), dtype="int32"), keras.layers.Embedding(9, 3), keras.layers.Flatten()])
    model.add(keras.layers.Dense(1, use_bias=False))
    weights = np.zeros((30, 1))
    weights[6] = 1
    model.set_weights([np.random.default_rng(0).normal(size=(9, 3)), weights])
    ids = np.random.default_rng(1).integers(1, 9, (8, 10)).astype("int32")
    subject = subject_of(lab.load(model), Data(tuple("abcdefgh"), ids, kind="tokens"))
    change = effects(subject, [lab.logit(0)], seed=0).combine(CHANGE)[0]
    assert (change[:, 2] > 0).all() and not np.delete(change, 2, axis=1).any()
    vectors = model.layers[0].get_weights()[0][ids]
    shares = change[:, 2] / np.ptp(vectors, axis=(1, 2))
    assert np.sqrt((shares**2).mean()) == pytest.approx(0.05, rel=0.4)
    # Texts that shared their noise would share its luck, and a map of places alone would pass by it.
    assert len(set(shares.round(5).tolist())) == len(ids)


@pytest.mark.parametrize("seed", range(4))
def test_a_map_of_places_and_classes_does_not_pass(seed):
    """In a mean of words no place is more than another."""

    def of_the_class_and_place(network, inputs, objective):
        field = np.random.default_rng(seed).normal(size=(2, inputs.shape[1]))
        return field[np.broadcast_to(objective.numbers(len(inputs))[0][0], len(inputs))].astype("float32")

    subject = subject_of(BUILDERS["masked"](), lab.open_data(TEXTS))
    verdict = judge([checks.get("class_crossing")(of_the_class_and_place, subject, seed=seed)])[0]
    assert verdict.outcome != "PASS", verdict.sentence


def test_donors_are_words_of_other_texts_at_the_same_place():
    ids = np.array([[11, 12, 13, 14], [21, 22, 0, 0], [31, 0, 0, 0]], "int32")
    for seed in range(8):
        donors = fills.get("donor")(ids, np.ones(ids.shape, bool), np.random.default_rng(seed))
        assert donors.all() and not (donors == ids).any()
        assert donors[0, 1] == 22 and donors[1, 1] == 12 and set(donors[:2, 0]) <= {11, 21, 31}


def test_agreement_is_over_the_cells_with_evidence():
    rng = np.random.default_rng(0)
    maps, evidence = rng.normal(size=(3, 9)), rng.normal(size=(3, 9))
    evidence[0, 6:], evidence[2] = np.nan, np.nan
    values = agreement(maps, evidence)
    np.testing.assert_allclose(values[0], stats.spearmanr(maps[0, :6], evidence[0, :6]).statistic)
    np.testing.assert_allclose(values[1], stats.spearmanr(maps[1], evidence[1]).statistic)
    assert np.isnan(values[2])


def test_a_cell_of_a_long_text_is_the_mean_of_its_words():
    model = keras.Sequential(
        [keras.Input((128,), dtype="int32"), keras.layers.Embedding(9, 2, mask_zero=True)]
        + [keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)]
    )
    ids = np.random.default_rng(0).integers(1, 9, (2, 128)).astype("int32")
    ids[0, 3:] = 0
    occupied = occupied_positions(lab.load(model), ids)
    maps = np.tile(np.arange(1.0, 129), (2, 1))
    means = reduce_to_cells(maps, cells_of(ids, occupied), REMOVAL, occupied)
    # The second cell of the first text holds one word of two.
    assert means.shape == (2, 64) and means[0, 0] == 1.5 and np.isnan(means[0, 1:]).all()
    np.testing.assert_array_equal(means[1], np.arange(64) * 2 + 1.5)
    # Where no text is longer than 64 words, every word is a cell, however much padding there is.
    ids[:, 20:] = 0
    occupied = occupied_positions(lab.load(model), ids)
    means = reduce_to_cells(maps, cells_of(ids, occupied), REMOVAL, occupied)
    assert means.shape == (2, 20) and np.isnan(means[0, 3:]).all() and means[1].tolist() == list(range(1, 21))


def test_what_is_the_same_for_every_long_text_scores_exactly_zero():
    rng = np.random.default_rng(0)
    words = [*own_data.GOOD, *own_data.BAD, "a", "film"]
    texts = [" ".join(rng.choice(words, length)) for length in rng.integers(20, 150, 16)]
    subject = subject_of(lab.function(own_data.mood, texts), lab.open_data(texts))
    for check, method in (("image_crossing", of_the_place), ("class_crossing", of_the_word)):
        verdict = judge([checks.get(check)(explainers.get(method), subject, seed=0)])[0]
        assert (verdict.effect.mean, verdict.p) == (0, 1) and verdict.outcome != "PASS", verdict.sentence


@pytest.mark.parametrize("check", CROSSINGS)
def test_texts_of_one_word_do_not_apply(check):
    words = [*own_data.GOOD, *own_data.BAD] * 4
    subject = subject_of(lab.function(own_data.mood, words), lab.open_data(words))
    verdict = judge([checks.get(check)(explainers.get("feature_ablation"), subject, seed=0)])[0]
    assert verdict.finding == "NOT APPLICABLE" and "1 at most; needed: 2" in verdict.sentence, verdict.sentence


def test_three_classes_of_texts_are_told_apart():
    """The check `classes` knows the network's own answers about texts, and words that are no class's are ties."""
    model = keras.Sequential([keras.Input((12,), dtype="int32"), keras.layers.Embedding(20, 3)])
    model.add(keras.layers.Dense(3, "softplus"))
    model.add(keras.layers.GlobalAveragePooling1D())
    model.add(keras.layers.Dense(3, use_bias=False))
    # A word's class is the one whose score it moves, by removal and by small changes.
    model.set_weights([np.random.default_rng(0).normal(0, 4, (20, 3)), np.eye(3), np.zeros(3), np.eye(3)])
    ids = np.random.default_rng(1).integers(1, 20, (16, 12)).astype("int32")
    subject = subject_of(lab.load(model), Data(tuple(map(str, range(16))), ids, kind="tokens"))
    verdict = judge([checks.get("classes")(explainers.get("gradient_x_input"), subject, seed=0)])[0]
    assert (verdict.outcome, verdict.finding) == ("PASS", "RESPONDED"), verdict.sentence
    blind = judge([checks.get("classes")(of_the_word, subject, seed=0)])[0]
    assert (blind.outcome, blind.finding) == ("FAIL", "CLASS-BLIND"), blind.sentence


@pytest.mark.parametrize("check", CROSSINGS)
def test_equal_texts_are_one_unit(check):
    """Two texts, six times each, were twelve units: what is right of one by luck passed."""
    texts = [TEXTS[0], TEXTS[1]] * 6
    subject = subject_of(lab.function(own_data.mood, texts), lab.open_data(texts))
    evidence = checks.get(check)(explainers.get("feature_ablation"), subject, seed=0)
    verdict = judge([evidence])[0]
    assert evidence.sizes["images"] == 2 and evidence.sizes["left out"] == 10
    assert verdict.outcome not in ("PASS", "FAIL"), verdict.sentence
    assert "2 texts" in verdict.sentence and "10 texts left out, equal ones" in verdict.sentence


@pytest.mark.parametrize("check", CROSSINGS)
def test_one_text_many_times_fails_a_gate(check):
    texts = TEXTS[:1] * 16
    subject = subject_of(lab.function(own_data.mood, texts), lab.open_data(texts))
    verdict = judge([checks.get(check)(explainers.get("feature_ablation"), subject, seed=0)])[0]
    assert verdict.finding == "GATE FAILED" and "1 of 16 texts differ" in verdict.sentence, verdict.sentence


@pytest.mark.parametrize("check", CROSSINGS)
def test_what_is_left_without_copies_is_judged_as_those_texts_alone(check):
    subjects = [
        subject_of(lab.function(own_data.mood, texts), lab.open_data(texts)) for texts in (TEXTS, TEXTS + TEXTS[:9])
    ]
    first, second = (judge([checks.get(check)(lab.feature_ablation, subject, seed=0)])[0] for subject in subjects)
    assert (first.outcome, first.effect, first.ceiling) == (second.outcome, second.effect, second.ceiling)


@pytest.mark.parametrize("check", CROSSINGS)
def test_one_long_text_does_not_decide_the_windows_of_all(check):
    """Its windows of seven words were filled by no text of ten, and every method failed a gate."""
    rng = np.random.default_rng(0)
    long = " ".join(rng.choice(["the", "a", "film", *own_data.GOOD], 400))
    subject = subject_of(lab.function(own_data.mood, [*TEXTS, long]), lab.open_data([*TEXTS, long]))
    verdict = judge([checks.get(check)(explainers.get("feature_ablation"), subject, seed=0)])[0]
    assert verdict.outcome == "PASS", verdict.sentence


def test_texts_of_fewer_than_two_cells_are_not_looked_at():
    texts = [*TEXTS[:12], "great", "dull", "plot"]
    subject = subject_of(lab.function(own_data.mood, texts), lab.open_data(texts))
    evidence = checks.get("class_crossing")(explainers.get("feature_ablation"), subject, seed=0)
    assert (evidence.sizes["images"], evidence.sizes["left out"]) == (12, 3)
