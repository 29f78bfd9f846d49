"""Catalogue: names with their summaries, as lines of text for `lab list`."""

from lab.registry import summary


def models():
    """Models that can be loaded by name, one a line."""
    from lab.models import names

    return "\n".join(names())


def layers(model):
    """Layers of a model: path, type, output shape, number of parameters."""
    from lab.models import load

    network = load(
        model["source"],
        weights=None if model["weights"] == "random" else model["weights"],
        classes=model["classes"],
        size=model["model_size"],
        modules=tuple(model["modules"]),
        allow_code=model["allow_code"],
    )
    rows = [
        ("path", "type", "output shape", "parameters"),
        *((row.path, row.type, str(row.shape), f"{row.parameters:,}") for row in network.layers()),
    ]
    return _columns(rows)


def methods():
    """Registered explainers, with the controls marked."""
    from lab.attribution import explainers

    blind = explainers.names(control=True)
    return _columns([(name, "control" if name in blind else "", summary(explainers.get(name))) for name in explainers])


def checks():
    """Registered checks."""
    from sanity.checks import checks as registry

    return _columns([(name, summary(registry.get(name))) for name in registry])


def features():
    """Registered checks of pictures."""
    from sanity.features import features as registry

    return _columns([(name, summary(registry.get(name))) for name in registry])


def parameterizations():
    """Registered parameterizations of pictures."""
    from lab.visualization.parameterizations import parameterizations as registry

    return _columns([(name, summary(registry.get(name))) for name in registry])


def transforms():
    """Registered transforms of pictures."""
    from lab.visualization.transforms import transforms as registry

    return _columns([(name, summary(registry.get(name))) for name in registry])


def regularizers():
    """Registered regularizers of pictures."""
    from lab.visualization.regularizers import regularizers as registry

    return _columns([(name, summary(registry.get(name))) for name in registry])


def worlds():
    """Registered worlds."""
    from sanity.worlds import worlds as registry

    return _columns([(name, summary(registry.get(name))) for name in registry])


def metrics():
    """Registered metrics, with the direction that counts as better."""
    from sanity.metrics import metrics as registry

    return _columns(
        [(name, registry.tag(registry.get(name), "better", ""), summary(registry.get(name))) for name in registry]
    )


def recipes():
    """Recipes that come with the lab."""
    from recipes import schema

    return _columns([(name, schema.read(name).title) for name in schema.shipped_names()])


def objectives():
    """Registered objectives, which can be explained and maximized."""
    from lab.objectives import objectives as registry

    return _columns([(name, summary(registry.get(name))) for name in registry])


def _columns(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows)
