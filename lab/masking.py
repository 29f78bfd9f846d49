"""Masking: scores of inputs of which parts are replaced by a reference, computed by a loop inside the graph.

coalition_scores(network, ...) -> [batch, coalitions, references]   players are there or replaced
grid_scores(network, ...)      -> [batch, grids]                     values are mixed with the reference by a coarse grid
"""

import numpy as np

from lab import routines
from lab.environment import tf
from lab.fills import inpainted
from lab.scoring import score


def coalition_scores(network, inputs, objective, members, coalitions, references, fill="values"):
    """The score of each input when only the players of a coalition are left of it.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        members: list over the leaves of the inputs of int32 arrays of their shape without the last axes, [batch, ...]: which
            player each position belongs to; -1 where it is never replaced.
        coalitions: bool [coalitions, players], who is there.
        references: arrays [batch, references, ...] in the structure of the inputs, what stands in the place of the others.
        fill: str, as of `lab.games.Game`.

    Returns:
        float32 [batch, coalitions, references].
    """
    count, players = np.shape(coalitions)
    # A list of one dimension may have any length without another trace.
    options = {"coalitions": np.asarray(coalitions, bool).ravel(), "players": np.int32(players)}
    parts = (inputs, objective, members, references, options, count)
    return _masked_scores(network, "coalitions", *parts, inpaint=fill == "inpaint")


def grid_scores(network, inputs, objective, grids, shifts, references):
    """The score of each image when it is mixed with a reference, by grids that are enlarged to its size.

    Args:
        network: a `Network` of one input of images.
        inputs: float [batch, rows, columns, channels].
        objective: an `Objective`.
        grids: float [grids, cells, cells], the share of the image in each cell.
        shifts: int [grids, 2], how far each enlarged grid is shifted; None: they are enlarged to the image's size, each cell of
            one value.
        references: float [batch, references, rows, columns, channels].

    Returns:
        float32 [batch, grids], means over the references.
    """
    count, side = np.shape(grids)[:2]
    options = {"grids": np.asarray(grids, "float32").ravel(), "side": np.int32(side)}
    if shifts is not None:
        options["shifts"] = np.asarray(shifts, "int32").ravel()
    members = [np.zeros(1, "int32").repeat(len(tf.nest.flatten(inputs)[0]))]
    scores = _masked_scores(network, "grids", inputs, objective, members, references, options, count)
    return scores.mean(axis=2, dtype="float64").astype("float32")


def enlarged_grids(grids, shifts, extent):
    """Grids as masks over images, smooth where they are shifted (RISE), else in blocks.

    Args:
        grids: float32 tensor [grids, cells, cells].
        shifts: int32 tensor [grids, 2], less than a cell each; None: none.
        extent: int32 tensor [2], rows and columns.

    Returns:
        float32 tensor [grids, rows, columns].
    """
    side = tf.shape(grids)[1]
    if shifts is None:
        where = [tf.range(size) * side // size for size in tf.unstack(extent)]
        return tf.gather(tf.gather(grids, where[0], axis=1), where[1], axis=2)
    # One cell more than fits, so that a shift of less than a cell stays inside.
    cell = -(-extent // (side - 1))
    rows, columns = (_shifted_weights(side, cell[axis], shifts[:, axis], extent[axis]) for axis in (0, 1))
    return rows @ grids @ tf.transpose(columns, [0, 2, 1])


def _shifted_weights(side, cell, shifts, size):
    """What each cell counts at each position of a grid that is enlarged bilinearly and shifted: [grids, size, side]."""
    positions = tf.cast(shifts[:, None] + tf.range(size)[None], tf.float32)
    centres = tf.clip_by_value((positions + 0.5) / tf.cast(cell, tf.float32) - 0.5, 0.0, tf.cast(side - 1, tf.float32))
    return tf.nn.relu(1 - tf.abs(centres[..., None] - tf.range(tf.cast(side, tf.float32))))


def _masked_scores(network, kind, inputs, objective, members, references, options, count, *, inpaint=False):
    (arrays, numbers), weights = routines.prepare(network, inputs, objective)
    several = tf.nest.flatten(references)[0].shape[1]
    width = routines.sample_width(network, arrays, count * several)
    shared = (weights, options, np.int32(count * several), np.int32(width))
    batched = (arrays, numbers, members, references)
    key = ("masked", kind, objective.structure, several, inpaint)
    body, most = _loop(network, kind, objective, several, inpaint), routines.turn_size(network)
    scores = routines.run(network, key, body, batched, shared, most=most)
    return scores.reshape(len(scores), count, several)


def _loop(network, kind, objective, several, inpaint):
    """The body of a routine: the scores of all masked inputs, [batch, coalitions * references]."""

    def body(batched, shared):
        inputs, numbers, members, references = batched
        weights, options, count, width = shared

        def step(indices, scores):
            known = tf.minimum(indices, count - 1)
            masks = _MASKS[kind](options, members, known // several, inputs)
            masked = _replace(network, inputs, references, masks, known % several, inpaint)
            repeated = tf.nest.map_structure(lambda array: tf.repeat(array, width, axis=0), numbers)
            trace = network.trace(masked, objective.paths)
            values = tf.cast(score(objective.structure, weights, repeated, trace), tf.float32)
            return scores.write(indices[0] // width, tf.reshape(values, [-1, width]))

        empty = tf.TensorArray(tf.float32, size=-(-count // width), element_shape=[None, None])
        scores = routines.over_samples(network, count, width, step, empty)
        by_sample = tf.transpose(scores.stack(), [1, 0, 2])
        return tf.reshape(by_sample, [tf.shape(by_sample)[0], -1])[:, :count]

    return body


def _replace(network, inputs, references, masks, which, inpaint):
    """Inputs mixed with references by masks [batch or 1, width, ...]: leaves [batch * width, ...]. Masked steps stay as they are."""
    leaves = []
    flat = zip(tf.nest.flatten(inputs), tf.nest.flatten(references), masks, network.masks(inputs))
    for leaf, reference, mask, kept in flat:
        other = tf.gather(reference, which, axis=1)
        # Of an input that is no part of any player the mask has no positions.
        other = _inpainted(leaf, mask, other) if inpaint and len(mask.shape) == len(leaf.shape) else other
        mask = tf.reshape(mask, tf.concat([tf.shape(mask), tf.ones([len(other.shape) - len(mask.shape)], tf.int32)], 0))
        if mask.dtype == tf.bool:
            mixed = tf.where(mask, leaf[:, None], other)
        else:
            mask = tf.cast(mask, leaf.dtype)
            mixed = mask * leaf[:, None] + (1 - mask) * other
        mixed = mixed if kept is None else tf.where(kept[:, None], leaf[:, None], mixed)
        leaves.append(tf.reshape(mixed, tf.concat([[-1], tf.shape(leaf)[1:]], 0)))
    return tf.nest.pack_sequence_as(inputs, leaves)


def _inpainted(leaf, mask, other):
    """What fills each hole from around it: [batch, width, ...]."""
    width = tf.shape(mask)[1]
    whole = tf.repeat(leaf, width, axis=0)
    flat = [tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], 0)) for tensor in (mask, other)]
    return tf.reshape(inpainted(whole, *flat), tf.shape(other))


def _coalition_masks(options, members, indices, _):
    """Who is there at each position: list over leaves of bool [batch, width, ...]."""
    table = tf.reshape(options["coalitions"], [-1, options["players"]])
    rows = tf.gather(table, indices)
    # Members of no player are always there.
    rows = tf.concat([rows, tf.ones([tf.shape(rows)[0], 1], tf.bool)], axis=1)
    masks = []
    for leaf in members:
        places = tf.where(leaf < 0, options["players"], leaf)
        by_coalition = tf.gather(rows, places, axis=1)
        axes = [1, 0, *range(2, len(leaf.shape) + 1)]
        masks.append(tf.transpose(by_coalition, axes))
    return masks


def _grid_masks(options, _, indices, inputs):
    """The share of the image at each position: list of one float [1, width, rows, columns]."""
    grids = tf.gather(tf.reshape(options["grids"], [-1, options["side"], options["side"]]), indices)
    shifts = tf.gather(tf.reshape(options["shifts"], [-1, 2]), indices) if "shifts" in options else None
    return [enlarged_grids(grids, shifts, tf.shape(tf.nest.flatten(inputs)[0])[1:3])[None]]


_MASKS = {"coalitions": _coalition_masks, "grids": _grid_masks}
