"""Explanation: an explainer's maps with what was decided on the way, and what is suspicious about them."""

import inspect
import itertools
from dataclasses import dataclass, field

import numpy as np

from lab import routines
from lab.attribution import explainers
from lab.attribution.paths import baselines
from lab.embeddings import options_to_embeddings, to_embeddings
from lab.environment import tf
from lab.isolation import MethodFault, isolated
from lab.maps import pooled
from lab.network import refuse_other
from lab.objectives import OUTPUTS
from lab.refusal import Refused
from lab.registry import nearest, options


@dataclass(frozen=True)
class Explanation:
    """maps: float32 in the structure of the inputs, or [batch, rows, columns]. scores: float32 [batch], what was explained.
    target: the objective in words. layer: the layer that was looked at, several as a list, or None. gap: float32 [batch], sum of the map minus the
    score's difference to the baseline, for methods that promise completeness; else None. flags: per sample, a tuple of words
    ("not finite", "all zero", "constant", and what `map_warnings` finds). head: what was taken off the output ("Softmax", ...) or None. method, options: what ran.
    """

    maps: object
    scores: np.ndarray
    target: str
    layer: str | list | None
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

    given: options of the method. seed: for methods that draw; recorded. Raises Refused for an unknown method or option and for
    what the method refuses, MethodFault for a method that misbehaves (`lab.isolation`) or gives what is no map.
    """
    refuse_other(network, objective)
    explainer = explainers.get(method)
    chosen = resolve_options(explainer, network, seed, given)
    arrays = network.inputs(inputs)
    maps = attribute(explainer, network, arrays, objective, **chosen)
    scores = routines.scores(network, arrays, objective)
    gap = None
    if explainers.tag(explainer, "complete"):
        gap = (total(maps) - completeness_target(explainer, network, arrays, objective, chosen)).astype("float32")
    found = zip(flags(maps), map_warnings(explainer, network, arrays, objective))
    return Explanation(
        maps,
        scores,
        str(objective),
        chosen.get("layer"),
        gap,
        tuple((*seen, *doubted) for seen, doubted in found),
        network.heads[_output(network, objective)] if _output(network, objective) else None,
        explainers.name(explainer),
        _plain(chosen) | ({"asked": "one sample at a time"} if getattr(explainer, "looped", False) else {}),
    )


def attribute(explainer, network, inputs, objective, /, **chosen):
    """An explainer's maps with its options settled, checked for structure and shape; the network is as before, whatever happens."""
    maps = isolated(explainer, network, inputs, objective, chosen)
    return checked(maps, inputs, explainer, _places(network, chosen))


def resolve_options(explainer, network, seed, given):
    """The options an explainer will be called with: those given, the seed where it draws, the layer where it needs one."""
    refuse_options(explainer, given)
    known = options(explainer)
    chosen = dict(given)
    if "seed" in known:
        chosen.setdefault("seed", seed)
    if "layer" in known and chosen.get("layer") is None:
        chosen["layer"] = network.default_layer(explainers.tag(explainer, "resolution", "layer"))
    return chosen


def refuse_options(explainer, given):
    """Raise Refused for options that an explainer does not have."""
    known = options(explainer)
    for name in given:
        if name not in known and not _takes_any(explainer):
            raise Refused(f"Unknown option of {explainers.name(explainer)}. Received: {name!r}. {nearest(name, known)}")


def checked(maps, arrays, explainer, places=()):
    """The maps as arrays. Raises MethodFault unless they have the structure and shape of the inputs, or lie over the positions of an
    input at its own or a coarser resolution of the same proportions, or over a layer: one of the shapes in `places`, a sample's.
    """
    shapes, returned = tf.nest.map_structure(np.shape, arrays), maps
    try:
        # A copy: a method may write its next maps where it wrote these. What it masked is no number.
        maps = tf.nest.map_structure(lambda leaf: np.array(np.ma.filled(leaf, np.nan)), maps)
        same = tf.nest.map_structure(np.shape, maps) == shapes
    except (TypeError, ValueError):
        same = False
    lone = maps.shape if isinstance(maps, np.ndarray) and maps.ndim > 1 and len(maps) == _rows(arrays) else ()
    extents = [leaf.shape[1:-1] for leaf in tf.nest.flatten(arrays) if leaf.ndim > 2]
    over = lone and (
        any(_fits(lone[1:], place) for place in places) or any(_lies_over(lone[1:], extent) for extent in extents)
    )
    if not (same or over) or any(leaf.dtype.kind not in "fiub" for leaf in tf.nest.flatten(maps)):
        raise MethodFault(
            f"Maps are numbers in the structure and shape of the inputs, or over their positions or a layer's. Received: {_told_shape(returned)} from {explainers.name(explainer)} for {shapes}."
        )
    return maps


def _rows(arrays):
    return len(tf.nest.flatten(arrays)[0])


def _fits(shape, place):
    """Whether a sample's shape is that of a place, whose free sides are None."""
    return len(shape) == len(place) and 0 not in shape and all(free in (None, side) for side, free in zip(shape, place))


def _lies_over(sides, extent):
    """Whether a map [...] lies over positions [...]: as many axes, each at most as fine, in the same proportions up to a cell."""
    if len(sides) != len(extent) or 0 in sides or any(side > size for side, size in zip(sides, extent)):
        return False
    scales = [size / side for side, size in zip(sides, extent)]
    # A map of seven cells over a side of 224 or of 230 is the same map; one that is turned on its side is not.
    return all(abs(size / max(scales) - side) <= 1 for side, size in zip(sides, extent))


def _told_shape(maps):
    """What a method gave instead of maps, in words: shapes where it gave arrays, else its type."""
    leaves = [leaf for leaf in tf.nest.flatten(maps) if hasattr(leaf, "shape")]
    if not leaves:
        return type(maps).__name__
    kinds = {np.asarray(leaf).dtype.name for leaf in leaves if np.asarray(leaf).dtype.kind not in "fiub"}
    return f"{tf.nest.map_structure(np.shape, maps)}{' of ' + ', '.join(kinds) if kinds else ''}"


def _places(network, chosen):
    """What shapes a sample's map may have at the layers that were chosen: with channels and without."""
    named = chosen.get("layer") or ()
    shapes = [network.shapes.get(each) for each in ([named] if isinstance(named, str) else named)]
    return [place for shape in shapes if isinstance(shape, tuple) for place in (shape[1:], shape[1:-1])]


def completeness_target(explainer, network, inputs, objective, chosen):
    """What a complete method's map should add up to: the score less the mean score of its baselines, float64 [batch].

    For a method that promises nothing, of the baseline that it names, or zero.
    """
    seen, arrays = to_embeddings(network, inputs)
    begun = explainers.tag(explainer, "complete", baselines)(arrays, options_to_embeddings(network, chosen))
    below = np.mean(
        [routines.scores(seen, seen.keep(arrays, each), objective).astype("float64") for each in begun], axis=0
    )
    return routines.scores(seen, arrays, objective) - below


def total(maps):
    """The sum of each sample's map: float64 [batch]."""
    return sum(leaf.reshape(len(leaf), -1).sum(axis=1, dtype="float64") for leaf in tf.nest.flatten(maps))


# A probability above this no longer moves with its logit, in float32 and for the eye.
SATURATED = 0.999


def map_warnings(explainer, network, inputs, objective):
    """What is doubtful about explaining this objective of this network, whatever the map: tuple over samples of tuples of words.

    "saturated softmax": the class has more than .999, so that what a probability does says nothing. "head not linear": the
    score leaves through an activation that is not taken off. "a softmax that could not be taken off": scores that add up to
    one, of a model that is closed or has another softmax behind. "a sigmoid that could not be taken off": scores in 0..1 of a
    closed model. "plain through ...": an activation that a gradient rule passes by. And what a method says of
    itself, in the tag `map_warnings`: (network, inputs, objective) -> tuple over samples of tuples of words.
    """
    own = explainers.tag(explainer, "map_warnings")
    general = _of_the_network(explainer, network, inputs, objective)
    return (
        general if own is None else tuple(map(sum, zip(general, own(network, inputs, objective)), itertools.repeat(())))
    )


def _of_the_network(explainer, network, inputs, objective):
    always = tuple(_always(explainer, network, objective))
    name, batch = _output(network, objective), len(tf.nest.flatten(inputs)[0])
    if name is None or len(network.outputs[name]) > 2:
        return (always,) * batch
    always += _left_on(routines.outputs(network, inputs)[name].reshape(batch, -1), network.closed[name])
    if network.heads[name] is None:
        return (always,) * batch
    sure = routines.class_probability(network, inputs, objective) > SATURATED
    return tuple((*always, *(["saturated softmax"] if each else [])) for each in sure)


def _left_on(scores, closed):
    """Words for a softmax or a sigmoid that is still on scores [batch, classes], as far as they show it: tuple of str."""
    if not ((scores >= 0) & (scores <= 1)).all():
        return ()
    if scores.shape[1] > 1 and np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        return ("a softmax that could not be taken off",)
    return ("a sigmoid that could not be taken off",) if closed else ()


def _always(explainer, network, objective):
    name = _output(network, objective)
    if name is not None and network.ends[name] not in (None, network.heads[name]):
        yield f"head not linear: {network.ends[name]}"
    if explainers.tag(explainer, "rule"):
        yield from (f"plain through {each}" for each in network.smooth_activations())


def _output(network, objective):
    """The output that an objective's logits are of, or None where it has none."""
    named = [term.where for _, term in objective.terms if term.kind in OUTPUTS]
    return (named[0] or next(iter(network.heads))) if named else None


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


def _takes_any(function):
    return any(each.kind is each.VAR_KEYWORD for each in inspect.signature(function).parameters.values())


def _plain(chosen):
    return {name: value if np.ndim(value) == 0 else f"array {np.shape(value)}" for name, value in chosen.items()}
