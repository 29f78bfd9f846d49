"""Group gaps: do rates of decisions and errors differ between groups of a protected column, by more than the margin?

Rates as of Hardt et al. 2016 (https://arxiv.org/abs/1610.02413). Each group is compared with the rest, and the largest gap with the
largest under values that units have exchanged (Westfall, Young 1993). Intervals are Newcombe's
(1998, https://pubmed.ncbi.nlm.nih.gov/9595617/), at a level that holds for all together.
"""

import numpy as np

from sanity.audit.copies import TRIES, Tries
from sanity.audit.gates import answers_gate, trained_gates, units_gate
from sanity.audit.groups import ACCURACY, COST, ERROR, list_groupings, list_metrics, measure_gaps
from sanity.audit.margin import (
    BEYOND,
    NONE,
    TOO_FEW,
    UNCERTAIN,
    WITHIN,
    WORST,
    compare_with_margin,
    margin_evidence,
    margin_words,
    register_margin_rule,
    without_sign,
)
from sanity.audit.small_counts import FEWEST, hidden_counts
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.ruling import About
from sanity.seeds import derive_seed

ALL = "groups of protected columns"
# The margin, and that of a regression in deviations of its error.
DELTA, DELTA_OF_NUMBERS = 0.05, 0.3
# What a gap is counted in, where it is no share.
UNITS = {ERROR: " deviations", COST: " of the dearer error"}
# Fewer rows are not compared.
ROWS = 30


@checks.register(claim="data", question="groups")
def group_gaps(subject, *, seed, draws=999, tries=TRIES):
    """Do selection, error rates, accuracy or the cost of errors differ between groups of a protected column?

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        seed: int.
        draws: int, exchanges of values between units.
        tries: int, null copies, and planted ones of each size.

    Returns:
        list of `Evidence`, one for each rate in each protected column, and in two of them joined.
    """
    rows, decision = subject.test, subject.sheet.decision
    favourable = None if decision is None or rows.is_regression else subject.favourable()
    stated = {} if decision is None else {"threshold": decision.threshold, "costs": decision.costs}
    metrics = list_metrics(rows, favourable, **stated)
    groupings, left_out = list_groupings(rows)
    gates = (_protected_gate(rows), _groups_gate(rows, groupings), _rows_gate(metrics), units_gate(rows))
    gates += (answers_gate(rows), *trained_gates(subject))
    if any(gate.status != "passed" for gate in gates):
        return [Evidence("group_gaps", ALL, subject.title, subject.sizes, {}, gates)]
    delta = DELTA_OF_NUMBERS if rows.is_regression else DELTA
    measured, null = measure_gaps(
        rows,
        metrics,
        groupings,
        draws=draws,
        seed=derive_seed(seed, "gaps"),
        tries=tries,
        delta=delta,
        alpha=subject.alpha,
    )
    settings = {"seed": seed, "draws": draws, "tries": tries, "left_out": left_out}
    return [_evidence(subject, gaps, null, delta, gates, settings, measured) for gaps in measured]


def _protected_gate(rows):
    name = "protected columns"
    if rows.protected:
        return Gate(name, "passed", ", ".join(column.name for column in rows.protected))
    return Gate(name, "not applicable", 'the sheet names none; add roles = ["protected"] to a column')


def _groups_gate(rows, groupings):
    if groupings or not rows.protected:
        return Gate("groups to compare", "passed", f"{len(groupings)} columns")
    return Gate("groups to compare", "failed", "every protected column has one value only")


def _rows_gate(metrics):
    count = max((int(metric.counted.sum()) for metric in metrics), default=0)
    return Gate("rows to compare", "passed" if count >= ROWS else "failed", f"{count} rows; {ROWS} are needed")


def _evidence(subject, gaps, null, delta, gates, settings, measured):
    """What was measured of one rate in the groups of one column: `Evidence`."""
    findings = _findings(gaps, delta, subject.alpha)
    place = _deciding(gaps, findings)
    tried, comparison = Tries(null, gaps.planted), gaps.comparison
    name = comparison.grouping.name
    rates = {"rates": gaps.rates, "gaps": gaps.gaps, "counts": _shown_counts(comparison)}
    return margin_evidence(
        "group_gaps",
        f"{comparison.metric.name} by {name}",
        subject,
        p=float(gaps.p[place]),
        effect=without_sign(gaps.gaps[place]),
        tries=tried,
        delta=delta,
        why=_clauses(gaps, findings, tried, delta, _inputs_of(subject, comparison.grouping.columns), subject),
        units=_shown_units(comparison, place),
        gates=gates,
        samples=rates,
        settings={**settings, "groups": comparison.grouping.names},
        needed=_rows_needed(gaps, place, delta),
        also=_also(gaps, subject),
        tables=_tables(gaps, findings, delta, name, subject, measured, settings["left_out"]),
    )


def _findings(gaps, delta, alpha):
    """What is found of each group: list of str; TOO_FEW for one that is too small to be compared."""
    return [
        compare_with_margin(p, without_sign(row), delta, alpha) if np.isfinite(row).all() else TOO_FEW
        for p, row in zip(gaps.p, gaps.gaps)
    ]


def _deciding(gaps, findings):
    """The group that decides: int, of the worst finding the one with the smallest p, and then with the widest interval."""
    widths = np.nan_to_num(gaps.gaps[:, 2] - gaps.gaps[:, 1], nan=np.inf)
    order = sorted(
        range(len(findings)), key=lambda group: (WORST.index(findings[group]), gaps.p[group], -widths[group])
    )
    return order[0]


def _rows_needed(gaps, place, delta):
    """About how many rows in all would give the deciding group an interval of twice the margin: int, 0 where unknown."""
    count, needed = gaps.comparison.counts[place], gaps.needed(delta)[place]
    return int(np.ceil(gaps.comparison.counts.sum() * needed / max(count, 1))) if needed > count else 0


def _shown_counts(comparison):
    """Rows of each group, 0 where they are so few that they are not shown, or would tell such a number: int [groups]."""
    return np.where(hidden_counts(comparison.counts), 0, comparison.counts)


def _shown_units(comparison, place):
    """Units of a group: int, in tens where they would tell the number of a small group; None for a small group."""
    units = int(comparison.unit_counts[place])
    if _shown_counts(comparison)[place]:
        return units
    return units // FEWEST * FEWEST if comparison.counts[place] >= FEWEST else None


def _inputs_of(subject, names):
    """Those of some columns that the network takes as inputs: list of str."""
    return [name for name in names if name in subject.input_places or "input" in subject.sheet.column(name).roles]


def _clauses(gaps, findings, tried, delta, inputs, subject):
    """The clause of each finding: dict."""
    comparison = gaps.comparison
    unit = UNITS.get(comparison.metric.name, "")
    start = f"{' and '.join(inputs)} is an input of the network. " if inputs else ""
    start += f"The {comparison.metric.name} by {comparison.grouping.name}: "
    names = comparison.grouping.names
    few = _listed(names, [place for place, finding in enumerate(findings) if finding == TOO_FEW])
    beyond = _listed(names, [place for place, finding in enumerate(findings) if finding == BEYOND])
    differ = _listed(names, [place for place, p in enumerate(gaps.p) if p <= subject.alpha])
    planted = tried.words(f"A gap of {delta:.2g}{unit} in {gaps.planted_in}")
    return {
        BEYOND: f"{start}{beyond} differs from the rest by more than {delta:.2g}{unit}",
        UNCERTAIN: f"{start}{differ} differs from the rest; whether by more than {delta:.2g}{unit} is open",
        WITHIN: f"{start}{differ} differs from the rest, by less than {delta:.2g}{unit}",
        NONE: f"{start}no group differs from the rest by more than {delta:.2g}{unit}. {planted}",
        TOO_FEW: f"{start}too few rows for {few or gaps.planted_in}; a gap of {delta:.2g}{unit} is not ruled out. {planted}",
    }


def _listed(names, places):
    """At most three names of groups, and how many more there are: str."""
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return ", ".join(names[place] for place in places[:3]) + more


def _also(gaps, subject):
    """Numbers shown beside, which decide nothing: tuple of (name, text)."""
    words = f"{gaps.range:.3f}; {gaps.range_exchanged:.3f} on average where values are exchanged between groups"
    return (("highest less lowest", words), *_cost_lines(gaps, subject))


def _cost_lines(gaps, subject):
    """What errors cost, or that nobody stated it: tuple of (name, text)."""
    name, decision = gaps.comparison.metric.name, subject.sheet.decision
    if name == COST:
        false_positive, false_negative = decision.costs
        words = f"a false positive {false_positive:g}, a false negative {false_negative:g}; the dearer one is 1 here"
        return (("costs of the sheet", words),)
    if name != ACCURACY or decision is None or decision.costs is not None:
        return ()
    return (("error cost", "not measured, since the sheet states no false_positive_cost and false_negative_cost."),)


def _tables(gaps, findings, delta, name, subject, measured, left_out):
    """What the page shows: dict of title to list of dict."""
    comparison = gaps.comparison
    title = f"{comparison.metric.name} by {name}"
    needed = gaps.needed(delta)
    listed = [
        _row(gaps, place, finding, bool(gaps.is_wide(delta)[place]), int(needed[place]))
        for place, finding in enumerate(findings)
    ]
    tables = {f"Groups: {title}": listed}
    of_name = [other for other in measured if other.comparison.grouping.name == name]
    if gaps is of_name[0]:
        tables[f"Selection, errors and calibration by {name}"] = _together(subject, comparison.grouping, of_name)
    if gaps is measured[0] and left_out:
        tables["Joined columns with groups that are too small"] = [{"columns": pair} for pair in left_out]
    return tables


def _row(gaps, place, finding, is_wide, needed):
    """One group as it is listed: dict; no number of fewer than ten rows."""
    count = int(gaps.comparison.counts[place])
    is_shown, row = bool(_shown_counts(gaps.comparison)[place]), {"group": gaps.comparison.grouping.names[place]}
    rows = f"under {FEWEST}" if count < FEWEST else count if is_shown else "not shown"
    if not np.isfinite(gaps.gaps[place]).all():
        return row | {"rows": rows, "finding": "TOO FEW"}
    rate, gap = gaps.rates[place], gaps.gaps[place]
    words = f"TOO FEW (about {needed:,} rows needed)" if is_wide else ""
    return row | {
        "rows": rows,
        "units": int(gaps.comparison.unit_counts[place]) if is_shown else rows,
        "rate": float(rate[0]),
        "rate low": float(rate[1]),
        "rate high": float(rate[2]),
        "gap": float(gap[0]),
        "gap low": float(gap[1]),
        "gap high": float(gap[2]),
        "p": float(gaps.p[place]),
        "finding": "; ".join(filter(None, [finding, words])),
    }


def _together(subject, grouping, measured):
    """Base rate, each rate and calibration of each group: list of dict, nothing of fewer than ten rows."""
    rows, listed = subject.test, []
    for place, group in enumerate(grouping.names):
        row = {"group": group}
        if grouping.counts[place] >= FEWEST:
            row |= _calibration(subject, rows, grouping.codes == place)
            row |= {part.comparison.metric.name: _shown_rate(part, place) for part in measured}
        listed.append(row)
    return listed


def _shown_rate(gaps, place):
    rate = float(gaps.rates[place, 0])
    return rate if np.isfinite(rate) else None


def _calibration(subject, rows, members):
    """The share of the favourable class in a group, and what the network gives it on average: dict."""
    members = members & rows.labelled
    if subject.sheet.decision is None or rows.is_regression or members.sum() < FEWEST:
        return {}
    place = subject.favourable()
    return {
        "base rate": float((rows.labels[members] == place).mean()),
        "mean probability": float(rows.probabilities[members, place].mean()),
    }


register_margin_rule(
    "group_gaps",
    "GAP",
    About(
        "Rates are alike over groups",
        "gap of the group that decides",
        margin_words("GAP"),
        number="rate of a group less that of the rest",
        similarity="a rate in one group of a protected column less that of all other rows, by Newcombe's interval at a level that holds for all groups, rates and columns together",
        sampled=False,
        better="lower",
        counted={"rows": "rows", "units": "units of the group"},
        cannot="Cannot conclude: that a gap is unjust or lawful, that the labels are right in every group, or anything of groups not in the data. Where base rates differ, equal selection, equal errors and calibration cannot all hold.",
    ),
)
