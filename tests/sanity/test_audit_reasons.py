"""Reason codes: known reasons are stable and matter, those of networks that disagree are not, and chance is called neither."""

import dataclasses

import numpy as np
import pytest
from scipy import special

from sanity.audit import codes, importance
from sanity.audit.codes import (
    Turned,
    chance_stays,
    code_count,
    codes_of,
    draw_means,
    explain_denied,
    overlap,
    random_sets,
    skill_interval,
    turned_decisions,
)
from sanity.audit.decisions import DecisionRule, decision_rule, draw_rows, draw_units, just_passed
from sanity.checks.reason_codes import METHODS, OPEN, OVERLAP, SKILL, STAYS, reason_codes
from sanity.statistics import wilson_interval
from sanity.verdict import judge
from tests.audit_worlds import reasons as worlds

QUICK = {"tries": 5, "rows": 60}


def findings(subject, seed=0, **options):
    """The finding of each part of the check: dict."""
    evidence = reason_codes(subject, seed=seed, **{**QUICK, **options})
    return {verdict.method: verdict.finding for verdict in judge(evidence)}


# Decisions ----------------------------------------------------------------------------------------------------------------


def test_the_score_is_the_log_odds_of_the_favourable_class():
    logits = worlds.gaussian(20, 3, 0)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(DecisionRule(1, 0.0).scores(logits), np.log(shares[:, 1] / (1 - shares[:, 1])))


def test_those_who_just_passed_lie_within_ten_points():
    scores = np.arange(100.0)
    assert np.flatnonzero(just_passed(scores, 40)).tolist() == list(range(40, 50))
    assert np.flatnonzero(just_passed(scores, 95)).tolist() == list(range(95, 100))


def test_draws_are_by_unit():
    units = np.repeat(np.arange(30), 4)
    drawn = draw_units(units, np.arange(120) >= 20, 10, seed=0)
    assert len(np.unique(units[drawn])) == 10 and drawn.min() >= 20
    whole = draw_rows(units, np.ones(120, bool), 12, seed=0)
    assert np.bincount(units[whole], minlength=30).tolist().count(4) == 3


# Codes --------------------------------------------------------------------------------------------------------------------


def test_codes_are_the_most_negative_and_never_what_raised_a_score():
    rows = np.array([[-3, -1, 2, 0, -2, -0.5, -4, 1, 1, 1.0], [-1, 1, 1, 1, 1, 1, 1, 1, 1, 0], np.zeros(10)])
    codes = codes_of(rows)
    assert np.flatnonzero(codes[0]).tolist() == [0, 1, 4, 6]
    assert np.flatnonzero(codes[1]).tolist() == [0] and not codes[2].any()
    assert [code_count(factors) for factors in (1, 2, 3, 5, 8, 30)] == [1, 1, 1, 2, 4, 4]


def test_overlap_is_a_share_of_the_larger_set():
    first, second = np.array([True, True, False, False]), np.array([True, False, False, True])
    assert overlap(first, second) == 0.5 and overlap(first, np.zeros(4, bool)) == 0
    assert overlap(np.zeros(4, bool), np.zeros(4, bool)) == 1
    sets = random_sets(np.tile(first, (50, 1)), 40, seed=0)
    assert (sets.sum(axis=2) == 2).all() and 0.4 < sets.mean(axis=(0, 1)).min() < 0.6


def test_draws_take_references_by_unit_and_networks_in_turn():
    class Fixed:
        def __init__(self, values):
            self.values = values

    values = worlds.gaussian(6, 1, 0).reshape(1, 6, 1)
    means = draw_means((Fixed(values), Fixed(values + 100)), np.repeat([0, 1, 2], 2), seed=0)
    assert means.shape == (20, 1, 1) and (means[:10] < 50).all() and (means[10:] > 50).all()
    pairs = values[0, :, 0].reshape(3, 2).mean(axis=1)
    possible = {round(float(np.mean(pairs[list(t)])), 6) for t in np.ndindex(3, 3, 3)}
    assert {round(float(mean), 6) for mean in means[:10, 0, 0]} <= possible


def test_contributions_of_a_line_are_known_by_hand():
    subject = worlds.additive()
    explained = explain_denied(subject, seed=0, most_rows=20)
    references = subject.test.inputs[explained.passed].mean(axis=0)
    truth = worlds.WEIGHTS * (subject.test.inputs[explained.rows] - references)
    np.testing.assert_allclose(explained.contributions, truth, atol=1e-4)
    assert (explained.codes == codes_of(truth)).all()


def test_coded_factors_of_a_line_turn_as_many_decisions_as_the_best():
    subject = worlds.additive()
    explained = explain_denied(subject, seed=0, most_rows=100)
    skill = skill_interval(turned_decisions(subject, explained, seed=0), seed=0)
    assert skill[0] > 0.95 and skill[1] > 0.9


def test_skill_is_a_ratio_of_means_and_undefined_without_room():
    rng = np.random.default_rng(0)
    ceiling, random = np.full(200, 0.8), np.full((3, 200), 0.2)
    codes = 0.5 + 0.2 * rng.standard_normal(200)
    skill = skill_interval(Turned(codes, random, ceiling), seed=0)
    assert skill[0] == pytest.approx((codes.mean() - 0.2) / 0.6) and skill[1] < skill[0] < skill[2]
    assert np.isnan(skill_interval(Turned(codes, random, random[0]), seed=0)).all()


# The check ----------------------------------------------------------------------------------------------------------------


def test_known_reasons_are_stable_and_matter():
    twins = [lambda x, weights=worlds.WEIGHTS + 0.03 * row: x @ weights for row in worlds.gaussian(2, 8, 1)]
    for networks in ((), twins):
        result = findings(worlds.additive(networks=networks))
        assert result[METHODS[STAYS]] == "REASONS STABLE" and result[METHODS[SKILL]] == "REASONS MATTER"
        assert result[METHODS[OVERLAP]] == "REASONS AGREE ACROSS REFERENCES"


def test_reasons_of_networks_that_disagree_are_unstable_and_still_matter_to_one():
    result = findings(worlds.disagreeing())
    assert result[METHODS[STAYS]] == "REASONS UNSTABLE" and result[METHODS[SKILL]] == "REASONS MATTER"


def test_a_network_that_reads_noise_has_no_stable_reasons():
    result = findings(worlds.nothing())
    assert result[METHODS[STAYS]] == "REASONS UNSTABLE" and result[METHODS[SKILL]] == OPEN


def test_a_factor_in_three_copies_is_one_reason_and_comes_first_as_often_as_it_should():
    subject = worlds.duplicated()
    explained = explain_denied(subject, seed=0)
    single = dataclasses.replace(
        subject, test=subject.test.with_values(x7=np.arange(1000.0), x8=np.arange(1000.0)[::-1])
    )
    apart = explain_denied(single, seed=0)  # Columns that do not go together by their values stay apart.
    together = (explained.first == 0).mean()
    assert together > 1.3 * (np.isin([apart.factors[place].name for place in apart.first], ["x1"])).mean()


def test_an_interaction_counts_where_it_acts():
    explained = explain_denied(worlds.interaction(), seed=0)
    inputs = worlds.interaction().test.inputs[explained.rows]
    sizes = np.abs(explained.contributions[:, 4])
    assert sizes[inputs[:, 5] > 0].mean() > 2 * sizes[inputs[:, 5] <= 0].mean()


def test_reasons_that_turn_with_the_reference_depend_on_it():
    """Most rows lie far above the threshold in x1, and those who just passed do not."""
    values = worlds.gaussian(1500, 4, 0)
    values[:, 0] = np.where(np.arange(1500) % 4 > 0, 6 + values[:, 0], values[:, 0] / 4)
    values[:, 1:] += 0.4
    subject = worlds.subject_of(values, lambda x: x @ [1.0, 1.0, 0.9, 0.8])
    assert findings(subject)[METHODS[OVERLAP]] == "REASONS DEPEND ON THE REFERENCE"


def test_codes_by_lot_do_not_matter(monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(codes, "codes_of", lambda contributions: codes_of(-1 - rng.random(contributions.shape)))
    assert findings(worlds.additive())[METHODS[SKILL]] == "REASONS DO NOT MATTER"


def test_networks_that_agree_on_nothing_are_not_called_stable():
    """Without the control of roles, one network alone would be: it agrees with itself."""
    alarms, naive, runs = 0, 0, 12
    for seed in range(runs):
        subject = worlds.disagreeing(rows=700, seed=7 * seed, twins=2, columns=10)
        naive += wilson_interval(*_stays(dataclasses.replace(subject, networks=()), seed)).low > 0.8
        alarms += wilson_interval(*_stays(subject, seed)).low > 0.8
    assert alarms == 0 and wilson_interval(naive, runs).low > 0.05


def _stays(subject, seed):
    stays = explain_denied(subject, seed=seed, most_rows=30, references=20, most=0).first_stays
    return stays.sum(), len(stays)


def test_the_null_of_roles_can_fail():
    """Two networks of two factors agree by chance in about half of all rows, and more where one factor is all that differs."""
    subject = worlds.disagreeing(columns=2, twins=1)
    explained = explain_denied(subject, seed=0, most_rows=60)
    few = chance_stays(subject, explained, 8, seed=0).mean()
    many = worlds.disagreeing(columns=12, twins=3)
    assert few > 0.2 > chance_stays(many, explain_denied(many, seed=0, most_rows=40, references=30), 8, seed=0).mean()


def test_planted_instability_is_seen():
    evidence = reason_codes(worlds.additive(), seed=0, tries=20, rows=200)
    for part in evidence:
        assert not part.samples["null"].any() and part.samples["planted"][1].sum() >= 16


# Gates and edges ----------------------------------------------------------------------------------------------------------


def _without_decision(subject):
    return dataclasses.replace(subject, sheet=subject.sheet.model_copy(update={"decision": None}))


def _with_units(subject):
    return dataclasses.replace(subject, test=dataclasses.replace(subject.test, units=np.zeros(300, int)))


EDGES = {
    "no decision": (_without_decision, "NOT APPLICABLE"),
    "a picture": (lambda subject: dataclasses.replace(subject, kind="image"), "NOT APPLICABLE"),
    "nothing to ask": (lambda subject: dataclasses.replace(subject, predict=None), "NOT APPLICABLE"),
    "unknown class": (lambda subject: dataclasses.replace(subject, classes=("a", "b")), "NOT APPLICABLE"),
    "one unit": (_with_units, OPEN),
}


@pytest.mark.parametrize("name", EDGES)
def test_what_lacks_a_condition_gets_a_sentence(name):
    change, finding = EDGES[name]
    verdict = judge(reason_codes(change(worlds.additive(rows=300)), seed=0, **QUICK))[0]
    assert verdict.finding == finding and len(verdict.sentence) > 20


@pytest.mark.parametrize("score", [lambda x: x[:, 0] * 0 + 1, lambda x: x[:, 0] * 0 - 1, lambda x: x[:, 0] * np.nan])
def test_all_granted_all_refused_and_no_numbers_are_invalid(score):
    with np.errstate(invalid="ignore"):
        verdict = judge(reason_codes(worlds.subject_of(worlds.gaussian(300, 4, 0), score), seed=0, **QUICK))[0]
    assert verdict.outcome == "INVALID"


def test_few_reference_rows_and_few_refusals_settle_nothing():
    assert set(findings(worlds.additive(rows=200)).values()) == {OPEN}
    subject = worlds.additive(rows=600, threshold=0.001)
    assert findings(subject)[METHODS[STAYS]] in (OPEN, "GATE FAILED")


def test_a_network_that_answers_otherwise_each_time_is_invalid():
    rng = np.random.default_rng(0)
    subject = worlds.additive(rows=400)
    noisy = dataclasses.replace(
        subject, predict=lambda x: subject.predict(x) + [0, 1] * rng.standard_normal((len(x), 2))
    )
    verdict = judge(reason_codes(noisy, seed=0, **QUICK))[0]
    assert verdict.finding == "GATE FAILED" and "add up" in verdict.sentence


def test_constant_columns_ties_and_categories_are_no_trouble():
    values = np.round(worlds.gaussian(900, 6, 0))
    values[:, 3] = 1
    assert (
        findings(worlds.subject_of(values, lambda x: x @ [1, 1, 0.5, 1, 0.3, 0.2]))[METHODS[STAYS]] == "REASONS STABLE"
    )


def test_the_same_seed_gives_the_same_bytes():
    first, second = (reason_codes(worlds.disagreeing(rows=400), seed=4, **QUICK) for _ in range(2))
    for one, other in zip(first, second):
        assert {k: v.tobytes() for k, v in one.samples.items()} == {k: v.tobytes() for k, v in other.samples.items()}


def test_the_order_and_the_scale_of_rows_change_no_verdict():
    subject = worlds.additive()
    order, scale = np.random.default_rng(0).permutation(1000), np.array([1000, 1, 0.01, 1, 1, 1, 1, 1], "float32")
    test = dataclasses.replace(subject.test.take(order), inputs=subject.test.inputs[order] * scale)
    scaled = dataclasses.replace(subject, test=test, predict=lambda x: subject.predict(x / scale))
    assert findings(scaled) == findings(subject)


def test_changes_that_turn_refusals_are_listed():
    subject = worlds.additive(sheets={"x1": {"actionable": "up"}})
    (table,) = [
        rows
        for title, rows in reason_codes(subject, seed=0, **QUICK)[0].settings["tables"].items()
        if title.startswith("Changes")
    ]
    assert sum(row["refusals"] for row in table) == 40 and decision_rule(subject).threshold == 0


def test_log_losses_are_those_of_scipy_whatever_the_logits():
    rng = np.random.default_rng(0)
    logits = np.concatenate([rng.normal(size=(40, 5)) * scale for scale in (1, 300)])
    labels = rng.integers(5, size=80)
    logits[0, 1], logits[1, 2], labels[:2] = -np.inf, np.inf, 0
    expected = special.logsumexp(logits, axis=1) - logits[np.arange(80), labels]
    np.testing.assert_allclose(importance.log_losses(logits, labels), expected, rtol=1e-12, atol=1e-12)
