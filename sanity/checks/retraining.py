"""Retraining: does accuracy fall more when a network is retrained without what a map calls important?

ROAR and KAR (Hooker, Erhan, Kindermans, Kim 2019, https://arxiv.org/abs/1806.10758). The shape of the holes can reveal
the class by itself (Rong et al. 2022, https://arxiv.org/abs/2202.00449). A network trained on the masks alone measures
that leak.
"""

from dataclasses import replace

import numpy as np

from lab.objectives import logit
from sanity import gates
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.checks import checks
from sanity.evidence import Gate
from sanity.localisation import relevances
from sanity.removal import extent, fills, orders, top_mask
from sanity.ruling import About, Ruling, rules
from sanity.seeds import derive_seed
from sanity.statistics import FEWEST, bootstrap_interval, sign_test, without_interval
from sanity.worlds.training import Trainer

LEAK = 0.15
# Networks with nothing to learn would train for ever; they stop here.
PASSES = 60
HELD_OUT = 300
# Repeats in which networks are trained on the masks alone.
LEAK_REPEATS = 2


@checks.register
def retraining(explainer, subject, *, seed, shares=(0.1, 0.4), repeats=6, keep=False, **options):
    """Accuracy on held-out samples after retraining without (or, with `keep`, only with) the map's highest positions.

    It needs a world. Each repeat has its own data, random order, network seeds and draw of the method, so that repeats
    are independent.

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        shares: of the positions, taken away, or kept with `keep`.
        repeats: int; fewer than six allow no PASS.
        keep: bool, whether the highest positions are kept instead.
        options: options of the method.

    Returns:
        `Evidence` with samples `accuracy/map` and `accuracy/random` [shares, repeats], `accuracy/leak` [shares, at most
            two repeats].
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    world = subject.world
    trainable = Gate(
        "world to retrain in",
        "passed" if world and world.training else "not applicable",
        getattr(world, "name", "none"),
    )
    if trainable.status != "passed":
        return bound.evidence("retraining", {}, [trainable])
    trainer = Trainer(world.network(), replace(world.training, passes=PASSES))
    rows = [_run_repeat(bound, trainer, turn, shares, keep) for turn in range(repeats)]
    samples = {
        f"accuracy/{name}": np.array([row[name] for row in rows if name in row]).T for name in ("map", "random", "leak")
    }
    settings = {"shares": list(shares), "repeats": repeats, "keep": keep}
    usable = gates.usable_maps(pooled_maps(bound.maps()))
    passed = [trainable, usable, gates.competence(subject), _leak_gate(samples["accuracy/leak"], subject.classes)]
    return bound.evidence("retraining", samples, passed, sizes={"repeats": repeats}, settings=settings)


def _leak_gate(leaks, classes):
    """Masks alone do not reveal the class. The worst share decides, each the mean over its networks."""
    worst, chance = float(leaks.mean(axis=1).max()), 1 / classes
    words = f"masks alone: {worst:.2f}, chance {chance:.2f}; allowed: {LEAK} above"
    return Gate("masks do not leak", "passed" if worst <= chance + LEAK else "failed", words)


def _run_repeat(bound, trainer, turn, shares, keep):
    """Accuracies of one repeat: dict of name to list of float, one a share."""
    subject, seed = bound.subject, derive_seed(bound.seed, "repeat", turn)
    world, data_seed = subject.world, derive_seed(subject.seed, "repeat", turn)
    sets = {"training": world.training_data(data_seed), "held out": world.draw(HELD_OUT, data_seed)[0]}
    ranked = [
        _orders(bound, samples, (f"{name} data", turn), derive_seed(seed, f"order of {name} data"))
        for name, samples in sets.items()
    ]
    sets = list(sets.values())
    names = ("map", "random", *(["leak"] if turn < LEAK_REPEATS else []))
    accuracies = {name: [] for name in names}
    for place, share in enumerate(shares):
        network_seed = derive_seed(seed, "network", place)
        for name in names:
            inputs = _remove_positions(sets, ranked, share, keep, name)
            state = trainer.train(inputs[0], sets[0].labels, network_seed, subject.cache)
            accuracies[name].append(_accuracy(trainer.network, state, inputs[1], sets[1].cue_labels))
    return accuracies


def _orders(bound, samples, state, seed):
    """Positions from most to least relevant for the class of the cue, on the unchanged network; and random ones."""
    objective = logit([int(label) for label in samples.cue_labels])
    shape = (len(samples), *extent(samples.inputs))
    relevance = relevances(bound.maps(samples.inputs, objective=objective, state=state), shape)
    rng = np.random.default_rng(seed)
    return {"map": orders(relevance, rng), "random": orders(rng.random(shape), rng)}


def _remove_positions(sets, ranked, share, keep, name):
    """Training and held-out inputs with the map's holes, with random holes, or ("leak") the map's masks alone."""
    order = "random" if name == "random" else "map"
    masks = [top_mask(set_orders[order], share, (-1, *extent(sets[0].inputs))) ^ keep for set_orders in ranked]
    return [_fill_or_mask(samples.inputs, mask, name == "leak") for samples, mask in zip(sets, masks)]


def _fill_or_mask(inputs, mask, alone):
    if alone:
        return np.broadcast_to(mask[..., None] if inputs.ndim > 2 else mask, inputs.shape).astype("float32")
    return fills.get("mean")(inputs, mask, None).astype("float32")


def _accuracy(network, state, inputs, labels):
    with network.weights(state):
        logits = np.asarray(network.model(inputs, training=False))
    return float(np.mean(logits.argmax(axis=1) == labels))


@rules.register(
    name="retraining",
    about=About(
        "Retraining beats random order",
        "advantage",
        {
            "BEATS RANDOM ORDER": "a network trained anew loses more by the map's positions than by random ones",
            "NO BETTER THAN RANDOM ORDER": "a network trained anew loses no more by the map's positions than by random ones",
            "UNDECIDED": "{why}",
        },
        similarity="accuracy after removal in random order less accuracy after removal in the map's order (the other way round where positions are kept)",
        counted={"images": "images", "repeats": "repeats"},
    ),
)
def judge_retraining(family, margins, seed):
    """Accuracy lost by the map's order against random order."""
    return [_judge_retraining(evidence, margins, seed) for evidence in family]


def _judge_retraining(evidence, margins, seed):
    """The unit is the repeat, averaged over its shares, which have data, order and draw in common."""
    samples = {name: value.mean(axis=0) for name, value in evidence.samples.items()}
    lost = samples["accuracy/random"] - samples["accuracy/map"]
    gained = -lost if evidence.settings["keep"] else lost
    p = sign_test(gained)
    also = tuple((name, str(np.round(value.mean(axis=1), 2).tolist())) for name, value in evidence.samples.items())
    if len(gained) < FEWEST:
        why = f"{len(gained)} repeats; fewer than {FEWEST} decide nothing"
        remedy = f"Train {FEWEST} repeats or more."
        mean = without_interval(gained.mean())
        return Ruling("INCONCLUSIVE", "UNDECIDED", mean, p=p, also=also, why=why, remedy=remedy)
    effect = bootstrap_interval(gained[None], seed=seed)
    numbers = {"effect": effect, "p": p, "also": also}
    if p < margins.alpha and effect.low > 0:
        return Ruling("PASS", "BEATS RANDOM ORDER", **numbers, why=f"the sign test over {len(gained)} repeats")
    if effect.high <= 0 and gained.any():
        return Ruling("FAIL", "NO BETTER THAN RANDOM ORDER", **numbers, why="the upper bound is not above zero")
    why = f"the advantage {effect} of {len(gained)} repeats decides nothing"
    return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why=why)
