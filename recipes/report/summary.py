"""Summary: the findings of a run in plain sentences of at most 25 words, the answer before the evidence.

summarize(recipe, families, maps, units) -> [(heading, [sentence])]
"""

import re

from lab.nouns import plural
from recipes.report.findings import plain_words
from recipes.words import count_noun

# Words of the longest sentence, and names of the longest list before the rest is counted.
WORDS, NAMES = 25, 4


def title(recipe, maps=None):
    """A title that says the question, the model and the data: the recipe's own, or one made from its tables.

    Args:
        recipe: `Recipe`.
        maps: as of `collect_maps`, or None.

    Returns:
        str.
    """
    return recipe.title or f"{_question(recipe)} {subject_words(recipe, maps)}"


def _question(recipe):
    if recipe.audit:
        return "May this network be used?"
    if recipe.shortcuts:
        return "Is the data itself suspicious?"
    if recipe.explain:
        return "What decides the answers?"
    if recipe.attention:
        return "What do heads attend to?"
    if recipe.probe:
        return "What does each layer hold?"
    if recipe.check:
        return "Which maps can be believed?"
    if recipe.planted:
        return "Do networks use what was planted?"
    if recipe.features:
        return "Do pictures show what units do?"
    return "What excites the units?" if recipe.gallery else "What do layers represent?"


def subject_words(recipe, maps=None):
    """The model and the data in words: str.

    Args:
        recipe: `Recipe`.
        maps: as of `collect_maps`, or None.

    Returns:
        str.
    """
    if recipe.world:
        return f"Networks of the world {recipe.world.name}"
    if is_without_network(recipe):
        return _data(recipe, maps)[:1].upper() + _data(recipe, maps)[1:]
    if recipe.planted:
        return f"{model_name(recipe)} with {_cues(recipe, 'the planted cues', ' and ')}"
    return f"{model_name(recipe)} on {_data(recipe, maps)}"


def _cues(recipe, words, between):
    """The planted cues by name, behind some words, or that there are two: str."""
    cues = recipe.planted.cues
    return f"{words} {between.join(cues)}".strip() if cues else "two planted cues"


def is_without_network(recipe):
    """Whether no job of a recipe asks a network: bool."""
    return bool(recipe.shortcuts) and not recipe.shortcuts.asks_network(recipe)


def loaded_words(recipe):
    """What is loaded before a run, in words: str.

    Args:
        recipe: `Recipe`.
    """
    if is_without_network(recipe):
        return _data(recipe, None)
    return recipe.world.name if recipe.world else recipe.model.reference


def model_name(recipe):
    """The name of a model, or of its file without the folder: str."""
    return recipe.model.function or _last_part(recipe.model.source)


def _last_part(path):
    """The last part of a path: str. The path may be of another machine."""
    return re.split(r"[\\/]", path.rstrip("/\\"))[-1]


def _data(recipe, maps):
    if recipe.shortcuts and recipe.shortcuts.table:
        return f"the table {_last_part(recipe.shortcuts.table)}"
    if recipe.audit:
        return _last_part(recipe.audit.test or recipe.audit.dataset)
    if recipe.data:
        counted = count_noun(maps["count"], maps["noun"]) if maps else "data"
        return f"{counted} in {_last_part(recipe.data.source)}"
    count = maps["count"] if maps else len(recipe.images.photographs or recipe.images.files)
    folder = f" in {_last_part(recipe.images.folder)}" if recipe.images.folder else ""
    return f"{count_noun(count, 'photograph')}{folder}" if count else f"photographs{folder}"


def summarize(recipe, families, maps, units, sentences=()):
    """The summary of a report.

    Args:
        recipe: `Recipe`.
        families: as of `cards.collect_families`.
        maps: as of `collect_maps`, or None.
        units: the index of all pictures of units, as of `tiles`.
        sentences: dict of heading to list of str, what pieces of the page say themselves.

    Returns:
        list of (heading, list of sentences), without headings that have no sentence.
    """
    by_piece = dict(sentences)
    parts = [
        ("What was looked at", _looked_at(recipe, families, maps, units)),
        ("What can be said", _can_be_said(families)),
        ("What cannot be said", [*_cannot_be_said(families, maps), *_pictures_cannot_be_said(units)]),
        ("Where to look next", _look_next(recipe, families, maps, units)),
    ]
    parts = [(heading, [*lines, *by_piece.get(heading, ())]) for heading, lines in parts]
    return [(heading, _unique(map(shorten, lines))) for heading, lines in parts if lines]


def shorten(sentence):
    """A sentence of at most `WORDS` words. A longer one ends with its last whole clause, or with dots."""
    words = sentence.split()
    if len(words) <= WORDS:
        return sentence
    kept = " ".join(words[:WORDS])
    clause = re.match(r"(.+)[;,:] ", kept)
    return f"{clause[1]}." if clause and len(clause[1].split()) > WORDS // 2 else f"{kept.rstrip('.,;:')}…"


# What was looked at -------------------------------------------------------------------------------------------------------


def _looked_at(recipe, families, maps, units):
    return [*_network_sentences(recipe, maps), *_check_sentences(families), *_unit_sentences(units)]


def _network_sentences(recipe, maps):
    if is_without_network(recipe):
        return []
    if recipe.world:
        return [f"Networks were trained in the world {recipe.world.name}, where what decides is known."]
    if recipe.planted:
        cues = _cues(recipe, "", " or ")
        return [f"Networks were trained from {model_name(recipe)} to tell variants of {cues} apart."]
    if not maps:
        return [f"The network is {model_name(recipe)}."]
    methods, (right, known) = [method["method"] for method in maps["methods"]], maps["right"]
    sentences = [f"{model_name(recipe)} was asked about {count_noun(maps['count'], maps['noun'])}."]
    if known:
        sentences.append(f"It is right about {right} of {known} {plural(maps['noun'])} whose class is known.")
    if methods:
        sentences.append(f"{count_noun(len(methods), 'method')} mapped what speaks for the answers: {_names(methods)}.")
    return sentences


def _check_sentences(families):
    checked = list(dict.fromkeys(card["method"] for _, card in _judged_cards(families)))
    if not checked:
        return []
    columns = list(dict.fromkeys(f"“{family['about'].question}”" for family in families))
    return [f"{count_noun(len(families), 'check')} judged {_names(checked)}: {_names(columns)}."]


def _unit_sentences(units):
    if not units:
        return []
    layers = list(dict.fromkeys(unit["layer"] for unit in units))
    return [f"Pictures of {count_noun(len(units), 'unit')} were drawn, in {_names(layers)}."]


# What can be said, and what cannot ----------------------------------------------------------------------------------------


def _judged_cards(families):
    """All cards that are not of controls, each with its family: list of (family, card)."""
    return [(family, card) for family in families for card in family["cards"] if not card["is_control"]]


def _grouped(families, outcomes):
    """Cards of these outcomes by question and finding: dict of (question, finding, outcome) to list of (family, card)."""
    groups = {}
    for family, card in _judged_cards(families):
        if card["outcome"] in outcomes and not _broken(family):
            groups.setdefault((family["about"].question, card["finding"], card["outcome"]), []).append((family, card))
    return groups


def _broken(family):
    """The controls of a check that came out as they must not: list of dict."""
    return [control for control in family["controls"] if not control["held"]]


def _can_be_said(families):
    groups = sorted(_grouped(families, ("PASS", "FAIL")).items(), key=lambda group: group[0][2] == "FAIL")
    sentences = [_finding_sentence(group) for _, group in groups]
    if families and not sentences:
        return ["No check of this run came to PASS or FAIL."]
    return sentences


def _finding_sentence(group):
    _, card = group[0]
    words = card["words"] or plain_words(card["finding"]).rstrip(".") or card["finding"].lower()
    return f"{card['outcome']} for {_methods(group)}: {words[:1].lower()}{words[1:]}."


def _methods(group):
    """The methods of some cards in words, each once: a check may be run in several ways."""
    return _names(list(dict.fromkeys(card["method"] for _, card in group)))


def _cannot_be_said(families, maps):
    sentences = [
        f"The check “{family['about'].question}” is broken: its control {control['control']} came out {control['outcome']}."
        for family in families
        for control in _broken(family)
    ]
    for group in _grouped(families, ("INCONCLUSIVE", "INVALID")).values():
        sentences += _open_sentences(group)
    if maps and not families:
        sentences.append("No method was checked here: maps show what a method computed, and no more.")
    if any(_is_of_maps(family) for family in families):
        sentences.append("No verdict says that a map is right, or that one method is better than another.")
    return sentences


def _is_of_maps(family):
    return family.get("claim", "maps") == "maps"


def _open_sentences(group):
    """What is left open about some methods, and why."""
    family, card = group[0]
    question, methods = family["about"].question, _methods(group)
    if card["outcome"] == "INVALID":
        start = f"INVALID for {methods}: “{question}” could not be answered."
    elif card["words"]:
        start = f"INCONCLUSIVE for {methods}: so far, {card['words']}."
    else:
        start = f"INCONCLUSIVE for {methods}: “{question}” is open."
    reason = _reason(card)
    return [start, f"The reason: {reason}."] if reason else [start]


def _reason(card):
    """Why a question is open, the last clause of what decided; why it could not be answered, in full: str."""
    why = card["why"].strip().rstrip(".")
    if card["outcome"] == "INVALID":
        return why
    last = re.split(r"; |\. ", why)[-1].removeprefix("without, ")
    return last[:1].lower() + last[1:]


def _pictures_cannot_be_said(units):
    return ["A picture shows one way to excite a unit, and not everything that it responds to."] if units else []


# Where to look next -------------------------------------------------------------------------------------------------------


def _look_next(recipe, families, maps, units):
    sentences = [*_next_checks(recipe, families, maps), *_next_photographs(maps), *_next_units(units)]
    if units and not recipe.features:
        sentences.append("Check the pictures with a [[features]] table: it asks whether they show what units do.")
    return sentences


# What may be checked next, by the kind of inputs.
_FIRST_CHECKS = {
    "image": "class_crossing, image_crossing and place need no further network",
    "table": "class_crossing and image_crossing need no further network",
    "tokens": "parameters asks whether maps change when the weights are replaced",
}


def _next_checks(recipe, families, maps):
    if maps and not families:
        return [f"Check the methods: {_FIRST_CHECKS.get(maps['kind'], _FIRST_CHECKS['image'])}."]
    judged = _judged_cards(families)
    open_cards = [card for _, card in judged if card["outcome"] in ("INCONCLUSIVE", "INVALID")]
    remedies = list(dict.fromkeys(card["remedy"] for card in open_cards if card["remedy"]))
    sentences = [_remedy_sentence(remedy, open_cards) for remedy in remedies]
    crossings = {"class_crossing", "image_crossing", "place"}
    checks = {check.check for check in recipe.check}
    has_open_maps = any(card in open_cards for family, card in judged if _is_of_maps(family))
    if has_open_maps and not recipe.has_world and not checks & crossings:
        sentences.append(
            "The checks class_crossing, image_crossing and place decide on one network, without replicates."
        )
    return sentences


def _remedy_sentence(remedy, cards):
    """What would settle a question, and for which methods: str."""
    methods = dict.fromkeys(card["method"] for card in cards if card["remedy"] == remedy)
    return f"{remedy.rstrip('.')} ({_names(list(methods))})."


def _next_photographs(maps):
    if not maps:
        return []
    wrong = [photograph["name"] for photograph in maps["photographs"] if photograph["correct"] is False]
    suspicious = {
        figure["method"] for photograph in maps["photographs"] for figure in photograph["figures"] if figure["flags"]
    }
    sentences = []
    if wrong:
        sentences.append(f"Look at the answers that are wrong: {_names(wrong)}.")
    if suspicious:
        sentences.append(f"Look at the maps marked in red, by {_names(sorted(suspicious))}.")
    pair = _least_alike(maps["agreement"])
    if pair:
        sentences.append(
            f"Compare {pair[0]} with {pair[1]}: their maps agree least, with rank correlation {pair[2]:.2f}."
        )
    return sentences


def _least_alike(agreement):
    """The two methods whose maps agree least: (method, method, rank correlation), or None for fewer than two."""
    if not agreement:
        return None
    pairs = [
        (name, agreement["methods"][place], cell["rank"])
        for name, cells in agreement["rows"]
        for place, cell in enumerate(cells[:-1])
        if cell
    ]
    return min(pairs, key=lambda pair: pair[2], default=None)


def _next_units(units):
    dead = [_unit_name(unit) for unit in units if unit["dead"]]
    failed = [_unit_name(unit) for unit in units if any(outcome == "FAIL" for _, outcome, *_ in unit["verdicts"])]
    sentences = []
    if dead:
        sentences.append(f"No natural image activates {_names(dead)}: read nothing into pictures of dead units.")
    if failed:
        sentences.append(f"A check speaks against the pictures of {_names(failed)}.")
    return sentences


def _unit_name(unit):
    return unit["name"] if unit["layer"] == "logits" else f"unit {unit['unit']}"


# Words --------------------------------------------------------------------------------------------------------------------


def _names(names):
    """Names in a sentence; beyond `NAMES`, the rest is counted."""
    if len(names) > NAMES:
        return f"{', '.join(names[: NAMES - 1])} and {len(names) - NAMES + 1} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _unique(sentences):
    return list(dict.fromkeys(sentences))
