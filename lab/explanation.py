"""Explanation: an explainer's maps with what was decided on the way, and what is suspicious about them."""

import inspect
from dataclasses import dataclass, field

import numpy as np

from lab import routines
from lab.attribution import explainers
from lab.attribution.gradients import baselines
from lab.environment import tf
from lab.maps import pooled
from lab.registry import nearest, options


@dataclass(frozen=True)
class Explanation:
    """maps: float32 in the structure of the inputs, or [batch, rows, columns]. scores: float32 [batch], what was explained.
    target: the objective in words. layer: the layer a CAM looked at, or None. gap: float32 [batch], sum of the map minus the
    score's difference to the baseline, for methods that promise completeness; else None. flags: per sample, a tuple of words
    ("not finite", "all zero", "constant"). head: what was taken off the output ("Softmax", ...) or None. method, options: what ran.
    """

    maps: object
    scores: np.ndarray
    target: str
    layer: str | None
    gap: np.ndarray | None
    flags: tuple
    head: str | None
    method: str
    options: dict = field(default_factory=dict)

    def _repr_html_(self):
        from lab.thumbnails import strip

        maps = pooled(tf.nest.flatten(self.maps)[0])
        shown = [np.abs(each) / (np.abs(each).max() or 1) for each in maps] if maps.ndim == 3 else []
        captions = [f"{score:.3g} {', '.join(flags)}" for score, flags in zip(self.scores, self.flags)]
        return strip([each[..., None] for each in shown], captions, f"{self.method}: {self.target}")


def explain(network, inputs, objective, *, method, seed=0, **given):
    """Explain an objective on inputs by a registered method's name or any callable `(network, inputs, objective, ...)` -> `Explanation`.

    given: options of the method. seed: for methods that draw; recorded. Raises ValueError for an unknown method or option,
    and for maps that have neither the shape of the inputs nor that of a layer.
    """
    explainer = explainers.get(method)
    chosen = settled(explainer, network, seed, given)
    arrays = network.inputs(inputs)
    maps = attribute(explainer, network, arrays, objective, **chosen)
    scores = routines.scores(network, arrays, objective)
    gap = (
        _gap(network, arrays, objective, maps, scores, chosen.get("baseline", 0.0))
        if explainers.tag(explainer, "complete")
        else None
    )
    logits = [term.where for _, term in objective.terms if term.kind == "logit"]
    head = network.heads[logits[0] or next(iter(network.heads))] if logits else None
    return Explanation(
        maps,
        scores,
        str(objective),
        chosen.get("layer"),
        gap,
        flags(maps),
        head,
        explainers.name(explainer),
        _plain(chosen),
    )


def attribute(explainer, network, inputs, objective, **chosen):
    """An explainer's maps with its options settled, checked for structure and shape."""
    return checked(explainer(network, inputs, objective, **chosen), inputs, explainer)


def settled(explainer, network, seed, given):
    """The options an explainer will be called with: those given, the seed where it draws, the layer where it needs one."""
    refuse_options(explainer, given)
    known = options(explainer)
    chosen = dict(given)
    if "seed" in known:
        chosen.setdefault("seed", seed)
    if explainers.tag(explainer, "resolution") == "layer" and chosen.get("layer") is None:
        chosen["layer"] = network.last_spatial()
    return chosen


def refuse_options(explainer, given):
    """Raise ValueError for options that an explainer does not have."""
    known = options(explainer)
    for name in given:
        if name not in known and not _takes_any(explainer):
            raise ValueError(
                f"Unknown option of {explainers.name(explainer)}. Received: {name!r}. {nearest(name, known)}"
            )


def checked(maps, arrays, explainer):
    """The maps as they are. Raises ValueError unless they have the structure and shape of the inputs, or are [batch, rows, columns]."""
    batch = len(tf.nest.flatten(arrays)[0])
    alone = isinstance(maps, np.ndarray) and maps.ndim == 3 and len(maps) == batch
    try:
        same = tf.nest.map_structure(np.shape, maps) == tf.nest.map_structure(np.shape, arrays)
    except (TypeError, ValueError):
        same = False
    if not (same or alone):
        got = tf.nest.map_structure(np.shape, maps)
        raise ValueError(
            f"Maps have the structure and shape of the inputs, or are [batch, rows, columns]. Received: {got} from {explainers.name(explainer)}."
        )
    return maps


def flags(maps):
    """What is suspicious about each sample's map: tuple over samples of tuples of words."""
    return tuple(tuple(_suspicions(rows)) for rows in zip(*tf.nest.flatten(maps)))


def _suspicions(leaves):
    values = np.concatenate([np.ravel(leaf) for leaf in leaves])
    if not np.isfinite(values).all():
        yield "not finite"
    elif not values.any():
        yield "all zero"
    elif values.min() == values.max():
        yield "constant"


def _gap(network, arrays, objective, maps, scores, baseline):
    start = tf.nest.map_structure(np.ascontiguousarray, baselines(arrays, baseline))
    totals = sum(leaf.reshape(len(leaf), -1).sum(axis=1, dtype="float64") for leaf in tf.nest.flatten(maps))
    return (totals - (scores.astype("float64") - routines.scores(network, start, objective))).astype("float32")


def _takes_any(function):
    return any(each.kind is each.VAR_KEYWORD for each in inspect.signature(function).parameters.values())


def _plain(chosen):
    return {name: value if np.ndim(value) == 0 else f"array {np.shape(value)}" for name, value in chosen.items()}
