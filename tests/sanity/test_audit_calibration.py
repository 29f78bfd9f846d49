"""Calibration: silent for labels drawn from the probabilities, and found for another temperature."""

from dataclasses import replace

import numpy as np
import pytest

from recipes.report.audited import calibration as pictures
from sanity.audit import calibration as audited
from sanity.audit.rows import Column, Rows
from sanity.checks.calibration import calibration
from sanity.statistics import wilson_interval
from sanity.verdict import judge
from tests.audit_worlds import failures
from tests.audit_worlds.measures import calibration_p, naive_calibration_error


def verdict_of(subject, seed=0, **options):
    return judge(calibration(subject, seed=seed, **{"draws": 99, **options}))[0]


def test_false_alarms_are_rare_and_those_of_a_threshold_are_not():
    worlds = [failures.probabilities(seed, 500) for seed in range(50)]
    alarms = sum(calibration_p(world, seed) <= 0.05 for seed, world in enumerate(worlds))
    assert wilson_interval(alarms, 50).low <= 0.05 and alarms <= 7
    assert wilson_interval(sum(naive_calibration_error(world) > 0.05 for world in worlds), 50).low > 0.05


def test_power_floor():
    worlds = [failures.probabilities(seed, 500, temperature=0.7) for seed in range(20)]
    assert np.mean([calibration_p(world, seed) <= 0.05 for seed, world in enumerate(worlds)]) >= 0.9


def test_another_temperature_is_beyond_the_margin():
    evidence = calibration(failures.probabilities(0, 2000, temperature=0.7), seed=0, draws=199)[0]
    (verdict,) = judge([evidence])
    assert verdict.finding == "MISCALIBRATION BEYOND THE MARGIN" and verdict.p == 1 / 200, verdict.sentence
    assert "top label" in verdict.sentence and verdict.effect.low > 0.05
    rows = failures.probabilities(1, 200_000, temperature=0.7).test
    truth = audited.root_interval(audited.view_bins(audited.list_views(rows), 0, rows)).mean
    assert verdict.effect.low < truth < verdict.effect.high
    names = [row["name"] for row in evidence.settings["tables"]["Calibration"]]
    assert names == ["top label", *(f"class {place}" for place in range(10))]


def test_calibrated_probabilities_pass_with_enough_rows():
    verdict = verdict_of(failures.probabilities(2, 8000))
    assert verdict.outcome == "PASS" and verdict.finding == "NONE ABOVE THE MARGIN", verdict.sentence
    few = verdict_of(failures.probabilities(0, 300))
    assert few.finding == "NOT ENOUGH DATA" and "would settle it" in few.sentence


def test_persons_are_drawn_alike_and_hidden_ones_break_the_check():
    named = [failures.probabilities(seed, 500, persons=4, alike=0.95) for seed in range(12)]
    hidden = [failures.probabilities(seed, 500, persons=4, alike=0.95, named=False) for seed in range(16)]
    assert sum(calibration_p(world, seed) <= 0.05 for seed, world in enumerate(named)) <= 3
    assert wilson_interval(sum(calibration_p(world, seed) <= 0.05 for seed, world in enumerate(hidden)), 16).low > 0.05
    findings = [verdict_of(world).finding for world in hidden[:4]]
    assert findings.count("GATE FAILED") >= 3, findings
    assert [verdict_of(world).finding for world in named[:3]].count("GATE FAILED") <= 1


@pytest.mark.parametrize("key", ["labels", "top"])
def test_a_sorted_file_breaks_nothing(key):
    for temperature in (1.0, 0.7):
        subject = failures.probabilities(4, 2000, temperature=temperature)
        rows = subject.test
        order = np.argsort(rows.labels if key == "labels" else rows.probabilities.max(1), kind="stable")
        verdict = verdict_of(replace(subject, test=rows.take(order)))
        assert verdict.outcome == ("FAIL" if temperature < 1 else "INCONCLUSIVE"), verdict.sentence
        assert verdict.finding != "GATE FAILED"


def test_likeness_is_that_of_the_world():
    levels, _ = audited.list_levels(failures.probabilities(0, 6000, persons=4, alike=0.5).test, seed=0)
    assert abs(levels[0][1] - 0.5) < 0.12
    assert audited.list_levels(failures.probabilities(0, 500).test, seed=0)[0][0][1] == 0


def test_errors_are_those_by_hand():
    rng = np.random.default_rng(0)
    subject = failures.probabilities(0, 95, classes=3)
    rows = replace(subject.test, protected=(Column("sex", rng.integers(2, size=95).astype(float), ("f", "m")),))
    views = audited.list_views(replace(rows, protected=()))
    happened = views.happened(rows.labels, rows.predicted)
    errors = views.errors(happened)
    for place, name in enumerate(views.names):
        if name == "top label":
            probability, target = rows.probabilities.max(1), rows.predicted == rows.labels
        else:
            probability, target = rows.probabilities[:, place - 1], rows.labels == place - 1
        order = np.argsort(probability)
        parts = np.array_split(order, 3)
        by_hand = sum(abs(target[part].mean() - probability[part].mean()) * len(part) / 95 for part in parts)
        assert np.isclose(errors[place], by_hand, atol=0.02)
        exact = audited.equal_mass_bins(probability)
        slow = sum(abs((target[exact == b] - probability[exact == b]).sum()) / 95 for b in range(exact.max() + 1))
        assert np.isclose(errors[place], slow)
    wide = audited.list_views(replace(rows, protected=rows.protected)).left_out
    assert wide == ["sex = f", "sex = m"]
    large = failures.probabilities(0, 400, classes=3).test
    sex = Column("sex", np.repeat([0.0, 1.0], 200), ("f", "m"))
    views = audited.list_views(replace(large, protected=(sex,)))
    assert views.names[-2:] == ["sex = f", "sex = m"] and views.sizes[views.views == len(views) - 1].sum() == 200
    women = large.take(np.arange(200))
    alone = audited.list_views(women)
    assert np.isclose(
        views.errors(views.happened(large.labels, large.predicted))[-2],
        alone.errors(alone.happened(women.labels, women.predicted))[0],
    )


def test_squared_error_is_that_of_kumar_and_its_mean_is_the_truth():
    rows = failures.probabilities(3, 400, classes=4).test
    views = audited.list_views(rows)
    bins, confidence = audited.equal_mass_bins(rows.probabilities.max(1)), rows.probabilities.max(1)
    right, total = rows.labels == rows.predicted, 0.0
    for b in range(bins.max() + 1):
        mask = bins == b
        share, n = right[mask].mean(), mask.sum()
        total += n / 400 * ((share - confidence[mask].mean()) ** 2 - share * (1 - share) / (n - 1))
    assert np.isclose(audited.view_bins(views, 0, rows).squared_error, total)
    sampler, rng = audited.LabelSampler(rows.probabilities), np.random.default_rng(0)
    drawn = [replace(rows, labels=sampler.draw(rng)) for _ in range(300)]
    squares = [audited.view_bins(views, 0, row).squared_error for row in drawn]
    assert abs(np.mean(squares)) < 3 * np.std(squares) / np.sqrt(300) + 2e-4


@pytest.mark.parametrize("size", [0.0, 0.05, 0.12])
def test_root_interval_holds_the_truth(size):
    rows, rng = failures.probabilities(1, 600).test, np.random.default_rng(0)
    truth = audited.tempered(rows, size) if size else rows.probabilities
    sampler, views, covered = audited.LabelSampler(truth), audited.list_views(rows), 0
    for _ in range(150):
        interval = audited.root_interval(audited.view_bins(views, 0, replace(rows, labels=sampler.draw(rng))))
        covered += interval.low <= size <= interval.high
    assert wilson_interval(covered, 150).high >= 0.95, covered


def test_drawn_labels_follow_the_probabilities_alike_or_not():
    rng, law = np.random.default_rng(0), np.array([0.1, 0.6, 0.3])
    units = np.arange(6000) // 4
    for share in (0.0, 0.8):
        sampler = audited.LabelSampler(np.tile(law, (6000, 1)), ((units, share),))
        labels = np.concatenate([sampler.draw(rng) for _ in range(5)])
        assert np.allclose(np.bincount(labels) / len(labels), law, atol=0.03)
    pairs = labels.reshape(-1, 4)
    assert (pairs[:, 0] == pairs[:, 1]).mean() > 0.6 > (law**2).sum()


def test_brier_score_is_the_sum_of_its_parts():
    rng, top = np.random.default_rng(0), np.repeat([0.6, 0.7, 0.8, 0.9], 100)
    labels = (rng.random(400) > top).astype(int)
    logits = np.column_stack([np.log(top / (1 - top)), np.zeros(400)])
    rows = Rows((), np.arange(400), True, labels, logits)
    bins = audited.view_bins(audited.list_views(rows), 0, rows)
    brier = ((top - (labels == 0)) ** 2).mean()
    mean, whole = bins.weights @ bins.share, bins.weights @ bins.covariance @ bins.weights
    raw = bins.weights @ bins.gap**2 - bins.weights @ (bins.share - mean) ** 2 + mean * (1 - mean)
    parts = bins.parts
    assert np.isclose(brier, raw)
    assert np.isclose(parts["calibration"] - parts["resolution"] + parts["uncertainty"], raw - whole)


def test_ties_are_never_parted():
    numbers = np.repeat([0.2, 0.9, 1.0], [5, 40, 155])
    bins = audited.equal_mass_bins(numbers)
    assert all(len(np.unique(bins[numbers == value])) == 1 for value in (0.2, 0.9, 1.0))
    assert np.bincount(bins).min() >= 15 and bins.max() <= 5
    assert (audited.equal_mass_bins(np.ones(90)) == 0).all() and audited.equal_mass_bins(np.arange(20)).max() == 0
    numbers = np.random.default_rng(0).permutation(np.arange(450.0))
    bins = audited.equal_mass_bins(numbers)
    assert (np.bincount(bins) == 30).all() and (np.diff(bins[np.argsort(numbers)]) >= 0).all()


def test_what_cannot_be_asked_is_said():
    subject = failures.probabilities(0, 200)
    regression = failures.regression(0, 200)
    assert verdict_of(regression).finding == "NOT APPLICABLE" and "number" in verdict_of(regression).sentence
    rows = subject.test
    odd = replace(rows, logits=np.where(np.arange(200)[:, None] == 3, np.nan, rows.logits))
    for broken in (rows.take(np.arange(30)), replace(rows, labels=None), replace(rows, labels=np.full(200, -1)), odd):
        assert verdict_of(replace(subject, test=broken)).finding == "GATE FAILED"
    sure = replace(rows, logits=1000 * np.eye(10)[rows.labels])
    flat, one = replace(rows, logits=np.zeros((200, 10))), replace(rows, labels=np.zeros(200, int))
    for strange in (
        sure,
        flat,
        one,
        replace(rows, units=np.arange(200) // 20),
        replace(rows, units=np.zeros(200, int)),
    ):
        verdict = verdict_of(replace(subject, test=strange))
        assert verdict.outcome != "PASS" and (verdict.p is None or verdict.p > 0), verdict.sentence


def test_same_seed_same_bytes_and_other_orders_same_verdict():
    subject = failures.probabilities(1, 1500, temperature=0.7)
    first, second = (calibration(subject, seed=4, draws=99)[0] for _ in range(2))
    assert all(first.samples[name].tobytes() == second.samples[name].tobytes() for name in first.samples)
    moved = replace(subject, test=subject.test.take(np.random.default_rng(0).permutation(1500)))
    (verdict,), (other,) = judge([first]), judge(calibration(moved, seed=4, draws=99))
    assert verdict.finding == other.finding and np.allclose([verdict.effect.mean], [other.effect.mean])


def test_diagrams_are_drawn():
    evidence = calibration(failures.probabilities(0, 600), seed=0, draws=49, tries=2)[0]
    drawn = pictures.figures(evidence)
    assert len(drawn) == 4 and drawn[0][0] == "Reliability: top label"
    assert all(svg.startswith("<svg") and svg.endswith("</svg>") and "nan" not in svg for _, svg in drawn)
    assert drawn[0][1].count("<circle") == evidence.samples["bins/0"].shape[1] == 15
