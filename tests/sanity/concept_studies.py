"""Simulated studies of concepts: activations and gradients by formula, in which it is known whether a concept is used."""

import numpy as np

from sanity.concepts import Study

CHANNELS, POOL, PICTURES, IMAGES = 24, 400, 12, 40
# How far a concept lies from the pool, in deviations of a channel.
SHIFT = 4.0


def simulate(
    seed, arm, *, strength=0.0, concepts=1, layers=("first", "second"), targets=("zebra", "horse"), world="mixed"
):
    """A study with a known answer.

    Args:
        seed: int.
        arm: "random", the concepts are random sets of the pool; "unused", they lie apart from the pool in directions that no
            gradient has; "used", gradients have `strength` of them.
        strength: float, share of the gradient along the concept.
        concepts: int.
        layers: names of layers.
        targets: names of targets.
        world: "mixed", channels of unequal spread that go together; "even", of one spread, each by itself; "rectified", none
            below zero, as behind a ReLU.

    Returns:
        `Study` of arrays alone.
    """
    rng = np.random.default_rng(seed)
    mixing = {layer: mixing_of(rng, world) for layer in layers}
    directions = {
        layer: np.linalg.qr(rng.normal(size=(CHANNELS, concepts)))[0].T * np.linalg.norm(mixing[layer]) / CHANNELS**0.5
        for layer in layers
    }

    def draw(count):
        rows = {layer: rng.normal(size=(count, CHANNELS)) @ mixing[layer].T for layer in layers}
        return {layer: np.maximum(values, 0) if world == "rectified" else values for layer, values in rows.items()}

    shift = 0.0 if arm == "random" else SHIFT
    sets = {
        f"concept-{number}": {layer: rows + shift * directions[layer][number] for layer, rows in draw(PICTURES).items()}
        for number in range(concepts)
    }
    slopes = {target: {layer: _slopes(rng, directions[layer], arm, strength) for layer in layers} for target in targets}
    return Study("simulated", sets, draw(POOL), slopes, draw(IMAGES), np.arange(IMAGES))


def mixing_of(rng, world):
    """How the channels of a world depend on what is drawn: float [channels, channels].

    Args:
        rng: `numpy.random.Generator`.
        world: as of `simulate`.
    """
    return (
        np.eye(CHANNELS) if world == "even" else rng.normal(size=(CHANNELS, CHANNELS)) * np.geomspace(1, 0.2, CHANNELS)
    )


def _slopes(rng, directions, arm, strength):
    """Gradients that share a direction of their own, as those of one class do."""
    slopes = 2 * rng.normal(size=CHANNELS) + rng.normal(size=(IMAGES, CHANNELS))
    units = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    if arm == "random":
        return slopes
    slopes = slopes - slopes @ units.T @ units
    scale = np.linalg.norm(slopes, axis=1, keepdims=True)
    return slopes + (strength * scale * units.sum(axis=0) if arm == "used" else 0.0)
