"""Probe worlds: activations and labels whose relation is known: none, planted, or one that a probe learns by heart."""

import numpy as np

from sanity.checks.probe import probe_evidence
from sanity.probes.encoding import fit_and_tally, measure_layer
from sanity.probes.label_sets import label_set

LAYERS = 3


def types_and_labels(rng, count=4000, types=400, channels=64, classes=5, relabelled=0.1):
    """Tokens of types, as in Hewitt and Liang 2019: labels of a type are nearly linear in its vector.

    A share of the types has labels of its own, which a linear probe cannot learn, and a large one learns by heart.
    """
    of_type = rng.normal(size=(types, channels))
    labels = (of_type @ rng.normal(size=(channels, classes))).argmax(axis=1)
    strange = rng.random(types) < relabelled
    labels[strange] = rng.integers(0, classes, strange.sum())
    tokens = rng.integers(0, types, count)
    rows = of_type[tokens] + 0.05 * rng.normal(size=(count, channels))
    return rows.astype("float32"), labels[tokens], tokens


def alone(rng, count):
    """Rows that are sources of their own, without a relation to labels."""
    return np.arange(count), rng.permutation(count) % 2, 0.0


def copies(rng, count):
    """Sources of four rows that are alike, with one label each."""
    groups = np.repeat(np.arange(count // 4), 4)
    return groups, (rng.permutation(count // 4) % 2)[groups], 1.0


def patients(rng, count):
    """Sources of four rows that are alike in part, with labels of several classes."""
    groups = np.repeat(np.arange(count // 4), 4)
    return groups, rng.integers(0, 3, count), 0.7


def draw(world, seed, effect=0.0, count=96, channels=16):
    """A label set, activations of layers, of untrained ones, and the inputs; the last layer holds the label by `effect`."""
    rng = np.random.default_rng(seed)
    groups, labels, between = world(rng, count)

    def noise(size):
        shared = rng.normal(size=(groups.max() + 1, size))[groups]
        return between * shared + (1 - between + 0.05) * rng.normal(size=(count, size))

    layers = [noise(channels) for _ in range(LAYERS)]
    layers[-1] += effect * np.eye(channels)[labels]
    untrained = [[noise(channels) for _ in range(LAYERS)] for _ in range(2)]
    return label_set("label", labels, groups), layers, untrained, noise(12), rng.integers(0, count // 8, count)


def evidence(world, seed, effect=0.0, exchanges=199, **sizes):
    """Evidence of all layers: list of `Evidence`."""
    labelled, layers, untrained, inputs, types = draw(world, seed, effect, **sizes)
    kept = labelled.rows
    tally, _ = fit_and_tally(inputs[kept], labelled, seed)
    measured = [
        measure_layer(
            rows[kept],
            [network[place][kept] for network in untrained],
            tally,
            types[kept],
            labelled,
            seed=seed,
            exchanges=exchanges,
        )
        for place, rows in enumerate(layers)
    ]
    return [
        probe_evidence("net", f"layer {place}", labelled, samples, {"seed": seed})
        for place, samples in enumerate(measured)
    ]
