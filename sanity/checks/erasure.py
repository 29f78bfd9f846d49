"""Erasure: does the score move when a concept is taken out of a layer, more than when random directions are?

The concept's direction is erased in closed form (Belrose et al. 2023, https://arxiv.org/abs/2306.03819), at every position. Random
directions are changed by the same components, so that every input is moved as far. Encoded is not used: only this check says used.
"""

import numpy as np

from lab.concepts import Erasure, all_scores_after, leace, random_erasures
from sanity.checks import checks
from sanity.concepts.study import concept_row, scores
from sanity.evidence import Evidence, Gate
from sanity.ruling import About, Ruling, rules
from sanity.seeds import derive_seed
from sanity.statistics import Interval, group_interval

# Random directions, of which one may stand above the concept at the level .05.
DIRECTIONS = 39


@checks.register(claim="concepts")
def erasure(study, *, seed, directions=DIRECTIONS):
    """Does the score of a class depend on a concept's direction more than on random ones?

    The number is the mean loss of the score when the direction tells nothing. Beside it stands the gain when the direction is
    set to the concept's mean.

    Args:
        study: `sanity.concepts.Study` with its network.
        seed: int, of the random directions.
        directions: int, how many random directions, 19 or more. With 39 one may stand above the concept, with 19 none.

    Returns:
        list of `Evidence`, one a concept, layer and target, with samples loss and gain, float64 [inputs], and random, float64
            [directions, inputs].
    """
    measured, before = {}, {target: scores(study, target).astype("float64") for target in study.targets}
    for concept, layer in dict.fromkeys((concept, layer) for concept, layer, _ in study.rows):
        if not np.ptp(study.pool[layer], axis=0).any():
            continue
        changes = _changes(study, concept, layer, derive_seed(seed, f"directions {concept} {layer}"), directions)
        objectives = [study.objectives[target] for target in study.targets]
        after = all_scores_after(study.network, study.inputs, objectives, layer, changes).astype("float64")
        for number, target in enumerate(study.targets):
            measured[concept, layer, target] = before[target][:, None] - after[..., number]
    return [
        _evidence(study, row, measured[row], seed, directions)
        if row in measured
        else _dead(study, row, seed, directions)
        for row in study.rows
    ]


def _dead(study, row, seed, directions):
    """Evidence about a layer that holds the same for every input."""
    gate = Gate("activations differ", "failed", f"{row[1]} holds the same for every input of the pool")
    return Evidence(
        "erasure",
        concept_row(*row),
        study.title,
        study.sizes,
        {},
        (gate,),
        settings=_settings(study, row, seed, directions),
    )


def _settings(study, row, seed, directions):
    question = dict(zip(("concept", "layer", "target"), row))
    return {**study.settings, "seed": seed, "directions": directions, **question}


def _changes(study, concept, layer, seed, directions):
    """The erasure of a concept, the same direction set to the concept, and erasures of random directions."""
    pool = study.pool[layer]
    if concept in study.vectors:
        erased = _along(study.vectors[concept][layer], pool)
        most = pool[np.argsort(pool @ study.vectors[concept][layer])[-len(pool) // 10 :]]
    else:
        most = study.concepts[concept][layer]
        erased = leace(np.concatenate([most, pool]), np.repeat([1, 0], [len(most), len(pool)]))
    drawn = random_erasures(erased, np.concatenate([most, pool]), directions, seed=seed)
    return [erased, erased.to(most), *drawn]


def _along(vector, pool):
    """The erasure of a direction that was given: its projection, set to the pool's mean."""
    unit = (np.asarray(vector, "float64") / np.linalg.norm(vector))[:, None]
    return Erasure(pool.mean(axis=0, dtype="float64"), unit, unit, np.zeros(1))


def _evidence(study, row, losses, seed, directions):
    samples = {
        "loss": losses[:, 0],
        "gain": -losses[:, 1],
        "random": losses[:, 2:].T,
        "groups": np.asarray(study.groups),
    }
    sizes = {"directions": directions, "images": len(losses)}
    moved = float(np.abs(losses[:, 2:]).max(initial=0.0))
    gate = Gate(
        "the score depends on the layer",
        "passed" if moved > 0 else "failed",
        f"random erasures move it by up to {moved:.3g}",
    )
    return Evidence(
        "erasure",
        concept_row(*row),
        study.title,
        sizes,
        samples,
        (gate,),
        settings=_settings(study, row, seed, directions),
    )


@rules.register(
    name="erasure",
    about=About(
        "The concept is used",
        "without the concept",
        {
            "USED": "when the concept is erased the score changes more than when random directions are; {why}",
            "NOT SHOWN TO BE USED": "{why}",
        },
        number="mean loss of the score",
        similarity="mean loss of the score when a direction of the layer tells nothing",
        null="without random directions",
        sampled=False,
        counted={"directions": "random directions", "images": "inputs"},
        cannot="Cannot conclude: that the concept is used and not what goes with it, or anything about other networks, layers or targets. It may lie in more than one direction.",
    ),
)
def judge_erasure(family, margins, seed):
    """Used where the loss is larger than the largest of a random direction over the whole family in one of twenty.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap over inputs.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    directions = min(len(evidence.samples["random"]) for evidence in family)
    null = np.stack([np.abs(_in_deviations(evidence))[: 1 + directions] for evidence in family])
    largest = null.max(axis=0)[1:]
    return [
        _ruling(evidence, (1 + (largest >= row[0] - 1e-12).sum()) / (1 + directions), margins, seed)
        for evidence, row in zip(family, null)
    ]


def _in_deviations(evidence):
    """Mean losses, the concept's first, in root mean squares of all: float64 [1 + directions]."""
    means = np.array([evidence.samples["loss"].mean(), *evidence.samples["random"].mean(axis=1)])
    scale = np.sqrt(np.mean(means**2))
    return means / scale if scale > 0 else means


def _ruling(evidence, p, margins, seed):
    samples = evidence.samples
    random = samples["random"].mean(axis=1)
    is_used = p <= margins.alpha
    direction = "it falls" if samples["loss"].mean() > 0 else "it rises"
    gain = group_interval(samples["gain"], samples["groups"], seed=seed)
    return Ruling(
        "PASS" if is_used else "INCONCLUSIVE",
        "USED" if is_used else "NOT SHOWN TO BE USED",
        group_interval(samples["loss"], samples["groups"], seed=seed),
        null=Interval(float(random.mean()), *map(float, np.quantile(random, [0.025, 0.975]))),
        p=float(p),
        why=direction if is_used else "random directions of the same size move the score as much",
        also=(("set to the concept", f"the score changes by {gain}"),),
    )
