"""Groups and proxies: false alarms beside those of naive rules, and power, in Markdown: python -m tests.bench.audit_groups [RUNS]"""

import sys
from dataclasses import replace

import numpy as np

from sanity.audit.legitimate import odds_gate
from sanity.audit.margin import without_sign
from sanity.audit.swaps import read_swaps
from tests.audit_worlds import groups, measures, proxies
from tests.audit_worlds.measures import is_above_chance, naive_gaps_p, problem_of, swap_of
from tests.bench.shares import print_head, print_row, share

DRAWS = 199


def gaps_of(subject, seed):
    return measures.gaps_of(subject, seed, DRAWS)


def decoded_p(subject, seed):
    return measures.decoded_p(subject, seed, DRAWS)


def row(question, hits):
    """Print a share."""
    print_row(question, share(hits))


def is_found(gaps):
    return min(part.p.min() for part in gaps) <= 0.05


def is_beyond(gaps):
    """Whether any group has an adjusted p and an interval beyond the margin."""
    return any(
        p <= 0.05 and without_sign(gap).low > 0.05
        for part in gaps
        for p, gap in zip(part.p, part.gaps)
        if np.isfinite(gap).all()
    )


def difference_alarm(subject, seed):
    """Whether the percentile interval of the largest difference of true positive rates excludes zero, as it always does."""
    rows, rng = subject.test, np.random.default_rng(seed)
    places = np.flatnonzero(rows.labels == 1)
    codes, decided = rows.protected[0].values[places].astype(int), rows.predicted[places]
    ranges = []
    for _ in range(100):
        drawn = rng.integers(len(places), size=len(places))
        counts = np.bincount(codes[drawn])
        rates = np.bincount(codes[drawn], decided[drawn]) / np.maximum(counts, 1)
        ranges.append(np.ptp(rates[counts > 0]))
    return np.quantile(ranges, 0.025) > 0


def group_rates(runs):
    """Rows on `group_gaps`."""
    equal = [groups.people(seed) for seed in range(runs)]
    measured = [gaps_of(subject, seed) for seed, subject in enumerate(equal)]
    row("eight equal groups (1000 to 20 rows), four rates: any adjusted p", map_list(is_found, measured))
    row("same: any gap beyond the margin", map_list(is_beyond, measured))
    row("same: all true gaps of 0 inside their intervals", [_covers(gaps) for gaps in measured])
    row("same, naive: any Fisher p below .05", [naive_gaps_p(subject) < 0.05 for subject in equal])
    row(
        "same, naive: interval of the largest difference excludes 0",
        [difference_alarm(s, k) for k, s in enumerate(equal[:40])],
    )
    persons = [groups.people(seed, (800, 400, 200), persons=4) for seed in range(runs)]
    row("persons of four rows, persons as units", [is_found(gaps_of(s, k)) for k, s in enumerate(persons)])
    row("same: all true gaps of 0 inside their intervals", [_covers(gaps_of(s, k)) for k, s in enumerate(persons)])
    alone = [replace(s, test=replace(s.test, units=np.arange(len(s.test)))) for s in persons]
    row("same, naive: rows as units", [is_found(gaps_of(s, k)) for k, s in enumerate(alone)])
    for group, size in ((1, 500), (3, 200), (4, 100), (6, 40)):
        hits = [gaps_of(groups.people(seed, rates={group: 0.5}), seed)[1].p[group] <= 0.05 for seed in range(runs // 2)]
        row(f"true positive rate .70 to .50 in a group of {size} rows, half of them positive: found", hits)


def map_list(function, values):
    return [function(value) for value in values]


def _covers(gaps):
    return all(
        (part.gaps[:, 1] <= 0).all() and (part.gaps[:, 2] >= 0).all() for part in gaps if np.isfinite(part.gaps).all()
    )


def gate_fails(subject, seed):
    problem = problem_of(subject, seed)
    gate = odds_gate(problem.features, problem.contrast.members, problem.odds, problem.fitted, seed=seed)
    return gate.status == "failed"


def swapped(subject, seed):
    """What swaps did, and p of each column: `Swapped`, float64 [columns]."""
    swap = swap_of(subject, seed)
    result = swap.measure(DRAWS, 1, 0.02, 1 - 0.05 / 3)
    (p,), _ = read_swaps([result], 0.05, 1)
    return result, p


def is_used(result, p):
    return any(one <= 0.05 and without_sign(share).low > 0.02 for one, share in zip(p, result.shares))


def proxy_rates(runs):
    """Rows on `decodable` and `proxy_use`."""
    none = [proxies.world(seed, "none", 1000) for seed in range(runs)]
    encoded = [proxies.world(seed, "encoded", 1000) for seed in range(runs // 4)]
    row("no stand-in: decodable beyond the legitimate", [decoded_p(s, k) <= 0.05 for k, s in enumerate(none)])
    row("same, naive: probe above chance", [is_above_chance(s, k) for k, s in enumerate(none[:40])])
    row("same: gate on P(A given L) fails", [gate_fails(s, k) for k, s in enumerate(none[: runs // 2])])
    row("stand-in encoded and not used: decodable", [decoded_p(s, k) <= 0.05 for k, s in enumerate(encoded)])
    results = [swapped(s, k) for k, s in enumerate(none)]
    row("no stand-in: any adjusted p of swaps", [p[:-1].min() <= 0.05 for _, p in results])
    row("same: output given the legitimate column", [p[-1] <= 0.05 for _, p in results])
    row("same: used beyond the margin", [is_used(*result) for result in results])
    row("same: all three true shares of 0 inside their intervals", [_holds_zero(result) for result, _ in results])
    row(
        "stand-in encoded and not used: used beyond the margin",
        [is_used(*swapped(s, k)) for k, s in enumerate(encoded)],
    )
    for use in (0.02, 0.05, 0.1, 0.2, 0.35):
        worlds = [proxies.world(seed, "used", 2000, use=use) for seed in range(runs // 5)]
        share = true_share(use)
        results = [swapped(s, k) for k, s in enumerate(worlds)]
        row(
            f"swap moves {share:.3f} of decisions, 2,000 rows: adjusted p alone",
            [p[:-1].min() <= 0.05 for _, p in results],
        )
        row(
            f"swap moves {share:.3f} of decisions, 2,000 rows: used beyond the margin",
            [is_used(*result) for result in results],
        )


def _holds_zero(result):
    return bool((result.shares[:, 1] <= 1e-9).all() and (result.shares[:, 2] >= -1e-9).all())


def true_share(use):
    """The share of decisions that the stand-in moves between groups, on many rows."""
    rng = np.random.default_rng(0)
    upper = rng.integers(2, size=400_000) - 0.5
    rest = 0.9 * upper + rng.normal(size=len(upper)) + 0.3 * rng.normal(size=len(upper))
    noise = use * rng.normal(size=len(upper))
    return float(np.mean(rest + noise + use * 0.75 >= 0) - np.mean(rest + noise - use * 0.75 >= 0))


def main(runs=200):
    """Print all rows."""
    print_head("world and rule", "share (95%) of runs")
    group_rates(runs)
    proxy_rates(runs)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
