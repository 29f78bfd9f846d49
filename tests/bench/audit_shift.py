"""Shift, harm and unlikeness by simulation: `python -m tests.bench.audit_shift --runs 100` prints a table with Wilson intervals.

The naive version of each rate stands beside it.
"""

import argparse
import dataclasses
import resource
import time

import numpy as np
from scipy import stats

from sanity.audit.drift import drift_size, look_at_windows, time_blocks
from sanity.audit.encoding import encode_features, encode_inputs, encode_predictions
from sanity.audit.eyes import PENALTY_OF_PRODUCTS, Ridge, products_of
from sanity.audit.harm import error_rise, estimate_rise
from sanity.audit.neighbours import neighbour_distances
from sanity.audit.patches import differing
from sanity.audit.permutation import min_p
from sanity.checks.shift import shift
from sanity.statistics import holm
from sanity.verdict import judge
from tests.audit_worlds import pictured, shifts
from tests.audit_worlds.measures import eyes_of, naive_shift_p, shift_p
from tests.bench.shares import print_head, print_row, share

DRAWS = 199


def p_of(subject, seed, encode=encode_inputs):
    return shift_p(subject, seed, DRAWS, encode)


def products_classifier_p(subject, seed):
    """The same exchanges with a ridge classifier of columns, squares and products in the place of their largest difference."""
    eyes = eyes_of(subject, seed)
    columns = [eyes.standard, products_of(eyes.standard)[0]]
    ridge = Ridge(columns, eyes.folds, PENALTY_OF_PRODUCTS)
    sides = np.concatenate([subject_sides(eyes), *eyes.draw(DRAWS, "exchanged")])
    areas = ridge.areas(np.ascontiguousarray(sides.T).view("uint8"))
    return (areas >= areas[0]).mean()


def subject_sides(eyes):
    return eyes.encoded.is_current[None]


def nothing(runs):
    yield (
        "no shift, 500/300 rows, 30 columns: four eyes",
        [p_of(shifts.pair("none", k, (500, 300)), k) <= 0.05 for k in range(runs)],
    )
    small = [shifts.pair("none", k, (500, 300)) for k in range(runs)]
    yield "... naive: any column p < .05", [naive_shift_p(subject).min() <= 0.05 for subject in small]
    yield "... Holm over columns", [holm(naive_shift_p(subject)).min() <= 0.05 for subject in small]


def by_days(runs):
    for between in (0.05, 0.2):
        named = [shifts.days(k, between=between) for k in range(runs)]
        bare = [shifts.days(k, between=between, are_units=False) for k in range(runs)]
        yield (
            f"no shift, days with {between:.2f} of the variance: days as units",
            [p_of(s, k) <= 0.05 for k, s in enumerate(named)],
        )
        yield "... naive: rows as units", [p_of(s, k) <= 0.05 for k, s in enumerate(bare)]
        yield "... naive: Holm over columns", [holm(naive_shift_p(s)).min() <= 0.05 for s in bare]
        broken = [judge(shift(s, seed=k, draws=99))[0].outcome for k, s in enumerate(bare[: runs // 4])]
        yield "... rows as units: blocks of the reference alarm (INVALID)", [outcome == "INVALID" for outcome in broken]
    broken = [
        judge(shift(shifts.pair("none", k, (300, 150), columns=6), seed=k, draws=99))[0].outcome
        for k in range(runs // 2)
    ]
    yield "independent rows: INVALID", [outcome == "INVALID" for outcome in broken]


def windows(runs):
    together, apart = [], []
    for k in range(runs // 2):
        subject = shifts.days(k, between=0.05)
        eyes = eyes_of(subject, k)
        together.append(look_at_windows(eyes, subject.current.times, DRAWS, seed=k).p.min() <= 0.05)
        blocks = time_blocks(subject.current.times, subject.current.units)
        parts = [
            dataclasses.replace(subject, current=subject.current.take(blocks == block)) for block in np.unique(blocks)
        ]
        apart.append(min(p_of(part, k) for part in parts) <= 0.05)
    yield "no shift, ten windows of days: one family", together
    yield "... naive: each window by itself at .05", apart


def power(runs):
    yield (
        "mean .3 sd in 2 of 30, 2000/500",
        [p_of(shifts.pair("means", k, (2000, 500)), k) <= 0.05 for k in range(runs // 2)],
    )
    for kind, words in (
        ("means", "mean .3 sd in 2"),
        ("spread", "variance x2 in 2"),
        ("correlation", "correlation 0 -> .8 in a pair"),
    ):
        worlds = [shifts.pair(kind, k, (500, 300)) for k in range(runs)]
        p = [eyes_of(subject, k).look(DRAWS).statistics for k, subject in enumerate(worlds)]
        yield f"{words}, 500/300: four eyes", [min_p(values).min() <= 0.05 for values in p]
        for eye, name in enumerate(("columns", "energy", "classifier", "products")):
            yield f"... {name} alone", [(values[:, eye] >= values[0, eye]).mean() <= 0.05 for values in p]
        yield (
            "... ridge on squares and products",
            [products_classifier_p(s, k) <= 0.05 for k, s in enumerate(worlds[: runs // 2])],
        )
    yield "brightness +.1, 400/200", [p_of(shifts.brightness(k), k) <= 0.05 for k in range(runs)]
    thinned = [shifts.answered("thinned", k, (800, 500)) for k in range(runs // 2)]
    yield (
        "a class thinned to .4, 800/500: predictions",
        [p_of(s, k, encode_predictions) <= 0.05 for k, s in enumerate(thinned)],
    )
    ignored = [shifts.answered("ignored", k, (800, 500)) for k in range(runs // 2)]
    yield "a column that the network ignores, +.5 sd: inputs", [p_of(s, k) <= 0.05 for k, s in enumerate(ignored)]
    yield "... features", [p_of(s, k, encode_features) <= 0.05 for k, s in enumerate(ignored)]


def sizes(runs):
    within, best = [], []
    for k in range(runs // 4):
        eyes = eyes_of(shifts.pair("correlation", k, (2000, 1000)), k)
        effect, linear = drift_size(eyes)
        within.append(linear.high < 0.05)
        best.append(effect.high < 0.05)
    yield "correlation 0 -> .8, 2000/1000: within the margin by the better classifier", best
    yield "... naive: by the linear classifier", within


def harms(runs):
    for kind, words in (
        ("flipped", "labels of a region half flipped"),
        ("noisy", "into a region of noisy labels"),
        ("ignored", "an ignored column moves"),
    ):
        worlds = [shifts.answered(kind, k) for k in range(runs)]
        rises = [error_rise(s.test.errors, s.current.errors, s.test.units, s.current.units) for s in worlds]
        yield f"{words}, 1500/1000, with labels: interval above 0", [rise.low > 0 for rise in rises]
        estimates = [estimate_rise(s.test, s.current, seed=k, resamples=20) for k, s in enumerate(worlds[: runs // 2])]
        yield "... without labels: the two estimates disagree", [estimate.disagrees for estimate in estimates]


def persons(runs):
    right, naive, units = [], [], np.repeat(np.arange(80), 8)
    for k in range(4 * runs):
        rng = np.random.default_rng(k)
        errors = (rng.random((160, 8)) < rng.beta(0.3, 0.9, 160)[:, None]).astype(float)
        first, second = errors[:80].ravel(), errors[80:].ravel()
        right.append(error_rise(first, second, units, units).low > 0)
        naive.append(error_rise(first, second, np.arange(640), np.arange(640)).low > 0)
    yield "no rise, eight rows a person: interval by unit above 0 (level .025)", right
    yield "... naive: rows as units", naive


def outliers(runs):
    held_out, fitted = [], []
    for k in range(runs // 2):
        rng = np.random.default_rng(k)
        reference, others = rng.standard_normal((300, 64)), rng.standard_normal((100, 64))
        held_out += list(neighbour_distances(reference, np.arange(300), others, seed=k).p <= 0.05)
        inverse, centred = np.linalg.inv(np.cov(reference.T)), others - reference.mean(axis=0)
        fitted += list(stats.chi2.sf(np.einsum("ij,jk,ik->i", centred, inverse, centred), 64) <= 0.05)
    yield "rows like the reference, 64 columns, 300 rows: p <= .05 by held-out rows", held_out
    yield "... naive: by a chi-square", fitted


def patches(runs):
    null = [pictured.gaps_of(pictured.pair(k, (60, 40)), k) for k in range(3 * runs)]
    yield "pictures without a shift, 60/40: a patch is outlined (99 exchanges)", [is_outlined(gaps) for gaps in null]
    alone = [(np.abs(gaps.deviations) > 1.96).any() for gaps in null]
    yield "... naive: each patch and colour by itself at 1.96 deviations", alone
    for words, are_units in (
        ("six pictures of each person, no shift", True),
        ("... naive: pictures as units", False),
    ):
        worlds = [pictured.persons(k, are_units=are_units) for k in range(runs)]
        yield words, [is_outlined(pictured.gaps_of(subject, k)) for k, subject in enumerate(worlds)]


def marks(runs):
    for brighter in (10, 20, 40, 60):
        subjects = [pictured.pair(k, brighter=brighter) for k in range(runs)]
        outlined = [differing(pictured.gaps_of(subject, k), 0.05) for k, subject in enumerate(subjects)]
        yield (
            f"a corner {brighter} levels brighter, 120/80: all of it",
            [part[pictured.MARKED].all() for part in outlined],
        )
        yield "... and something elsewhere", [part.sum() > part[pictured.MARKED].sum() for part in outlined]
        seen = [eyes_of(subject, k).look(DRAWS).statistics for k, subject in enumerate(subjects)]
        yield "... the five eyes of inputs see it", [min_p(values).min() <= 0.05 for values in seen]
        yield "... naive: without patches", [min_p(values[:, :4]).min() <= 0.05 for values in seen]


def pictures(runs):
    for words, make, count in (
        ("pictures without a shift, 60/40: five eyes", lambda k: pictured.pair(k, (60, 40)), 3 * runs),
        ("six pictures of each person, no shift: five eyes", pictured.persons, runs),
        (
            "... naive: pictures as units",
            lambda k: pictured.persons(k, are_units=False),
            runs,
        ),
    ):
        yield words, [p_of(make(k), k) <= 0.05 for k in range(count)]
    for brighter in (0, 10, 20):
        worlds = [pictured.pair(k, (600, 400), brighter=brighter) for k in range(runs // 2)]
        verdicts = [judge(shift(subject, seed=k, draws=99))[0] for k, subject in enumerate(worlds)]
        for outcome in ("FAIL", "PASS", "INVALID"):
            yield (
                f"a corner {brighter} levels brighter, 600/400: inputs {outcome}",
                [verdict.outcome == outcome for verdict in verdicts],
            )


def is_outlined(gaps):
    return differing(gaps, 0.05).any()


def million(runs):
    rng = np.random.default_rng(0)
    sets = [rng.standard_normal((500_000, 10)) for _ in range(2)]
    sets[1][:, 0] += 0.01
    start = time.perf_counter()
    verdict = judge(shift(shifts.subject_of(*map(shifts.rows_of, sets)), seed=0))[0]
    seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    yield (
        f"a million rows, .01 sd in one of 10 columns ({seconds:.0f} s, {peak:.1f} GiB): within the margin",
        [verdict.finding == "SHIFT WITHIN THE MARGIN"],
    )


PARTS = {
    part.__name__: part
    for part in (nothing, by_days, windows, power, sizes, harms, persons, outliers, patches, marks, pictures, million)
}


def main(runs=100, parts=tuple(PARTS)):
    """Print all rows, or those of some parts."""
    print_head("world and rule", "share (95%) of runs")
    for name in parts:
        for words, hits in PARTS[name](runs):
            print_row(words, share(hits))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--parts", default=",".join(PARTS))
    arguments = parser.parse_args()
    main(arguments.runs, arguments.parts.split(","))
