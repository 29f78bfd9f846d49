"""Calls: an explainer called on a network, with its options resolved, the network kept as it was, and its maps checked."""

import inspect

import numpy as np

from lab import registry
from lab.attribution import explainers
from lab.environment import tf
from lab.isolation import MethodFault, call_isolated
from lab.refusal import Refused
from lab.registry import nearest


def attribute(explainer, network, inputs, objective, /, **options):
    """An explainer's maps with its options settled, checked for structure and shape; the network is as before, whatever happens."""
    maps = call_isolated(explainer, network, inputs, objective, options)
    return check_maps(maps, inputs, explainer, _layer_shapes(network, options))


def resolve_options(explainer, network, seed, options):
    """The options an explainer will be called with: those given, the seed where it draws, the layer where it needs one."""
    refuse_options(explainer, options)
    known = registry.options(explainer)
    settings = dict(options)
    if "seed" in known:
        settings.setdefault("seed", seed)
    if "layer" in known and settings.get("layer") is None:
        settings["layer"] = network.default_layer(explainers.tag(explainer, "resolution", "layer"))
    return settings


def refuse_options(explainer, options):
    """Raise Refused for options that an explainer does not have."""
    known = registry.options(explainer)
    for name in options:
        if name not in known and not _accepts_any_option(explainer):
            raise Refused(f"Unknown option of {explainers.name(explainer)}. Received: {name!r}. {nearest(name, known)}")


def check_maps(maps, arrays, explainer, places=()):
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
    lone = maps.shape if isinstance(maps, np.ndarray) and maps.ndim > 1 and len(maps) == _batch_size(arrays) else ()
    extents = [leaf.shape[1:-1] for leaf in tf.nest.flatten(arrays) if leaf.ndim > 2]
    over = lone and (
        any(_matches_shape(lone[1:], place) for place in places)
        or any(_matches_extent(lone[1:], extent) for extent in extents)
    )
    if not (same or over) or any(leaf.dtype.kind not in "fiub" for leaf in tf.nest.flatten(maps)):
        raise MethodFault(
            f"Maps are numbers in the structure and shape of the inputs, or over their positions or a layer's. Received: {_describe_maps(returned)} from {explainers.name(explainer)} for {shapes}."
        )
    return maps


def _batch_size(arrays):
    return len(tf.nest.flatten(arrays)[0])


def _matches_shape(shape, place):
    """Whether a sample's shape is that of a place, whose free sides are None."""
    return len(shape) == len(place) and 0 not in shape and all(free in (None, side) for side, free in zip(shape, place))


def _matches_extent(sides, extent):
    """Whether a map [...] lies over positions [...]: as many axes, each at most as fine, in the same proportions up to a cell."""
    if len(sides) != len(extent) or 0 in sides or any(side > size for side, size in zip(sides, extent)):
        return False
    scales = [size / side for side, size in zip(sides, extent)]
    # A map of seven cells over a side of 224 or of 230 is the same map; one that is turned on its side is not.
    return all(abs(size / max(scales) - side) <= 1 for side, size in zip(sides, extent))


def _describe_maps(maps):
    """What a method gave instead of maps, in words: shapes where it gave arrays, else its type."""
    leaves = [leaf for leaf in tf.nest.flatten(maps) if hasattr(leaf, "shape")]
    if not leaves:
        return type(maps).__name__
    kinds = {np.asarray(leaf).dtype.name for leaf in leaves if np.asarray(leaf).dtype.kind not in "fiub"}
    return f"{tf.nest.map_structure(np.shape, maps)}{' of ' + ', '.join(kinds) if kinds else ''}"


def _layer_shapes(network, options):
    """What shapes a sample's map may have at the layers that were settings: with channels and without."""
    named = options.get("layer") or ()
    shapes = [network.shapes.get(address) for address in ([named] if isinstance(named, str) else named)]
    return [place for shape in shapes if isinstance(shape, tuple) for place in (shape[1:], shape[1:-1])]


def _accepts_any_option(function):
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in inspect.signature(function).parameters.values())
