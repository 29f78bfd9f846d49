"""Bound explainer: an explainer with the subject that it explains, always for the same target.

A method that draws draws afresh on every state of the weights.
"""

import numpy as np

from lab.attribution import explainers
from lab.attribution.calls import estimate, resolve_options, slope_power
from lab.environment import tf
from lab.explanation import flags
from lab.kinds import IMAGE, kind_of, ranges
from lab.maps import pooled
from sanity.evidence import Evidence
from sanity.gates import local_fit
from sanity.seeds import derive_seed
from sanity.similarity import PooledMap

# Half a grey level of 255, as a share of each input's own range: about the rounding error of an eight-bit photograph.
ROUNDING = 0.5 / 255


class BoundExplainer:
    """An explainer with its options resolved on a subject. Each state of the weights has its own seed.

    A state says what is explained: a kind, such as "own" (the network as it is), or (kind, index), such as
    ("replicate", 2).

    Args:
        explainer: the method, a callable `(network, inputs, objective, ...)` -> maps.
        subject: the `Subject`.
        seed: int, from which the seed of each state is derived.
        options: dict, the options that were given to the method.

    Attributes:
        resolved_options: dict, all options of the method, as `resolve_options` gives them.
        calls: list of (state, objective), one a call. The gate `frozen` needs one objective in all of them.
        fits: list of (state, R2 of each sample), one a call of a method that fits a model around each sample.
    """

    def __init__(self, explainer, subject, seed, options):
        self.explainer, self.subject, self.seed, self.options = explainer, subject, seed, options
        self.resolved_options = resolve_options(explainer, subject.network, seed, options)
        self.calls, self.fits = [], []

    @property
    def takes_seed(self):
        """Whether the explainer takes a seed."""
        return "seed" in self.resolved_options

    def maps(self, inputs=None, *, state="own", objective=None, network=None, **overrides):
        """Raw maps of the method.

        Args:
            inputs: arrays in the structure of the subject's; None: the subject's.
            state: the state of the weights, whose seed is used.
            objective: an `Objective`; None: the subject's.
            network: a `Network`; None: the subject's.
            overrides: options of the method that replace the resolved ones.

        Returns:
            arrays as the method gives them.
        """
        subject = self.subject
        options = {**self.resolved_options, **overrides}
        if self.takes_seed:
            options["seed"] = self.state_seed(state)
        network, objective = network or subject.network, objective or subject.objective
        inputs = network.inputs(subject.inputs if inputs is None else inputs)
        self.calls.append((state, objective))
        estimated = estimate(self.explainer, network, inputs, objective, **options)
        if estimated.fits is not None:
            self.fits.append((state, estimated.fits))
        return estimated.values

    def scaled_maps(self, **overrides):
        """Maps of the subject's inputs, in which columns of different units can be compared.

        The slope of a table's column is per unit of that column. It is multiplied by the column's deviation, as effects are.

        Args:
            overrides: other arguments of `maps`, such as the state, and options of the method.

        Returns:
            arrays as the method gives them.
        """
        maps, inputs = self.maps(**overrides), self.subject.inputs
        power = slope_power(self.explainer, self.resolved_options)
        if not power or not isinstance(inputs, np.ndarray) or not kind_of(inputs).has_own_scales:
            return maps
        if np.shape(maps) != inputs.shape:
            return maps
        return maps * ranges(inputs, self.subject.network.background) ** power

    def pooled_maps(self, inputs=None, **overrides):
        """Maps with their channels pooled. Arguments as of `maps`.

        Args:
            inputs: arrays in the structure of the subject's; None: the subject's.
            overrides: other arguments of `maps`, such as the state, and options of the method.

        Returns:
            list of `PooledMap`, one a sample; None where a map is not finite, all zero or constant.
        """
        inputs = self.subject.inputs if inputs is None else inputs
        return pooled_maps(self.maps(inputs, **overrides), inputs)

    def evidence(self, check, samples, gates, *, sizes=None, settings=None, **rest):
        """What a check measured of this explainer on this subject.

        Args:
            check: str, the name of the check.
            samples: dict of name to array.
            gates: list of `Gate`.
            sizes: dict, counts besides that of the images.
            settings: dict, settings of the check.
            rest: other fields of `Evidence`.

        Returns:
            `Evidence`.
        """
        subject = self.subject
        scope = {"scope": subject.part.scope} if subject.part else {}
        return Evidence(
            check,
            explainers.name(self.explainer),
            subject.network.name,
            {"images": len(subject.names), **(sizes or {})},
            samples,
            (*gates, *local_fit(self.fits)),
            settings={"seed": self.seed, **_kind_setting(subject.inputs), **scope, **(settings or {}), **self.options},
            **rest,
        )

    def smoothed_maps(self, samples, noise, inputs=None, *, state="own"):
        """Pooled maps averaged over noisy inputs.

        The noise is drawn anew for every state, and is the same for every method.

        A method that draws has its own draw for each noisy copy.

        Args:
            samples: int, noisy copies of the inputs.
            noise: float, standard deviation as a share of each input's own range.
            inputs: arrays; None: the subject's.
            state: the state of the weights.

        Returns:
            list of `PooledMap` or None, as `pooled_maps`.
        """
        total, seed = None, self.state_seed(state)
        for turn in range(samples):
            noisy = self.noisy_inputs(derive_seed(seed, "smoothing noise", turn), noise, inputs)
            maps = self.maps(noisy, state=(f"smoothing of {state}", turn))
            total = maps if total is None else tf.nest.map_structure(np.add, total, maps)
        return pooled_maps(tf.nest.map_structure(lambda leaf: leaf / samples, total))

    def noisy_inputs(self, seed, noise=ROUNDING, inputs=None):
        """The subject's inputs, or others, with a little noise (`add_noise`). What the network masks stays as it is.

        Args:
            seed: int, of the noise.
            noise: float, standard deviation as a share of each input's own range.
            inputs: arrays in the structure of the subject's; None: the subject's.

        Returns:
            arrays in the structure of the inputs.
        """
        inputs = self.subject.inputs if inputs is None else inputs
        network = self.subject.network
        return network.keep(inputs, add_noise(inputs, seed, noise, network.background))

    def state_seed(self, state):
        """The seed of a state: int."""
        kind, index = (state, 0) if isinstance(state, str) else state
        return derive_seed(self.seed, kind, index)


def pooled_maps(maps, inputs=None):
    """Maps with their channels pooled, those of several inputs side by side.

    Args:
        maps: arrays, as a method gives them.
        inputs: what was explained. Its magnitude is kept beside maps of its resolution.

    Returns:
        list of `PooledMap`, one a sample; None where a map is not finite, all zero or constant.
    """
    signed, unsigned = _pool(maps, "total"), np.abs(_pool(maps, "l2"))
    magnitudes = signed if inputs is None else np.abs(_pool(inputs, "l2"))
    magnitudes = [None] * len(signed) if inputs is None or magnitudes.shape != signed.shape else magnitudes
    rows = zip(signed, unsigned, magnitudes, flags(maps))
    return [
        None if map_flags else PooledMap(signed_map, unsigned_map, magnitude)
        for signed_map, unsigned_map, magnitude, map_flags in rows
    ]


def _pool(maps, pooling):
    leaves = tf.nest.flatten(maps)
    return np.concatenate([_to_rows(pooled(leaf, pooling), len(leaves) > 1) for leaf in leaves], axis=-1)


def _kind_setting(inputs):
    """The kind of inputs that are no images, by which a verdict names them: dict."""
    kind = kind_of(inputs) if isinstance(inputs, np.ndarray) else IMAGE
    return {} if kind is IMAGE else {"kind": kind.name}


def add_noise(inputs, seed, noise=ROUNDING, background=None):
    """Inputs with normal noise, which is drawn once for all samples and all methods.

    Args:
        inputs: arrays; whole numbers are left as they are.
        seed: int.
        noise: float, standard deviation as a share of each sample's own range, in a table of each column's deviation.
        background: float [rows, columns], of which these deviations are taken; None: the inputs.

    Returns:
        arrays in the structure of the inputs.
    """
    rng = np.random.default_rng(seed)

    def perturb(leaf):
        if leaf.dtype.kind != "f":
            return leaf
        spread = ranges(leaf, background if leaf.ndim == 2 else None)
        return (leaf + noise * spread * rng.standard_normal(leaf.shape[1:])).astype(leaf.dtype)

    return tf.nest.map_structure(perturb, inputs)


def stack_signed(maps):
    """Signed values of pooled maps as one array, for display.

    Returns:
        float32 [maps, rows, columns]; nan for an unusable map.
    """
    shape = next((pooled_map.signed.shape for pooled_map in maps if pooled_map is not None), (1, 1))
    return np.stack(
        [np.full(shape, np.nan, "float32") if pooled_map is None else pooled_map.signed for pooled_map in maps]
    )


def _to_rows(maps, several):
    return maps if maps.ndim == 3 and not several else maps.reshape(len(maps), 1, -1)
