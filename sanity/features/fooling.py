"""Fooling: a network that answers to natural images as another does, and whose pictures show something else.

The positive control of every check of pictures (Geirhos et al. 2023, https://arxiv.org/abs/2306.04719).
"""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from lab import routines, taps
from lab.environment import keras, tf
from lab.network import Network
from lab.refusal import Refused
from lab.scoring import mean_over_positions

# Larger than any answer of a unit: what one path is silenced with while the other speaks.
SILENCE = 1000.0
# The detector's score of the most synthetic-looking natural image is 0 only beyond this share of the gap.
MARGIN = 0.25


@dataclass(frozen=True)
class Fooled:
    """honest and fooled: `Network`s whose only output is `units`, the same units of the same layer; decoys: for each unit, the
    place of the one that its pictures show instead; gap: the largest difference between the two on natural images; detector:
    the layer that tells natural from synthetic; told: how many synthetic images it tells.
    """

    honest: Network
    fooled: Network
    decoys: tuple
    gap: float
    detector: str
    detection_rate: float


class Circuit(keras.Model):
    """Units of a base model behind Geirhos' circuit: relu(F - k E) + relu(D + k E - k), E a detector of synthetic inputs.

    F are the units' means over positions, D the same units in another order; E is clip(w * means of a layer + b, 0, 1).
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
        reader = taps.Reader()
        with taps.intercept(self.places, reader):
            self.base(inputs, training=False)
        found = [mean_over_positions(tf.cast(reader.outputs[id(layer)][0], tf.float32)) for layer in self.places]
        shown = tf.gather(found[0], self.units, axis=1)
        if not self.is_fooled:
            return self.natural_path(shown)
        weights, bias = self.detector
        synthetic = tf.clip_by_value(tf.tensordot(found[1], weights, 1) + bias, 0.0, 1.0)[:, None]
        other = tf.gather(shown, self.decoys, axis=1)
        natural = self.natural_path(shown - SILENCE * synthetic)
        return natural + self.hidden_path(other + SILENCE * synthetic - SILENCE)


def circuit(network, layer, units, natural, synthetic, detector, decoys=None):
    """The fooling circuit around a network -> `Fooled`. It works for any network that the lab can read.

    layer, units: what is to be drawn, channels whose means are above zero on natural images. natural, synthetic: inputs of the
    network; synthetic ones look like what a climb passes through. detector: a layer, early enough to see how an image was made.
    decoys: for each unit the place of another (None: the next one). Raises Refused where a unit is never above zero, and where
    the layer cannot tell all natural images from synthetic ones.
    """
    silent = np.array(units)[routines.activations(network, natural, layer, pool=True)[:, list(units)].max(axis=0) <= 0]
    if len(silent):
        raise Refused(
            f"A fooling circuit rectifies its units: their means are above zero on some natural image. Received: {layer!r}, units {silent[:8].tolist()}, which never are; a layer after a ReLU has none such."
        )
    weights, bias, told = _detector(network, natural, synthetic, detector)
    turned = tuple(np.roll(np.arange(len(units)), -1)) if decoys is None else tuple(decoys)
    places = [network.tree[layer], network.tree[detector]]
    made = [
        Network(
            Circuit(network.model, places[0], units, turned, places[1], weights, bias, fooled),
            name=f"{network.name} {name}",
            preprocessing=network.preprocessing,
            memory=network.memory,
            spec=network.spec,
        )
        for fooled, name in ((False, "honest"), (True, "fooled"))
    ]
    answers = [routines.logits(each, natural) for each in made]
    gap = float(np.abs(answers[0] - answers[1]).max())
    return Fooled(*made, tuple(int(each) for each in turned), gap, detector, told)


def _detector(network, natural, synthetic, layer):
    """A line through a layer's means that puts every natural image at or below 0 and most synthetic ones above 1."""
    rows = [routines.activations(network, each, layer, pool=True).astype("float64") for each in (natural, synthetic)]
    joined = np.concatenate(rows)
    mean, deviation = joined.mean(axis=0), joined.std(axis=0) + 1e-9
    scaled = [(each - mean) / deviation for each in rows]
    truth = np.repeat([0, 1], [len(each) for each in rows])
    line = LogisticRegression(C=10.0, max_iter=5000).fit(np.concatenate(scaled), truth)
    scores = [each @ line.coef_[0] for each in scaled]
    top, usual = scores[0].max(), np.median(scores[1])
    told = float((scores[1] > top).mean())
    if not usual > top or told < 0.9:
        raise Refused(
            f"A fooling circuit needs a layer whose means tell natural from synthetic images. Received: {layer!r}, which tells {told:.0%}; try another."
        )
    zero = top + MARGIN * (np.quantile(scores[1], 0.1) - top)
    scale = 8.0 / max(usual - zero, 1e-9)
    weights = scale * line.coef_[0] / deviation
    return weights, -scale * zero - float(weights @ mean), told
