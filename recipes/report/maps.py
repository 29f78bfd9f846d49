"""Maps: the explanations of a run as the page shows them: photographs, methods, agreement, and overviews."""

from lab.kinds import KINDS
from lab.nouns import plural
from recipes.report.photographs import collect_photographs
from recipes.shards import SHOWN_MAPS
from recipes.words import off_manifold_sentences


def collect_maps(store, done):
    """All values that the page shows of a run's maps.

    Args:
        store: `Store` of the run.
        done: list of its jobs that are done.

    Returns:
        dict, or None where the run has no maps.
    """
    jobs = [job for job in done if job.kind in SHOWN_MAPS]
    if not jobs or not store.exists("photographs"):
        return None
    agreement = store.values("agreement", "agreement.json") if store.exists("agreement") else None
    seeds = agreement["seeds"] if agreement else {}
    abouts = [(job, store.values(job.key, "about.json")) for job in jobs]
    explained = [(job, about) for job, about in abouts if not about["refused"] and not about["fault"]]
    photographs, whole = collect_photographs(store, explained), agreement.get("whole") if agreement else None
    return {
        "photographs": photographs,
        "count": whole["photographs"]["explained"] if whole else len(photographs),
        "right": _count_right(photographs, whole),
        "methods": [_method(about, seeds.get(about["method"])) for _, about in explained],
        "refused": [(about["method"], about["refused"]) for _, about in abouts if about["refused"]],
        "off_manifold": off_manifold_sentences([about for _, about in explained]),
        "faults": [(about["method"], about["fault"]) for _, about in abouts if about["fault"]],
        "agreement": _matrix(agreement) if agreement and agreement["methods"] else None,
        "views": _views(agreement["views"]) if agreement else [],
        "whole": whole,
        **_kind(abouts),
    }


def _kind(abouts):
    """The kind of the inputs, and what one of them is called: dict."""
    kind = next((about["kind"] for _, about in abouts if "kind" in about), "image")
    return {"kind": kind, "noun": KINDS[kind].noun, "nouns": plural(KINDS[kind].noun)}


def _count_right(photographs, whole):
    """How many photographs of a known class are answered right, and how many there are: (int, int)."""
    if whole:
        return whole["photographs"]["right"], whole["photographs"]["known"]
    known = [photograph["correct"] for photograph in photographs if photograph["correct"] is not None]
    return sum(known), len(known)


def _method(about, seeds):
    """A method with its settings, and how far its maps agree under two seeds."""
    return {
        "method": about["method"],
        "layer": about["layer"] if isinstance(about["layer"], str) else ", ".join(about["layer"] or []),
        "options": {name: value for name, value in about["options"].items() if name != "layer"},
        "seeds": seeds,
        "off_manifold": (about.get("off_manifold") or {}).get("words"),
        "conservation": _changes(about.get("conservation") or []),
    }


def _changes(sums):
    """The layers at which relevance is lost or gained, from the score to the inputs, both ends among them: list of (address, float)."""
    rows = [tuple(row) for row in sums[:1]]
    for address, value in sums[1:]:
        # Since the last one that is shown, so that many small losses are seen as well.
        if address == "inputs" or abs(value - rows[-1][1]) > 0.01 * abs(sums[0][1]):
            rows.append((address, value))
    return rows


def _matrix(agreement):
    """Table of methods by methods: rank correlations, and the null of flipped or turned maps."""
    rows = []
    for number, name in enumerate(agreement["methods"]):
        pairs = zip(agreement["rank"][number], agreement["null"][number])
        cells = [
            None if rank is None else {"rank": rank, "null": null, "above": null is not None and rank > null}
            for rank, null in pairs
        ]
        rows.append((name, cells[: number + 1]))
    return {"methods": agreement["methods"], "rows": rows, "side": agreement["side"]}


def _views(views):
    """One entry a method: its classes, and the mean absolute attribution of each feature with its interval."""
    by_method = {}
    for method, label, feature, mean, low, high in views:
        by_method.setdefault(method, {}).setdefault(label, []).append(
            {"feature": feature, "mean": mean, "low": low, "high": high}
        )
    return [
        {"method": method, "features": [cell["feature"] for cell in next(iter(rows.values()))], "rows": rows.items()}
        for method, rows in by_method.items()
    ]
