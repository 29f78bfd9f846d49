"""Proxies and costs: false alarms, power and naive rules, in Markdown: python -m tests.bench.audit_proxies [PART RUNS]

Parts: mechanism, costs, untrained, counterparts, replicates. Without one all are counted.
"""

import sys
from dataclasses import replace

import numpy as np
from scipy import stats

from sanity.audit.counterfactuals import FOUND, NONE, counterfactuals
from sanity.audit.counterparts import balanced_share
from sanity.audit.decoding import Problem
from sanity.audit.legitimate import design, list_contrasts
from sanity.audit.margin import without_sign
from sanity.audit.mechanism import read_erased
from sanity.audit.swaps import read_swaps
from tests.audit_worlds import counterparts, groups, measures, mechanisms, proxies, reasons, untrained
from tests.bench.shares import print_head, print_row, share

DRAWS, TRIES, RUNS = 99, 4, 40


def row(question, hits):
    """Print a share."""
    print_row(question, share(hits))


# What one layer does --------------------------------------------------------------------------------------------------------


def mechanism(runs, rows=2000):
    """Rows on `proxy_mechanism`: networks of two hidden layers that were trained, erasures from the first."""
    arms = {
        "no stand-in": "none",
        "stand-in encoded, labels ignore it": "encoded",
        "labels depend on the group": "used",
    }
    for name, arm in arms.items():
        subjects = [mechanisms.world(seed, arm, rows) for seed in range(runs)]
        _rows_of_mechanism(f"{name}, {rows:,} rows", subjects)


def _rows_of_mechanism(name, subjects):
    erased = [measures.mechanism_of(s, k).measure(DRAWS, TRIES, 0.02, 0.95) for k, s in enumerate(subjects)]
    read = [read_erased([part], 0.05, TRIES) for part in erased]
    p = np.array([values[0] for values, _ in read])
    row(f"{name}: erasure changes the slope more than those of redrawn columns", p[:, 0] <= 0.05)
    row("same: more than their directions change it", p[:, 1] <= 0.05)
    row("same: both, and the output goes with the group", p.max(axis=1) <= 0.05)
    beyond = np.array([without_sign(part.share).low > 0.02 for part in erased])
    row("same: used beyond the margin", beyond & (p.max(axis=1) <= 0.05))
    planted = np.concatenate([tries.planted[1] for _, (tries,) in read])
    row("same: planted use of the margin's size, by redrawn columns", planted)
    row(
        "same, lengthened directions",
        [measures.scaled_direction_p(s, k, DRAWS) <= 0.05 for k, s in enumerate(subjects)],
    )
    row(
        "same, naive: the column itself is erased",
        [measures.naive_erasure_p(s, k) <= 0.05 for k, s in enumerate(subjects)],
    )


# Costs of errors ------------------------------------------------------------------------------------------------------------


def costs(runs):
    """Rows on the cost of errors in `group_gaps`: a false negative costs five times a false positive."""
    equal = [_priced(groups.people(seed)) for seed in range(runs)]
    measured = [measures.gaps_of(subject, seed, DRAWS) for seed, subject in enumerate(equal)]
    row(
        "eight equal groups, costs 1 and 5: any adjusted p of five rates",
        [_smallest(part) <= 0.05 for part in measured],
    )
    row("same: all true gaps of the error cost inside their intervals", [_covers(part[-1].gaps) for part in measured])
    row("same, naive: any p of Welch's test of costs below .05", [_naive_cost_p(subject) < 0.05 for subject in equal])
    for group, size in ((1, 500), (3, 200), (4, 100)):
        worlds = [_priced(groups.people(seed, rates={group: 0.5})) for seed in range(runs)]
        hits = [measures.gaps_of(subject, seed, DRAWS)[-1].p[group] <= 0.05 for seed, subject in enumerate(worlds)]
        row(f"true positive rate .70 to .50 in a group of {size} rows, costs 1 and 5: the error cost is found", hits)


def _priced(subject):
    decision = subject.sheet.decision.model_copy(update={"false_positive_cost": 1.0, "false_negative_cost": 5.0})
    return replace(subject, sheet=subject.sheet.model_copy(update={"decision": decision}))


def _smallest(gaps):
    return min(part.p.min() for part in gaps)


def _covers(gaps):
    known = gaps[np.isfinite(gaps).all(axis=1)]
    return bool((known[:, 1] <= 0).all() and (known[:, 2] >= 0).all())


def _naive_cost_p(subject):
    rows = subject.test
    values = np.where(rows.predicted == rows.labels, 0, np.where(rows.labels == 1, 5, 1)) / 5
    codes = rows.protected[0].values
    return min(
        stats.ttest_ind(values[codes == k], values[codes != k], equal_var=False).pvalue for k in np.unique(codes)
    )


# Untrained networks beside a layer ------------------------------------------------------------------------------------------


def untrained_networks(runs):
    """Rows on what `decodable` says of a layer beside three untrained ones."""
    for name, is_taught in (
        ("a layer that mixes all inputs as untrained ones do", False),
        ("a layer that was taught the stand-in", True),
    ):
        leads = [_lead(untrained.subject_with(seed, is_taught=is_taught)) for seed in range(runs)]
        row(f"{name}: says more than three untrained ones", [lead.low > 0 for lead in leads])
        row("same: says less than they do", [lead.high < 0 for lead in leads])
    lost = [_lead(proxies_with_untrained(seed)) for seed in range(runs)]
    row("nothing beyond the legitimate column in any layer: says more", [lead.low > 0 for lead in lost])


def proxies_with_untrained(seed, rows=1200):
    """No stand-in, a layer that was trained on the legitimate column, and three that were not: `AuditSubject`."""
    subject, rng = proxies.world(seed, "none", rows), np.random.default_rng([seed, 1])
    inputs = np.column_stack([subject.test.inputs, rng.normal(size=(rows, untrained.NOISES))])
    layers = np.stack([np.tanh(inputs @ rng.normal(size=(inputs.shape[1], 2))) for _ in range(3)], axis=1)
    test = replace(subject.test, inputs=inputs, features=inputs[:, :2], untrained=layers)
    return replace(subject, test=test)


def _lead(subject):
    (contrast,), _ = list_contrasts(subject.test.protected[0])
    features = design(subject.test.take(contrast.places), [proxies.LEGITIMATE])
    return Problem(contrast, subject.test, features, seed=0).decode(19).lead


# Counterparts ---------------------------------------------------------------------------------------------------------------


def edits(runs):
    """Rows on `proxy_use` with counterparts, whose edits add noise and lower every score."""
    options = {"noise": 0.8, "artefact": -0.4, "rows": 600, "share": 0.7}
    idle = [counterparts.subject_of(seed, **options) for seed in range(runs)]
    results = [_exchanged(subject, seed) for seed, subject in enumerate(idle)]
    row("edits of noise that lower every score, no use, 600 rows: adjusted p", [p[0] <= 0.05 for _, p in results])
    row("same: used beyond the margin", [_is_used(*result) for result in results])
    row("same: the true share of 0 inside its interval", [_covers(result.shares) for result, _ in results])
    row(
        "same, naive: mean change over all rows, p of a t test below .05",
        [_naive_edit_p(subject) < 0.05 for subject in idle],
    )
    for use in (0.1, 0.3, 0.5):
        worlds = [counterparts.subject_of(seed, use=use, **options) for seed in range(runs)]
        large = counterparts.subject_of(10**6, use=use, **{**options, "rows": 200_000})
        moved = measures.counterparts_of(large)._shares(0.95)[0, 0]
        results = [_exchanged(subject, seed) for seed, subject in enumerate(worlds)]
        row(f"same edits, use that turns {moved:.3f} of decisions: adjusted p", [p[0] <= 0.05 for _, p in results])
        row("same: used beyond the margin", [_is_used(*result) for result in results])
    _few_turn(25 * runs)


def _exchanged(subject, seed):
    result = measures.counterparts_of(subject, seed).measure(DRAWS, 1, 0.02, 0.95)
    (p,), _ = read_swaps([result], 0.05, 1)
    return result, p


def _is_used(result, p):
    return bool(p[0] <= 0.05 and without_sign(result.shares[0]).low > 0.02)


def _naive_edit_p(subject):
    one, other = measures.log_odds(subject.test.logits), measures.log_odds(subject.test.counterparts["sex"])
    signs = np.where(subject.test.protected[0].values == 1, 1, -1)
    return stats.ttest_1samp(signs * (one - other), 0).pvalue


def _few_turn(runs, rows=300, members=30, turned=0.02):
    """How often a bound of .95 lies below the truth where one decision in fifty turns."""
    rng, low, naive = np.random.default_rng(0), [], []
    for _ in range(runs):
        inside = (np.arange(rows) < members).astype("float64")
        values = np.where(inside == 1, 1.0, -1.0) * (rng.random(rows) < turned)
        low.append(balanced_share(inside, values, np.arange(rows), 0.95)[2] < turned)
        sides = [values[inside == side] for side in (1, 0)]
        mean = (sides[0].mean() - sides[1].mean()) / 2
        half = 1.96 * np.sqrt(sum(side.var(ddof=1) / len(side) for side in sides)) / 2
        naive.append(mean + half < turned)
    row("one decision in 50 turns, 300 rows with 30 members: upper bound below the truth (.025)", low)
    row("same, naive: interval of Wald", naive)


# Networks trained alike -----------------------------------------------------------------------------------------------------


def replicates(runs):
    """Rows on changes that turn a refusal: do they hold on one more network that was trained alike?"""
    sheets = {name: {"actionable": "any"} for name in ("x1", "x2", "x3", "x4")}
    for count, margin in ((0, 0.0), (0, None), (1, None), (2, None), (4, None)):
        held = []
        for seed in range(runs):
            *known, last = [_network(reasons.WEIGHTS + 0.2 * part) for part in reasons.gaussian(count + 1, 8, seed)]
            subject = reasons.additive(seed=seed, networks=known, sheets=sheets)
            refused = np.flatnonzero(subject.test.logits[:, 1] < 0)[:40]
            changes = counterfactuals(subject, refused, seed=0, margin=margin)
            held += [
                bool(last(_changed(subject.test.inputs[place], change)) >= 0)
                for place, change in zip(refused, changes)
                if change.word == FOUND or (not count and change.word != NONE)
            ]
        aim = ", naive: search that stops at the threshold" if margin == 0 else ""
        row(
            f"changes that turn a refusal, {count} replicates{aim}: they turn it on one more network trained alike",
            held,
        )


def _changed(inputs, change):
    """Inputs with the columns of a change as it says: float64 [inputs]."""
    inputs = np.array(inputs, "float64")
    for part in change.changes:
        inputs[int(part["column"].removeprefix("x")) - 1] = part["after"]
    return inputs


def _network(weights):
    return lambda inputs: np.asarray(inputs, "float64") @ weights


PARTS = {
    "mechanism": mechanism,
    "costs": costs,
    "untrained": untrained_networks,
    "counterparts": edits,
    "replicates": replicates,
}


def main(part=None, runs=RUNS):
    """Print the rows of one part, or of all."""
    print_head("world and rule", "share (95%) of runs")
    for name in [part] if part else PARTS:
        PARTS[name](int(runs))


if __name__ == "__main__":
    main(*sys.argv[1:])
