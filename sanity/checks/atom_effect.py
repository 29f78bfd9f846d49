"""Effect: does a score change more when an atom of a dictionary is taken out than when random directions are?

An atom's share, its code times its direction, is taken out at every position; what the dictionary does not rebuild is kept.
A random direction is taken out with the same codes and the same length, so that the mean square change is the same.
"""

from dataclasses import dataclass

import numpy as np

from lab import routines
from lab.concepts import (
    Removals,
    default_layers,
    directional_derivatives,
    learn,
    random_directions,
    scores_after_removal,
)
from lab.kinds import kind_of
from lab.refusal import Refused
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.ruling import About, Ruling, images_remedy, rules
from sanity.seeds import derive_seed
from sanity.statistics import FEWEST, bootstrap_interval, without_interval

# With 39 random directions of every atom the smallest p is .025.
DRAWS = 39
# Positions that say how activations vary, and the atoms of a dictionary that is learned here.
POSITIONS, ATOMS = 4096, 8
CHANGE, RANDOM, ORACLE = "change", "random directions", "along the gradient"


@dataclass(frozen=True)
class _Layer:
    """What all atoms share: activations and codes of a layer, and each input's gradient there, of length one."""

    address: str
    activations: np.ndarray
    codes: np.ndarray
    gradients: np.ndarray
    before: np.ndarray


@checks.register(claim="concepts", table="check")
def atom_effect(subject, *, seed, dictionary=None, layer=None, learner="pca", which=None, draws=DRAWS):
    """Does the score change more without an atom than without random directions of the same energy?

    Args:
        subject: the `Subject`.
        seed: int, of the directions.
        dictionary: `lab.concepts.Dictionary` of the layer; None: eight atoms are learned from the inputs.
        layer: the address of the layer; None: the last hidden one.
        learner: the name of a learner, where no dictionary is given.
        which: list of int, the atoms that are asked about; None: all.
        draws: int, random directions of every atom; 19 at the least.

    Returns:
        list of `Evidence`, one an atom, with samples `change` of the score, float64 [images], its size under `random directions`,
            float64 [draws, images], and `along the gradient` of the score, float64 [images].

    Raises:
        Refused: for an unknown layer or learner, an atom that does not exist, and too few draws.
    """
    layer = layer or default_layers(subject.network, 1)[0]
    _refuse_draws(draws)
    activations = routines.activations(subject.network, subject.inputs, layer)
    flat = activations.reshape(-1, activations.shape[-1])
    if dictionary is None:
        dictionary = learn(flat, learner, atoms=min(ATOMS, *flat.shape), seed=seed)
    which = list(range(len(dictionary)) if which is None else which)
    _refuse_unknown_atoms(which, dictionary)
    shared = _read_layer(subject, layer, activations, dictionary)
    directions = random_directions(_some(flat), len(which) * draws, seed=derive_seed(seed, "directions"))
    directions = directions.reshape(len(which), draws, -1)
    settings = {"seed": seed, "draws": draws, "layer": layer, "learner": dictionary.kind}
    settings["kind"] = kind_of(np.asarray(subject.inputs)).name if isinstance(subject.inputs, np.ndarray) else "image"
    return [
        _atom_evidence(subject, shared, dictionary, atom, drawn, settings) for atom, drawn in zip(which, directions)
    ]


def _some(rows):
    """At most so many rows, at equal distances."""
    return rows[:: -(-len(rows) // POSITIONS)]


def _read_layer(subject, layer, activations, dictionary):
    network, inputs, objective = subject.network, subject.inputs, subject.objective
    slopes = directional_derivatives(network, inputs, objective, [layer])[layer]
    lengths = np.linalg.norm(slopes, axis=1, keepdims=True)
    gradients = np.divide(slopes, lengths, out=np.zeros_like(slopes), where=lengths > 0)
    before = routines.scores(network, inputs, objective)
    return _Layer(layer, activations, dictionary.encode(activations), gradients, before)


def _atom_evidence(subject, shared, dictionary, atom, directions, settings):
    """What was measured of one atom. Images in which it is not active do not change."""
    codes, count = shared.codes[..., atom], len(subject.names)
    places = np.flatnonzero(np.abs(codes).reshape(count, -1).max(axis=1) > 0)
    gates = (Gate("atom is active", "passed" if len(places) else "failed", f"in {len(places)} of {count} images"),)
    changes = np.zeros((len(directions) + 2, count))
    if len(places):
        changes[:, places] = _changes(subject, shared, dictionary.atoms[atom], atom, directions, places)
    samples = {CHANGE: changes[0], RANDOM: np.abs(changes[2:]), ORACLE: np.abs(changes[1])}
    sizes = {"images": count, "draws": len(directions)}
    name = subject.network.name
    return Evidence("atom_effect", f"atom {atom}", name, sizes, samples, gates, settings=settings)


def _changes(subject, shared, vector, atom, directions, places):
    """Changes of the score without the atom, along the gradient, and along random directions: float64 [ways, places]."""
    length = np.linalg.norm(vector)
    ways = [np.repeat(vector[None], len(places), axis=0), length * shared.gradients[places]]
    ways += [np.repeat(length * direction[None], len(places), axis=0) for direction in directions]
    rows = np.tile(places, len(ways)).astype("int32")
    removals = Removals(rows, np.full(len(rows), atom, "int32"), np.concatenate(ways).astype("float32"))
    scores = scores_after_removal(
        subject.network,
        subject.inputs,
        subject.objective,
        shared.address,
        shared.activations,
        shared.codes,
        removals,
    )
    return (scores.astype("float64") - shared.before[rows]).reshape(len(ways), -1)


def _refuse_draws(draws):
    if draws < 19:
        raise Refused(
            f"An atom is compared with 19 random directions or more, or no p is .05. Received: draws={draws}."
        )


def _refuse_unknown_atoms(which, dictionary):
    for atom in which:
        if not 0 <= atom < len(dictionary):
            raise Refused(f"An atom is a number from 0 to {len(dictionary) - 1}. Received: {atom}.")


@rules.register(
    name="atom_effect",
    about=About(
        "Atom has an effect",
        "without the atom",
        {
            "EFFECT": "the score changes more without this atom than without random directions of the same energy",
            "NO MORE THAN RANDOM": "the score changes less without this atom than without random directions of the same energy",
            "UNDECIDED": "{why}",
            "ORACLE DOES NOT PASS": "not even the gradient of the score stands out from random directions here: {why}",
        },
        number="change of the score",
        similarity="absolute change of the score when a direction is taken out of the layer at every position",
        ceiling="along its gradient",
        null="random directions",
        counted={"images": "images", "draws": "random directions"},
        cannot="Cannot conclude: what the atom means, that the network needs it, or anything about other networks, data or classes. Atoms are taken out one at a time.",
        better="",
    ),
)
def judge_atom_effect(family, margins, seed):
    """An effect where an atom's change lies beyond those of the random directions of all atoms, max-T over atoms.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    atoms, oracles = (adjusted_p(family, name) for name in (CHANGE, ORACLE))
    return [_ruling(evidence, *p, margins, seed) for evidence, *p in zip(family, atoms, oracles)]


def adjusted_p(family, name):
    """p that the direction of each atom is one of the random ones, adjusted by the largest statistic over the family.

    A statistic is the mean change over images, in deviations of those of the atom's own directions. The first random direction
    of all atoms is a random dictionary, and so is the second.

    Args:
        family: list of `Evidence` with equally many draws.
        name: the sample that is compared.

    Returns:
        float64 [atoms].
    """
    draws = min(len(evidence.samples[RANDOM]) for evidence in family)
    means = np.stack(
        [[np.abs(evidence.samples[name]).mean(), *evidence.samples[RANDOM][:draws].mean(axis=1)] for evidence in family]
    )
    spread = means.std(axis=1, keepdims=True)
    varies = spread > 1e-12 * np.abs(means).max()
    statistics = np.where(varies, (means - means.mean(axis=1, keepdims=True)) / np.where(varies, spread, 1), 0)
    beyond = statistics.max(axis=0)[None] >= statistics[:, :1] - 1e-9
    return np.where(varies[:, 0], beyond.mean(axis=1), 1.0)


def _ruling(evidence, p, oracle_p, margins, seed):
    changes, randoms, oracle = (evidence.samples[name] for name in (CHANGE, RANDOM, ORACLE))
    enough = len(changes) >= FEWEST
    effect, null, ceiling = (
        bootstrap_interval(values[None], seed=seed) if enough else without_interval(values.mean())
        for values in (np.abs(changes), randoms.mean(axis=0), oracle)
    )
    if oracle_p > margins.alpha:
        why = f"p = {oracle_p:.2g}"
        return Ruling("INVALID", "ORACLE DOES NOT PASS", ceiling=ceiling, null=null, p=oracle_p, why=why)
    excess = np.abs(changes) - randoms.mean(axis=0)
    outcome, finding, why = _decide(excess, p, margins, seed)
    also = (
        ("p before it is adjusted", f"{_p_alone(changes, randoms):.2g}"),
        ("signed change", f"{changes.mean():+.3g}"),
        ("active", f"in {(changes != 0).sum()} of {len(changes)} images"),
    )
    remedy = images_remedy(excess, (0.0,), margins) if finding == "UNDECIDED" else ""
    return Ruling(outcome, finding, effect, ceiling, null, p=p, why=why, also=also, remedy=remedy)


def _p_alone(changes, randoms):
    """The share of an atom's own directions, itself among them, that change the score as much: float."""
    beyond = randoms.mean(axis=1) >= np.abs(changes).mean() - 1e-12
    return (1 + beyond.sum()) / (1 + len(beyond))


def _decide(excess, p, margins, seed):
    """Outcome, finding and why."""
    if len(excess) < margins.images:
        return "INCONCLUSIVE", "UNDECIDED", f"fewer than {margins.images} images decide nothing"
    interval = bootstrap_interval(excess[None], seed=seed)
    if p <= margins.alpha and interval.low > 0:
        return "PASS", "EFFECT", "it lies beyond the random directions"
    if interval.high < 0:
        return "INCONCLUSIVE", "NO MORE THAN RANDOM", "it lies below that of random directions"
    return "INCONCLUSIVE", "UNDECIDED", "it is not shown that it lies beyond the random directions"
