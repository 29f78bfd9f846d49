"""Catalogue: names with their summaries, for `lab list`: a row is a dict, every row of a list with the same keys.

Nothing is imported to list it, but for the layers and the attention of a model, which is loaded.
"""

import warnings

from lab.method_modules import method_modules
from lab.registrations import modules_in, read_registrations

# Cues that are named by a column or by words, and are no functions: name, kind, summary.
NAMED_CUES = (
    ("COLUMN", "table", "A column by its name, with one of its lower or one of its upper values."),
    ("WORD/WORD", "tokens", "Two words of the network's vocabulary, or two ids, of which one stands in a text."),
)


def models():
    """Models that can be loaded by name, with what they are."""
    from lab.model_names import names, summary_of

    return [{"name": name, "summary": summary_of(name)} for name in names()]


def layers(model):
    """Layers of a model: path, type, output shape with the kinds of its axes, number of parameters."""
    network = _load(model)
    return [
        {
            "path": row.path,
            "type": row.type,
            "output shape": row.shape,
            "axes": ", ".join(network.axes(row.path)[1:]),
            "parameters": row.parameters,
        }
        for row in network.layers()
    ]


def attention(model):
    """Attention that is computed in a model: the address of its weights, the layer's type, heads, queries and keys."""
    return [
        {"address": address, "type": row.type, "heads": row.heads, "queries": row.queries, "keys": row.keys}
        for address, row in _load(model).attentions.items()
    ]


def _load(model):
    from lab.models import load

    return load(
        model["source"],
        weights=None if model["weights"] == "random" else model["weights"],
        classes=model["classes"],
        size=model["model_size"],
        modules=tuple(model["modules"]),
        allow_code=model["allow_code"],
    )


def methods():
    """Registered explainers, with the controls marked, and what each needs of a network."""
    return [
        {
            "name": row.name,
            "kind": "control" if row.tags.get("control") else "",
            "needs": row.tags.get("needs", "layers" if "layer" in row.options else "gradients"),
            "summary": row.summary,
        }
        for row in read_registrations("explainers", method_modules())
    ]


def checks():
    """Registered checks, with the kind of claim that each judges."""
    from sanity.check_names import CLAIMS, claim_of, registered_checks

    rows = [
        {"name": name, "claim": claim_of(name), "summary": row.summary} for name, row in registered_checks().items()
    ]
    return sorted(rows, key=lambda row: (CLAIMS.index(row["claim"]), row["name"]))


def features():
    """Registered checks of pictures, by the former name of this list."""
    warnings.warn("lab list features is now called lab list checks", DeprecationWarning, stacklevel=2)
    return [row for row in checks() if row["claim"] == "pictures"]


def views():
    """Registered views of pictures, which `lab shortcuts` tells labels from."""
    return _summaries("views", modules_in("sanity.shortcuts"))


def swaps():
    """Registered parts of pictures, which `lab shortcuts` swaps between classes."""
    return _summaries("swaps", ["sanity.shortcuts.swaps"])


def textures():
    """Registered textures, which `lab concept` draws in place of pictures."""
    return _summaries("textures", ["lab.textures"])


def learners():
    """Registered learners of the atoms of a layer, for `lab dictionary`."""
    return _summaries("learners", modules_in("lab.concepts"))


def parameterizations():
    """Registered parameterizations of pictures."""
    return _summaries("parameterizations", ["lab.visualization.parameterizations"])


def transforms():
    """Registered transforms of pictures."""
    return _summaries("transforms", ["lab.visualization.transforms"])


def regularizers():
    """Registered regularizers of pictures."""
    return _summaries("regularizers", ["lab.visualization.regularizers"])


def worlds():
    """Registered worlds."""
    return _summaries("worlds", modules_in("sanity.worlds"))


def cues():
    """Cues, which can be planted, and the kind of inputs of each."""
    rows = [(row.name, row.tags["kind"], row.summary) for row in read_registrations("cues", ["sanity.cues"])]
    return [dict(zip(("name", "kind", "summary"), row)) for row in (*rows, *NAMED_CUES)]


def metrics():
    """Registered metrics, with the direction that counts as better."""
    rows = read_registrations("metrics", modules_in("sanity.metrics"))
    listed = [{"name": row.name, "better": row.tags.get("better", ""), "summary": row.summary} for row in rows]
    # Every localisation score is a metric where a mask is known, see `sanity.metrics.locality`.
    scores = read_registrations("localisations", ["sanity.localisation"])
    return [*({"name": f"{row.name}_in_mask", "better": "high", "summary": row.summary} for row in scores), *listed]


def recipes():
    """Recipes that come with the lab."""
    from recipes import schema

    return [{"name": name, "summary": schema.read(name).title} for name in schema.shipped_names()]


def objectives():
    """Registered objectives, which can be explained and maximized."""
    return _summaries("objectives", ["lab.objectives"])


def _summaries(registry, modules):
    return [{"name": row.name, "summary": row.summary} for row in read_registrations(registry, modules)]


def as_text(rows):
    """Rows as aligned columns: str. Those of layers and of attention have a line of headings."""
    lines = [[_cell(value) for value in row.values()] for row in rows]
    if rows and {"path", "address"} & set(rows[0]):
        lines.insert(0, list(rows[0]))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))] if lines else []
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)).rstrip() for line in lines)


def _cell(value):
    return f"{value:,}" if isinstance(value, int) else str(value)
