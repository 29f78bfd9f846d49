"""Catalogue: what there is, as lines of text for `lab list`."""

from lab.registry import summary


def models():
    """Models that can be loaded by name."""
    from lab import models as known

    return "\n".join(known.names())


def layers(model):
    """Layers of a model: path, type, output shape, parameters."""
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
        *((each.path, each.type, str(each.shape), f"{each.parameters:,}") for each in network.layers()),
    ]
    return _columns(rows)


def methods():
    """Registered explainers, controls marked."""
    from lab.attribution import explainers

    blind = explainers.names(control=True)
    return _columns([(name, "control" if name in blind else "", summary(explainers.get(name))) for name in explainers])


def checks():
    """Registered checks."""
    from sanity.checks import checks as known

    return _columns([(name, summary(known.get(name))) for name in known])


def features():
    """Registered checks of pictures."""
    from sanity.features import features as known

    return _columns([(name, summary(known.get(name))) for name in known])


def parameterizations():
    """What is optimized instead of pixels."""
    from lab.visualization.parameterizations import parameterizations as known

    return _columns([(name, summary(known.get(name))) for name in known])


def transforms():
    """What happens to a picture on its way to the network."""
    from lab.visualization.transforms import transforms as known

    return _columns([(name, summary(known.get(name))) for name in known])


def regularizers():
    """What may be charged for while climbing."""
    from lab.visualization.regularizers import regularizers as known

    return _columns([(name, summary(known.get(name))) for name in known])


def worlds():
    """Registered worlds."""
    from sanity.worlds import worlds as known

    return _columns([(name, summary(known.get(name))) for name in known])


def metrics():
    """Registered metrics, with the way that is held to be better."""
    from sanity.metrics import metrics as known

    return _columns([(name, known.tag(known.get(name), "better", ""), summary(known.get(name))) for name in known])


def recipes():
    """Recipes that ship."""
    from recipes import schema

    return _columns([(name, schema.read(name).title) for name in schema.shipped_names()])


def objectives():
    """What can be explained and maximized."""
    from lab.objectives import objectives as known

    return _columns([(name, summary(known.get(name))) for name in known])


def _columns(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows)
