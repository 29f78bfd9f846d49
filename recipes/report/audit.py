"""Audit: the answers to the questions of an audit as the page shows them: a card for each, with what would have been found."""

import importlib
import importlib.util
import json

import numpy as np

from lab.registry import summary
from recipes.evidence import load_rows
from recipes.report import figures
from recipes.report.cards import card_id, finding_words
from recipes.report.findings import plain_words
from recipes.rows import UNJUDGED
from recipes.words import count_noun
from sanity.audit.copies import SIZES
from sanity.audit.questions import QUESTIONS, checks_of, count_tests
from sanity.audit.small_counts import FEWEST
from sanity.checks import checks
from sanity.ruling import rules

SETS = ("test", "train", "current")
HEADINGS = {
    "reasons": "Can single decisions be explained?",
    "failures": "Where does it fail?",
    "shift": "Have the inputs changed, and does it matter?",
    "proxies": "Do columns stand in for a protected one?",
    "groups": "How are groups treated?",
    "simpler": "Would something simpler do as well?",
    "record": "What goes on record?",
}
# Columns of tables that hold counts of rows or units.
COUNTS = ("rows", "units", "n", "count", "cases")
OUTCOMES = ("FAIL", "INVALID", "INCONCLUSIVE", "PASS")


def collect_audit(families, about, problems, jobs, store):
    """The audit of a run, for the page.

    Args:
        families: dict of family to dict, as in verdicts.json.
        about: dict, what is known of the rows.
        problems: list of str, what is wrong with the record.
        jobs: list of `Job` that are done.
        store: `Store` of the run.

    Returns:
        dict.
    """
    evidence = {
        (job.judged_in, row.method): row
        for job in jobs
        if job.judged_in in families
        for row in load_rows(store, job.key)
    }
    cards = [
        _card(name, verdict, evidence.get((name, verdict["method"])))
        for name, family in families.items()
        for verdict in family["verdicts"]
    ]
    questions = [_question(name, cards) for name in QUESTIONS if name in about["questions"] and name != "record"]
    return {
        "about": about,
        "questions": questions,
        "sizes": [_size_words(name, about["sets"][name]) for name in SETS if name in about["sets"]],
        "alarm": 1 - (1 - about["alpha"]) ** count_tests([question["name"] for question in questions]),
        "record": "jobs/audit/record" if store.exists("audit/record") else "",
        "problems": problems,
        "lacking": [(HEADINGS[name], about["lacking"][name]) for name in QUESTIONS if name in about["lacking"]],
        "sentences": _summary(questions, about),
    }


def _size_words(name, size):
    return f"{count_noun(size['rows'], 'row')} {'of the later time' if name == 'current' else f'to {name}'}, {count_noun(size['units'], 'unit')}"


def _question(name, cards):
    answers = [card for card in cards if card["check"] in checks_of(name)]
    worst = next(
        (outcome for outcome in OUTCOMES if any(card["outcome"] == outcome and card["judged"] for card in answers)), ""
    )
    return {"name": name, "heading": HEADINGS[name], "cards": answers, "outcome": worst}


# Summary ------------------------------------------------------------------------------------------------------------------


def _summary(questions, about):
    """The executive summary: dict of heading to list of sentences."""
    cards = [(question["heading"], card) for question in questions for card in question["cards"]]
    decided = [pair for pair in cards if pair[1]["outcome"] in ("PASS", "FAIL")]
    still_open = [pair for pair in cards if pair not in decided and pair[1]["judged"]]
    decided_words, open_words = (_findings_in_words(pairs) for pairs in (decided, still_open))
    next_words = _joined([(f"{card['question']}: {card['remedy']}", card) for _, card in cards if card["remedy"]])
    level = f"{count_noun(len(questions), 'question')} had the level {about['alpha']:.3g} for each check."
    looked = [_sets_sentence(about), level, *(f"Note: {note}." for note in about["notes"])]
    open_words += [f"Not asked: {name}, which needs {words}." for name, words in about["lacking"].items()]
    return {
        "What was looked at": looked,
        "What can be said": decided_words,
        "What cannot be said": open_words,
        "Where to look next": next_words,
    }


def _findings_in_words(pairs):
    """One sentence for each finding under a question: list of str."""
    return _joined([(f"{heading} {card['finding'].capitalize()}: {card['outcome']}.", card) for heading, card in pairs])


def _joined(pairs):
    """Sentences that are the same are said once, with all that they are about: list of str."""
    parts = {}
    for words, card in pairs:
        parts.setdefault(words, []).append(card["part"])
    return [
        f"{words[:-1]} ({', '.join(filter(None, names))})." if any(names) else words for words, names in parts.items()
    ]


def _sets_sentence(about):
    words = [f"{about['sets'][name]['rows']:,} {name} rows" for name in SETS if name in about["sets"]]
    units = "as units that were named or stated" if about["has_units"] else "each as a unit by itself"
    return f"The audit read {', '.join(words)}, {units}."


# Cards --------------------------------------------------------------------------------------------------------------------


def _card(family, verdict, evidence):
    about = rules.tag(rules.get(verdict["check"]), "about")
    words = finding_words(about, verdict["finding"]) or plain_words(verdict["finding"]) or ""
    samples = {} if evidence is None else evidence.samples
    return {
        **verdict,
        "id": card_id(family, verdict["method"]),
        "judged": verdict["finding"] not in UNJUDGED,
        "part": "" if verdict["method"].startswith("the data") else verdict["method"],
        "question": about.question,
        "asks": summary(checks.get(verdict["check"])).partition(" ->")[0],
        "words": words,
        "effect_name": about.effect,
        "effect_words": _interval_words(verdict["effect"]),
        "sure": _sure(verdict),
        "planted": _planted(samples),
        "margin": verdict["settings"].get("delta"),
        "intervals": _plot(about, verdict),
        "tables": [_table(title, rows) for title, rows in (verdict["settings"].get("tables") or {}).items() if rows],
        "figures": _figures(evidence),
        "settings": _plain_settings(verdict["settings"]),
        "remedy": verdict.get("remedy", ""),
    }


# Settings that stand elsewhere on the card.
SHOWN = ("tables", "why", "also", "delta", "alpha", "needed")


def _plain_settings(settings):
    return {
        name: value for name, value in settings.items() if name not in SHOWN and not isinstance(value, (dict, list))
    }


def _interval_words(number):
    if number["mean"] is None:
        return ""
    mean = f"{number['mean']:.3g}"
    return mean if number["low"] is None else f"{mean}, 95% interval {number['low']:.3g} to {number['high']:.3g}"


def _sure(verdict):
    if verdict["p"] is None:
        return ""
    return (
        f"p {verdict['p']:.2g}, adjusted for all that was searched; level {verdict['settings'].get('alpha', 0.05):.3g}"
    )


def _planted(samples):
    """What would have been found, by size of the planted effect; and alarms where nothing was: list of (what, words)."""
    if "planted" not in samples or np.ndim(samples["planted"]) != 2:
        return []
    names = {0.5: "half the margin", 1.0: "the margin", 2.0: "twice the margin"}
    rows = [(names[size], f"found in {int(row.sum())} of {len(row)}") for size, row in zip(SIZES, samples["planted"])]
    null = np.ravel(samples.get("null", []))
    return [*rows, ("nothing", f"alarm in {int(null.sum())} of {len(null)}")] if len(null) else rows


def _plot(about, verdict):
    """The effect as a dot with whiskers, in margins: str of SVG."""
    effect, delta = verdict["effect"], verdict["settings"].get("delta")
    if effect["low"] is None or not delta:
        return ""
    row = (about.effect, *(effect[key] / delta for key in ("mean", "low", "high")))
    return figures.draw_intervals([row], "in margins", marks=[("margin", 1.0)])


def _figures(evidence):
    """The pictures that a check brings itself: list of (title, str of SVG)."""
    name = None if evidence is None else f"recipes.report.audited.{evidence.check}"
    if name is None or importlib.util.find_spec("recipes.report.audited") is None or not importlib.util.find_spec(name):
        return []
    return list(importlib.import_module(name).figures(evidence)) if evidence.samples else []


# Tables -------------------------------------------------------------------------------------------------------------------


def _table(title, rows):
    """A table of a check with small counts left out: dict of title, names and cells."""
    names = sorted({name for row in rows for name in row}, key=lambda name: _order(name, rows))
    return {
        "title": title,
        "names": names,
        "rows": [[_cell(name, row.get(name), row) for name in names] for row in rows],
    }


def _order(name, rows):
    """Words stand first, then counts, then numbers. Stored rows have no order of their own."""
    is_text = any(isinstance(row.get(name), str) for row in rows)
    return (0 if is_text else 1 if name in COUNTS else 2, name)


def _cell(name, value, row):
    """A cell as it is shown: str. What a handful of rows gave is not shown at all."""
    counts = [row[key] for key in COUNTS if isinstance(row.get(key), (int, float)) and not isinstance(row[key], bool)]
    if counts and min(counts) < FEWEST and isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"under {FEWEST}" if name in COUNTS else ""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}" if np.isfinite(value) else ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
