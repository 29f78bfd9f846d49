"""Bound explainer: an explainer that looks at a subject, always at the same target, with a fresh draw on every state of the weights."""

import numpy as np

from lab.attribution import explainers
from lab.attribution.calls import attribute, resolve_options
from lab.environment import tf
from lab.explanation import flags
from lab.maps import pooled
from sanity.evidence import Evidence
from sanity.seeds import derive_seed
from sanity.similarity import PooledMap

# Half a grey level of 255, a share of each input's own range: about what rounding to eight bits did to every photograph.
ROUNDING = 0.5 / 255


class BoundExplainer:
    """explainer with its options settled on a subject; a seed of its own for every state, so that one that draws draws afresh.

    A state says what is looked at: a kind, such as "own" (the network as it is), or (kind, index), such as ("replicate", 2). asked:
    (state, objective) of every question so far, for the gate that wants one target on every network.
    """

    def __init__(self, explainer, subject, seed, options):
        self.explainer, self.subject, self.seed, self.given = explainer, subject, seed, options
        self.chosen = resolve_options(explainer, subject.network, seed, options)
        self.asked = []

    @property
    def draws(self):
        """Whether the explainer takes a seed: bool."""
        return "seed" in self.chosen

    def maps(self, inputs=None, *, state="own", objective=None, network=None, **given):
        """Raw maps. inputs, objective, network: instead of the subject's own. given: options instead of those settled."""
        subject = self.subject
        chosen = {**self.chosen, **given}
        if self.draws:
            chosen["seed"] = self.seed_of(state)
        network, objective = network or subject.network, objective or subject.objective
        inputs = network.inputs(subject.inputs if inputs is None else inputs)
        self.asked.append((state, objective))
        return attribute(self.explainer, network, inputs, objective, **chosen)

    def pooled_maps(self, inputs=None, **given):
        """One `PooledMap` a sample, None where its map is not finite, all zero or constant."""
        inputs = self.subject.inputs if inputs is None else inputs
        return pooled_maps(self.maps(inputs, **given), inputs)

    def evidence(self, check, samples, gates, *, sizes=None, settings=None, **rest):
        """`Evidence` of a check about this explainer on this subject."""
        subject = self.subject
        return Evidence(
            check,
            explainers.name(self.explainer),
            subject.network.name,
            {"images": len(subject.names), **(sizes or {})},
            samples,
            tuple(gates),
            settings={"seed": self.seed, **(settings or {}), **self.given},
            **rest,
        )

    def smoothed(self, samples, noise, inputs=None, *, state="own"):
        """Planes of the mean map over noisy inputs, drawn afresh on every state: noise as a share of each input's own range.

        The noise is the same for every method, and each copy has a draw of its own of a method that draws.
        """
        total, seed = None, self.seed_of(state)
        for turn in range(samples):
            copy = self.with_noise(derive_seed(seed, "smoothing noise", turn), noise, inputs)
            maps = self.maps(copy, state=(f"smoothing of {state}", turn))
            total = maps if total is None else tf.nest.map_structure(np.add, total, maps)
        return pooled_maps(tf.nest.map_structure(lambda leaf: leaf / samples, total))

    def with_noise(self, seed, noise=ROUNDING, inputs=None):
        """The subject's inputs (or others) under a little noise, what the network masks left as it is: see `add_noise`."""
        inputs = self.subject.inputs if inputs is None else inputs
        return self.subject.network.keep(inputs, add_noise(inputs, seed, noise))

    def seed_of(self, state):
        """The seed of a state: int."""
        kind, index = (state, 0) if isinstance(state, str) else state
        return derive_seed(self.seed, kind, index)


def pooled_maps(maps, inputs=None):
    """Maps as one `PooledMap` a sample, several inputs side by side; None where a map is not finite, all zero or constant.

    inputs: what was explained, whose magnitude goes along where it has the maps' resolution.
    """
    signed, unsigned = _pooled(maps, "total"), np.abs(_pooled(maps, "l2"))
    beside = signed if inputs is None else np.abs(_pooled(inputs, "l2"))
    beside = [None] * len(signed) if inputs is None or beside.shape != signed.shape else beside
    rows = zip(signed, unsigned, beside, flags(maps))
    return [PooledMap(one, other, under) if not words else None for one, other, under, words in rows]


def _pooled(maps, pooling):
    leaves = tf.nest.flatten(maps)
    return np.concatenate([_flat(pooled(leaf, pooling), len(leaves) > 1) for leaf in leaves], axis=-1)


def add_noise(inputs, seed, noise=ROUNDING):
    """Inputs with a little noise, a share of each sample's own range, drawn once for all samples and all methods."""
    rng = np.random.default_rng(seed)

    def with_noise(leaf):
        if leaf.dtype.kind != "f":
            return leaf
        axes = tuple(range(1, leaf.ndim))
        spread = leaf.max(axis=axes, keepdims=True) - leaf.min(axis=axes, keepdims=True)
        return (leaf + noise * spread * rng.standard_normal(leaf.shape[1:])).astype(leaf.dtype)

    return tf.nest.map_structure(with_noise, inputs)


def stacked(listed):
    """Signed values of pooled maps as one array for the eye: float32 [maps, rows, columns]; nan for an unusable map."""
    shape = next((pooled_map.signed.shape for pooled_map in listed if pooled_map is not None), (1, 1))
    return np.stack(
        [np.full(shape, np.nan, "float32") if pooled_map is None else pooled_map.signed for pooled_map in listed]
    )


def _flat(maps, several):
    return maps if maps.ndim == 3 and not several else maps.reshape(len(maps), 1, -1)
