"""Clusters: found where errors were planted, and made of activations alone, which Domino's are not."""

from dataclasses import replace

import numpy as np

from recipes.report.audited import embedding_slices as pictures
from sanity.audit import clusters as audited
from sanity.audit.margin import NONE, TOO_FEW
from sanity.checks.embedding_slices import embedding_slices
from sanity.statistics import wilson_interval
from sanity.verdict import judge
from tests.audit_worlds import failures
from tests.audit_worlds.measures import clusters_p, naive_clusters_p


def test_planted_cluster_is_found_and_shown():
    subject, small = failures.activations(1, 3000, effect=0.3)
    evidence = embedding_slices(subject, seed=0, draws=99)[0]
    (verdict,) = judge([evidence])
    assert verdict.outcome == "FAIL" and verdict.finding == "WEAK CLUSTER BEYOND THE MARGIN", verdict.sentence
    mask = evidence.samples["members"][0]
    assert (mask & small).sum() / (mask | small).sum() > 0.8
    central, others = evidence.samples["central/0"], evidence.samples["others/0"]
    assert len(central) == len(others) == 12 and mask[central].all() and not mask[others].any()
    assert central.dtype.kind == others.dtype.kind == "i"
    ((title, svg),) = pictures.figures(evidence)
    assert "cluster" in title and svg.count("<circle") == 2


def test_false_alarms_are_rare_and_those_of_clusters_by_label_are_not():
    worlds = [failures.activations(seed, 600, channels=8)[0] for seed in range(30)]
    alarms = sum(clusters_p(world, seed) <= 0.05 for seed, world in enumerate(worlds))
    assert wilson_interval(alarms, 30).low <= 0.05 and alarms <= 5
    naive = sum(
        naive_clusters_p(failures.activations(seed, 600, channels=8, classes=3)[0], seed) <= 0.05 for seed in range(10)
    )
    assert wilson_interval(naive, 10).low > 0.05


def test_power_floor():
    worlds = [failures.activations(seed, 2000, effect=0.2)[0] for seed in range(8)]
    assert np.mean([clusters_p(world, seed) <= 0.05 for seed, world in enumerate(worlds)]) >= 0.6


def test_nothing_planted_is_no_cluster():
    verdict = judge(embedding_slices(failures.activations(3, 1500)[0], seed=0, draws=99))[0]
    assert verdict.finding in (NONE, TOO_FEW), verdict.sentence


def test_persons_are_exchanged_whole():
    rng, alarms, naive = np.random.default_rng(0), 0, 0
    for seed in range(12):
        subject, _ = failures.activations(seed, 800, channels=8)
        owner = np.arange(800) // 4
        odds = 2 * rng.normal(size=200)[owner] - 1.5
        labels = np.zeros(800, int)
        logits = failures.answers(rng, labels, rng.random(800) < 1 / (1 + np.exp(-odds)), 10)
        features = subject.test.features[::4][owner] + 0.01
        rows = replace(subject.test, labels=labels, logits=logits, features=features)
        alarms += clusters_p(replace(subject, test=replace(rows, units=owner)), seed) <= 0.05
        naive += clusters_p(replace(subject, test=rows), seed) <= 0.05
    assert alarms <= 3 and wilson_interval(naive, 12).low > 0.05


def test_components_are_those_of_a_singular_value_decomposition():
    features = np.random.default_rng(0).normal(size=(300, 6)) @ np.diag([5, 3, 2, 1, 1, 0])
    centred = features - features.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    components = audited.principal_components(features)
    assert components.shape == (300, 5)
    assert np.allclose(np.abs(components), np.abs(left * sizes)[:, :5] / (sizes[0] / np.sqrt(300)))


def test_order_of_rows_does_not_matter():
    subject, _ = failures.activations(0, 500, channels=8)
    members, centrality = audited.fit_clusters(subject.test, seed=1)
    order = np.random.default_rng(0).permutation(500)
    moved, other = audited.fit_clusters(subject.test.take(order), seed=1)
    assert np.array_equal(members[order], moved) and np.array_equal(centrality[order], other)


def test_what_is_frequent_is_told_from_chance():
    subject = failures.table(0, 1000)
    mask = (subject.test.columns[0].values == 2) & (np.random.default_rng(0).random(1000) < 0.4)
    rows = audited.frequent_conditions(mask, subject.test, alpha=0.05, seed=0)
    assert [row[0] for row in rows] == ["column0 = c"] and rows[0][1] == 1
    by_chance = np.random.default_rng(1).random(1000) < 0.1
    assert audited.frequent_conditions(by_chance, subject.test, alpha=0.05, seed=0) == []


def test_what_cannot_be_asked_is_said():
    subject, _ = failures.activations(0, 200, channels=8)
    without = replace(subject, test=replace(subject.test, features=None))
    assert judge(embedding_slices(without, seed=0))[0].finding == "NOT APPLICABLE"
    rows = subject.test
    nothing = replace(rows, features=np.where(np.arange(200)[:, None] == 0, np.nan, rows.features))
    constant, one = replace(rows, features=np.ones((200, 8), "float32")), replace(rows, units=np.zeros(200, int))
    for broken in (nothing, constant, one, rows.take(np.arange(0)), replace(rows, labels=None)):
        verdict = judge(embedding_slices(replace(subject, test=broken), seed=0, draws=19))[0]
        assert verdict.finding == "GATE FAILED", verdict.sentence


def test_a_regression_and_the_same_bytes():
    base = failures.regression(1, 600)
    rng = np.random.default_rng(0)
    small = rng.random(600) < 0.1
    features = (rng.normal(size=(600, 6)) + 6 * small[:, None]).astype("float32")
    logits = base.test.logits + 3 * small[:, None] * np.sign(base.test.logits - base.test.labels[:, None])
    subject = replace(base, test=replace(base.test, features=features, logits=logits))
    first, second = (embedding_slices(subject, seed=0, draws=99)[0] for _ in range(2))
    assert judge([first])[0].finding.startswith("WEAK CLUSTER"), judge([first])[0].sentence
    assert all(first.samples[name].tobytes() == second.samples[name].tobytes() for name in first.samples)
