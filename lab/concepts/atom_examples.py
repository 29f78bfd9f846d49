"""Atom examples: the inputs in which each atom of a dictionary is most active, found in one pass over any number of them."""

from dataclasses import dataclass

import numpy as np

from lab.concepts.activations import BATCH
from lab.concepts.positions import layer_batches
from lab.visualization.examples import merge_best


@dataclass(frozen=True)
class AtomExamples:
    """Where each atom is most active.

    Args:
        top: int [atoms, count], indices of the inputs with the largest codes, largest first.
        scores: float32 [atoms, count], the largest code in each, by size.
        places: int [atoms, count], the flat position where it is.
        active: float64 [atoms], the share of positions at which the code is not zero.
        energy: float64 [atoms], the mean square of what the atom adds to the activations of a position.
    """

    top: np.ndarray
    scores: np.ndarray
    places: np.ndarray
    active: np.ndarray
    energy: np.ndarray


def atom_examples(network, data, layer, dictionary, *, count=6, fit="squash", batch=BATCH):
    """The inputs in which each atom is most active.

    Args:
        network: a `Network`.
        data: `lab.Data`.
        layer: the address of the dictionary's layer.
        dictionary: `Dictionary`.
        count: int, inputs of each atom.
        fit: "squash" or "crop", as of `Network.preprocess`.
        batch: int, inputs that are held in memory at a time.

    Returns:
        `AtomExamples`.

    Raises:
        Refused: for an unknown layer, and activations that are not finite.
    """
    network.refuse_unknown(layer)
    best, active, squares, positions = None, 0, 0, 0
    for number, (values, kept) in enumerate(layer_batches(network, data, layer, fit=fit, batch=batch)):
        codes = np.where(kept[..., None], dictionary.encode(values), 0)
        indices = np.arange(number * batch, number * batch + len(codes))
        sizes = np.abs(codes)
        best = merge_best(best, sizes.max(axis=1), sizes.argmax(axis=1), indices, count)
        active, squares = active + (codes != 0).sum(axis=(0, 1)), squares + (sizes**2).sum(axis=(0, 1), dtype="float64")
        positions += kept.sum()
    lengths = (dictionary.atoms.astype("float64") ** 2).sum(axis=1)
    scores, top, places = (values.T for values in best)
    return AtomExamples(top, scores, places, active / positions, squares / positions * lengths)
