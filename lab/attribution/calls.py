"""Calls: an explainer is called with resolved options on a network that it may not change, and its maps are checked."""

import inspect

import numpy as np

from lab import registry
from lab.attribution import explainers
from lab.environment import tf
from lab.estimates import Estimate
from lab.fills import refuse_name
from lab.isolation import MethodFault, call_isolated, is_ours
from lab.refusal import Refused
from lab.registry import nearest
from lab.tokenizer import NEUTRAL


def attribute(explainer, network, inputs, objective, /, **options):
    """An explainer's maps, checked for structure and shape; the network is left as it was, whatever happens.

    Args:
        explainer: a function `(network, inputs, objective, **options)`.
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        options: the explainer's options, as of `resolve_options`.

    Returns:
        the maps as arrays, as of `check_maps`.

    Raises:
        MethodFault: for an explainer that misbehaves or does not return maps.
    """
    return estimate(explainer, network, inputs, objective, **options).values


def estimate(explainer, network, inputs, objective, /, **options):
    """As `attribute`, with the standard errors of an explainer that states them (`lab.estimates.estimator`).

    Args:
        explainer: as of `attribute`.
        network: as of `attribute`.
        inputs: as of `attribute`.
        objective: as of `attribute`.
        options: as of `attribute`.

    Returns:
        `Estimate` of maps; all else is None where the explainer states no errors.

    Raises:
        MethodFault: as of `attribute`, for errors too.
    """
    refuse_name(network, inputs, options)
    result = call_isolated(explainer, network, inputs, objective, options)
    places = _layer_shapes(network, options)
    if not isinstance(result, Estimate):
        return Estimate(check_maps(result, inputs, explainer, places), None, None, None)
    return result.convert(lambda maps: check_maps(maps, inputs, explainer, places))


def resolve_options(explainer, network, seed, options):
    """The options that an explainer is called with: those given, a seed where it draws, a layer where it needs one.

    For a table whose background is known, a baseline is its mean row, and references are some of its rows. A method that takes
    tokens away puts the mask token in their place, where the tokenizer has one.

    Args:
        explainer: a function `(network, inputs, objective, **options)`.
        network: a `Network`.
        seed: used where the options hold none.
        options: dict of the options given.

    Returns:
        dict.

    Raises:
        Refused: for options that the explainer does not have.
    """
    network.refuse_without(needed_capability(explainer), explainers.name(explainer))
    refuse_options(explainer, options)
    known = registry.options(explainer)
    settings = dict(options)
    if "seed" in known:
        settings.setdefault("seed", seed)
    if "layer" in known and settings.get("layer") is None:
        settings["layer"] = network.default_layer(explainers.tag(explainer, "resolution", "layer"))
    return {**_table_baselines(network, known), **_mask_baseline(explainer, network, known), **settings}


def needed_capability(explainer):
    """What an explainer asks a network for, one of `lab.network.CAPABILITIES`, "attention" or "trees".

    A registered method says so in the tag `needs`. Without it, one with a layer among its options needs layers, and any other
    gradients. Of a method that is not registered it is not known, so that scores are assumed.

    Args:
        explainer: a function `(network, inputs, objective, **options)`.

    Returns:
        str.
    """
    if not any(explainers.get(name) is explainer for name in explainers):
        return "scores"
    return explainers.tag(explainer, "needs", "layers" if "layer" in registry.options(explainer) else "gradients")


def slope_power(explainer, options):
    """The power in which a map has the unit of a slope, the score per unit of the input.

    Args:
        explainer: a function `(network, inputs, objective, **options)`.
        options: dict of its options, as of `resolve_options`.

    Returns:
        int: 1 for slopes, 2 for their squares and variances, 0 for maps in units of the score and all others.
    """
    if explainers.tag(explainer, "wrapper"):
        inner = slope_power(explainers.get(options["explainer"]), options.get("options") or {})
    else:
        claim = explainers.tag(explainer, "derivative") or getattr(explainer, "derivative", None)
        inner = int(explainers.tag(explainer, "slope", claim == "slope"))
    return inner * (2 if options.get("variant") in ("squared", "variance") else 1)


def _mask_baseline(explainer, network, known):
    """The baseline of the mask token as an option, for a method that takes parts of texts away: dict, empty for others."""
    takes_parts = "baseline" in known and explainers.tag(explainer, "resolution") == "parts"
    has_mask = network.tokenizer is not None and network.tokenizer.mask is not None
    return {"baseline": NEUTRAL} if takes_parts and has_mask else {}


# Options that hold points to start from, and whether they hold several of them.
_STARTS = {"baseline": False, "references": True}
# Rows of a background that stand for all of it.
_REFERENCES = 64


def baseline_options(network, options):
    """Options with a baseline: the mean row of a table whose background is known, where they have none.

    Args:
        network: a `Network`.
        options: dict of all options of a method.

    Returns:
        dict.
    """
    has_baseline = any(name in options for name in ("baseline", "baselines", "references"))
    return options if has_baseline else {**_table_baselines(network, {"baseline": 0}), **options}


def _table_baselines(network, known):
    """Baselines of a table whose background is known: its mean row, or some of its rows. dict of option to array."""
    if getattr(network, "background", None) is None or len(network.places()) > 1:
        return {}
    rows = network.background
    references = rows[np.linspace(0, len(rows) - 1, min(len(rows), _REFERENCES)).astype(int)]
    return {
        # In float32 the sum of many rows loses what columns vary by.
        name: references if several else rows.mean(axis=0, dtype="float64").astype("float32")
        for name, several in _STARTS.items()
        if known.get(name, "") == 0
    }


def refuse_options(explainer, options):
    """Raise Refused for options that an explainer does not have.

    Args:
        explainer: a function `(network, inputs, objective, **options)`.
        options: dict of option name to value.

    Raises:
        Refused: for the first option that it does not have.
    """
    known = registry.options(explainer)
    for name in options:
        if name not in known and not _accepts_any_option(explainer):
            raise Refused(f"Unknown option of {explainers.name(explainer)}. Received: {name!r}. {nearest(name, known)}")


def check_maps(maps, arrays, explainer, places=()):
    """The maps as arrays, once their structure and shape have been checked.

    They have the structure and shape of the inputs, lie over the positions of an input, or lie over a layer. Over positions
    they have the input's resolution, or a coarser one of the same proportions.

    Args:
        maps: what the explainer returned.
        arrays: the inputs.
        explainer: named in errors.
        places: the shapes that a sample's map may have at a layer.

    Returns:
        arrays of numbers that the explainer does not hold; masked values are NaN.

    Raises:
        MethodFault: for maps of another structure, shape or dtype.
    """
    shapes, returned = tf.nest.map_structure(np.shape, arrays), maps
    try:
        # A method may reuse the memory of its maps. Masked values become NaN.
        is_kept = not is_ours(explainer)
        maps = tf.nest.map_structure(lambda leaf: _own_array(np.ma.filled(leaf, np.nan), arrays, is_kept), maps)
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


def _own_array(array, inputs, is_kept):
    """An array that nobody else holds: a copy, unless it is a whole one, no input and not kept by who returned it."""
    is_whole = array.flags.owndata and array.flags.writeable
    is_free = is_whole and not is_kept and not any(np.may_share_memory(array, leaf) for leaf in tf.nest.flatten(inputs))
    return array if is_free else np.array(array)


def _batch_size(arrays):
    return len(tf.nest.flatten(arrays)[0])


def _matches_shape(shape, place):
    """Whether a sample's shape is that of a place, in which a side of None may have any size."""
    return len(shape) == len(place) and 0 not in shape and all(free in (None, side) for side, free in zip(shape, place))


def _matches_extent(sides, extent):
    """Whether a map [...] fits positions [...]: as many axes, none finer, in the same proportions up to one cell."""
    if len(sides) != len(extent) or 0 in sides or any(side > size for side, size in zip(sides, extent)):
        return False
    scales = [size / side for side, size in zip(sides, extent)]
    # Seven cells fit a side of 224 and one of 230; a transposed map does not fit.
    return all(abs(size / max(scales) - side) <= 1 for side, size in zip(sides, extent))


def _describe_maps(maps):
    """What a method returned in place of maps: shapes of arrays, or else the type."""
    leaves = [leaf for leaf in tf.nest.flatten(maps) if hasattr(leaf, "shape")]
    if not leaves:
        return type(maps).__name__
    kinds = {np.asarray(leaf).dtype.name for leaf in leaves if np.asarray(leaf).dtype.kind not in "fiub"}
    return f"{tf.nest.map_structure(np.shape, maps)}{' of ' + ', '.join(kinds) if kinds else ''}"


def _layer_shapes(network, options):
    """The shapes that a sample's map may have at the layers in the options: with channels and without."""
    paths = options.get("layer") or ()
    shapes = [network.shape_of(address) for address in ([paths] if isinstance(paths, str) else paths)]
    return [place for shape in shapes if isinstance(shape, tuple) for place in (shape[1:], shape[1:-1])]


def _accepts_any_option(function):
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in inspect.signature(function).parameters.values())
