"""Simpler models: false alarms, power and decisions of the comparison, beside naive ones. `python -m tests.bench.audit_simpler`."""

import argparse

import numpy as np

from sanity.audit import cross_validation, differences, ladder
from sanity.audit.rows import Rows
from sanity.checks import checks
from sanity.verdict import judge
from tests.audit_worlds import ladders as worlds
from tests.bench.shares import print_head, print_row, share


def main(runs=400, subjects=20):
    """Print all tables as markdown."""
    _print_equal(runs)
    _print_sparse(runs)
    _print_power(runs // 4)
    _print_recipes(runs // 2)
    _print_worlds(subjects)


def _print_equal(runs):
    head = (
        "five models equal to the network",
        "simultaneous",
        "best of five, unadjusted",
        "its gain",
        "null copies broken",
    )
    print_head(*head)
    for rows, size in ((200, 1), (500, 1), (2000, 1), (300, 4)):
        alarms, naive, gains, broken = [], [], [], []
        for run in range(runs):
            rng = np.random.default_rng([run, rows, size])
            # Models that are right on the same hard rows, and are otherwise exchangeable.
            hard = rng.random((rows, 1)) < 0.3
            losses = np.where(hard, rng.random((rows, 6)) < 0.5, False).astype("float64").repeat(size, axis=0)
            units, values = np.repeat(np.arange(rows), size), losses[:, 1:] - losses[:, :1]
            result = differences.simultaneous_differences(values, units, seed=run, draws=499, counted=np.ones(5, bool))
            alarms.append((result.low > 0).any() or (result.high < 0).any())
            best = values[:, values.mean(axis=0).argmin()]
            naive.append(abs(best.mean()) > 1.96 * best.std() / len(best) ** 0.5)
            gains.append(-best.mean())
            tried = differences.try_differences(result, values, units, np.full(5, 0.01), seed=run)
            broken.append(tried[0].gate.status == "failed")
        words = f"{rows} units of {size} row{'s' if size > 1 else ''}"
        print_row(words, share(alarms), share(naive), f"{np.mean(gains):+.4f}", share(broken))


def _print_sparse(runs):
    words = "a model that errs where the network is right, in .03 of the rows"
    print()
    print_head(words, "bootstrap alone: does as well", "with one unit more a side")
    for rows in (40, 100, 200, 400):
        passed = {False: [], True: []}
        for run in range(runs):
            values = (np.random.default_rng(run).random((rows, 1)) < 0.03).astype("float64")
            for counted, alarms in passed.items():
                result = differences.simultaneous_differences(
                    values, np.arange(rows), seed=run, draws=199, counted=np.array([counted])
                )
                alarms.append(result.high[0] < 0.01)
        print_row(f"{rows} rows", share(passed[False]), share(passed[True]))


def _print_power(runs):
    words = "six models, one behind in accuracy; models and network differ in .03 of the rows"
    print()
    print_head(words, "lead found", "settled: does as well where equal")
    for rows in (500, 1000, 2000, 4000, 8000):
        for lead in (0.01, 0.02):
            leads, settled = [], []
            for run in range(runs):
                rng = np.random.default_rng([run, rows])
                values = rng.choice([-1.0, 0, 1.0], (rows, 6), p=[0.015, 0.97, 0.015])
                values[:, 0] += rng.random(rows) < lead
                result = differences.simultaneous_differences(
                    values, np.arange(rows), seed=run, draws=199, counted=np.ones(6, bool)
                )
                leads.append(result.low[0] > 0)
                settled.append(result.high[1] < 0.01)
            print_row(f"{rows} rows, behind by {lead:g}", share(leads), share(settled))


def _rows(seed, rows, weights):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    inputs = rng.standard_normal((rows, 6)) + np.asarray(weights) * (2 * labels[:, None] - 1)
    return Rows((), np.arange(rows), True, labels, None, inputs=inputs)


def _print_recipes(runs):
    tests = "10 x 10 folds, corrected", "10 x 10 folds, paired t", "10 folds, paired t", "5 x 2 folds, F"
    print()
    print_head("ways of training", *tests)
    first, second = worlds.least_squares([0, 1, 2]), worlds.least_squares([3, 4, 5])
    for words, weights in (("equal", [0.35] * 6), ("second better", [0.35] * 3 + [0.6] * 3)):
        for rows in (150, 300):
            rejected = {name: [] for name in ("corrected", "paired", "ten", "f")}
            for run in range(runs):
                result = cross_validation.compare_recipes(first, second, _rows(run, rows, weights), seed=run)
                folds = result.losses[1] - result.losses[0]
                rejected["corrected"].append(result.p < 0.05)
                rejected["paired"].append(cross_validation.corrected_t(folds.ravel(), 0)[1] < 0.05)
                rejected["ten"].append(cross_validation.corrected_t(folds[0], 0)[1] < 0.05)
                rejected["f"].append(result.f_p < 0.05)
            print_row(f"{words}, {rows} rows", *map(share, rejected.values()))


def _print_worlds(runs):
    print()
    print_head("world, 1,000 training and 3,000 test rows", "model", "findings")
    arms = {
        "linear": {"score": worlds.linear_score},
        "linear regression": {"score": worlds.linear_score, "is_regression": True},
        "additive, a linear network": {"score": worlds.additive_score, "network": lambda x: x[:, 1]},
        "products": {"score": worlds.product_score},
    }
    for words, options in arms.items():
        findings = {}
        for run in range(runs):
            subject = worlds.make_subject(seed=run, train=1000, test=3000, **options)
            for verdict in judge(checks.get("simpler")(subject, seed=run, draws=299, budget=1)):
                findings.setdefault(verdict.method, []).append(verdict.finding)
        for model in (ladder.ALL, ladder.LINEAR, ladder.TREE, ladder.ADDITIVE):
            counts = ", ".join(f"{name} {findings[model].count(name)}" for name in sorted(set(findings[model])))
            print_row(words, model, f"{counts} of {runs}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--worlds", type=int, default=20)
    options = parser.parse_args()
    main(options.runs, options.worlds)
