"""Failures: false alarms, power and naive versions of slices, clusters and calibration, in Markdown: python -m tests.bench.audit_failures [RUNS]

p is that of the check, adjusted, without its copies. "Breaks" is how often the null copies alarm, so that the check is INVALID.
"""

import sys

import numpy as np

from sanity.checks.calibration import calibration
from sanity.checks.embedding_slices import embedding_slices
from sanity.checks.slices import slices
from sanity.verdict import judge
from tests.audit_worlds import failures, measures
from tests.bench.shares import print_head, print_row, share


def row(check, world, what, hits):
    """Print a share."""
    print_row(check, world, what, share(hits))


def alarms(p_of, make, runs):
    """Whether p is .05 or less in each run: iterator of bool."""
    return (p_of(make(seed), seed) <= 0.05 for seed in range(runs))


def breaks(check, make, runs):
    """Whether the check is INVALID in each run: iterator of bool."""
    return (judge(check(make(seed), seed=seed, draws=99))[0].outcome == "INVALID" for seed in range(runs))


def of_tables(runs):
    """Rows of slices."""
    table = failures.table
    for count in (600, 2000):
        make = lambda seed, count=count: table(seed, count)  # noqa: E731
        row("slices", f"nothing, n = {count}", "p <= .05", alarms(measures.slices_p, make, runs))
    naive = (measures.naive_slices_p(table(seed, 600)) <= 0.05 for seed in range(runs // 4))
    row("slices", "nothing, n = 600", "naive: Fisher on the rows that chose", naive)
    for count in (1000, 2000, 4000):
        make = lambda seed, count=count: table(seed, count, effect=0.2)  # noqa: E731
        row("slices", f"6% with +.20, n = {count}", "p <= .05", alarms(measures.slices_p, make, runs // 2))
    worlds = {
        "class 3 errs .65 instead of .05": {"hard": 0.6, "base": 0.05},
        "persons": {"persons": 4},
        "persons, and class 3": {"persons": 4, "hard": 0.6, "base": 0.05},
        "persons, hidden": {"persons": 4, "named": False},
    }
    for name, options in worlds.items():
        make = lambda seed, options=options: table(seed, 1000, columns=8, **options)  # noqa: E731
        row("slices", f"{name}, n = 1000", "p <= .05", alarms(measures.slices_p, make, runs))
        row("slices", f"{name}, n = 1000", "breaks", breaks(slices, make, max(20, runs // 5)))
    make = lambda seed: table(seed, 1500, effect=0.2)  # noqa: E731
    findings = [judge(slices(make(seed), seed=seed, draws=99))[0].outcome for seed in range(runs // 4)]
    row("slices", "6% with +.20, n = 1500", "PASS", (outcome == "PASS" for outcome in findings))


def of_activations(runs):
    """Rows of embedding slices."""
    make = lambda seed: failures.activations(seed, 1000, channels=10)[0]  # noqa: E731
    row("embedding_slices", "nothing, n = 1000", "p <= .05", alarms(measures.clusters_p, make, runs))
    row("embedding_slices", "nothing, n = 1000", "breaks", breaks(embedding_slices, make, max(20, runs // 5)))
    few = lambda seed: failures.activations(seed, 600, channels=8, classes=3)[0]  # noqa: E731
    for weight in (1.0, 5.0, 10.0):
        hits = (measures.naive_clusters_p(few(seed), seed, weight) <= 0.05 for seed in range(runs // 2))
        row("embedding_slices", "nothing, n = 600", f"naive: members by label and answer, weight {weight:g}", hits)
    make = lambda seed: failures.activations(seed, 2000, effect=0.2)[0]  # noqa: E731
    row("embedding_slices", "5% with +.20, n = 2000", "p <= .05", alarms(measures.clusters_p, make, runs // 4))


def of_probabilities(runs):
    """Rows of calibration."""
    make_world, p_of = failures.probabilities, measures.calibration_p
    for count in (100, 200, 500, 2000):
        make = lambda seed, count=count: make_world(seed, count)  # noqa: E731
        row("calibration", f"calibrated, n = {count}", "p <= .05", alarms(p_of, make, runs))
        naive = (measures.naive_calibration_error(make(seed)) > 0.05 for seed in range(runs))
        row("calibration", f"calibrated, n = {count}", "naive: error above .05", naive)
    for count in (200, 500):
        make = lambda seed, count=count: make_world(seed, count, temperature=0.7)  # noqa: E731
        row("calibration", f"temperature .7, n = {count}", "p <= .05", alarms(p_of, make, runs // 2))
    for name, options in {"named": {}, "hidden": {"named": False}}.items():
        make = lambda seed, options=options: make_world(seed, 500, persons=4, alike=0.95, **options)  # noqa: E731
        row("calibration", f"persons, {name}, n = 500", "p <= .05", alarms(p_of, make, runs))
        row("calibration", f"persons, {name}, n = 500", "breaks", breaks(calibration, make, max(20, runs // 3)))


def main(runs=200):
    """Print all rows."""
    np.seterr(all="raise", under="ignore")
    print_head("check", "world", "what", "share (95%) of runs")
    for part in (of_tables, of_activations, of_probabilities):
        part(runs)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
