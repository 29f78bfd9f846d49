"""Unlikeness: which current rows lie far from all rows of the reference?

The distance to the fifth neighbour among activations (Sun et al. 2022, https://arxiv.org/abs/2204.06507), or among standardized
columns, is compared with that of reference rows that were held out. A row that is flagged need not be wrong.
"""

import numpy as np

from sanity.audit.copies import SIZES, TRIES, Tries
from sanity.audit.drift import deal_blocks
from sanity.audit.encoding import encode_features, encode_inputs
from sanity.audit.margin import FEWEST_UNITS
from sanity.audit.neighbours import RATE, conformal_p, flag_rows, neighbour_distances
from sanity.checks import checks
from sanity.checks.shift import comparison_gates
from sanity.evidence import Evidence, Gate
from sanity.ruling import About, Ruling, rules
from sanity.seeds import derive_seed
from sanity.statistics import group_interval, wilson_interval, without_interval

UNLIKE, NONE = "UNLIKE THE REFERENCE", "NO ROW STANDS OUT"
# Fewest rows of a set, flagged rows that are listed, share and number of planted rows, and deviations by which they move.
ROWS, LISTED, PLANTED, MOST_PLANTED, MOVED = 60, 20, 0.05, 200, 3.0


@checks.register(claim="data", question="shift")
def unlikeness(subject, *, seed, tries=TRIES):
    """Which current rows lie far from all rows of the reference?

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        seed: int.
        tries: int, null copies, and planted ones of each size.

    Returns:
        list of one `Evidence`.
    """
    encoded, name, gates = _encode(subject)
    if any(gate.status != "passed" for gate in gates):
        return [Evidence("unlikeness", name, subject.title, subject.sizes, {}, gates)]
    standard, is_current = _by_reference(encoded), encoded.is_current
    distances = neighbour_distances(
        standard[~is_current], encoded.units[~is_current], standard[is_current], seed=derive_seed(seed, "halves")
    )
    p = distances.p
    flagged = flag_rows(p)
    tried = _tried(subject, standard[~is_current], encoded.units[~is_current], distances, seed, tries)
    return [
        Evidence(
            "unlikeness",
            name,
            subject.title,
            {**subject.sizes, "current": len(p), "units": min(subject.test.unit_count, subject.current.unit_count)},
            {"flagged": flagged, "row_p": p, "null": tried.null, "planted": tried.planted},
            (*gates, tried.gate),
            settings={
                "seed": seed,
                "tries": tries,
                "rate": RATE,
                "why": _clauses(name, flagged, distances, tried),
                "also": (),
                "tables": _tables(subject.current, flagged, distances.others, p, seed),
            },
        )
    ]


def _encode(subject):
    """Features, or else inputs, of both sets with their name, and gates: (`Encoded` or None, str, tuple of `Gate`)."""
    gates = comparison_gates(subject, ROWS)
    if any(gate.status != "passed" for gate in gates):
        return None, "inputs", gates
    encoded, name = encode_features(subject.test, subject.current), "features"
    if encoded is None or not encoded.names:
        encoded, name = encode_inputs(subject.test, subject.current), "inputs"
    if not encoded.names:
        gates += (Gate("columns to compare", "failed", "all columns are constant or left out"),)
    if subject.test.unit_count < FEWEST_UNITS:
        words = f"{subject.test.unit_count} units in the reference; {FEWEST_UNITS} are needed"
        gates += (Gate("units can be held out", "failed", words),)
    return encoded, name, gates


def _by_reference(encoded):
    """Columns in deviations of the reference, neither cut nor scaled by rows that stand out: float64 [rows, columns]."""
    values = encoded.values
    reference = values[~encoded.is_current]
    known = np.isfinite(reference).sum(axis=0) > 0
    values, reference = values[:, known], reference[:, known]
    centre, deviation = np.nanmean(reference, axis=0), np.nanstd(reference, axis=0)
    pooled = np.nanstd(values, axis=0)
    scaled = (values - centre) / np.where(deviation > 1e-6 * pooled, deviation, np.maximum(pooled, 1e-300))
    return np.nan_to_num(scaled, nan=0.0, posinf=1e6, neginf=-1e6)


def _tried(subject, reference, units, distances, seed, tries):
    """Whether any row of dealt blocks of the reference is flagged, and whether planted rows among the current ones are."""
    held_out, times = np.flatnonzero(distances.is_held_out), subject.test.times
    order = None if times is None else times[held_out]
    dealt = deal_blocks(units[held_out], order, 0.5, seed=derive_seed(seed, "blocks"), count=tries)
    far = distances.held_out
    null = np.array([flag_rows(conformal_p(far[~run], far[run]), subject.alpha).any() for run in dealt], bool)
    planted = _planted_p(reference, units, distances, seed, tries)
    rest = distances.p
    finds = [flag_rows(np.concatenate([p, rest[min(len(p), len(rest) - 1) :]]))[: len(p)].any() for p in planted]
    return Tries(null, np.array(finds, bool).reshape(len(SIZES), tries))


def _planted_p(reference, units, distances, seed, tries):
    """p of rows of the reference that moved in a random direction, for each size and try: float64 [copies, rows]."""
    rng = np.random.default_rng(derive_seed(seed, "planted"))
    count = int(np.clip(round(PLANTED * len(distances.others)), 1, MOST_PLANTED))
    sizes = np.repeat(SIZES, tries)
    places = rng.choice(np.flatnonzero(distances.is_held_out), (len(sizes), count))
    directions = rng.standard_normal((len(sizes), 1, reference.shape[1]))
    # As far as a row that lies so many deviations out in every column.
    directions *= np.sqrt(reference.shape[1]) / np.linalg.norm(directions, axis=2, keepdims=True)
    moved = reference[places] + MOVED * sizes[:, None, None] * directions
    far = neighbour_distances(reference, units, moved.reshape(-1, reference.shape[1]), seed=derive_seed(seed, "halves"))
    return far.p.reshape(len(sizes), count)


def _clauses(name, flagged, distances, tried):
    words = tried.words(f"{PLANTED:.0%} of rows moved by {MOVED:.0f} deviations")
    count, farther = int(flagged.sum()), int((distances.others > distances.held_out.max(initial=-np.inf)).sum())
    return {
        UNLIKE: f"{count:,} of {len(flagged):,} current rows lie farther from the reference than held-out rows do, by their {name}",
        NONE: f"{farther:,} of {len(flagged):,} current rows lie farther from the reference than all held-out rows, by their {name}, too few to be told from chance; {words}",
    }


def _tables(current, flagged, distances, p, seed):
    """The rows that lie furthest, and the errors among flagged rows and others: dict."""
    order = np.argsort(-distances, kind="stable")
    furthest = [
        {"row": int(row), "distance": float(distances[row]), "p": float(p[row])} for row in order if flagged[row]
    ]
    tables = {"Rows unlike the reference": furthest[:LISTED]} if furthest else {}
    known = current.labelled if current.logits is not None else np.zeros(len(current), bool)
    if known.any():
        groups = (("flagged", flagged & known), ("not flagged", ~flagged & known))
        tables["Errors among them"] = [_errors(current, name, rows, seed) for name, rows in groups if rows.any()]
    return tables


def _errors(current, name, rows, seed):
    errors, units = current.errors[rows], current.units[rows]
    single = len(np.unique(units)) == len(units) and not current.is_regression
    if single:
        interval = wilson_interval(int(errors.sum()), len(errors))
    else:
        interval = group_interval(errors, np.unique(units, return_inverse=True)[1], seed=derive_seed(seed, name))
    return {"name": name, "rows": int(rows.sum()), "error": interval.mean, "low": interval.low, "high": interval.high}


def _unlikeness_rule(family, margins, seed):
    """How many rows stand out, which neither passes nor fails."""
    return [_ruling(evidence) for evidence in family]


def _ruling(evidence):
    flagged = evidence.samples["flagged"]
    finding = UNLIKE if flagged.any() else NONE
    share = wilson_interval(int(flagged.sum()), len(flagged)) if len(flagged) else without_interval()
    return Ruling(
        "INCONCLUSIVE",
        finding,
        share,
        without_interval(),
        without_interval(),
        why=evidence.settings["why"][finding],
        also=tuple(evidence.settings["also"]),
    )


rules.register(
    _unlikeness_rule,
    name="unlikeness",
    about=About(
        "Rows are like the reference",
        "share of rows that stand out",
        {UNLIKE: "{why}", NONE: "{why}"},
        number="current rows",
        similarity="distance to the fifth neighbour in one half of the reference, among distances of the other half; Benjamini-Hochberg at .10",
        sampled=False,
        better="lower",
        counted={"rows": "reference rows", "current": "current rows"},
        cannot="Cannot conclude: that flagged rows are wrong, or that others are right. One flag in ten is expected to be chance.",
    ),
)
