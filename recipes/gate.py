"""Gate: the outcomes with which a command ends in exit code 1, as --fail-on names them."""

from lab.refusal import Refused
from recipes.changes import change_words, scope_reason
from recipes.claims import HOMES
from recipes.errors import Gated
from recipes.rows import UNJUDGED


def refuse_shortfall(result, fail_on):
    """Refuse a run where a method, controls apart, fell short, or where a control shows that the check is broken.

    Args:
        result: `recipes.run.Run`.
        fail_on: "fail", "inconclusive", "worse" (than in the baseline), or None, which refuses nothing.

    Raises:
        Gated: for the first that fell short.
    """
    if not fail_on:
        return
    if fail_on == "worse":
        _gate_broken(result.families)
        _gate_worse(result.changes)
        return
    bad = {"fail": ("FAIL", "INVALID"), "inconclusive": ("FAIL", "INVALID", "INCONCLUSIVE")}[fail_on]
    for name, family in result.families.items():
        short = [
            verdict["method"]
            for verdict in family["verdicts"]
            if verdict["method"] not in family["blind"]
            and verdict["outcome"] in bad
            and verdict["finding"] not in UNJUDGED
        ]
        _gate_broken({name: family})
        if short:
            raise Gated(f"{name}: {', '.join(short)} fell short of --fail-on {fail_on}")
    unjudged = _unjudged_methods(result.families)
    if unjudged:
        raise Gated(f"{', '.join(unjudged)}: no check applied, or all were refused, so that nothing was learned")


def _gate_broken(families):
    for name, family in families.items():
        broken = [control["control"] for control in family["controls"] if not control["held"]]
        if broken:
            raise Gated(f"{name}: the check is broken, control {broken[0]}")


def _gate_worse(comparison):
    """Raise Gated where a verdict is worse than in the baseline, and where none could be compared."""
    methods = [row for row in comparison["rows"] if not row["control"]]
    worse = [row for row in methods if row["change"] == "worse" or _lost_by_scope(row)]
    if worse:
        words = "; ".join(f"{row['method']} {row['check']}: {change_words(row)}" for row in worse)
        raise Gated(f"worse than in the baseline: {words}")
    judged = [row for row in methods if _is_judged(row["first"]) or _is_judged(row["second"])]
    if all(row["change"] in ("not comparable", "new", "no longer asked") for row in judged):
        reason = next((row["reason"] for row in judged if row["reason"]), "no method and check is judged in both runs")
        raise Gated(f"no verdict can be compared with the baseline: {reason}")


def _lost_by_scope(row):
    """Whether a PASS is one no longer, and nothing but what the verdicts are about keeps them from being compared: bool."""
    lost = row["change"] == "not comparable" and row["first"]["outcome"] == "PASS" != row["second"]["outcome"]
    return lost and row["reason"] == scope_reason(row["first"], row["second"])


def _is_judged(verdict):
    return verdict is not None and verdict["finding"] not in UNJUDGED


def _unjudged_methods(families):
    """Methods, controls apart, without any verdict: no check applied, or the method refused. They may not pass a gate.

    What an audit asks of data is one method: its questions speak of different things, and some do not apply. Of shortcuts each
    question is one, since a network that was named and not asked would pass beside a view that was judged.
    """
    findings = [
        (_asked_in(name, family) or verdict["method"], verdict["finding"])
        for name, family in families.items()
        for verdict in family["verdicts"]
        if verdict["method"] not in family["blind"]
    ]
    judged = {method for method, finding in findings if finding not in UNJUDGED}
    return sorted({method for method, _ in findings} - judged)


def _asked_in(name, family):
    """What asked a question of data, in words: str, "" for other claims."""
    if family.get("claim") != "data":
        return ""
    return name if HOMES.get(name.partition("-")[2]) == "shortcuts" else "the audit"


def refuse_idle_gate(recipe, fail_on):
    """Refuse a gate that nothing could fail.

    Args:
        recipe: `Recipe`.
        fail_on: "fail", "inconclusive", "worse", or None.

    Raises:
        Refused: where a gate is set, and the recipe leads to no verdict.
    """
    from recipes.sections import in_order

    if fail_on == "worse" and not recipe.baseline:
        raise Refused("--fail-on worse compares with an earlier run. Received: no --baseline RUN.")
    if fail_on and not any(section.judges(recipe) for section in in_order() if section.tables(recipe)):
        names = ", ".join(check.check for check in recipe.check) or "no check"
        raise Refused(f"--fail-on needs a check with verdicts. Received: {names}, of which there is no verdict.")
