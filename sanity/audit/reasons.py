"""Reasons: the record of one decision, with the reasons that are stable, those that cannot be told apart, and what would turn it.

reason_record(subject, row) -> dict      a person's own; nothing keeps it but whoever asked for it
"""

from dataclasses import asdict

import numpy as np
from scipy.special import expit

from lab.refusal import Refused
from sanity.audit.codes import FEWEST_REFERENCES, STABLE, explain_denied
from sanity.audit.counterfactuals import FOUND, FRAGILE, counterfactuals, levers
from sanity.audit.decisions import decision_rule, just_passed

CANNOT = "Cannot conclude: that a person decided by these reasons, that they are lawful, or that a change would turn a later decision."
# Predictions at most for one row: all coalitions of twelve factors with a hundred reference rows.
MOST = 500_000
# A factor that is a code in so few draws is no rival of the others.
RIVAL = 0.1


def reason_record(subject, row, *, seed=0, recourse=True):
    """The record of one decision in plain values and plain sentences.

    Args:
        subject: `sanity.audit.rows.AuditSubject` with a decision in its sheet.
        row: int, the place of the row in the tested rows.
        seed: int.
        recourse: bool, whether changes that turn a refusal are searched for.

    Returns:
        dict: row, probability, threshold, decision, networks, references, reasons (list of dict), stable (list of str),
            cannot_be_told_apart (list of str), recourse (dict or None), sentences (list of str) and cannot (str).

    Raises:
        Refused: for a row that does not exist, or a sheet without a decision.
    """
    if not 0 <= row < len(subject.test):
        raise Refused(f"A row is a number from 0 to {len(subject.test) - 1}. Received: {row}.")
    rule = decision_rule(subject)
    score = float(rule.scores(subject.test.logits[[row]])[0])
    record = {
        "row": int(row),
        "probability": _probability(score),
        "threshold": _probability(rule.threshold),
        "decision": "granted" if score >= rule.threshold else "refused",
        "networks": 1 + len(subject.networks),
        "references": 0,
        "reasons": [],
        "stable": [],
        "cannot_be_told_apart": [],
        "recourse": None,
    }
    if record["decision"] == "refused":
        record |= _reasons(subject, row, seed)
        if recourse and levers(subject):
            record["recourse"] = asdict(counterfactuals(subject, np.array([row]), seed=seed)[0])
    return record | {"sentences": sentences(record), "cannot": CANNOT}


def _probability(score):
    return float(expit(score))


def _reasons(subject, row, seed):
    """The reasons of a refusal, and which of them cannot be told from others: dict."""
    rule = decision_rule(subject)
    if not just_passed(rule.scores(subject.test.logits), rule.threshold).any():
        return {}
    explained = explain_denied(subject, seed=seed, rows=np.array([row]), most=MOST)
    shares, codes, stable = explained.shares[0], explained.codes[0], explained.stable[0]
    is_settled = len(explained.passed) >= FEWEST_REFERENCES
    order = [place for place in np.argsort(explained.contributions[0], kind="stable") if codes[place]]
    rivals = [
        place
        for place in np.argsort(-shares, kind="stable")
        if shares[place] >= RIVAL and not (stable[place] and is_settled)
    ]
    names = [factor.name for factor in explained.factors]
    return {
        "references": len(explained.passed),
        "reasons": [_reason(subject, explained, row, place) for place in order],
        "stable": [names[place] for place in order if stable[place] and is_settled],
        "cannot_be_told_apart": [names[place] for place in rivals] if (codes & ~stable).any() or not is_settled else [],
    }


def _reason(subject, explained, row, place):
    factor, attributions = explained.factors[place], explained.by_network[0]
    return {
        "factor": factor.name,
        "values": {name: _cell(subject.test, name, row) for name in factor.columns},
        "usual": {name: _usual(subject.test, name, explained.passed) for name in factor.columns},
        "contribution": float(attributions.means[0, place]),
        "error": float(attributions.errors[0, place]),
        "stability": float(explained.shares[0, place]),
        "is_stable": bool(explained.shares[0, place] >= STABLE - 1e-9),
    }


def _cell(rows, name, row):
    """A value of a column in words: str."""
    return _words(rows.column(name), rows.column(name).values[row])


def _usual(rows, name, places):
    """The middle value of a column, or its commonest level, among reference rows: str."""
    column = rows.column(name)
    values = column.values[places][~column.missing[places]]
    if not len(values):
        return "missing"
    if column.is_category:
        return f"mostly {_words(column, np.bincount(values.astype(int)).argmax())}"
    return f"about {_words(column, np.median(values))}"


def _words(column, value):
    if np.isnan(value):
        return "missing"
    return column.levels[int(value)] if column.is_category else f"{value:.4g}"


# Sentences ----------------------------------------------------------------------------------------------------------------


def sentences(record):
    """What a person can be told of a decision.

    Args:
        record: dict, as of `reason_record`.

    Returns:
        list of str, one sentence each.
    """
    lines = [f"The score is {record['probability']:.2f}, and {record['threshold']:.2f} was needed."]
    if record["decision"] == "granted":
        return [*lines, "It was not refused, so that there are no reasons of a refusal."]
    if not record["references"]:
        return [*lines, "No other row just passed, so that no reasons can be given."]
    lines.append(f"It was compared with {record['references']} rows that just passed.")
    reasons = {reason["factor"]: reason for reason in record["reasons"]}
    lines += [_reason_sentence(number, reasons[name]) for number, name in enumerate(record["stable"], 1)]
    if record["references"] < FEWEST_REFERENCES:
        lines.append(f"Fewer than {FEWEST_REFERENCES} rows just passed, so that no reason is settled.")
    elif not record["stable"]:
        lines.append("No reason stays when the compared rows and networks are drawn again.")
    lines += _rival_sentences(record)
    networks = record["networks"]
    scope = (
        f"{networks} networks trained alike" if networks > 1 else "this one network, and not for another trained alike"
    )
    return [*lines, f"This holds for {scope}.", *_recourse_sentences(record["recourse"])]


def _rival_sentences(record):
    names = record["cannot_be_told_apart"]
    if len(names) == 1:
        return [f"{names[0]} is a reason in a part of the draws only."]
    start = "These further reasons" if record["stable"] else "These reasons"
    return [f"{start} cannot be told from each other: {', '.join(names)}."] if names else []


def _reason_sentence(number, reason):
    values = ", ".join(f"{name} is {value}" for name, value in reason["values"].items()) or reason["factor"]
    usual = ", ".join(reason["usual"].values())
    among = f" Among those who just passed it is {usual}." if usual else ""
    return f"Reason {number}: {values}. It stays a reason in {reason['stability']:.0%} of the draws.{among}"


def _recourse_sentences(recourse):
    """What would have turned the decision of this network, which promises nothing."""
    if recourse is None:
        return []
    if recourse["word"] not in (FOUND, FRAGILE):
        return ["NONE FOUND: no change of the columns that can be changed turned the decision."]
    words = "; ".join(
        f"{change['column']} {change['after']} instead of {change['before']}" for change in recourse["changes"]
    )
    lines = [f"{recourse['word']}: this network passes the row with {words}."]
    if recourse["word"] == FRAGILE:
        lines.append("It passes by little, or fails on a network trained alike.")
    if not recourse["is_plausible"]:
        lines.append("Such a row lies farther from the others than real rows do.")
    return [*lines, "A later decision may rest on other data, and may fall otherwise."]
