"""The table of margins over random p, intervals, margins and directions: its words, its order, and what it never says."""

import numpy as np
import pytest

from sanity.audit.copies import SIZES, Tries, would_find
from sanity.audit.margin import (
    BEYOND,
    FEWEST_UNITS,
    NONE,
    OUTCOMES,
    TOO_FEW,
    UNCERTAIN,
    WITHIN,
    compare_with_margin,
    limit_finding,
    margin_evidence,
    margin_finding,
    outcome_of,
    without_sign,
)
from sanity.audit.rows import AuditSubject, Rows
from sanity.statistics import Interval
from sanity.verdict import judge

SEVERITY = {"PASS": 0, "INCONCLUSIVE": 1, "FAIL": 2}
RUNS = 4000


def cases(seed=0):
    """p, an interval, a margin and a level, of which many lie on a border: iterator."""
    rng = np.random.default_rng(seed)
    for _ in range(RUNS):
        delta, alpha = rng.choice([0.01, 0.05, 0.1, rng.random()]), rng.choice([0.05, 0.05 / 12])
        low, mean, high = np.sort(rng.choice([0.0, delta, -delta, *rng.normal(0, 2 * delta, 3)], 3))
        p = rng.choice([alpha, np.nextafter(alpha, 1), 1 / 1000, 1.0, rng.random()])
        yield float(p), Interval(float(mean), float(low), float(high)), float(delta), float(alpha)


def outcome(p, effect, delta, alpha):
    return OUTCOMES[compare_with_margin(p, effect, delta, alpha)]


def test_every_row_of_the_table_is_reached_and_follows_from_p_and_the_interval():
    reached = set()
    for p, effect, delta, alpha in cases():
        finding = compare_with_margin(p, effect, delta, alpha)
        reached.add(finding)
        assert (finding in (BEYOND, UNCERTAIN, WITHIN)) == (p <= alpha)
        assert (finding == BEYOND) == (p <= alpha and effect.low > delta)
        assert (finding in (WITHIN, NONE)) == (effect.high < delta)
    assert reached == set(OUTCOMES)


def test_no_pass_reaches_the_margin_and_no_failure_has_a_large_p():
    for p, effect, delta, alpha in cases(1):
        result = outcome(p, effect, delta, alpha)
        assert not (result == "PASS" and effect.high >= delta)
        assert not (result == "FAIL" and (p > alpha or effect.low <= delta))


def test_a_smaller_p_and_a_larger_effect_are_never_better():
    rng = np.random.default_rng(2)
    for p, effect, delta, alpha in cases(2):
        severity = SEVERITY[outcome(p, effect, delta, alpha)]
        assert SEVERITY[outcome(p * rng.random(), effect, delta, alpha)] >= severity
        moved = Interval(
            *(value + rng.choice([delta, rng.random()]) for value in (effect.mean, effect.low, effect.high))
        )
        assert SEVERITY[outcome(p, moved, delta, alpha)] >= severity


def test_a_wider_interval_decides_nothing_that_was_open():
    rng = np.random.default_rng(3)
    for p, effect, delta, alpha in cases(3):
        wider = Interval(effect.mean, effect.low - delta * rng.random(), effect.high + delta * rng.random())
        if outcome(p, effect, delta, alpha) == "INCONCLUSIVE":
            assert outcome(p, wider, delta, alpha) == "INCONCLUSIVE"


def test_an_effect_of_either_sign_is_the_same_and_its_bound_holds_for_both():
    rng = np.random.default_rng(4)
    for _ in range(RUNS):
        low, mean, high = np.sort(rng.normal(size=3))
        effect = without_sign((mean, low, high))
        assert effect == without_sign((-mean, -high, -low))
        assert effect.mean == abs(mean) and effect.high >= max(abs(low), abs(high))
        # A lower bound above zero is that of an interval on one side of zero.
        assert (effect.low > 0) == (low > 0 or high < 0)
        p, delta = rng.random() / 10, rng.random()
        assert outcome(p, effect, delta, 0.05) != "PASS" or max(abs(low), abs(high)) < delta


@pytest.mark.parametrize("unknown", [(np.nan, 0, 1), (0, np.nan, 1), (0, -np.inf, 1), (0, 0, np.inf)])
def test_an_interval_that_is_not_known_decides_nothing(unknown):
    for p in (1e-3, 0.05, 0.9):
        assert outcome(p, without_sign(unknown), 0.1, 0.05) == "INCONCLUSIVE"


def test_a_verdict_passes_only_where_the_margin_would_have_been_found_by_units_enough():
    rng, outcomes = np.random.default_rng(5), set()
    for p, effect, delta, alpha in list(cases(5))[:600]:
        units, tries = int(rng.integers(5, 20)), int(rng.integers(4, 21))
        planted = rng.random((len(SIZES), tries)) < rng.choice([0.3, 0.8, 1.0])
        finding = limit_finding(compare_with_margin(p, effect, delta, alpha), planted, units)
        evidence = margin_evidence(
            "slices",
            "groups of rows",
            AuditSubject("net", Rows((), np.arange(100)), alpha=alpha),
            p=p,
            effect=effect,
            tries=Tries(np.zeros(tries, bool), planted),
            delta=delta,
            why=dict.fromkeys(OUTCOMES, "all"),
            units=units,
        )
        (verdict,) = judge([evidence])
        assert (verdict.finding, verdict.outcome) == (margin_finding("WEAK SLICE", finding), outcome_of(finding, units))
        assert verdict.outcome != "PASS" or (would_find(planted) and units >= FEWEST_UNITS and effect.high < delta)
        assert verdict.outcome != "FAIL" or (p <= alpha and units >= FEWEST_UNITS and effect.low > delta)
        outcomes.add((verdict.finding, verdict.outcome))
    assert {result for _, result in outcomes} == set(SEVERITY)
    assert {finding for finding, _ in outcomes} == {margin_finding("WEAK SLICE", finding) for finding in OUTCOMES}


def test_what_would_not_have_been_found_is_open():
    for finding in OUTCOMES:
        missed = limit_finding(finding, np.zeros((len(SIZES), 20), bool), 100)
        assert OUTCOMES[missed] == ("FAIL" if finding == BEYOND else "INCONCLUSIVE")
    assert limit_finding(NONE, np.ones((len(SIZES), 20), bool), FEWEST_UNITS - 1) == TOO_FEW
