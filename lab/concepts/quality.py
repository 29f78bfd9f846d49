"""Quality: how well a dictionary rebuilds activations and scores, how sparse it is, and whether other seeds find its atoms."""

import itertools

import numpy as np
from scipy.optimize import linear_sum_assignment

from lab import routines
from lab.concepts.activations import pooled
from lab.refusal import Refused


def reconstruction(dictionary, rows):
    """How much of the variance of activations is rebuilt, by how many atoms.

    Args:
        dictionary: `Dictionary`.
        rows: float [rows, channels], best those that it was not learned from.

    Returns:
        dict of float: `r2`, the share of variance; `active`, mean number of codes that are not zero; `dead`, atoms that no row
        activates.
    """
    rows = np.asarray(rows, "float32")
    codes = dictionary.encode(rows)
    error, spread = (
        np.sum((rows - other) ** 2, dtype="float64") for other in (dictionary.decode(codes), rows.mean(axis=0))
    )
    is_active = codes != 0
    return {
        "r2": float(1 - error / spread) if spread > 0 else float("nan"),
        "active": float(is_active.sum(axis=1).mean()),
        "dead": int((~is_active.any(axis=0)).sum()),
    }


def score_recovered(network, inputs, objective, layer, dictionary):
    """How much of a score remains when a layer is rebuilt: 1 for all of it, 0 for no more than the layer's mean.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        layer: the address of the dictionary's layer.
        dictionary: `Dictionary`.

    Returns:
        float, 1 less the mean change of the score by rebuilding, as a share of that by the mean; nan where that is 0.
    """
    activations = routines.activations(network, inputs, layer)
    means = pooled(network, inputs, [layer])[layer].mean(axis=0)
    rebuilt = dictionary.decode(dictionary.encode(activations))
    before = routines.scores(network, inputs, objective)
    rebuilding, ablating = (
        np.abs(routines.replace_activations(network, inputs, objective, layer, values) - before).mean()
        for values in (rebuilt, np.broadcast_to(means, activations.shape).copy())
    )
    return float(1 - rebuilding / ablating) if ablating > 0 else float("nan")


def match(first, second, *, signed=False):
    """Each atom's partner in another dictionary, so that cosines are largest in sum (the Hungarian algorithm).

    Args:
        first: float [atoms, channels].
        second: float [others, channels].
        signed: bool, whether a direction and its opposite are the same.

    Returns:
        int [pairs] and int [pairs], places in both, and float64 [pairs], their cosines.
    """
    cosines = _unit(first) @ _unit(second).T
    cosines = np.abs(cosines) if signed else cosines
    rows, columns = linear_sum_assignment(-cosines)
    return rows, columns, cosines[rows, columns]


def stability(dictionaries, *, signed=False, seed):
    """Whether dictionaries from several seeds have the same atoms, beside those of random directions.

    A random dictionary has the numbers of a learned one: in each channel they are exchanged between its atoms.

    Args:
        dictionaries: list of float [atoms, channels], two or more.
        signed: bool, as of `match`.
        seed: int, of the random dictionaries.

    Returns:
        dict of float: mean cosine of matched atoms, `learned` and `random`.

    Raises:
        Refused: for fewer than two dictionaries.
    """
    if len(dictionaries) < 2:
        raise Refused(f"Stability compares dictionaries of two seeds or more. Received: {len(dictionaries)}.")
    generator = np.random.default_rng(seed)
    shuffled = [generator.permuted(atoms, axis=0) for atoms in dictionaries]
    return {name: _mean_match(matrices, signed) for name, matrices in (("learned", dictionaries), ("random", shuffled))}


def _mean_match(dictionaries, signed):
    pairs = itertools.combinations(dictionaries, 2)
    return float(np.mean([match(*pair, signed=signed)[2].mean() for pair in pairs]))


def neighbours(atoms, count):
    """The atoms most alike each atom.

    Args:
        atoms: float [atoms, channels].
        count: int, neighbours of each.

    Returns:
        int [atoms, count] and float64 [atoms, count], their cosines, the nearest first.
    """
    cosines = _unit(atoms) @ _unit(atoms).T
    np.fill_diagonal(cosines, -np.inf)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, : min(count, len(atoms) - 1)]
    return order, np.take_along_axis(cosines, order, axis=1)


def _unit(atoms):
    atoms = np.asarray(atoms, "float64")
    return atoms / np.maximum(np.linalg.norm(atoms, axis=1, keepdims=True), 1e-300)
