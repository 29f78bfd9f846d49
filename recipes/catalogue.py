"""Catalogue: names with their summaries, for `lab list`: a row is a dict, every row of a list with the same keys."""

import warnings

from lab.registry import summary


def models():
    """Models that can be loaded by name, with what they are."""
    from lab.models import names, summary_of

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
    from lab.attribution import explainers
    from lab.attribution.calls import needed_capability

    blind = explainers.names(control=True)
    return [
        {
            "name": name,
            "kind": "control" if name in blind else "",
            "needs": needed_capability(explainers.get(name)),
            "summary": summary(explainers.get(name)),
        }
        for name in explainers
    ]


def checks():
    """Registered checks, with the kind of claim that each judges."""
    from sanity.checks import CLAIMS, claim_of
    from sanity.checks import checks as registry

    return [
        {"name": name, "claim": claim_of(name), "summary": summary(registry.get(name))}
        for name in sorted(registry, key=lambda name: (CLAIMS.index(claim_of(name)), name))
    ]


def features():
    """Registered checks of pictures, by the former name of this list."""
    warnings.warn("lab list features is now called lab list checks", DeprecationWarning, stacklevel=2)
    return [row for row in checks() if row["claim"] == "pictures"]


def views():
    """Registered views of pictures, which `lab shortcuts` tells labels from."""
    from sanity.shortcuts import views as registry

    return _summaries(registry)


def swaps():
    """Registered parts of pictures, which `lab shortcuts` swaps between classes."""
    from sanity.shortcuts.swaps import swaps as registry

    return _summaries(registry)


def textures():
    """Registered textures, which `lab concept` draws in place of pictures."""
    from lab.textures import textures as registry

    return _summaries(registry)


def learners():
    """Registered learners of the atoms of a layer, for `lab dictionary`."""
    from lab.concepts.dictionaries import learners as registry

    return _summaries(registry)


def parameterizations():
    """Registered parameterizations of pictures."""
    from lab.visualization.parameterizations import parameterizations as registry

    return _summaries(registry)


def transforms():
    """Registered transforms of pictures."""
    from lab.visualization.transforms import transforms as registry

    return _summaries(registry)


def regularizers():
    """Registered regularizers of pictures."""
    from lab.visualization.regularizers import regularizers as registry

    return _summaries(registry)


def worlds():
    """Registered worlds."""
    from sanity.worlds import worlds as registry

    return _summaries(registry)


def cues():
    """Cues, which can be planted, and the kind of inputs of each."""
    from sanity.cues import NAMED
    from sanity.cues import cues as registry

    rows = [(name, registry.tag(registry.get(name), "kind"), summary(registry.get(name))) for name in registry]
    return [dict(zip(("name", "kind", "summary"), row)) for row in (*rows, *NAMED)]


def metrics():
    """Registered metrics, with the direction that counts as better."""
    from sanity.metrics import metrics as registry

    return [
        {
            "name": name,
            "better": registry.tag(registry.get(name), "better", ""),
            "summary": summary(registry.get(name)),
        }
        for name in registry
    ]


def recipes():
    """Recipes that come with the lab."""
    from recipes import schema

    return [{"name": name, "summary": schema.read(name).title} for name in schema.shipped_names()]


def objectives():
    """Registered objectives, which can be explained and maximized."""
    from lab.objectives import objectives as registry

    return _summaries(registry)


def _summaries(registry):
    return [{"name": name, "summary": summary(registry.get(name))} for name in registry]


def as_text(rows):
    """Rows as aligned columns: str. Those of layers and of attention have a line of headings."""
    lines = [[_cell(value) for value in row.values()] for row in rows]
    if rows and {"path", "address"} & set(rows[0]):
        lines.insert(0, list(rows[0]))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))] if lines else []
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)).rstrip() for line in lines)


def _cell(value):
    return f"{value:,}" if isinstance(value, int) else str(value)
