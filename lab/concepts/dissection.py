"""Dissection: single units of a layer beside labels and masks.

unit_auc(rows, label_sets)             how well each channel alone tells each label
unit_iou(network, data, layer, masks)  how much of a mask lies where a channel is strong
Bau et al. 2017, https://arxiv.org/abs/1704.05796
"""

import numpy as np
from scipy.stats import rankdata

from lab import routines
from lab.concepts.activations import BATCH, batches, refuse_layers
from lab.environment import tf
from lab.refusal import Refused

# Share of positions at which a channel counts as strong, and positions of an input that this is measured on.
STRONG, SAMPLED = 0.005, 200


def unit_auc(rows, members):
    """The area under the curve of each channel alone, for each of some labels.

    Args:
        rows: float [rows, channels].
        members: bool [..., rows], which rows have the label.

    Returns:
        float64 [..., channels]: .5 for chance, 0 where the label is where the channel is weak; nan for a label of all rows or
            none.
    """
    ranks, members = rankdata(rows, axis=0), np.asarray(members, bool)
    counts = members.sum(axis=-1)[..., None]
    pairs = counts * (members.shape[-1] - counts)
    above = members.astype("float64") @ ranks - counts * (counts + 1) / 2
    return np.divide(above, pairs, out=np.full(above.shape, np.nan), where=pairs > 0)


def unit_iou(network, data, layer, *, seed, strong=STRONG, fit="squash", batch=BATCH):
    """Intersection over union of each mask with the positions where a channel is strongest, over all data.

    Args:
        network: a `Network`.
        data: `lab.Data` with masks, bool [inputs, rows, columns], or [inputs, rows, columns, concepts].
        layer: the address of a layer with rows and columns.
        seed: int, of the positions that the threshold is taken of.
        strong: float, the share of positions at which a channel counts as strong.
        fit: "squash" or "crop", as of `Network.preprocess`.
        batch: int, inputs that are held in memory at a time.

    Returns:
        float64 [concepts, channels].

    Raises:
        Refused: for data without masks, and for a layer without rows and columns.
    """
    refuse_layers(network, [layer])
    if data.masks is None or len(network.shapes[layer]) != 4:
        raise Refused(
            f"Intersection over union needs masks, and a layer with rows and columns. Received: {'no masks' if data.masks is None else f'{layer!r} of shape {network.shapes[layer]}'}. Use unit_auc for labels of whole inputs."
        )
    generator, samples = np.random.default_rng(seed), []
    for part in batches(data, batch):
        values = routines.activations(network, part.inputs_of(network, fit), layer)
        flat = values.reshape(len(values), -1, values.shape[-1])
        samples.append(flat[:, generator.integers(0, flat.shape[1], SAMPLED)].reshape(-1, flat.shape[-1]))
    thresholds = np.quantile(np.concatenate(samples), 1 - strong, axis=0)
    overlaps = [_overlap(network, part, layer, thresholds, fit) for part in batches(data, batch)]
    shared, united = np.sum(overlaps, axis=0)
    return np.divide(shared, united, out=np.zeros_like(shared), where=united > 0)


def _overlap(network, data, layer, thresholds, fit):
    """Sizes of intersections and unions: float64 [2, concepts, channels]."""
    masks = np.asarray(data.masks, bool)
    masks = masks[..., None] if masks.ndim == 3 else masks
    values = routines.activations(network, data.inputs_of(network, fit), layer)
    enlarged = tf.image.resize(values, masks.shape[1:3]).numpy() > thresholds
    inside, strong = masks.reshape(-1, masks.shape[-1]), enlarged.reshape(-1, enlarged.shape[-1])
    shared = inside.T.astype("float64") @ strong
    return np.stack([shared, inside.sum(axis=0)[:, None] + strong.sum(axis=0) - shared])
