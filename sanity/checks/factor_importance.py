"""Factor importance: does a factor decide few rows that no ranking over all rows shows, and which factors are of use?

Four numbers of each factor stand beside each other: how far it moves scores, what the loss loses without it, how often it comes
first, and how many of the rows that it affects it decides.
"""

import numpy as np

from sanity.audit.attributions import attribute
from sanity.audit.copies import TRIES, Tries, would_find
from sanity.audit.decisions import decision_rule, draw_rows
from sanity.audit.effects import accumulated_effects, hide_ends, partial_dependence
from sanity.audit.factors import group_factors
from sanity.audit.importance import (
    DECISIVE,
    FEWEST,
    RARE,
    affected_rows,
    decisive_share,
    is_rare_and_decisive,
    loss_importance,
    partner_strata,
    turn_shares,
)
from sanity.audit.margin import TOO_FEW
from sanity.audit.plausibility import neighbourhood
from sanity.checks import checks
from sanity.checks.reason_codes import reason_gates
from sanity.evidence import Evidence, Gate
from sanity.ruling import About, Ruling, rules
from sanity.seeds import derive_seed
from sanity.statistics import Interval, without_interval

ALL = "factors"
# Rows that are looked at, reference rows, and predictions of their contributions at most.
ROWS, REFERENCES, MOST = 2000, 20, 1_500_000
# Share of rows with a planted flag, and shares of them that a flag of half, once and twice the size decides.
FLAGGED, DECIDED = 0.03, (0.3, 0.6, 0.9)
RARE_FOUND, NONE_RARE = "RARE BUT DECISIVE", "NO RARE DECISIVE FACTOR"
# Columns whose effects are shown.
SHOWN = 8


@checks.register(claim="data", question="reasons")
def factor_importance(subject, *, seed, draws=999, tries=TRIES, rows=ROWS):
    """Which factors move scores, which are of use, and does one decide few rows that no ranking over all rows shows?

    Args:
        subject: `sanity.audit.rows.AuditSubject` of a table, with a decision in its sheet.
        seed: int.
        draws: int, of signs of units.
        tries: int, copies of a kind.
        rows: int, rows at most, drawn by unit.

    Returns:
        list of one `Evidence`.
    """
    gates = reason_gates(subject)
    if any(gate.status != "passed" for gate in gates):
        return [Evidence("factor_importance", ALL, subject.title, subject.sizes, {}, gates)]
    kept = draw_rows(subject.test.units, np.ones(len(subject.test), bool), rows, seed=derive_seed(seed, "rows"))
    test, rule, factors = subject.test.take(kept), decision_rule(subject), group_factors(subject)
    score = rule.scorer(subject.predict)
    contributions = _contributions(score, test, factors, seed)
    turned = turn_shares(score, rule.threshold, test.inputs, factors, seed=derive_seed(seed, "turned"))
    affected = affected_rows(contributions)
    level = 1 - subject.alpha
    shares = np.array([decisive_share(*columns, test.units, level) for columns in zip(affected.T, turned.T)])
    tried = _try_flags(rule.scores(test.logits), rule.threshold, test.units, seed, tries, level)
    effects, numbers = _effects(score, test, subject, contributions, factors, seed, level)
    settings = {"seed": seed, "draws": draws, "tries": tries, "alpha": subject.alpha}
    settings |= {"factors": [factor.name for factor in factors], "effects": numbers}
    table = _rows(subject, test, factors, contributions, turned, affected, shares, seed, draws)
    settings["tables"] = {"What each factor does": table}
    samples = {"affected": affected.sum(axis=0), "decisive": shares, "planted": tried.planted, "null": tried.null}
    sizes = {"rows": len(test), "units": test.unit_count}
    return [
        Evidence(
            "factor_importance",
            ALL,
            subject.title,
            sizes,
            samples | effects,
            (*gates, tried.gate, _partners_gate(test, factors)),
            settings=settings,
        )
    ]


def _partners_gate(test, factors):
    count = int(partner_strata(test, factors)[1].sum())
    return Gate("factors go together", "passed", f"{count} of {len(factors)} factors go with another one")


def _contributions(score, test, factors, seed):
    """Contributions of every row against some of all rows: float64 [rows, factors]."""
    references = draw_rows(test.units, np.ones(len(test), bool), REFERENCES, seed=derive_seed(seed, "references"))
    return attribute(
        score, test.inputs, test.inputs[references], factors, seed=derive_seed(seed, "contributions"), most=MOST
    ).means


def _rows(subject, test, factors, contributions, turned, affected, shares, seed, draws):
    """What each factor does: list of dict, the largest mean contribution first."""
    losses, within = _losses(subject, test, factors, seed, draws)
    sizes, rows = np.abs(contributions), []
    firsts = np.bincount(sizes.argmax(axis=1), minlength=len(factors)) / len(sizes)
    for place in np.argsort(-sizes.mean(axis=0), kind="stable"):
        row = {
            "factor": factors[place].name,
            "mean contribution": float(sizes[:, place].mean()),
            "99th percentile": float(np.quantile(sizes[:, place], 0.99)),
            "comes first": float(firsts[place]),
        }
        row |= _loss_columns(losses, within, place)
        row |= {
            "decisions turned": float(turned[:, place].mean()),
            "rows affected": int(affected[:, place].sum()),
            "decided of these": float(shares[place, 0]),
            "from": float(shares[place, 1]),
            "to": float(shares[place, 2]),
        }
        rows.append(row)
    return rows


def _losses(subject, test, factors, seed, draws):
    """Rises of the loss, exchanged among all units and among units that are alike in partners: two `Losses`, or None."""
    labelled = test.take(test.labelled)
    if len(labelled) < FEWEST or labelled.unit_count < 2:
        return None, None
    strata, has_partners = partner_strata(labelled, factors)
    options = {"draws": draws, "alpha": subject.alpha, "seed": derive_seed(seed, "losses")}
    losses = loss_importance(subject.predict, labelled, factors, **options)
    if not has_partners.any():
        return losses, losses
    return losses, loss_importance(subject.predict, labelled, factors, strata=strata, **options)


def _loss_columns(losses, within, place):
    if losses is None:
        return {"use": "not measured: rows have no labels"}
    interval = Interval(losses.rise[place], losses.low[place], losses.high[place])
    return {
        "rise of the loss": f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]",
        "rise among alike rows": f"{within.rise[place]:.3f} [{within.low[place]:.3f}, {within.high[place]:.3f}]",
        "p": float(losses.p[place]),
        "use": "of use" if interval.low > 0 else "no use found",
    }


def _try_flags(scores, threshold, units, seed, tries, level):
    """Flags on few units that are put into the score: of a share of decisions at the margin, and of larger ones.

    Returns:
        `Tries`: whether flags at the margin alarm, and whether larger ones are found.
    """
    passes = scores >= threshold
    common = passes if passes.mean() >= 0.5 else ~passes
    rooms = np.abs(scores - threshold)

    def is_found(share, number):
        rows = _flagged(units, common, derive_seed(seed, f"flag {share}", number))
        size = np.quantile(rooms[common], share) if common.any() else 0.0
        decided = decisive_share(rows, (rooms < size).astype("float64"), units, level)
        return is_rare_and_decisive(rows.mean(), rows.sum(), decided[1])

    null = np.array([is_found(DECISIVE, number) for number in range(tries)])
    return Tries(null, np.array([[is_found(share, tries + number) for number in range(tries)] for share in DECIDED]))


def _flagged(units, common, seed):
    """Rows of units drawn by lot until a share of all rows is flagged: bool [rows]."""
    rows = np.zeros(len(units), bool)
    rows[draw_rows(units, common, max(FEWEST + 5, int(FLAGGED * len(units))), seed=seed)] = True
    return rows


def _effects(score, test, subject, contributions, factors, seed, level):
    """Effects of numeric columns of the leading factors, for the picture: dict of arrays, list of dict."""
    samples, numbers = {}, []
    neighbours = neighbourhood(test.inputs, test.units, seed=derive_seed(seed, "neighbours"))
    order = np.argsort(-np.abs(contributions).mean(axis=0), kind="stable")
    names = [name for place in order for name in factors[place].columns if _is_number(subject, test, name)]
    for number, name in enumerate(names[:SHOWN]):
        place = subject.input_places[name][0]
        effect = accumulated_effects(score, test.inputs, place, test.units, seed=seed, level=level)
        effect = None if effect is None else hide_ends(effect, test.inputs[:, place])
        if effect is None or len(effect.values) < 2:
            continue
        dependence = partial_dependence(score, test.inputs, place, effect.values, neighbours, seed=seed)
        mean = dependence.rows.mean(axis=0) if dependence.is_drawn else np.full(len(effect.values), np.nan)
        rows = [effect.values, effect.effects, effect.low, effect.high, mean - np.mean(mean)]
        samples[f"effect/{number}"] = np.stack(rows)
        numbers.append({"column": name, "sample": f"effect/{number}", "far": dependence.far})
    return samples, numbers


def _is_number(subject, test, name):
    return len(subject.input_places[name]) == 1 and not test.column(name).is_category


# The rule -----------------------------------------------------------------------------------------------------------------


def rule(family, margins, seed):
    """RARE BUT DECISIVE where a factor affects few rows and decides them; none only where planted flags were found."""
    return [_ruling(evidence) for evidence in family]


def _ruling(evidence):
    samples, rows = evidence.samples, evidence.sizes["rows"]
    names = evidence.settings.get("factors") or [f"factor {place + 1}" for place in range(len(samples["affected"]))]
    rare = [
        place
        for place, count in enumerate(samples["affected"])
        if is_rare_and_decisive(count / rows, count, samples["decisive"][place, 1])
    ]
    if rare:
        place = max(rare, key=lambda place: samples["decisive"][place, 0])
        interval = Interval(*map(float, samples["decisive"][place]))
        words = f"{_listed([names[place] for place in rare])} decides many of the few rows that it affects"
        return Ruling("INCONCLUSIVE", RARE_FOUND, interval, why=words, remedy="Look at these rows one by one.")
    planted = samples["planted"]
    words = f"a flag on {FLAGGED:.0%} of the rows would have been found in {int(planted[1].sum())} of {planted.shape[1]} tries"
    if would_find(planted):
        return Ruling("PASS", NONE_RARE, without_interval(), why=f"no factor decides only few rows; {words}")
    remedy = f"Give at least {int(FEWEST / RARE * 2):,} rows."
    return Ruling("INCONCLUSIVE", TOO_FEW, without_interval(), why=f"no such factor stands out; {words}", remedy=remedy)


def _listed(names):
    return names[0] if len(names) == 1 else f"each of {len(names)} factors, such as {names[0]},"


rules.register(
    rule,
    name="factor_importance",
    about=About(
        "Has no rare decisive factor",
        "share of affected rows that it decides",
        dict.fromkeys((RARE_FOUND, NONE_RARE, TOO_FEW), "{why}"),
        similarity="the share of rows that a factor affects whose decision mostly turns when the factor is drawn again from other rows",
        sampled=False,
        better="lower",
        counted={"rows": "rows", "units": "units"},
        cannot="Cannot conclude: that a factor without a rise of the loss is unused, since others may stand in for it, or what happens outside these rows.",
    ),
)
