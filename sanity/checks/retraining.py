"""Retraining: does accuracy fall more when a network is retrained without what a map calls important?

ROAR and KAR (Hooker, Erhan, Kindermans, Kim 2019, https://arxiv.org/abs/1806.10758). The shape of the holes can reveal
the class by itself (Rong et al. 2022, https://arxiv.org/abs/2202.00449). A network trained on the masks alone measures
that leak. Where the order of the network's own answer, by occlusion, loses no more than a random one, methods are not judged.
"""

from dataclasses import replace

import numpy as np

from lab.kinds import kind_of
from lab.objectives import logit
from sanity import gates
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.checks import checks
from sanity.evidence import Gate
from sanity.interventions import occlusion
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
SHARES, REPEATS = (0.1, 0.4), 6


def prepare(subject, *, seed, shares=SHARES, repeats=REPEATS, keep=False):
    """Accuracies by the order of the network's own answer, for all methods to share.

    Args:
        subject: the `Subject`.
        seed: int.
        shares: tuple of float in 0..1, of the positions that are taken away, or kept with `keep`.
        repeats: int, each with its own data and networks.
        keep: bool, whether the highest positions are kept instead.

    Returns:
        float64 [shares, repeats], or None where there is no world to retrain in.
    """
    if not _trainable(subject.world):
        return None
    trainer = _trainer(subject.world)
    return np.array([_oracle_accuracies(subject, trainer, seed, turn, shares, keep) for turn in range(repeats)]).T


def _oracle_accuracies(subject, trainer, seed, turn, shares, keep):
    """Accuracies of one repeat by the network's own answer: list of float, one a share."""
    repeat_seed, sets = _draw_repeat(subject, seed, turn)
    ranked = [
        {"oracle": orders(_own_answer(subject, samples), np.random.default_rng(repeat_seed))}
        for samples in sets.values()
    ]
    return [
        _retrain(trainer, sets, ranked, share, keep, "oracle", derive_seed(repeat_seed, "network", place), subject)
        for place, share in enumerate(shares)
    ]


def _own_answer(subject, samples):
    """How far the score of the cue's class falls when a place is filled: float64 [samples, ...]."""
    objective = logit([int(label) for label in samples.cue_labels])
    return occlusion(replace(subject, inputs=samples.inputs, objective=objective))


def _trainable(world):
    return bool(world and world.training)


def _trainer(world):
    return Trainer(world.network(), replace(world.training, passes=PASSES))


@checks.register(prepare=prepare)
def retraining(explainer, subject, /, *, seed, shares=SHARES, repeats=REPEATS, keep=False, prepared=None, **options):
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
        prepared: what `prepare` gives, to share among methods; None: computed here.
        options: options of the method.

    Returns:
        `Evidence` with samples `accuracy/map`, `accuracy/random` and `accuracy/oracle` [shares, repeats],
            `accuracy/leak` [shares, at most two repeats].
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    world = subject.world
    trainable = Gate(
        "world to retrain in",
        "passed" if _trainable(world) else "not applicable",
        getattr(world, "name", "none"),
    )
    if trainable.status != "passed":
        return bound.evidence("retraining", {}, [trainable])
    trainer = _trainer(world)
    rows = [_run_repeat(bound, trainer, turn, shares, keep) for turn in range(repeats)]
    samples = {
        f"accuracy/{name}": np.array([row[name] for row in rows if name in row]).T for name in ("map", "random", "leak")
    }
    if prepared is None:
        prepared = prepare(subject, seed=seed, shares=shares, repeats=repeats, keep=keep)
    samples["accuracy/oracle"] = prepared
    settings = {"shares": list(shares), "repeats": repeats, "keep": keep}
    usable = gates.usable_maps(pooled_maps(bound.maps()))
    passed = [trainable, usable, gates.competence(subject), _leak_gate(samples["accuracy/leak"], subject.classes)]
    return bound.evidence("retraining", samples, passed, sizes={"repeats": repeats}, settings=settings)


def _leak_gate(leaks, classes):
    """Masks alone do not reveal the class. The worst share decides, each the mean over its networks."""
    worst, chance = float(leaks.mean(axis=1).max()), 1 / classes
    words = f"masks alone: {worst:.2f}, chance {chance:.2f}; allowed: {LEAK} above"
    return Gate("masks do not leak", "passed" if worst <= chance + LEAK else "failed", words)


def _draw_repeat(subject, seed, turn):
    """The seed and the data of one repeat: (int, dict of `Samples`)."""
    world, data_seed = subject.world, derive_seed(subject.seed, "repeat", turn)
    sets = {"training": world.training_data(data_seed), "held out": world.draw(HELD_OUT, data_seed)[0]}
    return derive_seed(seed, "repeat", turn), sets


def _run_repeat(bound, trainer, turn, shares, keep):
    """Accuracies of one repeat: dict of name to list of float, one a share."""
    seed, sets = _draw_repeat(bound.subject, bound.seed, turn)
    ranked = [
        _orders(bound, samples, (f"{name} data", turn), derive_seed(seed, f"order of {name} data"))
        for name, samples in sets.items()
    ]
    names = ("map", "random", *(["leak"] if turn < LEAK_REPEATS else []))
    accuracies = {name: [] for name in names}
    for place, share in enumerate(shares):
        network_seed = derive_seed(seed, "network", place)
        for name in names:
            accuracies[name].append(_retrain(trainer, sets, ranked, share, keep, name, network_seed, bound.subject))
    return accuracies


def _retrain(trainer, sets, ranked, share, keep, name, seed, subject):
    """Accuracy on held-out samples of a network trained without the first positions of an order: float."""
    training, held_out = sets.values()
    inputs = _remove_positions((training, held_out), ranked, share, keep, name)
    state = trainer.train(inputs[0], training.labels, seed, subject.cache)
    return _accuracy(trainer.network, state, inputs[1], held_out.cue_labels)


def _orders(bound, samples, state, seed):
    """Positions from most to least relevant for the class of the cue, on the unchanged network; and random ones."""
    objective = logit([int(label) for label in samples.cue_labels])
    shape = (len(samples), *extent(samples.inputs))
    relevance = relevances(bound.maps(samples.inputs, objective=objective, state=state), shape)
    rng = np.random.default_rng(seed)
    return {"map": orders(relevance, rng), "random": orders(rng.random(shape), rng)}


def _remove_positions(sets, ranked, share, keep, name):
    """Training and held-out inputs with the map's holes, with random holes, or ("leak") the map's masks alone."""
    order = "map" if name == "leak" else name
    masks = [top_mask(set_orders[order], share, (-1, *extent(sets[0].inputs))) ^ keep for set_orders in ranked]
    return [_fill_or_mask(samples.inputs, mask, name == "leak") for samples, mask in zip(sets, masks)]


def _fill_or_mask(inputs, mask, alone):
    if alone:
        return np.broadcast_to(kind_of(inputs).over_features(mask), inputs.shape).astype("float32")
    return fills.get(kind_of(inputs).fills[0])(inputs, mask, None).astype("float32")


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
            "ORACLE DOES NOT PASS": "it is not shown that the network's own answer loses more than a random order; {why}",
        },
        ceiling="the network's own answer",
        similarity="accuracy after removal in random order less accuracy after removal in the map's order (the other way round where positions are kept)",
        counted={"images": "images", "repeats": "repeats"},
        better="higher",
    ),
)
def judge_retraining(family, margins, seed):
    """Accuracy lost by the map's order against random order.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return [_judge_retraining(evidence, margins, seed) for evidence in family]


def _judge_retraining(evidence, margins, seed):
    """The unit is the repeat, averaged over its shares, which have data, order and draw in common."""
    gained, oracle = _advantages(evidence, "map"), _advantages(evidence, "oracle")
    p = sign_test(gained)
    also = tuple((name, str(np.round(value.mean(axis=1), 2).tolist())) for name, value in evidence.samples.items())
    if len(gained) < FEWEST:
        why = f"{len(gained)} repeats; fewer than {FEWEST} decide nothing"
        remedy = f"Train {FEWEST} repeats or more."
        mean = without_interval(gained.mean())
        return Ruling("INCONCLUSIVE", "UNDECIDED", mean, p=p, also=also, why=why, remedy=remedy)
    effect, ceiling = (bootstrap_interval(values[None], seed=seed) for values in (gained, oracle))
    if not (sign_test(oracle) < margins.alpha and ceiling.low > 0):
        why = f"its advantage is {ceiling}, p = {sign_test(oracle):.2g}"
        return Ruling("INVALID", "ORACLE DOES NOT PASS", ceiling=ceiling, also=also, why=why)
    numbers = {"effect": effect, "ceiling": ceiling, "p": p, "also": also}
    if p < margins.alpha and effect.low > 0:
        return Ruling("PASS", "BEATS RANDOM ORDER", **numbers, why=f"the sign test over {len(gained)} repeats")
    if effect.high <= 0 and gained.any():
        return Ruling("FAIL", "NO BETTER THAN RANDOM ORDER", **numbers, why="the upper bound is not above zero")
    why = f"the advantage {effect} of {len(gained)} repeats decides nothing"
    return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why=why)


def _advantages(evidence, name):
    """Accuracy by which an order beats a random one, averaged over shares: float64 [repeats]."""
    accuracy, chance = (evidence.samples[f"accuracy/{key}"].mean(axis=0) for key in (name, "random"))
    return accuracy - chance if evidence.settings["keep"] else chance - accuracy
