"""Harm and unlikeness: errors that rose are told from those that did not, and nothing is said without labels."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from sanity.audit.harm import error_rise, estimate_rise, label_shares
from sanity.audit.logistic import fit_logistic
from sanity.audit.neighbours import conformal_p, flag_rows, neighbour_distances
from sanity.audit.rows import AuditSubject
from sanity.checks.harm import harm
from sanity.checks.unlikeness import unlikeness
from sanity.statistics import wilson_interval
from sanity.verdict import judge
from tests.audit_worlds import shifts


def verdict_of(check, subject, **options):
    return judge(check(subject, seed=0, **options))[0]


# With labels --------------------------------------------------------------------------------------------------------------


def test_the_interval_of_a_rise_is_newcombes_and_by_unit_it_is_wider():
    # The first example of Newcombe 1998, method 10: 56 of 70 against 48 of 80.
    first, second = np.arange(80) < 48, np.arange(70) < 56
    ours = error_rise(first * 1.0, second * 1.0, np.arange(80), np.arange(70))
    assert (ours.mean, ours.low, ours.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    repeated = error_rise(*(np.repeat(values * 1.0, 4) for values in (first, second, np.arange(80), np.arange(70))))
    assert repeated.high - repeated.low == pytest.approx(ours.high - ours.low, rel=0.05)


def test_persons_are_units_and_rows_as_units_find_a_rise_where_there_is_none():
    right, naive = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        chance = rng.beta(0.3, 0.9, 160)
        errors = (rng.random((160, 8)) < chance[:, None]).astype(float)
        first, second = errors[:80].ravel(), errors[80:].ravel()
        units = np.repeat(np.arange(80), 8)
        right.append(error_rise(first, second, units, units).low > 0)
        naive.append(error_rise(first, second, np.arange(640), np.arange(640)).low > 0)
    assert wilson_interval(sum(right), 200).low <= 0.025 and wilson_interval(sum(naive), 200).low > 0.05


@pytest.mark.parametrize(("kind", "finding"), (("flipped", "ERRORS ROSE"), ("noisy", "ERRORS ROSE")))
def test_errors_that_rose_are_found_with_labels(kind, finding):
    verdict = verdict_of(harm, shifts.answered(kind, 0))
    assert (verdict.outcome, verdict.finding) == ("FAIL", finding)


def test_an_ignored_column_does_no_harm_and_few_labels_are_not_enough():
    large, small = (verdict_of(harm, shifts.answered("ignored", 1, sizes)) for sizes in ((8000, 8000), (400, 200)))
    assert (large.outcome, large.finding) == ("PASS", "DID NOT RISE BEYOND THE MARGIN")
    assert (small.outcome, small.finding) == ("INCONCLUSIVE", "NOT ENOUGH DATA") and small.remedy


# Without labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ("flipped", "noisy", "none", "ignored"))
def test_without_labels_harm_is_unknown(kind):
    verdict = verdict_of(harm, shifts.answered(kind, 0, labelled=False), resamples=20)
    assert (verdict.outcome, verdict.finding) == ("INCONCLUSIVE", "HARM UNKNOWN")
    assert ("disagree" in verdict.why) == (kind == "noisy")
    assert ("if labels still mean the same" in verdict.why) == (kind != "noisy")


def test_weights_see_noisy_regions_and_say_when_they_rest_on_few_rows():
    subject = shifts.answered("noisy", 0)
    estimate = estimate_rise(subject.test, subject.current, seed=0, resamples=20)
    truth = (0.5 - 0.08) * (stats.norm.sf(0.3) - stats.norm.sf(1))
    assert estimate.holds and estimate.weighted.low <= truth <= estimate.weighted.high and estimate.disagrees
    values = subject.current.columns[0].values + 2.5
    far = dataclasses.replace(subject, current=dataclasses.replace(subject.current, labels=None).with_values(c0=values))
    verdict = verdict_of(harm, far, resamples=10)
    assert verdict.finding == "HARM UNKNOWN" and ("too few" in verdict.why or "disagree" in verdict.why)
    assert not estimate_rise(far.test, far.current, seed=0, resamples=10).holds


def test_the_logistic_regression_is_that_of_sklearn():
    rng = np.random.default_rng(1)
    columns = rng.standard_normal((300, 3))
    targets = (rng.random(300) < 1 / (1 + np.exp(-columns[:, 0]))).astype(float)
    table = np.column_stack([columns, np.ones(300)])
    slope = fit_logistic(table, targets, np.append(np.ones(table.shape[1] - 1), 1e-6))
    fitted = LogisticRegression(C=1.0, tol=1e-8).fit(columns, targets)
    assert slope == pytest.approx([*fitted.coef_[0], fitted.intercept_[0]], abs=1e-3)
    separable = fit_logistic(
        np.column_stack([np.r_[-np.ones(9), np.ones(9)], np.ones(18)]), np.repeat([0.0, 1.0], 9), np.array([1.0, 1e-6])
    )
    assert np.isfinite(separable).all()


def test_shares_of_classes_are_shown_where_only_they_changed():
    subject = shifts.answered("thinned", 0, labelled=False)
    known = shifts.answered("thinned", 0)
    shares, _ = label_shares(subject.test, subject.current)
    assert shares[1] == pytest.approx(known.current.labels.mean(), abs=0.05)
    (evidence,) = harm(subject, seed=0, resamples=5)
    assert evidence.settings["tables"]["Shares of classes"][1]["current if only shares changed"] == shares[1]
    (evidence,) = harm(shifts.answered("noisy", 0, labelled=False), seed=0, resamples=5)
    assert "Shares of classes" in evidence.settings["tables"], "features and predictions did not move"
    values = subject.current.features + np.float32([0.8, 0, 0])
    moved = dataclasses.replace(subject, current=dataclasses.replace(subject.current, features=values))
    assert harm(moved, seed=0, resamples=5)[0].settings["tables"] == {}
    constant = dataclasses.replace(subject.test, logits=np.tile([1.0, 0.0], (len(subject.test), 1)))
    assert label_shares(constant, subject.current)[0] is None


def test_edges_of_harm_give_a_verdict():
    subject = shifts.answered("none", 0, (200, 150))
    assert verdict_of(harm, AuditSubject("net", subject.test)).finding == "NOT APPLICABLE"
    right = lambda rows: dataclasses.replace(rows, labels=rows.predicted)  # noqa: E731
    wrong = lambda rows: dataclasses.replace(rows, labels=1 - rows.predicted)  # noqa: E731
    both = dataclasses.replace(subject, test=right(subject.test), current=right(subject.current))
    assert verdict_of(harm, both).finding in ("NOT ENOUGH DATA", "DID NOT RISE BEYOND THE MARGIN")
    assert verdict_of(harm, dataclasses.replace(both, current=wrong(subject.current))).finding == "ERRORS ROSE"
    blind = dataclasses.replace(subject, test=dataclasses.replace(subject.test, labels=None))
    assert verdict_of(harm, blind).outcome == "INVALID"
    number = lambda rows: dataclasses.replace(rows, logits=rows.logits[:, :1], labels=rows.labels.astype(float))  # noqa: E731
    regression = dataclasses.replace(subject, test=number(subject.test), current=number(subject.current))
    assert verdict_of(harm, regression).sentence
    unlabelled = dataclasses.replace(regression, current=dataclasses.replace(regression.current, labels=None))
    assert verdict_of(harm, unlabelled, resamples=5).finding == "HARM UNKNOWN"
    single = dataclasses.replace(
        subject, current=dataclasses.replace(subject.current, labels=None, units=np.zeros(150, int))
    )
    assert verdict_of(harm, single, resamples=5).finding == "HARM UNKNOWN"


def test_harm_of_the_same_seed_is_the_same_and_order_does_not_matter():
    subject = shifts.answered("noisy", 1, (800, 600))
    first, again = (harm(subject, seed=3)[0] for _ in range(2))
    assert first.settings == again.settings and np.array_equal(first.samples["planted"], again.samples["planted"])
    mixed = dataclasses.replace(subject, current=subject.current.take(np.random.default_rng(0).permutation(600)))
    assert judge(harm(mixed, seed=3))[0].finding == judge([first])[0].finding


# Rows unlike the reference ------------------------------------------------------------------------------------------------


def test_p_of_a_row_counts_it_and_benjamini_hochberg_is_that_of_scipy():
    assert conformal_p(np.array([1.0, 2, 3]), np.array([0.0, 2, 9])) == pytest.approx([1, 0.75, 0.25])
    p = np.random.default_rng(0).beta(0.3, 1, 50)
    assert (flag_rows(p, 0.1) == (stats.false_discovery_control(p) <= 0.1)).all()
    assert not flag_rows(np.ones(5)).any() and not flag_rows(np.zeros(0)).any()


def test_held_out_rows_set_the_threshold_and_a_chi_square_does_not():
    held_out, naive = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        reference, others = rng.standard_normal((300, 64)), rng.standard_normal((100, 64))
        held_out.append(np.mean(neighbour_distances(reference, np.arange(300), others, seed=seed).p <= 0.05))
        centre, inverse = reference.mean(axis=0), np.linalg.inv(np.cov(reference.T))
        squared = np.einsum("ij,jk,ik->i", others - centre, inverse, others - centre)
        naive.append(np.mean(stats.chi2.sf(squared, 64) <= 0.05))
    assert np.mean(held_out) == pytest.approx(0.05, abs=0.03) and np.mean(naive) > 0.3


def test_far_rows_are_flagged_with_their_errors_and_none_where_nothing_is():
    subject = shifts.answered("none", 2)
    verdict = verdict_of(unlikeness, subject)
    assert (verdict.outcome, verdict.finding) == ("INCONCLUSIVE", "NO ROW STANDS OUT")
    features = subject.current.features.copy()
    features[:80] += 9
    far = dataclasses.replace(subject, current=dataclasses.replace(subject.current, features=features))
    (evidence,) = unlikeness(far, seed=0)
    verdict = judge([evidence])[0]
    assert (verdict.outcome, verdict.finding) == ("INCONCLUSIVE", "UNLIKE THE REFERENCE")
    assert evidence.samples["flagged"][:80].all() and evidence.samples["flagged"].sum() < 110
    errors = {row["name"]: row for row in evidence.settings["tables"]["Errors among them"]}
    assert errors["flagged"]["rows"] >= 80 and errors["not flagged"]["low"] <= errors["not flagged"]["error"]
    assert evidence.samples["planted"][2].sum() >= 16


def test_edges_of_unlikeness_give_a_verdict():
    subject = shifts.answered("none", 0, (200, 150))
    bare = lambda rows: dataclasses.replace(rows, features=None, labels=None)  # noqa: E731
    inputs = dataclasses.replace(subject, test=bare(subject.test), current=bare(subject.current))
    assert verdict_of(unlikeness, inputs).finding == "NO ROW STANDS OUT"
    assert verdict_of(unlikeness, AuditSubject("net", subject.test)).finding == "NOT APPLICABLE"
    far = dataclasses.replace(inputs, current=inputs.current.with_values(c0=np.full(150, np.inf), c1=np.full(150, 1e9)))
    assert verdict_of(unlikeness, far).finding == "UNLIKE THE REFERENCE"
    one = dataclasses.replace(inputs, test=dataclasses.replace(inputs.test, units=np.zeros(200, int)))
    assert verdict_of(unlikeness, one).finding == "GATE FAILED"
    constant = shifts.subject_of(*(shifts.rows_of(np.ones((80, 2))) for _ in range(2)))
    assert verdict_of(unlikeness, constant).finding == "GATE FAILED"
