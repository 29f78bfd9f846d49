"""References: what stands in the place of the parts of an input that are taken away."""

import numpy as np

from lab import chunks
from lab.attribution.paths import baselines as path_baselines
from lab.attribution.paths import broadcast_baseline, stack_baselines
from lab.environment import tf
from lab.fills import refuse_inpainting, refuse_name
from lab.games import expected_players
from lab.kinds import kind_of
from lab.players import players_of
from lab.refusal import Refused


def as_references(network, arrays, baseline=0.0, baselines=None):
    """One baseline or several, beside every sample.

    Args:
        network: a `Network`, whose masked steps keep their values.
        arrays: inputs that it takes.
        baseline: a number, an array (structure) that broadcasts against the inputs, or a name.
        baselines: several in its place, a list of numbers or arrays [baselines, ...]; None: the one.

    Returns:
        arrays [batch, references, ...] in the structure of the inputs.

    Raises:
        Refused: for what does not broadcast, for a number in the place of ids, and for a name that does not fit.
    """
    refuse_name(network, arrays, {"baseline": baseline, "baselines": baselines})
    options = without_fills(network, {"baseline": baseline, "baselines": baselines})
    baseline, baselines = options["baseline"], options["baselines"]
    if baselines is not None:
        bases = stack_baselines(arrays, baselines)
        return tf.nest.map_structure(lambda leaf, base: np.broadcast_to(base, (len(leaf), *base.shape)), arrays, bases)
    if all(leaf.dtype.kind != "f" for leaf in tf.nest.flatten(arrays)):
        one = _ids(network, arrays, baseline)
    else:
        one = network.keep(arrays, broadcast_baseline(arrays, baseline))
    return tf.nest.map_structure(lambda leaf: np.asarray(leaf)[:, None], one)


# Baselines by name that depend on which parts are taken away.
FILLS = ("inpaint", "conditional")
# Rows of a background that stand in for one, by their nearness.
_NEAR = 256


def fill_of(arrays, baseline=0.0, baselines=None):
    """How parts are filled that are taken away: "values" of a baseline, or a name of `FILLS`.

    Args:
        arrays: the inputs, [batch, ...].
        baseline: as of `as_references`.
        baselines: as of `as_references`.

    Returns:
        str.

    Raises:
        Refused: for "inpaint" of what is neither images nor series.
    """
    fill = baseline if isinstance(baseline, str) and baselines is None and baseline in FILLS else "values"
    if fill == "inpaint":
        refuse_inpainting(arrays)
    return fill


def without_fills(network, options):
    """The options with the baseline that is left when all parts are taken away, in the place of the name of a fill.

    Args:
        network: a `Network`.
        options: dict of a method's options.

    Returns:
        dict.

    Raises:
        Refused: for "conditional" without a table whose background is known.
    """
    baseline = options.get("baseline")
    if not isinstance(baseline, str) or options.get("baselines") is not None:
        return options
    if baseline == "conditional":
        return {**options, "baselines": _rows_of_background(network)}
    return {**options, "baseline": "mean"} if baseline == "inpaint" else options


def _rows_of_background(network):
    rows = network.background
    if rows is None or len(network.places()) > 1:
        raise Refused(
            f"baseline='conditional' takes rows of a table's background. Received: {network.name}, which has none. Load it with background=rows."
        )
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _NEAR)).astype(int)]


def _ids(network, arrays, baseline):
    """A baseline of ids, for a network that embeds none of them."""
    if np.isscalar(baseline) and network.tokenizer is not None and baseline == 0:
        # The padding of texts.
        baseline = np.full((), network.tokenizer.padding or 0)
    if np.isscalar(baseline):
        dtype = tf.nest.flatten(arrays)[0].dtype
        raise Refused(
            f"Whole numbers are replaced by whole numbers. Received: baseline={baseline!r} for a network that takes {dtype}. Give rows of a table as a data frame or .astype(float). For ids give baseline= as an array, such as np.zeros({tf.nest.flatten(arrays)[0].shape[1:]}, '{dtype}')."
        )
    return broadcast_ids(arrays, baseline)


def broadcast_ids(arrays, baseline):
    """A baseline of ids in the shapes of the inputs.

    Args:
        arrays: the inputs, whole numbers [batch, ...].
        baseline: whole numbers, or an array (structure) that broadcasts against the inputs.

    Returns:
        arrays in the structure, shapes and dtypes of the inputs.

    Raises:
        Refused: for what does not broadcast.
    """
    one = len(tf.nest.flatten(arrays)) == 1 or np.isscalar(baseline)
    same = tf.nest.map_structure(lambda _: baseline, arrays) if one else baseline
    try:
        return tf.nest.map_structure(
            lambda leaf, base: np.broadcast_to(np.asarray(base), leaf.shape).astype(leaf.dtype), arrays, same
        )
    except ValueError as error:
        raise Refused(
            f"A baseline broadcasts against the inputs, {tf.nest.map_structure(np.shape, arrays)}. Received: {tf.nest.map_structure(np.shape, baseline)}."
        ) from error


def kept_baselines(arrays, options):
    """The baselines in the options, with the inputs' own values where a map of players says that nothing is taken away.

    Args:
        arrays: the inputs, [batch, ...].
        options: dict, the options of the method.

    Returns:
        list of structures like the inputs.
    """
    whole = all(leaf.dtype.kind != "f" for leaf in tf.nest.flatten(arrays))
    bases = _id_baselines(arrays, options) if whole else path_baselines(arrays, options)
    which = options.get("players")
    if which is None or isinstance(which, str):
        return bases
    several_inputs = len(tf.nest.flatten(arrays)) > 1
    maps = which if several_inputs else tf.nest.pack_sequence_as(arrays, [np.asarray(which)])
    maps = tf.nest.pack_sequence_as(arrays, tf.nest.flatten(maps))
    return [
        tf.nest.map_structure(lambda leaf, base, which: _keep(leaf, base, which, whole), arrays, one, maps)
        for one in bases
    ]


def _id_baselines(arrays, options):
    """The baselines of inputs that are ids alone, which ids replace: list of structures like the inputs."""
    several = options.get("baselines")
    if several is None:
        return [broadcast_ids(arrays, options.get("baseline", 0))]
    bases, rows = stack_baselines(arrays, several), len(tf.nest.flatten(arrays)[0])
    return [
        tf.nest.map_structure(lambda leaf, base: base.astype(leaf.dtype), arrays, chunks.take(bases, [one] * rows))
        for one in range(len(tf.nest.flatten(bases)[0]))
    ]


def _keep(leaf, base, which, whole):
    if leaf.dtype.kind != "f" and not whole:
        return base
    kept = players_of(leaf, which, 0) < 0
    return np.where(kind_of(leaf).over_features(kept), leaf, base)


def passes_of(network, options):
    """How many players a sample has about, and how many baselines each coalition is asked with.

    Args:
        network: a `Network`.
        options: dict, all options of the method.

    Returns:
        int, int.
    """
    several = without_fills(network, options).get("baselines") if network is not None else options.get("baselines")
    return expected_players(network, options["players"], options["count"]), 1 if several is None else len(several)
