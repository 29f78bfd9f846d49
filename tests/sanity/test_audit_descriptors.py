"""Simple models of pictures and texts: worlds that one of them tells and another does not, and slow computations of what they take."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sanity.audit import ladder
from sanity.audit.calibration import list_views, root_interval, view_bins
from sanity.audit.descriptors import (
    ALONE,
    COLOURS,
    GRADIENTS,
    PRETRAINED,
    TOGETHER,
    WORDS,
    count_words,
    picture_descriptors,
)
from sanity.audit.rows import AuditSubject, Column, Rows
from sanity.checks import checks
from sanity.checks import simpler as simpler_check
from sanity.verdict import judge
from tests.audit_worlds import ladders as worlds

BRIEF = {"draws": 99, "tries": 4, "budget": 1}
# A model that is right in all rows is as good as a network that is, or more certain of it.
ENOUGH = (simpler_check.AS_WELL, simpler_check.BEHIND)
OF = {name: rung for rung, name in ladder.DESCRIBED.items()}


@pytest.fixture(autouse=True)
def without_pairs(monkeypatch):
    monkeypatch.setattr(ladder, "has_pairs", lambda: False)


def stripes(rng, is_upright, is_red):
    """A picture of stripes in one of two directions and one of two colours, which has the same brightness: [24, 24, 3] in 0..255."""
    wave = np.sin(np.arange(24) * 1.1 + rng.uniform(0, 6))
    grey = 90 + 60 * (wave[None, :] if is_upright else wave[:, None]) * np.ones((24, 24)) + rng.normal(0, 10, (24, 24))
    picture = np.repeat(grey[..., None], 3, axis=2)
    picture[..., 0 if is_red else 2] += 60
    return np.clip(picture, 0, 255)


def pictures(seed, count=240):
    """Pictures, and whether their stripes stand upright and are red: list of array, bool [pictures, 2]."""
    rng = np.random.default_rng(seed)
    facts = rng.random((count, 2)) < 0.5
    return [stripes(rng, *row) for row in facts], facts


def rows_of(descriptors, labels, logits=None):
    """Rows that a network knows all about, with a column that says nothing: `Rows`."""
    noise = np.random.default_rng([9, int(labels @ np.arange(len(labels)))]).normal(size=len(labels))
    columns = (Column("brightness", noise, kind="statistic"),)
    logits = np.eye(2)[labels] * 3.0 if logits is None else logits
    return Rows(columns, np.arange(len(labels)), True, labels, logits, descriptors=descriptors)


def subject_of(train, test):
    return AuditSubject("network", test, train=train, classes=("no", "yes"))


def audit(subject, **options):
    return {row.method: row for row in judge(checks.get("simpler")(subject, seed=0, **{**BRIEF, **options}))}


# Worlds -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fact, knows, cannot", [(0, GRADIENTS, COLOURS), (1, COLOURS, GRADIENTS)])
def test_directions_are_told_by_gradients_and_hues_by_colours(fact, knows, cannot):
    sets = []
    for seed in (0, 1):
        images, facts = pictures(seed)
        sets.append(rows_of(picture_descriptors(images), facts[:, fact].astype(int)))
    verdicts = audit(subject_of(*sets), margin=0.05, budget=4)
    assert verdicts[OF[knows]].finding in ENOUGH and verdicts[OF[knows]].outcome == "FAIL"
    assert verdicts[OF[cannot]].finding == verdicts[ladder.LINEAR].finding == simpler_check.AHEAD
    assert verdicts[ladder.ALL].finding in ENOUGH and OF[WORDS] not in verdicts


def texts(seed, count=300):
    """Texts whose mood is one word among many, and that mood: list of str, int [texts]."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=count)
    fill = [f"word{number}" for number in range(60)]
    return [" ".join([*rng.choice(fill, 9), ("dreary", "splendid")[label]]) for label in labels], labels


def test_a_mood_is_told_by_words():
    (first, labels), (second, others) = texts(0), texts(1)
    train, test = (rows_of({WORDS: np.array(part, object)}, mood) for part, mood in ((first, labels), (second, others)))
    verdicts = audit(subject_of(train, test), margin=0.05, budget=4)
    assert verdicts[OF[WORDS]].finding in ENOUGH
    assert verdicts[ladder.LINEAR].finding == simpler_check.AHEAD


def test_words_of_training_texts_alone_are_known_and_texts_without_words_are_answered():
    """A fold may hold nothing but signs."""
    (first, labels), (second, others) = texts(2, 60), texts(3, 60)
    first[:40] = ["?!"] * 40
    second[0] = "..."
    train, test = (rows_of({WORDS: np.array(part, object)}, mood) for part, mood in ((first, labels), (second, others)))
    (rung,) = ladder.train_ladder(train, test, seed=0, budget=2, names=[OF[WORDS]])
    assert np.isfinite(rung.answers).all() and rung.candidates == 2


# What they take -----------------------------------------------------------------------------------------------------------


def test_colours_are_counted_pixel_by_pixel():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3))
    counts = np.zeros(TOGETHER**3 + 3 * ALONE)
    for pixel in image.reshape(-1, 3):
        red, green, blue = (int(value) // (256 // TOGETHER) for value in pixel)
        counts[red * TOGETHER**2 + green * TOGETHER + blue] += 1
        for channel, value in enumerate(pixel):
            counts[TOGETHER**3 + channel * ALONE + int(value) // (256 // ALONE)] += 1
    np.testing.assert_allclose(picture_descriptors([image])[COLOURS][0], counts / 35, rtol=1e-6)


def test_gradients_do_not_depend_on_size_and_contrast_and_grey_pictures_have_three_equal_channels():
    rng = np.random.default_rng(0)
    image = stripes(rng, True, True)
    large, pale = np.kron(image, np.ones((4, 4, 1))), 60 + 0.5 * image
    first, second, third, other = picture_descriptors([image, large, pale, stripes(rng, False, True)])[GRADIENTS]
    assert first.shape == (900,)
    alike = [np.corrcoef(first, values)[0, 1] for values in (second, third, other)]
    assert min(alike[:2]) > 0.9 and alike[2] < 0.3
    grey = rng.integers(0, 256, (9, 9, 1))
    for one, three in zip(*(picture_descriptors([values]).values() for values in (grey, np.repeat(grey, 3, axis=2)))):
        np.testing.assert_array_equal(one, three)


def test_words_are_weighted_by_how_rare_they_are():
    documents = ["rain rain sun", "sun wind", "sun"]
    transformer = count_words().fit(documents)
    counts, shares = Counter(["rain", "rain", "sun"]), {"rain": 1, "sun": 3}
    weights = {word: (1 + np.log(times)) * (np.log(4 / (1 + shares[word])) + 1) for word, times in counts.items()}
    length = np.sqrt(sum(weight**2 for weight in weights.values()))
    row = transformer.transform(documents[:1]).toarray()[0]
    for word, weight in weights.items():
        assert row[transformer.vocabulary_[word]] == pytest.approx(weight / length)


# The contract of a rung ---------------------------------------------------------------------------------------------------


def test_rungs_are_tuned_and_shown_as_all_others_are():
    images, facts = pictures(0, 120)
    descriptors = picture_descriptors(images) | {WORDS: np.array(texts(0, 120)[0], object)}
    noise = np.random.default_rng(0).normal(size=(120, 5))
    descriptors[PRETRAINED] = (noise + facts[:, :1]).astype("float32")
    rows = rows_of(descriptors, facts[:, 0].astype(int))
    rungs = ladder.train_ladder(rows, rows, seed=0, budget=3)
    tuned = {rung.name: rung for rung in rungs if rung.name in OF.values()}
    assert set(tuned) == set(OF.values()) and {rung.candidates for rung in tuned.values()} == {3}
    assert all(rung.is_simple and np.allclose(rung.answers.sum(axis=1), 1) for rung in tuned.values())
    again = ladder.train_ladder(rows, rows, seed=0, budget=3, names=list(OF.values()))
    assert all((tuned[rung.name].answers == rung.answers).all() for rung in again)
    regression = replace(rows, labels=facts[:, 0] * 2.0, logits=np.zeros((120, 1)))
    for rung in ladder.train_ladder(regression, regression, seed=0, budget=1, names=list(OF.values())):
        assert rung.answers.shape == (120,) and np.corrcoef(rung.answers, regression.labels)[0, 1] > 0


def test_descriptors_follow_their_rows_and_are_asked_for_where_training_rows_have_them():
    images, facts = pictures(0, 40)
    rows = rows_of(picture_descriptors(images), facts[:, 0].astype(int))
    assert (rows.take([3, 1]).descriptors[COLOURS] == rows.descriptors[COLOURS][[3, 1]]).all()
    names = [rung.name for rung in ladder.train_ladder(replace(rows, descriptors={}), rows, seed=0, budget=1)]
    assert not set(names) & set(OF.values())


# Areas and calibration beside losses --------------------------------------------------------------------------------------


def test_areas_are_those_of_sklearn_and_calibration_is_that_of_the_check():
    subject = worlds.make_subject(worlds.linear_score, seed=1, train=400, test=400)
    evidence = checks.get("simpler")(subject, seed=0, **BRIEF)[0]
    table = next(iter(evidence.settings["tables"].values()))
    rungs = ladder.train_ladder(subject.train, subject.test, seed=simpler_check.derive_seed(0, "ladder"), budget=1)
    labels = subject.test.labels
    answers = {"the network": subject.test.probabilities, **{rung.name: rung.answers for rung in rungs}}
    for row in table:
        expected = roc_auc_score(labels, answers[row["model"]][:, 1])
        assert row["area under the ROC curve"] == pytest.approx(expected)
    views = list_views(subject.test)
    assert table[0]["calibration error"] == root_interval(view_bins(views, 0, subject.test)).mean
    certain = replace(subject, test=replace(subject.test, logits=6 * subject.test.logits))
    other = next(iter(checks.get("simpler")(certain, seed=0, **BRIEF)[0].settings["tables"].values()))
    assert other[0]["calibration error"] > table[0]["calibration error"] + 0.1
    assert other[0]["area under the ROC curve"] == pytest.approx(table[0]["area under the ROC curve"])


def test_an_area_decides_nothing_and_is_shown_with_bounds():
    """A network that ranks as a linear model does and is too certain."""
    subject = worlds.make_subject(worlds.linear_score, seed=4, train=300, test=500)
    (rung,) = ladder.train_ladder(
        subject.train, subject.test, seed=simpler_check.derive_seed(0, "ladder"), budget=1, names=[ladder.LINEAR]
    )
    logits = 5 * np.log(rung.answers)
    verdict = audit(replace(subject, test=replace(subject.test, logits=logits)))[ladder.LINEAR]
    assert verdict.finding == simpler_check.BEHIND
    words = verdict.also["network ahead in area under the ROC curve"]
    assert words == "+0.000 [+0.000, +0.000], which decides nothing"
    constant = audit(subject)[ladder.CONSTANT].also["network ahead in area under the ROC curve"]
    low = float(constant.split("[")[1].split(",")[0])
    assert low > 0.2


def test_the_area_of_a_network_is_that_of_its_logits():
    """Probabilities of 1 are all the same, and would make an area of one half of one that tells all rows."""
    subject = worlds.make_subject(worlds.linear_score, seed=4, train=300, test=500)
    labels = subject.test.labels
    logits = np.stack([np.zeros(500), 50.0 + labels], axis=1)
    evidence = checks.get("simpler")(replace(subject, test=replace(subject.test, logits=logits)), seed=0, **BRIEF)
    table = next(iter(evidence[0].settings["tables"].values()))
    assert table[0]["area under the ROC curve"] == 1


def test_two_areas_of_one_have_no_bounds():
    (first, labels), (second, others) = texts(0), texts(1)
    train, test = (rows_of({WORDS: np.array(part, object)}, mood) for part, mood in ((first, labels), (second, others)))
    words = audit(subject_of(train, test), budget=4)[OF[WORDS]].also["network ahead in area under the ROC curve"]
    assert words == "+0.000, bounds not known, which decides nothing"


def test_boosting_machines_of_many_columns_are_left_out_and_the_card_says_so(monkeypatch):
    """Of the 202 columns of texts they took minutes at 600 rows."""
    monkeypatch.setattr(ladder, "has_pairs", lambda: True)
    labels = np.random.default_rng(0).integers(2, size=200)
    rows = rows_of({}, labels)
    noise = np.random.default_rng(1).normal(size=(ladder.MOST_COLUMNS + 1, 200))
    columns = tuple(Column(f"word {place}", values, kind="statistic") for place, values in enumerate(noise))
    assert ladder.left_out(replace(rows, columns=columns[:-1])) == {}
    assert ladder.PAIRS in ladder.rung_names(replace(rows, columns=columns[:-1]))
    wide = replace(rows, columns=columns)
    verdicts = audit(subject_of(wide.take(np.arange(100)), wide.take(np.arange(100, 200))))
    assert ladder.PAIRS not in verdicts and ladder.ADDITIVE in verdicts
    also = verdicts[ladder.ALL].also
    assert "51 columns" in also[ladder.PAIRS] and "no boosting machine" in also[ladder.ADDITIVE]
    three = replace(rows, logits=np.zeros((200, 3)))
    assert ladder.left_out(three) == {ladder.PAIRS: "not tried; it is for two classes or a regression"}


def test_three_classes_and_one_class_and_regressions_have_the_areas_that_there_are():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=600)
    columns = (Column("number", labels + rng.normal(size=600)),)
    both = Rows(columns, np.arange(600), True, labels, np.eye(3)[labels] * 2 + rng.normal(size=(600, 3)))
    train, rows = both.take(np.arange(300)), both.take(np.arange(300, 600))
    labels = rows.labels
    table = next(iter(checks.get("simpler")(subject_of(train, rows), seed=0, **BRIEF)[0].settings["tables"].values()))
    expected = roc_auc_score(labels, rows.probabilities, multi_class="ovr")
    assert table[0]["area under the ROC curve"] == pytest.approx(expected)
    same = replace(rows, labels=np.zeros(300, int))
    table = next(iter(checks.get("simpler")(subject_of(train, same), seed=0, **BRIEF)[0].settings["tables"].values()))
    assert "area under the ROC curve" not in table[0] and "calibration error" in table[0]
