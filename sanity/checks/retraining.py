"""Retraining: does accuracy fall more when what a map calls important is taken out of the training data, and a network learns again?

ROAR and KAR (Hooker, Erhan, Kindermans, Kim 2019, https://arxiv.org/abs/1806.10758). The shape of the holes can give the
class away by itself (Rong et al. 2022, https://arxiv.org/abs/2202.00449): a network trained on the masks alone measures that leak.
"""

import functools
from dataclasses import replace

import numpy as np

from lab.objectives import logit
from sanity import gates
from sanity.checks import checks
from sanity.evidence import Gate
from sanity.localisation import relevances
from sanity.removal import extent, fills, first, orders
from sanity.viewer import Viewer, fold, planes
from sanity.worlds.training import Trainer

LEAK = 0.15
# Networks that find nothing to learn would go on for ever; these stop here.
PASSES = 60


@checks.register
def retraining(explainer, subject, *, seed, shares=(0.1, 0.3, 0.5), repeats=2, keep=False, **options):
    """Accuracy on held-out samples after retraining without (or, with `keep`, only with) the map's highest positions -> `Evidence`.

    shares: of the positions, taken away (kept). repeats: networks each. Needs a world. options: the explainer's own.
    """
    viewer = Viewer(explainer, subject, seed, options)
    world = subject.world
    trainable = Gate(
        "world to retrain in",
        "passed" if world and world.training else "not applicable",
        getattr(world, "name", "none"),
    )
    if trainable.status != "passed":
        return viewer.evidence("retraining", {}, [trainable])
    sets = [world.lessons(subject.seed), world.draw(300, subject.seed + 1)[0]]
    found = {name: np.empty((len(shares), repeats)) for name in ("map", "random", "leak")}
    ranked = [_orders(viewer, samples, seed) for samples in sets]
    trainer = Trainer(world.network(), replace(world.training, passes=PASSES))
    for row, share in enumerate(shares):
        for turn in range(repeats):
            train = functools.partial(_trained, trainer, fold(seed, 31 * row + turn), subject.keep)
            for name, accuracy in _accuracies(train, sets, ranked, share, keep):
                found[name][row, turn] = accuracy
    samples = {f"accuracy/{name}": values for name, values in found.items()}
    chance = 1 / subject.classes
    leaks = float(found["leak"].max())
    words = f"masks alone: {leaks:.2f}, chance {chance:.2f}; allowed: {LEAK} above"
    closed = Gate("masks do not leak", "passed" if leaks <= chance + LEAK else "failed", words)
    settings = {"shares": list(shares), "repeats": repeats, "keep": keep}
    whole = gates.usable(planes(viewer.maps()))
    return viewer.evidence(
        "retraining",
        samples,
        [trainable, whole, gates.competent(subject), closed],
        sizes={"repeats": repeats},
        settings=settings,
    )


def _orders(viewer, samples, seed):
    """Positions from most to least relevant, for the label, on the network that saw everything; and random ones beside."""
    goal = logit([int(each) for each in samples.labels])
    shape = (len(samples), *extent(samples.inputs))
    relevance = relevances(viewer.maps(samples.inputs, objective=goal), shape)
    rng = np.random.default_rng([seed, 21])
    return {"map": orders(relevance, rng), "random": orders(rng.random(shape), rng)}


def _accuracies(train, sets, ranked, share, keep):
    """Three networks trained anew: on the map's holes, on random holes, and on the map's masks alone."""
    shape = (-1, *extent(sets[0].inputs))
    for name in ("map", "random", "leak"):
        masks = [first(each["random" if name == "random" else "map"], share, shape) ^ keep for each in ranked]
        given = [_seen(samples.inputs, mask, name == "leak") for samples, mask in zip(sets, masks)]
        yield name, _accuracy(train, given, [samples.labels for samples in sets])


def _seen(inputs, mask, alone):
    if alone:
        return np.broadcast_to(mask[..., None] if inputs.ndim > 2 else mask, inputs.shape).astype("float32")
    return fills.get("mean")(inputs, mask, None).astype("float32")


def _trained(trainer, seed, keep, inputs, labels):
    return trainer.network.weights(trainer.train(inputs, labels, seed, keep))


def _accuracy(train, given, labels):
    """train: (inputs, labels) -> trainer's network under the new weights."""
    with train(given[0], labels[0]) as network:
        logits = np.asarray(network.model(given[1], training=False))
    return float(np.mean(logits.argmax(axis=1) == labels[1]))
