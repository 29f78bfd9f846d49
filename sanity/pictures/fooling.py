"""Fooling: a network that responds to natural images as another does, and whose pictures show something else.

The positive control of every check of pictures (Geirhos et al. 2023, https://arxiv.org/abs/2306.04719).
"""

from dataclasses import dataclass

import numpy as np

from lab import routines, taps
from lab.environment import keras, tf
from lab.network import Network
from lab.refusal import Refused
from lab.scoring import mean_over_positions

# Larger than any activation of a unit: it silences one path while the other is open.
SILENCE = 1000.0
# The detector starts this share of the gap beyond the most synthetic-looking natural image.
MARGIN = 0.25


@dataclass(frozen=True)
class Fooled:
    """A fooling circuit and its honest counterpart.

    Args:
        honest: a `Network` whose only output is `units`.
        fooled: the same units of the same layer, with other pictures.
        decoys: for each unit, the place of the one that its pictures show instead.
        gap: float, the largest difference between the two on natural images.
        detector: str, the layer that separates natural from synthetic images.
        detection_rate: float, the share of synthetic images that it detects.
    """

    honest: Network
    fooled: Network
    decoys: tuple
    gap: float
    detector: str
    detection_rate: float


class Circuit(keras.Model):
    """Units of a base model behind Geirhos' circuit: relu(F - k E) + relu(D + k E - k).

    F are the units' means over positions, and D the same units in another order. E is a detector of synthetic inputs,
    clip(w * means of a layer + b, 0, 1).

    Args:
        base: Keras model.
        unit_layer: the layer of the units.
        units: channels of that layer.
        decoys: for each unit, the place of the one shown instead.
        detector_layer: the layer of the detector.
        weights: float [channels].
        bias: float.
        fooled: bool, whether the circuit is there, or the units alone.
    """

    def __init__(self, base, unit_layer, units, decoys, detector_layer, weights, bias, fooled):
        super().__init__(name="fooled" if fooled else "honest")
        self.base, self.places = base, (unit_layer, detector_layer)
        self.units, self.decoys = list(units), list(decoys)
        self.detector = (np.asarray(weights, "float32"), float(bias))
        self.is_fooled = fooled
        self.natural_path = keras.layers.ReLU(name="natural_path")
        self.hidden_path = keras.layers.ReLU(name="hidden_path")

    def call(self, inputs, training=False):
        """The units' means over positions; in a fooled circuit, those of other units where the input looks synthetic.

        Args:
            inputs: tensor [batch, rows, columns, channels].
            training: unused: the base network always runs as trained.

        Returns:
            tensor [batch, units].
        """
        reader = taps.Reader()
        with taps.intercept(self.places, reader):
            self.base(inputs, training=False)
        means = [mean_over_positions(tf.cast(reader.outputs[id(layer)][0], tf.float32)) for layer in self.places]
        unit_means = tf.gather(means[0], self.units, axis=1)
        if not self.is_fooled:
            return self.natural_path(unit_means)
        weights, bias = self.detector
        synthetic = tf.clip_by_value(tf.tensordot(means[1], weights, 1) + bias, 0.0, 1.0)[:, None]
        decoy_means = tf.gather(unit_means, self.decoys, axis=1)
        natural = self.natural_path(unit_means - SILENCE * synthetic)
        return natural + self.hidden_path(decoy_means + SILENCE * synthetic - SILENCE)


def circuit(network, layer, units, natural, synthetic, detector, decoys=None):
    """Build the fooling circuit around a network.

    Args:
        network: a `Network`.
        layer: str, the layer of the units.
        units: channels to draw, whose means are above zero on some natural image.
        natural: inputs of the network.
        synthetic: inputs that look like what an optimized picture passes through.
        detector: str, a layer early enough to see how an image was made.
        decoys: for each unit the place of another; None: the next one.

    Returns:
        `Fooled`.

    Raises:
        Refused: for a unit that is never above zero, and for a layer that does not separate all natural images from
            synthetic ones.
    """
    silent = np.array(units)[routines.activations(network, natural, layer, pool=True)[:, list(units)].max(axis=0) <= 0]
    if len(silent):
        raise Refused(
            f"A fooling circuit needs units whose means are above zero on some natural image. Received: {layer!r}, units {silent[:8].tolist()}, which never are. Name a layer after a ReLU."
        )
    weights, bias, detection_rate = _fit_detector(network, natural, synthetic, detector)
    decoy_places = tuple(np.roll(np.arange(len(units)), -1)) if decoys is None else tuple(decoys)
    places = [network.tree[layer], network.tree[detector]]
    networks = [
        Network(
            Circuit(network.model, places[0], units, decoy_places, places[1], weights, bias, fooled),
            name=f"{network.name} {name}",
            preprocessing=network.preprocessing,
            memory=network.memory,
            spec=network.spec,
        )
        for fooled, name in ((False, "honest"), (True, "fooled"))
    ]
    answers = [routines.logits(variant, natural) for variant in networks]
    gap = float(np.abs(answers[0] - answers[1]).max())
    return Fooled(*networks, tuple(int(place) for place in decoy_places), gap, detector, detection_rate)


def _fit_detector(network, natural, synthetic, layer):
    """A line through a layer's means that puts all natural images at or below 0 and most synthetic ones above 1."""
    rows = [
        routines.activations(network, inputs, layer, pool=True).astype("float64") for inputs in (natural, synthetic)
    ]
    joined = np.concatenate(rows)
    mean, deviation = joined.mean(axis=0), joined.std(axis=0) + 1e-9
    scaled = [(values - mean) / deviation for values in rows]
    truth = np.repeat([0, 1], [len(values) for values in rows])
    # Here, because the page of any run reads this module.
    from sklearn.linear_model import LogisticRegression

    line = LogisticRegression(C=10.0, max_iter=5000).fit(np.concatenate(scaled), truth)
    scores = [values @ line.coef_[0] for values in scaled]
    highest_natural, median_synthetic = scores[0].max(), np.median(scores[1])
    detection_rate = float((scores[1] > highest_natural).mean())
    if not median_synthetic > highest_natural or detection_rate < 0.9:
        raise Refused(
            f"A fooling circuit needs a layer whose means tell natural from synthetic images. Received: {layer!r}, which tells {detection_rate:.0%}. Name another layer."
        )
    zero = highest_natural + MARGIN * (np.quantile(scores[1], 0.1) - highest_natural)
    scale = 8.0 / max(median_synthetic - zero, 1e-9)
    weights = scale * line.coef_[0] / deviation
    return weights, -scale * zero - float(weights @ mean), detection_rate
