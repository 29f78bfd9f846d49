"""CRAFT: parts of the images of a class, found on crops of them (Fel et al. 2023, https://arxiv.org/abs/2211.10154).

read_crops      activations of crops           craft            their non-negative factors
decompose       an atom, at an earlier layer   sobol_importance how much the score depends on each atom
"""

from dataclasses import dataclass

import numpy as np

from lab import chunks, routines
from lab.attribution.grids import jansen_design, jansen_indices
from lab.concepts.activations import BATCH, batches, pooled, refuse_layers
from lab.concepts.dictionaries import encode_parts, factorize, learners
from lab.environment import tf
from lab.refusal import Refused
from lab.scoring import score

# A crop is half as long as the image, and the next one lies four fifths of it further on.
SIDE, STEP = 0.5, 0.8
# Crops that show an atom are those with the highest codes (Fel et al. 2023, section 3.2).
STRONGEST = 0.1


@dataclass(frozen=True)
class Crops:
    """Activations of crops that were enlarged to the size of the network.

    Args:
        values: dict of layer to float32 [crops, channels], means over positions.
        inputs: int [crops], which input each comes from.
        boxes: int [crops, 4], top, left, bottom and right in pixels of the input.
    """

    values: dict
    inputs: np.ndarray
    boxes: np.ndarray


@learners.register(encode=encode_parts, nonnegative=True, crops=True)
def craft(rows, *, atoms, seed):
    """Non-negative factors of crops of the images of a class (Fel et al. 2023, https://arxiv.org/abs/2211.10154).

    Args:
        rows: float [crops, channels], as of `read_crops`, 0 or more.
        atoms: int.
        seed: int, of the start.

    Returns:
        `Dictionary`.

    Raises:
        Refused: for more atoms than crops, and for activations that are not finite or below zero.
    """
    return factorize(rows, atoms, seed, "craft")


def read_crops(network, data, layers, *, side=SIDE, step=STEP, fit="squash", batch=BATCH):
    """Activations of overlapping square crops of each image, in one pass.

    Args:
        network: a `Network` that takes images.
        data: `lab.Data` of images.
        layers: list of addresses of layers.
        side: float, of a crop, as a share of the image's.
        step: float, from one crop to the next, as a share of the crop's side.
        fit: "squash" or "crop", as of `Network.preprocess`.
        batch: int, images that are held in memory at a time.

    Returns:
        `Crops`.

    Raises:
        Refused: for a network without images, an unknown layer, another side or step, and activations that are not finite.
    """
    refuse_layers(network, layers)
    if network.image_place is None or network.size is None or len(network.places()) > 1:
        raise Refused(
            f"Crops are those of a network that takes one image. Received: {network.name}. Take the learner nmf."
        )
    if not (0 < side <= 1 and 0 < step <= 1):
        raise Refused(f"Side and step of crops are shares above 0 and up to 1. Received: side={side}, step={step}.")
    boxes = _boxes(network.size, side, step)
    parts = [
        pooled(network, _cut(part.inputs_of(network, fit), boxes, network.size), layers)
        for part in batches(data, max(1, batch // len(boxes)))
    ]
    values = {layer: np.concatenate([part[layer] for part in parts]) for layer in layers}
    _refuse_not_finite(values)
    return Crops(values, np.repeat(np.arange(len(data)), len(boxes)), np.tile(boxes, (len(data), 1)))


def _refuse_not_finite(values):
    for layer, rows in values.items():
        if not np.isfinite(rows).all():
            raise Refused(f"Activations are finite numbers. Received: NaN or infinity in {layer!r} for a crop.")


def _boxes(size, side, step):
    """Crops side by side, with the last ones at the edge: int [crops, 4]."""
    lengths = [max(1, round(side * extent)) for extent in size]
    starts = [
        np.unique([*range(0, extent - length, max(1, round(step * length))), extent - length])
        for extent, length in zip(size, lengths)
    ]
    return np.array([(top, left, top + lengths[0], left + lengths[1]) for top in starts[0] for left in starts[1]])


def _cut(images, boxes, size):
    """Crops at the size of the images: float32 [images * crops, rows, columns, channels]."""
    cut = [tf.image.resize(images[:, top:bottom, left:right], size).numpy() for top, left, bottom, right in boxes]
    return np.stack(cut, axis=1).reshape(-1, *cut[0].shape[1:])


def decompose(dictionary, crops, layer, atom, earlier, *, atoms, share=STRONGEST, seed):
    """The parts of an atom at an earlier layer: factors there of the crops that show the atom most.

    Args:
        dictionary: `Dictionary` of `craft`.
        crops: `Crops` at both layers.
        layer: the address of the dictionary's layer.
        atom: int.
        earlier: the address of a layer before it.
        atoms: int, parts to find.
        share: float, of the crops, those with the highest codes.
        seed: int.

    Returns:
        `Dictionary` at the earlier layer.

    Raises:
        Refused: for an atom that does not exist, and for fewer crops than parts.
    """
    if not 0 <= atom < len(dictionary):
        raise Refused(f"An atom is a number from 0 to {len(dictionary) - 1}. Received: {atom}.")
    codes = dictionary.encode(crops.values[layer])[:, atom]
    strongest = np.argsort(-codes, kind="stable")[: max(1, round(share * len(codes)))]
    return craft(crops.values[earlier][strongest], atoms=atoms, seed=seed)


def sobol_importance(network, inputs, objective, layer, dictionary, *, designs=32, seed):
    """How much of the variance of a score each atom takes part in when codes are masked: total Sobol indices.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        layer: the address of the dictionary's layer.
        dictionary: `Dictionary`.
        designs: int, pairs of masks, a power of two.
        seed: int, of the masks.

    Returns:
        float64 [inputs, atoms], 0 or more.

    Raises:
        Refused: for an unknown layer, and a dictionary of other channels.
    """
    masks = jansen_design(designs, len(dictionary), seed)
    scores = masked_scores(network, inputs, objective, layer, dictionary, masks)
    return jansen_indices(scores.astype("float64"), designs, len(dictionary))


def masked_scores(network, inputs, objective, layer, dictionary, masks):
    """The score of each input when a layer's activations are rebuilt from masked codes.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        layer: the address of the dictionary's layer.
        dictionary: `Dictionary`.
        masks: float [masks, atoms], factors of the codes.

    Returns:
        float32 [inputs, masks].
    """

    def body(batched, shared):
        inputs, numbers, codes = batched
        weights, masks, atoms, origin = shared
        count = tf.shape(masks)[0]
        shape = tf.concat([[-1], tf.shape(codes)[1:-1], [atoms.shape[1]]], 0)
        masked = codes[:, None] * tf.reshape(masks, [1, count, *[1] * (len(codes.shape) - 2), masks.shape[1]])
        rebuilt = tf.reshape(tf.tensordot(masked, atoms, 1) + origin, shape)
        repeated = tf.nest.map_structure(lambda leaf: tf.repeat(leaf, count, axis=0), (inputs, numbers))
        trace = network.trace(repeated[0], objective.paths, replaced={layer: rebuilt})
        scores = score(objective.structure, weights, repeated[1], trace)
        return tf.reshape(tf.cast(scores, tf.float32), [-1, count])

    network.refuse_unknown(layer)
    codes = dictionary.encode(routines.activations(network, inputs, layer))
    (arrays, numbers), weights = routines.prepare(network, inputs, objective)
    key = ("masked codes", objective.structure, layer)
    parts = []
    for part in chunks.slices(len(masks), chunks.size(network)):
        shared = (weights, masks[part], dictionary.atoms, dictionary.origin)
        most = chunks.size(network, len(masks[part]))
        parts.append(routines.run(network, key, body, (arrays, numbers, codes), shared, most=most))
    return np.concatenate(parts, axis=1)
