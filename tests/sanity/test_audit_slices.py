"""Slices: found where errors were planted, silent where nothing is, and broken where rows belong together in secret."""

from dataclasses import replace

import numpy as np
import pytest

from sanity.audit.excess import excess_of
from sanity.audit.exchange import Exchange, group_codes, searched_errors
from sanity.audit.margin import BEYOND, NONE, TOO_FEW, UNCERTAIN, WITHIN, compare_with_margin, limit_finding, outcome_of
from sanity.audit.rows import Column, Rows
from sanity.audit.search import search_slices
from sanity.audit.slices import count_units, list_slices, predicates
from sanity.checks.slices import slices
from sanity.seeds import derive_seed
from sanity.statistics import Interval, wilson_interval
from sanity.verdict import judge
from tests.audit_worlds import failures
from tests.audit_worlds.measures import naive_slices_p, slices_p


def verdict_of(subject, seed=0, **options):
    return judge(slices(subject, seed=seed, **{"draws": 99, **options}))[0]


def test_planted_slice_is_named_and_beyond_the_margin():
    subject = failures.table(1, 6000, effect=0.25, columns=8)
    evidence = slices(subject, seed=0, draws=199)[0]
    (verdict,) = judge([evidence])
    rows = evidence.settings["tables"]["Groups of rows with more errors"]
    assert verdict.outcome == "FAIL" and verdict.finding == "WEAK SLICE BEYOND THE MARGIN", verdict.sentence
    assert [row["name"] for row in rows] == ["column0 = d and column4 = a"]
    mask = evidence.samples["members"][0]
    assert (
        rows[0]["error"] == subject.test.errors[mask].mean()
        and rows[0]["elsewhere"] == subject.test.errors[~mask].mean()
    )
    assert rows[0]["error low"] < rows[0]["error"] < rows[0]["error high"] and rows[0]["p"] == 1 / 200
    assert verdict.effect.low < 0.25 < verdict.effect.high


def test_false_alarms_are_rare_and_naive_ones_are_not():
    worlds = [failures.table(seed, 500, columns=8) for seed in range(60)]
    alarms = sum(slices_p(world, seed) <= 0.05 for seed, world in enumerate(worlds))
    assert wilson_interval(alarms, 60).low <= 0.05 and alarms <= 8
    assert wilson_interval(sum(naive_slices_p(world) <= 0.05 for world in worlds[:20]), 20).low > 0.05


def test_power_floor():
    assert np.mean([slices_p(failures.table(seed, 2000, effect=0.2), seed) <= 0.05 for seed in range(15)]) >= 0.7


@pytest.mark.parametrize("persons", [0, 4])
def test_a_hard_class_is_no_slice(persons):
    worlds = [failures.table(seed, 600, columns=8, hard=0.6, base=0.05, persons=persons) for seed in range(25)]
    assert sum(slices_p(world, seed) <= 0.05 for seed, world in enumerate(worlds)) <= 5
    verdict = verdict_of(worlds[0])
    assert verdict.finding in (NONE, TOO_FEW), verdict.sentence
    without = [verdict_of(world, beyond="none", tries=2).p <= 0.05 for world in worlds[:8]]
    assert wilson_interval(sum(without), 8).low > 0.05


def test_persons_are_exchanged_whole_and_hidden_ones_break_the_check():
    worlds = [failures.table(seed, 1000, columns=8, persons=4) for seed in range(20)]
    hidden = [failures.table(seed, 1000, columns=8, persons=4, named=False) for seed in range(20)]
    assert sum(slices_p(world, seed) <= 0.05 for seed, world in enumerate(worlds)) <= 4
    assert wilson_interval(sum(slices_p(world, seed) <= 0.05 for seed, world in enumerate(hidden)), 20).low > 0.05
    findings = [verdict_of(world).finding for world in hidden[:4]]
    assert findings.count("GATE FAILED") >= 3, findings
    assert all(verdict_of(world).finding != "GATE FAILED" for world in worlds[:3])


@pytest.mark.parametrize("key", [lambda rows: rows.columns[0].values, lambda rows: rows.labels])
def test_a_sorted_file_breaks_nothing(key):
    subject = failures.table(3, 4000, effect=0.25, columns=8)
    subject = replace(subject, test=subject.test.take(np.argsort(key(subject.test), kind="stable")))
    verdict = verdict_of(subject)
    assert verdict.finding.startswith("WEAK SLICE"), verdict.sentence


def test_a_regression_is_searched_in_deviations():
    subject = failures.regression(1, effect=1.0)
    verdict = verdict_of(subject)
    assert verdict.outcome == "FAIL" and "deviations" in verdict.sentence
    assert verdict_of(failures.regression(2)).finding in (NONE, TOO_FEW)
    errors = subject.test.errors
    scaled = replace(
        subject, test=replace(subject.test, labels=9 * subject.test.labels, logits=9 * subject.test.logits)
    )
    assert np.allclose(scaled.test.errors, 9 * errors)
    assert str(verdict_of(scaled).effect) == str(verdict.effect)


def test_search_is_the_slow_formula():
    subject = failures.table(5, 400, effect=0.3, columns=5)
    rows, groups = subject.test, group_codes(subject.test)
    errors, listed = searched_errors(rows, groups), list_slices(rows)
    search = search_slices(listed, errors, rows.units, groups, draws=49, seed=3)
    exchange = Exchange(errors, groups)

    def excess(values):
        masks = [listed.masks(np.array([place]))[0] for place in range(len(listed))]
        return np.array([values[mask].mean() - values[~mask].mean() for mask in masks])

    scaling = np.array([excess(row) for row in exchange.draws(rows.units, 200, seed=derive_seed(3, "scaling"))])
    ranked = np.array([excess(row) for row in exchange.draws(rows.units, 49, seed=derive_seed(3, "ranked"))])
    distance = (excess(errors) - scaling.mean(0)) / scaling.std(0)
    largest = ((ranked - scaling.mean(0)) / scaling.std(0)).max(axis=1)
    assert np.allclose(search.distance, distance, atol=1e-3)
    assert np.allclose(search.p, [(1 + (largest >= row - 1e-4).sum()) / 50 for row in distance])
    assert search.p.min() >= 1 / 50


def test_the_excess_is_that_over_the_same_label():
    rng = np.random.default_rng(0)
    groups, mask = rng.integers(3, size=500), rng.random(500) < 0.3
    mask |= groups == 2
    mask[:40] = False
    errors = 0.3 * mask + 0.5 * (groups == 1) + rng.normal(0, 0.1, 500)
    excess, variance, freedom = excess_of(mask, errors, np.arange(500), groups)
    table = np.column_stack([mask, *(groups == place for place in range(3))]).astype(float)
    assert np.isclose(excess, np.linalg.lstsq(table, errors, rcond=None)[0][0])
    assert freedom == min(mask.sum(), (~mask).sum()) - 1 and 0 < variance < 0.01
    assert np.isnan(excess_of(groups == 1, errors, np.arange(500), groups)).all()


def test_conditions_keep_ties_together():
    rng = np.random.default_rng(0)
    mostly_zero = np.where(rng.random(400) < 0.7, 0.0, rng.normal(size=400))
    missing = np.where(rng.random(400) < 0.2, np.nan, rng.normal(size=400))
    constant = np.ones(400)
    columns = tuple(Column(name, values) for name, values in zip("abc", (mostly_zero, missing, constant)))
    conditions = predicates(Rows(columns, np.arange(400)))
    assert "a = 0" in conditions.names and "b missing" in conditions.names
    assert not any(name.startswith("c") for name in conditions.names)
    of_a = conditions.holds[[name.startswith("a ") for name in conditions.names]]
    assert (of_a.sum(axis=0) <= 1).all()
    rescaled = tuple(Column(name, 1000 * values) for name, values in zip("abc", (mostly_zero, missing, constant)))
    assert np.array_equal(predicates(Rows(rescaled, np.arange(400))).holds, conditions.holds)


@pytest.mark.parametrize("seed", range(4))
def test_units_of_slices_are_counted_as_one_by_one(seed):
    rng = np.random.default_rng(seed)
    rows = failures.table(seed, 400, columns=6).test
    # Units of one to many rows, whose numbers have gaps and whose rows lie apart.
    units = 3 * rng.integers(rng.choice([5, 12, 60, 400]), size=400) + 7
    listed = list_slices(rows)
    assert len(listed) > 20
    slow = [len(np.unique(units[listed.masks(np.array([place]))[0]])) for place in range(len(listed))]
    assert count_units(listed, units).tolist() == slow
    named = list_slices(replace(rows, units=units))
    usable = [set(listed.name(place).split(" and ")) <= set(named.conditions.names) for place in range(len(listed))]
    expected = {listed.name(place) for place in range(len(listed)) if slow[place] >= 10 and usable[place]}
    assert {named.name(place) for place in range(len(named))} == expected


def test_what_cannot_be_asked_is_said():
    subject = failures.table(0, 200, columns=5)
    rows = subject.test
    right = replace(rows, logits=np.eye(10)[rows.labels])
    no_labels = replace(rows, labels=np.full(200, -1))
    odd = replace(rows, logits=np.where(np.arange(200)[:, None] == 3, np.nan, rows.logits))
    twins = replace(rows, has_units=False, columns=tuple(replace(c, values=np.zeros(200)) for c in rows.columns))
    one = replace(rows, units=np.zeros(200, int))
    for broken in (right, no_labels, odd, twins, one, rows.take(np.arange(0)), replace(rows, columns=())):
        verdict = verdict_of(replace(subject, test=broken))
        assert verdict.outcome == "INVALID" and len(verdict.sentence.split()) > 6, verdict.sentence
    one_class = replace(rows, labels=np.zeros(200, int))
    assert verdict_of(replace(subject, test=one_class)).outcome != "PASS"


def test_same_seed_same_bytes_and_other_orders_same_verdict():
    subject = failures.table(1, 2000, effect=0.3, columns=8)
    first, second = (slices(subject, seed=4, draws=99)[0] for _ in range(2))
    assert all(first.samples[name].tobytes() == second.samples[name].tobytes() for name in first.samples)
    order = np.random.default_rng(0).permutation(2000)
    moved = replace(subject, test=subject.test.take(order))
    verdict = verdict_of(subject)
    assert verdict_of(moved).finding == verdict.finding
    values = {c.name: 1000 * c.values for c in subject.test.columns if not c.is_category}
    rescaled = verdict_of(replace(subject, test=subject.test.with_values(**values)))
    assert (rescaled.finding, rescaled.effect) == (verdict.finding, verdict.effect)


def test_beyond_confidence_is_silent_where_confidence_says_it():
    rng = np.random.default_rng(0)
    subject = failures.table(0, 2000, columns=8)
    low = subject.test.columns[0].values == 3
    logits = np.zeros((2000, 2))
    logits[:, 1] = np.where(low, 0.4, 3.0) * rng.choice([-1, 1], 2000)
    wrong = rng.random(2000) < 1 / (1 + np.exp(np.abs(logits[:, 1])))
    labels = np.where(wrong, 1 - logits.argmax(1), logits.argmax(1))
    subject = replace(subject, test=replace(subject.test, labels=labels, logits=logits), classes=("a", "b"))
    assert verdict_of(subject).outcome == "FAIL"
    assert verdict_of(subject, beyond="confidence").p > 0.05


def test_within_needs_the_power_to_find_the_margin():
    small = np.zeros((3, 20), bool)
    assert limit_finding(WITHIN, small, 100) == UNCERTAIN and limit_finding(NONE, small, 100) == TOO_FEW
    assert limit_finding(WITHIN, ~small, 100) == WITHIN and outcome_of(BEYOND, 11) == "INCONCLUSIVE"
    assert compare_with_margin(0.5, Interval(float("nan"), float("-inf"), float("inf")), 0.1) == TOO_FEW
