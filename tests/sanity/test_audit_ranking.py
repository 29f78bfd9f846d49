"""Areas under the ROC curve as means over rows, beside scikit-learn, the formulas of DeLong, and a jackknife of units."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from sanity.audit.decoding import areas_of
from sanity.audit.ranking import area_shares, class_area_shares, log_odds, mean_by_unit
from sanity.statistics import wilson_interval


def scored(seed, rows=200):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=rows)
    return np.round(rng.normal(size=rows) + labels, 1), labels


def test_the_mean_is_the_area_of_sklearn_with_ties():
    scores, labels = scored(0)
    assert area_shares(scores, labels).mean() == pytest.approx(roc_auc_score(labels, scores))
    assert np.isnan(area_shares(scores, np.ones(200))).all()


def test_chances_in_the_place_of_members_give_the_area_that_decoding_takes_off():
    scores, chance = scored(0)[0], np.random.default_rng(1).random(200)
    assert area_shares(scores, chance).mean() == pytest.approx(areas_of(scores[None], chance[None])[0])


def test_the_variance_is_that_of_delong():
    """By the placement of each row in a slow double loop, each side by itself."""
    scores, labels = scored(1)
    inside, outside = scores[labels == 1], scores[labels == 0]
    wins = np.array([[(one > other) + (one == other) / 2 for other in outside] for one in inside])
    expected = wins.mean(axis=1).var() / len(inside) + wins.mean(axis=0).var() / len(outside)
    assert area_shares(scores, labels).var() / len(scores) == pytest.approx(expected)


def test_several_classes_are_those_of_sklearn_each_against_the_rest():
    rng = np.random.default_rng(2)
    labels = rng.integers(3, size=150)
    probabilities = rng.dirichlet(np.ones(3), 150) + 0.3 * np.eye(3)[labels]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    expected = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert class_area_shares(probabilities, labels).mean() == pytest.approx(expected)
    two = probabilities[labels < 2][:, :2]
    expected = roc_auc_score(labels[labels < 2], two[:, 1])
    assert class_area_shares(two, labels[labels < 2]).mean() == pytest.approx(expected)
    assert np.isnan(class_area_shares(two, np.ones(len(two), int))).all()


def test_the_interval_of_a_difference_is_that_of_leaving_whole_units_out():
    rng = np.random.default_rng(3)
    units = np.repeat(np.arange(60), 4)
    labels = np.repeat(rng.integers(2, size=60), 4)
    first, second = (labels + np.repeat(rng.normal(size=60), 4) + rng.normal(size=240) for _ in range(2))

    def difference(kept):
        return roc_auc_score(labels[kept], first[kept]) - roc_auc_score(labels[kept], second[kept])

    interval = mean_by_unit(area_shares(first, labels) - area_shares(second, labels), units)
    left_out = np.array([difference(units != unit) for unit in range(60)])
    error = np.sqrt(59 / 60 * ((left_out - left_out.mean()) ** 2).sum())
    assert interval.mean == pytest.approx(difference(units >= 0))
    assert (interval.high - interval.low) / 2 == pytest.approx(2 * error, rel=0.05)
    alone = mean_by_unit(area_shares(first, labels) - area_shares(second, labels), np.arange(240))
    assert alone.high - alone.low < 0.8 * (interval.high - interval.low)


def test_the_interval_holds_the_difference_of_two_equal_scores():
    """Persons of four rows: rows as units exclude zero too often."""
    held, naive = 0, 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels = np.repeat(rng.integers(2, size=50), 4)
        first, second = (labels + np.repeat(rng.normal(size=50), 4) for _ in range(2))
        shares = area_shares(first, labels) - area_shares(second, labels)
        for_units, for_rows = mean_by_unit(shares, np.arange(200) // 4), mean_by_unit(shares, np.arange(200))
        held += for_units.low <= 0 <= for_units.high
        naive += for_rows.low <= 0 <= for_rows.high
    assert wilson_interval(200 - held, 200).low <= 0.05 < wilson_interval(200 - naive, 200).low


def test_log_odds_rank_where_probabilities_are_rounded_to_one():
    """A network that was trained for long answers with logits of 60, of which softmax makes 1."""
    labels = np.arange(100) % 2
    second = 60.0 + labels + np.linspace(0, 0.5, 100)
    for logits in (np.stack([np.zeros(100), second], axis=1), np.stack([np.zeros(100), second, np.zeros(100)], axis=1)):
        assert class_area_shares(softmax(logits, axis=1), labels).mean() < 0.8
        area = area_shares(log_odds(logits)[:, 1], labels).mean()
        assert area == pytest.approx(roc_auc_score(labels, second)) == 1
    logits = np.random.default_rng(0).normal(size=(40, 3))
    np.testing.assert_allclose(log_odds(logits), np.log(softmax(logits, axis=1) / (1 - softmax(logits, axis=1))))
