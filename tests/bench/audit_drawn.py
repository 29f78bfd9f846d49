"""Drawn rows: false alarms and power of questions that look at a part of large tables: python -m tests.bench.audit_drawn [RUNS]

Limits are lowered, so that worlds of a few thousand rows are drawn from as large tables are.
"""

import sys
from unittest import mock

import numpy as np

from sanity.checks.shift import MOST_ROWS, shift
from sanity.checks.slices import slices
from sanity.verdict import judge
from tests.audit_worlds import failures, shifts
from tests.bench.shares import print_head, print_row, share

SEARCHED, LOOKED = 1000, 400
# Slices of 3,000 rows, of which a third is searched; shifts of 3,000 and 1,500.
TABLES = {
    "nothing": {},
    "persons of four rows": {"persons": 4},
    "6% with +.20": {"effect": 0.2},
}
SHIFTS = {
    "nothing": lambda seed: shifts.pair("none", seed, (3000, 1500), columns=8),
    "days with .05 of the variance as units": lambda seed: shifts.days(seed, days=90, current=30, rows=50),
    "days with .20 of the variance as units": lambda seed: shifts.days(seed, days=90, current=30, rows=50, between=0.2),
    "mean +.3 deviations in 2 of 8 columns": lambda seed: shifts.pair("means", seed, (3000, 1500), columns=8),
}

# Seeds from 1,000 on, with which nothing was developed.
SIZES = {
    **{
        f"days of {first} and {second} rows with {between:.2f} of the variance": lambda seed, sizes=(first, second), between=between: (
            shifts.of_sizes(1000 + seed, sizes, between=between)
        )
        for first, second in ((100, 20), (60, 30), (60, 50), (20, 100))
        for between in (0.0, 0.1)
    },
    "days of 100 and 20 rows with 0.10 of the variance, moved by .3": lambda seed: shifts.of_sizes(
        1000 + seed, (100, 20), 0.3, between=0.1
    ),
}


def judged(check, make, runs):
    """The first verdict of each run: list of `Verdict`."""
    return [judge(check(make(seed), seed=seed, draws=99, tries=8))[0] for seed in range(runs)]


def count(name, limit, check, worlds, runs):
    """Rows of one question: how often p is .05 or less, and how often the check is INVALID."""
    with mock.patch(*limit):
        for world, make in worlds.items():
            verdicts = judged(check, make, runs)
            print_row(name, world, "p <= .05", share(verdict.p <= 0.05 for verdict in verdicts))
            print_row(name, world, "breaks", share(verdict.outcome == "INVALID" for verdict in verdicts))


def main(runs=100):
    """Print all rows."""
    np.seterr(all="raise", under="ignore")
    print_head("check", "world", "what", "share (95%) of runs")
    tables = {
        name: lambda seed, options=options: failures.table(seed, 3000, columns=8, **options)
        for name, options in TABLES.items()
    }
    count("slices", ("sanity.audit.weak_slices.SEARCHED", SEARCHED), slices, tables, runs)
    count("shift", ("sanity.checks.shift.MOST_ROWS", LOOKED), shift, SHIFTS, runs)
    count("shift", ("sanity.checks.shift.MOST_ROWS", MOST_ROWS), shift, SIZES, runs)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
