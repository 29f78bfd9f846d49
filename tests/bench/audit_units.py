"""Units: rows that were drawn alike, and persons of a shuffled file, by simulation: python -m tests.bench.audit_units [RUNS]

A run counts where the gate "rows are units" fails. No unit is named.
"""

import sys

from sanity.audit.gates import units_gate
from tests.audit_worlds.belonging import KINDS, alone, naive_share, persons, rows_of
from tests.bench.shares import print_head, print_row, share


def gate_rate(make, count, runs):
    """How often the gate fails, in words."""
    return share(units_gate(rows_of(make(seed, count))).status == "failed" for seed in range(runs))


def naive_rate(make, count, runs):
    """How often more than .05 of rows are nearer to another than .99 of rows with independent columns, in words."""
    return share(naive_share(make(seed, count)) > 0.05 for seed in range(runs))


def print_rates(name, make, runs):
    """Print the rates of a world."""
    fewer = max(runs // 4, 10)
    print_row(name, gate_rate(make, 300, runs), gate_rate(make, 2000, fewer), naive_rate(make, 300, runs))


def main(runs=200):
    """Print all rows."""
    print_head("rows", "fails at 300 rows", "fails at 2,000 rows", "naive, 300 rows")
    for kind in KINDS:
        print_rates(kind, lambda seed, count, kind=kind: alone(kind, seed, count), runs)
    for columns, noise in ((3, 0.05), (3, 0.1), (10, 0.1), (10, 0.2), (10, 0.4), (30, 0.4)):
        make = lambda seed, count, options=(columns, noise): persons(  # noqa: E731
            seed, count, columns=options[0], noise=options[1]
        )[0]
        print_rates(f"persons of 4 to 8 rows, {columns} columns, noise {noise:g}", make, max(runs // 4, 10))
    make = lambda seed, count: persons(seed, count, fewest=20, most=20)[0]  # noqa: E731
    print_rates("persons of 20 rows, 10 columns, noise 0.2", make, max(runs // 4, 10))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
