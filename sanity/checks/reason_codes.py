"""Reason codes: would a refused person be given the same reasons again, against another reference, and do these reasons matter?

Reasons are Shapley values against those who just passed (Merrick, Taly 2020, https://arxiv.org/abs/1909.08128). The first one has to
stay when reference rows are drawn again, and when another network is trained alike. Networks whose inputs have exchanged their
roles agree on nothing, and say what chance gives.
"""

import numpy as np

from lab.refusal import Refused
from sanity.audit.codes import (
    CODES,
    DENIED,
    FEWEST_REFERENCES,
    REFERENCES,
    SETS,
    against_all,
    chance_stays,
    code_count,
    codes_of,
    explain_denied,
    overlap,
    random_sets,
    skill_interval,
    turned_decisions,
)
from sanity.audit.copies import SIZES, TRIES, Tries, would_find
from sanity.audit.counterfactuals import FOUND, FRAGILE, NONE, counterfactuals, levers
from sanity.audit.decisions import decision_rule, just_passed
from sanity.audit.factors import group_factors
from sanity.audit.gates import trained_gates, units_gate
from sanity.audit.margin import FEWEST_UNITS
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.ruling import THIS_NETWORK, TRAINED_ALIKE, About, Ruling, rules
from sanity.seeds import derive_seed
from sanity.statistics import Interval, t_interval, wilson_interval, without_interval

# What the evidence is about, by the sample that decides.
STAYS, OVERLAP, SKILL = "first reason stays", "overlap of references", "skill of codes"
METHODS = {STAYS: "stability of reasons", OVERLAP: "two reference populations", SKILL: "use of reasons"}
# Share of refusals whose first reason stays, overlap of codes between the two populations, and skill.
DELTA, LEAST_SKILL = 0.8, 0.3
# Refusals whose changes are searched for the table.
RECOURSE = 40
# Parts of a column that points of the picture are coloured by.
FIFTHS = 5
# Gap of completeness that is allowed.
GAP = 0.05
STABLE, UNSTABLE = "REASONS STABLE", "REASONS UNSTABLE"
AGREE, DEPEND = "REASONS AGREE ACROSS REFERENCES", "REASONS DEPEND ON THE REFERENCE"
MATTER, IDLE = "REASONS MATTER", "REASONS DO NOT MATTER"
OPEN = "REASONS NOT SETTLED"
FINDINGS = {STAYS: (STABLE, UNSTABLE), OVERLAP: (AGREE, DEPEND), SKILL: (MATTER, IDLE)}


@checks.register(claim="data", question="reasons", families=3)
def reason_codes(subject, *, seed, tries=TRIES, rows=DENIED, references=REFERENCES):
    """Are the reasons of refusals the same when reference rows and networks are drawn again, and do they matter?

    Args:
        subject: `sanity.audit.rows.AuditSubject` of a table, with a decision in its sheet.
        seed: int.
        tries: int, copies of a kind.
        rows: int, refused rows at most, one of each unit.
        references: int, reference rows at most.

    Returns:
        list of `Evidence`: on the stability of reasons, on two reference populations, and on the use of reasons.
    """
    gates = reason_gates(subject)
    if any(gate.status != "passed" for gate in gates):
        return [_evidence(subject, STAYS, {}, gates, {})]
    explained = explain_denied(subject, seed=seed, most_rows=rows, references=references)
    gates += (_completeness_gate(explained),)
    if gates[-1].status != "passed":
        return [_evidence(subject, STAYS, {}, gates, {})]
    settings = {"seed": seed, "tries": tries, "alpha": subject.alpha, "factors": [f.name for f in explained.factors]}
    parts = (_stability, _references, _use)
    evidence = [part(subject, explained, seed=derive_seed(seed, part.__name__), tries=tries) for part in parts]
    tables = {"tables": _tables(subject, explained) | _recourse_table(subject, explained, seed)}
    return [
        _evidence(
            subject,
            name,
            samples | (_points(subject, explained) if name == STAYS else {}),
            (*gates, tried.gate),
            settings | (tables if name == STAYS else {}) | more,
            explained,
        )
        for name, samples, tried, more in evidence
    ]


def _evidence(subject, name, samples, gates, settings, explained=None):
    sizes = dict(subject.sizes)
    if explained is not None:
        count = len(explained.rows)
        sizes = {"rows": count, "units": count, "references": len(explained.passed)}
        sizes["networks"] = len(explained.by_network)
    return Evidence("reason_codes", METHODS[name], subject.title, sizes, samples, gates, settings=settings)


# Gates --------------------------------------------------------------------------------------------------------------------


def reason_gates(subject):
    """Conditions without which no reason can be given: tuple of `Gate`."""
    gates = (_table_gate(subject), _decision_gate(subject))
    if any(gate.status != "passed" for gate in gates):
        return gates
    rule, test = decision_rule(subject), subject.test
    scores = rule.scores(test.logits)
    gates += (_finite_gate(scores),)
    if gates[-1].status != "passed":
        return gates
    gates += (units_gate(test), *trained_gates(subject))
    refused, passed = int((scores < rule.threshold).sum()), int(just_passed(scores, rule.threshold).sum())
    count = len(group_factors(subject))
    return (
        *gates,
        Gate("rows are refused", "passed" if refused else "failed", f"{refused:,} refused rows"),
        Gate("rows just passed", "passed" if passed > 1 else "failed", f"{passed:,} rows just passed"),
        Gate("factors", "passed" if count > 1 else "not applicable", f"{count} factors; two or more can be compared"),
    )


def _table_gate(subject):
    words = "columns of a table are the reasons"
    if subject.kind == "table" and subject.input_places and subject.predict and subject.test.inputs is not None:
        return Gate("a table", "passed", words)
    return Gate(
        "a table", "not applicable", f"{words}. Received: {subject.kind}, or a network that answers nothing new"
    )


def _decision_gate(subject):
    try:
        decision_rule(subject)
    except Refused as refusal:
        return Gate("a decision", "not applicable", str(refusal).rstrip("."))
    return Gate("a decision", "passed", "the sheet states it")


def _finite_gate(scores):
    count = int((~np.isfinite(scores)).sum())
    return Gate("scores are numbers", "failed" if count else "passed", f"{count:,} of {len(scores):,} scores are not")


def _completeness_gate(explained):
    gap = max(float(np.median(attributions.gaps)) for attributions in explained.by_network)
    status = "passed" if gap <= GAP else "failed"
    return Gate("reasons add up", status, f"they miss {gap:.2g} of the difference of the scores")


# What is measured ---------------------------------------------------------------------------------------------------------


def _stability(subject, explained, *, seed, tries):
    """The share of refusals whose first reason stays, and that of networks which agree on nothing."""
    level, stays = 1 - subject.alpha, explained.first_stays.astype("float64")
    chance = chance_stays(subject, explained, tries, seed=derive_seed(seed, "chance")).astype("float64")

    def bounds(values):
        return np.array([_numbers(wilson_interval(row.sum(), len(row), level)) for row in values])

    tried = _tries(stays, chance, bounds, DELTA, seed)
    alone = np.mean(_one_network(explained).first_stays)
    samples = {STAYS: bounds(stays[None])[0], "ceiling": _single(alone), "chance": _single(chance.mean())}
    return STAYS, samples | _copies(tried), tried, {"delta": DELTA}


def _one_network(explained):
    return type(explained)(
        explained.factors,
        explained.rule,
        explained.rows,
        explained.passed,
        explained.by_network[:1],
        explained.units,
        explained.seed,
    )


def _references(subject, explained, *, seed, tries):
    """How many codes are the same against those who just passed and against all rows."""
    level = 1 - subject.alpha
    everyone = codes_of(against_all(subject, explained, seed=derive_seed(seed, "all")))
    shared = overlap(explained.codes, everyone)
    drawn = _one_network(explained).drawn
    again = overlap(drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]).mean(axis=0)
    chance = overlap(random_sets(explained.codes, tries, seed=derive_seed(seed, "sets")), everyone)

    def bounds(values):
        return np.array([_numbers(t_interval(row, level=level)) for row in values])

    tried = _tries(shared, chance, bounds, DELTA, seed)
    overlaps = bounds(np.stack([shared, shared - again, again]))
    samples = dict(zip((OVERLAP, "behind", "ceiling"), overlaps)) | {"chance": _single(chance.mean())}
    return OVERLAP, samples | _copies(tried), tried, {"delta": DELTA}


def _use(subject, explained, *, seed, tries):
    """How many refusals turn when coded factors take values of those who just passed, between chance and the best factors."""
    turned = turned_decisions(subject, explained, seed=derive_seed(seed, "turned"), sets=max(SETS, tries))
    skill = skill_interval(turned, seed=seed, level=1 - subject.alpha)
    chance = turned.random[:tries]

    def bounds(values):
        codes = type(turned)(values, turned.random, turned.ceiling)
        return skill_interval(codes, seed=seed, level=1 - subject.alpha)

    tried = _tries(turned.codes, chance, bounds, LEAST_SKILL, seed)
    samples = {SKILL: skill, "ceiling": _single(1.0), "chance": _single(0.0)} | _copies(tried)
    rates = [
        {"factors": "the coded ones", "decisions turned": float(turned.codes.mean())},
        {"factors": "as many by lot", "decisions turned": float(turned.random.mean())},
        {"factors": "the best by search", "decisions turned": float(turned.ceiling.mean())},
    ]
    return SKILL, samples, tried, {"delta": LEAST_SKILL, "tables": {"Decisions that turn": rates}}


def _tries(values, chance, bounds, delta, seed):
    """What is said of rows whose reasons are chance, and of those of which a part is.

    Args:
        values: float64 [rows].
        chance: float64 [tries, rows], the same numbers where nothing is there.
        bounds: float64 [tries, rows] -> float64 [tries, 3], mean and bounds.
        delta: float, the margin.
        seed: int.

    Returns:
        `Tries`: whether the good finding was given where nothing is there, and whether it was withheld where so many rows are
        chance that their mean falls from 1 by half, once and twice the distance of the margin.
    """
    rng = np.random.default_rng(derive_seed(seed, "rows of chance"))
    level = bounds(chance)[:, 0]
    room = np.maximum(1 - np.where(np.isfinite(level), level, 0), 1e-9)
    planted = []
    for size in SIZES:
        is_chance = rng.random(chance.shape) < (size * (1 - delta) / room)[:, None]
        planted.append(~(bounds(np.where(is_chance, chance, values))[:, 1] > delta))
    return Tries(bounds(chance)[:, 1] > delta, np.array(planted))


def _numbers(interval):
    return np.array([interval.mean, interval.low, interval.high])


def _single(value):
    return np.array([value, np.nan, np.nan], "float64")


def _copies(tried):
    return {"planted": tried.planted, "null": tried.null}


# What is shown ------------------------------------------------------------------------------------------------------------


def _tables(subject, explained):
    codes, stable, count = explained.codes, explained.stable, explained.stable.sum(axis=1)
    firsts = np.bincount(explained.first, minlength=codes.shape[1]) / len(codes)
    order = np.argsort(-codes.mean(axis=0), kind="stable")
    factors = [
        {
            "factor": explained.factors[place].name,
            "columns": ", ".join(explained.factors[place].columns),
            "is a code": float(codes[:, place].mean()),
            "is the first": float(firsts[place]),
            "is a stable code": float(stable[:, place].mean()),
            "mean contribution": float(explained.contributions[:, place].mean()),
            "standard error": float(explained.by_network[0].errors[:, place].mean()),
        }
        for place in order
    ]
    kept = range(code_count(codes.shape[1]) + 1)
    numbers = [{"stable codes": number, "share of refusals": float((count == number).mean())} for number in kept]
    return {"How often each factor is a reason": factors, "Stable reasons of a refusal": numbers}


def _recourse_table(subject, explained, seed):
    """How many refusals changes of the actionable columns turn, and at what cost: dict of one table, or none."""
    if not levers(subject):
        return {}
    results = counterfactuals(subject, explained.rows[:RECOURSE], seed=derive_seed(seed, "recourse"))
    rows = []
    for word in (FOUND, FRAGILE, NONE):
        of_word = [result for result in results if result.word == word]
        row = {"what was found": word.lower(), "refusals": len(of_word)}
        if of_word and word != NONE:
            row["median cost"] = float(np.median([result.cost for result in of_word]))
            row["like real rows"] = float(np.mean([result.is_plausible for result in of_word]))
        rows.append(row | {"margin in log odds": results[0].margin})
    return {"Changes that turn a refusal": rows}


def _points(subject, explained):
    """Contributions, and the fifth that each row's value lies in, of the first column of each factor, for the picture.

    Rows are in another order for each factor, so that no row of the data can be read from them.
    """
    inputs = subject.test.inputs
    firsts = [factor.places[0] for factor in explained.factors]
    ordered = np.sort(inputs[:, firsts], axis=0)
    values = inputs[explained.rows][:, firsts]
    ranks = np.stack([np.searchsorted(column, value) for column, value in zip(ordered.T, values.T)], axis=1)
    fifths = np.minimum(FIFTHS * ranks // len(inputs), FIFTHS - 1) / (FIFTHS - 1)
    rng = np.random.default_rng(derive_seed(explained.seed, "points"))
    order = np.argsort(rng.random(fifths.shape), axis=0)
    points = {"contributions": explained.contributions, "ranks": fifths}
    return {name: np.take_along_axis(values, order, axis=0).astype("float32") for name, values in points.items()}


# The rule -----------------------------------------------------------------------------------------------------------------


def rule(family, margins, seed):
    """The finding of each part by where its interval lies."""
    return [_ruling(evidence) for evidence in family]


def _ruling(evidence):
    samples = evidence.samples
    name = next(name for name in METHODS if name in samples)
    effect, ceiling, chance = (Interval(*map(float, samples[key])) for key in (name, "ceiling", "chance"))
    finding, remedy = _finding(name, effect, evidence)
    outcome = {FINDINGS[name][0]: "PASS", FINDINGS[name][1]: "FAIL"}.get(finding, "INCONCLUSIVE")
    scope = TRAINED_ALIKE if evidence.sizes.get("networks", 1) > 1 else THIS_NETWORK
    return Ruling(
        outcome,
        finding,
        effect,
        ceiling if ceiling.mean == ceiling.mean else without_interval(),
        chance,
        why=_clause(name, evidence),
        remedy=remedy,
        scope=scope if name == STAYS else THIS_NETWORK,
    )


def _finding(name, effect, evidence):
    """The finding and what would settle what is open: (str, str)."""
    good, bad = FINDINGS[name]
    delta = LEAST_SKILL if name == SKILL else DELTA
    if evidence.sizes["units"] < FEWEST_UNITS:
        return OPEN, f"Give at least {FEWEST_UNITS} refused units."
    if evidence.sizes.get("references", REFERENCES) < FEWEST_REFERENCES:
        return OPEN, f"Give so many rows that {FEWEST_REFERENCES} just passed."
    if effect.low > delta and would_find(evidence.samples["planted"]):
        return good, ""
    # Populations differ only where two draws of one population agree more than the two do.
    if effect.high < delta and (name != OVERLAP or evidence.samples["behind"][2] < 0):
        return bad, ""
    return OPEN, "More refused rows, or more rows that just passed, may settle it."


def _clause(name, evidence):
    rows = evidence.sizes["rows"]
    mean = float(evidence.samples[name][0])
    if name == STAYS:
        return f"the first reason of {mean:.0%} of {rows:,} refusals stays among the codes in nine of ten draws"
    if name == OVERLAP:
        return f"reasons against rows that just passed and against all rows are the same to {mean:.0%}"
    if np.isnan(mean):
        return "the best factors turn hardly more refusals than factors by lot do"
    return f"coded factors turn refusals with a skill of {mean:.2f}, between chance at 0 and the best factors at 1"


rules.register(
    rule,
    name="reason_codes",
    about=About(
        "Gives stable reasons",
        "measured",
        dict.fromkeys((STABLE, UNSTABLE, AGREE, DEPEND, MATTER, IDLE, OPEN), "{why}"),
        number="share",
        similarity=f"of stability the share of refusals whose first reason is among the {CODES} codes in .9 of 20 draws; of references the overlap of codes; of use the skill of codes",
        ceiling="most that can be reached",
        null="chance",
        sampled=False,
        better="higher",
        counted={"rows": "refused rows", "references": "reference rows", "networks": "networks"},
        cannot="Cannot conclude: that a person decided by these reasons, that the reasons are lawful, or that changing them changes anything outside the network.",
    ),
)
