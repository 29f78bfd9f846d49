"""Units: rows that were drawn alike, and persons of a shuffled file, by simulation: python -m tests.bench.audit_units [RUNS]

A run counts where the gate "rows are units" fails. No unit is named.
"""

import sys

from sanity.audit.gates import units_gate
from sanity.statistics import wilson_interval
from tests.audit_worlds.belonging import KINDS, alone, naive_share, persons, rows_of

HEAD = "| rows | fails at 300 rows | fails at 2,000 rows | naive, 300 rows |\n|---|---|---|---|"


def gate_rate(make, count, runs):
    """How often the gate fails: `Interval`."""
    return wilson_interval(sum(units_gate(rows_of(make(seed, count))).status == "failed" for seed in range(runs)), runs)


def naive_rate(make, count, runs):
    """How often more than .05 of rows are nearer to another than .99 of rows with independent columns: `Interval`."""
    return wilson_interval(sum(naive_share(make(seed, count)) > 0.05 for seed in range(runs)), runs)


def print_row(name, make, runs):
    """Print the rates of a world."""
    rates = gate_rate(make, 300, runs), gate_rate(make, 2000, max(runs // 4, 10)), naive_rate(make, 300, runs)
    print(f"| {name} | {' | '.join(map(str, rates))} |", flush=True)


def main(runs=200):
    """Print all rows."""
    print(HEAD)
    for kind in KINDS:
        print_row(kind, lambda seed, count, kind=kind: alone(kind, seed, count), runs)
    for columns, noise in ((3, 0.05), (3, 0.1), (10, 0.1), (10, 0.2), (10, 0.4), (30, 0.4)):
        make = lambda seed, count, options=(columns, noise): persons(  # noqa: E731
            seed, count, columns=options[0], noise=options[1]
        )[0]
        print_row(f"persons of 4 to 8 rows, {columns} columns, noise {noise:g}", make, max(runs // 4, 10))
    make = lambda seed, count: persons(seed, count, fewest=20, most=20)[0]  # noqa: E731
    print_row("persons of 20 rows, 10 columns, noise 0.2", make, max(runs // 4, 10))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
