"""Decodable: does a layer say more of a protected column than the legitimate columns do?

A probe is compared with the same probe of a column that is drawn anew from P(A | L), as of the conditional randomization test of
Candes et al. 2018 (https://arxiv.org/abs/1610.02351). What follows from the legitimate columns alone is in both.
"""

from dataclasses import replace

import numpy as np

from sanity.audit.copies import TRIES, would_find
from sanity.audit.decoding import Problem
from sanity.audit.gates import trained_gates, units_gate
from sanity.audit.legitimate import ROWS, design, list_contrasts, odds_gate, smaller_side
from sanity.audit.margin import FEWEST_UNITS, TOO_FEW, evidence_ruling, margin_evidence
from sanity.audit.swaps import sample_units
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.ruling import About, rules
from sanity.seeds import derive_seed
from sanity.statistics import exchange_p
from sanity.threads import in_threads

ALL = "protected columns"
# The margin, in area under the ROC curve, and how often the column is drawn anew.
DELTA, DRAWS = 0.05, 199
# Rows that probes look at, drawn by unit, and how many times the rows that a side needs are left of a small one that shares units.
MOST, FEW_SIDES = 10_000, 4
ENCODED, NOT_DECODABLE = "ENCODED BEYOND LEGITIMATE", "NOT DECODABLE BEYOND LEGITIMATE"
# Untrained networks whose layer is shown beside.
UNTRAINED = 3


@checks.register(claim="data", question="proxies", untrained=UNTRAINED, descriptors=True)
def decodable(subject, *, seed, draws=DRAWS, tries=TRIES):
    """Can a protected column be told from the activations better than from the legitimate columns?

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        seed: int.
        draws: int, how often the column is drawn anew from P(A | L).
        tries: int, null copies, and planted ones of each size.

    Returns:
        list of `Evidence`, one for each group of a protected column against the rest.
    """
    rows = subject.test
    gates = (*sheet_gates(subject), _features_gate(rows))
    contrasts, few = all_contrasts(rows)
    gates += (contrasts_gate(rows, contrasts),)
    if any(gate.status != "passed" for gate in gates):
        return [Evidence("decodable", ALL, subject.title, subject.sizes, {}, gates)]
    problems = [
        Problem(
            contrast,
            rows,
            design(rows.take(contrast.places), legitimate_names(subject, contrast.column)),
            seed=derive_seed(seed, "decoded", number),
        )
        for number, contrast in enumerate(_drawn(contrast, rows.units, seed) for contrast in contrasts)
    ]
    decoded = in_threads(lambda problem: problem.decode(draws), problems)
    p = exchange_p(np.array([part.areas for part in decoded]))
    options = {"seed": seed, "draws": draws, "tries": tries, "left_out": few}

    def evidence(part):
        return _evidence(subject, *part, gates, options, len(problems))

    return in_threads(evidence, zip(problems, decoded, p))


def _drawn(contrast, units, seed):
    """The contrast on rows that probes look at, drawn by unit; all where they are not too many.

    Where each unit is on one side, a small side is kept whole: what a probe can say rests on it. Units with rows on both sides are
    kept whole, or their rows would differ between the sides; where a side is small there are more of them, so that about as many
    rows of it are left as a contrast needs.
    """
    sides, units = _sides(contrast), units[contrast.places]
    if len(units) <= MOST:
        return contrast
    seed = derive_seed(seed, "probed")
    fewest = min(map(len, sides))
    if np.intersect1d(*(units[side] for side in sides)).size:
        kept = sample_units(units, seed=seed, rows=max(MOST, int(np.ceil(FEW_SIDES * ROWS * len(units) / fewest))))
    else:
        most = max(MOST // 2, MOST - fewest)
        kept = np.sort(np.concatenate([side[sample_units(units[side], seed=seed, rows=most)] for side in sides]))
    return replace(contrast, places=contrast.places[kept], members=contrast.members[kept])


def _sides(contrast):
    """Rows outside and inside the group: list of int [rows]."""
    return [np.flatnonzero(contrast.members == side) for side in (0, 1)]


def all_contrasts(rows):
    """Groups of all protected columns against the rest.

    Args:
        rows: `Rows`.

    Returns:
        list of `sanity.audit.legitimate.Contrast`, and list of str, groups with too few rows.
    """
    listed = [list_contrasts(column) for column in rows.protected if (~column.missing).any()]
    return [contrast for large, _ in listed for contrast in large], [name for _, few in listed for name in few]


def few_table(names):
    """Groups that have too few rows to be compared, as the page lists them: dict.

    Args:
        names: list of str.
    """
    return {"Groups with too few rows to be compared": [{"group": name} for name in names]} if names else {}


def legitimate_names(subject, column):
    """Legitimate columns that the rows have, but for the protected one that is asked about.

    Args:
        subject: `AuditSubject`.
        column: str, the protected column.

    Returns:
        list of str.
    """
    known = {other.name for other in (*subject.test.columns, *subject.test.protected)} - {column}
    return [name for name in subject.sheet.with_role("legitimate") if name in known]


def sheet_gates(subject):
    """The sheet must name protected and legitimate columns, and rows must be units and no training rows: tuple of `Gate`.

    Args:
        subject: `AuditSubject`.
    """
    roles = tuple(_role_gate(subject, role) for role in ("protected", "legitimate"))
    return (*roles, units_gate(subject.test), *trained_gates(subject))


def _role_gate(subject, role):
    is_protected = role == "protected"
    names = [column.name for column in subject.test.protected] if is_protected else legitimate_names(subject, "")
    if names:
        return Gate(f"{role} columns", "passed", ", ".join(names))
    return Gate(f"{role} columns", "not applicable", f'the sheet names none; add roles = ["{role}"] to a column')


def contrasts_gate(rows, contrasts):
    """There must be groups that are large enough on both sides.

    Args:
        rows: `Rows`.
        contrasts: list of `sanity.audit.legitimate.Contrast`.

    Returns:
        `Gate`.
    """
    enough = bool(contrasts) and rows.unit_count >= FEWEST_UNITS
    words = (
        f"{len(contrasts)} groups with 30 rows on either side, in {rows.unit_count} units; {FEWEST_UNITS} are needed"
    )
    return Gate("groups to compare", "passed" if enough or not rows.protected else "failed", words)


def _features_gate(rows):
    if rows.features is None:
        return Gate("activations", "not applicable", "none were given; name a layer")
    finite = np.isfinite(rows.features).all()
    return Gate("activations", "passed" if finite else "failed", f"{rows.features.shape[1]} channels, finite: {finite}")


def _evidence(subject, problem, decoded, p, gates, options, family):
    """What was measured of one contrast: `Evidence`."""
    odds = odds_gate(
        problem.features, problem.contrast.members, problem.odds, problem.fitted, seed=derive_seed(problem.seed, "odds")
    )
    tried = problem.copies(float(decoded.areas[1:].mean()), DELTA, subject.alpha / family, options["tries"])
    contrast, effect = problem.contrast, decoded.excess
    evidence = margin_evidence(
        "decodable",
        contrast.name,
        subject,
        p=float(p),
        effect=effect,
        tries=tried,
        delta=DELTA,
        why=_clauses(subject, contrast, tried),
        units=smaller_side(problem.contrast.members, problem.units),
        gates=(*gates, odds),
        samples={"areas": decoded.areas},
        settings=options,
        needed=_needed(subject, contrast, effect),
        also=(*_also(decoded), *_counted(subject, contrast)),
        tables={f"How well {contrast.name} is told": _listed(decoded), **few_table(options["left_out"])},
    )
    return replace(evidence, sizes={**evidence.sizes, "rows": len(contrast.places)})


def _needed(subject, contrast, effect):
    """About how many rows would settle what is open: int, or None where probes do not look at more of them."""
    known = _known(subject, contrast)
    if len(contrast.places) < known and min(map(len, _sides(contrast))) >= MOST // 2 - MOST // 100:
        return None
    return int(np.ceil(known * ((effect.high - effect.mean) / (0.4 * DELTA)) ** 2))


def _known(subject, contrast):
    """Rows whose protected column is known: int."""
    return int((~subject.test.column(contrast.column).missing).sum())


def inputs_among(subject, column):
    """What is said first where a protected column is an input.

    Args:
        subject: `AuditSubject`.
        column: str.

    Returns:
        str, "" where it is none.
    """
    is_input = column in subject.input_places or "input" in subject.sheet.column(column).roles
    return f"{column} is an input of the network. " if is_input else ""


def _clauses(subject, contrast, tried):
    start, names = inputs_among(subject, contrast.column), legitimate_names(subject, contrast.column)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    listed = ", ".join(names[:3]) + more if names else "nothing"
    planted = tried.words(f"A channel that raises the area by {DELTA:.2g}")
    return {
        ENCODED: f"{start}The layer tells {contrast.name} better than {listed} would. Whether it is used is another question",
        NOT_DECODABLE: f"{start}The layer tells {contrast.name} no better than {listed} would. {planted}",
        TOO_FEW: f"{start}Whether the layer tells {contrast.name} better than {listed} would is open. {planted}",
    }


def _also(decoded):
    areas = [
        ("layer", decoded.layer),
        ("column drawn anew", decoded.redrawn),
        ("legitimate columns alone", decoded.legitimate),
        ("untrained networks", decoded.untrained[:, 0].mean() if len(decoded.untrained) else np.nan),
        ("inputs", decoded.inputs),
        ("chance", 0.5),
    ]
    words = "; ".join(f"{name} {area:.2f}" for name, area in areas if np.isfinite(area))
    return (("area under the ROC curve", words), ("beside untrained networks", _untrained_words(decoded)))


def _untrained_words(decoded):
    """How far the layer is ahead of untrained networks, in words that decide nothing: str."""
    lead, count = decoded.lead, len(decoded.untrained)
    if not count:
        return "none was asked, or none gave finite numbers. A layer that tells the column need not have learned it."
    if not np.isfinite(lead.low):
        return f"too few units to compare with {count} untrained networks."
    if lead.low > 0:
        finding = "the layer says more than they do"
    else:
        finding = "the layer says less than they do" if lead.high < 0 else "the layer may say no more than they do"
    return (
        f"{finding}, {lead.mean:+.2f} [{lead.low:+.2f}, {lead.high:+.2f}] for {count} networks. This decides nothing."
    )


def _counted(subject, contrast):
    """How many rows probes look at, where these are not all."""
    known = _known(subject, contrast)
    if len(contrast.places) == known:
        return ()
    inside = len(_sides(contrast)[1])
    return (("rows of the probes", f"{len(contrast.places):,} of {known:,}, drawn by unit, {inside:,} in the group"),)


def _listed(decoded):
    """What is shown beside the layer, which decides nothing: list of dict."""
    rows = [
        ("layer without what legitimate columns say of it", decoded.areas[0]),
        ("the same, column drawn anew", decoded.areas[1:].mean()),
        ("layer", decoded.layer),
        ("layer, column drawn anew", decoded.redrawn),
        ("legitimate columns alone", decoded.legitimate),
        ("inputs", decoded.inputs),
        *((f"untrained network {number}", area) for number, area in enumerate(decoded.untrained[:, 0], 1)),
        *(
            (f"untrained network {number} without what legitimate columns say of it", area)
            for number, area in enumerate(decoded.untrained[:, 1], 1)
        ),
        ("random labels of clusters of inputs, from the layer", decoded.control),
        ("chance", 0.5),
    ]
    return [{"told from": name, "area": float(area)} for name, area in rows if np.isfinite(area)]


def _decide(evidence):
    """ENCODED, NOT_DECODABLE or TOO_FEW: str."""
    samples, settings = evidence.samples, evidence.settings
    if samples["p"][0] <= settings["alpha"]:
        return ENCODED
    settled = samples["effect"][2] < settings["delta"] and would_find(samples["planted"])
    return NOT_DECODABLE if settled and evidence.sizes["units"] >= FEWEST_UNITS else TOO_FEW


def _ruling(evidence):
    finding = _decide(evidence)
    needed = evidence.settings.get("needed")
    remedy = f"About {needed:,} rows would settle it." if finding == TOO_FEW and needed else ""
    return evidence_ruling(evidence, "PASS" if finding == NOT_DECODABLE else "INCONCLUSIVE", finding, remedy=remedy)


@rules.register(
    name="decodable",
    about=About(
        "Says no more of a protected column than legitimate ones do",
        "area above that of a column drawn anew",
        dict.fromkeys((ENCODED, NOT_DECODABLE, TOO_FEW), "{why}"),
        number="area under the ROC curve",
        similarity="area under the ROC curve of a ridge probe, fitted on one half of the units to activations without what the legitimate columns say of them, of the column less that of columns drawn from P(A | L), with 1.96 deviations of the latter",
        sampled=False,
        better="lower",
        counted={"rows": "rows", "units": "units on the smaller side"},
        cannot="Cannot conclude: that the network uses it, or that the legitimate columns are rightly called so. A probe of another kind may tell more.",
    ),
)
def decodable_rule(family, margins, seed):
    """A p of the true column among redrawn ones, and else an interval below the margin with planted channels found.

    Args:
        family: list of `Evidence`.
        margins: `sanity.ruling.Margins`, which are not used.
        seed: int, which is not used.

    Returns:
        list of `Ruling`.
    """
    return [_ruling(evidence) for evidence in family]
