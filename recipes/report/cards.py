"""Cards: the verdicts of a run as the page shows them: one card a method and check, and the report card of all."""

import numpy as np

from lab.registry import summary
from recipes.evidence import load_measured
from recipes.galleries import png
from recipes.report import figures
from recipes.report.data_uri import png_uri
from recipes.report.findings import plain_words
from sanity.checks import checks
from sanity.checks.truth import FOUR, mean_ranks
from sanity.evidence import Evidence
from sanity.ruling import MEASURE, rules
from sanity.statistics import bootstrap_interval

# Pixels of a small map's side.
STRIP = 72


def collect_families(store, jobs):
    """One entry for each judged check of the recipe: verdict cards with numbers, curves and maps.

    Args:
        store: `Store` of the run.
        jobs: list of `Job` that are done.

    Returns:
        list of dict: id, name, claim, about (`sanity.ruling.About`), asks, controls, cards.
    """
    if not store.exists("verdicts"):
        return []
    families = store.values("verdicts", "verdicts.json")
    by_method = {
        (job.judged_in, evidence.method): evidence
        for job in jobs
        if job.judged_in
        for evidence in load_measured(store, job.key, job.arguments["check"])
    }
    return [
        {
            "id": name,
            "name": _family_title(family),
            "claim": family["claim"],
            "about": _about(family["check"]),
            "asks": summary(checks.get(family["check"])).partition(" ->")[0],
            "controls": family["controls"],
            "cards": [
                _card(name, verdict, by_method.get((name, verdict["method"])) or _nothing(verdict), family["blind"])
                for verdict in family["verdicts"]
            ],
        }
        for name, family in sorted(families.items(), key=lambda item: int(item[0].partition("-")[0]))
    ]


def _nothing(verdict):
    """What is there of a method whose evidence was not measured: `Evidence` without samples."""
    return Evidence(verdict["check"], verdict["method"], "", verdict["sizes"], {}, ())


def _about(check):
    return rules.tag(rules.get(check), "about")


def _family_title(family):
    """Title of a family: the check, and how the weights were replaced, where they were."""
    mode = family["verdicts"][0]["settings"].get("mode")
    ways = {
        "full": "all weights replaced at once",
        "top_down": "weights replaced from the output down",
        "bottom_up": "weights replaced from the input up",
        "independent": "weights replaced one block at a time",
    }
    return family["check"] + (f": {ways[mode]}" if mode in ways else "")


def report_card(families):
    """The table of all verdicts: one row a method, one column a check. Cells hold the finding and link to its card.

    Returns:
        dict. columns: the families. rows: list of (method, list of cards, None where a check has none).
    """
    methods = list(
        dict.fromkeys(card["method"] for family in families for card in family["cards"] if not card["is_control"])
    )
    rows = [
        (name, [next((card for card in family["cards"] if card["method"] == name), None) for family in families])
        for name in methods
    ]
    return {"columns": families, "rows": rows}


def _card(family, verdict, evidence, controls):
    about = _about(verdict["check"])
    return {
        **verdict,
        "id": card_id(family, verdict["method"]),
        "is_control": verdict["method"] in controls,
        "words": finding_words(about, verdict["finding"]),
        "remedy": verdict.get("remedy", ""),
        "plain": _plain_sentences(about, verdict),
        "numbers": _numbers(about, verdict),
        "curve": _curve(evidence, verdict),
        "intervals": crossing_plot(evidence, verdict) or _intervals(about, verdict),
        "strip": _strip(evidence),
        "stages": evidence.stages,
    }


def card_id(family, method):
    """The id of a card on the page: str.

    Args:
        family: str, the name of the family.
        method: str, the name of the method.

    Returns:
        str.
    """
    return f"{family}-{method}".replace(" ", "-")


def _plain_sentences(about, verdict):
    """What the finding means, and what would settle an open one: list of str.

    An invalid one says why it is, and so does an undecided one that nothing would settle. Its numbers may leave one
    answer alone.
    """
    words = finding_words(about, verdict["finding"]) or plain_words(verdict["finding"]) or verdict["why"]
    reason = verdict["why"] if verdict["outcome"] == "INVALID" else ""
    if verdict["finding"] == "UNDECIDED" and not verdict.get("remedy"):
        words = verdict["why"] or words
    return [_sentence(text) for text in dict.fromkeys((words, reason, verdict.get("remedy", ""))) if text]


def _sentence(text):
    """Words as a sentence: str."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def finding_words(about, finding):
    """What a finding says, without its numbers.

    Args:
        about: `sanity.ruling.About`.
        finding: str.

    Returns:
        str, empty where the numbers are all that there is to say.
    """
    return about.findings.get(finding, "").partition("{why}")[0].removeprefix("measured, not judged: ").rstrip(" ,;:")


# What the numbers of a verdict mean, whatever the check.
MEANINGS = {
    "effect": "This number decides.",
    "ceiling": "Upper reference: the highest to be expected.",
    "null": "Lower reference: expected without any relation.",
}


def _named_numbers(about, verdict):
    """The numbers of a verdict that are known: list of (name, its interval as stored, what it means)."""
    names = {"effect": about.effect, "ceiling": about.ceiling_name(verdict.get("scope", "")), "null": about.null}
    return [
        (name, verdict[key], MEANINGS[key]) for key, name in names.items() if name and verdict[key]["mean"] is not None
    ]


def _numbers(about, verdict):
    """The numbers of a verdict with their meaning: list of dict of name, value and meaning."""
    numbers = [
        {"name": name, "value": _interval_words(number), "meaning": meaning}
        for name, number, meaning in _named_numbers(about, verdict)
    ]
    if verdict["p"] is not None:
        meaning = "How often chance alone gives as much, adjusted over the methods of this check."
        numbers.append({"name": "p", "value": f"{verdict['p']:.2g}", "meaning": meaning})
    return numbers


def _interval_words(number):
    mean = f"{number['mean']:.2f}"
    return mean if number["low"] is None else f"{mean}, 95% interval {number['low']:.2f} to {number['high']:.2f}"


def _intervals(about, verdict):
    """Effect, ceiling and null as dots with whiskers, where there is no curve to show them."""
    numbers = _named_numbers(about, verdict)
    meanings = {name: meaning for name, _, meaning in numbers}
    return figures.draw_intervals([(name, *_bounds(number)) for name, number, _ in numbers], about.number, meanings)


def _bounds(number):
    """Mean, low and high of an interval as it is stored; of one without bounds the mean alone."""
    return [number["mean"] if number[key] is None else number[key] for key in ("mean", "low", "high")]


def crossing_plot(evidence, verdict):
    """The four numbers of a crossing as dots with whiskers.

    Shown is each map with each piece of evidence, for the effect that decided. For networks, shown are the ranks on
    each cue with the lowest and the highest network.

    Args:
        evidence: `Evidence` of one method.
        verdict: dict, the verdict on it as in verdicts.json.

    Returns:
        str of SVG; "" where the evidence has no such numbers.
    """
    if "rank" in evidence.samples:
        numbers = mean_ranks(evidence.samples["rank"]).reshape(4, -1)
        # A network whose maps are not finite has no rank.
        networks = [(name, values[np.isfinite(values)]) for name, values in zip(FOUR, numbers)]
        rows = [(name, values.mean(), values.min(), values.max()) for name, values in networks if len(values)]
        return figures.draw_intervals(rows, "rank of the evidence on each cue")
    numbers = evidence.samples.get(f"maps/{verdict['also'].get('effect')}")
    if numbers is None or numbers.ndim != 3:
        return ""
    rows = [("AB"[first], "AB"[second], numbers[first, second]) for first in (0, 1) for second in (0, 1)]
    intervals = [
        (f"map {first}, effects {second}", bootstrap_interval(values[None], seed=0)) for first, second, values in rows
    ]
    rows = [
        (name, interval.mean, interval.low, interval.high) for name, interval in intervals if np.isfinite(interval.mean)
    ]
    return figures.draw_intervals(rows, "rank correlation (A: as asked, B: the other)")


def _curve(evidence, verdict):
    """Similarity to the trained network by share of parameters randomized, with the ceiling and the null as bands."""
    if f"cascade/{MEASURE}" not in evidence.samples or len(evidence.stages) < 2:
        return ""
    shares = [0.0, *(stage["parameters"] for stage in evidence.stages)]
    if evidence.settings.get("mode") == "independent":
        # Blocks one at a time have no order by share of parameters: they stand side by side.
        shares = list(np.linspace(0, 1, len(shares)))
    labels = ["trained", *(f"{stage['stage']} random" for stage in evidence.stages)]
    lines = {}
    for name, measure in (("absolute", MEASURE), ("signed", "signed_spearman"), ("SSIM", "ssim")):
        rows = evidence.samples[f"cascade/{measure}"]
        spans = [bootstrap_interval(rows[:, stage], seed=0, draws=200) for stage in range(rows.shape[1])]
        columns = ([1.0, *(getattr(span, key) for span in spans)] for key in ("mean", "low", "high"))
        lines[name] = (shares, *columns)
    about = _about(verdict["check"])
    bands = [(about.ceiling, verdict["ceiling"], True), (about.null, verdict["null"], False)]
    bands = [(name, band["low"], band["high"], right) for name, band, right in bands if band["low"] is not None]
    return figures.draw_curves(lines, labels, bands)


def _strip(evidence):
    """Small maps of the first sample: trained, at most eight stages, and others that the check looked at."""
    maps = evidence.maps
    planes = [("trained", maps["trained"][0])] if "trained" in maps else []
    if "stages" in maps:
        indices = np.unique(np.linspace(0, len(maps["stages"]) - 1, min(len(maps["stages"]), 8)).astype(int))
        planes += [(evidence.stages[index]["stage"] + " random", maps["stages"][index]) for index in indices]
    if "random" in maps:
        planes.append(("another random network", maps["random"][-1][0]))
    titles = (
        ("permuted_label_networks", "on permuted labels"),
        ("other", "another class"),
        ("under noise", "under noise"),
    )
    planes += [(title, maps[name][0]) for name, title in titles if name in maps]
    return [
        {"name": name, "image": png_uri(png(figures.small_map(plane, STRIP)))}
        for name, plane in planes
        if plane.ndim == 2 and min(plane.shape) > 1 and np.isfinite(plane).all()
    ]
