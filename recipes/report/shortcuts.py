"""Shortcuts on the page: answers sorted by evidence, a plot of all views, and examples of each candidate."""

from recipes.report.data_uri import file_uri
from recipes.report.figures import draw_intervals
from recipes.words import count_noun

HEADINGS = {
    "labels": "What tells the labels?",
    "swap": "What does it cost to swap it between classes?",
    "maps": "Where do the maps of the network lie?",
}
AXES = {
    "labels": "balanced accuracy, 95% interval over groups",
    "swap": "accuracy that another class costs",
    "maps": "share of the true class's map, less the other's",
}


def collect_shortcuts(answers, families, store):
    """What the page shows of shortcuts.

    Args:
        answers: list of dict, as of `recipes.sections.shortcuts.collect_answers`.
        families: dict of question to its family of verdicts as plain values, with the controls.
        store: `Store` of the run.

    Returns:
        dict of questions, sizes, copies, kind and sentences of the summary; None without answers.
    """
    if not answers:
        return None
    known, features = (
        _values(store, "shortcuts/labels", "about.json"),
        _values(store, "shortcuts/features", "features.json"),
    )
    examples = _examples(store)
    questions = []
    for question, heading in HEADINGS.items():
        rows = [row for row in answers if row["question"] == question]
        if rows:
            questions.append(_show_question(question, heading, rows, known, examples))
    return {
        "questions": questions,
        "sizes": known.get("sizes"),
        "planted": known.get("planted"),
        "copies": features.get("copies"),
        "kind": features.get("kind"),
        "controls": {question: _control_lines(family) for question, family in families.items()},
        "sentences": summary_sentences(answers, known.get("sizes"), features),
    }


def _control_lines(family):
    """Sentences of controls: list of (str, whether it came out as it must)."""
    held = {control["control"]: control["held"] for control in family["controls"]}
    blind = [verdict for verdict in family["verdicts"] if verdict["method"] in held]
    return [(f"{verdict['method']}: {verdict['sentence']}", held[verdict["method"]]) for verdict in blind]


def _values(store, key, name):
    return store.values(key, name) if store.exists(key) else {}


def _examples(store):
    """Pictures of each class by candidate: dict of view to list of (class, list of data URI)."""
    places, folder = _values(store, "shortcuts/examples", "examples.json"), store.folder("shortcuts/examples")
    return {
        view: [(name, [file_uri(folder / f"{row:05d}.png") for row in rows]) for name, rows in classes.items()]
        for view, classes in places.items()
    }


def _show_question(question, heading, rows, known, examples):
    of_labels = question == "labels"
    measured = [row for row in rows if row["effect"]["low"] is not None]
    numbers = [(row["view"], *(row["effect"][name] for name in ("mean", "low", "high"))) for row in measured]
    leading = known.get("leading", {}) if of_labels else {}
    bound = next((row["numbers"]["bound"] for row in rows if of_labels and "bound" in row["numbers"]), None)
    return {
        "name": question,
        "heading": heading,
        "plot": draw_intervals(numbers, AXES[question], marks=[("margin", bound)] if of_labels else ()),
        "bound": bound,
        "rows": [
            {**row, "leading": leading.get(row["view"]), "examples": examples.get(row["view"], []) if of_labels else []}
            for row in rows
        ],
        "cannot": rows[0]["cannot"],
    }


def summary_sentences(answers, sizes, features):
    """Sentences for the summary of the page.

    Args:
        answers: list of dict.
        sizes: dict, as of `sanity.shortcuts.separability.Sizes`, or None.
        features: dict, what was measured of all views.

    Returns:
        list of (heading, list of str).
    """
    by_finding = {}
    for row in answers:
        by_finding.setdefault((row["question"], row["finding"]), []).append(row["view"])
    return [
        ("What was looked at", _looked_at(answers, sizes, features)),
        ("What can be said", _can_be_said(by_finding)),
        ("What cannot be said", _cannot_be_said(by_finding)),
        ("Where to look next", _look_next(by_finding, features)),
    ]


def _looked_at(answers, sizes, features):
    if not sizes:
        return []
    count = len([row for row in answers if row["question"] == "labels"])
    noun = "picture" if features.get("kind") == "pictures" else "row"
    sentences = [
        f"{count_noun(count, 'view')} of {count_noun(sizes['rows'], noun)} in {count_noun(sizes['groups'], 'group')} were asked for the label."
    ]
    counts = {
        "labels with fewer than six groups": len(sizes["left_out"]),
        f"{noun}s without a label": features.get("unlabelled", 0),
        f"{noun}s that were not drawn (--most)": features.get("undrawn", 0),
    }
    return sentences + [f"Left out: {count} {words}." for words, count in counts.items() if count]


WORDS = {
    ("labels", "CANDIDATE"): "Labels are told from these alone, so that they are candidates for shortcuts: {}.",
    ("labels", "WITHIN THE MARGIN"): "Labels are not told beyond the margin from {}.",
    ("swap", "USED"): "The network follows these when they come from another class: {}.",
    ("swap", "NOT USED"): "The network does not follow these when they come from another class: {}.",
}
OPEN = {
    ("labels", "NOT ENOUGH DATA"): "It is open whether labels are told from {}.",
    ("labels", "SIZE UNCERTAIN"): "Labels are told from {}, and it is open how well.",
    ("labels", "NOT APPLICABLE"): "These views do not see these data: {}.",
    ("labels", "FAULT"): "These views raised an error: {}.",
    ("labels", "GATE FAILED"): "Views of noise told labels too, so that nothing is said of {}.",
    ("swap", "UNDECIDED"): "It is open whether the network follows {}.",
    ("swap", "NOT APPLICABLE"): "These are the same in pictures of all classes: {}.",
    ("swap", "FAULT"): "The swaps raised an error, so that it is open what the network uses.",
    ("swap", "GATE FAILED"): "The network does not tell these classes apart, so that nothing is said of {}.",
    ("maps", "FAULT"): "The maps raised an error, so that it is open where they lie.",
    ("maps", "NOT APPLICABLE"): "The method does not explain this network, so that it is open where its maps lie.",
    ("maps", "GATE FAILED"): "Maps of two classes do not differ, so that nothing is said of {}.",
}


def _can_be_said(by_finding):
    sentences = [words.format(_names(by_finding[key])) for key, words in WORDS.items() if key in by_finding]
    return sentences or ["No view came to PASS or FAIL."]


def _cannot_be_said(by_finding):
    sentences = [words.format(_names(by_finding[key])) for key, words in OPEN.items() if key in by_finding]
    return [*sentences, "A candidate is no proof: what surrounds a thing may belong to its class."]


def _look_next(by_finding, features):
    sentences = []
    if ("labels", "CANDIDATE") in by_finding:
        examples = ", and at the examples below it" if features.get("kind") == "pictures" else ""
        sentences.append(f"Look at the feature that carries each candidate{examples}.")
        if not any(question == "swap" for question, _ in by_finding) and features.get("kind") == "pictures":
            sentences.append("Name a network with --model: it is asked whether it uses them.")
    if (features.get("copies") or {}).get("mixed"):
        sentences.append("Copies with several labels are listed below: one of the labels is wrong.")
    return sentences


def _names(names):
    return f"{', '.join(names[:5])} and {len(names) - 5} more" if len(names) > 6 else ", ".join(names)
