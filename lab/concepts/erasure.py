"""Erasure: a direction taken out of a layer, or set to one value, and the score of each input after it.

x  ->  x + (value - (x - mean) read) write        at every position
"""

from dataclasses import dataclass

import numpy as np
from sklearn.covariance import OAS

from lab import chunks, routines
from lab.environment import tf
from lab.refusal import Refused
from lab.scoring import score


@dataclass(frozen=True)
class Erasure:
    """A change of a layer's activations along some directions.

    Args:
        mean: float [channels], the point from which components are counted.
        read: float [channels, directions], a component is the product with it.
        write: float [channels, directions], what a unit of a component adds.
        value: float [directions], what the components become; zeros: those of the mean, so that they tell nothing.
    """

    mean: np.ndarray
    read: np.ndarray
    write: np.ndarray
    value: np.ndarray

    def __call__(self, activations):
        """Activations after the change: float64 [..., channels]."""
        components = (np.asarray(activations, "float64") - self.mean) @ self.read
        return activations + (self.value - components) @ self.write.T

    def to(self, activations):
        """The same directions, set to the mean components of some activations instead: `Erasure`.

        Args:
            activations: float [inputs, channels].

        Returns:
            `Erasure`.
        """
        value = (np.mean(activations, axis=0, dtype="float64") - self.mean) @ self.read
        return Erasure(self.mean, self.read, self.write, value)


def leace(activations, labels):
    """The least change of activations after which no linear classifier tells the labels better than a constant.

    Args:
        activations: float [inputs, channels].
        labels: [inputs], any values; those with two classes have one direction.

    Returns:
        `Erasure`. On these inputs the covariance of activations and labels is zero after it.

    Raises:
        Refused: for one class only, and where there is not one label for each input.

    Belrose et al. 2023, https://arxiv.org/abs/2306.03819. The covariance is shrunk (Chen et al. 2010,
    https://arxiv.org/abs/0907.4698), since there may be more channels than inputs.
    """
    rows, classes = np.asarray(activations, "float64"), np.unique(np.asarray(labels), return_inverse=True)[1]
    if len(rows) != len(classes) or len(set(classes)) < 2:
        raise Refused(
            f"Erasure needs a label for each input, of two classes or more. Received: {len(rows)} inputs, {len(classes)} labels of {len(set(classes))} classes."
        )
    mean = rows.mean(axis=0)
    whiten, colour = whitening(rows)
    indicators = np.eye(classes.max() + 1)[classes]
    covariance = (rows - mean).T @ (indicators - indicators.mean(axis=0)) / len(rows)
    left, strengths, _ = np.linalg.svd(whiten @ covariance, full_matrices=False)
    basis = left[:, strengths > 1e-10 * max(strengths[0], 1e-300)]
    return Erasure(mean, whiten.T @ basis, colour @ basis, np.zeros(basis.shape[1]))


def erase_targets(activations, targets):
    """The least change for each of several numeric targets by itself, after which no linear function tells it.

    Args:
        activations: float [inputs, channels].
        targets: float [inputs, targets].

    Returns:
        list of `Erasure` of one direction, one a target. On these inputs the covariance of activations and target is zero after it; a
            target without any covariance changes nothing.

    Raises:
        Refused: for activations that are all equal.

    Belrose et al. 2023, https://arxiv.org/abs/2306.03819, whose formula holds for numbers as for classes.
    """
    rows, targets = np.asarray(activations, "float64"), np.asarray(targets, "float64")
    mean = rows.mean(axis=0)
    whiten, colour = whitening(rows)
    crossed = whiten @ ((rows - mean).T @ (targets - targets.mean(axis=0)))
    units = crossed / np.maximum(np.linalg.norm(crossed, axis=0), 1e-300)
    read, write = whiten.T @ units, colour @ units
    return [Erasure(mean, read[:, [place]], write[:, [place]], np.zeros(1)) for place in range(targets.shape[1])]


def whitening(rows):
    """Roots of a shrunk covariance of activations, which is that of channels of deviation 1 and takes no account of their units.

    Args:
        rows: float [inputs, channels].

    Returns:
        two float64 [channels, channels]: W with W^T W the inverse of the covariance, and its inverse.

    Raises:
        Refused: for activations that are all equal.
    """
    rows = np.asarray(rows, "float64")
    if not np.ptp(rows, axis=0).any():
        raise Refused(
            "A direction needs activations that differ. Received: the same for all inputs, as of a dead layer."
        )
    spreads = _spreads(rows)
    covariance = OAS().fit(rows / spreads).covariance_
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 1e-12 * values.max())
    return (vectors / np.sqrt(values)) @ vectors.T / spreads, spreads[:, None] * (vectors * np.sqrt(values)) @ vectors.T


def _spreads(rows):
    """The deviation of each channel, of one that is constant their mean: float64 [channels]."""
    spreads = rows.std(axis=0)
    varies = spreads > 1e-9 * np.abs(rows).max(axis=0)
    return np.where(varies, spreads, spreads[varies].mean() if varies.any() else 1.0)


def random_erasures(erasure, activations, count, *, seed):
    """Changes by the same components along random directions, so that every input is moved exactly as far.

    Directions are drawn as activations vary. A random direction that was erased itself would have to be moved beyond its mean to
    come as far, and such activations are like no others.

    Args:
        erasure: `Erasure`.
        activations: float [inputs, channels], whose covariance the directions have.
        count: int.
        seed: int.

    Returns:
        list of `Erasure`.
    """
    _, colour = whitening(np.asarray(activations, "float64"))
    _, lengths, turn = np.linalg.svd(erasure.write, full_matrices=False)
    generator = np.random.default_rng(seed)
    bases = [np.linalg.qr(colour @ generator.normal(size=erasure.write.shape))[0] for _ in range(count)]
    return [Erasure(erasure.mean, erasure.read, (basis * lengths) @ turn, erasure.value) for basis in bases]


def scores_after(network, inputs, objective, layer, erasures):
    """The score of each input after each of several changes of one layer, at every position.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        layer: the address of a layer.
        erasures: list of `Erasure`, of equally many directions.

    Returns:
        float32 [inputs, erasures].

    Raises:
        Refused: for an unknown layer, and for erasures of other channels.
    """
    return all_scores_after(network, inputs, [objective], layer, erasures)[..., 0]


def all_scores_after(network, inputs, objectives, layer, erasures):
    """Several scores of each input after each of several changes of one layer, all in one pass.

    What lies before the layer is computed once.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objectives: list of `Objective`.
        layer: the address of a layer.
        erasures: list of `Erasure`, of equally many directions.

    Returns:
        float32 [inputs, erasures, objectives].

    Raises:
        Refused: for an unknown layer, and for erasures of other channels.
    """

    def body(batched, shared):
        inputs, numbers = batched
        weights, changes = shared
        paths = [path for objective in objectives for path in objective.paths]
        count = tf.shape(changes["mean"])[0]
        activation = network.trace(inputs, [layer]).activations[layer]
        changed = _change(activation, changes)
        repeated = tf.nest.map_structure(lambda leaf: tf.repeat(leaf, count, axis=0), (inputs, numbers))
        trace = network.trace(repeated[0], paths, replaced={layer: tf.cast(changed, activation.dtype)})
        scores = [
            tf.cast(score(objective.structure, weights[number], repeated[1][number], trace), tf.float32)
            for number, objective in enumerate(objectives)
        ]
        return tf.reshape(tf.stack(scores, axis=-1), [-1, count, len(objectives)])

    network.refuse_unknown(layer)
    _refuse_channels(network, layer, erasures)
    prepared = [routines.prepare(network, inputs, objective) for objective in objectives]
    batched = (prepared[0][0][0], [numbers for (_, numbers), _ in prepared])
    weights = [weights for _, weights in prepared]
    names = ("mean", "read", "write", "value")
    stacked = {name: np.stack([getattr(erasure, name) for erasure in erasures]).astype("float32") for name in names}
    key = ("scores after", tuple(objective.structure for objective in objectives), layer)
    most = chunks.size(network, len(erasures))
    return routines.run(network, key, body, batched, (weights, stacked), most=most)


def _change(activation, changes):
    """[batch, ..., channels] after each change: [batch * changes, ..., channels]."""
    shape = tf.shape(activation)
    flat = tf.cast(tf.reshape(activation, [shape[0], 1, -1, activation.shape[-1]]), tf.float32)
    components = tf.einsum("bepc,eck->bepk", flat - changes["mean"][None, :, None], changes["read"])
    moved = tf.einsum("bepk,eck->bepc", changes["value"][None, :, None] - components, changes["write"])
    return tf.reshape(flat + moved, tf.concat([[-1], shape[1:]], 0))


def _refuse_channels(network, layer, erasures):
    channels, sizes = network.shapes[layer][-1], {len(erasure.mean) for erasure in erasures}
    if not erasures or sizes != {channels}:
        raise Refused(
            f"An erasure has the channels of its layer. Received: {sorted(sizes)} for {layer!r}, which has {channels}."
        )
