"""Atoms: the dictionary of a run for its page: figures of all networks, and the atoms as tiles of a gallery."""

import numpy as np

from recipes.galleries import as_image, picture_name
from recipes.report.tiles import BESIDE, INLINE, NATURAL, THUMBNAIL, as_script_json, jpeg, open_picture, shard_file
from sanity.ruling import rules

ABOUT = "Each tile is an atom: where it is active in the image that excites it most, and below it parts of more images. Atoms are numbered; the names are yours. Take one out, and the score changes: EFFECT says that it changes more than by random directions. Arrow keys move, Enter enlarges, Escape closes, / goes to the filter. Filter by words: a name, a class, effect, undecided, dead."
ORDERS = {"unit": "as learned", "score": "change of the score", "ratio": "how often active", "name": "name"}


def quality(recipe, store, verdicts):
    """The figures of the dictionaries: dict.

    Args:
        recipe: `Recipe`.
        store: `Store` of the run.
        verdicts: list of dict, those on the atoms whose effects were measured.

    Returns:
        dict of table, names and effects, for the template.
    """
    effects = store.values("dictionary/effects/trained", "about.json")
    about = rules.tag(rules.get("atom_effect"), "about")
    order = np.argsort([-(verdict["effect"]["mean"] or 0) for verdict in verdicts], kind="stable")
    listed = [(effects["atoms"][place], verdicts[place]) for place in order[:12]]
    return {
        "table": recipe.dictionary,
        "names": store.values("dictionary/summary", "summary.json")["names"],
        "effects": listed,
        "target": effects["target"],
        "cannot": about.cannot,
        "findings": about.findings,
    }


def tiles(recipe, store, jobs, verdicts):
    """The atoms as tiles: dict for the template of galleries, or None.

    Args:
        recipe: `Recipe`.
        store: `Store` of the run.
        jobs: list of `Job`, those of atoms that are done.
        verdicts: list of dict, those on the atoms whose effects were measured.

    Returns:
        dict.
    """
    if not jobs or not store.exists("dictionary/summary"):
        return None
    known = _Known(recipe, store, verdicts)
    index = [entry for shard, job in enumerate(jobs) for entry in _entries(job, shard, known)]
    inline = len(index) <= INLINE
    shards = (shard for number, job in enumerate(jobs) for shard in _shards(job, number, known, inline))
    return {
        "units": as_script_json(index),
        "shards": [(kind, as_script_json(content)) for _, kind, content in shards] if inline else [],
        "files": () if inline else (shard_file(*shard) for shard in shards),
        "gallery": {
            "anchor": "atoms",
            "title": "Atoms",
            "filter": "Filter by name, class or finding",
            "about": ABOUT,
            "orders": ORDERS,
            "files": "jobs/dictionary/atoms",
        },
    }


class _Known:
    """What is known of all atoms: names, effects, examples and neighbours."""

    def __init__(self, recipe, store, verdicts):
        self.store, self.layer = store, recipe.dictionary.layer
        self.names = store.values("dictionary/summary", "summary.json")["names"]
        effects = store.values("dictionary/effects/trained", "about.json")
        self.verdicts = dict(zip(effects["atoms"], verdicts))
        self.importance = effects["importance"]
        self.examples = store.arrays("dictionary/examples", "examples.npz")

    def name(self, atom):
        """What the user calls an atom, or its number: str."""
        return self.names.get(str(atom), f"atom {atom}")

    def note(self, atom):
        """The line below an atom: str."""
        words = [
            self.verdicts[atom]["finding"] if atom in self.verdicts else "",
            f"active at {self.examples['active'][atom]:.1%}",
        ]
        words += [f"importance {self.importance[atom]:.2f}"] if self.importance else []
        return " · ".join(filter(None, words))


def _entries(job, shard, known):
    classes = known.store.values(job.key, "about.json")["classes"]
    for place, atom in enumerate(range(*job.arguments["places"])):
        effect = known.verdicts[atom]["effect"]["mean"] if atom in known.verdicts else None
        yield {
            "id": f"atom-{atom}",
            "shard": shard,
            "layer": known.layer,
            "unit": atom,
            "name": known.name(atom),
            "title": known.name(atom) if str(atom) in known.names else f"atom {atom}",
            "note": known.note(atom),
            "words": " ".join(name for name, _ in classes[place]),
            "score": _round(effect),
            "ratio": _round(known.examples["active"][atom]),
            "percentile": None,
            "dead": bool(known.examples["active"][atom] == 0),
            "verdicts": [],
        }


def _shards(job, number, known, inline):
    """The pictures of some atoms: (number, kind, dict of atom to values), "thumbs" and then "more"."""
    arrays, about = known.store.arrays(job.key, "atoms.npz"), known.store.values(job.key, "about.json")
    thumbs, more = {}, {}
    for place, atom in enumerate(arrays["atoms"]):
        picture = _picture(job, int(atom), known)
        tile = as_image(arrays["maps"][place, 0]) if picture is None else picture
        beside = arrays["crops"][place][:NATURAL]
        thumbs[f"atom-{atom}"] = [jpeg(tile, THUMBNAIL), *(jpeg(as_image(image), BESIDE) for image in beside)]
        more[f"atom-{atom}"] = _details(int(atom), place, arrays, about, known, picture)
    return [(number, "thumbs", thumbs), (number, "more", more)]


def _picture(job, atom, known):
    """The atom's own feature visualization: Pillow image, or None where none was drawn."""
    key = job.key.replace("/atoms/", "/pictures/")
    return open_picture(known.store.folder(key) / picture_name(atom)) if known.store.exists(key) else None


def _details(atom, place, arrays, about, known, picture):
    """Everything that is shown of an atom when it is opened."""
    verdict = known.verdicts.get(atom)
    near = zip(known.examples["neighbours"][atom], known.examples["cosines"][atom])
    rows = [
        {"image": images, "score": arrays["scores"][place], "name": about["names"][place]}
        for images in (arrays["crops"][place], arrays["maps"][place])
    ]
    notes = [f"Active at {known.examples['active'][atom]:.2%} of positions."]
    notes += (
        [f"Total Sobol index {known.importance[atom]:.3f}: its share in the variance of the logit."]
        if known.importance
        else []
    )
    notes += [verdict["sentence"], verdict["cannot"]] if verdict else ["Its effect on the score was not measured."]
    return {
        "pictures": [] if picture is None else [jpeg(picture, quality=92)],
        "notes": notes,
        "top": _strip(rows[0]),
        "maps": _strip(rows[1]),
        "field": about["field"],
        "near": [[known.layer, int(other), _round(cosine)] for other, cosine in near],
        "moves": about["classes"][place],
    }


def _strip(row):
    return [
        {"image": jpeg(as_image(image)), "score": _round(score), "name": name}
        for image, score, name in zip(row["image"], row["score"], row["name"])
    ]


def _round(value):
    return None if value is None or not np.isfinite(value) else float(f"{float(value):.4g}")
