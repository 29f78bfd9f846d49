"""Error rates of the checks of reasons in planted worlds: `python -m tests.bench.audit_reasons` prints rows of tables.

Each row is a world, what was counted, and its share with a Wilson interval.
"""

import dataclasses
import sys

import numpy as np

from sanity.audit import codes
from sanity.audit.codes import chance_stays, explain_denied
from sanity.audit.counterfactuals import FOUND, NONE, counterfactuals
from sanity.audit.factors import Factor
from sanity.audit.importance import loss_importance
from sanity.checks.factor_importance import factor_importance
from sanity.checks.reason_codes import reason_codes
from sanity.statistics import wilson_interval
from sanity.verdict import judge
from tests.audit_worlds import reasons as worlds
from tests.bench.shares import print_head, print_row, share

RUNS = 60


def show(world, what, hits, runs):
    """Print a row: what happened in how many of the runs, with a Wilson interval."""
    print_row(world, what, share(np.arange(runs) < hits))


def stays(subject, seed, rows=60):
    """Whether the share of refusals whose first reason stays lies above the margin, with its interval: bool."""
    explained = explain_denied(subject, seed=seed, most_rows=rows, references=50, most=400_000)
    return wilson_interval(explained.first_stays.sum(), len(explained.first_stays)).low > 0.8


def twins_that_disagree(runs):
    """REASONS STABLE said of networks that agree on nothing, by factors and networks; beside one network alone."""
    for columns, networks in ((8, 4), (8, 2), (4, 4), (4, 2), (2, 4)):
        subjects = [
            worlds.disagreeing(rows=700, seed=10 * seed, twins=networks - 1, columns=columns) for seed in range(runs)
        ]
        world = f"{networks} networks of {columns} factors that agree on nothing"
        show(world, "called stable", sum(stays(s, seed) for seed, s in enumerate(subjects)), runs)
        if columns == 8 and networks == 4:
            alone = [dataclasses.replace(subject, networks=()) for subject in subjects]
            show(world, "one network alone called stable", sum(stays(s, seed) for seed, s in enumerate(alone)), runs)
    count = codes.code_count
    codes.code_count = lambda factors: min(4, factors)
    for columns in (4, 5):
        subjects = [worlds.disagreeing(rows=700, seed=10 * seed, twins=3, columns=columns) for seed in range(runs)]
        hits = [explain_denied(s, seed=0, most_rows=60, references=50).first_stays.mean() for s in subjects]
        world = f"4 networks of {columns} factors, four codes each"
        print_row(world, "share whose first reason stays", f"{np.mean(hits):.2f}")
    codes.code_count = count
    for columns in (4, 5):
        subjects = [worlds.disagreeing(rows=700, seed=10 * seed, twins=3, columns=columns) for seed in range(runs)]
        hits = [explain_denied(s, seed=0, most_rows=60, references=50).first_stays.mean() for s in subjects]
        world = f"4 networks of {columns} factors, half as many codes"
        print_row(world, "share whose first reason stays", f"{np.mean(hits):.2f}")


def twins_that_agree(runs):
    """What is said of known reasons, with twins whose weights are a little or much different."""
    for spread in (0.05, 0.2, 0.5, 1.0):
        counts = {}
        for seed in range(runs):
            twins = [
                lambda x, weights=worlds.WEIGHTS + spread * row: x @ weights for row in worlds.gaussian(3, 8, seed)
            ]
            subject = worlds.additive(rows=1000, seed=1000 + seed, networks=twins)
            evidence = reason_codes(subject, seed=seed, tries=10, rows=100)[:1]
            finding = judge(evidence)[0].finding
            counts[finding] = counts.get(finding, 0) + 1
        for finding, hits in sorted(counts.items()):
            show(f"eight factors, three twins whose weights differ by {spread:g}", finding, hits, runs)


def roles(runs):
    """Null copies, in which factors exchange their roles, called stable."""
    for name, subject in (
        ("eight factors, one network", worlds.additive()),
        ("a factor in three copies, one network", worlds.duplicated()),
        ("an interaction, one network", worlds.interaction()),
        ("eight factors, two networks", worlds.disagreeing(twins=1)),
        ("two factors, two networks", worlds.disagreeing(columns=2, twins=1)),
    ):
        explained = explain_denied(subject, seed=0)
        chance = chance_stays(subject, explained, runs, seed=0)
        alarms = [wilson_interval(row.sum(), len(row)).low > 0.8 for row in chance]
        show(f"null copies: {name}", "called stable", sum(alarms), runs)


def flags(runs):
    """A flag on few rows: found, beside usual columns and long tails without one."""
    for rows, weight in ((2000, -3.0), (2000, -1.5), (1000, -3.0), (2000, 0.0)):
        hits = 0
        for seed in range(runs):
            subject = worlds.rare_flag(rows=rows, seed=seed, weight=weight, share=0.03)
            hits += judge(factor_importance(subject, seed=seed, draws=99, tries=4))[0].finding == "RARE BUT DECISIVE"
        show(f"{rows} rows, a flag on 3% of weight {weight:g}", "RARE BUT DECISIVE", hits, runs)


def uses(runs):
    """A factor of no use called of use: columns and labels of persons that do not go together, five rows each."""
    factors = [Factor(f"x{place}", (f"x{place}",), (place,)) for place in range(4)]
    for name, by_row in (("persons exchanged", False), ("rows exchanged", True)):
        hits = 0
        for seed in range(runs):
            subject = worlds.persons(1000 + seed)
            units = np.arange(len(subject.test)) if by_row else subject.test.units
            rows = dataclasses.replace(subject.test, units=units)
            hits += loss_importance(subject.predict, rows, factors, seed=seed, draws=199).p.min() <= 0.05
        show(f"60 persons of five rows, no factor of use, {name}", "any factor of use", hits, runs)


def changes():
    """Changes that hold on all twins, by the margin that the search aimed at."""
    sheets = {name: {"actionable": "any"} for name in ("x1", "x2", "x3", "x4")}
    for margin in (0.0, 0.25, 0.5, 1.0, 1.5):
        hits = total = 0
        costs, usual = [], []
        for seed in range(10):
            twins = [lambda x, weights=worlds.WEIGHTS + 0.2 * row: x @ weights for row in worlds.gaussian(3, 8, seed)]
            subject = worlds.additive(seed=seed, networks=twins, sheets=sheets)
            refused = np.flatnonzero(subject.test.logits[:, 1] < 0)[:40]
            results = [r for r in counterfactuals(subject, refused, seed=0, margin=margin) if r.word != NONE]
            hits, total = hits + sum(result.word == FOUND for result in results), total + len(results)
            costs += [result.cost for result in results]
            usual += [result.is_plausible for result in results]
        words = f"hold on three twins (cost {np.mean(costs):.1f}; like real rows {np.mean(usual):.2f})"
        show(f"changes that aim {margin:g} log odds above the threshold", words, hits, total)


def main(runs=RUNS):
    """Print all rows."""
    print_head("world", "counted", "share (95%) of runs")
    changes()
    uses(3 * runs)
    roles(runs)
    flags(runs)
    twins_that_disagree(runs)
    twins_that_agree(runs // 2)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
